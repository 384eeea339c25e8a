"""A real server with real sockets around the scripted core."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq

from oms.bus import BusError, new_context
from oms.config import ReplaySettings, RiskSettings, Settings, StrategySettings
from oms.instruments import Instrument
from oms.lifecycle import Lifecycle
from rpc.client import Client
from rpc.limits import Limits
from rpc.server import Server
from tests.limits import rich_account
from tests.rpc.scripted_core import ScriptedCore, Status

QUICK = Limits(answer_timeout_s=0.3, command_life_s=0.6)
PATIENT = Limits(answer_timeout_s=60.0, command_life_s=60.0)
"""However slow the machine, nothing is unknown and nothing too late."""


def make_settings(folder: Path) -> Settings:
    instruments = (
        Instrument(
            id=0, symbol="BTCUSDT", venue="binance_usdm", kind="linear_perpetual", tick="0.1", lot="0.001", base="BTC"
        ),
        Instrument(id=1, symbol="ETHUSDT", venue="binance_usdm", kind="linear_perpetual", tick="0.01", lot="0.01"),
        Instrument(id=2, symbol="BTCUSDC", venue="other", kind="linear_perpetual", tick="0.1", lot="0.01", base="BTC"),
    )
    limits = RiskSettings(
        max_order_qty="5",
        max_order_notional="500000",
        price_collar="0.05",
        max_position="10",
        max_open_orders=50,
        max_orders_per_second=1000,
        max_book_age_ms=60_000,
        duplicate_window_ms=0,
    )
    account = rich_account(instruments)
    return Settings(
        data_dir=str(folder),
        rpc_endpoint=f"ipc://{folder}/rpc.sock",
        heartbeat_s=0.1,
        replay=ReplaySettings(file="none"),
        instruments=instruments,
        accounts={"paper": account, "hedge": msgspec.structs.replace(account, position_mode="hedging")},
        reporting_currency="USDT",
        risk={"BTCUSDT": limits, "ETHUSDT": limits},
        strategies=(StrategySettings(file="market_maker", instrument="BTCUSDT", name="maker"),),
    )


class World:
    """Settings, a context, a supervisor's status sockets, and whatever was started; all is stopped at the end."""

    def __init__(self, folder: Path, limits: Limits = PATIENT) -> None:
        self.settings = make_settings(folder)
        self.limits = limits
        self.settings.socket_dir.mkdir(parents=True)
        self.context: zmq.Context[Any] = new_context()
        self.status = Status(self.settings, self.context)
        self.core: ScriptedCore | None = None
        self.sockets: list[zmq.Socket[bytes]] = []
        self._servers: list[ThreadedServer] = []
        self._clients: list[Client] = []

    def start_core(self) -> ScriptedCore:
        wait_for(self._try_core, "the endpoints of the core before to be free")
        assert self.core is not None
        return self.core

    def _try_core(self) -> bool:
        try:
            self.core = ScriptedCore(self.settings, self.context, self.status)
        except BusError:
            return False
        return True

    def stop_core(self, *, clean: bool = True) -> None:
        if self.core is not None:
            self.core.stop(clean=clean)
            self.core = None

    def start_server(self, limits: Limits | None = None) -> ThreadedServer:
        server = ThreadedServer(self.settings, self.context, limits or self.limits)
        self._servers.append(server)
        return server

    def client(self, name: str = "desk", *, timeout: float = 5.0) -> Client:
        client = Client(name, self.settings.rpc_endpoint, timeout=timeout)
        self._clients.append(client)
        return client

    def ready_client(self, name: str = "desk") -> Client:
        """A client of a server that has heard of the core."""
        client = self.client(name)
        wait_for(lambda: client.status().core_available, "the server to hear of the core")
        return client

    def close(self) -> None:
        with ExitStack() as stack:  # each step is taken, whatever becomes of the others
            stack.callback(self.context.destroy, linger=0)
            stack.callback(self.status.close)
            stack.callback(self.stop_core)
            for server in self._servers:
                stack.callback(server.close)
            for client in self._clients:
                stack.callback(client.close)
            for socket in self.sockets:
                stack.callback(socket.close)


class ThreadedServer:
    """The server's loop on a thread of this process."""

    def __init__(self, settings: Settings, context: zmq.Context[Any], limits: Limits) -> None:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        self.life = Lifecycle("rpc", context, settings.heartbeat_endpoint, settings.heartbeat_s)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        self.failure: BaseException | None = None
        self._ready = threading.Event()
        self._settings, self._context, self._limits = settings, context, limits
        self._thread = threading.Thread(target=self._serve, name="rpc server", daemon=True)
        self._thread.start()
        assert self._ready.wait(60)
        if self.failure is not None:
            raise self.failure

    def _serve(self) -> None:
        try:
            with Server(self._settings, self.life, self._context, self._limits) as server:
                self._ready.set()
                server.serve()
        except BaseException as error:  # noqa: BLE001  (shown to the test by start and stop)
            self.failure = error
        finally:
            self._ready.set()
            self.life.close()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        self.life.stop()
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.failure is None


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Poll until ``condition`` holds."""
    pause = threading.Event()
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return
        pause.wait(0.005)
    pytest.fail(f"waited {timeout_s} s for {what}")


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Sockets of a family without processes: a test starts the server and the core."""
    made = World(tmp_path, QUICK if request.node.get_closest_marker("unanswered") else PATIENT)
    yield made
    made.close()


@pytest.fixture
def desk(world: World) -> Client:
    """A client of a running server with a running core."""
    world.start_core()
    world.start_server()
    return world.ready_client()


@pytest.fixture
def raw(world: World) -> Callable[[], zmq.Socket[bytes]]:
    """Makes bare DEALER sockets to the server."""

    def make() -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = world.context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(world.settings.rpc_endpoint)
        world.sockets.append(socket)
        return socket

    return make


def decoded(payload: bytes) -> dict[str, Any]:
    """A message as a plain map, as a client in another language sees it."""
    message: dict[str, Any] = msgspec.msgpack.decode(payload)
    return message
