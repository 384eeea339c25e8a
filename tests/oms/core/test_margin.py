"""Margins and liquidation prices against exact fractions of the instrument's own terms."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as hs

from oms.core.margin import (
    initial_margin,
    liquidation_distance,
    liquidation_px,
    maintenance_margin,
    revalue,
    short_option_margin,
    tier_of,
)
from oms.core.positions import apply_fill, unrealized_pnl, value_at
from oms.instruments import Instrument
from oms.margin_tiers import MarginTier, OptionMargin
from oms.records import CASH_SCALE, EVERY_PRICE
from tests.oms.core.ledger import INSTRUMENTS, instrument_of, new_ledger, new_position, row_of

DERIBIT = ("0.15", "0.1", "0.075")
"""Initial, least and maintenance rate of a short option that says nothing else."""
LADDERS = (
    (("0", "0.01", "0.005"),),
    (("0", "0.008", "0.004"), ("50000", "0.01", "0.005"), ("600000", "0.02", "0.01"), ("3000000.01", "0.1", "0.05")),
    (("0", "0.01", "0.005"), ("0.5", "0.1", "0.05"), ("7.12345678", "0.5", "0.25"), ("80", "1", "0.50000001")),
)


def margined(name: str, ladder: int, max_leverage: str = "125") -> Instrument:
    tiers = tuple(
        MarginTier(notional=notional, initial_rate=initial, maintenance_rate=maintenance)
        for notional, initial, maintenance in LADDERS[ladder]
    )
    return instrument_of(name, margin_tiers=tiers, max_leverage=max_leverage)


def maintenance_of(instrument: Instrument, value: Fraction) -> Fraction:
    """Maintenance margin in the settlement currency: each slice of the value at its own tier's rate."""
    margin = Fraction(0)
    floors = [Fraction(tier.notional) for tier in instrument.margin_tiers]
    for floor, ceiling, tier in zip(floors, [*floors[1:], None], instrument.margin_tiers, strict=True):
        top = value if ceiling is None else min(value, ceiling)
        margin += max(top - floor, Fraction(0)) * Fraction(tier.maintenance_rate)
    return margin


VALUES = hs.one_of(hs.integers(0, 10**10), hs.integers(0, 10**15), hs.sampled_from([5 * 10**12, 5 * 10**12 - 1]))
LADDER = hs.sampled_from(range(len(LADDERS)))


@pytest.mark.pure
@given(LADDER, VALUES)
def test_maintenance_is_the_sum_of_slices_each_at_its_rate(ladder: int, value: int) -> None:
    instrument = margined("linear", ladder)
    exact = maintenance_of(instrument, Fraction(value, CASH_SCALE)) * CASH_SCALE
    assert 0 <= maintenance_margin(row_of(instrument), value) - exact < 2


@pytest.mark.pure
@given(LADDER, VALUES, hs.integers(0, 200 * CASH_SCALE))
def test_initial_margin_is_the_larger_of_leverage_and_tier(ladder: int, value: int, leverage: int) -> None:
    instrument = margined("linear", ladder, "50")
    row = row_of(instrument)
    tier = instrument.margin_tiers[tier_of(row, value)]
    assert Fraction(tier.notional) * CASH_SCALE <= value
    used = min(max(leverage, CASH_SCALE), 50 * CASH_SCALE)
    exact = max(Fraction(value * CASH_SCALE, used), value * Fraction(tier.initial_rate))
    assert initial_margin(row, value, leverage) == math.ceil(exact)
    assert initial_margin(row, value, leverage) >= maintenance_margin(row, value) - 1


def test_what_has_no_leverage_is_needed_in_full() -> None:
    row = row_of(INSTRUMENTS["spot"])
    assert (initial_margin(row, 12_345, 10 * CASH_SCALE), maintenance_margin(row, 12_345)) == (12_345, 0)


class Held:
    """A position, and its equity less its maintenance margin at any price, exactly."""

    def __init__(self, instrument: Instrument, side: int, px: int, qty: int, balance: int) -> None:
        self.instrument, self.row, self.side = instrument, row_of(instrument), side
        self.position = new_position()
        apply_fill(new_ledger(), self.position, self.row, 0, side, px, qty, 0)
        self.size = qty * Fraction(instrument.lot) * Fraction(instrument.multiplier)
        self.balance = Fraction(balance, CASH_SCALE)
        cost = Fraction(int(self.position["open_cost"]))
        ratio = Fraction(int(self.row["cash_numerator"]), int(self.row["cash_denominator"]))
        self.cost = cost * ratio / CASH_SCALE

    def above_maintenance(self, px: Fraction) -> Fraction:
        price = px * Fraction(self.instrument.tick)
        value = self.size / price if self.instrument.inverse else self.size * price
        worth = self.side * (-value if self.instrument.inverse else value)
        return self.balance + worth - self.cost - maintenance_of(self.instrument, value)


