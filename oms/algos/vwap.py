"""VWAP: slices sized by the volume that the market is expected to trade in their time.

``volume_1`` to ``volume_8`` are the volumes of eight equal parts of the duration, relative to one another, as of the
same hours on days before; all equal, or all 0, is TWAP. Within a part the volume is taken to be even, so that the share
of the target that is due is piecewise linear in time: the cumulative volume curve. See B. Johnson, "Algorithmic Trading
and DMA" (2010), chapter 5.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import function, parameter
from oms.algos.schedule import OWN, SLICES, begin, must_progress, progress, work_schedule
from oms.core.state import State

PARAMETERS: Final = {
    "duration_s": 600.0,
    "slices": 24.0,
    "time_spread": 0.5,
    "size_spread": 0.2,
    "passive_slices": 0.5,
    "follow_ticks": 0.0,
    "max_child_lots": 0.0,
    "grace_s": 0.0,
    "volume_1": 1.0,
    "volume_2": 1.0,
    "volume_3": 1.0,
    "volume_4": 1.0,
    "volume_5": 1.0,
    "volume_6": 1.0,
    "volume_7": 1.0,
    "volume_8": 1.0,
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
    "volume_1": (0.0, 1e12),
    "volume_2": (0.0, 1e12),
    "volume_3": (0.0, 1e12),
    "volume_4": (0.0, 1e12),
    "volume_5": (0.0, 1e12),
    "volume_6": (0.0, 1e12),
    "volume_7": (0.0, 1e12),
    "volume_8": (0.0, 1e12),
}
PARTS: Final = 8


@function
def volume_until(st: State, me: int, part: float) -> float:
    """Volume of the first ``part`` parts, a fraction of one included."""
    volume = 0.0
    for number in range(PARTS):
        volume += min(max(part - number, 0.0), 1.0) * parameter(st, me, OWN + number)
    return volume


@function
def share_until(st: State, me: int, part: float) -> float:
    """Share of the whole volume in the first ``part`` parts, 0 to 1."""
    whole = volume_until(st, me, PARTS)
    return volume_until(st, me, part) / whole if whole > 0.0 else part / PARTS


def start(st: State, me: int, now: int) -> None:
    begin(st, me)


def work(st: State, me: int, now: int) -> None:
    due = share_until(st, me, progress(st, me, now) * PARTS)
    must = share_until(st, me, must_progress(st, me, now) * PARTS)
    parts = PARTS / int(parameter(st, me, SLICES))
    largest = 0.0
    for number in range(PARTS):
        share = share_until(st, me, number + 1.0) - share_until(st, me, number + 0.0)
        largest = max(largest, min(share * parts, 1.0))
    work_schedule(st, me, now, due, must, largest)
