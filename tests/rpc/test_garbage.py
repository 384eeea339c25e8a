"""Whatever a client sends, the server answers or counts it, and goes on serving the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rpc.client import Client
from rpc.limits import MAX_TRANSPORT_BYTES
from rpc.messages import MAX_REQUEST_BYTES, encode
from rpc.requests import Hello, Ping, PlaceOrder, Subscribe
from tests.rpc.conftest import PATIENT, World, decoded, make_settings

RawSockets = Callable[[], zmq.Socket[bytes]]
FEW = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server for all examples: it must outlive them."""
    world = World(tmp_path_factory.mktemp("garbage"))
    world.start_core()
    world.start_server()
    yield world
    world.close()


@pytest.fixture(scope="module")
def healthy(module_world: World) -> Client:
    return module_world.ready_client("healthy")


@pytest.fixture(scope="module")
def attacker(module_world: World) -> zmq.Socket[bytes]:
    """A connection that said Hello, so that each of its messages is answered."""
    socket: zmq.Socket[bytes] = module_world.context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(module_world.settings.rpc_endpoint)
    module_world.sockets.append(socket)
    ask(socket, [encode(Hello(request_id=1, client="attacker"))])
    return socket


def ask(socket: zmq.Socket[bytes], parts: list[bytes]) -> dict[str, Any]:
    """The answer to a message; an Alive is none."""
    socket.send_multipart(parts)
    while socket.poll(5000):
        message = decoded(socket.recv())
        if message["type"] != "alive":
            return message
    pytest.fail(f"no answer to {parts!r}")


@FEW
@given(payload=st.binary(max_size=300))
def test_random_bytes_get_an_error(healthy: Client, attacker: zmq.Socket[bytes], payload: bytes) -> None:
    assert ask(attacker, [payload])["type"] == "error"
    assert healthy.ping()


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@FEW
@given(value=values)
def test_any_messagepack_gets_an_error(healthy: Client, attacker: zmq.Socket[bytes], value: Any) -> None:
    assert ask(attacker, [msgspec.msgpack.encode(value)])["type"] == "error"
    assert healthy.ping()


REQUESTS = (
    PlaceOrder(request_id=5, client_order_id="x", symbol="BTCUSDT", side="buy", qty="1", price="5"),
    Subscribe(request_id=6, topics=("orders",)),
    Ping(request_id=7),
)


@FEW
@given(request=st.sampled_from(REQUESTS), data=st.data())
def test_any_value_in_any_field_is_answered(
    healthy: Client, attacker: zmq.Socket[bytes], request: Any, data: st.DataObject
) -> None:
    message = decoded(encode(request))
    message[data.draw(st.sampled_from(sorted(message)))] = data.draw(values)
    message[data.draw(st.sampled_from([*sorted(message), "extra"]))] = data.draw(values)
    answer = ask(attacker, [msgspec.msgpack.encode(message)])
    assert answer["type"] in ("error", "pong", "subscribed", "order_reply")
    assert healthy.ping()


@FEW
@given(parts=st.lists(st.binary(max_size=20), min_size=2, max_size=20))
def test_a_message_of_several_parts_gets_an_error(
    healthy: Client, attacker: zmq.Socket[bytes], parts: list[bytes]
) -> None:
    answer = ask(attacker, parts)
    assert answer["code"] == "MALFORMED_REQUEST"
    assert f"{len(parts)} parts" in answer["message"]
    assert healthy.ping()


def test_the_errors_of_unreadable_requests_carry_the_id_that_could_be_read(attacker: zmq.Socket[bytes]) -> None:
    answer = ask(attacker, [msgspec.msgpack.encode({"type": "sing", "request_id": 9})])
    assert (answer["request_id"], answer["code"]) == (9, "MALFORMED_REQUEST")
    assert "'sing'" in answer["message"]
    assert ask(attacker, [b""])["request_id"] == -1


def test_a_large_request_is_refused_with_its_size(healthy: Client, attacker: zmq.Socket[bytes]) -> None:
    answer = ask(attacker, [bytes(MAX_REQUEST_BYTES + 1)])
    assert answer["code"] == "REQUEST_TOO_LARGE"
    assert str(MAX_REQUEST_BYTES + 1) in answer["message"]
    assert healthy.ping()


def test_a_giant_message_ends_its_own_connection_only(module_world: World, healthy: Client) -> None:
    socket: zmq.Socket[bytes] = module_world.context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(module_world.settings.rpc_endpoint)
    module_world.sockets.append(socket)
    socket.send(bytes(MAX_TRANSPORT_BYTES * 100))
    for _ in range(20):
        assert healthy.ping()
    answer = ask(socket, [encode(Ping(request_id=1))])  # it has connected again by itself
    assert answer["code"] == "HELLO_REQUIRED"


def test_a_stranger_is_asked_to_say_hello_and_may_not_place_orders(module_world: World, raw: RawSockets) -> None:
    stranger = module_world.context.socket(zmq.DEALER)
    stranger.connect(module_world.settings.rpc_endpoint)
    module_world.sockets.append(stranger)
    for request in REQUESTS:
        answer = ask(stranger, [encode(request)])
        assert (answer["code"], answer["request_id"]) == ("HELLO_REQUIRED", request.request_id)
    assert ask(stranger, [b"\xff"])["code"] == "MALFORMED_REQUEST"
    answer = ask(stranger, [encode(Hello(request_id=3, client="old", version=99))])
    assert answer["code"] == "VERSION_MISMATCH"
    assert "99" in answer["message"]


def test_connections_are_bounded(world: World, raw: RawSockets) -> None:
    world.start_server(PATIENT._replace(connections=3))
    welcome = [ask(raw(), [encode(Hello(request_id=1, client="a"))])["type"] for _ in range(3)]
    assert welcome == ["welcome"] * 3
    answer = ask(raw(), [encode(Hello(request_id=1, client="a"))])
    assert answer["code"] == "TOO_MANY_CLIENTS"


def test_a_fault_of_the_server_is_answered_counted_and_survived(
    world: World, desk: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("rpc.replica.Replica.fills_after", broken)
    with pytest.raises(Exception, match="INTERNAL_ERROR: ZeroDivisionError: a fault"):
        desk.fills()
    assert desk.ping()
    assert "GetFills of desk failed" in caplog.text


def test_settings_of_the_tests_are_sound(tmp_path: Path) -> None:
    assert make_settings(tmp_path).instrument("BTCUSDT").id == 0
