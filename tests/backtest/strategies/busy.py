# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Asks for much and says what it sees: whatever changes the order of events shows in its log."""

from strategies.api import (
    BUY,
    POST_ONLY,
    SELL,
    best_ask,
    best_bid,
    cancel_all,
    instrument_of,
    log,
    memory,
    now,
    parameter,
    position,
    submit_limit,
    submit_market,
)

TIMER_INTERVAL_NS = 3_000_000
PARAMETERS = {"log_lines": 3.0}
LOG_LINES = 0
LOG_MESSAGES = ("tick at {}, position {}", "fill at {}, position {}", "timer at {}, position {}")


def on_tick(st, me, tick):
    cells = memory(st, me)
    cells[0] += 1
    instrument = instrument_of(st, me)
    for _ in range(int(parameter(st, me, LOG_LINES))):
        log(st, me, 0, now(st), position(st, me), cells[1], 0)
    if cells[0] % 5 == 0:
        cancel_all(st, me)
    if cells[0] % 2 == 0:
        submit_limit(st, me, BUY, best_bid(st, instrument), 2, POST_ONLY)
        submit_limit(st, me, SELL, best_ask(st, instrument), 2, POST_ONLY)
    elif position(st, me) > 0:
        submit_market(st, me, SELL, 1)
    else:
        submit_market(st, me, BUY, 1)


def on_fill(st, me, event):
    memory(st, me)[1] += 1
    log(st, me, 1, now(st), position(st, me), event["last_qty"], 0)


def on_timer(st, me, now):
    log(st, me, 2, now, position(st, me), 0, 0)
