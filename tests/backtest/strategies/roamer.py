# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
"""Trades at random, now and then, by a generator of its own that ``seed`` begins; says what it has made so far.

Most of the time it only holds what it has, and has no order open.
"""

from strategies.api import (
    BUY,
    SELL,
    account_pnl,
    bar_close,
    cancel_all,
    function,
    instrument_of,
    last_trade_px,
    log,
    memory,
    own_open_orders,
    own_pnl,
    own_position,
    parameter,
    submit_limit,
    submit_market,
    trading_state,
)

TIMER_INTERVAL_NS = 17_300_000_000
PARAMETERS = {"seed": 1.0, "lots": 5.0}
LOG_MESSAGES = ("own PnL {}, account's {}, position {}, state {}",)
SEED, LOTS = range(2)
NOTHING, TRADE, REST, CLOSE, CANCEL, TELL = range(6)
CHOICES = (TRADE, TRADE, REST, CLOSE, CANCEL, CANCEL, TELL)
ONE_IN = 4
"""Every how many bars it does anything, on average."""


@function
def draw(st, me, below):
    """A whole number from 0 to ``below - 1`` by the next one of a Lehmer generator (Park and Miller, 1988)."""
    cells = memory(st, me)
    if cells[0] == 0:
        cells[0] = int(parameter(st, me, SEED))
    cells[0] = cells[0] * 48_271 % (2**31 - 1)
    return (cells[0] >> 8) % below


@function
def act(st, me, px):
    number = draw(st, me, ONE_IN * len(CHOICES))
    choice = CHOICES[number] if number < len(CHOICES) else NOTHING
    side = BUY if draw(st, me, 2) == 0 else SELL
    lots = 1 + draw(st, me, int(parameter(st, me, LOTS)))
    held = own_position(st, me)
    if choice == TRADE:
        submit_market(st, me, side, lots)
    elif choice == REST:
        submit_limit(st, me, side, px - side * draw(st, me, 60), lots, 0)
    elif choice == CLOSE and held != 0 and own_open_orders(st, me) == 0:
        submit_market(st, me, SELL if held > 0 else BUY, abs(held))
    elif choice == CANCEL:
        cancel_all(st, me)
    elif choice == TELL:
        log(st, me, 0, own_pnl(st, me), account_pnl(st, me), held, trading_state(st, me))


def on_bar(st, me, bar):
    act(st, me, bar_close(bar))


def on_timer(st, me, now):
    if draw(st, me, 8) == 0:
        act(st, me, last_trade_px(st, instrument_of(st, me)))
