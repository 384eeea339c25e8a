"""The default exchange model, rule by rule."""

from __future__ import annotations

import pytest

from oms.core.state import MODEL_TAKEN
from oms.records import EventKind, OrderFlag, OrderState, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.venue import MS, Venue

SIDES = pytest.mark.parametrize("side", [1, -1], ids=["buy", "sell"])
IMMEDIATE = pytest.mark.parametrize("time_in_force", [TimeInForce.IOC, TimeInForce.FOK])
POST_ONLY = int(OrderFlag.POST_ONLY)
EXPIRED = EventKind.ORDER_EXPIRED


def book(venue: Venue, side: int, own: dict[int, int], other: dict[int, int], number: int = 0) -> None:
    """Show a book as an order of ``side`` sees it: quantities at ticks away from 1000 on its own and the other side.

    Distance 1 is the touch of both sides: a buy's own side is below 1000 and the other above it.
    """
    own_levels = {1000 - side * away: qty for away, qty in own.items()}
    other_levels = {1000 + side * away: qty for away, qty in other.items()}
    bids, asks = (own_levels, other_levels) if side > 0 else (other_levels, own_levels)
    venue.snapshot(bids, asks, number)


# Takers


@SIDES
def test_a_thousand_against_a_displayed_hundredth_fills_the_hundredth(side: int) -> None:
    venue = Venue()
    book(venue, side, {1: 10}, {1: 10})
    order = venue.submit(side, 1000 + side, 1_000_000)
    assert venue.fills(order) == [(1000 + side, 10)]
    assert venue.is_maker(order) == [False]
    assert venue.state(order) is OrderState.LIVE


@SIDES
def test_a_taker_walks_the_levels_from_the_best_to_its_limit(side: int) -> None:
    venue = Venue()
    book(venue, side, {1: 10}, {1: 10, 2: 20, 5: 30, 6: 40})
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
    assert venue.kinds(order)[-1] is EXPIRED
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
    book(venue, side, {1: 10}, {1: 10, 3: 10})
    order = venue.submit(side, 1000 + side * 2, 25)
    assert venue.fills(order) == [(1000 + side, 10)]
    venue.trade(-side, 1000 + side * 2, 4)
    assert venue.fills(order)[1:] == [(1000 + side * 2, 4)]
    assert venue.is_maker(order) == [False, True]


@SIDES
def test_post_only_that_would_cross_expires(side: int) -> None:
    venue = Venue()
    book(venue, side, {1: 10}, {1: 10})
    order = venue.submit(side, 1000 + side, 5, flags=POST_ONLY)
    assert venue.fills(order) == []
    assert venue.kinds(order)[-1] is EXPIRED


@SIDES
def test_post_only_that_does_not_cross_rests(side: int) -> None:
    venue = Venue()
    book(venue, side, {1: 10}, {1: 10})
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


# Orders at rest


@SIDES
def test_a_resting_order_waits_behind_the_displayed_quantity(side: int) -> None:
    venue = Venue()
    book(venue, side, {1: 10}, {1: 10})
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
    book(venue, side, {1: 10}, {1: 10})
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
    book(venue, side, {5: 10}, {5: 10})
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


# Amends and cancels


def test_an_amend_to_less_keeps_the_place_in_the_queue() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 999, 5)
    venue.trade(-1, 999, 8)
    venue.amend(order, qty=3)
    venue.trade(-1, 999, 4)
    assert venue.fills(order) == [(999, 2)]
    assert venue.order(order)["qty"] == 3


@pytest.mark.parametrize("change", [{"qty": 6}, {"px": 998}])
def test_an_amend_to_more_or_to_another_price_goes_to_the_end_of_the_queue(change: dict[str, int]) -> None:
    venue = Venue()
    venue.snapshot({999: 10, 998: 10}, {1001: 10})
    order = venue.submit(1, 999, 5)
    venue.trade(-1, 999, 8)
    venue.amend(order, **change)
    px = change.get("px", 999)
    venue.show((1, 999, 10 if px == 999 else 0))
    venue.trade(-1, px, 10)
    assert venue.fills(order) == []
    venue.trade(-1, px, 1)
    assert venue.fills(order) == [(px, 1)]


def test_an_amend_to_a_crossing_price_takes() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 3, 1002: 3})
    order = venue.submit(1, 999, 5)
    venue.amend(order, px=1001)
    assert venue.fills(order) == [(1001, 3)]
    assert venue.kinds(order)[-2:] == [EventKind.ORDER_AMENDED, EventKind.ORDER_FILLED]
    assert venue.state(order) is OrderState.LIVE


