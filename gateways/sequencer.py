"""Putting a snapshot in its place among the updates around it, and noticing where updates are missing.

A venue answers a snapshot request while updates stream on, so updates that are newer than the snapshot arrive before
it. They wait here and are sent once more right after the snapshot, with its receive time: then the core's book, which
takes each message that follows the last one, is in step from the first snapshot on (Binance, "How to manage a local
order book correctly"). A snapshot that is older than a book already in step is left out, and so is one that the updates
which wait do not follow without a gap: it would be stale at once.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from oms.records import TICK, TickFlag, TickKind

Ticks = npt.NDArray[np.void]

MAX_WAITING: Final = 500_000
"""Records of updates that wait for a snapshot; the oldest are given up beyond it."""

# As plain integers and bytes: an enum's members take long to look up.
_DEPTH: Final = int(TickKind.DEPTH)
_FIRST: Final = int(TickFlag.FIRST)
_DEPTH_BYTE: Final = bytes([TickKind.DEPTH])
_SNAPSHOT_BYTE: Final = bytes([TickKind.SNAPSHOT])
_STALE_BYTE: Final = bytes([TickKind.STALE])


class SnapshotSequencer:
    """Orders the snapshots and updates of one instrument's stream.

    Parameters
    ----------
    marks_gaps
        Say STALE before an update that does not follow the one before it. Whoever takes the ticks sees the gap too;
        this is for who asks for the next snapshot then.

    Attributes
    ----------
    in_step : bool
        Whether the last snapshot and all updates since make a book.
    replayed : int
        Records that were sent once more behind a snapshot.
    gaps : int
        Updates that did not follow.
    unfit : int
        Snapshots that were left out because the updates that waited did not follow them.
    """

    def __init__(self, *, marks_gaps: bool = False) -> None:
        self.in_step = False
        self.replayed = 0
        self.gaps = 0
        self.unfit = 0
        self._marks_gaps = marks_gaps
        self._update_id = 0  # of the book that is in step
        self._waiting: deque[Ticks] = deque()
        self._waiting_records = 0

    def take(self, ticks: Ticks) -> Ticks:
        """Return the ticks to send for these: the same array while nothing has to be put in order.

        Parameters
        ----------
        ticks
            Whole messages of one instrument, in order of receipt.
        """
        kinds = ticks["kind"]
        present = kinds.tobytes()  # looking for a byte is the quickest way to see that there is nothing to do
        if _SNAPSHOT_BYTE not in present and _STALE_BYTE not in present:
            return self._pass(ticks) if _DEPTH_BYTE in present else ticks
        is_first = (ticks["flags"] & _FIRST) != 0
        turns = np.flatnonzero(((kinds == TickKind.SNAPSHOT) & is_first) | (kinds == TickKind.STALE))
        parts: list[Ticks] = []
        start = 0
        for turn in turns:
            parts.append(self._pass(ticks[start:turn]))
            start = turn
            if kinds[turn] == TickKind.STALE:
                self.in_step = False
                self._forget()
                continue
            end = turn + int(np.argmax((ticks["flags"][turn:] & TickFlag.LAST) != 0)) + 1
            parts += self._place(ticks[turn:end])
            start = end
        return np.concatenate([*parts, self._pass(ticks[start:])])

    def _pass(self, ticks: Ticks) -> Ticks:
        """Take note of updates, and return these ticks: with STALE where there is a gap, if that is to be marked."""
        at = 0
        if self.in_step:
            at, self._update_id = first_gap(ticks, self._update_id)
            if at < 0:
                return ticks
        self._wait(ticks[at:][ticks["kind"][at:] == _DEPTH])
        if not self.in_step:
            return ticks
        self.in_step = False
        self.gaps += 1
        if not self._marks_gaps:
            return ticks
        stale = stale_tick(*(int(ticks[at][name]) for name in ("local_ts", "instrument", "version")))
        return np.concatenate([ticks[:at], stale, ticks[at:]])

    def _wait(self, depth: Ticks) -> None:
        if not len(depth):
            return
        self._waiting.append(depth)
        self._waiting_records += len(depth)
        while len(self._waiting) > 1 and self._waiting_records > MAX_WAITING:
            self._waiting_records -= len(self._waiting.popleft())

    def _forget(self) -> None:
        self._waiting.clear()
        self._waiting_records = 0

    def _place(self, snapshot: Ticks) -> list[Ticks]:
        """What to send for a snapshot: itself and the newer updates that came before it, or nothing."""
        snapshot_id = int(snapshot["update_id"][0])
        if self.in_step and snapshot_id < self._update_id:
            return []
        again = [newer for part in self._waiting if len(newer := part[part["update_id"] > snapshot_id])]
        last_id = snapshot_id
        for part in again:
            gap, last_id = first_gap(part, last_id)
            if gap >= 0:
                self.unfit += 1
                return []
        self._forget()
        self.in_step = True
        self._update_id = last_id
        for part in again:
            part["local_ts"] = snapshot["local_ts"][-1]
            self.replayed += len(part)
        return [snapshot, *again]


def first_gap(ticks: Ticks, update_id: int) -> tuple[int, int]:
    """Row of the first update that does not follow the one before it, and the id of the book up to there.

    The row is -1 when each follows: when the id before it is not above the book's, which is ``update_id`` at first. An
    older one than the book is passed over.
    """
    heads = ((ticks["kind"] == _DEPTH) & (ticks["flags"] & _FIRST).astype(np.bool_)).nonzero()[0]
    ids, previous_ids = ticks["update_id"][heads].tolist(), ticks["px_2"][heads].tolist()
    for row, own_id, previous_id in zip(heads.tolist(), ids, previous_ids, strict=True):
        if previous_id > update_id:
            return row, update_id
        update_id = max(update_id, own_id)
    return -1, update_id


def stale_tick(ts: int, instrument: int, version: int) -> Ticks:
    """A STALE record of an instrument by its id, in a version of its definition."""
    stale = np.zeros(1, TICK)
    stale["exch_ts"] = stale["local_ts"] = ts
    stale["instrument"] = instrument
    stale["version"] = version
    stale["kind"] = TickKind.STALE
    stale["flags"] = TickFlag.FIRST | TickFlag.LAST
    return stale
