"""The fast way through a journal: a compiled pass over a segment's bytes that checks every entry and notes where it is.

It takes what ``oms.journal_reader`` takes and stops where that stops, several million entries a second: recovery and
``zoms replay`` stand on it. Records are 64 or 128 bytes and headers 32, so everything in a file lies on a multiple of
32 bytes, and the pass reads 64-bit words.

The checksum is zlib's CRC-32 by slicing: M. Kounavis and F. Berry, "Novel Table Lookup-Based Algorithms for
High-Performance CRC Generation", IEEE Transactions on Computers 57 (2008), here sixteen bytes at a time.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from oms.compiled import array_of, entry, kernel
from oms.journal_format import (
    ANY_NUMBER,
    DTYPES,
    FORMAT_VERSION,
    HEADER_BYTES,
    ITEMSIZE,
    MAGIC,
    Entry,
    JournalDamageError,
    JournalError,
    MetaKind,
    Records,
    place_of,
)
from oms.journal_reader import JournalTail, Torn
from oms.journal_segments import segment_start, segments_from
from oms.journal_versions import upgraded

INDEX = np.dtype(
    [
        ("number", "<i8"),
        ("ts", "<i8"),
        ("offset", "<i8"),  # of the records, in bytes from the file's start
        ("count", "<u4"),  # records
        ("kind", "u1"),
        ("direction", "u1"),
        ("version", "u1"),  # of the format
        ("spare", "u1"),
    ]
)
"""One entry of a segment, 32 bytes."""

Words = npt.NDArray[np.uint64]

SLICES: Final = 16
WORD: Final = 8
_HEADER_WORDS: Final = HEADER_BYTES // WORD
_POLYNOMIAL: Final = 0xEDB88320
_MAGIC: Final = np.uint64(MAGIC)
_KINDS: Final = 256
_UINT32: Final = np.uint64(0xFFFFFFFF)
_BYTE: Final = np.uint64(0xFF)
_SHIFTS: Final = tuple(np.uint64(8 * i) for i in range(8))
_HALF: Final = np.uint64(32)


def _crc_tables() -> npt.NDArray[np.uint32]:
    """Row k has the checksum of each byte with k zero bytes behind it."""
    tables = np.zeros((SLICES, 256), np.uint32)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        tables[0, byte] = value
    for k in range(1, SLICES):
        before = tables[k - 1]
        tables[k] = (before >> 8) ^ tables[0][before & 0xFF]
    return tables


TABLES: Final = _crc_tables()
"""The checksum's tables, shape (16, 256)."""
ITEM_WORDS: Final = np.zeros(_KINDS, np.int64)
"""64-bit words of one record, by kind; 0: there is no such kind (or it has no records)."""
KNOWN: Final = np.zeros(_KINDS, np.int64)
for _kind, _size in ITEMSIZE.items():
    KNOWN[_kind] = 1
    ITEM_WORDS[_kind] = _size // WORD
assert all(size % (2 * WORD) == 0 for kind, size in ITEMSIZE.items() if kind != MetaKind.CLOSE)


@kernel
def crc_word(tables: Any, crc: Any, word: Any) -> Any:
    """The checksum after eight more bytes."""
    x = np.uint64(word) ^ np.uint64(crc)
    return np.uint64(
        tables[7, x & _BYTE]
        ^ tables[6, (x >> _SHIFTS[1]) & _BYTE]
        ^ tables[5, (x >> _SHIFTS[2]) & _BYTE]
        ^ tables[4, (x >> _SHIFTS[3]) & _BYTE]
        ^ tables[3, (x >> _SHIFTS[4]) & _BYTE]
        ^ tables[2, (x >> _SHIFTS[5]) & _BYTE]
        ^ tables[1, (x >> _SHIFTS[6]) & _BYTE]
        ^ tables[0, x >> _SHIFTS[7]]
    )


@kernel
def crc_two_words(tables: Any, crc: Any, first: Any, second: Any) -> Any:
    """The checksum after sixteen more bytes."""
    x = np.uint64(first) ^ np.uint64(crc)
    y = np.uint64(second)
    return np.uint64(
        tables[15, x & _BYTE]
        ^ tables[14, (x >> _SHIFTS[1]) & _BYTE]
        ^ tables[13, (x >> _SHIFTS[2]) & _BYTE]
        ^ tables[12, (x >> _SHIFTS[3]) & _BYTE]
        ^ tables[11, (x >> _SHIFTS[4]) & _BYTE]
        ^ tables[10, (x >> _SHIFTS[5]) & _BYTE]
        ^ tables[9, (x >> _SHIFTS[6]) & _BYTE]
        ^ tables[8, x >> _SHIFTS[7]]
        ^ tables[7, y & _BYTE]
        ^ tables[6, (y >> _SHIFTS[1]) & _BYTE]
        ^ tables[5, (y >> _SHIFTS[2]) & _BYTE]
        ^ tables[4, (y >> _SHIFTS[3]) & _BYTE]
        ^ tables[3, (y >> _SHIFTS[4]) & _BYTE]
        ^ tables[2, (y >> _SHIFTS[5]) & _BYTE]
        ^ tables[1, (y >> _SHIFTS[6]) & _BYTE]
        ^ tables[0, y >> _SHIFTS[7]]
    )


