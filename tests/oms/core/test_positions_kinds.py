"""Fills, PnL, funding and overflow of every kind of instrument against decimal arithmetic, under both cost bases."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.core.positions import (
    apply_fill,
    average_px,
    book_funding,
    closable_qty,
    cost_of,
    cost_to_cash,
    fill_fits,
    fits,
    funding_of,
    position_fits,
    unrealized_pnl,
    value_at,
    value_of,
)
from oms.instruments import Instrument
from oms.records import CASH_SCALE, CostBasis
from tests.oms.core.ledger import (
    CASH,
    INSTRUMENTS,
    POOL,
    TERMS,
    Fill,
    Model,
    divided,
    instrument_of,
    new_ledger,
    new_position,
    rounded,
    row_of,
    units,
)

SIDES = hs.sampled_from((1, -1))
PRICES = hs.integers(1, 2_000_000)
FILLS = hs.lists(
    hs.builds(
        Fill,
        side=SIDES,
        px=PRICES,
        qty=hs.one_of(hs.integers(1, 9), hs.integers(1, 100_000)),
        fee=hs.integers(-(10**12), 10**12),
    ),
    max_size=40,
)
KINDS = pytest.mark.parametrize("name", list(TERMS))
BASES = pytest.mark.parametrize("cost_basis", list(CostBasis), ids=lambda basis: basis.name)


class Book:
    """A position that is filled by the kernels, beside its model."""

    def __init__(self, instrument: Instrument, cost_basis: CostBasis) -> None:
        self.row, self.s, self.position = row_of(instrument), new_ledger(), new_position()
        self.cost_basis = int(cost_basis)
        self.model = Model(instrument, cost_basis)

    def fill(self, trade: Fill) -> int:
        self.model.apply(trade)
        return apply_fill(self.s, self.position, self.row, self.cost_basis, trade.side, trade.px, trade.qty, trade.fee)

    def lots(self) -> list[tuple[int, int]]:
        """Quantity and cost of the position's lots, as they are linked."""
        found = []
        number = int(self.position["first_lot"])
        last = 0
        while number:
            lot = self.s["cost_lots"][number - 1]
            found.append((int(lot["qty"]), int(lot["cost"])))
            number, last = int(lot["next"]), number
        assert self.position["last_lot"] == last
        return found


def cost_units(model: Model, cost: Decimal) -> int:
    return int(divided(cost, model.unit))


@pytest.mark.pure
@KINDS
@BASES
@given(fills=FILLS, mark=hs.integers(1, 4_000_000))
def test_position_is_what_decimal_arithmetic_gives(
    name: str, cost_basis: CostBasis, fills: list[Fill], mark: int
) -> None:
    book = Book(INSTRUMENTS[name], cost_basis)
    model, position = book.model, book.position
    for trade in fills:
        before = model.realized
        realized = book.fill(trade)
        assert realized == units(model.realized - before)
        assert position["qty"] == model.lots
        assert position["open_cost"] == cost_units(model, model.cost)
    assert position["cash"] == units(model.cash)
    assert position["realized_pnl"] == units(model.realized)
    assert position["fees"] == units(model.fees)
    assert position["qty"] == position["bought_qty"] - position["sold_qty"]
    assert position["fills"] == len(fills)
    assert unrealized_pnl(position, book.row, mark) == units(model.unrealized(mark))
    if cost_basis == CostBasis.FIFO:
        assert book.lots() == [
            (int(divided(abs(each.qty), model.lot)), cost_units(model, each.cost)) for each in model.opened
        ]


@KINDS
@BASES
@given(fills=FILLS, mark=hs.integers(1, 4_000_000))
def test_realized_and_unrealized_is_all_that_was_paid_and_received(
    name: str, cost_basis: CostBasis, fills: list[Fill], mark: int
) -> None:
    book = Book(INSTRUMENTS[name], cost_basis)
    for trade in fills:
        book.fill(trade)
    position = book.position
    exact_value = divided(book.model.value_held(divided(mark * book.model.tick, Decimal(2))), CASH)
    flow = int(position["cash"]) - int(position["fees"]) + exact_value
    result = int(position["realized_pnl"]) + unrealized_pnl(position, book.row, mark) - int(position["fees"])
    roundings = len(fills) if book.row["cash_denominator"] > 1 else 0
    assert abs(result - flow) <= roundings + Decimal("0.5")


