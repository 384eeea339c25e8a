"""Bars as records for the core: those of the data, and longer ones made of them for strategies that look farther."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from backtest.data.bars import Bars, BarSource, interval_text, resample
from backtest.data.clocks import DataError
from oms.instruments import Instrument
from oms.records import TICK, TickFlag, TickKind

Ticks = npt.NDArray[np.void]

MAX_TIMEFRAMES: Final = 100


def bar_ticks(bars: Bars, instrument: Instrument, timeframe: int = 0) -> Ticks:
    """BAR records of bars; ``timeframe`` is the number by which strategies know them, 0 for the data's own.

    Parameters
    ----------
    bars : array of BAR
    instrument : Instrument
        In whose ticks and lots they are.
    timeframe : int
    """
    ticks = np.zeros(len(bars), TICK)
    ticks["kind"] = TickKind.BAR
    ticks["exch_ts"], ticks["local_ts"] = bars["ts_open"], bars["ts_close"]
    ticks["px"], ticks["qty"] = bars["close"], bars["volume"]
    ticks["px_2"], ticks["qty_2"], ticks["update_id"] = bars["open"], bars["high"], bars["low"]
    ticks["instrument"], ticks["version"] = instrument.id, instrument.version
    ticks["side"] = timeframe
    ticks["flags"] = TickFlag.FIRST | TickFlag.LAST
    return ticks


def read_bar_ticks(sources: Sequence[BarSource], intervals_ns: Sequence[int] = ()) -> Ticks:
    """All bars of several instruments in order of time, longer ones of ``intervals_ns`` behind those they end with.

    Parameters
    ----------
    sources : sequence of BarSource
        One an instrument.
    intervals_ns : sequence of int
        Timeframes 1, 2, ... of each instrument: multiples of its bars' interval.

    Raises
    ------
    DataError
        When an instrument is given twice, an interval does not fit, or a file cannot be read.
    """
    if len(intervals_ns) > MAX_TIMEFRAMES:
        raise DataError(f"{len(intervals_ns)} timeframes are too many: give at most {MAX_TIMEFRAMES}")
    known: set[int] = set()
    parts: list[Ticks] = [np.zeros(0, TICK)]
    for source in sources:
        if source.instrument.id in known:
            raise DataError(f"{source.path} is of {source.symbol}, as another file of bars is: give one file of each")
        known.add(source.instrument.id)
        bars = source.read()
        parts.append(bar_ticks(bars, source.instrument))
        for number, interval_ns in enumerate(intervals_ns, 1):
            if interval_ns == source.interval_ns:
                raise DataError(f"{source.path} has bars of {interval_text(interval_ns)} itself: give longer ones")
            parts.append(bar_ticks(resample(bars, interval_ns), source.instrument, number))
    ticks = np.concatenate(parts)
    return ticks[np.lexsort((ticks["side"], ticks["instrument"], ticks["local_ts"]))]
