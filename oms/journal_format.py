"""The journal's format: the entry header, the file's own records, and the one function that checks entries.

``oms.journal`` writes it and ``oms.journal_reader`` reads it; the format is described in ``docs/journal.md``.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from oms.records import RECORD_DTYPES

Records = npt.NDArray[np.void]

FORMAT_VERSION: Final = 1
SUFFIX: Final = ".journal"
ACCOUNT_BYTES: Final = 96

JOURNAL_ENTRY = np.dtype(
    [
        ("magic", "<u4"),
        ("version", "u1"),  # FORMAT_VERSION
        ("kind", "u1"),  # RecordKind, or MetaKind for the file's own entries
        ("direction", "u1"),  # Direction
        ("spare", "u1"),
        ("number", "<i8"),  # of the entry in its file, from 0
        ("ts", "<i8"),  # ns, wall clock, when the entry was appended
        ("count", "<u4"),  # records that follow
        ("crc32", "<u4"),  # over the 28 bytes before it, then the records' bytes
    ]
)
"""Header of every entry, 32 bytes, followed by ``count`` records of one kind."""

SESSION = np.dtype(
    [
        ("session", "<i8"),  # ns at which the core session started; the file's name
        ("format_version", "<u4"),
        ("wire_version", "<u4"),  # of the records
        ("account", f"S{ACCOUNT_BYTES}"),  # UTF-8
        ("spare", "<i8", (2,)),
    ]
)
"""The one record of a file's first entry, 128 bytes."""


class MetaKind(IntEnum):
    """Kinds of the journal's own entries, beside ``RecordKind``."""

    SESSION = 128
    CLOSE = 129
    """The session ended in good order; nothing follows."""


class Direction(IntEnum):
    INPUT = 1
    """What the core was given: commands, reports."""
    OUTPUT = 2
    """What the core asks of an exchange."""
    EVENT = 3
    """What the core told everyone."""


class JournalError(RuntimeError):
    """The journal cannot be written, or a file of it is damaged; the message names file, place and remedy."""


class JournalDamageError(JournalError):
    """A file is damaged in the middle.

    Attributes
    ----------
    path : Path
    offset : int
        Where what cannot be read starts.
    resume_offset, resume_number : int
        The next whole entry behind it: ``JournalTail(path, resume_offset, resume_number)`` reads on, for a reader that
        counts what is missing.
    """

    def __init__(self, path: Path, offset: int, number: int, resume_offset: int, resume_number: int) -> None:
        super().__init__(
            f"journal {path} is damaged at offset {offset} (entry {number}), and entry {resume_number} follows at"
            f" offset {resume_offset}: restore the file from a copy, or move it away"
        )
        self.path = path
        self.offset = offset
        self.resume_offset = resume_offset
        self.resume_number = resume_number


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

assert JOURNAL_ENTRY.itemsize == HEADER_BYTES == 32
assert SESSION.itemsize == 128


def journal_path(folder: Path, session: int) -> Path:
    """The file of a core session's journal."""
    return folder / f"{session:020d}{SUFFIX}"


def entry_bytes(header: bytes) -> int:
    """The size in bytes of the entry with this header, as far as it can be believed; 0 when it is no header."""
    if len(header) < HEADER_BYTES:
        return 0
    magic, _, kind, _, _, _, _, count, _ = HEADER.unpack_from(header)
    return HEADER_BYTES + count * ITEMSIZE.get(kind, 0) if magic == MAGIC else 0


def check_entries(chunk: bytes, base: int) -> list[Entry]:
    """The whole, sound entries that a chunk of a file starts with.

    Parameters
    ----------
    chunk : bytes
        Bytes of a file from offset ``base``, where an entry starts.
    base : int

    Returns
    -------
    list of Entry
        Up to the first entry that is not whole, not sound, or does not follow the number of the one before it.
    """
    entries: list[Entry] = []
    view = memoryview(chunk)
    end = len(chunk)
    start = 0
    following: int | None = None
    unpack_from, frombuffer, last_header = HEADER.unpack_from, np.frombuffer, end - HEADER_BYTES
    while start <= last_header:
        magic, version, kind, direction, spare, number, ts, count, checksum = unpack_from(chunk, start)
        itemsize = ITEMSIZE.get(kind)
        if magic != MAGIC or version != FORMAT_VERSION or itemsize is None or spare:
            break
        payload = start + HEADER_BYTES
        behind = payload + count * itemsize
        if behind > end or (following is not None and number != following):
            break
        if crc32(view[payload:behind], crc32(view[start : payload - 4])) != checksum:
            break
        records: Records = frombuffer(chunk, DTYPES[kind], count, payload) if count else np.zeros(0, DTYPES[kind])
        entries.append(Entry(kind, direction, number, ts, records, base + start))
        following = number + 1
        start = behind
    return entries
