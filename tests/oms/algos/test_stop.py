"""Stop: fires at its trigger, by integers, and takes no farther than it may."""

from __future__ import annotations

import pytest

from oms.records import EventKind, OrderState, Reason, ReportKind, TickKind
from tests.oms.algos.builders import AlgoRig
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    MS,
    SELL,
    Records,
    client_id,
    kinds,
    message,
    new_order,
    report,
    time_tick,
)

pytestmark = pytest.mark.pure


def rig() -> AlgoRig:
    made = AlgoRig("stop")
    made.open_market()
    return made


def move(core: AlgoRig, side: int, px: int, qty: int = 50) -> Records:
    """Bring the touch that an order of ``side`` takes to ``px``."""
    book = core.book()
    bid, ask = int(book["best"][1]), int(book["best"][0])
    shift = px - (ask if side == BUY else bid)
    levels = [(BUY, bid, 0), (SELL, ask, 0), (BUY, bid + shift, qty), (SELL, ask + shift, qty)]
    return core.ticks(message(TickKind.DEPTH, levels))


@pytest.mark.parametrize("side", [BUY, SELL])
def test_it_fires_exactly_at_its_trigger_and_ends(side: int) -> None:
    """A peer compares floats with ==, and never ends."""
    core = rig()
    touch = ASK_PX if side == BUY else BID_PX
    trigger = touch + 7 * side
    core.start("stop", side, qty=20, trigger_ticks=trigger)
    move(core, side, trigger - side)
    assert core.children == []
    move(core, side, trigger)
    child = core.child()
    assert (child["side"], child["px"]) == (side, trigger)
    core.fill(child, 20)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_once_fired_it_goes_on_when_the_market_comes_back(side: int) -> None:
    core = rig()
    touch = ASK_PX if side == BUY else BID_PX
    core.start("stop", side, qty=20, trigger_ticks=touch + 2 * side)
    move(core, side, touch + 2 * side)
    core.expire(core.child())
    move(core, side, touch)
    core.now += 60_000_000
    core.ticks(time_tick())
    assert core.child()["px"] == touch


@pytest.mark.parametrize("side", [BUY, SELL])
def test_it_takes_no_farther_than_the_slippage(side: int) -> None:
    core = rig()
    touch = ASK_PX if side == BUY else BID_PX
    core.start("stop", side, qty=20, trigger_ticks=touch + 2 * side, slippage_ticks=3)
    move(core, side, touch + 10 * side)
    assert core.children == []
    move(core, side, touch + 5 * side)
    assert core.child()["px"] == touch + 5 * side


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_trailing_trigger_follows_and_never_moves_back(side: int) -> None:
    core = rig()
    touch = ASK_PX if side == BUY else BID_PX
    core.start("stop", side, qty=20, trail_ticks=5)
    move(core, side, touch - 10 * side)
    move(core, side, touch - 6 * side)
    assert core.children == []
    move(core, side, touch - 5 * side)
    assert core.child()["side"] == side


def test_a_gap_over_the_trigger_fires_too() -> None:
    core = rig()
    core.start("stop", BUY, qty=20, trigger_ticks=ASK_PX + 3)
    move(core, BUY, ASK_PX + 40)
    assert core.child()["px"] == ASK_PX + 40


def test_without_trigger_and_trail_it_is_refused() -> None:
    core = rig()
    core.start("stop", qty=20)
    assert core.end() == (OrderState.REJECTED, Reason.BAD_PARAMETER)
    core.ticks(time_tick())
    assert core.children == []


@pytest.mark.parametrize("side", [BUY, SELL])
def test_an_amend_moves_its_trigger(side: int) -> None:
    core = rig()
    touch = ASK_PX if side == BUY else BID_PX
    core.start("stop", side, qty=20, trigger_ticks=touch + 10 * side)
    core.amend("stop", trigger_ticks=touch + 50 * side)
    move(core, side, touch + 20 * side)
    assert core.children == []
    move(core, side, touch + 50 * side)
    assert core.child()["side"] == side


@pytest.mark.parametrize("side", [BUY, SELL])
def test_own_orders_give_way_to_one_that_closes_what_is_held(side: int) -> None:
    core = rig()
    touch = ASK_PX if side == BUY else BID_PX
    core.commands(new_order(client_id(50), -side, BID_PX if side == BUY else ASK_PX, 20))
    held = core.order(client_id(50))
    core.fill(held, 20)
    core.commands(new_order(client_id(51), -side, touch + 2 * side, 5))
    own = core.order(client_id(51))
    core.accept(own)
    core.start("stop", side, qty=20, trigger_ticks=touch + 2 * side)
    move(core, side, touch + 2 * side)
    assert (own["state"], own["cancel_reason"]) == (OrderState.PENDING_CANCEL, Reason.SELF_TRADE)
    assert core.children == []
    core.reports(report(ReportKind.CANCEL_REJECTED, int(own["order_id"])))
    core.now += 10 * MS
    core.ticks(time_tick())
    assert own["state"] == OrderState.LIVE, "asked again after a pause"
    core.now += 100 * MS
    core.ticks(time_tick())
    assert own["state"] == OrderState.PENDING_CANCEL
    core.confirm_cancel(own)
    core.now += 5 * MS
    core.ticks(time_tick())
    assert (core.child()["side"], core.child()["qty"]) == (side, 20)
    assert EventKind.ORDER_REFUSED not in kinds(core.events)


def test_own_orders_stay_where_it_opens_a_position_and_it_is_refused() -> None:
    core = rig()
    core.commands(new_order(client_id(51), SELL, ASK_PX + 2, 5))
    own = core.order(client_id(51))
    core.accept(own)
    core.start("stop", BUY, qty=20, trigger_ticks=ASK_PX + 2)
    move(core, BUY, ASK_PX + 2)
    assert own["state"] == OrderState.LIVE
    refused = core.events[core.events["kind"] == EventKind.ORDER_REFUSED]
    assert [Reason(int(reason)) for reason in refused["reason"]] == [Reason.SELF_TRADE]
