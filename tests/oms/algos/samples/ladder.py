"""Rests half of the target in each of two lanes at the limit."""

from __future__ import annotations

from oms.algos.api import limit_px, rest, target
from oms.core.state import State


def work(st: State, me: int, now: int) -> None:
    for lane in range(2):
        rest(st, me, 8 * lane, limit_px(st, me), target(st, me) // 2, 0)
