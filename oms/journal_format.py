"""The journal's format: file names, the entry header, the files' own records, and what can be wrong with a file.

``oms.journal`` writes it and ``oms.journal_reader`` reads it; the format is described in ``docs/journal.md``.
"""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.records import RECORD_DTYPES

Records = npt.NDArray[np.void]

FORMAT_VERSION: Final = 5
SUFFIX: Final = ".journal"
ACCOUNT_BYTES: Final = 88
ANY_NUMBER: Final = -1
"""In the place of an entry's number: whichever the file's first entry has."""

JOURNAL_ENTRY = np.dtype(
    [
        ("magic", "<u4"),
        ("version", "u1"),  # FORMAT_VERSION
        ("kind", "u1"),  # RecordKind, or MetaKind for the files' own entries
        ("direction", "u1"),  # Direction
        ("spare", "u1"),
        ("number", "<i8"),  # of the entry in its session, from 0, over all segments
        ("ts", "<i8"),  # ns, wall clock: when the entry was appended; TICK: when its frame was sent
        ("count", "<u4"),  # records that follow
        ("crc32", "<u4"),  # over the 28 bytes before it, then the records' bytes
    ]
)
"""Header of every entry, 32 bytes, followed by ``count`` records of one kind."""

SESSION = np.dtype(
    [
        ("session", "<i8"),  # ns at which the core session started; in the file's name
        ("format_version", "<u4"),
        ("wire_version", "<u4"),  # of the records
        ("account", f"S{ACCOUNT_BYTES}"),  # UTF-8
        ("first_number", "<i8"),  # of the entries in this segment: this entry's own
        ("first_event", "<i8"),  # seq of the first event in this segment, or of the next one
        ("segment", "<u4"),
        ("spare", "<u4"),
    ]
)
"""The one record of each segment's first entry, 128 bytes."""


class MetaKind(IntEnum):
    """Kinds of the journal's own entries, beside ``RecordKind``."""

    SESSION = 128
    CLOSE = 129
    """The session ended in good order; nothing follows."""


class Direction(IntEnum):
    INPUT = 1
    """What the core was given: commands, reports, ticks."""
    OUTPUT = 2
    """What the core asks of an exchange, and what the exchange model in it answers."""
    EVENT = 3
    """What the core told everyone."""


class JournalError(RuntimeError):
    """The journal cannot be written, or a file of it is damaged; the message names file, place and remedy."""


class JournalVersionError(JournalError):
    """A file was written by a newer zoms."""


class JournalTruncatedError(JournalError):
    """What was asked for was in segments that have been removed: a snapshot covers them."""


class JournalDamageError(JournalError):
    """A file is damaged in the middle, or missing between others.

    Attributes
    ----------
    path : Path
    offset : int
        Where what cannot be read starts.
    resume_path, resume_offset, resume_number : Path, int, int
        The next whole entry behind it: ``JournalTail(resume_path, resume_offset, resume_number)`` reads on, for a
        reader that counts what is missing.
    """

    def __init__(
        self, path: Path, offset: int, number: int, resume_path: Path, resume_offset: int, resume_number: int
    ) -> None:
        where = f"offset {resume_offset}" if resume_path == path else f"offset {resume_offset} of {resume_path.name}"
        follows = "what follows is" if resume_number == ANY_NUMBER else f"entry {resume_number} follows"
        super().__init__(
            f"journal {path} is damaged at offset {offset} (entry {number}), and {follows} at {where}: restore the file"
            " from a copy, or move it away"
        )
        self.path = path
        self.offset = offset
        self.resume_path = resume_path
        self.resume_offset = resume_offset
        self.resume_number = resume_number


class MissingSegmentError(JournalDamageError):
    """A segment is missing between others."""

    def __init__(self, path: Path, before: Path, behind: Path) -> None:
        super().__init__(path, 0, ANY_NUMBER, behind, 0, ANY_NUMBER)
        self.args = (
            f"journal {path} is missing between {before.name} and {behind.name}, so the entries in it are damaged at"
            " offset 0: restore the file from a copy",
        )


class Entry(NamedTuple):
    """One whole, checked entry; ``records`` is a read-only array of the kind's dtype, ``offset`` its place."""

    kind: int
    direction: int
    number: int
    ts: int
    records: Records
    offset: int


FIELDS: Final = struct.Struct("<IBBBBqqI")
"""The header but its checksum."""
HEADER: Final = struct.Struct("<IBBBBqqII")
CHECKSUM: Final = struct.Struct("<I")
HEADER_BYTES: Final = HEADER.size
MAGIC_BYTES: Final = b"zomJ"
MAGIC: Final = int.from_bytes(MAGIC_BYTES, "little")

DTYPES: Final[dict[int, np.dtype[Any]]] = {
    **{int(kind): dtype for kind, dtype in RECORD_DTYPES.items()},
    int(MetaKind.SESSION): SESSION,
    int(MetaKind.CLOSE): np.dtype("V1"),
}
ITEMSIZE: Final = {kind: dtype.itemsize for kind, dtype in DTYPES.items()}
"""Bytes of one record, by kind; the same in every format version."""

assert JOURNAL_ENTRY.itemsize == HEADER_BYTES == 32
assert SESSION.itemsize == 128

_NAME: Final = re.compile(r"([0-9]{20})(?:\.([0-9]{6}))?\.journal")


def journal_path(folder: Path, session: int, segment: int = 0) -> Path:
    """The file of one segment of a core session's journal."""
    return folder / f"{session:020d}.{segment:06d}{SUFFIX}"


def place_of(path: Path) -> tuple[int, int] | None:
    """Session and segment as the file's name says them, None when it is no journal's name.

    A file of format version 1 is named by its session alone: its segment is 0, and the only one.
    """
    match = _NAME.fullmatch(path.name)
    return (int(match[1]), int(match[2] or 0)) if match else None


def session_of(path: Path) -> int:
    """The core session whose journal this file is.

    Raises
    ------
    JournalError
        When the file's name is no journal's.
    """
    place = place_of(path)
    if place is None:
        raise JournalError(f"{path} is not named like a journal, such as {journal_path(Path(), 1)}: use its own name")
    return place[0]


def entry_bytes(header: bytes) -> int:
    """The size in bytes of the entry with this header, as far as it can be believed; 0 when it is no header."""
    if len(header) < HEADER_BYTES:
        return 0
    magic, _, kind, _, _, _, _, count, _ = HEADER.unpack_from(header)
    return HEADER_BYTES + count * ITEMSIZE.get(kind, 0) if magic == MAGIC else 0
