"""Trade ids that have been applied, so that none is applied twice.

A trade id counts once per account, instrument and side: a venue numbers the two sides of a trade alike, and both may be
own orders. The last ``MAX_FILLS`` trades of all accounts are remembered; the index is a table of open addressing whose
deletions move later entries of a cluster back.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.state import MAX_FILLS, TRADE_INDEX, Record

_MASK: Final = TRADE_INDEX - 1
_LOW_BITS: Final = 32
_LOW: Final = 2**_LOW_BITS - 1
_SPREAD: Final = 81_001
_HIGH_SPREAD: Final = 7_919
_OWNER_SPREAD: Final = 31_337
"""Odd factors: consecutive numbers go to places that are far apart, each to its own (Weyl sequence)."""


@kernel
def home_of_trade(trade_id: int, instrument: int, account: int) -> int:
    """First index position of a trade: consecutive ids are scattered, so that they are not one cluster.

    A seller's account is its complement, ``-1 - account``.
    """
    low = trade_id & _LOW
    high = (trade_id >> _LOW_BITS) & _LOW
    return (low * _SPREAD + high * _HIGH_SPREAD + (instrument * 16 + account) * _OWNER_SPREAD) & _MASK


@kernel
def _forget(s: Record, row: int) -> None:
    index = s["trade_index"]
    trades = s["trades"]
    at = home_of_trade(trades[row]["trade_id"], trades[row]["instrument"], trades[row]["account"])
    while index[at] != row + 1:
        at = (at + 1) & _MASK
    gap = at
    while True:
        at = (at + 1) & _MASK
        if index[at] == 0:
            break
        other = trades[index[at] - 1]
        home = home_of_trade(other["trade_id"], other["instrument"], other["account"])
        if ((at - home) & _MASK) >= ((at - gap) & _MASK):
            index[gap] = index[at]
            gap = at
    index[gap] = 0


@kernel
def remember_trade(s: Record, account: int, instrument: int, side: int, trade_id: int) -> bool:
    """Remember a trade; False when it has been applied before."""
    index = s["trade_index"]
    trades = s["trades"]
    owner = account if side > 0 else -1 - account
    home = home_of_trade(trade_id, instrument, owner)
    at = home
    while index[at] != 0:
        known = trades[index[at] - 1]
        if known["trade_id"] == trade_id and known["instrument"] == instrument and known["account"] == owner:
            return False
        at = (at + 1) & _MASK
    row = s["trade_counter"] % MAX_FILLS
    if s["trade_counter"] >= MAX_FILLS:
        _forget(s, row)
        at = home
        while index[at] != 0:
            at = (at + 1) & _MASK
    trade = trades[row]
    trade["trade_id"] = trade_id
    trade["instrument"] = instrument
    trade["account"] = owner
    index[at] = row + 1
    s["trade_counter"] += 1
    return True
