"""The events of a run, which may be more than memory holds: a strategy that is refused at every tick makes millions."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Collection, Iterator
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from oms.records import EVENT

Events = npt.NDArray[np.void]

HELD_EVENTS: Final = 524_288
"""Events that are kept in memory, 64 MiB; then all are in a file."""
BLOCK_EVENTS: Final = 65_536
"""Events that are read at a time."""


class EventLog:
    """Events in order: in memory, or in a file of the system's folder for temporary files that has no name.

    The file is gone with the process, or with the last of what was read of it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._held: list[Events] = []
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, events: Events) -> None:
        """Keep these too; raises ``OSError`` when there is no room for the file."""
        if not len(events):
            return
        self._count += len(events)
        if self._file is None and self._count <= HELD_EVENTS:
            self._held.append(events)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="zoms-events-")  # noqa: SIM115 - it lives as long as the log
        for block in (*self._held, events):
            self._file.write(_bytes(block))
        self._held.clear()

    def blocks(self) -> Iterator[Events]:
        """All of them, some at a time."""
        if self._file is None:
            yield from self._held
            return
        self._file.flush()
        for start in range(0, self._count, BLOCK_EVENTS):
            block = np.empty(min(BLOCK_EVENTS, self._count - start), EVENT)
            read = os.preadv(self._file.fileno(), [_bytes(block)], start * EVENT.itemsize)
            assert read == block.nbytes
            yield block

    def of(self, kinds: Collection[int]) -> Events:
        """Those of these kinds, in memory."""
        return _joined([block[np.isin(block["kind"], list(kinds))] for block in self.blocks()])

    def all(self) -> Events:
        """All of them as one array, mapped into memory where they are in a file: then it cannot be written to."""
        if self._file is None:
            self._held = [_joined(self._held)]
            return self._held[0]
        self._file.flush()
        return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), EVENT)


def _joined(blocks: list[Events]) -> Events:
    return np.concatenate([np.zeros(0, EVENT), *blocks])


def _bytes(events: Events) -> Any:
    return np.ascontiguousarray(events).view(np.uint8).data
