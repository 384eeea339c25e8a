"""The write-ahead journal: append-only files of record entries, a row of segments for each core session.

A segment is ``<session:020d>.<segment:06d>.journal``: a session header entry, then the session's entries in order; the
last one ends with a close entry when the session ended in good order. An entry is a 32-byte ``JOURNAL_ENTRY`` header
and its records' bytes. The checksum covers both; entries are numbered from 0 over all segments. A file only ever grows,
so a reader may follow it while it is written.

This file is the writer; what reads it is ``oms.journal_reader``, and its names can be imported from here too.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal
from zlib import crc32

import numpy as np

from oms.journal_format import (
    ACCOUNT_BYTES,
    CHECKSUM,
    FIELDS,
    FORMAT_VERSION,
    ITEMSIZE,
    JOURNAL_ENTRY,
    MAGIC,
    SESSION,
    Direction,
    Entry,
    JournalDamageError,
    JournalError,
    JournalTruncatedError,
    JournalVersionError,
    MetaKind,
    MissingSegmentError,
    Records,
    journal_path,
    session_of,
)
from oms.journal_reader import (
    EventBlock,
    JournalReader,
    JournalTail,
    Torn,
    event_blocks_since,
    events_since,
    joined_events,
    last_session_clean,
    read_journal,
    session_events_since,
    tail_at_event,
)
from oms.journal_segments import remove_before, segments, sessions
from oms.journal_writer import Chunk, Deliver, GroupCommit, InlineCommit, SegmentFiles
from oms.records import EVENT, WIRE_VERSION, RecordKind

__all__ = [
    "JOURNAL_ENTRY",
    "SESSION",
    "Direction",
    "Entry",
    "EventBlock",
    "Journal",
    "JournalDamageError",
    "JournalError",
    "JournalReader",
    "JournalTail",
    "JournalTruncatedError",
    "JournalVersionError",
    "MetaKind",
    "MissingSegmentError",
    "Sync",
    "Torn",
    "event_blocks_since",
    "events_since",
    "joined_events",
    "journal_path",
    "last_session_clean",
    "read_journal",
    "remove_before",
    "segments",
    "session_events_since",
    "session_of",
    "sessions",
    "tail_at_event",
]

Sync = Literal["always", "batch", "os"]
"""When a commit is durable: at its return; some time later, told by ``Journal.durable``; when the system sees fit."""

SEGMENT_BYTES: Final = 64 * 1024 * 1024

_EVENT_BYTES: Final = EVENT.itemsize
_EVENT: Final = int(RecordKind.EVENT)
assert EVENT.fields is not None
assert EVENT.fields["seq"][1] == 0


class Journal:
    """The journal that this process writes; the only writer of its session.

    ``append`` only buffers; ``commit`` hands everything buffered over, together. With ``sync`` ``"os"`` and
    ``"always"`` it writes there and then, and with ``"always"`` waits for the disk. With ``"batch"`` a thread writes
    and syncs. What must not leave before it is durable is given to ``commit``, and delivered once it may leave. After a
    failed write or sync the journal is closed to further entries: what cannot be journalled must not have effect.

    Attributes
    ----------
    path : Path
        The session's first segment: what the readers take.
    segment : int
        Number of the segment that is written.
    position : int
        Bytes of the session that have been handed over.
    next_number : int
        Number of the next entry.
    """

    def __init__(
        self, folder: Path, session: int, sync: Sync, account: bytes = b"", segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.path = journal_path(folder, session)
        self.session = session
        self.sync: Sync = sync
        self.segment = 0
        self.position = 0
        self.next_number = 0
        self.files = SegmentFiles(folder, session, marks=sync != "os")
        self._account = account
        self._segment_bytes = segment_bytes
        self._segment_position = 0
        self._next_event = 0
        self._buffer: list[bytes] = []
        self._failure = ""
        self._cause: BaseException | None = None  # what the system said of the failure
        self._is_open = False
        self._commits: InlineCommit | GroupCommit = InlineCommit(self.files, durable=sync != "os")

    @classmethod
    def create(
        cls, folder: Path, session: int, sync: Sync, account: str = "", *, segment_bytes: int = SEGMENT_BYTES
    ) -> Journal:
        """Create the first segment of a new session, with its session header on disk.

        Parameters
        ----------
        folder : Path
            Made when missing.
        session : int
            The core session, ns since the epoch; the same number as in its EVENT frames.
        sync : {"always", "batch", "os"}
            When a commit is durable.
        account : str
            At most 88 bytes of UTF-8.
        segment_bytes : int
            Size from which on the next segment is begun; a commit is never split.

        Raises
        ------
        JournalError
            When the session's file exists already or cannot be created.
        """
        name = account.encode()
        if len(name) > ACCOUNT_BYTES:
            raise JournalError(f"account {account!r} is longer than {ACCOUNT_BYTES} bytes: choose a shorter name")
        journal = cls(folder, session, sync, name, segment_bytes)
        journal.files.begin(0)
        try:
            journal._put_session()
            journal.commit()
            journal.files.sync()
            journal.files.sync_folder()
        except JournalError:
            journal.files.close()
            raise
        journal._is_open = True
        if sync == "batch":
            journal._commits = GroupCommit(journal.files)
            journal._commits.durable = journal.position
        return journal

    def append(self, kind: RecordKind, direction: Direction, records: Records, ts: int | None = None) -> None:
        """Buffer one entry; nothing is written before ``commit``. An empty array is no entry.

        Parameters
        ----------
        ts : int, optional
            The entry's time, ns; otherwise it is now.

        Raises
        ------
        JournalError
            When the journal has failed or is closed.
        ValueError
            When the records are not of the kind's size.
        """
        self._refuse_failed()
        count = len(records)
        if count:
            if records.itemsize != ITEMSIZE[kind]:
                raise ValueError(f"records of {records.itemsize} bytes are no {RecordKind(kind).name} records")
            payload = records.tobytes()
            if kind == _EVENT:
                self._next_event = int.from_bytes(payload[-_EVENT_BYTES : 8 - _EVENT_BYTES], "little") + 1
            self._put(kind, direction, count, payload, ts)

    def append_framed(self, content: bytes, entries: int, next_event: int) -> None:
        """Buffer whole entries, numbered from ``next_number`` on (``oms.journal_frames``).

        Parameters
        ----------
        content : bytes
        entries : int
            How many they are.
        next_event : int
            The sequence number behind their last event.

        Raises
        ------
        JournalError
            When the journal has failed or is closed.
        """
        self._refuse_failed()
        self._buffer.append(content)
        self.next_number += entries
        self._next_event = next_event

    def _put(self, kind: int, direction: int, count: int, payload: bytes, ts: int | None = None) -> None:
        fields = FIELDS.pack(
            MAGIC, FORMAT_VERSION, kind, direction, 0, self.next_number, time.time_ns() if ts is None else ts, count
        )
        self.next_number += 1
        self._buffer += (fields, CHECKSUM.pack(crc32(payload, crc32(fields))), payload)

    def _put_session(self) -> None:
        header = np.zeros(1, SESSION)
        header["session"] = self.session
        header["format_version"] = FORMAT_VERSION
        header["wire_version"] = WIRE_VERSION
        header["account"] = self._account
        header["first_number"] = self.next_number
        header["first_event"] = self._next_event
        header["segment"] = self.segment
        self._put(MetaKind.SESSION, Direction.EVENT, 1, header.tobytes())

    def deliver_to(self, deliver: Deliver) -> None:
        """Have what is given to ``commit`` delivered, in order, once it is as durable as it is to be.

        Parameters
        ----------
        deliver : callable
            Given a list of what was held; called inside ``commit``, or with ``sync`` ``"batch"`` by the thread that
            syncs. What it raises closes the journal as a failed write does.
        """
        self._commits.deliver = deliver

    def commit(self, held: Sequence[object] = ()) -> int:
        """Hand everything buffered over, as one write.

        Parameters
        ----------
        held : sequence
            What must not leave before it is durable.

        Returns
        -------
        int
            What ``durable()`` must reach before anything of it may have effect.

        Raises
        ------
        JournalError
            When the system does not take all of it, now or of an earlier batch; the journal then takes no further
            entries.
        """
        self._refuse_failed()
        if not self._buffer and not held:
            return self.position
        content = b"".join(self._buffer)
        self._buffer.clear()
        self.position += len(content)
        self._segment_position += len(content)
        try:
            self._commits.put(Chunk(self.segment, self.position, content, held))
        except JournalError as error:
            self._failure, self._cause = str(error), error.__cause__
            raise
        if self._segment_position >= self._segment_bytes:
            self.segment += 1
            self._segment_position = 0
            self._put_session()
        return self.position

    def durable(self) -> int:
        """Bytes of the session that are durable, in the sense of ``sync``.

        Raises
        ------
        JournalError
            When a write or a sync has failed: what waits for it must not have effect.
        """
        self._refuse_failed()
        return self._commits.durable

    def _refuse_failed(self) -> None:
        if self._commits.failure is not None and not self._failure:
            self._failure, self._cause = str(self._commits.failure), self._commits.failure.__cause__
        if self._failure:
            raise JournalError(self._failure) from self._cause

    @property
    def bytes_written(self) -> int:
        """Bytes of the session that are durable, or in the system's hands with ``sync`` ``"os"``."""
        return self._commits.durable

    @property
    def pending_bytes(self) -> int:
        """Bytes that have been handed over and are not durable yet."""
        return self.position - self._commits.durable

    @property
    def wake_fd(self) -> int:
        """A descriptor that becomes readable when ``durable()`` has something new to say; -1: it never does."""
        return self._commits.wake_fd

    def take_wake(self) -> None:
        """Make ``wake_fd`` unreadable until there is something new again."""
        with suppress(BlockingIOError):  # it was not readable
            os.eventfd_read(self._commits.wake_fd)

    def wait_durable(self) -> None:
        """Commit, and wait until all of it is durable.

        Raises
        ------
        JournalError
            When a write or a sync fails.
        """
        position = self.commit()
        while self.durable() < position:
            select.select([self.wake_fd], [], [])
            self.take_wake()

    def fileno(self) -> int:
        """The descriptor of the newest segment's file."""
        return self.files.fileno()

    def close(self) -> None:
        """Commit, write the close entry, wait for the disk and close the file; a failed journal is just closed.

        Raises
        ------
        JournalError
            When the close entry cannot be written: the next start will find a session that did not end in good order.
        """
        if not self._is_open:
            return
        self._is_open = False
        try:
            if not self._failure and self._commits.failure is None:
                self._put(MetaKind.CLOSE, Direction.EVENT, 0, b"")
                self.commit()
                self._commits.finish()
                self._refuse_failed()
                self.files.sync()
            else:
                self._commits.finish()
        finally:
            self.files.close()
            self._commits.close()
            self._failure = self._failure or f"journal {self.path} is closed"
