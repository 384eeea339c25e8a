"""Snapshots among updates: what is left out, sent again, and said to be stale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.book import BookRebuild
from gateways.decoder import Ticks
from gateways.sequencer import SnapshotSequencer, stale_tick
from oms.records import TICK, TickFlag, TickKind

pytestmark = pytest.mark.pure

DEPTH, SNAPSHOT, STALE = TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.STALE
ID = dict[str, int]


def message(kind: TickKind, update_id: int, previous_id: int = 0, levels: int = 1, ts: int = 0) -> Ticks:
    ticks = np.zeros(levels, TICK)
    ticks["kind"] = kind
    ticks["update_id"] = update_id
    ticks["px_2"] = previous_id
    ticks["px"] = 100 + np.arange(levels)
    ticks["qty"] = update_id
    ticks["side"] = 1
    ticks["local_ts"] = ts or update_id
    ticks["flags"][0] = TickFlag.FIRST
    ticks["flags"][-1] |= TickFlag.LAST
    return ticks


def update(update_id: int, previous_id: int | None = None, levels: int = 2) -> Ticks:
    return message(DEPTH, update_id, update_id - 1 if previous_id is None else previous_id, levels)


def snapshot(update_id: int, ts: int = 0) -> Ticks:
    return message(SNAPSHOT, update_id, update_id, 3, ts)


def heads(ticks: Ticks) -> list[tuple[int, int]]:
    return [tuple(row) for row in ticks[ticks["flags"] & TickFlag.FIRST != 0][["kind", "update_id"]].tolist()]


def taken(sequencer: SnapshotSequencer, *messages: Ticks) -> list[tuple[int, int]]:
    return heads(np.concatenate([sequencer.take(each) for each in messages]))


def test_newer_updates_are_sent_again_behind_the_snapshot_at_its_time() -> None:
    sequencer = SnapshotSequencer()
    sequencer.take(update(1))
    sequencer.take(update(2))
    sent = sequencer.take(snapshot(1, ts=9))
    assert heads(sent) == [(SNAPSHOT, 1), (DEPTH, 2)]
    assert set(sent["local_ts"]) == {9}
    assert sequencer.in_step
    assert sequencer.replayed == 2


def test_snapshot_that_the_waiting_updates_do_not_follow_is_left_out() -> None:
    sequencer = SnapshotSequencer()
    assert taken(sequencer, update(5), snapshot(3)) == [(DEPTH, 5)]
    assert not sequencer.in_step
    assert sequencer.unfit == 1
    assert taken(sequencer, update(6), snapshot(5)) == [(DEPTH, 6), (SNAPSHOT, 5), (DEPTH, 6)]


def test_gap_among_those_that_wait_is_one_too() -> None:
    sequencer = SnapshotSequencer()
    assert taken(sequencer, update(2), update(5), snapshot(1)) == [(DEPTH, 2), (DEPTH, 5)]
    assert taken(sequencer, snapshot(4)) == [(SNAPSHOT, 4), (DEPTH, 5)]


@pytest.mark.parametrize("marks_gaps", [False, True])
def test_gap_is_marked_where_that_is_asked_for(marks_gaps: bool) -> None:
    sequencer = SnapshotSequencer(marks_gaps=marks_gaps)
    sent = np.concatenate([sequencer.take(snapshot(1)), sequencer.take(np.concatenate([update(2), update(4)]))])
    stale = [(int(STALE), 0)] if marks_gaps else []
    assert heads(sent) == [(SNAPSHOT, 1), (DEPTH, 2), *stale, (DEPTH, 4)]
    assert not sequencer.in_step
    assert sequencer.gaps == 1
    assert taken(sequencer, update(5), snapshot(3)) == [(DEPTH, 5), (SNAPSHOT, 3), (DEPTH, 4), (DEPTH, 5)]


def test_older_and_overlapping_updates_are_no_gap() -> None:
    sequencer = SnapshotSequencer(marks_gaps=True)
    assert taken(sequencer, snapshot(5), update(4), update(7, 3), update(6)) == [
        (SNAPSHOT, 5),
        (DEPTH, 4),
        (DEPTH, 7),
        (DEPTH, 6),
    ]
    assert taken(sequencer, update(8)) == [(DEPTH, 8)]
    assert sequencer.in_step


def test_behind_stale_ids_may_begin_anew() -> None:
    sequencer = SnapshotSequencer(marks_gaps=True)
    taken(sequencer, snapshot(50), update(51))
    assert taken(sequencer, np.concatenate([stale_tick(1, 0, 0), update(3)]), snapshot(2), update(4)) == [
        (STALE, 0),
        (DEPTH, 3),
        (SNAPSHOT, 2),
        (DEPTH, 3),
        (DEPTH, 4),
    ]
    assert sequencer.in_step


@given(
    lost=st.sets(st.integers(2, 30)),
    asked=st.lists(st.integers(1, 30), max_size=6),
    late=st.integers(0, 3),
    cut=st.integers(1, 7),
)
def test_whoever_takes_what_is_sent_has_the_book_exactly_while_it_is_in_step(
    lost: set[int], asked: list[int], late: int, cut: int
) -> None:
    """Updates 1 to 30, some lost, with snapshots that come a few updates after their own id, in batches of any size."""
    stream: list[Ticks] = []
    for number in range(1, 31):
        stream += [update(number)] * (number not in lost)
        stream += [snapshot(number - late, ts=number)] * (number in asked and number > late)
    sequencer = SnapshotSequencer(marks_gaps=True)
    book = BookRebuild()
    last_id = 0
    for start in range(0, len(stream), cut):
        batch = np.concatenate(stream[start : start + cut])
        last_id = max(last_id, int(batch["update_id"].max()))
        book.take(sequencer.take(batch))
        found = book.snapshot(0)
        assert (found is not None) == sequencer.in_step
        if found is not None:
            assert found["update_id"][0] == last_id
