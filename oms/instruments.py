"""Instruments: tick, lot, multiplier, fees and the venue's limits, and the exact way from decimal text to integers.

Outside the hot path an instrument is an ``Instrument``; inside it is one row of ``INSTRUMENT``. Decimal strings become
integers here, exactly, and a value off the grid is refused.
"""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation
from enum import IntEnum
from fractions import Fraction
from functools import cached_property
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from oms.records import CASH_SCALE, Reason

MAX_VALUE: Final = 2**62
MAX_EXPONENT: Final = 40
"""Decimal numbers of more digits, before or after the point, are refused: no text costs more than its length."""

_EXACT: Final = Context(prec=4 * MAX_EXPONENT)


class InstrumentKind(IntEnum):
    SPOT = 1
    LINEAR_PERPETUAL = 2
    INVERSE_PERPETUAL = 3


SUPPORTED_KINDS: Final = tuple(kind.name.lower() for kind in (InstrumentKind.SPOT, InstrumentKind.LINEAR_PERPETUAL))

INSTRUMENT = np.dtype(
    [
        ("defined", "i8"),  # 0: the row is empty, its id unknown
        ("kind", "i8"),  # InstrumentKind
        ("cash_numerator", "i8"),  # cash of one tick-lot is numerator / denominator
        ("cash_denominator", "i8"),
        ("min_qty", "i8"),
        ("max_qty", "i8"),
        ("min_notional", "i8"),  # cash
        ("maker_fee_rate", "i8"),  # 1e-8 of the notional; negative is a rebate
        ("taker_fee_rate", "i8"),
    ]
)
"""One row of the core's instrument table."""


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


def _scaled(what: str, text: str, subject: str) -> int:
    """A decimal number in 1e-8; raises ``GridError`` when it has more than eight decimals."""
    scaled = Fraction(parse_decimal(what, text)) * CASH_SCALE
    if scaled.denominator != 1:
        raise GridError(f"{subject} {text} has more than eight decimals", Reason.MALFORMED)
    return scaled.numerator


def rate(what: str, text: str) -> int:
    """A rate such as ``0.0002`` as an integer in 1e-8.

    Raises
    ------
    GridError
        When it has more than eight decimals.
    """
    return _scaled(what, text, what)


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """One tradable instrument as settings and messages see it; numbers are decimal strings and stay exact."""

    id: int
    symbol: str
    venue: str
    kind: str
    """An InstrumentKind's name in lower case, such as ``linear_perpetual``."""
    tick: str
    lot: str
    multiplier: str = "1"
    settlement: str = "USDT"
    maker_fee_rate: str = "0.0002"
    taker_fee_rate: str = "0.0005"
    min_qty: str = "0"
    max_qty: str = "0"
    """0: the venue states none."""
    min_notional: str = "0"

    def __post_init__(self) -> None:
        if self.kind not in SUPPORTED_KINDS:
            raise ValueError(
                f"instrument {self.symbol} has kind {self.kind!r}: zoms trades {' and '.join(SUPPORTED_KINDS)} so far"
            )
        for what in ("tick", "lot", "multiplier"):
            if parse_decimal(f"{self.symbol}'s {what}", getattr(self, what)) <= 0:
                raise ValueError(f"{self.symbol}'s {what} {getattr(self, what)} must be above zero")

    @cached_property
    def _tick(self) -> Decimal:
        return Decimal(self.tick)

    @cached_property
    def _lot(self) -> Decimal:
        return Decimal(self.lot)

    @cached_property
    def cash_per_tick_lot(self) -> Fraction:
        """Cash (1e-8 of the settlement currency) that one lot gains when the price rises by one tick."""
        return Fraction(self._tick) * Fraction(self._lot) * Fraction(Decimal(self.multiplier)) * CASH_SCALE

    def px_to_ticks(self, text: str, what: str = "price") -> int:
        """A decimal price as ticks, exactly; raises ``GridError`` when it is not on the grid."""
        return self._to_grid(
            text, self._tick, f"{what} {text} is not on {self.symbol}'s tick {self.tick}", Reason.BAD_PRICE, what
        )

    def qty_to_lots(self, text: str, what: str = "quantity") -> int:
        """A decimal quantity as lots, exactly; raises ``GridError`` when it is not on the grid."""
        return self._to_grid(
            text, self._lot, f"{what} {text} is not on {self.symbol}'s lot {self.lot}", Reason.QTY_BELOW_MIN, what
        )

    def _to_grid(self, text: str, step: Decimal, off_grid: str, reason: Reason, what: str) -> int:
        steps = Fraction(parse_decimal(what, text)) / Fraction(step)
        if steps.denominator != 1:
            raise GridError(off_grid, reason)
        if abs(steps.numerator) > MAX_VALUE:
            raise GridError(f"{what} {text} of {self.symbol} is too large", Reason.OVERFLOW)
        return steps.numerator

    def px_from_ticks(self, ticks: float) -> str:
        """Ticks as a decimal price; exact for integers, and for the half ticks of a mid price."""
        return format(_EXACT.multiply(Decimal(ticks if isinstance(ticks, float) else int(ticks)), self._tick), "f")

    def qty_from_lots(self, lots: int) -> str:
        """Lots as a decimal quantity, exactly."""
        return format(_EXACT.multiply(Decimal(int(lots)), self._lot), "f")

    def amount_to_cash(self, text: str, what: str) -> int:
        """A decimal amount of the settlement currency in cash units; raises ``GridError`` below 1e-8."""
        return _scaled(what, text, f"{self.symbol}'s {what}")

    def row(self) -> npt.NDArray[np.void]:
        """This instrument as a one-row ``INSTRUMENT`` array."""
        row = np.zeros(1, INSTRUMENT)
        cash = self.cash_per_tick_lot
        row["defined"] = 1
        row["kind"] = InstrumentKind[self.kind.upper()]
        row["cash_numerator"] = cash.numerator
        row["cash_denominator"] = cash.denominator
        row["min_qty"] = max(self.qty_to_lots(self.min_qty, "min_qty"), 1)
        row["max_qty"] = self.qty_to_lots(self.max_qty, "max_qty") or MAX_VALUE
        row["min_notional"] = self.amount_to_cash(self.min_notional, "min_notional")
        row["maker_fee_rate"] = rate(f"{self.symbol}'s maker fee rate", self.maker_fee_rate)
        row["taker_fee_rate"] = rate(f"{self.symbol}'s taker fee rate", self.taker_fee_rate)
        return row


def cash_text(cash: int) -> str:
    """Cash as decimal text with its eight decimals trimmed of trailing zeros: 4035883940000 is ``40358.8394``."""
    return format((Decimal(int(cash)) / CASH_SCALE).normalize(), "f")
