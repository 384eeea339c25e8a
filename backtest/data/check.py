"""The check of market data: what a file holds, and what is wrong with it. Nothing is repaired."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from backtest.data.bars import BarSource, interval_text
from backtest.data.clocks import DataError
from backtest.data.messages import MessageMarker, WholeMessages
from backtest.data.source import STAMPS, TOLERATED_SHARE, Part, Reading, Side, Source, Ticks
from oms.config import Settings
from oms.records import TickFlag, TickKind

Integers = npt.NDArray[np.int64]

DEFAULT_SILENCE_S: Final = 60.0
SAMPLE: Final = 1_048_576
"""Feed latencies that are kept for the percentiles."""

ID_WINDOW: Final = 262_144
"""A trade id that comes again is found among so many trades before it."""

PERCENTILES: Final = {"least": 0.0, "p1": 1.0, "p50": 50.0, "p99": 99.0, "most": 100.0}


class Check(msgspec.Struct, kw_only=True):
    """What the check of one file has found."""

    file: str
    format: str
    instrument: str
    rows: int = 0
    records: int = 0
    """Ticks or bars."""
    kinds: dict[str, int] = msgspec.field(default_factory=dict)
    first_ts: int = 0
    """ns, of receipt; of bars the first opening."""
    last_ts: int = 0
    silences: int = 0
    """Stretches without a record that are longer than was asked for."""
    longest_silence_s: float = 0.0
    longest_silence_ts: int = 0
    """When it began, ns."""
    missing_bars: int = 0
    local_back: int = 0
    """Records received before the one ahead of them."""
    exch_back: int = 0
    """Records that happened before the one ahead of them."""
    sequence_gaps: int = 0
    """Updates of the book that do not follow the one before."""
    crossed_quotes: int = 0
    locked_quotes: int = 0
    crossed_book: int = 0
    """Levels that met or passed the other side's best one."""
    repeated_trades: int = 0
    """Trades with an id that was there before."""
    equal_neighbours: int = 0
    """Trades and quotes without an id that equal the record ahead of them."""
    empty_quotes: int = 0
    """Quotes without a price or quantity on a side."""
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    ignored: dict[str, int] = msgspec.field(default_factory=dict)
    inexact: int = 0
    feed_latency_ms: dict[str, float] = msgspec.field(default_factory=dict)
    """Receipt less exchange time, of records that have both."""
    notes: list[str] = msgspec.field(default_factory=list)
    remarks: list[str] = msgspec.field(default_factory=list)
    """What should be known, and makes no result wrong."""
    problems: list[str] = msgspec.field(default_factory=list)
    """What makes results unreliable."""


def check(source: Source | BarSource, settings: Settings, silence_s: float = DEFAULT_SILENCE_S) -> Check:
    """Read a source to its end and report on it; damage and disorder are reported, not raised.

    Parameters
    ----------
    source : Source or BarSource
    settings : Settings
        Define its instrument; the core's own book of it tells sequence gaps and crossed levels.
    silence_s : float
        A stretch without a record that is longer counts as a silence.
    """
    found = Check(file=str(source.path), format=source.format, instrument=source.symbol)
    try:
        if isinstance(source, BarSource):
            _check_bars(source, found)
        else:
            _check_ticks(source, settings, silence_s, found)
    except DataError as error:
        found.problems.append(str(error))
    _take_reading(source.reading, found)
    if not found.records and not found.problems:
        found.problems.append("it gives no record")
    return found


def _check_ticks(source: Source, settings: Settings, silence_s: float, found: Check) -> None:
    local = _TimeOrder(source, Side.LOCAL)
    exchange = _TimeOrder(source, Side.EXCHANGE)
    silence = _Silence(round(silence_s * 1e9))
    trades = _Trades()
    latency = _Sample()
    book = _Book(source, settings)
    kinds: Counter[int] = Counter()
    for part in source.parts():
        ticks = local.take(part)
        exchange.take(part)
        silence.take(ticks["local_ts"])
        trades.take(ticks)
        book.take(ticks)
        first = ticks[ticks["exch_ts"] != ticks["local_ts"]]
        latency.take(first["local_ts"] - first["exch_ts"])
        values, counts = np.unique(ticks["kind"], return_counts=True)
        kinds.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        _count_quotes(ticks, found)
    book.end()
    found.records = sum(kinds.values())
    found.kinds = {TickKind(kind).name: count for kind, count in sorted(kinds.items())}
    found.first_ts, found.last_ts = silence.first_ts, silence.last_ts
    found.silences, found.longest_silence_ts = silence.count, silence.longest_ts
    found.longest_silence_s = silence.longest_ns / 1e9
    found.local_back, found.exch_back = local.back, exchange.back
    found.repeated_trades, found.equal_neighbours = trades.repeated, trades.equal
    found.sequence_gaps, found.crossed_book = book.gaps, book.crossed
    found.feed_latency_ms = latency.percentiles()
    if local.back:
        found.problems.append(local.words())
    if exchange.back:
        (found.problems if source.sided else found.remarks).append(exchange.words())
    if book.gaps:
        found.problems.append(
            f"{book.gaps:,} gaps in the sequence of the book's updates: the book is stale behind each"
        )
    if kinds[TickKind.DEPTH] and not kinds[TickKind.SNAPSHOT]:
        found.problems.append("there are levels and no snapshot: the book is never complete")
    quotes = kinds[TickKind.QUOTE]
    _weigh(found, found.crossed_quotes, quotes, "quotes whose bid is above their ask")
    _weigh(found, found.crossed_book, kinds[TickKind.DEPTH], "levels that cross the book")
    _weigh(found, found.repeated_trades, kinds[TickKind.TRADE], "trades whose id was there before")
    _weigh(found, found.equal_neighbours, 0, "trades or quotes that equal the one ahead of them")
    _weigh(found, found.locked_quotes, 0, "quotes whose bid is their ask")
    _weigh(found, found.empty_quotes, 0, "quotes without a price or a quantity on a side")
    if found.silences:
        found.remarks.append(
            f"{found.silences:,} silences of over {silence_s:g} s, the longest of {found.longest_silence_s:,.1f} s"
        )


