"""HTX's USDT-margined contracts: the words of their orders, what error codes mean, and rate limits.

Sources: "Place Order", "Subscribe to order data", "Subscribe to match order data", "Details of Each Error Code", "API
Rate Limit Illustration".
"""

from __future__ import annotations

from typing import Final

from gateways.orders.limiter import Limit
from gateways.orders.outcomes import Code, Verdict
from gateways.orders.views import Standing
from oms.records import OrderType, Reason, TimeInForce

SIDES: Final = {1: "buy", -1: "sell"}
SIDE_OF: Final = {name: side for side, name in SIDES.items()}

MARKET, LIMIT, POST_ONLY = "market", "limit", "post_only"
TYPE_OF: Final = {MARKET: OrderType.MARKET, LIMIT: OrderType.LIMIT, POST_ONLY: OrderType.LIMIT}

TIMES_IN_FORCE: Final = {
    TimeInForce.GTC: "gtc",
    TimeInForce.IOC: "ioc",
    TimeInForce.FOK: "fok",
    TimeInForce.GTD: "gtc",
    TimeInForce.DAY: "gtc",
}
"""GTD and DAY end by a cancel of the core's."""
TIME_IN_FORCE_OF: Final = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC, "fok": TimeInForce.FOK}

STANDINGS: Final = {
    "new": Standing.OPEN,
    "partially_filled": Standing.OPEN,
    "filled": Standing.FILLED,
    "partially_canceled": Standing.CANCELLED,
    "canceled": Standing.CANCELLED,
    "rejected": Standing.REJECTED,
}

BY_SYSTEM: Final = "Order cancelation by system"
EXPIRIES: Final = {
    "Order cancelation due to no matching orders": Reason.NO_LIQUIDITY,
    "Number of maker orders matched with your taker orders exceeding limit": Reason.NO_LIQUIDITY,
    "Market order circuit-breaker": Reason.PRICE_COLLAR,
    "Bankruptcy price of market order": Reason.PRICE_COLLAR,
    "Self trading prevention": Reason.SELF_TRADE,
}
"""Values of ``cancel_reason`` by which an order has expired rather than been cancelled; ``BY_SYSTEM`` is one of them
where the order's terms say why."""

ONE_WAY: Final = "single_side"
FUNDING_BILLS: Final = "30,31"
"""Income and expense."""

CODES: Final[dict[int | str, Code]] = {
    "Invalid submission time": (Verdict.RESYNC, Reason.EXCHANGE_UNAVAILABLE),
    "API key has no permission": (Verdict.HALT, Reason.KEYS_REFUSED),
    "invalid signature": (Verdict.HALT, Reason.KEYS_REFUSED),
    1000: (Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
    1001: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    1002: (Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
    1003: (Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
    1004: (Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
    1013: (Verdict.REFUSED, Reason.UNKNOWN_INSTRUMENT),
    1014: (Verdict.REFUSED, Reason.UNKNOWN_INSTRUMENT),
    1017: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    1032: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    1038: (Verdict.REFUSED, Reason.BAD_PRICE),
    1039: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    1040: (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    1041: (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    1042: (Verdict.REFUSED, Reason.POSITION_LIMIT),
    1043: (Verdict.REFUSED, Reason.POSITION_LIMIT),
    1044: (Verdict.REFUSED, Reason.POSITION_LIMIT),
    1046: (Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
    1047: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    1048: (Verdict.REFUSED, Reason.REDUCE_ONLY),
    1050: (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
    1051: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    1055: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    1056: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    1059: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    1061: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    1062: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    1063: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    1064: (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
    1069: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    1071: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    1072: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    1075: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    1084: (Verdict.REFUSED, Reason.ORDER_RATE),
    1090: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    1091: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    1108: (Verdict.UNKNOWN, Reason.EXCHANGE_UNAVAILABLE),
    1234: (Verdict.REFUSED, Reason.OPEN_ORDER_LIMIT),
    1235: (Verdict.REFUSED, Reason.OPEN_ORDER_LIMIT),
    1461: (Verdict.REFUSED, Reason.POSITION_LIMIT),
}
"""Those that say more than the class of ccxt's exception, or have none. 1062: it is being cancelled already. 1003 is
an invalid signature, or a failure inside the exchange."""

TRADE, READ, PUBLIC = "orders and cancels", "queries", "public requests"
LIMITS: Final = (
    Limit(TRADE, 72, 3.0, "", has_reserve=True),
    Limit(READ, 72, 3.0, ""),
    Limit(PUBLIC, 240, 3.0, ""),
)
"""By user, and public ones by address. The headers tell what is left only of the kind of the request itself."""

RECEIVE_WINDOW_S: Final = 300.0
"""How long a request's time is valid ("Authentication": within 5 minutes)."""
