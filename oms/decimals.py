"""Decimal text to exact integers in 1e-8 and back: no text is too long to be refused at once, nothing is rounded."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

from oms.records import CASH_SCALE, Reason

MAX_EXPONENT: Final = 40
"""Decimal numbers of more digits, before or after the point, are refused: no text costs more than its length."""

_EXACT: Final = Context(prec=4 * MAX_EXPONENT)
_POWERS: Final[tuple[int, ...]] = tuple(10**exponent for exponent in range(MAX_EXPONENT + 1))


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


def is_plain(text: str, most_digits: int = MAX_EXPONENT, most_decimals: int = MAX_EXPONENT) -> bool:
    """Whether ``text`` is digits, or digits, a point and digits, at most so many before it and behind it."""
    whole, point, fraction = text.partition(".")
    return (
        text.isascii()
        and whole.isdigit()
        and len(whole) <= most_digits
        and (fraction.isdigit() if point else True)
        and len(fraction) <= most_decimals
    )


class Grid:
    """The multiples of a decimal step, as whole numbers of it. Integers do the arithmetic, which no digit is lost in.

    Parameters
    ----------
    step : Decimal
        Above zero, with at most ``MAX_EXPONENT`` decimals.
    decimals : int
        With which numbers are written at least; 0: with those of the step.
    """

    def __init__(self, step: Decimal, decimals: int = 0) -> None:
        exponent = step.as_tuple().exponent
        assert isinstance(exponent, int)
        self._decimals = max(-exponent, decimals, 0)
        self._digits = int(step.scaleb(self._decimals, _EXACT))
        self._step = self._digits * _POWERS[MAX_EXPONENT - self._decimals]

    def steps(self, what: str, text: str) -> tuple[int, int]:
        """A decimal text in whole steps, and a rest that is 0 when it is on the grid; raises as ``parse_decimal``."""
        if is_plain(text):
            whole, _, fraction = text.partition(".")
            number = int(whole + fraction) * _POWERS[MAX_EXPONENT - len(fraction)]
        else:
            number = int(parse_decimal(what, text).scaleb(MAX_EXPONENT, _EXACT))
        return divmod(number, self._step)

    def text(self, steps: int) -> str:
        """So many steps as plain decimal text, each with as many decimals."""
        number = steps * self._digits
        if not self._decimals:
            return str(number)
        whole, fraction = divmod(abs(number), _POWERS[self._decimals])
        return f"{'-' if number < 0 else ''}{whole}.{fraction:0{self._decimals}d}"


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
