"""Requests through ccxt's unified methods: each in its turn, and what its end means."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from math import ceil
from typing import Any, Final

import ccxt

from gateways.orders.clock import Clock
from gateways.orders.known import Order
from gateways.orders.limiter import Limit, Limiter, Priority, RateError
from gateways.orders.outcomes import REQUEST_ERRORS
from gateways.venues import Venue

REQUESTS: Final = "requests"
UNITS: Final = 100
"""Of a limit, to a request of cost 1: ccxt states hundredths."""
LEAST_WINDOW_S: Final = 2.0
REQUESTS_OF_WINDOW: Final = 10
"""Requests of cost 1 for which a window is long enough, whatever ccxt says that each takes."""

_priority: ContextVar[Priority] = ContextVar("priority", default=Priority.KEEP)
_order: ContextVar[Order | None] = ContextVar("order", default=None)
_turns: ContextVar[list[int]] = ContextVar("turns")
"""What the requests have taken so far that ccxt makes of one call."""


class NoAnswerError(ValueError):
    """An error of which ccxt does not say what it means: its outcome is unknown."""


class GenericRequests:
    """Sends requests by a ccxt whose limiter it takes the place of.

    Parameters
    ----------
    exchange
        As ``gateways.orders.generic.orders_of(row).new_exchange`` makes it.
    clock
        For the rate limits.
    """

    def __init__(self, exchange: Any, clock: Clock) -> None:
        self.exchange = exchange
        self.patience_s: float | None = 10.0
        self.limiter = Limiter(limits_of(exchange.rateLimit), clock)
        exchange.throttle = self.throttle
        exchange.on_rest_response = self._observe

    async def ask(self, priority: Priority, method: str, *arguments: Any, order: Order | None = None) -> Any:
        """Send a request in its turn; raises ``NoAnswerError`` where ccxt does not say what an error means."""
        of_priority, of_order, of_turns = _priority.set(priority), _order.set(order), _turns.set([])
        try:
            return await getattr(self.exchange, method)(*arguments)
        except ccxt.ExchangeError as error:
            if type(error) is ccxt.ExchangeError:
                raise NoAnswerError(str(error)) from error
            raise
        except (*REQUEST_ERRORS, RateError):
            raise
        except Exception as error:
            raise NoAnswerError(repr(error)) from error  # an error of ccxt's own
        finally:
            _priority.reset(of_priority)
            _order.reset(of_order)
            _turns.reset(of_turns)

    async def throttle(self, cost: float | None = None) -> None:
        """ccxt's hook before each request: the turn, by what ccxt says that the request costs."""
        order, turns = _order.get(), _turns.get([])
        units = max(ceil((1 if cost is None else cost) * UNITS), 1)
        turns.append(units)
        try:
            await self.limiter.turn({REQUESTS: units}, _priority.get(), self.patience_s if order is not None else None)
        except RateError as error:
            if len(turns) == 1:
                raise
            raise NoAnswerError(str(error)) from error  # a request of several: it may have been the order before it
        if order is not None:
            order.sent_s = self.limiter.now_s()

    def _observe(
        self,
        status: int,
        _reason: str,
        _url: str,
        _method: str,
        headers: Mapping[str, str],
        body: str,
        _sent_headers: Any,
        _sent_body: Any,
    ) -> str:
        """ccxt's hook for each answer."""
        self.limiter.observe(status, headers)
        return body.strip()


def again(exchange: Any, row: Venue) -> Any:
    """Another exchange of ccxt's with the same keys, over the same session where that was given."""
    session = None if exchange.own_session else exchange.session
    settings = settings_of(row, exchange.apiKey, exchange.secret, exchange.password, session)
    made = prepared(type(exchange)(settings))
    if "timeDifference" in exchange.options:
        made.options["timeDifference"] = exchange.options["timeDifference"]
    return made


def limits_of(rate_limit_ms: float) -> tuple[Limit, ...]:
    """The one limit that ccxt states: so long to a request of cost 1."""
    seconds = max(LEAST_WINDOW_S, REQUESTS_OF_WINDOW * rate_limit_ms / 1000)
    return (Limit(REQUESTS, int(seconds * 1000 / rate_limit_ms * UNITS), seconds, "", has_reserve=True),)


def settings_of(row: Venue, key: str, secret: str, passphrase: str, session: Any) -> dict[str, Any]:
    """What an exchange of ccxt's is made with."""
    settings = {
        "apiKey": key,
        "secret": secret,
        "password": passphrase,
        "enableRateLimit": True,
        "options": {**row.options},
    }
    return settings if session is None else settings | {"session": session}


def prepared(exchange: Any) -> Any:
    """The same exchange, which keeps numbers as text."""
    exchange.number = str
    exchange.has["fetchCurrencies"] = False  # it takes keys at many, and nothing here needs it
    return exchange
