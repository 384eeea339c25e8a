"""The end of the data, by either clock: what is under way then is left, and a shorter run begins a longer one."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from backtest.run import CLOCKS, run_backtest, time_record
from oms.compiled import JIT
from oms.config import Settings
from oms.records import EventKind, TickKind
from tests.backtest.test_oracle import synthetic_ticks
from tests.backtest.test_run import busy_settings
from tests.backtest.test_two_clocks import message
from tests.backtest.venue import MS, START_NS, STRATEGIES, fills_of, instrument, settings_of

pytestmark = pytest.mark.pure

Ticks = npt.NDArray[np.void]

FILLED_MS = 500
"""When the bid of the strategy is filled at the exchange."""
LATENCY_MS = 2


def hedger_settings(latency_ms: int) -> Settings:
    """A strategy that bids once, and sells at the market what it gets as soon as it hears of it."""
    matching: Any = {"model": "no_partial_fill", "entry_latency_us": 0, "response_latency_us": latency_ms * 1_000}
    strategies = [{"file": str(STRATEGIES / "hedger.py"), "instrument": "TEST0"}]
    return settings_of(instrument(), matching=matching, strategies=strategies)


def market(feed_ms: int, end_ms: int) -> Ticks:
    """A bid is filled at ``FILLED_MS`` by a trade that is heard of ``feed_ms`` later; the data end at ``end_ms``."""
    told = np.concatenate(
        [
            message(TickKind.SNAPSHOT, 0, 1, (1, 100, 5), (1, 99, 9), (-1, 101, 5)),
            message(TickKind.TRADE, FILLED_MS, 1, (-1, 99, 4)),
        ]
    )
    told["local_ts"] = told["exch_ts"] + feed_ms * MS
    return np.concatenate([told, time_record(START_NS + end_ms * MS)])


@pytest.mark.parametrize(("clock", "feed_ms"), [("local", 0), ("dual", 0), ("dual", 1)])
def test_a_fill_counts_when_its_answer_is_back_by_the_last_record(clock: str, feed_ms: int) -> None:
    back_ms = FILLED_MS + LATENCY_MS
    settings = hedger_settings(LATENCY_MS)
    before = run_backtest(settings, market(feed_ms, back_ms - 1), clock=clock)
    assert (before.result.fills, before.result.orders, before.result.instruments[0].position) == (0, 1, "0")
    at = run_backtest(settings, market(feed_ms, back_ms), clock=clock)
    assert [(each.px, each.qty, each.ts - START_NS) for each in fills_of(at.events)] == [(100, 3, back_ms * MS)]
    assert at.result.instruments[0].position == "3"


@pytest.mark.parametrize("clock", CLOCKS)
def test_what_is_asked_for_at_the_end_and_acts_at_once_counts(clock: str) -> None:
    done = run_backtest(hedger_settings(0), market(0, FILLED_MS), clock=clock)
    assert [(each.side, each.px) for each in fills_of(done.events)] == [(1, 100), (-1, 100)]


@pytest.mark.parametrize("model", ["displayed", "no_partial_fill"] if JIT else ["displayed"])
def test_a_shorter_run_is_the_beginning_of_a_longer_one(model: str) -> None:
    settings = busy_settings(model, latency_us=30_000)
    ticks = synthetic_ticks(7, messages=80)
    whole = run_backtest(settings, ticks).events
    assert np.count_nonzero(whole["kind"] == EventKind.ORDER_FILLED) > 3
    ends = np.flatnonzero(np.diff(ticks["local_ts"]))[::17] + 1
    for end in ends.tolist():
        events = run_backtest(settings, ticks[:end]).events
        assert events.tobytes() == whole[: len(events)].tobytes()
