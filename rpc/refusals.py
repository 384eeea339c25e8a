"""What a refusal says to a client: the thing, its value, and the remedy, for every reason that the core gives."""

from __future__ import annotations

from typing import Final

from oms.config import Settings
from oms.reasons import MEANINGS
from oms.records import Reason
from rpc.entities import Order, trigger_text

_TEXTS: Final = {
    Reason.UNKNOWN_INSTRUMENT: "the core does not know {symbol}: define it in the settings",
    Reason.UNKNOWN_ACCOUNT: "the core does not know account {account}: check the settings",
    Reason.UNKNOWN_STRATEGY: "the core does not know this strategy: check the settings",
    Reason.LIMIT_MISSING: "{symbol} has no risk limits, so it cannot be traded: add [risk.{symbol}] to the settings",
    Reason.TRADING_HALTED: "trading is halted, only cancels are taken: `zoms resume`, or set_trading_state active",
    Reason.TRADING_REDUCING: "the account is reducing, and {order} does not shrink the position: make it smaller, or"
    " set the trading state to active",
    Reason.BAD_SIDE: "{order} has no valid side: say buy or sell",
    Reason.BAD_ORDER_TYPE: "{order} has no valid type: say limit or market",
    Reason.BAD_TIME_IN_FORCE: "time in force {time_in_force} does not go with {order}: a market order that waits for"
    " nothing is ioc or fok",
    Reason.BAD_FLAGS: "the flags do not go with {order}: post-only is for limit orders that rest",
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
    Reason.UNKNOWN_ORDER: "order {name} is not known to the core: ask for the order's state",
    Reason.ORDER_NOT_OPEN: "order {name} is no longer open: ask for its state",
    Reason.REQUEST_IN_FLIGHT: "order {name} has an amend or a cancel under way: wait for its answer",
    Reason.OVERFLOW: "the value of {order} is too large to be computed exactly: make it smaller",
    Reason.REDUCE_ONLY: "{order} is reduce-only and would not shrink the position: make it smaller",
    Reason.BAD_COMMAND: "the core does not understand the command: use the same zoms version for all processes",
    Reason.OUTPUT_FULL: "the core has too many requests under way: send it again in a moment, under a new id",
    Reason.WRONG_VERSION: "{symbol} has got another definition meanwhile: read the instruments, and ask again by it",
    Reason.BAD_TRIGGER: "the trigger of {order} cannot be used: a stop or take-profit needs its trigger_price, a"
    " trailing stop its distance; only an order that is held, or a stop that stands at the exchange, can have them"
    " changed; and there it watches the last, mark or index price",
    Reason.BAD_EXPIRY: "{order} cannot expire like that: a gtd order needs a good_till_ts to come, a day order an"
    " account with a day_reset",
    Reason.BAD_DISPLAY_QTY: "{order} cannot show {display_qty} at a time: it must rest, and show no more than it is of",
    Reason.BAD_PARENT: "{order} cannot hang on order {parent_order_id}: it must be an own one in {symbol} and account"
    " {account} of which something may still come; for oco it must be the first of its group, placed with contingency"
    " oco and no parent; one that is to be replaced must not be of a group; an exit at the"
    " exchange must be reduce-only",
    Reason.GROSS_EXPOSURE: "with {order} the gross exposure would exceed max_gross_exposure of account {account}, or of"
    " its strategy: make it smaller, cancel others, or raise the limit",
    Reason.NET_EXPOSURE: "with {order} the net exposure would exceed max_net_exposure of account {account}, or of its"
    " strategy: make it smaller, or hedge",
    Reason.LEVERAGE: "with {order} account {account} would exceed max_leverage: make it smaller, or add funds",
    Reason.INSUFFICIENT_FUNDS: "the free balance of account {account} does not cover {order}, its fee or its margin:"
    " make it smaller, cancel others, or add funds ([accounts.{account}] balances)",
    Reason.DUPLICATE_ORDER: "{order} is a copy of one asked for within duplicate_window_ms {duplicate_window_ms}: if it"
    " is meant, send it again later, under a new id",
    Reason.SELF_TRADE: "{order} would trade with an own order on the other side: cancel that one first",
    Reason.RULE_REFUSED: "a risk rule of the settings refused {order}: see [[rules]]",
    Reason.RULE_FAILED: "a risk rule of the settings failed on {order}, so it was not let through: correct the rule",
    Reason.INSTRUMENT_HALTED: "{symbol} is changing to a new definition: wait until it trades again",
    Reason.INSTRUMENT_EXPIRED: "{symbol} has expired: trade the next one",
    Reason.NO_CONVERSION: "there is no rate between {symbol}'s currency and the reporting currency: add"
    " [currencies.CODE] to the settings, or wait for a price of its instrument",
    Reason.BAD_LEG: "{order} does not go with the position mode of account {account}: in netting mode give no"
    " position_side, in hedging mode close no more than the leg has",
    Reason.NO_PARENT: "no algorithm works order {name}: only one that an algorithm works is paused and resumed",
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
    known = order.account in settings.accounts
    limits = settings.risk_limits(instrument, order.account) if known else None
    values = {name: getattr(order, name) for name in order.__struct_fields__}
    values |= {name: getattr(instrument, name) for name in ("min_qty", "min_notional")}
    for limit in _LIMITS:
        values[limit] = getattr(limits, limit, "(none)")
    return text.format(order=order_text(order), name=order_name(order), **values)


def refused_before_text(reason: int, order: Order) -> str:
    """What an id says that is sent again after its order was refused: the reason may be gone, the refusal stands."""
    name = Reason(reason).name if reason in _ALL_REASONS else f"reason {reason}"
    return (
        f"client_order_id {order.client_order_id!r} stands for {order_text(order)}, which was refused when it came, for"
        f" {name}: to place it now, use a new id"
    )


_ALL_REASONS: Final = frozenset(int(reason) for reason in Reason)
_LIMITS: Final = (
    "duplicate_window_ms",
    "max_order_notional",
    "max_order_qty",
    "max_open_orders",
    "max_orders_per_second",
    "max_position",
    "price_collar",
)


def order_name(order: Order) -> str:
    """What its owner calls an order: the client's own id, or the number of one that has none."""
    return repr(order.client_order_id) if order.client_order_id else str(order.order_id)


def order_text(order: Order) -> str:
    """An order in words: ``buy 0.5 BTCUSDT at 61800.1``."""
    price = "market" if order.price is None else f"at {order.price}"
    algorithm = f" by {order.algorithm}" if order.algorithm is not None else ""
    return f"{order.side} {order.qty} {order.symbol} {price}{trigger_text(order)}{algorithm}"
