"""Binance's markets: what orders through an unmodified ccxt have in common, exact decimal text out and in.

Requests go by ccxt's own methods of each path, which sign, send and turn refusals into exceptions. Its unified methods
are not used: they go through binary floating point, and round prices and quantities by themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol

from gateways.credentials import Credentials
from gateways.orders.clock import Clock
from gateways.orders.known import Order
from gateways.orders.limiter import Cost, Limit, Limiter, Priority
from gateways.orders.venue import Page
from gateways.orders.views import FillView, OrderView, Told
from oms.instruments import Instrument

PAGE: Final = 1000
"""Most trades of one answer."""

WEIGHT: Final = "weight"
RECEIVE_WINDOW_S: Final = 10.0
"""Sent as recvWindow: a request that is older is refused."""


class Ask(NamedTuple):
    """One request of a market: ccxt's method, and what it takes of the limits."""

    method: str
    cost: Cost


class Requests(NamedTuple):
    """The requests that every market has, by the titles of its pages."""

    exchange_information: Ask
    new_order: Ask
    cancel_order: Ask
    cancel_all: Ask
    query_order: Ask
    open_orders: Ask
    trades: Ask
    trades_of_order: Ask


class Views(Protocol):
    """A market's answers and messages in our integers."""

    def order(self, row: Mapping[str, Any]) -> OrderView:
        """An order of an answer."""

    def fill(self, row: Mapping[str, Any]) -> FillView:
        """A fill of the trade list."""

    def told(self, message: Any) -> list[Told]:
        """What a message of the private stream says."""


def new_ccxt(name: str, credentials: Credentials, session: Any, **options: Any) -> Any:
    """An unmodified ccxt.pro exchange: its own rate limiter off, nothing sent twice."""
    import ccxt.pro

    settings: dict[str, Any] = {
        "apiKey": credentials.key,
        "secret": credentials.secret,
        "enableRateLimit": False,
        "options": {
            "fetchCurrencies": False,
            "adjustForTimeDifference": False,
            "recvWindow": int(RECEIVE_WINDOW_S * 1000),
            **options,
        },
    }
    if session is not None:
        settings["session"] = session
    return getattr(ccxt.pro, name)(settings)


