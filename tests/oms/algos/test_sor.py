"""SOR: one order over several venues, split at the least cost, rested where that is cheapest, moved if one fails."""

from __future__ import annotations

from fractions import Fraction

import pytest

from oms.instruments import Instrument
from oms.records import BookState, EventKind, OrderState, Reason, ReportKind, TimeInForce
from tests.oms.algos.builders import PARENT
from tests.oms.algos.sor_rig import CHEAP, HOME, THIRD, SorRig, perpetual, spot
from tests.oms.core.builders import (
    BUY,
    MS,
    SECOND,
    SELL,
    Records,
    depth,
    new_order,
    report,
    snapshot,
    trade,
)

pytestmark = pytest.mark.pure


def test_the_fee_decides_between_equal_prices() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({100: 20}, {100: 20})
    core.go()
    assert core.open_by_route == {1: (100, 10)}
    assert core.of(1)["time_in_force"] == TimeInForce.IOC


def test_levels_of_several_books_are_swept_in_the_order_of_their_cost() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({10_000: 3, 10_003: 50}, {10_002: 4, 10_010: 50})
    core.go(qty=10)
    # with fees: 10,005.0 at home, 10,003.0 elsewhere, 10,008.0 at home, 10,011.0 elsewhere
    assert core.open_by_route == {0: (10_003, 6), 1: (10_002, 4)}


def test_a_sell_goes_to_the_highest_proceeds() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({20_000: 1}, {20_000: 1}, bids=[{10_000: 5, 9_999: 50}, {9_997: 6, 9_000: 50}])
    core.go(SELL, qty=10)
    # less fees: 9,995.0 at home, 9,996.0 elsewhere, 9,994.0 at home
    assert core.open_by_route == {0: (10_000, 4), 1: (9_997, 6)}


def test_the_limit_is_a_price_without_fees_on_every_route() -> None:
    core = SorRig(spot(0, "home", tick="0.5"), spot(1, "other", tick="0.2", taker_fee_rate="0.01"))
    core.books({200: 3, 202: 9}, {500: 4, 504: 9})
    core.go(qty=20, px=201)
    taken = {int(child["instrument"]): int(child["px"]) for child in core.open_children if child["time_in_force"] == 2}
    assert taken == {0: 200, 1: 500}, "100.5 is 502.5 ticks of 0.2"


def test_quotes_in_another_currency_are_converted_and_the_limit_too() -> None:
    core = SorRig(HOME, spot(1, "other", quote="USDC"), THIRD)
    core.set_rate(1, 0.98)
    core.books({100: 20}, {101: 5, 103: 5}, {99: 2})
    core.go(qty=20, px=100)
    # 101 USDC are 98.98 USDT; 103 are 100.94, beyond the limit, which is 102 USDC
    taken = {int(child["instrument"]): int(child["qty"]) for child in core.children}
    assert taken == {0: 13, 1: 5, 2: 2}
    core.fill(core.of(1), 5, 101)
    core.fill(core.of(2), 2)
    average = int(core.progress()["last_px"]) / 1e8
    assert average == pytest.approx((5 * 101 * 0.98 + 2 * 99) / 7)


def test_a_currency_without_a_rate_is_not_traded_in() -> None:
    core = SorRig(HOME, spot(1, "other", quote="USDC"))
    core.set_rate(1, 0.0)
    core.books({100: 20}, {50: 20})
    core.go()
    assert core.open_by_route == {0: (100, 10)}


def test_a_share_below_a_minimum_goes_elsewhere_or_is_rounded_up() -> None:
    core = SorRig(HOME, spot(1, "other", min_qty="0.5"))
    core.books({100: 50, 200: 50}, {99: 3, 101: 50})
    core.go(qty=4)
    assert core.open_by_route == {0: (100, 4)}, "of four, five cannot be taken"
    core = SorRig(HOME, spot(1, "other", min_qty="0.5"))
    core.books({100: 50, 200: 50}, {90: 3, 101: 50})
    core.go(qty=10)
    assert core.open_by_route == {0: (100, 5), 1: (101, 5)}


def test_free_money_bounds_what_a_venue_gets() -> None:
    core = SorRig(HOME, CHEAP)
    core.set_balance("cheap", "USDT", 60)
    core.books({100: 50}, {90: 50})
    core.go(qty=10)
    assert core.open_by_route == {0: (100, 4), 1: (90, 6)}, "seven lots of 0.1 at 90 are 63"


def test_routes_that_are_paid_from_one_wallet_share_it() -> None:
    core = SorRig(HOME, spot(1, "home", quote="USDC"), THIRD)
    core.set_balance("home", "BTC", Fraction(6, 10))
    core.books({200: 1}, {200: 1}, {200: 1}, bids=[{100: 5}, {101: 4}, {90: 20}])
    core.go(SELL, qty=10)
    assert core.open_by_route == {0: (100, 2), 1: (101, 4), 2: (90, 4)}
    assert core.events[core.events["kind"] == EventKind.ORDER_REFUSED].size == 0


