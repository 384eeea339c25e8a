"""The core's events in order and without a gap: live frames, mended from the journal.

The core journals every event before it publishes it, so whatever a subscriber missed is in the journal's files: what
happened before it started, what ZeroMQ dropped, and the last events of a core that died.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from oms.bus import Frame, Records
from oms.journal import EventBlock, JournalError, JournalTail, joined_events, session_of, sessions
from oms.records import RecordKind

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

    Attributes
    ----------
    session, next_seq : int
        The place of the next event; session 0: none has been seen.
    mended, lost, outdated : int
        Events taken from the journal although they were published; events that neither had; frames of an earlier
        session.
    last_error : str
        Why the journal could not be read.
    """

    def __init__(self, folder: Path, first_session: int) -> None:
        self.session = 0
        self.next_seq = 0
        self.mended = 0
        self.lost = 0
        self.outdated = 0
        self.last_error = ""
        self._folder = folder
        self._first_session = first_session
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
            if self._tail is None:
                self._tail = JournalTail(path)
            try:
                for records in joined_events(self._tail.read()):
                    yield from self._from_here(int(records["seq"][0]), records)
            except JournalError as error:
                self.last_error = str(error)

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
        if tail is None or tail.unread_bytes < FOLLOW_BYTES:
            return
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
