"""The events of a run are the same in memory and in a file."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtest import event_log
from backtest.data.opening import open_sources
from backtest.event_log import EventLog
from backtest.market import Rows
from backtest.room import RoomError
from backtest.run import run_backtest
from backtest.streaming import read_ticks
from oms.records import EVENT
from tests.backtest.test_run import DEMO, demo_settings
from tests.full_disk import files_bounded_to


def events(first: int, count: int) -> Rows:
    """Events of kinds 0 to 4 by turns."""
    made = np.zeros(count, EVENT)
    made["seq"] = np.arange(first, first + count)
    made["kind"] = made["seq"] % 5
    return made


@pytest.mark.pure
@given(
    sizes=some.lists(some.integers(0, 30), max_size=12),
    held=some.integers(1, 100),
    block=some.integers(1, 40),
    looks=some.sets(some.integers(0, 11)),
)
def test_everything_comes_back_in_order_whenever_it_is_looked_at(
    sizes: list[int], held: int, block: int, looks: set[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_log, "HELD_EVENTS", held)
        patch.setattr(event_log, "BLOCK_EVENTS", block)
        log = EventLog()
        whole = events(1, sum(sizes))
        count = 0
        for number, size in enumerate(sizes):
            log.add(whole[count : count + size].copy())
            count += size
            if number in looks:
                assert log.all().tobytes() == whole[:count].tobytes()
        so_far = whole[:count]
        assert len(log) == count
        assert log.of((1, 3)).tobytes() == so_far[np.isin(so_far["kind"], (1, 3))].tobytes()
        assert b"".join(each.tobytes() for each in log.blocks()) == log.all().tobytes() == so_far.tobytes()


def test_results_do_not_depend_on_where_the_events_are(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = demo_settings()
    ticks = read_ticks(open_sources([DEMO], settings)[0], 10)
    held = run_backtest(settings, ticks)
    monkeypatch.setattr(event_log, "HELD_EVENTS", 100)
    filed = run_backtest(settings, ticks)
    assert filed.events.tobytes() == held.events.tobytes()
    assert filed.fills.tobytes() == held.fills.tobytes()
    assert filed.result.refusals == held.result.refusals
    ours, theirs = (each.performance().whole.sample.curve for each in (filed, held))
    assert ours.tobytes() == theirs.tobytes()
    assert len(held.fills)


def test_no_room_for_events_is_an_error_that_says_how_to_make_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "HELD_EVENTS", 100)
    log = EventLog()
    with files_bounded_to(1_000), pytest.raises(RoomError, match=r"no room for the run's events \(.*\): .* by TMPDIR"):
        log.add(np.zeros(300, EVENT))
