"""Ticks that are on disk but not yet in a Parquet file: what a killed recorder leaves to the next one.

``<store>/ticks/<session>/<first seq>.spool`` is a row of bus frames (a ``FRAME`` header and TICK records), appended as
they come. It is removed when its ticks are in Parquet files; one that is found at a start is read, up to its last whole
frame, and becomes Parquet files then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.bus import HEADER_BYTES, FrameError, decode_frame, encode_frame
from oms.records import FRAME, TICK, RecordKind, Source
from oms.store.tick_files import TICKS_FOLDER

Ticks = npt.NDArray[np.void]

SUFFIX: Final = ".spool"


class Chunk(NamedTuple):
    """Consecutive ticks of one gateway session's stream."""

    session: int
    first_seq: int
    ticks: Ticks

    @property
    def next_seq(self) -> int:
        """The sequence number behind the last tick."""
        return self.first_seq + len(self.ticks)


class Spool:
    """The spool file of one segment. ``remove`` it when the segment is in its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    @classmethod
    def create(cls, store_dir: Path, session: int, first_seq: int) -> Spool:
        """The spool of a segment that starts at ``first_seq``; the file is made by the first ``add``."""
        return cls(store_dir / TICKS_FOLDER / f"{session:020d}" / f"{first_seq:020d}{SUFFIX}")

    def add(self, chunk: Chunk) -> None:
        """Append a chunk; raises ``OSError`` when the file cannot take all of it."""
        if self._descriptor < 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
        left = memoryview(
            encode_frame(RecordKind.TICK, Source.RECORDER, chunk.session, chunk.first_seq, 0, chunk.ticks)
        )
        while left:
            left = left[os.write(self._descriptor, left) :]

    def remove(self) -> None:
        """Remove the file; one that stays is written to the same Parquet files again at the next start."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with suppress(OSError):
            self.path.unlink()


def spool_files(store_dir: Path) -> list[Path]:
    """The spool files of a store, oldest first."""
    return sorted((store_dir / TICKS_FOLDER).glob(f"*/*{SUFFIX}"))


def read_spool(path: Path) -> Iterator[Chunk]:
    """The chunks of a spool file, up to the last whole one; raises ``OSError`` when it cannot be read."""
    with open(path, "rb") as file:
        left = os.fstat(file.fileno()).st_size
        while len(header := file.read(HEADER_BYTES)) == HEADER_BYTES:
            size = int(np.frombuffer(header, FRAME)["count"][0]) * TICK.itemsize
            left -= HEADER_BYTES + size
            try:
                found, ticks = decode_frame(header + file.read(size) if left >= 0 else header)
            except FrameError:
                return
            if found.kind != RecordKind.TICK:
                return
            yield Chunk(found.session, found.seq, ticks)
