"""HTX spot over one recorded instrument."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from aiohttp import web

from gateways.credentials import Credentials
from gateways.sandbox.accounts import Account
from gateways.sandbox.binance.streams import Connection as TextConnection
from gateways.sandbox.conditionals import Conditional, Waiting
from gateways.sandbox.exchange import Engine, Event, Refusal, What
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.htx import key_queries, spot_conditionals, spot_orders
from gateways.sandbox.htx.connection import Json, PrivateConnection
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.front import Call, Front, Route, second_answer
from gateways.sandbox.htx.limits import Limit
from gateways.sandbox.htx.security import SECOND, owner_of
from gateways.sandbox.htx.spot_views import SpotViews, account_id_of
from gateways.sandbox.market import Batch, RecordedMarket
from gateways.sandbox.spot_ledger import SpotLedger
from oms.records import CASH_SCALE

FIRST_ORDER_ID: Final = 1_474_908_579_893_191
"""Order ids are of this size (recorded)."""
PRIVATE: Final = "/ws/v2"
PING_MS: Final = 20_000
UNANSWERED: Final = 3
CHANNELS: Final = re.compile(r"orders#(?P<orders>.+)|trade\.clearing#(?P<clearing>.+)#[01]|accounts\.update#[012]")
ENDED: Final = (Waiting.CANCELED, Waiting.REJECTED)
"""States of a conditional order that has not become an order, and will not."""
BASE_BALANCE: Final = 10 * CASH_SCALE
"""What each account has of the base currency at first."""


class SpotVenue(Front[SpotLedger]):
    """See ``Front``."""

    private_entry = PRIVATE
    maintenance = Error.SPOT_MAINTENANCE
    words: Mapping[Error, Error] = {
        Error.BAD_KEY: Error.SPOT_BAD_KEY,
        Error.BAD_SIGNATURE: Error.SPOT_BAD_SIGNATURE,
        Error.BAD_TIME: Error.SPOT_BAD_TIME,
        Error.NO_PERMISSION: Error.SPOT_NO_PERMISSION,
        Error.TOO_MANY_REQUESTS: Error.SPOT_TOO_MANY_REQUESTS,
        Error.BAD_JSON: Error.SPOT_BAD_REQUEST,
    }
    failures: Mapping[Fault, Error] = {
        Fault.BUSY: Error.SPOT_BUSY,
        Fault.MAINTENANCE: Error.SPOT_MAINTENANCE,
        Fault.RATE_LIMIT: Error.SPOT_TOO_MANY_REQUESTS,
        Fault.BAN: Error.SPOT_TOO_MANY_REQUESTS,
        Fault.UNKNOWN: Error.SPOT_INTERNAL,
    }
    refusals: Mapping[Refusal, Error] = {
        Refusal.MARGIN: Error.SPOT_NO_BALANCE,
        Refusal.NOT_OPEN: Error.SPOT_NOT_OPEN,
        Refusal.IMPOSSIBLE: Error.SPOT_SUSPENDED,
    }

    def __init__(self, market: RecordedMarket, engine: Engine, opened: Batch, faults: FaultPlan | None = None) -> None:
        super().__init__(market, opened, SpotLedger(market.instrument), engine, faults, FIRST_ORDER_ID)
        self.views = SpotViews(self.exchange)
        self.exchange.ledger.waiting = lambda account: spot_conditionals.stops_of(self, account)
        self.conditionals.listeners.append(self._on_conditional)

    def open_account(self, credentials: Credentials, wallet: int) -> Account:
        """As ``Front.open_account``; there is some of the base currency, too."""
        account = super().open_account(credentials, wallet)
        account.base_wallet = BASE_BALANCE
        return account

    def route_of(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """As ``Front.route_of``."""
        for wanted, pattern, route in ROUTES:
            found = pattern.fullmatch(path) if wanted == method else None
            if found is not None:
                return route, {name.replace("_", "-"): value for name, value in found.groupdict().items()}
        return None

    def new_private(self, request: web.Request, socket: web.WebSocketResponse) -> PrivateConnection:
        """As ``Front.new_private``."""
        return AccountStream(self, request, socket)

    def tell(self, events: list[Event]) -> None:
        """As ``Front.tell``."""
        filled: dict[int, int] = {}
        for event in events:
            filled.setdefault(event.order.order_id, event.order.filled_qty)
            if event.fill is not None:
                filled[event.order.order_id] -= event.fill.qty
        for event in events:
            order, fill = event.order, event.fill
            if fill is not None:
                filled[order.order_id] += fill.qty
            self.publish(order.account, "orders", self.views.order_event(event, filled[order.order_id]))
            if fill is not None:
                self.publish(order.account, "clearing", self.views.clearing_event(fill))
            self._tell_balances(order.account, event.what)

    def _on_conditional(self, conditional: Conditional) -> None:
        if conditional.kind == spot_conditionals.KIND and conditional.state in ENDED:
            self.publish(conditional.account, "orders", self.views.algo_event(conditional))

    def tell_of_funding(self, account: Account) -> None:
        """There is none."""

    def publish(self, account: Account, kind: str, content: Json) -> None:
        """Send an event to the account's connections, under the names of what they have subscribed to."""
        for connection in self.private_connections(account):
            for name in [*connection.names]:
                found = CHANNELS.fullmatch(name)
                if found is not None and found.groupdict().get(kind):
                    said = name.replace("#*", f"#{self.instrument.symbol}") if kind == "orders" else name
                    message = {"action": "push", "ch": said, "data": content}
                    connection.send(name, msgspec.json.encode(message), is_private=True)

    def _tell_balances(self, account: Account, what: What) -> None:
        for connection in self.private_connections(account):
            for name in [*connection.names]:
                if name.startswith("accounts"):
                    for currency, balance in self.exchange.ledger.balances(account).items():
                        row = {
                            "currency": currency.lower(),
                            "accountId": account_id_of(account),
                            "balance": f"{Decimal(balance.free + balance.locked) / CASH_SCALE:f}",
                            "available": f"{Decimal(balance.free) / CASH_SCALE:f}",
                            "changeType": "order-match" if what is What.TRADE else "order.place",
                            "accountType": "trade",
                            "changeTime": self.clock.now_ms,
                        }
                        message = {"action": "push", "ch": name, "data": row}
                        connection.send(name, msgspec.json.encode(message), is_private=True)

    def pay_funding(self, rate: int) -> None:
        """There is none."""


