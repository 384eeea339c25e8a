"""Margin tiers: what a position must put up, by its notional."""

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
