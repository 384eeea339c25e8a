"""A new version of an instrument: positions keep quantity, cost and PnL on the new grid, or stay as they are."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as hs

from oms.core.positions import apply_fill, unrealized_pnl
from oms.core.regrid import RegridResult, common_divisor, regrid_position
from oms.instruments import Instrument
from oms.records import CostBasis
from tests.oms.core.ledger import Fill, divided, instrument_of, new_ledger, new_position, row_of
from tests.oms.core.test_positions_kinds import BASES, Book

STEPS = hs.sampled_from(("0.1", "0.5", "0.01", "1", "0.25", "0.2", "0.05"))
LOTS = hs.sampled_from(("0.001", "0.005", "0.01", "0.0001", "0.002", "1", "10"))
FILLS = hs.lists(
    hs.builds(
        Fill, side=hs.sampled_from((1, -1)), px=hs.integers(1, 20_000), qty=hs.integers(1, 2_000), fee=hs.just(0)
    ),
    max_size=25,
)
NAMES = pytest.mark.parametrize("name", ["linear", "inverse", "quanto", "fine", "linear_future", "call"])


def total(position: Any, row: Any, half_ticks: int) -> int:
    return int(position["realized_pnl"]) + unrealized_pnl(position, row, half_ticks)


def filled(name: str, cost_basis: CostBasis, fills: list[Fill], **terms: str) -> tuple[Book, Instrument]:
    old = instrument_of(name, **terms)
    book = Book(old, cost_basis)
    for trade in fills:
        book.fill(trade)
    return book, old


@pytest.mark.pure
@NAMES
@BASES
@given(
    fills=FILLS,
    ticks=hs.tuples(STEPS, STEPS),
    lots=hs.tuples(LOTS, LOTS),
    mark=hs.integers(1, 1_000),
)
def test_pnl_is_the_same_on_the_new_grid(
    name: str, cost_basis: CostBasis, fills: list[Fill], ticks: tuple[str, str], lots: tuple[str, str], mark: int
) -> None:
    book, old = filled(name, cost_basis, fills, tick=ticks[0], lot=lots[0])
    new = row_of(instrument_of(name, tick=ticks[1], lot=lots[1], version=2))
    position = book.position
    before = position.copy()
    lots_before = book.lots()
    price = mark * max(Decimal(ticks[0]), Decimal(ticks[1])) * 20
    old_mark, new_mark = (int(divided(2 * price, Decimal(tick))) for tick in ticks)
    held = int(position["qty"]) * Decimal(lots[0])
    expected = total(position, book.row, old_mark)

    result = regrid_position(book.s, position, book.row, new)

    if held % Decimal(lots[1]):
        assert result == position["off_grid"] == RegridResult.OFF_GRID
        position["off_grid"] = 0
        assert position.tobytes() == before.tobytes()
        assert book.lots() == lots_before
        return
    assert result == position["off_grid"] == RegridResult.DONE
    assert position["version"] == 2
    assert position["qty"] * Decimal(lots[1]) == held
    assert position["qty"] == position["bought_qty"] - position["sold_qty"]
    assert min(position["bought_qty"], position["sold_qty"]) >= 0
    whole = book.row["cash_denominator"] == new["cash_denominator"] == 1
    slack = 1 if whole else 2
    assert abs(total(position, new, new_mark) - expected) <= slack
    if whole and new["cash_numerator"] % 2 == book.row["cash_numerator"] % 2 == 0:
        assert total(position, new, new_mark) == expected
    assert [position[name] for name in ("cash", "fees", "funding")] == [
        before[name] for name in ("cash", "fees", "funding")
    ]
    if cost_basis == CostBasis.FIFO:
        after = book.lots()
        assert sum(qty for qty, _ in after) == abs(position["qty"])
        assert sum(cost for _, cost in after) == position["open_cost"]
    assert old.version == 1


@given(fills=FILLS, tick=STEPS, lot=LOTS)
def test_a_finer_grid_and_back_is_as_before(fills: list[Fill], tick: str, lot: str) -> None:
    book, old = filled("linear", CostBasis.FIFO, fills, tick=tick, lot=lot)
    finer = row_of(instrument_of("linear", tick=f"{Decimal(tick) / 20}", lot=f"{Decimal(lot) / 100}", version=2))
    before, lots = book.position.copy(), book.lots()
    assume(book.position["qty"])
    assert regrid_position(book.s, book.position, book.row, finer) == RegridResult.DONE
    assert book.position["realized_pnl"] == before["realized_pnl"]
    assert regrid_position(book.s, book.position, finer, row_of(old)) == RegridResult.DONE
    book.position["version"] = 0
    assert book.position.tobytes() == before.tobytes()
    assert book.lots() == lots


def test_lots_that_are_not_on_the_new_grid_join_the_next_one() -> None:
    book, _ = filled("linear", CostBasis.FIFO, [Fill(1, 100, 3), Fill(1, 200, 7), Fill(1, 300, 10)])
    coarser = row_of(instrument_of("linear", lot="0.01", version=2))
    assert regrid_position(book.s, book.position, book.row, coarser) == RegridResult.DONE
    assert book.lots() == [(1, 170), (1, 300)]
    assert book.s["cost_lots_merged"] == 1
    apply_fill(book.s, book.position, coarser, 1, 1, 50, 1, 0)
    assert book.lots() == [(1, 170), (1, 300), (1, 50)]
    assert book.s["cost_lots_used"] == 3


def test_what_a_coarser_tick_rounds_is_realized() -> None:
    book, _ = filled("linear", CostBasis.AVERAGE, [Fill(1, 1_003, 1)])
    coarser = row_of(instrument_of("linear", tick="1", version=2))
    assert regrid_position(book.s, book.position, book.row, coarser) == RegridResult.DONE
    assert book.position["open_cost"] == 100
    assert book.position["realized_pnl"] == -3 * 10_000


@pytest.mark.parametrize(
    "terms",
    [
        {"multiplier": "10"},
        {"strike": "61000"},
        {"option_kind": "put"},
        {"expiry": "2027-01-01T08:00:00Z"},
        {"settlement": "BTC"},
    ],
)
def test_another_contract_is_no_new_version(terms: dict[str, str]) -> None:
    position = new_position(qty=5, open_cost=500)
    old, new = row_of(instrument_of("call")), row_of(instrument_of("call", version=2, **terms))
    assert regrid_position(new_ledger(), position, old, new) == RegridResult.CONTRACT_CHANGED
    assert (position["qty"], position["open_cost"], position["version"]) == (5, 500, 0)
    assert position["off_grid"] == RegridResult.CONTRACT_CHANGED


def test_figures_that_do_not_fit_the_new_grid_stay_where_they_are() -> None:
    position = new_position(qty=2**31, bought_qty=2**31, open_cost=2**60)
    old, new = row_of(instrument_of("linear")), row_of(instrument_of("linear", tick="1e-7", version=2))
    assert regrid_position(new_ledger(), position, old, new) == RegridResult.TOO_LARGE
    assert position["open_cost"] == 2**60


@pytest.mark.parametrize(("a", "b", "divisor"), [(12, 18, 6), (7, 5, 1), (2**60, 2**40, 2**40), (5, 5, 5)])
def test_common_divisor_is_the_greatest(a: int, b: int, divisor: int) -> None:
    assert common_divisor(a, b) == divisor
