"""How far a replay has come, in a file that outlives the gateway: a restarted one goes on from there."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Final

PROGRESS_FILE: Final = "replay.progress"
_LAYOUT: Final = struct.Struct("<4sIqqq")
_POSITION: Final = struct.Struct("<q")
_POSITION_AT: Final = _LAYOUT.size - _POSITION.size
_MAGIC: Final = b"zRPL"


class ProgressFile:
    """The replay's position in a memory-mapped file: setting it is one store, and a killed process leaves it behind.

    The file belongs to one session: it holds the identity (time and inode) of the session file that the supervisor
    wrote at its start, and one of another session, or a damaged one, is begun anew.

    Parameters
    ----------
    folder
        The session's run folder.
    session_file
        Where the supervisor wrote the session; without it no position is taken over.
    """

    def __init__(self, folder: Path, session_file: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / PROGRESS_FILE
        identity = _identity(session_file)
        if not _belongs_to(path, identity):
            partial = path.with_suffix(".partial")
            partial.write_bytes(_LAYOUT.pack(_MAGIC, 1, *identity, 0))
            partial.replace(path)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _LAYOUT.size)

    @property
    def position(self) -> int:
        """Recorded time of the last tick that was handed on, ns; 0 when none was."""
        return int(_POSITION.unpack_from(self._map, _POSITION_AT)[0])

    @position.setter
    def position(self, ts: int) -> None:
        _POSITION.pack_into(self._map, _POSITION_AT, ts)

    def close(self) -> None:
        self._map.close()


def _identity(session_file: Path) -> tuple[int, int]:
    try:
        status = session_file.stat()
    except FileNotFoundError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino


def _belongs_to(path: Path, identity: tuple[int, int]) -> bool:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    if len(content) != _LAYOUT.size or identity == (0, 0):
        return False
    magic, version, *written_for, position = _LAYOUT.unpack(content)
    return (magic, version) == (_MAGIC, 1) and tuple(written_for) == identity and position >= 0
