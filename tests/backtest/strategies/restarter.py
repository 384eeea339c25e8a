"""Has an algorithm work a new order every few ticks, and cancels the one before."""

from __future__ import annotations

from oms.algos import best_limit
from oms.core.state import Record, State
from strategies.api import BUY, algorithm, cancel, memory, work_order

REST = algorithm(best_limit, offset_ticks=500)
TICKS, WORKED = range(2)


def on_tick(st: State, me: int, tick: Record) -> None:
    cells = memory(st, me)
    cells[TICKS] += 1
    if cells[TICKS] % 4 == 0:
        cancel(st, me, cells[WORKED])
        cells[WORKED] = work_order(st, me, REST, BUY, 0, 10, 0)
