"""Orders that algorithms work: checked, started once, amended, paused, resumed, cancelled; how far they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oms.algorithms import read_algorithms
from oms.journal_format import Direction, Entry
from oms.records import PARENT, CommandKind, RecordKind, Trigger
from rpc.algorithm_terms import AlgorithmTerms, TermsBook, read_terms
from rpc.client import Client, OutcomeUnknownError, RpcError, terms
from rpc.entities import FillEvent, OrderEvent, Progress, ProgressEvent
from rpc.ledger import Ledger
from rpc.messages import MessageError, ProgressReply, decode_request, encode
from rpc.progress import slippage_bps
from rpc.protocol import Call, expect
from rpc.requests import GetProgress, StartAlgorithm
from tests.rpc.conftest import World, wait_for
from tests.rpc.scripted_core import ScriptedCore

REFUSED = "432.1"
BEST = read_algorithms([])["best-limit"]
PX = 100_000_000
"""An average price of one tick."""


@pytest.fixture
def core(world: World) -> ScriptedCore:
    return world.start_core()


@pytest.fixture
def desk(world: World, core: ScriptedCore) -> Client:
    world.start_server()
    return world.ready_client()


def start(desk: Client, algorithm: str = "best-limit", symbol: str = "BTCUSDT", **others: Any) -> Any:
    return desk.start_algorithm(algorithm, symbol, "buy", "1", **{"client_order_id": "parent", **others})


def sent_parameters(core: ScriptedCore, order_id: int) -> dict[str, float]:
    values = core.algorithm_terms[order_id]["parameters"].tolist()
    return dict(zip(BEST.parameters, values, strict=False))


def test_the_algorithms_are_told_with_their_parameters_and_ranges(desk: Client) -> None:
    found = {each.name: each for each in desk.algorithms()}
    assert (found["best-limit"].parameters, found["best-limit"].ranges) == (BEST.parameters, BEST.ranges)
    assert found["best-limit"].summary.startswith("Best-Limit: ")


def test_a_start_is_an_order_with_its_terms_ahead(core: ScriptedCore, desk: Client) -> None:
    order = start(desk, price="100", parameters={"offset_ticks": 2}, reduce_only=True)
    assert (order.state, order.order_type, order.algorithm, order.price) == (
        "held",
        "algorithm_limit",
        "best-limit",
        "100.0",
    )
    assert (order.time_in_force, order.reduce_only, order.trigger_price, order.trigger_by) == ("gtc", True, None, None)
    command, said = core.commands[order.order_id], core.algorithm_terms[order.order_id]
    assert (int(command["kind"]), int(command["trigger"]), int(command["px"])) == (
        CommandKind.NEW,
        Trigger.ALGORITHM,
        1000,
    )
    assert int(said["algorithm"]) == read_algorithms(())["best-limit"].id
    assert said["routes"].tolist() == [-1] * 8
    assert sent_parameters(core, order.order_id) == {**BEST.parameters, "offset_ticks": 2.0}


def test_a_start_over_several_venues_names_them_or_their_canonical_symbol(core: ScriptedCore, desk: Client) -> None:
    order = start(desk, "sor", venues=["BTCUSDC"])
    assert core.algorithm_terms[order.order_id]["routes"].tolist() == [2, -1, -1, -1, -1, -1, -1, -1]
    assert desk.progress(client_order_id="parent").venues == ("BTCUSDC",)
    other = start(desk, "sor", "BTC-PERPETUAL.other", client_order_id="by-name")
    assert (other.symbol, core.algorithm_terms[other.order_id]["routes"].tolist()[:2]) == ("BTCUSDC", [0, -1])


def test_a_quantity_or_a_price_may_stand_for_lots_or_ticks(core: ScriptedCore, desk: Client) -> None:
    order = start(desk, parameters={"display_qty": "0.25", "offset_price": "0.3"})
    sent = sent_parameters(core, order.order_id)
    assert (sent["display_lots"], sent["offset_ticks"]) == (250.0, 3.0)
    with pytest.raises(RpcError, match=r"BAD_PARAMETER: .*0\.0005"):
        start(desk, parameters={"display_qty": "0.0005"}, client_order_id="off-grid")


def test_a_start_without_a_price_has_no_limit(core: ScriptedCore, desk: Client) -> None:
    order = start(desk)
    assert (order.order_type, order.price, order.time_in_force) == ("algorithm_market", None, "gtc")
    assert int(core.commands[order.order_id]["px"]) == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"algorithm": "worst"}, "BAD_ALGORITHM: unknown algorithm 'worst': this session has .*best-limit"),
        (
            {"parameters": {"size": 1}},
            "BAD_PARAMETER: algorithm best-limit has no parameter 'size': it has offset_ticks",
        ),
        (
            {"parameters": {"offset_ticks": -1}},
            r"BAD_PARAMETER: parameter offset_ticks of best-limit is -1: give a number from 0 to 1e\+06",
        ),
        ({"parameters": {"offset_ticks": float("nan")}}, "BAD_PARAMETER: .* is nan: give a finite number"),
        ({"time_in_force": "ioc"}, "BAD_TIME_IN_FORCE: an order that an algorithm works is never ioc"),
        ({"time_in_force": "gtd"}, "BAD_EXPIRY: time in force gtd with good_till_ts 0"),
        (
            {"algorithm": "sor", "venues": ["BTCUSDT"]},
            "BAD_ALGORITHM: venues BTCUSDT of BTCUSDT: name each instrument once",
        ),
        ({"algorithm": "sor", "venues": ["XRPUSDT"]}, "UNKNOWN_INSTRUMENT: .*XRPUSDT"),
        ({"venues": ["BTCUSDC"]}, "BAD_ALGORITHM: algorithm best-limit trades at one venue"),
        ({"symbol": "BTC-PERPETUAL"}, "BAD_ALGORITHM: algorithm best-limit trades at one venue"),
        (
            {"algorithm": "sor", "symbol": "BTC-PERPETUAL.there"},
            "UNKNOWN_INSTRUMENT: BTC-PERPETUAL is traded at binance_usdm, other: there is not among its venues",
        ),
        ({"qty": "0.0005"}, "QTY_BELOW_MIN: .* is not on"),
        ({"price": "100.05"}, r"BAD_PRICE: price 100\.05 is not on BTCUSDT's tick"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    core: ScriptedCore, desk: Client, change: dict[str, Any], said: str
) -> None:
    good = {"algorithm": "best-limit", "symbol": "BTCUSDT", "side": "buy", "qty": "1", "client_order_id": "parent"}
    with pytest.raises(RpcError, match=said):
        desk.start_algorithm(**{**good, **change})
    assert core.taken == 0
    with pytest.raises(RpcError, match="UNKNOWN_ORDER"):
        desk.order(client_order_id="parent")


def test_what_the_core_refuses_is_told(core: ScriptedCore, desk: Client) -> None:
    with pytest.raises(RpcError, match=r"PRICE_COLLAR: price 432\.1 of buy 1.000 BTCUSDT at 432\.1 by best-limit"):
        start(desk, price=REFUSED)
    order = desk.order(client_order_id="parent")
    assert (order.state, order.algorithm) == ("rejected", "best-limit")
    done = desk.progress(client_order_id="parent")
    assert (done.state, done.reason, done.filled_qty, done.started_ts) == ("rejected", "PRICE_COLLAR", "0.000", 0)


def test_the_same_start_again_is_one_order_and_other_terms_are_another(core: ScriptedCore, desk: Client) -> None:
    first = start(desk, parameters={"offset_ticks": 2})
    assert start(desk, parameters={"offset_ticks": 2.0}).order_id == first.order_id
    assert core.taken == 1
    for other in ({"offset_ticks": 3}, {"offset_ticks": 2, "post_only": 0}):
        with pytest.raises(RpcError, match=r"DUPLICATE_CLIENT_ORDER_ID: .* another order, buy .* by best-limit"):
            start(desk, parameters=other)
    with pytest.raises(RpcError, match="DUPLICATE_CLIENT_ORDER_ID"):
        desk.place("BTCUSDT", "buy", "1", client_order_id="parent")


@pytest.mark.unanswered
def test_a_start_that_was_not_answered_is_sent_again_with_its_terms(core: ScriptedCore, desk: Client) -> None:
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError) as unknown:
        start(desk, parameters={"offset_ticks": 2})
    assert unknown.value.client_order_id == "parent"
    with pytest.raises(RpcError, match="UNKNOWN_ORDER: the core has not answered for order 'parent'"):
        desk.progress(client_order_id="parent")
    core.become(deaf=False)
    order = start(desk, parameters={"offset_ticks": 2}, retries=10)
    assert order.state == "held"
    assert sent_parameters(core, order.order_id)["offset_ticks"] == 2.0


def test_an_amend_changes_only_what_is_given(core: ScriptedCore, desk: Client) -> None:
    order = start(desk, price="100", parameters={"offset_ticks": 2})
    amended = desk.amend_algorithm(client_order_id="parent", qty="2", parameters={"display_lots": 5})
    assert (amended.qty, amended.price) == ("2.000", "100.0")
    expected = {**BEST.parameters, "offset_ticks": 2.0, "display_lots": 5.0}
    assert sent_parameters(core, order.order_id) == expected
    assert desk.progress(order_id=order.order_id).parameters == expected
    assert desk.amend_algorithm(order_id=order.order_id, price="101").price == "101.0"
    assert desk.amend(order_id=order.order_id, price="102").price == "102.0"
    assert desk.progress(order_id=order.order_id).parameters == expected


def test_a_refused_amend_leaves_the_parameters_as_they_were(core: ScriptedCore, desk: Client) -> None:
    start(desk, price="100")
    with pytest.raises(RpcError, match="PRICE_COLLAR"):
        desk.amend_algorithm(client_order_id="parent", price=REFUSED, parameters={"offset_ticks": 2})
    assert desk.progress(client_order_id="parent").parameters == BEST.parameters
    taken = core.taken
    refused: list[tuple[dict[str, Any], str]] = [
        ({}, "BAD_COMMAND: the amend of order 'parent' changes nothing"),
        ({"parameters": {"offset_ticks": 2e6}}, "BAD_PARAMETER: parameter offset_ticks"),
    ]
    for change, said in refused:
        with pytest.raises(RpcError, match=said):
            desk.amend_algorithm(client_order_id="parent", **change)
    assert core.taken == taken


def test_a_limit_is_not_given_to_an_order_without_one(core: ScriptedCore, desk: Client) -> None:
    order = start(desk)
    calls: list[Callable[..., Any]] = [desk.amend, desk.amend_algorithm]
    for call in calls:
        with pytest.raises(RpcError, match=f"BAD_PRICE: order {order.order_id} was started without a limit price"):
            call(client_order_id="parent", price="100")


@pytest.mark.unanswered
def test_parameters_are_not_amended_twice_at_a_time(core: ScriptedCore, desk: Client, world: World) -> None:
    order = start(desk)
    core.become(deaf=True)
    with pytest.raises(OutcomeUnknownError):
        desk.amend_algorithm(client_order_id="parent", parameters={"offset_ticks": 2})
    core.become(deaf=False)
    wait_for(lambda: desk.progress(order_id=order.order_id).parameters["offset_ticks"] == 2.0, "the late answer")


def test_pause_resume_and_cancel_are_told_as_progress(core: ScriptedCore, desk: Client) -> None:
    order = start(desk)
    for call, state in ((desk.pause, "paused"), (desk.resume, "running"), (desk.pause, "paused")):
        assert call(client_order_id="parent").state == "held"
        assert desk.progress(client_order_id="parent").state == state
    desk.cancel(client_order_id="parent")
    wait_for(lambda: desk.order(order_id=order.order_id).state == "cancelled", "the end")
    done = desk.progress(client_order_id="parent")
    assert (done.state, done.reason) == ("cancelled", "REQUESTED")
    assert desk.all_progress() == []
    assert desk.all_progress(open_only=False) == [done]
    with pytest.raises(RpcError, match="ORDER_NOT_OPEN"):
        desk.resume(client_order_id="parent")


def test_only_an_order_that_an_algorithm_works_is_paused(core: ScriptedCore, desk: Client) -> None:
    desk.place("BTCUSDT", "buy", "1", "100", client_order_id="plain")
    calls: list[Callable[..., Any]] = [desk.pause, desk.resume, desk.amend_algorithm, desk.progress]
    for call in calls:
        with pytest.raises(RpcError, match="NO_PARENT: no algorithm works order 'plain'"):
            call(client_order_id="plain")


def test_nothing_else_is_made_of_such_an_order(core: ScriptedCore, desk: Client) -> None:
    start(desk, price="100")
    with pytest.raises(RpcError, match=r"BAD_ORDER_TYPE: .* start it by start_algorithm"):
        desk.place("BTCUSDT", "buy", "1", "100", order_type="algorithm_limit")
    with pytest.raises(RpcError, match="BAD_ORDER_TYPE"):
        desk.oco(terms("BTCUSDT", "buy", "1", "100"), terms("BTCUSDT", "buy", "1", order_type="algorithm_market"))
    with pytest.raises(RpcError, match="BAD_PARENT: order 'parent' is worked by an algorithm"):
        desk.replace(client_order_id="parent", price="101")
    with pytest.raises(RpcError, match="BAD_PARENT: order 'parent' is worked by an algorithm"):
        desk.place("BTCUSDT", "sell", "1", "110", contingency="oto", parent_client_order_id="parent")


def test_cancel_all_counts_each_order_once(core: ScriptedCore, desk: Client) -> None:
    start(desk)
    desk.place("BTCUSDT", "buy", "1", "100")
    assert desk.cancel_all() == 2
    start(desk, client_order_id="second")
    desk.place("BTCUSDT", "buy", "1", "100")
    assert desk.cancel_all(scope="account") == 2
    wait_for(lambda: not desk.orders(scope="account"), "the cancels")


def test_cancel_all_in_one_instrument_takes_orders_that_may_trade_there(core: ScriptedCore, desk: Client) -> None:
    start(desk, "sor", venues=["BTCUSDC"])
    start(desk, client_order_id="here")
    desk.place("BTCUSDT", "buy", "1", "100", client_order_id="plain")
    assert desk.cancel_all("BTCUSDC") == 1
    wait_for(lambda: desk.order(client_order_id="parent").state == "cancelled", "the end")
    assert sorted(str(order.client_order_id) for order in desk.orders()) == ["here", "plain"]


def test_progress_is_exact_and_slippage_is_a_cost(core: ScriptedCore, desk: Client) -> None:
    order = start(desk, price="102")
    core.progress(
        order.order_id,
        400,
        last_px=1005 * PX + PX // 2,
        realized_pnl=1000 * PX,
        fees=1010 * PX,
        last_qty=100,
        aux=500,
        position_qty=7,
    )
    found = desk.progress(client_order_id="parent")
    assert (found.qty, found.filled_qty, found.left_qty, found.open_qty, found.due_qty) == (
        "1.000",
        "0.400",
        "0.600",
        "0.100",
        "0.500",
    )
    assert (found.average_price, found.arrival_price, found.market_vwap) == ("100.55", "100", "101")
    assert (found.arrival_slippage_bps, found.vwap_slippage_bps) == ("55.00", "-44.55")
    assert (found.started_ts, found.price, found.client, found.state) == (7, "102.0", "desk", "running")


def test_a_sale_above_its_benchmark_costs_nothing() -> None:
    assert slippage_bps(-1, 1005 * PX, 1000 * PX) == "-50.00"
    assert slippage_bps(1, 0, 1000 * PX) is None
    assert slippage_bps(1, 1000 * PX, 0) is None


def test_children_are_the_parents_owners(core: ScriptedCore, desk: Client, world: World) -> None:
    other = world.client("other")
    order = start(desk)
    desk.subscribe(["orders", "fills", "progress"])
    other.subscribe(["orders", "fills", "progress"])
    child_id = core.place_child(order.order_id, 400, 999)
    core.fill(child_id, 400, 999)
    core.progress(order.order_id, 400)
    wait_for(lambda: desk.progress(client_order_id="parent").filled_qty == "0.400", "the fill")
    child = desk.order(order_id=child_id)
    assert (child.client, child.client_order_id, child.parent_order_id) == ("desk", None, order.order_id)
    assert {each.order_id for each in desk.orders(open_only=False)} == {order.order_id, child_id}
    (fill,) = desk.fills()
    assert (fill.order_id, fill.client) == (child_id, "desk")
    parent = desk.order(client_order_id="parent")
    assert (parent.filled_qty, parent.fees) == ("0.400", fill.fee)
    events = list(desk.events(0.2))
    assert [each.fill for each in events if isinstance(each, FillEvent)] == [fill]
    assert child_id in {each.order.order_id for each in events if isinstance(each, OrderEvent)}
    told = [each.progress.filled_qty for each in events if isinstance(each, ProgressEvent)]
    assert told == ["0.400"]
    assert (list(other.events(0.1)), other.orders(open_only=False), other.fills()) == ([], [], [])
    with pytest.raises(RpcError, match=f"NOT_OWNER: order {child_id} is a child of order {order.order_id}"):
        desk.cancel(order_id=child_id)
    with pytest.raises(RpcError, match="NOT_OWNER"):
        other.order(order_id=child_id)


def test_who_takes_everything_is_told_of_everyones_progress(core: ScriptedCore, desk: Client, world: World) -> None:
    watcher = world.client("watcher")
    watcher.subscribe(["all"])
    start(desk)
    told = next(each.progress for each in watcher.events(10.0) if isinstance(each, ProgressEvent))
    assert (told.client, told.algorithm, told.state) == ("desk", "best-limit", "running")
    assert watcher.all_progress() == []
    assert [each.client for each in watcher.all_progress(scope="account")] == ["desk"]


def test_after_a_restart_of_the_server_all_is_known_as_before(core: ScriptedCore, world: World) -> None:
    server = world.start_server()
    desk = world.ready_client()
    order = start(desk, parameters={"offset_ticks": 2})
    desk.amend_algorithm(client_order_id="parent", parameters={"offset_ticks": 4})
    desk.pause(client_order_id="parent")
    child_id = core.place_child(order.order_id, 100, 999)
    before: Progress = desk.progress(client_order_id="parent")
    server.close()
    world.start_server()
    again = world.ready_client()
    assert again.progress(client_order_id="parent") == before
    assert (before.parameters["offset_ticks"], before.state) == (4.0, "paused")
    assert {each.order_id for each in again.orders()} == {order.order_id, child_id}
    assert start(again, parameters={"offset_ticks": 2}).order_id == order.order_id
    again.amend_algorithm(client_order_id="parent", parameters={"display_lots": 1})
    assert sent_parameters(core, order.order_id)["offset_ticks"] == 4.0


def test_nothing_is_sent_while_the_core_is_away(world: World) -> None:
    world.start_server()
    desk = world.client()
    with pytest.raises(RpcError, match="CORE_UNAVAILABLE"):
        start(desk)


def test_progress_comes_by_the_page(core: ScriptedCore, desk: Client) -> None:
    for number in range(3):
        start(desk, client_order_id=f"p{number}")
        desk.place("BTCUSDT", "buy", "1", "100")
    pages: list[ProgressReply] = []
    for _ in range(2):
        request = GetProgress(request_id=0, limit=2, cursor=pages[-1].cursor if pages else None)
        pages.append(expect(desk._exchange(Call(request, 5.0)), ProgressReply))
    assert [[each.client_order_id for each in page.progress] for page in pages] == [["p2", "p1"], ["p0"]]
    assert pages[-1].cursor is None


# The terms' book


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    made = Ledger(tmp_path)
    yield made
    made.close()


def test_terms_survive_their_record() -> None:
    made = AlgorithmTerms.of(BEST, [1.0, 2.0, 3.0, 4.0], [5, 6])
    assert read_terms(made.record(9)) == made
    assert made.record(9) != made.record(10)
    assert made.digest != AlgorithmTerms.of(BEST, [1.0, 2.0, 3.0, 4.0], [5]).digest


def test_the_core_says_in_the_journal_what_it_works_by(ledger: Ledger) -> None:
    book = TermsBook(ledger, {"best-limit": BEST})
    rows = np.zeros(2, PARENT)
    rows["order_id"] = 8
    rows["algorithm"] = read_algorithms(())["best-limit"].id
    rows["parameters"][:, 0] = [1, 3]
    rows["routes"] = [0, 4, -1, -1, -1, -1, -1, -1]
    book.take(Entry(RecordKind.PARENT, Direction.OUTPUT, 0, 0, rows, 0))
    book.give()
    assert book.parameters_of(8)["offset_ticks"] == 3.0
    assert TermsBook(ledger, {"best-limit": BEST}).of(8) == AlgorithmTerms.of(BEST, [3.0, 0.0, 0.0, 0.0], [4])
    assert TermsBook(ledger, {}).algorithm_of(8) is None


def test_a_request_with_too_many_venues_is_refused() -> None:
    made = StartAlgorithm(
        request_id=1, client_order_id="a", algorithm="x", symbol="X", side="buy", qty="1", venues=("Y",) * 8
    )
    with pytest.raises(MessageError, match="venues"):
        decode_request(encode(made))