def test_what_is_left_rests_where_a_maker_pays_least() -> None:
    core = SorRig(HOME, spot(1, "rebate", maker_fee_rate="-0.0001"), THIRD)
    core.books({10_100: 3}, {10_200: 1}, {10_200: 1}, bids=[{10_000: 5}, {10_002: 5}, {10_000: 5}])
    core.go(qty=10, px=10_100)
    rests, takes = core.children
    assert (takes["instrument"], takes["qty"], takes["px"]) == (0, 3, 10_100)
    assert (rests["instrument"], rests["qty"], rests["px"]) == (1, 7, 10_002)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_where_the_own_side_is_empty_a_child_rests_at_the_limit_and_stays(side: int) -> None:
    core = SorRig(HOME)
    core.ticks(snapshot(0, {100: 5} if side < 0 else {}, {100: 5} if side > 0 else {}), trade(BUY, 100, 1))
    core.go(side, px=100 - side)
    child = core.child()
    core.accept(child)
    core.ticks(depth(side, 100 - 2 * side, 1))
    core.ticks(depth(side, 100 - 2 * side, 0))
    assert (child["px"], child["state"]) == (100 - side, OrderState.LIVE)


def test_a_child_moves_when_another_route_has_become_cheaper_by_more_than_it_asks() -> None:
    core = SorRig(HOME, spot(1, "other"))
    core.books({11_000: 1}, {11_000: 1}, bids=[{10_000: 5}, {10_000: 5}])
    core.go(px=10_000, move_bps=2.0)
    core.ticks(snapshot(1, {9_999: 5}, {11_000: 1}))
    core.wait(SECOND)
    core.accept(core.of(0))
    assert core.open_by_route == {0: (10_000, 10)}, "one in 10,000 is less than two"
    core.ticks(snapshot(1, {9_990: 5}, {11_000: 1}))
    core.wait(SECOND)
    first = core.of(0)
    assert first["state"] == OrderState.PENDING_CANCEL
    assert len(core.open_children) == 1, "what a cancel has not confirmed is open"
    core.confirm_cancel(first)
    assert core.open_by_route == {1: (9_990, 10)}


def test_a_route_whose_lot_has_changed_is_used_no_more() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({110: 50}, {110: 50})
    core.go(px=105)
    child = core.of(1)
    core.accept(child)
    core.definitions(spot(1, "cheap", taker_fee_rate="0.0001", lot="0.5", version=2))
    core.confirm_cancel(child)
    core.ticks(snapshot(1, {50: 50}, {90: 50}), snapshot(0, {50: 50}, {100: 50}))
    core.accept(core.of(0))
    core.confirm_cancel(core.of(0))
    assert core.s["instruments"][1]["version"] == 2
    assert core.open_by_route == {0: (100, 10)}, "90 at the other would be five times as much"


def test_a_rejected_part_goes_to_another_route_at_once() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({101: 50}, {100: 50})
    core.go()
    core.reject(core.of(1))
    assert core.open_by_route == {0: (101, 10)}


def test_a_child_that_found_nothing_is_routed_anew_at_once() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({101: 50}, {100: 50})
    core.go()
    child = core.of(1)
    core.fill(child, 4)
    core.expire(child)
    assert core.open_by_route == {0: (101, 6)}


def test_a_child_at_rest_stays_where_another_one_found_nothing() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({200: 1}, {100: 4, 200: 1}, bids=[{99: 5}, {99: 5}])
    core.go(px=100)
    rests, takes = core.children
    core.accept(rests)
    core.expire(takes)
    assert (rests["instrument"], takes["instrument"]) == (1, 1)
    assert (rests["state"], rests["qty"]) == (OrderState.LIVE, 6)
    core.wait(SECOND)
    assert [child["order_id"] for child in core.open_children if child["time_in_force"] != TimeInForce.IOC] == [
        rests["order_id"]
    ]


@pytest.mark.parametrize("settles", [True, False])
def test_what_a_child_has_taken_is_not_there_again_until_the_book_has_changed(settles: bool) -> None:
    core = SorRig(HOME, CHEAP)
    core.books({200: 50}, {100: 6, 300: 1})
    core.go(qty=12, px=100, rests=0.0, settle_ms=250.0)
    first = core.of(1)
    assert (first["px"], first["qty"]) == (100, 6)
    core.wait(SECOND)
    assert len(core.children) == 1, "it is under way: what it takes is not there for another one"
    core.fill(first, 6)
    assert core.open_children == []
    core.ticks(depth(SELL, 200, 49))
    assert core.open_children == [], "the other book has not changed since"
    if settles:
        core.wait(251 * MS)
    else:
        core.ticks(depth(SELL, 100, 2, instrument=1))
        core.wait(101 * MS)
    assert core.open_by_route == {1: (100, 6 if settles else 2)}


def test_a_stale_book_is_neither_taken_nor_rested_on() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({101: 50}, {100: 50})
    core.stale(1)
    core.go()
    assert core.open_by_route == {0: (101, 10)}


def entry(reason: Reason) -> Records:
    """Whether the venue of route 1 takes new orders."""
    return report(ReportKind.ORDER_ENTRY, 0, instrument=1, reason=reason)


