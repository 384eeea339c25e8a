"""Asks for one order of a kind at each tick, as its parameters say, and remembers the answer."""

from strategies.api import (
    account_pnl,
    amend_trigger,
    bracket,
    index_px,
    mark_px,
    memory,
    oco,
    order_trigger_px,
    own_open_orders,
    own_pnl,
    own_position,
    own_realized_pnl,
    parameter,
    replace,
    short_position,
    submit_day,
    submit_displayed,
    submit_order,
    submit_stop,
    submit_take_profit,
    submit_trailing,
    submit_until,
    trading_state,
)

PARAMETERS = {"action": 0.0, "a": 0.0, "b": 0.0, "c": 0.0, "d": 0.0, "e": 0.0}
ACTION, A, B, C, D, E = range(6)
(
    STOP,
    TAKE_PROFIT,
    TRAILING,
    BRACKET,
    OCO,
    REPLACE,
    AMEND_TRIGGER,
    UNTIL,
    DAY,
    DISPLAYED,
    FIELD,
    LOOK,
) = range(1, 13)


def on_tick(st, me, tick):
    cells = memory(st, me)
    action = int(parameter(st, me, ACTION))
    a = int(parameter(st, me, A))
    b = int(parameter(st, me, B))
    c = int(parameter(st, me, C))
    d = int(parameter(st, me, D))
    e = int(parameter(st, me, E))
    if action == STOP:
        cells[0] = submit_stop(st, me, a, b, c, d, e, 0)
    elif action == TAKE_PROFIT:
        cells[0] = submit_take_profit(st, me, a, b, c, d, e, 0)
    elif action == TRAILING:
        cells[0] = submit_trailing(st, me, a, b, c, 0, d, e, 0)
    elif action == BRACKET:
        cells[0] = bracket(st, me, a, b, 10, c, d, e, 0)
    elif action == OCO:
        cells[0] = oco(st, me, a, 10, b, c, e, 0)
    elif action == REPLACE:
        cells[0] = replace(st, me, a, b, c)
    elif action == AMEND_TRIGGER:
        cells[0] = amend_trigger(st, me, a, b, c)
    elif action == UNTIL:
        cells[0] = submit_until(st, me, a, b, c, d * 1_000_000_000, 0)
    elif action == DAY:
        cells[0] = submit_day(st, me, a, b, c, 0)
    elif action == DISPLAYED:
        cells[0] = submit_displayed(st, me, a, b, c, d, 0)
    elif action == FIELD:
        trigger = b if a == 0 else 1
        source = b if a == 1 else 1
        trail = b if a == 2 else 0
        unit = b if a == 3 else 0
        contingency = b if a == 4 else 0
        lasting = b if a == 5 else 1
        display = b if a == 6 else 0
        expire = b if a == 7 else 0
        cells[0] = submit_order(
            st,
            me,
            1,
            600_000,
            10,
            1,
            lasting,
            0,
            trigger,
            source,
            600_010,
            trail,
            unit,
            display,
            expire,
            contingency,
            0,
        )
    elif action == LOOK:
        cells[0] = own_position(st, me)
        cells[1] = own_realized_pnl(st, me)
        cells[2] = own_pnl(st, me)
        cells[3] = own_open_orders(st, me)
        cells[4] = trading_state(st, me)
        cells[5] = short_position(st, me)
        cells[6] = mark_px(st, 0)
        cells[7] = index_px(st, 0)
        cells[8] = order_trigger_px(st, a)
        cells[9] = account_pnl(st, me)
