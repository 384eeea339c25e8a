"""Iceberg: parts one after another, never two at a time."""

from __future__ import annotations

import pytest

from oms.records import OrderState, Reason
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.core.builders import BID_PX, BUY, SELL, amend, depth

pytestmark = pytest.mark.pure


def rig() -> AlgoRig:
    made = AlgoRig("iceberg")
    made.open_market()
    return made


def test_the_next_part_follows_when_one_is_filled() -> None:
    core = rig()
    core.start("iceberg", qty=25, px=BID_PX, display_lots=10)
    shown = []
    while core.order(PARENT)["parent_row"]:
        child = core.child()
        core.accept(child)
        shown.append(int(child["qty"]))
        core.fill(child, int(child["qty"]))
    assert shown == [10, 10, 5]
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_a_part_is_not_refilled_before_it_is_done() -> None:
    core = rig()
    core.start("iceberg", qty=100, px=BID_PX, display_lots=10)
    child = core.child()
    core.accept(child)
    core.fill(child, 6)
    assert (child["state"], child["qty"], len(core.open_children)) == (OrderState.LIVE, 10, 1)


def test_an_unacknowledged_cancel_leaves_no_room_for_a_second_part() -> None:
    """A peer forgot such a cancel, and had 20 live on a target of 10."""
    core = rig()
    core.start("iceberg", qty=10, px=BID_PX, display_lots=10)
    child = core.child()
    core.accept(child)
    core.pause()
    core.resume()
    core.ticks(depth(BUY, BID_PX - 1, 5), depth(SELL, BID_PX + 9, 5))
    assert (len(core.children), child["state"]) == (1, OrderState.PENDING_CANCEL)
    core.confirm_cancel(child)
    assert core.child()["qty"] == 10


def test_parts_vary_within_the_variance() -> None:
    core = rig()
    core.start("iceberg", qty=2_000, px=BID_PX, display_lots=100, variance=0.5)
    shown = []
    for _ in range(12):
        child = core.child()
        core.accept(child)
        shown.append(int(child["qty"]))
        core.fill(child, int(child["qty"]))
    assert all(50 <= each <= 150 for each in shown)
    assert len(set(shown)) > 3


def test_a_new_limit_moves_the_part_in_the_market() -> None:
    core = rig()
    core.start("iceberg", qty=30, px=BID_PX, display_lots=10)
    child = core.child()
    core.accept(child)
    core.commands(amend(PARENT, px=BID_PX - 4))
    assert child["pending_px"] == BID_PX - 4


def test_without_a_part_to_show_it_is_refused() -> None:
    core = rig()
    core.start("iceberg", qty=30)
    assert core.end() == (OrderState.REJECTED, Reason.BAD_PARAMETER)


def test_a_new_limit_is_asked_for_until_it_is_there() -> None:
    core = rig()
    core.start("iceberg", qty=30, px=BID_PX - 10, display_lots=10)
    child = core.child()
    core.commands(amend(PARENT, px=BID_PX - 2))
    core.accept(child)
    assert child["pending_px"] == BID_PX - 2
