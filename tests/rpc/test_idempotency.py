"""The client order id is the idempotency key: sent again, in whatever circumstances, it never places a second order."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest

from oms.config import write_session
from oms.records import TradingState
from rpc.batch_client import BatchClient
from rpc.batches import BatchOutcome, new_orders
from rpc.client import Client, OutcomeUnknownError, RpcError, terms
from rpc.limits import Limits
from rpc.requests import PlaceOrder
from tests.rpc.conftest import PATIENT, QUICK, World, wait_for
from tests.rpc.scripted_core import ScriptedCore


def place(client: Client, retries: int = 0) -> str:
    return client.place("BTCUSDT", "buy", "1", "5", client_order_id="a", retries=retries).state


def core_of(world: World) -> ScriptedCore:
    assert world.core is not None
    return world.core


def test_the_same_order_sent_again_returns_how_it_stands(world: World, desk: Client) -> None:
    first = desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    core_of(world).fill(first.order_id, 400, 50)
    wait_for(lambda: desk.order(client_order_id="a").filled_qty == "0.400", "the fill")
    again = desk.place("BTCUSDT", "buy", "1.000", "5.0", client_order_id="a")  # the same numbers, written otherwise
    assert (again.order_id, again.state, again.filled_qty) == (first.order_id, "live", "0.400")
    assert core_of(world).taken == 1


@pytest.mark.parametrize(
    "change",
    [
        {"side": "sell"},
        {"qty": "2"},
        {"price": "6"},
        {"symbol": "ETHUSDT"},
        {"post_only": True},
        {"time_in_force": "ioc"},
        {"order_type": "market", "price": None},
    ],
)
def test_the_same_id_for_another_order_is_refused(world: World, desk: Client, change: dict[str, object]) -> None:
    terms: dict[str, object] = {"symbol": "BTCUSDT", "side": "buy", "qty": "1", "price": "5", "client_order_id": "a"}
    desk.place(**terms)  # type: ignore[arg-type]
    with pytest.raises(RpcError) as refused:
        desk.place(**(terms | change))  # type: ignore[arg-type]
    assert refused.value.code == "DUPLICATE_CLIENT_ORDER_ID"
    assert "'a' stands for another order, buy 1.000 BTCUSDT at 5.0: use a new id" in str(refused.value)
    assert core_of(world).taken == 1


def test_it_is_one_order_however_many_requests_are_under_way(world: World, desk: Client) -> None:
    others = [world.client("desk") for _ in range(3)]
    core = core_of(world)
    core.become(deaf=True)
    request = PlaceOrder(request_id=0, client_order_id="a", symbol="BTCUSDT", side="buy", qty="1", price="5")
    for client in others:
        _, payload = client.protocol.prepare(request)
        client._socket.send(payload)
    core.become(deaf=False)
    assert place(desk) in ("pending_new", "live")
    assert {place(client) for client in others} <= {"pending_new", "live"}
    assert core.taken == 1


@pytest.mark.unanswered
def test_retries_send_the_same_id(world: World, desk: Client) -> None:
    core = core_of(world)
    core.become(deaf=True)
    started = time.monotonic()
    with pytest.raises(OutcomeUnknownError):
        desk.place("BTCUSDT", "buy", "1", "5", retries=1)
    assert time.monotonic() - started > 2 * QUICK.answer_timeout_s
    core.become(deaf=False)
    wait_for(lambda: len(desk.orders(open_only=False)) == 1, "the late order")
    assert core.taken == 1


@pytest.mark.unanswered
def test_a_retry_is_answered_by_the_first_copy(world: World, desk: Client) -> None:
    core = core_of(world)
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError):
        place(desk)
    core.become(deaf=False)
    assert place(desk, 3) in ("pending_new", "live")
    assert core.taken == 1


@pytest.mark.unanswered
def test_once_the_first_copy_is_void_it_is_sent_again_under_the_same_order_id(world: World, desk: Client) -> None:
    world.stop_core(clean=False)
    first = world.start_core()
    wait_for(lambda: desk.status().core_session == first.session, "the core")
    wait_for(lambda: _taken(desk), "the connection to it")
    first.become(deaf=True)
    with pytest.raises(OutcomeUnknownError) as unknown:
        place(desk)
    world.stop_core(clean=False)  # it dies without having read the command
    second = world.start_core()
    wait_for(lambda: desk.status().core_session == second.session, "the next core")
    wait_for(lambda: _placed(desk), "the order to be placed")
    assert unknown.value.order is not None
    assert list(second.orders) == [unknown.value.order.order_id]
    assert second.taken == 1


def _taken(client: Client) -> bool:
    try:
        client.set_trading_state("active")
    except RpcError:
        return False
    return True


def _placed(client: Client) -> bool:
    try:
        return place(client) in ("pending_new", "live")
    except RpcError:
        return False


def test_an_order_that_a_dying_core_journalled_but_never_published_is_not_placed_again(
    world: World, desk: Client
) -> None:
    core = core_of(world)
    core.become(silent=True, beating=False)
    with pytest.raises(RpcError):
        desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a", timeout=0.05)
    wait_for(lambda: core.taken == 1, "the core to have taken it")
    world.stop_core(clean=False)
    second = world.start_core()
    wait_for(lambda: desk.status().core_session == second.session, "the next core")
    assert place(desk) == "unknown"  # it was live in a core that is dead: nobody knows how it stands
    assert second.taken == 0


@pytest.mark.unanswered
@pytest.mark.parametrize("beating", [True, False], ids=["heartbeats tell", "only the journal tells"])
def test_an_answer_that_was_lost_on_the_way_is_found_in_the_journal(world: World, desk: Client, beating: bool) -> None:
    core = core_of(world)
    core.become(silent=True, beating=beating)
    assert place(desk) == "pending_new"  # as its first event has it
    assert place(desk) == "live"
    assert core.taken == 1


def test_a_core_that_has_the_order_already_refuses_the_second_copy(world: World) -> None:
    core = world.start_core()
    world.start_server(Limits(answer_timeout_s=0.2, command_life_s=0.0))
    desk = world.ready_client()
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError):
        place(desk)
    with pytest.raises(OutcomeUnknownError):
        place(desk)
    core.become(deaf=False)
    wait_for(lambda: core.taken == 2, "both copies")
    assert len(core.orders) <= 1


@pytest.mark.unanswered
def test_an_order_that_came_too_late_may_be_sent_again_under_its_id(world: World, desk: Client) -> None:
    core = core_of(world)
    core.become(deaf=True)
    with pytest.raises(RpcError):
        desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a", timeout=0.05)
    until = time.monotonic() + QUICK.command_life_s
    wait_for(lambda: time.monotonic() > until, "the command to be void")
    core.become(deaf=False)
    wait_for(lambda: desk.order(client_order_id="a").reason == "COMMAND_TOO_LATE", "the refusal")
    assert place(desk) in ("pending_new", "live")
    assert core.taken == 2
    assert len(core.orders) == 1


def test_a_refused_order_stays_refused_under_its_id(world: World, desk: Client) -> None:
    core_of(world).do(lambda: core_of(world).set_state(TradingState.HALTED))
    for _ in range(2):
        with pytest.raises(RpcError, match="TRADING_HALTED"):
            place(desk)
    assert core_of(world).taken == 1


def test_a_core_that_beats_and_does_not_listen_gets_nothing(world: World) -> None:
    world.start_server()
    desk = world.client()

    def refusal() -> str:
        world.status.publish("core", 1)
        with pytest.raises(RpcError) as refused:
            place(desk)
        return str(refused.value)

    wait_for(lambda: "the core takes no commands now" in refusal(), "the server to hear of the core")
    assert not desk.status().core_available
    with pytest.raises(RpcError, match="UNKNOWN_ORDER"):
        desk.order(client_order_id="a")


def test_a_failed_send_leaves_the_id_free(world: World, desk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("rpc.core_link.CoreLink.send", lambda *_: False)
        with pytest.raises(RpcError, match="CORE_UNAVAILABLE: the core takes no commands now"):
            place(desk)
    with pytest.raises(RpcError, match="UNKNOWN_ORDER"):
        desk.order(client_order_id="a")
    assert place(desk) == "pending_new"
    assert core_of(world).taken == 1


def test_after_a_restart_of_the_server_the_id_finds_its_order(world: World) -> None:
    core = world.start_core()
    server = world.start_server()
    desk = world.ready_client()
    first = desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    filled = desk.place("BTCUSDT", "buy", "1", client_order_id="b")
    server.close()
    world.start_server()
    wait_for(lambda: desk.status().core_available, "the server to hear of the core")
    assert desk.place("BTCUSDT", "buy", "1", "5", client_order_id="a").order_id == first.order_id
    assert desk.place("BTCUSDT", "buy", "1", client_order_id="b").order_id == filled.order_id
    assert desk.order(client_order_id="b").state == "filled"
    with pytest.raises(RpcError, match="DUPLICATE_CLIENT_ORDER_ID"):
        desk.place("BTCUSDT", "buy", "3", client_order_id="b")
    new = desk.place("BTCUSDT", "buy", "1", "5", client_order_id="c")
    assert new.order_id > filled.order_id
    assert core.taken == 3


def test_a_loss_of_power_takes_no_id_of_an_order_that_had_effect(world: World) -> None:
    """The ledger's rows are gone; the journal was on disk before any order had effect."""
    world.start_core()
    server = world.start_server()
    client = world.ready_client()
    plain = client.place("BTCUSDT", "buy", "1", "5", client_order_id="a")
    pair = client.oco(terms("BTCUSDT", "sell", "1", "6"), terms("BTCUSDT", "sell", "1", "7"))
    batches = BatchClient("desk", world.settings.rpc_endpoint)
    batches.place_batch(new_orders(["b-1", "b-2"], instrument=0, side=1, px=50, qty=1000))
    answers = np.concatenate([batches.answers() for _ in range(2)])  # the scripted core answers one by one
    assert answers["outcome"].tolist() == [BatchOutcome.ACKNOWLEDGED] * 2
    batches.close()
    server.close()
    with closing(sqlite3.connect(world.settings.account_dir / "rpc" / "ledger.sqlite")) as database:
        database.execute("DELETE FROM orders")
        database.commit()

    world.start_server()
    again = world.ready_client()
    taken = core_of(world).taken
    assert again.place("BTCUSDT", "buy", "1", "5", client_order_id="a").order_id == plain.order_id
    assert [again.order(client_order_id=str(order.client_order_id)).order_id for order in pair] == [
        order.order_id for order in pair
    ]
    assert again.place("BTCUSDT", "buy", "1", "5", client_order_id="b-2").order_id == answers["order_id"][1]
    with pytest.raises(RpcError, match="stands for another order"):
        again.place("BTCUSDT", "buy", "2", "5", client_order_id="b-1")
    assert core_of(world).taken == taken
    fresh = again.place("BTCUSDT", "buy", "1", "5", client_order_id="new")
    assert fresh.order_id > max(answers["order_id"])


