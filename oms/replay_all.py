"""Replaying a session whose journal holds every input: each step is taken again, and every output compared.

Ticks, commands and an exchange's reports are stepped in their order by the very functions of the live loop; what comes
out must be what the journal holds, byte for byte, marks and strategies' requests included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from oms import engine
from oms.core.state import State
from oms.journal_format import Direction, Entry, Records
from oms.journal_scan import scan_session
from oms.records import RecordKind
from oms.replay import NO_END, REMEDY, Replayed, ReplayError, difference, segments_from_entry

_TICKS: Final = (RecordKind.TICK, Direction.INPUT)
_COMMANDS: Final = (RecordKind.COMMAND, Direction.INPUT)
_REPORTS: Final = (RecordKind.REPORT, Direction.INPUT)
_DEFINITIONS: Final = (RecordKind.DEFINITION, Direction.INPUT)
_TERMS: Final = (RecordKind.TERMS, Direction.INPUT)
_OUTPUTS: Final = {
    RecordKind.REPORT: ("reports", "report_count"),
    RecordKind.COMMAND: ("commands", "command_count"),
    RecordKind.PARENT: ("told_parents", "parent_count"),
    RecordKind.EVENT: ("events", "event_count"),
}
"""Where the core writes each kind of output, and how many rows."""


class WholeReplay:
    """Steps a session's inputs into a state.

    Parameters
    ----------
    st : array of STATE, shape (1,)
        As it was at the session's start, its strategies and exchange model loaded.
    """

    def __init__(self, st: State) -> None:
        self._st = st
        self._made: dict[RecordKind, list[Records]] = {kind: [] for kind in _OUTPUTS}
        self._done = Replayed(0)
        self._where = ""
        self._step: dict[tuple[int, int], Callable[[Entry], None]] = {
            _TICKS: self._step_ticks,
            _COMMANDS: self._step_commands,
            _REPORTS: self._step_reports,
            _DEFINITIONS: self._step_definitions,
            _TERMS: self._take_terms,
        }

    def session(self, folder: Path, session: int, number: int = 0, until: int = NO_END) -> Replayed:
        """Replay a session from entry ``number`` to its end or entry ``until``.

        Raises
        ------
        JournalError
            When a file is missing or damaged, or what comes out is not what the journal holds.
        """
        done = self._done = Replayed(session, number=number)
        start = time.perf_counter()
        for scan in scan_session(segments_from_entry(folder, session, number)[0]):
            read = time.perf_counter()
            done.check_s += read - start
            for row in np.flatnonzero((scan.entries["number"] >= number) & (scan.entries["number"] < until)).tolist():
                entry = scan.entry(row)
                self._where = f"journal {scan.path}, entry {entry.number}, session {session}"
                self._take(entry)
                done.number = entry.number + 1
            done.torn, done.closed = scan.torn, scan.closed
            start = time.perf_counter()
            done.apply_s += start - read
            if done.number >= until:
                break
        done.unfinished = sum(len(part) for parts in self._made.values() for part in parts)
        for parts in self._made.values():
            parts.clear()
        done.event_seq = int(self._st["event_seq"][0])
        return done

    def _take(self, entry: Entry) -> None:
        self._done.records += len(entry.records)
        step = self._step.get((entry.kind, entry.direction))
        if step is not None:
            self._refuse_left()
            step(entry)
        if entry.kind in _OUTPUTS and (entry.kind, entry.direction) != _COMMANDS:
            self._compare(entry)

    def _step_ticks(self, entry: Entry) -> None:
        start = 0
        while start < len(entry.records):
            start = engine.step_ticks(self._st, entry.records, start, entry.ts)
            self._collect()

    def _step_commands(self, entry: Entry) -> None:
        start = 0
        while start < len(entry.records):
            start = engine.step_commands(self._st, entry.records, start)
            self._collect()

    def _take_terms(self, entry: Entry) -> None:
        engine.take_terms(self._st, entry.records)

    def _step_definitions(self, entry: Entry) -> None:
        start = 0
        while start < len(entry.records):
            start = engine.step_definitions(self._st, entry.records, start)
            self._collect()

    def _step_reports(self, entry: Entry) -> None:
        start = 0
        while start < len(entry.records):
            start = engine.step_reports(self._st, entry.records, start)
            self._collect()

    def _collect(self) -> None:
        s = self._st[0]
        for kind, (table, counter) in _OUTPUTS.items():
            count = int(s[counter])
            if count:
                self._made[kind].append(s[table][:count].copy())
                s[counter] = 0

    def _compare(self, entry: Entry) -> None:
        """Take what the journal holds off what the steps have made; they must be the same."""
        kind = RecordKind(entry.kind)
        made = _joined(self._made[kind], entry.records.dtype)
        count = len(entry.records)
        same = made[:count].tobytes() == entry.records.tobytes()
        for i, theirs in enumerate(() if same else entry.records):
            if i >= len(made):
                raise ReplayError(f"{self._where}: its {_title(kind, theirs)} does not come out; {REMEDY}")
            if theirs.tobytes() != made[i].tobytes():
                told = difference(entry.records.dtype, theirs, made[i])
                raise ReplayError(f"{self._where}, {_title(kind, theirs)}: {told}; {REMEDY}")
        self._made[kind] = [made[count:]] if len(made) > count else []
        self._done.events += count if kind == RecordKind.EVENT else 0
        self._done.requests += count if kind == RecordKind.COMMAND else 0
        self._done.reports += count if kind == RecordKind.REPORT else 0

    def _refuse_left(self) -> None:
        for kind, parts in self._made.items():
            if parts:
                raise ReplayError(
                    f"{self._where}: before it the replay makes {_title(kind, parts[0][0])}, which the journal"
                    f" does not have; {REMEDY}"
                )


def _title(kind: RecordKind, row: Any) -> str:
    """What a record is called: a parent by its order, others by their number."""
    return f"{kind.name} {row['order_id' if kind == RecordKind.PARENT else 'seq']}"


def _joined(parts: list[Records], dtype: np.dtype[Any]) -> Records:
    if not parts:
        return np.zeros(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
