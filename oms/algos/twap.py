"""TWAP: equal slices in equal times, each at the touch first and then across it.

By the time that slice ``k`` of ``n`` is due, ``k / n`` of the target is: what one slice could not trade, the next one
wants. Times and sizes of the slices are randomised, each about its own place, so that others cannot foresee them.
See B. Johnson, "Algorithmic Trading and DMA" (2010), chapter 5.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import parameter
from oms.algos.schedule import SLICES, begin, must_progress, progress, work_schedule
from oms.core.state import State

PARAMETERS: Final = {
    "duration_s": 600.0,
    "slices": 20.0,
    "time_spread": 0.5,
    "size_spread": 0.2,
    "passive_slices": 0.5,
    "follow_ticks": 0.0,
    "max_child_lots": 0.0,
    "grace_s": 0.0,
}
RANGES: Final = {
    "duration_s": (1.0, 604_800.0),
    "slices": (1.0, 10_000.0),
    "time_spread": (0.0, 1.0),
    "size_spread": (0.0, 1.0),
    "passive_slices": (0.0, 10_000.0),
    "follow_ticks": (0.0, 1e6),
    "max_child_lots": (0.0, 2e9),
    "grace_s": (0.0, 604_800.0),
}


def start(st: State, me: int, now: int) -> None:
    begin(st, me)


def work(st: State, me: int, now: int) -> None:
    largest = 1.0 / int(parameter(st, me, SLICES))
    work_schedule(st, me, now, progress(st, me, now), must_progress(st, me, now), largest)
