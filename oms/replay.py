"""Replaying a session's journal, so that the state is again what it was and is known to be.

A replay begins with a state as assembled, or as a snapshot has it, and goes through the journal from there. What comes
out is compared with what the journal holds; the first difference ends it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from oms.core.state import State
from oms.journal_format import DTYPES, FORMAT_VERSION, ITEMSIZE, JournalError, journal_path
from oms.journal_reader import Torn
from oms.journal_scan import WORD, SegmentScan, scan_session
from oms.journal_segments import segment_start, segments
from oms.journal_versions import upgraded
from oms.records import COMMAND, EVENT, EventKind, RecordKind
from oms.replay_step import (
    DONE,
    EVENT_DIFFERS,
    EVENT_MISSING,
    IN_HAND,
    INPUT_LEFT,
    INPUT_MISSING,
    NOT_APPLIED,
    RECORD_WORDS,
    REQUEST_DIFFERS,
    WALK,
    replay_entries,
)

FIRST_VERSION_WITH_REPORTS: Final = 2
"""Journals of earlier formats do not have the exchange model's answers: they are read off the events."""

REMEDY: Final = (
    "the state is in doubt, so nothing trades on it: keep the journal and start the zoms that wrote it, or move journal"
    " and snapshots away and adopt positions by zoms adopt"
)


NO_END: Final = 2**62


class ReplayError(JournalError):
    """A replay does not come to what the journal holds; the message names the first difference and the remedy."""


@dataclass
class Replayed:
    """What a replay of one session has done.

    Attributes
    ----------
    session : int
    number : int
        Of the entry behind the last one.
    event_seq : int
        Of the next event.
    records, events, requests, reports : int
        Journal records passed; of them events, and requests and reports that were applied.
    unfinished : int
        Requests and reports at the very end whose events were never written: they had no effect.
    torn : Torn or None
        The incomplete entry that the session ends with.
    closed : bool
        The session ended in good order.
    check_s, apply_s : float
        Time spent on reading and checking the files, and on the kernels.
    """

    session: int
    segment: int = 0
    number: int = 0
    event_seq: int = 0
    records: int = 0
    events: int = 0
    requests: int = 0
    reports: int = 0
    unfinished: int = 0
    torn: Torn | None = None
    closed: bool = False
    check_s: float = 0.0
    apply_s: float = 0.0


def segments_from_entry(folder: Path, session: int, number: int) -> list[Path]:
    """The segments of a session from the one that has entry ``number`` on.

    Raises
    ------
    JournalError
        When that segment is not there.
    """
    files = segments(folder, session)
    for at in range(len(files) - 1, -1, -1):
        start = segment_start(files[at])
        if start is None and at == 0:
            return files  # its first entry is not whole: the scan says what of it is there
        if start is not None and start.first_number <= number:
            return files[at:]
    missing = journal_path(folder, session)
    raise JournalError(f"journal {missing} is missing: entries from {number} on cannot be replayed; restore it")


