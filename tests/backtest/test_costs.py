"""What fills cost beside the market's price: slippage, impact, and fees that the exchange states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oms.config import ConfigError, MatchingSettings
from oms.core.state import NEVER
from oms.exchange_costs import define_costs
from oms.records import CASH_SCALE, EventKind, Liquidity, OrderState
from oms.session_settings import BOOK_MODELS, FeeTierSettings
from tests.backtest.venue import SIDES, START_NS, Venue, mirrored_book

pytestmark = pytest.mark.pure

DAY_NS = 86_400_000_000_000


def venue_of(side: int = 1, model: str = "displayed", **matching: Any) -> Venue:
    """10 lots at 1001 and 1005, as an order of ``side`` sees them; fills cost what ``matching`` says."""
    venue = Venue(model)
    define_costs(venue.st, MatchingSettings(**matching))
    mirrored_book(venue, side, {1: 10}, {1: 10, 5: 10})
    return venue


def fees_of(venue: Venue, order_id: int) -> list[int]:
    """Cash that each fill of an order cost."""
    events = venue.all_events
    chosen = events[(events["kind"] == EventKind.ORDER_FILLED) & (events["order_id"] == order_id)]
    return [int(fee) for fee in chosen["fees"]]


# Slippage and impact


@SIDES
@pytest.mark.parametrize("model", BOOK_MODELS)
def test_a_taker_pays_the_slippage_in_every_model(model: str, side: int) -> None:
    venue = venue_of(side, model, slippage_ticks=3)
    order = venue.market(side, 10)
    venue.show((side, 1000 - side * 9, 1))
    assert venue.fills(order) == [(1000 + side * 4, 10)]


@SIDES
def test_a_maker_pays_no_slippage_and_no_impact(side: int) -> None:
    venue = venue_of(side, slippage_ticks=3, impact="linear", impact_rate=0.01)
    order = venue.submit(side, 1000, 10)
    venue.trade(-side, 1000, 10)
    assert venue.fills(order) == [(1000, 10)]


@SIDES
@pytest.mark.parametrize("model", BOOK_MODELS)
def test_slippage_ends_at_the_limit(model: str, side: int) -> None:
    venue = venue_of(side, model, slippage_ticks=30)
    order = venue.submit(side, 1000 + side * 3, 10)
    venue.show((side, 1000 - side * 9, 1))
    assert venue.fills(order) == [(1000 + side * 3, 10)]


@SIDES
@pytest.mark.parametrize(
    ("impact", "qty", "share"),
    [
        ("linear", 4, 0.01),
        ("linear", 8, 0.02),
        ("square_root", 4, 0.01),
        ("square_root", 1, 0.005),
        ("square_root", 9, 0.015),
    ],
)
def test_impact_is_a_power_of_the_quantity_rounded_up_against_the_taker(
    impact: str, qty: int, share: float, side: int
) -> None:
    venue = Venue()
    define_costs(venue.st, MatchingSettings(impact=impact, impact_rate=0.01, impact_qty=4))  # type: ignore[arg-type]
    best = 1001
    venue.snapshot({best - (side > 0): 99}, {best + (side < 0): 99})
    assert venue.fills(venue.market(side, qty)) == [(best + side * int(np.ceil(share * best)), qty)]


@SIDES
def test_a_whole_number_of_ticks_is_not_rounded_up(side: int) -> None:
    venue = Venue()
    define_costs(venue.st, MatchingSettings(impact="linear", impact_rate=0.0007, impact_qty=1))
    venue.snapshot({10_000 - (side > 0): 99}, {10_000 + (side < 0): 99})
    assert venue.fills(venue.market(side, 1)) == [(10_000 + side * 7, 1)]


@SIDES
def test_impact_grows_with_what_the_order_has_taken(side: int) -> None:
    venue = venue_of(side, impact="linear", impact_rate=0.001, impact_qty=10)
    order = venue.market(side, 20)
    first, second = 1000 + side, 1000 + side * 5
    assert venue.fills(order) == [
        (first + side * int(np.ceil(first * 0.001)), 10),
        (second + side * int(np.ceil(second * 0.002)), 10),
    ]


def test_impact_does_not_move_the_market() -> None:
    venue = venue_of(impact="linear", impact_rate=0.001, impact_qty=1)
    orders = [venue.market(1, 5) for _ in range(2)]
    assert venue.fills(orders[0]) == venue.fills(orders[1]) == [(1007, 5)]


def test_a_sale_cannot_slip_below_one_tick() -> None:
    venue = venue_of(-1, slippage_ticks=1_000_000)
    assert venue.fills(venue.market(-1, 5)) == [(1, 5)]


# Fees


@SIDES
def test_a_fee_on_quantity_is_stated_by_the_exchange_and_booked_as_it_is(side: int) -> None:
    venue = venue_of(side, fees="quantity", maker_fee_per_unit="-0.25", taker_fee_per_unit="0.5")
    taker = venue.market(side, 4)
    maker = venue.submit(side, 1000, 10)
    venue.trade(-side, 1000, 10)
    assert fees_of(venue, taker) == [2 * CASH_SCALE]
    assert fees_of(venue, maker) == [-5 * CASH_SCALE // 2]
    assert venue.st[0]["positions"][0, 0, 0]["fees"] == -CASH_SCALE // 2
    assert venue.order(taker)["state"] == OrderState.FILLED


def test_a_fee_on_quantity_is_rounded_half_to_even_once() -> None:
    venue = Venue()
    instrument = venue.st[0]["instruments"][0]
    instrument["base_numerator"], instrument["base_denominator"] = CASH_SCALE // 2, 1
    define_costs(venue.st, MatchingSettings(fees="quantity", taker_fee_per_unit="0.00000001"))
    venue.snapshot({999: 99}, {1001: 99})
    assert [fees_of(venue, venue.market(1, qty)) for qty in (1, 2, 3, 5)] == [[0], [1], [2], [2]]


def tiers() -> tuple[FeeTierSettings, ...]:
    rates = [("0", "0.0002", "0.0005"), ("10000", "0.0001", "0.0004"), ("50000", "-0.00005", "0.0003")]
    return tuple(FeeTierSettings(traded_value=at, maker_fee_rate=m, taker_fee_rate=t) for at, m, t in rates)


def rate_after(*waits_days: int) -> list[float]:
    """The taker's rate of a fill of 20 lots at 1000, or about 20,000, each so many days after the one before."""
    venue = Venue()
    define_costs(venue.st, MatchingSettings(fees="tiers", fee_tiers=tiers()))
    venue.now = START_NS // DAY_NS * DAY_NS + 1
    rates = []
    for days in waits_days:
        venue.st[0]["next_review"] = venue.st[0]["next_due"] = NEVER  # no second of the days between is looked at
        venue.now += days * DAY_NS
        venue.snapshot({999: 20}, {1000: 20})
        order = venue.market(1, 20)
        (fee,) = fees_of(venue, order)
        rates.append(fee / (20 * 1000 * CASH_SCALE))
    return rates


