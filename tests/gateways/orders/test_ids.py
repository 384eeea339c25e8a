"""Ids of ours as text for a venue, and ids of a venue as our integers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.orders.ids import (
    EXTERNAL,
    FOLDED,
    INSTRUMENT_BITS,
    MOST,
    VENUE_ID_BITS,
    ClientIds,
    IntegerIds,
    external_order_id,
    number_of,
    venue_id_of,
)
from oms.records import ORDER_ID_COUNTER_BITS, RPC_CLIENT_BASE

VALID_ON_BINANCE = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
VALID_ON_OKX = re.compile(r"[A-Za-z0-9]{1,32}")
order_ids = st.integers(1, MOST)


@given(order_ids, st.text())
def test_text_is_valid_on_each_venue_and_leads_back(order_id: int, owner: str) -> None:
    ids = ClientIds(owner)
    text = ids.text(order_id)
    assert VALID_ON_BINANCE.fullmatch(text)
    assert VALID_ON_OKX.fullmatch(text)
    assert ids.order_id(text) == order_id


@given(order_ids, order_ids)
def test_two_orders_have_two_texts(one: int, other: int) -> None:
    ids = ClientIds("paper")
    assert (ids.text(one) == ids.text(other)) == (one == other)


@given(st.text())
def test_other_text_is_no_order_of_ours(text: str) -> None:
    ids = ClientIds("paper")
    order_id = ids.order_id(text)
    assert order_id is None or ids.text(order_id) == text


@given(order_ids)
def test_orders_of_another_account_are_not_ours(order_id: int) -> None:
    assert ClientIds("one").order_id(ClientIds("two").text(order_id)) is None


@pytest.mark.parametrize("digits", ["0000000000000", "zzzzzzzzzzzzz", "1y2p0ij32e8e8"])
def test_numbers_that_no_order_has_are_not_ours(digits: str) -> None:
    ids = ClientIds("paper")
    assert ids.order_id(ids.text(1)[:-13] + digits) is None


@pytest.mark.parametrize("order_id", [0, -1, MOST + 1])
def test_id_that_is_none_is_refused(order_id: int) -> None:
    with pytest.raises(ValueError, match="order id"):
        ClientIds("paper").text(order_id)


@given(st.integers(0, MOST))
def test_venues_number_is_itself(number: int) -> None:
    assert number_of(str(number)) == number_of(number) == number


@pytest.mark.parametrize("text", ["", "-1", "01", "1.0", "1e3", " 1", "9223372036854775808", "x", "१"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="trade id"):
        number_of(text, "trade id")


@given(
    st.tuples(st.integers(0, 2**INSTRUMENT_BITS - 1), st.integers(1, 2**VENUE_ID_BITS - 1)),
    st.tuples(st.integers(0, 2**INSTRUMENT_BITS - 1), st.integers(1, 2**VENUE_ID_BITS - 1)),
)
def test_orders_of_elsewhere_have_ids_of_their_own(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (external_order_id(*one) == external_order_id(*other)) == (one == other)
    assert external_order_id(*one) >= EXTERNAL > RPC_CLIENT_BASE << (ORDER_ID_COUNTER_BITS + 10)
    assert external_order_id(*one) <= MOST


@pytest.mark.parametrize(("instrument", "venue_id"), [(0, 0), (-1, 5), (1 << INSTRUMENT_BITS, 5), (0, MOST + 1)])
def test_id_of_elsewhere_that_does_not_fit_is_refused(instrument: int, venue_id: int) -> None:
    with pytest.raises(ValueError, match="placed elsewhere"):
        external_order_id(instrument, venue_id)


def test_ids_of_elsewhere_that_do_not_fit_stay_apart() -> None:
    large = [FOLDED, 2**VENUE_ID_BITS, 1_750_000_000_000_000_001, 1_750_000_000_000_000_002, MOST]
    ours = [external_order_id(3, venue_id) for venue_id in large]
    assert len(set(ours)) == len(large)
    assert all(EXTERNAL < order_id <= MOST and order_id >> VENUE_ID_BITS & 0xFFF == 3 for order_id in ours)
    assert [venue_id_of(order_id) for order_id in ours] == [0] * len(large)
    assert venue_id_of(external_order_id(3, FOLDED - 1)) == FOLDED - 1


@given(order_ids)
def test_whole_number_is_the_order_id_itself(order_id: int) -> None:
    ids = IntegerIds("paper")
    assert ids.text(order_id) == str(order_id)
    assert ids.order_id(ids.text(order_id)) == order_id


@pytest.mark.parametrize("text", ["", "0", "01", "-1", "1.0", "zoms1", str(MOST + 1)])
def test_what_is_no_whole_number_of_an_order_is_not_ours(text: str) -> None:
    assert IntegerIds("paper").order_id(text) is None


@pytest.mark.parametrize("order_id", [0, -1, MOST + 1])
def test_order_id_that_fits_no_whole_number_is_refused(order_id: int) -> None:
    with pytest.raises(ValueError, match="must be 1 to"):
        IntegerIds("paper").text(order_id)
