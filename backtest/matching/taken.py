"""Displayed quantity that own orders have taken: it is gone until the feed shows its level anew."""

from __future__ import annotations

from oms.compiled import kernel
from oms.core.book import level_qty
from oms.core.exchange_view import exchange_book
from oms.core.state import MODEL_TAKEN, Record


@kernel
def find_taken(s: Record, instrument: int, side: int, px: int) -> int:
    """Row of the quantity that own orders have taken at a level, or -1."""
    taken = s["model"]["taken"]
    for i in range(s["model"]["taken_count"]):
        if taken[i]["px"] == px and taken[i]["side"] == side and taken[i]["instrument"] == instrument:
            return i
    return -1


@kernel
def available_qty(s: Record, instrument: int, side: int, px: int) -> int:
    """Displayed lots of ``side`` at ``px`` that own orders have not taken; 0 when no more takes can be remembered."""
    at = find_taken(s, instrument, side, px)
    if at < 0 and s["model"]["taken_count"] == MODEL_TAKEN:
        return 0
    displayed = level_qty(exchange_book(s, instrument), side, px)
    return max(displayed - s["model"]["taken"][at]["qty"], 0) if at >= 0 else displayed


@kernel
def take_qty(s: Record, instrument: int, side: int, px: int, qty: int) -> None:
    """Remember that own orders took ``qty`` lots of a level until the feed shows it anew."""
    model = s["model"]
    at = find_taken(s, instrument, side, px)
    if at < 0:
        at = model["taken_count"]
        model["taken_count"] = at + 1
        row = model["taken"][at]
        row["instrument"] = instrument
        row["side"] = side
        row["px"] = px
        row["qty"] = 0
    model["taken"][at]["qty"] += qty


@kernel
def forget_taken(s: Record, at: int) -> None:
    """Give up one remembered take: the feed has shown the level anew."""
    model = s["model"]
    last = model["taken_count"] - 1
    row = model["taken"][at]
    moved = model["taken"][last]
    row["instrument"] = moved["instrument"]
    row["side"] = moved["side"]
    row["px"] = moved["px"]
    row["qty"] = moved["qty"]
    model["taken_count"] = last
