"""Live events and the journal put together: every event of every session, once and in order.

The core journals each event before it publishes it, so whatever the socket did not bring is read from the journal: what
happened before the recorder started, gaps, the end of a session whose core died, and what a failing database could not
take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from oms.bus import Header
from oms.journal import (
    EventBlock,
    JournalDamageError,
    JournalError,
    JournalTail,
    JournalTruncatedError,
    joined_events,
    segments,
    session_of,
    sessions,
    tail_at_event,
)
from oms.journal_format import Records
from oms.journal_mark import Durable, read_mark

ASIDE_FRAMES: Final = 1024
"""Live frames kept while the journal is read; older ones are in the journal too."""


class EventFollower:
    """Takes live frames, and gives what is to be stored next.

    Attributes
    ----------
    gaps_repaired : int
        Gaps in the live stream that the journal filled.
    lost, repeated, malformed : int
        Events that are not in the journal either, events that came again, and frames whose records are not numbered
        as the frame says.
    notes : list of (kind, text, times)
        What should be known, for the store's notes; the recorder takes them from here.
    """

    def __init__(self, journal_dir: Path) -> None:
        self._journal_dir = journal_dir
        self._next: dict[int, int] = {}
        self._aside: deque[EventBlock] = deque(maxlen=ASIDE_FRAMES)
        self._repair: Iterator[EventBlock] | None = None
        self._repaired_for: EventBlock | None = None
        self._gap = False
        self._read: dict[int, tuple[int, Durable | None, bool]] = {}
        self.gaps_repaired = 0
        self.lost = 0
        self.repeated = 0
        self.malformed = 0
        self.notes: list[tuple[str, str, int]] = []

    @property
    def behind(self) -> bool:
        """Whether there is, or may be, something to give."""
        return self._repair is not None or bool(self._aside)

    @property
    def room(self) -> int:
        """How many live frames can be taken without reading them from the journal again."""
        return ASIDE_FRAMES - len(self._aside)

    def start(self, stored: Mapping[int, int]) -> None:
        """Begin with everything in the journal that is not stored, again after the store has failed.

        Parameters
        ----------
        stored : mapping of int to int
            The next sequence number to store, by core session.
        """
        self._next = dict(stored)
        self._read.clear()
        self.read_journal()

    def read_journal(self) -> None:
        """Read what the journal has and was not given yet, before any live frame."""
        self._repair = self._journal_blocks()

    def take(self, header: Header, records: Records) -> None:
        """Take a live frame of EVENT records."""
        seqs = records["seq"]
        if len(seqs) and seqs[0] == header.seq and seqs[-1] == header.seq + len(seqs) - 1:
            self._aside.append(EventBlock(header.session, records))
        else:
            self.malformed += 1

    def next_block(self) -> EventBlock | None:
        """What to store next, each event once and in the order of its session; None when there is nothing now."""
        while self.behind:
            if self._repair is not None:
                block = next(self._repair, None)
                if block is None:
                    self._repair = None
                    continue
            elif self._needs_journal(self._aside[0]):
                self._repaired_for = self._aside[0]
                self.read_journal()
                continue
            else:
                block = self._aside.popleft()
            new = self._advance(block)
            if new is not None:
                return new
        return None

    def _needs_journal(self, block: EventBlock) -> bool:
        """Whether a live frame does not follow what was given, and the journal has not been asked for it yet."""
        following = self._next.get(block.session)
        first = int(block.records["seq"][0])
        if block is self._repaired_for:
            self._repaired_for = None
            self.gaps_repaired += self._gap and following is not None and first <= following
            return False
        self._gap = following is not None
        return following is None or first > following

    def _advance(self, block: EventBlock) -> EventBlock | None:
        """The part of a block that was not given yet; counts what is missing before it and within it."""
        session, records = block
        following = self._next.get(session, 0)
        first, last = int(records["seq"][0]), int(records["seq"][-1])
        if last < following:
            self.repeated += len(records)
            return None
        if first < following:
            self.repeated += int((records["seq"] < following).sum())
            records = records[records["seq"] >= following]
        missing = last + 1 - following - len(records)
        if missing:
            self.lost += missing
            text = f"{missing} events between {following} and {last} of core session {session} are not in the journal"
            self.notes.append(("events_lost", text, 1))
        self._next[session] = last + 1
        return EventBlock(session, records)

    def _journal_blocks(self) -> Iterator[EventBlock]:
        firsts = sessions(self._journal_dir)
        for path in firsts:
            session = session_of(path)
            size = sum(each.stat().st_size for each in segments(self._journal_dir, session))
            there = (size, read_mark(self._journal_dir, session), path is firsts[-1])
            if self._read.get(session) != there:
                yield from self._session_blocks(path)
                self._read[session] = there

    def _session_blocks(self, path: Path) -> Iterator[EventBlock]:
        """What a session has and was not given; damage is noted, and what follows it is read all the same."""
        session = session_of(path)
        try:
            tail = tail_at_event(path, self._next.get(session, 0), only_durable=True)
        except JournalTruncatedError:
            tail = JournalTail(path, only_durable=True)  # what is missing is counted by what follows it
        except JournalError as error:
            self.notes.append(("journal_unreadable", str(error), 1))
            return
        while True:
            try:
                for records in joined_events(tail.read()):
                    new = records[records["seq"] >= self._next.get(session, 0)]
                    if len(new):
                        yield EventBlock(session, new)
            except JournalDamageError as damage:
                self.notes.append(("journal_damaged", str(damage), 1))
                tail = JournalTail(damage.resume_path, damage.resume_offset, damage.resume_number, only_durable=True)
                continue
            except JournalError as error:
                self.notes.append(("journal_unreadable", str(error), 1))
            return
