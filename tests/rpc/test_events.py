"""Events by subscription: to their owner only, numbered, and never lost in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
import zmq

from oms.records import EventKind, Reason
from rpc.client import Client
from rpc.entities import FillEvent, LogEvent, OrderEvent, PositionEvent, ProcessEvent, TradingStateEvent
from rpc.messages import EventsLost, encode
from rpc.protocol import Told
from rpc.requests import Hello, Subscribe
from tests.rpc.conftest import PATIENT, World, decoded, wait_for
from tests.rpc.scripted_core import ScriptedCore

RawSockets = Callable[[], zmq.Socket[bytes]]


def core_of(world: World) -> ScriptedCore:
    assert world.core is not None
    return world.core


def told(client: Client, quiet_s: float = 0.2) -> list[Told]:
    return list(client.events(quiet_s))


def kinds(events: Iterable[Told]) -> list[str]:
    return [event.kind for event in events if isinstance(event, OrderEvent)]


def test_the_owner_is_told_of_orders_and_fills(world: World, desk: Client) -> None:
    desk.subscribe(["orders", "fills"])
    order = desk.place("BTCUSDT", "buy", "1", "5")
    core_of(world).fill(order.order_id, 1000, 50)
    events = told(desk)
    assert kinds(events) == ["order_submitted", "order_accepted", "order_filled"]
    (fill,) = [event.fill for event in events if isinstance(event, FillEvent)]
    assert (fill.order_id, fill.qty, fill.client) == (order.order_id, "1.000", "desk")
    assert fill == desk.fills()[0]
    assert (fill.realized_pnl, fill.fee) == ("2.5", "0.12345678")


def test_an_order_shows_what_its_fills_have_realized_and_paid(world: World, desk: Client) -> None:
    desk.subscribe(["orders"])
    order = desk.place("BTCUSDT", "buy", "1", "5")
    assert (order.realized_pnl, order.fees) == ("0", "0")
    core_of(world).fill(order.order_id, 400, 50)
    core_of(world).fill(order.order_id, 600, 50)
    filled = [event.order for event in told(desk) if isinstance(event, OrderEvent) and event.kind == "order_filled"]
    assert [(each.realized_pnl, each.fees) for each in filled] == [("2.5", "0.12345678"), ("5", "0.24691356")]
    assert desk.order(order_id=order.order_id) == filled[1]


def test_an_order_of_which_not_every_fill_is_known_shows_no_sum(world: World, desk: Client) -> None:
    fields = {"side": 1, "state": 2, "order_type": 1, "time_in_force": 1, "instrument": 0, "strategy": 0}
    core_of(world).tell(EventKind.ORDER_ADOPTED, order_id=(1 << 40) + 1, qty=2, filled_qty=1, px=1, **fields)
    wait_for(lambda: len(desk.orders(scope="account")) == 1, "the strategy's order")
    (order,) = desk.orders(scope="account")
    assert (order.realized_pnl, order.fees) == (None, None)


def test_nobody_else_is_told(world: World, desk: Client) -> None:
    other = world.client("other")
    other.subscribe(["orders", "fills"])
    desk.place("BTCUSDT", "buy", "1")
    assert told(other) == []


def test_another_connection_of_the_same_client_is_told(world: World, desk: Client) -> None:
    twin = world.client("desk")
    twin.subscribe(["orders"])
    desk.place("BTCUSDT", "buy", "1", "5")
    assert kinds(told(twin)) == ["order_submitted", "order_accepted"]


def test_a_client_named_like_a_strategy_is_not_told_of_its_orders(world: World, desk: Client) -> None:
    impostor = world.client("maker")
    impostor.subscribe(["orders", "fills"])
    fields = {"side": 1, "state": 2, "order_type": 1, "time_in_force": 1, "instrument": 0, "strategy": 0}
    core_of(world).tell(EventKind.ORDER_ACCEPTED, order_id=(1 << 40) + 1, qty=1, px=1, **fields)
    wait_for(lambda: len(desk.orders(scope="account")) == 1, "the strategy's order")
    assert told(impostor) == []
    (order,) = desk.orders(scope="account")
    assert (order.client, order.client_order_id) == ("maker", None)


def test_all_is_everything_of_everyone(world: World, desk: Client) -> None:
    watcher = world.client("watcher")
    watcher.subscribe(["all"])
    desk.place("BTCUSDT", "buy", "1")
    desk.set_trading_state("reducing")
    core_of(world).tell(EventKind.LOG, strategy=0, aux=3, px=1, qty=2)
    core_of(world).tell(EventKind.BOOK_STATE, instrument=0, aux=2, reason=Reason.SEQUENCE_GAP)
    core_of(world).do(lambda: world.status.publish("gateway", 1))
    events = told(watcher, 0.05)
    assert kinds(events) == ["order_submitted", "order_accepted", "order_filled"]
    found = {type(event) for event in events}
    assert found == {OrderEvent, FillEvent, PositionEvent, TradingStateEvent, LogEvent, ProcessEvent}
    logs = [event for event in events if isinstance(event, LogEvent)]
    assert [(log.kind, log.source, log.number) for log in logs] == [
        ("log", "maker", 3),
        ("book_state", "BTCUSDT", 2),
    ]


def test_topics_are_added_and_taken_away(desk: Client) -> None:
    desk.subscribe(["orders"])
    desk.subscribe(["logs", "fills"])
    desk.unsubscribe(["orders"])
    assert desk.protocol.topics == {"logs", "fills"}
    desk.place("BTCUSDT", "buy", "1", "5")
    assert told(desk) == []
    desk.unsubscribe()
    assert desk.protocol.topics == set()


def test_a_refused_amend_is_an_event_and_the_order_stays_as_it_is(world: World, desk: Client) -> None:
    desk.subscribe(["orders"])
    order = desk.place("BTCUSDT", "buy", "1", "5")
    core_of(world).tell(
        EventKind.ORDER_REFUSED, order_id=order.order_id, aux=2, reason=Reason.PRICE_COLLAR, instrument=0, state=2, px=9
    )
    last = told(desk)[-1]
    assert isinstance(last, OrderEvent)
    assert (last.kind, last.reason, last.order.price, last.order.state) == (
        "order_refused",
        "PRICE_COLLAR",
        "5.0",
        "live",
    )


def test_a_gap_in_the_cores_events_is_mended_before_clients_notice(world: World, desk: Client) -> None:
    desk.subscribe(["logs"])
    core_of(world).tell(EventKind.LOG, 5, aux=1)
    core_of(world).become(silent=True)
    core_of(world).tell(EventKind.LOG, 50, aux=2)
    core_of(world).become(silent=False)
    core_of(world).tell(EventKind.LOG, 5, aux=3)
    events = told(desk)
    assert [event.number for event in events if isinstance(event, LogEvent)] == [1] * 5 + [2] * 50 + [3] * 5
    assert desk.protocol.lost == 0
    assert desk.status().complete


def slow_client(raw: RawSockets, topics: tuple[str, ...]) -> zmq.Socket[bytes]:
    """A subscriber that takes one message and then reads no more."""
    socket = raw()
    socket.send(encode(Hello(request_id=1, client="slow")))
    assert socket.poll(5000)
    assert decoded(socket.recv())["type"] == "welcome"
    socket.send(encode(Subscribe(request_id=2, topics=topics)))  # type: ignore[arg-type]
    assert socket.poll(5000)
    assert decoded(socket.recv())["type"] == "subscribed"
    return socket


@pytest.fixture
def narrow(world: World, raw: RawSockets) -> RawSockets:
    """Bare sockets that hold little, so that a client that does not read is soon felt."""

    def make() -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = world.context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, 4)
        socket.setsockopt(zmq.RCVBUF, 4096)
        socket.connect(world.settings.rpc_endpoint)
        world.sockets.append(socket)
        return socket

    return make


def test_a_slow_client_learns_what_it_lost_and_keeps_nobody_waiting(world: World, narrow: RawSockets) -> None:
    core = world.start_core()
    world.start_server(PATIENT._replace(queued_events=500, send_hwm=4))
    desk = world.ready_client()
    slow = slow_client(narrow, ("logs",))
    sent = 200 * 100
    for number in range(200):
        core.tell(EventKind.LOG, 100, aux=number)
        if number % 20 == 0:
            desk.ping(timeout=1.0)
    wait_for(lambda: desk.status().next_seq >= sent, "the server to have taken all")
    received, lost, next_seq = 0, 0, 0
    while received + lost < sent:
        assert slow.poll(5000), (received, lost)
        message = decoded(slow.recv())
        if message["type"] == "alive":
            continue
        assert message["seq"] == next_seq, "the numbers have no hole that nobody named"
        if message["type"] == "events_lost":
            lost += message["count"]
            next_seq += message["count"]
        else:
            received += len(message["events"])
            next_seq += len(message["events"])
    assert lost > 0
    assert received > 500
    assert received + lost == sent


def test_replies_are_not_lost_when_the_client_reads_late(world: World, narrow: RawSockets) -> None:
    world.start_core()
    world.start_server(PATIENT._replace(queued_events=100, send_hwm=2))
    desk = world.ready_client()
    slow = slow_client(narrow, ("logs",))
    for number in range(3, 1003):
        slow.send(encode(Hello(request_id=number, client="slow")))
    core_of(world).tell(EventKind.LOG, 1000)
    desk.ping()
    replies: list[int] = []
    while len(replies) < 1000:
        assert slow.poll(5000), len(replies)
        message = decoded(slow.recv())
        if message["type"] == "welcome":
            replies.append(message["request_id"])
    assert replies == list(range(3, 1003))


def test_a_client_that_never_reads_is_bounded(world: World, narrow: RawSockets) -> None:
    world.start_core()
    server = world.start_server(PATIENT._replace(outstanding=50, queued_events=100, send_hwm=2))
    desk = world.ready_client()
    greedy = slow_client(narrow, ("logs",))
    for number in range(3, 4003):
        greedy.send(encode(Hello(request_id=number, client="slow")))
    wait_for(lambda: counters(desk)["requests"] > 4000, "most requests to be read")
    answers: dict[str, int] = {}
    unnamed = 0
    while unnamed + sum(answers.values()) < 4000:
        assert greedy.poll(5000), (unnamed, answers)
        message = decoded(greedy.recv())
        if message.get("request_id") == -1:
            assert message["code"] == "TOO_MANY_REQUESTS"
            count, words = message["message"].split(" ", 1)
            assert words.startswith("requests were refused without a reply each")
            unnamed += int(count)
        elif message["type"] != "alive":
            key = message.get("code") or message["type"]
            answers[key] = answers.get(key, 0) + 1
    assert set(answers) == {"welcome", "TOO_MANY_REQUESTS"}
    assert answers["welcome"] >= 50
    assert answers["TOO_MANY_REQUESTS"] >= 50
    assert unnamed + sum(answers.values()) == 4000
    assert unnamed > 2000
    assert server.alive


def counters(client: Client) -> dict[str, float]:
    return {name: value for process in client.status().processes for name, value in process.counters.items()}


def test_a_vanished_client_is_forgotten(world: World, raw: RawSockets) -> None:
    world.start_core()
    world.start_server(PATIENT._replace(alive_s=0.1))
    desk = world.ready_client()
    sockets = [slow_client(raw, ("logs",)) for _ in range(3)]
    idle = raw()
    idle.send(encode(Hello(request_id=1, client="idle")))
    assert idle.poll(5000)
    wait_for(lambda: counters(desk)["clients"] == 5, "all clients")
    for socket in (*sockets, idle):
        socket.close()
    wait_for(lambda: counters(desk)["clients"] == 1, "the others to be forgotten")
    core_of(world).tell(EventKind.LOG, 10)
    assert desk.ping()


def test_a_quiet_client_that_lost_the_last_events_learns_it_from_the_next_number(world: World, desk: Client) -> None:
    desk.subscribe(["logs"])
    core_of(world).tell(EventKind.LOG, 3)
    assert len(told(desk)) == 3
    desk.protocol.take(b"\x82\xa4type\xa5alive\xa8next_seq\x07")
    (lost,) = told(desk)
    assert lost == EventsLost(seq=3, count=4)
    assert desk.protocol.lost == 4


def test_events_that_nobody_fetches_are_bounded_and_counted(
    world: World, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpc.protocol.MAX_HELD_EVENTS", 10)
    desk.subscribe(["logs"])
    core_of(world).tell(EventKind.LOG, 25)
    wait_for(lambda: desk.status().next_seq >= 25 and desk.protocol.lost > 0, "the events")
    first, *rest = told(desk)
    assert isinstance(first, EventsLost)
    assert first.count == 15
    assert len(rest) == 10


def test_bad_frames_on_the_bus_are_counted_and_the_rest_goes_on(world: World, desk: Client) -> None:
    core = core_of(world)
    core.do(lambda: core.publish_raw(b"\x01\x04garbage"))
    core.do(lambda: core.publish_raw(b"\x01\x04" + bytes(200)))
    core.do(lambda: world.status.publisher.send(b"no heartbeat"))
    core.tell(EventKind.ORDER_ACCEPTED, order_id=5, instrument=99, side=1, state=2)
    core.tell(EventKind.LOG, aux=1)
    assert desk.place("BTCUSDT", "buy", "1", "5").state == "pending_new"
