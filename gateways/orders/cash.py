"""Amounts of cash as exchanges write them, in the core's."""

from __future__ import annotations

from fractions import Fraction

from oms.decimals import parse_decimal
from oms.records import CASH_SCALE


def cash_of(text: str | None, what: str) -> int:
    """An amount in 1e-8, rounded half to even, as exchanges have more decimals than the core; without text it is 0.

    Raises
    ------
    ConfigError
        When it is no number; ``what`` names it.
    """
    return round(Fraction(parse_decimal(what, text or "0")) * CASH_SCALE)
