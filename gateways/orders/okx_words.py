"""OKX: the words of its orders, what its error codes mean, and its rate limits.

Sources: OKX v5, "Error Code", "Place order", "WS / Order channel", and the rate limit of each section.
"""

from __future__ import annotations

from typing import Final

from gateways.orders.limiter import Limit
from gateways.orders.outcomes import Code, Verdict
from gateways.orders.views import Standing
from oms.records import OrderFlag, OrderType, Reason, TimeInForce

BASE: Final = "base_ccy"
"""``tgtCcy`` of an order whose quantity is one of the base currency, which is all that this venue asks for."""

SIDES: Final = {1: "buy", -1: "sell"}
SIDE_OF: Final = {name: side for side, name in SIDES.items()}

MARKET, POST_ONLY = "market", "post_only"
LIMIT_TYPES: Final = {
    TimeInForce.GTC: "limit",
    TimeInForce.IOC: "ioc",
    TimeInForce.FOK: "fok",
    TimeInForce.GTD: "limit",
    TimeInForce.DAY: "limit",
}
"""``ordType`` of a limit order. GTD and DAY end by a cancel of the core's."""

TYPE_OF: Final[dict[str, tuple[OrderType, TimeInForce, OrderFlag]]] = {
    "limit": (OrderType.LIMIT, TimeInForce.GTC, OrderFlag(0)),
    POST_ONLY: (OrderType.LIMIT, TimeInForce.GTC, OrderFlag.POST_ONLY),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC, OrderFlag(0)),
    "fok": (OrderType.LIMIT, TimeInForce.FOK, OrderFlag(0)),
}
AT_MARKET: Final = (OrderType.MARKET, TimeInForce.IOC, OrderFlag(0))
"""What any other ``ordType`` is."""

STANDINGS: Final = {
    "live": Standing.OPEN,
    "partially_filled": Standing.OPEN,
    "filled": Standing.FILLED,
    "canceled": Standing.CANCELLED,
    "mmp_canceled": Standing.CANCELLED,
}

EXPIRIES: Final = {
    "13": Reason.NO_LIQUIDITY,
    "14": Reason.NO_LIQUIDITY,
    "15": Reason.PRICE_COLLAR,
    "17": Reason.REDUCE_ONLY,
    "21": Reason.REDUCE_ONLY,
    "22": Reason.REDUCE_ONLY,
    "23": Reason.REDUCE_ONLY,
    "27": Reason.PRICE_COLLAR,
    "31": Reason.POST_ONLY_WOULD_CROSS,
    "32": Reason.SELF_TRADE,
    "33": Reason.NO_LIQUIDITY,
}
"""Values of ``cancelSource`` by which an order has expired rather than been cancelled."""

