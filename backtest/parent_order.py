"""A parent order that was worked through child orders: what was asked for, and what was filled."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
import numpy as np

from backtest.benchmarks import Integers, exact_sum
from backtest.market import Rows
from oms.instruments import Instrument
from oms.records import BUY, SELL, EventKind

FILL = np.dtype(
    [
        ("ts", "<i8"),  # ns, local receive time
        ("px", "<i8"),  # ticks
        ("qty", "<i8"),  # lots
        ("fee", "<i8"),  # cash, paid is positive
        ("liquidity", "u1"),  # Liquidity
    ]
)
"""One fill of one of the children."""

SCHEDULE = np.dtype(
    [
        ("ts", "<i8"),  # ns
        ("due", "<i8"),  # lots that are to be filled from this time on, since the start
    ]
)
"""One step of the schedule that an algorithm followed."""

SIDES: Final = {BUY: "buy", SELL: "sell"}

_FILL_FIELDS: Final = {"ts": "ts", "px": "last_px", "qty": "last_qty", "fee": "fees", "liquidity": "liquidity"}
"""What each field of FILL is in an ORDER_FILLED event."""


class ExecutionError(ValueError):
    """An execution that cannot be, or cannot be drawn; the message names what is wrong with it."""


class VenueFills(msgspec.Struct, frozen=True, kw_only=True):
    """What an order filled at one of several venues, in that venue's own quantities, prices and currency."""

    symbol: str
    filled: str
    fills: int
    average_price: str | None
    fees: str
    settlement: str


class ParentOrder(NamedTuple):
    """A parent order and its fills."""

    instrument: Instrument
    side: int
    target_qty: int
    """Lots, above zero."""
    start_ts: int
    """When the order arrived, ns."""
    end_ts: int
    """Where the time ends over which it is measured, ns: its own end, or its schedule's."""
    fills: Rows
    """Of FILL, in any order."""
    limit_px: int | None = None
    """The worst price that it might pay, ticks."""
    children: int | None = None
    """Child orders sent, where that is known."""
    schedule: Rows | None = None
    """Of SCHEDULE, in order of time."""
    venues: tuple[VenueFills, ...] = ()
    """Of an order over several venues; ``fills`` are in one measure of theirs (``backtest.venues``)."""

    def check(self) -> None:
        """Check that this can be.

        Raises
        ------
        ExecutionError
            For a side that is none, a target of nothing, an end before the start, fills outside of that time, without
            price or quantity, or of more than the target, and for a schedule that goes back in time.
        """
        symbol, fills = self.instrument.symbol, self.fills
        if self.side not in SIDES:
            raise ExecutionError(f"side {self.side} of the order in {symbol} is neither buy (+1) nor sell (-1)")
        if self.target_qty <= 0:
            raise ExecutionError(f"target {self.target_qty} lots of {symbol} must be above zero")
        if self.end_ts < self.start_ts:
            raise ExecutionError(f"the order in {symbol} ends at {self.end_ts}, before its start at {self.start_ts}")
        if np.any((fills["qty"] <= 0) | (fills["px"] <= 0)):
            raise ExecutionError(f"a fill of {symbol} has no quantity or no price")
        outside = fills["ts"][(fills["ts"] < self.start_ts) | (fills["ts"] > self.end_ts)]
        if len(outside):
            raise ExecutionError(
                f"a fill of {symbol} at {outside[0]} is outside of its order's time, {self.start_ts} to {self.end_ts}"
            )
        if self.filled_qty > self.target_qty:
            raise ExecutionError(
                f"fills of {self.filled_qty} lots of {symbol} are more than the target, {self.target_qty} lots"
            )
        if self.schedule is not None and np.any(np.diff(self.schedule["ts"]) < 0):
            raise ExecutionError(f"the schedule of the order in {symbol} goes back in time")

    @property
    def filled_qty(self) -> int:
        """Lots."""
        return exact_sum(self.fills["qty"])

    @property
    def complete(self) -> bool:
        return self.filled_qty == self.target_qty

    @property
    def worked_until(self) -> int:
        """When the order was done: at its last fill when that completed it, else at its end."""
        return int(self.fills["ts"].max()) if self.complete else self.end_ts

    def filled_at(self, ts: Integers) -> Integers:
        """Lots filled up to and with each of the times ``ts``."""
        order = np.argsort(self.fills["ts"])
        filled = np.concatenate([[0], np.cumsum(self.fills["qty"][order])])
        return filled[np.searchsorted(self.fills["ts"][order], ts, "right")]

    def due_at(self, ts: Integers) -> Integers:
        """Lots due by the schedule at each of the times ``ts``: none before its first step, or without a schedule."""
        schedule = np.zeros(0, SCHEDULE) if self.schedule is None else self.schedule
        due = np.concatenate([[0], schedule["due"]])
        return due[np.searchsorted(schedule["ts"], ts, "right")]


def fills_of(events: Rows) -> Rows:
    """The ORDER_FILLED events among ``events``, an EVENT array of one parent's children, as an array of FILL."""
    filled = events[events["kind"] == EventKind.ORDER_FILLED]
    fills = np.zeros(len(filled), FILL)
    for name, source in _FILL_FIELDS.items():
        fills[name] = filled[source]
    return fills