HELD = {
    "name": hs.sampled_from(("linear", "inverse", "quanto", "linear_future", "inverse_future")),
    "ladder": LADDER,
    "side": hs.sampled_from((1, -1)),
    "px": hs.integers(1_000, 2_000_000),
    "qty": hs.one_of(hs.integers(1, 100), hs.integers(1, 1_000_000)),
    "share": hs.fractions(Fraction(1, 1000), 2),
}


def held(name: str, ladder: int, side: int, px: int, qty: int, share: Fraction) -> tuple[Held, int]:
    """A position with ``share`` of its value as balance, and its liquidation price."""
    instrument = margined(name, ladder)
    row = row_of(instrument)
    value = abs(Held(instrument, side, px, qty, 0).cost) * CASH_SCALE
    balance = int(value * share)
    position = Held(instrument, side, px, qty, balance)
    return position, liquidation_px(position.position, row, balance)


@pytest.mark.pure
@given(**HELD)
def test_at_the_liquidation_price_equity_is_the_maintenance_margin(**terms: Any) -> None:
    position, liquidation = held(**terms)
    assume(0 < liquidation < EVERY_PRICE)
    at = Fraction(liquidation, CASH_SCALE)
    slack = max(Fraction(3, CASH_SCALE), at * Fraction(8, 10**15))
    unit = abs(position.above_maintenance(at) - position.above_maintenance(at + slack)) + Fraction(4, CASH_SCALE)
    assert abs(position.above_maintenance(at)) <= unit


@given(**HELD)
def test_a_liquidation_price_is_never_too_far_away(**terms: Any) -> None:
    position, liquidation = held(**terms)
    assume(0 < liquidation < EVERY_PRICE)
    at = Fraction(liquidation, CASH_SCALE)
    unit_of_cash = Fraction(4, CASH_SCALE)
    assert position.above_maintenance(at) >= -unit_of_cash
    beyond = at * (1 - Fraction(position.side, 10**6)) - Fraction(position.side, 10**6)
    if beyond > 0:
        assert position.above_maintenance(beyond) < unit_of_cash


@given(**HELD)
def test_what_has_no_liquidation_price_is_above_maintenance_at_every_price(**terms: Any) -> None:
    position, liquidation = held(**terms)
    if liquidation not in (0, EVERY_PRICE):
        return
    assert liquidation == (0 if position.side > 0 else EVERY_PRICE)
    for px in (Fraction(1, 10**6), Fraction(1), Fraction(10**6), Fraction(10**9)):
        assert position.above_maintenance(px) >= -Fraction(4, CASH_SCALE)


@pytest.mark.parametrize(("name", "none"), [("linear", 0), ("inverse", EVERY_PRICE)])
def test_without_equity_at_any_price_a_position_is_liquidated_at_every_price(name: str, none: int) -> None:
    side = -1 if name == "linear" else 1
    position = Held(margined(name, 0), side, 1_000, 10, 0)
    assert liquidation_px(position.position, position.row, -(10**15)) == none
    assert liquidation_distance(position.position, none, 2_000) <= 0


def test_the_example_of_a_tenfold_long() -> None:
    """1 BTC at 60,000 with 6,000 behind it and 0.5 % maintenance: 54,000 / 0.995 = 54,271.356..., in ticks of 0.1."""
    position = Held(margined("linear", 0), 1, 600_000, 1_000, 6_000 * CASH_SCALE)
    liquidation = liquidation_px(position.position, position.row, 6_000 * CASH_SCALE)
    exact = Fraction(540_000 * CASH_SCALE * 1_000, 995)
    assert exact <= liquidation <= exact + 2
    assert liquidation_distance(position.position, liquidation, 1_200_000) == 9_547_738


def test_distance_is_none_of_the_mark_when_it_is_reached_and_all_of_it_when_it_never_is() -> None:
    long, short = new_position(qty=1), new_position(qty=-1)
    assert liquidation_distance(long, 1_000 * CASH_SCALE, 2_000) == 0
    assert liquidation_distance(long, 0, 2_000) == CASH_SCALE
    assert liquidation_distance(short, 1_500 * CASH_SCALE, 2_000) == CASH_SCALE // 2
    assert liquidation_distance(short, EVERY_PRICE, 2_000) == EVERY_PRICE
    assert liquidation_distance(long, 0, 0) == liquidation_distance(new_position(), 5, 5) == EVERY_PRICE


