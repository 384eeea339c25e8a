"""HTX's USDT-margined contracts over one recorded instrument: one-way mode, cross margin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from gateways.sandbox.accounts import Account, Ledger
from gateways.sandbox.exchange import Engine, Event, Refusal, What
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.htx import key_queries, linear_algo, linear_orders
from gateways.sandbox.htx.connection import Json, PrivateConnection
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.front import Call, Front, Route, contract_answer
from gateways.sandbox.htx.limits import READ, TRADE
from gateways.sandbox.htx.linear_views import Views, state_of
from gateways.sandbox.htx.security import owner_of
from gateways.sandbox.market import Batch, RecordedMarket

FIRST_ORDER_ID: Final = 1_550_512_244_980_690_944
"""Order ids are of this size (recorded): a client that keeps them as floating point must fail here too."""

NOTIFICATION: Final = "/ws/v5/notification"
PING_MS: Final = 5_000
UNANSWERED: Final = 5
TOPICS: Final = ("orders", "trade", "positions", "account")
EVERY_CONTRACT: Final = "*"
BAD_REQUEST, UNAUTHORIZED, NOT_VERIFIED = 2001, 2002, 2003
"""Values of ``err-code`` on a stream."""


class LinearVenue(Front[Ledger]):
    """See ``Front``."""

    private_entry = NOTIFICATION
    maintenance = Error.MAINTENANCE
    failures: Mapping[Fault, Error] = {
        Fault.BUSY: Error.BUSY,
        Fault.MAINTENANCE: Error.MAINTENANCE,
        Fault.RATE_LIMIT: Error.TOO_MANY_REQUESTS,
        Fault.BAN: Error.TOO_MANY_REQUESTS,
        Fault.UNKNOWN: Error.SYSTEM_ERROR,
    }
    refusals: Mapping[Refusal, Error] = {
        Refusal.MARGIN: Error.NO_MARGIN,
        Refusal.REDUCE_ONLY: Error.REDUCE_ONLY,
        Refusal.NOT_OPEN: Error.NO_ORDER_TO_CANCEL,
        Refusal.IMPOSSIBLE: Error.SUSPENDED,
    }

    def __init__(self, market: RecordedMarket, engine: Engine, opened: Batch, faults: FaultPlan | None = None) -> None:
        super().__init__(market, opened, Ledger(market.instrument), engine, faults, FIRST_ORDER_ID)
        self.views = Views(self.exchange, self.conditionals)
        self.routes = ROUTES

    def new_private(self, request: web.Request, socket: web.WebSocketResponse) -> PrivateConnection:
        """As ``Front.new_private``."""
        return Notifications(self, request, socket)

    def tell(self, events: list[Event]) -> None:
        """As ``Front.tell``.

        An order that is matched with several others at once is told of in as many messages, all of them with the state
        that it has come to, though not with all that it has filled ("Subscribe to order data").
        """
        filled: dict[int, tuple[int, int]] = {}
        for event in reversed(events):  # what an order had filled when each thing happened to it
            order, fill = event.order, event.fill
            so_far = filled.setdefault(order.order_id, (order.filled_qty, order.filled_cost))
            if fill is not None:
                filled[order.order_id] = (so_far[0] - fill.qty, so_far[1] - fill.px * fill.qty)
        for event in events:
            order, fill = event.order, event.fill
            qty, cost = filled[order.order_id]
            if fill is not None:
                qty, cost = filled[order.order_id] = (qty + fill.qty, cost + fill.px * fill.qty)
            state = "new" if event.what is What.NEW else state_of(order)
            self.publish(order.account, "orders", self.views.order_event(order, state, qty, cost))
            if fill is not None:
                self.publish(order.account, "trade", [self.views.trade_event(fill)])
                self.publish(order.account, "positions", [self.views.position(order.account)], event="match")
            self.publish(order.account, "account", self.views.balance(order.account), event=_EVENTS[event.what])

    def tell_of_funding(self, account: Account) -> None:
        """As ``Front.tell_of_funding``."""
        self.publish(account, "account", self.views.balance(account), event="funding")

    def publish(self, account: Account, topic: str, content: Any, **more: str) -> None:
        """Send a message of a topic to the account's connections."""
        message = self.message(account, topic, content, **more)
        for connection in self.private_connections(account):
            if topic in connection.names:
                connection.send(topic, message, is_private=True)

    def message(self, account: Account, topic: str, content: Any, **more: str) -> bytes:
        """A message of a topic."""
        code = "" if topic == "account" else self.instrument.symbol
        head = {"op": "notify", "topic": topic, "contract_code": code, "ts": self.clock.now_ms}
        return msgspec.json.encode({**head, "uid": str(key_queries.uid_of(account)), **more, "data": content})


