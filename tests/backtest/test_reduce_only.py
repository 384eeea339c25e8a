"""Reduce-only orders at the exchange models: they close what is open when they fill, and never turn a position."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.records import (
    CommandKind,
    EventKind,
    OrderFlag,
    OrderState,
    Reason,
    ReportKind,
    TimeInForce,
)
from oms.session_settings import BOOK_MODELS
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    MS,
    SELL,
    Records,
    Rig,
    cancel,
    client_id,
    command,
    depth,
    market_order,
    new_order,
    report,
    snapshot,
    time_tick,
    trade,
)

pytestmark = pytest.mark.pure

MODELS: Final = ("displayed", "no_partial_fill")
LATENCY_NS: Final = 5 * MS
CLOSING: Final = client_id(100)


def rig_of(model: str, *, latency_ns: int = LATENCY_NS, held: int = 10) -> Rig:
    """A core that plays the exchange, and holds ``held`` lots."""
    rig = Rig(external=False, model=model, latency_ns=latency_ns)
    rig.open_market(0)
    adopt(rig, held)
    return rig


def adopt(rig: Rig, qty: int, *, leg: int = 0) -> None:
    """Set what is held, as an operator would: no exchange's fill is under way for it."""
    flags = OrderFlag.SHORT_LEG if leg == 1 else 0
    rig.reports(report(ReportKind.POSITION, 0, qty=qty, px=BID_PX if qty else 0, flags=flags))


def arrive(rig: Rig) -> Records:
    """Let everything under way arrive."""
    return rig.ticks(time_tick(rig.now + 4 * LATENCY_NS))


def fills_of(rig: Rig, order_id: int) -> list[int]:
    events = rig.events
    rows = events[(events["kind"] == EventKind.ORDER_FILLED) & (events["order_id"] == order_id)]
    found: list[int] = rows["last_qty"].tolist()
    return found


def ended(rig: Rig, order_id: int) -> tuple[OrderState, Reason]:
    order = rig.order(order_id)
    return OrderState(int(order["state"])), Reason(int(order["reason"]))


def close_order(side: int = SELL, qty: int = 10, order_id: int = CLOSING, **fields: int) -> Records:
    return new_order(order_id, side, ASK_PX if side < 0 else BID_PX, qty, flags=OrderFlag.REDUCE_ONLY, **fields)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("side", [BUY, SELL])
def test_market_order_is_cut_to_what_is_open_when_it_arrives(model: str, side: int) -> None:
    rig = rig_of(model, held=-10 * side)
    rig.commands(market_order(CLOSING, side, 10, flags=OrderFlag.REDUCE_ONLY))
    adopt(rig, -4 * side)
    arrive(rig)
    assert fills_of(rig, CLOSING) == [4]
    assert ended(rig, CLOSING) == (OrderState.EXPIRED, Reason.REDUCE_ONLY)
    assert rig.position()["qty"] == 0


@pytest.mark.parametrize("model", MODELS)
def test_order_that_can_close_nothing_any_more_expires(model: str) -> None:
    rig = rig_of(model)
    rig.commands(market_order(CLOSING, SELL, 10, flags=OrderFlag.REDUCE_ONLY))
    adopt(rig, 0)
    arrive(rig)
    assert fills_of(rig, CLOSING) == []
    assert ended(rig, CLOSING) == (OrderState.EXPIRED, Reason.REDUCE_ONLY)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("left", [0, 4])
def test_resting_order_is_cut_when_it_fills(model: str, left: int) -> None:
    rig = rig_of(model)
    rig.commands(close_order())
    arrive(rig)
    adopt(rig, left)
    rig.ticks(trade(BUY, ASK_PX + 1, 500))
    arrive(rig)
    assert fills_of(rig, CLOSING) == [left] * (left > 0)
    assert ended(rig, CLOSING) == (OrderState.EXPIRED, Reason.REDUCE_ONLY)
    assert rig.position()["qty"] == 0


@pytest.mark.parametrize("model", MODELS)
def test_fills_under_way_count_as_if_they_had_arrived(model: str) -> None:
    rig = rig_of(model)
    rig.commands(new_order(client_id(1), SELL, ASK_PX, 7), close_order(qty=3))
    arrive(rig)
    adopt(rig, 8)
    rig.ticks(trade(BUY, ASK_PX + 1, 500, ts=rig.now + 1))
    assert rig.position()["qty"] == 8
    arrive(rig)
    assert fills_of(rig, CLOSING) == [1]
    assert rig.position()["qty"] == 0


def test_part_that_a_trade_does_not_reach_rests_on() -> None:
    rig = rig_of("displayed")
    rig.ticks(depth(SELL, ASK_PX, 0), depth(SELL, ASK_PX + 5, 100))
    rig.commands(close_order())
    arrive(rig)
    adopt(rig, 6)
    rig.ticks(trade(BUY, ASK_PX, 4))
    arrive(rig)
    assert (fills_of(rig, CLOSING), rig.state(CLOSING)) == ([4], OrderState.LIVE)
    rig.ticks(trade(BUY, ASK_PX, 4))
    arrive(rig)
    assert fills_of(rig, CLOSING) == [4, 2]
    assert ended(rig, CLOSING) == (OrderState.EXPIRED, Reason.REDUCE_ONLY)


