"""What the decoders of recorded streams share: records of a message, a book's sequence, JSON with exact numbers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from gateways.decoder import Ticks
from gateways.layouts import UNNUMBERED
from oms.decimals import GridError
from oms.instruments import MAX_VALUE, Instrument
from oms.records import CASH_SCALE, TICK, Reason, TickFlag, TickKind

_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


class Ids(NamedTuple):
    """The venue's number of a message of the book, and of the one before it."""

    own: int = UNNUMBERED
    previous: int = UNNUMBERED


class WireError(ValueError):
    """A message that cannot be used; ``reason`` is its code, NONE where it carries no market data of ours."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Level(NamedTuple):
    """One level of a book; price and quantity are decimal text."""

    side: int
    px: str
    qty: str


Refuse = Callable[[Reason, str], None]
"""Told of single levels that are refused in otherwise sound messages."""


class NamedFields(ABC):
    """Turns a venue's messages about one instrument into records, by the names of their fields.

    The book's messages have the venue's numbers, or are ``UNNUMBERED``.
    """

    def __init__(self, instrument: Instrument, refuse: Refuse) -> None:
        self._stream = Stream(instrument, refuse)

    @abstractmethod
    def decode(self, message: bytes, local_ts: int) -> list[Ticks]:
        """The records of one message; raises ``WireError`` or ``GridError``."""

    def lost(self) -> None:  # noqa: B027  (most venues tell nothing that would have to be remembered)
        """The connection was lost: what was told by it is no longer certain."""


class Stream:
    """Makes the records of one instrument."""

    def __init__(self, instrument: Instrument, refuse: Refuse) -> None:
        self.instrument = instrument
        self._refuse = refuse

    def trade(self, side: int, px: str, qty: str, trade_id: int, exch_ts: int, local_ts: int) -> Ticks:
        """One TRADE; ``side`` is the aggressor's."""
        ticks = self._records(1, TickKind.TRADE, exch_ts, local_ts)
        ticks["side"] = side
        ticks["px"] = self._above_zero("price", px, self.instrument.px_to_ticks(px), Reason.BAD_PRICE)
        ticks["qty"] = self._above_zero("quantity", qty, self.instrument.qty_to_lots(qty), Reason.QTY_BELOW_MIN)
        ticks["update_id"] = _checked_id(trade_id)
        return ticks

    def quote(
        self, bid: tuple[str, str], ask: tuple[str, str], exch_ts: int, local_ts: int, update_id: int = 0
    ) -> Ticks:
        """One QUOTE of price and quantity on both sides; empty text where there is none."""
        ticks = self._records(1, TickKind.QUOTE, exch_ts, local_ts)
        ticks["update_id"] = _checked_id(update_id)
        for (px, qty), px_name, qty_name in ((bid, "px", "qty"), (ask, "px_2", "qty_2")):
            ticks[px_name] = self.instrument.px_to_ticks(px or "0")
            ticks[qty_name] = self.instrument.qty_to_lots(qty or "0")
        return ticks

    def book(self, levels: Iterable[Level], exch_ts: int, local_ts: int, ids: Ids, *, snapshot: bool) -> Ticks:
        """A SNAPSHOT or DEPTH message; a level off the grid is refused by itself, so that the book stays in step."""
        sound = [row for level in levels if (row := self._level(level)) is not None]
        kind = TickKind.SNAPSHOT if snapshot else TickKind.DEPTH
        ticks = self._records(max(len(sound), 1), kind, exch_ts, local_ts)
        for record, (side, px, qty) in zip(ticks, sound, strict=False):
            record["side"], record["px"], record["qty"] = side, px, qty
        ticks["update_id"] = ids.own
        ticks["px_2"] = ids.own if snapshot else ids.previous
        return ticks

    def mark(self, px: str, exch_ts: int, local_ts: int) -> Ticks:
        """One MARK, to the nearest tick; no index price is stated."""
        ticks = self._records(1, TickKind.MARK, exch_ts, local_ts)
        whole_ticks, fraction = self.instrument.average_to_ticks(px)
        nearest = whole_ticks + (2 * fraction >= CASH_SCALE)
        ticks["px"] = self._above_zero("mark price", px, nearest, Reason.BAD_PRICE)
        return ticks

    def funding(self, funding_rate: int, exch_ts: int, local_ts: int) -> Ticks:
        """One FUNDING at a rate in 1e-8."""
        ticks = self._records(1, TickKind.FUNDING, exch_ts, local_ts)
        ticks["qty"] = funding_rate
        return ticks

    def _level(self, level: Level) -> tuple[int, int, int] | None:
        try:
            px = self.instrument.px_to_ticks(level.px)
            qty = self.instrument.qty_to_lots(level.qty)
        except GridError as error:
            self._refuse(error.reason, f"level {level.px}: {error}")
            return None
        if px <= 0 or qty < 0:
            self._refuse(Reason.BAD_PRICE, f"level of price {level.px} and quantity {level.qty} is below zero")
            return None
        return level.side, px, qty

    def _records(self, count: int, kind: TickKind, exch_ts: int, local_ts: int) -> Ticks:
        if not 0 < exch_ts <= MAX_VALUE:
            raise WireError(Reason.MALFORMED, f"exchange time {exch_ts} ns is none")
        ticks: Ticks = np.zeros(count, TICK)
        ticks["exch_ts"] = exch_ts
        ticks["local_ts"] = local_ts
        ticks["instrument"] = self.instrument.id
        ticks["version"] = self.instrument.version
        ticks["kind"] = kind
        ticks["flags"][0] = TickFlag.FIRST
        ticks["flags"][-1] |= TickFlag.LAST
        return ticks

    def _above_zero(self, what: str, text: str, steps: int, reason: Reason) -> int:
        if steps <= 0:
            raise WireError(reason, f"{what} {text} is not above zero")
        return steps


