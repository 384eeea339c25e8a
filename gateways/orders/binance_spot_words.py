"""Binance spot: the words of its orders, and what its error codes and messages mean.

Sources: Binance, Spot API, "Errors", "Enums", "Filters"; the limits are those that the page "WebSocket API" shows.
"""

from __future__ import annotations

from typing import Final

from gateways.orders.binance import WEIGHT
from gateways.orders.limiter import Limit
from gateways.orders.outcomes import Code, Verdict
from oms.records import OrderType, Reason

POST_ONLY: Final = "LIMIT_MAKER"
ORDER_TYPES: Final = {"LIMIT": OrderType.LIMIT, POST_ONLY: OrderType.LIMIT, "MARKET": OrderType.MARKET}

CODES: Final[dict[int | str, Code]] = {
    "Duplicate order sent": (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
    "Unknown order sent": (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    "insufficient balance": (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    "immediately match and take": (Verdict.REFUSED, Reason.POST_ONLY_WOULD_CROSS),
    "would change no state": (Verdict.UNCHANGED, Reason.NONE),
    "Market is closed": (Verdict.REFUSED, Reason.INSTRUMENT_HALTED),
    "Filter failure: PRICE_FILTER": (Verdict.REFUSED, Reason.BAD_PRICE),
    "Filter failure: PERCENT_PRICE": (Verdict.REFUSED, Reason.PRICE_COLLAR),
    "Filter failure: LOT_SIZE": (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    "Filter failure: MARKET_LOT_SIZE": (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    "Filter failure: NOTIONAL": (Verdict.REFUSED, Reason.NOTIONAL_BELOW_MIN),
    "Filter failure: MIN_NOTIONAL": (Verdict.REFUSED, Reason.NOTIONAL_BELOW_MIN),
    "Filter failure: MAX_POSITION": (Verdict.REFUSED, Reason.POSITION_LIMIT),
    "Filter failure: MAX_NUM_ORDERS": (Verdict.REFUSED, Reason.OPEN_ORDER_LIMIT),
    "Filter failure: EXCHANGE_MAX_NUM_ORDERS": (Verdict.REFUSED, Reason.OPEN_ORDER_LIMIT),
    -1003: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    -1015: (Verdict.NOT_ACCEPTED, Reason.ORDER_RATE),
    -1021: (Verdict.RESYNC, Reason.EXCHANGE_UNAVAILABLE),
    -1022: (Verdict.HALT, Reason.KEYS_REFUSED),
    -1111: (Verdict.REFUSED, Reason.BAD_PRICE),
    -1121: (Verdict.REFUSED, Reason.UNKNOWN_INSTRUMENT),
    -2013: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    -2014: (Verdict.HALT, Reason.KEYS_REFUSED),
    -2015: (Verdict.HALT, Reason.KEYS_REFUSED),
    -2026: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
}
"""-1013, -2010, -2011 and -2038 each stand for many things; only the message says which. A -2015 must halt though ccxt
takes it for too many requests once a key has worked."""

DAY_ORDERS: Final = "orders a day"
TEN_SECOND_ORDERS: Final = "orders in ten seconds"
LIMITS: Final = (
    Limit(WEIGHT, 6000, 60.0, "x-mbx-used-weight-1m", has_reserve=True),
    Limit(DAY_ORDERS, 160_000, 86_400.0, "x-mbx-order-count-1d"),
    Limit(TEN_SECOND_ORDERS, 50, 10.0, "x-mbx-order-count-10s"),
)
"""Of new orders; cancels and amends count in none of the order limits."""
