"""Copies of new orders: account, instrument, side, price and quantity of one that has just been let through.

Asking again for what has been filled or has ended is a decision, asking again while the first is open a mistake.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.orders import find_order, is_open
from oms.core.state import MAX_INSTRUMENTS, RECENT_ORDERS, Record

_MASK: Final = RECENT_ORDERS - 1
_SPREAD_PX: Final = 7_919
_SPREAD_QTY: Final = 104_729


@kernel
def owner_of(account: int, instrument: int, side: int) -> int:
    """Account, instrument and side in one number above 0."""
    return (account * MAX_INSTRUMENTS + instrument) * 4 + side + 2


@kernel
def row_of(owner: int, px: int, qty: int) -> int:
    """The one row of the table in which such an order is remembered, until another one takes the row."""
    return (owner + px * _SPREAD_PX + (qty & _MASK) * _SPREAD_QTY) & _MASK


@kernel
def is_copy(s: Record, account: int, instrument: int, side: int, px: int, qty: int, window_ns: int) -> bool:
    """True when the same order was let through less than ``window_ns`` ago and is still open."""
    owner = owner_of(account, instrument, side)
    row = s["recent"][row_of(owner, px, qty)]
    if row["owner"] != owner or row["px"] != px or row["qty"] != qty or s["now"] - row["ts"] >= window_ns:
        return False
    slot = find_order(s, row["order_id"])
    return bool(slot >= 0 and is_open(s["orders"][slot]["state"]))


@kernel
def remember_order(s: Record, order_id: int, account: int, instrument: int, side: int, px: int, qty: int) -> None:
    """Remember an order that is let through."""
    owner = owner_of(account, instrument, side)
    row = s["recent"][row_of(owner, px, qty)]
    row["owner"] = owner
    row["px"] = px
    row["qty"] = qty
    row["ts"] = s["now"]
    row["order_id"] = order_id
