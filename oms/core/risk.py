"""Pre-trade risk: every new order and amend passes here, at the moment of asking and with what is in flight counted.

A check returns ``Reason.NONE`` or the first reason to refuse. Whatever is missing (instrument, account, limit, price)
refuses. Cancels never come here: they always pass.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.book import mid_half_ticks
from oms.core.positions import fits, position_fits, value_of
from oms.core.state import (
    MAX_ACCOUNTS,
    MAX_INSTRUMENTS,
    MAX_OPEN_ORDERS,
    MAX_PX,
    MAX_QTY,
    NO_ASK,
    NO_BID,
    Record,
)
from oms.records import CASH_SCALE, BookState, OrderFlag, OrderType, Reason, TimeInForce, TradingState

RATE_WINDOW_NS: Final = 1_000_000_000

_MARKET: Final = int(OrderType.MARKET)
_LIMIT: Final = int(OrderType.LIMIT)
_GTC: Final = int(TimeInForce.GTC)
_FOK: Final = int(TimeInForce.FOK)
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_ALL_FLAGS: Final = _POST_ONLY | _REDUCE_ONLY
_HALTED: Final = int(TradingState.HALTED)
_REDUCING: Final = int(TradingState.REDUCING)
_SYNCED: Final = int(BookState.SYNCED)

_NONE: Final = int(Reason.NONE)
_UNKNOWN_ACCOUNT: Final = int(Reason.UNKNOWN_ACCOUNT)
_UNKNOWN_INSTRUMENT: Final = int(Reason.UNKNOWN_INSTRUMENT)
_LIMIT_MISSING: Final = int(Reason.LIMIT_MISSING)
_TRADING_HALTED: Final = int(Reason.TRADING_HALTED)
_TRADING_REDUCING: Final = int(Reason.TRADING_REDUCING)
_BAD_SIDE: Final = int(Reason.BAD_SIDE)
_BAD_ORDER_TYPE: Final = int(Reason.BAD_ORDER_TYPE)
_BAD_TIME_IN_FORCE: Final = int(Reason.BAD_TIME_IN_FORCE)
_BAD_FLAGS: Final = int(Reason.BAD_FLAGS)
_BAD_PRICE: Final = int(Reason.BAD_PRICE)
_QTY_BELOW_MIN: Final = int(Reason.QTY_BELOW_MIN)
_QTY_ABOVE_MAX: Final = int(Reason.QTY_ABOVE_MAX)
_NOTIONAL_BELOW_MIN: Final = int(Reason.NOTIONAL_BELOW_MIN)
_NOTIONAL_ABOVE_MAX: Final = int(Reason.NOTIONAL_ABOVE_MAX)
_PRICE_COLLAR: Final = int(Reason.PRICE_COLLAR)
_NO_PRICE: Final = int(Reason.NO_PRICE)
_BOOK_STALE: Final = int(Reason.BOOK_STALE)
_POSITION_LIMIT: Final = int(Reason.POSITION_LIMIT)
_OPEN_ORDER_LIMIT: Final = int(Reason.OPEN_ORDER_LIMIT)
_ORDER_RATE: Final = int(Reason.ORDER_RATE)
_OVERFLOW: Final = int(Reason.OVERFLOW)
_REDUCE_ONLY_REASON: Final = int(Reason.REDUCE_ONLY)


@kernel
def check_scope(s: Record, account: int, instrument: int) -> int:
    """Account, instrument and limits are known, and trading is not halted."""
    if not 0 <= account < MAX_ACCOUNTS or s["accounts"][account]["defined"] == 0:
        return _UNKNOWN_ACCOUNT
    if not 0 <= instrument < MAX_INSTRUMENTS or s["instruments"][instrument]["defined"] == 0:
        return _UNKNOWN_INSTRUMENT
    if s["limits"][account, instrument]["defined"] == 0:
        return _LIMIT_MISSING
    if s["scopes"][account]["trading_state"] == _HALTED:
        return _TRADING_HALTED
    return _NONE


@kernel
def check_form(command: Record) -> int:
    """The command's words go together: side, type, time in force, flags."""
    if command["side"] != 1 and command["side"] != -1:
        return _BAD_SIDE
    order_type = command["order_type"]
    if order_type != _LIMIT and order_type != _MARKET:
        return _BAD_ORDER_TYPE
    if not _GTC <= command["time_in_force"] <= _FOK:
        return _BAD_TIME_IN_FORCE
    if order_type == _MARKET and command["time_in_force"] == _GTC:
        return _BAD_TIME_IN_FORCE
    flags = command["flags"]
    if flags & _ALL_FLAGS != flags:
        return _BAD_FLAGS
    if flags & _POST_ONLY and (order_type == _MARKET or command["time_in_force"] != _GTC):
        return _BAD_FLAGS
    return _NONE


@kernel
def fraction_of(amount: int, rate: int) -> int:
    """``amount * rate`` rounded down, for a rate in 1e-8; the amount is split so that no product leaves int64."""
    whole = amount // CASH_SCALE
    return whole * rate + (amount - whole * CASH_SCALE) * rate // CASH_SCALE


