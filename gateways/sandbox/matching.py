"""The matching engine of the sandbox exchange, for one instrument: accounts' orders meet each other and the market.

Price comes before time. The market is the *background*: what a recorded stream displays and trades. Orders take its
displayed quantity once, until it is stated anew; orders that rest queue behind what is displayed when they arrive, and
are filled by its trades. The rules, and where they come from, stand in ``gateways.sandbox.engine.requests`` (what an
operation does) and ``gateways.sandbox.engine.background`` (what the stream does).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gateways.sandbox.engine.records import (
    MAX_ORDERS,
    OPERATION,
    OUTCOME,
    QUANTITY_AT,
    STATE,
    WINDOW,
    OperationFlag,
    OperationKind,
    OutcomeKind,
    State,
)
from gateways.sandbox.engine.step import match_operations, match_ticks, read_levels
from oms.compiled import compile_entries
from oms.records import BUY, SELL

__all__ = [
    "MAX_ORDERS",
    "OPERATION",
    "OUTCOME",
    "QUANTITY_AT",
    "TICKS_AROUND",
    "Levels",
    "Matching",
    "OperationFlag",
    "OperationKind",
    "OutcomeKind",
    "Trade",
]

TICKS_AROUND: Final = WINDOW // 2
"""Prices on either side of ``around_px`` at which there can be levels."""

Records = npt.NDArray[np.void]
_PLAIN: Final = f"V{OUTCOME.itemsize}"
"""An outcome as mere bytes: NumPy copies records field by field, ten times as slowly."""


class Levels(NamedTuple):
    """The visible book, best levels first: arrays of ``QUANTITY_AT``, ticks and lots."""

    bids: Records
    asks: Records


class Trade(NamedTuple):
    """A price in ticks and a quantity in lots."""

    px: int
    qty: int


class Matching:
    """One instrument's book and its matching; compiled when the first is made.

    Parameters
    ----------
    around_px : int
        Ticks near the market. Prices within ``TICKS_AROUND`` (8.4 million) of it can be traded; where that would go
        below 1, those from 1 to twice as many. An order beyond is refused (BAD_PRICE), a level is left out.
    """

    def __init__(self, around_px: int = 0) -> None:
        compile_entries()
        self._st: State = np.zeros(1, STATE)
        self._st["base"] = max(around_px - TICKS_AROUND, 0)
        self._outcomes = self._st["outcomes"][0].view(_PLAIN)
        self._count = self._st["outcome_count"]

    def operate(self, operations: Records) -> Records:
        """Do operations in their order, and return what became of them.

        Parameters
        ----------
        operations
            Array of ``OPERATION``.

        Returns
        -------
        New array of ``OUTCOME``, in the order in which things happened. Each operation has at least one: ACCEPTED or
        AMENDED comes before its fills, REJECTED or CANCELLED is alone. The taker's FILL comes before the maker's.
        """
        return self._step(match_operations, operations)

    def background(self, ticks: Records) -> Records:
        """Let the recorded stream go on, and return what it did to resting orders.

        Parameters
        ----------
        ticks
            Array of ``oms.records.TICK`` of this instrument; DEPTH, SNAPSHOT, TRADE and STALE count.

        Returns
        -------
        New array of ``OUTCOME``: fills as maker.
        """
        return self._step(match_ticks, ticks)

    def _step(self, step: Callable[[State, State, int], int], rows: Records) -> Records:
        parts = []
        done = 0
        while done < len(rows):
            done = step(self._st, rows, done)
            parts.append(self._outcomes[: self._count[0]].copy())
        whole: Records = parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, _PLAIN), *parts])
        return whole.view(OUTCOME)

    def _figure(self, name: str) -> int:
        return int(self._st[name][0])

    def levels(self, count: int) -> Levels:
        """The best ``count`` visible levels of each side: what the background displays and is not taken, and orders."""
        return Levels(self._levels(BUY, count), self._levels(SELL, count))

    def _levels(self, side: int, count: int) -> Records:
        out = np.zeros(count, QUANTITY_AT)
        return out[: read_levels(self._st, side, out)]

    def _best(self, side: int) -> int | None:
        best = self._levels(side, 1)
        return int(best["px"][0]) if len(best) else None

    @property
    def best_bid(self) -> int | None:
        """Ticks; None: there is no bid."""
        return self._best(BUY)

    @property
    def best_ask(self) -> int | None:
        """Ticks; None: there is no ask."""
        return self._best(SELL)

    @property
    def last_trade(self) -> Trade | None:
        """The last trade, of orders or of the background; None: there was none."""
        px = self._figure("last_px")
        return Trade(px, self._figure("last_qty")) if px else None

    @property
    def open_orders(self) -> int:
        """Orders that rest."""
        return self._figure("order_count")

    @property
    def gaps(self) -> int:
        """Messages of the stream that did not follow the one before, so that the background was lost."""
        return self._figure("gaps")

    @property
    def levels_dropped(self) -> int:
        """Records of background levels for which there was no room, or whose price is outside the window."""
        return self._figure("levels_dropped")
