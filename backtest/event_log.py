"""The events of a run, which may be more than memory holds: a strategy that is refused at every tick makes millions."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Collection, Iterator
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from backtest.room import room
from oms.records import EVENT

Events = npt.NDArray[np.void]

HELD_EVENTS: Final = 524_288
"""Events that are kept in memory, 64 MiB; what comes before the last of them is in a file."""
BLOCK_EVENTS: Final = 65_536
"""Events that are read at a time."""


class EventLog:
    """Events in order: in memory, or in a file of the system's folder for temporary files that has no name.

    The file is gone with the process, or with the last of what was read of it.
    """

    def __init__(self) -> None:
        self._held = np.empty(HELD_EVENTS, EVENT)
        """One array, and not one for each step: many small ones that stay would leave the memory in pieces."""
        self._count = 0
        self._filed = 0
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return self._filed + self._count

    def add(self, events: Events) -> None:
        """Keep these too; raises ``RoomError`` when there is no room for the file."""
        while len(events):
            if self._count == len(self._held):
                self._write()
            fitting = events[: len(self._held) - self._count]
            self._held[self._count : self._count + len(fitting)] = fitting
            self._count += len(fitting)
            events = events[len(fitting) :]

    def _write(self) -> None:
        """Bring what is held to the file."""
        with room(tempfile.gettempdir(), "the run's events"):
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="zoms-events-", buffering=0)  # noqa: SIM115 - it stays open
            write_whole(self._file, self._held[: self._count])
        self._filed += self._count
        self._count = 0

    def blocks(self) -> Iterator[Events]:
        """All of them, some at a time."""
        if self._file is not None:
            for start in range(0, self._filed, BLOCK_EVENTS):
                block = np.empty(min(BLOCK_EVENTS, self._filed - start), EVENT)
                read = os.preadv(self._file.fileno(), [_bytes(block)], start * EVENT.itemsize)
                assert read == block.nbytes
                yield block
        yield self._held[: self._count].copy()

    def of(self, kinds: Collection[int]) -> Events:
        """Those of these kinds, in memory."""
        return np.concatenate([block[np.isin(block["kind"], list(kinds))] for block in self.blocks()])

    def all(self) -> Events:
        """All of them as one array, mapped into memory where they are in a file: then it cannot be written to."""
        if self._file is None:
            return self._held[: self._count].copy()
        self._write()
        return np.frombuffer(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ), EVENT)


def write_whole(file: IO[bytes], events: Events) -> None:
    """Write all of them; raises ``OSError`` when there is no room."""
    rest = memoryview(_bytes(events))
    while rest:
        rest = rest[file.write(rest) :]


def _bytes(events: Events) -> Any:
    return np.ascontiguousarray(events).view(np.uint8).data
