"""What a request asks for: its parameters, read strictly, and the checks that the venue makes of a new order.

The filters are those that exchangeInfo lists (Binance, USDⓈ-M Futures: "Exchange Information", "Common Definition").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Final, TypeVar

from gateways.sandbox.binance.errors import ApiError, Error
from oms.decimals import GridError, parse_decimal
from oms.instruments import Instrument
from oms.records import CASH_SCALE

Choice = TypeVar("Choice")

CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
MAX_PX: Final = Decimal(1_000_000)
PERCENT: Final = Decimal("0.05")
"""PERCENT_PRICE: how far a limit price may be beyond the mark price."""

MAX_ORDERS: Final = 200
MAX_CONDITIONALS: Final = 10


class Parameters:
    """A request's parameters by name; every reading refuses with the venue's own error."""

    def __init__(
        self, given: Mapping[str, str], instrument: Instrument, px_decimals: int, qty_decimals: int | None = None
    ) -> None:
        self._given = given
        self._instrument = instrument
        of_lot = _decimals(Decimal(instrument.lot))
        self._decimals = {"px": px_decimals, "qty": of_lot if qty_decimals is None else qty_decimals}

    def __contains__(self, name: str) -> bool:
        return bool(self._given.get(name))

    def text(self, name: str) -> str:
        """A parameter that must be there."""
        if name not in self:
            raise ApiError(Error.MISSING_PARAMETER, name)
        return self._given[name]

    def get(self, name: str, default: str = "") -> str:
        """A parameter that may be there."""
        return self._given.get(name) or default

    def symbol(self, *, optional: bool = False) -> str:
        """The symbol, which must be the sandbox's; empty where it may be left out and is."""
        if optional and "symbol" not in self:
            return ""
        symbol = self.text("symbol")
        if symbol != self._instrument.symbol:
            raise ApiError(Error.BAD_SYMBOL)
        return symbol

    def choice(self, name: str, choices: Mapping[str, Choice], error: Error) -> Choice:
        """One of the words that the venue knows."""
        try:
            return choices[self.text(name)]
        except KeyError:
            raise ApiError(error) from None

    def flag(self, name: str) -> bool:
        """``true`` or ``false``, which is what a missing one is."""
        text = self.get(name, "false").lower()
        if text not in ("true", "false"):
            raise ApiError(Error.BAD_PARAMETER, name)
        return text == "true"

    def whole(self, name: str, default: int | None = None, most: int = 10**18) -> int:
        """A whole number from 0 to ``most``."""
        if default is not None and name not in self:
            return default
        text = self.text(name)
        if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > most:
            raise ApiError(Error.BAD_PARAMETER, name)
        return int(text)

    def limit(self, default: int, most: int) -> int:
        """How many rows are asked for."""
        return self.whole("limit", default, most)

    def client_id(self, name: str) -> str:
        """A client's own order id; empty where there is none."""
        text = self.get(name)
        if text and not CLIENT_ID.fullmatch(text):
            raise ApiError(Error.BAD_CLIENT_ID)
        return text

    def number(self, name: str) -> Decimal:
        """A decimal number."""
        text = self.text(name)
        try:
            return parse_decimal(name, text)
        except GridError:
            raise ApiError(Error.MISSING_PARAMETER, name) from None

    def px(self, name: str = "price") -> int:
        """A price in ticks: PRICE_FILTER."""
        value = self.number(name)
        if value <= 0:
            raise ApiError(Error.PRICE_NOT_POSITIVE)
        if _decimals(value) > self._decimals["px"]:
            raise ApiError(Error.BAD_PRECISION)
        if value > MAX_PX:
            raise ApiError(Error.PRICE_ABOVE_MAX)
        ticks = value / Decimal(self._instrument.tick)
        if ticks < 1:
            raise ApiError(Error.PRICE_BELOW_MIN)
        if ticks != int(ticks):
            raise ApiError(Error.OFF_TICK)
        return int(ticks)

    def qty(self, name: str = "quantity") -> int:
        """A quantity in lots: LOT_SIZE, and MARKET_LOT_SIZE, which here is the same."""
        value = self.number(name)
        if value <= 0:
            raise ApiError(Error.QTY_NOT_POSITIVE)
        if _decimals(value) > self._decimals["qty"]:
            raise ApiError(Error.BAD_PRECISION)
        most = Decimal(self._instrument.max_qty)
        if most and value > most:
            raise ApiError(Error.QTY_ABOVE_MAX)
        if value < max(Decimal(self._instrument.min_qty), Decimal(self._instrument.lot)):
            raise ApiError(Error.QTY_BELOW_MIN)
        lots = value / Decimal(self._instrument.lot)
        if lots != int(lots):
            raise ApiError(Error.OFF_STEP)
        return int(lots)


def check_percent(instrument: Instrument, side: int, px: int, mark_px: Fraction, decimals: int) -> None:
    """PERCENT_PRICE: a buy must not be too far above the mark price, a sell not too far below."""
    bound = mark_px * (1 + side * Fraction(PERCENT))
    if mark_px and side * (px - bound) > 0:
        shown = f"{float(bound * Fraction(instrument.tick)):.{decimals}f}"
        raise ApiError(Error.ABOVE_CAP if side > 0 else Error.BELOW_FLOOR, shown)


def check_notional(instrument: Instrument, px: Fraction, qty: int) -> None:
    """MIN_NOTIONAL, of which reduce-only orders are free."""
    least = Decimal(instrument.min_notional)
    if px * qty * instrument.cash_per_tick_lot < Fraction(least) * CASH_SCALE:
        raise ApiError(Error.BELOW_NOTIONAL, f"{least:f}")


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(-exponent, 0) if isinstance(exponent, int) else 0
