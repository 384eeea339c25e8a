"""The versions of definitions that are in force in the newest session, for whoever comes from outside.

A snapshot names those that were in force at its place, the INSTRUMENT events behind it those that followed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from oms.config import Settings
from oms.definitions import Definitions
from oms.journal_format import Records, session_of
from oms.journal_reader import JournalTail, tail_at_event
from oms.journal_segments import sessions
from oms.records import EventKind, RecordKind
from oms.snapshot import Snapshot, SnapshotError, read_snapshot, session_of_snapshot, snapshots


class NewestSession(NamedTuple):
    """The definitions of the newest session, and its journal from here on."""

    definitions: Definitions
    tail: JournalTail


def newest_session(settings: Settings) -> NewestSession:
    """Read the newest session's journal to its present end; its tail gives what is written from here on.

    Raises
    ------
    JournalError
        When the journal cannot be read.
    """
    definitions = settings.definitions()
    path = sessions(settings.journal_dir)[-1]
    snapshot = newest_snapshot(settings.snapshot_dir, session_of(path))
    if snapshot is not None:
        for number, said in snapshot.definitions.instruments.items():
            if "version" in said:
                definitions.put_in_force(int(number), int(said["version"]))
    tail = tail_at_event(path, snapshot.place.event_seq if snapshot is not None else 0, only_durable=True)
    for entry in tail.read():
        if entry.kind == RecordKind.EVENT:
            follow(definitions, entry.records)
    return NewestSession(definitions, tail)


def newest_snapshot(folder: Path, session: int) -> Snapshot | None:
    """The newest snapshot of a session that verifies; None when there is none."""
    for path in snapshots(folder):
        if session_of_snapshot(path) == session:
            try:
                return read_snapshot(path)
            except SnapshotError:
                continue  # recovery names it; an older one with more of the journal serves
    return None


def follow(definitions: Definitions, events: Records) -> None:
    """Put in force what INSTRUMENT events say."""
    for at in np.flatnonzero(events["kind"] == EventKind.INSTRUMENT).tolist():
        definitions.put_in_force(int(events["instrument"][at]), int(events["px"][at]))