def test_flat_and_spot_have_no_liquidation_price() -> None:
    assert liquidation_px(new_position(), row_of(margined("linear", 0)), 100) == 0
    assert liquidation_px(new_position(qty=5, open_cost=5), row_of(INSTRUMENTS["spot"]), 100) == 0


# options


@pytest.mark.pure
@pytest.mark.parametrize("name", ["call", "coin_put"])
@pytest.mark.parametrize("kind", ["call", "put"])
@given(
    price=hs.one_of(hs.integers(10**9, 10**13), hs.integers(5 * 10**12, 7 * 10**12)),
    mark=hs.integers(0, 100_000),
    qty=hs.integers(1, 10_000),
    rates=hs.sampled_from((None, OptionMargin(initial_rate="0.2", least_rate="0.05", maintenance_rate="0.5"))),
)
def test_a_short_option_is_margined_by_the_published_rule_at_its_rates(
    name: str, kind: str, price: int, mark: int, qty: int, rates: OptionMargin | None
) -> None:
    instrument = instrument_of(name, option_kind=kind, option_margin=rates)
    of_initial, least, of_maintenance = map(Fraction, msgspec.structs.astuple(rates) if rates else DERIBIT)
    coin = instrument.settlement == instrument.base
    size = qty * Fraction(instrument.lot)
    underlying, strike = Fraction(price, CASH_SCALE), Fraction(instrument.strike)
    premium = Fraction(mark, 2) * Fraction(instrument.tick)
    unit = Fraction(1) if coin else underlying
    otm = max(strike - underlying if kind == "call" else underlying - strike, Fraction(0))
    initial = max(of_initial - otm / underlying, least) * unit + premium
    maintenance = of_maintenance * unit + premium
    if kind == "put":
        maintenance = max(of_maintenance * unit, of_maintenance * premium) + premium
    initial = max(initial, maintenance)
    got = short_option_margin(row_of(instrument), price, mark, qty)
    slack = 3 + 2 * size * unit
    assert -1 <= got[1] - maintenance * size * CASH_SCALE <= 3
    assert -1 <= got[0] - initial * size * CASH_SCALE <= slack


# a position's own figures

INDEX: int = 5_500_000_000_000
FIGURES = ("mark", "value", "unrealized_pnl", "initial_margin", "maintenance_margin")


@pytest.mark.pure
@pytest.mark.parametrize("name", list(INSTRUMENTS))
@given(qty=hs.integers(-10_000, 10_000), px=hs.integers(1, 100_000), mark=hs.integers(1, 200_000))
def test_a_position_is_revalued_as_a_whole(name: str, qty: int, px: int, mark: int) -> None:
    row, position = row_of(INSTRUMENTS[name]), new_position(leverage=5 * CASH_SCALE)
    if qty:
        apply_fill(new_ledger(), position, row, 0, 1 if qty > 0 else -1, px, abs(qty), 0)
    assert revalue(position, row, mark, INDEX)
    value = value_at(row, mark, abs(qty))
    margins = (initial_margin(row, value, 5 * CASH_SCALE), maintenance_margin(row, value))
    if row["tier_count"] == 0:
        margins = short_option_margin(row, INDEX, mark, -qty) if row["option_kind"] and qty < 0 else (0, 0)
    assert [position[name] for name in FIGURES] == [mark, value, unrealized_pnl(position, row, mark), *margins]


@pytest.mark.parametrize(
    ("name", "qty", "mark", "index"),
    [("linear", 5, 0, INDEX), ("linear", 5, -2, INDEX), ("linear", 2**31, 2**36, INDEX), ("call", -5, 100, 0)],
)
def test_what_cannot_be_valued_keeps_its_figures(name: str, qty: int, mark: int, index: int) -> None:
    position = new_position(qty=qty, **dict.fromkeys(FIGURES, 7))
    assert not revalue(position, row_of(INSTRUMENTS[name]), mark, index)
    assert [position[name] for name in FIGURES] == [7] * 5


def test_what_is_flat_has_no_value_and_no_margin() -> None:
    position = new_position(**dict.fromkeys(FIGURES, 7))
    assert revalue(position, row_of(INSTRUMENTS["call"]), 0, 0)
    assert [position[name] for name in FIGURES] == [0] * 5
