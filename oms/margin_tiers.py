"""Margin tiers: what a position must put up, by its notional; and the rates of what is put up for a short option."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import msgspec
import numpy as np
import numpy.typing as npt

from oms.decimals import parse_decimal, rate
from oms.definition_rows import MAX_TIERS, TIER
from oms.records import CASH_SCALE


class MarginTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a position must put up from a notional on; decimal text."""

    notional: str
    """The tier begins here, in the settlement currency; the first begins at 0."""
    initial_rate: str
    maintenance_rate: str


class OptionMargin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a short option must put up, of its underlying's value; decimal text. Deribit's where not given."""

    initial_rate: str = "0.15"
    """Less what it is out of the money."""
    least_rate: str = "0.1"
    """At least this, however far it is out of the money."""
    maintenance_rate: str = "0.075"


def option_rates(symbol: str, margin: OptionMargin) -> dict[str, int]:
    """The rates in 1e-8, by the field of ``INSTRUMENT`` that holds each.

    Raises
    ------
    ValueError
        When one is not above 0 and at most 1, or the least initial rate is above the initial one.
    """
    rates = {
        f"option_{what}": rate(f"{symbol}'s option margin: {what}", getattr(margin, what))
        for what in margin.__struct_fields__
    }
    if not 0 < rates["option_least_rate"] <= rates["option_initial_rate"] <= CASH_SCALE:
        raise ValueError(
            f"{symbol}'s option margin has rates {margin.initial_rate} and {margin.least_rate}: "
            "0 < least_rate <= initial_rate <= 1"
        )
    if not 0 < rates["option_maintenance_rate"] <= CASH_SCALE:
        raise ValueError(f"{symbol}'s option margin has maintenance_rate {margin.maintenance_rate}: above 0, at most 1")
    return rates


def check_tiers(symbol: str, tiers: tuple[MarginTier, ...]) -> None:
    """Raise ``ValueError`` unless the first tier begins at 0, each next one higher, and no rate falls."""
    if len(tiers) > MAX_TIERS:
        raise ValueError(f"{symbol} has {len(tiers)} margin tiers: at most {MAX_TIERS}")
    before = (Decimal(-1), Decimal(0), Decimal(0))
    for number, tier in enumerate(tiers, start=1):
        name = f"{symbol}'s margin tier {number}"
        floor, initial, maintenance = (
            parse_decimal(f"{name}: {what}", getattr(tier, what)) for what in tier.__struct_fields__
        )
        if (number == 1) != (floor == 0) or floor <= before[0]:
            raise ValueError(f"{name} begins at {tier.notional}: the first begins at 0, each next one higher")
        if not 0 < maintenance <= initial <= 1 or maintenance == 1:
            raise ValueError(
                f"{name} has rates {tier.initial_rate} and {tier.maintenance_rate}: 0 < maintenance <= initial <= 1"
            )
        if initial < before[1] or maintenance < before[2]:
            raise ValueError(f"{name} has a lower rate than the tier before it")
        before = (floor, initial, maintenance)


def tier_rows(symbol: str, tiers: tuple[MarginTier, ...], max_leverage: Decimal) -> npt.NDArray[np.void]:
    """The tiers as ``TIER`` rows; without any, one of 1 / max_leverage with half of it as maintenance.

    A deduction that is no whole unit of cash is rounded down, so that margin is rounded up.
    """
    if not tiers:
        initial = math.ceil(CASH_SCALE / Fraction(max_leverage))
        return np.array([(0, initial, (initial + 1) // 2, 0)], TIER)
    rows = np.zeros(len(tiers), TIER)
    deduction = Fraction(0)
    rate_before = 0
    for number, (row, tier) in enumerate(zip(rows, tiers, strict=True), start=1):
        floor_value, initial_rate, maintenance_rate = (
            rate(f"{symbol}'s margin tier {number}: {what}", getattr(tier, what)) for what in tier.__struct_fields__
        )
        deduction += Fraction(floor_value * (maintenance_rate - rate_before), CASH_SCALE)
        rate_before = maintenance_rate
        row["floor_value"] = floor_value
        row["initial_rate"] = initial_rate
        row["maintenance_rate"] = maintenance_rate
        row["maintenance_deduction"] = math.floor(deduction)
    return rows
