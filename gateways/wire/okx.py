"""OKX v5 public streams: ``trades``, ``books`` (snapshot, then updates) and ``tickers``.

Books are followed by ``prevSeqId`` and ``seqId`` where messages have them; older streams have none, and each update
then follows the one before it. An update whose ``prevSeqId`` is not the last ``seqId`` is a gap.
"""

from __future__ import annotations

from typing import Any

from gateways.wire.messages import (
    NS_PER_MS,
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


class OkxDecoder:
    """See ``gateways.wire.messages.Decoder``."""

    def __init__(self, instrument: Instrument, refuse: Refuse) -> None:
        self._stream = Stream(instrument, refuse)
        self._seq_id: int | None = None

    def decode(self, message: str, local_ts: int) -> list[Ticks]:
        """As ``Decoder.decode``."""
        content = parse(message)
        argument = content.get("arg")
        if "data" not in content or not isinstance(argument, dict):
            raise not_ours("it carries no data")
        if not same_symbol(field(argument, "instId", str), self._stream.instrument.symbol):
            raise not_ours("it is of another instrument")
        channel = field(argument, "channel", str)
        rows = field(content, "data", list)
        if channel == "books":
            return [self._book(row, content.get("action"), local_ts) for row in rows]
        if channel not in ("trades", "tickers"):
            raise not_ours(f"channel {channel} is not read")
        return [(self._trade if channel == "trades" else self._ticker)(row, local_ts) for row in rows]

    def lost(self) -> None:
        """As ``Decoder.lost``."""
        self._seq_id = None

    def _trade(self, row: Any, local_ts: int) -> Ticks:
        side = side_of(field(row, "side", str))
        exch_ts = whole(row, "ts") * NS_PER_MS
        return self._stream.trade(side, number(row, "px"), number(row, "sz"), whole(row, "tradeId"), exch_ts, local_ts)

    def _ticker(self, row: Any, local_ts: int) -> Ticks:
        bid, ask = ((number(row, f"{side}Px"), number(row, f"{side}Sz")) for side in ("bid", "ask"))
        return self._stream.quote(bid, ask, whole(row, "ts") * NS_PER_MS, local_ts)

    def _book(self, row: Any, action: object, local_ts: int) -> Ticks:
        if action not in ("snapshot", "update"):
            raise WireError(Reason.MALFORMED, f"action {str(action)[:40]!r} is neither snapshot nor update")
        levels = levels_of(row, "bids", 1) + levels_of(row, "asks", -1)
        exch_ts = whole(row, "ts") * NS_PER_MS
        follows = True
        if "seqId" in row:
            previous = row.get("prevSeqId")
            follows = action == "snapshot" or self._seq_id is None or previous == self._seq_id
            self._seq_id = field(row, "seqId", int)
        return self._stream.book(levels, exch_ts, local_ts, snapshot=action == "snapshot", follows=follows)
