"""What an approved request does to the order table: the same functions live and in a replay of the journal.

Nothing here decides, reads the market or writes output. A request is a COMMAND row as the journal holds it.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.accounting import count_open, count_order
from oms.core.armed import arm, disarm
from oms.core.expiry import link_timed, unlink_timed
from oms.core.groups import link_child, note_end, note_release, touch
from oms.core.orders import (
    OrderInput,
    close_order,
    leaves_qty,
    link_open,
    new_order_slot,
    next_state,
    stands_at_exchange,
)
from oms.core.parents import is_child, note_child_id, unlink_parent
from oms.core.state import Record
from oms.core.trading import CORE_CLIENT, note_closing, note_last_order, wake_review
from oms.records import Contingency, HeldFor, OrderFlag, OrderState, OrderType, Trigger

_MARKET: Final = int(OrderType.MARKET)
_PENDING_NEW: Final = int(OrderState.PENDING_NEW)
_HELD: Final = int(OrderState.HELD)
_NO_TRIGGER: Final = int(Trigger.NONE)
_ALGORITHM: Final = int(Trigger.ALGORITHM)
_OTO: Final = int(Contingency.OTO)
_REPLACE: Final = int(Contingency.REPLACE)
_FOR_PARENT: Final = int(HeldFor.PARENT)
_FOR_CANCEL: Final = int(HeldFor.CANCEL)
_FOR_PRICE: Final = int(HeldFor.PRICE)
_FOR_ALGORITHM: Final = int(HeldFor.ALGORITHM)
_BUT_PRICE: Final = int(~HeldFor.PRICE)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
_REQUEST_AMEND: Final = int(OrderInput.REQUEST_AMEND)
_REQUEST_CANCEL: Final = int(OrderInput.REQUEST_CANCEL)
_RELEASE: Final = int(OrderInput.RELEASE)

HELD_FOR_BITS: Final = 8
"""HELD_AMEND: ``value`` holds what the order waits for in its low bits, and above them its full quantity."""
_HELD_FOR_MASK: Final = (1 << HELD_FOR_BITS) - 1


@kernel
def waits_for(command: Record) -> int:
    """HeldFor bits: what a new order has to wait for before it may leave."""
    bits = 0
    if command["contingency"] == _OTO:
        bits |= _FOR_PARENT
    elif command["contingency"] == _REPLACE:
        bits |= _FOR_CANCEL
    if command["trigger"] == _ALGORITHM:
        bits |= _FOR_ALGORITHM
    elif command["trigger"] != _NO_TRIGGER and not stands_at_exchange(command):
        bits |= _FOR_PRICE
    return bits


@kernel
def counted_px(command: Record) -> int:
    """The price at which an order is counted against limits: a market order's is what risk found in the book, or the
    trigger's."""
    return command["value"] if command["order_type"] == _MARKET else command["px"]


@kernel
def enter_order(s: Record, command: Record) -> int:
    """Enter a new order, on its way or in the core's keeping, and return its slot; -1 when the table is full."""
    slot = new_order_slot(s, command["order_id"])
    if slot < 0:
        return -1
    order = s["orders"][slot]
    held_for = waits_for(command)
    order["order_id"] = command["order_id"]
    order["created_ts"] = s["now"]
    order["updated_ts"] = s["now"]
    order["px"] = command["px"]
    order["qty"] = command["qty"]
    order["filled_qty"] = 0
    order["filled_cost"] = 0
    order["pending_px"] = 0
    order["pending_qty"] = 0
    order["request_id"] = command["request_id"]
    order["risk_qty"] = 0
    order["risk_px"] = 0
    order["risk_value"] = 0
    order["state"] = _PENDING_NEW if held_for == 0 else _HELD
    order["side"] = command["side"]
    order["order_type"] = command["order_type"]
    order["time_in_force"] = command["time_in_force"]
    order["flags"] = command["flags"]
    order["reason"] = 0
    order["instrument"] = command["instrument"]
    order["version"] = command["version"]
    order["account"] = command["account"]
    order["strategy"] = command["strategy"]
    order["trail"] = command["trail"]
    order["trigger_px"] = command["trigger_px"]
    order["display_qty"] = command["display_qty"]
    order["expire_ts"] = command["expire_ts"]
    order["parent_id"] = command["parent_id"]
    order["full_qty"] = command["qty"]
    order["fees"] = 0
    order["realized_pnl"] = 0
    order["next_child"] = -1
    order["first_child"] = -1
    order["trail_unit"] = command["trail_unit"]
    order["trigger"] = command["trigger"]
    order["trigger_source"] = command["trigger_source"]
    order["contingency"] = command["contingency"]
    order["leg"] = 1 if command["flags"] & _SHORT_LEG else 0
    order["held_for"] = held_for
    order["cancel_reason"] = 0
    order["children_filled"] = 0
    order["broken"] = 0
    order["armed"] = 0
    order["timed"] = 0
    order["parent_row"] = 0
    if is_child(order):
        note_child_id(s, order["order_id"])
    link_open(s, slot)
    link_child(s, slot)
    count_order(s, order, 1)
    if s["flattening"] > 0 and command["source"] == CORE_CLIENT:
        note_closing(s, command["account"])
    link_timed(s, slot)
    if held_for == 0:
        count_open(s, order, command["qty"], counted_px(command))
        s["orders_sent"] += 1
    elif held_for == _FOR_PRICE:
        arm(s, slot)
    if order["contingency"] != 0:
        touch(s, slot)
    return slot


