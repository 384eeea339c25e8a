"""An exchange with a clock of its own: rows of market data act on its books at their exchange time.

Its books are the second half of ``books``. What it answers is under way for the response latency, so that the core
hears of it in between the exchange's rows.
"""

from __future__ import annotations

from typing import Any, Final

from oms.compiled import kernel, market_kernel
from oms.core.book import apply_depth, is_sound
from oms.core.exchange_view import exchange_book, show_depth, show_price, show_trade
from oms.core.levels import set_levels
from oms.core.margin_watch import watch_margins
from oms.core.state import MAX_INSTRUMENTS, Record, State
from oms.records import BookState, TickFlag, TickKind

_DEPTH: Final = int(TickKind.DEPTH)
_TRADE: Final = int(TickKind.TRADE)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_STALE_TICK: Final = int(TickKind.STALE)
_MARK: Final = int(TickKind.MARK)
_STALE: Final = int(BookState.STALE)
_LAST: Final = int(TickFlag.LAST)


@kernel
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
            exchange_book(s, tick["instrument"])["trade_px"] = tick["px"]
            show_trade(st, tick)
            show_price(st, tick)
    elif kind == _MARK:
        if is_sound(tick):
            book = exchange_book(s, tick["instrument"])
            book["mark_px"] = tick["px"]
            book["index_px"] = tick["px_2"]
            show_price(st, tick)
    elif kind == _STALE_TICK:
        exchange_book(s, tick["instrument"])["state"] = _STALE
    if tick["flags"] & _LAST:
        watch_margins(st, tick["instrument"], tick)


@market_kernel
def take_rows(st: State, rows: Any, until: int) -> None:
    """Let the exchange's own rows act, in their order, up to time ``until`` or to the next that falls due."""
    s = st[0]
    model = s["model"]
    at = model["rows_taken"]
    while at < rows.shape[0]:
        row = rows[at]
        ts = row["exch_ts"]
        if ts > min(until, s["next_due"]):
            break
        s["now"] = max(s["now"], ts)
        instrument = row["instrument"]
        following = at
        if 0 <= instrument < MAX_INSTRUMENTS and s["instruments"][instrument]["defined"] != 0:
            following = set_levels(st, model["first_book"] + instrument, rows, at)
            if following == at:
                take_at_exchange(st, row)
        at = max(following, at + 1)
    model["rows_taken"] = at