def _checked_id(update_id: int) -> int:
    if not 0 <= update_id <= MAX_VALUE:
        raise WireError(Reason.MALFORMED, f"id {str(update_id)[:40]} is none")
    return update_id


def parse(message: bytes) -> dict[str, Any]:
    """A JSON object with its decimal numbers as text, exactly as they were sent; raises ``WireError``."""
    try:
        content = json.loads(message.decode(), parse_float=str)
    except (ValueError, RecursionError) as error:
        raise WireError(Reason.MALFORMED, f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise WireError(Reason.MALFORMED, "not a JSON object")
    return content


def field(content: Any, name: str, kind: type) -> Any:
    """A field that must be there and of a type; raises ``WireError``."""
    value = content.get(name) if isinstance(content, dict) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise WireError(Reason.MALFORMED, f"{name} is {str(value)[:40]!r}, not {kind.__name__}")
    return value


def number(content: Any, name: str) -> str:
    """A number that must be there, as its text."""
    value = content.get(name) if isinstance(content, dict) else None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise WireError(Reason.MALFORMED, f"{name} is {str(value)[:40]!r}, not a number")
    return str(value)


def whole(content: Any, name: str) -> int:
    """A whole number that must be there, written as a number or as text."""
    text = number(content, name)
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise WireError(Reason.MALFORMED, f"{name} {text[:40]!r} is not a whole number of at most 18 digits")
    return int(text)


def levels_of(content: Any, name: str, side: int) -> list[Level]:
    """Levels as lists of price, quantity and whatever else."""
    levels = []
    for row in field(content, name, list):
        if not isinstance(row, list) or len(row) < 2 or not all(isinstance(cell, (str, int)) for cell in row[:2]):
            raise WireError(Reason.MALFORMED, f"{name} holds {str(row)[:40]!r}, not price and quantity")
        levels.append(Level(side, str(row[0]), str(row[1])))
    return levels


def number_of(content: Any, name: str) -> int:
    """A number that the venue gives the book's messages, ``UNNUMBERED`` where that is what it says."""
    value: int = field(content, name, int)
    if not UNNUMBERED <= value <= MAX_VALUE:
        raise WireError(Reason.MALFORMED, f"{name} {str(value)[:40]} is no number of a message")
    return value


def side_of(text: str, words: Sequence[str] = ("buy", "sell")) -> int:
    """+1 or -1 for the venue's words for buying and selling, in any case."""
    if text.lower() not in words:
        raise WireError(Reason.BAD_SIDE, f"side {text[:40]!r} is neither {words[0]} nor {words[1]}")
    return 1 if text.lower() == words[0] else -1


def iso_ns(text: str) -> int:
    """An ISO time such as ``2021-07-22T22:36:10.014Z`` in ns; raises ``WireError``."""
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1) * 1_000
    except (ValueError, TypeError):
        raise WireError(Reason.MALFORMED, f"time {text[:40]!r} is none") from None


def same_symbol(venues: str, ours: str) -> bool:
    """Whether a venue's spelling is a symbol of ours: without case and punctuation."""
    return _plain(venues) == _plain(ours)


def _plain(symbol: str) -> str:
    return "".join(character for character in symbol.lower() if character.isalnum())


def not_ours(text: str) -> WireError:
    """A sound message that is not about the instrument, or carries no market data."""
    return WireError(Reason.NONE, text)
