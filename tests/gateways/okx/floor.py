"""A sandbox of OKX, and live market data from it, for one test each."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateways.live.client import Policy
from gateways.live.market import Market
from gateways.live.market_data import LiveData
from gateways.live.route import Route
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.okx.venue import Venue
from gateways.sandbox.pointing import SandboxResolver
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from gateways.venues import VENUES
from oms.instruments import Instrument
from oms.records import TickKind
from tests.gateways.live.floor import DEADLINE_S, Outlet
from tests.gateways.okx.booth import RECORDINGS, SWAP

QUICK: Final = Policy(silent_s=30.0, first_wait_s=0.005, longest_wait_s=0.02, snapshot_every_s=0.01)


class OkxFloor:
    """A sandbox and live data from it."""

    def __init__(self, sandbox: Sandbox, policy: Policy, options: dict[str, Any]) -> None:
        self.sandbox = sandbox
        venue = sandbox.venue
        assert isinstance(venue, Venue)
        self.venue: Venue = venue
        self.outlet = Outlet()
        tls = ssl.create_default_context(cadata=sandbox.ca_pem.decode())
        route = Route(tls, SandboxResolver(sandbox.port, VENUES["okx"].hosts))
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
        await self.until(
            lambda: (
                [len(each.names) for each in self.venue.streams.connections]
                == [3 if self.venue.contract.is_spot else 5] * len(self.live.streams)
            )
        )

    async def step(self, count: int = 1) -> None:
        """Let so many recorded messages come, and be written."""
        self.sandbox.step(count)
        await self.venue.flush()

    async def step_with(self, count: int, *faults: Fault, rate: float = 1.0) -> FaultPlan:
        """Let so many messages come, with what goes wrong."""
        self.venue.faults = FaultPlan(3, dict.fromkeys(faults, rate))
        await self.step(count)
        plan, self.venue.faults = self.venue.faults, FaultPlan()
        return plan

    async def caught_up(self) -> None:
        """Let messages come until the live book is that of the sandbox."""
        before = self.venue.books.seq_id
        while self.venue.books.seq_id == before:
            await self.step()

        def has_all() -> bool:
            book = self.market.book()
            return book is not None and int(book["update_id"][0]) == self.venue.books.seq_id

        await self.until(has_all)

    def check_book(self) -> None:
        """The live book is the recorded one, level by level."""
        mine, theirs = self.market.book(), self.venue.market.book()
        assert mine is not None
        assert len(mine) > 100
        assert mine[["side", "px", "qty"]].tolist() == theirs[["side", "px", "qty"]].tolist()

    def of(self, *kinds: TickKind) -> list[Any]:
        """Of everything of these kinds so far: side, price, quantity and the like, in order."""
        if not self.outlet.frames:
            return []
        ticks = self.outlet.of(*kinds)
        found: list[Any] = ticks[["kind", "side", "px", "qty", "px_2", "qty_2", "update_id", "exch_ts"]].tolist()
        return found

    def recorded(self, kind: TickKind, start: int, stop: int) -> list[Any]:
        """The same of the recording's messages, decoded by themselves."""
        ticks = self._recorded_ticks(start, stop)
        found: list[Any] = ticks[ticks["kind"] == kind][
            ["kind", "side", "px", "qty", "px_2", "qty_2", "update_id", "exch_ts"]
        ].tolist()
        return found

    def _recorded_ticks(self, start: int, stop: int) -> Any:
        from gateways.sandbox.market import RecordedMarket

        instrument = self.venue.instrument
        market = RecordedMarket(open_recording(RECORDINGS[instrument.symbol]), instrument)
        market.open()
        market.step(start)
        ticks = market.step(stop - start).ticks
        ticks = ticks.copy()
        ticks["exch_ts"] -= ticks["exch_ts"] % 1_000_000
        return ticks


def on_floor(
    policy: Policy = QUICK, instrument: Instrument = SWAP, **options: Any
) -> Callable[[Callable[[OkxFloor], Awaitable[None]]], Callable[[], None]]:
    """Turn a coroutine over an ``OkxFloor`` into a test; the options are those of ``LiveData``.

    At its end nothing runs any more, and the sandbox has no connection left.
    """

    async def run(body: Callable[[OkxFloor], Awaitable[None]]) -> None:
        async with Sandbox(open_recording(RECORDINGS[instrument.symbol]), instrument) as sandbox:
            before = asyncio.all_tasks()
            floor = OkxFloor(sandbox, policy, options)
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

    def decorate(body: Callable[[OkxFloor], Awaitable[None]]) -> Callable[[], None]:
        def test() -> None:
            asyncio.run(run(body))

        test.__name__ = body.__name__
        test.__doc__ = body.__doc__
        return test

    return decorate
