# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Bids once at the touch, and sells at the market what it gets, as soon as it hears of it."""

from strategies.api import BUY, POST_ONLY, SELL, best_bid, instrument_of, memory, submit_limit, submit_market


def on_tick(st, me, tick):
    if memory(st, me)[0] == 0:
        memory(st, me)[0] = 1
        submit_limit(st, me, BUY, best_bid(st, instrument_of(st, me)), 3, POST_ONLY)


def on_fill(st, me, event):
    if event["side"] > 0:
        submit_market(st, me, SELL, event["last_qty"])
