"""What a refusal says to a client: the thing, its value, and the remedy, for every reason that the core gives."""

from __future__ import annotations

from typing import Final

from oms.config import Settings
from oms.reasons import MEANINGS
from oms.records import Reason
from rpc.entities import Order

_TEXTS: Final = {
    Reason.UNKNOWN_INSTRUMENT: "the core does not know {symbol}: define it in the settings",
    Reason.UNKNOWN_ACCOUNT: "the core does not know this account: check the settings",
    Reason.LIMIT_MISSING: "{symbol} has no risk limits, so it cannot be traded: add [risk.{symbol}] to the settings",
    Reason.TRADING_HALTED: "trading is halted, only cancels are taken: `zoms resume`, or set_trading_state active",
    Reason.TRADING_REDUCING: "the account is reducing, and {order} does not shrink the position: make it smaller, or"
    " set the trading state to active",
    Reason.BAD_SIDE: "{order} has no valid side: say buy or sell",
    Reason.BAD_ORDER_TYPE: "{order} has no valid type: say limit or market",
    Reason.BAD_TIME_IN_FORCE: "time in force {time_in_force} does not go with {order}: a limit order takes gtc, ioc or"
    " fok, a market order ioc or fok",
    Reason.BAD_FLAGS: "the flags do not go with {order}: post-only is for limit orders that are gtc",
    Reason.BAD_PRICE: "price {price} of {order} cannot be used: give one above zero on {symbol}'s tick",
    Reason.QTY_BELOW_MIN: "quantity {qty} is below {symbol}'s smallest, {min_qty}: raise it",
    Reason.QTY_ABOVE_MAX: "quantity {qty} is above the limit max_order_qty {max_order_qty} of {symbol} or the venue's"
    " largest: split it, or raise the limit",
    Reason.NOTIONAL_BELOW_MIN: "the value of {order} is below {symbol}'s smallest, {min_notional}: raise the quantity",
    Reason.NOTIONAL_ABOVE_MAX: "the value of {order} is above the limit max_order_notional {max_order_notional}: split"
    " it, or raise the limit",
    Reason.PRICE_COLLAR: "price {price} of {order} is farther from the market than price_collar {price_collar}: move it"
    " closer, or widen the collar",
    Reason.NO_PRICE: "{symbol} has no market price to value {order} at: wait for a book with both sides",
    Reason.BOOK_STALE: "{symbol}'s book is not in step with the exchange: wait for its next snapshot",
    Reason.POSITION_LIMIT: "with {order} the position and its open orders would exceed max_position {max_position} of"
    " {symbol}: make it smaller, or cancel others",
    Reason.OPEN_ORDER_LIMIT: "{symbol} has max_open_orders {max_open_orders} open already: cancel some",
    Reason.ORDER_RATE: "more than max_orders_per_second {max_orders_per_second} in {symbol}: send it again more slowly,"
    " under a new id",
    Reason.ORDER_TABLE_FULL: "the core's order table is full of open orders: cancel some",
    Reason.DUPLICATE_ORDER_ID: "order id {order_id} is in use: ask for the order's state",
    Reason.UNKNOWN_ORDER: "order {order_id} is not known to the core: ask for the order's state",
    Reason.ORDER_NOT_OPEN: "order {order_id} is no longer open: ask for its state",
    Reason.REQUEST_IN_FLIGHT: "order {order_id} has an amend or a cancel under way: wait for its answer",
    Reason.OVERFLOW: "the value of {order} is too large to be computed exactly: make it smaller",
    Reason.REDUCE_ONLY: "{order} is reduce-only and would not shrink the position: make it smaller",
    Reason.BAD_COMMAND: "the core does not understand the command: use the same zoms version for all processes",
    Reason.OUTPUT_FULL: "the core has too many requests under way: send it again in a moment, under a new id",
    Reason.COMMAND_TOO_LATE: "the core was busy for too long and did not act on it: send it again",
}


class RefusalError(Exception):
    """A request that is refused: ``code`` is an RpcCode or a Reason's name, the message names the remedy."""

    def __init__(self, code: str | Reason, message: str, order: Order | None = None) -> None:
        super().__init__(message)
        self.code = code.name if isinstance(code, Reason) else str(code)
        self.order = order


def refusal_text(reason: int, settings: Settings, order: Order) -> str:
    """Why the core refused ``order``, or an amend or a cancel of it, with the limit that it met and the remedy.

    Parameters
    ----------
    reason : int
        A Reason.
    order : Order
        As it was asked for.
    """
    if reason not in _ALL_REASONS:
        return f"{order_text(order)} was refused for reason {reason}, which this server does not know"
    text = _TEXTS.get(Reason(reason), MEANINGS[Reason(reason)])
    instrument = settings.instrument(order.symbol)
    limits = settings.risk_limits(instrument)
    values = {name: getattr(order, name) for name in order.__struct_fields__}
    values |= {name: getattr(instrument, name) for name in ("min_qty", "min_notional")}
    for name in _LIMITS:
        values[name] = getattr(limits, name, "(none)")
    return text.format(order=order_text(order), **values)


_ALL_REASONS: Final = frozenset(int(reason) for reason in Reason)
_LIMITS: Final = (
    "max_order_notional",
    "max_order_qty",
    "max_open_orders",
    "max_orders_per_second",
    "max_position",
    "price_collar",
)


def order_text(order: Order) -> str:
    """An order in words: ``buy 0.5 BTCUSDT at 61800.1``."""
    price = order.order_type if order.price is None else f"at {order.price}"
    return f"{order.side} {order.qty} {order.symbol} {price}"
