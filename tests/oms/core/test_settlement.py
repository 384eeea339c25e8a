"""Settlement of futures and options, and contracts at prices that are on no grid, against decimal arithmetic."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as hs

from oms.core.settlement import contract_fits, contract_value, quote_price, settle, settlement_value
from oms.instruments import Instrument
from oms.records import CostBasis
from tests.oms.core.ledger import CASH, INSTRUMENTS, TERMS, Fill, Model, divided, instrument_of, rounded, row_of, units
from tests.oms.core.test_positions_kinds import BASES, FILLS, KINDS, Book

INDEX_PRICES = hs.one_of(hs.integers(1, 10**13), hs.integers(5_900_000_000_000, 6_100_000_000_000))
"""1e-8 of the quote currency."""
EXPIRING = pytest.mark.parametrize("name", ["linear_future", "inverse_future", "call", "coin_put"])


def settled_for(instrument: Instrument, price: Decimal, lots: int) -> Decimal:
    """What ``lots`` are settled for at ``price``, exactly, in the settlement currency."""
    size = lots * Decimal(instrument.lot) * Decimal(instrument.multiplier)
    if not instrument.strike:
        return divided(size, price) if instrument.inverse else size * price
    strike = Decimal(instrument.strike)
    paid = max(price - strike if instrument.option_kind == "call" else strike - price, Decimal(0))
    return divided(size * paid, price) if instrument.settlement == instrument.base else size * paid


@pytest.mark.pure
@EXPIRING
@BASES
@given(fills=FILLS, price=INDEX_PRICES, fee=hs.integers(0, 10**9))
def test_at_expiry_the_position_is_closed_at_what_it_is_worth(
    name: str, cost_basis: CostBasis, fills: list[Fill], price: int, fee: int
) -> None:
    instrument = INSTRUMENTS[name]
    book = Book(instrument, cost_basis)
    for trade in fills:
        book.fill(trade)
    model, position = book.model, book.position
    lots = model.lots
    value = rounded(settled_for(instrument, price * CASH, abs(lots)))
    received = value.copy_sign(lots) * (-1 if model.inverse else 1)
    realized = received - rounded(model.to_currency(model.cost))
    if lots == 0:
        received = realized = Decimal(0)
    assume(contract_fits(book.row, price, abs(lots)))
    assert settle(book.s, position, book.row, price, fee) == units(realized)
    assert position["realized_pnl"] == units(model.realized + realized)
    assert position["cash"] == units(model.cash + received)
    assert position["fees"] == units(model.fees) + fee
    assert (position["qty"], position["open_cost"], position["first_lot"], position["last_lot"]) == (0, 0, 0, 0)
    assert position["bought_qty"] == position["sold_qty"]
    if book.row["cash_denominator"] == 1:
        assert position["realized_pnl"] == position["cash"]


@pytest.mark.parametrize(
    ("name", "price", "value"),
    [
        ("call", "59999.99", "0"),
        ("call", "60000", "0"),
        ("call", "61234.56", "12.3456"),
        ("coin_put", "60001", "0"),
        ("coin_put", "50000", "0.02"),
        ("coin_put", "30000", "0.1"),
    ],
)
def test_an_option_is_worth_what_exercising_it_brings(name: str, price: str, value: str) -> None:
    """0.01 of a call that pays in the quote currency; 0.1 of a put that pays in the base currency."""
    assert settlement_value(row_of(INSTRUMENTS[name]), units(Decimal(price)), 1) == units(Decimal(value))


@pytest.mark.pure
@KINDS
@given(price=hs.one_of(INDEX_PRICES, hs.integers(1, 2**62)), lots=hs.integers(1, 2**31 - 1))
def test_a_contract_that_is_said_to_fit_is_valued_exactly(name: str, price: int, lots: int) -> None:
    instrument, row = INSTRUMENTS[name], row_of(INSTRUMENTS[name])
    if not contract_fits(row, price, lots):
        return
    size = lots * Decimal(instrument.lot) * Decimal(instrument.multiplier)
    coin = bool(instrument.strike) and instrument.settlement == instrument.base
    exact = size if coin else Model(instrument).value(price * CASH, lots * Decimal(instrument.lot))
    assert contract_value(row, price, lots) == units(rounded(exact))
    if instrument.strike:
        assert settlement_value(row, price, lots) == units(rounded(settled_for(instrument, price * CASH, lots)))


@pytest.mark.parametrize("name", list(TERMS))
def test_ordinary_contracts_fit(name: str) -> None:
    assert contract_fits(row_of(INSTRUMENTS[name]), 6_000_000_000_000, 100_000)
    assert not contract_fits(row_of(INSTRUMENTS[name]), 0, 1)


def test_a_price_in_half_ticks_is_a_price_in_the_quote_currency() -> None:
    assert quote_price(row_of(instrument_of("linear", tick="0.1")), 1_200_001) == 6_000_005_000_000
    assert quote_price(row_of(instrument_of("linear", tick="0.00000001")), 3) == 2
