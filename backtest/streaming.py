"""A backtest over files, block by block: several instruments merged by time, in bounded memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from backtest.data.bar_ticks import read_bar_ticks
from backtest.data.bars import BarSource
from backtest.data.clocks import MAX_TS, Block
from backtest.data.merge import merge
from backtest.data.source import Source
from backtest.run import (
    Backtest,
    BacktestError,
    Drive,
    check_clock,
    finished,
    run_backtest,
    set_exchange_rows,
    with_problems,
)
from gateways.recording import NS_PER_S, QUIET_NS, time_ticks, with_quiet_times
from oms.assembly import build_core
from oms.compiled import Progress
from oms.config import Settings
from oms.records import TICK
from oms.session_settings import BAR_MODEL, MATCHING_MODELS

Ticks = npt.NDArray[np.void]
NO_LATENCY: Final[dict[str, Any]] = {
    "entry_latency_us": 0,
    "response_latency_us": 0,
    "feed_latency_factor": 0.0,
    "latencies": "",
}
"""Settings of an exchange model whose answers are there at once."""
_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", lambda pad: 0)
"""Gives freed memory back to the system; of glibc, elsewhere nothing. Blocks are of different sizes, and the allocator
does not find room for one in the hole of another: without it, memory grows with the length of the stream."""


def stream(sources: Sequence[Source], clock: str = "local", duration_s: float = 0) -> Iterator[Block]:
    """The sources as one stream, with the TIME records that a replay sends in silences.

    Parameters
    ----------
    sources : sequence of Source
    clock : str
        ``local`` or ``dual``.
    duration_s : float
        Stop after this much time of receipt; 0: at the end.

    Raises
    ------
    DataError
        As ``merge`` does.
    """
    quiet = _QuietTimes(min(source.instrument.id for source in sources))
    stop_ts = MAX_TS
    for block in merge(sources, clock):
        local, exchange, until = block
        if duration_s and stop_ts == MAX_TS and len(local):
            stop_ts = int(local["local_ts"][0]) + round(duration_s * NS_PER_S)
        if until >= stop_ts:
            local = local[: np.searchsorted(local["local_ts"], stop_ts)]
            exchange = exchange if exchange is None else exchange[: np.searchsorted(exchange["exch_ts"], stop_ts)]
            yield Block(quiet.take(local, MAX_TS), exchange, MAX_TS)
            return
        yield Block(quiet.take(local, until), exchange, until)


class _QuietTimes:
    """Puts TIME records into silences, within blocks and between them."""

    def __init__(self, instrument: int) -> None:
        self._instrument = instrument
        self._last_ts: int | None = None

    def take(self, local: Ticks, until: int) -> Ticks:
        """A block with its TIME records: those ahead of its ticks, and behind them those before ``until``."""
        if len(local):
            last_ts = int(local["local_ts"][-1])
            local = with_quiet_times(local, self._last_ts, self._instrument)
            self._last_ts = last_ts
        if self._last_ts is None or until == MAX_TS:
            return local
        count = max(until - self._last_ts - 1, 0) // QUIET_NS
        if not count:
            return local
        stamps = self._last_ts + QUIET_NS * np.arange(1, count + 1)
        self._last_ts = int(stamps[-1])
        return np.concatenate([local, time_ticks(stamps, self._instrument)])


def read_ticks(sources: Sequence[Source], duration_s: float = 0) -> Ticks:
    """The stream as one array, in the order of receipt; raises as ``stream`` does."""
    return np.concatenate([np.zeros(0, TICK), *(block.local for block in stream(sources, "local", duration_s))])


def problems_of(sources: Iterable[Source | BarSource]) -> tuple[str, ...]:
    """What of sources that have been read could not be used, a line each."""
    return tuple(text for source in sources for text in source.reading.summary())


def drive_blocks(driven: Drive, blocks: Iterable[Block]) -> None:
    """Step a core over a stream; a block's order of the exchange acts at an exchange with a clock of its own.

    Raises
    ------
    BacktestError
        When events were lost.
    """
    for block in blocks:
        _TRIM(0)
        if block.exchange is None:
            driven.take(block.local)
            continue
        set_exchange_rows(driven.st, block.exchange)
        driven.take(block.local)
        last_ts = int(block.exchange["exch_ts"][-1]) if len(block.exchange) else 0
        driven.let_pass(max(driven.last_ts, last_ts) if block.until == MAX_TS else block.until - 1)


def backtest_sources(
    settings: Settings,
    sources: Sequence[Source],
    clock: str = "local",
    duration_s: float = 0,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Backtest:
    """Run a backtest over files, merged by time, of instruments that the settings define.

    Parameters
    ----------
    settings : Settings
        As for ``run_backtest``.
    sources : sequence of Source
        As ``backtest.data.opening.open_sources`` gives them.
    clock : str
        One of ``CLOCKS``.
    duration_s : float
        Stop after this much recorded time; 0: at the end.
    report : callable
        Told about the progress of compiling.

    Raises
    ------
    DataError
        When a file cannot be read, its time goes back, or an instrument's data are given twice.
    ConfigError, StrategyError, BacktestError
        As ``run_backtest`` does.
    """
    check_clock(clock)
    settings.matching.check_book_model()
    core = build_core(settings, two_clocks=clock == "dual", report=report)
    driven = Drive(core.st, settings.instruments)
    drive_blocks(driven, stream(sources, clock, duration_s))
    return with_problems(finished(core, settings, clock, driven), problems_of(sources))


def backtest_bars(
    settings: Settings,
    sources: Sequence[BarSource],
    timeframes_ns: Sequence[int] = (),
    duration_s: float = 0,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Backtest:
    """Run a backtest over bars, with the exchange model for them, and without latency.

    A whole bar has one time, its close: a request that is under way for any time at all would miss the rest of its way,
    and a stop that is reached in a bar would be overtaken by the target behind it.

    Parameters
    ----------
    settings : Settings
        As for ``run_backtest``; of exchange models only ``bar`` and a user's own file go with bars.
    sources : sequence of BarSource
    timeframes_ns : sequence of int
        Longer bars that strategies get too, made of those of the data.
    duration_s : float
        Stop so long after the first bar's opening; 0: at the end.
    report : callable
        Told about the progress of compiling.

    Raises
    ------
    DataError
        When a file cannot be read, or a timeframe is no multiple of its bars'.
    BacktestError
        When the settings choose an exchange model that needs a book.
    """
    settings = bar_settings(settings)
    backtest = run_backtest(settings, read_bars(sources, timeframes_ns, duration_s), report=report)
    return with_problems(backtest, problems_of(sources))


def bar_settings(settings: Settings) -> Settings:
    """``settings`` for data that are bars: with the exchange model for them, and without latency.

    Raises
    ------
    BacktestError
        When they choose an exchange model that needs a book.
    """
    model = settings.matching.model
    if model not in (MATCHING_MODELS[0], BAR_MODEL) and not model.endswith(".py"):
        raise BacktestError(f"exchange model {model!r} needs a book, and the data are bars: use {BAR_MODEL!r}")
    matching = msgspec.structs.replace(
        settings.matching, model=model if model.endswith(".py") else BAR_MODEL, **NO_LATENCY
    )
    return msgspec.structs.replace(settings, matching=matching)


def read_bars(sources: Sequence[BarSource], timeframes_ns: Sequence[int] = (), duration_s: float = 0) -> Ticks:
    """The bars as one array of BAR records, up to ``duration_s`` after the first one's opening; 0: all of them.

    Raises as ``read_bar_ticks`` does.
    """
    ticks = read_bar_ticks(sources, timeframes_ns)
    if duration_s and len(ticks):
        first_ts = ticks["exch_ts"][ticks["side"] == 0].min()  # a longer bar may open before there are data
        ticks = ticks[ticks["local_ts"] <= first_ts + round(duration_s * NS_PER_S)]
    return ticks