@kernel
def entry_crc(tables: Any, words: Any, at: int, behind: int) -> Any:
    """The checksum of the entry whose header is at word ``at`` and whose records end before word ``behind``."""
    crc = crc_two_words(tables, _UINT32, words[at], words[at + 1])
    crc = crc_word(tables, crc, words[at + 2])
    count = (words[at + 3] & _UINT32) ^ np.uint64(crc)
    crc = np.uint64(
        tables[3, count & _BYTE]
        ^ tables[2, (count >> _SHIFTS[1]) & _BYTE]
        ^ tables[1, (count >> _SHIFTS[2]) & _BYTE]
        ^ tables[0, count >> _SHIFTS[3]]
    )
    for i in range(at + _HEADER_WORDS, behind, 2):
        crc = crc_two_words(tables, crc, words[i], words[i + 1])
    return np.uint64(crc) ^ _UINT32


@entry(
    lambda: numba.int64(
        numba.types.Array(numba.uint64, 1, "C", readonly=True),
        numba.types.Array(numba.uint32, 2, "C"),
        numba.types.Array(numba.int64, 1, "C"),
        numba.types.Array(numba.int64, 1, "C"),
        array_of(INDEX),
        numba.types.Array(numba.int64, 1, "C"),
    )
)
def scan_entries(words: Any, tables: Any, known: Any, item_words: Any, index: Any, place: Any) -> int:
    """Check entries and note them in the index, until it is full or something is not whole, not sound, or out of order.

    Parameters
    ----------
    words : array of uint64
        The file.
    tables : array of uint32, shape (16, 256)
    known, item_words : array of int64, shape (256,)
        By kind: whether there is such a kind, and the words of one record.
    index : array of INDEX
    place : array of int64, shape (2,)
        Word at which to begin, and the number that must be there (``ANY_NUMBER``: whichever); on return, where to go
        on.

    Returns
    -------
    int
        Entries noted.
    """
    size = words.shape[0]
    at, number = place[0], place[1]
    found = 0
    while found < index.shape[0] and at + _HEADER_WORDS <= size:
        head = words[at]
        kind = np.int64((head >> _SHIFTS[5]) & _BYTE)
        if (head & _UINT32) != _MAGIC or (head >> _SHIFTS[7]) != 0 or known[kind] == 0:
            break
        count = np.int64(words[at + 3] & _UINT32)
        behind = at + _HEADER_WORDS + count * item_words[kind]
        said = np.int64(words[at + 1])
        if behind > size or (number != ANY_NUMBER and number != said):
            break
        if entry_crc(tables, words, at, behind) != words[at + 3] >> _HALF:
            break
        row = index[found]
        row["number"] = said
        row["ts"] = np.int64(words[at + 2])
        row["offset"] = (at + _HEADER_WORDS) * WORD
        row["count"] = count
        row["kind"] = kind
        row["direction"] = (head >> _SHIFTS[6]) & _BYTE
        row["version"] = (head >> _SHIFTS[4]) & _BYTE
        found += 1
        number = said + 1
        at = behind
    place[0], place[1] = at, number
    return found


@entry(
    lambda: numba.int64(
        numba.types.Array(numba.uint64, 1, "C", readonly=True),
        array_of(INDEX, readonly=True),
        numba.int64,
        numba.int64,
        numba.int64,
        numba.types.Array(numba.uint64, 1, "C"),
    )
)
def gather_words(words: Any, index: Any, kind: int, direction: int, item_words: int, out: Any) -> int:
    """Copy the records of one kind and direction, entry after entry, and return how many words they are."""
    filled = 0
    for i in range(index.shape[0]):
        row = index[i]
        if row["kind"] != kind or row["direction"] != direction:
            continue
        start = np.int64(row["offset"]) // WORD
        for word in range(start, start + np.int64(row["count"]) * item_words):
            out[filled] = words[word]
            filled += 1
    return filled


