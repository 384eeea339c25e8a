"""Iceberg: show a part of the order at a time; when that is filled, the next part follows.

Each part is ``display_lots``, more or less by up to ``variance`` of it at random, so that the parts do not betray the
whole (H. Esser, B. Moench, "The navigation of an iceberg", Finance Research Letters 4 (2007)). It rests at the limit
price, or without a limit at the touch as it is when the part is placed. A part that is partly filled is not refilled
before it is done: it would lose its place in the queue.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import (
    POST_ONLY,
    child_leaves,
    child_px,
    is_resting,
    left,
    limit_px,
    memory,
    near_px,
    parameter,
    random,
    refuse,
    rest,
    smallest_qty,
    wake_on_touch,
)
from oms.core.state import State

PARAMETERS: Final = {"display_lots": 0.0, "variance": 0.0, "post_only": 0.0}
RANGES: Final = {"display_lots": (0.0, 2e9), "variance": (0.0, 0.9), "post_only": (0.0, 1.0)}
DISPLAY: Final = 0
VARIANCE: Final = 1
POST: Final = 2

LIMIT: Final = 0
"""Memory: the limit price that the part in the market was placed at."""


def start(st: State, me: int, now: int) -> None:
    if parameter(st, me, DISPLAY) < 1:
        refuse(st, me)


def work(st: State, me: int, now: int) -> None:
    flags = POST_ONLY if parameter(st, me, POST) != 0 else 0
    limit = limit_px(st, me)
    if is_resting(st, me, 0):
        px = child_px(st, me, 0) if limit == memory(st, me)[LIMIT] else limit
        rest(st, me, 0, px if px > 0 else near_px(st, me), min(child_leaves(st, me, 0), left(st, me)), flags)
        if px == child_px(st, me, 0):  # else the change is asked for again until it is done
            memory(st, me)[LIMIT] = limit
        return
    px = limit if limit > 0 else near_px(st, me)
    if px == 0:
        wake_on_touch(st, me)
        return
    spread = parameter(st, me, VARIANCE)
    part = int(parameter(st, me, DISPLAY) * (1.0 + spread * (2.0 * random(st, me) - 1.0)) + 0.5)
    memory(st, me)[LIMIT] = limit
    rest(st, me, 0, px, min(max(part, smallest_qty(st, me)), left(st, me)), flags)
