"""Marks: at which times a recording is sampled, and what is seen then."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtest.marks import (
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    marks_at,
    sample_interval_ns,
    sample_marks,
    sample_times,
)
from oms.records import TICK, TickKind
from tests.backtest.executions import LINEAR, touch
from tests.oms.core.builders import tick

pytestmark = pytest.mark.pure

START: Final = 1_723_161_256_302_717_135


@pytest.mark.parametrize(
    ("length_ns", "interval_ns"),
    [
        (0, SECOND_NS),
        (HOUR_NS, SECOND_NS),
        (HOUR_NS + 1, MINUTE_NS),
        (92 * DAY_NS, MINUTE_NS),
        (92 * DAY_NS + 1, HOUR_NS),
    ],
)
def test_a_longer_recording_is_sampled_less_often(length_ns: int, interval_ns: int) -> None:
    assert sample_interval_ns(length_ns) == interval_ns
    assert DAY_NS % interval_ns == 0


@given(
    some.integers(START, START + DAY_NS),
    some.integers(0, 200 * SECOND_NS),
    some.sampled_from([SECOND_NS, 7 * SECOND_NS, MINUTE_NS]),
)
def test_sample_times_are_both_ends_and_every_whole_interval_between(start: int, length: int, interval: int) -> None:
    ts = sample_times(start, start + length, interval).tolist()
    whole = [each for each in range(start // interval * interval, start + length, interval) if each > start]
    assert ts == sorted({start, *whole, start + length})


def test_marks_are_the_mid_after_everything_up_to_their_time() -> None:
    ticks = np.concatenate([touch(0, 100), touch(SECOND_NS, 200), touch(SECOND_NS + 1, 300), touch(3 * SECOND_NS, 400)])
    marks = sample_marks([LINEAR], ticks)
    assert marks["ts"].tolist() == [0, SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS]
    assert marks["half_ticks"].tolist() == [200, 400, 600, 800]


def test_an_instrument_without_ticks_has_no_marks() -> None:
    assert len(sample_marks([LINEAR], np.zeros(0, TICK))) == 0
    other = touch(0, 100)
    other["instrument"] = 5
    assert len(sample_marks([LINEAR], other)) == 0


def test_a_lost_stream_leaves_the_last_known_mark() -> None:
    ticks = np.concatenate([touch(0, 100), tick(TickKind.STALE, ts=SECOND_NS), touch(3 * SECOND_NS, 300)])
    marks = sample_marks([LINEAR], ticks)
    assert marks["half_ticks"].tolist() == [200, 0, 0, 600]
    ts = np.array([-1, 0, 2 * SECOND_NS, 9 * SECOND_NS])
    assert marks_at(marks, LINEAR.id, ts).tolist() == [0, 200, 200, 600]
