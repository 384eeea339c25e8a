"""How the optimiser scales: the same trials with one worker and with one for each core, in one run.

A trial is a backtest of the shipped market maker over the recording, put one after another as often as makes a trial
long enough (``TRIAL_S``) to be worth a process. Workers are started and have loaded their code before the clock starts.
Rounds of one worker and of several take turns; the ratio is the median of theirs. Both must come to the same trials, or
the benchmark fails.

What else the machine does is taken from several workers, not from one: ``cores had`` is the processor time that the
workers were given, over the time that passed. Less than their number says that the machine was not idle, and
``at full cores`` is the ratio of the processor times a trial, times the cores: what it would have been if it were.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import numpy as np

from backtest.market import Rows
from backtest.optimise.evaluate import Job, Outcome, Task
from backtest.optimise.folds import Part
from backtest.optimise.parts import write_parts
from backtest.optimise.targets import Target
from backtest.optimise.workers import ProcessPool, cores
from backtest.run import read_recording
from benchmarks._market import RECORDING
from oms.config import load_settings

TRIAL_S: Final = 1.0
TRIALS: Final = 12
"""Of a round."""
ROUNDS: Final = 3
GAP_NS: Final = 1_000_000_000


def repeated(ticks: Rows, times: int) -> Rows:
    """The recording so many times, one after another; each begins with its own snapshot."""
    length_ns = int(ticks["local_ts"][-1] - ticks["local_ts"][0]) + GAP_NS
    blocks = []
    for number in range(times):
        block = ticks.copy()
        block["local_ts"] += number * length_ns
        block["exch_ts"] += number * length_ns
        blocks.append(block)
    return np.concatenate(blocks)


class Round(NamedTuple):
    """Some trials with some workers."""

    wall_s: float
    cpu_s: float
    """Of all workers."""
    outcomes: dict[int, Outcome]


def run(task: Task, part: Part, workers: int, trials: int) -> Round:
    """Time a round, without what comes before its first trial."""
    pool = ProcessPool(task, workers)
    try:
        for number in range(workers):
            pool.submit(-1 - number, Job({}, (part,)))
        for _ in range(workers):
            pool.take()
        start, cpu_start = time.perf_counter(), _cpu_s(pool.pids)
        for number in range(trials):
            pool.submit(number, Job({"half_spread_ticks": 1.0 + number}, (part,)))
        done = dict(pool.take() for _ in range(trials))
        return Round(time.perf_counter() - start, _cpu_s(pool.pids) - cpu_start, done)
    finally:
        pool.close()


def _cpu_s(pids: Iterable[int]) -> float:
    """Processor time of these processes so far."""
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def measure() -> Iterator[dict[str, Any]]:
    settings = load_settings(None, {"replay": {"file": str(RECORDING)}})
    once = read_recording(settings, Path(RECORDING)).ticks
    with TemporaryDirectory() as folder:
        part, task = _written(settings, once, Path(folder))
        times = max(1, round(TRIAL_S / (run(task, part, 1, 4).wall_s / 4)))
        part, task = _written(settings, repeated(once, times), Path(folder))
        rounds = [(run(task, part, 1, TRIALS), run(task, part, cores(), TRIALS)) for _ in range(ROUNDS)]
    for alone, many in rounds:
        if alone.outcomes != many.outcomes or any(each.failure for each in alone.outcomes.values()):
            raise AssertionError("the trials of one worker and of several differ, or some failed")
    yield {
        "name": f"optimize, {cores()} workers",
        "unit": "trials/s",
        "ours": median(TRIALS / many.wall_s for _, many in rounds),
        "reference": median(TRIALS / alone.wall_s for alone, _ in rounds),
        "reference_name": "1 worker",
        "ratio": median(alone.wall_s / many.wall_s for alone, many in rounds),
        "details": {
            "trials": TRIALS,
            "ticks a trial": len(once) * times,
            "cores had, of 1": median(alone.cpu_s / alone.wall_s for alone, _ in rounds),
            f"cores had, of {cores()}": median(many.cpu_s / many.wall_s for _, many in rounds),
            "at full cores": median(cores() * alone.cpu_s / many.cpu_s for alone, many in rounds),
        },
    }


def _written(settings: Any, ticks: Rows, folder: Path) -> tuple[Part, Task]:
    part = Part(int(ticks["local_ts"][0]), int(ticks["local_ts"][-1]) + 1)
    write_parts(ticks, settings.instruments[:1], [part], folder)
    return part, Task(settings, folder, Target("net_pnl", 1))
