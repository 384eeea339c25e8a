"""Orders that hang on one another: brackets, OCO groups, cancel-replace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

from oms.compiled import JIT
from oms.core.state import MAX_CHILDREN
from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
    TradingState,
    Trigger,
    TriggerSource,
)
from tests.oms.core.builders import (
    BID_PX,
    BUY,
    SECOND,
    SELL,
    Records,
    Rig,
    amend,
    cancel,
    client_id,
    command,
    fill,
    kinds,
    new_order,
    only,
    reason_of,
    report,
    snapshot,
    tick,
    time_tick,
    trade,
)

ENTRY, TARGET, STOP = client_id(1), client_id(2), client_id(3)
S = OrderState
pytestmark = pytest.mark.pure
SIDES = pytest.mark.parametrize("side", [BUY, SELL])


def market() -> Rig:
    rig = Rig()
    rig.open_market()
    rig.ticks(trade(BUY, BID_PX, 1))
    return rig


def child(order_id: int, side: int, px: int, qty: int = 10, *, parent: int = ENTRY, **fields: Any) -> Records:
    return new_order(order_id, side, px, qty, **{"parent_id": parent, "contingency": Contingency.OTO, **fields})


def stop_child(order_id: int, side: int, trigger_px: int, qty: int = 10, px: int = 0, **fields: Any) -> Records:
    stop = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": trigger_px}
    return child(order_id, side, px, qty, **{"order_type": OrderType.MARKET, **stop, **fields})


def accept(rig: Rig, *order_ids: int) -> None:
    rig.reports(*(report(ReportKind.ACCEPTED, order_id) for order_id in order_ids))


def bracket(rig: Rig, side: int = BUY, *, stop_limit: bool = False, **exits: Any) -> None:
    """Entry, target 50 ticks away and stop 50 ticks behind, which sends a market order or a limit order."""
    sends = {"order_type": OrderType.LIMIT, "px": BID_PX - 60 * side} if stop_limit else {}
    rig.commands(
        new_order(ENTRY, side, BID_PX, 10),
        child(TARGET, -side, BID_PX + 50 * side, **exits),
        stop_child(STOP, -side, BID_PX - 50 * side, **sends, **exits),
    )
    accept(rig, ENTRY)


def states(rig: Rig) -> tuple[OrderState, ...]:
    return tuple(rig.state(order_id) for order_id in (ENTRY, TARGET, STOP))


trade_ids = iter(range(1, 10**9))


def filled(rig: Rig, order_id: int, qty: int, side: int, px: int = BID_PX) -> Records:
    return rig.reports(fill(order_id, qty, px, side=side, trade_id=next(trade_ids)))


@SIDES
def test_children_wait_for_the_entry(side: int) -> None:
    rig = market()
    bracket(rig, side)
    assert states(rig) == (S.LIVE, S.HELD, S.HELD)
    rig.ticks(trade(BUY, BID_PX - 60 * side, 1))  # the stop's price without a position: nothing to close
    assert states(rig) == (S.LIVE, S.HELD, S.HELD)


@SIDES
def test_a_filled_entry_sends_the_target_and_arms_the_stop(side: int) -> None:
    rig = market()
    bracket(rig, side)
    filled(rig, ENTRY, 10, side)
    assert states(rig) == (S.FILLED, S.PENDING_NEW, S.HELD)
    accept(rig, TARGET)
    rig.ticks(trade(BUY, BID_PX - 50 * side, 1))
    assert states(rig) == (S.FILLED, S.PENDING_CANCEL, S.PENDING_NEW)
    assert rig.order(STOP)["qty"] == 10


@SIDES
def test_reduce_only_exits_do_not_stand_in_each_others_way(side: int) -> None:
    rig = market()
    bracket(rig, side, flags=OrderFlag.REDUCE_ONLY)
    filled(rig, ENTRY, 10, side)
    accept(rig, TARGET)
    rig.ticks(trade(BUY, BID_PX - 50 * side, 1))
    assert states(rig) == (S.FILLED, S.PENDING_CANCEL, S.PENDING_NEW)


@SIDES
def test_a_partly_filled_entry_is_protected_for_what_it_filled(side: int) -> None:
    rig = market()
    bracket(rig, side)
    filled(rig, ENTRY, 4, side)
    assert (rig.order(TARGET)["qty"], rig.order(STOP)["qty"]) == (4, 4)
    accept(rig, TARGET)
    filled(rig, ENTRY, 3, side)
    assert (rig.state(TARGET), rig.order(TARGET)["pending_qty"]) == (S.PENDING_AMEND, 7)
    assert rig.order(STOP)["qty"] == 7


@SIDES
def test_a_filled_target_ends_the_stop_and_a_part_shrinks_it(side: int) -> None:
    rig = market()
    bracket(rig, side)
    filled(rig, ENTRY, 10, side)
    accept(rig, TARGET)
    filled(rig, TARGET, 6, -side)
    assert (rig.state(STOP), rig.order(STOP)["qty"]) == (S.HELD, 4)
    events = filled(rig, TARGET, 4, -side)
    ended = only(events, EventKind.HELD_ENDED)
    assert (ended["order_id"], ended["reason"]) == (STOP, Reason.SIBLING_ENDED)
    assert states(rig) == (S.FILLED, S.FILLED, S.CANCELLED)
    assert rig.s["open_orders"] == 0


def test_an_entry_that_ends_unfilled_ends_its_children() -> None:
    rig = market()
    bracket(rig)
    rig.reports(report(ReportKind.CANCELLED, ENTRY))
    assert states(rig) == (S.CANCELLED, S.CANCELLED, S.CANCELLED)
    assert rig.order(STOP)["reason"] == Reason.PARENT_ENDED


def test_an_entry_that_ends_partly_filled_keeps_its_exits() -> None:
    rig = market()
    bracket(rig)
    filled(rig, ENTRY, 4, BUY)
    rig.reports(report(ReportKind.CANCELLED, ENTRY))
    assert states(rig) == (S.CANCELLED, S.PENDING_NEW, S.HELD)
    late = filled(rig, ENTRY, 2, BUY)
    assert only(late, EventKind.ORDER_FILLED)["filled_qty"] == 6
    assert rig.order(STOP)["qty"] == 6


def test_a_rejected_entry_ends_its_children() -> None:
    rig = market()
    rig.commands(new_order(ENTRY), child(TARGET, SELL, BID_PX + 50))
    rig.reports(report(ReportKind.REJECTED, ENTRY))
    assert rig.state(TARGET) == S.CANCELLED


def test_children_of_an_entry_that_has_filled_already_leave_at_once() -> None:
    rig = market()
    rig.commands(new_order(ENTRY))
    accept(rig, ENTRY)
    filled(rig, ENTRY, 10, BUY)
    rig.commands(child(TARGET, SELL, BID_PX + 50), stop_child(STOP, SELL, BID_PX - 50))
    assert states(rig) == (S.FILLED, S.PENDING_NEW, S.HELD)


def test_two_targets_share_one_stop() -> None:
    rig = market()
    second = client_id(4)
    rig.commands(
        new_order(ENTRY, BUY, BID_PX, 10),
        child(TARGET, SELL, BID_PX + 50, 5),
        child(second, SELL, BID_PX + 60, 5),
        stop_child(STOP, SELL, BID_PX - 50),
    )
    accept(rig, ENTRY)
    filled(rig, ENTRY, 10, BUY)
    accept(rig, TARGET, second)
    filled(rig, TARGET, 5, SELL)
    assert (rig.state(second), rig.order(second)["qty"], rig.order(STOP)["qty"]) == (S.LIVE, 5, 5)


def test_the_stop_takes_over_what_the_cancelled_target_left() -> None:
    rig = market()
    bracket(rig)
    filled(rig, ENTRY, 10, BUY)
    accept(rig, TARGET)
    filled(rig, TARGET, 3, SELL)
    rig.ticks(trade(SELL, BID_PX - 50, 1))
    assert rig.order(STOP)["qty"] == 7
    rig.reports(report(ReportKind.CANCELLED, TARGET))
    accept(rig, STOP)
    filled(rig, STOP, 7, SELL, BID_PX - 50)
    assert rig.position()["qty"] == 0
    assert rig.s["open_orders"] == 0


@SIDES
@pytest.mark.parametrize("late", [4, 10])
def test_a_fired_stop_limit_shrinks_by_what_the_target_fills_before_its_cancel(side: int, late: int) -> None:
    rig = market()
    bracket(rig, side, stop_limit=True)
    filled(rig, ENTRY, 10, side)
    accept(rig, TARGET)
    rig.ticks(trade(BUY, BID_PX - 50 * side, 1))
    accept(rig, STOP)
    assert states(rig) == (S.FILLED, S.PENDING_CANCEL, S.LIVE)
    filled(rig, TARGET, late, -side)
    if late == 10:
        assert rig.state(STOP) == S.PENDING_CANCEL
    else:
        assert (rig.state(STOP), rig.order(STOP)["pending_qty"]) == (S.PENDING_AMEND, 6)


@SIDES
@pytest.mark.parametrize(("asked", "sent"), [(30, 8), (5, 5), (1, None), (-(2**63), None)])
def test_a_client_sizes_a_target_at_the_exchange_within_what_remains(side: int, asked: int, sent: int | None) -> None:
    rig = market()
    bracket(rig, side)
    filled(rig, ENTRY, 8, side)
    accept(rig, TARGET)
    events = rig.commands(amend(TARGET, qty=asked))
    if sent is None:
        assert (reason_of(events), rig.order(TARGET)["full_qty"]) == (Reason.QTY_BELOW_MIN, 10)
        return
    rig.reports(
        report(ReportKind.AMENDED, TARGET, px=int(rig.order(TARGET)["px"]), qty=rig.order(TARGET)["pending_qty"])
    )
    assert (rig.state(TARGET), rig.order(TARGET)["qty"]) == (S.LIVE, sent)
    filled(rig, ENTRY, 2, side)
    expected = (S.PENDING_AMEND, 10) if asked == 30 else (S.LIVE, 0)
    assert (rig.state(TARGET), rig.order(TARGET)["pending_qty"]) == expected


def test_a_smaller_target_that_the_exchange_refuses_is_not_asked_for_again() -> None:
    rig = market()
    bracket(rig)
    filled(rig, ENTRY, 10, BUY)
    accept(rig, TARGET)
    rig.commands(amend(TARGET, qty=4))
    assert rig.state(TARGET) == S.PENDING_AMEND
    rig.reports(report(ReportKind.AMEND_REJECTED, TARGET))
    assert (rig.state(TARGET), rig.order(TARGET)["qty"]) == (S.LIVE, 10)


def test_where_the_exchange_changes_no_orders_a_target_for_too_little_stays_and_one_for_too_much_is_cancelled() -> None:
    rig = market()
    bracket(rig)
    filled(rig, ENTRY, 4, BUY)
    accept(rig, TARGET)
    filled(rig, ENTRY, 5, BUY)
    assert rig.order(TARGET)["pending_qty"] == 9
    sent = len(rig.sent)
    rig.reports(report(ReportKind.AMEND_REJECTED, TARGET, reason=Reason.NO_AMEND))
    assert (rig.state(TARGET), rig.order(TARGET)["qty"], len(rig.sent)) == (S.LIVE, 4, sent)
    rig.order(ENTRY)["children_filled"] = 7  # as the other exit may have closed
    filled(rig, ENTRY, 1, BUY)
    assert rig.state(TARGET) == S.PENDING_CANCEL


def test_a_new_price_leaves_the_quantity_of_a_target_to_its_bracket() -> None:
    rig = market()
    bracket(rig)
    filled(rig, ENTRY, 4, BUY)
    accept(rig, TARGET)
    rig.commands(amend(TARGET, px=BID_PX + 55))
    rig.reports(report(ReportKind.AMENDED, TARGET, px=BID_PX + 55, qty=4))
    filled(rig, ENTRY, 6, BUY)
    assert rig.order(TARGET)["pending_qty"] == 10


HINDRANCES = ["reduce-only", "stale", "reducing", "halted"]


def hinder(rig: Rig, hindrance: str) -> None:
    if hindrance == "stale":
        rig.ticks(tick(TickKind.STALE))
    elif hindrance != "reduce-only":
        state = TradingState.HALTED if hindrance == "halted" else TradingState.REDUCING
        rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=state))


@SIDES
@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_a_target_shrinks_with_the_other_whatever_hinders_trading(side: int, hindrance: str) -> None:
    rig = market()
    flags = OrderFlag.REDUCE_ONLY if hindrance == "reduce-only" else 0
    targets = (child(each, -side, BID_PX + 60 * side, flags=flags) for each in (TARGET, STOP))
    rig.commands(new_order(ENTRY, side, BID_PX, 10), *targets)
    accept(rig, ENTRY)
    filled(rig, ENTRY, 10, side)
    accept(rig, TARGET, STOP)
    hinder(rig, hindrance)
    filled(rig, TARGET, 4, -side)
    assert (rig.state(STOP), rig.order(STOP)["pending_qty"]) == (S.PENDING_AMEND, 6)


@SIDES
@pytest.mark.parametrize("hindrance", ["stale", "halted", "rate"])
def test_a_target_grows_once_what_hinders_it_has_gone_by(side: int, hindrance: str) -> None:
    rig = market()
    bracket(rig, side)
    filled(rig, ENTRY, 4, side)
    accept(rig, TARGET)
    if hindrance == "rate":
        rig.limit(0, order_interval_ns=SECOND, rate_ts=rig.now + 2 * SECOND)
    else:
        hinder(rig, hindrance)
    events = filled(rig, ENTRY, 6, side)
    assert EventKind.ORDER_REFUSED not in kinds(events)
    rig.ticks(time_tick(rig.now + 2 * SECOND))
    assert (rig.state(TARGET), rig.order(TARGET)["qty"]) == (S.LIVE, 4)
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.ACTIVE))
    rig.open_market(0)
    rig.ticks(time_tick(rig.now + 2 * SECOND))
    assert (rig.state(TARGET), rig.order(TARGET)["pending_qty"]) == (S.PENDING_AMEND, 10)
    assert rig.s["touched_count"] == 0


# OCO


def oco(order_id: int, side: int, px: int, leader: int, **fields: Any) -> Records:
    return new_order(order_id, side, px, 10, parent_id=leader, contingency=Contingency.OCO, **fields)


@SIDES
@pytest.mark.parametrize("happens", ["fill", "part", "cancel", "reject"])
def test_one_cancels_the_other(side: int, happens: str) -> None:
    rig = market()
    rig.commands(oco(ENTRY, side, BID_PX - 5, ENTRY), oco(TARGET, side, BID_PX - 9, ENTRY))
    accept(rig, TARGET)
    if happens == "reject":
        rig.reports(report(ReportKind.REJECTED, ENTRY))
    else:
        accept(rig, ENTRY)
        if happens == "cancel":
            rig.reports(report(ReportKind.CANCELLED, ENTRY))
        else:
            filled(rig, ENTRY, 10 if happens == "fill" else 4, side)
    assert rig.state(TARGET) == S.PENDING_CANCEL
    assert rig.order(TARGET)["cancel_reason"] == Reason.SIBLING_ENDED
    if happens == "part":
        assert rig.state(ENTRY) == S.LIVE


@SIDES
def test_the_first_of_a_group_is_cancelled_by_a_later_one(side: int) -> None:
    rig = market()
    rig.commands(oco(ENTRY, side, BID_PX - 5, 0), oco(TARGET, side, BID_PX - 9, ENTRY))
    accept(rig, ENTRY, TARGET)
    filled(rig, TARGET, 1, side)
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.PENDING_CANCEL, S.LIVE)


@SIDES
def test_a_stop_that_fires_cancels_the_limit_of_its_group(side: int) -> None:
    rig = market()
    trigger = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX + 30 * side}
    rig.commands(
        oco(ENTRY, side, BID_PX - 5, ENTRY), oco(TARGET, side, 0, ENTRY, order_type=OrderType.MARKET, **trigger)
    )
    accept(rig, ENTRY)
    rig.ticks(trade(BUY, BID_PX + 30 * side, 1))
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.PENDING_CANCEL, S.PENDING_NEW)


@SIDES
def test_a_stop_that_has_fired_outlives_a_late_fill_of_its_sibling(side: int) -> None:
    rig = market()
    trigger = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX + 30 * side}
    rig.commands(oco(ENTRY, side, BID_PX - 5, ENTRY), oco(TARGET, side, BID_PX + 40 * side, ENTRY, **trigger))
    accept(rig, ENTRY)
    rig.ticks(trade(BUY, BID_PX + 30 * side, 1))
    accept(rig, TARGET)
    filled(rig, ENTRY, 2, side)
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.PENDING_CANCEL, S.LIVE)
    rig.reports(report(ReportKind.CANCELLED, ENTRY))
    assert rig.state(TARGET) == S.LIVE


def test_a_member_whose_cancel_is_under_way_does_not_go_on_instead_of_another() -> None:
    rig = market()
    trigger = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX + 30}
    rig.commands(oco(ENTRY, BUY, BID_PX - 5, ENTRY), oco(TARGET, BUY, BID_PX + 40, ENTRY, **trigger))
    accept(rig, ENTRY)
    rig.ticks(trade(BUY, BID_PX + 30, 1))
    accept(rig, TARGET)
    rig.commands(cancel(TARGET))
    rig.reports(report(ReportKind.CANCEL_REJECTED, ENTRY))
    filled(rig, ENTRY, 2, BUY)
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.PENDING_CANCEL, S.PENDING_CANCEL)
    rig.reports(report(ReportKind.CANCEL_REJECTED, ENTRY))
    assert rig.state(ENTRY) == S.LIVE


def test_reduce_only_pair_is_counted_once() -> None:
    rig = market()
    rig.commands(new_order(client_id(9), BUY, BID_PX, 10))
    accept(rig, client_id(9))
    filled(rig, client_id(9), 10, BUY)
    flags = OrderFlag.REDUCE_ONLY
    events = rig.commands(
        oco(ENTRY, SELL, BID_PX + 20, ENTRY, flags=flags), oco(TARGET, SELL, BID_PX + 40, ENTRY, flags=flags)
    )
    assert reason_of(events) == Reason.NONE
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.PENDING_NEW, S.PENDING_NEW)


def test_a_broken_group_takes_no_more_orders() -> None:
    rig = market()
    rig.commands(oco(ENTRY, BUY, BID_PX - 5, ENTRY), oco(TARGET, BUY, BID_PX - 9, ENTRY))
    accept(rig, ENTRY, TARGET)
    filled(rig, ENTRY, 1, BUY)
    assert reason_of(rig.commands(oco(STOP, BUY, BID_PX - 9, ENTRY))) == Reason.BAD_PARENT


# Cancel-replace


def replacement(order_id: int, px: int, qty: int, parent: int, side: int = BUY) -> Records:
    return new_order(order_id, side, px, qty, parent_id=parent, contingency=Contingency.REPLACE)


def test_a_replacement_leaves_once_the_cancel_is_certain() -> None:
    rig = market()
    rig.commands(new_order(ENTRY, BUY, BID_PX, 10))
    accept(rig, ENTRY)
    events = rig.commands(replacement(TARGET, BID_PX - 7, 12, ENTRY))
    assert kinds(events) == [EventKind.ORDER_HELD, EventKind.CANCEL_SUBMITTED]
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.PENDING_CANCEL, S.HELD)
    filled(rig, ENTRY, 3, BUY)
    rig.reports(report(ReportKind.CANCELLED, ENTRY))
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.CANCELLED, S.PENDING_NEW)
    assert (rig.sent[-1]["qty"], rig.sent[-1]["px"]) == (9, BID_PX - 7)
    assert rig.position()["open_buy_qty"] == 9


@pytest.mark.parametrize("waits_for", ["book", "price"])
@pytest.mark.parametrize(("resized", "late", "left"), [(0, 4, 3), (6, 4, 2), (9, 2, 7), (0, 7, 0)])
def test_a_replacement_that_waits_follows_late_fills_of_its_parent(
    waits_for: str, resized: int, late: int, left: int
) -> None:
    rig = market()
    rig.commands(new_order(ENTRY, BUY, BID_PX, 12))
    accept(rig, ENTRY)
    trigger = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX + 30}
    terms: dict[str, int] = trigger if waits_for == "price" else {}
    rig.commands(new_order(TARGET, BUY, BID_PX - 7, 10, parent_id=ENTRY, contingency=Contingency.REPLACE, **terms))
    rig.ticks(tick(TickKind.STALE))
    filled(rig, ENTRY, 3, BUY)
    rig.reports(report(ReportKind.CANCELLED, ENTRY))
    assert (rig.state(TARGET), rig.order(TARGET)["qty"]) == (S.HELD, 7)
    if resized:
        rig.commands(amend(TARGET, qty=resized))
    filled(rig, ENTRY, late, BUY)
    if left == 0:
        assert rig.state(TARGET) == S.CANCELLED
        return
    rig.open_market(0)
    rig.ticks(trade(BUY, BID_PX + 30, 1))
    assert (rig.state(TARGET), rig.order(TARGET)["qty"]) == (S.PENDING_NEW, left)


def test_the_replacement_of_an_order_that_fills_does_not_leave() -> None:
    rig = market()
    rig.commands(new_order(ENTRY, BUY, BID_PX, 10))
    accept(rig, ENTRY)
    rig.commands(replacement(TARGET, BID_PX - 7, 12, ENTRY))
    filled(rig, ENTRY, 10, BUY)
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.FILLED, S.CANCELLED)
    assert rig.s["open_orders"] == 0


def test_the_replacement_of_an_order_that_cannot_be_cancelled_is_refused() -> None:
    rig = market()
    rig.commands(new_order(ENTRY, BUY, BID_PX, 10))
    accept(rig, ENTRY)
    rig.commands(replacement(TARGET, BID_PX - 7, 12, ENTRY))
    rig.reports(report(ReportKind.CANCEL_REJECTED, ENTRY))
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.LIVE, S.REJECTED)


def test_a_held_order_is_replaced_at_once() -> None:
    rig = market()
    stop = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX + 50}
    rig.commands(new_order(ENTRY, BUY, BID_PX + 60, 10, **stop))
    rig.commands(replacement(TARGET, BID_PX - 7, 12, ENTRY))
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.CANCELLED, S.PENDING_NEW)


@pytest.mark.parametrize("member", [ENTRY, TARGET, STOP])
def test_an_order_of_a_bracket_is_not_replaced(member: int) -> None:
    rig = market()
    bracket(rig)
    side = int(rig.order(member)["side"])
    refused = rig.commands(replacement(client_id(4), BID_PX - 7 * side, 12, member, side))
    assert reason_of(refused) == Reason.BAD_PARENT
    assert states(rig) == (S.LIVE, S.HELD, S.HELD)


@pytest.mark.parametrize(("member", "other"), [(ENTRY, TARGET), (TARGET, ENTRY)])
def test_an_order_of_an_oco_group_is_not_replaced_while_another_is_open(member: int, other: int) -> None:
    rig = market()
    rig.commands(oco(ENTRY, BUY, BID_PX - 5, ENTRY), oco(TARGET, BUY, BID_PX - 9, ENTRY))
    accept(rig, ENTRY, TARGET)
    refused = rig.commands(replacement(STOP, BID_PX - 7, 12, member))
    assert reason_of(refused) == Reason.BAD_PARENT
    assert (rig.state(member), rig.state(other)) == (S.LIVE, S.LIVE)


def test_what_is_left_of_an_oco_group_is_replaced() -> None:
    rig = market()
    rig.commands(oco(ENTRY, BUY, BID_PX - 5, ENTRY), oco(TARGET, BUY, BID_PX - 9, ENTRY))
    accept(rig, ENTRY, TARGET)
    filled(rig, TARGET, 1, BUY)
    rig.reports(report(ReportKind.CANCELLED, ENTRY))
    rig.commands(replacement(STOP, BID_PX - 7, 12, TARGET))
    rig.reports(report(ReportKind.CANCELLED, TARGET))
    assert states(rig) == (S.CANCELLED, S.CANCELLED, S.PENDING_NEW)
    assert rig.sent[-1]["qty"] == 11


# Refusals


BAD = [
    {"parent_id": client_id(77)},
    {"parent_id": 0},
    {"contingency": 4},
    {"contingency": 255},
    {"contingency": Contingency.REPLACE, "side": SELL},
    {"instrument": 1},
]


@pytest.mark.parametrize("fields", BAD)
def test_a_parent_must_be_known_and_fit(fields: dict[str, int]) -> None:
    rig = market()
    rig.commands(new_order(ENTRY))
    terms = {"parent_id": ENTRY, "contingency": Contingency.OTO, "side": BUY, "px": BID_PX, "qty": 10, **fields}
    assert reason_of(rig.commands(new_order(TARGET, **terms))) == Reason.BAD_PARENT


def test_a_parent_has_no_more_children_than_it_may() -> None:
    rig = market()
    rig.commands(new_order(ENTRY, qty=1_000))
    many = [child(client_id(100 + i), SELL, BID_PX + 50) for i in range(MAX_CHILDREN)]
    assert reason_of(rig.commands(*many)) == Reason.NONE
    assert reason_of(rig.commands(child(TARGET, SELL, BID_PX + 50))) == Reason.BAD_PARENT


# Expiry


def test_gtd_is_cancelled_at_its_time_and_a_stop_expires() -> None:
    rig = market()
    at = rig.now + 5_000_000_000
    stop = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX + 50}
    gtd = {"time_in_force": TimeInForce.GTD, "expire_ts": at}
    rig.commands(new_order(ENTRY, **gtd), new_order(TARGET, BUY, BID_PX + 60, **gtd, **stop))
    accept(rig, ENTRY)
    rig.ticks(tick(TickKind.TIME, ts=at - 1))
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.LIVE, S.HELD)
    rig.ticks(tick(TickKind.TIME, ts=at))
    assert (rig.state(ENTRY), rig.state(TARGET)) == (S.PENDING_CANCEL, S.EXPIRED)
    rig.reports(report(ReportKind.CANCELLED, ENTRY))
    assert rig.order(ENTRY)["reason"] == Reason.EXPIRED_GTD


def test_a_refused_expiry_cancel_is_asked_again() -> None:
    rig = market()
    at = rig.now + 5_000_000_000
    rig.commands(new_order(ENTRY, time_in_force=TimeInForce.GTD, expire_ts=at))
    accept(rig, ENTRY)
    rig.ticks(tick(TickKind.TIME, ts=at))
    rig.reports(report(ReportKind.CANCEL_REJECTED, ENTRY, ts=at))
    assert rig.state(ENTRY) == S.LIVE
    rig.ticks(tick(TickKind.TIME, ts=at + 1_000_000_000))
    assert rig.state(ENTRY) == S.PENDING_CANCEL


def test_day_orders_end_at_the_accounts_reset() -> None:
    rig = market()
    reset = rig.now + 3_600_000_000_000
    day = new_order(ENTRY, time_in_force=TimeInForce.DAY)
    assert reason_of(rig.commands(day)) == Reason.BAD_EXPIRY
    rig.s["accounts"][0]["resets"][0] = reset
    rig.commands(day)
    accept(rig, ENTRY)
    rig.ticks(tick(TickKind.TIME, ts=reset))
    assert (rig.state(ENTRY), rig.order(ENTRY)["cancel_reason"]) == (S.PENDING_CANCEL, Reason.EXPIRED_DAY)


@pytest.mark.parametrize(
    "fields",
    [
        {"time_in_force": TimeInForce.GTD},
        {"time_in_force": TimeInForce.GTD, "expire_ts": 5},
        {"time_in_force": TimeInForce.GTD, "expire_ts": -5},
        {"time_in_force": TimeInForce.GTC, "expire_ts": 2**61},
    ],
)
def test_only_gtd_has_a_time_and_it_is_to_come(fields: dict[str, int]) -> None:
    assert reason_of(market().commands(new_order(ENTRY, **fields))) == Reason.BAD_EXPIRY


# Whatever comes: never more closed than opened, nothing left behind.


STEPS = hs.lists(hs.tuples(hs.sampled_from(["accept", "fill", "cancel", "price", "answer", "amend"]),
                           hs.integers(0, 2), hs.integers(1, 10)), max_size=60)  # fmt: skip


def working_qty(order: Any) -> int:
    """Lots that an exit may still fill as it was last asked to be."""
    if order["state"] not in (S.PENDING_NEW, S.LIVE, S.PENDING_AMEND):
        return 0
    qty = order["pending_qty"] if order["state"] == S.PENDING_AMEND else order["qty"]
    return int(qty - order["filled_qty"])


@settings(max_examples=60 if JIT else 20, deadline=None)
@given(steps=STEPS, side=hs.sampled_from([BUY, SELL]), stop_limit=hs.booleans())
def test_a_bracket_never_closes_more_than_it_opened(
    steps: list[tuple[str, int, int]], side: int, stop_limit: bool
) -> None:
    rig = market()
    rig.limit(0, collar_rate=10**10)
    bracket(rig, side, stop_limit=stop_limit)
    ids = (ENTRY, TARGET, STOP)
    for what, which, number in steps:
        order_id = ids[which]
        state = rig.state(order_id)
        order = rig.order(order_id)
        if what == "accept" and state == S.PENDING_NEW:
            accept(rig, order_id)
        elif what == "fill" and state in (S.LIVE, S.PENDING_AMEND, S.PENDING_CANCEL):
            other = rig.order({TARGET: STOP, STOP: TARGET}.get(order_id, ENTRY))
            if which != 0 and state == S.PENDING_CANCEL and working_qty(other) > 0:
                continue  # the one race that stays: a fill that overtakes the cancel of a target whose stop has left
            left = int(order["qty"] - order["filled_qty"])
            filled(rig, order_id, min(number, left), int(order["side"]))
        elif what == "cancel":
            rig.commands(cancel(order_id))
        elif what == "answer" and state == S.PENDING_CANCEL:
            rig.reports(report(ReportKind.CANCELLED, order_id))
        elif what == "answer" and state == S.PENDING_AMEND:
            px, qty = int(order["pending_px"]), int(order["pending_qty"])
            kind = ReportKind.AMENDED if qty >= order["filled_qty"] and qty > 0 else ReportKind.AMEND_REJECTED
            rig.reports(report(kind, order_id, px=px, qty=qty))
        elif what == "amend" and which == 0:
            rig.commands(amend(order_id, qty=number))
        elif what == "price":
            rig.ticks(trade(BUY, BID_PX + (number - 5) * 14, 1), snapshot(0, {BID_PX: 5}, {BID_PX + 1: 5}))
        opened = int(rig.order(ENTRY)["filled_qty"])
        exits = [rig.order(each) for each in (TARGET, STOP)]
        assert sum(int(each["filled_qty"]) + working_qty(each) for each in exits) <= opened
        count = sum(
            rig.state(each) in (S.PENDING_NEW, S.LIVE, S.PENDING_AMEND, S.PENDING_CANCEL, S.HELD) for each in ids
        )
        assert rig.s["open_orders"] == count == len(rig.open_list())
        assert rig.position()["open_orders"] == count
    assert rig.s["touched_count"] == 0


def test_mass_cancel_of_every_account() -> None:
    rig = market()
    rig.commands(new_order(ENTRY))
    rig.commands(command(CommandKind.CANCEL_ALL, 0, account=-1, instrument=-1))
    assert rig.state(ENTRY) == S.PENDING_CANCEL
