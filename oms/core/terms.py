"""Terms of an order: its form, the grid and its size, the book that it is measured by, collar and notional."""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.book import level_qty, mid_half_ticks, next_occupied
from oms.core.margin_use import ONE_CASH
from oms.core.positions import fits, value_of
from oms.core.state import MAX_PX, MAX_QTY, NO_ASK, NO_BID, Record
from oms.records import CASH_SCALE, BookState, OrderFlag, OrderType, Reason, TimeInForce, Trigger

WALKED_LEVELS: Final = 16
"""Levels of the book that a market order is followed through; its rest is taken to trade at the last of them."""

_MARKET: Final = int(OrderType.MARKET)
_LIMIT: Final = int(OrderType.LIMIT)
_GTC: Final = int(TimeInForce.GTC)
_IOC: Final = int(TimeInForce.IOC)
_FOK: Final = int(TimeInForce.FOK)
_DAY: Final = int(TimeInForce.DAY)
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_AT_EXCHANGE: Final = int(OrderFlag.AT_EXCHANGE)
_ALL_FLAGS: Final = int(OrderFlag.POST_ONLY | OrderFlag.REDUCE_ONLY | OrderFlag.SHORT_LEG | OrderFlag.AT_EXCHANGE)
_NO_TRIGGER: Final = int(Trigger.NONE)
_SYNCED: Final = int(BookState.SYNCED)

_NONE: Final = int(Reason.NONE)
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
_OVERFLOW: Final = int(Reason.OVERFLOW)


@kernel
def rests(time_in_force: int) -> bool:
    """True for the times in force whose orders wait at the exchange for what they do not get at once."""
    return bool(time_in_force != _IOC and time_in_force != _FOK)


@kernel
def can_rest(order: Record) -> bool:
    """True for an order that can wait in the exchange's book at its own price."""
    in_book = order["flags"] & _AT_EXCHANGE == 0
    return bool(in_book and order["order_type"] == _LIMIT and rests(order["time_in_force"]))


@kernel
def check_form(command: Record) -> int:
    """The command's words go together: side, type, time in force, flags.

    A market order that waits for its trigger may wait for as long as any; it leaves as IOC or FOK.
    """
    if command["side"] != 1 and command["side"] != -1:
        return _BAD_SIDE
    order_type = command["order_type"]
    if order_type != _LIMIT and order_type != _MARKET:
        return _BAD_ORDER_TYPE
    time_in_force = command["time_in_force"]
    if not _GTC <= time_in_force <= _DAY:
        return _BAD_TIME_IN_FORCE
    resting = rests(time_in_force)
    if order_type == _MARKET and resting and command["trigger"] == _NO_TRIGGER:
        return _BAD_TIME_IN_FORCE
    flags = command["flags"]
    if flags & _ALL_FLAGS != flags:
        return _BAD_FLAGS
    if flags & _POST_ONLY and (order_type == _MARKET or not resting):
        return _BAD_FLAGS
    return _NONE


@hot_kernel
def check_size(definition: Record, limits: Record, order_type: int, px: int, qty: int) -> int:
    """Quantity and price are on the grid and within the limits; a market order has no price."""
    if qty < definition["min_qty"]:
        return _QTY_BELOW_MIN
    if qty > MAX_QTY or qty > definition["max_qty"] or qty > limits["max_order_qty"]:
        return _QTY_ABOVE_MAX
    if order_type != _MARKET and not 0 < px <= MAX_PX:
        return _BAD_PRICE
    return _NONE


@hot_kernel
def check_book(s: Record, instrument: int, max_age_ns: int) -> int:
    """The book is in step with the venue, the feed speaks, and the book is not too old (0: no age is)."""
    book = s["books"][instrument]
    if book["state"] != _SYNCED or s["feed_quiet"] != 0:
        return _BOOK_STALE
    if max_age_ns > 0 and s["now"] - book["local_ts"] > max_age_ns:
        return _BOOK_STALE
    return _NONE


@kernel
def touch_px(book: Record, side: int) -> int:
    """The best price that an order of ``side`` can trade at; 0 when there is none."""
    px = book["best"][(1 - side) >> 1]
    return 0 if px == NO_BID or px == NO_ASK else px


@kernel
def walked_px(book: Record, side: int, qty: int) -> int:
    """The last price at which a market order of ``qty`` lots would trade; 0 when the other side is empty."""
    px = touch_px(book, side)
    if px == 0:
        return 0
    left = qty - level_qty(book, -side, px)
    k = (1 - side) >> 1
    for _ in range(WALKED_LEVELS):
        if left <= 0:
            break
        following = next_occupied(book, k, px, side)
        if following == NO_BID or following == NO_ASK:
            break
        px = following
        left -= level_qty(book, -side, px)
    return px


@hot_kernel
def fraction_of(amount: int, rate: int) -> int:
    """``amount * rate`` rounded down, exactly, for a rate in 1e-8; split as in ``margin_use.at_rate_up``."""
    whole = int(amount * ONE_CASH)
    return whole * rate + (amount - whole * CASH_SCALE) * rate // CASH_SCALE


@hot_kernel
def check_collar(book: Record, px: int, collar_rate: int) -> int:
    """The price is within the collar of the book's mid and of the last trade, where there has been one."""
    half_ticks = mid_half_ticks(book)
    if half_ticks <= 0:
        return _NO_PRICE
    if abs(2 * px - half_ticks) > fraction_of(half_ticks, collar_rate):
        return _PRICE_COLLAR
    trade_px = book["trade_px"]
    if trade_px > 0 and abs(px - trade_px) > fraction_of(trade_px, collar_rate):
        return _PRICE_COLLAR
    return _NONE


@hot_kernel
def check_notional(definition: Record, limits: Record, px: int, qty: int) -> int:
    """The notional can be computed, and is within the venue's smallest and the limit."""
    if not fits(definition, px, qty):
        return _OVERFLOW
    notional = value_of(definition, px, qty)
    if notional < definition["min_notional"]:
        return _NOTIONAL_BELOW_MIN
    if notional > limits["max_order_notional"]:
        return _NOTIONAL_ABOVE_MAX
    return _NONE


@hot_kernel
def expected_px(book: Record, side: int, order_type: int, px: int, qty: int) -> int:
    """The price that an order is measured by: a limit order's own, a market order's last; 0 when there is none."""
    return walked_px(book, side, qty) if order_type == _MARKET else px


@hot_kernel
def check_terms(s: Record, limits: Record, instrument: int, side: int, order_type: int, px: int, qty: int) -> int:
    """Size, book, collar and notional of what would be at the exchange, by one scope's limits."""
    definition = s["instruments"][instrument]
    reason = check_size(definition, limits, order_type, px, qty)
    if reason == _NONE:
        reason = check_book(s, instrument, limits["max_book_age_ns"])
    if reason != _NONE:
        return reason
    book = s["books"][instrument]
    px = expected_px(book, side, order_type, px, qty)
    if px == 0:
        return _NO_PRICE
    reason = check_collar(book, px, limits["collar_rate"])
    if reason != _NONE:
        return reason
    if order_type == _MARKET and side < 0:
        px = touch_px(book, side)
    return check_notional(definition, limits, px, qty)