def test_volume_that_a_cut_order_does_not_take_goes_to_the_next() -> None:
    rig = rig_of("displayed")
    rig.commands(close_order(), new_order(client_id(1), SELL, ASK_PX, 10))
    arrive(rig)
    adopt(rig, 3)
    rig.ticks(trade(BUY, ASK_PX + 1, 8))
    arrive(rig)
    assert (fills_of(rig, CLOSING), fills_of(rig, client_id(1))) == ([3], [5])


@pytest.mark.parametrize("model", BOOK_MODELS)
def test_fill_or_kill_is_not_cut(model: str) -> None:
    rig = rig_of(model)
    terms: dict[str, int] = {"time_in_force": TimeInForce.FOK, "flags": OrderFlag.REDUCE_ONLY}
    rig.commands(new_order(CLOSING, SELL, BID_PX, 10, **terms))
    adopt(rig, 4)
    arrive(rig)
    rig.ticks(depth(BUY, BID_PX - 9, 1))  # one model waits for the next record
    arrive(rig)
    assert (fills_of(rig, CLOSING), ended(rig, CLOSING)) == ([], (OrderState.EXPIRED, Reason.REDUCE_ONLY))


def test_displayed_quantity_that_reaches_it_is_taken_as_far_as_it_closes() -> None:
    rig = rig_of("displayed")
    rig.commands(close_order())
    arrive(rig)
    adopt(rig, 4)
    rig.ticks(snapshot(0, {ASK_PX: 100}, {ASK_PX + 9: 100}))
    arrive(rig)
    assert fills_of(rig, CLOSING) == [4]
    assert ended(rig, CLOSING) == (OrderState.EXPIRED, Reason.REDUCE_ONLY)


@pytest.mark.parametrize("model", MODELS)
def test_a_leg_is_closed_by_its_own_orders(model: str) -> None:
    rig = rig_of(model)
    rig.s["accounts"][0]["hedging"] = 1
    adopt(rig, -6, leg=1)
    flags = OrderFlag.REDUCE_ONLY | OrderFlag.SHORT_LEG
    rig.commands(market_order(CLOSING, BUY, 6, flags=flags))
    adopt(rig, -2, leg=1)
    arrive(rig)
    assert fills_of(rig, CLOSING) == [2]
    assert rig.s["positions"]["qty"][0, 0].tolist() == [10, 0]


@pytest.mark.parametrize("model", MODELS)
def test_kill_switch_closes_what_is_still_open(model: str) -> None:
    rig = rig_of(model, held=26)
    rig.commands(command(CommandKind.KILL, 0, value=1))
    adopt(rig, 22)
    arrive(rig)
    (order,) = rig.sent[rig.sent["source"] == 1023]
    assert order["qty"] == 26
    assert fills_of(rig, int(order["order_id"])) == [22]
    rig.ticks(time_tick(rig.now + 200 * MS))
    assert rig.position()["qty"] == 0
    assert rig.events["kind"].tolist().count(EventKind.KILLED) == 2


STEPS: Final = hs.lists(
    hs.tuples(
        hs.sampled_from(("close", "open", "trade", "trade", "move", "cancel", "adopt")),
        hs.sampled_from((BUY, SELL)),
        hs.integers(2, 30),
    ),
    max_size=25,
)


@given(STEPS, hs.sampled_from(BOOK_MODELS), hs.sampled_from((0, LATENCY_NS)))
def test_a_reduce_only_fill_never_opens_or_turns_a_position(
    steps: list[tuple[str, int, int]], model: str, latency_ns: int
) -> None:
    rig = rig_of(model, latency_ns=latency_ns, held=20)
    reduce_only: set[int] = set()
    known: list[int] = []
    for number, (what, side, qty) in enumerate(steps, start=1):
        order_id = client_id(number)
        px = BID_PX - side * (qty % 5)
        if what == "close":
            reduce_only.add(order_id)
            known.append(order_id)
            rig.commands(close_order(side, qty, order_id))
        elif what == "open":
            known.append(order_id)
            rig.commands(new_order(order_id, side, px, qty))
        elif what == "trade":
            rig.ticks(trade(side, BID_PX + side * (qty % 4), qty))
        elif what == "move":
            rig.ticks(snapshot(0, {BID_PX + side: 50}, {ASK_PX + side: 50}))
        elif what == "cancel" and known:
            rig.commands(cancel(known[qty % len(known)]))
        elif what == "adopt" and not rig.s["model"]["answer_count"]:
            adopt(rig, side * qty)
    arrive(rig)
    assert_shrinking(rig.events, reduce_only)


def assert_shrinking(events: Records, reduce_only: set[int]) -> None:
    """Every fill of a reduce-only order, in the order of events, shrinks what was held before it."""
    qty = 0
    for event in events:
        if event["kind"] == EventKind.POSITION_ADOPTED:
            qty = int(event["position_qty"])
        elif event["kind"] == EventKind.ORDER_FILLED:
            after = qty + int(event["side"]) * int(event["last_qty"])
            if int(event["order_id"]) in reduce_only:
                assert abs(after) < abs(qty)
                assert after * qty >= 0
            qty = after
