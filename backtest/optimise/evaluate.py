"""One trial: backtests of a strategy with some parameters over some parts of the data, and the figures of them all.

This is the border to ``backtest.run`` and ``backtest.performance``: the rest of the optimiser knows neither.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from backtest.benchmarks import Absent
from backtest.equity import EQUITY, Floats
from backtest.marks import DAY_NS, sample_interval_ns
from backtest.metrics import LEAST_DAYS, METRICS, Metric, Sample, daily_returns
from backtest.optimise.folds import Part
from backtest.optimise.parts import STAMPS, read_part
from backtest.optimise.targets import SIZES, Target
from oms.records import CASH_SCALE

if TYPE_CHECKING:
    from backtest.market import Rows
    from oms.assembly import Loaded
    from oms.config import Settings

MOST_RETURNS: Final = 240
"""Observations that a run of less than ``LEAST_DAYS`` is cut into."""
BY_NAME: Final = {metric.name: metric for metric in METRICS}
CUMULATIVE: Final = ("pnl", "realized_pnl", "unrealized_pnl", "fees", "funding")
"""Columns of EQUITY that a later part goes on with."""


class Job(msgspec.Struct, frozen=True):
    """What a worker is to run."""

    parameters: dict[str, float]
    parts: tuple[Part, ...]
    bars: tuple[float | None, ...] = ()
    """For each part, what the first target must reach over all parts so far, for the rest to be run; None: anything."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job."""

    figures: dict[str, float] = {}
    """The metrics that there are, by name: amounts in the reporting currency, drawdowns by their size."""
    absent: dict[str, str] = {}
    """Why a metric is not there, by its name."""
    steps: tuple[float | None, ...] = ()
    """The first target's figure over all parts so far, a value for each part that was run."""
    returns: tuple[float, ...] = ()
    """Of whole days where there are ``LEAST_DAYS``, else of stretches of like length."""
    failure: str = ""
    """Why there are no figures at all."""
    is_pruned: bool = False


class EvaluationError(RuntimeError):
    """A run that failed; the message says why."""


class Task(msgspec.Struct, frozen=True):
    """What is common to all jobs of a search: every worker opens it once."""

    settings: Settings
    folder: Path
    """Of the files that ``write_parts`` wrote."""
    target: Target
    clock: str = "local"

    def open(self) -> Callable[[Job], Outcome]:
        """Load what is compiled; returns the function that runs jobs."""
        from oms.assembly import load

        return Evaluator(self, load(self.settings)).run

    def packed(self) -> PackedTask:
        """The task with its files in it, for a machine that does not have them."""
        return PackedTask(self, {path.name: np.load(path, mmap_mode="r") for path in self.folder.glob("*.npy")})


class PackedTask(NamedTuple):
    """A task and its files' contents."""

    task: Task
    files: dict[str, Rows]

    def open(self) -> Callable[[Job], Outcome]:
        """Unpack it, where this machine does not have the files, and open it."""
        if self.task.folder.is_dir():
            return self.task.open()
        unpacked = tempfile.TemporaryDirectory(prefix="zoms-optimise-")
        atexit.register(unpacked.cleanup)
        for name, rows in self.files.items():
            np.save(Path(unpacked.name) / name, rows)
        return msgspec.structs.replace(self.task, folder=Path(unpacked.name)).open()

    def packed(self) -> PackedTask:
        return self


class Evaluator:
    """Runs jobs one after another in one process."""

    def __init__(self, task: Task, loaded: Loaded) -> None:
        self._task = task
        self._loaded = loaded
        self._parts: dict[Part, tuple[Rows, ...]] = {}

    def run(self, job: Job) -> Outcome:
        """Run a job; raises what the backtest raises, and ``EvaluationError`` where a strategy failed."""
        samples: list[Sample] = []
        steps: list[float | None] = []
        for number, part in enumerate(job.parts):
            samples.append(self._sample(job.parameters, part))
            joined = joined_sample(samples)
            value = figure_of(joined, self._task.target.name)
            steps.append(value)
            bar = job.bars[number] if number < len(job.bars) else None
            is_last = number == len(job.parts) - 1
            if bar is None or value is None or is_last:
                continue
            if (value - bar) * self._task.target.direction < 0:
                return Outcome(steps=tuple(steps), is_pruned=True)
        figures, absent = all_figures(joined)
        return Outcome(figures=figures, absent=absent, steps=tuple(steps), returns=tuple(returns_of(joined).tolist()))

    def _sample(self, parameters: Mapping[str, float], part: Part) -> Sample:
        if part not in self._parts:
            stamps = STAMPS if self._task.clock == "dual" else STAMPS[:1]
            self._parts[part] = tuple(read_part(self._task.folder, part, stamp) for stamp in stamps)
        return evaluate(
            self._task.settings, parameters, *self._parts[part], clock=self._task.clock, loaded=self._loaded
        )


