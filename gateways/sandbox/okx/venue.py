"""OKX over one recorded instrument: what a request or a recorded message leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from aiohttp import web

from gateways.credentials import Credentials
from gateways.sandbox.accounts import Account, Bookkeeper, Order
from gateways.sandbox.binance.errors import html_page
from gateways.sandbox.binance.front import AFTER, BEFORE, DELAY_S
from gateways.sandbox.clock import Clock, Timers
from gateways.sandbox.conditionals import Conditionals
from gateways.sandbox.exchange import Engine, Event, Exchange, RefusedError, What
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.inverse_ledger import ledger_of
from gateways.sandbox.market import Batch, RecordedMarket
from gateways.sandbox.okx.account import KEY_PERMISSIONS, TRADING
from gateways.sandbox.okx.books import NS_PER_MS, Books, Ticks, best_row, trade_row
from gateways.sandbox.okx.contract import Contract, Json
from gateways.sandbox.okx.errors import ALL_FAILED, OVERALL, SOME_FAILED, ApiError, Error
from gateways.sandbox.okx.limits import ORDERS_OF_ACCOUNT, RateLimits
from gateways.sandbox.okx.orders import refusal_of
from gateways.sandbox.okx.parameters import Parameters, rows_of
from gateways.sandbox.okx.public import mark_row, ticker_row
from gateways.sandbox.okx.routes import ROUTES, Counted, Route
from gateways.sandbox.okx.security import owner_of
from gateways.sandbox.okx.streams import Streams
from gateways.sandbox.okx.views import Views
from oms.checks import ConfigError
from oms.instruments import Instrument
from oms.records import TickKind

HOSTS: Final = ("www.okx.com", "ws.okx.com")
"""The exchange's hosts that the sandbox stands for."""

FIRST_ORDER_ID: Final = 1_750_000_000_000_000_000
"""Order ids are of this size: a client that keeps them as floating point must fail here too."""

MARK_MS: Final = 200
"""Between two mark prices, when it moves ("WS / Mark price channel")."""

_TRADE, _QUOTE = int(TickKind.TRADE), int(TickKind.QUOTE)


class Call(NamedTuple):
    """One request: its rows of parameters, and the account that asks, if any."""

    rows: list[Parameters]
    account: Account | None

    @property
    def only(self) -> Parameters:
        """The parameters of a request that has one set of them."""
        if len(self.rows) != 1:
            raise ApiError(Error.BAD_JSON)
        return self.rows[0]

    @property
    def owner(self) -> Account:
        """The account of a request that has one."""
        assert self.account is not None
        return self.account


