"""OKX v5 public streams: ``trades``, ``books`` (snapshot, then updates), ``tickers``, ``bbo-tbt``, ``mark-price`` and
``funding-rate``.

Books are followed by ``prevSeqId`` and ``seqId`` where messages have them; older streams have none, and each update
then follows the one before it. An update whose ``prevSeqId`` is not the last ``seqId`` is a gap.

Funding is told once the exchange has gone on to the next time of it, at the rate that it stated last for the one
before.

Source: OKX's API guide v5, Public data WebSocket: trades, tickers, order book, mark price and funding rate channels.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from gateways.decoder import Ticks
from gateways.layouts import NS_PER_MS
from gateways.wire.messages import (
    Ids,
    NamedFields,
    Refuse,
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
from oms.decimals import parse_decimal
from oms.instruments import Instrument
from oms.records import CASH_SCALE, Reason, TickKind

_HEAD: Final = '{"arg":{"channel":"$CHANNEL","instId":"$SYMBOL"},'
_TRADE: Final = (
    _HEAD.replace("$CHANNEL", "trades") + '"data":[<each>{"instId":"$SYMBOL","tradeId":"<id>","px":"<px>","sz":"<qty>",'
    '"side":"<side>","ts":"<exch_ms>"$MORE}<more>]}'
)
_TICKER: Final = (
    _HEAD.replace("$CHANNEL", "tickers") + '"data":[<each>{"instType":"<text>","instId":"$SYMBOL","last":"<text>",'
    '"lastSz":"<text>","askPx":"<px_2>","askSz":"<qty_2>","bidPx":"<px>","bidSz":"<qty>","open24h":"<text>",'
    '"high24h":"<text>","low24h":"<text>",$MORE,"ts":"<exch_ms>"}<more>]}'
)
_TOUCH: Final = (
    _HEAD.replace("$CHANNEL", "bbo-tbt") + '"data":[{"asks":[["<px_2>","<qty_2>","<text>","<text>"]],'
    '"bids":[["<px>","<qty>","<text>","<text>"]],"ts":"<exch_ms>"$MORE}]}'
)
_BOOK: Final = (
    _HEAD.replace("$CHANNEL", "books") + '"action":"$ACTION","data":[{"asks":[<asks_of_four>],"bids":[<bids_of_four>],'
    '"ts":"<exch_ms>"$MORE}]}'
)
_UTC: Final = '"sodUtc0":"<text>","sodUtc8":"<text>"'
_VOLUME: Final = '"volCcy24h":"<text>","vol24h":"<text>"'
_CHECKSUM: Final = ',"checksum":<signed>'
_SEQ_ID: Final = ',"seqId":<id>'
_PREVIOUS: Final = ',"prevSeqId":<signed_previous_id>'

LAYOUTS: Final = (
    *((TickKind.QUOTE, _TOUCH.replace("$MORE", more)) for more in (_SEQ_ID, "")),
    *(
        (TickKind.TRADE, _TRADE.replace("$MORE", more))
        for more in (',"count":"<skipped>","source":"<skipped>","seqId":<skipped>', ',"count":"<skipped>"', "")
    ),
    *(
        (kind, _BOOK.replace("$ACTION", action).replace("$MORE", more))
        for more in (_CHECKSUM + _SEQ_ID + _PREVIOUS, _CHECKSUM + _PREVIOUS + _SEQ_ID, _CHECKSUM)
        for kind, action in ((TickKind.DEPTH, "update"), (TickKind.SNAPSHOT, "snapshot"))
    ),
    *((TickKind.QUOTE, _TICKER.replace("$MORE", more)) for more in (_UTC + "," + _VOLUME, _VOLUME + "," + _UTC)),
)
"""As the exchange sends them today, and as recorded in 2022; most frequent first."""


class OkxDecoder(NamedFields):
    """See ``NamedFields``."""

    def __init__(self, instrument: Instrument, refuse: Refuse) -> None:
        super().__init__(instrument, refuse)
        self._funding = (0, 0)  # when it is next due, ms, and its rate in 1e-8; 0: it is not known

    def decode(self, message: bytes, local_ts: int) -> list[Ticks]:
        """As ``NamedFields.decode``."""
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
        if channel not in self._CHANNELS:
            raise not_ours(f"channel {channel} is not read")
        told = [self._CHANNELS[channel](self, row, local_ts) for row in rows]
        return [ticks for ticks in told if ticks is not None]

    def _trade(self, row: Any, local_ts: int) -> Ticks:
        side = side_of(field(row, "side", str))
        exch_ts = whole(row, "ts") * NS_PER_MS
        return self._stream.trade(side, number(row, "px"), number(row, "sz"), whole(row, "tradeId"), exch_ts, local_ts)

    def _ticker(self, row: Any, local_ts: int) -> Ticks:
        bid, ask = ((number(row, f"{side}Px"), number(row, f"{side}Sz")) for side in ("bid", "ask"))
        return self._stream.quote(bid, ask, whole(row, "ts") * NS_PER_MS, local_ts)

    def _touch(self, row: Any, local_ts: int) -> Ticks:
        """A side that is empty has no level."""
        bid, ask = (
            (levels[0].px, levels[0].qty) if (levels := levels_of(row, name, side)) else ("0", "0")
            for name, side in (("bids", 1), ("asks", -1))
        )
        update_id = number_of(row, "seqId") if "seqId" in row else 0
        return self._stream.quote(bid, ask, whole(row, "ts") * NS_PER_MS, local_ts, update_id)

    def _mark(self, row: Any, local_ts: int) -> Ticks:
        return self._stream.mark(number(row, "markPx"), whole(row, "ts") * NS_PER_MS, local_ts)

    def _funding_rate(self, row: Any, local_ts: int) -> Ticks | None:
        """A rate has as many decimals as it takes, and is rounded half to even."""
        due_ms, ts_ms = whole(row, "fundingTime"), whole(row, "ts")
        rate = round(Fraction(parse_decimal("funding rate", number(row, "fundingRate"))) * CASH_SCALE)
        if abs(rate) > CASH_SCALE:
            raise WireError(Reason.MALFORMED, f"funding rate {row['fundingRate'][:40]} is above one")
        before_ms, before_rate = self._funding
        if due_ms < before_ms:  # a message may overtake one of another connection
            return None
        self._funding = (due_ms, rate)
        is_over = 0 < before_ms < due_ms and before_ms <= ts_ms
        return self._stream.funding(before_rate, before_ms * NS_PER_MS, local_ts) if is_over else None

    _CHANNELS: Final[dict[str, Callable[[Any, Any, int], Ticks | None]]] = {
        "trades": _trade,
        "tickers": _ticker,
        "bbo-tbt": _touch,
        "mark-price": _mark,
        "funding-rate": _funding_rate,
    }

    def _book(self, row: Any, action: object, local_ts: int) -> Ticks:
        if action not in ("snapshot", "update"):
            raise WireError(Reason.MALFORMED, f"action {str(action)[:40]!r} is neither snapshot nor update")
        levels = levels_of(row, "asks", -1) + levels_of(row, "bids", 1)
        ids = Ids()
        if "seqId" in row:
            previous = number_of(row, "prevSeqId") if "prevSeqId" in row or action == "update" else ids.previous
            ids = Ids(number_of(row, "seqId"), previous)
        return self._stream.book(levels, whole(row, "ts") * NS_PER_MS, local_ts, ids, snapshot=action == "snapshot")
