"""BitMEX realtime: ``orderBookL2`` (partial, insert, update, delete), ``trade`` and ``quote``.

A level of ``orderBookL2`` is known by its id; only ``partial`` and ``insert`` tell its price. An id that is not known
means that a message was lost: the rest of the message is applied, and the core is told of a gap. The venue closed in
2026; its recordings stay of use.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.wire.messages import (
    Level,
    Refuse,
    Stream,
    Ticks,
    WireError,
    field,
    iso_ns,
    not_ours,
    number,
    parse,
    same_symbol,
    side_of,
    whole,
)
from oms.instruments import Instrument
from oms.records import Reason

ACTIONS: Final = ("partial", "insert", "update", "delete")
ID_DIGITS: Final = 15
"""Hexadecimal digits of a trade's id that make its number: 60 bits."""


class BitmexDecoder:
    """See ``gateways.wire.messages.Decoder``."""

    def __init__(self, instrument: Instrument, refuse: Refuse) -> None:
        self._stream = Stream(instrument, refuse)
        self._prices: dict[tuple[int, int], str] = {}  # by id and side
        self._known = False

    def decode(self, message: str, local_ts: int) -> list[Ticks]:
        """As ``Decoder.decode``."""
        content = parse(message)
        if "table" not in content:
            raise not_ours("it carries no data")
        table, action = field(content, "table", str), field(content, "action", str)
        if action not in ACTIONS:
            raise WireError(Reason.MALFORMED, f"action {action[:40]!r} is none of {', '.join(ACTIONS)}")
        symbol = self._stream.instrument.symbol
        rows = [row for row in field(content, "data", list) if same_symbol(field(row, "symbol", str), symbol)]
        if not rows:
            raise not_ours("it is of another instrument")
        if table == "orderBookL2":
            return self._book(rows, action, local_ts)
        if table == "trade" and action == "insert":
            return [self._trade(row, local_ts) for row in rows]
        if table == "quote" and action in ("partial", "insert"):
            return [self._quote(row, local_ts) for row in rows]
        raise not_ours(f"{action} of table {table} is not read")

    def lost(self) -> None:
        """As ``Decoder.lost``."""
        self._prices.clear()
        self._known = False

    def _book(self, rows: list[Any], action: str, local_ts: int) -> list[Ticks]:
        if action == "partial":
            self._prices.clear()
            self._known = True
        elif not self._known:
            raise not_ours("it is ahead of the first whole book")
        levels, missing = [], False
        for row in rows:
            level = self._level(row, action)
            missing |= level is None
            levels += [] if level is None else [level]
        exch_ts = iso_ns(rows[-1]["timestamp"]) if "timestamp" in rows[-1] else local_ts
        return [self._stream.book(levels, exch_ts, local_ts, snapshot=action == "partial", follows=not missing)]

    def _level(self, row: Any, action: str) -> Level | None:
        """One row as a level; None when its price is not known."""
        side = side_of(field(row, "side", str))
        key = (whole(row, "id"), side)
        if action in ("partial", "insert"):
            self._prices[key] = number(row, "price")
        px = self._prices.get(key)
        if action == "delete":
            self._prices.pop(key, None)
        if px is None:
            return None
        return Level(side, px, "0" if action == "delete" else number(row, "size"))

    def _trade(self, row: Any, local_ts: int) -> Ticks:
        text = field(row, "trdMatchID", str).replace("-", "")[:ID_DIGITS]
        try:
            trade_id = int(text, 16)
        except ValueError:
            raise WireError(Reason.MALFORMED, f"trdMatchID {text!r} is not hexadecimal") from None
        side = side_of(field(row, "side", str))
        exch_ts = iso_ns(field(row, "timestamp", str))
        return self._stream.trade(side, number(row, "price"), number(row, "size"), trade_id, exch_ts, local_ts)

    def _quote(self, row: Any, local_ts: int) -> Ticks:
        bid, ask = ((number(row, f"{side}Price"), number(row, f"{side}Size")) for side in ("bid", "ask"))
        return self._stream.quote(bid, ask, iso_ns(field(row, "timestamp", str)), local_ts)
