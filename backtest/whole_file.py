"""Files of results: written beside their place, and put there when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class FileError(ValueError):
    """A file that cannot be written; the message names it, and says why and what to do."""


def check_writable(path: Path, what: str) -> None:
    """Check that a file can be put at ``path``; raises ``FileError``, which calls it ``what``."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise FileError(f"{what} {path} cannot be written: there is no folder {folder}")
    if path.is_dir():
        raise FileError(f"{what} {path} cannot be written: {path} is a folder, name another file")
    for place in (folder, path):
        if place.exists() and not os.access(place, os.W_OK):
            raise FileError(f"{what} {path} cannot be written: {place} is read-only, name another file")


@contextmanager
def whole_file(path: Path, what: str) -> Iterator[Path]:
    """A path to write to, of a file that takes the place of ``path`` when it is whole; else that stays as it was.

    Raises
    ------
    FileError
        When it cannot be written, as where the disk is full; it calls the file ``what``.
    """
    check_writable(path, what)
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")  # what draws goes by the suffix
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        raise FileError(f"{what} {path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
