"""What orders and fills count: open quantity and orders, reserved funds and margin, positions, wallets, exposure.

Every order belongs to its account's scope, and to its strategy's where a strategy asked for it. Both are kept by the
same functions, one after the other; funds are the account's alone. All of it is counted from what the order says that
it has counted (``risk_qty``, ``risk_px``, ``risk_value``), so that an order that is done has given back exactly what it
took.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.exact import quotient_fits, scaled
from oms.core.funds import base_cash, counted_value, spot_wallet
from oms.core.isolated import may_be_isolated, move_margin, pay_from_margin
from oms.core.losses import watch_losses
from oms.core.margin_use import place_margin
from oms.core.margin_watch import note_margins
from oms.core.orders import is_protection
from oms.core.positions import apply_fill, book_funding, fee_of, value_of
from oms.core.self_trade import note_resting
from oms.core.state import MAX_ACCOUNTS, Record
from oms.core.terms import can_rest, walked_px
from oms.core.trading import scope_of_strategy, wake_review
from oms.core.valuation import activate, conversion_rate, count_exposure, count_pnl, whole_cash
from oms.instrument_kinds import InstrumentKind

_SPOT: Final = int(InstrumentKind.SPOT)


@kernel
def strategy_scope(order: Record) -> int:
    """The scope of the order's strategy; -1: no strategy asked for it."""
    return scope_of_strategy(order["strategy"])


@kernel
def counted_px(definition: Record, px: int, other_px: int) -> int:
    """Of two prices at which an order may be, the one that is worth more; 0 is none."""
    if px == 0 or other_px == 0:
        return max(px, other_px)
    return min(px, other_px) if definition["inverse"] != 0 else max(px, other_px)


@hot_kernel
def _count_lots(s: Record, scope: int, order: Record, added_qty: int) -> None:
    """Count open lots in a scope, and the exposure that they can lead to."""
    instrument = order["instrument"]
    leg = order["leg"]
    activate(s, scope, instrument, leg)
    position = s["positions"][scope, instrument, leg]
    if order["side"] > 0:
        position["open_buy_qty"] += added_qty
    else:
        position["open_sell_qty"] += added_qty
    count_exposure(s, scope, instrument, leg)


@hot_kernel
def _count_funds(s: Record, order: Record, qty: int, px: int) -> None:
    """Reserve for ``qty`` open lots at ``px`` instead of what is reserved for the order."""
    account = order["account"]
    instrument = order["instrument"]
    side = order["side"]
    definition = s["instruments"][instrument]
    value = counted_value(definition, side, px, qty)
    change = value - order["risk_value"]
    order["risk_value"] = value
    if definition["kind"] == _SPOT:
        wallet = spot_wallet(definition, side)
        if wallet >= 0:
            s["wallets"][account, wallet]["reserved"] += change
        return
    row = s["valuations"][account, instrument, order["leg"]]
    if side > 0:
        row["open_buy_value"] += change
    else:
        row["open_sell_value"] += change
    place_margin(s, account, instrument, order["leg"])


@hot_kernel
def count_open(s: Record, order: Record, qty: int, px: int) -> None:
    """Count ``qty`` lots of an order at ``px`` as open instead of what was counted before.

    ``px`` 0 (a market order) is what the order was counted at, or the last price at which it would trade now. While an
    amend is in flight the order is counted at the dearer of its two prices. A protection at the exchange counts none.
    """
    account = order["account"]
    instrument = order["instrument"]
    if is_protection(s, order):
        qty = 0
    if px == 0:
        px = order["risk_px"]
        if order["risk_qty"] == 0 and qty > 0:
            px = walked_px(s["books"][instrument], order["side"], qty)
    if qty > 0 and can_rest(order):
        note_resting(s, account, instrument, order["side"], px)
        if order["pending_px"] > 0:
            note_resting(s, account, instrument, order["side"], order["px"])
            note_resting(s, account, instrument, order["side"], order["pending_px"])
    if order["pending_px"] > 0:
        definition = s["instruments"][instrument]
        px = counted_px(definition, counted_px(definition, px, order["px"]), order["pending_px"])
    added_qty = qty - order["risk_qty"]
    if added_qty != 0:
        _count_lots(s, account, order, added_qty)
        if order["strategy"] >= 0:
            _count_lots(s, strategy_scope(order), order, added_qty)
    if added_qty != 0 or px != order["risk_px"]:
        _count_funds(s, order, qty, px)
    order["risk_qty"] = qty
    order["risk_px"] = px


