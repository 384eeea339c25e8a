"""HTX spot over one recorded instrument."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
from aiohttp import web

from gateways.credentials import Credentials
from gateways.sandbox.accounts import Account, Order, Status
from gateways.sandbox.binance.streams import Connection as TextConnection
from gateways.sandbox.exchange import Engine, Event, Refusal, RefusedError, What
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.htx import key_queries
from gateways.sandbox.htx.connection import Json, PrivateConnection
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.front import Call, Front, Route, second_answer
from gateways.sandbox.htx.limits import Limit
from gateways.sandbox.htx.linear_views import SIDES
from gateways.sandbox.htx.parameters import PRICE_LIMIT
from gateways.sandbox.htx.security import SECOND, owner_of
from gateways.sandbox.htx.spot_views import SpotViews, account_id_of
from gateways.sandbox.market import Batch, RecordedMarket
from gateways.sandbox.spot_ledger import SpotLedger
from oms.decimals import GridError, parse_decimal
from oms.records import CASH_SCALE, OrderType, TimeInForce

FIRST_ORDER_ID: Final = 1_474_908_579_893_191
"""Order ids are of this size (recorded)."""
PRIVATE: Final = "/ws/v2"
PING_MS: Final = 20_000
UNANSWERED: Final = 3
CHANNELS: Final = re.compile(r"orders#(?P<orders>.+)|trade\.clearing#(?P<clearing>.+)#[01]|accounts\.update#[012]")
BASE_BALANCE: Final = 10 * CASH_SCALE
"""What each account has of the base currency at first."""
MOST_CLIENT_ID: Final = 64
LEAST_COUNTDOWN_S: Final = 5

KINDS: Final = {
    "limit": (OrderType.LIMIT, TimeInForce.GTC),
    "limit-maker": (OrderType.LIMIT, TimeInForce.GTC),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
    "limit-fok": (OrderType.LIMIT, TimeInForce.FOK),
    "market": (OrderType.MARKET, TimeInForce.IOC),
}
STILLBORN: Final = (Refusal.WOULD_TAKE, Refusal.NOT_FILLED_AT_ONCE)
"""What the exchange accepts and cancels at once."""


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


# Requests


def place(venue: SpotVenue, call: Call) -> str:
    """ "Place a New Order"."""
    order, cost = _read(venue, call)
    try:
        venue.exchange.place(order)
    except RefusedError as refused:
        if refused.refusal not in STILLBORN:
            raise
        order.status = Status.CANCELED
        venue.exchange.orders[order.order_id] = order
        venue.exchange.newest[order.account.number, order.client_order_id] = order
        for what in (What.NEW, What.CANCELED):
            venue.tell([Event(what, order, None, venue.clock.now_ms)])
    if cost:
        venue.views.costs[order.order_id] = cost
    return str(order.order_id)


def cancel(venue: SpotVenue, call: Call) -> str:
    """ "Submit Cancel for an Order"."""
    order = _find(venue, call)
    if not order.status.is_open:
        raise ApiError(Error.SPOT_NOT_OPEN)
    venue.exchange.cancel(order)
    return str(order.order_id)


def cancel_by_client_id(venue: SpotVenue, call: Call) -> int:
    """ "Submit Cancel for an Order (based on client order ID)": the answer is a state."""
    order = venue.exchange.newest.get((call.account.number, _text(call, "client-order-id")))
    if order is None:
        raise ApiError(Error.SPOT_NO_RECORD)
    if not order.status.is_open:
        return 6 if order.status is Status.FILLED else 7
    venue.exchange.cancel(order)
    return 10


def cancel_open(venue: SpotVenue, call: Call) -> Json:
    """ "Submit Cancel for Multiple Orders by Criteria": at most a hundred."""
    orders = list(call.account.open_orders.values())[:100]
    for order in orders:
        venue.exchange.cancel(order)
    return {"success-count": len(orders), "failed-count": 0, "next-id": -1}


def query(venue: SpotVenue, call: Call) -> Json:
    """ "Get the Order Detail of an Order"."""
    return venue.views.order(_find(venue, call))


def query_by_client_id(venue: SpotVenue, call: Call) -> Json:
    """ "Get the Order Detail of an Order (based on client order ID)"."""
    order = venue.exchange.newest.get((call.account.number, _text(call, "clientOrderId")))
    if order is None:
        raise ApiError(Error.SPOT_NO_RECORD)
    return venue.views.order(order)


def open_orders(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Get All Open Orders": newest first."""
    rows = [venue.views.open_order(order) for order in call.account.open_orders.values()]
    return _page(call, rows, 500)