def test_orders_that_the_replica_has_let_go_are_found_in_the_ledger(world: World) -> None:
    core = world.start_core()
    world.start_server(PATIENT._replace(closed_orders=3))
    desk = world.ready_client()
    for number in range(10):
        desk.place("BTCUSDT", "buy", "1", client_order_id=str(number))
    wait_for(lambda: len(desk.fills()) == 10, "the fills")
    assert len(desk.orders(open_only=False)) == 3
    wait_for(lambda: desk.order(client_order_id="0").state == "filled", "the ledger")
    assert desk.place("BTCUSDT", "buy", "1", client_order_id="0").state == "filled"
    assert core.taken == 10


def test_orders_of_earlier_core_sessions_are_found_after_both_restarted(world: World) -> None:
    world.start_core()
    server = world.start_server()
    desk = world.ready_client()
    desk.place("BTCUSDT", "buy", "1", client_order_id="done")
    desk.place("BTCUSDT", "buy", "1", "5", client_order_id="open")
    world.stop_core(clean=False)
    second = world.start_core()
    wait_for(lambda: desk.status().core_session == second.session, "the next core")
    server.close()
    world.start_server()
    wait_for(lambda: desk.status().core_available, "the server to hear of the core")
    assert desk.place("BTCUSDT", "buy", "1", client_order_id="done").state == "filled"
    assert desk.place("BTCUSDT", "buy", "1", "5", client_order_id="open").state == "unknown"
    assert desk.orders() == []
    assert second.taken == 0