@kernel
def check_terms(s: Record, account: int, instrument: int, side: int, order_type: int, px: int, qty: int) -> int:
    """Price, size, notional and collar of what would be at the exchange.

    A market order is valued at the book's price on the other side.
    """
    definition = s["instruments"][instrument]
    limits = s["limits"][account, instrument]
    book = s["books"][instrument]
    if qty < definition["min_qty"]:
        return _QTY_BELOW_MIN
    if qty > MAX_QTY or qty > definition["max_qty"] or qty > limits["max_order_qty"]:
        return _QTY_ABOVE_MAX
    if book["state"] != _SYNCED or s["feed_quiet"] != 0:
        return _BOOK_STALE
    if order_type == _MARKET:
        px = book["best"][(1 - side) >> 1]
        if px == NO_BID or px == NO_ASK:
            return _NO_PRICE
    if not 0 < px <= MAX_PX:
        return _BAD_PRICE
    half_ticks = mid_half_ticks(book)
    if half_ticks <= 0:
        return _NO_PRICE
    if order_type != _MARKET and abs(2 * px - half_ticks) > fraction_of(half_ticks, limits["collar_rate"]):
        return _PRICE_COLLAR
    if not fits(definition, px, qty):
        return _OVERFLOW
    notional = value_of(definition, px, qty)
    if notional < definition["min_notional"]:
        return _NOTIONAL_BELOW_MIN
    if notional > limits["max_order_notional"]:
        return _NOTIONAL_ABOVE_MAX
    return _NONE


@kernel
def check_exposure(s: Record, account: int, instrument: int, side: int, added_qty: int, reducing: bool) -> int:
    """The position that would result if every open order of this side filled, ``added_qty`` lots included.

    With ``reducing`` (a reduce-only order, or an account that is REDUCING) open orders and the new one together must
    not exceed the position that they close. A position that could not be valued exactly is refused.
    """
    position = s["positions"][account, instrument, 0]
    open_qty = position["open_buy_qty"] if side > 0 else position["open_sell_qty"]
    reachable = position["qty"] * side + open_qty + added_qty
    if reducing and reachable > 0:
        return _REDUCE_ONLY_REASON
    if added_qty <= 0:
        return _NONE
    if reachable > s["limits"][account, instrument]["max_position"]:
        return _POSITION_LIMIT
    half_ticks = mid_half_ticks(s["books"][instrument])
    if reachable > MAX_QTY or not position_fits(s["instruments"][instrument], half_ticks, reachable):
        return _OVERFLOW
    return _NONE


@kernel
def take_rate_token(limits: Record, now: int) -> bool:
    """Take one token of the order-rate bucket, or return False when it is empty.

    The bucket is kept as the time at which it will be full again (generic cell rate algorithm, ITU-T I.371): one order
    moves that time by one interval, and it may lie at most one second ahead.
    """
    full_ts = max(limits["rate_ts"], now) + limits["order_interval_ns"]
    if full_ts - now > RATE_WINDOW_NS:
        return False
    limits["rate_ts"] = full_ts
    return True


@kernel
def check_new(s: Record, command: Record) -> int:
    """The first reason to refuse a new order, or NONE; takes a rate token when it is the last check to pass."""
    account = command["account"]
    instrument = command["instrument"]
    side = command["side"]
    reason = check_scope(s, account, instrument)
    if reason == _NONE:
        reason = check_form(command)
    if reason != _NONE:
        return reason
    reason = check_terms(s, account, instrument, side, command["order_type"], command["px"], command["qty"])
    if reason != _NONE:
        return reason
    shrinking = s["scopes"][account]["trading_state"] == _REDUCING
    reason = check_exposure(
        s, account, instrument, side, command["qty"], bool(shrinking or command["flags"] & _REDUCE_ONLY)
    )
    if reason != _NONE:
        return _TRADING_REDUCING if shrinking and reason == _REDUCE_ONLY_REASON else reason
    limits = s["limits"][account, instrument]
    open_orders = s["positions"][account, instrument, 0]["open_orders"]
    if open_orders >= limits["max_open_orders"] or open_orders >= MAX_OPEN_ORDERS:
        return _OPEN_ORDER_LIMIT
    if not take_rate_token(limits, s["now"]):
        return _ORDER_RATE
    return _NONE


@kernel
def check_amend(s: Record, order: Record, px: int, qty: int) -> int:
    """The first reason to refuse changing an order to ``px`` and total ``qty``, or NONE; takes a rate token."""
    account = order["account"]
    instrument = order["instrument"]
    side = order["side"]
    reason = check_scope(s, account, instrument)
    if reason != _NONE:
        return reason
    if qty <= order["filled_qty"]:
        return _QTY_BELOW_MIN
    leaves = qty - order["filled_qty"]
    reason = check_terms(s, account, instrument, side, order["order_type"], px, leaves)
    if reason != _NONE:
        return reason
    shrinking = s["scopes"][account]["trading_state"] == _REDUCING
    reason = check_exposure(
        s,
        account,
        instrument,
        side,
        max(leaves - order["risk_qty"], 0),
        bool(shrinking or order["flags"] & _REDUCE_ONLY),
    )
    if reason != _NONE:
        return _TRADING_REDUCING if shrinking and reason == _REDUCE_ONLY_REASON else reason
    if not take_rate_token(s["limits"][account, instrument], s["now"]):
        return _ORDER_RATE
    return _NONE
