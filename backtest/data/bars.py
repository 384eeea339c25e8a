"""Bars: open, high, low, close and volume of stretches of time, from tables, and longer bars made of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from backtest.data.clocks import DataError
from backtest.data.columns import Meaning, meaning_of
from backtest.data.grid import Grid, off_grid, steps_of_column
from backtest.data.refusals import Refusals
from backtest.data.source import Reading
from backtest.data.tables import Batch, TableFile, columns_of
from backtest.data.times import NS_PER_DAY, TimeColumn
from oms.config import qualified_symbol
from oms.instruments import Instrument
from oms.records import Reason

Bars = npt.NDArray[np.void]
Integers = npt.NDArray[np.int64]

BAR: Final = np.dtype(
    [
        ("ts_open", "<i8"),  # ns; the bar holds what traded from here
        ("ts_close", "<i8"),  # ns; up to here, this moment not included
        ("open", "<i8"),  # ticks
        ("high", "<i8"),
        ("low", "<i8"),
        ("close", "<i8"),
        ("volume", "<i8"),  # lots
    ]
)
"""One bar, 56 bytes. It is known from ``ts_close`` on, not before."""

_PRICES: Final = ("open", "high", "low", "close")


class BarSource:
    """A table of bars of one instrument.

    The column of times is that of the openings. A bar ends where the next could begin: the interval is the least
    distance of two openings, and a bar that is missing stays missing.

    Attributes
    ----------
    interval_ns : int
    reading : Reading
        What became of the rows read last.
    """

    format: ClassVar[str] = "bars"

    def __init__(self, file: TableFile, instrument: Instrument) -> None:
        self.path: Path = file.path
        self.instrument = instrument
        self.reading = Reading()
        self._file = file
        self._table: Meaning = meaning_of(file.path, file.names)
        self.interval_ns = self._least_interval()

    @property
    def symbol(self) -> str:
        """The instrument's symbol and venue."""
        return qualified_symbol(self.instrument)

    def parts(self) -> Iterator[tuple[Bars, Integers]]:
        """The sound rows as they lie in the file, in any order, and their numbers; raises as ``blocks`` does."""
        self.reading = Reading()
        names = self._table.columns
        times = TimeColumn(self.path, names["ts"], self.reading)
        for batch in self._file.batches([names["ts"], *(names[field] for field in (*_PRICES, "volume"))], self.reading):
            self.reading.rows += len(batch.rows)
            with columns_of(self.path):
                bars, rows = self._bars(batch, times)
            if len(bars):
                yield bars, rows

    def blocks(self) -> Iterator[Bars]:
        """The bars in order of time, block by block.

        Raises
        ------
        DataError
            When the file cannot be read, holds no bar, or an opening is not behind the one before it.
        """
        last = 0
        for bars, rows in self.parts():
            before = np.concatenate([np.array([last], np.int64), bars["ts_open"][:-1]])
            back = np.flatnonzero(bars["ts_open"] <= before)
            if len(back):
                at = int(back[0])
                raise DataError(
                    f"{self.path}, row {rows[at]:,}: the bar of {bars['ts_open'][at]} is not behind that of "
                    f"{before[at]} ahead of it: sort the file by time, each bar once"
                )
            last = int(bars["ts_open"][-1])
            yield bars
        if last == 0:
            first = next(iter(self.reading.problems.values()), self.reading.damage or "it holds no row")
            raise DataError(f"{self.path} gives no bar of {self.symbol}: {first}")

    def read(self) -> Bars:
        """All bars as one array; raises as ``blocks`` does."""
        return np.concatenate(list(self.blocks()))

    def _bars(self, batch: Batch, times: TimeColumn) -> tuple[Bars, Integers]:
        names = self._table.columns
        refused = Refusals(len(batch.rows))
        bars: Bars = np.zeros(len(batch.rows), BAR)
        stamps = batch.columns[names["ts"]]
        bars["ts_open"], wrong = times.to_ns(stamps)
        bars["ts_close"] = bars["ts_open"] + self.interval_ns
        refused.add(wrong, lambda at: f"time {stamps[at].as_py()!r} is none, or in another unit", Reason.MALFORMED)
        for field in (*_PRICES, "volume"):
            column = batch.columns[names[field]]
            grid = Grid(self.instrument, "quantity" if field == "volume" else "price")
            steps = steps_of_column(column, grid)
            bars[field] = steps.steps
            self.reading.inexact += steps.inexact
            refused.add(steps.reasons, off_grid(column, grid))
        reach = (bars["low"] <= np.minimum(bars["open"], bars["close"])) & (
            bars["high"] >= np.maximum(bars["open"], bars["close"])
        )
        refused.add(~reach, lambda at: "open or close is outside of low to high", Reason.BAD_PRICE)
        refused.add(bars["low"] <= 0, lambda at: "its lowest price is not above zero", Reason.BAD_PRICE)
        refused.add(bars["volume"] < 0, lambda at: "its volume is below zero", Reason.QTY_BELOW_MIN)
        refused.report(self.reading, lambda at: f"{self.path}, row {batch.rows[at]:,}")
        return bars[refused.sound], batch.rows[refused.sound]

    def _least_interval(self) -> int:
        """The least distance of two neighbouring openings of the first block."""
        reading = Reading()
        name = self._table.columns["ts"]
        times = TimeColumn(self.path, name, reading)
        for batch in self._file.batches([name], reading):
            with columns_of(self.path):
                stamps, wrong = times.to_ns(batch.columns[name])
            steps = np.diff(stamps[~wrong])
            steps = steps[steps > 0]
            if len(steps):
                return int(steps.min())
            break
        raise DataError(f"{self.path} holds fewer than two bars in order of time: their interval cannot be told")


