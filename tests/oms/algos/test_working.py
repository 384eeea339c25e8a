"""What every algorithm's order has in common: children, their bounds, refusals, pause, amend, cancel, its end."""

from __future__ import annotations

import pytest

from oms.compiled import JIT
from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderFlag,
    OrderState,
    ParentState,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
    TradingState,
    Trigger,
    TriggerSource,
)
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SELL,
    amend,
    client_id,
    command,
    depth,
    fill,
    kinds,
    message,
    new_order,
    only,
    reason_of,
    report,
    snapshot,
    tick,
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


def test_a_child_that_stays_ends_the_row_of_refusals() -> None:
    core = rig()
    core.start("best-limit")
    for _ in range(5):
        core.expire(core.child())
        core.now += 2_000_000_000
        core.ticks(time_tick())
    assert len(core.children) == 6, "each stood for longer than the last pause"
    core.accept(core.child())
    core.expire(core.child())
    core.now += 110_000_000
    core.ticks(time_tick())
    assert len(core.children) == 7, "the first pause again"


def test_a_venue_that_accepts_and_takes_off_at_once_waits_longer_each_time() -> None:
    core = rig()
    core.start("best-limit")
    for pause_ms in (100, 200, 400, 800, 1_600):
        core.accept(core.child())
        core.expire(core.child())
        core.now += (pause_ms - 20) * 1_000_000
        core.ticks(time_tick())
        assert core.open_children == []
        core.now += 40 * 1_000_000
        core.ticks(time_tick())
    assert len(core.children) == 6


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


def test_where_the_exchange_changes_no_orders_a_child_is_cancelled_and_another_takes_its_place() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    raise_touch(core)
    core.reports(report(ReportKind.AMEND_REJECTED, int(child["order_id"]), reason=Reason.NO_AMEND))
    assert child["state"] == OrderState.PENDING_CANCEL
    core.reports(report(ReportKind.CANCELLED, int(child["order_id"])))
    (other,) = core.open_children
    assert (other["state"], other["px"] - child["px"]) == (OrderState.PENDING_NEW, 1)


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


# What went wrong once.


def test_a_time_that_was_asked_for_with_a_tick_is_kept() -> None:
    core = AlgoRig("punctual")
    core.open_market()
    core.start("punctual")
    raise_touch(core)
    asked = core.now + 20_000_000
    core.ticks(time_tick(asked - 1), time_tick(asked))
    assert core.parent_row()["memory"][0] == asked


def test_a_stop_that_clears_its_way_is_not_held_up_by_a_child_that_comes_back() -> None:
    core = rig()
    core.commands(new_order(client_id(50), BUY, ASK_PX, 50))
    core.reports(fill(client_id(50), 50, ASK_PX, trade_id=900))
    core.start("best-limit", BUY)
    core.accept(core.child())
    words = {"trigger": Trigger.STOP, "trigger_px": BID_PX - 5, "trigger_source": TriggerSource.BID_ASK}
    stop = client_id(51)
    core.commands(new_order(stop, SELL, BID_PX - 100, 50, **words))
    core.ticks(
        message(TickKind.DEPTH, [(BUY, BID_PX, 0), (SELL, ASK_PX, 0), (BUY, BID_PX - 6, 50), (SELL, BID_PX - 5, 50)])
    )
    for _ in range(5):
        for child in core.open_children:
            if child["state"] == OrderState.PENDING_CANCEL:
                core.confirm_cancel(child)
        core.ticks(depth(SELL, BID_PX + 50, 5))
    assert core.state(stop) != OrderState.HELD
    assert len(core.children) == 1


def test_a_target_amended_down_takes_off_what_is_too_much() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    core.fill(child, 40)
    core.commands(amend(PARENT, qty=41))
    assert child["state"] == OrderState.PENDING_CANCEL, "what is left is less than any order"


