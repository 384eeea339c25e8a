"""Exchange model ``next_tick``: an order waits for the next record of its instrument, then fills entirely or not."""

from __future__ import annotations

import pytest

from oms.records import EventKind, OrderFlag, OrderState, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.venue import SIDES, Venue, mirrored_book

pytestmark = pytest.mark.pure

POST_ONLY = int(OrderFlag.POST_ONLY)


def venue_of(side: int) -> Venue:
    """A book whose touches are 999 and 1001, as an order of ``side`` sees it."""
    venue = Venue("next_tick")
    mirrored_book(venue, side, {1: 10}, {1: 4, 5: 100})
    return venue


@SIDES
def test_a_taker_fills_at_the_touch_of_the_next_record(side: int) -> None:
    venue = venue_of(side)
    orders = [venue.market(side, 50), venue.submit(side, 1000 + side * 9, 50)]
    assert venue.fills() == []
    check_model(venue.st)
    venue.show((-side, 1000 + side, 0))
    assert venue.fills() == [], "a level that is removed shows nothing"
    venue.show((side, 1000 - side * 7, 1))
    assert [venue.fills(order) for order in orders] == [[(1000 + side * 5, 50)]] * 2
    assert [venue.is_maker(order) for order in orders] == [[False]] * 2
    check_model(venue.st)


@SIDES
def test_a_trade_is_a_record_too_and_a_taker_pays_the_touch(side: int) -> None:
    venue = venue_of(side)
    order = venue.market(side, 50)
    venue.trade(side, 1000 + side * 3, 1)
    assert venue.fills(order) == [(1000 + side, 50)]


@SIDES
def test_no_record_of_another_instrument_counts(side: int) -> None:
    venue = Venue("next_tick", count=2)
    for number in range(2):
        mirrored_book(venue, side, {1: 10}, {1: 4}, number)
    order = venue.market(side, 50)
    venue.show((side, 1000 - side, 9), number=1)
    assert venue.fills(order) == []
    venue.show((side, 1000 - side, 9))
    assert venue.filled(order) == 50


@SIDES
def test_a_snapshot_is_one_record_that_counts_when_it_is_complete(side: int) -> None:
    venue = venue_of(side)
    order = venue.market(side, 50)
    mirrored_book(venue, side, {3: 10, 4: 10}, {3: 4, 4: 4})
    assert venue.fills(order) == [(1000 + side * 3, 50)]


@SIDES
def test_an_order_waits_on_while_the_other_side_is_empty(side: int) -> None:
    venue = Venue("next_tick")
    mirrored_book(venue, side, {1: 10}, {2: 4})
    waiting = venue.submit(side, 1000 + side * 2, 50, TimeInForce.IOC)
    mirrored_book(venue, side, {1: 10}, {})
    assert venue.resting() == {waiting: 50}
    venue.show((-side, 1000 + side * 2, 1))
    assert venue.fills(waiting) == [(1000 + side * 2, 50)]


@SIDES
@pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
def test_what_may_not_rest_expires_with_the_next_record(side: int, time_in_force: TimeInForce) -> None:
    venue = venue_of(side)
    order = venue.submit(side, 1000, 50, time_in_force)
    assert venue.state(order) is OrderState.LIVE
    venue.show((side, 1000 - side * 7, 1))
    assert venue.state(order) is OrderState.EXPIRED
    assert venue.resting() == {}
    check_model(venue.st)


@SIDES
def test_a_resting_order_fills_entirely_as_maker_when_a_trade_or_the_touch_reaches_it(side: int) -> None:
    venue = venue_of(side)
    traded, touched = venue.submit(side, 1000 - side, 50), venue.submit(side, 1000 - side * 2, 50)
    venue.show((side, 1000 - side * 7, 1))
    assert venue.fills() == []
    venue.trade(-side, 1000 - side, 1)
    assert venue.fills() == [(1000 - side, 50)]
    venue.show((-side, 1000 - side * 3, 1))
    assert venue.fills(touched) == [(1000 - side * 2, 50)]
    assert venue.is_maker(traded) == venue.is_maker(touched) == [True]
    check_model(venue.st)


@SIDES
def test_post_only_expires_where_it_would_take_on_arrival_and_else_only_makes(side: int) -> None:
    venue = venue_of(side)
    crossing = venue.submit(side, 1000 + side, 50, flags=POST_ONLY)
    assert venue.state(crossing) is OrderState.EXPIRED
    resting = venue.submit(side, 1000, 50, flags=POST_ONLY)
    venue.show((-side, 1000 - side * 3, 1))
    assert venue.fills(resting) == [(1000, 50)]
    assert venue.is_maker(resting) == [True]


@SIDES
def test_an_amended_order_waits_again_and_a_cancelled_one_does_not_fill(side: int) -> None:
    venue = venue_of(side)
    amended, cancelled = venue.submit(side, 1000 - side * 2, 50), venue.submit(side, 1000 + side, 50)
    venue.cancel(cancelled)
    venue.show((side, 1000 - side * 7, 1))
    venue.amend(amended, px=1000 + side)
    assert venue.fills() == []
    assert venue.kinds(cancelled)[-1] is EventKind.ORDER_CANCELLED
    venue.trade(side, 1000 + side, 1)
    assert venue.fills() == [(1000 + side, 50)]
    check_model(venue.st)
