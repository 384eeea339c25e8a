"""Orders of every type from strategies: asked for as meant, and refused whole where a number does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms.core.state import MAX_ACCOUNTS
from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
    TradingState,
    TrailUnit,
    Trigger,
    TriggerSource,
)
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SECOND,
    SELL,
    START_TS,
    Rig,
    depth,
    kinds,
    report,
    tick,
    trade,
)

SAMPLE = Path(__file__).parent / "samples" / "requests.py"
FIRST_ID = 1 << 40 | 1
LAST = int(TriggerSource.LAST)

(
    STOP,
    TAKE_PROFIT,
    TRAILING,
    BRACKET,
    OCO,
    REPLACE,
    AMEND_TRIGGER,
    UNTIL,
    DAY,
    DISPLAYED,
    FIELD,
    LOOK,
) = range(1, 13)

pytestmark = pytest.mark.pure


class Asker:
    """A core with one strategy that asks for what its parameters say, at each tick."""

    def __init__(self, action: int, *arguments: float) -> None:
        self.rig = Rig()
        self.number = self.rig.add(SAMPLE)
        self.rig.open_market(0)
        self.set(action, *arguments)

    def set(self, action: int, *arguments: float) -> None:
        values = [action, *arguments]
        self.rig.s["strategies"][self.number]["parameters"][: len(values)] = values

    def tick(self) -> Any:
        """Let the strategy act once, and return the events."""
        events = self.rig.ticks(depth(BUY, BID_PX - 50, 5))
        self.set(0)
        return events

    def memory(self, count: int = 1) -> list[int]:
        return [int(each) for each in self.rig.s["strategies"][self.number]["memory"][:count]]

    def sent(self, number: int = -1) -> Any:
        return self.rig.sent[number]


@pytest.mark.parametrize(
    ("action", "trigger", "trigger_px"),
    [(STOP, Trigger.STOP, ASK_PX + 9), (TAKE_PROFIT, Trigger.TAKE_PROFIT, BID_PX - 9)],
)
@pytest.mark.parametrize(("px", "order_type"), [(0, OrderType.MARKET), (ASK_PX + 12, OrderType.LIMIT)])
def test_an_order_with_a_trigger_is_held(
    action: int, trigger: Trigger, trigger_px: int, px: int, order_type: OrderType
) -> None:
    asker = Asker(action, BUY, trigger_px, px, 7, TriggerSource.MARK)
    assert kinds(asker.tick()) == [EventKind.ORDER_HELD]
    assert asker.memory() == [FIRST_ID]
    sent = asker.sent()
    assert (sent["kind"], sent["order_type"], sent["trigger"]) == (CommandKind.HOLD, order_type, trigger)
    assert (sent["trigger_px"], sent["trigger_source"], sent["px"], sent["qty"]) == (
        trigger_px,
        TriggerSource.MARK,
        px,
        7,
    )
    asker.set(LOOK, FIRST_ID)
    asker.tick()
    assert asker.memory(9)[8] == trigger_px


def test_a_stop_leaves_when_the_market_reaches_it() -> None:
    asker = Asker(STOP, BUY, ASK_PX + 9, 0, 7, LAST)
    asker.tick()
    events = asker.rig.ticks(trade(BUY, ASK_PX + 9, 1))
    assert EventKind.ORDER_SUBMITTED in kinds(events)
    assert asker.sent()["kind"] == CommandKind.NEW


def test_a_trailing_stop_has_its_distance_and_unit() -> None:
    asker = Asker(TRAILING, SELL, 25, TrailUnit.BASIS_POINTS, 7, LAST)
    asker.tick()
    sent = asker.sent()
    assert (sent["trigger"], sent["trail"], sent["trail_unit"]) == (Trigger.TRAILING, 25, TrailUnit.BASIS_POINTS)


def test_a_bracket_is_three_orders_of_consecutive_ids() -> None:
    asker = Asker(BRACKET, BUY, BID_PX, ASK_PX + 50, BID_PX - 50, LAST)
    assert kinds(asker.tick()) == [EventKind.ORDER_SUBMITTED, EventKind.ORDER_HELD, EventKind.ORDER_HELD]
    entry, target, stop = asker.rig.sent[-3:]
    assert asker.memory() == [entry["order_id"]]
    assert [int(each["order_id"]) for each in (target, stop)] == [FIRST_ID + 1, FIRST_ID + 2]
    for each in (target, stop):
        assert (each["side"], each["contingency"], each["parent_id"]) == (SELL, Contingency.OTO, FIRST_ID)
    assert (target["px"], stop["trigger_px"], stop["order_type"]) == (ASK_PX + 50, BID_PX - 50, OrderType.MARKET)


def test_no_entry_stays_without_its_stop() -> None:
    asker = Asker(BRACKET, BUY, BID_PX, ASK_PX + 50, 0, LAST)
    events = asker.tick()
    assert asker.memory() == [-Reason.BAD_TRIGGER]
    assert EventKind.CANCEL_SUBMITTED in kinds(events)
    asker.rig.reports(report(ReportKind.CANCELLED, FIRST_ID))
    asker.set(LOOK, 0)
    asker.tick()
    assert asker.memory(4)[3] == 0


def test_of_an_oco_pair_one_names_the_other() -> None:
    asker = Asker(OCO, SELL, ASK_PX + 50, BID_PX - 50, 0, LAST)
    asker.tick()
    target, stop = asker.rig.sent[-2:]
    assert asker.memory() == [target["order_id"]]
    assert (target["contingency"], target["parent_id"]) == (Contingency.OCO, 0)
    assert (stop["contingency"], stop["parent_id"]) == (Contingency.OCO, target["order_id"])


def test_a_replacement_is_like_its_order_but_for_what_is_given() -> None:
    asker = Asker(DISPLAYED, BUY, BID_PX - 5, 20, 10)
    asker.tick()
    asker.rig.reports(report(ReportKind.ACCEPTED, FIRST_ID))
    asker.set(REPLACE, FIRST_ID, BID_PX - 4, 0)
    assert kinds(asker.tick()) == [EventKind.ORDER_HELD, EventKind.CANCEL_SUBMITTED]
    held = asker.sent(-2)
    assert asker.memory() == [FIRST_ID + 1]
    assert (held["px"], held["qty"], held["display_qty"]) == (BID_PX - 4, 20, 10)
    assert (held["contingency"], held["parent_id"]) == (Contingency.REPLACE, FIRST_ID)


def test_a_replacement_of_a_stop_waits_for_its_price_only_when_that_has_not_come() -> None:
    asker = Asker(STOP, BUY, ASK_PX + 9, ASK_PX + 20, 7, LAST)
    asker.tick()
    asker.set(REPLACE, FIRST_ID, ASK_PX + 21, 0)
    asker.tick()
    waiting = asker.memory()[0]
    assert asker.rig.state(waiting) == OrderState.HELD
    assert asker.rig.order(waiting)["trigger_px"] == ASK_PX + 9
    asker.rig.ticks(trade(BUY, ASK_PX + 9, 1))
    asker.rig.reports(report(ReportKind.ACCEPTED, waiting))
    asker.set(REPLACE, waiting, ASK_PX + 22, 0)
    asker.tick()
    asker.rig.reports(report(ReportKind.CANCELLED, waiting))
    new = asker.memory()[0]
    assert (asker.rig.state(new), asker.rig.order(new)["px"]) == (OrderState.PENDING_NEW, ASK_PX + 22)


@pytest.mark.parametrize("action", [REPLACE, AMEND_TRIGGER])
def test_an_order_of_another_is_not_touched(action: int) -> None:
    for order_id in (2 << 40 | 1, 5, 0, -1):
        asker = Asker(action, order_id, BID_PX, 10)
        asker.tick()
        assert abs(asker.memory()[0]) == Reason.NOT_OWNER
        assert len(asker.rig.sent) == 0


def test_an_unknown_own_order_cannot_be_replaced() -> None:
    asker = Asker(REPLACE, FIRST_ID + 7, BID_PX, 10)
    asker.tick()
    assert asker.memory() == [-Reason.UNKNOWN_ORDER]


def test_a_trigger_is_moved_and_one_that_cannot_be_is_refused() -> None:
    asker = Asker(STOP, BUY, ASK_PX + 9, 0, 7, LAST)
    asker.tick()
    asker.set(AMEND_TRIGGER, FIRST_ID, ASK_PX + 20, 0)
    assert kinds(asker.tick()) == [EventKind.HELD_AMENDED]
    assert (asker.memory(), asker.sent()["trigger_px"]) == ([0], ASK_PX + 20)
    asker.set(AMEND_TRIGGER, FIRST_ID, 0, 5)
    asker.tick()
    assert asker.memory() == [Reason.BAD_TRIGGER]


def test_orders_by_time_carry_their_expiry() -> None:
    until = START_TS // SECOND + 60
    asker = Asker(UNTIL, BUY, BID_PX - 5, 20, until)
    asker.tick()
    assert (asker.sent()["time_in_force"], asker.sent()["expire_ts"]) == (TimeInForce.GTD, until * SECOND)
    asker.set(UNTIL, BUY, BID_PX - 5, 20, 1)
    asker.tick()
    assert asker.memory() == [-Reason.BAD_EXPIRY]
    asker.set(DAY, BUY, BID_PX - 5, 20)
    asker.tick()
    assert asker.memory() == [-Reason.BAD_EXPIRY]  # this account has no reset


@pytest.mark.parametrize(
    ("field", "values", "reason"),
    [
        (0, (4, 256, 257, -1, 2**40), Reason.BAD_TRIGGER),
        (1, (0, 5, 257, -255, 2**40), Reason.BAD_TRIGGER),
        (2, (-1, 2**31, 2**32 + 1), Reason.BAD_TRIGGER),
        (4, (4, 257, -255, 2**40), Reason.BAD_PARENT),
        (5, (0, 6, 257, -255, 2**40), Reason.BAD_TIME_IN_FORCE),
        (6, (-1, 11, 2**40), Reason.BAD_DISPLAY_QTY),
        (7, (-1, 1, 2**40), Reason.BAD_EXPIRY),
    ],
)
def test_a_number_that_does_not_fit_is_refused_and_never_cut_off(
    field: int, values: tuple[int, ...], reason: Reason
) -> None:
    for value in values:
        asker = Asker(FIELD, field, value)
        asker.tick()
        assert asker.memory() == [-reason], value
        assert len(asker.rig.sent) == 0


def test_a_strategy_sees_its_own_figures_and_what_it_may_do() -> None:
    asker = Asker(LOOK, 0)
    s = asker.rig.s
    scope = s["scopes"][MAX_ACCOUNTS + asker.number]
    legs = s["positions"][MAX_ACCOUNTS + asker.number, 0]
    legs["qty"] = [5, -2]
    legs["realized_pnl"] = [100, 10]
    legs["fees"] = [7, 1]
    scope["pnl"], scope["open_orders"] = 55, 3
    s["scopes"][0]["pnl"] = 66
    s["positions"][0, 0, 1]["qty"] = -9
    asker.rig.ticks(tick(TickKind.MARK, px=600_100, px_2=600_200))
    asker.set(LOOK, 0)
    s["positions"][0, 0, 1]["qty"] = -9
    asker.tick()
    seen = asker.memory(10)
    assert seen[:2] == [3, 102]
    assert (seen[2], seen[9]) == (int(scope["pnl"]), int(s["scopes"][0]["pnl"]))
    assert seen[3] == int(scope["open_orders"])
    assert seen[4] == TradingState.ACTIVE
    assert seen[5:9] == [-9, 600_100, 600_200, 0]
    scope["trading_state"] = TradingState.REDUCING
    asker.set(LOOK, 0)
    asker.tick()
    assert asker.memory(5)[4] == TradingState.REDUCING


def test_a_held_order_is_open() -> None:
    asker = Asker(STOP, BUY, ASK_PX + 9, 0, 7, LAST)
    asker.tick()
    slot = next(each for each in asker.rig.s["orders"] if each["order_id"] == FIRST_ID)
    assert slot["state"] == OrderState.HELD