class BinanceOrders:
    """What is the same at each market; see ``gateways.orders.venue.Venue``.

    Parameters
    ----------
    name
        Of the venue.
    exchange
        As ``new_ccxt`` makes it; its session is its maker's to close.
    instruments
        The session's of this venue.
    views, requests, limits
        How the market writes, what it is asked, and how often.
    clock
        For the rate limits.

    Attributes
    ----------
    patience_s : float or None
        How long a new order or an amend waits for its turn before it is refused.
    """

    tells_fills = True
    tells_why = True

    def __init__(
        self,
        name: str,
        exchange: Any,
        instruments: Mapping[str, Instrument],
        views: Views,
        requests: Requests,
        limits: tuple[Limit, ...],
        clock: Clock,
    ) -> None:
        self.name = name
        self.exchange = exchange
        self.limiter = Limiter(limits, clock)
        self.patience_s: float | None = 10.0
        self._by_symbol = instruments
        self._views = views
        self._requests = requests
        exchange.on_rest_response = self._observe

    @property
    def receive_window_s(self) -> float:
        """``recvWindow``."""
        return RECEIVE_WINDOW_S

    async def open(self) -> None:
        """Learn the clock, and compare tick and lot of each instrument with exchangeInfo's filters."""
        await self.set_clock()
        told = await self.ask(self._requests.exchange_information, {}, Priority.RECONCILE)
        symbols = {each["symbol"]: each for each in told["symbols"]}
        for symbol, instrument in self._by_symbol.items():
            if symbol not in symbols:
                raise ValueError(f"{symbol} is not traded at {self.name}: take it out of the settings")
            filters = {each["filterType"]: each for each in symbols[symbol]["filters"]}
            stated = {"tick": filters["PRICE_FILTER"]["tickSize"], "lot": filters["LOT_SIZE"]["stepSize"]}
            for what, text in stated.items():
                ours = getattr(instrument, what)
                if Decimal(ours) % Decimal(text):
                    raise ValueError(f"{symbol}'s {what} {ours} is no multiple of the exchange's {text}: redefine it")
            self.check_contract(instrument, symbols[symbol])

    def check_contract(self, instrument: Instrument, told: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` where a market tells more of a contract, and it is not the instrument's."""

    async def close(self) -> None:
        """End the streams and, where ccxt made it, the session."""
        self.limiter.close()
        await self.exchange.close()

    async def set_clock(self) -> None:
        """Learn the difference to the exchange's clock, by which requests are then dated."""
        await self.limiter.turn({WEIGHT: 1}, Priority.KEEP)
        await self.exchange.load_time_difference()
        self.exchange.options["adjustForTimeDifference"] = True

    async def cancel(self, order: Order) -> OrderView | None:
        """ "Cancel Order"."""
        return self.answered(await self.ask(self._requests.cancel_order, name_of(order), Priority.CANCEL))

    async def cancel_all(self, instrument: Instrument) -> None:
        """ "Cancel All Open Orders"."""
        await self.ask(self._requests.cancel_all, {"symbol": instrument.symbol}, Priority.CANCEL)

    async def query(self, order: Order) -> OrderView:
        """ "Query Order"."""
        return self._views.order(await self.ask(self._requests.query_order, name_of(order), Priority.ASK))

    async def query_by_venue_id(self, instrument: Instrument, venue_order_id: int) -> OrderView:
        """ "Query Order"."""
        request = {"symbol": instrument.symbol, "orderId": str(venue_order_id)}
        return self._views.order(await self.ask(self._requests.query_order, request, Priority.ASK))

    async def open_orders(self, instrument: Instrument) -> list[OrderView]:
        """ "Current Open Orders"."""
        rows = await self.ask(self._requests.open_orders, {"symbol": instrument.symbol}, Priority.RECONCILE)
        return [self._views.order(row) for row in rows]

    async def fills_of(self, order: Order) -> list[FillView]:
        """ "Account Trade List" of one order, page by page."""
        fills: list[FillView] = []
        next_id = 0
        while True:
            request = {"symbol": order.instrument.symbol, "orderId": str(order.venue_order_id), "limit": PAGE}
            if next_id:
                request["fromId"] = next_id
            rows = await self.ask(self._requests.trades_of_order, request, Priority.ASK)
            fills += [self._views.fill(row) for row in rows]
            if len(rows) < PAGE:
                return fills
            next_id = fills[-1].trade_id + 1

    async def fills_from(self, instrument: Instrument, trade_id: int | None) -> Page:
        """ "Account Trade List"."""
        request: dict[str, Any] = {"symbol": instrument.symbol, "limit": PAGE}
        if trade_id is not None:
            request["fromId"] = trade_id
        rows = await self.ask(self._requests.trades, request, Priority.RECONCILE)
        fills = sorted((self._views.fill(row) for row in rows), key=lambda fill: fill.trade_id)
        return Page(fills, len(rows) < PAGE or trade_id is None)

    def told(self, message: Any) -> list[Told]:
        """See ``Venue``."""
        return self._views.told(message)

    async def ask(self, asked: Ask, request: Mapping[str, Any], priority: Priority, *orders: Order) -> Any:
        """Wait for the turn, note when orders were asked for, and send."""
        await self.turn(asked.cost, priority, *orders)
        sending: Awaitable[Any] = getattr(self.exchange, asked.method)(dict(request))
        return await sending

    async def turn(self, cost: Cost, priority: Priority, *orders: Order) -> None:
        """Wait for the turn, and note when orders were asked for."""
        await self.limiter.turn(cost, priority, self.patience_s if priority is Priority.ORDER else None)
        for order in orders:
            order.sent_s = self.limiter.now_s()

    def answered(self, answer: Any) -> OrderView | None:
        """The order of an answer; None where it names none."""
        return self._views.order(answer) if isinstance(answer, dict) and answer.get("orderId") else None

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


def name_of(order: Order) -> dict[str, str]:
    """The order of a request: by the exchange's id, or by the client's where that is all that is known."""
    named = {"orderId": str(order.venue_order_id)} if order.venue_order_id else {"origClientOrderId": order.client_id}
    return {"symbol": order.instrument.symbol, **named}