@kernel
def enter_release(s: Record, slot: int, command: Record) -> None:
    """An order in the core's keeping leaves, for the quantity that the command says."""
    order = s["orders"][slot]
    order["state"] = next_state(order["state"], _RELEASE)
    order["qty"] = command["qty"]
    order["time_in_force"] = command["time_in_force"]
    order["updated_ts"] = s["now"]
    disarm(s, slot)
    count_open(s, order, leaves_qty(order), counted_px(command))
    s["orders_sent"] += 1
    note_release(s, slot)


@hot_kernel
def enter_amend(s: Record, slot: int, command: Record) -> None:
    """A change of price and total quantity is on its way; the larger quantity and the dearer price count until then.

    ``value`` is the full quantity that a client asks of an exit, 0: as it was.
    """
    order = s["orders"][slot]
    if command["value"] > 0:
        order["full_qty"] = command["value"]
    order["pending_px"] = command["px"]
    order["pending_qty"] = command["qty"]
    order["request_id"] = command["request_id"]
    order["state"] = next_state(order["state"], _REQUEST_AMEND)
    order["updated_ts"] = s["now"]
    qty = max(leaves_qty(order), command["qty"] - order["filled_qty"])
    count_open(s, order, qty, order["px"])


@kernel
def enter_cancel(s: Record, slot: int, command: Record) -> None:
    """A cancel is on its way."""
    order = s["orders"][slot]
    order["request_id"] = command["request_id"]
    order["state"] = next_state(order["state"], _REQUEST_CANCEL)
    order["cancel_reason"] = command["reason"]
    order["updated_ts"] = s["now"]
    unlink_timed(s, slot)


@kernel
def enter_held_amend(s: Record, slot: int, command: Record) -> None:
    """An order in the core's keeping has these terms now; ``value`` says what it waits for, and its full quantity."""
    order = s["orders"][slot]
    held_for = command["value"] & _HELD_FOR_MASK
    order["px"] = command["px"]
    order["qty"] = command["qty"]
    order["trigger_px"] = command["trigger_px"]
    order["trail"] = command["trail"]
    order["request_id"] = command["request_id"]
    order["updated_ts"] = s["now"]
    order["held_for"] = held_for
    order["full_qty"] = command["value"] >> HELD_FOR_BITS
    if held_for & _BUT_PRICE == 0:
        arm(s, slot)


@kernel
def enter_held_end(s: Record, slot: int, command: Record) -> None:
    """An order in the core's keeping ends in the state ``value``, for ``reason``."""
    order = s["orders"][slot]
    order["state"] = command["value"]
    order["reason"] = command["reason"]
    order["request_id"] = command["request_id"]
    order["updated_ts"] = s["now"]
    disarm(s, slot)
    end_order(s, slot)


@kernel
def end_order(s: Record, slot: int) -> None:
    """Take an order that has just been done out of every count and list."""
    order = s["orders"][slot]
    count_open(s, order, 0, 0)
    count_order(s, order, -1)
    if s["scopes"][order["account"]]["open_orders"] == 0:
        note_last_order(s, order["account"])
    unlink_timed(s, slot)
    unlink_parent(s, slot)
    close_order(s, slot)
    note_end(s, slot)
    if s["switching"] > 0 and s["order_lists"][order["instrument"]]["open_head"] < 0:
        wake_review(s, s["now"])
