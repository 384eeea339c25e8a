"""FIFO cost lots: what each opening fill left in a position, oldest first.

All positions share one pool, ``s["cost_lots"]``. A lot is named by its number, row + 1, so that a position and a pool
of zeros are empty ones. Rows given back are chained from ``s["cost_lot_free"]``. When the pool is empty an opening fill
joins the newest lot of its position, or stays without a lot when there is none; ``s["cost_lots_merged"]`` counts both.
The position's ``open_cost`` is exact in every case: only which part of it is released first is then coarser.
"""

from __future__ import annotations

from oms.compiled import kernel
from oms.core.exact import share
from oms.core.state import Record


@kernel
def take_lot(s: Record) -> int:
    """Number of a free lot, taken from the pool; 0 when it is empty."""
    number = s["cost_lot_free"]
    if number != 0:
        s["cost_lot_free"] = s["cost_lots"][number - 1]["next"]
        return number
    if s["cost_lots_used"] >= len(s["cost_lots"]):
        return 0
    s["cost_lots_used"] += 1
    return s["cost_lots_used"]


@kernel
def free_first_lot(s: Record, position: Record) -> None:
    """Give the position's oldest lot back to the pool."""
    number = position["first_lot"]
    lot = s["cost_lots"][number - 1]
    position["first_lot"] = lot["next"]
    if position["first_lot"] == 0:
        position["last_lot"] = 0
    lot["next"] = s["cost_lot_free"]
    s["cost_lot_free"] = number


@kernel
def free_lots(s: Record, position: Record) -> None:
    """Give all lots of the position back."""
    while position["first_lot"] != 0:
        free_first_lot(s, position)


@kernel
def add_lot(s: Record, position: Record, qty: int, cost: int) -> None:
    """Append ``qty`` lots that were opened at ``cost`` (signed, in the instrument's cost unit)."""
    number = take_lot(s)
    last = position["last_lot"]
    if number == 0:
        s["cost_lots_merged"] += 1
        if last != 0:
            s["cost_lots"][last - 1]["qty"] += qty
            s["cost_lots"][last - 1]["cost"] += cost
        return
    lot = s["cost_lots"][number - 1]
    lot["qty"] = qty
    lot["cost"] = cost
    lot["next"] = 0
    if last == 0:
        position["first_lot"] = number
    else:
        s["cost_lots"][last - 1]["next"] = number
    position["last_lot"] = number


@kernel
def release_cost(s: Record, position: Record, qty: int) -> int:
    """Take ``qty`` lots (at most the open quantity) from the oldest lots on, and return their signed cost.

    A lot that is split keeps its cost less the part's share, rounded half to even. Quantity without a lot is taken
    last, at its average cost.
    """
    left = qty
    cost = 0
    while left > 0 and position["first_lot"] != 0:
        lot = s["cost_lots"][position["first_lot"] - 1]
        if lot["qty"] <= left:
            left -= lot["qty"]
            cost += lot["cost"]
            free_first_lot(s, position)
        else:
            part = share(lot["cost"], left, lot["qty"])
            lot["qty"] -= left
            lot["cost"] -= part
            cost += part
            left = 0
    if left > 0:
        cost += share(position["open_cost"] - cost, left, abs(position["qty"]) - (qty - left))
    return cost
