"""Reports: what an exchange, or a model of one, says about an order, applied to the order, the position and the PnL.

A report that matches no order, is illegal in the order's state, repeats a trade id or fills more than is left is not
applied: it is counted and reported as REPORT_IGNORED with its reason.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from oms.compiled import copy_record, hot_kernel, kernel
from oms.core.accounting import book_fill, count_open
from oms.core.adjustments import adjust
from oms.core.entry import end_order
from oms.core.events import emit_order, emit_position, emit_terms, ignore_report
from oms.core.expiry import RETRY_NS, link_timed
from oms.core.groups import note_fill, note_release, touch_group
from oms.core.orders import (
    ILLEGAL,
    OrderInput,
    completes,
    fillable_qty,
    find_order,
    is_open,
    leaves_qty,
    next_state,
    stands_at_exchange,
)
from oms.core.parents import is_child
from oms.core.positions import fee_of, fill_fits, fits, value_of
from oms.core.progress import note_child_fill, note_child_report, tell_late_fill
from oms.core.state import EVENT_RING, MAX_PX, MAX_QTY, REPORT_RING, Record
from oms.core.trades import remember_trade
from oms.core.trading import CORE_CLIENT, note_closing_answer
from oms.core.versions import NOT_ON_GRID, definition_of, knows_version, nearest_lots, px_on_grid, qty_on_grid
from oms.records import LAST_ORDER_REPORT, ORDER_ID_COUNTER_BITS, EventKind, OrderFlag, OrderType, Reason, ReportKind

_FILL: Final = int(ReportKind.FILL)
_REJECTED: Final = int(ReportKind.REJECTED)
_FILL_UP: Final = int(OrderInput.FILL_UP)
_AMENDED: Final = int(ReportKind.AMENDED)
_AMEND_REJECTED: Final = int(ReportKind.AMEND_REJECTED)
_CANCELLED: Final = int(ReportKind.CANCELLED)
_CANCEL_REJECTED: Final = int(ReportKind.CANCEL_REJECTED)
_CANCEL_REJECTED_FIRST: Final = int(OrderInput.CANCEL_REJECTED_FIRST)
_EXPIRED: Final = int(ReportKind.EXPIRED)
_IGNORED: Final = int(EventKind.REPORT_IGNORED)
_LEG_TURNED: Final = int(EventKind.LEG_TURNED)
_LAST_KIND: Final = int(LAST_ORDER_REPORT)
_TRIGGERED: Final = int(ReportKind.TRIGGERED)
_HAS_TRIGGERED: Final = int(OrderInput.TRIGGERED)
_BUT_AT_EXCHANGE: Final = 0xFFFF ^ int(OrderFlag.AT_EXCHANGE)
_MARKET: Final = int(OrderType.MARKET)

_NONE: Final = int(Reason.NONE)
_UNKNOWN_ORDER: Final = int(Reason.UNKNOWN_ORDER)
_ILLEGAL_TRANSITION: Final = int(Reason.ILLEGAL_TRANSITION)
_DUPLICATE_TRADE: Final = int(Reason.DUPLICATE_TRADE)
_BAD_LEG: Final = int(Reason.BAD_LEG)
_OVERFILL: Final = int(Reason.OVERFILL)
_WRONG_VERSION: Final = int(Reason.WRONG_VERSION)
_MALFORMED: Final = int(Reason.MALFORMED)
_OVERFLOW: Final = int(Reason.OVERFLOW)

EVENT_OF_REPORT: Final = np.zeros(max(ReportKind) + 1, np.int64)
"""The EventKind that a ReportKind becomes."""
for _report, _event in {
    ReportKind.ACCEPTED: EventKind.ORDER_ACCEPTED,
    ReportKind.REJECTED: EventKind.ORDER_REJECTED,
    ReportKind.FILL: EventKind.ORDER_FILLED,
    ReportKind.AMENDED: EventKind.ORDER_AMENDED,
    ReportKind.AMEND_REJECTED: EventKind.AMEND_REJECTED,
    ReportKind.CANCELLED: EventKind.ORDER_CANCELLED,
    ReportKind.CANCEL_REJECTED: EventKind.CANCEL_REJECTED,
    ReportKind.EXPIRED: EventKind.ORDER_EXPIRED,
    ReportKind.TRIGGERED: EventKind.ORDER_TRIGGERED,
}.items():
    EVENT_OF_REPORT[_report] = _event


@hot_kernel
def is_of_order(kind: int) -> bool:
    """True for kinds of reports about an order that the core knows."""
    return bool(1 <= kind <= _LAST_KIND or kind == _TRIGGERED)


@kernel
def input_of(order: Record, report: Record) -> int:
    """The OrderInput that a report is for an order as it stands.

    An open order that was filled while an amend was in flight is done once the exchange has said that it stays at that.
    """
    kind = report["kind"]
    state = order["state"]
    if kind == _FILL:
        return _FILL_UP if completes(order, report["qty"]) else _FILL
    if kind == _TRIGGERED:
        return _HAS_TRIGGERED
    if not is_open(state) or next_state(state, kind) == ILLEGAL:
        return kind
    if kind == _CANCEL_REJECTED:
        return _CANCEL_REJECTED_FIRST if order["pending_qty"] > 0 else kind
    qty = report["qty"] if kind == _AMENDED else order["qty"]
    is_final = kind == _AMENDED or kind == _AMEND_REJECTED or kind == _CANCELLED or kind == _EXPIRED
    return _FILL_UP if is_final and order["filled_qty"] == qty else kind


@kernel
def refusal_of_report(s: Record, slot: int, report: Record, px: int, qty: int) -> int:
    """Why a report cannot be applied to the order in ``slot``, or NONE; see ``apply_to_order``."""
    kind = report["kind"]
    if not is_of_order(kind):
        return _MALFORMED
    if slot < 0:
        return _UNKNOWN_ORDER
    order = s["orders"][slot]
    if kind == _FILL:
        if report["qty"] <= 0 or not 0 < report["px"] <= MAX_PX or order["side"] != report["side"]:
            return _MALFORMED
        if report["qty"] > fillable_qty(order):
            return _OVERFILL
        position = s["positions"][order["account"], order["instrument"], order["leg"]]
        definition = s["instruments"][order["instrument"]]
        if not fill_fits(position, definition, px, qty, report["fee"]):
            return _OVERFLOW
    if kind == _AMENDED and not (
        (0 < report["px"] <= MAX_PX or (report["px"] == 0 and order["order_type"] == _MARKET))
        and 0 <= report["value"] <= MAX_PX
        and 0 < report["qty"] <= MAX_QTY
        and report["qty"] >= order["filled_qty"]
    ):
        return _MALFORMED
    fires_again = kind == _TRIGGERED and not stands_at_exchange(order)
    if fires_again or next_state(order["state"], input_of(order, report)) == ILLEGAL:
        s["illegal_transitions"] += 1
        return _ILLEGAL_TRANSITION
    if report["kind"] == _FILL and not remember_trade(
        s, order["account"], order["instrument"], order["side"], report["trade_id"]
    ):
        return _DUPLICATE_TRADE
    return _NONE


@hot_kernel
def settle(s: Record, slot: int, was_open: bool) -> None:
    """Bring what depends on the order's new state in line: what is counted as open, lists, groups."""
    order = s["orders"][slot]
    if not is_open(order["state"]):
        if was_open:
            end_order(s, slot)
        touch_group(s, slot)
        return
    px = order["px"]
    if order["order_type"] == _MARKET:
        px = order["trigger_px"] if stands_at_exchange(order) else order["risk_px"]
    count_open(s, order, fillable_qty(order), px)
    touch_group(s, slot)


