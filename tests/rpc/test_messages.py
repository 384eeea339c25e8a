"""Messages: they survive the wire, name what is wrong, and nothing in them can hurt."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.records import Contingency, OrderType, TimeInForce, TradingState, Trigger, TriggerSource
from rpc.entities import ContingencyName, OrderTypeName, TimeInForceName, TradingStateName, TriggerBy
from rpc.messages import UNREADABLE, MessageError, decode_request, encode
from rpc.order_forms import FORMS
from rpc.requests import AnyRequest, OrderTerms, PlaceBracket, PlaceOrder

PLACE = PlaceOrder(request_id=7, client_order_id="a-1", symbol="BTCUSDT", side="buy", qty="0.1", price="61800.1")

_EXIT = OrderTerms(client_order_id="b", symbol="BTCUSDT", side="sell", qty="0.1", price="1")
BRACKET = PlaceBracket(request_id=7, entry=_EXIT, take_profit=_EXIT, stop=_EXIT)


def as_map(request: AnyRequest) -> dict[str, Any]:
    message: dict[str, Any] = msgspec.msgpack.decode(encode(request))
    return message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"side": "long"}, "side 'long' is none of buy, sell"),
        ({"time_in_force": "x"}, "time_in_force 'x' is none of day, fok, gtc, gtd, ioc"),
        ({"client_order_id": "a b/ü"}, "client_order_id has a blank or a character that is not plain ASCII"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(change: dict[str, str], said: str) -> None:
    good = {"type": "place_order", "request_id": 1, "client_order_id": "a", "symbol": "X", "side": "buy", "qty": "1"}
    decode_request(msgspec.msgpack.encode(good))
    with pytest.raises(MessageError) as refused:
        decode_request(msgspec.msgpack.encode(good | change))
    assert str(refused.value).startswith(f"the request cannot be read: {said}")
    assert "regex" not in str(refused.value)


def test_a_wrong_topic_names_the_topics() -> None:
    with pytest.raises(MessageError, match=r"topics\[0\] 'x' is none of all, fills, logs, orders, "):
        decode_request(msgspec.msgpack.encode({"type": "subscribe", "request_id": 1, "topics": ["x"]}))


@pytest.mark.parametrize(
    ("names", "enum"),
    [(TimeInForceName, TimeInForce), (TradingStateName, TradingState), (TriggerBy, TriggerSource)],
)
def test_names_in_messages_are_those_of_the_records(names: Any, enum: Any) -> None:
    assert sorted(get_args(names)) == sorted(member.name.lower() for member in enum)


def test_order_types_are_what_leaves_and_what_it_waits_for() -> None:
    assert set(FORMS) == set(get_args(OrderTypeName))
    assert {(form.order_type, form.trigger) for form in FORMS.values()} == set(product(OrderType, Trigger))
    assert set(get_args(ContingencyName)) == {each.name.lower() for each in Contingency if each}


def test_place_order_survives_the_wire() -> None:
    assert decode_request(encode(PLACE)) == PLACE


def test_every_request_has_a_request_id_and_its_own_type() -> None:
    kinds = get_args(AnyRequest)
    types = {kind.__struct_config__.tag for kind in kinds}
    assert len(types) == len(kinds)
    assert all("request_id" in kind.__struct_fields__ for kind in kinds)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"side": "long"}, "'long'"),
        ({"qty": 0.1}, "`float`"),
        ({"client_order_id": "two words"}, "client_order_id"),
        ({"client_order_id": ""}, "client_order_id"),
        ({"shown_qty": "1"}, "shown_qty"),
        ({"display_qty": 1}, "display_qty"),
        ({"order_type": "stop"}, "'stop'"),
        ({"good_till_ts": -1}, "good_till_ts"),
        ({"type": "place_all"}, "place_all"),
        ({"request_id": "7"}, "request_id"),
        ({"expires_ts": -1}, "expires_ts"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(MessageError, match=said):
        decode_request(msgspec.msgpack.encode(as_map(PLACE) | change))


def test_the_request_id_of_an_unreadable_request_is_found() -> None:
    with pytest.raises(MessageError) as refused:
        decode_request(msgspec.msgpack.encode(as_map(PLACE) | {"side": 1}))
    assert refused.value.request_id == 7


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc0",
        b"\xdd\xff\xff\xff\xff",  # an array of 2**32 - 1 elements that are not there
        b"\xdf\xff\xff\xff\xff",
        b"\x81\xaarequest_id\xcf" + b"\xff" * 8,
        b"\x82\xa4type\xa3\xff\xfe\xfd",
        b"\x91" * 100_000,
        b"\x81\xa1a" * 50_000,
        b"\x82\xa4type\xa9subscribe\xa6topics\xdd\x7f\xff\xff\xff",
    ],
)
def test_hostile_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(MessageError) as refused:
        decode_request(payload)
    assert refused.value.request_id == UNREADABLE


def is_named(payload: bytes) -> bool:
    """Whether the bytes are a request, or are refused with a message."""
    try:
        decode_request(payload)
    except MessageError as error:
        return bool(str(error))
    return True


@given(st.binary(max_size=200))
def test_random_bytes_are_a_request_or_a_message_error(payload: bytes) -> None:
    assert is_named(payload)


@given(st.data())
def test_a_damaged_request_is_a_request_or_a_message_error(data: st.DataObject) -> None:
    requests: list[AnyRequest] = [PLACE, BRACKET]
    payload = bytearray(encode(data.draw(st.sampled_from(requests))))
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(payload)))
    assert is_named(bytes(payload))
    assert is_named(bytes(payload[:end]))
