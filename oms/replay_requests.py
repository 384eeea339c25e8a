"""Entering a journal's requests again: what was approved changes the tables, is reported and noted as it was live."""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.entry import enter_amend, enter_cancel, enter_held_amend, enter_held_end, enter_order, enter_release
from oms.core.events import emit_order, emit_terms
from oms.core.orders import find_order
from oms.core.outbox import send
from oms.core.state import MAX_STRATEGIES, Record
from oms.records import ORDER_ID_COUNTER_BITS, STRATEGY_CLIENT_BASE, CommandKind, EventKind, OrderState, Reason

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_CANCEL: Final = int(CommandKind.CANCEL)
_HOLD: Final = int(CommandKind.HOLD)
_HELD_AMEND: Final = int(CommandKind.HELD_AMEND)
_HELD_CANCEL: Final = int(CommandKind.HELD_CANCEL)
_SUBMITTED: Final = int(EventKind.ORDER_SUBMITTED)
_AMEND_SUBMITTED: Final = int(EventKind.AMEND_SUBMITTED)
_CANCEL_SUBMITTED: Final = int(EventKind.CANCEL_SUBMITTED)
_ORDER_HELD: Final = int(EventKind.ORDER_HELD)
_HELD_AMENDED: Final = int(EventKind.HELD_AMENDED)
_HELD_ENDED: Final = int(EventKind.HELD_ENDED)
_HELD: Final = int(OrderState.HELD)
_NONE: Final = int(Reason.NONE)
_COUNTER_MASK: Final = (1 << ORDER_ID_COUNTER_BITS) - 1


@kernel
def note_order_id(s: Record, strategy: int, order_id: int) -> bool:
    """Never give this id to another order of the strategy; False when the id is not the strategy's own."""
    if not 0 <= strategy < MAX_STRATEGIES or order_id >> ORDER_ID_COUNTER_BITS != strategy + STRATEGY_CLIENT_BASE:
        return False
    row = s["strategies"][strategy]
    row["order_counter"] = max(row["order_counter"], order_id & _COUNTER_MASK)
    return True


@kernel
def enter_new(s: Record, command: Record) -> bool:
    """Enter a new order again, on its way or in the core's keeping; False when that cannot be."""
    if note_order_id(s, command["strategy"], command["order_id"]):
        s["strategies"][command["strategy"]]["orders"] += 1
    slot = enter_order(s, command)
    if slot < 0:
        return False
    emit_terms(s, slot, _SUBMITTED if command["kind"] == _NEW else _ORDER_HELD, _NONE)
    return True


@kernel
def enter_change(s: Record, slot: int, command: Record) -> bool:
    """Enter a request about a known order again; False when that cannot be."""
    kind = command["kind"]
    is_held = s["orders"][slot]["state"] == _HELD
    if kind == _AMEND and not is_held:
        enter_amend(s, slot, command)
        emit_order(s, slot, _AMEND_SUBMITTED, _NONE)
    elif kind == _CANCEL and not is_held:
        enter_cancel(s, slot, command)
        emit_order(s, slot, _CANCEL_SUBMITTED, command["reason"])
    elif kind == _NEW and is_held:
        enter_release(s, slot, command)
        emit_terms(s, slot, _SUBMITTED, _NONE)
    elif kind == _HELD_AMEND and is_held:
        enter_held_amend(s, slot, command)
        emit_terms(s, slot, _HELD_AMENDED, _NONE)
    elif kind == _HELD_CANCEL and is_held:
        enter_held_end(s, slot, command)
        emit_order(s, slot, _HELD_ENDED, command["reason"])
    else:
        return False
    return True


@kernel
def enter_request(s: Record, command: Record) -> bool:
    """Enter one request of the core again; False when that cannot be."""
    s["cause_ts"] = command["wall_ts"]
    s["command_seq"] = command["seq"]
    kind = command["kind"]
    slot = find_order(s, command["order_id"])
    if slot >= 0:
        entered = enter_change(s, slot, command)
    else:
        entered = (kind == _NEW or kind == _HOLD) and enter_new(s, command)
    if entered:
        send(s, command)
    return entered