@hot_kernel
def log_report(s: Record, report: Record) -> None:
    """Write a report that is being taken to the report output, which the host journals."""
    out = s["reports"][min(s["report_count"], REPORT_RING - 1)]
    if s["report_count"] < REPORT_RING:
        s["report_count"] += 1
    else:
        s["events_lost"] += 1
    copy_record(out, report)
    out["ts"] = s["now"]


@kernel
def is_of_core(order: Record) -> bool:
    """True for an order that closes a position for the kill switch."""
    return bool(order["order_id"] >> ORDER_ID_COUNTER_BITS == CORE_CLIENT)


@kernel
def note_fired(s: Record, slot: int) -> None:
    """Note that a stop which stood at the exchange has become the order that it was for."""
    order = s["orders"][slot]
    if stands_at_exchange(order):
        order["flags"] = order["flags"] & _BUT_AT_EXCHANGE
        note_release(s, slot)


@hot_kernel
def apply_to_order(s: Record, slot: int, report: Record, px: int, qty: int) -> int:
    """Apply a report that is legal in the order's state; returns the fee of a fill.

    The report is in the order's own version of the instrument, ``px`` and ``qty`` are a fill's in the one in force.
    """
    order = s["orders"][slot]
    kind = report["kind"]
    state = order["state"]
    was_open = is_open(state)
    order["updated_ts"] = s["now"]
    order["reason"] = report["reason"]
    order_input = input_of(order, report)
    fee = 0
    if kind == _FILL or kind == _TRIGGERED:
        note_fired(s, slot)
    if kind == _FILL:
        if report["qty"] > leaves_qty(order):  # the amend in flight has taken effect
            order["px"] = order["pending_px"]
            order["qty"] = order["pending_qty"]
        order["filled_qty"] += report["qty"]
        order["filled_cost"] += report["px"] * report["qty"]
        realized_pnl = order["realized_pnl"]
        fee = book_fill(s, order, px, qty, report["fee"], report["fee_known"], report["liquidity"])
        note_fill(s, slot, report["qty"])
        if is_child(order):
            note_child_fill(s, order, report["qty"], report["px"], fee, order["realized_pnl"] - realized_pnl)
    elif kind == _AMENDED:
        order["px"] = report["px"]
        order["qty"] = report["qty"]
        if report["value"] > 0 and stands_at_exchange(order):
            order["trigger_px"] = report["value"]
    elif kind == _CANCELLED and report["reason"] == _NONE:
        order["reason"] = order["cancel_reason"]
    elif kind == _CANCEL_REJECTED and was_open and order["expire_ts"] > 0:
        order["expire_ts"] = max(order["expire_ts"], s["now"] + RETRY_NS)
        link_timed(s, slot)
    if kind == _AMENDED or kind == _AMEND_REJECTED:
        order["pending_px"] = 0
        order["pending_qty"] = 0
    order["state"] = next_state(state, order_input)
    settle(s, slot, was_open)
    if is_child(order):
        note_child_report(s, order, kind)
    if s["flattening"] > 0 and (kind == _FILL or kind == _REJECTED) and is_of_core(order):
        note_closing_answer(s, order["account"], bool(kind == _REJECTED))
    return fee


