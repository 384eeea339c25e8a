"""Best-Limit: rest at the touch of the own side, or an offset behind it, and follow it when it moves ahead.

Who moves goes to the end of a queue. So a child is moved only once the touch is more than ``tolerance_ticks`` ahead of
where it counts; and while no more than ``front_lots`` are before it in its queue, only once that is more than
``front_ticks``. What is before it is what was displayed at its price when it came, and never more than is displayed
there since: the risk-averse estimate, in which others cancel behind it. Without an offset a child that is better than
the touch stays, for at an exchange it is itself the touch; with one it also moves back.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import (
    POST_ONLY,
    child_px,
    displayed_qty,
    function,
    instrument_of,
    left,
    limit_px,
    memory,
    near_px,
    parameter,
    rest,
    side,
    wake_on_touch,
    within_limit,
)
from oms.core.state import State

PARAMETERS: Final = {
    "offset_ticks": 0.0,
    "tolerance_ticks": 0.0,
    "front_lots": 0.0,
    "front_ticks": 0.0,
    "display_lots": 0.0,
    "post_only": 1.0,
}
RANGES: Final = {
    "offset_ticks": (0.0, 1e6),
    "tolerance_ticks": (0.0, 1e6),
    "front_lots": (0.0, 2e9),
    "front_ticks": (0.0, 1e6),
    "display_lots": (0.0, 2e9),
    "post_only": (0.0, 1.0),
}
OFFSET: Final = 0
TOLERANCE: Final = 1
FRONT_LOTS: Final = 2
FRONT_TICKS: Final = 3
DISPLAY: Final = 4
POST: Final = 5

PX: Final = 0
"""Memory: the price of the child whose place in the queue is in the next cell."""
AHEAD: Final = 1


@function
def queue_ahead(st: State, me: int, px: int) -> int:
    """Lots that are before the child in its queue, at most."""
    cells = memory(st, me)
    displayed = displayed_qty(st, instrument_of(st, me), side(st, me), px)
    cells[AHEAD] = min(cells[AHEAD], displayed) if cells[PX] == px else displayed
    cells[PX] = px
    return cells[AHEAD]


def work(st: State, me: int, now: int) -> None:
    touch = near_px(st, me)
    wake_on_touch(st, me)
    if touch == 0:
        return
    direction = side(st, me)
    px = touch - direction * int(parameter(st, me, OFFSET))
    if not within_limit(st, me, px):
        px = limit_px(st, me)
    resting = child_px(st, me, 0)
    if resting != 0 and within_limit(st, me, resting):
        front_lots = parameter(st, me, FRONT_LOTS)
        is_front = front_lots > 0 and queue_ahead(st, me, resting) <= front_lots
        tolerance = parameter(st, me, TOLERANCE)
        behind = (px - resting) * direction
        if parameter(st, me, OFFSET) > 0:
            behind = abs(behind)
        if behind <= (max(tolerance, parameter(st, me, FRONT_TICKS)) if is_front else tolerance):
            px = resting
    display = int(parameter(st, me, DISPLAY))
    qty = min(left(st, me), display) if display > 0 else left(st, me)
    rest(st, me, 0, px, qty, POST_ONLY if parameter(st, me, POST) != 0 else 0)