def with_parameters(settings: Settings, parameters: Mapping[str, float]) -> Settings:
    """``settings`` with these parameters in every strategy."""
    strategies = tuple(
        msgspec.structs.replace(each, parameters={**each.parameters, **parameters}) for each in settings.strategies
    )
    return msgspec.structs.replace(settings, strategies=strategies)


def evaluate(
    settings: Settings,
    parameters: Mapping[str, float],
    ticks: Rows,
    exchange: Rows | None = None,
    *,
    clock: str = "local",
    loaded: Loaded | None = None,
) -> Sample:
    """Run the strategies with these parameters over ``ticks``, and ``exchange`` as the exchange's own order of them:
    what came of it.

    Raises
    ------
    EvaluationError
        When a strategy failed, or there are no ticks.
    BacktestError, ConfigError, StrategyError, LedgerError, MarketError
        As a backtest does.
    """
    from backtest.run import run_backtest

    if not len(ticks):
        raise EvaluationError("there are no ticks in this part of the data")
    backtest = run_backtest(with_parameters(settings, parameters), ticks, clock=clock, loaded=loaded, exchange=exchange)
    performance = backtest.performance()
    if performance.failures:
        raise EvaluationError(performance.failures[0])
    return performance.whole.sample


def joined_sample(samples: Sequence[Sample]) -> Sample:
    """Several runs, each from the same capital, as one: its equity goes on where that of the run before ended.

    Whole days between two of them are left out, so that they count as no time without gain; the hour of the day stays.
    """
    if len(samples) == 1:
        return samples[0]
    blocks: list[Rows] = [np.zeros(0, EQUITY)]
    reached = dict.fromkeys(CUMULATIVE, 0)
    end_ts: int | None = None
    for sample in samples:
        block = sample.curve.copy()
        if not len(block):
            continue
        if end_ts is not None:
            block["ts"] -= max(int(block["ts"][0]) - end_ts, 0) // DAY_NS * DAY_NS
        for name in CUMULATIVE:
            block[name] += reached[name]
            reached[name] = int(block[name][-1])
        end_ts = int(block["ts"][-1])
        blocks.append(block)
    return Sample(
        capital=samples[0].capital,
        curve=np.concatenate(blocks),
        trades=np.concatenate([each.trades for each in samples]),
        fills=sum(each.fills for each in samples),
        traded=sum(each.traded for each in samples),
        maker_traded=sum(each.maker_traded for each in samples),
        liquidations=sum(each.liquidations for each in samples),
    )


def all_figures(sample: Sample) -> tuple[dict[str, float], dict[str, str]]:
    """Every metric as a number, and why others are not there, by name."""
    figures: dict[str, float] = {}
    absent: dict[str, str] = {}
    for metric in METRICS:
        try:
            figures[metric.name] = _number(metric, sample)
        except Absent as why:
            absent[metric.name] = str(why)
    return figures, absent


def figure_of(sample: Sample, name: str) -> float | None:
    """One metric as ``all_figures`` has it; None where it is not there."""
    try:
        return _number(BY_NAME[name], sample)
    except Absent:
        return None


def _number(metric: Metric, sample: Sample) -> float:
    value = float(metric.compute(sample))
    value = value / CASH_SCALE if metric.unit == "cash" else value
    return abs(value) if metric.name in SIZES else value


def returns_of(sample: Sample) -> Floats:
    """The returns by which tries are compared: of days, or of at most ``MOST_RETURNS`` stretches of like length.

    Empty where there is no capital, or it was lost.
    """
    nothing: Floats = np.zeros(0)
    if sample.length_ns >= LEAST_DAYS * DAY_NS:
        try:
            return daily_returns(sample)
        except Absent:
            return nothing
    if sample.capital <= 0 or sample.length_ns <= 0:
        return nothing
    count = min(MOST_RETURNS, sample.length_ns // sample_interval_ns(sample.length_ns))
    ts = sample.curve["ts"]
    edges = int(ts[0]) + sample.length_ns * np.arange(count + 1) // max(count, 1)
    equity = sample.equity[np.searchsorted(ts, edges, "right") - 1]
    if np.any(equity <= 0):
        return nothing
    return equity[1:] / equity[:-1] - 1
