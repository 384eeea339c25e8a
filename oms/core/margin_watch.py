"""When to look at margins: each instrument has a band of marks within which no account's margin can be used up.

Whoever looks (``backtest/liquidation``) leaves the bands behind. While no position is on margin a record costs one
comparison, while the marks stay in their bands three; the bands are narrow only where a liquidation is near. What
changes a position or a balance makes them stale, and the next market data has the margins looked at anew.

The mark is the venue's own, else the mid price of a book that is in step.
"""

from __future__ import annotations

import math
from typing import Final

from oms.compiled import call_address, hot_kernel, kernel, market_kernel
from oms.core.book import mid_half_ticks
from oms.core.state import NEVER, Record, State
from oms.records import BookState, Liquidation

NOTHING: Final = 0
"""No position is on margin."""
HELD: Final = 1
"""The bands hold."""
STALE: Final = 2
"""What they were made of has changed."""

_OFF: Final = int(Liquidation.OFF)
_SYNCED: Final = int(BookState.SYNCED)


@hot_kernel
def note_margins(s: Record) -> None:
    """A position or a balance has changed: have the margins looked at, where something liquidates."""
    if s["model"]["liquidation"] != _OFF:
        s["model"]["watch"] = STALE


@kernel
def margin_mark(s: Record, instrument: int) -> int:
    """The mark by which an exchange model judges margins, in half ticks; 0: it is not known."""
    book = s["books"][s["model"]["first_book"] + instrument]
    if book["mark_px"] > 0:
        return 2 * book["mark_px"]
    return mid_half_ticks(book) if book["state"] == _SYNCED else 0


@market_kernel
def watch_margins(st: State, instrument: int, tick: Record) -> bool:
    """After a complete message: have the margins looked at where the mark has left its band, or the bands are stale.

    True when that was done: reports of a liquidation may be due.
    """
    s = st[0]
    model = s["model"]
    if model["watch"] == NOTHING or s["external"] != 0:
        return False
    half_ticks = margin_mark(s, instrument)
    if half_ticks <= 0:
        return False
    holds = model["mark_below"][instrument] <= half_ticks <= model["mark_above"][instrument]
    if holds and model["watch"] == HELD:
        return False
    call_address(model["on_margin"], st, instrument, tick)
    return True


@kernel
def leaves_band(s: Record, bar: Record) -> bool:
    """True when a bar's way leaves its instrument's band."""
    model = s["model"]
    if model["watch"] == NOTHING or s["external"] != 0:
        return False
    instrument = bar["instrument"]
    low = 2 * bar["update_id"]
    high = 2 * bar["qty_2"]
    return bool(
        model["watch"] == STALE or low < model["mark_below"][instrument] or high > model["mark_above"][instrument]
    )


@kernel
def open_bands(s: Record) -> None:
    """Let every mark be within its band."""
    model = s["model"]
    for instrument in range(s["instruments_used"]):
        model["mark_below"][instrument] = 0
        model["mark_above"][instrument] = NEVER


@kernel
def close_band(s: Record, instrument: int) -> None:
    """Let no mark be within the band: the next one that is known has the margins looked at."""
    if instrument >= 0:
        s["model"]["mark_below"][instrument] = NEVER


@kernel
def narrow_band(s: Record, instrument: int, half_ticks: int, part: float) -> None:
    """Have the margins looked at when the mark, now ``half_ticks``, has moved by more than ``part`` of itself.

    The value of a contract, linear or inverse, moves by no more than that part either way within the band.
    """
    model = s["model"]
    below = math.ceil(half_ticks / (1.0 + part))
    above = min(math.floor(half_ticks * (1.0 + part)), NEVER)
    model["mark_below"][instrument] = max(model["mark_below"][instrument], below)
    model["mark_above"][instrument] = min(model["mark_above"][instrument], above)
