"""The sandbox exchange as a server on loopback: a venue over a recording, TLS from an authority of its own.

::

    async with Sandbox(recording, instrument) as sandbox:
        exchange = ccxt.pro.binanceusdm({**sandbox.login, "session": sandbox.session()})
        sandbox.step(100)

Steps are taken by whoever holds it, one recorded message at a time, or by ``play`` at a speed.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from types import TracebackType
from typing import Final

import aiohttp
from aiohttp import web

from gateways.credentials import Credentials
from gateways.sandbox.certificates import Authority
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.market import Frame, RecordedMarket
from gateways.sandbox.matching import Matching
from gateways.sandbox.pointing import LOOPBACK, pointed_session
from gateways.sandbox.stand_ins import check_market
from gateways.sandbox.venue import SandboxVenue, VenueType
from gateways.sidecar import Recording
from gateways.venues import Role, implementation
from oms.decimals import rate
from oms.instruments import Instrument
from oms.records import CASH_SCALE

DEFAULT_BALANCE: Final = 100_000 * CASH_SCALE
NS_PER_S: Final = 1_000_000_000
FLAT_OUT_STEPS: Final = 256
"""Messages of a replay that is as fast as it can be between two looks at the clients."""


def credentials_of(account: int) -> Credentials:
    """The keys of an account by its number: the same in every run, and worth nothing anywhere else."""
    parts = ("key", "secret", "passphrase")
    return Credentials(*(hashlib.sha256(f"zoms sandbox {what} {account}".encode()).hexdigest() for what in parts))


class Sandbox:
    """A venue over a recording.

    Parameters
    ----------
    recording, instrument
        What is replayed, and the definition of what is traded; where that is another venue's, the recording stands for
        its market.
    faults
        What goes wrong; None: nothing.
    accounts
        How many there are; the key and secret of each are ``credentials_of`` its number.
    balance
        What each has at first, in 1e-8 of the settlement currency.
    port
        Where it listens on 127.0.0.1; 0: where there is room.
    loop
        Begin the recording again at its end.

    Attributes
    ----------
    venue : SandboxVenue
    ca_pem : bytes
        The authority's certificate.

    Raises
    ------
    ConfigError
        For an instrument of a venue that there is no sandbox of, or a recording that cannot be its market.
    RecordingError
        For one without a depth snapshot.
    """

    def __init__(
        self,
        recording: Recording,
        instrument: Instrument,
        *,
        faults: FaultPlan | None = None,
        accounts: int = 1,
        balance: int = DEFAULT_BALANCE,
        port: int = 0,
        loop: bool = False,
    ) -> None:
        check_market(instrument, recording)
        venue_type: VenueType = implementation(instrument.venue, Role.SANDBOX)
        market = RecordedMarket(recording, instrument, loop=loop)
        opened = market.open()
        self.venue: SandboxVenue = venue_type(market, Matching(int(market.book()["px"][0])), opened, faults)
        for number in range(accounts):
            self.venue.open_account(credentials_of(number), balance)
        authority = Authority()
        self.ca_pem = authority.pem
        self._context = authority.server_context(self.venue.hosts)
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def login(self) -> dict[str, str]:
        """The first account's keys, as ccxt calls them."""
        key, secret, passphrase = credentials_of(0)
        return {"apiKey": key, "secret": secret, "password": passphrase}

    def session(self) -> aiohttp.ClientSession:
        """A session that reaches the sandbox under the exchange's names; to be closed by its user."""
        return pointed_session(self.port, self.ca_pem, self.venue.hosts)

    async def __aenter__(self) -> Sandbox:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.venue.serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, LOOPBACK, self._port, ssl_context=self._context)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.venue.timers.close()
        self.venue.end_streams()
        if self._runner is not None:
            await self._runner.cleanup()

    def step(self, count: int = 1) -> list[Frame]:
        """Let so many recorded messages come, and return them; fewer at the end.

        A pass that begins anew goes on to its book: the messages until then come with its first. Where a conditional
        order waits they come one by one, so that none is passed over.
        """
        taken: list[Frame] = []
        while len(taken) < count or not self.venue.market.is_in_step:
            wanted = 1 if self.venue.needs_each_message else max(count - len(taken), 1)
            batch = self.venue.market.step(wanted)
            if not batch.frames:
                break
            self.venue.take(batch)
            taken += batch.frames
        return taken

    def advance(self, ms: int) -> None:
        """Put the exchange's clock forward, and do what is due by then."""
        self.venue.clock.skew_ms += ms
        self.venue.timers.run_due()

    def pay_funding(self, funding_rate: str) -> None:
        """Have every position pay, or receive, funding now: above 0 longs pay. A recording that tells when funding is
        due, and at which rate, has it paid then."""
        self.venue.pay_funding(rate("funding rate", funding_rate))

    async def play(self, speed: float | None = 1.0) -> None:
        """Let the recording come at its own pace, so many times as fast; None: as fast as the clients take it.

        The times of its events become those of now. Returns at the end of the recording.
        """
        market, venue = self.venue.market, self.venue
        start_ts, started_ns = market.ts, time.monotonic_ns()
        venue.shift_ms = venue.clock.now_ms - start_ts // 1_000_000
        while True:
            frames = self.step(1 if speed else FLAT_OUT_STEPS)
            if not frames:
                return
            if speed is None:
                await venue.flush()
                await asyncio.sleep(0)
                continue
            recorded_ns = market.ts - start_ts
            wait_ns = int(recorded_ns / speed) - (time.monotonic_ns() - started_ns)
            await asyncio.sleep(max(wait_ns / NS_PER_S, 0))
