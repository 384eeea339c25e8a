"""A sandbox exchange, and live market data from it, for one test each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from gateways.book import BookRebuild
from gateways.decoder import Ticks
from gateways.live.client import Policy, Stream
from gateways.live.market import Market
from gateways.live.market_data import LiveData
from gateways.live.route import Route
from gateways.recording import load_ticks
from gateways.sandbox.binance.front import Front
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.market import Frame
from gateways.sandbox.pointing import SandboxResolver
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from gateways.venues import VENUES
from oms.compiled import JIT
from oms.records import TickFlag, TickKind
from tests.gateways.sandbox.desk import RECORDING, shipped_instrument

DEADLINE_S: Final = 60.0
STEPS: Final = 4_000 if JIT else 600
"""Recorded messages that a test lets come."""

QUICK: Final = Policy(silent_s=30.0, first_wait_s=0.005, longest_wait_s=0.02, snapshot_every_s=0.005)
STREAMED: Final = (TickKind.DEPTH, TickKind.TRADE, TickKind.QUOTE)


class Outlet:
    """Stands for the bus: keeps what is published, and says that something was."""

    def __init__(self) -> None:
        self.frames: list[Ticks] = []
        self.subscribers = 1
        self.came = asyncio.Event()

    def send(self, records: Ticks) -> None:
        """Keep a frame."""
        self.frames.append(records.copy())
        self.came.set()

    def poll_subscribers(self) -> int:
        """As many as the test says."""
        return self.subscribers

    @property
    def ticks(self) -> Ticks:
        """Everything so far."""
        return np.concatenate(self.frames)

    def of(self, *kinds: TickKind) -> Ticks:
        """Everything of these kinds so far."""
        ticks = self.ticks
        return ticks[np.isin(ticks["kind"], kinds)]


class Floor:
    """A sandbox and live data from it."""

    def __init__(self, sandbox: Sandbox, policy: Policy, options: dict[str, Any]) -> None:
        self.sandbox = sandbox
        venue = sandbox.venue
        assert isinstance(venue, Front)
        self.venue: Front[Any] = venue
        self.outlet = Outlet()
        self.route = route_to(sandbox)
        self.live = LiveData([sandbox.venue.instrument], self.route, self.outlet, policy, **options)

    @property
    def market(self) -> Market:
        """The one market."""
        return self.live.markets[0]

    @property
    def book_streams(self) -> list[Stream]:
        """The streams of its book."""
        feeds = self.live.venue.feeds(self.market.instrument)
        addresses = [feed.url for feed in feeds if feed.carries_book]
        return [each for each in self.live.streams if isinstance(each, Stream) and each.url in addresses]

    async def until(self, reached: Callable[[], Any]) -> Any:
        """Let everything go on until ``reached()`` is true; fails at the deadline."""
        async with asyncio.timeout(DEADLINE_S):
            while not (found := reached()):
                await asyncio.sleep(0)
            return found

    async def in_step(self) -> None:
        """Wait until the streams are up, at both ends, and there is a book."""
        await self.until(lambda: self.market.is_in_step and all(stream.is_up for stream in self.live.streams))
        await self.until(lambda: len(self.venue.streams.connections) == len(self.live.streams))

    async def step(self, count: int = 1) -> list[Frame]:
        """Let so many messages come, and be written."""
        frames = self.sandbox.step(count)
        await self.venue.streams.flush()
        return frames

    async def step_until(self, channel: str) -> Frame:
        """Let messages come up to and with the next of a channel."""
        while True:
            (frame,) = await self.step()
            if frame.channel == channel:
                return frame

    async def step_with(self, plan: FaultPlan, count: int) -> list[Frame]:
        """Let so many messages come, with what goes wrong by a plan."""
        self.venue.faults = plan
        frames = await self.step(count)
        self.venue.faults = FaultPlan()
        return frames

    async def lose(self, channel: str) -> None:
        """Have messages dropped up to and with the next of a channel."""
        self.venue.faults = FaultPlan(1, {Fault.DROP: 1.0})
        await self.step_until(channel)
        self.venue.faults = FaultPlan()

    async def caught_up(self) -> None:
        """Let messages come until the live book is that of the sandbox, which had better be soon."""
        await self.step_until("depth")

        def has_all() -> bool:
            book = self.market.book()
            return book is not None and int(book["update_id"][0]) == self.last_id

        await self.until(has_all)

    @property
    def last_id(self) -> int:
        """Id of the last update of the sandbox's book."""
        return int(self.venue.market.book()["update_id"][0])

    def check_book(self, levels: int = 20) -> None:
        """The live book, and that of whoever has heard all that was published, are the sandbox's."""
        heard = BookRebuild()
        heard.take(self.outlet.ticks)
        for book in (self.market.book(), heard.snapshot(0)):
            assert book is not None
            for side in (1, -1):
                mine, theirs = (
                    each[each["side"] == side][:levels][["px", "qty"]].tolist()
                    for each in (book, self.venue.market.book())
                )
                assert mine == theirs

    async def streamed(self, frames: list[Frame]) -> None:
        """Wait for as many ticks as these messages give, which are the first that have come since the floor was made.

        They are what the recording's own decoder makes of them, but for the receive times.
        """
        count = sum(len(frame.ticks) for frame in frames)
        await self.until(lambda: len(self.outlet.of(*STREAMED)) >= count)
        first = next(frame.ticks[0] for frame in frames if len(frame.ticks))
        recorded = load_ticks(self.venue.market.recording.path, self.venue.instrument)
        recorded = recorded[np.isin(recorded["kind"], STREAMED)]
        same = (recorded["kind"] == first["kind"]) & (recorded["update_id"] == first["update_id"])
        start = int(np.flatnonzero(same & (recorded["flags"] & TickFlag.FIRST != 0))[-1])
        heard = self.outlet.of(*STREAMED)
        recorded = recorded[start : start + count]
        assert (np.diff(heard["local_ts"]) >= 0).all()
        for ticks in (heard, recorded):
            ticks["local_ts"] = 0
        assert heard.tobytes() == recorded.tobytes()


def route_to(sandbox: Sandbox) -> Route:
    """The way to a sandbox."""
    tls = ssl.create_default_context(cadata=sandbox.ca_pem.decode())
    return Route(tls, SandboxResolver(sandbox.port, VENUES[sandbox.venue.instrument.venue].hosts))


def on_floor(
    policy: Policy = QUICK, recording: Path = RECORDING, **options: Any
) -> Callable[[Callable[[Floor], Awaitable[None]]], Callable[[], None]]:
    """Turn a coroutine over a ``Floor`` into a test; the options are those of ``LiveData``.

    At its end nothing runs any more, and the sandbox has no connection left.
    """

    def decorate(body: Callable[[Floor], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            asyncio.run(_run(body, policy, recording, options))

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        return test

    return decorate


async def _run(
    body: Callable[[Floor], Awaitable[None]], policy: Policy, recording: Path, options: dict[str, Any]
) -> None:
    async with Sandbox(open_recording(recording), shipped_instrument(recording)) as sandbox:
        before = asyncio.all_tasks()
        floor = Floor(sandbox, policy, options)
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
        await floor.until(lambda: not floor.venue.streams.connections)
        await floor.until(lambda: asyncio.all_tasks() <= before)