def test_a_post_only_order_amended_to_a_crossing_price_expires() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 3})
    order = venue.submit(1, 999, 5, flags=POST_ONLY)
    venue.amend(order, px=1001)
    assert venue.fills(order) == []
    assert venue.state(order) is OrderState.EXPIRED
    check_model(venue.st)


def test_an_amend_below_what_has_filled_meanwhile_cancels() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.wait(5 * MS)
    venue.amend(order, qty=4)
    venue.trade(-1, 1000, 6)
    venue.wait(5 * MS)
    assert venue.filled(order) == 6
    assert venue.state(order) is OrderState.CANCELLED
    check_model(venue.st)


def test_an_amend_counts_what_has_filled_meanwhile() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.wait(5 * MS)
    venue.amend(order, qty=8)
    venue.trade(-1, 1000, 6)
    venue.wait(5 * MS)
    venue.trade(-1, 1000, 50)
    assert venue.fills(order) == [(1000, 6), (1000, 2)]
    assert venue.state(order) is OrderState.FILLED


def test_a_cancelled_order_fills_no_more() -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.trade(-1, 1000, 3)
    venue.cancel(order)
    venue.trade(-1, 1000, 3)
    assert venue.fills(order) == [(1000, 3)]
    assert venue.state(order) is OrderState.CANCELLED


@pytest.mark.parametrize(
    ("ask", "answer"),
    [("cancel", EventKind.CANCEL_REJECTED), ("amend", EventKind.AMEND_REJECTED)],
)
def test_what_is_asked_of_an_order_that_has_just_filled_is_rejected(ask: str, answer: EventKind) -> None:
    venue = Venue(entry_ns=5 * MS, response_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.wait(10 * MS)
    venue.trade(-1, 1000, 10)
    if ask == "cancel":
        venue.cancel(order)
    else:
        venue.amend(order, qty=8)
    venue.wait(20 * MS)
    assert venue.kinds(order)[-2:] == [EventKind.ORDER_FILLED, answer]
    assert venue.state(order) is OrderState.FILLED


def test_a_cancel_overtakes_no_new_order() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.cancel(order)
    venue.wait(5 * MS)
    assert venue.kinds(order)[-2:] == [EventKind.ORDER_ACCEPTED, EventKind.ORDER_CANCELLED]
    assert venue.state(order) is OrderState.CANCELLED


# Latency


def test_an_order_is_active_only_after_the_entry_latency() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.trade(-1, 1000, 3)
    assert venue.fills(order) == []
    assert venue.state(order) is OrderState.PENDING_NEW
    venue.wait(5 * MS)
    venue.trade(-1, 1000, 4)
    assert venue.fills(order) == [(1000, 4)]


def test_an_order_meets_the_book_as_it_is_when_it_arrives() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1010, 10, TimeInForce.IOC)
    venue.show((-1, 1010, 0), (-1, 1009, 2))
    venue.wait(5 * MS)
    assert venue.fills(order) == [(1009, 2)]


def test_what_happens_at_the_moment_of_arrival_precedes_the_order() -> None:
    venue = Venue(entry_ns=2 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1010, 10, TimeInForce.IOC)
    venue.wait(MS)
    venue.show((-1, 1010, 0), (-1, 1009, 2))
    assert venue.fills(order) == [(1009, 2)]


def test_a_fill_is_known_only_after_the_response_latency() -> None:
    venue = Venue(response_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1010, 10, TimeInForce.IOC)
    asked_at = venue.now
    assert venue.fills(order) == []
    venue.wait(5 * MS - 1)
    assert venue.kinds(order) == [EventKind.ORDER_SUBMITTED]
    assert venue.st[0]["positions"][0, 0]["qty"] == 0
    venue.wait(1)
    assert venue.fills(order) == [(1010, 10)]
    assert venue.st[0]["positions"][0, 0]["qty"] == 10
    last = venue.all_events[-1]
    assert last["ts"] == asked_at + 5 * MS


def test_requests_and_answers_arrive_in_order() -> None:
    venue = Venue(entry_ns=5 * MS, response_ns=3 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    first = venue.submit(1, 1000, 10)
    venue.st[0]["model"]["entry_latency_ns"] = 1
    second = venue.submit(1, 1001, 10)
    venue.wait(5 * MS)
    venue.st[0]["model"]["response_latency_ns"] = 1
    venue.trade(-1, 1000, 20)
    venue.wait(10 * MS)
    accepted = [int(row["order_id"]) for row in venue.all_events if row["kind"] == EventKind.ORDER_ACCEPTED]
    assert accepted == [first, second]
    times = venue.all_events["ts"]
    assert (times[1:] >= times[:-1]).all()
    assert venue.kinds(second) == [EventKind.ORDER_SUBMITTED, EventKind.ORDER_ACCEPTED, EventKind.ORDER_FILLED]
