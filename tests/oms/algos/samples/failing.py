"""Raises at its third call."""

from __future__ import annotations

from oms.algos.api import left, memory, near_px, rest, wake_on_touch
from oms.core.state import State


def work(st: State, me: int, now: int) -> None:
    memory(st, me)[0] += 1
    wake_on_touch(st, me)
    if memory(st, me)[0] == 3:
        raise ValueError("it is enough")
    rest(st, me, 0, near_px(st, me), left(st, me), 0)
