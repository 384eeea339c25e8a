"""A backtest over files, block by block: several instruments merged by time, in bounded memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from backtest.data.clocks import MAX_TS, Block
from backtest.data.merge import merge
from backtest.data.source import Source
from backtest.run import Backtest, BacktestError, Extent, check_clock, finished, take_events, with_problems
from gateways.recording import NS_PER_S, QUIET_NS, time_ticks, with_quiet_times
from oms.assembly import build_core
from oms.compiled import Progress
from oms.config import Settings
from oms.core.state import State
from oms.engine import step_ticks
from oms.records import EVENT, TICK

Ticks = npt.NDArray[np.void]


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


def problems_of(sources: Iterable[Source]) -> tuple[str, ...]:
    """What of sources that have been read could not be used, a line each."""
    return tuple(text for source in sources for text in source.reading.summary())


def drive_blocks(st: State, blocks: Iterable[Block]) -> tuple[npt.NDArray[np.void], Extent]:
    """Step the core over a stream, and return every event that it wrote and the extent of the stream.

    The time taken is that of the steps, without reading the files.

    Raises
    ------
    BacktestError
        When events were lost, or a block has an order of the exchange's own: it has none to act on here.
    """
    events: list[npt.NDArray[np.void]] = [np.zeros(0, EVENT)]
    records, elapsed_s, first_ts, last_ts = 0, 0.0, 0, 0
    for block in blocks:
        if block.exchange is not None:
            raise BacktestError("the exchange acts in the order of receipt here: stream with the clock 'local'")
        if not len(block.local):
            continue
        begun = time.perf_counter()
        start = 0
        while start < len(block.local):
            start = step_ticks(st, block.local, start, 0)
            events.append(take_events(st))
        elapsed_s += time.perf_counter() - begun
        records += len(block.local)
        first_ts = first_ts or int(block.local["local_ts"][0])
        last_ts = int(block.local["local_ts"][-1])
    return np.concatenate(events), Extent(records, (last_ts - first_ts) / 1e9, elapsed_s)


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
    core = build_core(settings, report=report)
    events, extent = drive_blocks(core.st, stream(sources, clock, duration_s))
    return with_problems(finished(core, settings, clock, events, extent), problems_of(sources))
