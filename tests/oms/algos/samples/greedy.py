"""Wants far more than the target in every lane, at prices that change with each call."""

from __future__ import annotations

from oms.algos.api import NS_PER_S, far_px, left, memory, near_px, random, rest, side, take, wake_at, wake_on_touch
from oms.core.state import State


def work(st: State, me: int, now: int) -> None:
    memory(st, me)[0] += 1
    wake_on_touch(st, me)
    wake_at(st, me, now + NS_PER_S)
    if near_px(st, me) == 0 or far_px(st, me) == 0:
        return
    for lane in range(3):
        if random(st, me) < 0.8:
            rest(st, me, lane, near_px(st, me) - side(st, me) * int(3 * random(st, me)), 10 * left(st, me), 0)
    if random(st, me) < 0.5:
        take(st, me, 8, far_px(st, me), 10 * left(st, me))
