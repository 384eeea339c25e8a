"""Has algorithms work one order after the other, in turn on both sides, and pauses and changes them on the way."""

from __future__ import annotations

from oms.algos import best_limit, twap
from oms.core.state import Record, State
from strategies.api import (
    BUY,
    algorithm,
    log,
    memory,
    order_leaves,
    parameter_number,
    parent_of,
    pause,
    resume,
    set_parameter,
    work_order,
    work_state,
)

TIMER_INTERVAL_NS = 700_000_000
LOG_MESSAGES = ("{} filled of {}", "{} ended as {}, {} left")
TWAP = algorithm(twap, duration_s=6, slices=6, passive_slices=0.5)
SLICES = parameter_number(twap, "slices")
REST = algorithm(best_limit)
QTY = 40
WORKED, SIDE, TURNS = range(3)


def on_tick(st: State, me: int, tick: Record) -> None:
    cells = memory(st, me)
    if cells[SIDE] == 0:
        cells[SIDE] = BUY
        cells[WORKED] = work_order(st, me, TWAP, BUY, 0, QTY, 0)


def on_fill(st: State, me: int, event: Record) -> None:
    log(st, me, 0, event["last_qty"], parent_of(st, event["order_id"]) - memory(st, me)[WORKED], 0, 0)


def on_end(st: State, me: int, event: Record) -> None:
    cells = memory(st, me)
    log(st, me, 1, event["order_id"] - cells[WORKED], event["state"], order_leaves(st, event["order_id"]), 0)
    cells[SIDE] = -cells[SIDE]
    cells[WORKED] = work_order(st, me, REST if cells[SIDE] == BUY else TWAP, cells[SIDE], 0, QTY, 0)


def on_timer(st: State, me: int, now: int) -> None:
    cells = memory(st, me)
    cells[TURNS] += 1
    if cells[WORKED] <= 0 or work_state(st, cells[WORKED]) == 0:
        return
    if cells[TURNS] % 4 == 0:
        pause(st, me, cells[WORKED])
    elif cells[TURNS] % 4 == 1:
        resume(st, me, cells[WORKED])
    elif cells[SIDE] == BUY:
        set_parameter(st, me, cells[WORKED], TWAP, SLICES, float(4 + cells[TURNS] % 3))
