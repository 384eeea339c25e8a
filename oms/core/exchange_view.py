"""What an exchange model is shown of the market, and the books that it goes by.

With one clock the exchange's books are the core's own: it acts on a message when the core receives it. With two clocks
they are the second half of ``books``: rows act there at their exchange time, before the core has them.

A model is shown a level, or a trade, only where that can concern an own order: at a price at which one may rest, or one
that reaches the best of them. A count by price, modulo a power of two, and the best prices tell; both may say so of an
order that is gone, and never miss one that is there.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import call_address, market_kernel, record_like
from oms.core.book import apply_depth, is_sound
from oms.core.margin_watch import watch_margins
from oms.core.state import MAX_INSTRUMENTS, MODEL_BUCKETS, Record, State
from oms.records import BookState, TickFlag, TickKind

_DEPTH: Final = int(TickKind.DEPTH)
_TRADE: Final = int(TickKind.TRADE)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_STALE_TICK: Final = int(TickKind.STALE)
_SYNCED: Final = int(BookState.SYNCED)
_STALE: Final = int(BookState.STALE)
_MARK: Final = int(TickKind.MARK)
_LAST: Final = int(TickFlag.LAST)


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
def show_depth(st: State, tick: Record) -> None:
    """Show the exchange model a level that its book has just been set to."""
    s = st[0]
    model = s["model"]
    instrument = tick["instrument"]
    if model["resting"][instrument] > 0:
        px = tick["px"]
        concerns = rests_near(s, instrument, px) or (tick["qty"] > 0 and is_reached(s, instrument, -tick["side"], px))
    else:
        concerns = False
    if concerns or model["taken_count"] > 0:
        call_address(model["on_depth"], st, 0, tick)


@market_kernel
def show_trade(st: State, tick: Record) -> None:
    """Show the exchange model a trade; its side is the aggressor's, so own orders of the other side may fill."""
    s = st[0]
    instrument = tick["instrument"]
    if s["model"]["resting"][instrument] == 0 or exchange_book(s, instrument)["state"] != _SYNCED:
        return
    if is_reached(s, instrument, -tick["side"], tick["px"]):
        call_address(s["model"]["on_trade"], st, 0, tick)


@market_kernel
def take_at_exchange(st: State, tick: Record) -> None:
    """Let one record of a known instrument act at an exchange that has books of its own."""
    s = st[0]
    kind = tick["kind"]
    if kind == _DEPTH or kind == _SNAPSHOT:
        book = exchange_book(s, tick["instrument"])
        if not is_sound(tick):
            book["skipping"] = 1
            book["state"] = _STALE
            return
        apply_depth(s, book, tick)
        if book["skipping"] == 0:
            show_depth(st, tick)
    elif kind == _TRADE:
        if is_sound(tick):
            show_trade(st, tick)
    elif kind == _MARK:
        if is_sound(tick):
            exchange_book(s, tick["instrument"])["mark_px"] = tick["px"]
    elif kind == _STALE_TICK:
        exchange_book(s, tick["instrument"])["state"] = _STALE
    if tick["flags"] & _LAST:
        watch_margins(st, tick["instrument"], tick)


@market_kernel
def take_rows(st: State, like: Record, until: int) -> None:
    """Let the exchange's own records up to time ``until`` act, in their order; ``like`` is any record of their type."""
    s = st[0]
    model = s["model"]
    while model["rows_taken"] < model["rows_count"]:
        row = record_like(like, model["rows"], model["rows_taken"])
        ts = row["exch_ts"]
        if ts > until:
            break
        s["now"] = max(s["now"], ts)
        instrument = row["instrument"]
        if 0 <= instrument < MAX_INSTRUMENTS and s["instruments"][instrument]["defined"] != 0:
            take_at_exchange(st, row)
        model["rows_taken"] += 1
