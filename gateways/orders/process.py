"""The process of an order gateway: COMMAND frames from the core in, REPORT frames to it out.

The keys come from the environment, and go nowhere but into ccxt: ``ZOMS_BINANCE_USDM_KEY`` and
``ZOMS_BINANCE_USDM_SECRET``. With ``ZOMS_SANDBOX_PORT`` and ``ZOMS_SANDBOX_CA`` (a file) the exchange is a sandbox on
this machine.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import zmq

from gateways.orders.binance_usdm import BinanceUsdm, new_exchange
from gateways.orders.clock import Clock
from gateways.orders.gateway import OrderGateway
from gateways.orders.ids import ClientIds
from gateways.orders.known import Known
from gateways.orders.past import left_orders
from gateways.sandbox.pointing import pointed_session
from oms.bus import Puller, Pusher, Records, has_input
from oms.config import ConfigError, Settings
from oms.lifecycle import Lifecycle
from oms.records import RecordKind, Source

VENUE: Final = "binance_usdm"
KEY: Final = "ZOMS_BINANCE_USDM_KEY"
SECRET: Final = "ZOMS_BINANCE_USDM_SECRET"
SANDBOX_PORT: Final = "ZOMS_SANDBOX_PORT"
SANDBOX_CA: Final = "ZOMS_SANDBOX_CA"
SANDBOX_HOSTS: Final = ("fapi.binance.com", "fstream.binance.com")


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


def run(settings: Settings, life: Lifecycle, context: zmq.Context[Any]) -> int:
    """The process; see ``oms.process``.

    Raises
    ------
    ConfigError
        When the environment has no keys, or no instrument of the settings is of this venue.
    """
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(settings, life, context, os.environ))


async def serve(
    settings: Settings,
    life: Life,
    context: zmq.Context[Any],
    environment: Mapping[str, str],
    clock: Clock | None = None,
) -> int:
    """Trade until told to stop; raises as ``run``."""
    clock = clock or Clock()
    instruments = tuple(each for each in settings.instruments if each.venue == VENUE)
    if not instruments:
        raise ConfigError(f"no instrument of {VENUE} is defined: add one, or leave its gateway out")
    key, secret = (_needed(environment, name) for name in (KEY, SECRET))
    puller = Puller(context, settings.orders_endpoint, binding=False)
    pusher = Pusher(context, settings.core_endpoint, RecordKind.REPORT, Source.EXECUTION)
    sender = ReportSender(pusher)
    account = settings.account_number("")
    ids = ClientIds(settings.account)
    wallets = {wallet.currency: number for number, wallet in enumerate(settings.wallets) if wallet.venue == VENUE}
    known = Known(account, ids, instruments, wallets, sender.add, clock.time_ns)
    session = _sandbox_session(environment)
    exchange = new_exchange(key, secret, session)
    venue = BinanceUsdm(exchange, instruments, clock)
    gateway = OrderGateway(venue, exchange, known, clock, _log)
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
                _log(f"{lost} commands were lost on the bus: the core has them in flight, and a restart asks for them")
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


def _needed(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigError(f"the environment has no {name}: set it to trade at {VENUE}")
    return value


def _sandbox_session(environment: Mapping[str, str]) -> Any:
    """A session that leads to a sandbox on this machine; None: there is none, and the exchange is the real one."""
    port = environment.get(SANDBOX_PORT, "")
    if not port:
        return None
    return pointed_session(int(port), Path(_needed(environment, SANDBOX_CA)).read_bytes(), SANDBOX_HOSTS)


def _log(line: str) -> None:
    sys.stderr.write(f"{VENUE}: {line}\n")
    sys.stderr.flush()
