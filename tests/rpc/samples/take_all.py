"""Take-All: take what the touch shows, again and again."""

from __future__ import annotations

from oms.algos.api import far_px, left, take, wake_on_touch
from oms.core.state import State


def work(st: State, me: int, now: int) -> None:
    wake_on_touch(st, me)
    take(st, me, 8, far_px(st, me), left(st, me))
