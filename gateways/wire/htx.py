"""HTX (formerly Huobi) spot streams: ``trade.detail``, and ``depth.stepN``, whose every message is a whole book."""

from __future__ import annotations

from typing import Any, Final

from gateways.wire.messages import (
    NS_PER_MS,
    Refuse,
    Stream,
    Ticks,
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

UNGROUPED: Final = "depth.step0"
"""The book by single prices; higher steps merge them."""


class HtxDecoder:
    """See ``gateways.wire.messages.Decoder``."""

    def __init__(self, instrument: Instrument, refuse: Refuse) -> None:
        self._stream = Stream(instrument, refuse)

    def decode(self, message: str, local_ts: int) -> list[Ticks]:
        """As ``Decoder.decode``."""
        content = parse(message)
        channel = content.get("ch")
        if not isinstance(channel, str):
            raise not_ours("it carries no data")
        _, _, rest = channel.partition(".")
        symbol, _, what = rest.partition(".")
        if not same_symbol(symbol, self._stream.instrument.symbol):
            raise not_ours("it is of another instrument")
        tick = field(content, "tick", dict)
        if what == "trade.detail":
            return [self._trade(row, local_ts) for row in field(tick, "data", list)]
        if what != UNGROUPED:
            raise not_ours(f"channel {what} is not read")
        levels = levels_of(tick, "bids", 1) + levels_of(tick, "asks", -1)
        exch_ts = whole(content, "ts") * NS_PER_MS
        return [self._stream.book(levels, exch_ts, local_ts, snapshot=True)]

    def lost(self) -> None:
        """As ``Decoder.lost``: the next message is a whole book."""

    def _trade(self, row: Any, local_ts: int) -> Ticks:
        side = side_of(field(row, "direction", str))
        exch_ts = whole(row, "ts") * NS_PER_MS
        return self._stream.trade(
            side, number(row, "price"), number(row, "amount"), whole(row, "tradeId"), exch_ts, local_ts
        )
