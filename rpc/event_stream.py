"""The core's events in order and without a gap: live frames, mended from the journal.

The core journals every event before it publishes it, so whatever a subscriber missed is in the journal's files: what
happened before it started, what ZeroMQ dropped, and the last events of a core that died. Where a session's first events
have been removed from the journal, a snapshot tells how things stood behind them. Clients are told of what is read, so
nothing is read before it is as durable as it is to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from oms.bus import Frame, Records
from oms.journal import (
    Entry,
    EventBlock,
    JournalError,
    JournalTail,
    JournalTruncatedError,
    joined_events,
    session_of,
    sessions,
    tail_at_event,
)
from oms.journal_segments import segment_start
from oms.records import RecordKind
from oms.snapshot import TOLD, SnapshotError, read_snapshot, session_of_snapshot, snapshots

FOLLOW_BYTES: Final = 16 * 1024 * 1024
"""The journal is read behind the live frames once it is this far ahead, so that mending a gap stays quick."""


class EventStream:
    """Where this process stands in the core's events.

    Parameters
    ----------
    folder : Path
        The journal's.
    first_session : int
        Core session to begin with; earlier ones are passed over.
    snapshot_dir : Path, optional
        The snapshots', for sessions whose first events are not in the journal any more.

    Attributes
    ----------
    session, next_seq : int
        The place of the next event; session 0: none has been seen.
    mended, lost, outdated : int
        Events taken from the journal although they were published; events that neither had; frames of an earlier
        session.
    covered : int
        Events that have been removed from the journal, and behind which a snapshot told how things stood.
    last_error : str
        Why the journal could not be read.
    watch : callable or None
        Told every entry of the journal that is read, before the events in it are given.
    """

    def __init__(self, folder: Path, first_session: int, snapshot_dir: Path | None = None) -> None:
        self.session = 0
        self.next_seq = 0
        self.mended = 0
        self.lost = 0
        self.outdated = 0
        self.covered = 0
        self.last_error = ""
        self.watch: Callable[[Entry], None] | None = None
        self._folder = folder
        self._first_session = first_session
        self._snapshot_dir = snapshot_dir
        self._tail: JournalTail | None = None

    @property
    def complete(self) -> bool:
        """False once events are missing for good."""
        return not self.lost and not self.last_error

    def read_journal(self) -> Iterator[EventBlock]:
        """Yield every event of the journal from here on, to the end of the newest session.

        A damaged file is named in ``last_error`` and passed over.
        """
        for path in sessions(self._folder):
            session = session_of(path)
            if session < max(self.session, self._first_session):
                continue
            if session != self.session:
                self._enter(session)
            try:
                yield from self._read_session(path)
            except JournalTruncatedError:  # between two looks: what is left is read from its new beginning
                self._tail = None
                yield from self._read_again(session)
            except JournalError as error:
                self.last_error = str(error)

    def _read_session(self, path: Path) -> Iterator[EventBlock]:
        if self._tail is None:
            start = segment_start(path)
            if start is not None and start.segment and start.first_event > self.next_seq:
                yield from self._told(start.session)
            is_whole = start is None or start.first_event <= self.next_seq
            self._tail = (
                tail_at_event(path, self.next_seq, only_durable=True)
                if is_whole
                else JournalTail(path, only_durable=True)
            )
        for records in joined_events(self._watched(self._tail.read())):
            yield from self._from_here(int(records["seq"][0]), records)

    def _watched(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if self.watch is not None:
                self.watch(entry)
            yield entry

    def _read_again(self, session: int) -> Iterator[EventBlock]:
        try:
            for path in sessions(self._folder):
                if session_of(path) == session:
                    yield from self._read_session(path)
        except JournalError as error:
            self.last_error = str(error)

    def _told(self, session: int) -> Iterator[EventBlock]:
        """How things stood at the session's first snapshot that tells it; it goes on from there."""
        found = snapshots(self._snapshot_dir) if self._snapshot_dir is not None else []
        for path in reversed(found):
            if session_of_snapshot(path) != session:
                continue
            try:
                snapshot = read_snapshot(path)
            except SnapshotError:
                continue  # recovery names it
            if TOLD in snapshot.tables and snapshot.place.event_seq > self.next_seq:
                self.covered += snapshot.place.event_seq - self.next_seq
                self.next_seq = snapshot.place.event_seq
                yield EventBlock(session, snapshot.tables[TOLD])
                return

    def take(self, frame: Frame) -> Iterator[EventBlock]:
        """Yield what ``frame`` adds, after whatever is missing before it."""
        header = frame.header
        if header.session < self.session:
            self.outdated += 1
            return
        if header.session != self.session or header.seq > self.next_seq:
            behind = self.session
            for block in self.read_journal():
                self.mended += len(block.records) if behind else 0
                yield block
            if header.session > self.session:
                self._enter(header.session)
        yield from self._from_here(header.seq, frame.records)

    def follow(self) -> None:
        """Pass over journal entries whose events have arrived live; called when there is nothing else to do."""
        tail = self._tail
        if tail is None or (tail.path.exists() and tail.unread_bytes < FOLLOW_BYTES):
            return
        try:
            self._pass_over(tail)
        except JournalTruncatedError:
            self._tail = None  # found again at the next gap

    def _pass_over(self, tail: JournalTail) -> None:
        taken = 0
        for entry in tail.read():
            is_ahead = entry.kind == RecordKind.EVENT and int(entry.records["seq"][-1]) >= self.next_seq
            if is_ahead:
                tail.offset = entry.offset
                tail.number = entry.number
            taken += entry.records.nbytes
            if is_ahead or taken > FOLLOW_BYTES // 4:
                return

    def _enter(self, session: int) -> None:
        self.session = session
        self.next_seq = 0
        self._tail = None

    def _from_here(self, seq: int, records: Records) -> Iterator[EventBlock]:
        """The part of ``records``, which start at ``seq``, that is not known yet."""
        if seq > self.next_seq:
            self.lost += seq - self.next_seq
            self.next_seq = seq
        fresh = records[self.next_seq - seq :]
        if len(fresh):
            self.next_seq = seq + len(records)
            yield EventBlock(self.session, fresh)
