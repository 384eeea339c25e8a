"""The levels of one message in one go: what lies between the first and the last of its records.

Nothing but its book and an exchange model looks at them before the message is complete. What takes a decision (a
message out of order, a record that cannot be, the end of a message) goes record by record; see ``book.apply_depth``.
"""

from __future__ import annotations

from typing import Any, Final

from oms.compiled import call_address, market_kernel, prefetch_item
from oms.core.book import in_range, set_level
from oms.core.exchange_view import is_shown, is_watched
from oms.core.state import ASK, BID, Record, State
from oms.records import BookState, TickFlag, TickKind

_DEPTH: Final = int(TickKind.DEPTH)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_FIRST: Final = int(TickFlag.FIRST)
_LAST: Final = int(TickFlag.LAST)
_SYNCED: Final = int(BookState.SYNCED)

AHEAD: Final = 16
"""Rows that are asked for before their turn: a message is gone through faster than memory brings it."""


@market_kernel
def follows(book: Record, first: Record) -> bool:
    """True when a message of levels is applied after the last one, and changes the book's state no further."""
    return bool(
        first["kind"] == _DEPTH
        and book["state"] == _SYNCED
        and first["px_2"] <= book["update_id"] <= first["update_id"]
    )


@market_kernel
def is_another(row: Record, first: Record) -> bool:
    """True for a row that is not a level of the message of ``first``, or is its last."""
    differs = (row["kind"] ^ first["kind"]) | (row["instrument"] ^ first["instrument"])
    differs |= (row["version"] ^ first["version"]) | (row["flags"] & _LAST)
    differs |= (row["local_ts"] ^ first["local_ts"]) | (row["exch_ts"] ^ first["exch_ts"])
    return bool(differs != 0)


@market_kernel
def set_levels(st: State, book_at: int, rows: Any, start: int) -> int:
    """Set a book to the levels of one message from row ``start`` on; returns the first row that was not taken.

    The exchange model is shown what concerns it when the book is the one that it goes by.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    book_at : int
        Row of ``books``.
    rows : array of TICK
    start : int
        A row of a known instrument.
    """
    s = st[0]
    book = s["books"][book_at]
    first = rows[start]
    if (first["kind"] != _DEPTH and first["kind"] != _SNAPSHOT) or is_another(first, first):
        return start
    if first["flags"] & _FIRST:
        if not follows(book, first):
            return start
        book["skipping"] = 0
    elif book["skipping"] != 0:
        return start
    book["exch_ts"] = first["exch_ts"]
    book["local_ts"] = first["local_ts"]
    instrument = first["instrument"]
    model = s["model"]
    is_exchange = book_at == model["first_book"] + instrument
    watched = is_exchange and is_watched(s, instrument)
    best = book["best"]
    moved = 0
    at = start
    while at < rows.shape[0]:
        row = rows[at]
        prefetch_item(rows, at + AHEAD)
        side = row["side"]
        px = row["px"]
        qty = row["qty"]
        if is_another(row, first) or (side != 1 and side != -1) or not in_range(px, qty, 1):
            break
        if row["flags"] & _FIRST and at > start:
            break
        bid = best[BID]
        ask = best[ASK]
        previous = set_level(book, side, px, qty)
        moved += int((best[BID] != bid) | (best[ASK] != ask) | (first["kind"] == _SNAPSHOT))
        at += 1
        if watched and is_shown(s, instrument, side, px, qty):
            change = s["change"]
            change["best"][BID] = bid
            change["best"][ASK] = ask
            change["previous_qty"] = previous
            call_address(model["on_depth"], st, 0, row)
            watched = is_watched(s, instrument)
    if book_at == instrument:
        s["market_updates"] += moved
    return at
