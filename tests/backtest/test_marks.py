"""Marks: at which times a recording is sampled, and what is seen then."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backtest.market import Rows
from backtest.marks import (
    DAY_NS,
    HOUR_NS,
    MINUTE_NS,
    SECOND_NS,
    Sampler,
    marks_at,
    sample_interval_ns,
    sample_marks,
    sample_times,
)
from oms.compiled import JIT
from oms.core.state import ASK, BID, State, new_state
from oms.records import TICK, BookState, TickKind
from tests.backtest.executions import LINEAR, touch
from tests.backtest.venue import instrument
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


@cache
def market() -> tuple[State, Rows]:
    """A core's state, and the books of two instruments in it before anything is known."""
    st = new_state()
    return st, st[0]["books"][:2].copy()


def marks_of(blocks: list[Rows], *, at_once: bool) -> list[tuple[int, ...]]:
    """The marks of bars that come in these blocks, each block taken at once, or cut at every sample."""
    st, blank = market()
    books = st[0]["books"]
    books[: len(blank)] = blank
    sampler = Sampler(st, [instrument(number) for number in range(2)])
    sampler.begin(int(blocks[0]["local_ts"][0]))

    def step(bars: Rows) -> None:
        for bar in bars[bars["side"] == 0]:
            book = books[bar["instrument"]]
            book["state"] = BookState.SYNCED
            book["best"][BID] = book["best"][ASK] = bar["px"]

    for block in blocks:
        start = 0
        if at_once:
            assert sampler.takes_at_once(block)
        for ts, end in () if at_once else sampler.cuts(block):
            step(block[start:end])
            sampler.sample(ts)
            start = end
        step(block[start:])
        if at_once:
            sampler.sample_bars(block)
    return [tuple(row.item()) for row in sampler.marks(int(blocks[-1]["local_ts"][-1]))]


BARS = some.lists(
    some.tuples(
        some.one_of(
            some.sampled_from([0, 1, SECOND_NS, 5 * SECOND_NS, MINUTE_NS]),
            some.integers(0, 10 * MINUTE_NS),
            some.sampled_from([HOUR_NS, 12 * HOUR_NS, DAY_NS]),
        ),
        some.integers(0, 1),
        some.sampled_from([0, 0, 0, 1]),
        some.integers(1, 1_000),
        some.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40 if JIT else 8)
@given(some.integers(START, START + 2 * SECOND_NS) | some.just(START // MINUTE_NS * MINUTE_NS), BARS)
def test_bars_taken_at_once_give_the_marks_of_those_cut_at_every_sample(
    start: int, given_bars: list[tuple[int, int, int, int, bool]]
) -> None:
    """Of two instruments and timeframes, with gaps, over seconds and days; in blocks that end anywhere."""
    wait, numbers, timeframes, closes, ends = zip(*given_bars, strict=True)
    bars = np.zeros(len(given_bars), TICK)
    bars["kind"] = TickKind.BAR
    bars["local_ts"] = start + np.cumsum(wait)
    bars["instrument"], bars["side"], bars["px"] = numbers, timeframes, closes
    blocks = [block for block in np.split(bars, np.flatnonzero(ends) + 1) if len(block)]
    assert marks_of(blocks, at_once=True) == marks_of(blocks, at_once=False)
