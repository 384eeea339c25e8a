"""Decimal text to exact integers in 1e-8 and back: no text is too long to be refused at once, nothing is rounded."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from oms.records import CASH_SCALE, Reason

MAX_EXPONENT: Final = 40
"""Decimal numbers of more digits, before or after the point, are refused: no text costs more than its length."""


class GridError(ValueError):
    """A price or a quantity that the instrument's grid does not hold; ``reason`` is its code."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


def parse_decimal(what: str, text: str) -> Decimal:
    """Return ``text`` as an exact, finite Decimal, or raise ``GridError`` naming ``what``.

    It has at most ``MAX_EXPONENT`` digits before the point and after it.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise GridError(f"{what} {text!r} is not a decimal number", Reason.MALFORMED) from None
    if not value.is_finite():
        raise GridError(f"{what} {text!r} is not finite", Reason.MALFORMED)
    if value and value.adjusted() > MAX_EXPONENT:
        raise GridError(f"{what} {_short(text)} is too large", Reason.OVERFLOW)
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_EXPONENT:
        raise GridError(f"{what} {_short(text)} has more than {MAX_EXPONENT} decimals", Reason.MALFORMED)
    return value


def _short(text: str) -> str:
    return text if len(text) <= MAX_EXPONENT else f"{text[:MAX_EXPONENT]}..."


def scaled(what: str, text: str, subject: str) -> int:
    """A decimal number in 1e-8; raises ``GridError``, naming ``subject``, when it has more than eight decimals."""
    number = Fraction(parse_decimal(what, text)) * CASH_SCALE
    if number.denominator != 1:
        raise GridError(f"{subject} {text} has more than eight decimals", Reason.MALFORMED)
    return number.numerator


def rate(what: str, text: str) -> int:
    """A rate such as ``0.0002`` as an integer in 1e-8.

    Raises
    ------
    GridError
        When it has more than eight decimals.
    """
    return scaled(what, text, what)


def cash_text(cash: int) -> str:
    """Cash as decimal text with its eight decimals trimmed of trailing zeros: 4035883940000 is ``40358.8394``."""
    return format((Decimal(int(cash)) / CASH_SCALE).normalize(), "f")
