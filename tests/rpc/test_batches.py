"""Orders in batches: answered once each, never placed twice, refused with the same reasons as single ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.records import BUY, OrderState, Reason, TimeInForce, TradingState
from rpc.batch_client import BatchClient
from rpc.batches import (
    ANSWER,
    CODE_NAMES,
    FIRST_RPC_CODE,
    MOST_ORDERS,
    BatchKind,
    BatchOutcome,
    Records,
    code_of,
    codes_of,
    decode_batch,
    encode_batch,
    new_orders,
    the_order,
)
from rpc.client import RpcError
from rpc.limits import Limits
from rpc.messages import MessageError, RpcCode, encode
from rpc.requests import Hello
from tests.full_disk import files_bounded_to
from tests.rpc.conftest import PATIENT, QUICK, World, wait_for
from tests.rpc.test_garbage import ask
from tests.rpc.test_orders import core_of

TERMS = {"instrument": 0, "side": BUY, "px": 618_001, "qty": 500}


@contextmanager
def batch_client(world: World, limits: Limits) -> Iterator[BatchClient]:
    """A client of a running server with a running core."""
    world.start_core()
    world.start_server(limits)
    client = BatchClient("desk", world.settings.rpc_endpoint, timeout=limits.answer_timeout_s + 5.0)
    wait_for(lambda: client.status().core_available, "the server to hear of the core")
    yield client
    client.close()


@pytest.fixture
def fast(world: World) -> Iterator[BatchClient]:
    with batch_client(world, QUICK) as client:
        yield client


@pytest.fixture
def patient(world: World) -> Iterator[BatchClient]:
    with batch_client(world, PATIENT) as client:
        yield client


def answers_of(client: BatchClient, count: int) -> Records:
    """The next ``count`` answers, in the order of their requests."""
    found: Records = np.zeros(0, ANSWER)
    while len(found) < count:
        more = client.answers(60.0)
        assert len(more)
        found = np.concatenate((found, more))
    return found[np.argsort(found["request_id"])]


def place(client: BatchClient, names: list[str], **fields: int) -> Records:
    client.place_batch(new_orders(names, **{**TERMS, **fields}))
    return answers_of(client, len(names))


def codes(answers: Records) -> list[str]:
    return [CODE_NAMES[int(code)] for code in answers["code"]]


def test_every_order_of_a_batch_is_answered_when_the_core_has_it(world: World, patient: BatchClient) -> None:
    names = [f"id-{number}" for number in range(1_200)]
    orders = new_orders(names, **TERMS)
    patient.place_batch(orders)
    assert patient.outstanding == 1_200
    answers = answers_of(patient, 1_200)
    assert set(answers["outcome"].tolist()) == {BatchOutcome.ACKNOWLEDGED}
    assert answers["request_id"].tolist() == orders["request_id"].tolist()
    assert len(set(answers["order_id"].tolist())) == 1_200
    assert patient.outstanding == 0
    assert len(core_of(world).orders) == 1_200
    one = patient.order(client_order_id="id-700")
    assert (one.order_id, one.price, one.qty) == (answers["order_id"][700], "61800.1", "0.500")
    wait_for(lambda: patient.order(client_order_id="id-700").state == "live", "the exchange's answer")


def test_the_same_id_again_finds_its_order_whichever_way_it_comes(world: World, fast: BatchClient) -> None:
    first = place(fast, ["a", "b"])
    again = place(fast, ["b", "c", "a"])
    assert again["order_id"][[2, 0]].tolist() == first["order_id"].tolist()
    assert set(again["outcome"].tolist()) == {BatchOutcome.ACKNOWLEDGED}
    assert again["state"][[0, 2]].tolist() == [OrderState.LIVE] * 2
    assert fast.place("BTCUSDT", "buy", "0.5", "61800.1", client_order_id="c").order_id == again["order_id"][1]
    assert len(core_of(world).orders) == 3


def test_the_same_id_with_other_contents_is_refused(world: World, fast: BatchClient) -> None:
    place(fast, ["a"])
    assert codes(place(fast, ["a"], qty=501)) == ["DUPLICATE_CLIENT_ORDER_ID"]
    assert codes(place(fast, ["b", "b"])) == ["NONE", "DUPLICATE_CLIENT_ORDER_ID"]
    with pytest.raises(RpcError, match="DUPLICATE_CLIENT_ORDER_ID"):
        fast.place("BTCUSDT", "buy", "0.6", "61800.1", client_order_id="a")
    assert len(core_of(world).orders) == 2


def test_what_cannot_be_passed_on_is_refused_and_the_rest_goes_on(world: World, fast: BatchClient) -> None:
    orders = new_orders([f"id-{number}" for number in range(9)], **TERMS)
    orders["instrument"][1] = 77
    orders["side"][2] = 0
    orders["order_type"][3] = 9
    orders["time_in_force"][4] = 200
    orders["px"][5] = 0
    orders["qty"][6] = -1
    orders["expires_ts"][7] = 1
    fast.place_batch(orders)
    assert codes(answers_of(fast, 9)) == [
        "NONE",
        "UNKNOWN_INSTRUMENT",
        "BAD_SIDE",
        "BAD_ORDER_TYPE",
        "BAD_TIME_IN_FORCE",
        "BAD_PRICE",
        "QTY_BELOW_MIN",
        "REQUEST_EXPIRED",
        "NONE",
    ]
    assert len(core_of(world).orders) == 2


def test_a_refusal_of_the_core_says_why(world: World, fast: BatchClient) -> None:
    core_of(world).do(lambda: core_of(world).set_state(TradingState.HALTED))
    answers = place(fast, ["a", "b"])
    assert set(answers["outcome"].tolist()) == {BatchOutcome.REFUSED}
    assert codes(answers) == ["TRADING_HALTED"] * 2
    again = place(fast, ["a"])
    assert codes(again) == ["TRADING_HALTED"]


def test_without_an_answer_of_the_core_the_outcome_is_unknown(world: World, fast: BatchClient) -> None:
    core_of(world).become(deaf=True)
    answers = place(fast, ["a", "b"])
    assert set(answers["outcome"].tolist()) == {BatchOutcome.UNKNOWN}
    assert fast.order(client_order_id="a").state == "unknown"
    core_of(world).become(deaf=False)
    placed = fast.place("BTCUSDT", "buy", "0.5", "61800.1", client_order_id="a", retries=20)
    assert placed.order_id == answers["order_id"][0]
    assert list(core_of(world).orders).count(placed.order_id) == 1


@pytest.mark.unanswered
def test_one_record_is_answered_as_one_among_many(world: World, fast: BatchClient) -> None:
    first = place(fast, ["a"])
    assert (first["outcome"][0], first["code"][0]) == (BatchOutcome.ACKNOWLEDGED, 0)
    assert first["order_id"][0] == fast.order(client_order_id="a").order_id
    again = place(fast, ["a"])
    assert (again["order_id"][0], again["outcome"][0]) == (first["order_id"][0], BatchOutcome.ACKNOWLEDGED)
    assert codes(place(fast, ["b"], side=0)) == ["BAD_SIDE"]
    core_of(world).become(deaf=True)
    unknown = place(fast, ["c"])
    assert unknown["outcome"][0] == BatchOutcome.UNKNOWN
    core_of(world).become(deaf=False)
    placed = fast.place("BTCUSDT", "buy", "0.5", "61800.1", client_order_id="c", retries=20)
    assert placed.order_id == unknown["order_id"][0]
    assert len(core_of(world).orders) == 2


def test_a_record_whose_id_cannot_be_put_on_disk_is_not_sent(world: World, fast: BatchClient) -> None:
    place(fast, ["first"])
    (log,) = Path(world.settings.account_dir / "rpc").glob("ledger.*.log")
    with files_bounded_to(log.stat().st_size + 100):
        assert codes(place(fast, ["a"])) == ["LEDGER_FAILED"]
    assert core_of(world).taken == 1
    assert codes(place(fast, ["a"])) == ["NONE"]


def test_answers_that_were_lost_on_the_way_are_found_in_the_journal(world: World, fast: BatchClient) -> None:
    core_of(world).become(silent=True)
    answers = place(fast, ["a", "b"])
    assert set(answers["outcome"].tolist()) == {BatchOutcome.ACKNOWLEDGED}


def test_nothing_is_sent_to_a_core_that_is_not_there(world: World, fast: BatchClient) -> None:
    core_of(world).become(beating=False)
    wait_for(lambda: not fast.status().core_available, "the server to notice")
    assert codes(place(fast, ["a"])) == ["CORE_UNAVAILABLE"]
    assert core_of(world).taken == 0
    core_of(world).become(beating=True)
    wait_for(lambda: fast.status().core_available, "the core")
    assert codes(place(fast, ["a"])) == ["NONE"]


def test_an_id_that_cannot_be_put_on_disk_sends_nothing(world: World, fast: BatchClient) -> None:
    place(fast, ["first"])
    (log,) = Path(world.settings.account_dir / "rpc").glob("ledger.*.log")
    with files_bounded_to(log.stat().st_size + 100):
        answers = place(fast, ["a", "b"])
    assert codes(answers) == ["LEDGER_FAILED"] * 2
    assert core_of(world).taken == 1
    assert codes(place(fast, ["a", "b"])) == ["NONE"] * 2


def test_own_orders_of_batches_are_cancelled_with_the_others(world: World, fast: BatchClient) -> None:
    place(fast, ["a", "b", "c"])
    wait_for(lambda: len(fast.orders()) == 3, "the orders")
    assert fast.cancel_all() == 3
    wait_for(lambda: not fast.orders(), "the cancels")


def test_too_many_orders_without_an_answer_are_refused(world: World) -> None:
    world.start_core()
    world.start_server(PATIENT._replace(outstanding=100))
    client = BatchClient("desk", world.settings.rpc_endpoint)
    wait_for(lambda: client.status().core_available, "the server to hear of the core")
    answers = place(client, [f"id-{number}" for number in range(150)])
    assert set(codes(answers)) == {"TOO_MANY_REQUESTS"}
    assert codes(place(client, ["a"])) == ["NONE"]
    client.close()


def raw_socket(world: World) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = world.context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(world.settings.rpc_endpoint)
    world.sockets.append(socket)
    return socket


def test_a_batch_of_a_stranger_is_refused(world: World, fast: BatchClient) -> None:
    answer = ask(raw_socket(world), [encode_batch(BatchKind.ORDERS, new_orders(["a"], **TERMS))])
    assert (answer["code"], answer["request_id"]) == ("HELLO_REQUIRED", -1)
    assert codes(place(fast, ["a"])) == ["NONE"]


@pytest.mark.parametrize("count", [0, MOST_ORDERS + 1])
def test_an_empty_or_too_large_batch_is_refused(world: World, fast: BatchClient, count: int) -> None:
    assert fast.outstanding == 0
    socket = raw_socket(world)
    ask(socket, [encode(Hello(request_id=1, client="other"))])
    batch = encode_batch(BatchKind.ORDERS, new_orders([f"id-{number}" for number in range(count)], **TERMS))
    assert f"the batch has {count} orders" in ask(socket, [batch])["message"]


# ---- the format


@pytest.mark.parametrize("name", ["", " ", "a b", "a\x01", "\x7f", "\u00e4".encode().decode("latin-1"), "a\0b"])
def test_a_name_that_a_message_would_refuse_is_refused_in_a_batch(name: str) -> None:
    orders = new_orders(["x"], **TERMS)
    orders["client_order_id"] = name.encode("latin-1")
    assert CODE_NAMES[int(codes_of(orders, [0], 1)[0])] == "MALFORMED_REQUEST"


@given(
    order=st.fixed_dictionaries(
        {
            "px": st.integers(-2, 2),
            "qty": st.integers(-2, 2),
            "expires_ts": st.integers(0, 9),
            "instrument": st.integers(-1, 2),
            "side": st.integers(-2, 2),
            "order_type": st.integers(0, 3),
            "time_in_force": st.integers(0, 6),
            "flags": st.integers(0, 9),
            "client_order_id": st.sampled_from((b"x", b"", b"a b", b"y" * 64, b"a\0b", b"\x7f")),
        }
    )
)
def test_one_order_has_the_code_that_it_has_among_others(order: dict[str, int | bytes]) -> None:
    orders = new_orders(["x", "y"], **TERMS)
    for name, value in order.items():
        orders[name][1] = value
    of_both = codes_of(orders, [0, 1], 5)
    assert code_of(the_order(orders[1:]), [0, 1], 5) == of_both[1]


def test_good_orders_have_no_code() -> None:
    orders = new_orders(["x", "y" * 64], **TERMS, time_in_force=TimeInForce.IOC)
    assert codes_of(orders, [0], 1).tolist() == [0, 0]


def test_numbers_of_codes_keep_their_meaning() -> None:
    assert CODE_NAMES[FIRST_RPC_CODE] == "MALFORMED_REQUEST"
    assert [CODE_NAMES[FIRST_RPC_CODE + number] for number in range(len(RpcCode))] == [code.value for code in RpcCode]
    assert CODE_NAMES[int(Reason.ORDER_RATE)] == "ORDER_RATE"


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_batch_or_an_error(tail: bytes) -> None:
    for payload in (b"zomB" + tail, encode_batch(BatchKind.ORDERS, new_orders(["a"], **TERMS)) + tail):
        if payload[4:6] == b"\x01\x01" and len(payload) == 8 + 128 * int.from_bytes(payload[6:8], "little"):
            assert len(decode_batch(payload, BatchKind.ORDERS)) * 128 + 8 == len(payload)
        else:
            with pytest.raises(MessageError, match="batch"):
                decode_batch(payload, BatchKind.ORDERS)
