"""Snapshots while a session runs: when they are taken, what a full disk does, what is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms.journal import Direction, Journal, segments
from oms.journal_segments import sessions
from oms.records import RecordKind
from oms.snapshot import Definitions, Place, SnapshotError, snapshots
from oms.snapshot_keeper import SnapshotKeeper, remove_old_sessions
from tests.full_disk import files_bounded_to
from tests.oms.core.builders import Rig
from tests.oms.journals import events, write_segments

SESSION = 1_795_000_000_000_000_000


def keeper_of(folder: Path, journal: Journal, **options: Any) -> SnapshotKeeper:
    given = {"every_bytes": 1_000, "kept": 2, "sessions_kept": 3, **options}
    return SnapshotKeeper(Rig().st, journal, folder / "snapshots", Definitions, **given)


def add(journal: Journal, seq: int) -> None:
    journal.append(RecordKind.EVENT, Direction.EVENT, events(seq, 8))
    journal.commit()


def test_snapshot_is_due_after_so_much_journal(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os", "paper")
    keeper = keeper_of(tmp_path, journal)
    assert not keeper.due
    add(journal, 0)
    assert keeper.due
    keeper.begin(Place(SESSION, 0, journal.next_number, 8))
    assert not keeper.due
    keeper.step()
    keeper.finish()
    assert len(snapshots(tmp_path / "snapshots")) == keeper.taken == 1
    assert not keeper.due
    journal.close()


def test_snapshot_waits_until_the_journal_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path, SESSION, "os", "paper")
    keeper = keeper_of(tmp_path, journal)
    add(journal, 0)
    keeper.begin(Place(SESSION, 0, journal.next_number, 8))
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "bytes_written", 0)
        keeper.step()
        keeper.finish()
    assert snapshots(tmp_path / "snapshots") == []
    keeper.step()
    keeper.finish()
    assert keeper.taken == 1
    journal.close()


def test_full_disk_while_the_session_runs_costs_only_the_snapshot(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os", "paper")
    keeper = keeper_of(tmp_path, journal)
    add(journal, 0)
    with files_bounded_to(9_000):
        keeper.begin(Place(SESSION, 0, journal.next_number, 8))
        keeper.step()
        keeper.finish()
        assert keeper.failed == 1
        assert "cannot be written" in keeper.last_error
        add(journal, 8)
        with pytest.raises(SnapshotError, match="free space on that file system"):
            keeper.take(Place(SESSION, 0, journal.next_number, 16))
    keeper.take(Place(SESSION, 0, journal.next_number, 16))
    assert len(snapshots(tmp_path / "snapshots")) == 1
    journal.close()


def test_old_sessions_are_removed_whole_and_only_what_a_snapshot_covers(tmp_path: Path) -> None:
    for session in range(1, 7):
        write_segments(tmp_path, session)
    gone = [path for session in (1, 2) for path in segments(tmp_path, session)]
    assert remove_old_sessions(tmp_path, oldest=3, kept=2) == gone
    assert len(sessions(tmp_path)) == 4
    assert remove_old_sessions(tmp_path, oldest=7, kept=2)
    assert len(sessions(tmp_path)) == 2
