"""The default exchange model, rule by rule: orders at rest."""

from __future__ import annotations

import pytest

from oms.records import OrderState, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.venue import SIDES, Venue, mirrored_book


@SIDES
def test_a_resting_order_waits_behind_the_displayed_quantity(side: int) -> None:
    venue = Venue()
    mirrored_book(venue, side, {1: 10}, {1: 10})
    order = venue.submit(side, 1000 - side, 5)
    venue.trade(-side, 1000 - side, 10)
    assert venue.fills(order) == []
    venue.trade(-side, 1000 - side, 2)
    assert venue.fills(order) == [(1000 - side, 2)]
    venue.trade(-side, 1000 - side, 9)
    assert venue.fills(order) == [(1000 - side, 2), (1000 - side, 3)]
    assert venue.is_maker(order) == [True, True]
    assert venue.state(order) is OrderState.FILLED


@SIDES
def test_one_trade_through_the_queue_fills_what_reaches_the_order(side: int) -> None:
    venue = Venue()
    mirrored_book(venue, side, {1: 10}, {1: 10})
    order = venue.submit(side, 1000 - side, 5)
    venue.trade(-side, 1000 - side, 13)
    assert venue.fills(order) == [(1000 - side, 3)]


def test_the_queue_shrinks_with_the_displayed_quantity() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 999, 5)
    venue.show((1, 999, 4))
    venue.trade(-1, 999, 6)
    assert venue.fills(order) == [(999, 2)]


def test_quantity_that_joins_later_stands_behind() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 999, 5)
    venue.show((1, 999, 500))
    venue.trade(-1, 999, 12)
    assert venue.fills(order) == [(999, 2)]


def test_an_emptied_queue_alone_fills_nothing() -> None:
    venue = Venue()
    venue.snapshot({999: 10, 998: 5}, {1001: 10})
    order = venue.submit(1, 999, 5)
    venue.show((1, 999, 0))
    assert venue.fills(order) == []
    venue.trade(-1, 999, 1)
    assert venue.fills(order) == [(999, 1)]


@pytest.mark.parametrize("aggressor", [1, -1])
def test_a_trade_fills_only_the_side_that_its_aggressor_hits(aggressor: int) -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    buy = venue.submit(1, 1000, 5)
    sell = venue.submit(-1, 1001, 5)
    venue.trade(aggressor, 1001 if aggressor > 0 else 1000, 5)
    assert venue.filled(buy) == (5 if aggressor < 0 else 0)
    assert venue.filled(sell) == (5 if aggressor > 0 else 0)


def test_two_own_orders_at_a_price_share_a_trade() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    first = venue.submit(1, 999, 4)
    second = venue.submit(1, 999, 8)
    venue.trade(-1, 999, 20)
    assert (venue.filled(first), venue.filled(second)) == (4, 6)


def test_volume_that_fills_an_own_order_does_not_advance_the_one_behind_it() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    first = venue.submit(1, 999, 4)
    venue.show((1, 999, 18))
    second = venue.submit(1, 999, 50)
    venue.trade(-1, 999, 14)
    assert (venue.filled(first), venue.filled(second)) == (4, 0)
    venue.trade(-1, 999, 10)
    assert venue.filled(second) == 2, "ten displayed, four own, eight displayed: then the second order's turn comes"


def test_a_large_own_order_keeps_the_ones_behind_it_waiting() -> None:
    venue = Venue()
    venue.snapshot({998: 10}, {1001: 10})
    first = venue.submit(1, 999, 100)
    venue.show((1, 999, 8))
    second = venue.submit(1, 999, 100)
    venue.trade(-1, 999, 10)
    venue.trade(-1, 999, 200)
    assert (venue.filled(first), venue.filled(second)) == (100, 100)
    assert sum(qty for _, qty in venue.fills()) <= 210 - 8


def test_a_better_priced_own_order_comes_first() -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    worse = venue.submit(1, 999, 5)
    better = venue.submit(1, 1000, 5)
    venue.trade(-1, 999, 7)
    assert venue.fills() == [(1000, 5), (999, 2)]
    assert (venue.filled(better), venue.filled(worse)) == (5, 2)


