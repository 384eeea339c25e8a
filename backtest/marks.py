"""Marks: the price of each instrument at regular times of a run, which is what its positions are valued at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from backtest.benchmarks import Integers
from backtest.market import Rows, market_of
from oms.instruments import Instrument

SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 60 * MINUTE_NS
DAY_NS: Final = 24 * HOUR_NS

MARK_SAMPLE = np.dtype(
    [
        ("ts", "<i8"),  # ns
        ("instrument", "<i8"),
        ("half_ticks", "<i8"),  # mid price; 0: not known
    ]
)
"""The price of one instrument as it stood after everything up to and with ``ts``."""

INTERVALS: Final = ((HOUR_NS, SECOND_NS), (92 * DAY_NS, MINUTE_NS))
"""Up to how long a recording is sampled at which interval; a longer one every hour. All of them divide a day."""


def sample_interval_ns(length_ns: int) -> int:
    """The interval at which a recording of this length is sampled."""
    return next((interval_ns for longest, interval_ns in INTERVALS if length_ns <= longest), HOUR_NS)


def sample_times(start_ts: int, end_ts: int, interval_ns: int) -> Integers:
    """The times at which a recording is sampled: its two ends, and between them every whole interval of UTC."""
    first = start_ts // interval_ns + 1
    inner = np.arange(first, -(-end_ts // interval_ns), dtype=np.int64) * interval_ns
    return np.unique(np.concatenate([np.array([start_ts, end_ts], np.int64), inner]))


def sample_marks(instruments: Iterable[Instrument], ticks: Rows, interval_ns: int | None = None) -> Rows:
    """The mid price of each instrument that has ticks, at regular times.

    Parameters
    ----------
    instruments : iterable of Instrument
    ticks : array of TICK
        In the order in which they were received.
    interval_ns : int, optional
        By default what ``sample_interval_ns`` says.

    Returns
    -------
    array of MARK_SAMPLE
        In order of time; empty without ticks.

    Raises
    ------
    MarketError
        As ``market_of`` does.
    """
    if not len(ticks):
        return np.zeros(0, MARK_SAMPLE)
    start_ts, end_ts = int(ticks["local_ts"][0]), int(ticks["local_ts"][-1])
    ts = sample_times(start_ts, end_ts, interval_ns or sample_interval_ns(end_ts - start_ts))
    traded = set(np.unique(ticks["instrument"]).tolist())
    blocks = []
    for instrument in instruments:
        if instrument.id in traded:
            block = np.zeros(len(ts), MARK_SAMPLE)
            block["ts"] = ts
            block["instrument"] = instrument.id
            block["half_ticks"] = market_of(instrument, ticks).mid_at(ts)
            blocks.append(block)
    marks = np.concatenate([np.zeros(0, MARK_SAMPLE), *blocks])
    return marks[np.argsort(marks["ts"], kind="stable")]


def marks_at(marks: Rows, instrument: int, ts: Integers) -> Integers:
    """The last known mark of an instrument at each of the times ``ts``, in half ticks; 0 before there is one."""
    known = marks[(marks["instrument"] == instrument) & (marks["half_ticks"] > 0)]
    half_ticks = np.concatenate([[0], known["half_ticks"]])
    return half_ticks[np.searchsorted(known["ts"], ts, "right")]
