"""Buys one lot more at the market for each fill that it gets, ``most`` times: a chain of events at one time."""

from strategies.api import (
    BUY,
    POST_ONLY,
    amend,
    best_bid,
    cancel,
    instrument_of,
    memory,
    parameter,
    submit_limit,
    submit_market,
)

PARAMETERS = {"most": 10.0, "every": 1.0}
MOST, EVERY = range(2)
TIMER_INTERVAL_NS = 5_000_000


def on_tick(st, me, tick):
    cells = memory(st, me)
    cells[0] += 1
    if cells[0] % int(parameter(st, me, EVERY)) == 0:
        submit_market(st, me, BUY, 10)


def on_fill(st, me, event):
    cells = memory(st, me)
    cells[1] += 1
    if cells[1] % int(parameter(st, me, MOST)) != 0:
        submit_market(st, me, BUY, 10)


def on_timer(st, me, now):
    cells = memory(st, me)
    px = best_bid(st, instrument_of(st, me))
    if cells[2] == 0:
        cells[2] = max(submit_limit(st, me, BUY, px - 3, 10, POST_ONLY), 0)
    elif amend(st, me, cells[2], px - 4, 12) != 0:
        cancel(st, me, cells[2])
        cells[2] = 0
