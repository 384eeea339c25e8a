"""Reading the journal: whole files, files that are still being written, and events from a sequence number on.

A crash may leave a file's last entry incomplete: readers give every whole entry before it and name it as torn. Damage
that whole entries follow is never passed over: it raises ``JournalError`` with the file and the offset.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from oms.journal_format import (
    HEADER_BYTES,
    MAGIC_BYTES,
    SUFFIX,
    Entry,
    JournalDamageError,
    JournalError,
    MetaKind,
    Records,
    check_entries,
    entry_bytes,
    journal_path,
)
from oms.records import EVENT, RecordKind

READ_BYTES: Final = 1024 * 1024
BLOCK_RECORDS: Final = 8192


class Torn(NamedTuple):
    """An incomplete last entry: where it starts, and how many bytes of it are there."""

    offset: int
    size: int


class EventBlock(NamedTuple):
    """Consecutive EVENT records of one core session."""

    session: int
    records: Records


class JournalTail:
    """Follows one journal file: each ``read`` gives the whole entries that were appended since the last one.

    Attributes
    ----------
    offset : int
        Where the next entry starts.
    number : int
        The number that it must have.
    pending : int
        Bytes of an incomplete entry at ``offset`` when ``read`` last came to the end of the file.
    closed : bool
        The close entry has been read.
    """

    def __init__(self, path: Path, offset: int = 0, number: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.number = number
        self.pending = 0
        self.closed = False

    def read(self) -> Iterator[Entry]:
        """Yield the whole entries from ``offset`` on, up to the file's end or an incomplete entry.

        Raises
        ------
        JournalError
            When the file cannot be read, or what is at ``offset`` is damaged and whole entries follow it.
        """
        try:
            with open(self.path, "rb", buffering=0) as file:
                yield from self._read(file.fileno())
        except OSError as error:
            raise JournalError(f"journal {self.path} cannot be read: {error.strerror}; check data_dir") from error

    def _read(self, descriptor: int) -> Iterator[Entry]:
        size = os.fstat(descriptor).st_size
        if size < self.offset:
            raise JournalError(
                f"journal {self.path} has {size} bytes and had {self.offset}: something else than the core writes to"
                " it; stop that and restore the file from a copy"
            )
        wanted = READ_BYTES
        while self.offset < size:
            chunk = os.pread(descriptor, min(wanted, size - self.offset), self.offset)
            entries = check_entries(chunk, self.offset)
            if entries and entries[0].number == self.number:
                for entry in entries:
                    self.offset = entry.offset + HEADER_BYTES + entry.records.nbytes
                    self.number = entry.number + 1
                    self.closed = entry.kind == MetaKind.CLOSE
                    yield entry
                wanted = READ_BYTES
            elif wanted < (needed := entry_bytes(chunk)) <= size - self.offset:
                wanted = needed
            else:
                self._refuse_damage(descriptor, size)
                break
        self.pending = size - self.offset

    def _refuse_damage(self, descriptor: int, size: int) -> None:
        """Raise when a whole entry is at ``offset`` or behind it: then what is at ``offset`` is no torn end."""
        position = self.offset
        while position + HEADER_BYTES <= size:
            chunk = os.pread(descriptor, min(READ_BYTES, size - position), position)
            found = chunk.find(MAGIC_BYTES)
            if found < 0:
                position += max(len(chunk) - len(MAGIC_BYTES) + 1, 1)
                continue
            position += found
            needed = entry_bytes(os.pread(descriptor, HEADER_BYTES, position))
            if position + needed <= size:
                entries = check_entries(os.pread(descriptor, needed, position), position)
                if entries and position == self.offset and entries[0].number == self.number:
                    return  # its last bytes arrived meanwhile
                if entries:
                    raise JournalDamageError(self.path, self.offset, self.number, position, entries[0].number)
            position += 1


class JournalReader:
    """Iterates over the whole entries of one file, the session header and the close entry included.

    Attributes
    ----------
    torn : Torn or None
        After the last entry: the incomplete entry that the file ends with.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn: Torn | None = None
        self._tail = JournalTail(path)
        self._entries = self._read()

    def _read(self) -> Iterator[Entry]:
        yield from self._tail.read()
        self.torn = Torn(self._tail.offset, self._tail.pending) if self._tail.pending else None

    @property
    def closed(self) -> bool:
        """Whether the close entry has been read."""
        return self._tail.closed

    def __iter__(self) -> Iterator[Entry]:
        return self._entries

    def __next__(self) -> Entry:
        return next(self._entries)


