# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Takes ``lots`` once there is a market, and counts the fills by which it is liquidated."""

from oms.records import Reason
from strategies.api import BUY, NO_ASK, best_ask, function, instrument_of, memory, parameter, submit_market

PARAMETERS = {"lots": 10.0}
LIQUIDATION = int(Reason.LIQUIDATION)


@function
def buy_once(st, me):
    cells = memory(st, me)
    if cells[0] == 0 and best_ask(st, instrument_of(st, me)) != NO_ASK:
        cells[0] = 1
        submit_market(st, me, BUY, int(parameter(st, me, 0)))


def on_tick(st, me, tick):
    buy_once(st, me)


def on_bar(st, me, bar):
    buy_once(st, me)


def on_fill(st, me, event):
    if event["reason"] == LIQUIDATION:
        memory(st, me)[1] += 1
