"""Marks: the price of each instrument at regular times of a run, which is what its positions are valued at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from backtest.benchmarks import Integers
from backtest.market import Rows, market_of
from oms.core.state import ASK, BID, NO_ASK, NO_BID, State
from oms.instruments import Instrument
from oms.records import BookState, TickKind

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


class Sampler:
    """Takes the marks of a core's instruments on the way through a stream whose length is not known before.

    It begins with the shortest interval, and thins out what it has when the stream turns out to be longer.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    instruments : iterable of Instrument
    """

    def __init__(self, st: State, instruments: Iterable[Instrument]) -> None:
        self._books = st[0]["books"]
        self._ids = np.array([instrument.id for instrument in instruments], np.int64)
        self._times: list[Integers] = []
        self._half_ticks: list[Integers] = []
        self._closes = np.zeros(len(self._ids), np.int64)
        self._only_bars = True
        self._start_ts = 0
        self._interval_ns = sample_interval_ns(0)
        self._next_ts = 0

    def begin(self, start_ts: int) -> None:
        """The first tick is received at ``start_ts``."""
        self._start_ts = self._next_ts = start_ts

    def cuts(self, ticks: Rows) -> Iterator[tuple[int, int]]:
        """Times at which to sample within these ticks, and how many of them come before and with each."""
        while len(self._ids) and self._next_ts < ticks["local_ts"][-1]:
            yield self._next_ts, int(np.searchsorted(ticks["local_ts"], self._next_ts, "right"))

    def sample(self, ts: int) -> None:
        """Take the marks as they stand, at the time that ``cuts`` has given."""
        self._keep(ts)
        self._widen(ts)
        self._next_ts = (ts // self._interval_ns + 1) * self._interval_ns

    def takes_at_once(self, ticks: Rows) -> bool:
        """True for bars, when there was nothing else before them: ``sample_bars`` does the same quicker."""
        self._only_bars = self._only_bars and bool((ticks["kind"] == TickKind.BAR).all())
        return self._only_bars

    def sample_bars(self, bars: Rows) -> None:
        """Take the marks within bars alone, all at once: each is the close of the last bar until then."""
        end_ts = int(bars["local_ts"][-1])
        self._widen(end_ts)
        interval_ns = self._interval_ns
        whole = np.arange(-(-self._next_ts // interval_ns), -(-end_ts // interval_ns), dtype=np.int64) * interval_ns
        wants_start = not self._times and self._start_ts < end_ts  # until then more of the first time may come
        ts = np.union1d(whole, self._start_ts) if wants_start else whole
        half_ticks = np.zeros((len(ts), len(self._ids)), np.int64)
        numbers = bars["instrument"]
        for at, number in enumerate(self._ids.tolist()):
            (own,) = np.nonzero((numbers == number) & (bars["side"] == 0))
            places = np.searchsorted(bars["local_ts"][own], ts, "right")
            closes = np.append(self._closes[at], 2 * bars["px"][own])
            half_ticks[:, at] = closes[places]
            self._closes[at] = closes[-1]
        if len(ts):
            self._times.append(ts)
            self._half_ticks.append(half_ticks)
        self._next_ts = max(self._next_ts, -(-end_ts // interval_ns) * interval_ns)

    def marks(self, end_ts: int) -> Rows:
        """All marks, with those at the end, as an array of MARK_SAMPLE."""
        if not len(self._ids) or not self._start_ts:
            return np.zeros(0, MARK_SAMPLE)
        self._widen(end_ts)
        self._keep(end_ts)
        times = np.concatenate(self._times)
        marks = np.zeros((len(times), len(self._ids)), MARK_SAMPLE)
        marks["ts"] = times[:, np.newaxis]
        marks["instrument"] = self._ids
        marks["half_ticks"] = np.concatenate(self._half_ticks)
        return marks[:, marks["half_ticks"].any(axis=0)].reshape(-1)

    def _keep(self, ts: int) -> None:
        if self._times and len(self._times[-1]) and self._times[-1][-1] == ts:
            self._half_ticks[-1] = self._half_ticks[-1][:-1]
            self._times[-1] = self._times[-1][:-1]
        best = self._books["best"][self._ids]
        quotes = self._books["quote_px"][self._ids]
        is_synced = self._books["state"][self._ids] == BookState.SYNCED
        has_book = is_synced & (best[:, BID] != NO_BID) & (best[:, ASK] != NO_ASK)
        has_quote = (self._books["state"][self._ids] == BookState.EMPTY) & (quotes > 0).all(axis=1)
        mids = np.where(has_book, best.sum(axis=1), np.where(has_quote, quotes.sum(axis=1), 0))
        self._times.append(np.array([ts]))
        self._half_ticks.append(mids[np.newaxis])

    def _widen(self, ts: int) -> None:
        """Go on with the interval for a stream that reaches to ``ts``; of what there is, that interval's is kept."""
        interval_ns = sample_interval_ns(ts - self._start_ts)
        if interval_ns == self._interval_ns:
            return
        self._interval_ns = interval_ns
        if self._times:
            times = np.concatenate(self._times)
            kept = times % interval_ns == 0
            kept[:1] = True
            self._times = [times[kept]]
            self._half_ticks = [np.concatenate(self._half_ticks)[kept]]


def marks_at(marks: Rows, instrument: int, ts: Integers) -> Integers:
    """The last known mark of an instrument at each of the times ``ts``, in half ticks; 0 before there is one."""
    known = marks[(marks["instrument"] == instrument) & (marks["half_ticks"] > 0)]
    half_ticks = np.concatenate([[0], known["half_ticks"]])
    return half_ticks[np.searchsorted(known["ts"], ts, "right")]
