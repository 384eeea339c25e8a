"""What HTX's markets have in common beyond what anybody sees: requests, security, limits, faults, accounts.

A market of its own adds what its requests do, how it answers, and what it tells an account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from gateways.credentials import Credentials
from gateways.decoder import Ticks
from gateways.sandbox.accounts import Account, Bookkeeper
from gateways.sandbox.binance.errors import html_page
from gateways.sandbox.binance.front import AFTER, BEFORE, DELAY_S
from gateways.sandbox.conditionals import Conditionals
from gateways.sandbox.exchange import Engine, Event, Exchange, Refusal, RefusedError
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.htx.connection import Json, PrivateConnection
from gateways.sandbox.htx.errors import ApiError, Error
from gateways.sandbox.htx.limits import PUBLIC, Limit, RateLimits
from gateways.sandbox.htx.parameters import Parameters, content_of
from gateways.sandbox.htx.security import NAMES, owner_of
from gateways.sandbox.htx.venue import PublicConnection, PublicVenue
from gateways.sandbox.market import Batch, RecordedMarket
from oms.records import TickKind

L = TypeVar("L", bound=Bookkeeper)

HOSTS: Final = ("api.huobi.pro", "api.hbdm.com", "api.hbdm.vn")
READ_ONLY, TRADE, WITHDRAW = "readOnly", "trade", "withdraw"
KEY_PERMISSIONS: Final = {READ_ONLY: True, TRADE: True, WITHDRAW: False}
"""What a key may do at first ("API key query")."""


class Call(NamedTuple):
    """One request: its parameters, the account that asks, and the key that it asks with.

    ``rows`` are the parameters of a body that is a list.
    """

    given: Parameters
    account: Account
    key: str
    rows: tuple[Parameters, ...] = ()


class Route(NamedTuple):
    """One method of one path: what does it, how its answer is written, and its limit."""

    handler: Callable[[Any, Call], Any]
    limit: Limit
    answer: Callable[[Any, int], Json]
    """Of content and time."""


def contract_answer(content: Any, now_ms: int) -> Json:
    """How contracts answer."""
    return {"code": 200, "message": "Success", "data": content, "ts": now_ms}


def second_answer(content: Any, now_ms: int) -> Json:
    """How the second version of spot answers."""
    return {"code": 200, "message": "success", "data": content}


class Front(PublicVenue, Generic[L]):
    """One market; see ``gateways.sandbox.venue.SandboxVenue``.

    Parameters
    ----------
    market, opened
        The recording, open: its book is there; and what opening it took.
    ledger
        Who keeps its accounts' books.
    engine
        Of the same instrument.
    faults
        What goes wrong.
    first_order_id
        Order ids are of this size.

    Attributes
    ----------
    permissions : dict
        What every key may do, as the exchange calls it.
    bound_to : str
        The addresses from which keys work; empty: any.
    """

    hosts: tuple[str, ...] = HOSTS
    routes: Mapping[tuple[str, str], Route]
    refusals: Mapping[Refusal, Error]
    failures: Mapping[Fault, Error]
    """What is answered where something goes wrong."""
    maintenance: Error
    words: Mapping[Error, Error] = MappingProxyType({})
    """What this market says instead of what lies in front of contracts."""
    private_entry: str

    def __init__(
        self,
        market: RecordedMarket,
        opened: Batch,
        ledger: L,
        engine: Engine,
        faults: FaultPlan | None,
        first_order_id: int,
    ) -> None:
        super().__init__(market, opened, faults)
        self.exchange = Exchange(self.instrument, ledger, engine, self.clock.now_ns, first_order_id)
        self.conditionals = Conditionals(self.exchange)
        self.limits = RateLimits()
        self.is_in_maintenance = False
        self.permissions: dict[str, bool] = dict(KEY_PERMISSIONS)
        self.bound_to = "127.0.0.1"
        self.secrets: dict[str, str] = {}
        self._accounts: dict[str, Account] = {}
        self._events: list[Event] = []
        self._acts = 0
        self.exchange.listeners.append(self._on_event)
        self._move(opened.ticks)

    @property
    def shift_ms(self) -> int:
        """Added to the times of recorded events: 0 leaves them as they are."""
        return self.messages.shift_ms

    @shift_ms.setter
    def shift_ms(self, ms: int) -> None:
        self.messages.shift_ms = ms

    @property
    def needs_each_message(self) -> bool:
        """While a conditional order waits."""
        return self.conditionals.are_open

    def open_account(self, credentials: Credentials, wallet: int) -> Account:
        """A new account with so much cash, in 1e-8 of the settlement currency, and the key that opens it."""
        account = self.exchange.open_account(wallet)
        self.secrets[credentials.key] = credentials.secret
        self._accounts[credentials.key] = account
        return account

    def account_of(self, key: str) -> Account:
        """The account that a key opens."""
        return self._accounts[key]

    def take(self, batch: Batch) -> None:
        """Let the market move by recorded messages, and pass them on."""
        if any(frame.restarts for frame in batch.frames):
            self._end(lambda connection: isinstance(connection, PublicConnection))
        super().take(batch)
        self._move(batch.ticks)

    def pay_funding(self, rate: int) -> None:
        """Have funding be paid now at a rate in 1e-8, and tell whom it concerns."""
        for account, _ in self.exchange.pay_funding(rate):
            self.tell_of_funding(account)

    def begin_maintenance(self) -> None:
        """Answer nothing more, and end all streams."""
        self.is_in_maintenance = True
        self.end_streams()

    def end_streams(self) -> None:
        """End all connections."""
        self._end(lambda _: True)

    def expire_subscription(self, _name: str) -> None:
        """What comes nearest to a key that expires: private connections are told that they will be closed."""
        for connection in self.private_connections():
            connection.say_close(self.clock.now_ms)
            connection.end()

    def private_connections(self, account: Account | None = None) -> Iterator[PrivateConnection]:
        """Those of an account, or of all."""
        for connection in [*self.connections]:
            if isinstance(connection, PrivateConnection) and (account is None or connection.account is account):
                yield connection

    def new_private(self, request: web.Request, socket: web.WebSocketResponse) -> PrivateConnection:
        """A connection to an account's events."""
        raise NotImplementedError

    def tell(self, events: list[Event]) -> None:
        """Tell accounts what has happened to their orders, all of it by one act."""
        raise NotImplementedError

    def tell_of_funding(self, account: Account) -> None:
        """Tell an account that funding was paid."""
        raise NotImplementedError

    def route_of(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """What answers a request, and the parameters in its path; None: nothing."""
        route = self.routes.get((method, path))
        return None if route is None else (route, {})

    @contextmanager
    def acting(self) -> Iterator[None]:
        """While something is done: what happens by it is told together."""
        self._acts += 1
        try:
            yield
        finally:
            self._acts -= 1
            if not self._acts and self._events:
                events, self._events = self._events, []
                self.tell(events)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or hold a connection."""
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return await self._answer(request)
        if self.is_in_maintenance:
            return web.Response(status=503)
        if request.path != self.private_entry:
            return await self.hold(request)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await self.new_private(request, socket).live()
        return socket

    def _on_event(self, event: Event) -> None:
        with self.acting():
            self._events.append(event)

    def _move(self, ticks: Ticks) -> None:
        with self.acting():
            self.exchange.move(ticks)
            self.conditionals.check()
        for rate in ticks["qty"][ticks["kind"] == TickKind.FUNDING].tolist():
            self.pay_funding(rate)

    def _end(self, which: Callable[[Any], bool]) -> None:
        for connection in [*self.connections]:
            if which(connection):
                connection.end()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode("utf-8", "replace")
        headers: dict[str, str] = {}
        try:
            fault = self.faults.first(*BEFORE)
            if fault is Fault.LOSE_REQUEST:
                return _broken(request)
            if fault is Fault.HTML:
                page = html_page(HTTPStatus.BAD_GATEWAY)
                return web.Response(text=page, status=HTTPStatus.BAD_GATEWAY, content_type="text/html")
            if fault is not None:
                raise ApiError(self.failures[fault])
            content = self._handle(request, body, headers)
            fault = self.faults.first(*AFTER)
            if fault is Fault.LOSE_ANSWER:
                return _broken(request)
            if fault is Fault.UNKNOWN:
                raise ApiError(self.failures[fault])
            if fault is Fault.DELAY:
                await asyncio.sleep(DELAY_S)
            return web.Response(body=msgspec.json.encode(content), content_type="application/json", headers=headers)
        except RefusedError as refused:
            return self._refusal(ApiError(self.refusals[refused.refusal], "0"), headers)
        except ApiError as error:
            return self._refusal(error, headers)

    def _handle(self, request: web.Request, body: str, headers: dict[str, str]) -> Json:
        """What a request is answered with; headers are added as they come to be known, for refusals have them too."""
        if self.is_in_maintenance:
            raise ApiError(self.maintenance)
        now_ms = self.clock.now_ms
        public = self.public_answer(request.path) if request.method == "GET" else None
        if public is not None:
            headers |= self.limits.charge(PUBLIC, request.remote or "", now_ms)
            return public
        found = self.route_of(request.method, request.path)
        if found is None:
            raise ApiError(Error.UNKNOWN_PATH)
        route, in_path = found
        query = dict(request.query)
        key = owner_of(request.method, request.host.partition(":")[0], request.path, query, self.secrets, now_ms)
        account = self._accounts[key]
        headers |= self.limits.charge(route.limit, str(account.number), now_ms)
        if request.method == "POST" and not self.permissions[TRADE]:
            raise ApiError(Error.NO_PERMISSION)
        with self.acting():
            content = route.handler(self, self._call(request.method, query, body, in_path, account, key))
        return route.answer(content, now_ms)

    def _call(
        self, method: str, query: Mapping[str, str], body: str, in_path: dict[str, str], account: Account, key: str
    ) -> Call:
        if method == "GET":
            given: Any = {name: value for name, value in query.items() if name not in (*NAMES, "Signature")}
        else:
            given = content_of(body)
        if isinstance(given, list) and all(isinstance(row, dict) for row in given):
            return Call(self._parameters(in_path), account, key, tuple(self._parameters(row) for row in given))
        if not isinstance(given, dict):
            raise ApiError(Error.BAD_JSON)
        return Call(self._parameters({**given, **in_path}), account, key)

    def _parameters(self, given: Mapping[str, Any]) -> Parameters:
        return Parameters(given, self.instrument)

    def _refusal(self, error: ApiError, headers: Mapping[str, str]) -> web.Response:
        if error.error in self.words:
            error = ApiError(self.words[error.error])
        body = msgspec.json.encode(error.body(self.clock.now_ms))
        return web.Response(body=body, status=error.status, content_type="application/json", headers=headers)


def _broken(request: web.Request) -> web.Response:
    """The connection is gone; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
