"""The book of a recorded stream at one moment, rebuilt as a SNAPSHOT for whoever joins in the middle."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import numpy as np

from gateways.decoder import Ticks
from oms.records import TICK, TickFlag, TickKind

COMPACT_RECORDS: Final = 32_768
"""Levels stated since a snapshot, from which on only the last word on each is kept."""

LEFT_RECORDS: Final = 4_096
"""Records that are left to be applied until the book is asked for."""

_ABOUT_THE_BOOK: Final = (TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.STALE)


class BookRebuild:
    """Takes ticks in order and gives the book that they leave.

    The update ids are followed as the core follows them: a message older than the book is passed over, one that does
    not follow makes the book unknown until the next snapshot, and so does STALE.
    """

    def __init__(self) -> None:
        self._left: list[Ticks] = []
        self._left_records = 0
        self._parts: list[Ticks] = []
        self._records = 0
        self._update_id = -1  # -1: no book
        self._exch_ts = 0

    def take(self, ticks: Ticks) -> None:
        """Apply whole messages, which must not change any more; those that are no levels are passed over."""
        self._left.append(ticks)
        self._left_records += len(ticks)
        if self._left_records >= LEFT_RECORDS:
            self._apply()

    def _apply(self) -> None:
        """Apply what was left: a book is asked for more seldom than it changes."""
        ticks = joined_ticks(self._left)
        self._left, self._left_records = [], 0
        levels = ticks[np.isin(ticks["kind"], _ABOUT_THE_BOOK)]
        starts = np.flatnonzero(levels["flags"] & TickFlag.FIRST)
        heads = levels[starts]
        facts = zip(
            pairwise([*starts.tolist(), len(levels)]),
            heads["kind"].tolist(),
            heads["update_id"].tolist(),
            heads["px_2"].tolist(),
            strict=True,
        )
        for (start, stop), kind, update_id, previous_id in facts:
            if kind == TickKind.STALE:
                self._update_id = -1
                continue
            if kind == TickKind.SNAPSHOT:
                self._parts, self._records = [], 0
            elif self._update_id < 0 or update_id < self._update_id:
                continue
            elif previous_id > self._update_id:
                self._update_id = -1
                continue
            self._update_id = update_id
            self._exch_ts = int(levels["exch_ts"][start])
            self._parts.append(levels[start:stop])
            self._records += stop - start
        if self._records > COMPACT_RECORDS:
            self._parts = [self._levels()]
            self._records = len(self._parts[0])

    def snapshot(self, local_ts: int) -> Ticks | None:
        """The book as one SNAPSHOT message received at ``local_ts``, best levels first; None when it is unknown."""
        self._apply()
        if self._update_id < 0:
            return None
        levels = self._levels()
        bids = np.sort(levels[levels["side"] > 0], order="px")[::-1]
        asks = np.sort(levels[levels["side"] < 0], order="px")
        book = np.concatenate([bids, asks]) if len(levels) else np.zeros(1, TICK)
        if not len(levels):
            book["instrument"] = self._parts[-1]["instrument"][0]
            book["version"] = self._parts[-1]["version"][0]
        book["exch_ts"] = self._exch_ts
        book["local_ts"] = local_ts
        book["px_2"] = book["update_id"] = self._update_id
        book["kind"] = TickKind.SNAPSHOT
        book["flags"] = 0
        book["flags"][0] = TickFlag.FIRST
        book["flags"][-1] |= TickFlag.LAST
        return book

    def _levels(self) -> Ticks:
        """The last word on each level, without those that are gone."""
        records = joined_ticks(self._parts)
        latest_first = records[::-1]
        _, last = np.unique(latest_first["px"] * latest_first["side"], return_index=True)
        levels = latest_first[last]
        displayed: Ticks = levels[(levels["qty"] > 0) & (levels["side"] != 0)]
        return displayed


def joined_ticks(parts: Iterable[Ticks]) -> Ticks:
    """All of ``parts`` as one array, read-only: ``np.concatenate`` compares the record types of every two of them."""
    return np.frombuffer(b"".join(part.data for part in parts), TICK)


def book_after(batches: Iterable[Ticks], until_ts: int) -> BookRebuild:
    """The book that the ticks up to and with ``until_ts`` leave."""
    book = BookRebuild()
    for batch in batches:
        count = int(np.searchsorted(batch["local_ts"], until_ts, "right"))
        book.take(batch[:count])
        if count < len(batch):
            break
    return book
