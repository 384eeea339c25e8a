"""Instruments: decimal text to integers and back, exactly, and what is refused at that border."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.instruments import MAX_VALUE, GridError, Instrument, InstrumentKind, cash_text, parse_decimal, rate
from oms.records import CASH_SCALE, Reason


def instrument(**fields: str) -> Instrument:
    terms = {"kind": "linear_perpetual", "tick": "0.1", "lot": "0.001", **fields}
    return Instrument(id=0, symbol="BTCUSDT", venue="binance_usdm", **terms)


STEPS = hs.sampled_from(
    ("1", "0.1", "0.01", "0.5", "0.25", "0.00000001", "100", "0.000000000001", "2.5", "1e-8", "1E+2")
)


@given(STEPS, hs.integers(-MAX_VALUE, MAX_VALUE))
def test_integers_come_back_exactly_from_their_text(step: str, number: int) -> None:
    grid = instrument(tick=step, lot=step)
    assert grid.px_to_ticks(grid.px_from_ticks(number)) == number
    assert grid.qty_to_lots(grid.qty_from_lots(number)) == number


@given(STEPS, hs.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**6), max_value=10**6))
def test_a_price_is_on_the_grid_or_refused(step: str, price: Decimal) -> None:
    grid = instrument(tick=step)
    steps = Fraction(price) / Fraction(step)
    if steps.denominator == 1:
        assert grid.px_to_ticks(str(price)) == steps
    else:
        with pytest.raises(GridError) as caught:
            grid.px_to_ticks(str(price))
        assert caught.value.reason == Reason.BAD_PRICE


def test_no_tenth_gets_lost() -> None:
    grid = instrument()
    assert grid.px_to_ticks("0.1") + grid.px_to_ticks("0.2") == grid.px_to_ticks("0.3")
    assert grid.px_to_ticks("61800.1") == 618_001


def test_half_ticks_of_a_mid_price_are_written_exactly() -> None:
    assert instrument().px_from_ticks(618_001.5) == "61800.15"
    assert instrument(tick="0.25").px_from_ticks(3.5) == "0.875"


def test_numbers_of_a_record_can_be_written() -> None:
    row = np.array([(618_001, -5)], [("px", "i8"), ("qty", "i8")])[0]
    assert instrument().px_from_ticks(row["px"]) == "61800.1"
    assert instrument().qty_from_lots(row["qty"]) == "-0.005"


def test_refusal_says_which_thing_which_value_and_which_grid() -> None:
    with pytest.raises(GridError, match=r"^limit price 61800\.05 is not on BTCUSDT's tick 0\.1$"):
        instrument().px_to_ticks("61800.05", "limit price")
    with pytest.raises(GridError, match=r"^quantity 0\.0005 is not on BTCUSDT's lot 0\.001$"):
        instrument().qty_to_lots("0.0005")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.MALFORMED),
        ("abc", Reason.MALFORMED),
        ("0x10", Reason.MALFORMED),
        ("1,5", Reason.MALFORMED),
        ("nan", Reason.MALFORMED),
        ("sNaN", Reason.MALFORMED),
        ("-Infinity", Reason.MALFORMED),
        ("1e30", Reason.OVERFLOW),
        ("1e300", Reason.OVERFLOW),
        ("1e999999999", Reason.OVERFLOW),
        ("9" * 5_000, Reason.OVERFLOW),
        ("1e-999999999", Reason.MALFORMED),
        ("0." + "0" * 5_000 + "1", Reason.MALFORMED),
        ("0e-999999999", Reason.MALFORMED),
        ("1e-30", Reason.BAD_PRICE),
    ],
)
def test_text_that_is_no_price_is_refused_at_once(text: str, reason: Reason) -> None:
    with pytest.raises(GridError) as caught:
        instrument().px_to_ticks(text)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 200


@given(hs.text(max_size=30))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    with suppress(GridError):
        assert parse_decimal("it", text) == Decimal(text)


def test_largest_value_is_the_largest_that_passes() -> None:
    grid = instrument(tick="1")
    assert grid.px_to_ticks(str(MAX_VALUE)) == MAX_VALUE
    with pytest.raises(GridError, match="is too large"):
        grid.px_to_ticks(str(MAX_VALUE + 1))


@given(hs.integers(-(10**15), 10**15))
def test_rate_is_exact_in_eight_decimals(number: int) -> None:
    assert rate("fee", str(Decimal(number).scaleb(-8))) == number


@pytest.mark.parametrize("text", ["0.000000001", "0.1234567800000000000000000000000000001", "1e-9"])
def test_rate_of_more_than_eight_decimals_is_refused(text: str) -> None:
    with pytest.raises(GridError, match="has more than eight decimals"):
        rate("fee", text)
    with pytest.raises(GridError, match=r"BTCUSDT's min_notional .* has more than eight decimals"):
        instrument().amount_to_cash(text, "min_notional")


def test_row_holds_what_the_core_computes_with() -> None:
    row = instrument(min_qty="0.002", max_qty="1000", min_notional="5", maker_fee_rate="-0.0001").row()[0]
    assert (row["defined"], row["kind"]) == (1, InstrumentKind.LINEAR_PERPETUAL)
    assert (row["min_qty"], row["max_qty"], row["min_notional"]) == (2, 1_000_000, 5 * CASH_SCALE)
    assert (row["maker_fee_rate"], row["taker_fee_rate"]) == (-10_000, 50_000)
    assert (row["cash_numerator"], row["cash_denominator"]) == (10_000, 1)


def test_venue_that_states_no_limits_has_none() -> None:
    row = instrument().row()[0]
    assert (row["min_qty"], row["max_qty"], row["min_notional"]) == (1, MAX_VALUE, 0)


@given(STEPS, hs.sampled_from(("1", "0.001", "0.00000001", "100")), hs.sampled_from(("1", "10", "0.01")))
def test_cash_of_a_tick_lot_is_exact(tick: str, lot: str, multiplier: str) -> None:
    row = instrument(tick=tick, lot=lot, multiplier=multiplier).row()[0]
    expected = Fraction(tick) * Fraction(lot) * Fraction(multiplier) * CASH_SCALE
    assert Fraction(int(row["cash_numerator"]), int(row["cash_denominator"])) == expected


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tick": "0"}, "BTCUSDT's tick 0 must be above zero"),
        ({"lot": "-1"}, "BTCUSDT's lot -1 must be above zero"),
        ({"multiplier": "x"}, "BTCUSDT's multiplier 'x' is not a decimal number"),
        ({"kind": "option"}, "kind 'option': zoms trades spot and linear_perpetual so far"),
        ({"kind": "inverse_perpetual"}, "zoms trades spot and linear_perpetual so far"),
    ],
)
def test_definition_that_cannot_be_traded_is_refused(fields: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        instrument(**fields)


def test_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `tik`"):
        msgspec.convert({"id": 0, "symbol": "X", "venue": "v", "kind": "spot", "tik": "1"}, Instrument)


@pytest.mark.parametrize(
    ("cash", "text"),
    [
        (0, "0"),
        (1, "0.00000001"),
        (4_035_883_940_000, "40358.8394"),
        (-150_000_000, "-1.5"),
        (10**18, "10000000000"),
        (2**63 - 1, "92233720368.54775807"),
    ],
)
def test_cash_is_written_with_no_more_decimals_than_it_has(cash: int, text: str) -> None:
    assert cash_text(cash) == text


@given(hs.integers(-(2**63), 2**63 - 1))
def test_cash_text_is_exact(cash: int) -> None:
    assert Decimal(cash_text(cash)) * CASH_SCALE == cash
