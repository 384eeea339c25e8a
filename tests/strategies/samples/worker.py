"""Has algorithms work orders as its parameters say, one action at each tick, and notes what it is told of them."""

from oms.algos import best_limit, sor, twap
from strategies.api import (
    algorithm,
    amend,
    cancel,
    cancel_all,
    memory,
    order_leaves,
    parameter,
    parameter_number,
    parent_of,
    pause,
    resume,
    set_parameter,
    work_due_qty,
    work_open_qty,
    work_order,
    work_order_over,
    work_state,
    worked_order,
)

PARAMETERS = {"action": 0.0, "a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0}
ACTION, A, B, C, D = range(5)
(
    START_TWAP,
    START_REST,
    START_OVER,
    SET,
    AMEND,
    PAUSE,
    RESUME,
    CANCEL,
    CANCEL_ALL,
    LOOK,
    FAIL,
    START_AND_SET,
    START_TWAP_OVER,
) = range(1, 14)

TWAP = algorithm(twap, duration_s=10, slices=5, time_spread=0, size_spread=0, passive_slices=0)
SLICES = parameter_number(twap, "slices")
REST = algorithm(best_limit)
ROUTED = algorithm(sor, patience_s=2)

# Cells of the memory:
ANSWER, FILLS, FILLED_PARENT, ENDS, ENDED, END_STATE, AGAIN = range(7)
LOOKED = 10


def on_tick(st, me, tick):
    cells = memory(st, me)
    action = int(parameter(st, me, ACTION))
    a, b, c, d = (
        int(parameter(st, me, A)),
        int(parameter(st, me, B)),
        int(parameter(st, me, C)),
        int(parameter(st, me, D)),
    )
    if action == START_TWAP:
        cells[ANSWER] = work_order(st, me, TWAP, a, b, c, d)
    elif action == START_REST:
        cells[ANSWER] = work_order(st, me, REST, a, b, c, d)
    elif action == START_OVER:
        cells[ANSWER] = work_order_over(st, me, ROUTED, a, b, c, 0, (d,))
    elif action == START_TWAP_OVER:
        cells[ANSWER] = work_order_over(st, me, TWAP, a, b, c, 0, (d,))
    elif action == SET:
        cells[ANSWER] = set_parameter(st, me, a, TWAP, SLICES if b < 0 else b, parameter(st, me, C))
    elif action == AMEND:
        cells[ANSWER] = amend(st, me, a, b, c)
    elif action == PAUSE:
        cells[ANSWER] = pause(st, me, a)
    elif action == RESUME:
        cells[ANSWER] = resume(st, me, a)
    elif action == CANCEL:
        cells[ANSWER] = cancel(st, me, a)
    elif action == CANCEL_ALL:
        cancel_all(st, me)
    elif action == LOOK:
        cells[LOOKED] = work_state(st, a)
        cells[LOOKED + 1] = work_open_qty(st, a)
        cells[LOOKED + 2] = work_due_qty(st, a)
        cells[LOOKED + 3] = order_leaves(st, a)
        cells[LOOKED + 4] = worked_order(st, me, 0)
        cells[LOOKED + 5] = worked_order(st, me, 1)
    elif action == FAIL:
        raise ValueError
    elif action == START_AND_SET:
        order_id = work_order(st, me, TWAP, a, b, c, 0)
        cells[ANSWER] = set_parameter(st, me, order_id, TWAP, SLICES, parameter(st, me, D))


def on_fill(st, me, event):
    cells = memory(st, me)
    cells[FILLS] += event["last_qty"]
    cells[FILLED_PARENT] = parent_of(st, event["order_id"])


def on_end(st, me, event):
    cells = memory(st, me)
    cells[ENDS] += 1
    cells[ENDED] = event["order_id"]
    cells[END_STATE] = event["state"]
    if cells[AGAIN] > 0:
        cells[AGAIN] -= 1
        cells[ANSWER] = work_order(st, me, REST, event["side"], 0, event["qty"], 0)