@kernel
def tell_turned_leg(s: Record, slot: int, trade_id: int) -> None:
    """Say that a fill has left a leg of a hedging account on the other side: late ones can, and are facts."""
    order = s["orders"][slot]
    account = order["account"]
    qty = s["positions"][account, order["instrument"], order["leg"]]["qty"]
    if s["accounts"][account]["hedging"] == 0 or qty * (1 - 2 * int(order["leg"])) >= 0:
        return
    event = s["events"][emit_order(s, slot, _LEG_TURNED, _BAD_LEG)]
    event["qty"] = qty
    event["aux"] = trade_id


@hot_kernel
def apply_terms(s: Record, slot: int, report: Record, px: int, qty: int) -> int:
    """Apply a report about an order (-1: unknown); returns the output row of its event when it was a fill, else -1."""
    reason = refusal_of_report(s, slot, report, px, qty)
    if reason != _NONE:
        ignore_report(s, report, reason)
        return -1
    kind = report["kind"]
    order = s["orders"][slot]
    realized_before = order["realized_pnl"]
    fee = apply_to_order(s, slot, report, px, qty)
    if kind == _AMENDED and stands_at_exchange(order):
        emit_terms(s, slot, EVENT_OF_REPORT[kind], order["reason"])
        return -1
    at = emit_order(s, slot, EVENT_OF_REPORT[kind], order["reason"])
    if kind != _FILL:
        return -1
    event = s["events"][at]
    event["last_px"] = report["px"]
    event["last_qty"] = report["qty"]
    event["liquidity"] = report["liquidity"]
    event["fees"] = fee
    event["realized_pnl"] = order["realized_pnl"] - realized_before
    event["aux"] = report["trade_id"]
    emit_position(s, order["account"], order["instrument"], order["leg"], order["order_id"])
    tell_turned_leg(s, slot, report["trade_id"])
    if is_child(order):
        tell_late_fill(s, order, report["qty"], report["px"])
    return at


