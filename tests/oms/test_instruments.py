"""Instruments: decimal text to integers and back, exactly, and what is refused at that border."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.decimals import GridError, cash_text, parse_decimal, rate
from oms.instrument_kinds import KINDS, REQUIRED, InstrumentKind
from oms.instruments import MAX_VALUE, Instrument, underlying_of
from oms.margin_tiers import MarginTier, OptionMargin
from oms.records import CASH_SCALE, Reason
from tests.docs.pages import ROOT, blocks


def instrument(**fields: Any) -> Instrument:
    terms: dict[str, Any] = {"kind": "linear_perpetual", "tick": "0.1", "lot": "0.001", **fields}
    return Instrument(id=0, symbol="BTCUSDT", venue="binance_usdm", **terms)


def tier(notional: str, initial_rate: str, maintenance_rate: str) -> MarginTier:
    return MarginTier(notional=notional, initial_rate=initial_rate, maintenance_rate=maintenance_rate)


INVERSE = {"kind": "inverse_perpetual", "base": "BTC", "quote": "USD", "lot": "1", "multiplier": "100"}
FUTURE = {"kind": "linear_future", "base": "BTC", "quote": "USDT", "expiry": "2026-12-25T08:00:00Z"}
OPTION = {**FUTURE, "kind": "option", "strike": "60000.5", "option_kind": "put", "underlying": "BTCUSDT.binance_usdm"}
TIERS = (tier("0", "0.008", "0.004"), tier("50000", "0.01", "0.005"), tier("600000.5", "0.02", "0.01000001"))

STEPS = hs.sampled_from(
    ("1", "0.1", "0.01", "0.5", "0.25", "0.00000001", "100", "0.000000000001", "2.5", "1e-8", "1E+2")
)


@given(STEPS, hs.integers(-MAX_VALUE, MAX_VALUE))
def test_integers_come_back_exactly_from_their_text(step: str, number: int) -> None:
    grid = instrument(tick=step, lot=step)
    assert grid.px_to_ticks(grid.px_from_ticks(number)) == number
    assert grid.qty_to_lots(grid.qty_from_lots(number)) == number
    assert grid.px_from_ticks(number) == format(Context(prec=60).multiply(Decimal(number), Decimal(step)), "f")


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
        ({"kind": "swap"}, "kind 'swap': zoms trades spot, linear_perpetual, inverse_perpetual"),
        ({"kind": "spot"}, 'spot BTCUSDT needs base, such as base = "BTC"'),
        ({"kind": "spot", "base": "BTC"}, "spot BTCUSDT needs quote"),
        ({"kind": "spot", "base": "BTC", "quote": "USDT", "settlement": "BTC"}, "settles in USDT, not in BTC"),
        ({"kind": "spot", "base": "BTC", "quote": "BTC"}, "base and quote are both BTC"),
        ({"kind": "spot", "base": "BTC", "quote": "USDT", "multiplier": "10"}, "has multiplier 10"),
        ({"kind": "spot", "base": "BTC", "quote": "USDT", "max_leverage": "3"}, "is spot and has no leverage"),
        ({"kind": "spot", "base": "B-C", "quote": "USDT"}, "base 'B-C' is no currency code"),
        ({"kind": "inverse_perpetual"}, "inverse_perpetual BTCUSDT needs base"),
        ({**INVERSE, "settlement": "USD"}, "inverse_perpetual BTCUSDT settles in BTC, not in USD"),
        ({"kind": "quanto_perpetual", "base": "ETH", "quote": "USD"}, "needs settlement"),
        ({"kind": "quanto_perpetual", "base": "ETH", "quote": "USD", "settlement": "ETH"}, "is inverse or linear"),
        ({**FUTURE, "expiry": ""}, 'linear_future BTCUSDT needs expiry, such as expiry = "2026-12-25'),
        ({**FUTURE, "expiry": "Christmas"}, "expiry 'Christmas' is no time: write it like"),
        ({**FUTURE, "expiry": "2026-12-25T08:00:00"}, "is not in UTC"),
        ({**FUTURE, "expiry": "2026-12-25T08:00:00+01:00"}, "is not in UTC"),
        ({**FUTURE, "strike": "1"}, "is linear_future and has no strike: leave it out"),
        ({"expiry": "2026-12-25T08:00:00Z"}, "is linear_perpetual and has no expiry"),
        ({**OPTION, "underlying": ""}, "option BTCUSDT needs underlying"),
        ({**OPTION, "strike": "0"}, "strike 0 must be above zero"),
        ({**OPTION, "option_kind": "Call"}, "option_kind 'Call' is neither call nor put"),
        ({**OPTION, "settlement": "USDC"}, "settles in USDT or BTC, not in USDC"),
        ({**OPTION, "margin_tiers": TIERS}, "is option and has no margin_tiers"),
        ({"option_margin": OptionMargin()}, "is linear_perpetual and has no option_margin"),
        ({**OPTION, "option_margin": OptionMargin(least_rate="0.2")}, "has rates 0.15 and 0.2: 0 < least_rate"),
        ({**OPTION, "option_margin": OptionMargin(least_rate="0")}, "has rates 0.15 and 0: 0 < least_rate"),
        ({**OPTION, "option_margin": OptionMargin(initial_rate="1.1")}, "has rates 1.1 and 0.1: 0 < least_rate"),
        ({**OPTION, "option_margin": OptionMargin(maintenance_rate="2")}, "maintenance_rate 2: above 0, at most 1"),
        ({"version": 0}, "version 0 must be 1 to 65535"),
        ({"version": 65536}, "version 65536 must be 1 to 65535"),
        ({"max_leverage": "0.5"}, "max_leverage 0.5 must be at least 1"),
        ({"margin_tiers": TIERS[1:]}, "margin tier 1 begins at 50000"),
        ({"margin_tiers": (TIERS[0], TIERS[0])}, "margin tier 2 begins at 0"),
        ({"margin_tiers": (tier("0", "0.01", "0.02"),)}, "margin tier 1 has rates 0.01 and 0.02"),
        ({"margin_tiers": (tier("0", "1", "1"),)}, "margin tier 1 has rates 1 and 1"),
        ({"margin_tiers": (TIERS[1], tier("60000", "0.01", "0.005"))}, "margin tier 1 begins at 50000"),
        ({"margin_tiers": (TIERS[0], tier("60000", "0.007", "0.003"))}, "margin tier 2 has a lower rate"),
        ({"margin_tiers": TIERS * 3}, "has 9 margin tiers: at most 8"),
    ],
)
def test_definition_that_cannot_be_traded_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        instrument(**fields)


@pytest.mark.parametrize(
    ("fields", "settlement", "quote"),
    [
        ({}, "USDT", "USDT"),
        ({"settlement": "USDC"}, "USDC", "USDC"),
        ({"base": "BTC", "quote": "USDC"}, "USDC", "USDC"),
        ({"kind": "spot", "base": "ETH", "quote": "BTC"}, "BTC", "BTC"),
        (INVERSE, "BTC", "USD"),
        ({"kind": "quanto_perpetual", "base": "ETH", "quote": "USD", "settlement": "BTC"}, "BTC", "USD"),
        (OPTION, "USDT", "USDT"),
        ({**OPTION, "settlement": "BTC"}, "BTC", "USDT"),
    ],
)
def test_settlement_is_given_or_follows_from_the_kind(fields: dict[str, Any], settlement: str, quote: str) -> None:
    made = instrument(**fields)
    assert (made.settlement, made.quote) == (settlement, quote)
    assert msgspec.convert(msgspec.to_builtins(made), Instrument) == made


def test_inverse_row_holds_the_cash_of_a_lot_at_one_tick() -> None:
    row = instrument(**INVERSE).row()[0]
    assert (row["inverse"], row["cash_numerator"], row["cash_denominator"]) == (1, 1, 1)
    assert (row["inverse_numerator"], row["inverse_denominator"]) == (100 * 10 * CASH_SCALE, 1)


def test_option_row_holds_its_terms() -> None:
    row = instrument(**OPTION, version=7).row()[0]
    assert (row["version"], row["kind"], row["option_kind"]) == (7, InstrumentKind.OPTION, -1)
    assert row["strike"] == 6_000_050_000_000
    assert row["expiry_ts"] == 1_798_185_600 * 10**9
    assert (row["coin_settled"], row["tier_count"], row["underlying"], row["settle_wallet"]) == (0, 0, -1, -1)
    assert instrument(**OPTION, settlement="BTC").row()[0]["coin_settled"] == 1


def test_lot_tick_and_size_are_exact_ratios() -> None:
    row = instrument(tick="0.25", lot="0.003", multiplier="0.01").row()[0]
    ratios = {name: (row[f"{name}_numerator"], row[f"{name}_denominator"]) for name in ("tick", "base", "size")}
    assert ratios == {"tick": (25_000_000, 1), "base": (300_000, 1), "size": (3, 100_000)}


def test_maintenance_is_the_same_where_two_tiers_meet() -> None:
    row = instrument(margin_tiers=TIERS).row()[0]
    assert row["tier_count"] == 3
    for below, above in zip(row["tiers"][:2], row["tiers"][1:3], strict=True):
        floor = int(above["floor_value"])
        margins = [
            Fraction(floor * int(each["maintenance_rate"]), CASH_SCALE) - int(each["maintenance_deduction"])
            for each in (below, above)
        ]
        assert abs(margins[0] - margins[1]) < 1


@pytest.mark.parametrize(("leverage", "rates"), [("1", (10**8, 5 * 10**7)), ("3", (33_333_334, 16_666_667))])
def test_without_tiers_the_largest_leverage_makes_one(leverage: str, rates: tuple[int, int]) -> None:
    row = instrument(max_leverage=leverage).row()[0]
    assert row["tier_count"] == 1
    assert row["tiers"][0].tolist() == (0, *rates, 0)


def test_underlying_is_found_by_symbol_or_symbol_and_venue() -> None:
    perpetual = instrument()
    option = instrument(**OPTION)
    elsewhere = msgspec.structs.replace(perpetual, id=1, venue="elsewhere")
    assert underlying_of(perpetual, (perpetual,)) is None
    assert underlying_of(option, (elsewhere, perpetual)) is perpetual
    with pytest.raises(ValueError, match=r"underlying BTCUSDT\.binance_usdm is not defined"):
        underlying_of(option, (elsewhere,))
    with pytest.raises(ValueError, match="is at several venues"):
        underlying_of(msgspec.structs.replace(option, underlying="BTCUSDT"), (elsewhere, perpetual))


def shown_on_the_page() -> list[dict[str, Any]]:
    """The instruments of ``docs/instruments.md``, as its settings give them."""
    return [
        table
        for text in blocks(ROOT / "docs" / "instruments.md", "toml")
        for table in tomllib.loads(text)["instruments"]
    ]


def test_the_page_shows_every_kind_with_all_that_it_needs() -> None:
    shown = shown_on_the_page()
    assert {table["kind"] for table in shown} == set(KINDS)
    for table in shown:
        assert set(REQUIRED[table["kind"]]) <= set(table)
        assert msgspec.convert(table, Instrument).row()["defined"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_says_what_a_kind_needs_and_without_it_the_kind_is_refused(kind: str) -> None:
    (line,) = (
        line for line in (ROOT / "docs" / "instruments.md").read_text().splitlines() if line.startswith(f"| `{kind}`")
    )
    needs = re.findall(r"`(\w+)`", line.split("|")[-2])
    assert tuple(needs) == REQUIRED[kind]
    table = next(table for table in shown_on_the_page() if table["kind"] == kind)
    for what in needs:
        with pytest.raises(msgspec.ValidationError, match=f"needs {what}, such as {what} = "):
            msgspec.convert({name: value for name, value in table.items() if name != what}, Instrument)


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
