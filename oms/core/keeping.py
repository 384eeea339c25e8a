"""Orders in the core's keeping: changing and ending them, and setting the orders of a group aside for a check.

Each step writes one event and one row of the command output, so that the journal can repeat it. ``release`` lets them
go.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.accounting import count_open
from oms.core.entry import HELD_FOR_BITS, enter_cancel, enter_held_amend, enter_held_end, enter_order
from oms.core.events import emit_order, emit_terms
from oms.core.margin_use import keep_margin
from oms.core.orders import ILLEGAL, OrderInput, next_state, stands_at_exchange
from oms.core.outbox import can_send, complete, send
from oms.core.parents import is_stopping, is_worked
from oms.core.progress import stop_parent
from oms.core.risk import check_new
from oms.core.state import MAX_CHILDREN, MAX_LEGS, Record
from oms.core.terms import walked_px
from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
)

_NEW: Final = int(CommandKind.NEW)
_CANCEL: Final = int(CommandKind.CANCEL)
_HELD_AMEND: Final = int(CommandKind.HELD_AMEND)
_HELD_CANCEL: Final = int(CommandKind.HELD_CANCEL)
_SUBMITTED: Final = int(EventKind.ORDER_SUBMITTED)
_HELD_AMENDED: Final = int(EventKind.HELD_AMENDED)
_HELD_ENDED: Final = int(EventKind.HELD_ENDED)
_CANCEL_SUBMITTED: Final = int(EventKind.CANCEL_SUBMITTED)
_MARKET: Final = int(OrderType.MARKET)
_IOC: Final = int(TimeInForce.IOC)
_REJECTED: Final = int(OrderState.REJECTED)
_HELD: Final = int(OrderState.HELD)
_CANCELLED: Final = int(OrderState.CANCELLED)
_NO_CONTINGENCY: Final = int(Contingency.NONE)
_OTO: Final = int(Contingency.OTO)
_OCO: Final = int(Contingency.OCO)
_REQUEST_CANCEL: Final = int(OrderInput.REQUEST_CANCEL)

_NONE: Final = int(Reason.NONE)
_OUTPUT_FULL: Final = int(Reason.OUTPUT_FULL)


@kernel
def give_terms(
    s: Record, slot: int, px: int, qty: int, trigger_px: int, trail: int, held_for: int, full_qty: int, request_id: int
) -> None:
    """Give an order in the core's keeping these terms, for the request of this number."""
    command = s["own_command"]
    complete(command, s["orders"][slot], px, qty)
    command["kind"] = _HELD_AMEND
    command["request_id"] = request_id
    command["trigger_px"] = trigger_px
    command["trail"] = trail
    command["value"] = full_qty << HELD_FOR_BITS | held_for
    enter_held_amend(s, slot, command)
    emit_terms(s, slot, _HELD_AMENDED, _NONE)
    send(s, command)


@kernel
def change_held(s: Record, slot: int, px: int, qty: int, trigger_px: int, trail: int, held_for: int) -> None:
    """Change the terms of an order in the core's keeping for a reason of the core's own."""
    order = s["orders"][slot]
    give_terms(s, slot, px, qty, trigger_px, trail, held_for, order["full_qty"], order["request_id"])


@kernel
def end_held(s: Record, slot: int, state: int, reason: int, request_id: int) -> None:
    """End an order in the core's keeping."""
    order = s["orders"][slot]
    command = s["own_command"]
    complete(command, order, order["px"], order["qty"])
    command["kind"] = _HELD_CANCEL
    command["request_id"] = request_id
    command["value"] = state
    command["reason"] = reason
    enter_held_end(s, slot, command)
    emit_order(s, slot, _HELD_ENDED, reason)
    send(s, command)


@kernel
def ask_cancel(s: Record, slot: int, reason: int, request_id: int, source: int) -> bool:
    """Ask for the cancel of an open order for a reason of the core's, or end it when it is held; False: not now."""
    order = s["orders"][slot]
    if is_worked(order):
        if is_stopping(s, order):
            return True
        stop_parent(s, slot, _CANCELLED, reason, request_id)
        return True
    if order["state"] == _HELD:
        end_held(s, slot, _CANCELLED, reason, request_id)
        return True
    if next_state(order["state"], _REQUEST_CANCEL) == ILLEGAL or not can_send(s):
        return False
    command = s["own_command"]
    complete(command, order, order["px"], order["qty"])
    command["kind"] = _CANCEL
    command["request_id"] = request_id
    command["source"] = source
    command["reason"] = reason
    enter_cancel(s, slot, command)
    emit_order(s, slot, _CANCEL_SUBMITTED, reason)
    send(s, command)
    return True


@kernel
def _aside(s: Record, slot: int, excepted: int, at: int, put_back: bool) -> None:
    order = s["orders"][slot]
    kept = s["aside"]
    if put_back:
        if kept[at] > 0:
            count_open(s, order, kept[at], order["risk_px"])
        return
    kept[at] = 0
    if slot != excepted and order["contingency"] != _NO_CONTINGENCY and order["risk_qty"] > 0:
        kept[at] = order["risk_qty"]
        count_open(s, order, 0, order["risk_px"])


@kernel
def set_aside(s: Record, anchor: int, excepted: int, put_back: bool) -> None:
    """Stop counting the open quantity of a group but for one order, or count it again: only one of them can come about.

    An order of the group is then checked as if the others were not there. Counted again they have the margin that they
    had, also where the market does not say it.
    """
    first = s["orders"][anchor]
    account = first["account"]
    instrument = first["instrument"]
    kept = s["aside_margin"]
    if not put_back:
        for leg in range(MAX_LEGS):
            kept[leg] = s["valuations"][account, instrument, leg]["margin"]
    _aside(s, anchor, excepted, MAX_CHILDREN, put_back)
    at = 0
    child = s["orders"][anchor]["first_child"]
    while child >= 0 and at < MAX_CHILDREN:
        _aside(s, child, excepted, at, put_back)
        at += 1
        child = s["orders"][child]["next_child"]
    if put_back:
        for leg in range(MAX_LEGS):
            keep_margin(s, account, instrument, leg, kept[leg])


@kernel
def send_new(s: Record, command: Record) -> int:
    """Enter an order that has been checked and send it; returns its slot, -1 when the table is full of open ones."""
    slot = enter_order(s, command)
    if slot >= 0:
        emit_terms(s, slot, _SUBMITTED, _NONE)
        send(s, command)
    return slot


@kernel
def value_market_order(s: Record, command: Record) -> None:
    """Put the price at which a market order is counted against limits into ``value``, so that the journal has it.

    That of a stop at the exchange is its trigger's.
    """
    command["value"] = 0
    if command["order_type"] == _MARKET and stands_at_exchange(command):
        command["value"] = command["trigger_px"]
    elif command["order_type"] == _MARKET:
        book = s["books"][command["instrument"]]
        command["value"] = walked_px(book, command["side"], command["qty"])


@kernel
def check_in_group(s: Record, command: Record, anchor: int, slot: int) -> int:
    """Risk in full for an order that is asked for and leaves now, as if the rest of its group were not there.

    ``anchor`` -1: it has none.
    """
    if anchor < 0:
        return check_new(s, command, True)
    set_aside(s, anchor, slot, False)
    reason = check_new(s, command, True)
    set_aside(s, anchor, slot, True)
    return reason
