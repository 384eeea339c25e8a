"""Recording events: batches from the follower into the embedded store, through all failures of the database."""

from __future__ import annotations

import time
from typing import Final

from oms.bus import Frame
from oms.config import Settings
from oms.journal import EventBlock
from oms.store.embedded import EmbeddedStore
from oms.store.follower import ASIDE_FRAMES, EventFollower
from oms.store.schema import StoreError

BATCH_RECORDS: Final = 8192
BATCH_SECONDS: Final = 0.05
"""A batch is stored when it has so many records, or when its first has waited so long."""
FIRST_RETRY_SECONDS: Final = 0.05
LAST_RETRY_SECONDS: Final = 2.0


class EventStore:
    """Stores every event once. A batch that the database refuses is given up: it is in the journal, and the follower
    begins again where the store is, until the database takes it.

    Attributes
    ----------
    last_error : str
        What the database said last.
    """

    def __init__(self, settings: Settings) -> None:
        self._follower = EventFollower(settings.journal_dir)
        self._store = EmbeddedStore(settings.store_dir, settings.account_names, settings.definitions())
        self._opened = False
        self._try_at = 0.0
        self._retry_s = FIRST_RETRY_SECONDS
        self._pending: list[EventBlock] = []
        self._pending_records = 0
        self._store_at = 0.0
        self._notes: list[tuple[str, str, int]] = []
        self._stored = 0
        self._errors = 0
        self.last_error = ""

    @property
    def busy(self) -> bool:
        """Whether there is work that need not wait for anything."""
        return self._opened and (self._follower.behind or self._pending_records >= BATCH_RECORDS)

    @property
    def complete(self) -> bool:
        """Whether everything that was taken, noted or found in the journal is stored."""
        return self._opened and not (self._follower.behind or self._pending or self._notes)

    @property
    def wait_s(self) -> float:
        """How long ``work`` can wait for something new, in seconds."""
        if self.busy:
            return 0.0
        due = self._store_at if self._pending else time.monotonic() + LAST_RETRY_SECONDS
        return max(due if self._opened else self._try_at, time.monotonic()) - time.monotonic()

    @property
    def room(self) -> int:
        """How many live frames to take now. While the database fails any number may be taken: they are let go."""
        return self._follower.room if self._opened else ASIDE_FRAMES

    def take(self, frame: Frame) -> None:
        """Take a live frame of events."""
        self._follower.take(frame.header, frame.records)

    def note(self, notes: list[tuple[str, str, int]]) -> None:
        """Take notes for the store, as (kind, text, times); the list is emptied."""
        self._notes += notes
        notes.clear()

    def read_journal(self) -> None:
        """Take what is in the journal and was not published, or not received."""
        self._follower.read_journal()

    def work(self, *, store_now: bool = False) -> None:
        """Store one batch if there is one, or whatever there is with ``store_now``.

        Raises
        ------
        StoreError
            When the database turns out to be damaged before anything was stored. Later errors are counted and noted,
            and the batch is tried again after a while.
        """
        if time.monotonic() < self._try_at:
            return
        try:
            if not self._opened:
                self._store.open()
                self._opened = True
                self._follower.start(self._store.progress)
            self._gather()
            self.note(self._follower.notes)
            due = self._pending_records >= BATCH_RECORDS or (self._pending and time.monotonic() >= self._store_at)
            if due or store_now or (self._notes and not self._pending):
                self._write()
        except StoreError as error:
            if error.damaged and not self._stored and not self._errors:
                raise
            self._begin_again(error)

    def _gather(self) -> None:
        while self._pending_records < BATCH_RECORDS:
            block = self._follower.next_block()
            if block is None:
                return
            if not self._pending:
                self._store_at = time.monotonic() + BATCH_SECONDS
            self._pending.append(block)
            self._pending_records += len(block.records)

    def _write(self) -> None:
        if self._pending or self._notes:
            self._stored += self._store.write(self._pending, self._notes)
            self._notes.clear()
            self._clear_pending()
            self._retry_s = FIRST_RETRY_SECONDS

    def _begin_again(self, error: StoreError) -> None:
        self._errors += 1
        self.last_error = str(error)
        self._notes.append(("db_error", self.last_error, 1))
        self._opened = False
        self._clear_pending()
        self._try_at = time.monotonic() + self._retry_s
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_SECONDS)

    def _clear_pending(self) -> None:
        self._pending = []
        self._pending_records = 0

    def counters(self) -> dict[str, float]:
        """Figures for the heartbeat."""
        return {
            "events": self._stored,
            "event_gaps_repaired": self._follower.gaps_repaired,
            "events_lost": self._follower.lost,
            "event_queue": self._pending_records,
            "db_errors": self._errors,
            "malformed": self._follower.malformed,
        }

    def close(self) -> None:
        self._store.close()
