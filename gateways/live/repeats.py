"""Messages that come more than once: over several connections to one stream, of which the first that brings one wins.

Quotes, marks and updates of the book must each be newer than the one before. Trades each count: one that a connection
has lost may come late by another, so the last of them are remembered one by one.
"""

from __future__ import annotations

from collections import deque
from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from oms.records import TICK, TickFlag, TickKind

Ticks = npt.NDArray[np.void]

_facts: Final = itemgetter(*(list(TICK.fields or ()).index(name) for name in ("kind", "update_id", "exch_ts", "px_2")))
_TRADE: Final = int(TickKind.TRADE)
_DEPTH: Final = int(TickKind.DEPTH)
_FIRST: Final = int(TickFlag.FIRST)

REMEMBERED_TRADES: Final = 4_096

_ID: Final[dict[int, str]] = {
    TickKind.QUOTE: "update_id",
    TickKind.DEPTH: "update_id",
    TickKind.MARK: "exch_ts",
}
"""What grows from message to message, of each kind that only counts when it is newer."""


class Repeats:
    """Leaves out what came before, of one instrument.

    Attributes
    ----------
    count : int
        Messages left out.
    began_anew : bool
        An update of the book was numbered below the one that it follows: the venue counts from another number on.
    """

    def __init__(self) -> None:
        self.count = 0
        self.began_anew = False
        self._newest: dict[int, int] = {}
        self._trades: set[int] = set()
        self._in_order: deque[int] = deque()

    def take(self, ticks: Ticks) -> Ticks:
        """Return whole messages without those that came before: the same array while there are none."""
        # one by one, as plain numbers: mostly one or two messages come at a time
        starts = [row for row, flags in enumerate(ticks["flags"].tolist()) if flags & _FIRST]
        is_new = [self._is_new(*_facts(ticks.item(row))) for row in starts]
        if False not in is_new:
            return ticks
        self.count += is_new.count(False)
        lengths = np.diff(np.append(starts, len(ticks)))
        left: Ticks = ticks[np.repeat(np.array(is_new), lengths)]
        return left

    def forget(self) -> None:
        """What comes next is new, whatever its ids: the stream begins anew."""
        self.began_anew = False
        self._newest.clear()
        self._trades.clear()
        self._in_order.clear()

    def _is_new(self, kind: int, update_id: int, exch_ts: int, previous_id: int) -> bool:
        if kind == _TRADE:
            return self._is_new_trade(update_id)
        if kind == _DEPTH and update_id < previous_id:
            self.began_anew = True
        name = _ID.get(kind)
        if name is None:
            return True
        number = update_id if name == "update_id" else exch_ts
        if number <= self._newest.get(kind, -1):
            return False
        self._newest[kind] = number
        return True

    def _is_new_trade(self, trade_id: int) -> bool:
        if trade_id in self._trades:
            return False
        self._trades.add(trade_id)
        self._in_order.append(trade_id)
        if len(self._in_order) > REMEMBERED_TRADES:
            self._trades.discard(self._in_order.popleft())
        return True