@KINDS
@given(fills=FILLS, px=PRICES)
def test_what_is_flat_has_realized_the_same_under_every_cost_basis(name: str, fills: list[Fill], px: int) -> None:
    realized = []
    for cost_basis in CostBasis:
        book = Book(INSTRUMENTS[name], cost_basis)
        for trade in fills:
            book.fill(trade)
        held = int(book.position["qty"])
        if held:
            book.fill(Fill(-1 if held > 0 else 1, px, abs(held)))
        assert (book.position["qty"], book.position["open_cost"], book.position["first_lot"]) == (0, 0, 0)
        assert average_px(book.position, book.row) == 0
        if book.row["cash_denominator"] == 1:
            assert book.position["realized_pnl"] == book.position["cash"]
            realized.append(int(book.position["realized_pnl"]))
    assert len(set(realized)) <= 1


@pytest.mark.pure
@KINDS
@given(px=PRICES, qty=hs.integers(1, 10**6))
def test_value_and_cost_are_exact(name: str, px: int, qty: int) -> None:
    row, model = row_of(INSTRUMENTS[name]), Model(INSTRUMENTS[name])
    expected = units(rounded(model.value(px * model.tick, qty * model.lot)))
    assert value_of(row, px, qty) == value_at(row, 2 * px, qty) == expected >= 0
    assert cost_to_cash(row, cost_of(row, px, qty)) == (-expected if row["inverse"] else expected)


@pytest.mark.pure
@pytest.mark.parametrize(("px", "qty", "value"), [(512, 1, 195_312), (512, 3, 585_938), (256, 1, 390_625)])
def test_inverse_value_is_rounded_half_to_even(px: int, qty: int, value: int) -> None:
    row = row_of(instrument_of("inverse", tick="1", multiplier="1"))
    assert value_of(row, px, qty) == value
    assert cost_of(row, px, qty) == -value


@pytest.mark.pure
@KINDS
@given(fills=FILLS)
def test_average_price_is_cost_over_quantity_and_harmonic_when_inverse(name: str, fills: list[Fill]) -> None:
    book = Book(INSTRUMENTS[name], CostBasis.AVERAGE)
    for trade in fills:
        book.fill(trade)
    model = book.model
    if not model.qty or not model.cost:
        assert average_px(book.position, book.row) == 0
        return
    if model.inverse:
        price = divided(abs(model.qty) * model.multiplier, abs(model.cost))
    else:
        price = divided(model.cost, model.qty)
    ticks = divided(price, model.tick)
    assert average_px(book.position, book.row) == int(rounded(ticks * CASH_SCALE, Decimal(1)))


@pytest.mark.pure
@KINDS
@given(qty=hs.integers(-(10**6), 10**6), mark=hs.integers(1, 4_000_000), rate=hs.integers(-(10**7), 10**7))
def test_longs_pay_what_shorts_receive(name: str, qty: int, mark: int, rate: int) -> None:
    row, model = row_of(INSTRUMENTS[name]), Model(INSTRUMENTS[name])
    value = rounded(model.value(divided(mark * model.tick, Decimal(2)), abs(qty) * model.lot))
    expected = units(rounded(value * rate * CASH)) * (-1 if qty > 0 else 1)
    position = new_position(qty=qty)
    assert funding_of(position, row, mark, rate) == expected
    assert funding_of(new_position(qty=-qty), row, mark, rate) == -expected
    book_funding(position, expected)
    book_funding(position, 7)
    assert (position["funding"], position["realized_pnl"], position["cash"]) == (expected + 7, 0, 0)


def test_without_a_mark_there_is_no_funding_and_no_unrealized_pnl() -> None:
    position, row = new_position(qty=5, open_cost=500), row_of(INSTRUMENTS["linear"])
    assert funding_of(position, row, 0, 10**6) == unrealized_pnl(position, row, 0) == 0


@given(held=hs.integers(-100, 100), side=SIDES)
def test_what_a_fill_closes_is_what_is_held_against_it(held: int, side: int) -> None:
    position = new_position(qty=held)
    assert closable_qty(position, side) == (abs(held) if held * side < 0 else 0)


# when the pool of lots is empty


@pytest.mark.pure
@KINDS
@given(fills=FILLS, free=hs.integers(0, 3))
def test_without_free_lots_the_cost_stays_exact(name: str, fills: list[Fill], free: int) -> None:
    book = Book(INSTRUMENTS[name], CostBasis.FIFO)
    book.s["cost_lots_used"] = POOL - free
    for trade in fills:
        book.fill(trade)
        lots = book.lots()
        assert len(lots) <= free
        covered = sum(qty for qty, _ in lots)
        assert covered <= abs(int(book.position["qty"]))
        if free and covered == abs(int(book.position["qty"])):
            assert sum(cost for _, cost in lots) == book.position["open_cost"]
    held = int(book.position["qty"])
    assert held == book.model.lots
    if held:
        book.fill(Fill(-1 if held > 0 else 1, 1_000, abs(held)))
    assert book.position["open_cost"] == 0
    if book.row["cash_denominator"] == 1:
        assert book.position["realized_pnl"] == book.position["cash"]


