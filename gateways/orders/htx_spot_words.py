"""HTX spot: the words of its orders, what error codes mean, and rate limits.

Sources: "Place a New Order", "Subscribe Order Updates", "Error Code", and the rate limit of each section.
"""

from __future__ import annotations

from typing import Final

from gateways.orders.htx_words import PUBLIC
from gateways.orders.limiter import Limit
from gateways.orders.outcomes import Code, Verdict
from gateways.orders.views import Standing
from oms.records import OrderFlag, OrderType, Reason, TimeInForce

MARKET, POST_ONLY = "market", "limit-maker"
LIMIT_KINDS: Final = {
    TimeInForce.GTC: "limit",
    TimeInForce.IOC: "ioc",
    TimeInForce.FOK: "limit-fok",
    TimeInForce.GTD: "limit",
    TimeInForce.DAY: "limit",
}
"""GTD and DAY end by a cancel of the core's."""
KIND_OF: Final[dict[str, tuple[OrderType, TimeInForce, OrderFlag]]] = {
    "limit": (OrderType.LIMIT, TimeInForce.GTC, OrderFlag(0)),
    POST_ONLY: (OrderType.LIMIT, TimeInForce.GTC, OrderFlag.POST_ONLY),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC, OrderFlag(0)),
    "limit-fok": (OrderType.LIMIT, TimeInForce.FOK, OrderFlag(0)),
}
AT_MARKET: Final = (OrderType.MARKET, TimeInForce.IOC, OrderFlag(0))
"""What any other kind is."""

STANDINGS: Final = {
    "created": Standing.OPEN,
    "pre-submitted": Standing.OPEN,
    "submitted": Standing.OPEN,
    "partial-filled": Standing.OPEN,
    "canceling": Standing.OPEN,
    "filled": Standing.FILLED,
    "partial-canceled": Standing.CANCELLED,
    "canceled": Standing.CANCELLED,
    "rejected": Standing.REJECTED,
}

CODES: Final[dict[int | str, Code]] = {
    "Invalid submission time": (Verdict.RESYNC, Reason.EXCHANGE_UNAVAILABLE),
    "API key has no permission": (Verdict.HALT, Reason.KEYS_REFUSED),
    "invalid-client-order-id": (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
    "order-orderstate-error": (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    "base-record-invalid": (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    "base-not-found": (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    "order-accountbalance-error": (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    "order-limitorder-amount-min-error": (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    "order-marketorder-amount-min-error": (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    "order-orderamount-precision-error": (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    "invalid-amount": (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    "order-limitorder-amount-max-error": (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    "order-amount-over-limit": (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    "order-marketorder-amount-buy-max-error": (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    "order-marketorder-amount-sell-max-error": (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    "order-value-min-error": (Verdict.REFUSED, Reason.NOTIONAL_BELOW_MIN),
    "order-orderprice-precision-error": (Verdict.REFUSED, Reason.BAD_PRICE),
    "order-limitorder-price-": (Verdict.REFUSED, Reason.PRICE_COLLAR),
    "order-price-greater-than-limit": (Verdict.REFUSED, Reason.PRICE_COLLAR),
    "order-price-less-than-limit": (Verdict.REFUSED, Reason.PRICE_COLLAR),
    "order-invalid-price": (Verdict.REFUSED, Reason.PRICE_COLLAR),
    "order-holding-limit-failed": (Verdict.REFUSED, Reason.POSITION_LIMIT),
    "order-disabled": (Verdict.REFUSED, Reason.EXCHANGE_REFUSED),
}
"""By word of the answer: codes are words here. What is not listed goes by the class of ccxt's exception."""

PLACE, CANCEL, CANCEL_ALL, SWITCH = "new orders", "cancels", "cancels of all", "dead man's switch"
OPEN, ORDER, CLIENT_ORDER = "open orders", "orders", "orders by the client's id"
MATCHES, MATCHES_OF, ACCOUNT = "fills", "fills of an order", "account"
LIMITS: Final = (
    Limit(PLACE, 100, 2.0, ""),
    Limit(CANCEL, 100, 2.0, ""),
    Limit(CANCEL_ALL, 50, 2.0, ""),
    Limit(SWITCH, 20, 2.0, ""),
    Limit(OPEN, 50, 2.0, ""),
    Limit(ORDER, 50, 2.0, ""),
    Limit(CLIENT_ORDER, 50, 2.0, ""),
    Limit(MATCHES, 20, 2.0, ""),
    Limit(MATCHES_OF, 50, 2.0, ""),
    Limit(ACCOUNT, 100, 2.0, ""),
    Limit(PUBLIC, 100, 2.0, ""),
)
"""By user and endpoint."""
