"""The server with the real core process: a book fed by the test, risk limits, the exchange model, and kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from oms.bus import Publisher, Records
from oms.config import AlgorithmSettings, write_session
from oms.records import TICK, RecordKind, Source, TickFlag, TickKind
from rpc.client import Client, RpcError, terms
from rpc.entities import FillEvent, OrderEvent, ProgressEvent
from rpc.limits import DEFAULT_LIMITS
from tests.rpc.conftest import World, wait_for

pytestmark = pytest.mark.timeout(300)

COMPILE_S = 240.0
SAMPLES = Path(__file__).parent / "samples"


def book_of(instrument: int, now: int) -> Records:
    """A snapshot: 3 lots bid at 1000 ticks, 2 lots offered at 1010."""
    levels = np.zeros(2, TICK)
    levels["instrument"] = instrument
    levels["kind"] = TickKind.SNAPSHOT
    levels["exch_ts"] = levels["local_ts"] = now
    levels["side"] = [1, -1]
    levels["px"] = [1000, 1010]
    levels["qty"] = [3000, 2000]
    levels["update_id"] = 1
    levels["flags"] = [TickFlag.FIRST, TickFlag.LAST]
    return levels


class Market:
    """The gateway's part, and the supervisor's: ticks so that the book is never stale, and heartbeats for everyone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ticks = Publisher(world.context, world.settings.ticks_endpoint, RecordKind.TICK, Source.GATEWAY)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        status = self._world.status
        while not self._stopping.wait(0.02):
            while status.heartbeats.poll(0):
                status.publisher.send(status.heartbeats.recv())
            now = time.time_ns()
            self._ticks.send(np.concatenate([book_of(instrument, now) for instrument in (0, 1)]))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._ticks.close()


class CoreProcess:
    def __init__(self, world: World) -> None:
        self._session_file = write_session(world.settings)
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-P", "-m", "oms.process", "core", os.fspath(self._session_file)]
        self.process = subprocess.Popen(command)

    def listens(self, client: Client) -> bool:
        assert self.process.poll() is None, "the core process has ended"
        return client.status().core_available

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("real_core"))
    algorithms = (AlgorithmSettings(file=os.fspath(SAMPLES / "take_all.py")),)
    made.settings = msgspec.structs.replace(made.settings, strategies=(), algorithms=algorithms)
    made.start_server(DEFAULT_LIMITS)
    yield made
    made.close()


@pytest.fixture(scope="module")
def core(world: World) -> Iterator[CoreProcess]:
    market = Market(world)
    started = CoreProcess(world)
    yield started
    started.kill()
    market.stop()


@pytest.fixture(scope="module")
def desk(world: World, core: CoreProcess) -> Client:
    """A client once the core has a book."""
    client = world.client("desk", timeout=10)
    wait_for(lambda: core.listens(client), "the core", COMPILE_S)
    wait_for(lambda: market_is_there(client), "the book")
    return client


def market_is_there(client: Client) -> bool:
    """Whether an order is taken: before the first snapshot none is."""
    try:
        client.place("ETHUSDT", "buy", "0.01", "10")
    except RpcError as error:
        if error.code in ("BOOK_STALE", "NO_PRICE", "CORE_UNAVAILABLE"):
            return False
        raise
    return True


def state(client: Client, client_order_id: str) -> str:
    return client.order(client_order_id=client_order_id).state


def test_an_order_rests_is_amended_and_cancelled(desk: Client) -> None:
    order = desk.place("BTCUSDT", "buy", "0.5", "100.0", post_only=True, client_order_id="rest")
    assert order.state == "pending_new"
    wait_for(lambda: state(desk, "rest") == "live", "the order to rest")
    desk.amend(client_order_id="rest", price="99.5", qty="0.7")
    wait_for(lambda: desk.order(client_order_id="rest").price == "99.5", "the amend")
    assert desk.order(client_order_id="rest").qty == "0.700"
    desk.cancel(client_order_id="rest")
    wait_for(lambda: state(desk, "rest") == "cancelled", "the cancel")
    with pytest.raises(RpcError, match="ORDER_NOT_OPEN"):
        desk.amend(client_order_id="rest", price="99")
    assert desk.place("BTCUSDT", "buy", "0.5", "100", post_only=True, client_order_id="rest").state == "cancelled"


