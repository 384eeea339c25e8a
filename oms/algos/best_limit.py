"""Best-Limit: rest at the touch of the own side, or an offset behind it, and follow it.

The child stays where it is while it is no more than ``tolerance_ticks`` from where it belongs, since who moves goes to
the end of the queue. It also stays while a touch that has moved away from it leaves it first in its queue.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import (
    POST_ONLY,
    child_px,
    left,
    limit_px,
    near_px,
    parameter,
    rest,
    side,
    wake_on_touch,
    within_limit,
)
from oms.core.state import State

PARAMETERS: Final = {"offset_ticks": 0.0, "tolerance_ticks": 0.0, "display_lots": 0.0, "post_only": 1.0}
RANGES: Final = {
    "offset_ticks": (0.0, 1e6),
    "tolerance_ticks": (0.0, 1e6),
    "display_lots": (0.0, 2e9),
    "post_only": (0.0, 1.0),
}
OFFSET: Final = 0
TOLERANCE: Final = 1
DISPLAY: Final = 2
POST: Final = 3


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
    if resting != 0 and abs(resting - px) <= parameter(st, me, TOLERANCE):
        px = resting
    display = int(parameter(st, me, DISPLAY))
    qty = min(left(st, me), display) if display > 0 else left(st, me)
    rest(st, me, 0, px, qty, POST_ONLY if parameter(st, me, POST) != 0 else 0)
