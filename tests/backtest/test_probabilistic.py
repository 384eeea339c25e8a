"""Exchange model ``probabilistic``: what the dice decide, what they do not, and that they fall alike in every run."""

from __future__ import annotations

import numpy as np
import pytest

from backtest.matching.chance import MODULI, happens, seeded
from oms.core.state import MODEL
from tests.backtest.consistency import check_model
from tests.backtest.venue import SIDES, Venue, mirrored_book

pytestmark = pytest.mark.pure


def venue_of(side: int, *, fill: float = 1.0, slip: float = 0.0, seed: int = 0) -> Venue:
    """A book whose touches are 999 and 1001, as an order of ``side`` sees it."""
    venue = Venue("probabilistic")
    model = venue.st[0]["model"]
    model["fill_chance"], model["slip_chance"], model["random"] = fill, slip, seeded(seed)
    mirrored_book(venue, side, {1: 10}, {1: 4, 5: 100})
    return venue


@SIDES
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_trade_at_an_orders_price_fills_it_by_chance(side: int, chance: float) -> None:
    venue = venue_of(side, fill=chance)
    order = venue.submit(side, 1000 - side, 50)
    venue.trade(-side, 1000 - side, 1)
    assert venue.filled(order) == 50 * chance
    check_model(venue.st)


@SIDES
def test_a_trade_through_an_order_and_the_other_sides_touch_at_it_fill_it_always(side: int) -> None:
    venue = venue_of(side, fill=0.0)
    through, touched = venue.submit(side, 1000 - side, 50), venue.submit(side, 1000 - side * 3, 50)
    venue.trade(-side, 1000 - side * 2, 1)
    assert venue.fills() == [(1000 - side, 50)]
    venue.show((-side, 1000 - side * 3, 1))
    assert venue.filled(through) == venue.filled(touched) == 50
    check_model(venue.st)


@SIDES
@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_a_taker_slips_one_tick_by_chance(side: int, chance: float) -> None:
    venue = venue_of(side, slip=chance)
    assert venue.fills(venue.market(side, 50)) == [(1000 + side * (1 + int(chance)), 50)]


@SIDES
def test_a_taker_does_not_slip_beyond_its_limit(side: int) -> None:
    venue = venue_of(side, slip=1.0)
    assert venue.fills(venue.submit(side, 1000 + side, 50)) == [(1000 + side, 50)]


def fills_with(seed: int) -> list[int]:
    """Which of 40 orders a trade at their price has filled."""
    venue = venue_of(1, fill=0.5, seed=seed)
    orders = [venue.submit(1, 999 - number, 5) for number in range(40)]
    for number in range(40):
        venue.trade(-1, 999 - number, 1)
    return [order for order in orders if venue.filled(order)]


def test_the_same_seed_gives_the_same_fills_and_another_one_others() -> None:
    first = fills_with(1)
    assert first == fills_with(1)
    assert first != fills_with(2)


@pytest.mark.parametrize("chance", [0.01, 0.5, 0.9])
def test_what_has_a_chance_happens_so_often(chance: float) -> None:
    model = np.zeros(1, MODEL)[0]
    model["random"] = seeded(7)
    thrown = 2_000
    happened = sum(happens(model, chance) for _ in range(thrown))
    assert abs(happened - chance * thrown) < 4 * (thrown * chance * (1 - chance)) ** 0.5


@pytest.mark.parametrize("seed", [0, 1, MODULI[0] - 2, MODULI[0] - 1, 2**62])
def test_every_seed_starts_both_generators_inside_their_range(seed: int) -> None:
    assert all(0 < start < modulus for start, modulus in zip(seeded(seed), MODULI, strict=True))
