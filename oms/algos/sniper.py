"""Sniper: show nothing, wait for the limit price, then take what is displayed up to it.

It strikes when the far touch is at the limit or better and displays at least ``least_lots`` there; what is not there is
given up at once, and it waits for the next chance. Without a limit price there is nothing to wait for: it is refused.
"""

from __future__ import annotations

from typing import Final

from oms.algos.api import (
    NO_ASK,
    NO_BID,
    NS_PER_MS,
    TAKING,
    displayed_qty,
    far_px,
    instrument_of,
    left,
    limit_px,
    parameter,
    refuse,
    side,
    take,
    wake_at,
    wake_outside,
    within_limit,
)
from oms.core.state import State

PARAMETERS: Final = {"least_lots": 0.0, "retry_ms": 10.0}
RANGES: Final = {"least_lots": (0.0, 2e9), "retry_ms": (1.0, 60_000.0)}
LEAST: Final = 0
RETRY: Final = 1


def start(st: State, me: int, now: int) -> None:
    if limit_px(st, me) == 0:
        refuse(st, me)


def work(st: State, me: int, now: int) -> None:
    px = far_px(st, me)
    limit = limit_px(st, me)
    direction = side(st, me)
    if px == 0 or not within_limit(st, me, px):
        if direction > 0:
            wake_outside(st, me, -direction, limit + 1, NO_ASK)
        else:
            wake_outside(st, me, -direction, NO_BID, limit - 1)
        return
    if displayed_qty(st, instrument_of(st, me), -direction, px) >= parameter(st, me, LEAST):
        take(st, me, TAKING, limit, left(st, me))
    wake_at(st, me, now + int(parameter(st, me, RETRY)) * NS_PER_MS)
