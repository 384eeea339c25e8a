"""What orders and fills count in their scopes: open quantity, open orders, positions.

Every order belongs to its account's scope, and to its strategy's where a strategy asked for it. Both are kept by the
same functions, one after the other.
"""

from __future__ import annotations

from oms.compiled import kernel
from oms.core.positions import apply_fill, fee_of, value_of
from oms.core.state import MAX_ACCOUNTS, Record


@kernel
def strategy_scope(order: Record) -> int:
    """The scope of the order's strategy; -1: no strategy asked for it."""
    return MAX_ACCOUNTS + order["strategy"] if order["strategy"] >= 0 else -1


@kernel
def _count_open_in(s: Record, scope: int, order: Record, added_qty: int) -> None:
    position = s["positions"][scope, order["instrument"], order["leg"]]
    if order["side"] > 0:
        position["open_buy_qty"] += added_qty
    else:
        position["open_sell_qty"] += added_qty


@kernel
def count_open(s: Record, order: Record, qty: int, px: int) -> None:
    """Count ``qty`` lots of an order at ``px`` as open instead of what was counted before."""
    added_qty = qty - order["risk_qty"]
    order["risk_qty"] = qty
    order["risk_px"] = px
    _count_open_in(s, order["account"], order, added_qty)
    if order["strategy"] >= 0:
        _count_open_in(s, strategy_scope(order), order, added_qty)


@kernel
def count_order(s: Record, order: Record, change: int) -> None:
    """Count one open order more (+1) or less (-1)."""
    instrument = order["instrument"]
    leg = order["leg"]
    s["positions"][order["account"], instrument, leg]["open_orders"] += change
    s["scopes"][order["account"]]["open_orders"] += change
    if order["strategy"] >= 0:
        scope = strategy_scope(order)
        s["positions"][scope, instrument, leg]["open_orders"] += change
        s["scopes"][scope]["open_orders"] += change


@kernel
def book_fill(s: Record, order: Record, px: int, qty: int, fee: int, fee_known: int, liquidity: int) -> int:
    """Book a fill of an order on its positions, and return its fee in cash."""
    definition = s["instruments"][order["instrument"]]
    if fee_known == 0:
        fee = fee_of(definition, value_of(definition, px, qty), liquidity)
    instrument = order["instrument"]
    leg = order["leg"]
    basis = s["accounts"][order["account"]]["fifo"]
    position = s["positions"][order["account"], instrument, leg]
    order["realized_pnl"] += apply_fill(s, position, definition, basis, order["side"], px, qty, fee)
    order["fees"] += fee
    if order["strategy"] >= 0:
        position = s["positions"][strategy_scope(order), instrument, leg]
        apply_fill(s, position, definition, basis, order["side"], px, qty, fee)
    s["fills"] += 1
    return fee
