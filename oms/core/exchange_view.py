"""What an exchange model is shown of the market, and the books that it goes by.

With one clock the exchange's books are the core's own: it acts on a message when the core receives it. With two clocks
they are the second half of ``books``; see ``exchange_rows``.

A model is shown a level, or a trade, only where that can concern an own order: at a price at which one may rest, or one
that reaches the best of them. A count by price, modulo a power of two, and the best prices tell; both may say so of an
order that is gone, and never miss one that is there.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import call_address, kernel, market_kernel
from oms.core.state import MODEL_BUCKETS, Record, State
from oms.records import BookState

_SYNCED: Final = int(BookState.SYNCED)


@market_kernel
def exchange_book(s: Record, instrument: int) -> Record:
    """The book that the exchange model goes by."""
    return s["books"][s["model"]["first_book"] + instrument]


@market_kernel
def rests_near(s: Record, instrument: int, px: int) -> bool:
    """False when surely no own order rests at ``px``."""
    return bool(s["model"]["bucket"][instrument, px & (MODEL_BUCKETS - 1)] > 0)


@market_kernel
def is_reached(s: Record, instrument: int, side: int, px: int) -> bool:
    """True when an own order of ``side`` may rest at ``px`` or better: a buy at or above it, and mirrored."""
    return bool((s["model"]["reach"][instrument, (side + 1) >> 1] - px) * side >= 0)


@market_kernel
def is_watched(s: Record, instrument: int) -> bool:
    """False when no level of the instrument can concern the exchange model."""
    return bool((s["model"]["resting"][instrument] > 0) | (s["model"]["taken_count"] > 0))


@market_kernel
def is_shown(s: Record, instrument: int, side: int, px: int, qty: int) -> bool:
    """True when a level that is set can concern the exchange model."""
    if s["model"]["taken_count"] > 0:
        return True
    if s["model"]["resting"][instrument] == 0:
        return False
    return bool(rests_near(s, instrument, px) | ((qty > 0) & is_reached(s, instrument, -side, px)))


@kernel
def show_depth(st: State, tick: Record) -> None:
    """Show the exchange model a level that its book has just been set to; ``s['change']`` tells what it changed."""
    if is_shown(st[0], tick["instrument"], tick["side"], tick["px"], tick["qty"]):
        call_address(st[0]["model"]["on_depth"], st, 0, tick)


@kernel
def show_trade(st: State, tick: Record) -> None:
    """Show the exchange model a trade; its side is the aggressor's, so own orders of the other side may fill."""
    s = st[0]
    instrument = tick["instrument"]
    if s["model"]["resting"][instrument] == 0 or exchange_book(s, instrument)["state"] != _SYNCED:
        return
    if is_reached(s, instrument, -tick["side"], tick["px"]):
        call_address(s["model"]["on_trade"], st, 0, tick)


@kernel
def show_price(st: State, tick: Record) -> None:
    """Show another last, mark or index price, which is in the exchange's book now, to the stops that wait there."""
    s = st[0]
    instrument = tick["instrument"]
    if s["model"]["first_stop"][instrument] != 0 and exchange_book(s, instrument)["state"] == _SYNCED:
        call_address(s["model"]["on_price"], st, instrument, tick)
