"""The write-ahead journal: append-only files of record entries, one file a core session.

A file is ``<session:020d>.journal``: a session header entry, the session's entries in order, and a close entry when the
session ended in good order. An entry is a 32-byte ``JOURNAL_ENTRY`` header and its records' bytes. The checksum covers
both; entries are numbered from 0. A file only ever grows, so a reader may follow it while it is written.

This file is the writer; what reads it is ``oms.journal_reader``, and its names can be imported from here too.
"""

from __future__ import annotations

import errno
import os
import time
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
    MetaKind,
    Records,
    journal_path,
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
    session_of,
    sessions,
    tail_at_event,
)
from oms.records import WIRE_VERSION, RecordKind

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
    "MetaKind",
    "Torn",
    "event_blocks_since",
    "events_since",
    "joined_events",
    "journal_path",
    "last_session_clean",
    "read_journal",
    "session_events_since",
    "session_of",
    "sessions",
    "tail_at_event",
]

_REMEDIES: Final = {
    errno.ENOSPC: "free space on that file system, or set data_dir to another one, and restart",
    errno.EDQUOT: "raise the disk quota, or set data_dir to another file system, and restart",
    errno.EFBIG: "raise the file size limit (ulimit -f), and restart",
    errno.EIO: "the disk may be failing: set data_dir to another one, and restart",
    errno.EACCES: "give this user write permission on the folder",
    errno.EROFS: "remount the file system writable, or set data_dir to another one",
    errno.ENOENT: "check data_dir",
}


class Journal:
    """The journal file that this process writes; the only writer of it.

    ``append`` only buffers; ``commit`` hands everything buffered to the system in one ``write``, and waits for the disk
    when ``sync`` is ``"always"``. After a failed commit the journal is closed to further entries: what cannot be
    journalled must not have effect.
    """

    def __init__(self, path: Path, session: int, descriptor: int, sync: Literal["always", "os"]) -> None:
        self.path = path
        self.session = session
        self.sync = sync
        self.bytes_written = 0
        self._descriptor = descriptor
        self._buffer: list[bytes] = []
        self._number = 0
        self._failure = ""

    @classmethod
    def create(cls, folder: Path, session: int, sync: Literal["always", "os"], account: str = "") -> Journal:
        """Create the file of a new session, with its session header on disk.

        Parameters
        ----------
        folder : Path
            Made when missing.
        session : int
            The core session, ns since the epoch; the same number as in its EVENT frames.
        sync : {"always", "os"}
            Whether ``commit`` waits for the disk, or leaves that to the operating system.
        account : str
            At most 96 bytes of UTF-8.

        Raises
        ------
        JournalError
            When the session's file exists already or cannot be created.
        """
        name = account.encode()
        if len(name) > ACCOUNT_BYTES:
            raise JournalError(f"account {account!r} is longer than {ACCOUNT_BYTES} bytes: choose a shorter name")
        path = journal_path(folder, session)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except FileExistsError as error:
            raise JournalError(
                f"journal {path} exists already: another core writes this session, or the clock went back"
            ) from error
        except OSError as error:
            raise JournalError(_write_failure(path, "cannot be created", error)) from error
        journal = cls(path, session, descriptor, sync)
        header = np.zeros(1, SESSION)
        header["session"] = session
        header["format_version"] = FORMAT_VERSION
        header["wire_version"] = WIRE_VERSION
        header["account"] = name
        try:
            journal._put(MetaKind.SESSION, Direction.EVENT, 1, header.tobytes())
            journal.commit()
            _sync_folder(path, descriptor)
        except JournalError:
            os.close(descriptor)
            journal._descriptor = -1
            raise
        return journal

    def append(self, kind: RecordKind, direction: Direction, records: Records) -> None:
        """Buffer one entry; nothing is written before ``commit``. An empty array is no entry.

        Raises
        ------
        JournalError
            When the journal has failed or is closed.
        ValueError
            When the records are not of the kind's size.
        """
        if self._failure:
            raise JournalError(self._failure)
        count = len(records)
        if count:
            if records.itemsize != ITEMSIZE[kind]:
                raise ValueError(f"records of {records.itemsize} bytes are no {RecordKind(kind).name} records")
            self._put(kind, direction, count, records.tobytes())

    def _put(self, kind: int, direction: int, count: int, payload: bytes) -> None:
        fields = FIELDS.pack(MAGIC, FORMAT_VERSION, kind, direction, 0, self._number, time.time_ns(), count)
        self._number += 1
        self._buffer += (fields, CHECKSUM.pack(crc32(payload, crc32(fields))), payload)

    def commit(self) -> None:
        """Write everything buffered, in one ``write``.

        Raises
        ------
        JournalError
            When the system does not take all of it; the journal then takes no further entries.
        """
        if not self._buffer:
            return
        if self._failure:
            raise JournalError(self._failure)
        pending = memoryview(b"".join(self._buffer))
        self._buffer.clear()
        try:
            while pending:
                written = os.write(self._descriptor, pending)
                self.bytes_written += written
                pending = pending[written:]
            if self.sync == "always":
                os.fdatasync(self._descriptor)
        except OSError as error:
            self._failure = _write_failure(self.path, f"cannot be written at offset {self.bytes_written}", error)
            raise JournalError(self._failure) from error

    def fileno(self) -> int:
        """The file's descriptor."""
        return self._descriptor

    def close(self) -> None:
        """Commit, write the close entry, wait for the disk and close the file; a failed journal is just closed.

        Raises
        ------
        JournalError
            When the close entry cannot be written: the next start will find a session that did not end in good order.
        """
        if self._descriptor < 0:
            return
        try:
            if not self._failure:
                self._put(MetaKind.CLOSE, Direction.EVENT, 0, b"")
                self.commit()
                _sync_file(self.path, self._descriptor)
        finally:
            os.close(self._descriptor)
            self._descriptor = -1
            self._failure = self._failure or f"journal {self.path} is closed"


def _write_failure(path: Path, what: str, error: OSError) -> str:
    remedy = _REMEDIES.get(error.errno or 0, "check the disk and data_dir, and restart")
    return f"journal {path} {what}: {error.strerror}; {remedy}"


def _sync_file(path: Path, descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise JournalError(_write_failure(path, "cannot be synced", error)) from error


def _sync_folder(path: Path, descriptor: int) -> None:
    _sync_file(path, descriptor)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _sync_file(path.parent, folder)
    finally:
        os.close(folder)
