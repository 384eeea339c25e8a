"""Reading the journal: whole sessions, sessions that are still being written, and events from a sequence number on.

A crash may leave the last entry incomplete: readers give every whole entry before it and name it as torn. Damage that
whole entries follow, and a segment that is missing between others, are never passed over: they raise ``JournalError``
with the file and the offset. Files of older format versions are read as this one's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from oms.journal_entries import check_entries
from oms.journal_format import (
    ANY_NUMBER,
    HEADER_BYTES,
    MAGIC_BYTES,
    Entry,
    JournalDamageError,
    JournalError,
    JournalTruncatedError,
    MetaKind,
    MissingSegmentError,
    Records,
    entry_bytes,
    journal_path,
    place_of,
    session_of,
)
from oms.journal_mark import read_mark
from oms.journal_segments import segment_at_event, segments, segments_from, sessions
from oms.records import EVENT, RecordKind

READ_BYTES: Final = 1024 * 1024
BLOCK_RECORDS: Final = 8192


class Torn(NamedTuple):
    """An incomplete last entry: where it starts in the last segment, and how many bytes of it are there."""

    offset: int
    size: int


class EventBlock(NamedTuple):
    """Consecutive EVENT records of one core session."""

    session: int
    records: Records


class JournalTail:
    """Follows a session from one of its segments on: each ``read`` gives the whole entries that were appended since the
    last one.

    Parameters
    ----------
    path : Path
        A segment; those behind it follow.
    offset, number : int
        Where in it to begin, and the number of the entry there (``ANY_NUMBER``: at offset 0, whichever it has).
    only_durable : bool
        Of a session that is being written give only what its writer has on disk: for those who act on it.

    Attributes
    ----------
    path : Path
        The segment that is being read.
    offset : int
        Where the next entry starts in it.
    number : int
        The number that it must have.
    pending : int
        Bytes of an incomplete entry at ``offset`` when ``read`` last came to the end of the newest segment.
    closed : bool
        The close entry has been read.
    """

    def __init__(self, path: Path, offset: int = 0, number: int = ANY_NUMBER, *, only_durable: bool = False) -> None:
        self._only_durable = only_durable
        self._is_cut = False
        self.path = path
        self.offset = offset
        self.number = number
        self.pending = 0
        self.closed = False
        if number == ANY_NUMBER and not offset and (place_of(path) or (0, 0))[1] == 0:
            self.number = 0

    def read(self) -> Iterator[Entry]:
        """Yield the whole entries from ``offset`` on, up to the session's end or an incomplete entry.

        Raises
        ------
        JournalError
            When a file cannot be read or is missing, or what is at ``offset`` is damaged and whole entries follow it.
        """
        while True:
            yield from self.read_segment()
            following = None if self.closed or self._is_cut else self.following_segment()
            if following is None:
                return
            yield from self.read_segment()  # what came between the end of the file and the next one's beginning
            if self._is_cut:
                return
            if self.pending or not self.offset:
                raise JournalDamageError(self.path, self.offset, self.number, following, 0, ANY_NUMBER)
            self.path = following
            self.offset = 0

    @property
    def unread_bytes(self) -> int:
        """Bytes of the session behind ``offset``, as far as they are on disk."""
        return sum(path.stat().st_size for path in segments_from(self.path)) - self.offset

    def following_segment(self) -> Path | None:
        """The segment behind the one in hand, when there is one; raises ``JournalError`` when only later ones are."""
        place = place_of(self.path)
        if place is None:
            return None
        following = journal_path(self.path.parent, place[0], place[1] + 1)
        if following.exists() and self.path.exists():
            return following
        files = segments(self.path.parent, place[0])
        later = [path for path in files if (place_of(path) or place)[1] > place[1]]
        if not later:
            return None
        if self.path not in files:
            raise JournalTruncatedError(
                f"journal {self.path} and what follows it have been removed, a snapshot covers them: start from there"
            )
        if following.exists():
            return following  # it came into being meanwhile
        raise MissingSegmentError(following, self.path, later[0])

    def read_segment(self) -> Iterator[Entry]:
        """Yield as ``read``, but no further than the segment in hand."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                yield from self._read(file.fileno())
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self.following_segment()
            raise JournalError(f"journal {self.path} cannot be read: {error.strerror}; check data_dir") from error

    def _read(self, descriptor: int) -> Iterator[Entry]:
        size = os.fstat(descriptor).st_size
        if size < self.offset:
            raise JournalError(
                f"journal {self.path} has {size} bytes and had {self.offset}: something else than the core writes to"
                " it; stop that and restore the file from a copy"
            )
        size = max(self._durable_size(size), self.offset)
        wanted = READ_BYTES
        while self.offset < size:
            chunk = os.pread(descriptor, min(wanted, size - self.offset), self.offset)
            entries = check_entries(chunk, self.offset, self.path)
            if entries and self._follows(entries[0]):
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

    def _durable_size(self, size: int) -> int:
        """How much of the ``size`` bytes of the segment in hand may be given.

        A session that another one has followed is not written any more: what is there, the core has started from.
        """
        self._is_cut = False
        place = place_of(self.path)
        if not self._only_durable or place is None:
            return size
        session, segment = place
        mark = read_mark(self.path.parent, session)
        if mark is None or segment < mark.segment or (segment == mark.segment and size <= mark.offset):
            return size
        if session_of(sessions(self.path.parent)[-1]) > session:
            return size
        self._is_cut = True
        return mark.offset if segment == mark.segment else 0

    def _follows(self, entry: Entry) -> bool:
        """Whether an entry is the one that must be at ``offset``: a segment's first one says which it is."""
        place = place_of(self.path)
        if entry.offset == 0 and place is not None:
            said = entry.records[0] if entry.kind == MetaKind.SESSION else None
            if said is None or (int(said["session"]), int(said["segment"])) != place:
                return False
        return self.number in (entry.number, ANY_NUMBER)

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
                entries = check_entries(os.pread(descriptor, needed, position), position, self.path)
                if entries and position == self.offset and self._follows(entries[0]):
                    return  # its last bytes arrived meanwhile
                if entries:
                    raise JournalDamageError(
                        self.path, self.offset, self.number, self.path, position, entries[0].number
                    )
            position += 1