@pytest.fixture
def process(world: World) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts the rpc server as the supervisor does, as a process of its own."""
    session_file = write_session(world.settings)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        child = subprocess.Popen([sys.executable, "-P", "-m", "oms.process", "rpc", os.fspath(session_file)])
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()


def test_kill_9_of_the_server_loses_no_order_and_doubles_none(
    world: World, process: Callable[[], subprocess.Popen[bytes]]
) -> None:
    core = world.start_core()
    child = process()
    desk = world.client(timeout=20)
    desk.subscribe(["orders", "fills"])
    wait_for(lambda: desk.status().core_available, "the server to hear of the core")
    placed = {}
    for number in range(30):
        if number in (10, 20):
            core.become(deaf=True)
            with pytest.raises(RpcError):
                desk.place("BTCUSDT", "buy", "1", "5", client_order_id=str(number), timeout=0.2)
            child.send_signal(signal.SIGKILL)
            child.wait()
            core.become(deaf=False)
            child = process()
            wait_for(lambda: desk.status(timeout=20).core_available, "the server to hear of the core")
        order = desk.place("BTCUSDT", "buy", "1", "5", client_order_id=str(number), retries=5)
        placed[str(number)] = order.order_id
    assert sorted(core.orders) == sorted(placed.values())
    assert {order.client_order_id: order.order_id for order in desk.orders()} == placed
    child.terminate()
    assert child.wait(10) == 0
