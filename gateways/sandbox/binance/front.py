"""What Binance's markets have in common over one recorded instrument: requests, security, limits, faults, streams.

A market of its own adds what its requests do, how it writes, and what it tells an account.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
from aiohttp import web

from gateways.credentials import Credentials
from gateways.sandbox.accounts import Account, Bookkeeper
from gateways.sandbox.binance.errors import ApiError, Error, Words, html_page
from gateways.sandbox.binance.limits import RateLimits
from gateways.sandbox.binance.parameters import Parameters
from gateways.sandbox.binance.routing import Route, Security
from gateways.sandbox.binance.security import Sent, check_signature, check_time, owner_of
from gateways.sandbox.binance.streams import Streams
from gateways.sandbox.clock import Clock, Timers
from gateways.sandbox.conditionals import Conditionals
from gateways.sandbox.exchange import Engine, Event, Exchange, Refusal, RefusedError
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.market import Batch, Frame, RecordedMarket
from oms.instruments import Instrument
from oms.records import TickKind

L = TypeVar("L", bound=Bookkeeper)

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

    venue: Front[Any]
    parameters: Parameters
    account: Account | None

    @property
    def owner(self) -> Account:
        """The account of a request that has one."""
        assert self.account is not None
        return self.account


class Front(Generic[L]):
    """One market; see ``gateways.sandbox.venue.SandboxVenue``.

    Parameters
    ----------
    market
        The recording, open: its book is there.
    ledger
        Who keeps its accounts' books.
    engine
        Of the same instrument.
    faults
        What goes wrong.
    permissions
        What every key may do at first, as the exchange calls it.
    limits
        Of requests and orders.

    Attributes
    ----------
    is_in_maintenance : bool
        Every request is answered with that; set it to begin, and connections end.
    permissions : dict
        What every key may do, as the exchange calls it.
    shift_ms : int
        Added to the times of recorded events: 0 leaves them as they are.
    """

    hosts: tuple[str, ...]
    routes: Mapping[tuple[str, str], Route]
    refusals: Mapping[Refusal, Error]
    words: Words = MappingProxyType({})
    """Status, code and text of the refusals that this market says otherwise than USD-M."""

    def __init__(
        self,
        market: RecordedMarket,
        ledger: L,
        engine: Engine,
        faults: FaultPlan | None,
        permissions: Mapping[str, bool],
        limits: RateLimits,
    ) -> None:
        self.market = market
        self.instrument: Instrument = market.instrument
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.faults = faults or FaultPlan()
        self.exchange = Exchange(self.instrument, ledger, engine, self.clock.now_ns)
        self.conditionals = Conditionals(self.exchange)
        self.limits = limits
        self.streams = self.new_streams()
        self.is_in_maintenance = False
        self.permissions: dict[str, bool] = dict(permissions)
        self.shift_ms = 0
        self._secrets: dict[str, str] = {}
        self._accounts: dict[str, Account] = {}
        self.exchange.listeners.append(self._on_event)

    def new_streams(self) -> Streams:
        """The market's connections."""
        raise NotImplementedError

    def expire_subscription(self, name: str) -> None:
        """Make what a private stream was opened with invalid now."""
        raise NotImplementedError

    def pay_funding(self, rate: int) -> None:
        """Have funding be paid now at a rate in 1e-8, and tell whom it concerns."""
        raise NotImplementedError

    def _on_event(self, event: Event) -> None:
        """Tell the account."""
        raise NotImplementedError

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

    def _pass_on(self, frame: Frame) -> None:
        if self.streams.are_heard(frame.channel):
            self.streams.publish(frame.channel, self._shifted(frame.payload))

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
            return self._refusal(ApiError(self.refusals[refused.refusal]), headers)
        except ApiError as error:
            return self._refusal(error, headers)

    def _handle(self, request: web.Request, sent: Sent, headers: dict[str, str]) -> Any:
        """What a request is answered with; headers are added as they come to be known, for refusals have them too."""
        if self.is_in_maintenance:
            raise ApiError(Error.MAINTENANCE)
        route = self.routes.get((request.method, request.path))
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
            Fault.RATE_LIMIT: ApiError(Error.TOO_MANY_REQUESTS, self.limits.most, retry_after_s=1),
            Fault.BAN: ApiError(Error.BANNED, self.clock.now_ms + 2000, retry_after_s=2),
        }[fault]
        return self._refusal(error, {})

    def _refusal(self, error: ApiError, headers: Mapping[str, str]) -> web.Response:
        error = error.in_words(self.words)
        more = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
        return web.Response(
            body=msgspec.json.encode(error.body),
            status=error.status,
            content_type="application/json",
            headers={**headers, **more},
        )

    def _shifted(self, payload: bytes) -> bytes:
        if not self.shift_ms:
            return payload
        return _TIMES.sub(lambda found: b'"%s":%d' % (found[1], int(found[2]) + self.shift_ms), payload)


def _broken(request: web.Request) -> web.Response:
    """The connection is gone; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
