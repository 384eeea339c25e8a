"""What ccxt makes of any exchange's streams, as one JSON object a line: ``gateways.live.generic`` writes it.

    {"symbol":"BTCUSDT","channel":"book","id":7,"previous":6,"ts":1700000000000,"bids":[["36000.1","0.2"]],"asks":[]}
    {"symbol":"BTCUSDT","channel":"trade","id":991,"side":"buy","px":"36000.2","qty":"0.01","ts":1700000000000}
    {"symbol":"BTCUSDT","channel":"quote","id":8,"bid":["36000.1","0.2"],"ask":["36000.2","1"],"ts":1700000000000}
    {"symbol":"BTCUSDT","channel":"mark","px":"36000.15","ts":1700000000000}

A ``book`` that names no ``previous`` is whole. ``ts`` is the exchange's time, ms; 0: it states none, and that of
receipt stands for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateways.decoder import Ticks
from gateways.layouts import NS_PER_MS
from gateways.wire.messages import (
    Ids,
    NamedFields,
    field,
    levels_of,
    not_ours,
    number,
    number_of,
    parse,
    side_of,
    whole,
)


class GenericDecoder(NamedFields):
    """See ``NamedFields``."""

    def decode(self, message: bytes, local_ts: int) -> list[Ticks]:
        """As ``NamedFields.decode``."""
        content = parse(message)
        if field(content, "symbol", str) != self._stream.instrument.symbol:
            raise not_ours("it is of another instrument")
        channel = field(content, "channel", str)
        if channel not in self._CHANNELS:
            raise not_ours(f"channel {channel[:40]} is not read")
        return [self._CHANNELS[channel](self, content, whole(content, "ts") * NS_PER_MS or local_ts, local_ts)]

    def _book(self, content: Any, exch_ts: int, local_ts: int) -> Ticks:
        levels = levels_of(content, "bids", 1) + levels_of(content, "asks", -1)
        is_whole = "previous" not in content
        own = number_of(content, "id")
        ids = Ids(own, own if is_whole else number_of(content, "previous"))
        return self._stream.book(levels, exch_ts, local_ts, ids, snapshot=is_whole)

    def _trade(self, content: Any, exch_ts: int, local_ts: int) -> Ticks:
        side = side_of(field(content, "side", str))
        terms = (number(content, "px"), number(content, "qty"), number_of(content, "id"))
        return self._stream.trade(side, *terms, exch_ts, local_ts)

    def _quote(self, content: Any, exch_ts: int, local_ts: int) -> Ticks:
        bid, ask = (levels_of({"level": [content.get(name)]}, "level", 1)[0] for name in ("bid", "ask"))
        return self._stream.quote((bid.px, bid.qty), (ask.px, ask.qty), exch_ts, local_ts, number_of(content, "id"))

    def _mark(self, content: Any, exch_ts: int, local_ts: int) -> Ticks:
        return self._stream.mark(number(content, "px"), exch_ts, local_ts)

    _CHANNELS: Final[dict[str, Callable[[Any, Any, int, int], Ticks]]] = {
        "book": _book,
        "trade": _trade,
        "quote": _quote,
        "mark": _mark,
    }
