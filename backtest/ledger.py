"""The ledger of a run: what moved each position, and what it was worth at each mark.

It is kept from the run's events by the core's own functions, so every figure is the core's to the last unit. Beside the
positions that the core has, an account's and each strategy's share of it, there is the share of orders that no strategy
asked for: these shares together make the account's, and each fill is of exactly one of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from backtest.benchmarks import Integers
from backtest.ledger_kernels import COST_POOL, FILLED, FUNDING, MOVE, POINT, SETTLED, trace_ledger
from backtest.market import Rows
from backtest.marks import marks_at
from oms.core.state import MAX_INSTRUMENTS, MAX_LEGS
from oms.definition_rows import INSTRUMENT
from oms.instruments import Instrument
from oms.records import EXCHANGE_CLIENT, ORDER_ID_COUNTER_BITS, POSITION, EventKind, OrderFlag

MOVING_KINDS: Final = (FILLED, FUNDING, SETTLED)
LEDGER_KINDS: Final = (*MOVING_KINDS, EventKind.POSITION_ADOPTED)
"""Of all events that a ledger looks at."""

ACCOUNT: Final = -2
"""Owner of an account's whole position."""
NO_STRATEGY: Final = -1
"""Owner of what orders without a strategy have made of it; strategies own by their number."""

POSITION_KEY = np.dtype(
    [
        ("account", "<i8"),
        ("owner", "<i8"),
        ("instrument", "<i8"),
        ("leg", "<i8"),  # 0 net or long, 1 short
    ]
)
"""Whose position it is, and in what."""


def of_exchange(moves: Rows) -> npt.NDArray[np.bool_]:
    """Which of an array of MOVE are fills of the exchange's own orders, by which it liquidates."""
    is_own: npt.NDArray[np.bool_] = moves["order_id"] >> ORDER_ID_COUNTER_BITS == EXCHANGE_CLIENT
    return is_own & (moves["kind"] == FILLED)


class LedgerError(ValueError):
    """Events that no ledger can be kept of; the message says why."""


class Ledger(NamedTuple):
    """Every position of a run over time."""

    keys: Rows
    """Of POSITION_KEY, one for each position."""
    moves: Rows
    """Of MOVE, in order of events; an account's before its shares'."""
    ts: Integers
    """Times of the points, ns, ascending."""
    half_ticks: Integers
    """Shape (times, positions): the marks."""
    points: Rows
    """Of POINT, shape (times, positions)."""

    def rows_of(self, **wanted: int) -> Integers:
        """The positions whose key has these values."""
        found = np.ones(len(self.keys), np.bool_)
        for name, value in wanted.items():
            found &= self.keys[name] == value
        return np.flatnonzero(found)

    def moves_of(self, positions: Integers) -> Rows:
        """The moves of these positions, in order."""
        return self.moves[np.isin(self.moves["position"], positions)]


def ledger_of(
    events: Rows, instruments: Iterable[Instrument], marks: Rows, fifo_accounts: Collection[int] = ()
) -> Ledger:
    """Keep the ledger of a run.

    Parameters
    ----------
    events : array of EVENT
        Of the run, in order.
    instruments : iterable of Instrument
        As they were in the run.
    marks : array of MARK_SAMPLE
        In order of time.
    fifo_accounts : collection of int
        Numbers of the accounts whose cost basis is FIFO; of the others it is the average.

    Raises
    ------
    LedgerError
        For events about a position that was adopted, or about an instrument that is not given, or in another version.
    """
    by_id = {each.id: each for each in instruments}
    keys, moves = _moves_of(events)
    _check(events, by_id)
    ts = np.unique(marks["ts"])
    if len(moves) and (not len(ts) or moves["ts"][-1] > ts[-1]):
        ts = np.append(ts, moves["ts"][-1])
    half_ticks = np.zeros((len(ts), len(keys)), np.int64)
    for instrument in np.unique(keys["instrument"]).tolist():
        half_ticks[:, keys["instrument"] == instrument] = marks_at(marks, instrument, ts)[:, None]
    points = np.zeros(half_ticks.size, POINT)
    rows = [by_id[each].row() for each in keys["instrument"].tolist()]
    trace_ledger(
        np.zeros(2, COST_POOL),
        np.zeros(len(keys), POSITION),
        np.concatenate([np.zeros(0, INSTRUMENT), *rows]),
        (keys["owner"] == NO_STRATEGY).astype(np.int64),
        np.isin(keys["account"], list(fifo_accounts)).astype(np.int64),
        moves,
        ts,
        half_ticks.ravel(),
        points,
    )
    return Ledger(keys, moves, ts, half_ticks, points.reshape(half_ticks.shape))


