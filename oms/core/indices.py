"""What a snapshot does not hold, made anew from its tables: indices, and columns that an older zoms did not have."""

from __future__ import annotations

import numba

from oms.compiled import array_of, entry
from oms.core.funds import counted_value
from oms.core.orders import home_of
from oms.core.state import MAX_FILLS, ORDER_INDEX, STATE, TRADE_INDEX, State
from oms.core.trades import home_of_trade


@entry(lambda: numba.void(array_of(STATE)))
def rebuild_indices(st: State) -> None:
    """Make the indices of orders and trades anew from their tables."""
    s = st[0]
    index = s["order_index"]
    index[:] = 0
    for slot in range(s["orders_used"]):
        at = home_of(s["orders"][slot]["order_id"])
        while index[at] != 0:
            at = (at + 1) & (ORDER_INDEX - 1)
        index[at] = slot + 1
    index = s["trade_index"]
    index[:] = 0
    for row in range(min(s["trade_counter"], MAX_FILLS)):
        trade = s["trades"][row]
        at = home_of_trade(trade["trade_id"], trade["instrument"], trade["account"])
        while index[at] != 0:
            at = (at + 1) & (TRADE_INDEX - 1)
        index[at] = row + 1


@entry(lambda: numba.void(array_of(STATE)))
def value_orders(st: State) -> None:
    """Work out what each order counts in its account's wallet, from the quantity and the price that it counts."""
    s = st[0]
    for slot in range(s["orders_used"]):
        order = s["orders"][slot]
        definition = s["instruments"][order["instrument"]]
        order["risk_value"] = counted_value(definition, order["side"], order["risk_px"], order["risk_qty"])
