"""A book of its own, from a recording's JSON alone: what the gateway's is compared with."""

from __future__ import annotations

import gzip
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from oms.instruments import Instrument

Book = dict[tuple[int, int], int]
"""Lots by side and ticks."""


def own_books(recording: Path, instrument: Instrument, last_id: int) -> dict[int, Book]:
    """The book behind each depth message, up to an update id, by the message's last update id.

    A level off the lot is left out, as docs/recordings.md says.
    """
    tick, lot = Fraction(instrument.tick), Fraction(instrument.lot)
    book: Book = {}
    books: dict[int, Book] = {}
    book_id = 0
    waiting: list[dict[str, Any]] = []
    with gzip.open(recording) as lines:
        for line in lines:
            message = json.loads(line.split(b" ", 1)[1])
            event = message.get("data", message)
            if "lastUpdateId" in event and not book_id:
                book_id = event["lastUpdateId"]
                _take(book, event["bids"], event["asks"], tick, lot)
                for held in waiting:
                    if held["u"] > book_id:
                        _take(book, held["b"], held["a"], tick, lot)
            elif event.get("e") == "depthUpdate" and not book_id:
                waiting.append(event)
            elif event.get("e") == "depthUpdate" and event["u"] > book_id:
                _take(book, event["b"], event["a"], tick, lot)
                books[event["u"]] = {place: qty for place, qty in book.items() if qty}
                if event["u"] >= last_id:
                    return books
    return books


def _take(book: Book, bids: list[list[str]], asks: list[list[str]], tick: Fraction, lot: Fraction) -> None:
    for side, levels in ((1, bids), (-1, asks)):
        for px, qty in levels:
            lots = Fraction(qty) / lot
            if lots.denominator == 1:
                book[side, int(Fraction(px) / tick)] = int(lots)