class AccountStream(PrivateConnection):
    """One client's connection to an account's events; its frames are text, as recorded ones are."""

    ping_ms = PING_MS
    unanswered = UNANSWERED

    def __init__(self, venue: SpotVenue, request: web.Request, socket: web.WebSocketResponse) -> None:
        super().__init__(venue, request, socket)
        self._venue = venue
        self._hostname = request.host.partition(":")[0]

    def ping_message(self, now_ms: int) -> Json:
        """As ``Connection.ping_message``."""
        return {"action": "ping", "data": {"ts": now_ms}}

    def say_close(self, now_ms: int) -> None:
        """Nothing is said."""

    def take(self, request: Json) -> None:
        """As ``Connection.take``."""
        action, channel = request.get("action"), str(request.get("ch"))
        if action == "pong":
            self.answered()
        elif action == "req" and channel == "auth":
            self._authenticate(request)
        elif action == "sub" and self.account is None:
            self.say({"action": "sub", "code": 2002, "ch": channel, "message": "auth.fail"})
        elif action == "sub" and self._is_offered(channel):
            self.add(channel)
            self.say({"action": "sub", "code": 200, "ch": channel, "data": {}})
        elif action == "unsub":
            self.names.pop(channel, None)
            self.say({"action": "unsub", "code": 200, "ch": channel, "data": {}})
        else:
            self.say({"action": action, "code": 2001, "ch": channel, "message": "invalid.ch"})

    def take_malformed(self) -> None:
        """As ``Connection.take_malformed``."""
        self.say({"action": "error", "code": 2001, "message": "invalid.action"})

    def _is_offered(self, channel: str) -> bool:
        found = CHANNELS.fullmatch(channel)
        symbols = ("*", self._venue.instrument.symbol, None)
        return found is not None and all(symbol in symbols for symbol in found.groupdict().values())

    def _authenticate(self, request: Json) -> None:
        """ "Authentication", of version 2.1."""
        names = ("accessKey", "signatureMethod", "signatureVersion", "timestamp", "signature")
        given = {name: str(request.get("params", {}).get(name, "")) for name in names}
        venue = self._venue
        try:
            key = owner_of("GET", self._hostname, self.entry, given, venue.secrets, venue.clock.now_ms, SECOND)
        except ApiError:
            self.say({"action": "req", "code": 2002, "ch": "auth", "message": "auth.fail"})
            return
        self.account = venue.account_of(key)
        self.say({"action": "req", "code": 200, "ch": "auth", "data": {}})

    def _put(self, message: bytes) -> None:
        TextConnection._put(self, message)

    def _framed(self, message: bytes) -> bytes:
        return TextConnection._framed(self, message)


def first_answer(content: Any, _now_ms: int) -> Json:
    """How the first version of spot answers."""
    return {"status": "ok", "data": content}


def _route(
    method: str, pattern: str, handler: Callable[[SpotVenue, Call], Any], most: int, answer: Any = first_answer
) -> tuple[str, re.Pattern[str], Route]:
    return method, re.compile(pattern), Route(handler, Limit(pattern, most, 2000), answer)


_ORDER: Final = r"/v1/order/orders/(?P<order_id>\d+)"
ROUTES: Final = (
    _route("POST", "/v1/order/orders/place", spot_orders.place, 100),
    _route("POST", f"{_ORDER}/submitcancel", spot_orders.cancel, 100),
    _route("POST", "/v1/order/orders/submitCancelClientOrder", spot_orders.cancel_by_client_id, 100),
    _route("POST", "/v1/order/orders/batchCancelOpenOrders", spot_orders.cancel_open, 50),
    _route("GET", "/v1/order/orders/getClientOrder", spot_orders.query_by_client_id, 50),
    _route("GET", f"{_ORDER}/matchresults", spot_orders.matches_of, 50),
    _route("GET", _ORDER, spot_orders.query, 50),
    _route("GET", "/v1/order/openOrders", spot_orders.open_orders, 50),
    _route("GET", "/v1/order/matchresults", spot_orders.match_results, 20),
    _route("GET", "/v1/account/accounts", spot_orders.accounts, 100),
    _route("GET", r"/v1/account/accounts/(?P<account_id>\d+)/balance", spot_orders.balance, 100),
    _route("POST", "/v2/algo-orders/cancel-all-after", spot_orders.cancel_after, 20, second_answer),
    _route("POST", "/v2/algo-orders", spot_conditionals.place, 20, second_answer),
    _route("POST", "/v2/algo-orders/cancellation", spot_conditionals.cancel, 20, second_answer),
    _route("GET", "/v2/algo-orders/opening", spot_conditionals.opening, 20, second_answer),
    _route("GET", "/v2/algo-orders/specific", spot_conditionals.specific, 20, second_answer),
    *((method, re.compile(path), route) for (method, path), route in key_queries.ROUTES.items()),
)