def test_a_trade_through_own_orders_fills_no_more_than_its_volume() -> None:
    venue = Venue()
    venue.snapshot({980: 10}, {1010: 10})
    orders = [venue.submit(1, px, 5) for px in (990, 995, 1000)]
    venue.trade(-1, 985, 8)
    assert [venue.filled(order) for order in orders] == [0, 3, 5]
    assert venue.fills() == [(1000, 5), (995, 3)]


def test_orders_of_one_price_fill_in_order_of_arrival() -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    orders = [venue.submit(1, 1000, 5) for _ in range(3)]
    venue.trade(-1, 999, 7)
    assert [venue.filled(order) for order in orders] == [5, 2, 0]


def test_an_order_that_comes_later_never_passes_an_earlier_one() -> None:
    venue = Venue()
    venue.snapshot({999: 10, 990: 5}, {1001: 10})
    first = venue.submit(1, 999, 5)
    venue.snapshot({990: 5}, {1001: 10})
    second = venue.submit(1, 999, 5)
    venue.trade(-1, 999, 3)
    assert venue.filled(second) == 0
    venue.trade(-1, 999, 9)
    assert (venue.filled(first), venue.filled(second)) == (2, 0)
    check_model(venue.st)


@SIDES
@pytest.mark.parametrize("through", [0, 3], ids=["at", "through"])
def test_the_other_side_coming_to_an_own_order_fills_what_it_displays(side: int, through: int) -> None:
    venue = Venue()
    mirrored_book(venue, side, {5: 10}, {5: 10})
    order = venue.submit(side, 1000, 20)
    venue.show((-side, 1000 - side * through, 8))
    assert venue.fills(order) == [(1000, 8)]
    assert venue.is_maker(order) == [True]
    assert venue.state(order) is OrderState.LIVE


def test_own_orders_share_the_displayed_quantity_that_comes_to_them() -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    worse = venue.submit(1, 999, 5)
    better = venue.submit(1, 1000, 5)
    taker_free = 8
    venue.show((-1, 998, taker_free))
    assert (venue.filled(better), venue.filled(worse)) == (5, 3)
    assert venue.fills(venue.market(1, 5)) == [(1010, 5)], "the level at 998 has been used up"


def test_levels_that_come_one_by_one_fill_an_order_bit_by_bit() -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 20)
    venue.show((-1, 1000, 8), (-1, 999, 5), (-1, 1001, 50))
    assert venue.fills(order) == [(1000, 8), (1000, 5)]


def test_a_snapshot_in_which_the_market_has_passed_an_order_fills_it() -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 20)
    venue.snapshot({980: 10}, {995: 6, 1000: 7, 1001: 50})
    assert venue.fills(order) == [(1000, 6), (1000, 7)]


def test_a_message_that_is_not_applied_moves_no_queue() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 999, 5)
    venue.show_after_gap((1, 999, 0), (-1, 999, 50))
    venue.snapshot({999: 10}, {1001: 10})
    venue.trade(-1, 999, 10)
    assert venue.fills(order) == []


def test_a_message_that_is_not_applied_gives_no_take_back() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10, 1002: 10})
    venue.submit(1, 1001, 10, TimeInForce.IOC)
    venue.show_after_gap((-1, 1001, 10))
    assert venue.st[0]["model"]["taken_count"] == 1


def test_a_message_of_one_instrument_moves_nothing_in_another() -> None:
    venue = Venue(count=2)
    for number in (0, 1):
        venue.snapshot({990: 10}, {1010: 10}, number)
    order = venue.submit(1, 1000, 5, number=0)
    venue.show((-1, 1000, 5), number=1)
    venue.trade(-1, 1000, 5, number=1)
    assert venue.fills(order) == []


def test_a_book_out_of_step_fills_no_resting_order() -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 5)
    venue.show_after_gap((-1, 1002, 5))
    venue.trade(-1, 999, 5)
    venue.show((-1, 1000, 5))
    assert venue.fills(order) == []
