"""The default exchange model, rule by rule: orders that take."""

from __future__ import annotations

import pytest

from oms.core.state import MODEL_TAKEN
from oms.records import EventKind, OrderFlag, OrderState, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.venue import MS, SIDES, Venue, mirrored_book

IMMEDIATE = pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
POST_ONLY = int(OrderFlag.POST_ONLY)


@SIDES
def test_a_thousand_against_a_displayed_hundredth_fills_the_hundredth(side: int) -> None:
    venue = Venue()
    mirrored_book(venue, side, {1: 10}, {1: 10})
    order = venue.submit(side, 1000 + side, 1_000_000)
    assert venue.fills(order) == [(1000 + side, 10)]
    assert venue.is_maker(order) == [False]
    assert venue.state(order) is OrderState.LIVE


@SIDES
def test_a_taker_walks_the_levels_from_the_best_to_its_limit(side: int) -> None:
    venue = Venue()
    mirrored_book(venue, side, {1: 10}, {1: 10, 2: 20, 5: 30, 6: 40})
    order = venue.submit(side, 1000 + side * 5, 100)
    assert venue.fills(order) == [(1000 + side, 10), (1000 + side * 2, 20), (1000 + side * 5, 30)]


@SIDES
def test_levels_far_outside_the_dense_window_are_walked_too(side: int) -> None:
    venue = Venue()
    venue.snapshot({40_000: 5, 10_000: 7}, {40_001: 5, 70_000: 7})
    order = venue.market(side, 100)
    assert venue.fills(order) == ([(40_001, 5), (70_000, 7)] if side > 0 else [(40_000, 5), (10_000, 7)])


def test_the_rest_of_a_market_order_expires() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10, 1500: 5})
    order = venue.market(1, 100)
    assert venue.fills(order) == [(1001, 10), (1500, 5)]
    assert venue.state(order) is OrderState.EXPIRED


def test_the_rest_of_an_ioc_order_expires() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10, 1002: 5})
    order = venue.submit(1, 1001, 100, TimeInForce.IOC)
    assert venue.fills(order) == [(1001, 10)]
    assert venue.state(order) is OrderState.EXPIRED


@IMMEDIATE
def test_an_immediate_order_that_does_not_cross_expires(time_in_force: TimeInForce) -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 1000, 5, time_in_force)
    assert venue.kinds(order)[-1] is EventKind.ORDER_EXPIRED
    assert venue.fills() == []


def test_fok_fills_all() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10, 1002: 5})
    order = venue.submit(1, 1002, 15, TimeInForce.FOK)
    assert venue.fills(order) == [(1001, 10), (1002, 5)]
    assert venue.state(order) is OrderState.FILLED


def test_fok_fills_nothing_when_one_lot_is_missing() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10, 1002: 5})
    order = venue.submit(1, 1002, 16, TimeInForce.FOK)
    assert venue.fills(order) == []
    assert venue.state(order) is OrderState.EXPIRED
    assert venue.st[0]["model"]["taken_count"] == 0


def test_fok_stays_all_or_nothing_when_takes_find_no_row() -> None:
    venue = Venue()
    levels = {1001 + i: 1 for i in range(MODEL_TAKEN + 44)}
    venue.snapshot({999: 10}, levels)
    order = venue.submit(1, 2000, len(levels), TimeInForce.FOK)
    assert venue.fills(order) == []
    assert venue.state(order) is OrderState.EXPIRED
    fits = venue.submit(1, 2000, MODEL_TAKEN, TimeInForce.FOK)
    assert venue.filled(fits) == MODEL_TAKEN


def test_a_taker_gets_no_more_than_the_takes_that_can_be_remembered() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001 + i: 1 for i in range(MODEL_TAKEN + 44)})
    first = venue.market(1, 1000)
    second = venue.market(1, 1000)
    assert venue.filled(first) == MODEL_TAKEN
    assert venue.filled(second) == 0
    check_model(venue.st)