def test_an_opening_fill_that_found_no_lot_joins_the_newest_and_is_counted() -> None:
    book = Book(INSTRUMENTS["linear"], CostBasis.FIFO)
    book.s["cost_lots_used"] = POOL - 2
    for px in (100, 200, 300, 400):
        book.fill(Fill(1, px, 10))
    assert book.lots() == [(10, 1_000), (30, 9_000)]
    assert book.s["cost_lots_merged"] == 2
    assert book.fill(Fill(-1, 500, 20)) == (10 * 400 + 10 * 200) * 10_000


def test_lots_that_are_closed_are_used_again() -> None:
    book = Book(INSTRUMENTS["linear"], CostBasis.FIFO)
    for _ in range(5):
        for side in (1, -1):
            for px in range(1, POOL + 1):
                book.fill(Fill(side, px, 1))
    assert (book.s["cost_lots_used"], book.s["cost_lots_merged"]) == (POOL, 0)


def test_two_positions_share_the_pool_without_touching_one_another() -> None:
    s, row = new_ledger(), row_of(INSTRUMENTS["linear"])
    first, second = new_position(), new_position()
    fifo = int(CostBasis.FIFO)
    for px in (100, 200):
        apply_fill(s, first, row, fifo, 1, px, 1, 0)
        apply_fill(s, second, row, fifo, -1, 10 * px, 1, 0)
    assert apply_fill(s, first, row, fifo, -1, 150, 1, 0) == 50 * 10_000
    assert apply_fill(s, second, row, fifo, 1, 1_500, 1, 0) == -500 * 10_000
    assert (first["open_cost"], second["open_cost"]) == (200, -2_000)


# what does not fit 64 bits

LARGE_PRICES = hs.one_of(hs.integers(1, 2**36), hs.integers(2**30, 2**36))
LARGE_FILLS = hs.lists(
    hs.builds(Fill, side=SIDES, px=LARGE_PRICES, qty=hs.integers(1, 2**31 - 1), fee=hs.integers(-(2**60), 2**60)),
    max_size=12,
)


@pytest.mark.pure
@KINDS
@BASES
@given(fills=LARGE_FILLS)
def test_a_fill_that_is_said_to_fit_is_booked_exactly(name: str, cost_basis: CostBasis, fills: list[Fill]) -> None:
    book = Book(INSTRUMENTS[name], cost_basis)
    model = book.model
    for trade in fills:
        if not fill_fits(book.position, book.row, trade.px, trade.qty, trade.fee):
            continue
        book.fill(trade)
        assert book.position["open_cost"] == cost_units(model, model.cost)
        assert book.position["realized_pnl"] == units(model.realized)
        assert book.position["cash"] == units(model.cash)
        assert book.position["fees"] == units(model.fees)
        if model.qty and model.cost and not model.inverse:
            average = divided(divided(model.cost, model.qty), model.tick) * CASH_SCALE
            assert average_px(book.position, book.row) == int(rounded(average, Decimal(1)))


@pytest.mark.pure
@KINDS
@given(px=LARGE_PRICES, qty=hs.integers(1, 2**31 - 1))
def test_a_value_that_is_said_to_fit_is_exact_and_a_small_one_fits(name: str, px: int, qty: int) -> None:
    row, model = row_of(INSTRUMENTS[name]), Model(INSTRUMENTS[name])
    value = rounded(model.value(px * model.tick, qty * model.lot))
    if fits(row, px, qty):
        assert value_of(row, px, qty) == units(value)
    else:
        assert px * qty >= 2**60 or divided(value, CASH) >= 2**60


@KINDS
@given(half_ticks=hs.integers(16, 2**37), qty=hs.integers(1, 2**31 - 1))
def test_a_position_that_fits_can_be_valued_after_an_eightfold_move(name: str, half_ticks: int, qty: int) -> None:
    row, model = row_of(INSTRUMENTS[name]), Model(INSTRUMENTS[name])
    if not position_fits(row, half_ticks, qty):
        return
    for moved in (half_ticks, half_ticks // 8, half_ticks * 8):
        value = model.value(divided(moved * model.tick, Decimal(2)), qty * model.lot)
        assert value_at(row, moved, qty) == units(rounded(value))


def test_a_price_of_nothing_does_not_fit_an_inverse_contract() -> None:
    row: Any = row_of(INSTRUMENTS["inverse"])
    assert not fits(row, 0, 1)
    assert not fill_fits(new_position(), row, 0, 1, 0)
