"""HTX's public streams over a recording, and live market data from them, for one test each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from gateways.decoder import Ticks
from gateways.live.client import Policy
from gateways.live.market import Market
from gateways.live.market_data import LiveData
from gateways.live.route import Route
from gateways.sandbox.certificates import Authority
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.htx.venue import PING_MS, PublicVenue
from gateways.sandbox.market import RecordedMarket
from gateways.sandbox.pointing import LOOPBACK, SandboxResolver
from gateways.sidecar import open_recording
from gateways.venues import VENUES
from oms.instruments import Instrument
from oms.records import TickKind
from tests.gateways.live.floor import DEADLINE_S, Outlet
from tests.gateways.reference import SPOT_FILE
from tests.gateways.sandbox.desk import RECORDING

QUICK: Final = Policy(silent_s=30.0, first_wait_s=0.005, longest_wait_s=0.02, snapshot_every_s=0.01)

SPOT: Final = Instrument(
    id=4, symbol="btcusdt", venue="htx_spot", kind="spot", base="BTC", quote="USDT", tick="0.01", lot="0.00001"
)
LINEAR: Final = Instrument(
    id=3,
    symbol="BTC-USDT",
    venue="htx_linear",
    kind="linear_perpetual",
    base="BTC",
    quote="USDT",
    tick="0.1",
    lot="1",
    multiplier="0.001",
)
RECORDINGS: Final[dict[str, Path]] = {SPOT.venue: SPOT_FILE, LINEAR.venue: RECORDING}
"""Those of Binance whose grid is the same."""

_FACTS: Final = ["kind", "side", "px", "qty", "px_2", "qty_2", "exch_ts"]


def recorded_market(instrument: Instrument) -> RecordedMarket:
    """The market of an instrument."""
    return RecordedMarket(open_recording(RECORDINGS[instrument.venue]), instrument)


class HtxFloor:
    """The exchange's public side, and live data from it."""

    def __init__(self, venue: PublicVenue, port: int, ca_pem: bytes, policy: Policy, options: dict[str, Any]) -> None:
        self.venue = venue
        self.port = port
        self.ca_pem = ca_pem
        self.outlet = Outlet()
        tls = ssl.create_default_context(cadata=ca_pem.decode())
        route = Route(tls, SandboxResolver(port, VENUES[venue.instrument.venue].hosts))
        self.live = LiveData([venue.instrument], route, self.outlet, policy, **options)

    @property
    def market(self) -> Market:
        """The one market."""
        return self.live.markets[0]

    async def until(self, reached: Callable[[], Any]) -> Any:
        """Let everything go on until ``reached()`` is true; fails at the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while not (found := reached()):
                await asyncio.sleep(0)
            return found

    async def in_step(self) -> None:
        """Wait until the streams are up, at both ends, and there is a book."""
        await self.until(lambda: self.market.is_in_step and all(stream.is_up for stream in self.live.streams))
        topics = sum(text.startswith('{"sub"') for stream in self.live.streams for text in stream._greeting)
        await self.until(lambda: sum(len(each.names) for each in self.venue.connections) == topics)

    async def step(self, count: int = 1) -> None:
        """Let so many recorded messages come, and be written."""
        for _ in range(count):
            self.venue.take(self.venue.market.step())
        await self.venue.flush()

    async def step_with(self, count: int, *faults: Fault, rate: float = 1.0) -> None:
        """Let so many messages come, with what goes wrong."""
        self.venue.faults = FaultPlan(3, dict.fromkeys(faults, rate))
        await self.step(count)
        self.venue.faults = FaultPlan()

    async def caught_up(self) -> None:
        """Let messages come until the live book is that of the exchange."""
        before = self.venue.messages.number
        while self.venue.messages.number == before:
            await self.step()

        def has_all() -> bool:
            book = self.market.book()
            return book is not None and int(book["update_id"][0]) == self.venue.messages.number

        await self.until(has_all)

    def check_book(self) -> None:
        """The live book is the recorded one, level by level."""
        mine, theirs = self.market.book(), self.venue.market.book()
        assert mine is not None
        assert len(mine) > 100
        assert mine[["side", "px", "qty"]].tolist() == theirs[["side", "px", "qty"]].tolist()

    def of(self, *kinds: TickKind) -> list[Any]:
        """Of everything of these kinds so far: side, price, quantity and time, in order."""
        return self.outlet.of(*kinds)[_FACTS].tolist() if self.outlet.frames else []

    async def has_heard(self, kind: TickKind, count: int) -> None:
        """Wait for so many records."""
        await self.until(lambda: self.outlet.frames and len(self.outlet.of(kind)) >= count)

    async def answers_ping(self) -> None:
        """Let the time of the next ping come, and every connection answer it."""
        answered = {connection: connection.pongs for connection in self.venue.connections}
        self.venue.clock.skew_ms += PING_MS
        self.venue.timers.run_due()
        await self.until(lambda: all(connection.pongs > count for connection, count in answered.items()))

    def kinds(self, *kinds: TickKind) -> list[int]:
        """Of the messages of these kinds so far, each one's."""
        ticks: Ticks = self.outlet.of(*kinds)
        found: list[int] = ticks["kind"][ticks["flags"] & 1 != 0].tolist()
        return found

    def recorded(self, kind: TickKind, count: int) -> list[Any]:
        """The same of the recording's first messages behind its book, decoded by themselves."""
        market = recorded_market(self.venue.instrument)
        market.open()
        ticks = market.step(count).ticks.copy()
        ticks["exch_ts"] -= ticks["exch_ts"] % 1_000_000
        found: list[Any] = ticks[ticks["kind"] == kind][_FACTS].tolist()
        return found


def on_floor(
    instrument: Instrument, policy: Policy = QUICK, **options: Any
) -> Callable[[Callable[[HtxFloor], Awaitable[None]]], Callable[[], None]]:
    """Turn a coroutine over an ``HtxFloor`` into a test; the options are those of ``LiveData``.

    At its end nothing runs any more, and the exchange has no connection left.
    """

    async def run(body: Callable[[HtxFloor], Awaitable[None]]) -> None:
        market = recorded_market(instrument)
        venue = PublicVenue(market, market.open())
        authority = Authority()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", venue.serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        context = authority.server_context(VENUES[instrument.venue].hosts)
        await web.TCPSite(runner, LOOPBACK, 0, ssl_context=context).start()
        before = asyncio.all_tasks()
        floor = HtxFloor(venue, runner.addresses[0][1], authority.pem, policy, options)
        running = asyncio.ensure_future(floor.live.run())
        test = asyncio.ensure_future(body(floor))
        try:
            async with asyncio.timeout(DEADLINE_S):
                await asyncio.wait((running, test), return_when=asyncio.FIRST_COMPLETED)
            if not test.done():
                await running  # raises what ended it
            await test
        finally:
            test.cancel()
            running.cancel()
            await asyncio.gather(test, running, return_exceptions=True)
        await floor.until(lambda: not venue.connections)
        await floor.until(lambda: asyncio.all_tasks() <= before)
        venue.timers.close()
        await runner.cleanup()

    def decorate(body: Callable[[HtxFloor], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            asyncio.run(run(body))

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        return test

    return decorate
