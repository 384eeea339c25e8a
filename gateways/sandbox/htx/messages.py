"""Market data as the exchange frames it, made from the records of a recording: books, trades, quotes.

Framing and field order of spot are those of recorded messages of the exchange where there are some (``trade.detail``),
and else of its documentation, by title. Numbers are written as recorded ones are: a double in Java's form, such as
``9.2E-7``, ``716.0`` and ``4.0E7``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import numpy as np

from gateways.decoder import Ticks
from oms.instruments import Instrument
from oms.records import BUY, SELL, TickFlag, TickKind

NS_PER_MS: Final = 1_000_000
FIRST_SEQ_NUM: Final = 100_020_146_794
LONG_ID: Final = 255_757_567_432_481
"""What stands behind the number in a trade's long id."""
SEQ_STEP: Final = 3
"""Numbers of spot's changes go up by more than one: a client must compare them, not count."""

_BOOK_KINDS: Final = (int(TickKind.SNAPSHOT), int(TickKind.DEPTH))
_LEAST_PLAIN: Final = Decimal("0.001")
_LEAST_SCIENTIFIC: Final = Decimal(10_000_000)

Levels = list[tuple[int, int]]


def double(text: str) -> str:
    """A decimal number as Java writes a double (``Double.toString``)."""
    value = Decimal(text)
    if value == 0 or _LEAST_PLAIN <= value < _LEAST_SCIENTIFIC:
        plain = f"{value.normalize():f}"
        return plain if "." in plain else plain + ".0"
    digits = "".join(map(str, value.normalize().as_tuple().digits))
    return f"{digits[0]}.{digits[1:] or '0'}E{value.adjusted()}"


class Market(ABC):
    """The book of one instrument, and the messages about it.

    Attributes
    ----------
    number : int
        Of the book's last message.
    shift_ms : int
        Added to the times of recorded events.
    """

    book: str
    """The channel of the book."""
    trades: Final = "trade.detail"
    touch: Final = "bbo"

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.number = FIRST_SEQ_NUM
        self.ts_ms = 0
        self.shift_ms = 0
        self._levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}

    def topic(self, channel: str) -> str:
        """What a channel of the instrument is called."""
        return f"market.{self.instrument.symbol}.{channel}"

    def ms_of(self, tick: Any) -> int:
        """The time of a recorded event."""
        return int(tick["exch_ts"]) // NS_PER_MS + self.shift_ms

    def take(self, ticks: Ticks) -> list[str]:
        """Move by TICK records; a change for each message of the recorded book."""
        rows = ticks[np.isin(ticks["kind"], _BOOK_KINDS)]
        starts = np.flatnonzero(rows["flags"] & TickFlag.FIRST)
        return [self._move(rows[start:end]) for start, end in zip(starts, [*starts[1:], len(rows)], strict=False)]

    def _move(self, rows: Ticks) -> str:
        changed: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        for side, px, qty in rows[["side", "px", "qty"]].tolist():
            if side:
                changed[side][px] = qty
        if rows["kind"][0] == TickKind.SNAPSHOT:
            for side, levels in self._levels.items():  # what the new book does not have is gone
                changed[side] = dict.fromkeys(levels, 0) | changed[side]
        for side, levels in changed.items():
            self._levels[side] |= levels
            self._levels[side] = {px: qty for px, qty in self._levels[side].items() if qty}
        self.ts_ms = max(self.ts_ms, self.ms_of(rows[0]))
        return self.change(*(list(changed[side].items()) for side in (BUY, SELL)))

    def whole(self) -> tuple[Levels, Levels]:
        """Bids and asks, best first."""
        return sorted(self._levels[BUY].items(), reverse=True), sorted(self._levels[SELL].items())

    @abstractmethod
    def change(self, bids: Levels, asks: Levels) -> str:
        """The next message of the book."""

    @abstractmethod
    def trade(self, tick: Any) -> str:
        """A message of one trade."""

    @abstractmethod
    def best(self, tick: Any) -> str:
        """A message of the best bid and ask."""

    def _px(self, ticks: int) -> str:
        return double(self.instrument.px_from_ticks(ticks))

    def _qty(self, lots: int) -> str:
        return double(self.instrument.qty_from_lots(lots))

    def _side(self, levels: Iterable[tuple[int, int]]) -> str:
        return "[" + ",".join(f"[{self._px(px)},{self._qty(qty)}]" for px, qty in levels) + "]"


