"""What a request asks for: its parameters, read strictly, each refusal the exchange's own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, TypeVar

import msgspec

from gateways.sandbox.okx.contract import Contract
from gateways.sandbox.okx.errors import ApiError, Error
from oms.decimals import GridError, parse_decimal

Choice = TypeVar("Choice")

CLIENT_ID: Final = re.compile(r"[A-Za-z0-9]{1,32}")
PRICE_LIMIT: Final = Fraction(5, 100)
"""How far a limit price may be beyond the mark price; the exchange's own rule moves with the contract's premium."""


class Parameters:
    """One set of parameters by name: a query's, or an object of a body."""

    def __init__(self, given: Mapping[str, Any], contract: Contract) -> None:
        self._given = {name: _text(value) for name, value in given.items()}
        self._contract = contract

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

    def instrument(self, *, optional: bool = False) -> str:
        """``instId``, which must be the sandbox's; empty where it may be left out and is."""
        if optional and "instId" not in self:
            return ""
        inst_id = self.text("instId")
        if inst_id != self._contract.inst_id:
            raise ApiError(Error.BAD_INSTRUMENT)
        return inst_id

    def is_of_type(self) -> bool:
        """Whether ``instType``, ``instId`` and ``uly``, where they are given, include the sandbox's instrument."""
        return (
            self.get("instType", self._contract.inst_type) in (self._contract.inst_type, "ANY")
            and self.get("instId", self._contract.inst_id) == self._contract.inst_id
            and self.get("instFamily", self.get("uly", self._contract.family)) == self._contract.family
        )

    def choice(self, name: str, choices: Mapping[str, Choice], default: Choice | None = None) -> Choice:
        """One of the words that the exchange knows."""
        if default is not None and name not in self:
            return default
        try:
            return choices[self.text(name)]
        except KeyError:
            raise ApiError(Error.BAD_PARAMETER, name) from None

    def flag(self, name: str) -> bool:
        """``true`` or ``false``, which is what a missing one is."""
        return self.choice(name, {"true": True, "false": False}, default=False)

    def whole(self, name: str, default: int | None = None, most: int = 2**63 - 1) -> int:
        """A whole number from 0 to ``most``."""
        if default is not None and name not in self:
            return default
        text = self.text(name)
        if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > most:
            raise ApiError(Error.BAD_PARAMETER, name)
        return int(text)

    def limit(self, most: int = 100) -> int:
        """How many rows are asked for."""
        return self.whole("limit", most, most)

    def client_id(self, name: str = "clOrdId") -> str:
        """A client's own order id; empty where there is none."""
        text = self.get(name)
        if text and not CLIENT_ID.fullmatch(text):
            raise ApiError(Error.BAD_PARAMETER, name)
        return text

    def px(self, name: str = "px") -> int:
        """A price in ticks."""
        ticks = self._decimal(name) / Decimal(self._contract.instrument.tick)
        if ticks <= 0 or ticks != int(ticks):
            raise ApiError(Error.BAD_PARAMETER, name)
        return int(ticks)

    def sz(self, name: str = "sz", *, at_market: bool = False) -> int:
        """A quantity in lots."""
        instrument = self._contract.instrument
        value = self._decimal(name)
        if value < max(Decimal(instrument.min_qty), Decimal(instrument.lot)):
            raise ApiError(Error.QTY_BELOW_MIN)
        most = self._contract.max_market_sz if at_market else Decimal(instrument.max_qty)
        if most and value > most:
            raise ApiError(Error.QTY_ABOVE_MAX, f"{most.normalize():f}")
        lots = value / Decimal(instrument.lot)
        if lots != int(lots):
            raise ApiError(Error.OFF_LOT)
        return int(lots)

    def _decimal(self, name: str) -> Decimal:
        try:
            return parse_decimal(name, self.text(name))
        except GridError:
            raise ApiError(Error.BAD_PARAMETER, name) from None


def check_price(contract: Contract, side: int, px: int, mark_px: Fraction) -> None:
    """A buy must not be too far above the mark price, a sell not too far below ("Get limit price")."""
    most, least = (mark_px * (1 + sign * PRICE_LIMIT) for sign in (1, -1))
    if mark_px and side * (px - (most if side > 0 else least)) > 0:
        raise ApiError(Error.PRICE_LIMIT, contract.px(int(most)), contract.px(int(least)))


def rows_of(body: str) -> list[dict[str, Any]]:
    """The objects of a body: one, or a list of them.

    Raises
    ------
    ApiError
        When it is none of the two.
    """
    if not body:
        raise ApiError(Error.BODY_EMPTY)
    try:
        content = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise ApiError(Error.BAD_JSON) from None
    rows = content if isinstance(content, list) else [content]
    if not all(isinstance(row, dict) for row in rows):
        raise ApiError(Error.BAD_JSON)
    return rows


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
