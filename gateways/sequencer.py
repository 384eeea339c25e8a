"""Putting a snapshot in its place among the updates around it.

A venue answers a snapshot request while updates stream on, so updates that are newer than the snapshot arrive before
it. They wait here and are sent once more right after the snapshot, with its receive time: then the core's book, which
takes each message that follows the last one, is in step from the first snapshot on (Binance, "How to manage a local
order book correctly"). A snapshot that is older than a book already in step is left out.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from oms.records import TickFlag, TickKind

Ticks = npt.NDArray[np.void]

MAX_WAITING: Final = 500_000
"""Records of updates that wait for a snapshot; the oldest are given up beyond it."""


class SnapshotSequencer:
    """Orders the snapshots and updates of one instrument's stream."""

    def __init__(self) -> None:
        self.in_step = False
        self.replayed = 0
        """Records that were sent once more behind a snapshot."""
        self._update_id = 0
        self._waiting: list[Ticks] = []

    def take(self, ticks: Ticks) -> Ticks:
        """Return the ticks to send for these: the same array while nothing has to be put in order.

        Parameters
        ----------
        ticks
            Whole messages of one instrument, in order of receipt.
        """
        kinds = ticks["kind"]
        turns = np.flatnonzero(
            ((kinds == TickKind.SNAPSHOT) & ((ticks["flags"] & TickFlag.FIRST) != 0)) | (kinds == TickKind.STALE)
        )
        if len(turns) == 0:
            self._note(ticks)
            return ticks
        parts: list[Ticks] = []
        start = 0
        for turn in turns:
            self._note(ticks[start:turn])
            parts.append(ticks[start:turn])
            start = turn
            if kinds[turn] == TickKind.STALE:
                self.in_step = False
                continue
            end = turn + int(np.argmax((ticks["flags"][turn:] & TickFlag.LAST) != 0)) + 1
            parts += self._place(ticks[turn:end])
            start = end
        self._note(ticks[start:])
        return np.concatenate([*parts, ticks[start:]])

    def _note(self, ticks: Ticks) -> None:
        """Remember the updates that pass: their last id, or all of them while a snapshot is missing."""
        depth = ticks[ticks["kind"] == TickKind.DEPTH]
        if len(depth) == 0:
            return
        self._update_id = int(depth["update_id"][-1])
        if not self.in_step:
            self._waiting.append(depth)
            while len(self._waiting) > 1 and sum(map(len, self._waiting)) > MAX_WAITING:
                self._waiting.pop(0)

    def _place(self, snapshot: Ticks) -> list[Ticks]:
        """What to send for a snapshot: itself and the newer updates that came before it, or nothing."""
        snapshot_id = int(snapshot["update_id"][0])
        if self.in_step and snapshot_id < self._update_id:
            return []
        again = [part[part["update_id"] > snapshot_id] for part in self._waiting]
        self._waiting.clear()
        self.in_step = True
        self._update_id = max(self._update_id, snapshot_id)
        for part in again:
            part["local_ts"] = snapshot["local_ts"][-1]
            self.replayed += len(part)
        return [snapshot, *again]