class SpotMarket(Market):
    """ "Market By Price (incremental update)", "Trade Detail", "Best Bid/Offer" of spot."""

    book = "mbp.150"

    def change(self, bids: Levels, asks: Levels) -> str:
        """As ``Market.change``."""
        previous, self.number = self.number, self.number + SEQ_STEP
        return (
            f'{{"ch":"{self.topic(self.book)}","ts":{self.ts_ms},"tick":{{"seqNum":{self.number},'
            f'"prevSeqNum":{previous},"bids":{self._side(bids)},"asks":{self._side(asks)}}}}}'
        )

    def answer(self, request_id: str, now_ms: int) -> str:
        """The whole book as the answer to a request, which has its own time."""
        bids, asks = self.whole()
        return (
            f'{{"id":"{request_id}","rep":"{self.topic(self.book)}","status":"ok","ts":{now_ms},'
            f'"data":{{"seqNum":{self.number},"bids":{self._side(bids)},"asks":{self._side(asks)}}}}}'
        )

    def trade(self, tick: Any) -> str:
        """As ``Market.trade``; the long id is made of the trade's."""
        ms, number = self.ms_of(tick), int(tick["update_id"])
        side = "buy" if tick["side"] == BUY else "sell"
        return (
            f'{{"ch":"{self.topic(self.trades)}","ts":{ms},"tick":{{"id":{number},"ts":{ms},"data":[{{'
            f'"id":{number}{LONG_ID},"ts":{ms},"tradeId":{number},"amount":{self._qty(int(tick["qty"]))},'
            f'"price":{self._px(int(tick["px"]))},"direction":"{side}"}}]}}}}'
        )

    def best(self, tick: Any) -> str:
        """As ``Market.best``."""
        ms = self.ms_of(tick)
        px, qty, px_2, qty_2 = (int(tick[name]) for name in ("px", "qty", "px_2", "qty_2"))
        return (
            f'{{"ch":"{self.topic(self.touch)}","ts":{ms},"tick":{{"seqId":{tick["update_id"]},"ask":{self._px(px_2)},'
            f'"askSize":{self._qty(qty_2)},"bid":{self._px(px)},"bidSize":{self._qty(qty)},"quoteTime":{ms},'
            f'"symbol":"{self.instrument.symbol}"}}}}'
        )


class LinearMarket(Market):
    """ "Subscribe Incremental Market Depth Data", "Subscribe Trade Detail Data", "Subscribe market BBO data"."""

    book = "depth.size_150.high_freq"
    mark: Final = "mark_price.1min"

    def _qty(self, lots: int) -> str:
        """Contracts, which are whole."""
        return f"{Decimal(self.instrument.qty_from_lots(lots)):f}"

    def change(self, bids: Levels, asks: Levels) -> str:
        """As ``Market.change``."""
        self.number += 1
        return self._message("update", bids, asks)

    def first(self) -> str:
        """The whole book, which a subscription begins with."""
        return self._message("snapshot", *self.whole())

    def _message(self, event: str, bids: Levels, asks: Levels) -> str:
        return (
            f'{{"ch":"{self.topic(self.book)}","tick":{{"asks":{self._side(asks)},"bids":{self._side(bids)},'
            f'"ch":"{self.topic(self.book)}","event":"{event}","id":{self.number},"mrid":{self.number},'
            f'"ts":{self.ts_ms},"version":{self.number}}},"ts":{self.ts_ms}}}'
        )

    def trade(self, tick: Any) -> str:
        """As ``Market.trade``."""
        ms, number = self.ms_of(tick), int(tick["update_id"])
        px, amount = self._px(int(tick["px"])), self.instrument.qty_from_lots(int(tick["qty"]))
        coins = Decimal(amount) * Decimal(self.instrument.multiplier)
        side = "buy" if tick["side"] == BUY else "sell"
        return (
            f'{{"ch":"{self.topic(self.trades)}","ts":{ms},"tick":{{"id":{number},"ts":{ms},"data":[{{'
            f'"amount":{amount},"ts":{ms},"id":{number}0000,"price":{px},"direction":"{side}","quantity":{coins:f},'
            f'"trade_turnover":{coins * Decimal(px):f}}}]}}}}'
        )

    def mark_price(self, tick: Any) -> str:
        """The mark price, which is here that of a trade ("Subscribe Mark Price Kline Data")."""
        ms, px = self.ms_of(tick), self.instrument.px_from_ticks(int(tick["px"]))
        return (
            f'{{"ch":"{self.topic(self.mark)}","ts":{ms},"tick":{{"id":{ms // 60_000 * 60},"open":"{px}",'
            f'"close":"{px}","high":"{px}","low":"{px}","amount":"0","vol":"0","count":"0","trade_turnover":"0"}}}}'
        )

    def best(self, tick: Any) -> str:
        """As ``Market.best``."""
        ms, number = self.ms_of(tick), int(tick["update_id"])
        bid, ask = (
            f"[{self._px(int(tick[px]))},{self._qty(int(tick[qty]))}]" for px, qty in (("px", "qty"), ("px_2", "qty_2"))
        )
        return (
            f'{{"ch":"{self.topic(self.touch)}","ts":{ms},"tick":{{"mrid":{number},"id":{ms // 1000},"bid":{bid},'
            f'"ask":{ask},"ts":{ms},"version":{number},"ch":"{self.topic(self.touch)}"}}}}'
        )
