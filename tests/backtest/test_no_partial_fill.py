"""The oracle's model where it differs from the default one; ``test_oracle.py`` compares it order by order."""

from __future__ import annotations

import pytest

from oms.records import OrderFlag, OrderState, TimeInForce
from tests.backtest.venue import SIDES, Venue, mirrored_book


@SIDES
@pytest.mark.parametrize("time_in_force", [TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK, TimeInForce.DAY])
def test_a_crossing_order_fills_entirely_at_the_best_price(side: int, time_in_force: TimeInForce) -> None:
    venue = Venue("no_partial_fill")
    mirrored_book(venue, side, {1: 10}, {1: 1})
    order = venue.submit(side, 1000 + side * 5, 1_000, time_in_force)
    assert venue.fills(order) == [(1000 + side, 1_000)]
    assert venue.is_maker(order) == [False]


@SIDES
def test_a_take_leaves_the_displayed_quantity(side: int) -> None:
    venue = Venue("no_partial_fill")
    mirrored_book(venue, side, {1: 10}, {1: 1})
    orders = [venue.market(side, 1_000) for _ in range(2)]
    assert [venue.filled(order) for order in orders] == [1_000, 1_000]


def test_every_own_order_sees_the_whole_trade() -> None:
    venue = Venue("no_partial_fill")
    venue.snapshot({999: 10}, {1001: 10})
    orders = [venue.submit(1, 999, 50) for _ in range(2)]
    venue.trade(-1, 999, 10)
    assert venue.fills() == []
    venue.trade(-1, 999, 1)
    assert [venue.filled(order) for order in orders] == [50, 50]


def test_a_trade_through_an_order_fills_it_entirely() -> None:
    venue = Venue("no_partial_fill")
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 999, 50)
    venue.trade(-1, 998, 1)
    assert venue.fills(order) == [(999, 50)]


@SIDES
def test_the_other_sides_touch_at_an_order_fills_it_entirely(side: int) -> None:
    venue = Venue("no_partial_fill")
    mirrored_book(venue, side, {5: 10}, {5: 10})
    order = venue.submit(side, 1000, 50)
    venue.show((-side, 1000, 1))
    assert venue.fills(order) == [(1000, 50)]
    assert venue.is_maker(order) == [True]


def test_a_message_that_is_not_applied_fills_nothing() -> None:
    venue = Venue("no_partial_fill")
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 50)
    venue.show((-1, 1009, 5))
    venue.show_after_gap((-1, 1000, 5), (1, 1000, 0))
    assert venue.fills(order) == []


def test_post_only_that_would_cross_expires() -> None:
    venue = Venue("no_partial_fill")
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 1001, 5, flags=int(OrderFlag.POST_ONLY))
    assert venue.state(order) is OrderState.EXPIRED
