"""Asks with each call but the first to be called 20 ms later, and remembers when the last one was."""

from __future__ import annotations

from oms.algos.api import NS_PER_MS, memory, wake_at, wake_on_touch
from oms.core.state import State


def work(st: State, me: int, now: int) -> None:
    wake_on_touch(st, me)
    if memory(st, me)[0] != 0:
        wake_at(st, me, now + 20 * NS_PER_MS)
    memory(st, me)[0] = now
