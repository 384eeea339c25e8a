"""Room in the folder for temporary files, which may be small: where there is none, an error says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike


class RoomError(RuntimeError):
    """There is no room for a temporary file; the message names the folder."""


@contextmanager
def room(folder: PathLike[str] | str, what: str) -> Iterator[None]:
    """Around writing ``what`` to a temporary file of ``folder``; raises ``RoomError`` where there is no room for it."""
    try:
        yield
    except OSError as error:
        raise RoomError(
            f"{folder} has no room for {what} ({error.strerror}): make some, or name another folder by TMPDIR"
        ) from error
