"""The contract that every venue of the sandbox exchange keeps: what its server, whatever it speaks, needs of it."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import web

from gateways.credentials import Credentials
from gateways.sandbox.accounts import Account
from gateways.sandbox.clock import Clock, Timers
from gateways.sandbox.exchange import Engine, Exchange
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.market import Batch, RecordedMarket
from oms.instruments import Instrument


class SandboxVenue(Protocol):
    """One exchange over one recorded instrument, in the wire format of a real one.

    Attributes
    ----------
    hosts : tuple of str
        The exchange's host names, all of which the server stands for.
    instrument, market, exchange
        What is traded, the recording, and the orders and accounts behind the wire format.
    faults : FaultPlan
        What goes wrong; may be exchanged at any time.
    permissions : dict
        What every key may do, as the exchange calls it.
    is_in_maintenance : bool
        Every request is answered with that.
    shift_ms : int
        Added to the times of recorded events: 0 leaves them as they are.
    """

    hosts: tuple[str, ...]
    instrument: Instrument
    market: RecordedMarket
    exchange: Exchange[Any]
    clock: Clock
    timers: Timers
    faults: FaultPlan
    permissions: dict[str, bool]
    is_in_maintenance: bool
    shift_ms: int

    @property
    def needs_each_message(self) -> bool:
        """Whether recorded messages must come one by one: something waits for a price."""

    def open_account(self, credentials: Credentials, wallet: int) -> Account:
        """A new account with so much cash, in 1e-8 of the settlement currency, and the key that opens it."""

    def take(self, batch: Batch) -> None:
        """Let the market move by recorded messages, and pass them on."""

    def pay_funding(self, rate: int) -> None:
        """Have every position pay, or receive, funding now at a rate in 1e-8, and tell whom it concerns."""

    def begin_maintenance(self) -> None:
        """Answer nothing more, and end all streams."""

    def end_streams(self) -> None:
        """End all connections."""

    async def flush(self) -> None:
        """Wait until everything that streams carry is written."""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or hold a connection."""


class VenueType(Protocol):
    """What ``gateways.venues`` names for the sandbox: a ``SandboxVenue``'s class."""

    def __call__(
        self, market: RecordedMarket, engine: Engine, opened: Batch, faults: FaultPlan | None = None
    ) -> SandboxVenue:
        """A venue over a recording that is open, and what opening it took."""
