# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""The known answer's strategy: every 100 ms cancel all, then quote both touches post-only while the position allows."""

from strategies.api import (
    BUY,
    POST_ONLY,
    SELL,
    best_ask,
    best_bid,
    cancel_all,
    instrument_of,
    memory,
    parameter,
    position,
    submit_limit,
)

TIMER_INTERVAL_NS = 100_000_000
PARAMETERS = {"order_lots": 10.0, "max_position_lots": 50.0}
ORDER_LOTS, MAX_POSITION = range(2)


def on_timer(st, me, now):
    memory(st, me)[0] += 1
    cancel_all(st, me)
    lots = int(parameter(st, me, ORDER_LOTS))
    held = position(st, me)
    instrument = instrument_of(st, me)
    if held < parameter(st, me, MAX_POSITION):
        submit_limit(st, me, BUY, best_bid(st, instrument), lots, POST_ONLY)
    if held > -parameter(st, me, MAX_POSITION):
        submit_limit(st, me, SELL, best_ask(st, instrument), lots, POST_ONLY)
