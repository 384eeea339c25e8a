"""What a path of the sandbox is: its weight, who may ask, what it counts as, and what does it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from gateways.sandbox.binance.front import Call

Handler = Callable[[Any, "Call"], Any]
Weight = Callable[["Call"], int]


class Security(Enum):
    """Who may ask ("General Info", Endpoint Security Type)."""

    NONE = auto()
    KEY = auto()
    """With a key, unsigned: USER_STREAM."""
    SIGNED = auto()
    """TRADE and USER_DATA."""


class Route(NamedTuple):
    """One method of one path.

    Attributes
    ----------
    weight : int or callable
        Of the request's address.
    orders : pair of int
        What it counts as among the account's orders of a minute, and of ten seconds.
    """

    handler: Handler
    weight: int | Weight = 1
    security: Security = Security.SIGNED
    orders: tuple[int, int] = (0, 0)


def without_symbol(weight: int, otherwise: int) -> Weight:
    """``weight`` for a request of one symbol, another for all symbols."""
    return lambda call: weight if "symbol" in call.parameters else otherwise


def public_route(handler: Handler, weight: int | Weight = 1) -> Route:
    """One that anybody may ask."""
    return Route(handler, weight, Security.NONE)