def test_a_fill_is_told_and_moves_the_position(desk: Client) -> None:
    desk.subscribe(["orders", "fills"])
    taken = desk.place("BTCUSDT", "buy", "1", client_order_id="take")
    wait_for(lambda: state(desk, "take") == "filled", "the fill")
    (fill,) = desk.fills()
    assert (fill.order_id, fill.price, fill.qty, fill.liquidity) == (taken.order_id, "101.0", "1.000", "taker")
    wait_for(lambda: any(each.fills for each in desk.positions()), "the position")
    (position,) = [each for each in desk.positions() if each.symbol == "BTCUSDT"]
    assert (position.qty, position.average_price, position.mark_price) == ("1.000", "101", "100.5")
    events = list(desk.events(0.3))
    desk.unsubscribe()
    assert [event.fill for event in events if isinstance(event, FillEvent)] == [fill]
    kinds = [event.kind for event in events if isinstance(event, OrderEvent)]
    assert (kinds[0], kinds[-1]) == ("order_submitted", "order_filled")


@pytest.mark.parametrize(
    ("qty", "price", "said"),
    [
        ("6", "100", "QTY_ABOVE_MAX: quantity 6.000 is above the limit max_order_qty 5"),
        ("1", "50", r"PRICE_COLLAR: price 50\.0 of buy 1\.000 BTCUSDT at 50\.0 is farther from the market than"),
    ],
)
def test_a_refusal_names_the_limit(desk: Client, qty: str, price: str, said: str) -> None:
    with pytest.raises(RpcError, match=said):
        desk.place("BTCUSDT", "buy", qty, price)


def test_cancel_all_and_trading_states_are_acknowledged(desk: Client) -> None:
    wait_for(lambda: desk.cancel_all() >= 0 and not desk.orders(), "a clean table")
    resting = [desk.place("ETHUSDT", "buy", "0.01", "10") for _ in range(5)]
    other = desk.place("BTCUSDT", "buy", "0.1", "100")
    assert desk.cancel_all("ETHUSDT") == 5
    wait_for(lambda: not desk.orders(symbol="ETHUSDT"), "the cancels")
    assert {desk.order(order_id=each.order_id).state for each in resting} == {"cancelled"}
    assert desk.set_trading_state("reducing") == "reducing"
    with pytest.raises(RpcError, match="TRADING_REDUCING: the account is reducing, and buy"):
        desk.place("BTCUSDT", "buy", "1", "100")
    assert desk.set_trading_state("active") == "active"
    assert desk.cancel_all(scope="account") == 1
    wait_for(lambda: desk.order(order_id=other.order_id).state == "cancelled", "the last cancel")


def test_a_stop_is_held_and_moved_and_cancelled(desk: Client) -> None:
    stop = desk.place(
        "BTCUSDT",
        "sell",
        "0.1",
        order_type="stop_market",
        trigger_price="98",
        trigger_by="bid_ask",
        client_order_id="stop",
    )
    assert (stop.state, stop.trigger_price) == ("held", "98.0")
    moved = desk.amend(client_order_id="stop", trigger_price="97.5", qty="0.2")
    assert (moved.state, moved.trigger_price, moved.qty) == ("held", "97.5", "0.200")
    with pytest.raises(RpcError, match="BAD_TRIGGER"):
        desk.amend(client_order_id="stop", trail_by="1")
    assert desk.cancel(client_order_id="stop").state == "cancelled"
    assert desk.order(client_order_id="stop").reason == "REQUESTED"


def test_a_stop_whose_price_is_reached_leaves_and_fills(desk: Client) -> None:
    stop = desk.place("BTCUSDT", "sell", "0.1", order_type="stop_market", trigger_price="100.5", trigger_by="bid_ask")
    wait_for(lambda: desk.order(order_id=stop.order_id).state == "filled", "the stop")
    (fill,) = [each for each in desk.fills() if each.order_id == stop.order_id]
    assert (fill.price, fill.qty) == ("100.0", "0.100")


