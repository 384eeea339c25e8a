"""Taking snapshots while a session runs, and removing what they make needless.

The state is copied between two turns of the loop; the copy is written by a thread, once the journal is durable up to
where it belongs. A snapshot that the disk does not take while the session runs costs nothing but a longer replay, so it
is told and the session goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Final

from oms.core.standing import standing
from oms.core.state import State
from oms.journal import Journal, JournalError
from oms.journal_format import session_of
from oms.journal_mark import mark_path
from oms.journal_segments import needless_before, remove_before, segments, sessions
from oms.journal_writer import sync_folder
from oms.snapshot import (
    Capture,
    Definitions,
    Place,
    SnapshotError,
    capture,
    keep_newest,
    number_of_snapshot,
    session_of_snapshot,
    snapshots,
    write_snapshot,
)

MIB: Final = 1024 * 1024
NOTHING_UNREAD: Final = 2**62


class SnapshotKeeper:
    """Snapshots of one session.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    journal : Journal
    folder : Path
        Where they lie.
    definitions : callable
        Gives the session's definitions as they are in force.
    every_bytes : int
        Bytes of journal after which the next one is taken.
    kept, sessions_kept : int
        Snapshots, and sessions of the journal, that are kept. Recorder and rpc read a session's events from its
        journal, so whole sessions are kept or removed.
    session_kept_bytes : int
        Of the running session's journal, what is kept although snapshots cover it; 0: all of it.
    unread : callable
        Gives the first event of a session that somebody has yet to read from its journal.
    whole : bool
        The market and the exchange model too.

    Attributes
    ----------
    taken, failed : int
    last_error : str
    """

    def __init__(
        self,
        st: State,
        journal: Journal,
        folder: Path,
        definitions: Callable[[], Definitions],
        *,
        every_bytes: int,
        kept: int,
        sessions_kept: int,
        session_kept_bytes: int = 0,
        unread: Callable[[int], int] = lambda session: NOTHING_UNREAD,
        whole: bool = False,
    ) -> None:
        self.taken = 0
        self.failed = 0
        self.last_error = ""
        self._st = st
        self._journal = journal
        self._folder = folder
        self._definitions = definitions
        self._every = every_bytes
        self._kept = kept
        self._sessions_kept = sessions_kept
        self._session_kept = session_kept_bytes
        self._unread = unread
        self._whole = whole
        self._due = every_bytes
        self._captured: Capture | None = None
        self._captured_at = 0
        self._thread: Thread | None = None

    def take(self, place: Place, *, clean: bool = False) -> Path:
        """Write a snapshot now; ``clean``: the session ends here.

        Raises
        ------
        SnapshotError
            When the disk does not take it.
        """
        self.finish()
        path = write_snapshot(self._folder, self._capture(place, clean=clean))
        self.taken += 1
        self._remove_old()
        return path

    def _capture(self, place: Place, *, clean: bool = False) -> Capture:
        told = standing(self._st) if self._session_kept else None
        return capture(self._st, place, self._definitions(), whole=self._whole, clean=clean, told=told)

    @property
    def due(self) -> bool:
        """Whether enough has been journalled for the next one."""
        return self._journal.position >= self._due and self._captured is None and self._thread is None

    def begin(self, place: Place) -> None:
        """Copy the state, which is at ``place``, for a snapshot that ``step`` writes."""
        self._due = self._journal.position + self._every
        self._captured = self._capture(place)
        self._captured_at = self._journal.position

    def step(self) -> None:
        """Go on with the snapshot in hand, without waiting for the disk."""
        if self._thread is not None and not self._thread.is_alive():
            self.finish()
        if self._captured is not None and self._thread is None and self._journal.bytes_written >= self._captured_at:
            self._thread = Thread(target=self._write, args=(self._captured,), name="snapshot", daemon=True)
            self._captured = None
            self._thread.start()

    def finish(self) -> None:
        """Wait for the snapshot that is being written."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, captured: Capture) -> None:
        try:
            write_snapshot(self._folder, captured)
            self.taken += 1
            self._remove_old()
        except (SnapshotError, JournalError, OSError) as error:
            self.failed += 1
            self.last_error = str(error)

    def _remove_old(self) -> None:
        folder = self._journal.path.parent
        newest = snapshots(self._folder)[: self._kept]
        oldest = min(map(session_of_snapshot, newest), default=0)
        remove_old_sessions(folder, oldest, self._sessions_kept)
        keep_newest(self._folder, self._kept, {session_of(path) for path in sessions(folder)})
        if self._session_kept:
            self._truncate(newest)

    def _truncate(self, newest: list[Path]) -> None:
        """Remove the segments of the running session that the snapshots which are kept do not need, nor any reader.

        The snapshots before go first: the first one that is left is always one that the session can be replayed from.
        """
        folder, session = self._journal.path.parent, self._journal.session
        if len(newest) < self._kept or session_of_snapshot(newest[-1]) != session:
            return  # one that is needed belongs to a session before
        number = needless_before(
            folder, session, number_of_snapshot(newest[-1]), self._unread(session), self._session_kept
        )
        if not number:
            return
        for path in snapshots(self._folder):
            if session_of_snapshot(path) == session and number_of_snapshot(path) < number:
                path.unlink()
        remove_before(folder, session, number)


def remove_old_sessions(folder: Path, oldest: int, kept: int) -> list[Path]:
    """Remove the files of sessions before session ``oldest``, but for the newest ``kept`` sessions; oldest files first.

    Returns
    -------
    list of Path
        The files that were removed.
    """
    removed = []
    for path in sessions(folder)[:-kept]:
        session = session_of(path)
        if session >= oldest:
            break
        for segment in segments(folder, session):
            segment.unlink()
            removed.append(segment)
        mark_path(folder, session).unlink(missing_ok=True)
        sync_folder(folder)
    return removed
