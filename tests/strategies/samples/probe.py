"""Does one thing of the API at each tick, as its parameters say, and remembers the answer."""

from strategies.api import (
    BUY,
    amend,
    best_ask,
    best_bid,
    book_is_tradable,
    cancel,
    cancel_all,
    displayed_qty,
    instrument_of,
    is_open,
    last_trade_px,
    memory,
    now,
    order_fees,
    order_leaves,
    order_px,
    order_realized_pnl,
    order_state,
    parameter,
    position,
    submit_limit,
    submit_market,
)

PARAMETERS = {"action": 0.0, "a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0}
ACTION, A, B, C, D = range(5)
LOOK, SUBMIT, MARKET, AMEND, CANCEL, CANCEL_ALL, ORDER = range(1, 8)


def on_tick(st, me, tick):
    cells = memory(st, me)
    action = int(parameter(st, me, ACTION))
    a = int(parameter(st, me, A))
    b = int(parameter(st, me, B))
    c = int(parameter(st, me, C))
    instrument = instrument_of(st, me)
    if action == LOOK:
        cells[0] = now(st)
        cells[1] = best_bid(st, instrument)
        cells[2] = best_ask(st, instrument)
        cells[3] = displayed_qty(st, instrument, BUY, 600_000)
        cells[4] = last_trade_px(st, instrument)
        cells[5] = book_is_tradable(st, instrument)
        cells[6] = position(st, me)
        cells[7] = instrument
    elif action == SUBMIT:
        cells[0] = submit_limit(st, me, a, b, c, int(parameter(st, me, D)))
    elif action == MARKET:
        cells[0] = submit_market(st, me, a, c)
    elif action == AMEND:
        cells[0] = amend(st, me, a, b, c)
    elif action == CANCEL:
        cells[0] = cancel(st, me, a)
    elif action == CANCEL_ALL:
        cancel_all(st, me)
    elif action == ORDER:
        cells[0] = order_state(st, a)
        cells[1] = order_px(st, a)
        cells[2] = order_leaves(st, a)
        cells[3] = is_open(st, a)
        cells[4] = order_realized_pnl(st, a)
        cells[5] = order_fees(st, a)
