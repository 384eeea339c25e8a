"""Asks for ``orders`` new orders, or writes ``lines`` log lines, in one callback of every tick."""

from strategies.api import BUY, best_bid, instrument_of, log, memory, parameter, submit_limit

PARAMETERS = {"orders": 0.0, "lines": 0.0, "ticks": 1.0}
ORDERS, LINES, TICKS = range(3)
LOG_MESSAGES = ("line {}",)

_OUTPUT_FULL = 33


def on_tick(st, me, tick):
    cells = memory(st, me)
    cells[0] += 1
    if cells[0] > parameter(st, me, TICKS):
        return
    px = best_bid(st, instrument_of(st, me))
    for _ in range(int(parameter(st, me, ORDERS))):
        answer = submit_limit(st, me, BUY, px, 10, 0)
        if answer > 0:
            cells[1] += 1
        elif answer == -_OUTPUT_FULL:
            cells[3] += 1
        else:
            cells[2] += 1
    for line in range(int(parameter(st, me, LINES))):
        log(st, me, 0, line, 0, 0, 0)
