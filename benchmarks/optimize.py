"""How the optimiser scales: the same trials with one worker and with one for each core, in one run.

A trial is a backtest of the shipped market maker over the recording, put one after another as often as makes a trial
long enough (``TRIAL_S``) to be worth a process. Workers are started and have loaded their code before the clock starts.
The machine must be idle: what else it does is taken from several workers, not from one. Both searches must come to the
same trials, or the benchmark fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

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
TRIALS: Final = 32
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


def run(task: Task, part: Part, workers: int, trials: int) -> tuple[float, dict[int, Outcome]]:
    """Seconds that the trials take, and what became of them."""
    pool = ProcessPool(task, workers)
    try:
        for number in range(workers):
            pool.submit(-1 - number, Job({}, (part,)))
        for _ in range(workers):
            pool.take()
        start = time.perf_counter()
        for number in range(trials):
            pool.submit(number, Job({"half_spread_ticks": 1.0 + number % 16}, (part,)))
        done = dict(pool.take() for _ in range(trials))
        return time.perf_counter() - start, done
    finally:
        pool.close()


def measure() -> Iterator[dict[str, Any]]:
    settings = load_settings(None, {"replay": {"file": str(RECORDING)}})
    once = read_recording(settings, Path(RECORDING)).ticks
    with TemporaryDirectory() as folder:
        part, task = _written(settings, once, Path(folder))
        seconds, _ = run(task, part, 1, 2)
        times = max(1, round(TRIAL_S / (seconds / 2)))
        part, task = _written(settings, repeated(once, times), Path(folder))
        alone_s, alone = run(task, part, 1, TRIALS)
        many_s, many = run(task, part, cores(), TRIALS)
        if alone != many or any(each.failure for each in alone.values()):
            raise AssertionError("the trials of one worker and of several differ, or some failed")
    yield {
        "name": f"optimize, {cores()} workers",
        "unit": "trials/s",
        "ours": TRIALS / many_s,
        "reference": TRIALS / alone_s,
        "reference_name": "1 worker",
        "ratio": alone_s / many_s,
        "details": {"trials": TRIALS, "ticks a trial": len(once) * times, "s a trial": alone_s / TRIALS},
    }


def _written(settings: Any, ticks: Rows, folder: Path) -> tuple[Part, Task]:
    part = Part(int(ticks["local_ts"][0]), int(ticks["local_ts"][-1]) + 1)
    write_parts(ticks, settings.instruments[:1], [part], folder)
    return part, Task(settings, folder, Target("net_pnl", 1))
