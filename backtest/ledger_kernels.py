"""Booking and valuing the positions of a run by the core's own kernels; ``backtest.ledger`` prepares and reads it."""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np

from oms.compiled import array_of, entry, kernel
from oms.core.exact import quotient_fits, scaled
from oms.core.positions import apply_fill, book_funding, closable_qty, unrealized_pnl, value_at, value_of
from oms.core.settlement import contract_fits, settle, settlement_value
from oms.core.state import MAX_COST_LOTS
from oms.definition_rows import INSTRUMENT
from oms.records import COST_LOT, POSITION, EventKind

FILLED: Final = int(EventKind.ORDER_FILLED)
FUNDING: Final = int(EventKind.FUNDING)
SETTLED: Final = int(EventKind.SETTLED)

MOVE = np.dtype(
    [
        ("ts", "<i8"),
        ("order_id", "<i8"),  # of a fill, else 0
        ("position", "<i8"),  # row of its key
        ("account_position", "<i8"),  # row of the position of which it is a share; its own where it is no share
        ("kind", "<i8"),  # EventKind: ORDER_FILLED, FUNDING, SETTLED
        ("side", "<i8"),
        ("px", "<i8"),  # ticks; SETTLED: 1e-8 of the quote currency
        ("qty", "<i8"),  # lots
        ("fee", "<i8"),  # cash, paid is positive
        ("liquidity", "<i8"),  # Liquidity
        ("funding", "<i8"),  # cash, received is positive
        # made by the ledger
        ("closed_qty", "<i8"),  # lots of ``qty`` that closed, the rest opened
        ("value", "<i8"),  # cash, >= 0
        ("realized_pnl", "<i8"),  # cash, before fees
        ("position_qty", "<i8"),  # signed lots, after it
    ]
)
"""One fill, funding payment or settlement of one position."""

POINT = np.dtype(
    [
        ("qty", "<i8"),  # signed lots
        ("realized_pnl", "<i8"),  # cash, before fees and funding
        ("fees", "<i8"),  # cash, paid is positive
        ("funding", "<i8"),  # cash, received is positive
        ("unrealized_pnl", "<i8"),  # cash
        ("value", "<i8"),  # cash, >= 0: notional at the mark; of an option its premium
    ]
)
"""One position as it stood at one time."""

COST_POOL = np.dtype(
    [
        ("cost_lots", COST_LOT, (MAX_COST_LOTS,)),
        ("cost_lot_free", "<i8"),
        ("cost_lots_used", "<i8"),
        ("cost_lots_merged", "<i8"),
    ]
)
"""What the core's position kernels need of its state under FIFO."""


@kernel
def book_filled(pool: Any, position: Any, definition: Any, fifo: int, move: Any) -> None:
    """Book a fill, and note what of it closed."""
    side, px, qty = move["side"], move["px"], move["qty"]
    move["closed_qty"] = min(qty, closable_qty(position, side))
    move["value"] = value_of(definition, px, qty)
    move["realized_pnl"] = apply_fill(pool, position, definition, fifo, side, px, qty, move["fee"])


@kernel
def book_paid(position: Any, whole: Any, move: Any) -> None:
    """Book a funding payment, of a share its part by quantity."""
    if move["position"] != move["account_position"]:
        paid = -move["funding"]
        part = abs(position["qty"])
        all_of_it = abs(whole["qty"])
        move["funding"] = 0
        if part > 0 and all_of_it > 0 and quotient_fits(paid, part, all_of_it):
            amount = scaled(paid, part, all_of_it)
            move["funding"] = -amount if position["qty"] * whole["qty"] > 0 else amount
    book_funding(position, move["funding"])


@kernel
def book_settled(pool: Any, position: Any, definition: Any, move: Any) -> None:
    """Close a position at a settlement price."""
    qty = position["qty"]
    if qty == 0 or not contract_fits(definition, move["px"], abs(qty)):
        return
    move["side"] = -1 if qty > 0 else 1
    move["qty"] = abs(qty)
    move["closed_qty"] = abs(qty)
    move["value"] = settlement_value(definition, move["px"], abs(qty))
    move["realized_pnl"] = settle(pool, position, definition, move["px"], move["fee"])


@kernel
def take_point(position: Any, definition: Any, half_ticks: int, point: Any) -> None:
    """Value a position at a mark."""
    point["qty"] = position["qty"]
    point["realized_pnl"] = position["realized_pnl"]
    point["fees"] = position["fees"]
    point["funding"] = position["funding"]
    point["unrealized_pnl"] = unrealized_pnl(position, definition, half_ticks)
    if half_ticks > 0:
        point["value"] = value_at(definition, half_ticks, abs(position["qty"]))


@entry(
    lambda: numba.void(
        array_of(COST_POOL),
        array_of(POSITION),
        array_of(INSTRUMENT),
        numba.int64[::1],
        numba.int64[::1],
        array_of(MOVE),
        numba.int64[::1],
        numba.int64[::1],
        array_of(POINT),
    )
)
def trace_ledger(
    pools: Any,
    positions: Any,
    definitions: Any,
    pool_of: Any,
    fifo: Any,
    moves: Any,
    ts: Any,
    half_ticks: Any,
    points: Any,
) -> None:
    """Book every move in order, and write what each position was worth after the moves up to and with each time.

    ``positions``, ``definitions``, ``pool_of`` and ``fifo`` have a row for each position; ``half_ticks`` and ``points``
    for each time as many.
    """
    at = 0
    for i in range(len(ts)):
        while at < len(moves) and moves[at]["ts"] <= ts[i]:
            move = moves[at]
            p = move["position"]
            pool = pools[pool_of[p]]
            if move["kind"] == FILLED:
                book_filled(pool, positions[p], definitions[p], fifo[p], move)
            elif move["kind"] == FUNDING:
                book_paid(positions[p], positions[move["account_position"]], move)
            else:
                book_settled(pool, positions[p], definitions[p], move)
            move["position_qty"] = positions[p]["qty"]
            at += 1
        first = i * len(positions)
        for p in range(len(positions)):
            take_point(positions[p], definitions[p], half_ticks[first + p], points[first + p])
