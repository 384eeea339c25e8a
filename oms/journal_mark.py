"""How far a session is on disk, told by its writer to those who read the files beside it.

Written bytes can be read before they are synced, and until then a loss of power takes them back. The mark is eight
bytes in a mapped file, ``<session:020d>.durable``: setting it is one store.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final, NamedTuple

OFFSET_BITS: Final = 40
_MARK: Final = struct.Struct("<Q")


class Durable(NamedTuple):
    """The segments before ``segment`` are on disk, and of that one the first ``offset`` bytes."""

    segment: int
    offset: int


def mark_path(folder: Path, session: int) -> Path:
    return folder / f"{session:020d}.durable"


class DurableMark:
    """The writer's end; the file is made, and says that nothing is durable yet."""

    def __init__(self, folder: Path, session: int) -> None:
        path = mark_path(folder, session)
        path.write_bytes(_MARK.pack(0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _MARK.size)

    def set(self, segment: int, offset: int) -> None:
        _MARK.pack_into(self._map, 0, segment << OFFSET_BITS | offset)

    def close(self) -> None:
        self._map.close()


def read_mark(folder: Path, session: int) -> Durable | None:
    """The reader's end; None: the session's writer does not sync, so that what is there counts."""
    try:
        content = mark_path(folder, session).read_bytes()
    except FileNotFoundError:
        return None
    if len(content) != _MARK.size:
        return Durable(0, 0)  # it is being made
    (mark,) = _MARK.unpack(content)
    return Durable(mark >> OFFSET_BITS, mark & ((1 << OFFSET_BITS) - 1))
