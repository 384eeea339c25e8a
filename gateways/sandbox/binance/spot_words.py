"""Binance spot: its limits, filters, and the refusals that it says otherwise than USD-M.

Sources: Binance, Spot API, "Errors" and "Filters"; the limits are those that the page "WebSocket API" shows.
"""

from __future__ import annotations

from decimal import Decimal
from types import MappingProxyType
from typing import Final

from gateways.sandbox.binance.errors import Error, Words
from gateways.sandbox.binance.limits import Limit

WEIGHT: Final = Limit("REQUEST_WEIGHT", "MINUTE", 1, 6000, "X-MBX-USED-WEIGHT-1M")
ORDERS: Final = (
    Limit("ORDERS", "DAY", 1, 160_000, "X-MBX-ORDER-COUNT-1D"),
    Limit("ORDERS", "SECOND", 10, 50, "X-MBX-ORDER-COUNT-10S"),
)

MULTIPLIER_UP: Final = Decimal(5)
MULTIPLIER_DOWN: Final = Decimal("0.2")
"""PERCENT_PRICE_BY_SIDE, of both sides: how far a price may be from the average of trades."""

MAX_NOTIONAL: Final = Decimal(9_000_000)
MAX_ORDERS: Final = 200
MAX_STOPS: Final = 5


def _filter(name: str) -> tuple[int, int, str]:
    return (400, -1013, f"Filter failure: {name}")


def _refused(text: str, code: int = -2010) -> tuple[int, int, str]:
    """What the matching engine says."""
    return (400, code, text)


WORDS: Final[Words] = MappingProxyType(
    {
        Error.TOO_MANY_REQUESTS: (
            429,
            -1003,
            "Too much request weight used; current limit is {} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
        ),
        Error.BANNED: (
            418,
            -1003,
            "Way too much request weight used; IP banned until {}. "
            "Please use WebSocket Streams for live updates to avoid bans.",
        ),
        Error.BAD_PRECISION: (400, -1111, "Parameter has too much precision."),
        Error.NO_MARGIN: _refused("Account has insufficient balance for requested action."),
        Error.WOULD_TAKE: _refused("Order would immediately match and take."),
        Error.WOULD_TRIGGER: _refused("Order would trigger immediately."),
        Error.DUPLICATE_CLIENT_ID: _refused("Duplicate order sent."),
        Error.NOTHING_TO_AMEND: _refused("The requested action would change no state; rejecting", -2038),
        Error.BAD_CLIENT_ID: (
            400,
            -1100,
            "Illegal characters found in parameter 'newClientOrderId'; legal range is '^[a-zA-Z0-9-_]{{1,36}}$'.",
        ),
        Error.PRICE_NOT_POSITIVE: _filter("PRICE_FILTER"),
        Error.PRICE_ABOVE_MAX: _filter("PRICE_FILTER"),
        Error.PRICE_BELOW_MIN: _filter("PRICE_FILTER"),
        Error.OFF_TICK: _filter("PRICE_FILTER"),
        Error.QTY_NOT_POSITIVE: _filter("LOT_SIZE"),
        Error.QTY_BELOW_MIN: _filter("LOT_SIZE"),
        Error.QTY_ABOVE_MAX: _filter("LOT_SIZE"),
        Error.OFF_STEP: _filter("LOT_SIZE"),
        Error.ABOVE_CAP: _filter("PERCENT_PRICE_BY_SIDE"),
        Error.BELOW_FLOOR: _filter("PERCENT_PRICE_BY_SIDE"),
        Error.BELOW_NOTIONAL: _filter("NOTIONAL"),
        Error.TOO_MANY_OPEN: _filter("MAX_NUM_ORDERS"),
        Error.TOO_MANY_STOPS: _filter("MAX_NUM_ALGO_ORDERS"),
        Error.TOO_MANY_AMENDS: _filter("MAX_NUM_ORDER_AMENDS"),
    }
)
