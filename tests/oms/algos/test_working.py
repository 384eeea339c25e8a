"""What every algorithm's order has in common: children, their bounds, refusals, pause, amend, cancel, its end."""

from __future__ import annotations

import pytest

from oms.records import EventKind, OrderState, ParentState, Reason, ReportKind, TickKind
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SELL,
    amend,
    depth,
    kinds,
    message,
    only,
    reason_of,
    report,
    time_tick,
)

pytestmark = pytest.mark.pure


def rig(**options: object) -> AlgoRig:
    made = AlgoRig("best-limit", **options)
    made.open_market()
    return made


def raise_touch(core: AlgoRig) -> None:
    """Bring the best bid up by a tick."""
    core.ticks(message(TickKind.DEPTH, [(SELL, ASK_PX, 0), (SELL, ASK_PX + 5, 50), (BUY, BID_PX + 1, 50)]))


def test_a_parent_places_a_child_and_fills_by_it() -> None:
    core = rig()
    events = core.start("best-limit", qty=100)
    assert kinds(events)[:2] == [EventKind.ORDER_HELD, EventKind.PROGRESS]
    child = core.child()
    assert (child["px"], child["qty"], child["parent_id"]) == (BID_PX, 100, PARENT)
    core.accept(child)
    core.fill(child, 40)
    assert core.order(PARENT)["filled_qty"] == 40
    assert core.progress()["filled_qty"] == 40
    core.fill(child, 60)
    assert core.end() == (OrderState.FILLED, Reason.NONE)
    assert core.order(PARENT)["parent_row"] == 0
    assert core.s["parents_open"] == 0


def test_a_child_follows_the_touch_once_it_is_acknowledged() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    raise_touch(core)
    assert child["state"] == OrderState.PENDING_NEW, "nothing is asked while the child is in flight"
    core.accept(child)
    assert child["state"] == OrderState.PENDING_AMEND
    assert child["pending_px"] == BID_PX + 1
    core.confirm_amend(child)
    assert (child["px"], len(core.open_children)) == (BID_PX + 1, 1)


def test_a_refused_child_makes_the_next_one_wait() -> None:
    core = rig(limits={"max_open_orders": 1})
    core.start("best-limit")
    assert len(core.children) == 0
    refused = core.events[core.events["kind"] == EventKind.ORDER_REFUSED]
    assert [Reason(int(each)) for each in refused["reason"]] == [Reason.OPEN_ORDER_LIMIT]
    core.ticks(time_tick())
    assert len(core.events[core.events["kind"] == EventKind.ORDER_REFUSED]) == 1
    core.limit(0, max_open_orders=10)
    core.now += 200_000_000
    core.ticks(time_tick())
    assert len(core.open_children) == 1


def test_a_venue_that_ends_what_rests_is_not_asked_again_at_once() -> None:
    core = rig()
    core.start("best-limit")
    for pause_ms in (100, 200, 400):
        core.expire(core.child())
        core.now += (pause_ms - 20) * 1_000_000
        core.ticks(time_tick())
        assert core.open_children == []
        core.now += 40 * 1_000_000
        core.ticks(time_tick())
    assert len(core.children) == 4


def test_a_rejected_amend_is_not_asked_again_at_once() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    raise_touch(core)
    core.reports(report(ReportKind.AMEND_REJECTED, int(child["order_id"])))
    assert child["state"] == OrderState.LIVE
    core.now += 110_000_000
    core.ticks(time_tick())
    assert child["state"] == OrderState.PENDING_AMEND


def test_a_rejected_cancel_is_asked_again_after_a_pause() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    core.pause()
    core.reports(report(ReportKind.CANCEL_REJECTED, int(child["order_id"])))
    assert child["state"] == OrderState.LIVE
    core.now += 110_000_000
    core.ticks(time_tick())
    assert child["state"] == OrderState.PENDING_CANCEL


def test_a_child_too_small_to_change_stays_where_it_is() -> None:
    core = rig()
    core.start("best-limit", qty=10)
    child = core.child()
    core.accept(child)
    core.fill(child, 9)
    raise_touch(core)
    assert (child["state"], child["px"]) == (OrderState.LIVE, BID_PX)
    core.fill(child, 1)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_a_cancel_ends_the_parent_once_its_child_is_gone() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    events = core.cancel()
    assert only(events, EventKind.PROGRESS)["liquidity"] == ParentState.STOPPING
    assert child["state"] == OrderState.PENDING_CANCEL
    core.fill(child, 10)
    assert core.order(PARENT)["state"] == OrderState.HELD
    core.confirm_cancel(child)
    assert core.end() == (OrderState.CANCELLED, Reason.REQUESTED)
    assert core.order(PARENT)["filled_qty"] == 10


def test_pause_takes_the_child_away_and_resume_brings_it_back() -> None:
    core = rig()
    core.start("best-limit")
    first = core.child()
    core.accept(first)
    core.pause()
    assert first["state"] == OrderState.PENDING_CANCEL
    core.confirm_cancel(first)
    core.ticks(depth(BUY, BID_PX - 1, 50))
    assert core.open_children == []
    core.resume()
    assert core.child()["qty"] == 100


def test_an_amend_changes_target_and_limit() -> None:
    core = rig()
    core.start("best-limit", px=BID_PX + 5)
    child = core.child()
    core.accept(child)
    core.commands(amend(PARENT, px=BID_PX - 3, qty=60))
    assert (child["pending_px"], child["pending_qty"]) == (BID_PX - 3, 60)
    core.confirm_amend(child)
    core.fill(child, 60)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_an_amend_with_terms_changes_the_parameters() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    core.amend("best-limit", offset_ticks=2)
    assert child["pending_px"] == BID_PX - 2


def test_the_terms_of_a_refused_amend_never_take_effect() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    core.fill(child, 40)
    assert reason_of(core.amend("best-limit", qty=30, offset_ticks=2)) == Reason.QTY_BELOW_MIN
    core.commands(amend(PARENT, qty=90))
    assert (child["pending_px"], child["pending_qty"]) == (BID_PX, 90)
    assert core.parent_row()["parameters"][0] == 0


def test_progress_tells_when_the_parent_began() -> None:
    core = rig()
    core.start("best-limit")
    began = core.now
    core.now += 5
    core.pause()
    assert core.progress()["position_qty"] == core.parent_row()["start_ts"] == began


def test_a_target_cannot_be_amended_below_what_is_filled() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    core.fill(child, 40)
    assert reason_of(core.commands(amend(PARENT, qty=30))) == Reason.QTY_BELOW_MIN
    core.commands(amend(PARENT, qty=40))
    assert child["state"] == OrderState.PENDING_CANCEL
    core.confirm_cancel(child)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_a_rest_too_small_for_any_order_ends_the_parent() -> None:
    core = rig()
    core.start("best-limit", qty=10)
    child = core.child()
    core.accept(child)
    core.fill(child, 9)
    core.confirm_cancel(child)
    assert core.end() == (OrderState.CANCELLED, Reason.BELOW_MINIMUM)


def test_an_unknown_algorithm_is_refused() -> None:
    core = AlgoRig()
    core.open_market()
    assert reason_of(core.start("best-limit")) == Reason.BAD_ALGORITHM


def test_a_sell_is_the_mirror_image() -> None:
    core = rig()
    core.start("best-limit", SELL)
    assert (core.child()["px"], core.child()["side"]) == (ASK_PX, SELL)
