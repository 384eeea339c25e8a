"""The process of an order gateway: COMMAND frames from the core in, REPORT frames to it out.

The keys come from the environment or the system's keyring (``gateways.credentials``), and go nowhere but into ccxt. The
settings' ``[live]`` may name a sandbox on this machine that stands for the exchange.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import zmq

from gateways.credentials import read_credentials
from gateways.orders.clock import Clock
from gateways.orders.gateway import OrderGateway
from gateways.orders.ids import ClientIds
from gateways.orders.known import Known
from gateways.orders.past import left_orders
from gateways.orders.venue import Venue, VenueType
from gateways.sandbox.pointing import pointed_session
from gateways.venues import Role, implementation, venue_among
from oms.bus import Puller, Pusher, Records, has_input
from oms.config import ConfigError, LiveSettings, Settings
from oms.lifecycle import Lifecycle
from oms.records import RecordKind, Source

Say = Callable[[str], None]


class Life(Protocol):
    """What a process needs of its ``Lifecycle``."""

    @property
    def stopping(self) -> bool:
        """Whether to end."""

    def beat(self, counters: Mapping[str, float], state: str = "") -> bool:
        """Send a heartbeat when it is due."""


class ReportSender:
    """Sends the reports of one turn of the loop in one frame.

    Parameters
    ----------
    pusher
        Of REPORT frames.
    """

    def __init__(self, pusher: Pusher) -> None:
        self._pusher = pusher
        self._waiting: list[bytes] = []
        self.reports = 0

    def add(self, report: Records) -> None:
        """Take a report; it leaves before anything else comes in."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(report.tobytes())
        self.reports += len(report)

    def flush(self) -> None:
        """Send what waits."""
        self._pusher.send_bytes(b"".join(self._waiting))
        self._waiting.clear()


def run(settings: Settings, life: Lifecycle, context: zmq.Context[Any], venue: str = "") -> int:
    """The process of one venue; see ``oms.process``.

    Parameters
    ----------
    venue
        Whose instruments; empty: the only one that the live instruments have, or where none is live, all of them.

    Raises
    ------
    CredentialsError
        When there are no keys.
    ConfigError
        When no instrument of the settings is of this venue, or several venues are meant, or a sandbox's certificate
        cannot be read.
    """
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings, life, context, os.environ, venue))


async def serve(
    settings: Settings,
    life: Life,
    context: zmq.Context[Any],
    environment: Mapping[str, str],
    venue_name: str = "",
    clock: Clock | None = None,
) -> int:
    """Trade until told to stop; raises as ``run``."""
    clock = clock or Clock()
    among = settings.instruments if venue_name else settings.live_instruments or settings.instruments
    row = venue_among((each.venue for each in among), Role.ORDERS, venue_name)
    venue_type: VenueType = implementation(row.name, Role.ORDERS)
    instruments = tuple(each for each in settings.instruments if each.venue == row.name)
    credentials = read_credentials(row.name, environment)
    log = _log_of(row.name)
    puller = Puller(context, settings.orders_endpoint, binding=False)
    pusher = Pusher(context, settings.core_endpoint, RecordKind.REPORT, Source.EXECUTION)
    sender = ReportSender(pusher)
    account = settings.account_number("")
    ids = ClientIds(settings.account)
    wallets = {wallet.currency: number for number, wallet in enumerate(settings.wallets) if wallet.venue == row.name}
    known = Known(account, ids, instruments, wallets, sender.add, clock.time_ns)
    session = _sandbox_session(settings.live, row.hosts)
    exchange = venue_type.new_exchange(credentials, session)
    venue: Venue = venue_type(exchange, instruments, clock)
    gateway = OrderGateway(venue, exchange, known, clock, log)
    try:
        life.beat({}, "recovering")
        for left in left_orders(settings.snapshot_dir, settings.journal_dir, account, ids, instruments):
            gateway.recover(left.order, left.state)
        await venue.open()
        await gateway.idle()
        gateway.start()
        life.beat(gateway.counters(), "ready")
        while not life.stopping:
            lost = _take(puller, gateway)
            if lost:
                log(f"{lost} commands were lost on the bus: the core has them in flight, and a restart asks for them")
            life.beat({**gateway.counters(), "reports": float(sender.reports)})
            await _readable(puller, settings.heartbeat_s / 2)
        life.beat(gateway.counters(), "stopping")
        sender.flush()
    finally:
        await gateway.close()
        await venue.close()
        if session is not None:
            await session.close()
        puller.close()
        pusher.close()
    return 0


def _take(puller: Puller, gateway: OrderGateway) -> int:
    """Work every command that has arrived; returns how many records were lost before them."""
    lost = 0
    while has_input(puller.socket):
        frame = puller.receive()
        if frame is None:
            break
        lost += frame.lost
        if frame.header.kind == RecordKind.COMMAND:
            gateway.take(frame.records)
    return lost


async def _readable(puller: Puller, seconds: float) -> None:
    """Wait for a frame, at most so long."""
    if has_input(puller.socket):
        await asyncio.sleep(0)
        return
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    descriptor = int(puller.socket.getsockopt(zmq.FD))
    loop.add_reader(descriptor, woken.set)
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(descriptor)


def _sandbox_session(live: LiveSettings, hosts: Collection[str]) -> Any:
    """A session that leads to a sandbox on this machine; None: there is none, and the exchange is the real one."""
    if not live.sandbox_port:
        return None
    try:
        return pointed_session(live.sandbox_port, Path(live.sandbox_ca).read_bytes(), hosts)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"live sandbox_ca {live.sandbox_ca!r} is no certificate: {error}") from None


def _log_of(name: str) -> Say:
    def say(line: str) -> None:
        sys.stderr.write(f"{name}: {line}\n")
        sys.stderr.flush()

    return say
