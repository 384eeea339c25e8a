"""A new version of an instrument: positions move to its tick and its lot.

Quantities must be on the new lot, exactly; what is not stays as it is, and the caller keeps trading in it halted. Costs
are rounded half to even where the new tick-lot is coarser, and what that adds is realized: PnL is the same before and
after, to the last unit of cash (to one unit, where a tick-lot is no whole number of units).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from oms.compiled import kernel
from oms.core.exact import product_fits, quotient_fits, scaled
from oms.core.positions import cost_to_cash
from oms.core.state import Record


class RegridResult(IntEnum):
    DONE = 0
    OFF_GRID = 1
    """The quantity is no whole number of new lots."""
    CONTRACT_CHANGED = 2
    """Kind, multiplier, currencies, underlying, strike or expiry differ: that is another contract, not another grid."""
    TOO_LARGE = 3
    """The figures do not fit 64-bit integers on the new grid."""


_DONE: Final = int(RegridResult.DONE)
_OFF_GRID: Final = int(RegridResult.OFF_GRID)
_CONTRACT_CHANGED: Final = int(RegridResult.CONTRACT_CHANGED)
_TOO_LARGE: Final = int(RegridResult.TOO_LARGE)


@kernel
def common_divisor(a: int, b: int) -> int:
    """Greatest common divisor of two positive numbers (Euclid)."""
    while b != 0:
        a, b = b, a % b
    return a


@kernel
def ratio_of(numerator: int, denominator: int, by_numerator: int, by_denominator: int) -> tuple[int, int]:
    """``numerator / denominator`` over ``by_numerator / by_denominator``, in lowest terms; (0, 0): it does not fit."""
    above = common_divisor(numerator, by_numerator)
    below = common_divisor(denominator, by_denominator)
    numerator //= above
    by_numerator //= above
    denominator //= below
    by_denominator //= below
    if not product_fits(numerator, by_denominator) or not product_fits(denominator, by_numerator):
        return 0, 0
    return numerator * by_denominator, denominator * by_numerator


@kernel
def same_contract(old: Record, new: Record) -> bool:
    """True when two versions differ in grid, limits, fees and margin alone."""
    return bool(
        old["kind"] == new["kind"]
        and old["coin_settled"] == new["coin_settled"]
        and old["multiplier_numerator"] == new["multiplier_numerator"]
        and old["multiplier_denominator"] == new["multiplier_denominator"]
        and old["contract"] == new["contract"]
        and old["strike"] == new["strike"]
        and old["option_kind"] == new["option_kind"]
        and old["expiry_ts"] == new["expiry_ts"]
    )


@kernel
def regrid_lots(s: Record, position: Record, lots: int, of: int, cost: int, cost_of: int) -> int:
    """Move the FIFO lots by ``lots / of``, their costs by ``cost / cost_of``; returns the position's new cost.

    A lot that is not on the new grid joins the next one. Quantity without a lot keeps its cost, rounded alike.
    """
    number = position["first_lot"]
    position["first_lot"] = 0
    position["last_lot"] = 0
    rest = position["open_cost"]
    total = 0
    pending_qty = 0
    pending_cost = 0
    while number != 0:
        lot = s["cost_lots"][number - 1]
        following = lot["next"]
        pending_qty += lot["qty"]
        pending_cost += lot["cost"]
        if pending_qty * lots % of == 0:
            lot["qty"] = pending_qty * lots // of
            lot["cost"] = scaled(pending_cost, cost, cost_of)
            lot["next"] = 0
            if position["last_lot"] == 0:
                position["first_lot"] = number
            else:
                s["cost_lots"][position["last_lot"] - 1]["next"] = number
            position["last_lot"] = number
            total += lot["cost"]
            rest -= pending_cost
            pending_qty = 0
            pending_cost = 0
        else:
            s["cost_lots_merged"] += 1
            lot["next"] = s["cost_lot_free"]
            s["cost_lot_free"] = number
        number = following
    return total + scaled(rest, cost, cost_of)


@kernel
def regrid_result(position: Record, old: Record, new: Record) -> int:
    """Whether a position can move from version ``old`` of its instrument to ``new``: a RegridResult."""
    lots, of = ratio_of(old["base_numerator"], old["base_denominator"], new["base_numerator"], new["base_denominator"])
    cost, cost_of = ratio_of(
        old["cash_numerator"], old["cash_denominator"], new["cash_numerator"], new["cash_denominator"]
    )
    qty = position["qty"]
    if not same_contract(old, new):
        return _CONTRACT_CHANGED
    if (
        of == 0
        or cost_of == 0
        or not product_fits(position["bought_qty"] + position["sold_qty"], lots)
        or not product_fits(qty, lots)
        or not quotient_fits(position["open_cost"], cost, cost_of)
    ):
        return _TOO_LARGE
    return _DONE if qty * lots % of == 0 else _OFF_GRID


@kernel
def regrid_position(s: Record, position: Record, old: Record, new: Record) -> int:
    """Move a position from version ``old`` of its instrument to ``new``; returns a RegridResult.

    Nothing is changed unless it is DONE, but for the position's ``off_grid``, which is the result. Open orders must
    have been cancelled. The traded quantities of the past are rescaled too; their difference stays the position.
    """
    result = regrid_result(position, old, new)
    position["off_grid"] = result
    if result != _DONE:
        return result
    lots, of = ratio_of(old["base_numerator"], old["base_denominator"], new["base_numerator"], new["base_denominator"])
    cost, cost_of = ratio_of(
        old["cash_numerator"], old["cash_denominator"], new["cash_numerator"], new["cash_denominator"]
    )
    cost_before = cost_to_cash(old, position["open_cost"])
    position["open_cost"] = regrid_lots(s, position, lots, of, cost, cost_of)
    position["realized_pnl"] += cost_to_cash(new, position["open_cost"]) - cost_before
    position["qty"] = position["qty"] * lots // of
    position["sold_qty"] = position["sold_qty"] * lots // of
    position["bought_qty"] = position["qty"] + position["sold_qty"]
    position["version"] = new["version"]
    position["mark"] = 0
    return result
