"""Tasks whose jobs cost nothing: for tests of what goes on around a backtest."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backtest.optimise.evaluate import Job, Outcome
from backtest.optimise.plan import Plan
from oms.config import Settings, load_settings

PEAK = {"half_spread_ticks": 6.0, "skew_ticks": 4.0}


def valley(job: Job) -> Outcome:
    """Best where the parameters are at ``PEAK``; each part counts as much as the others."""
    distance = sum((job.parameters[name] - at) ** 2 for name, at in PEAK.items() if name in job.parameters)
    steps: list[float | None] = []
    for number in range(len(job.parts)):
        steps.append(-distance)
        bar = job.bars[number] if number < len(job.bars) else None
        if bar is not None and -distance < bar and number < len(job.parts) - 1:
            return Outcome(steps=tuple(steps), is_pruned=True)
    returns = np.random.default_rng(int(distance)).normal(-distance / 1000, 0.01, 60)
    figures = {"total_return": -distance, "fees": job.parameters["half_spread_ticks"], "trades": distance}
    return Outcome(figures=figures, steps=tuple(steps), returns=tuple(returns.tolist()))


def fail(job: Job) -> Outcome:
    raise ValueError("nothing can be done")


def fail_above_5(job: Job) -> Outcome:
    return fail(job) if job.parameters["half_spread_ticks"] > 5 else valley(job)


def die_at_3(job: Job) -> Outcome:
    if job.parameters["half_spread_ticks"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return valley(job)


def hang_at_3(job: Job) -> Outcome:
    """Never comes back from 3, and hears no signal that can be passed over."""
    if job.parameters["half_spread_ticks"] == 3:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            signal.pause()
    return valley(job)


def where(_job: Job) -> Outcome:
    """The process that it runs in."""
    return Outcome(figures={"pid": float(os.getpid())})


class Fake(NamedTuple):
    """A task that runs one of these functions."""

    run: Callable[[Job], Outcome]

    def open(self) -> Callable[[Job], Outcome]:
        return self.run

    def packed(self) -> Fake:
        return self


class NotToOpen(NamedTuple):
    def open(self) -> Callable[[Job], Outcome]:
        raise ValueError("the door is locked")

    def packed(self) -> NotToOpen:
        return self


class InlinePool:
    """Runs jobs in this process, and gives them back in an order of its own."""

    def __init__(self, run: Callable[[Job], Outcome], size: int = 1, seed: int = 0) -> None:
        self.size = size
        self.ran: list[Job] = []
        self._run = run
        self._waiting: list[tuple[int, Job]] = []
        self._rng = np.random.default_rng(seed)

    def submit(self, number: int, job: Job) -> None:
        self._waiting.append((number, job))

    def take(self) -> tuple[int, Outcome]:
        running = min(self.size, len(self._waiting))
        number, job = self._waiting.pop(int(self._rng.integers(running)))
        self.ran.append(job)
        return number, self._run(job)

    def close(self) -> None:
        self._waiting.clear()


def settings_in(folder: Path) -> Settings:
    """The shipped strategy, with its data in ``folder``."""
    return load_settings(None, {"replay": {"file": "none.gz"}, "data_dir": str(folder)})


def plan_in(folder: Path, **given: object) -> Plan:
    """A plan to find ``PEAK``, with what is ``given``."""
    known: dict[str, object] = {
        "name": "study",
        "settings": settings_in(folder),
        "files": ("none.gz",),
        "space": ("half_spread_ticks=1:10", "skew_ticks=0.0:20.0:0.5"),
        "targets": ("total_return",),
        "trials": 40,
    }
    return Plan(**{**known, **given})  # type: ignore[arg-type]
