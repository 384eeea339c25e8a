"""A session whose journal is shortened while it runs: bounded on disk, rebuilt all the same, and no reader is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from oms.core.state import new_state
from oms.definitions import Definitions as KnownDefinitions
from oms.journal import segments
from oms.journal_segments import segment_start
from oms.records import OrderState
from oms.recovery import carry_definitions, recover
from oms.snapshot import Definitions, Place, number_of_snapshot, snapshots
from oms.snapshot_keeper import SnapshotKeeper
from oms.store.progress import NO_RECORDER, unstored_from
from rpc.event_stream import EventStream
from rpc.replica import Replica
from tests.oms.core.builders import FINE, PERPETUAL, SPOT
from tests.oms.journalled import SESSION, JournalledRig, differing, random_steps, run

SEGMENT_BYTES: Final = 20_000
KEPT_BYTES: Final = 60_000
STEPS_A_SNAPSHOT: Final = 150


class LongSession:
    """A core that takes a snapshot now and then, with a journal of small segments."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.journal_dir = folder / "journal"
        self.snapshot_dir = folder / "snapshots"
        self.rig = JournalledRig(self.journal_dir, segment_bytes=SEGMENT_BYTES)
        self.assembled = new_state()
        carry_definitions(self.assembled, self.rig.st)
        given = {"session_kept_bytes": KEPT_BYTES, "every_bytes": 1, "kept": 2, "sessions_kept": 2, **options}
        self.keeper = SnapshotKeeper(self.rig.st, self.rig.journal, self.snapshot_dir, Definitions, **given)
        self.most_bytes = 0
        self.keeper.take(Place(SESSION, 0, 0, 0))

    def run(self, seed: int, rounds: int) -> None:
        steps = list(random_steps(seed, rounds * STEPS_A_SNAPSHOT))
        for start in range(0, len(steps), STEPS_A_SNAPSHOT):
            run(self.rig, steps[start : start + STEPS_A_SNAPSHOT])
            journal = self.rig.journal
            self.keeper.take(Place(SESSION, journal.segment, journal.next_number, int(self.rig.s["event_seq"])))
            self.most_bytes = max(self.most_bytes, self.bytes_on_disk)

    @property
    def bytes_on_disk(self) -> int:
        return sum(path.stat().st_size for path in segments(self.journal_dir, SESSION))

    @property
    def first_event(self) -> int:
        start = segment_start(segments(self.journal_dir, SESSION)[0])
        assert start is not None
        return start.first_event


def replica_of(session: LongSession, stream: EventStream) -> Replica:
    replica = Replica(KnownDefinitions([PERPETUAL, SPOT, FINE]), accounts=2, closed_limit=10**6, fill_limit=10**6)
    for block in stream.read_journal():
        if block.session != replica.session:
            replica.enter(block.session)
        replica.load(block.records)
    return replica


def test_the_journal_stays_bounded_and_the_session_is_rebuilt(tmp_path: Path) -> None:
    session = LongSession(tmp_path)
    session.run(seed=1, rounds=12)
    assert session.rig.journal.position > 2 * session.most_bytes
    assert session.first_event > 0
    files = segments(session.journal_dir, SESSION)
    start = segment_start(files[0])
    assert start is not None
    assert all(number_of_snapshot(path) >= start.first_number for path in snapshots(session.snapshot_dir))
    past = recover(session.assembled, Definitions(), session.snapshot_dir, session.journal_dir)
    assert differing(session.rig.st, past.st) == []
    snapshots(session.snapshot_dir)[0].write_bytes(b"damaged")
    past = recover(session.assembled, Definitions(), session.snapshot_dir, session.journal_dir)
    assert differing(session.rig.st, past.st) == []


def test_nothing_is_removed_unless_it_is_asked_for(tmp_path: Path) -> None:
    session = LongSession(tmp_path, session_kept_bytes=0)
    session.run(seed=1, rounds=6)
    assert session.bytes_on_disk == session.rig.journal.position


def test_what_the_recorder_has_not_stored_stays(tmp_path: Path) -> None:
    session = LongSession(tmp_path, unread=lambda _: 100)
    session.run(seed=1, rounds=6)
    assert session.first_event <= 100
    assert unstored_from(tmp_path, SESSION) == NO_RECORDER
    (tmp_path / "zoms.sqlite").write_bytes(b"no database at all, but a file of that name")
    assert unstored_from(tmp_path, SESSION) == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_reader_that_comes_late_learns_how_things_stand(tmp_path: Path, seed: int) -> None:
    whole, short = LongSession(tmp_path / "whole", session_kept_bytes=0), LongSession(tmp_path / "short")
    for each in (whole, short):
        each.run(seed, rounds=8)
    stream = EventStream(short.journal_dir, 0, short.snapshot_dir)
    told, everything = replica_of(short, stream), replica_of(whole, EventStream(whole.journal_dir, 0))
    assert short.first_event > 0
    assert stream.covered > 0
    assert stream.complete
    assert stream.next_seq == int(short.rig.s["event_seq"])
    assert told.unusable == everything.unusable == 0
    assert told.open.keys() == everything.open.keys()
    for order_id in everything.orders:
        if order_id in told.orders:
            states = [
                np.frombuffer(each.orders[order_id].record, short.rig.s["events"].dtype)[0]
                for each in (told, everything)
            ]
            assert states[0]["filled_qty"] == states[1]["filled_qty"]
            assert OrderState(int(states[0]["state"])) == OrderState(int(states[1]["state"]))
    assert {key: row.position_qty for key, row in told.positions.items()} == {
        key: row.position_qty for key, row in everything.positions.items()
    }
    assert told.trading_states == everything.trading_states


def test_a_reader_that_stood_before_what_was_removed_goes_on_behind_it(tmp_path: Path) -> None:
    session = LongSession(tmp_path)
    stream = EventStream(session.journal_dir, 0, session.snapshot_dir)
    run(session.rig, list(random_steps(7, 40)))
    seen = sum(len(block.records) for block in stream.read_journal())
    assert seen == stream.next_seq == int(session.rig.s["event_seq"])
    session.run(seed=8, rounds=8)
    assert session.first_event > seen
    stream.follow()
    blocks = list(stream.read_journal())
    assert stream.complete
    assert stream.next_seq == int(session.rig.s["event_seq"])
    assert stream.covered > 0
    assert blocks


def test_without_a_snapshot_that_tells_it_events_are_lost(tmp_path: Path) -> None:
    session = LongSession(tmp_path)
    session.run(seed=1, rounds=8)
    stream = EventStream(session.journal_dir, 0)
    list(stream.read_journal())
    assert not stream.complete
    assert stream.lost == session.first_event
