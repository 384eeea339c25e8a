"""BitMEX realtime: ``orderBookL2`` (partial, insert, update, delete), ``trade`` and ``quote``.

A level of ``orderBookL2`` is known by its id; only ``partial`` and ``insert`` tell its price. An id that is not known
means that a message was lost: the rest of the message is applied, and the core is told of a gap. The venue closed in
2026; its recordings stay of use.
"""

from __future__ import annotations

from typing import Any, Final

from gateways.decoder import Ticks
from gateways.layouts import GUID_DIGITS
from gateways.wire.messages import (
    Ids,
    Level,
    NamedFields,
    Refuse,
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
from oms.decimals import GridError
from oms.instruments import Instrument
from oms.records import Reason, TickKind

_TRADE: Final = (
    '{"table":"trade","action":"insert","data":[<each>{"timestamp":"<exch_time>","symbol":"$SYMBOL","side":"<side>",'
    '"size":<qty_number>,"price":<px_number>,"tickDirection":"<text>","trdMatchID":"<guid>","grossValue":<number>,'
    '"homeNotional":<number>,"foreignNotional":<number>$MORE}<more>]}'
)
LAYOUTS: Final = (
    (
        TickKind.QUOTE,
        '{"table":"quote","action":"insert","data":[<each>{"timestamp":"<exch_time>","symbol":"$SYMBOL",'
        '"bidSize":<qty_number>,"bidPrice":<px_number>,"askPrice":<px_2_number>,"askSize":<qty_2_number>}<more>]}',
    ),
    *((TickKind.TRADE, _TRADE.replace("$MORE", more)) for more in ("", ',"trdType":"<text>"')),
)
"""As recorded in 2021, and with the kind of trade that was told later."""

_ROWS: Final = (
    '{"table":"orderBookL2","action":"$ACTION","data":[<each>{"symbol":"$SYMBOL","id":<level_id>,"side":"<side>"$MORE}'
    "<more>]}"
)
_MORE: Final = {"update": ',"size":<qty_number>', "insert": ',"size":<qty_number>,"price":<px_number>', "delete": ""}
BOOK_ACTIONS: Final = tuple(_MORE)
BOOK_LAYOUTS: Final = tuple(
    (TickKind.DEPTH, _ROWS.replace("$ACTION", action).replace("$MORE", more)) for action, more in _MORE.items()
)
"""Of the changes of the book, in the order of ``BOOK_ACTIONS``; their levels have an id, and mostly no price."""

ACTIONS: Final = ("partial", "insert", "update", "delete")


class BitmexDecoder(NamedFields):
    """See ``NamedFields``; the book's messages have numbers of our own, as the venue gives none."""

    def __init__(self, instrument: Instrument, refuse: Refuse) -> None:
        super().__init__(instrument, refuse)
        self._number = 0
        self._prices: dict[tuple[int, int], str] = {}  # by id and side
        self._ticks: dict[str, int] = {}  # of those, as far as they were needed
        self._known = False

    def decode(self, message: bytes, local_ts: int) -> list[Ticks]:
        """As ``NamedFields.decode``."""
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
        """As ``NamedFields.lost``."""
        self._prices.clear()
        self._ticks.clear()
        self._known = False

    def _book(self, rows: list[Any], action: str, local_ts: int) -> list[Ticks]:
        if action == "partial":
            self.lost()
            self._known = True
        elif not self._known:
            raise not_ours("it is ahead of the first whole book")
        levels, missing = [], False
        for row in rows:
            level = self._level(row, action)
            missing |= level is None
            levels += [] if level is None else [level]
        exch_ts = iso_ns(rows[-1]["timestamp"]) if "timestamp" in rows[-1] else local_ts
        ids = self._next_ids(follows=not missing)
        return [self._stream.book(levels, exch_ts, local_ts, ids, snapshot=action == "partial")]

    def place(self, action: str, ticks: Ticks) -> bool:
        """Give scanned changes of the book, whose ids are in ``qty_2``, their prices and their number.

        False, and nothing is changed, when that is not as simple as it mostly is: then the message is to be decoded.
        """
        keys = list(zip(ticks["qty_2"].tolist(), ticks["side"].tolist(), strict=True))
        if not self._known or len(set(keys)) < len(keys):
            return False
        try:
            pxs = ticks["px"].tolist() if action == "insert" else [self._px_ticks(self._prices[key]) for key in keys]
        except (KeyError, GridError):
            return False
        if min(pxs) <= 0:
            return False
        for key, px in zip(keys, pxs, strict=True):
            if action == "insert":
                self._prices[key] = self._stream.instrument.px_from_ticks(px)
            elif action == "delete":
                del self._prices[key]
        ticks["px"] = pxs
        ticks["qty_2"] = 0
        ticks["update_id"], ticks["px_2"] = self._next_ids()
        return True

    def _px_ticks(self, px: str) -> int:
        if px not in self._ticks:
            self._ticks[px] = self._stream.instrument.px_to_ticks(px)
        return self._ticks[px]

    def _next_ids(self, *, follows: bool = True) -> Ids:
        self._number += 1 if follows else 2
        return Ids(self._number, self._number - 1)

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
        text = field(row, "trdMatchID", str).replace("-", "")[:GUID_DIGITS]
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
