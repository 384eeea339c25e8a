"""Orders at rest give way to one whose price has come and that may only close what is held."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from oms.core.funds import spot_wallet
from oms.core.state import MAX_ACCOUNTS
from oms.records import (
    CASH_SCALE,
    CommandKind,
    Contingency,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TimeInForce,
    TradingState,
    Trigger,
    TriggerSource,
)
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    SECOND,
    Records,
    Rig,
    cancel,
    command,
    fill,
    market_order,
    new_order,
    only,
    report,
    time_tick,
    trade,
)

pytestmark = pytest.mark.pure

SIDES: Final = pytest.mark.parametrize("side", [1, -1])
WATCH: Final = Path(__file__).parents[2] / "strategies" / "samples" / "watch.py"
STOP: Final = 50
HELD, PENDING_NEW, LIVE, PENDING_CANCEL, REJECTED = (
    OrderState.HELD,
    OrderState.PENDING_NEW,
    OrderState.LIVE,
    OrderState.PENDING_CANCEL,
    OrderState.REJECTED,
)


def holding(side: int, qty: int = 100, **fields: int) -> Rig:
    """A core that holds ``qty`` lots which an order of ``side`` closes."""
    rig = Rig()
    rig.open_market()
    rig.ticks(trade(1, BID_PX, 1))
    rig.reports(report(ReportKind.POSITION, 0, qty=-side * qty, px=BID_PX, **fields))
    return rig


def reducing(rig: Rig, strategy: int = -1) -> None:
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.REDUCING, strategy=strategy))


def stop(side: int, order_id: int = STOP, qty: int = 100, **fields: int) -> Records:
    terms = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC, "trigger": Trigger.STOP}
    waits = {"trigger_px": BID_PX + 10 * side, "trigger_source": TriggerSource.LAST}
    return new_order(order_id, **{"side": side, "px": 0, "qty": qty, **terms, **waits, **fields})


def target(rig: Rig, order_id: int, side: int, qty: int, **fields: int) -> None:
    """A live order at rest that closes ``qty`` lots."""
    rig.commands(new_order(order_id, side, BID_PX - 70 * side, qty, **fields))
    rig.reports(report(ReportKind.ACCEPTED, order_id))
    assert rig.state(order_id) == LIVE


def fire(rig: Rig, side: int) -> Records:
    return rig.ticks(trade(side, BID_PX + 10 * side, 1))


def states(rig: Rig, *order_ids: int) -> list[OrderState]:
    return [rig.state(each) for each in order_ids]


@SIDES
@pytest.mark.parametrize("by", ["state", "flag", "state of the strategy"])
def test_a_stop_leaves_beside_a_target_of_the_whole_position_which_is_cancelled(side: int, by: str) -> None:
    rig = holding(side)
    fields: dict[str, int] = {"flags": OrderFlag.REDUCE_ONLY} if by == "flag" else {}
    if by == "state of the strategy":
        fields["strategy"] = rig.add(WATCH, 0)
        rig.reports(report(ReportKind.POSITION, 0, qty=-side * 100, px=BID_PX, value=1))
    rig.commands(stop(side, **fields))
    target(rig, 1, side, 100, **fields)
    if by != "flag":
        reducing(rig, fields.get("strategy", -1))
    events = fire(rig, side)
    assert states(rig, STOP, 1) == [PENDING_NEW, PENDING_CANCEL]
    assert rig.order(STOP)["risk_qty"] == 100
    assert only(events, EventKind.CANCEL_SUBMITTED)["reason"] == Reason.GAVE_WAY
    asked = rig.sent[rig.sent["kind"] <= CommandKind.CANCEL][-2:]
    assert asked["kind"].tolist() == [CommandKind.CANCEL, CommandKind.NEW]
    rig.reports(
        fill(STOP, 100, side=side, trade_id=9, px=BID_PX + 10 * side),
        report(ReportKind.CANCELLED, 1),
    )
    assert rig.position()["qty"] == rig.position()["open_orders"] == 0


@SIDES
def test_the_newest_give_way_until_it_fits(side: int) -> None:
    rig = holding(side)
    for order_id, qty in ((1, 30), (2, 40), (3, 30)):
        target(rig, order_id, side, qty)
    rig.commands(stop(side, qty=40))
    reducing(rig)
    fire(rig, side)
    assert states(rig, STOP, 1, 2, 3) == [PENDING_NEW, LIVE, PENDING_CANCEL, PENDING_CANCEL]


@SIDES
def test_it_leaves_for_no_more_than_there_is_to_close(side: int) -> None:
    rig = holding(side)
    target(rig, 1, side, 100)
    rig.commands(stop(side, flags=OrderFlag.REDUCE_ONLY))
    rig.reports(fill(1, 60, BID_PX - 70 * side, side=side, trade_id=1))
    fire(rig, side)
    assert states(rig, STOP, 1) == [PENDING_NEW, PENDING_CANCEL]
    assert rig.order(STOP)["qty"] == rig.sent[-1]["qty"] == 40


@SIDES
def test_nothing_gives_way_to_one_that_is_refused_all_the_same(side: int) -> None:
    rig = holding(side)
    target(rig, 1, side, 100)
    rig.commands(stop(side, flags=OrderFlag.REDUCE_ONLY))
    rig.limit(0, order_interval_ns=SECOND, rate_ts=rig.now + 2 * SECOND)
    fire(rig, side)
    assert states(rig, STOP, 1) == [HELD, LIVE]
    rig.ticks(time_tick(rig.now + 3 * SECOND))
    fire(rig, side)
    assert states(rig, STOP, 1) == [PENDING_NEW, PENDING_CANCEL]


@SIDES
def test_with_nothing_to_close_it_is_refused(side: int) -> None:
    rig = holding(-side)
    rig.commands(stop(side, flags=OrderFlag.REDUCE_ONLY))
    rig.reports(report(ReportKind.POSITION, 0, qty=0))
    ended = only(fire(rig, side), EventKind.HELD_ENDED)
    assert (ended["state"], ended["reason"]) == (REJECTED, Reason.REDUCE_ONLY)


@SIDES
def test_one_that_has_fired_does_not_give_way_to_the_next(side: int) -> None:
    rig = holding(side)
    rig.commands(*(stop(side, each, flags=OrderFlag.REDUCE_ONLY) for each in (STOP, STOP + 1)))
    fire(rig, side)
    assert sorted(states(rig, STOP, STOP + 1)) == sorted([PENDING_NEW, HELD])
    first, second = sorted((STOP, STOP + 1), key=rig.state)
    rig.reports(fill(first, 100, BID_PX + 10 * side, side=side, trade_id=1))
    ended = only(fire(rig, side), EventKind.HELD_ENDED)
    assert (ended["order_id"], ended["reason"]) == (second, Reason.REDUCE_ONLY)


@SIDES
def test_one_that_waits_for_another_leaves_for_what_that_did_not_get(side: int) -> None:
    rig = holding(side)
    rig.commands(*(stop(side, each, flags=OrderFlag.REDUCE_ONLY) for each in (STOP, STOP + 1)))
    fire(rig, side)
    first, second = sorted((STOP, STOP + 1), key=rig.state)
    rig.reports(
        fill(first, 70, BID_PX + 10 * side, side=side, trade_id=1),
        report(ReportKind.EXPIRED, first),
    )
    fire(rig, side)
    assert (rig.state(second), rig.order(second)["qty"]) == (PENDING_NEW, 30)


@SIDES
def test_two_that_fire_together_leave_for_the_position_and_no_more(side: int) -> None:
    rig = holding(side)
    rig.commands(*(stop(side, each, 60, flags=OrderFlag.REDUCE_ONLY) for each in (STOP, STOP + 1)))
    fire(rig, side)
    assert states(rig, STOP, STOP + 1) == [PENDING_NEW, PENDING_NEW]
    assert sorted(int(rig.order(each)["qty"]) for each in (STOP, STOP + 1)) == [40, 60]


@SIDES
@pytest.mark.parametrize("left", [70, 1])
def test_it_leaves_for_what_an_order_that_does_not_rest_has_left(side: int, left: int) -> None:
    rig = holding(side)
    rig.commands(stop(side, flags=OrderFlag.REDUCE_ONLY))
    rig.commands(new_order(1, side, BID_PX + 5 * side, 100 - left, time_in_force=TimeInForce.IOC))
    fire(rig, side)
    if left == 70:
        assert (rig.state(STOP), rig.order(STOP)["qty"]) == (PENDING_NEW, left)
    else:
        assert rig.state(STOP) == HELD  # less than the venue's smallest quantity
    assert rig.state(1) == PENDING_NEW


@SIDES
def test_a_stop_limit_that_rests_unfilled_gives_way_to_the_stop_behind_it(side: int) -> None:
    rig = holding(side)
    near = {"order_type": OrderType.LIMIT, "px": BID_PX + 4 * side, "trigger_px": BID_PX + 5 * side}
    rig.commands(stop(side, flags=OrderFlag.REDUCE_ONLY), stop(side, 1, flags=OrderFlag.REDUCE_ONLY, **near))
    rig.ticks(trade(side, BID_PX + 5 * side, 1))
    assert states(rig, STOP, 1) == [HELD, PENDING_NEW]
    rig.reports(report(ReportKind.ACCEPTED, 1))
    fire(rig, side)
    assert states(rig, STOP, 1) == [PENDING_NEW, PENDING_CANCEL]


@SIDES
@pytest.mark.parametrize("flags", [0, OrderFlag.REDUCE_ONLY])
def test_own_orders_that_a_stop_would_trade_with_are_cancelled_and_it_waits_for_that(side: int, flags: int) -> None:
    rig = holding(side)
    touch = BID_PX if side < 0 else ASK_PX
    rig.commands(new_order(1, -side, touch, 5), new_order(2, -side, touch + 20 * side, 5))
    rig.reports(report(ReportKind.ACCEPTED, 1), report(ReportKind.ACCEPTED, 2))
    rig.commands(stop(side, flags=flags))
    events = fire(rig, side)
    assert states(rig, STOP, 1, 2) == [HELD, PENDING_CANCEL, LIVE]
    assert only(events, EventKind.CANCEL_SUBMITTED)["reason"] == Reason.SELF_TRADE
    fire(rig, side)
    rig.reports(report(ReportKind.CANCELLED, 1))
    fire(rig, side)
    assert states(rig, STOP, 2) == [PENDING_NEW, LIVE]


@SIDES
def test_a_stop_that_opens_ends_when_it_would_trade_with_an_own_order(side: int) -> None:
    rig = holding(-side)
    rig.commands(new_order(1, -side, BID_PX if side < 0 else ASK_PX, 5), stop(side))
    fire(rig, side)
    assert states(rig, STOP, 1) == [REJECTED, PENDING_NEW]


def test_an_exit_that_would_trade_with_the_rest_of_its_entry_waits_for_its_end() -> None:
    rig = holding(-1, 0)
    exit_order = market_order(2, -1, parent_id=1, contingency=Contingency.OTO)
    rig.commands(new_order(1), exit_order)
    rig.reports(report(ReportKind.ACCEPTED, 1), fill(1, 4, trade_id=1))
    assert states(rig, 1, 2) == [LIVE, HELD]
    rig.reports(fill(1, 6, trade_id=2))
    assert (rig.state(2), rig.order(2)["qty"]) == (PENDING_NEW, 10)


@SIDES
def test_a_stop_that_closes_waits_for_the_price_to_come_back_into_the_collar(side: int) -> None:
    rig = holding(side)
    rig.limit(0, collar_rate=CASH_SCALE // 1_000)
    rig.commands(stop(side, flags=OrderFlag.REDUCE_ONLY))
    far = BID_PX + 2_000 * side
    rig.ticks(trade(side, far, 1))
    assert rig.state(STOP) == HELD
    rig.open_market(0, bid=far, ask=far + 1)
    assert rig.state(STOP) == PENDING_NEW


@SIDES
def test_a_market_order_in_flight_is_nothing_to_trade_with(side: int) -> None:
    rig = holding(side)
    rig.commands(stop(side))
    fire(rig, side)
    rig.commands(new_order(1, side, BID_PX - 70 * side, 5), cancel(1))
    rig.reports(report(ReportKind.CANCELLED, 1))
    rig.commands(new_order(2, -side, BID_PX - 70 * side, 5))
    assert states(rig, STOP, 2) == [PENDING_NEW, PENDING_NEW]


@SIDES
def test_what_opens_may_pass_and_lets_the_others_be(side: int) -> None:
    rig = holding(side)
    target(rig, 1, side, 100)
    rig.commands(stop(side))
    fire(rig, side)
    assert states(rig, STOP, 1) == [PENDING_NEW, LIVE]


@SIDES
def test_other_legs_instruments_and_sides_are_let_be(side: int) -> None:
    rig = holding(side)
    target(rig, 1, side, 100)
    target(rig, 2, side, 10, instrument=2)
    target(rig, 3, -side, 10)
    rig.commands(stop(side, flags=OrderFlag.REDUCE_ONLY))
    fire(rig, side)
    assert states(rig, STOP, 1, 2, 3) == [PENDING_NEW, PENDING_CANCEL, LIVE, LIVE]


@SIDES
def test_the_rest_of_its_group_is_not_counted_twice(side: int) -> None:
    rig = holding(side)
    pair: dict[str, Any] = {"contingency": Contingency.OCO, "parent_id": 1, "flags": OrderFlag.REDUCE_ONLY}
    target(rig, 1, side, 60, **pair)
    rig.commands(stop(side, qty=60, **pair))
    target(rig, 2, side, 40)
    fire(rig, side)
    assert states(rig, STOP, 1, 2) == [PENDING_NEW, PENDING_CANCEL, LIVE]


@SIDES
def test_a_leg_of_a_hedging_account_is_closed_alike(side: int) -> None:
    rig = Rig()
    rig.s["accounts"]["hedging"][0] = 1
    rig.open_market()
    rig.ticks(trade(1, BID_PX, 1))
    flags = OrderFlag.SHORT_LEG if side > 0 else 0
    rig.reports(report(ReportKind.POSITION, 0, qty=-side * 100, px=BID_PX, flags=flags))
    target(rig, 1, side, 100, flags=flags)
    rig.commands(stop(side, flags=flags))
    fire(rig, side)
    assert states(rig, STOP, 1) == [PENDING_NEW, PENDING_CANCEL]


def test_what_a_spot_order_reserves_is_free_for_the_stop() -> None:
    rig = holding(-1, instrument=1)
    rig.ticks(trade(1, BID_PX, 1, instrument=1))
    wallet = rig.s["wallets"][0, spot_wallet(rig.s["instruments"][1], -1)]
    rig.commands(stop(-1, instrument=1, flags=OrderFlag.REDUCE_ONLY))
    target(rig, 1, -1, 100, instrument=1)
    wallet["balance"] = reserved = int(wallet["reserved"])
    rig.ticks(trade(-1, BID_PX - 10, 1, instrument=1))
    assert states(rig, STOP, 1) == [PENDING_NEW, PENDING_CANCEL]
    assert wallet["reserved"] == 2 * reserved
    rig.reports(report(ReportKind.CANCELLED, 1))
    assert wallet["reserved"] == reserved


def test_orders_of_a_strategy_give_way_to_its_own_stop() -> None:
    rig = holding(-1)
    mine = rig.add(WATCH, 0)
    rig.reports(report(ReportKind.POSITION, 0, qty=100, px=BID_PX, value=1))
    scope = MAX_ACCOUNTS + mine
    target(rig, 1, -1, 100, strategy=mine)
    rig.commands(stop(-1, strategy=mine, flags=OrderFlag.REDUCE_ONLY))
    fire(rig, -1)
    assert states(rig, STOP, 1) == [PENDING_NEW, PENDING_CANCEL]
    assert rig.s["positions"][scope, 0, 0]["open_sell_qty"] == 200
    rig.reports(report(ReportKind.CANCELLED, 1))
    assert rig.s["positions"][scope, 0, 0]["open_sell_qty"] == 100
    assert rig.position()["open_sell_qty"] == 100
