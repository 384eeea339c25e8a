"""Exchange model ``touch`` where it differs from ``displayed``: nothing behind the best price is taken."""

from __future__ import annotations

import pytest

from oms.records import OrderState, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.venue import SIDES, Venue, mirrored_book

pytestmark = pytest.mark.pure


@SIDES
def test_a_taker_gets_what_the_best_price_displays_and_its_rest_expires(side: int) -> None:
    venue = Venue("touch")
    mirrored_book(venue, side, {1: 10}, {1: 4, 2: 100})
    order = venue.market(side, 10)
    assert venue.fills(order) == [(1000 + side, 4)]
    assert venue.state(order) is OrderState.EXPIRED


@SIDES
def test_the_best_price_is_taken_once_until_it_is_shown_anew(side: int) -> None:
    venue = Venue("touch")
    mirrored_book(venue, side, {1: 10}, {1: 4, 2: 100})
    orders = [venue.market(side, 3) for _ in range(2)]
    assert [venue.filled(order) for order in orders] == [3, 1]
    venue.show((-side, 1000 + side, 4))
    assert venue.filled(venue.market(side, 10)) == 4


@SIDES
def test_the_rest_of_a_limit_order_rests_at_its_price(side: int) -> None:
    venue = Venue("touch")
    mirrored_book(venue, side, {1: 10}, {1: 4, 2: 100})
    order = venue.submit(side, 1000 + side * 2, 10)
    assert venue.fills(order) == [(1000 + side, 4)]
    assert venue.resting() == {order: 6}
    venue.trade(-side, 1000 + side * 2, 5)
    assert venue.fills(order)[1:] == [(1000 + side * 2, 5)]
    check_model(venue.st)


@SIDES
@pytest.mark.parametrize(("qty", "filled"), [(4, 4), (5, 0)])
def test_fok_is_all_of_the_best_price_or_nothing(side: int, qty: int, filled: int) -> None:
    venue = Venue("touch")
    mirrored_book(venue, side, {1: 10}, {1: 4, 2: 100})
    assert venue.filled(venue.submit(side, 1000 + side * 5, qty, TimeInForce.FOK)) == filled
