"""Copies of new orders: the same account, instrument, side, price and quantity again within the window."""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
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
    """True when the same order was let through less than ``window_ns`` ago."""
    owner = owner_of(account, instrument, side)
    row = s["recent"][row_of(owner, px, qty)]
    return bool(row["owner"] == owner and row["px"] == px and row["qty"] == qty and s["now"] - row["ts"] < window_ns)


@kernel
def remember_order(s: Record, account: int, instrument: int, side: int, px: int, qty: int) -> None:
    """Remember an order that is let through."""
    owner = owner_of(account, instrument, side)
    row = s["recent"][row_of(owner, px, qty)]
    row["owner"] = owner
    row["px"] = px
    row["qty"] = qty
    row["ts"] = s["now"]