@kernel
def count_order(s: Record, order: Record, change: int) -> None:
    """Count one open order more (+1) or less (-1); the last one of an account that is being closed wakes the core."""
    account = order["account"]
    instrument = order["instrument"]
    leg = order["leg"]
    s["positions"][account, instrument, leg]["open_orders"] += change
    s["scopes"][account]["open_orders"] += change
    if order["strategy"] >= 0:
        scope = strategy_scope(order)
        s["positions"][scope, instrument, leg]["open_orders"] += change
        s["scopes"][scope]["open_orders"] += change
    if s["flattening"] > 0 and s["scopes"][account]["flattening"] != 0 and s["scopes"][account]["open_orders"] == 0:
        wake_review(s, max(s["now"], s["scopes"][account]["flatten_ts"]))


@kernel
def move_wallet(s: Record, account: int, wallet: int, amount: int) -> None:
    """Add to a wallet's balance; a currency that has no wallet is not kept."""
    if wallet >= 0:
        s["wallets"][account, wallet]["balance"] += amount


@kernel
def _move_wallets(s: Record, account: int, definition: Record, side: int, px: int, qty: int, realized: int) -> None:
    """What a fill moves: spot exchanges the two currencies, an option is paid, all else settles what it realized."""
    if definition["option_kind"] != 0:
        move_wallet(s, account, definition["settle_wallet"], -side * value_of(definition, px, qty))
        return
    if definition["kind"] != _SPOT:
        move_wallet(s, account, definition["settle_wallet"], realized)
        return
    move_wallet(s, account, definition["quote_wallet"], -side * value_of(definition, px, qty))
    move_wallet(s, account, definition["base_wallet"], side * base_cash(definition, qty))


@kernel
def recount(s: Record, scope: int, instrument: int, leg: int) -> None:
    """After a position has changed: bring what it counts in its scope and its wallet in line, and watch its losses."""
    activate(s, scope, instrument, leg)
    count_exposure(s, scope, instrument, leg)
    count_pnl(s, scope, instrument, leg)
    watch_losses(s, scope)
    note_margins(s)


@kernel
def book_fill(s: Record, order: Record, px: int, qty: int, fee: int, fee_known: int, liquidity: int) -> int:
    """Book a fill of an order on its positions and its account's wallets, and return its fee in cash."""
    instrument = order["instrument"]
    definition = s["instruments"][instrument]
    account = order["account"]
    leg = order["leg"]
    side = order["side"]
    if fee_known == 0:
        fee = fee_of(definition, value_of(definition, px, qty), liquidity)
    fifo = s["accounts"][account]["fifo"]
    position = s["positions"][account, instrument, leg]
    qty_before = position["qty"]
    cost_before = position["open_cost"]
    realized = apply_fill(s, position, definition, fifo, side, px, qty, fee)
    if may_be_isolated(s, account, position):
        move_margin(s, account, instrument, leg, qty_before, cost_before)
    order["realized_pnl"] += realized
    order["fees"] += fee
    _move_wallets(s, account, definition, side, px, qty, realized)
    move_wallet(s, account, definition["settle_wallet"], -fee)
    recount(s, account, instrument, leg)
    if order["strategy"] >= 0:
        scope = strategy_scope(order)
        apply_fill(s, s["positions"][scope, instrument, leg], definition, fifo, side, px, qty, fee)
        recount(s, scope, instrument, leg)
    s["fills"] += 1
    return fee


@kernel
def pay_funding(s: Record, account: int, instrument: int, leg: int, paid: int) -> None:
    """Book a funding payment (paid is positive) on an account's position and its wallet, and on its strategies' shares.

    A share bears its part of the payment by its quantity, rounded half to even.
    """
    position = s["positions"][account, instrument, leg]
    book_funding(position, -paid)
    pay_from_margin(position, paid)
    move_wallet(s, account, s["instruments"][instrument]["settle_wallet"], -paid)
    recount(s, account, instrument, leg)
    whole = abs(position["qty"])
    for number in range(s["strategies_used"]):
        share = s["positions"][MAX_ACCOUNTS + number, instrument, leg]
        part = abs(share["qty"])
        if s["strategies"][number]["account"] != account or part == 0 or whole == 0:
            continue
        if quotient_fits(paid, part, whole):
            amount = scaled(paid, part, whole)
            book_funding(share, -amount if share["qty"] * position["qty"] > 0 else amount)
            recount(s, MAX_ACCOUNTS + number, instrument, leg)


@kernel
def set_balance(s: Record, account: int, wallet: int, balance: int) -> None:
    """Set a wallet to what the venue says; what came or went otherwise than by trading is no PnL, but equity."""
    row = s["wallets"][account, wallet]
    rate = conversion_rate(s, row["currency"])
    s["scopes"][account]["equity_start"] += whole_cash((balance - row["balance"]) * rate)
    row["balance"] = balance
    note_margins(s)
