"""The one function that checks a journal's entries."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np

from oms.journal_format import DTYPES, FORMAT_VERSION, HEADER, HEADER_BYTES, ITEMSIZE, MAGIC, Entry, Records
from oms.journal_versions import upgraded


def check_entries(chunk: bytes, base: int, path: Path) -> list[Entry]:
    """The whole, sound entries that a chunk of a file starts with, their records as this version has them.

    Parameters
    ----------
    chunk : bytes
        Bytes of the file from offset ``base``, where an entry starts.
    base : int
    path : Path

    Returns
    -------
    list of Entry
        Up to the first entry that is not whole, not sound, or does not follow the number of the one before it.

    Raises
    ------
    JournalVersionError
        When an entry is whole and sound, and of a version that this zoms does not know.
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
        if magic != MAGIC or itemsize is None or spare:
            break
        payload = start + HEADER_BYTES
        behind = payload + count * itemsize
        if behind > end or (following is not None and number != following):
            break
        if crc32(view[payload:behind], crc32(view[start : payload - 4])) != checksum:
            break
        records: Records = frombuffer(chunk, DTYPES[kind], count, payload) if count else np.zeros(0, DTYPES[kind])
        if version != FORMAT_VERSION:
            records = upgraded(path, version, kind, records)
        entries.append(Entry(kind, direction, number, ts, records, base + start))
        following = number + 1
        start = behind
    return entries
