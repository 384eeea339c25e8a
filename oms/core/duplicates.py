"""Copies of new orders: account, instrument, side, price, trigger and quantity of one that has just been let through.

Asking again for what has been filled or has ended is a decision, asking again while the first is open a mistake. An
order in the core's keeping is compared when it is asked for, and never again: two stops that fire together are two
decisions. An exit that waits for its entry is no copy of another: the entry's fills bound them all.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.orders import find_order, is_open
from oms.core.state import MAX_INSTRUMENTS, RECENT_ORDERS, Record
from oms.records import Contingency

_MASK: Final = RECENT_ORDERS - 1
_SPREAD_PX: Final = 7_919
_SPREAD_QTY: Final = 104_729
_OTO: Final = int(Contingency.OTO)


@kernel
def owner_of(command: Record) -> int:
    """Account, instrument and side in one number above 0."""
    return (command["account"] * MAX_INSTRUMENTS + command["instrument"]) * 4 + command["side"] + 2


@kernel
def row_of(command: Record) -> int:
    """The one row of the table in which such an order is remembered, until another one takes the row."""
    prices = command["px"] + command["trigger_px"]
    return (owner_of(command) + prices * _SPREAD_PX + (command["qty"] & _MASK) * _SPREAD_QTY) & _MASK


@kernel
def waits_alike(order: Record, command: Record) -> bool:
    """True when both wait for the same price; a trailing trigger may have moved since."""
    return bool(
        order["trigger"] == command["trigger"]
        and order["trail"] == command["trail"]
        and (order["trigger_px"] == command["trigger_px"] or order["trail"] != 0)
    )


@kernel
def is_copy(s: Record, command: Record, window_ns: int) -> bool:
    """True when the same order was let through less than ``window_ns`` ago and is still open; 0: none is a copy.

    What an order replaces, or hangs on, is another one.
    """
    if window_ns == 0 or command["contingency"] == _OTO:
        return False
    row = s["recent"][row_of(command)]
    if row["owner"] != owner_of(command) or row["px"] != command["px"] or row["qty"] != command["qty"]:
        return False
    if s["now"] - row["ts"] >= window_ns or row["order_id"] == command["parent_id"]:
        return False
    slot = find_order(s, row["order_id"])
    return bool(slot >= 0 and is_open(s["orders"][slot]["state"]) and waits_alike(s["orders"][slot], command))


@kernel
def remember_order(s: Record, command: Record) -> None:
    """Remember an order that is let through."""
    row = s["recent"][row_of(command)]
    row["owner"] = owner_of(command)
    row["px"] = command["px"]
    row["qty"] = command["qty"]
    row["ts"] = s["now"]
    row["order_id"] = command["order_id"]
