"""Binance USD-M futures over one recorded instrument: what a request or a frame of the recording leads to."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web

from gateways.credentials import Credentials
from gateways.sandbox.accounts import Account
from gateways.sandbox.binance.account import KEY_PERMISSIONS
from gateways.sandbox.binance.errors import ApiError, Error, html_page
from gateways.sandbox.binance.limits import RateLimits
from gateways.sandbox.binance.listen_keys import ListenKeys
from gateways.sandbox.binance.orders import translated
from gateways.sandbox.binance.parameters import Parameters
from gateways.sandbox.binance.public import aggregate_event, mark_event
from gateways.sandbox.binance.routes import ROUTES, Route, Security
from gateways.sandbox.binance.security import Sent, check_signature, check_time, owner_of
from gateways.sandbox.binance.streams import Streams
from gateways.sandbox.binance.views import Json, Views
from gateways.sandbox.clock import Clock, Timers
from gateways.sandbox.conditionals import Conditional, Conditionals
from gateways.sandbox.exchange import Engine, Event, Exchange, RefusedError
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.market import TRADE_FIELDS, Batch, Frame, RecordedMarket, Trade
from oms.instruments import Instrument
from oms.records import TickKind

HOSTS: Final = ("fapi.binance.com", "fstream.binance.com", "api.binance.com")
"""The exchange's hosts that the sandbox stands for."""

MARK_MS: Final = 1000
"""Of the recording, between two mark prices."""

DELAY_S: Final = 0.3
"""How late a delayed answer is."""

_TIMES: Final = re.compile(rb'"([ET])":(\d{13})')

BEFORE: Final = (
    Fault.LOSE_REQUEST,
    Fault.BUSY,
    Fault.HTML,
    Fault.RATE_LIMIT,
    Fault.BAN,
    Fault.MAINTENANCE,
)
AFTER: Final = (Fault.LOSE_ANSWER, Fault.UNKNOWN, Fault.DELAY)