def test_a_target_amended_down_waits_for_no_pause() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    raise_touch(core)
    core.reports(report(ReportKind.AMEND_REJECTED, int(child["order_id"])))
    core.commands(amend(PARENT, qty=50))
    assert child["pending_qty"] == 50


def test_while_trading_is_halted_what_is_beyond_the_target_is_cancelled() -> None:
    core = rig()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    core.commands(command(CommandKind.SET_TRADING_STATE, 0, instrument=-1, value=TradingState.HALTED))
    core.commands(amend(PARENT, qty=50))
    assert child["state"] == OrderState.PENDING_CANCEL


def test_a_parent_that_is_ending_takes_no_amend() -> None:
    core = rig()
    core.start("best-limit")
    core.accept(core.child())
    core.cancel()
    assert reason_of(core.commands(amend(PARENT, qty=50))) == Reason.REQUEST_IN_FLIGHT


def test_a_child_that_takes_stays_within_the_collar() -> None:
    core = AlgoRig("stop", limits={"collar_rate": 5_000_000})
    core.ticks(snapshot(0, {BID_PX: 10, BID_PX * 9 // 10: 500}, {ASK_PX: 10}))
    core.start("stop", SELL, qty=100, trigger_ticks=BID_PX + 1)
    child = core.child()
    assert BID_PX * 0.95 <= child["px"] < BID_PX * 0.951
    assert child["qty"] == 100


def test_a_reduce_only_parent_asks_for_what_there_is_to_close() -> None:
    core = rig()
    core.commands(new_order(client_id(50), BUY, ASK_PX, 50))
    core.reports(fill(client_id(50), 50, ASK_PX, trade_id=900))
    core.start("best-limit", SELL, fields={"flags": OrderFlag.REDUCE_ONLY})
    assert core.child()["qty"] == 50


def test_a_position_limit_bounds_a_child() -> None:
    core = rig(limits={"max_position": 50})
    core.start("best-limit")
    assert core.child()["qty"] == 50


def test_a_heartbeat_tells_a_parent_only_now_and_then() -> None:
    core = rig()
    core.start("best-limit")
    core.accept(core.child())
    told = [len(core.ticks(tick(TickKind.HEARTBEAT, instrument=-1))) for _ in range(3)]
    core.now += 11_000_000_000
    core.ticks(time_tick())
    later = core.ticks(tick(TickKind.HEARTBEAT, instrument=-1))
    assert EventKind.PROGRESS in kinds(later)
    assert max(told) <= len(later)


def test_no_order_hangs_on_one_that_is_worked() -> None:
    core = rig()
    core.start("best-limit")
    hanging = new_order(client_id(60), SELL, ASK_PX, 10, parent_id=PARENT, contingency=Contingency.OTO)
    assert reason_of(core.commands(hanging)) == Reason.BAD_PARENT


@pytest.mark.skipif(not JIT, reason="a thousand parents")
def test_the_kill_switch_ends_more_parents_than_one_review_cancels() -> None:
    core = AlgoRig("stop")
    core.open_market()
    for number in range(1_100):
        core.start(
            "stop",
            order_id=client_id(100 + number),
            trigger_ticks=ASK_PX + 900,
            fields={"instrument": number % 2},
        )
    assert core.s["parents_open"] == 1_100
    core.commands(command(CommandKind.KILL, 0, instrument=-1, account=0))
    for _ in range(5):
        core.ticks(time_tick())
    assert core.s["parents_open"] == 0


def test_an_expired_parent_ends_once_its_child_is_gone() -> None:
    core = rig()
    until = core.now + 500_000_000
    core.start("best-limit", fields={"time_in_force": TimeInForce.GTD, "expire_ts": until})
    child = core.child()
    core.accept(child)
    core.now += 600_000_000
    core.ticks(time_tick())
    assert child["state"] == OrderState.PENDING_CANCEL
    core.confirm_cancel(child)
    assert core.end() == (OrderState.EXPIRED, Reason.EXPIRED_GTD)