class Replay:
    """Replays requests and reports into a state.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    """

    def __init__(self, st: State) -> None:
        self._st = st
        self._walk = np.zeros(1, WALK)
        self._hand = np.zeros(1, IN_HAND)
        self._hand_words = self._hand.view(np.uint64)
        self._event_words = st["events"][0].view(np.uint64)
        self._command_words = st["commands"][0].view(np.uint64)

    def session(self, folder: Path, session: int, number: int = 0, event_seq: int = 0, until: int = NO_END) -> Replayed:
        """Replay a session from entry ``number``, whose next event is ``event_seq``, to its end or entry ``until``.

        Raises
        ------
        JournalError
            When a file is missing or damaged, or what comes out is not what the journal holds.
        """
        done = Replayed(session, number=number, event_seq=event_seq)
        w = self._walk[0]
        self._walk[:] = 0
        w["event_seq"] = event_seq
        s = self._st[0]
        external = int(s["external"])
        s["external"] = 1
        try:
            start = time.perf_counter()
            for scan in scan_session(segments_from_entry(folder, session, number)[0]):
                read = time.perf_counter()
                self._segment(scan, number, until, session)
                applied = time.perf_counter()
                done.check_s += read - start
                done.apply_s += applied - read
                start = applied
                done.torn, done.closed = scan.torn, scan.closed
                if len(scan.entries):
                    done.number = min(max(scan.following, number), until)
                    done.segment = _segment_of(scan)
                    if scan.following >= until:
                        break
        finally:
            s["external"] = external
            s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0
        for name in ("records", "events", "requests", "reports", "event_seq"):
            setattr(done, name, int(w[name]))
        done.unfinished = int(w["commands_left"]) + int(w["reports_left"])
        return done

    def _segment(self, scan: SegmentScan, number: int, until: int, session: int) -> None:
        rows = scan.entries
        if len(rows) and (int(rows["number"][0]) < number or int(rows["number"][-1]) >= until):
            rows = rows[(rows["number"] >= number) & (rows["number"] < until)]
        w = self._walk[0]
        w["entry"] = 0
        w["facts"] = bool(len(rows)) and int(rows["version"].min()) < FIRST_VERSION_WITH_REPORTS
        words = words_of(scan)
        status = replay_entries(
            self._st, words, rows, self._walk, self._hand, self._hand_words, self._event_words, self._command_words
        )
        if status != DONE:
            raise self._error(scan, rows, words, status, session)

    def _error(
        self, scan: SegmentScan, rows: npt.NDArray[np.void], words: npt.NDArray[np.uint64], status: int, session: int
    ) -> ReplayError:
        w = self._walk[0]
        entry = rows[int(w["entry"])]
        at = int(entry["offset"]) // WORD + int(w["row"]) * RECORD_WORDS
        where = f"journal {scan.path}, entry {entry['number']}, session {session}"
        if entry["kind"] == RecordKind.EVENT and w["row"] < entry["count"]:
            event = words[at : at + RECORD_WORDS].view(EVENT)[0]
            where += f", event {event['seq']} ({_kind_name(int(event['kind']))})"
        told = {
            EVENT_MISSING: f"event {w['event_seq']} should follow",
            INPUT_MISSING: "it stands for a request or a report that the journal does not have",
            INPUT_LEFT: "a request or a report before it has no event",
            NOT_APPLIED: "its request cannot be entered again",
        }.get(status, "")
        if status == REQUEST_DIFFERS:
            at = int(w["command_at"])
            told = self._difference(COMMAND, words, at, self._command_words, 0)
        elif status == EVENT_DIFFERS:
            told = self._difference(EVENT, words, at, self._event_words, int(w["made"]))
        return ReplayError(f"{where}: {told}; {REMEDY}")

    def _difference(
        self,
        dtype: np.dtype[Any],
        words: npt.NDArray[np.uint64],
        at: int,
        made: npt.NDArray[np.uint64],
        row: int,
    ) -> str:
        theirs = words[at : at + RECORD_WORDS].view(dtype)[0]
        ours = made[row * RECORD_WORDS : (row + 1) * RECORD_WORDS].view(dtype)[0]
        return difference(dtype, theirs, ours, int(self._walk["word"][0]))


def difference(dtype: np.dtype[Any], theirs: np.void, ours: np.void, word: int = 0) -> str:
    """The first field from 64-bit word ``word`` on in which two records differ, in words."""
    for name in dtype.names or ():
        if dtype.fields is not None and dtype.fields[name][1] >= word * WORD and not np.all(theirs[name] == ours[name]):
            return f"{name} is {theirs[name]} in the journal, {ours[name]} in the replay"
    return "they differ"


def _kind_name(kind: int) -> str:
    return EventKind(kind).name if kind in set(EventKind) else str(kind)


def _segment_of(scan: SegmentScan) -> int:
    start = segment_start(scan.path)
    return start.segment if start is not None else 0


def words_of(scan: SegmentScan) -> npt.NDArray[np.uint64]:
    """A segment's words, with the records of older formats as they are now; they have the same places."""
    old = scan.entries[scan.entries["version"] != FORMAT_VERSION]
    if not len(old):
        return scan.words
    words = scan.words.copy()
    raw = words.view(np.uint8)
    for row in old:
        kind, at = int(row["kind"]), int(row["offset"])
        if row["count"]:
            part = raw[at : at + int(row["count"]) * ITEMSIZE[kind]]
            records = np.frombuffer(part.tobytes(), DTYPES[kind])
            new = upgraded(scan.path, int(row["version"]), kind, records)
            part[:] = np.frombuffer(new.tobytes(), np.uint8)
    return words