def resample(bars: Bars, interval_ns: int, *, utc_offset_ns: int = 0) -> Bars:
    """Longer bars of shorter ones.

    A long bar holds the short ones that open from its ``ts_open`` on and before its ``ts_close``, and is known at its
    ``ts_close``. Long bars begin at multiples of the interval since midnight of 1970-01-01 in the given zone. A stretch
    without a short bar has no long bar; one with some has one, whatever else is missing; the last may be incomplete.

    Parameters
    ----------
    bars : array of BAR
        In order of time, all of one interval.
    interval_ns : int
        Of the long bars: a multiple of the short ones' interval.
    utc_offset_ns : int
        What the zone's clock is ahead of UTC: days begin at its midnight. A multiple of the short ones' interval.

    Raises
    ------
    DataError
        When the intervals do not fit, or the bars are not in order.
    """
    if not len(bars):
        return bars.copy()
    short_ns = int(bars["ts_close"][0] - bars["ts_open"][0])
    if interval_ns < short_ns or interval_ns % short_ns:
        raise DataError(
            f"bars of {interval_text(interval_ns)} cannot be made of bars of {interval_text(short_ns)}: give a multiple"
        )
    if utc_offset_ns % short_ns:
        raise DataError(f"a zone {utc_offset_ns} ns ahead of UTC cuts bars of {short_ns} ns in two")
    if (np.diff(bars["ts_open"]) <= 0).any() or (bars["ts_close"] - bars["ts_open"] != short_ns).any():
        raise DataError("bars to be resampled must be in order of time and of one interval")
    number = (bars["ts_open"] + utc_offset_ns) // interval_ns
    begins = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1]]))
    ends = np.concatenate([begins[1:], [len(bars)]]) - 1
    longer: Bars = np.zeros(len(begins), BAR)
    longer["ts_open"] = number[begins] * interval_ns - utc_offset_ns
    longer["ts_close"] = longer["ts_open"] + interval_ns
    longer["open"] = bars["open"][begins]
    longer["high"] = np.maximum.reduceat(bars["high"], begins)
    longer["low"] = np.minimum.reduceat(bars["low"], begins)
    longer["close"] = bars["close"][ends]
    longer["volume"] = np.add.reduceat(bars["volume"], begins)
    return longer


def interval_text(interval_ns: int) -> str:
    """An interval as it is usually written, such as ``5m``."""
    for name, size in (("d", NS_PER_DAY), ("h", 3600 * 10**9), ("m", 60 * 10**9), ("s", 10**9)):
        if interval_ns % size == 0:
            return f"{interval_ns // size}{name}"
    return f"{interval_ns}ns"
