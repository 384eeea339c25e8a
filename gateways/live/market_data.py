"""The gateway process of live market data: an exchange's streams on the bus as they arrive.

What one read of a socket has brought goes out at once, in frames of at most ``MAX_FRAME_RECORDS``. A subscriber that
joins in the middle (a restarted core) gets the books of that moment as SNAPSHOTs. When the core has put another version
of an instrument in force, its ticks go on in that, behind STALE and a new snapshot. Nothing waits for a slow
subscriber: what it loses it knows, by the frames' numbers.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import zmq

from gateways.in_force import InForce
from gateways.live.client import DEFAULT_POLICY, Policy, Stream
from gateways.live.clock import ClockOffset
from gateways.live.connection import Connect
from gateways.live.market import Market
from gateways.live.requests import RequestError, Requests
from gateways.live.route import Route, route_of
from gateways.live.venue import Kept, MarketDataVenue, Watching
from gateways.replay import HEARTBEATS_WAITED, MAX_FRAME_RECORDS, MAX_SLEEP_S, RefusalLog, frame_end
from gateways.seldom_log import SeldomLog
from gateways.venues import Role, implementation, venue_among
from oms.bus import Publisher
from oms.compiled import Progress, compile_entries
from oms.config import Settings
from oms.instruments import Instrument
from oms.lifecycle import Lifecycle
from oms.records import RecordKind, Source, TickFlag

Ticks = npt.NDArray[np.void]

LOOK_S: Final = MAX_SLEEP_S
"""Longest time without a look at the subscribers, the versions in force and the stop flag."""

ASK_EVERY_S: Final = 60.0
"""Between two looks at the exchange's clock and the instruments' status."""


class Outlet(Protocol):
    """What takes the frames: a ``Publisher``."""

    def send(self, records: Ticks) -> None:
        """Send one frame."""

    def poll_subscribers(self) -> int:
        """How many subscribers there are now."""


class LiveData:
    """The live markets of one venue on one socket.

    Parameters
    ----------
    instruments
        Of one venue.
    route
        Where the venue is.
    publisher
        Of TICK frames.
    policy
        How patient the streams are.
    connections
        To each stream.
    connect
        By which library; None: the fastest that is installed.
    log
        Takes a line when a connection was lost, and when it is there again.

    Attributes
    ----------
    markets : list of Market
    venue : MarketDataVenue
    streams : list of Kept
        All of them, those that carry books and the others.
    frames : int
        Frames published.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        route: Route,
        publisher: Outlet,
        policy: Policy = DEFAULT_POLICY,
        connections: int = 1,
        connect: Connect | None = None,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.log = SeldomLog(log)
        self.venue: MarketDataVenue = implementation(instruments[0].venue, Role.MARKET_DATA)
        self.markets = [Market(instrument, self._publish, self.venue.checksums) for instrument in instruments]
        self.streams: list[Kept] = []
        self.clock = ClockOffset()
        self.frames = 0
        self._route = route
        self._publisher = publisher
        self._policy = policy
        self._subscribers = publisher.poll_subscribers()
        self._renewing: dict[str, list[Stream]] = {}
        """By symbol the streams on which the whole book comes anew when that is asked for."""
        for market in self.markets:
            self._add_streams(market, connections, connect)
        if isinstance(self.venue, Watching):
            self.streams += self.venue.streams(self.markets, route, policy, self.log)

    def _add_streams(self, market: Market, connections: int, connect: Connect | None) -> None:
        def book_changed() -> None:
            market.set_up(is_up=any(stream.is_up for stream in of_book))

        of_book: list[Stream] = []
        for feed in self.venue.feeds(market.instrument):
            on_change = book_changed if feed.carries_book else _nothing
            arguments = (feed.url, self._route, market, on_change, self._policy, connect, *feed[2:])
            streams = [Stream(*arguments, log=self.log) for _ in range(1 if feed.is_alone else connections)]
            self.streams += streams
            of_book += streams if feed.carries_book else []
            if feed.renewal:
                self._renewing[market.instrument.symbol] = streams

    async def run(self) -> None:
        """Keep everything up until cancelled; raises what goes wrong here, not at the exchange."""
        async with Requests(self._route) as requests, asyncio.TaskGroup() as tasks:
            work: list[Coroutine[Any, Any, None]] = [stream.run() for stream in self.streams]

            def ask(instrument: Instrument) -> Awaitable[bytes]:
                return self._ask_book(requests, instrument)

            work += [market.keep_in_step(ask, self._policy) for market in self.markets]
            for each in [*work, self._ask(requests)]:
                tasks.create_task(each)

    async def _ask_book(self, requests: Requests, instrument: Instrument) -> bytes:
        """The whole book; empty where it comes on a stream."""
        streams = self._renewing.get(instrument.symbol)
        if streams is None:
            return await self.venue.snapshot(requests, instrument)
        if not any(stream.renew() for stream in streams):
            raise RequestError(f"no stream of {instrument.symbol} is up")
        return b""

    async def _ask(self, requests: Requests) -> None:
        """Ask for the exchange's time and what it trades, again and again; an answer that does not come is missed."""
        while True:
            with suppress(RequestError):
                await self.clock.measure(lambda: self.venue.server_ms(requests))
            with suppress(RequestError):
                self.note_traded(await self.venue.traded(requests))
            await asyncio.sleep(ASK_EVERY_S)

    def note_traded(self, symbols: Collection[str]) -> None:
        """Take note of what the exchange trades."""
        for market in self.markets:
            market.set_trading(is_trading=market.instrument.symbol in symbols)

    def look(self) -> None:
        """Welcome new subscribers, see that no book is old, and tell of connections what is due."""
        self.log.look()
        known, self._subscribers = self._subscribers, self._publisher.poll_subscribers()
        for market in self.markets:
            market.check(self._policy.silent_s)
            if self._subscribers > known and (book := market.book()) is not None:
                self._publish(book)

    def counters(self) -> dict[str, float]:
        """The gateway's heartbeat counters."""
        markets, streams = self.markets, self.streams
        read = [market.counters for market in markets]
        return {
            "messages": float(sum(each.messages for each in read)),
            "ticks": float(sum(market.ticks for market in markets)),
            "refused": float(sum(each.refused.total() for each in read)),
            "ignored": float(sum(each.ignored for each in read)),
            "slow": float(sum(each.slow for each in read)),
            "repeated": float(sum(market.repeats.count for market in markets)),
            "gaps": float(sum(market.sequencer.gaps for market in markets)),
            "snapshots": float(sum(market.snapshots for market in markets)),
            "snapshots_failed": float(sum(market.snapshots_failed for market in markets)),
            "checked": float(sum(market.checked for market in markets)),
            "wrong": float(sum(market.wrong for market in markets)),
            "stale": float(sum(not market.is_in_step for market in markets)),
            "streams": float(len(streams)),
            "connected": float(sum(stream.is_up for stream in streams)),
            "opened": float(sum(stream.opened for stream in streams)),
            "failed": float(sum(stream.failed for stream in streams)),
            "silent": float(sum(stream.silent for stream in streams)),
            "clock_offset_ms": self.clock.offset_ms,
            "clock_error_ms": self.clock.error_ms,
        }

    def _publish(self, ticks: Ticks) -> None:
        if len(ticks) <= MAX_FRAME_RECORDS:
            self._send(ticks)
            return
        ends = np.flatnonzero(ticks["flags"] & TickFlag.LAST) + 1
        start = 0
        while start < len(ticks):
            stop = frame_end(ends, start, len(ticks))
            self._send(ticks[start:stop])
            start = stop

    def _send(self, records: Ticks) -> None:
        self._publisher.send(records)
        self.frames += 1


