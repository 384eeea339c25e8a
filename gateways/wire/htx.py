"""HTX streams: ``trade.detail``, and the book in the ways that HTX sends it.

- ``depth.step0`` and ``mbp.refresh.N``: each message is a whole book.
- ``mbp.N`` of spot: changes, each of which names the one before it (``prevSeqNum``). The book that they change is the
  answer to a request. Changes that come ahead of the answer are kept; those up to its ``seqNum`` are in it already.
  After a lost one the next answer is waited for.
- ``depth.size_N.high_freq`` of swaps and futures: a snapshot, then updates whose ``version`` counts up by one.

Source: HTX's documentation of its spot and USDT-margined WebSocket market data.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final

from gateways.wire.messages import (
    NS_PER_MS,
    Level,
    Refuse,
    Stream,
    Ticks,
    WireError,
    field,
    levels_of,
    not_ours,
    number,
    parse,
    same_symbol,
    side_of,
    whole,
)
from oms.instruments import Instrument
from oms.records import Reason

WHOLE_BOOK: Final = re.compile(r"depth\.step0|mbp\.refresh\.\d+")
"""The book by single prices; higher steps merge them."""
CHANGES: Final = re.compile(r"mbp\.\d+")
NUMBERED: Final = re.compile(r"depth\.size_\d+\.high_freq")
TRADES: Final = "trade.detail"
MOST_KEPT: Final = 10_000
"""Changes that wait for the answer; of more the oldest are given up, which is a gap then."""


class HtxDecoder:
    """See ``gateways.wire.messages.Decoder``."""

    def __init__(self, instrument: Instrument, refuse: Refuse) -> None:
        self._stream = Stream(instrument, refuse)
        self._last: int | None = None
        """Of the book's last message, its ``seqNum`` or ``version``; None: there is no book."""
        self._kept: deque[tuple[Any, int]] = deque(maxlen=MOST_KEPT)
        """Changes that came ahead of the book, and their exchange times."""

    def decode(self, message: str, local_ts: int) -> list[Ticks]:
        """As ``Decoder.decode``."""
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
        exch_ts = whole(content, "ts") * NS_PER_MS
        if is_answer:
            return self._answer(tick, exch_ts, local_ts)
        if CHANGES.fullmatch(what):
            return self._change(tick, exch_ts, local_ts)
        if NUMBERED.fullmatch(what):
            return [self._numbered(tick, exch_ts, local_ts)]
        if WHOLE_BOOK.fullmatch(what):
            return [self._stream.book(_levels(tick), exch_ts, local_ts, snapshot=True)]
        raise not_ours(f"channel {what} is not read")

    def lost(self) -> None:
        """As ``Decoder.lost``."""
        self._last = None
        self._kept.clear()

    def _trade(self, row: Any, local_ts: int) -> Ticks:
        side = side_of(field(row, "direction", str))
        exch_ts = whole(row, "ts") * NS_PER_MS
        trade_id = whole(row, "tradeId" if "tradeId" in row else "id")
        return self._stream.trade(side, number(row, "price"), number(row, "amount"), trade_id, exch_ts, local_ts)

    def _numbered(self, tick: Any, exch_ts: int, local_ts: int) -> Ticks:
        event = field(tick, "event", str)
        if event not in ("snapshot", "update"):
            raise WireError(Reason.MALFORMED, f"event {event[:40]!r} is neither snapshot nor update")
        version = field(tick, "version", int)
        levels = _levels(tick)
        follows = event == "snapshot" or self._last is None or version == self._last + 1
        self._last = version
        return self._stream.book(levels, exch_ts, local_ts, snapshot=event == "snapshot", follows=follows)

    def _answer(self, tick: Any, exch_ts: int, local_ts: int) -> list[Ticks]:
        levels, last = _levels(tick), field(tick, "seqNum", int)
        books = [self._stream.book(levels, exch_ts, local_ts, snapshot=True)]
        self._last = last
        ahead = list(self._kept)
        self._kept.clear()
        for change, change_ts in ahead:
            books += self._change(change, change_ts, local_ts)
        return books

    def _change(self, tick: Any, exch_ts: int, local_ts: int) -> list[Ticks]:
        levels, number_of = _levels(tick), field(tick, "seqNum", int)
        previous = field(tick, "prevSeqNum", int)
        if self._last is not None and number_of <= self._last:
            return []
        follows = previous == self._last
        if not follows:
            self._kept.append((tick, exch_ts))
        if self._last is None:
            return []
        self._last = number_of if follows else None
        return [self._stream.book(levels, exch_ts, local_ts, snapshot=False, follows=follows)]


def _levels(tick: Any) -> list[Level]:
    """Both sides; one that has not changed may be left out."""
    sides = {name: [] if tick.get(name) is None else tick[name] for name in ("bids", "asks")}
    return levels_of(sides, "bids", 1) + levels_of(sides, "asks", -1)