def test_a_venue_that_takes_no_orders_gets_no_child_until_it_does() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({101: 5, 102: 50}, {100: 50})
    core.reports(entry(Reason.EXCHANGE_UNAVAILABLE))
    core.go(px=101, rests=0.0)
    assert core.open_by_route == {0: (101, 5)}
    core.fill(core.of(0), 5)
    core.ticks(depth(SELL, 101, 0))
    assert core.open_by_route == {}
    core.reports(entry(Reason.NONE))
    core.wait(1_001 * MS)
    assert core.open_by_route == {1: (100, 5)}


def test_a_child_at_rest_leaves_a_venue_that_takes_no_more_orders() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({200: 1}, {200: 1}, bids=[{100: 5}, {100: 5}])
    core.go(px=100)
    child = core.of(1)
    core.accept(child)
    core.reports(entry(Reason.NOT_RECONCILED))
    core.wait(1_001 * MS)
    assert child["state"] == OrderState.PENDING_CANCEL
    core.confirm_cancel(child)
    assert core.open_by_route == {0: (100, 10)}


def test_a_child_at_rest_leaves_a_book_that_has_become_stale() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({200: 1}, {200: 1}, bids=[{100: 5}, {100: 5}])
    core.go(px=100)
    child = core.of(1)
    core.accept(child)
    core.stale(1)
    assert child["state"] == OrderState.PENDING_CANCEL, "at once"
    core.fill(child, 3)
    core.confirm_cancel(child)
    assert core.open_by_route == {0: (100, 7)}


def test_the_order_goes_on_while_its_own_book_is_stale() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({100: 5}, {101: 50})
    core.stale(0)
    core.go()
    assert core.book(0)["state"] == BookState.STALE
    assert core.open_by_route == {1: (101, 10)}


def test_a_child_that_is_not_filled_in_time_tries_the_next_route() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({200: 1}, {200: 1}, bids=[{100: 5}, {100: 5}])
    core.go(px=100, patience_s=5.0)
    child = core.of(1)
    core.accept(child)
    core.wait(4 * SECOND)
    assert child["state"] == OrderState.LIVE
    core.wait(SECOND)
    core.confirm_cancel(child)
    assert core.open_by_route == {0: (100, 10)}
    core.accept(core.of(0))
    core.wait(6 * SECOND)
    core.confirm_cancel(core.of(0))
    assert core.open_by_route == {1: (100, 10)}, "and back"


def test_the_only_route_keeps_its_child_however_long_it_takes() -> None:
    core = SorRig(HOME)
    core.books({200: 1}, bids=[{100: 5}])
    core.go(px=100, patience_s=5.0)
    child = core.child()
    core.accept(child)
    for _ in range(20):
        core.wait(SECOND)
    assert child["state"] == OrderState.LIVE


def test_against_the_exchange_model_each_displayed_lot_is_bought_once() -> None:
    core = SorRig(HOME, CHEAP, external=False)
    core.books({100: 6, 105: 50}, {101: 3, 106: 50})
    core.go(qty=20, px=101)
    core.wait(SECOND)
    assert core.order(PARENT)["filled_qty"] == 9
    core.ticks(depth(SELL, 100, 4), depth(SELL, 101, 50, instrument=1))
    core.wait(SECOND)
    assert core.end() == (OrderState.FILLED, Reason.NONE)
    taken = core.events[core.events["kind"] == EventKind.ORDER_FILLED]
    assert sorted(zip(taken["last_px"].tolist(), taken["last_qty"].tolist(), strict=True)) == [
        (100, 4),
        (100, 6),
        (101, 3),
        (101, 7),
    ]


def test_an_own_order_on_the_other_side_is_not_met() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({105: 50}, {104: 50})
    core.commands(new_order(PARENT + 1, SELL, 104, 5, instrument=1))
    core.go()
    assert core.open_by_route[0] == (105, 10)


def test_a_resting_child_makes_way_for_what_can_be_taken() -> None:
    core = SorRig(HOME, CHEAP)
    core.set_balance("cheap", "USDT", 101)
    core.books({200: 1}, {200: 1}, bids=[{100: 5}, {100: 5}])
    core.go(px=100)
    child = core.of(1)
    core.accept(child)
    core.ticks(snapshot(1, {90: 5}, {99: 50}))
    core.wait(SECOND)
    assert child["state"] == OrderState.PENDING_CANCEL
    core.confirm_cancel(child)
    assert core.open_by_route == {1: (99, 10)}, "the money that it held is free for the order's next child"


@pytest.mark.parametrize(
    "other",
    [
        perpetual(1, "other"),
        Instrument(id=1, symbol="ETH", venue="other", kind="spot", base="ETH", quote="USDT", tick="1", lot="1"),
    ],
)
def test_routes_of_another_asset_are_refused(other: Instrument) -> None:
    core = SorRig(HOME, other)
    core.books({100: 5}, {100: 5})
    core.go()
    assert core.end() == (OrderState.REJECTED, Reason.BAD_PARAMETER)
