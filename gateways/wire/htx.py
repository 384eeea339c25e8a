"""HTX streams: ``trade.detail``, ``bbo``, ``mark_price`` of swaps, and the book in the ways that HTX sends it.

- ``depth.step0`` and ``mbp.refresh.N``: each message is a whole book.
- ``mbp.N`` of spot: changes, each of which names the one before it (``prevSeqNum``). The book that they change is the
  answer to a request.
- ``depth.size_N.high_freq`` of swaps and futures: a snapshot, then updates whose ``version`` counts up by one.

Source: HTX's documentation of its spot and USDT-margined WebSocket market data.
"""

from __future__ import annotations

import re
from typing import Any, Final

from gateways.decoder import Ticks
from gateways.layouts import NS_PER_MS, UNNUMBERED
from gateways.wire.messages import (
    Ids,
    Level,
    NamedFields,
    WireError,
    field,
    levels_of,
    not_ours,
    number,
    number_of,
    parse,
    same_symbol,
    side_of,
    whole,
)
from oms.records import Reason, TickKind

WHOLE_BOOK: Final = re.compile(r"depth\.step0|mbp\.refresh\.\d+")
"""The book by single prices; higher steps merge them."""
CHANGES: Final = re.compile(r"mbp\.\d+")
NUMBERED: Final = re.compile(r"depth\.size_\d+\.high_freq")
TRADES: Final = "trade.detail"
TOUCH: Final = "bbo"
MARK: Final = re.compile(r"mark_price\.\w+")
"""The close of a candle that is not over is the mark price of now."""
_SIDES: Final = {"bids": 1, "asks": -1}

_HEAD: Final = '{"ch":"market.$NAME.'
_TRADES: Final = _HEAD + 'trade.detail","ts":<skipped>,"tick":{"id":<number>,"ts":<skipped>,"data":[<each>'
_CHANGE: Final = (
    _HEAD + 'mbp.<skipped>","ts":<exch_ms>,"tick":{"seqNum":<id>,"prevSeqNum":<signed_previous_id>,$SIDES}}'
)
_NUMBERED: Final = (
    _HEAD + 'depth.size_<skipped>.high_freq","tick":{"asks":[<ask_numbers>],"bids":[<bid_numbers>],"ch":"<text>",'
    '"event":"$EVENT","id":<number>,"mrid":<number>,"ts":<skipped>,"version":<version>},"ts":<exch_ms>}'
)

SPOT_LAYOUTS: Final = (
    (
        TickKind.QUOTE,
        _HEAD + 'bbo","ts":<skipped>,"tick":{"seqId":<id>,"ask":<px_2_number>,"askSize":<qty_2_number>,'
        '"bid":<px_number>,"bidSize":<qty_number>,"quoteTime":<exch_ms>,"symbol":"<text>"}}',
    ),
    (
        TickKind.TRADE,
        _TRADES + '{"id":<number>,"ts":<exch_ms>,"tradeId":<id>,"amount":<qty_number>,"price":<px_number>,'
        '"direction":"<side>"}<more>]}}',
    ),
    *(
        (TickKind.DEPTH, _CHANGE.replace("$SIDES", sides))
        for sides in (
            '"bids":[<bid_numbers>],"asks":[<ask_numbers>]',
            '"asks":[<ask_numbers>],"bids":[<bid_numbers>]',
            '"bids":[<bid_numbers>]',
            '"asks":[<ask_numbers>]',
        )
    ),
    (
        TickKind.SNAPSHOT,
        _HEAD + 'depth.step0","ts":<exch_ms>,"tick":{"bids":[<bid_numbers>],"asks":[<ask_numbers>],'
        '"version":<skipped>,"ts":<skipped>}}',
    ),
)
SWAP_LAYOUTS: Final = (
    (
        TickKind.QUOTE,
        _HEAD + 'bbo","ts":<skipped>,"tick":{"mrid":<number>,"id":<number>,"bid":[<px_number>,<qty_number>],'
        '"ask":[<px_2_number>,<qty_2_number>],"ts":<exch_ms>,"version":<id>,"ch":"<text>"}}',
    ),
    (
        TickKind.TRADE,
        _TRADES + '{"amount":<qty_number>,"ts":<exch_ms>,"id":<id>,"price":<px_number>,"direction":"<side>",'
        '"quantity":<number>,"trade_turnover":<number>}<more>]}}',
    ),
    (TickKind.DEPTH, _NUMBERED.replace("$EVENT", "update")),
    (TickKind.SNAPSHOT, _NUMBERED.replace("$EVENT", "snapshot")),
)
"""Both as the exchange documents them, the names of spot in small letters."""


