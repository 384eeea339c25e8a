"""Sniper: nothing is shown, and what comes within the limit is taken."""

from __future__ import annotations

import pytest

from oms.records import OrderState, Reason, TimeInForce
from tests.oms.algos.builders import AlgoRig
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, SELL, depth, time_tick

pytestmark = pytest.mark.pure


def rig() -> AlgoRig:
    made = AlgoRig("sniper")
    made.open_market()
    return made


@pytest.mark.parametrize("side", [BUY, SELL])
def test_it_waits_for_its_price_and_takes(side: int) -> None:
    core = rig()
    touch, far = (ASK_PX, BID_PX) if side == BUY else (BID_PX, ASK_PX)
    limit = touch - 5 * side
    core.start("sniper", side, qty=20, px=limit)
    core.ticks(depth(-side, touch + side, 5))
    assert core.children == []
    core.ticks(depth(side, far, 0), depth(side, far - 9 * side, 50), depth(-side, limit, 8))
    child = core.child()
    assert (child["px"], child["time_in_force"], child["qty"]) == (limit, TimeInForce.IOC, 20)
    core.fill(child, 8, limit)
    core.expire(child)
    core.now += 20_000_000
    core.ticks(time_tick())
    second = core.child()
    assert second["qty"] == 12
    core.fill(second, 12, limit)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_what_finds_nothing_is_not_asked_again_at_once() -> None:
    core = rig()
    core.start("sniper", qty=20, px=ASK_PX)
    core.expire(core.child())
    core.ticks(time_tick())
    assert core.open_children == []
    core.now += 60_000_000
    core.ticks(time_tick())
    assert len(core.open_children) == 1


def test_it_waits_for_enough_on_display() -> None:
    core = rig()
    core.ticks(depth(SELL, ASK_PX, 3))
    core.start("sniper", qty=20, px=ASK_PX, least_lots=10)
    assert core.children == []
    core.ticks(depth(SELL, ASK_PX, 12))
    core.now += 20_000_000
    core.ticks(time_tick())
    assert core.child()["qty"] == 20


def test_without_a_limit_it_is_refused() -> None:
    core = rig()
    core.start("sniper", qty=20)
    assert core.end() == (OrderState.REJECTED, Reason.BAD_PARAMETER)