def test_a_bracket_lets_its_exits_go_when_the_entry_fills(desk: Client) -> None:
    entry, target, stop = desk.bracket(
        terms("BTCUSDT", "buy", "0.1"),
        terms("BTCUSDT", "sell", "0.1", "104"),
        terms("BTCUSDT", "sell", "0.1", order_type="stop_market", trigger_price="97", trigger_by="bid_ask"),
    )
    wait_for(lambda: desk.order(order_id=entry.order_id).state == "filled", "the entry")
    wait_for(lambda: desk.order(order_id=target.order_id).state == "live", "the target")
    assert desk.order(order_id=stop.order_id).state == "held"
    desk.cancel(order_id=target.order_id)
    wait_for(lambda: desk.order(order_id=target.order_id).state == "cancelled", "the cancel")
    desk.cancel(order_id=stop.order_id)
    wait_for(lambda: not desk.orders(symbol="BTCUSDT"), "a clean table")


def test_a_bracket_with_a_refused_stop_leaves_nothing_open(desk: Client) -> None:
    nothing = "; because of order 'large' the whole group was refused, and nothing of it has left"
    with pytest.raises(RpcError, match=f"QTY_ABOVE_MAX: quantity 6.000 is above .*{nothing}"):
        desk.bracket(
            terms("BTCUSDT", "buy", "0.1", client_order_id="lone"),
            terms("BTCUSDT", "sell", "0.1", "104"),
            terms("BTCUSDT", "sell", "6", order_type="stop_market", trigger_price="97", client_order_id="large"),
        )
    lone = desk.order(client_order_id="lone")
    assert (lone.state, lone.reason, lone.filled_qty) == ("rejected", "GROUP_REFUSED", "0.000")
    assert not desk.orders(symbol="BTCUSDT")


def test_of_an_oco_pair_the_cancel_of_one_ends_the_other(desk: Client) -> None:
    first, second = desk.oco(terms("BTCUSDT", "buy", "0.1", "99"), terms("BTCUSDT", "buy", "0.1", "98.5"))
    wait_for(lambda: desk.order(order_id=second.order_id).state == "live", "the orders")
    desk.cancel(order_id=first.order_id)
    wait_for(lambda: desk.order(order_id=second.order_id).state == "cancelled", "the other's end")


def test_a_replacement_leaves_when_the_cancel_is_certain(desk: Client) -> None:
    old = desk.place("BTCUSDT", "buy", "0.1", "98")
    wait_for(lambda: desk.order(order_id=old.order_id).state == "live", "the order")
    new = desk.replace(order_id=old.order_id, price="98.5")
    wait_for(lambda: desk.order(order_id=new.order_id).state == "live", "the new order")
    gone = desk.order(order_id=old.order_id)
    assert (gone.state, desk.order(order_id=new.order_id).price) == ("cancelled", "98.5")
    desk.cancel(order_id=new.order_id)
    wait_for(lambda: not desk.orders(symbol="BTCUSDT"), "a clean table")


def parent_of(desk: Client, client_order_id: str) -> tuple[str, str]:
    """State of an order that an algorithm works, and what is in its open children."""
    progress = desk.progress(client_order_id=client_order_id)
    return progress.state, progress.open_qty


def test_an_algorithm_works_an_order_through_children(desk: Client) -> None:
    parent = desk.start_algorithm("best-limit", "BTCUSDT", "buy", "0.3", client_order_id="worked", retries=2)
    assert (parent.state, parent.order_type, parent.algorithm) == ("held", "algorithm_market", "best-limit")
    wait_for(lambda: parent_of(desk, "worked") == ("running", "0.300"), "the child")
    (child,) = [each for each in desk.orders(symbol="BTCUSDT") if each.parent_order_id == parent.order_id]
    assert (child.price, child.client) == ("100.0", "desk")
    desk.amend_algorithm(client_order_id="worked", qty="0.2", parameters={"offset_ticks": 3})
    wait_for(lambda: desk.order(order_id=child.order_id).price == "99.7", "the child's amend")
    assert desk.order(order_id=child.order_id).qty == "0.200"
    assert desk.pause(client_order_id="worked").state == "held"
    wait_for(lambda: parent_of(desk, "worked") == ("paused", "0.000"), "the child's cancel")
    desk.resume(client_order_id="worked")
    wait_for(lambda: parent_of(desk, "worked") == ("running", "0.200"), "the next child")
    desk.cancel(client_order_id="worked")
    wait_for(lambda: parent_of(desk, "worked") == ("cancelled", "0.000"), "the end")
    with pytest.raises(RpcError, match="QTY_BELOW_MIN"):
        desk.start_algorithm("best-limit", "ETHUSDT", "buy", "0.001")