class HtxDecoder(NamedFields):
    """See ``NamedFields``."""

    def decode(self, message: bytes, local_ts: int) -> list[Ticks]:
        """As ``NamedFields.decode``."""
        content = parse(message)
        is_answer = "rep" in content
        channel = content.get("rep" if is_answer else "ch")
        if not isinstance(channel, str):
            raise not_ours("it carries no data")
        _, _, rest = channel.partition(".")
        symbol, _, what = rest.partition(".")
        if not same_symbol(symbol, self._stream.instrument.symbol):
            raise not_ours("it is of another instrument")
        if is_answer and not CHANGES.fullmatch(what):
            raise not_ours(f"an answer about {what} is not read")
        tick = field(content, "data" if is_answer else "tick", dict)
        if what == TRADES:
            return [self._trade(row, local_ts) for row in field(tick, "data", list)]
        if what == TOUCH:
            return [self._touch(tick, local_ts)]
        exch_ts = whole(content, "ts") * NS_PER_MS
        if CHANGES.fullmatch(what):
            previous = UNNUMBERED if is_answer else number_of(tick, "prevSeqNum")
            ids = Ids(number_of(tick, "seqNum"), previous)
            return [self._stream.book(_levels(tick), exch_ts, local_ts, ids, snapshot=is_answer)]
        if MARK.fullmatch(what):
            return [self._stream.mark(number(tick, "close"), exch_ts, local_ts)]
        if NUMBERED.fullmatch(what):
            return [self._numbered(tick, exch_ts, local_ts)]
        if WHOLE_BOOK.fullmatch(what):
            return [self._stream.book(_levels(tick), exch_ts, local_ts, Ids(), snapshot=True)]
        raise not_ours(f"channel {what} is not read")

    def _trade(self, row: Any, local_ts: int) -> Ticks:
        side = side_of(field(row, "direction", str))
        exch_ts = whole(row, "ts") * NS_PER_MS
        trade_id = whole(row, "tradeId" if "tradeId" in row else "id")
        return self._stream.trade(side, number(row, "price"), number(row, "amount"), trade_id, exch_ts, local_ts)

    def _touch(self, tick: Any, local_ts: int) -> Ticks:
        """Spot has a field for each figure, swaps a list for each side."""
        if "quoteTime" in tick:
            bid, ask = ((number(tick, name), number(tick, f"{name}Size")) for name in ("bid", "ask"))
            return self._stream.quote(
                bid, ask, whole(tick, "quoteTime") * NS_PER_MS, local_ts, number_of(tick, "seqId")
            )
        (bid_level,), (ask_level,) = (
            levels_of({name: [tick.get(name)]}, name, side) for name, side in (("bid", 1), ("ask", -1))
        )
        sides = (bid_level.px, bid_level.qty), (ask_level.px, ask_level.qty)
        return self._stream.quote(*sides, whole(tick, "ts") * NS_PER_MS, local_ts, number_of(tick, "version"))

    def _numbered(self, tick: Any, exch_ts: int, local_ts: int) -> Ticks:
        event = field(tick, "event", str)
        if event not in ("snapshot", "update"):
            raise WireError(Reason.MALFORMED, f"event {event[:40]!r} is neither snapshot nor update")
        version = number_of(tick, "version")
        levels = _levels(tick)
        ids = Ids(version, version - 1)
        return self._stream.book(levels, exch_ts, local_ts, ids, snapshot=event == "snapshot")


def _levels(tick: Any) -> list[Level]:
    """Both sides in the order in which they come; one that has not changed may be left out."""
    return [
        level
        for name in tick
        if name in _SIDES and tick[name] is not None
        for level in levels_of(tick, name, _SIDES[name])
    ]
