"""Asks for many orders in its first callback, and counts how many were let through."""

from strategies.api import BUY, best_bid, instrument_of, memory, parameter, submit_limit

PARAMETERS = {"orders": 500.0, "qty": 10.0}
ORDERS, QTY = range(2)
DONE, PASSED = range(2)


def on_tick(st, me, tick):
    own = memory(st, me)
    if own[DONE] != 0:
        return
    own[DONE] = 1
    px = best_bid(st, instrument_of(st, me))
    for i in range(int(parameter(st, me, ORDERS))):
        if submit_limit(st, me, BUY, px - i, int(parameter(st, me, QTY)), 0) > 0:
            own[PASSED] += 1
