"""Best-Limit: at the touch, and no order more than the target whatever comes between."""

from __future__ import annotations

import pytest

from oms.records import OrderFlag, OrderState
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, SELL, depth, trade

pytestmark = pytest.mark.pure


def rig(side: int = BUY) -> AlgoRig:
    """A market with room between the touches."""
    made = AlgoRig("best-limit")
    made.open_market(bid=BID_PX - 10, ask=ASK_PX + 10, qty=100)
    return made


def touch_of(side: int) -> int:
    return BID_PX - 10 if side == BUY else ASK_PX + 10


@pytest.mark.parametrize("side", [BUY, SELL])
def test_it_rests_an_offset_behind_the_touch_and_follows(side: int) -> None:
    core = rig()
    core.start("best-limit", side, offset_ticks=3)
    child = core.child()
    assert (child["px"], child["flags"]) == (touch_of(side) - 3 * side, OrderFlag.POST_ONLY)
    core.accept(child)
    core.ticks(depth(side, touch_of(side) + side, 5))
    assert child["pending_px"] == touch_of(side) - 2 * side


@pytest.mark.parametrize("side", [BUY, SELL])
def test_it_stays_when_the_touch_falls_back(side: int) -> None:
    core = rig()
    core.start("best-limit", side)
    child = core.child()
    core.accept(child)
    core.ticks(depth(side, touch_of(side) - 4 * side, 5), depth(side, touch_of(side), 0))
    assert (child["state"], child["px"]) == (OrderState.LIVE, touch_of(side))


@pytest.mark.parametrize("side", [BUY, SELL])
def test_with_an_offset_it_falls_back_with_the_touch(side: int) -> None:
    core = rig()
    core.start("best-limit", side, offset_ticks=3)
    child = core.child()
    core.accept(child)
    core.ticks(depth(side, touch_of(side) - 4 * side, 5), depth(side, touch_of(side), 0))
    assert child["pending_px"] == touch_of(side) - 7 * side


def test_it_never_leaves_its_limit() -> None:
    core = rig()
    core.start("best-limit", BUY, px=BID_PX - 9)
    child = core.child()
    core.accept(child)
    core.ticks(depth(BUY, BID_PX - 5, 5))
    assert child["pending_px"] == BID_PX - 9


def test_it_stays_within_its_tolerance() -> None:
    core = rig()
    core.start("best-limit", BUY, tolerance_ticks=2)
    child = core.child()
    core.accept(child)
    core.ticks(depth(BUY, BID_PX - 8, 5))
    assert child["state"] == OrderState.LIVE
    core.ticks(depth(BUY, BID_PX - 7, 5))
    assert child["pending_px"] == BID_PX - 7


def test_first_in_its_queue_it_stays_longer() -> None:
    core = rig()
    core.start("best-limit", BUY, front_lots=20, front_ticks=5)
    child = core.child()
    core.accept(child)
    core.ticks(depth(BUY, BID_PX - 10, 15), depth(BUY, BID_PX - 9, 5))
    assert child["state"] == OrderState.LIVE, "15 are before it"
    core.ticks(depth(BUY, BID_PX - 10, 500), depth(BUY, BID_PX - 8, 5))
    assert child["state"] == OrderState.LIVE, "who comes later is behind it"
    core.ticks(depth(BUY, BID_PX - 4, 5))
    assert child["pending_px"] == BID_PX - 4, "too far ahead"


def test_last_in_its_queue_it_moves_at_once() -> None:
    core = rig()
    core.start("best-limit", BUY, front_lots=20, front_ticks=5)
    child = core.child()
    core.accept(child)
    core.ticks(depth(BUY, BID_PX - 9, 5))
    assert child["pending_px"] == BID_PX - 9


def test_a_tick_between_the_fill_at_the_venue_and_its_report_sends_nothing_more() -> None:
    """A peer sent 20 on a target of 10 there."""
    core = rig()
    core.start("best-limit", BUY, qty=10)
    child = core.child()
    core.accept(child)
    core.ticks(trade(SELL, BID_PX - 10, 10), depth(BUY, BID_PX - 10, 0), depth(BUY, BID_PX - 12, 50))
    core.ticks(depth(BUY, BID_PX - 11, 50))
    assert len(core.children) == 1
    core.fill(child, 10)
    assert (len(core.children), core.order(PARENT)["filled_qty"]) == (1, 10)


def test_it_shows_no_more_than_it_is_to() -> None:
    core = rig()
    core.start("best-limit", BUY, qty=100, display_lots=30)
    assert core.child()["qty"] == 30