def _check_bars(source: BarSource, found: Check) -> None:
    interval = source.interval_ns
    last = back = again = off = 0
    for bars, _ in source.parts():
        opens = bars["ts_open"]
        steps = np.diff(opens, prepend=opens[0] - interval if last == 0 else last)
        found.first_ts = found.first_ts or int(opens[0])
        found.records += len(bars)
        found.missing_bars += int(np.maximum(steps // interval - 1, 0).sum())
        longest = int(np.argmax(steps))
        if steps[longest] - interval > found.longest_silence_s * 1e9:
            found.longest_silence_s = (int(steps[longest]) - interval) / 1e9
            found.longest_silence_ts = int(opens[longest] - steps[longest]) + interval
        back += int(np.count_nonzero(steps < 0))
        again += int(np.count_nonzero(steps == 0))
        off += int(np.count_nonzero(steps % interval))
        last = int(opens[-1])
    found.last_ts = last + interval
    found.local_back = found.exch_back = back
    found.notes.append(f"bars of {interval_text(interval)}, by the least distance of two openings")
    for count, what in ((back, "bars before the one ahead of them"), (again, "bars of a time that was there before")):
        if count:
            found.problems.append(f"{count:,} {what}")
    _weigh(found, off, 0, "bars that do not begin at a multiple of the interval behind the one ahead of them")
    _weigh(found, found.missing_bars, 0, "bars are missing")


def _take_reading(reading: Reading, found: Check) -> None:
    found.rows = reading.rows
    found.refused = {reason.name: count for reason, count in reading.refused.items()}
    found.ignored = dict(reading.ignored)
    found.inexact = reading.inexact
    found.notes += [*reading.doubts, *reading.notes]
    if reading.damage:
        found.problems.append(reading.damage)
    for reason, first in reading.problems.items():
        text = f"{reading.refused[reason]:,} refused as {reason.name}, the first: {first}"
        (found.problems if reading.has_many_refused else found.remarks).append(text)
    if reading.set_back:
        found.problems.append(f"{reading.set_back:,} messages were received before the one ahead of them")
    if reading.inexact:
        found.remarks.append(
            f"{reading.inexact:,} numbers stood beside the grid by no more than a double's last places"
        )


def _weigh(found: Check, count: int, among: int, what: str) -> None:
    """A problem when it is more than the tolerated share of so many; a remark when less, or when among none."""
    if count:
        serious = among > 0 and count > TOLERATED_SHARE * among
        (found.problems if serious else found.remarks).append(f"{count:,} {what}")


def _count_quotes(ticks: Ticks, found: Check) -> None:
    quotes = ticks[ticks["kind"] == TickKind.QUOTE]
    whole = (quotes["px"] > 0) & (quotes["px_2"] > 0) & (quotes["qty"] > 0) & (quotes["qty_2"] > 0)
    found.empty_quotes += int(np.count_nonzero(~whole))
    both = (quotes["px"] > 0) & (quotes["px_2"] > 0)
    found.crossed_quotes += int(np.count_nonzero(both & (quotes["px"] > quotes["px_2"])))
    found.locked_quotes += int(np.count_nonzero(both & (quotes["px"] == quotes["px_2"])))


class _TimeOrder:
    """Counts how often the time of one side goes back."""

    def __init__(self, source: Source, side: Side) -> None:
        self._source = source
        self._side = side
        self._stamp = STAMPS[side]
        self._last = 0
        self._first_row = 0
        self._worst_ns = 0
        self.back = 0

    def take(self, part: Part) -> Ticks:
        """Look at the side's records of a part, and return them."""
        ticks, rows = part.ticks, part.rows
        if part.sides is not None:
            own = (part.sides & self._side) != 0
            ticks, rows = ticks[own], rows[own]
        if len(ticks):
            steps = np.diff(ticks[self._stamp], prepend=self._last)
            back = np.flatnonzero(steps < 0)
            if len(back):
                self._first_row = self._first_row or int(rows[back[0]])
                self._worst_ns = max(self._worst_ns, int(-steps.min()))
                self.back += len(back)
            self._last = int(ticks[self._stamp][-1])
        return ticks

    def words(self) -> str:
        """What was counted."""
        return (
            f"{self._stamp} goes back {self.back:,} times, by up to {self._worst_ns / 1e6:,.3f} ms, first in "
            f"{self._source.row_name} {self._first_row:,}"
        )


class _Silence:
    """First and last time, and stretches without a record."""

    def __init__(self, bound_ns: int) -> None:
        self._bound_ns = bound_ns
        self.first_ts = 0
        self.last_ts = 0
        self.count = 0
        self.longest_ns = 0
        self.longest_ts = 0

    def take(self, stamps: Integers) -> None:
        if not len(stamps):
            return
        self.first_ts = self.first_ts or int(stamps[0])
        steps = np.diff(stamps, prepend=self.last_ts or stamps[0])
        self.count += int(np.count_nonzero(steps > self._bound_ns))
        longest = int(np.argmax(steps))
        if steps[longest] > self.longest_ns:
            self.longest_ns = int(steps[longest])
            self.longest_ts = int(stamps[longest] - steps[longest])
        self.last_ts = int(stamps[-1])


class _Trades:
    """Trades that come twice, by their ids; without one, records that equal the one ahead of them."""

    def __init__(self) -> None:
        self._ids = np.zeros(0, np.int64)
        self.repeated = 0
        self.equal = 0

    def take(self, ticks: Ticks) -> None:
        trades = ticks[ticks["kind"] == TickKind.TRADE]
        ids = trades["update_id"][trades["update_id"] > 0]
        known = np.unique(np.concatenate([self._ids, ids]))
        self.repeated += len(np.unique(self._ids)) + len(ids) - len(known)
        self._ids = np.concatenate([self._ids, ids])[-ID_WINDOW:]
        for kind in (TickKind.TRADE, TickKind.QUOTE):
            own = ticks[(ticks["kind"] == kind) & (ticks["update_id"] == 0)]
            if len(own) > 1:
                raw = own.view(np.uint8).reshape(len(own), -1)
                self.equal += int(np.count_nonzero((raw[1:] == raw[:-1]).all(axis=1)))


class _Sample:
    """Values thinned evenly to a bounded number."""

    def __init__(self) -> None:
        self._values: list[Integers] = []
        self._count = 0
        self._stride = 1
        self._skip = 0
        self._least = 2**63 - 1
        self._most = -(2**63)

    def take(self, values: Integers) -> None:
        if not len(values):
            return
        self._least, self._most = min(self._least, int(values.min())), max(self._most, int(values.max()))
        kept = values[self._skip :: self._stride]
        self._skip = (self._skip - len(values)) % self._stride
        self._values.append(kept)
        self._count += len(kept)
        if self._count > SAMPLE:
            thinned = np.concatenate(self._values)[::2]
            self._values, self._count = [thinned], len(thinned)
            self._stride *= 2
            self._skip = 0

    def percentiles(self) -> dict[str, float]:
        """In ms; nothing when there was no value."""
        if not self._count:
            return {}
        values = np.percentile(np.concatenate(self._values), list(PERCENTILES.values()))
        ends = {"least": self._least, "most": self._most}
        return {
            name: round(ends.get(name, float(value)) / 1e6, 3) for name, value in zip(PERCENTILES, values, strict=True)
        }


class _Book:
    """The core's own book of the stream, which counts gaps and crossings."""

    def __init__(self, source: Source, settings: Settings) -> None:
        self._instrument = source.instrument.id
        self._settings = settings
        self._messages = WholeMessages() if source.marked else MessageMarker()
        self._st: Any = None
        self.gaps = 0
        self.crossed = 0

    def take(self, ticks: Ticks) -> None:
        self._step(self._messages.take(ticks))

    def end(self) -> None:
        self._step(self._messages.rest())
        if self._st is not None:
            book = self._st[0]["books"][self._instrument]
            self.gaps, self.crossed = int(book["gaps"]), int(book["crossed"])

    def _step(self, ticks: Ticks) -> None:
        levels = ticks[np.isin(ticks["kind"], (TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.STALE))]
        if not len(levels):
            return
        from backtest.run import drive
        from oms.assembly import build_core

        if self._st is None:
            bare = msgspec.structs.replace(self._settings, strategies=(), rules=(), algorithms=())
            self._st = build_core(bare).st
        drive(self._st, _removals_first(levels))


def _removals_first(levels: Ticks) -> Ticks:
    """Whole messages with the levels that they take away ahead of those that they set.

    Venues send bids before asks, and a message stands for the book behind it: on the way there it crosses nothing.
    """
    number = np.cumsum((levels["flags"] & TickFlag.FIRST) != 0)
    ordered = levels[np.lexsort((levels["qty"] > 0, number))]
    ordered["flags"] = levels["flags"]
    return ordered