class SegmentScan(NamedTuple):
    """One segment, checked whole.

    Attributes
    ----------
    path : Path
    words : array of uint64
        The file's bytes, read-only.
    entries : array of INDEX
        Its entries, in order.
    torn : Torn or None
        The incomplete entry that the session ends with.
    """

    path: Path
    words: Words
    entries: npt.NDArray[np.void]
    torn: Torn | None

    @property
    def closed(self) -> bool:
        """Whether the session ends here, in good order."""
        return bool(len(self.entries)) and int(self.entries["kind"][-1]) == MetaKind.CLOSE

    @property
    def following(self) -> int:
        """Number of the entry that comes after this segment's."""
        return int(self.entries["number"][-1]) + 1 if len(self.entries) else ANY_NUMBER

    def records(self, kind: int, direction: int) -> Records:
        """The records of one kind and direction of all entries, in order, as this version has them: a copy."""
        rows = self.entries[(self.entries["kind"] == kind) & (self.entries["direction"] == direction)]
        item_words = ITEMSIZE[kind] // WORD
        out = np.empty(int(rows["count"].sum(dtype=np.int64)) * item_words, np.uint64)
        gather_words(self.words, rows, kind, direction, item_words, out)
        return self._now(kind, int(rows["version"][0]) if len(rows) else FORMAT_VERSION, out.view(DTYPES[kind]))

    def entry(self, row: int) -> Entry:
        """One entry by its row of the index, as the readers give it."""
        said = self.entries[row]
        kind, offset, count = int(said["kind"]), int(said["offset"]), int(said["count"])
        raw = self.words.view(np.uint8)[offset : offset + count * ITEMSIZE[kind]] if count else np.zeros(0, np.uint8)
        records = self._now(kind, int(said["version"]), raw.view(DTYPES[kind]))
        return Entry(kind, int(said["direction"]), int(said["number"]), int(said["ts"]), records, offset - HEADER_BYTES)

    def _now(self, kind: int, version: int, records: Records) -> Records:
        return records if version == FORMAT_VERSION else upgraded(self.path, version, kind, records)


def scan_segment(path: Path, number: int = ANY_NUMBER) -> SegmentScan:
    """Check a whole segment.

    Parameters
    ----------
    path : Path
    number : int
        That its first entry must have.

    Raises
    ------
    JournalVersionError
        When it was written by a newer zoms.
    JournalError
        When it cannot be read, or is damaged anywhere but at its end.
    """
    content = _mapped(path)
    words = content[: len(content) // WORD * WORD].view(np.uint64)
    index = np.empty(len(words) // _HEADER_WORDS // 4 + 1, INDEX)
    place = np.array([0, number], np.int64)
    parts = []
    while True:
        found = scan_entries(words, TABLES, KNOWN, ITEM_WORDS, index, place)
        parts.append(index[:found])
        if found < len(index):
            break
        index = np.empty(len(index), INDEX)
    rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
    scan = SegmentScan(path, words, rows, None)
    if not len(rows) and not len(content):
        return scan
    offset = int(place[0]) * WORD
    _refuse_strangers(scan, number)
    if offset == len(content):
        return scan
    if any(JournalTail(path, offset, int(place[1])).read_segment()):
        return scan  # the rest of it has arrived meanwhile
    return scan._replace(torn=Torn(offset, len(content) - offset))


def _mapped(path: Path) -> npt.NDArray[np.uint8]:
    """A file's bytes, in memory without a copy: journals only grow, so what is mapped stays."""
    try:
        with open(path, "rb", buffering=0) as file:
            if not os.fstat(file.fileno()).st_size:
                return np.zeros(0, np.uint8)
            flags = mmap.MAP_SHARED | mmap.MAP_POPULATE
            return np.frombuffer(mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ), np.uint8)
    except OSError as error:
        raise JournalError(f"journal {path} cannot be read: {error.strerror}; check data_dir") from error


def _refuse_strangers(scan: SegmentScan, number: int) -> None:
    """Raise when the file does not begin with its own session entry, or has entries of a version that is not known."""
    place = place_of(scan.path)
    start = segment_start(scan.path)
    if place is not None and len(scan.entries) and (start is None or (start.session, start.segment) != place):
        raise JournalDamageError(scan.path, 0, max(number, 0), scan.path, 0, int(scan.entries["number"][0]))
    for version in np.unique(scan.entries["version"]).tolist():
        upgraded(scan.path, version, int(MetaKind.CLOSE), np.zeros(0, DTYPES[int(MetaKind.CLOSE)]))


def scan_session(path: Path) -> Iterator[SegmentScan]:
    """Check a session from one of its segments on, a segment at a time.

    Parameters
    ----------
    path : Path
        The segment to begin with; those behind it follow.

    Raises
    ------
    JournalError
        As ``read_journal`` does.
    """
    number = ANY_NUMBER if (place_of(path) or (0, 0))[1] else 0
    files = segments_from(path)
    for i, each in enumerate(files):
        scan = scan_segment(each, number)
        if i + 1 < len(files):
            JournalTail(each).following_segment()
            if scan.torn is not None or not len(scan.entries):
                offset = scan.torn.offset if scan.torn else 0
                expected = scan.following if len(scan.entries) else number
                raise JournalDamageError(each, offset, expected, files[i + 1], 0, ANY_NUMBER)
        number = scan.following
        yield scan