def match_results(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Search Match Results": newest first."""
    return _page(call, [venue.views.fill(*each) for each in enumerate(call.account.fills)], 500)


def matches_of(venue: SpotVenue, call: Call) -> list[Json]:
    """ "Get the Match Result of an Order"."""
    order = _find(venue, call)
    return [venue.views.fill(*each) for each in enumerate(call.account.fills) if each[1].order is order]


def accounts(_venue: SpotVenue, call: Call) -> list[Json]:
    """ "Get all Accounts of the Current User"."""
    return [{"id": account_id_of(call.account), "type": "spot", "subtype": "", "state": "working"}]


def balance(venue: SpotVenue, call: Call) -> Json:
    """ "Get Account Balance of a Specific Account"."""
    _check_account(call)
    head = {"id": account_id_of(call.account), "type": "spot", "state": "working"}
    return {**head, "list": venue.views.balances(call.account)}


def cancel_after(venue: SpotVenue, call: Call) -> Json:
    """ "Dead man's switch": without another call in time all the account's orders are cancelled; 0 ends that."""
    seconds = int(_text(call, "timeout"))
    if seconds and seconds < LEAST_COUNTDOWN_S:
        raise ApiError(Error.SPOT_FORMAT, "timeout")
    account = call.account

    def expire() -> None:
        with venue.acting():
            for order in list(account.open_orders.values()):
                venue.exchange.cancel(order)

    venue.timers.set(("countdown", account.number), seconds * 1000, expire)
    now_ms = venue.clock.now_ms
    return {"currentTime": now_ms, "triggerTime": now_ms + seconds * 1000 if seconds else 0}


def _read(venue: SpotVenue, call: Call) -> tuple[Order, str]:
    """A new order, and of a buy at the market what it is to spend."""
    _check_account(call)
    if _text(call, "symbol") != venue.instrument.symbol:
        raise ApiError(Error.SPOT_NO_SYMBOL)
    side_name, _, kind = _text(call, "type").partition("-")
    if side_name not in SIDES or kind not in KINDS:
        raise ApiError(Error.SPOT_FORMAT, "type")
    side, (order_type, time_in_force) = SIDES[side_name], KINDS[kind]
    instrument, amount = venue.instrument, _decimal(call, "amount")
    px = 0
    if order_type is OrderType.LIMIT:
        ticks = _decimal(call, "price") / Decimal(instrument.tick)
        if ticks <= 0 or ticks != int(ticks):
            raise ApiError(Error.SPOT_PRICE_PRECISION, instrument.tick)
        px = int(ticks)
        _check_price(venue, side, px)
    spends = side > 0 and order_type is OrderType.MARKET
    at_px = px or venue.exchange.ask_px
    lots = amount / Decimal(instrument.lot)
    if spends:  # for as many lots as that pays at the best price
        lots = Decimal(int(lots / (at_px * Decimal(instrument.tick))))
    if lots != int(lots):
        raise ApiError(Error.SPOT_AMOUNT_PRECISION, instrument.lot)
    if lots <= 0 or lots * Decimal(instrument.lot) < Decimal(instrument.min_qty):
        raise ApiError(Error.SPOT_AMOUNT_MIN, instrument.min_qty)
    most = Decimal(instrument.max_qty)
    if most and lots * Decimal(instrument.lot) > most:
        raise ApiError(Error.SPOT_AMOUNT_MAX, instrument.max_qty)
    if lots * at_px * Decimal(instrument.lot) * Decimal(instrument.tick) < Decimal(instrument.min_notional):
        raise ApiError(Error.SPOT_VALUE_MIN, instrument.min_notional, instrument.quote)
    client_id = call.given.get("client-order-id")
    if len(client_id) > MOST_CLIENT_ID:
        raise ApiError(Error.SPOT_FORMAT, "client-order-id")
    if client_id and (call.account.number, client_id) in venue.exchange.newest:
        raise ApiError(Error.SPOT_DUPLICATE)
    order = Order(
        call.account,
        client_id,
        side,
        order_type,
        time_in_force,
        int(lots),
        px,
        is_post_only=kind == "limit-maker",
    )
    return order, f"{amount:f}" if spends else ""


def _check_price(venue: SpotVenue, side: int, px: int) -> None:
    mark_px = venue.exchange.mark_px
    most, least = (mark_px * (1 + sign * PRICE_LIMIT) for sign in (1, -1))
    if mark_px and side * (px - (most if side > 0 else least)) > 0:
        error, at = (Error.SPOT_BUY_MAX, most) if side > 0 else (Error.SPOT_SELL_MIN, least)
        raise ApiError(error, venue.instrument.px_from_ticks(int(at)))


def _check_account(call: Call) -> None:
    if _text(call, "account-id") != str(account_id_of(call.account)):
        raise ApiError(Error.SPOT_NO_ACCOUNT, call.given.get("account-id"))


def _find(venue: SpotVenue, call: Call) -> Order:
    text = _text(call, "order-id")
    order = venue.exchange.orders.get(int(text)) if text.isdigit() else None
    if order is None or order.account is not call.account:
        raise ApiError(Error.SPOT_NO_RECORD)
    return order


def _text(call: Call, name: str) -> str:
    if name not in call.given:
        raise ApiError(Error.SPOT_MISSING, name)
    return call.given.get(name)


def _decimal(call: Call, name: str) -> Decimal:
    try:
        return parse_decimal(name, _text(call, name))
    except GridError:
        raise ApiError(Error.SPOT_FORMAT, name) from None


def _page(call: Call, rows: list[Json], most: int) -> list[Json]:
    """Rows newest first: with ``from`` that one and those behind it (``next``), or those before it (``prev``)."""
    rows = sorted(rows, key=lambda row: int(row["id"]), reverse=True)
    start, size = call.given.get("from"), min(int(call.given.get("size", "100")), most)
    if start and call.given.get("direct", "next") == "next":
        rows = [row for row in rows if int(row["id"]) <= int(start)]
    elif start:
        rows = [row for row in rows if int(row["id"]) >= int(start)][-size:]
    return rows[:size]


def first_answer(content: Any, _now_ms: int) -> Json:
    """How the first version of spot answers."""
    return {"status": "ok", "data": content}


def _route(
    method: str, pattern: str, handler: Callable[[SpotVenue, Call], Any], most: int, answer: Any = first_answer
) -> tuple[str, re.Pattern[str], Route]:
    return method, re.compile(pattern), Route(handler, Limit(pattern, most, 2000), answer)


_ORDER: Final = r"/v1/order/orders/(?P<order_id>\d+)"
ROUTES: Final = (
    _route("POST", "/v1/order/orders/place", place, 100),
    _route("POST", f"{_ORDER}/submitcancel", cancel, 100),
    _route("POST", "/v1/order/orders/submitCancelClientOrder", cancel_by_client_id, 100),
    _route("POST", "/v1/order/orders/batchCancelOpenOrders", cancel_open, 50),
    _route("GET", "/v1/order/orders/getClientOrder", query_by_client_id, 50),
    _route("GET", f"{_ORDER}/matchresults", matches_of, 50),
    _route("GET", _ORDER, query, 50),
    _route("GET", "/v1/order/openOrders", open_orders, 50),
    _route("GET", "/v1/order/matchresults", match_results, 20),
    _route("GET", "/v1/account/accounts", accounts, 100),
    _route("GET", r"/v1/account/accounts/(?P<account_id>\d+)/balance", balance, 100),
    _route("POST", "/v2/algo-orders/cancel-all-after", cancel_after, 20, second_answer),
    *((method, re.compile(path), route) for (method, path), route in key_queries.ROUTES.items()),
)
