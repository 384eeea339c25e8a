"""POV: take part in the market's volume at a given rate.

With ``V`` lots traded by others since the start, ``rate / (1 - rate) * V`` are due: then the own share of all that was
traded, own fills included, is ``rate``. What is due rests at the touch; it crosses once the own share has fallen below
``min_rate``, up to that. Who is behind, after a pause or a market beyond the limit, catches up with no more than the
share ``max_rate`` of what is traded from then on, after a first child of ``max_child_lots``.

Volume that was traded while the core was down is not counted. See B. Johnson, "Algorithmic Trading and DMA" (2010),
chapter 5.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import (
    NS_PER_S,
    end_at,
    filled,
    finish,
    function,
    open_qty,
    others_qty,
    parameter,
    smallest_qty,
    start_time,
    target,
    wake_at,
    wake_on_volume,
)
from oms.algos.schedule import allowance, whole_lots, work_towards
from oms.core.state import State

PARAMETERS: Final = {
    "rate": 0.1,
    "min_rate": 0.08,
    "max_rate": 0.2,
    "duration_s": 0.0,
    "follow_ticks": 0.0,
    "max_child_lots": 0.0,
}
RANGES: Final = {
    "rate": (0.0001, 0.9),
    "min_rate": (0.0, 0.9),
    "max_rate": (0.0, 0.95),
    "duration_s": (0.0, 604_800.0),
    "follow_ticks": (0.0, 1e6),
    "max_child_lots": (0.0, 2e9),
}
RATE: Final = 0
MIN_RATE: Final = 1
MAX_RATE: Final = 2
DURATION_S: Final = 3
FOLLOW_TICKS: Final = 4
MAX_CHILD_LOTS: Final = 5
CHILDREN: Final = 20
"""The largest child is this part of the target, unless it is given."""
STEPS: Final = 4
"""A child is placed once this part of the largest one is missing."""


@function
def own_per_other(rate: float) -> float:
    """Own lots for each lot of others, so that they are ``rate`` of both together."""
    return rate / (1.0 - rate)


def work(st: State, me: int, now: int) -> None:
    if parameter(st, me, DURATION_S) > 0.0:
        end = start_time(st, me) + int(parameter(st, me, DURATION_S) * NS_PER_S)
        end_at(st, me, end)
        if end <= now:
            finish(st, me)
            return
        wake_at(st, me, end)
    whole = target(st, me)
    others = others_qty(st, me)
    rate = parameter(st, me, RATE)
    due = min(whole_lots(own_per_other(rate) * others), whole)
    must = min(whole_lots(own_per_other(min(parameter(st, me, MIN_RATE), rate)) * others), whole)
    smallest = smallest_qty(st, me)
    burst = int(parameter(st, me, MAX_CHILD_LOTS))
    burst = max(burst if burst > 0 else whole // CHILDREN, smallest)
    step = max(burst // STEPS, smallest)
    pace = max(int(burst / own_per_other(max(parameter(st, me, MAX_RATE), rate))), 1)
    allowed = allowance(st, me, others, pace, burst)
    least = step if due < whole else smallest
    work_towards(st, me, now, due, must, allowed, least, burst, int(parameter(st, me, FOLLOW_TICKS)))
    if must < whole or must - filled(st, me) > allowed:
        missing = filled(st, me) + open_qty(st, me) + step - due
        wake_on_volume(st, me, int((missing if missing > 0 else step) / own_per_other(rate)))
