"""Market data as the exchange frames it, made from the records of a recording: books, trades, quotes.

Framing and field order are those of recorded messages of the exchange, ``seqId`` and ``prevSeqId`` of its documentation
("WS / Order book channel"): a snapshot has -1 as ``prevSeqId``, and each update names the one before it. The checksum
is the CRC-32, as a signed number, of the best 25 levels of each side as ``bid:size:ask:size``, as recorded messages
have it. The whole recorded book is sent, not only 400 levels.
"""

from __future__ import annotations

import heapq
from itertools import chain, zip_longest
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

from gateways.sandbox.okx.contract import Contract, Json
from oms.records import BUY, SELL, TickFlag, TickKind

Ticks = npt.NDArray[np.void]

CHECKED_LEVELS: Final = 25
NS_PER_MS: Final = 1_000_000
FIRST_SEQ_ID: Final = 60_000_000_000
SEQ_STEP: Final = 7
"""Sequence ids go up by more than one: a client must compare ids, not count them."""

_BOOK_KINDS: Final = (int(TickKind.SNAPSHOT), int(TickKind.DEPTH))


class Books:
    """The book of one instrument, and its messages.

    Attributes
    ----------
    seq_id : int
        Of the last message.
    """

    def __init__(self, contract: Contract) -> None:
        self.seq_id = FIRST_SEQ_ID
        self.ts_ms = 0
        self._restarts = False
        self._contract = contract
        self._levels: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}

    def take(self, ticks: Ticks) -> list[Json]:
        """Move by TICK records; an update for each message of the recorded book, that is a full one for a snapshot."""
        rows = ticks[np.isin(ticks["kind"], _BOOK_KINDS)]
        starts = np.flatnonzero(rows["flags"] & TickFlag.FIRST)
        ends = [*starts[1:], len(rows)]
        return [self._message(rows[start:end]) for start, end in zip(starts, ends, strict=False)]

    def snapshot(self, shift_ms: int = 0, most: int | None = None) -> Json:
        """The whole book, as it is sent first; ``most``: so many levels of each side."""
        sides = {side: self._best(side, most) for side in (SELL, BUY)}
        return {
            "asks": self._rows(sides[SELL]),
            "bids": self._rows(sides[BUY]),
            "ts": str(self.ts_ms + shift_ms),
            "checksum": self.checksum(),
            "seqId": self.seq_id,
            "prevSeqId": -1,
        }

    def restart(self) -> None:
        """Count from another number on, as after the exchange's maintenance: the next update says what was before."""
        self._restarts = True

    def checksum(self) -> int:
        """Of the book as it is."""
        bids, asks = (self._rows(self._best(side, CHECKED_LEVELS)) for side in (BUY, SELL))
        words = chain.from_iterable(row[:2] for pair in zip_longest(bids, asks) for row in pair if row is not None)
        value = crc32(":".join(words).encode())
        return value - 2**32 if value >= 2**31 else value

    def _message(self, rows: Ticks) -> Json:
        changed: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        for side, px, qty in rows[["side", "px", "qty"]].tolist():
            if side:
                changed[side][px] = qty
        if rows["kind"][0] == TickKind.SNAPSHOT:
            for side, levels in self._levels.items():  # what the new book does not have is gone
                changed[side] = dict.fromkeys(levels, 0) | changed[side]
        for side, levels in changed.items():
            for px, qty in levels.items():
                if qty:
                    self._levels[side][px] = qty
                else:
                    self._levels[side].pop(px, None)
        previous = self.seq_id
        self.seq_id = FIRST_SEQ_ID // 2 if self._restarts else previous + SEQ_STEP
        self._restarts = False
        self.ts_ms = max(self.ts_ms, int(rows["exch_ts"][0]) // NS_PER_MS)
        return {
            "asks": self._rows(sorted(changed[SELL].items())),
            "bids": self._rows(sorted(changed[BUY].items(), reverse=True)),
            "ts": str(self.ts_ms),
            "checksum": self.checksum(),
            "seqId": self.seq_id,
            "prevSeqId": previous,
        }

    def _best(self, side: int, count: int | None) -> list[tuple[int, int]]:
        levels = self._levels[side]
        if count is None:
            return sorted(levels.items(), reverse=side == BUY)
        found = heapq.nlargest(count, levels) if side == BUY else heapq.nsmallest(count, levels)
        return [(px, levels[px]) for px in found]

    def _rows(self, levels: list[tuple[int, int]]) -> list[list[str]]:
        """Price, size, a field of the past, and the number of orders, which no recording tells."""
        contract = self._contract
        return [[contract.px(px), contract.sz(qty), "0", "1" if qty else "0"] for px, qty in levels]


def trade_row(contract: Contract, tick: np.void, shift_ms: int) -> Json:
    """ "WS / Trades channel", with the recorded trade's number."""
    return {
        "instId": contract.inst_id,
        "tradeId": str(tick["update_id"]),
        "px": contract.px(int(tick["px"])),
        "sz": contract.sz(int(tick["qty"])),
        "side": "buy" if tick["side"] == BUY else "sell",
        "ts": str(int(tick["exch_ts"]) // NS_PER_MS + shift_ms),
        "count": "1",
        "source": "0",
        "seqId": int(tick["update_id"]),
    }


def best_row(contract: Contract, tick: np.void, shift_ms: int) -> Json:
    """ "WS / Order book channel", ``bbo-tbt``, with the recorded quote's number."""
    asks, bids = ((int(tick[px]), int(tick[qty])) for px, qty in (("px_2", "qty_2"), ("px", "qty")))
    return {
        "asks": [[contract.px(asks[0]), contract.sz(asks[1]), "0", "1"]],
        "bids": [[contract.px(bids[0]), contract.sz(bids[1]), "0", "1"]],
        "ts": str(int(tick["exch_ts"]) // NS_PER_MS + shift_ms),
        "seqId": int(tick["update_id"]),
    }