def run(settings: Settings, life: Lifecycle, context: zmq.Context[Any], venue: str = "") -> int:
    """The gateway process of one venue; see ``oms.process``.

    Parameters
    ----------
    venue
        Whose live instruments; empty: the only one that they have.

    Raises
    ------
    ConfigError, BusError
        When an instrument or the endpoint cannot be used.
    """
    exchange = venue_among((each.venue for each in settings.live_instruments), Role.MARKET_DATA, venue)
    instruments = [each for each in settings.live_instruments if each.venue == exchange.name]
    route = route_of(settings.live.sandbox.get(exchange.name), exchange.hosts)
    source = settings.source(Source.GATEWAY, exchange.name)
    publisher = Publisher(context, settings.live_ticks_endpoint(exchange.name), RecordKind.TICK, source)
    in_force = [InForce(settings, context, instrument) for instrument in instruments]

    def on_progress(progress: Progress) -> None:
        life.beat({"compiled": progress.done, "to_compile": progress.total}, "compiling")

    def going_on() -> bool:
        life.beat({"subscribers": publisher.subscribers}, "ready")
        return not life.stopping

    compile_entries(on_progress)
    expected = 2 if settings.record_ticks else 1
    while publisher.poll_subscribers(timeout_ms=int(LOOK_S * 1000)) < expected and going_on():
        pass
    told = [each.wait(HEARTBEATS_WAITED * settings.heartbeat_s, going_on) for each in in_force]
    policy = Policy(silent_s=settings.live.silent_s)
    live = LiveData(told, route, publisher, policy, settings.live.connections, log=say)
    refusals = [RefusalLog(market) for market in live.markets]

    def attend() -> bool:
        life.beat(live.counters(), "ready")
        for market, core in zip(live.markets, in_force, strict=True):
            if (instrument := core.look()) is not market.instrument:
                market.change_version(instrument)
        for refusal in refusals:
            refusal.look()
        return not life.stopping

    gc.collect()
    gc.freeze()  # what the compiler left need not be looked at again
    if not life.stopping:
        run_loop(serve(live, attend))
    live.log.close()
    for refusal in refusals:
        refusal.close()
    life.beat(live.counters(), "stopping")
    for each in in_force:
        each.close()
    publisher.close()
    return 0


async def serve(live: LiveData, attend: Callable[[], bool]) -> None:
    """Run until ``attend``, which is called at least every ``LOOK_S``, says no."""
    running = asyncio.ensure_future(live.run())
    try:
        while attend() and not running.done():
            live.look()
            await asyncio.wait((running,), timeout=LOOK_S)
        if running.done():
            running.result()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        sys.stderr.write("uvloop is not installed, and market data are slower without it: pip install zoms[live]\n")
        asyncio.run(work)
    else:
        uvloop.run(work)


def say(line: str) -> None:
    """Write a line to the process's log."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _nothing() -> None:
    """What follows from a change of a stream that carries no book."""
