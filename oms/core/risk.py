"""Pre-trade risk: every new order and amend passes here, at the moment of asking and with what is in flight counted.

A check returns ``Reason.NONE`` or the first reason to refuse. Whatever is missing (instrument, account, limit, price,
rate, wallet) refuses. Cancels never come here: they always pass. An amend that only makes an order smaller takes risk
away as a cancel does, and passes in every state of trading and of the market. ``docs/risk.md`` names the checks in
their order; a rate token is taken, and the order remembered, only when all of them have passed.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.accounting import counted_px
from oms.core.duplicates import is_copy, remember_order
from oms.core.exposure import check_hedging_leg, check_position, check_value, is_watched
from oms.core.funds import check_funds
from oms.core.orders import is_protection, stands_at_exchange
from oms.core.rates import take_rate_tokens
from oms.core.rules import check_rules, check_rules_of_amend
from oms.core.self_trade import would_self_trade
from oms.core.state import MAX_ACCOUNTS, MAX_OPEN_ORDERS, MAX_PX, MAX_QTY, Record
from oms.core.terms import check_form, check_notional, check_size, check_terms, expected_px, fraction_of
from oms.core.trading import check_defined, check_leg, check_states, leg_of, scope_of_strategy, state_of_scope
from oms.records import ALGORITHM_CLIENT, OrderFlag, OrderType, Reason, TradingState, Trigger

_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_REDUCE_ONLY_FLAG: Final = int(OrderFlag.REDUCE_ONLY)
_REDUCING: Final = int(TradingState.REDUCING)

_NONE: Final = int(Reason.NONE)
_TRADING_REDUCING: Final = int(Reason.TRADING_REDUCING)
_REDUCE_ONLY: Final = int(Reason.REDUCE_ONLY)
_OPEN_ORDER_LIMIT: Final = int(Reason.OPEN_ORDER_LIMIT)
_DUPLICATE_ORDER: Final = int(Reason.DUPLICATE_ORDER)
_SELF_TRADE: Final = int(Reason.SELF_TRADE)
_WRONG_VERSION: Final = int(Reason.WRONG_VERSION)
_ORDER_RATE: Final = int(Reason.ORDER_RATE)
_QTY_BELOW_MIN: Final = int(Reason.QTY_BELOW_MIN)
_QTY_ABOVE_MAX: Final = int(Reason.QTY_ABOVE_MAX)
_BAD_PRICE: Final = int(Reason.BAD_PRICE)
_BAD_TRIGGER: Final = int(Reason.BAD_TRIGGER)
_PRICE_COLLAR: Final = int(Reason.PRICE_COLLAR)
_MARKET: Final = int(OrderType.MARKET)
_ALGORITHM: Final = int(Trigger.ALGORITHM)


@hot_kernel
def limiting_scope(s: Record, strategy: int, instrument: int) -> int:
    """The scope of a strategy that has limits of its own for an instrument; -1: it has none."""
    scope = scope_of_strategy(strategy)
    return scope if scope >= 0 and s["limits"][scope, instrument]["defined"] != 0 else -1


@hot_kernel
def check_scope_terms(
    s: Record, account: int, strategy: int, instrument: int, side: int, order_type: int, px: int, qty: int
) -> int:
    """Terms by the account's limits, then by the strategy's where it has its own for the instrument."""
    reason = check_terms(s, s["limits"][account, instrument], instrument, side, order_type, px, qty)
    scope = limiting_scope(s, strategy, instrument)
    if reason == _NONE and scope >= 0:
        return check_terms(s, s["limits"][scope, instrument], instrument, side, order_type, px, qty)
    return reason


@hot_kernel
def check_reach(
    s: Record, scope: int, instrument: int, leg: int, side: int, added_qty: int, reduce_only: bool, account: int
) -> int:
    """The position that a scope could come to, and what that would be worth."""
    shrinking = state_of_scope(s, scope) == _REDUCING
    reason = check_position(s, scope, instrument, leg, side, added_qty, bool(shrinking or reduce_only))
    if reason != _NONE:
        return _TRADING_REDUCING if shrinking and reason == _REDUCE_ONLY else reason
    if scope != account and not is_watched(s["scopes"][scope]):
        return _NONE
    return check_value(s, scope, instrument, leg, side, added_qty)


@hot_kernel
def check_reaches(
    s: Record, account: int, strategy: int, instrument: int, leg: int, side: int, added_qty: int, flags: int
) -> int:
    """Position and exposure of the account and of the strategy."""
    reduce_only = bool(flags & _REDUCE_ONLY_FLAG)
    reason = check_hedging_leg(s, account, instrument, leg, side, added_qty)
    if reason == _NONE:
        reason = check_reach(s, account, instrument, leg, side, added_qty, reduce_only, account)
    if reason == _NONE and strategy >= 0:
        scope = scope_of_strategy(strategy)
        reason = check_reach(s, scope, instrument, leg, side, added_qty, reduce_only, account)
    return reason


@kernel
def may_open(s: Record, scope: int, instrument: int, leg: int, ahead: int) -> bool:
    """True while a scope may have one open order more than ``ahead``, in the instrument and over all."""
    sums = s["scopes"][scope]
    limits = s["limits"][scope, instrument]
    open_orders = s["positions"][scope, instrument, leg]["open_orders"]
    if leg == 1 or s["positions"][scope, instrument, 1]["open_orders"] > 0:
        open_orders = s["positions"][scope, instrument, 0]["open_orders"]
        open_orders += s["positions"][scope, instrument, 1]["open_orders"]
    open_orders += ahead
    if sums["open_orders"] + ahead >= sums["max_open_orders"] or open_orders >= MAX_OPEN_ORDERS:
        return False
    return bool(limits["defined"] == 0 or open_orders < limits["max_open_orders"])


@kernel
def check_open_orders(s: Record, account: int, strategy: int, instrument: int, leg: int, ahead: int) -> int:
    """Neither account nor strategy will have as many open orders as it may, once ``ahead`` more are open."""
    if not may_open(s, account, instrument, leg, ahead):
        return _OPEN_ORDER_LIMIT
    if strategy >= 0 and not may_open(s, MAX_ACCOUNTS + strategy, instrument, leg, ahead):
        return _OPEN_ORDER_LIMIT
    return _NONE


@kernel
def check_new(s: Record, command: Record, is_asked: bool) -> int:
    """The first reason to refuse an order that would leave now, or NONE; then its rate tokens are taken.

    With ``is_asked`` it is asked for now, and must be no copy; without, it has been in the core's keeping.
    """
    account = command["account"]
    instrument = command["instrument"]
    strategy = command["strategy"]
    side = command["side"]
    qty = command["qty"]
    flags = command["flags"]
    reason = check_defined(s, account, instrument, command["version"])
    if reason == _NONE:
        reason = check_states(s, account, strategy)
    if reason == _NONE:
        reason = check_form(command)
    if reason == _NONE:
        reason = check_leg(s, account, flags)
    if reason != _NONE:
        return reason
    leg = leg_of(flags)
    if stands_at_exchange(command):
        return check_stop(s, command, leg, is_asked)
    reason = check_scope_terms(s, account, strategy, instrument, side, command["order_type"], command["px"], qty)
    if reason == _NONE:
        reason = check_reaches(s, account, strategy, instrument, leg, side, qty, flags)
    if reason != _NONE:
        return reason
    px = expected_px(s["books"][instrument], side, command["order_type"], command["px"], qty)
    reason = check_funds(s, account, instrument, leg, side, px, qty, 0, 0)
    if reason == _NONE:
        reason = check_open_orders(s, account, strategy, instrument, leg, 0)
    if reason != _NONE:
        return reason
    return let_through(s, command, px, is_asked)


@kernel
def let_through(s: Record, command: Record, px: int, is_asked: bool) -> int:
    """What is checked last of an order that could trade up to ``px`` now, 0: at no price; then its tokens are taken."""
    account = command["account"]
    instrument = command["instrument"]
    is_compared = is_asked and command["source"] != ALGORITHM_CLIENT  # slices are alike
    window_ns = s["limits"][account, instrument]["duplicate_window_ns"] if is_compared else 0
    if is_copy(s, command, window_ns):
        return _DUPLICATE_ORDER
    takes = px != 0 and command["flags"] & _POST_ONLY == 0
    if takes and would_self_trade(s, account, instrument, command["side"], px):
        return _SELF_TRADE
    if s["rules_used"] != 0:
        reason = check_rules(s, command)
        if reason != _NONE:
            return reason
    if not take_rate_tokens(s, account, command["strategy"], instrument):
        return _ORDER_RATE
    if window_ns > 0:
        remember_order(s, command)
    return _NONE


@kernel
def check_smaller(s: Record, order: Record, leaves: int) -> int:
    """The first reason to refuse making an order smaller at its price, or NONE; takes rate tokens."""
    definition = s["instruments"][order["instrument"]]
    if order["version"] != definition["version"]:
        return _WRONG_VERSION
    if leaves < definition["min_qty"]:
        return _QTY_BELOW_MIN
    is_taken = take_rate_tokens(s, order["account"], order["strategy"], order["instrument"])
    return _NONE if is_taken else _ORDER_RATE


@kernel
def check_stop_terms(definition: Record, limits: Record, order_type: int, px: int, trigger_px: int, qty: int) -> int:
    """Size and notional by one scope's limits of a stop that is to stand at the exchange.

    Nobody looks at its price again when it fires: its limit is to be within the collar of its trigger.
    """
    reason = check_size(definition, limits, order_type, px, qty)
    if reason != _NONE:
        return reason
    if order_type == _MARKET:
        return check_notional(definition, limits, trigger_px, qty) if px == 0 else _BAD_PRICE
    if abs(px - trigger_px) > fraction_of(trigger_px, limits["collar_rate"]):
        return _PRICE_COLLAR
    return check_notional(definition, limits, px, qty)


@kernel
def check_stop_scopes(s: Record, order: Record, px: int, trigger_px: int, qty: int) -> int:
    """Terms of a stop that is to stand at the exchange, by the account's limits, then by the strategy's own."""
    instrument = order["instrument"]
    order_type = order["order_type"]
    definition = s["instruments"][instrument]
    limits = s["limits"][order["account"], instrument]
    reason = check_stop_terms(definition, limits, order_type, px, trigger_px, qty)
    scope = limiting_scope(s, order["strategy"], instrument)
    if reason == _NONE and scope >= 0:
        return check_stop_terms(definition, s["limits"][scope, instrument], order_type, px, trigger_px, qty)
    return reason


@kernel
def check_stop_value(
    s: Record, order: Record, leg: int, px: int, trigger_px: int, qty: int, before_value: int, before_qty: int
) -> int:
    """Terms, reach and funds of a stop at the exchange that counts for so much cash and so many lots already.

    One that can only close needs no room: neither a position nor a margin comes of it.
    """
    account = order["account"]
    instrument = order["instrument"]
    strategy = order["strategy"]
    order_type = order["order_type"]
    definition = s["instruments"][instrument]
    if not 0 < trigger_px <= MAX_PX:
        return _BAD_TRIGGER
    reason = check_stop_scopes(s, order, px, trigger_px, qty)
    if reason != _NONE or is_protection(s, order):
        return reason
    side = order["side"]
    reason = check_reaches(s, account, strategy, instrument, leg, side, qty - before_qty, order["flags"])
    if reason != _NONE:
        return reason
    dear_px = counted_px(definition, order["trigger_px"], trigger_px)
    if order_type != _MARKET:
        dear_px = counted_px(definition, counted_px(definition, order["px"], px), trigger_px)
    return check_funds(s, account, instrument, leg, side, dear_px, qty, before_value, before_qty)


@kernel
def check_stop(s: Record, command: Record, leg: int, is_asked: bool) -> int:
    """The first reason to refuse a stop that is to stand at the exchange, or NONE; then its rate tokens are taken.

    Book, collar around the market and self-trade are not looked at: it does not trade now.
    """
    account = command["account"]
    instrument = command["instrument"]
    reason = check_stop_value(s, command, leg, command["px"], command["trigger_px"], command["qty"], 0, 0)
    if reason == _NONE:
        reason = check_open_orders(s, account, command["strategy"], instrument, leg, 0)
    if reason != _NONE:
        return reason
    return let_through(s, command, 0, is_asked)


@kernel
def check_stop_amend(s: Record, order: Record, px: int, trigger_px: int, qty: int) -> int:
    """The first reason to refuse other terms of a stop at the exchange, or NONE; takes rate tokens."""
    account = order["account"]
    strategy = order["strategy"]
    if px == order["px"] and trigger_px == order["trigger_px"] and qty <= order["qty"]:
        return check_smaller(s, order, qty - order["filled_qty"])
    reason = check_defined(s, account, order["instrument"], order["version"])
    if reason == _NONE:
        reason = check_states(s, account, strategy)
    if reason == _NONE:
        reason = check_stop_value(s, order, order["leg"], px, trigger_px, qty, order["risk_value"], order["risk_qty"])
    if reason == _NONE:
        reason = check_rules_of_amend(s, order, px, qty)
    if reason != _NONE:
        return reason
    return _NONE if take_rate_tokens(s, account, strategy, order["instrument"]) else _ORDER_RATE


@kernel
def check_size_of_whole(definition: Record, command: Record) -> int:
    """Size and limit price of an order that an algorithm works; its children are checked one by one."""
    if command["qty"] < definition["min_qty"]:
        return _QTY_BELOW_MIN
    if command["qty"] > MAX_QTY:
        return _QTY_ABOVE_MAX
    if command["order_type"] == _MARKET:
        return _NONE if command["px"] == 0 else _BAD_PRICE
    return _NONE if 0 < command["px"] <= MAX_PX else _BAD_PRICE


@kernel
def check_held_size(definition: Record, limits: Record, command: Record) -> int:
    """Size by one scope's limits, and the notional at the limit price, else at the trigger's where that is known."""
    if command["trigger"] == _ALGORITHM:  # of which no order is larger than the limits say
        return check_size_of_whole(definition, command)
    if stands_at_exchange(command):
        return check_stop_terms(
            definition, limits, command["order_type"], command["px"], command["trigger_px"], command["qty"]
        )
    reason = check_size(definition, limits, command["order_type"], command["px"], command["qty"])
    px = command["px"] if command["px"] != 0 else command["trigger_px"]
    if reason != _NONE or px == 0:
        return reason
    return check_notional(definition, limits, px, command["qty"])


@kernel
def check_held_terms(s: Record, command: Record, ahead: int) -> int:
    """The first reason but its rate to refuse an order that is held in the core, once ``ahead`` more are open; or NONE.

    What depends on the market and on the positions is checked by ``check_new`` when the order leaves.
    """
    account = command["account"]
    instrument = command["instrument"]
    strategy = command["strategy"]
    reason = check_defined(s, account, instrument, command["version"])
    if reason == _NONE:
        reason = check_states(s, account, strategy)
    if reason == _NONE:
        reason = check_form(command)
    if reason == _NONE:
        reason = check_leg(s, account, command["flags"])
    if reason != _NONE:
        return reason
    definition = s["instruments"][instrument]
    reason = check_held_size(definition, s["limits"][account, instrument], command)
    scope = limiting_scope(s, strategy, instrument)
    if reason == _NONE and scope >= 0:
        reason = check_held_size(definition, s["limits"][scope, instrument], command)
    if reason == _NONE:
        reason = check_open_orders(s, account, strategy, instrument, leg_of(command["flags"]), ahead)
    return reason


@kernel
def check_held(s: Record, command: Record) -> int:
    """The first reason to refuse an order that is held in the core, or NONE; then its rate tokens are taken."""
    reason = check_held_terms(s, command, 0)
    if reason != _NONE:
        return reason
    account = command["account"]
    instrument = command["instrument"]
    window_ns = s["limits"][account, instrument]["duplicate_window_ns"]
    if is_copy(s, command, window_ns):
        return _DUPLICATE_ORDER
    if not take_rate_tokens(s, account, command["strategy"], instrument):
        return _ORDER_RATE
    if window_ns > 0:
        remember_order(s, command)
    return _NONE


@hot_kernel
def check_amend(s: Record, order: Record, px: int, qty: int) -> int:
    """The first reason to refuse changing an order to ``px`` and total ``qty``, or NONE; takes rate tokens."""
    account = order["account"]
    instrument = order["instrument"]
    strategy = order["strategy"]
    side = order["side"]
    leg = order["leg"]
    if qty <= order["filled_qty"]:
        return _QTY_BELOW_MIN
    leaves = qty - order["filled_qty"]
    if px == order["px"] and qty <= order["qty"]:
        return check_smaller(s, order, leaves)
    reason = check_defined(s, account, instrument, order["version"])
    if reason == _NONE:
        reason = check_states(s, account, strategy)
    if reason != _NONE:
        return reason
    reason = check_scope_terms(s, account, strategy, instrument, side, order["order_type"], px, leaves)
    if reason != _NONE:
        return reason
    open_qty = max(leaves, order["risk_qty"])
    reason = check_reaches(s, account, strategy, instrument, leg, side, open_qty - order["risk_qty"], order["flags"])
    if reason != _NONE:
        return reason
    dear_px = counted_px(s["instruments"][instrument], order["px"], px)
    reason = check_funds(s, account, instrument, leg, side, dear_px, open_qty, order["risk_value"], order["risk_qty"])
    if reason == _NONE and order["flags"] & _POST_ONLY == 0 and would_self_trade(s, account, instrument, side, px):
        reason = _SELF_TRADE
    if reason == _NONE:
        reason = check_rules_of_amend(s, order, px, qty)
    if reason != _NONE:
        return reason
    return _NONE if take_rate_tokens(s, account, strategy, instrument) else _ORDER_RATE