class Venue:
    """One exchange; see ``gateways.sandbox.venue.SandboxVenue``.

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
    bound_to : str
        The addresses from which keys work; empty: any.
    """

    hosts: tuple[str, ...] = HOSTS

    def __init__(self, market: RecordedMarket, engine: Engine, opened: Batch, faults: FaultPlan | None = None) -> None:
        self.market = market
        self.instrument: Instrument = market.instrument
        self.contract = Contract(market.instrument)
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.faults = faults or FaultPlan()
        self.exchange: Exchange[Any] = Exchange(
            self.instrument, self.new_ledger(), engine, self.clock.now_ns, FIRST_ORDER_ID
        )
        self.conditionals = Conditionals(self.exchange)
        self.views = self.new_views()
        self.books = Books(self.contract)
        self.limits = RateLimits()
        self.streams = Streams(self)
        self.is_in_maintenance = False
        self.permissions: dict[str, bool] = dict(KEY_PERMISSIONS)
        self.bound_to = "127.0.0.1"
        self.shift_ms = 0
        self.logins: dict[str, Credentials] = {}
        self._accounts: dict[str, Account] = {}
        self._marked_ms = 0
        self._amending: tuple[Order, str] | None = None
        self.exchange.listeners.append(self.tell)
        self._move(opened.ticks)

    def new_ledger(self) -> Bookkeeper:
        """Who keeps the accounts' books; raises ``ConfigError`` where the instrument is none of the venue's."""
        if self.contract.is_spot:
            raise ConfigError(f"{self.instrument.symbol} is no swap: its venue is okx_spot")
        return ledger_of(self.instrument)

    def new_views(self) -> Views:
        """Who writes what belongs to the instrument."""
        return Views(self.exchange, self.contract)

    def open_account(self, credentials: Credentials, wallet: int) -> Account:
        """A new account with so much cash, in 1e-8 of the settlement currency, and the key that opens it."""
        account = self.exchange.open_account(wallet)
        self.logins[credentials.key] = credentials
        self._accounts[credentials.key] = account
        return account

    @property
    def market_ms(self) -> int:
        """The time of the market, which is that of the recording."""
        return self.market.ts // NS_PER_MS + self.shift_ms

    def account_of(self, key: str) -> Account:
        """The account that a key opens."""
        return self._accounts[key]

    @property
    def needs_each_message(self) -> bool:
        """While a conditional order waits."""
        return self.conditionals.are_open

    def take(self, batch: Batch) -> None:
        """Let the market move by recorded messages, and pass on what they say in the exchange's own words."""
        if any(frame.restarts for frame in batch.frames):
            self.streams.end_all("public")
        self._move(batch.ticks)
        self.conditionals.check()
        for rate in batch.ticks["qty"][batch.ticks["kind"] == TickKind.FUNDING].tolist():
            self.pay_funding(rate)

    def pay_funding(self, rate: int) -> None:
        """Have funding be paid now at a rate in 1e-8, and tell whom it concerns."""
        for account, _ in self.exchange.pay_funding(rate):
            self._tell_of_balance(account, "funding_fee")

    def begin_maintenance(self) -> None:
        """Answer nothing more, and end all streams."""
        self.is_in_maintenance = True
        self.end_streams()

    def end_streams(self) -> None:
        """End all connections."""
        self.streams.end_all("public", "private")

    async def flush(self) -> None:
        """Wait until everything that streams carry is written."""
        await self.streams.flush()

    def expire_subscription(self, _name: str) -> None:
        """What comes nearest to a key that expires: private connections are told that they will be closed."""
        for connection in self.streams.connections:
            if connection.entry == "private":
                connection.close_soon()

    @contextmanager
    def amending(self, order: Order, request_id: str) -> Iterator[None]:
        """While an amend is done: what comes of it is told with its ``reqId``."""
        self._amending = (order, request_id)
        try:
            yield
        finally:
            self._amending = None

    def tell(self, event: Event) -> None:
        """Tell an account what happened to an order of its."""
        account = event.order.account
        request_id, result = "", ""
        if self._amending is not None and self._amending[0] is event.order:
            request_id, result = self._amending[1], {What.AMENDED: "0", What.CANCELED: "1"}.get(event.what, "")
        self.streams.publish_private(account, "orders", self.views.order_event(event, request_id, result))
        if event.fill is not None:
            self._tell_of_balance(account, "filled")
            for position in self.views.positions(account):
                self.streams.publish_private(account, "positions", position)

    def _tell_of_balance(self, account: Account, event: str) -> None:
        self.streams.publish_private(account, "account", self.views.balance(account))
        self.streams.publish_private(account, "balance_and_position", self.views.balance_and_position(account, event))

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or hold a connection."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return web.Response(status=503) if self.is_in_maintenance else await self.streams.serve(request)
        return await self._answer(request)

    def _move(self, ticks: Ticks) -> None:
        """Move engine and streams; a message's book comes before what its market does to orders."""
        for update in self.books.take(ticks):
            if self.streams.are_heard("books"):
                self.streams.publish("books", {**update, "ts": str(int(update["ts"]) + self.shift_ms)}, "update")
        self.exchange.move(ticks)
        for kind, channel in ((_TRADE, "trades"), (_QUOTE, "bbo-tbt")):
            if not self.streams.are_heard(channel):
                continue
            for tick in ticks[ticks["kind"] == kind]:
                row = trade_row if kind == _TRADE else best_row
                self.streams.publish(channel, row(self.contract, tick, self.shift_ms))
        if len(ticks):
            self._tell_slow(int(np.max(ticks["local_ts"])) // NS_PER_MS + self.shift_ms)

    def _tell_slow(self, now_ms: int) -> None:
        """Channels that say the newest now and then."""
        if self._marked_ms <= now_ms < self._marked_ms + MARK_MS:
            return
        self._marked_ms = now_ms
        self.streams.publish("mark-price", mark_row(self, now_ms))
        self.streams.publish("tickers", ticker_row(self, now_ms))

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode("utf-8", "replace")
        try:
            fault = self.faults.first(*BEFORE)
            if fault is not None:
                return self._failure(request, fault)
            content = self._handle(request, body)
            fault = self.faults.first(*AFTER)
            if fault is Fault.LOSE_ANSWER:
                return _broken(request)
            if fault is Fault.UNKNOWN:
                raise ApiError(Error.TIMED_OUT)
            if fault is Fault.DELAY:
                await asyncio.sleep(DELAY_S)
            return web.Response(body=msgspec.json.encode(content), content_type="application/json")
        except RefusedError as refused:
            return _refusal(refusal_of(self, refused))
        except ApiError as error:
            return _refusal(error)

    def _handle(self, request: web.Request, body: str) -> Json:
        """What a request is answered with."""
        if self.is_in_maintenance:
            raise ApiError(Error.MAINTENANCE)
        route = ROUTES.get((request.method, request.path))
        if route is None:
            raise ApiError(Error.UNKNOWN_PATH)
        account = None
        if route.counted is not Counted.ADDRESS:
            path = request.rel_url.raw_path_qs
            key = owner_of(request.headers, request.method, path, body, self.logins, self.clock.now_ms)
            if request.method == "POST" and not self.permissions[TRADING]:
                raise ApiError(Error.NO_PERMISSION)
            account = self._accounts[key]
        given: list[Mapping[str, Any]] = [dict(request.query)] if request.method == "GET" else [*rows_of(body)]
        rows = [Parameters(row, self.contract) for row in given]
        self._charge(request, route, account, rows)
        answers = route.handler(self, Call(rows, account))
        failed = sum(answer.get("sCode", "0") != "0" for answer in answers)
        code = "0" if not failed else ALL_FAILED if failed == len(answers) else SOME_FAILED
        return {"code": code, "data": answers, "msg": OVERALL[code]}

    def _charge(self, request: web.Request, route: Route, account: Account | None, rows: list[Parameters]) -> None:
        now_ms = self.clock.now_ms
        who = request.remote or "" if account is None else str(account.number)
        if route.counted is Counted.USER_AND_INSTRUMENT and rows:
            who = f"{who} {rows[0].get('instId')}"
        what = f"{request.method} {request.path}"
        self.limits.charge(what, who, route.limit, now_ms, len(rows) if route.counts_rows else 1)
        if route.takes_orders and account is not None:
            self.limits.charge("orders", str(account.number), ORDERS_OF_ACCOUNT, now_ms, len(rows))

    def _failure(self, request: web.Request, fault: Fault) -> web.Response:
        """What a request comes to that nothing is done about."""
        if fault is Fault.LOSE_REQUEST:
            return _broken(request)
        if fault is Fault.HTML:
            page = html_page(HTTPStatus.BAD_GATEWAY)
            return web.Response(text=page, status=HTTPStatus.BAD_GATEWAY, content_type="text/html")
        error = {Fault.BUSY: Error.BUSY, Fault.MAINTENANCE: Error.MAINTENANCE}.get(fault, Error.TOO_MANY_REQUESTS)
        return _refusal(ApiError(error))


def _broken(request: web.Request) -> web.Response:
    """The connection is gone; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _refusal(error: ApiError) -> web.Response:
    return web.Response(body=msgspec.json.encode(error.body), status=error.status, content_type="application/json")
