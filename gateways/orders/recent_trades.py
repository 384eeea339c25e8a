"""Which trades have been told of late: by this a fill that the private stream has not brought is noticed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

REMEMBERED: Final = 10_000


class RecentTrades:
    """The latest trades of an account, by instrument and trade id."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[int, int], None] = OrderedDict()

    def __contains__(self, trade: tuple[int, int]) -> bool:
        return trade in self._told

    def note(self, instrument: int, trade_id: int) -> None:
        """A trade has been told; the oldest is forgotten for it."""
        self._told[instrument, trade_id] = None
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
