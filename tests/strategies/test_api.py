"""The strategy API: what each function tells and asks, through strategies that use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.core.state import NO_ASK, NO_BID
from oms.records import (
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
)
from strategies import api
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SELL,
    Rig,
    depth,
    fill,
    kinds,
    only,
    report,
    snapshot,
    tick,
    trade,
)

PROBE = Path(__file__).parent / "samples" / "probe.py"

pytestmark = pytest.mark.pure

FIRST_ID = 1 << 40 | 1
TICK_LOT = 10_000
"""Cash of one tick-lot."""


class Probe:
    """A core with one strategy that does what its parameters say, at each tick."""

    def __init__(self, action: float, **arguments: float) -> None:
        self.rig = Rig()
        self.number = self.rig.add(PROBE, action=action, **arguments)
        self.rig.open_market(0)

    def memory(self) -> list[int]:
        return [int(each) for each in self.rig.s["strategies"][self.number]["memory"]]

    def set(self, **arguments: float) -> None:
        names = ["action", "a", "b", "c", "d"]
        for name, value in arguments.items():
            self.rig.s["strategies"][self.number]["parameters"][names.index(name)] = value


LOOK, SUBMIT, MARKET, AMEND, CANCEL, CANCEL_ALL, ORDER = range(1, 8)


def test_market_is_seen_as_it_stands() -> None:
    probe = Probe(LOOK)
    probe.rig.ticks(trade(BUY, ASK_PX, 3))
    now, bid, ask, bid_qty, last, tradable, position, instrument = probe.memory()[:8]
    assert (bid, ask, bid_qty, last) == (BID_PX, ASK_PX, 1_000, ASK_PX)
    assert (tradable, position, instrument) == (1, 0, 0)
    assert now == probe.rig.now


def test_empty_sides_have_no_price() -> None:
    probe = Probe(LOOK)
    probe.rig.ticks(depth(BUY, BID_PX, 0), depth(SELL, ASK_PX, 0))
    assert probe.memory()[1:4] == [NO_BID, NO_ASK, 0]


def test_order_is_submitted_as_asked_and_its_id_is_the_strategys() -> None:
    probe = Probe(SUBMIT, a=SELL, b=ASK_PX + 2, c=7, d=OrderFlag.POST_ONLY)
    assert probe.memory()[0] == FIRST_ID
    (sent,) = probe.rig.sent
    assert (sent["order_id"], sent["strategy"], sent["source"]) == (FIRST_ID, 0, 1)
    assert (sent["side"], sent["px"], sent["qty"], sent["flags"]) == (SELL, ASK_PX + 2, 7, OrderFlag.POST_ONLY)
    assert (sent["order_type"], sent["time_in_force"]) == (OrderType.LIMIT, TimeInForce.GTC)
    assert probe.rig.s["strategies"][0]["orders"] == 1


def test_refused_order_returns_minus_its_reason() -> None:
    probe = Probe(SUBMIT, a=SELL, b=ASK_PX, c=1)
    assert probe.memory()[0] == -Reason.QTY_BELOW_MIN
    assert probe.rig.s["strategies"][0]["refused"] == 1


@pytest.mark.parametrize("side", [0, 2, 257, -255, 2**40])
def test_side_that_is_none_is_refused(side: int) -> None:
    assert Probe(SUBMIT, a=side, b=ASK_PX, c=10).memory()[0] == -Reason.BAD_SIDE


@pytest.mark.parametrize("flags", [8, 65_536, 65_537, -1])
def test_flags_that_are_none_are_refused(flags: int) -> None:
    assert Probe(SUBMIT, a=BUY, b=BID_PX, c=10, d=flags).memory()[0] == -Reason.BAD_FLAGS


def test_market_order_takes_what_is_displayed() -> None:
    probe = Probe(MARKET, a=BUY, c=9)
    (sent,) = probe.rig.sent
    assert (sent["order_type"], sent["time_in_force"], sent["px"]) == (OrderType.MARKET, TimeInForce.IOC, 0)


def test_order_is_seen_as_it_stands() -> None:
    probe = Probe(SUBMIT, a=BUY, b=BID_PX, c=10)
    probe.set(action=ORDER, a=FIRST_ID)
    probe.rig.reports(report(ReportKind.ACCEPTED, FIRST_ID), fill(FIRST_ID, 4, trade_id=1))
    probe.rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[:4] == [OrderState.LIVE, BID_PX, 6, 1]
    probe.rig.reports(fill(FIRST_ID, 6, trade_id=2))
    probe.rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[:4] == [OrderState.FILLED, BID_PX, 0, 0]
    probe.set(a=77)
    probe.rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[:4] == [OrderState.EMPTY, 0, 0, 0]


def test_order_shows_what_its_fills_have_realized_and_paid_in_fees() -> None:
    probe = Probe(SUBMIT, a=BUY, b=BID_PX, c=10)
    probe.set(action=SUBMIT, a=SELL, b=ASK_PX + 10, c=6)
    rig = probe.rig
    rig.reports(fill(FIRST_ID, 10, trade_id=1, fee_known=1, fee=5))
    rig.ticks(depth(BUY, BID_PX, 5))
    probe.set(action=ORDER, a=FIRST_ID + 1)
    terms = {"side": SELL, "fee_known": 1}
    first = rig.reports(fill(FIRST_ID + 1, 2, BID_PX + 7, trade_id=2, fee=3, **terms))
    second = rig.reports(fill(FIRST_ID + 1, 4, BID_PX + 5, trade_id=3, fee=-1, **terms))
    told = [only(each, EventKind.ORDER_FILLED) for each in (first, second)]
    assert [(each["realized_pnl"], each["fees"]) for each in told] == [(14 * TICK_LOT, 3), (20 * TICK_LOT, -1)]
    rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[4:6] == [34 * TICK_LOT, 2]


def test_amend_and_cancel_ask_and_say_why_not() -> None:
    probe = Probe(SUBMIT, a=BUY, b=BID_PX, c=10)
    rig = probe.rig
    probe.set(action=AMEND, a=FIRST_ID, b=BID_PX - 1, c=12)
    rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[0] == Reason.REQUEST_IN_FLIGHT
    rig.reports(report(ReportKind.ACCEPTED, FIRST_ID))
    rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[0] == 0
    assert (rig.sent["px"][-1], rig.sent["qty"][-1]) == (BID_PX - 1, 12)
    probe.set(action=CANCEL)
    rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[0] == 0
    rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[0] == Reason.REQUEST_IN_FLIGHT
    rig.reports(report(ReportKind.CANCELLED, FIRST_ID))
    rig.ticks(depth(BUY, BID_PX, 5))
    assert probe.memory()[0] == Reason.ORDER_NOT_OPEN


@pytest.mark.parametrize("action", [AMEND, CANCEL])
def test_order_of_another_is_not_touched(action: int) -> None:
    for order_id in (2 << 40 | 1, 1_024 << 40 | 1, 5, 0, -1):
        probe = Probe(action, a=order_id, c=5)
        assert probe.memory()[0] == Reason.NOT_OWNER
        assert len(probe.rig.sent) == 0


def test_own_order_that_never_was_is_unknown_and_the_event_says_nothing_else() -> None:
    probe = Probe(SUBMIT, a=SELL, b=ASK_PX, c=10)
    probe.set(action=CANCEL, a=FIRST_ID + 5)
    event = only(probe.rig.ticks(depth(BUY, BID_PX, 5)), EventKind.ORDER_REFUSED)
    assert event["reason"] == Reason.UNKNOWN_ORDER
    assert (event["order_id"], event["side"], event["px"], event["qty"]) == (FIRST_ID + 5, 0, 0, 0)


def test_cancel_all_asks_for_own_orders_only() -> None:
    rig = Rig()
    for _ in range(2):
        rig.add(PROBE, action=SUBMIT, a=BUY, b=BID_PX, c=10)
    rig.open_market(0)
    rig.s["strategies"]["parameters"][0, 0] = CANCEL_ALL
    rig.s["strategies"]["parameters"][1, 0] = 0
    events = rig.ticks(depth(BUY, BID_PX, 5))
    assert kinds(events) == [EventKind.CANCEL_SUBMITTED]
    assert events["strategy"].tolist() == [0]


def test_book_out_of_step_is_not_tradable() -> None:
    rig = Rig()
    number = rig.add(PROBE, action=LOOK)
    rig.open_market(0)
    rig.ticks(tick(TickKind.STALE))
    rig.s["strategies"]["memory"][number, 5] = 7
    rig.ticks(depth(BUY, BID_PX, 5))
    assert rig.s["strategies"]["memory"][number, 5] == 7
    rig.ticks(snapshot(0, {BID_PX: 1}, {ASK_PX: 1}))
    assert rig.s["strategies"]["memory"][number, 5] == 1


def test_liquidation_distance_is_that_of_the_nearer_leg() -> None:
    rig = Rig()
    number = rig.add(PROBE)
    assert api.liquidation_distance(rig.st, number) > 10**8
    rig.s["instruments"]["tiers"]["maintenance_rate"][0, 0] = 10**6
    rig.s["accounts"]["hedging"] = 1
    rig.s["wallets"]["balance"] = 0
    rig.open_market(0)
    for leg, qty in ((0, 10), (1, -10)):
        rig.reports(report(ReportKind.POSITION, 0, qty=qty, px=BID_PX, flags=OrderFlag.SHORT_LEG * leg))
    assert -(10**8) < api.liquidation_distance(rig.st, number) <= 0


def test_everything_that_is_public_is_listed_and_documented() -> None:
    assert sorted(api.__all__) == api.__all__
    for name in api.__all__:
        member = getattr(api, name)
        if callable(member):
            assert member.__doc__, name
