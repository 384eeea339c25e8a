# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Has one stop stand at the exchange, five ticks above the touch."""

from strategies.api import AT_EXCHANGE, BUY, LAST, best_ask, instrument_of, memory, submit_stop


def on_tick(st, me, tick):
    if memory(st, me)[0] == 0:
        memory(st, me)[0] = 1
        submit_stop(st, me, BUY, best_ask(st, instrument_of(st, me)) + 5, 0, 3, LAST, AT_EXCHANGE)
