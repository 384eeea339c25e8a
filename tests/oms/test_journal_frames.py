"""What the core's outputs become in the journal is what ``Journal.append`` makes of them, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as given_as

from oms.core.state import State, new_state
from oms.journal import Direction, Journal, JournalError, read_journal
from oms.journal_frames import OutputFrames
from oms.records import RecordKind
from tests.oms.journals import SESSION, facts

pytestmark = pytest.mark.pure


def filled(seed: int) -> State:
    """A state whose outputs hold bytes of every value; events are numbered."""
    st = new_state()
    random = np.random.default_rng(seed)
    for name in ("reports", "commands", "told_parents", "events"):
        rows = st[name][0]
        rows[:6] = np.frombuffer(random.bytes(6 * rows.itemsize), rows.dtype)
    st["events"][0]["seq"][:6] = np.arange(40, 46)
    return st


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=given_as.lists(
        given_as.tuples(
            given_as.integers(0, 3),
            given_as.integers(0, 3),
            given_as.integers(0, 3),
            given_as.integers(1, 6),
            given_as.booleans(),
        ),
        min_size=1,
        max_size=4,
    ),
    seed=given_as.integers(0, 1000),
)
def test_the_entries_are_those_that_append_makes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, int, int, bool]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("frames")
    st = filled(seed)
    ours = Journal.create(folder / "ours", SESSION, "os")
    theirs = Journal.create(folder / "theirs", SESSION, "os")
    frames = OutputFrames(st, ours)
    for reports, commands, parents, events, are_input in steps:
        way = Direction.INPUT if are_input else Direction.OUTPUT
        framed = frames.append(reports, commands, parents, events, way)
        theirs.append(RecordKind.REPORT, way, st["reports"][0][:reports])
        theirs.append(RecordKind.COMMAND, Direction.OUTPUT, st["commands"][0][:commands])
        theirs.append(RecordKind.PARENT, Direction.OUTPUT, st["told_parents"][0][:parents])
        theirs.append(RecordKind.EVENT, Direction.EVENT, st["events"][0][:events])
        assert framed.commands == st["commands"][0][:commands].tobytes()
        assert framed.events == st["events"][0][:events].tobytes()
        assert ours.next_number == theirs.next_number
        assert ours.commit() == theirs.commit()
    for journal in (ours, theirs):
        journal.close()
    read = [[facts(entry) for entry in read_journal(journal.path)] for journal in (ours, theirs)]
    # their times differ
    assert [(*each[:3], *each[4:]) for each in read[0]] == [(*each[:3], *each[4:]) for each in read[1]]


def test_what_was_framed_does_not_change_with_the_next_step(tmp_path: Path) -> None:
    st = filled(0)
    journal = Journal.create(tmp_path, SESSION, "os")
    framed = OutputFrames(st, journal).append(0, 1, 0, 2, Direction.OUTPUT)
    before = framed.events, framed.commands
    st["events"][0]["px"] = 0
    st["commands"][0]["px"] = 0
    assert (framed.events, framed.commands) == before
    journal.close()


def test_a_closed_journal_takes_no_frames(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        OutputFrames(filled(0), journal).append(0, 0, 0, 1, Direction.OUTPUT)
