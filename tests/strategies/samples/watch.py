"""Trades nothing: counts what it is called for, and logs the time of each timer."""

from strategies.api import log, memory, now

PARAMETERS: dict[str, float] = {}
LOG_MESSAGES = ("timer due at {} came at {}",)
TIMER_INTERVAL_NS = 10_000_000


def on_tick(st, me, tick):
    memory(st, me)[0] += 1


def on_fill(st, me, event):
    memory(st, me)[1] += 1


def on_timer(st, me, due):
    memory(st, me)[2] += 1
    log(st, me, 0, due, now(st), 0, 0)
