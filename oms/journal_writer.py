"""What puts a journal's bytes on disk: its segment files, and the thread that commits groups of entries to them.

Syncing a disk takes a hundred microseconds or many milliseconds. ``GroupCommit`` does it beside the core: everything
that was handed over while one sync was under way is written and synced together by the next one.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, NamedTuple

from oms.journal_format import JournalError, journal_path
from oms.journal_mark import DurableMark

_REMEDIES: Final = {
    errno.ENOSPC: "free space on that file system, or set data_dir to another one, and restart",
    errno.EDQUOT: "raise the disk quota, or set data_dir to another file system, and restart",
    errno.EFBIG: "raise the file size limit (ulimit -f), and restart",
    errno.EIO: "the disk may be failing: set data_dir to another one, and restart",
    errno.EACCES: "give this user write permission on the folder",
    errno.EROFS: "remount the file system writable, or set data_dir to another one",
    errno.ENOENT: "check data_dir",
}


def write_failure(path: Path, what: str, error: OSError) -> str:
    """What to say of a failed write or sync: file, place, error, remedy."""
    remedy = _REMEDIES.get(error.errno or 0, "check the disk and data_dir, and restart")
    return f"journal {path} {what}: {error.strerror}; {remedy}"


class SegmentFiles:
    """The files of one session, one behind the other; what is written goes to the newest.

    Parameters
    ----------
    folder : Path
    session : int
    marks : bool
        Tell readers what is on disk (``oms.journal_mark``): where every commit is synced.

    Attributes
    ----------
    path : Path
        The newest one.
    offset : int
        Bytes written to it.
    """

    def __init__(self, folder: Path, session: int, *, marks: bool = False) -> None:
        self.path = journal_path(folder, session)
        self.offset = 0
        self._segment = 0
        self._marks = marks
        self._mark: DurableMark | None = None
        self._folder = folder
        self._session = session
        self._descriptor = -1

    def fileno(self) -> int:
        return self._descriptor

    def begin(self, segment: int) -> None:
        """Close the file in hand and create the one of ``segment``.

        Raises
        ------
        JournalError
            When it exists already or cannot be created.
        """
        self.close()
        self.path = journal_path(self._folder, self._session, segment)
        self.offset = 0
        self._segment = segment
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._marks and self._mark is None and not self.path.exists():
                self._mark = DurableMark(self._folder, self._session)
            self._descriptor = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640
            )
        except FileExistsError as error:
            raise JournalError(
                f"journal {self.path} exists already: another core writes this session, or the clock went back"
            ) from error
        except OSError as error:
            raise JournalError(write_failure(self.path, "cannot be created", error)) from error

    def write(self, chunk: bytes) -> None:
        """Hand the bytes to the system; raises ``JournalError`` when it does not take all of them."""
        pending = memoryview(chunk)
        try:
            while pending:
                written = os.write(self._descriptor, pending)
                self.offset += written
                pending = pending[written:]
        except OSError as error:
            raise JournalError(write_failure(self.path, f"cannot be written at offset {self.offset}", error)) from error

    def sync(self) -> None:
        """Wait until the disk has what was written; raises ``JournalError``."""
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise JournalError(write_failure(self.path, f"cannot be synced at offset {self.offset}", error)) from error
        if self._mark is not None:
            self._mark.set(self._segment, self.offset)

    def sync_folder(self) -> None:
        """Wait until the disk has the file's name; raises ``JournalError``."""
        sync_folder(self._folder)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in a folder; raises ``JournalError``."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise JournalError(write_failure(folder, "cannot be synced", error)) from error


Deliver = Callable[[list[Any]], None]
"""Is given what waited for the disk, in order, once the disk has it."""


class Chunk(NamedTuple):
    """Bytes for one segment; ``position`` is the session's size in bytes once they are written.

    What is ``held`` is delivered after them; there may be no bytes.
    """

    segment: int
    position: int
    content: bytes
    held: Sequence[Any] = ()