CODES: Final[dict[int | str, Code]] = {
    50001: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    50007: (Verdict.HALT, Reason.KEYS_REFUSED),
    50011: (Verdict.NOT_ACCEPTED, Reason.EXCHANGE_UNAVAILABLE),
    50061: (Verdict.NOT_ACCEPTED, Reason.ORDER_RATE),
    50102: (Verdict.RESYNC, Reason.EXCHANGE_UNAVAILABLE),
    50110: (Verdict.HALT, Reason.KEYS_REFUSED),
    50120: (Verdict.HALT, Reason.KEYS_REFUSED),
    51001: (Verdict.REFUSED, Reason.UNKNOWN_INSTRUMENT),
    51004: (Verdict.REFUSED, Reason.POSITION_LIMIT),
    51006: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    51007: (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    51008: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    51010: (Verdict.REFUSED, Reason.EXCHANGE_REFUSED),
    51016: (Verdict.DUPLICATE, Reason.DUPLICATE_ORDER_ID),
    51020: (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    51025: (Verdict.REFUSED, Reason.OPEN_ORDER_LIMIT),
    51101: (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    51102: (Verdict.REFUSED, Reason.OPEN_ORDER_LIMIT),
    51105: (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    51112: (Verdict.REFUSED, Reason.REDUCE_ONLY),
    51119: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    51121: (Verdict.REFUSED, Reason.QTY_BELOW_MIN),
    51131: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    51137: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    51138: (Verdict.REFUSED, Reason.PRICE_COLLAR),
    51169: (Verdict.REFUSED, Reason.REDUCE_ONLY),
    51201: (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    51202: (Verdict.REFUSED, Reason.QTY_ABOVE_MAX),
    51277: (Verdict.REFUSED, Reason.WOULD_TRIGGER),
    51278: (Verdict.REFUSED, Reason.WOULD_TRIGGER),
    51279: (Verdict.REFUSED, Reason.WOULD_TRIGGER),
    51280: (Verdict.REFUSED, Reason.WOULD_TRIGGER),
    51400: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    51401: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    51402: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    51410: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    51502: (Verdict.REFUSED, Reason.INSUFFICIENT_FUNDS),
    51503: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    51509: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    51510: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
    51511: (Verdict.REFUSED, Reason.POST_ONLY_WOULD_CROSS),
    51603: (Verdict.GONE, Reason.UNKNOWN_AT_EXCHANGE),
}
"""Those that say more than the class of ccxt's exception. 51410: it is being cancelled already."""

TIME, INSTRUMENTS, CONFIGURATION, BALANCE = "time", "instruments", "configuration", "balance"
POSITIONS, BILLS, SWITCH = "positions", "bills", "dead man's switch"
PENDING, HISTORY = "pending orders", "orders of before"
QUERY_STOP, PENDING_STOPS = "queries of stops", "pending stops"
FILLS, OLD_FILLS, ACCOUNT_ORDERS = "fills", "old fills", "orders of the account"

ACCOUNT_LIMITS: Final = (
    Limit(TIME, 10, 2.0, ""),
    Limit(INSTRUMENTS, 20, 2.0, ""),
    Limit(CONFIGURATION, 5, 2.0, ""),
    Limit(BALANCE, 10, 2.0, ""),
    Limit(POSITIONS, 10, 2.0, ""),
    Limit(BILLS, 5, 1.0, ""),
    Limit(PENDING, 60, 2.0, ""),
    Limit(HISTORY, 40, 2.0, ""),
    Limit(FILLS, 60, 2.0, ""),
    Limit(OLD_FILLS, 10, 2.0, ""),
    Limit(SWITCH, 1, 1.0, ""),
    Limit(QUERY_STOP, 20, 2.0, ""),
    Limit(PENDING_STOPS, 20, 2.0, ""),
    Limit(ACCOUNT_ORDERS, 1000, 2.0, ""),
)
"""By user; the exchange tells in no header what is used."""

PLACE, AMEND, CANCEL, QUERY = "new orders", "amends", "cancels", "queries"
PLACE_BATCH, CANCEL_BATCH = "new orders in batches", "cancels in batches"
PLACE_STOP, CANCEL_STOP = "new stops", "cancels of stops"
INSTRUMENT_LIMITS: Final = {
    PLACE: 60,
    AMEND: 60,
    CANCEL: 60,
    QUERY: 60,
    PLACE_BATCH: 300,
    CANCEL_BATCH: 300,
    PLACE_STOP: 20,
    CANCEL_STOP: 20,
}
"""By user and instrument, in two seconds; in batches each order counts."""

RECEIVE_WINDOW_S: Final = 30.0
"""A request whose time is further from the exchange's is refused ("REST Authentication")."""


def limit_name(what: str, symbol: str) -> str:
    """Of a limit of one instrument."""
    return f"{what} of {symbol}"


def limits_of(symbols: list[str]) -> tuple[Limit, ...]:
    """All limits of an account that trades these."""
    return ACCOUNT_LIMITS + tuple(
        Limit(limit_name(what, symbol), most, 2.0, "") for symbol in symbols for what, most in INSTRUMENT_LIMITS.items()
    )
