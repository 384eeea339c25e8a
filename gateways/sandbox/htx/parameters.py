"""What a request asks for: its parameters, read strictly, each refusal the exchange's own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeVar

import msgspec

from gateways.sandbox.htx.errors import ApiError, Error
from oms.decimals import GridError, parse_decimal
from oms.instruments import Instrument

Choice = TypeVar("Choice")

MOST_ID: Final = 2**63 - 1
PRICE_LIMIT: Final = Fraction(5, 100)
"""How far a limit price may be beyond the mark price ("Query price limitation"; the exchange's own moves)."""


class Parameters:
    """One set of parameters by name: a query's, or an object of a body."""

    def __init__(self, given: Mapping[str, Any], instrument: Instrument) -> None:
        self.given = given
        self._instrument = instrument

    def __contains__(self, name: str) -> bool:
        return self.given.get(name) not in (None, "")

    def text(self, name: str) -> str:
        """A parameter that must be there; a number is taken for what it is written as."""
        if name not in self:
            raise ApiError(Error.MISSING_PARAMETER, name)
        return str(self.given[name])

    def get(self, name: str, default: str = "") -> str:
        """A parameter that may be there."""
        return str(self.given[name]) if name in self else default

    def contract(self, *, optional: bool = False) -> str:
        """``contract_code``, which must be the sandbox's; empty where it may be left out and is."""
        if optional and "contract_code" not in self:
            return ""
        code = self.text("contract_code").upper()
        if code != self._instrument.symbol:
            raise ApiError(Error.NO_CONTRACT)
        return code

    def choice(self, name: str, choices: Mapping[str, Choice], default: Choice | None = None) -> Choice:
        """One of the words that the exchange knows."""
        if default is not None and name not in self:
            return default
        try:
            return choices[self.text(name).lower()]
        except KeyError:
            raise ApiError(Error.BAD_PARAMETER, name) from None

    def whole(self, name: str, default: int | None = None, most: int = MOST_ID, least: int = 0) -> int:
        """A whole number."""
        if default is not None and name not in self:
            return default
        text = self.text(name)
        if not (text.isascii() and text.isdigit()) or len(text) > 19 or not least <= int(text) <= most:
            raise ApiError(Error.BAD_PARAMETER, name)
        return int(text)

    def limit(self) -> int:
        """How many rows are asked for."""
        return self.whole("limit", 10, 100, least=1)

    def client_id(self, name: str = "client_order_id") -> str:
        """A client's own order id, which is a whole number from 1 on; empty where there is none."""
        return str(self.whole(name, least=1)) if name in self else ""

    def px(self, name: str = "price") -> int:
        """A price in ticks."""
        ticks = self._decimal(name) / Decimal(self._instrument.tick)
        if ticks <= 0:
            raise ApiError(Error.BAD_PARAMETER, name)
        if ticks != int(ticks):
            raise ApiError(Error.PRICE_PRECISION)
        return int(ticks)

    def volume(self) -> int:
        """A quantity in lots, from contracts."""
        lots = self._decimal("volume") / Decimal(self._instrument.lot)
        if lots <= 0 or lots != int(lots):
            raise ApiError(Error.BAD_AMOUNT)
        most = Decimal(self._instrument.max_qty)
        if most and lots * Decimal(self._instrument.lot) > most:
            raise ApiError(Error.QTY_ABOVE_MAX, f"{most.normalize():f}")
        return int(lots)

    def _decimal(self, name: str) -> Decimal:
        try:
            return parse_decimal(name, self.text(name))
        except GridError:
            raise ApiError(Error.BAD_PARAMETER, name) from None


def check_price(instrument: Instrument, side: int, px: int, mark_px: Fraction) -> None:
    """A buy must not be too far above the mark price, a sell not too far below."""
    most, least = (mark_px * (1 + sign * PRICE_LIMIT) for sign in (1, -1))
    if mark_px and side * (px - (most if side > 0 else least)) > 0:
        raise ApiError(Error.PRICE_LIMIT, instrument.px_from_ticks(int(most)), instrument.px_from_ticks(int(least)))


def content_of(body: str) -> Any:
    """The JSON of a body."""
    try:
        return msgspec.json.decode(body or "{}")
    except msgspec.DecodeError:
        raise ApiError(Error.BAD_JSON) from None