class Notifications(PrivateConnection):
    """One client's connection to an account's events."""

    ping_ms = PING_MS
    unanswered = UNANSWERED

    def __init__(self, venue: LinearVenue, request: web.Request, socket: web.WebSocketResponse) -> None:
        super().__init__(venue, request, socket)
        self._venue = venue
        self._hostname = request.host.partition(":")[0]

    def ping_message(self, now_ms: int) -> Json:
        """As ``Connection.ping_message``."""
        return {"op": "ping", "ts": str(now_ms)}

    def take(self, request: Json) -> None:
        """As ``Connection.take``."""
        act = _OPERATIONS.get(str(request.get("op")))
        if act is None:
            self.take_malformed()
        else:
            act(self, request)

    def take_malformed(self) -> None:
        """As ``Connection.take_malformed``."""
        self.say({"op": "error", "ts": self._venue.clock.now_ms})

    def pong(self, _request: Json) -> None:
        """The client is there."""
        self.answered()

    def authenticate(self, request: Json) -> None:
        """ "Authentication": signed as a GET of the entry."""
        names = ("AccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp", "Signature")
        given = {name: str(request.get(name, "")) for name in names}
        answer = {"op": "auth", "type": "api", "ts": self._venue.clock.now_ms}
        if "cid" in request:
            answer["cid"] = request["cid"]
        try:
            key = owner_of("GET", self._hostname, self.entry, given, self._venue.secrets, self._venue.clock.now_ms)
        except ApiError as error:
            self.say({**answer, "err-code": NOT_VERIFIED, "err-msg": error.text})
            self.end()
            return
        self.account = self._venue.account_of(key)
        self.say({**answer, "err-code": 0, "data": {"user-id": str(key_queries.uid_of(self.account))}})

    def subscribe_to(self, request: Json) -> None:
        """ "Subscribe": of one contract, or of all."""
        topic, code = str(request.get("topic")), str(request.get("contract_code", EVERY_CONTRACT)).upper()
        is_known = topic in TOPICS and code in (EVERY_CONTRACT, self._venue.instrument.symbol)
        answer = {"op": "sub", "cid": request.get("cid"), "topic": topic, "ts": self._venue.clock.now_ms}
        if self.account is None or not is_known:
            code_of_error = UNAUTHORIZED if self.account is None else BAD_REQUEST
            self.say({**answer, "err-code": code_of_error, "err-msg": "Invalid subscription."})
            return
        self.add(topic)
        self.say({**answer, "contract_code": code, "err-code": 0})
        views = self._venue.views
        if topic == "account":
            content: Any = views.balance(self.account)
        elif topic == "positions":
            content = [views.position(self.account)] if self.account.qty else []
        else:
            return
        self.tell(self._venue.message(self.account, topic, content, event="snapshot"))

    def unsubscribe_from(self, request: Json) -> None:
        """ "Unsubscribe"."""
        self.names.pop(str(request.get("topic")), None)
        self.say({**request, "ts": self._venue.clock.now_ms, "err-code": 0})


