"""Journals for tests: small ones of several segments, and what a reader finds in them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from oms.journal import Direction, Entry, Journal, segments
from oms.journal_format import Records
from oms.records import COMMAND, EVENT, REPORT, TICK, RecordKind

SESSION = 1_723_075_200_000_000_000
SMALL = 600
"""Size of a segment that holds two or three commits."""

Facts = tuple[int, int, int, int, bytes]


def events(first_seq: int, count: int) -> Records:
    records = np.zeros(count, EVENT)
    records["seq"] = np.arange(first_seq, first_seq + count)
    records["order_id"] = 7 << 40 | 3
    return records


def write_segments(folder: Path, session: int = SESSION, *, close: bool = True, rounds: int = 2) -> list[Path]:
    """A session of several small segments, with entries of every kind, each committed alone."""
    journal = Journal.create(folder, session, "os", "paper", segment_bytes=SMALL)
    seq = 0
    for _ in range(rounds):
        for kind, dtype, direction, count in (
            (RecordKind.COMMAND, COMMAND, Direction.INPUT, 1),
            (RecordKind.EVENT, EVENT, Direction.EVENT, 2),
            (RecordKind.REPORT, REPORT, Direction.INPUT, 1),
            (RecordKind.TICK, TICK, Direction.INPUT, 3),
            (RecordKind.EVENT, EVENT, Direction.EVENT, 1),
            (RecordKind.COMMAND, COMMAND, Direction.OUTPUT, 2),
        ):
            records: Records = np.zeros(count, dtype)
            if kind == RecordKind.EVENT:
                records = events(seq, count)
                seq += count
            journal.append(kind, direction, records)
            journal.commit()
    if close:
        journal.close()
    else:
        os.close(journal.fileno())
    return segments(folder, session)


def facts(entry: Entry) -> Facts:
    return (entry.kind, entry.direction, entry.number, entry.ts, entry.records.tobytes())