class JournalReader:
    """Iterates over the whole entries of a session from one of its segments on, the files' own ones included.

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
    """Read a session from the start of one of its segments.

    Raises
    ------
    JournalError
        While iterating: when a file cannot be read or is missing, or is damaged anywhere but at the session's end.
    """
    return JournalReader(path)


def last_session_clean(folder: Path) -> bool | None:
    """Whether the newest session was closed in good order; None when there is no journal."""
    firsts = sessions(folder)
    if not firsts:
        return None
    newest = segments(folder, session_of(firsts[-1]))[-1]
    try:
        with open(newest, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - HEADER_BYTES, 0))
            entries = check_entries(file.read(HEADER_BYTES), size - HEADER_BYTES, newest)
    except OSError as error:
        raise JournalError(f"journal {newest} cannot be read: {error.strerror}; check data_dir") from error
    return bool(entries) and entries[0].kind == MetaKind.CLOSE


def event_blocks_since(folder: Path, session: int, seq: int) -> Iterator[EventBlock]:
    """The events of ``session`` from ``seq`` on and of all later sessions, in order, in blocks with their session.

    The records of small entries are joined, so that a block has thousands of records where the journal has them.

    Raises
    ------
    JournalTruncatedError
        When the first of them have been removed.
    JournalError
        When the session's files are missing, or one is damaged anywhere but at the session's end.
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
    """The events of a session from ``seq`` on, in order, in arrays of some thousands; ``path`` is its first segment."""
    for records in joined_events(tail_at_event(path, seq).read()):
        wanted = records[records["seq"] >= seq] if records["seq"][0] < seq else records
        if len(wanted):
            yield wanted


def events_since(folder: Path, session: int, seq: int) -> Iterator[Records]:
    """The records of ``event_blocks_since``, without their sessions: EVENT arrays, in order."""
    for block in event_blocks_since(folder, session, seq):
        yield block.records


def tail_at_event(path: Path, seq: int, *, only_durable: bool = False) -> JournalTail:
    """A tail that stands at, or not far before, the entry of event ``seq``: found by bisection, not by reading all.

    Parameters
    ----------
    path : Path
        The session's first segment.
    seq : int
    only_durable : bool
        As for ``JournalTail``.

    Raises
    ------
    JournalTruncatedError
        When the event was in a segment that has been removed.
    JournalError
        When a file cannot be read.
    """
    start = segment_at_event(path, seq)
    if start is None:
        return JournalTail(path, only_durable=only_durable)
    low, number = 0, start.first_number
    try:
        with open(start.path, "rb", buffering=0) as file:
            high = os.fstat(file.fileno()).st_size
            while high - low > READ_BYTES:
                middle = (low + high) // 2
                entry = _event_behind(file.fileno(), middle, start.path)
                if entry is None or entry.records["seq"][0] > seq:
                    high = middle
                else:
                    low, number = entry.offset, entry.number
    except OSError as error:
        raise JournalError(f"journal {start.path} cannot be read: {error.strerror}; check data_dir") from error
    return JournalTail(start.path, low, number, only_durable=only_durable)


def _event_behind(descriptor: int, position: int, path: Path) -> Entry | None:
    """The first EVENT entry within a few hundred KiB behind ``position``, or None when there is none."""
    chunk = os.pread(descriptor, READ_BYTES // 4, position)
    start = chunk.find(MAGIC_BYTES)
    while start >= 0:
        entries = check_entries(chunk[start:], position + start, path)
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
