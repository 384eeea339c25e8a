# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Fails at its hundredth tick."""

from strategies.api import memory


def on_tick(st, me, tick):
    cells = memory(st, me)
    cells[0] += 1
    if cells[0] == 100:
        raise ValueError