def deliver_nowhere(_held: list[Any]) -> None:
    """Nothing was held."""


class InlineCommit:
    """Writes each chunk when it is handed over, and syncs it there and then where it is to be durable.

    Attributes
    ----------
    durable : int
        Bytes of the session that are as durable as they are to be.
    deliver : callable
    wake_fd : int
        -1: nothing is done later.
    """

    wake_fd: Final = -1

    def __init__(self, files: SegmentFiles, *, durable: bool) -> None:
        self.durable = 0
        self.failure: JournalError | None = None
        self.deliver: Deliver = deliver_nowhere
        self._files = files
        self._segment = 0
        self._syncs = durable

    def put(self, chunk: Chunk) -> None:
        """Write a chunk; raises ``JournalError`` when that fails, and nothing must be handed over after it."""
        if chunk.segment != self._segment:
            self._files.begin(chunk.segment)
            self._segment = chunk.segment
            if self._syncs:
                self._files.sync_folder()
        if chunk.content:
            self._files.write(chunk.content)
            if self._syncs:
                self._files.sync()
        self.durable = chunk.position
        if chunk.held:
            self.deliver(list(chunk.held))

    def finish(self) -> None:
        """Nothing is under way."""

    def close(self) -> None:
        """Nothing to close."""


class GroupCommit:
    """Writes and syncs what is handed over in a thread of its own, all that has arrived together, and delivers there.

    Attributes
    ----------
    durable : int
        Bytes of the session that the disk has; it only grows, and not any more after a failure.
    failure : JournalError or None
        Why the thread has ended; nothing is delivered any more.
    deliver : callable
        Called by the thread, once for what was synced together.
    wake_fd : int
        Becomes readable whenever ``durable`` has grown or the thread has failed; reading it is up to the waiting one.
    """

    def __init__(self, files: SegmentFiles) -> None:
        self.durable = 0
        self.failure: JournalError | None = None
        self.deliver: Deliver = deliver_nowhere
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._files = files
        self._segment = 0
        self._chunks: SimpleQueue[Chunk | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def put(self, chunk: Chunk) -> None:
        """Hand a chunk over; it is durable once ``durable`` has reached its position."""
        self._chunks.put(chunk)

    def finish(self) -> None:
        """Wait until all that was handed over is on disk, or the thread has failed; it ends."""
        self._chunks.put(None)
        self._thread.join()

    def close(self) -> None:
        os.close(self.wake_fd)

    def _run(self) -> None:
        going_on = True
        while going_on:
            group = self._next_group()
            going_on = group[-1] is not None
            chunks = [chunk for chunk in group if chunk is not None]
            try:
                self._commit(chunks)
                self.durable = chunks[-1].position if chunks else self.durable
                held = [each for chunk in chunks for each in chunk.held]
                if held:
                    self.deliver(held)
            except JournalError as error:
                self.failure = error
                going_on = False
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody must wait for this thread any more
                self.failure = JournalError(f"journal {self._files.path} is not written any more: {error!r}; restart")
                going_on = False
            os.eventfd_write(self.wake_fd, 1)

    def _next_group(self) -> list[Chunk | None]:
        """Everything that has been handed over; waits for the first."""
        group = [self._chunks.get()]
        while group[-1] is not None and not self._chunks.empty():
            group.append(self._chunks.get())  # nobody else takes any
        return group

    def _commit(self, chunks: list[Chunk]) -> None:
        pending: list[bytes] = []
        for chunk in chunks:
            if chunk.segment != self._segment:
                self._write(pending)
                self._files.begin(chunk.segment)
                self._files.sync_folder()
                self._segment = chunk.segment
                pending = []
            pending.append(chunk.content)
        self._write(pending)

    def _write(self, pending: list[bytes]) -> None:
        content = pending[0] if len(pending) == 1 else b"".join(pending)
        if content:
            self._files.write(content)
            self._files.sync()
