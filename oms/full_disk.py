"""A full disk: how it is told apart from other failures, and a log that outlives it.

A process's log mostly lies on the disk that is full, so its last words are lost with it. What it cannot say it says by
its exit status (``oms.lifecycle.NO_SPACE``), and its supervisor puts that into words.
"""

from __future__ import annotations

import errno
import io
import os
from typing import Final

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""No space, the quota is used up, the file may not grow."""


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that it comes from, is of a disk that takes no more."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


class LogStream(io.TextIOBase):
    """Standard error of a process that must go on when its log cannot be written: a line is lost, nothing else.

    Nothing waits in it, so that there is nothing to be written at the process's end either.

    Parameters
    ----------
    descriptor
        Of the log.
    """

    encoding = "utf-8"

    def __init__(self, descriptor: int = 2) -> None:
        super().__init__()
        self._descriptor = descriptor

    def write(self, text: str, /) -> int:
        """Write all of it, or what goes."""
        left = text.encode(errors="backslashreplace")
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            pass
        return len(text)

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """Of the log."""
        return self._descriptor
