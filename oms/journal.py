"""The write-ahead journal: append-only files of record entries, one file a core session.

A file is ``<session:020d>.journal``: a session header entry, the session's entries in order, and a close entry when the
session ended in good order. An entry is a 32-byte ``JOURNAL_ENTRY`` header and its records' bytes. The checksum covers
both; entries are numbered from 0. A file only ever grows, so a reader may follow it while it is written.

A crash may leave the last entry incomplete: readers give every whole entry before it and name it as torn. Damage that
is followed by whole entries is never passed over: it raises ``JournalError`` with the file and the offset.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from oms.records import RECORD_DTYPES, WIRE_VERSION, RecordKind

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
"""Header of every entry, 32 bytes."""

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


class Entry(NamedTuple):
    """One whole, checked entry; ``records`` is a read-only array of the kind's dtype."""

    kind: int
    direction: int
    number: int
    ts: int
    records: Records
    offset: int


class Torn(NamedTuple):
    """An incomplete last entry: where it starts, and how many bytes of it are there."""

    offset: int
    size: int


class EventBlock(NamedTuple):
    """Consecutive EVENT records of one core session."""

    session: int
    records: Records


_FIELDS: Final = struct.Struct("<IBBBBqqI")
_HEADER: Final = struct.Struct("<IBBBBqqII")
_CRC: Final = struct.Struct("<I")
_HEADER_BYTES: Final = _HEADER.size
_MAGIC: Final = int.from_bytes(b"zomJ", "little")
_MAGIC_BYTES: Final = b"zomJ"
_EMPTY: Final = np.zeros(0, np.dtype("V1"))
_DTYPES: Final[dict[int, np.dtype[Any]]] = {
    **{int(kind): dtype for kind, dtype in RECORD_DTYPES.items()},
    int(MetaKind.SESSION): SESSION,
    int(MetaKind.CLOSE): np.dtype("V1"),
}
_ITEMSIZE: Final = {kind: dtype.itemsize for kind, dtype in _DTYPES.items()}
_READ_BYTES: Final = 4 * 1024 * 1024
_BLOCK_RECORDS: Final = 8192

assert JOURNAL_ENTRY.itemsize == _HEADER_BYTES == 32
assert SESSION.itemsize == 128

_REMEDIES: Final = {
    errno.ENOSPC: "free space on that file system, or set data_dir to another one, and restart",
    errno.EDQUOT: "raise the disk quota, or set data_dir to another file system, and restart",
    errno.EFBIG: "raise the file size limit (ulimit -f), and restart",
    errno.EIO: "the disk may be failing: set data_dir to another one, and restart",
    errno.EACCES: "give this user write permission on the folder",
    errno.EROFS: "remount the file system writable, or set data_dir to another one",
    errno.ENOENT: "check data_dir",
}


def journal_path(folder: Path, session: int) -> Path:
    """The file of a core session's journal."""
    return folder / f"{session:020d}{SUFFIX}"


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
            if records.itemsize != _ITEMSIZE[kind]:
                raise ValueError(f"records of {records.itemsize} bytes are no {RecordKind(kind).name} records")
            self._put(kind, direction, count, records.tobytes())

    def _put(self, kind: int, direction: int, count: int, payload: bytes) -> None:
        fields = _FIELDS.pack(_MAGIC, FORMAT_VERSION, kind, direction, 0, self._number, time.time_ns(), count)
        self._number += 1
        self._buffer += (fields, _CRC.pack(crc32(payload, crc32(fields))), payload)

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


