"""The clients: timeouts, restarts of the server, many at once, and a light import."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import zmq

from oms.records import EventKind
from rpc.client import AsyncClient, Client, RpcError, RpcTimeoutError
from rpc.entities import OrderEvent
from rpc.messages import EventsLost, Pong, Welcome, decode_request, encode
from rpc.requests import Ping
from tests.rpc.conftest import World, wait_for
from tests.rpc.scripted_core import ScriptedCore


def core_of(world: World) -> ScriptedCore:
    assert world.core is not None
    return world.core


def test_the_client_imports_light() -> None:
    heavy = ("numba", "numpy", "pyarrow", "rich", "typer", "sqlite3", "oms")
    code = f"import sys, rpc.client; print(*(name for name in {heavy!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_server_is_a_timeout_that_names_the_endpoint(world: World) -> None:
    started = time.monotonic()
    with pytest.raises(RpcTimeoutError, match=f"no rpc server at {world.settings.rpc_endpoint} within 0.2 s"):
        world.client(timeout=0.2)
    assert time.monotonic() - started < 1.0


class SlowServer:
    """A server that answers every request but Hello ``delay_s`` late, from one thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> None:
        self.delay_s = 0.0
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(endpoint)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if not self._socket.poll(20):
                continue
            identity, payload = self._socket.recv_multipart()
            request = decode_request(payload)
            if isinstance(request, Ping):
                self._stopping.wait(self.delay_s)
                reply = encode(Pong(request_id=request.request_id, ts=request.request_id))
            else:
                reply = encode(Welcome(request_id=request.request_id, version=1, server_session=1, max_outstanding=1))
            self._socket.send_multipart([identity, reply])

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._socket.close()


@pytest.fixture
def slow(world: World) -> Iterator[SlowServer]:
    server = SlowServer(world.context, world.settings.rpc_endpoint)
    yield server
    server.close()


def test_a_call_that_timed_out_does_not_stick_the_socket(world: World, slow: SlowServer) -> None:
    client = world.client()
    slow.delay_s = 0.2
    for _ in range(3):
        with pytest.raises(RpcTimeoutError, match=r"no reply to Ping within 0\.05 s"):
            client.ping(timeout=0.05)
    slow.delay_s = 0.0
    assert client.ping() == 5  # the fifth request's own reply, after the late ones of three others
    assert client.protocol.late_replies == 3


def test_an_async_call_that_timed_out_does_not_stick_the_socket(world: World, slow: SlowServer) -> None:
    async def scenario() -> None:
        async with AsyncClient("desk", world.settings.rpc_endpoint) as client:
            slow.delay_s = 0.2
            with pytest.raises(RpcTimeoutError, match="no reply to Ping"):
                await client.ping(timeout=0.05)
            slow.delay_s = 0.0
            assert await client.ping() == 3
            assert client.protocol.late_replies == 1

    asyncio.run(scenario())


def test_nothing_is_kept_to_be_sent_to_a_server_that_comes_later(world: World) -> None:
    core = world.start_core()
    server = world.start_server()
    desk = world.ready_client()
    server.close()
    for number in range(3):
        with pytest.raises(RpcError):
            desk.place("BTCUSDT", "buy", "1", "5", client_order_id=str(number), timeout=0.1)
    world.start_server()
    wait_for(lambda: desk.status(timeout=1.0).core_available, "the server to hear of the core")
    assert desk.orders(open_only=False) == []
    assert core.taken == 0


def test_after_a_restart_of_the_server_the_client_greets_and_subscribes_again(world: World) -> None:
    world.start_core()
    server = world.start_server()
    desk = world.ready_client()
    desk.subscribe(["orders"])
    server.close()
    world.start_server()
    wait_for(lambda: desk.status(timeout=1.0).core_available, "the server to hear of the core")
    desk.place("BTCUSDT", "buy", "1", "5")
    lost, *events = desk.events(0.2)
    assert isinstance(lost, EventsLost)
    assert lost.count == -1
    assert [event.kind for event in events if isinstance(event, OrderEvent)] == ["order_submitted", "order_accepted"]
    assert desk.protocol.greetings == 2


def test_a_client_that_only_listens_notices_the_restart(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rpc.client.CHECK_S", 0.1)
    world.start_core()
    server = world.start_server()
    listener = world.client("listener")
    listener.subscribe(["logs"])
    events = listener.events(10)
    server.close()
    world.start_server()
    assert isinstance(next(events), EventsLost)
    core_of(world).tell(EventKind.LOG, aux=7)
    assert getattr(next(events), "number") == 7  # noqa: B009  (only LogEvent has it)


def test_two_clients_in_parallel_do_not_disturb_each_other(world: World, desk: Client) -> None:
    def work(name: str) -> None:
        with Client(name, world.settings.rpc_endpoint) as client:
            client.subscribe(["orders"])
            ids = [client.place("BTCUSDT", "buy", "1", "5").order_id for _ in range(50)]
            found[name] = (sorted(ids), sorted(order.order_id for order in client.orders()))
            told[name] = {event.order.client for event in client.events(0.1) if isinstance(event, OrderEvent)}

    found: dict[str, tuple[list[int], list[int]]] = {}
    told: dict[str, set[str]] = {}
    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in ("one", "two"):
        placed, listed = found[name]
        assert placed == listed
        assert told[name] == {name}
    assert len(desk.orders(scope="account")) == 100


def test_the_async_client_has_many_calls_under_way_at_once(world: World, desk: Client) -> None:
    async def scenario() -> None:
        async with AsyncClient("many", world.settings.rpc_endpoint) as client:
            await client.subscribe(["orders", "fills"])
            orders = await asyncio.gather(*(client.place("BTCUSDT", "buy", "1", "5") for _ in range(200)))
            assert len({order.order_id for order in orders}) == 200
            assert len(await client.orders()) == 200
            kinds = [event.kind async for event in client.events(0.2) if isinstance(event, OrderEvent)]
            assert sorted(kinds) == ["order_accepted"] * 200 + ["order_submitted"] * 200
            assert await client.cancel_all() == 200
            with pytest.raises(RpcError, match="UNKNOWN_INSTRUMENT"):
                await client.place("DOGE", "buy", "1", "5")
            assert client.protocol.lost == 0

    asyncio.run(scenario())


def test_the_async_client_greets_again_once_however_many_calls_notice(world: World) -> None:
    world.start_core()
    server = world.start_server()
    world.ready_client()

    async def scenario() -> None:
        async with AsyncClient("many", world.settings.rpc_endpoint) as client:
            await client.subscribe(["logs"])
            await asyncio.to_thread(server.close)
            world.start_server()
            await asyncio.gather(*(client.ping() for _ in range(20)))
            assert client.protocol.greetings == 2
            core_of(world).tell(EventKind.LOG, aux=1)
            events = [type(event).__name__ async for event in client.events(0.2)]
            assert events == ["EventsLost", "LogEvent"]

    asyncio.run(scenario())


def test_no_server_is_a_timeout_of_the_async_client_too(world: World) -> None:
    async def scenario() -> None:
        with pytest.raises(RpcTimeoutError, match="no rpc server at"):
            await AsyncClient("desk", world.settings.rpc_endpoint, timeout=0.2).connect()

    asyncio.run(scenario())


def test_both_clients_have_the_same_methods() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}

    assert methods(AsyncClient) - methods(Client) == {"connect"}
    assert methods(Client) <= methods(AsyncClient)