class Call(NamedTuple):
    """One request: its parameters, and the account that asks, if any."""

    venue: Venue
    parameters: Parameters
    account: Account | None

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
    is_in_maintenance : bool
        Every request is answered with that; set it to begin, and connections end.
    permissions : dict
        What every key may do, as the exchange calls it.
    shift_ms : int
        Added to the times of recorded events: 0 leaves them as they are.
    """

    hosts: tuple[str, ...] = HOSTS

    def __init__(self, market: RecordedMarket, engine: Engine, opened: Batch, faults: FaultPlan | None = None) -> None:
        self.market = market
        self.instrument: Instrument = market.instrument
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.faults = faults or FaultPlan()
        self.exchange = Exchange(self.instrument, engine, self.clock.now_ns)
        self.conditionals = Conditionals(self.exchange)
        self.views = Views(self.exchange, self.instrument, market.px_decimals)
        self.limits = RateLimits()
        self.streams = Streams(self)
        self.listen_keys = ListenKeys(self.timers, self._tell_expired)
        self.is_in_maintenance = False
        self.permissions: dict[str, bool] = dict(KEY_PERMISSIONS)
        self.shift_ms = 0
        self._secrets: dict[str, str] = {}
        self._accounts: dict[str, Account] = {}
        self._marked_ms = 0
        self.exchange.listeners.append(self._on_event)
        self.conditionals.listeners.append(self._on_conditional)
        self.exchange.move(opened.ticks)

    def open_account(self, credentials: Credentials, wallet: int) -> Account:
        """A new account with so much cash, in 1e-8 of the settlement currency, and the key that opens it."""
        account = self.exchange.open_account(wallet)
        self._secrets[credentials.key] = credentials.secret
        self._accounts[credentials.key] = account
        return account

    def parameters(self, given: Mapping[str, str]) -> Parameters:
        """Parameters to be read strictly."""
        return Parameters(given, self.instrument, self.market.px_decimals)

    def take(self, batch: Batch) -> None:
        """Let the market move by recorded messages, and pass them on."""
        self.exchange.move(batch.ticks)
        self.conditionals.check()
        for rate in batch.ticks["qty"][batch.ticks["kind"] == TickKind.FUNDING].tolist():
            self.pay_funding(rate)
        for frame in batch.frames:
            if frame.restarts:
                self.streams.end_all("public", "market")
            if frame.channel:
                self._pass_on(frame)

    def pay_funding(self, rate: int) -> None:
        """Have funding be paid now at a rate in 1e-8, and tell whom it concerns."""
        for account, amount in self.exchange.pay_funding(rate):
            key = self.listen_keys.of(account)
            self._tell(key, self.views.funding_update(account, amount, self.clock.now_ms))

    def _pass_on(self, frame: Frame) -> None:
        streams = self.streams
        if streams.are_heard(frame.channel):
            streams.publish(frame.channel, self._shifted(frame.payload))
        event_ms = frame.ts // 1_000_000 + self.shift_ms
        if frame.channel == "trade" and frame.records and streams.are_heard("aggTrade"):
            trade = Trade(*frame.ticks[list(TRADE_FIELDS)].tolist()[0])
            streams.publish("aggTrade", msgspec.json.encode(aggregate_event(self, trade, event_ms)))
        if not self._marked_ms <= event_ms < self._marked_ms + MARK_MS:
            self._marked_ms = event_ms
            streams.publish("markPrice", msgspec.json.encode(mark_event(self, event_ms)))

    @property
    def needs_each_message(self) -> bool:
        """While a conditional order waits."""
        return self.conditionals.are_open

    def begin_maintenance(self) -> None:
        """Answer nothing more, and end all streams."""
        self.is_in_maintenance = True
        self.end_streams()

    def end_streams(self) -> None:
        """End all connections."""
        self.streams.end_all("public", "market", "private")

    async def flush(self) -> None:
        """Wait until everything that streams carry is written."""
        await self.streams.flush()

    def expire_listen_key(self, key: str) -> None:
        """Make a listen key invalid now."""
        for account in self.exchange.accounts:
            if self.listen_keys.of(account) == key:
                self.listen_keys.expire(account)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or hold a connection."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return web.Response(status=503) if self.is_in_maintenance else await self.streams.serve(request)
        return await self._answer(request)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = (await request.read()).decode("utf-8", "replace")
        headers: dict[str, str] = {}
        try:
            fault = self.faults.first(*BEFORE)
            if fault is not None:
                return self._failure(request, fault)
            content = self._handle(request, Sent(request.rel_url.raw_query_string, body), headers)
            fault = self.faults.first(*AFTER)
            if fault is Fault.LOSE_ANSWER:
                return _broken(request)
            if fault is Fault.UNKNOWN:
                raise ApiError(Error.UNKNOWN_STATE)
            if fault is Fault.DELAY:
                await asyncio.sleep(DELAY_S)
            return web.Response(body=msgspec.json.encode(content), content_type="application/json", headers=headers)
        except RefusedError as refused:
            return _refusal(translated(refused), headers)
        except ApiError as error:
            return _refusal(error, headers)

    def _handle(self, request: web.Request, sent: Sent, headers: dict[str, str]) -> Any:
        """What a request is answered with; headers are added as they come to be known, for refusals have them too."""
        if self.is_in_maintenance:
            raise ApiError(Error.MAINTENANCE)
        route = ROUTES.get((request.method, request.path))
        if route is None:
            raise ApiError(Error.UNKNOWN_PATH)
        given = sent.parameters
        call = Call(self, self.parameters(given), None)
        weight = route.weight if isinstance(route.weight, int) else route.weight(call)
        now_ms = self.clock.now_ms
        headers |= self.limits.charge_weight(request.remote or "", weight, now_ms)
        if route.security is not Security.NONE:
            call = call._replace(account=self._authenticated(route, request, sent, given))
        if route.orders != (0, 0):
            headers |= self.limits.charge_orders(str(call.owner.number), *route.orders, now_ms)
        return route.handler(self, call)

    def _authenticated(self, route: Route, request: web.Request, sent: Sent, given: Mapping[str, str]) -> Account:
        key = owner_of(request.headers.get("X-MBX-APIKEY"), self._secrets)
        if route.security is Security.SIGNED:
            check_time(given, self.clock.now_ms)
            check_signature(sent, self._secrets[key])
        return self._accounts[key]

    def _failure(self, request: web.Request, fault: Fault) -> web.Response:
        """What a request comes to that nothing is done about."""
        if fault is Fault.LOSE_REQUEST:
            return _broken(request)
        if fault is Fault.HTML:
            page = html_page(HTTPStatus.BAD_GATEWAY)
            return web.Response(text=page, status=HTTPStatus.BAD_GATEWAY, content_type="text/html")
        error = {
            Fault.BUSY: ApiError(Error.BUSY),
            Fault.MAINTENANCE: ApiError(Error.MAINTENANCE),
            Fault.RATE_LIMIT: ApiError(Error.TOO_MANY_REQUESTS, 2400, retry_after_s=1),
            Fault.BAN: ApiError(Error.BANNED, self.clock.now_ms + 2000, retry_after_s=2),
        }[fault]
        return _refusal(error, {})

    def _on_event(self, event: Event) -> None:
        key = self.listen_keys.of(event.order.account)
        if event.fill is not None:
            self._tell(key, self.views.account_update(event.order.account, event.ts_ms))
        self._tell(key, self.views.order_update(event))

    def _on_conditional(self, conditional: Conditional) -> None:
        self._tell(self.listen_keys.of(conditional.account), self.views.conditional_update(conditional))

    def _tell(self, key: str | None, event: Json) -> None:
        self.streams.publish_private(key, msgspec.json.encode(event))

    def _tell_expired(self, key: str) -> None:
        """listenKeyExpired; the exchange writes this event's time as text, as a client's log of one shows."""
        event = {"e": "listenKeyExpired", "E": str(self.clock.now_ms), "listenKey": key}
        for connection in self.streams.connections:
            if connection.entry == "private" and key in connection.names:
                connection.tell(msgspec.json.encode(event))

    def _shifted(self, payload: bytes) -> bytes:
        if not self.shift_ms:
            return payload
        return _TIMES.sub(lambda found: b'"%s":%d' % (found[1], int(found[2]) + self.shift_ms), payload)


def _broken(request: web.Request) -> web.Response:
    """The connection is gone; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _refusal(error: ApiError, headers: Mapping[str, str]) -> web.Response:
    more = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return web.Response(
        body=msgspec.json.encode(error.body),
        status=error.status,
        content_type="application/json",
        headers={**headers, **more},
    )