class JournalTail:
    """Follows one journal file: each ``read`` gives the whole entries that were appended since the last one.

    Attributes
    ----------
    offset : int
        Where the next entry starts.
    number : int
        Its number.
    closed : bool
        The close entry has been read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.number = 0
        self.closed = False

    def read(self) -> Iterator[Entry]:
        """Yield the whole entries from ``offset`` on, and stop at the end or before an incomplete entry.

        Raises
        ------
        JournalError
            When the file cannot be read, or an entry is damaged and whole entries follow it.
        """
        try:
            with open(self.path, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                wanted = _READ_BYTES
                while self.offset < size:
                    chunk = os.pread(file.fileno(), min(wanted, size - self.offset), self.offset)
                    before = self.offset
                    for entry in self._entries(chunk):
                        self.offset = entry.offset + _HEADER_BYTES + entry.records.nbytes
                        self.number = entry.number + 1
                        self.closed = entry.kind == MetaKind.CLOSE
                        yield entry
                    if self.offset > before:
                        wanted = _READ_BYTES
                    elif (needed := self._needed(chunk)) > wanted and self.offset + needed <= size:
                        wanted = needed
                    else:
                        self._refuse_damage(file.fileno(), size)
                        return
        except OSError as error:
            raise JournalError(f"journal {self.path} cannot be read: {error.strerror}; check data_dir") from error

    def _entries(self, chunk: bytes) -> Iterator[Entry]:
        base = self.offset
        number = self.number
        position = 0
        end = len(chunk)
        view = memoryview(chunk)
        while position + _HEADER_BYTES <= end:
            entry = _entry_at(chunk, view, position, base)
            if entry is None or entry.number != number:
                return
            number += 1
            position += _HEADER_BYTES + entry.records.nbytes
            yield entry

    def _needed(self, chunk: bytes) -> int:
        """Bytes of the entry that starts the chunk, as far as its header can be believed."""
        if len(chunk) < _HEADER_BYTES:
            return _HEADER_BYTES
        magic, _, kind, _, _, _, _, count, _ = _HEADER.unpack_from(chunk)
        return _HEADER_BYTES + count * _ITEMSIZE.get(kind, 0) if magic == _MAGIC else 0

    def _refuse_damage(self, descriptor: int, size: int) -> None:
        """Raise when a whole entry is at ``offset`` or behind it: then what is at ``offset`` is no torn end."""
        position = self.offset
        while position + _HEADER_BYTES <= size:
            chunk = os.pread(descriptor, min(_READ_BYTES, size - position), position)
            found = chunk.find(_MAGIC_BYTES)
            if found < 0:
                position += max(len(chunk) - len(_MAGIC_BYTES) + 1, 1)
                continue
            position += found
            header = os.pread(descriptor, _HEADER_BYTES, position)
            needed = self._needed(header)
            if len(header) == _HEADER_BYTES and position + needed <= size:
                whole = os.pread(descriptor, needed, position)
                entry = _entry_at(whole, memoryview(whole), 0, position)
                if entry is not None and position == self.offset and entry.number == self.number:
                    return  # its last bytes arrived meanwhile
                if entry is not None:
                    raise JournalError(
                        f"journal {self.path} is damaged at offset {self.offset} (entry {self.number}), and whole"
                        f" entries follow at offset {position}: restore the file from a copy, or move it away"
                    )
            position += 1


def _entry_at(chunk: bytes, view: memoryview, position: int, base: int) -> Entry | None:
    """The entry at ``position``, or None when it is not whole and sound."""
    magic, version, kind, direction, spare, number, ts, count, checksum = _HEADER.unpack_from(chunk, position)
    itemsize = _ITEMSIZE.get(kind)
    if magic != _MAGIC or version != FORMAT_VERSION or itemsize is None or spare:
        return None
    start = position + _HEADER_BYTES
    end = start + count * itemsize
    if end > len(chunk) or crc32(view[start:end], crc32(view[position : start - 4])) != checksum:
        return None
    records = np.frombuffer(chunk, _DTYPES[kind], count, start) if count else _EMPTY
    return Entry(kind, direction, number, ts, records, base + position)


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
        size = self.path.stat().st_size - self._tail.offset
        self.torn = Torn(self._tail.offset, size) if size > 0 else None

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
            file.seek(max(size - _HEADER_BYTES, 0))
            end = file.read(_HEADER_BYTES)
    except OSError as error:
        raise JournalError(f"journal {files[-1]} cannot be read: {error.strerror}; check data_dir") from error
    if len(end) < _HEADER_BYTES:
        return False
    entry = _entry_at(end, memoryview(end), 0, size - _HEADER_BYTES)
    return entry is not None and entry.kind == MetaKind.CLOSE


def event_blocks_since(folder: Path, session: int, seq: int) -> Iterator[EventBlock]:
    """The events of ``session`` from ``seq`` on and of all later sessions, in order, in blocks with their session.

    Small entries are joined, so that a block has thousands of records where the journal has them.

    Raises
    ------
    JournalError
        When the session's file is missing, or a file is damaged anywhere but at its end.
    """
    files = [path for path in sessions(folder) if session_of(path) >= session]
    if not files or session_of(files[0]) != session:
        raise JournalError(
            f"journal {journal_path(folder, session)} is missing: its events from {seq} on cannot be repaired;"
            " restore it from a copy"
        )
    for path in files:
        this = session_of(path)
        for records in joined_events(JournalTail(path).read()):
            wanted = records[records["seq"] >= seq] if this == session and records["seq"][0] < seq else records
            if len(wanted):
                yield EventBlock(this, wanted)


def events_since(folder: Path, session: int, seq: int) -> Iterator[Records]:
    """The records of ``event_blocks_since``, without their sessions: EVENT arrays, in order."""
    for block in event_blocks_since(folder, session, seq):
        yield block.records


def joined_events(entries: Iterator[Entry]) -> Iterator[Records]:
    """The EVENT records of entries, in order, in arrays of some thousands."""
    dtype = RECORD_DTYPES[RecordKind.EVENT]
    parts: list[memoryview] = []
    count = 0
    for entry in entries:
        if entry.kind == RecordKind.EVENT:
            parts.append(entry.records.data)
            count += len(entry.records)
            if count >= _BLOCK_RECORDS:
                yield np.frombuffer(b"".join(parts), dtype)
                parts.clear()
                count = 0
    if parts:
        yield np.frombuffer(b"".join(parts), dtype)
