"""Fails in the way that its parameter says, once it has two orders at rest."""

from strategies.api import BUY, SELL, best_bid, displayed_qty, function, memory, parameter, submit_limit

PARAMETERS = {"way": 0.0, "after": 3.0}
WAY, AFTER = range(2)
TIMER_INTERVAL_NS = 10_000_000

ZERO_DIVISION, INDEX, VALUE, PARAMETER, INSTRUMENT, SIDE, IN_FILL, IN_TIMER = range(1, 9)


@function
def fail(st, me, way):
    cells = memory(st, me)
    if way == ZERO_DIVISION:
        cells[1] = cells[0] // cells[63]
    elif way == INDEX:
        cells[cells[0] + 63] = 1
    elif way == VALUE:
        raise ValueError("for this test")
    elif way == PARAMETER:
        cells[1] = int(parameter(st, me, 99))
    elif way == INSTRUMENT:
        cells[1] = best_bid(st, 5_000)
    elif way == SIDE:
        cells[1] = displayed_qty(st, 0, 7, 600_000)


def on_tick(st, me, tick):
    cells = memory(st, me)
    cells[0] += 1
    if cells[0] == 1:
        submit_limit(st, me, BUY, 599_990, 10, 0)
        submit_limit(st, me, SELL, 600_010, 10, 0)
    way = int(parameter(st, me, WAY))
    if cells[0] > parameter(st, me, AFTER) and way < IN_FILL:
        fail(st, me, way)


def on_fill(st, me, event):
    if parameter(st, me, WAY) == IN_FILL:
        fail(st, me, ZERO_DIVISION)


def on_timer(st, me, now):
    if parameter(st, me, WAY) == IN_TIMER:
        fail(st, me, VALUE)
