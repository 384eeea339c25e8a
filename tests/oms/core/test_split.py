"""Splits over several books against the best of all splits, found by trying each."""

from __future__ import annotations

from itertools import product
from math import gcd
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw

from oms.compiled import JIT
from oms.core.split import add_level, clear_offers, find_split, nest_steps
from oms.core.state import OFFER_LEVELS, State, new_state
from oms.records import ROUTES
from tests.oms.core.builders import Records

pytestmark = pytest.mark.pure


class Offer(NamedTuple):
    """What one route offers: steps, smallest order and price for a unit of each level."""

    units: int
    levels: list[tuple[int, int, int]]

    @property
    def steps(self) -> int:
        return sum(steps for steps, _, _ in self.levels)

    def prices(self) -> list[int]:
        """Price of a unit in each further step."""
        return [price for steps, _, price in self.levels for _ in range(steps)]

    def least(self) -> list[int]:
        """Smallest order at the price of each further step."""
        return [least for steps, least, _ in self.levels for _ in range(steps)]


def cost_of(offers: list[Offer], taken: tuple[int, ...]) -> int:
    return sum(sum(offer.prices()[:steps]) * offer.units for offer, steps in zip(offers, taken, strict=True))


def best_of_all(offers: list[Offer], amount: int) -> tuple[int, int]:
    """What the best split leaves, and what it costs."""
    allowed = [
        [steps for steps in range(offer.steps + 1) if steps == 0 or steps >= offer.least()[steps - 1]]
        for offer in offers
    ]
    found = []
    for taken in product(*allowed):
        left = amount - sum(steps * offer.units for steps, offer in zip(taken, offers, strict=True))
        if left >= 0:
            found.append((left, cost_of(offers, taken)))
    return min(found)


STATE: State = new_state()


def put(offers: list[Offer]) -> Records:
    """Put the offers into a core, and return its table of them."""
    s: Any = STATE[0]
    clear_offers(s)
    table: Records = s["split"]["offers"]
    for route, offer in enumerate(offers):
        table[route]["step_units"] = offer.units
        steps = 0
        for more, least, price in offer.levels:
            steps += more
            add_level(table[route], 0, steps, least, float(price))
    return table


def level_lists(sign: int, most: int) -> draw.SearchStrategy[list[tuple[int, int, int]]]:
    """Levels of one route, each no better than the one before."""
    level = draw.tuples(draw.integers(1, most), draw.integers(0, 5), draw.integers(1, 30))
    return draw.lists(level, max_size=3).map(
        lambda levels: [
            (steps, least, sign * price)
            for (steps, least, _), price in zip(
                levels, sorted((each[2] for each in levels), reverse=sign < 0), strict=True
            )
        ]
    )


@draw.composite
def offer_lists(sample: draw.DrawFn) -> list[Offer]:
    sign = sample(draw.sampled_from([1, -1]))
    sizes = sample(draw.sampled_from([(1,), (1, 2), (1, 4), (1, 2, 6), (1, 3, 9), (5, 10), (2, 4, 8)]))
    count = sample(draw.integers(2, 3))
    return [Offer(sample(draw.sampled_from(sizes)), sample(level_lists(sign, 4))) for _ in range(count)]


@settings(max_examples=400 if JIT else 60, deadline=None)
@given(offer_lists(), draw.integers(0, 60))
def test_a_split_takes_as_much_as_any_and_costs_as_little(offers: list[Offer], amount: int) -> None:
    table = put(offers)
    left = find_split(STATE[0], amount)
    taken = tuple(int(table[route]["best_steps"]) for route in range(len(offers)))
    assert (left, cost_of(offers, taken)) == best_of_all(offers, amount)
    for offer, steps in zip(offers, taken, strict=True):
        assert steps == 0 or steps >= offer.least()[steps - 1]


def test_a_minimum_is_reached_or_left_by_what_costs_less() -> None:
    offers = [Offer(1, [(5, 1, 100), (90, 1, 101)]), Offer(1, [(3, 3, 99), (9, 3, 110)])]
    table = put(offers)
    assert find_split(STATE[0], 2) == 0
    assert (table[0]["best_steps"], table[1]["best_steps"]) == (2, 0), "less than the other's minimum is wanted"
    find_split(STATE[0], 10)
    assert (table[0]["best_steps"], table[1]["best_steps"]) == (7, 3)


def test_a_coarse_lot_gives_way_where_fine_ones_are_needed_to_come_out_even() -> None:
    offers = [Offer(1, [(5, 1, 90), (100, 1, 120)]), Offer(10, [(1, 1, 100)])]
    table = put(offers)
    find_split(STATE[0], 10)
    assert (table[0]["best_steps"], table[1]["best_steps"]) == (0, 1)


@given(draw.lists(draw.integers(1, 12), min_size=1, max_size=ROUTES))
def test_every_step_is_a_multiple_of_the_finer_ones_and_of_its_lot(units: list[int]) -> None:
    s: Any = STATE[0]
    parent = s["parents"][0]
    parent["routes"] = -1
    parent["route_units"] = 0
    parent["routes"][: len(units)] = range(len(units))
    parent["route_units"][: len(units)] = units
    nest_steps(s, parent)
    steps = [int(s["split"]["offers"][route]["step_units"]) for route in range(len(units))]
    finer = 1
    for unit, step in sorted(zip(units, steps, strict=True)):
        assert step in (finer, finer * unit // gcd(finer, unit))
        assert step % unit == 0
        finer = step


def test_a_book_of_many_levels_is_offered_to_the_last_of_them() -> None:
    offers = [Offer(1, [(1, 1, 100 + at) for at in range(OFFER_LEVELS)])]
    table = put(offers)
    assert table[0]["most"] == OFFER_LEVELS
    assert find_split(STATE[0], 100) == 100 - OFFER_LEVELS
