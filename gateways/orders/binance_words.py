"""Binance's futures: the words of their orders, and what the error codes of USD-M mean.

Sources: Binance, USDⓈ-M Futures, "Error Code", "Common Definition", "New Order", "General Info".
"""

from __future__ import annotations

from typing import Final

from gateways.orders.binance import WEIGHT
from gateways.orders.limiter import Limit
from gateways.orders.outcomes import Code, Verdict
from gateways.orders.views import Standing
from oms.records import OrderType, Reason, TimeInForce, Trigger, TriggerSource

SIDES: Final = {1: "BUY", -1: "SELL"}
SIDE_OF: Final = {name: side for side, name in SIDES.items()}

TIMES_IN_FORCE: Final = {
    TimeInForce.GTC: "GTC",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.GTD: "GTC",
    TimeInForce.DAY: "GTC",
}
"""GTD and DAY end by a cancel of the core's: the exchange's GTD lasts ten minutes at least."""

POST_ONLY: Final = "GTX"
TIME_IN_FORCE_OF: Final = {
    "GTC": TimeInForce.GTC,
    "GTX": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "GTD": TimeInForce.GTD,
}
ORDER_TYPES: Final = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET}

STANDINGS: Final = {
    "NEW": Standing.OPEN,
    "PARTIALLY_FILLED": Standing.OPEN,
    "FILLED": Standing.FILLED,
    "CANCELED": Standing.CANCELLED,
    "REJECTED": Standing.REJECTED,
    "EXPIRED": Standing.EXPIRED,
    "EXPIRED_IN_MATCH": Standing.EXPIRED,
}

STOP_TYPES: Final = {
    (Trigger.STOP, OrderType.LIMIT): "STOP",
    (Trigger.STOP, OrderType.MARKET): "STOP_MARKET",
    (Trigger.TAKE_PROFIT, OrderType.LIMIT): "TAKE_PROFIT",
    (Trigger.TAKE_PROFIT, OrderType.MARKET): "TAKE_PROFIT_MARKET",
}
"""Types of conditional orders ("New Algo Order"); of others that there are, nothing is made here."""
STOP_TYPE_OF: Final = {name: what for what, name in STOP_TYPES.items()}
WATCHED: Final = {TriggerSource.LAST: "CONTRACT_PRICE", TriggerSource.MARK: "MARK_PRICE"}
WATCHED_OF: Final = {name: source for source, name in WATCHED.items()}
STOP_STANDINGS: Final = {
    "NEW": Standing.OPEN,
    "TRIGGERING": Standing.OPEN,
    "TRIGGERED": Standing.OPEN,
    "FINISHED": Standing.OPEN,
    "CANCELED": Standing.CANCELLED,
    "REJECTED": Standing.EXPIRED,
    "EXPIRED": Standing.EXPIRED,
}
"""Of a conditional order ("Event: Algo Order Update"). REJECTED is one whose price came, and whose order was refused;
for the one that it has become, TRIGGERED and FINISHED say nothing that its own messages do not."""

CODES: Final[dict[int | str, Code]] = {
    -1003: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    -1015: (Verdict.NOT_ACCEPTED, Reason.ORDER_RATE),
    -1021: (Verdict.RESYNC, Reason.EXCHANGE_UNAVAILABLE),
    -1022: (Verdict.HALT, Reason.KEYS_REFUSED),
    -1111: (Verdict.REFUSED, Reason.BAD_PRICE),
    -1121: (Verdict.REFUSED, Reason.UNKNOWN_INSTRUMENT),
    -2011: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    -2013: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    -2014: (Verdict.HALT, Reason.KEYS_REFUSED),
    -2015: (Verdict.HALT, Reason.KEYS_REFUSED),
    -2018: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    -2019: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    -2021: (Verdict.REFUSED, Reason.WOULD_TRIGGER),
    -2022: (Verdict.REFUSED, Reason.REDUCE_ONLY),
    -2025: (Verdict.REFUSED, Reason.OPEN_ORDER_LIMIT),
    -2027: (Verdict.REFUSED, Reason.POSITION_LIMIT),
    -4001: (Verdict.REFUSED, Reason.BAD_PRICE),
    -4002: (Verdict.REFUSED, Reason.BAD_PRICE),
    -4003: (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    -4004: (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    -4005: (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    -4013: (Verdict.REFUSED, Reason.BAD_PRICE),
    -4014: (Verdict.REFUSED, Reason.BAD_PRICE),
    -4016: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    -4023: (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    -4024: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    -4061: (Verdict.REFUSED, Reason.BAD_LEG),
    -4116: (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
    -4164: (Verdict.REFUSED, Reason.NOTIONAL_BELOW_MIN),
    -5021: (Verdict.REFUSED, Reason.NO_LIQUIDITY),
    -5022: (Verdict.REFUSED, Reason.POST_ONLY_WOULD_CROSS),
    -5027: (Verdict.UNCHANGED, Reason.NONE),
}
"""Those that say more than the class of ccxt's exception. -2015 is among them because ccxt takes it for too many
requests once a key has worked: a key that has been revoked must halt."""

MINUTE_ORDERS: Final = "orders a minute"
TEN_SECOND_ORDERS: Final = "orders in ten seconds"
LIMITS: Final = (
    Limit(WEIGHT, 2400, 60.0, "x-mbx-used-weight-1m", has_reserve=True),
    Limit(MINUTE_ORDERS, 1200, 60.0, "x-mbx-order-count-1m"),
    Limit(TEN_SECOND_ORDERS, 300, 10.0, "x-mbx-order-count-10s"),
)
"""As a recorded exchangeInfo answer lists them; cancels count in none of the order limits."""


def end_reason(name: str, order_type: OrderType, time_in_force: str, *, is_reduce_only: bool) -> Reason:
    """Why an order has ended that the exchange shows as ``name``, as far as its terms tell."""
    if name == "EXPIRED_IN_MATCH":
        return Reason.SELF_TRADE
    if name != "EXPIRED":
        return Reason.NONE
    if order_type is OrderType.MARKET or time_in_force in ("IOC", "FOK"):
        return Reason.NO_LIQUIDITY
    if time_in_force == POST_ONLY:
        return Reason.POST_ONLY_WOULD_CROSS
    return Reason.REDUCE_ONLY if is_reduce_only else Reason.NONE