def test_a_tier_holds_from_the_next_midnight_on() -> None:
    assert rate_after(0, 0, 0, 1) == pytest.approx([0.0005, 0.0005, 0.0005, 0.0003])


def test_a_tier_counts_thirty_days_and_not_the_day_itself() -> None:
    assert rate_after(0, 30) == pytest.approx([0.0005, 0.0004])
    assert rate_after(0, 31) == pytest.approx([0.0005, 0.0005])
    assert rate_after(0, 1, 1, 29, 1, 1) == pytest.approx([0.0005, 0.0004, 0.0004, 0.0004, 0.0004, 0.0004])


def test_a_day_long_after_the_last_fill_starts_from_the_lowest_tier() -> None:
    assert rate_after(0, 1, 1, 400) == pytest.approx([0.0005, 0.0004, 0.0004, 0.0005])


def test_the_reports_say_that_the_fee_is_known() -> None:
    venue = venue_of(fees="tiers", fee_tiers=tiers())
    known: list[int] = []
    flush = venue._flush

    def note() -> None:
        reports = venue.st[0]["reports"][: venue.st[0]["report_count"]]
        known.extend(int(row["fee_known"]) for row in reports if row["liquidity"] == Liquidity.TAKER)
        flush()

    venue._flush = note  # type: ignore[method-assign]
    venue.market(1, 5)
    venue.wait(1)
    assert known == [1]


def test_fees_on_value_are_left_to_the_core() -> None:
    venue = venue_of()
    order = venue.market(1, 10)
    assert fees_of(venue, order) == [1001 * 10 * 50_000]


# Settings


@pytest.mark.parametrize(
    ("matching", "message"),
    [
        ({"slippage_ticks": -1}, "matching slippage_ticks -1 must be 0 to 1000000"),
        ({"impact": "linear"}, "matching impact 'linear' needs impact_rate"),
        ({"impact_qty": 0.0}, "matching impact_qty 0.0 must be above zero"),
        ({"impact_qty": float("nan")}, "matching impact_qty nan must be above zero"),
        ({"fill_chance": 1.5}, "matching fill_chance 1.5 must be 0 to 1"),
        ({"seed": -1}, "matching seed -1 must be 0 to"),
        ({"taker_fee_per_unit": "21"}, "matching taker_fee_per_unit 21 must be -20 to 20"),
        ({"taker_fee_per_unit": "cheap"}, "matching taker_fee_per_unit 'cheap' is not a decimal number"),
        ({"fees": "tiers"}, 'matching fees "tiers" needs fee_tiers'),
        ({"fee_tiers": tiers()[1:]}, "matching fee_tiers have traded_value 10000, 50000: let them ascend from 0"),
        ({"fee_tiers": tiers()[:1] * 17}, "matching fee_tiers has 17 rows: the core holds 16"),
    ],
)
def test_what_cannot_be_is_refused_by_name(matching: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        MatchingSettings(**matching)
    assert message in str(refused.value)