@kernel
def is_of_other_version(s: Record, order: Record, report: Record) -> bool:
    """True when order or report is counted by another version of the instrument than the one in force."""
    version = s["instruments"][order["instrument"]]["version"]
    return bool(order["version"] != version or (report["version"] != 0 and report["version"] != version))


@kernel
def apply_converted(s: Record, slot: int, report: Record) -> int:
    """Apply a report of another version than the one in force: a late fill of an order from before the change.

    Prices and quantities are converted exactly; where they are not on the other grid the report is ignored.
    """
    order = s["orders"][slot]
    instrument = order["instrument"]
    own = s["converted_report"]
    copy_record(own, report)
    px = 0
    qty = 0
    if report["kind"] == _FILL or report["kind"] == _AMENDED:
        version = report["version"] if report["version"] != 0 else order["version"]
        if not knows_version(s, instrument, version) or not knows_version(s, instrument, order["version"]):
            ignore_report(s, report, _WRONG_VERSION)
            return -1
        said = definition_of(s, instrument, version)
        ordered = definition_of(s, instrument, order["version"])
        own["px"] = px_on_grid(report["px"], said, ordered)
        own["qty"] = qty_on_grid(report["qty"], said, ordered)
        px = px_on_grid(report["px"], said, s["instruments"][instrument])
        qty = qty_on_grid(report["qty"], said, s["instruments"][instrument])
        off_grid = own["px"] == NOT_ON_GRID or own["qty"] == NOT_ON_GRID
        if off_grid or (report["kind"] == _FILL and (px == NOT_ON_GRID or qty == NOT_ON_GRID)):
            ignore_report(s, report, _WRONG_VERSION)
            return -1
        if report["kind"] == _FILL and report["fee_known"] == 0 and fits(ordered, own["px"], own["qty"]):
            own["fee"] = fee_of(ordered, value_of(ordered, own["px"], own["qty"]), report["liquidity"])
            own["fee_known"] = 1
    return apply_terms(s, slot, own, px, qty)


@kernel
def restate_position(s: Record, slot: int, first: int) -> None:
    """Give the position in the event ``first`` of an order in lots of the order's own version, as the rest of it is."""
    order = s["orders"][slot]
    event = s["events"][first]
    if (
        first >= s["event_count"]
        or event["kind"] == _IGNORED
        or not knows_version(s, order["instrument"], order["version"])
    ):
        return
    ordered = definition_of(s, order["instrument"], order["version"])
    event["position_qty"] = nearest_lots(event["position_qty"], s["instruments"][order["instrument"]], ordered)


@kernel
def apply_report(s: Record, report: Record) -> int:
    """Apply one report; returns the output row of its event when it was a fill, else -1."""
    log_report(s, report)
    if report["kind"] > _LAST_KIND and report["kind"] != _TRIGGERED:
        adjust(s, report)
        return -1
    slot = find_order(s, report["order_id"])
    if slot >= 0 and is_of_other_version(s, s["orders"][slot], report):
        first = s["event_count"]
        at = apply_converted(s, slot, report)
        if first < EVENT_RING:
            restate_position(s, slot, first)
        return at
    return apply_terms(s, slot, report, report["px"], report["qty"])