def test_own_takers_share_one_displayed_level() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10, 1002: 5})
    first = venue.submit(1, 1001, 7, TimeInForce.IOC)
    second = venue.submit(1, 1002, 7, TimeInForce.IOC)
    third = venue.submit(1, 1002, 7, TimeInForce.IOC)
    assert venue.fills(first) == [(1001, 7)]
    assert venue.fills(second) == [(1001, 3), (1002, 4)]
    assert venue.fills(third) == [(1002, 1)]


def test_fok_counts_what_own_orders_have_taken() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    venue.submit(1, 1001, 7, TimeInForce.IOC)
    order = venue.submit(1, 1001, 4, TimeInForce.FOK)
    assert venue.state(order) is OrderState.EXPIRED


@pytest.mark.parametrize("shown", [10, 4, 12])
def test_a_level_is_available_again_once_the_feed_shows_it_anew(shown: int) -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    venue.submit(1, 1001, 10, TimeInForce.IOC)
    venue.show((-1, 1001, shown))
    order = venue.submit(1, 1001, 100, TimeInForce.IOC)
    assert venue.fills(order) == [(1001, shown)]


def test_another_level_shown_gives_nothing_back() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    venue.submit(1, 1001, 10, TimeInForce.IOC)
    venue.show((-1, 1002, 5), (1, 998, 5))
    order = venue.submit(1, 1001, 100, TimeInForce.IOC)
    assert venue.fills(order) == []


def test_a_trade_gives_a_taken_level_not_back() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    venue.submit(1, 1001, 10, TimeInForce.IOC)
    venue.trade(1, 1001, 3)
    assert venue.fills(venue.market(1, 5)) == []


def test_a_snapshot_clears_the_takes_of_its_instrument_only() -> None:
    venue = Venue(count=2)
    for number in (0, 1):
        venue.snapshot({999: 10}, {1001: 10, 1002: 10}, number)
        venue.submit(1, 1002, 20, TimeInForce.IOC, number=number)
    venue.snapshot({999: 10}, {1001: 10, 1002: 10}, 0)
    shown = venue.submit(1, 1002, 20, TimeInForce.IOC, number=0)
    not_shown = venue.submit(1, 1002, 20, TimeInForce.IOC, number=1)
    assert venue.filled(shown) == 20
    assert venue.filled(not_shown) == 0


@SIDES
def test_the_rest_of_a_limit_order_rests_at_its_limit(side: int) -> None:
    venue = Venue()
    mirrored_book(venue, side, {1: 10}, {1: 10, 3: 10})
    order = venue.submit(side, 1000 + side * 2, 25)
    assert venue.fills(order) == [(1000 + side, 10)]
    venue.trade(-side, 1000 + side * 2, 4)
    assert venue.fills(order)[1:] == [(1000 + side * 2, 4)]
    assert venue.is_maker(order) == [False, True]


@SIDES
def test_post_only_that_would_cross_expires(side: int) -> None:
    venue = Venue()
    mirrored_book(venue, side, {1: 10}, {1: 10})
    order = venue.submit(side, 1000 + side, 5, flags=POST_ONLY)
    assert venue.fills(order) == []
    assert venue.kinds(order)[-1] is EventKind.ORDER_EXPIRED


@SIDES
def test_post_only_that_does_not_cross_rests(side: int) -> None:
    venue = Venue()
    mirrored_book(venue, side, {1: 10}, {1: 10})
    order = venue.submit(side, 1000, 5, flags=POST_ONLY)
    assert venue.state(order) is OrderState.LIVE


def test_nothing_is_taken_from_a_book_that_is_out_of_step() -> None:
    venue = Venue(entry_ns=2 * MS)
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 1001, 5, TimeInForce.IOC)
    venue.show_after_gap((-1, 1002, 5))
    venue.wait(5 * MS)
    assert venue.fills(order) == []
    assert venue.state(order) is OrderState.EXPIRED


def test_takes_of_levels_that_a_snapshot_no_longer_shows_are_forgotten() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10, 1002: 10})
    venue.submit(1, 1002, 20, TimeInForce.IOC)
    venue.snapshot({999: 10}, {1003: 10})
    assert venue.st[0]["model"]["taken_count"] == 0