def read_journal(path: Path) -> JournalReader:
    """Read a journal file from its start.

    Raises
    ------
    JournalError
        While iterating: when the file cannot be read, or is damaged anywhere but at its end.
    """
    return JournalReader(path)


def sessions(folder: Path) -> list[Path]:
    """The journal files of a folder, oldest session first; none when there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if len(path.stem) == 20 and path.stem.isdecimal())


def session_of(path: Path) -> int:
    """The core session whose journal this file is."""
    return int(path.stem)


def last_session_clean(folder: Path) -> bool | None:
    """Whether the newest session was closed in good order; None when there is no journal."""
    files = sessions(folder)
    if not files:
        return None
    try:
        with open(files[-1], "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - HEADER_BYTES, 0))
            entries = check_entries(file.read(HEADER_BYTES), size - HEADER_BYTES)
    except OSError as error:
        raise JournalError(f"journal {files[-1]} cannot be read: {error.strerror}; check data_dir") from error
    return bool(entries) and entries[0].kind == MetaKind.CLOSE


def event_blocks_since(folder: Path, session: int, seq: int) -> Iterator[EventBlock]:
    """The events of ``session`` from ``seq`` on and of all later sessions, in order, in blocks with their session.

    The records of small entries are joined, so that a block has thousands of records where the journal has them.

    Raises
    ------
    JournalError
        When the session's file is missing, or a file is damaged anywhere but at its end.
    """
    files = [path for path in sessions(folder) if session_of(path) >= session]
    if not files or session_of(files[0]) != session:
        raise JournalError(
            f"journal {journal_path(folder, session)} is missing: events from {seq} on cannot be repaired; restore it"
            " from a copy"
        )
    for path in files:
        this = session_of(path)
        for records in session_events_since(path, seq if this == session else 0):
            yield EventBlock(this, records)


def session_events_since(path: Path, seq: int) -> Iterator[Records]:
    """The events of one journal file from ``seq`` on, in order, in arrays of some thousands."""
    for records in joined_events(tail_at_event(path, seq).read()):
        wanted = records[records["seq"] >= seq] if records["seq"][0] < seq else records
        if len(wanted):
            yield wanted


def events_since(folder: Path, session: int, seq: int) -> Iterator[Records]:
    """The records of ``event_blocks_since``, without their sessions: EVENT arrays, in order."""
    for block in event_blocks_since(folder, session, seq):
        yield block.records


def tail_at_event(path: Path, seq: int) -> JournalTail:
    """A tail that stands at, or not far before, the entry of event ``seq``: found by bisection, not by reading all.

    Raises
    ------
    JournalError
        When the file cannot be read.
    """
    low, number = 0, 0
    try:
        with open(path, "rb", buffering=0) as file:
            high = os.fstat(file.fileno()).st_size
            while high - low > READ_BYTES:
                middle = (low + high) // 2
                entry = _event_behind(file.fileno(), middle)
                if entry is None or entry.records["seq"][0] > seq:
                    high = middle
                else:
                    low, number = entry.offset, entry.number
    except OSError as error:
        raise JournalError(f"journal {path} cannot be read: {error.strerror}; check data_dir") from error
    return JournalTail(path, low, number)


def _event_behind(descriptor: int, position: int) -> Entry | None:
    """The first EVENT entry within a few hundred KiB behind ``position``, or None when there is none."""
    chunk = os.pread(descriptor, READ_BYTES // 4, position)
    start = chunk.find(MAGIC_BYTES)
    while start >= 0:
        entries = check_entries(chunk[start:], position + start)
        if entries:
            return next((entry for entry in entries if entry.kind == RecordKind.EVENT), None)
        start = chunk.find(MAGIC_BYTES, start + 1)
    return None


def joined_events(entries: Iterable[Entry]) -> Iterator[Records]:
    """The EVENT records of entries, in order, in arrays of some thousands; those before an error come before it."""
    parts: list[Any] = []
    count = 0
    try:
        for entry in entries:
            if entry.kind == RecordKind.EVENT:
                parts.append(entry.records)
                count += len(entry.records)
                if count >= BLOCK_RECORDS:
                    yield np.frombuffer(b"".join(parts), EVENT)
                    parts.clear()
                    count = 0
    except JournalError:
        if parts:
            yield np.frombuffer(b"".join(parts), EVENT)
        raise
    if parts:
        yield np.frombuffer(b"".join(parts), EVENT)