_OPERATIONS: Final[dict[str, Callable[[Notifications, Json], None]]] = {
    "auth": Notifications.authenticate,
    "sub": Notifications.subscribe_to,
    "unsub": Notifications.unsubscribe_from,
    "pong": Notifications.pong,
}

_EVENTS: Final = {
    What.NEW: "create_order",
    What.TRADE: "match",
    What.AMENDED: "amend_order",
    What.CANCELED: "cancel_order",
    What.EXPIRED: "cancel_order",
}
"""``event`` of an account's message; of these ``create_order`` is recorded."""


def balance(venue: LinearVenue, call: Call) -> Json:
    """ "Get Account Balance"."""
    return venue.views.balance(call.account)


def bills(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Query Financial Records"."""
    call.given.contract(optional=True)
    rows = linear_orders.within(call.given, venue.views.bills(call.account))
    kinds = call.given.get("type")
    return linear_orders.page(call.given, [row for row in rows if not kinds or row["type"] in kinds.split(",")])


def positions(venue: LinearVenue, call: Call) -> list[Json]:
    """ "Get Current Position": one that is flat is not listed."""
    call.given.contract(optional=True)
    return [venue.views.position(call.account)] if call.account.qty else []


def position_mode(_venue: LinearVenue, _call: Call) -> Json:
    """ "Get Position Mode"."""
    return {"position_mode": "single_side"}


def set_position_mode(_venue: LinearVenue, call: Call) -> Json:
    """ "Set Position Mode": long and short side by side are not offered, and said so."""
    call.given.choice("position_mode", {"single_side": 1})
    return {"position_mode": "single_side"}


def set_leverage(venue: LinearVenue, call: Call) -> Json:
    """ "Set Leverage"."""
    code = call.given.contract()
    call.account.leverage = call.given.whole("lever_rate", most=venue.exchange.ledger.max_leverage, least=1)
    return {"contract_code": code, "margin_mode": "cross", "lever_rate": call.account.leverage}


def _reading(handler: Callable[[LinearVenue, Call], Any]) -> Route:
    return Route(handler, READ, contract_answer)


def _trading(handler: Callable[[LinearVenue, Call], Any]) -> Route:
    return Route(handler, TRADE, contract_answer)


ROUTES: Final[dict[tuple[str, str], Route]] = {
    ("POST", "/v5/trade/order"): _trading(linear_orders.place),
    ("POST", "/v5/trade/batch_orders"): _trading(linear_orders.place_batch),
    ("POST", "/v5/trade/cancel_order"): _trading(linear_orders.cancel),
    ("POST", "/v5/trade/cancel_batch_orders"): _trading(linear_orders.cancel_batch),
    ("POST", "/v5/trade/cancel_all_orders"): _trading(linear_orders.cancel_all),
    ("POST", "/v5/trade/cancel-after"): _trading(linear_orders.cancel_after),
    ("POST", "/v5/algo/order"): _trading(linear_algo.place),
    ("POST", "/v5/algo/cancel_orders"): _trading(linear_algo.cancel),
    ("GET", "/v5/algo/order"): _reading(linear_algo.query),
    ("GET", "/v5/algo/order/opens"): _reading(linear_algo.opens),
    ("GET", "/v5/trade/order"): _reading(linear_orders.query),
    ("GET", "/v5/trade/order/opens"): _reading(linear_orders.opens),
    ("GET", "/v5/trade/order/details"): _reading(linear_orders.details),
    ("GET", "/v5/trade/order/history"): _reading(linear_orders.history),
    ("GET", "/v5/trade/position/opens"): _reading(positions),
    ("GET", "/v5/account/balance"): _reading(balance),
    ("GET", "/v5/account/bills"): _reading(bills),
    ("GET", "/v5/position/mode"): _reading(position_mode),
    ("POST", "/v5/position/mode"): _trading(set_position_mode),
    ("POST", "/v5/position/lever"): _trading(set_leverage),
    **key_queries.ROUTES,
}