def test_an_algorithm_of_the_settings_fills_its_order_and_tells_what_it_cost(desk: Client) -> None:
    desk.subscribe(["progress"])
    parent = desk.start_algorithm("take-all", "BTCUSDT", "buy", "0.1", client_order_id="taken")
    wait_for(lambda: parent_of(desk, "taken") == ("filled", "0.000"), "the fill")
    told = [each.progress for each in desk.events(0.3) if isinstance(each, ProgressEvent)]
    desk.unsubscribe()
    done = desk.progress(client_order_id="taken")
    assert [each.filled_qty for each in told if each.order_id == parent.order_id][-1] == done.filled_qty == "0.100"
    assert (done.average_price, done.arrival_price, done.arrival_slippage_bps) == ("101", "100.5", "49.75")
    assert 0 < done.started_ts <= done.ts
    (fill,) = [each for each in desk.fills() if each.ts >= done.started_ts]
    assert (fill.client, fill.qty, fill.price) == ("desk", "0.100", "101.0")
    assert desk.order(client_order_id="taken").fees == fill.fee


def test_a_gtd_order_expires_by_itself(desk: Client) -> None:
    order = desk.place("BTCUSDT", "buy", "0.1", "98", time_in_force="gtd", good_till_ts=time.time_ns() + 500_000_000)
    wait_for(lambda: desk.order(order_id=order.order_id).state == "cancelled", "its time")


def test_kill_9_of_the_core_leaves_no_order_in_doubt_unnamed(desk: Client, core: CoreProcess) -> None:
    done = desk.place("BTCUSDT", "sell", "0.1", client_order_id="done")
    desk.place("BTCUSDT", "buy", "0.5", "100", client_order_id="open")
    desk.start_algorithm("best-limit", "BTCUSDT", "buy", "0.1", parameters={"offset_ticks": 5}, client_order_id="work")
    wait_for(lambda: parent_of(desk, "work") == ("running", "0.100"), "the child")
    wait_for(lambda: state(desk, "open") == "live" and state(desk, "done") == "filled", "the orders")
    session = desk.status().core_session
    core.kill()
    wait_for(lambda: not desk.status().core_available, "the server to notice")
    with pytest.raises(RpcError, match="CORE_UNAVAILABLE"):
        desk.place("BTCUSDT", "buy", "0.5", "100", client_order_id="meanwhile")
    core.start()
    wait_for(lambda: core.listens(desk) and desk.status().core_session > session, "the next core", COMPILE_S)
    assert desk.status().trading_state == "halted"
    ended = desk.place("BTCUSDT", "buy", "0.5", "100", client_order_id="open")
    assert (ended.state, ended.reason) == ("cancelled", "RESTARTED")
    again = desk.place("BTCUSDT", "sell", "0.1", client_order_id="done")
    assert (again.order_id, again.state) == (done.order_id, "filled")
    with pytest.raises(RpcError, match="TRADING_HALTED"):
        desk.place("BTCUSDT", "buy", "0.5", "100", client_order_id="meanwhile")
    assert [each.client_order_id for each in desk.orders()] == ["work"]
    assert parent_of(desk, "work") == ("running", "0.000")
    desk.set_trading_state("active")
    wait_for(lambda: parent_of(desk, "work") == ("running", "0.100"), "the parent to go on")
    assert desk.progress(client_order_id="work").parameters["offset_ticks"] == 5.0
    desk.cancel(client_order_id="work")
    wait_for(lambda: desk.orders() == [], "the end")
    assert desk.status().complete
