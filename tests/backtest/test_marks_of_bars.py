"""Marks of bars are taken all at once: they are those that are taken one by one on the way."""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backtest.marks import DAY_NS, MINUTE_NS, SECOND_NS, Sampler
from backtest.run import Drive
from oms.records import TICK, TickKind
from tests.backtest.venue import BOTH, START_NS, Rows, instrument, new_core

TWO: Final = (instrument(0), instrument(1))
STEPS: Final = some.sampled_from([0, 1, SECOND_NS // 3, SECOND_NS, 90 * SECOND_NS, MINUTE_NS, DAY_NS, 40 * DAY_NS])
BARS: Final = some.lists(some.tuples(STEPS, some.integers(0, 1), some.integers(1, 1_000)), min_size=1, max_size=40)


class OneByOne(Sampler):
    """Takes the marks of bars as those of any other records."""

    def takes_at_once(self, ticks: Rows) -> bool:
        return False


def bars_of(rows: list[tuple[int, int, int]]) -> Rows:
    """Bars of time since the one before, instrument and close."""
    bars = np.zeros(len(rows), TICK)
    bars["local_ts"] = START_NS + np.cumsum([step for step, _, _ in rows])
    bars["exch_ts"] = bars["local_ts"] - 1
    bars["instrument"] = [number for _, number, _ in rows]
    for name in ("px", "px_2", "qty_2", "update_id"):
        bars[name] = [close for _, _, close in rows]
    bars["qty"] = 1
    bars["kind"] = TickKind.BAR
    bars["flags"] = BOTH
    return bars


def marks_of(sampler: type[Sampler], blocks: list[Rows]) -> list[tuple[int, int, int]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("backtest.run.Sampler", sampler)
        drive = Drive(new_core("bar", instruments=TWO), TWO)
    for block in blocks:
        drive.take(block)
    marks: list[tuple[int, int, int]] = drive.marks().tolist()
    return marks


@settings(max_examples=40)
@given(BARS, some.sets(some.integers(1, 39), max_size=3))
def test_all_at_once_is_one_by_one(rows: list[tuple[int, int, int]], cuts: set[int]) -> None:
    blocks = np.split(bars_of(rows), sorted(each for each in cuts if each < len(rows)))
    assert marks_of(Sampler, blocks) == marks_of(OneByOne, blocks)