def _check(events: Rows, by_id: dict[int, Instrument]) -> None:
    """Refuse events that would make another ledger than the core's."""
    if np.any(events["kind"] == EventKind.POSITION_ADOPTED):
        raise LedgerError("a position was adopted in this run: what it had cost before is not among its events")
    moving = events[np.isin(events["kind"], MOVING_KINDS)]
    for instrument, version in np.unique(moving[["instrument", "version"]]).tolist():
        if instrument not in by_id:
            raise LedgerError(f"instrument {instrument} was traded and is not among those given")
        if version != by_id[instrument].version:
            raise LedgerError(
                f"{by_id[instrument].symbol} was traded in version {version}, not in version "
                f"{by_id[instrument].version}: its figures would be in two grids"
            )


def _moves_of(events: Rows) -> tuple[Rows, Rows]:
    """The positions' keys, and their moves without what the ledger makes of them."""
    moving = events[np.isin(events["kind"], MOVING_KINDS)]
    is_fill = moving["kind"] == FILLED
    leg = (moving["flags"] & OrderFlag.SHORT_LEG != 0).astype(np.int64)
    owner = np.where(moving["strategy"] >= 0, moving["strategy"], NO_STRATEGY).astype(np.int64)
    place = (moving["account"].astype(np.int64) * MAX_INSTRUMENTS + moving["instrument"]) * MAX_LEGS + leg
    # whole accounts first, then the shares of those who traded there
    shares = np.unique(np.stack([place[is_fill], owner[is_fill]]), axis=1)
    wholes = np.unique(place)
    keys = np.zeros(len(wholes) + shares.shape[1], POSITION_KEY)
    at_place = np.concatenate([wholes, shares[0]])
    keys["owner"] = np.concatenate([np.full(len(wholes), ACCOUNT), shares[1]])
    keys["leg"] = at_place % MAX_LEGS
    keys["instrument"] = at_place // MAX_LEGS % MAX_INSTRUMENTS
    keys["account"] = at_place // MAX_LEGS // MAX_INSTRUMENTS
    whole_of = np.searchsorted(wholes, at_place)
    # each event moves the account's position, a fill its owner's share, any other all shares that there are
    rows: list[Integers] = [np.arange(len(moving))]
    positions = [np.searchsorted(wholes, place)]
    for number in range(len(wholes), len(keys)):
        moved = (place == at_place[number]) & (~is_fill | (owner == keys["owner"][number]))
        rows.append(np.flatnonzero(moved))
        positions.append(np.full(np.count_nonzero(moved), number))
    row = np.concatenate(rows)
    position = np.concatenate(positions).astype(np.int64)
    order = np.lexsort((position, row))
    row, position = row[order], position[order]
    moves = np.zeros(len(row), MOVE)
    source = moving[row]
    is_share = position >= len(wholes)
    moves["ts"] = source["ts"]
    moves["order_id"] = source["order_id"]
    moves["position"] = position
    moves["account_position"] = whole_of[position]
    moves["kind"] = source["kind"]
    filled = source["kind"] == FILLED
    moves["side"] = np.where(filled, source["side"], 0)
    moves["px"] = source["last_px"]
    moves["qty"] = np.where(filled, source["last_qty"], 0)
    moves["liquidity"] = source["liquidity"]
    paid = source["kind"] == FUNDING
    moves["funding"] = np.where(paid, -source["fees"], 0)
    moves["fee"] = np.where(paid | (is_share & ~filled), 0, source["fees"])
    return keys, moves
