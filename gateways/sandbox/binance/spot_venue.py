"""Binance spot over one recorded instrument.

Streams are those of ``stream.binance.com``; an account's events come on the WebSocket API, to whoever subscribes there
with a signature ("Subscribe to User Data Stream through signature subscription"), each in an envelope that names the
subscription ("User Data Streams").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

import msgspec

from gateways.credentials import Credentials
from gateways.sandbox.accounts import Account
from gateways.sandbox.binance.account import KEY_PERMISSIONS
from gateways.sandbox.binance.errors import ApiError, Error
from gateways.sandbox.binance.front import Front
from gateways.sandbox.binance.limits import RateLimits
from gateways.sandbox.binance.orders import REFUSALS
from gateways.sandbox.binance.parameters import Parameters
from gateways.sandbox.binance.security import Sent, check_signature, check_time, owner_of
from gateways.sandbox.binance.spot_routes import ROUTES
from gateways.sandbox.binance.spot_views import SpotViews
from gateways.sandbox.binance.spot_words import ORDERS, WEIGHT, WORDS
from gateways.sandbox.binance.streams import Channel, Connection, Streams
from gateways.sandbox.binance.views import Json
from gateways.sandbox.conditionals import Conditional, Waiting
from gateways.sandbox.exchange import Engine, Event, What
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.market import Batch, RecordedMarket
from gateways.sandbox.spot_ledger import SpotLedger

HOSTS: Final = ("api.binance.com", "stream.binance.com", "ws-api.binance.com")
DECIMALS: Final = 8

PATH: Final = re.compile(r"/(?:(?P<api>ws-api)/v3|(?P<mode>ws|stream)(?:/(?P<names>.*))?)")
CHANNELS: Final = (
    (re.compile(r"{symbol}@depth(@(100|1000)ms)?"), Channel("public", "depth")),
    (re.compile(r"{symbol}@bookTicker"), Channel("public", "bookTicker")),
    (re.compile(r"{symbol}@trade"), Channel("public", "trade")),
)
"""Of a depth stream at any speed the messages are the recorded ones."""

TOLD: Final = {Waiting.NEW, Waiting.CANCELED, Waiting.REJECTED}
"""States of an order that waits of which its account hears; what it becomes then tells of itself."""


class _Asked(msgspec.Struct):
    """A request on the WebSocket API."""

    method: str
    id: int | str | None = None
    params: dict[str, Any] = {}


class SpotVenue(Front[SpotLedger]):
    """Spot.

    Parameters
    ----------
    market
        The recording, open: its book is there.
    engine
        Of the same instrument.
    opened
        What opening the market took.
    faults
        What goes wrong.

    Attributes
    ----------
    renamed_from : str
        What the client called the order that is being amended.
    """

    hosts: tuple[str, ...] = HOSTS
    routes = ROUTES
    refusals = REFUSALS
    words = WORDS

    def __init__(self, market: RecordedMarket, engine: Engine, opened: Batch, faults: FaultPlan | None = None) -> None:
        ledger = SpotLedger(market.instrument)
        permissions = {**KEY_PERMISSIONS, "enableFutures": False, "enableSpotAndMarginTrading": True}
        super().__init__(market, ledger, engine, faults, permissions, RateLimits(WEIGHT, ORDERS))
        ledger.waiting = self.conditionals.open_of
        self.views = SpotViews(self.instrument, ledger)
        self.renamed_from = ""
        self.conditionals.listeners.append(self._on_conditional)
        self.exchange.move(opened.ticks)

    @property
    def average_px(self) -> Fraction:
        """Volume-weighted average of the trades that the sandbox still has; before there is one, the mark price."""
        trades = self.market.trades
        qty = sum(trade.qty for trade in trades)
        return Fraction(sum(trade.px * trade.qty for trade in trades), qty) if qty else self.exchange.mark_px

    def open_account(self, credentials: Credentials, wallet: int) -> Account:
        """A new account with so much of the quote currency, and as much of the base currency as that is worth."""
        account = super().open_account(credentials, wallet)
        ledger = self.exchange.ledger
        px = int(self.market.book()["px"][0])
        account.base_wallet = ledger.base(int(wallet / (px * ledger.cash_per_tick_lot)))
        return account

    def pay_funding(self, rate: int) -> None:
        """There is no funding."""

    def parameters(self, given: Mapping[str, str]) -> Parameters:
        """Parameters to be read strictly."""
        return Parameters(given, self.instrument, DECIMALS, DECIMALS)

    def new_streams(self) -> Streams:
        """Market data at ``/ws`` and ``/stream``, accounts at ``/ws-api/v3``."""
        return Streams(self, PATH, CHANNELS, self._answer_request)

    def expire_subscription(self, name: str) -> None:
        """Have an account's subscriptions end: they are told ``eventStreamTerminated``."""
        for connection in self.streams.connections:
            if name in connection.names:
                connection.tell(msgspec.json.encode(_wrapped({"e": "eventStreamTerminated", "E": self.clock.now_ms})))
                connection.unsubscribe([name])

    def subscription_of(self, account: Account) -> str:
        """What a connection carries that hears of an account."""
        return f"account {account.number}"

    def _answer_request(self, connection: Connection, text: str) -> Mapping[str, Any]:
        """The WebSocket API ("Request format", "Response format")."""
        try:
            asked = msgspec.json.decode(text, type=_Asked)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return _refusal(None, ApiError(Error.BAD_PARAMETER, "request"))
        try:
            method = _METHODS.get(asked.method)
            if method is None:
                raise ApiError(Error.NOT_SUPPORTED)
            return {"id": asked.id, "status": 200, "result": method(self, connection, asked.params)}
        except ApiError as error:
            return _refusal(asked.id, error.in_words(self.words))

    def subscribe(self, connection: Connection, params: dict[str, Any]) -> Json:
        """userDataStream.subscribe.signature: signed over its parameters by name, as a query."""
        given = {name: str(value) for name, value in params.items()}
        key = owner_of(given.get("apiKey"), self._secrets)
        check_time(given, self.clock.now_ms)
        query = "&".join(f"{name}={value}" for name, value in sorted(given.items()) if name != "signature")
        check_signature(Sent(f"{query}&signature={given.get('signature', '')}", ""), self._secrets[key])
        name = self.subscription_of(self._accounts[key])
        if name in connection.names:
            raise ApiError(Error.SUBSCRIBED_ALREADY)
        connection.add(name)
        return {"subscriptionId": 0}

    def server_time(self, _connection: Connection, _params: dict[str, Any]) -> Json:
        """time."""
        return {"serverTime": self.clock.now_ms}

    def ping(self, _connection: Connection, _params: dict[str, Any]) -> Json:
        """ping."""
        return {}

    def _on_event(self, event: Event) -> None:
        was_called = self.renamed_from if event.what is What.AMENDED else ""
        self._tell(event.order.account, self.views.order_update(event, was_called))

    def _on_conditional(self, conditional: Conditional) -> None:
        if conditional.state in TOLD:
            self._tell(conditional.account, self.views.waiting_update(conditional))

    def _tell(self, account: Account, report: Json) -> None:
        name = self.subscription_of(account)
        position = self.views.account_position(account, report["E"])
        for event in (report, position):
            self.streams.publish_private(name, msgspec.json.encode(_wrapped(event)))


def _wrapped(event: Json) -> Json:
    return {"subscriptionId": 0, "event": event}


def _refusal(asked_id: int | str | None, error: ApiError) -> Json:
    return {"id": asked_id, "status": error.status, "error": error.body}


_METHODS: Final[Mapping[str, Callable[[SpotVenue, Connection, dict[str, Any]], Json]]] = MappingProxyType(
    {
        "userDataStream.subscribe.signature": SpotVenue.subscribe,
        "time": SpotVenue.server_time,
        "ping": SpotVenue.ping,
    }
)
