"""The size and the price of a child order: on the grid, and within what risk and the venue let through.

A child that risk would refuse for its size alone is made smaller, down to the venue's smallest order; one that cannot
be made to fit is asked for all the same, so that the refusal is told.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.book import mid_half_ticks
from oms.core.exposure import check_hedging_leg, check_position
from oms.core.positions import fits, value_of
from oms.core.state import Record
from oms.core.terms import fraction_of
from oms.core.trading import leg_of, scope_of_strategy, state_of_scope
from oms.records import OrderFlag, Reason, TradingState

_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_REDUCING: Final = int(TradingState.REDUCING)
_NONE: Final = int(Reason.NONE)


@kernel
def least_qty(s: Record, instrument: int, px: int) -> int:
    """Lots of the smallest order in an instrument at a price."""
    definition = s["instruments"][instrument]
    qty = max(definition["min_qty"], 1)
    least = definition["min_notional"]
    if least <= 0 or px <= 0 or not fits(definition, px, qty):
        return qty
    value = value_of(definition, px, qty)
    if value >= least:
        return qty
    qty = max(qty, (least * qty + max(value, 1) - 1) // max(value, 1))
    while fits(definition, px, qty) and value_of(definition, px, qty) < least:
        qty += 1
    return qty


@kernel
def bounded_qty(s: Record, scope: int, instrument: int, px: int, largest: int) -> int:
    """``largest`` bounded by the largest order of a scope at a price."""
    definition = s["instruments"][instrument]
    limits = s["limits"][scope, instrument]
    if limits["defined"] == 0:
        return largest
    largest = min(largest, limits["max_order_qty"])
    if not fits(definition, px, largest):
        return largest
    value = value_of(definition, px, largest)
    if value > limits["max_order_notional"]:
        largest = int(largest * (float(limits["max_order_notional"]) / value))
    return largest


@kernel
def largest_qty(s: Record, order: Record, instrument: int, px: int) -> int:
    """Lots of the largest child of ``order`` in an instrument: by the venue, the account and the strategy."""
    largest = bounded_qty(s, order["account"], instrument, px, s["instruments"][instrument]["max_qty"])
    if order["strategy"] >= 0:
        largest = bounded_qty(s, scope_of_strategy(order["strategy"]), instrument, px, largest)
    return largest


@kernel
def fitting_qty(s: Record, order: Record, instrument: int, px: int, qty: int, most: int) -> int:
    """Lots of a child of about ``qty``, of which at most ``most`` are left; 0: none fits.

    Where the account's largest order is less than the venue's smallest it is that, and will be refused.
    """
    least = least_qty(s, instrument, px)
    largest = max(largest_qty(s, order, instrument, px), least)
    if most < least:
        return 0
    qty = min(max(qty, least), most)
    if 0 < most - qty < least:
        qty = most
    if qty > largest:
        qty = largest
        if 0 < most - qty < least:
            qty = most - least
    return qty if least <= qty <= largest else 0


@kernel
def is_reachable(s: Record, order: Record, instrument: int, qty: int) -> bool:
    """True when a child of so many lots keeps the positions of account and strategy within their limits."""
    side = order["side"]
    leg = leg_of(order["flags"])
    if check_hedging_leg(s, order["account"], instrument, leg, side, qty) != _NONE:
        return False
    scope = order["account"]
    for _ in range(2):
        reducing = bool(order["flags"] & _REDUCE_ONLY) or state_of_scope(s, scope) == _REDUCING
        if check_position(s, scope, instrument, leg, side, qty, reducing) != _NONE:
            return False
        if order["strategy"] < 0:
            break
        scope = scope_of_strategy(order["strategy"])
    return True


@kernel
def reachable_child_qty(s: Record, order: Record, instrument: int, px: int, qty: int) -> int:
    """``qty``, or less where positions bound it; where less than the smallest order is left, ``qty`` all the same."""
    if is_reachable(s, order, instrument, qty):
        return qty
    low = 0
    high = qty
    while high - low > 1:
        middle = (low + high) >> 1
        if is_reachable(s, order, instrument, middle):
            low = middle
        else:
            high = middle
    return low if low >= least_qty(s, instrument, px) else qty


@kernel
def collared_px(s: Record, scope: int, instrument: int, side: int, px: int) -> int:
    """The price of a child that takes, no farther from the market than a scope's collar."""
    limits = s["limits"][scope, instrument]
    if limits["defined"] == 0:
        return px
    book = s["books"][instrument]
    half_ticks = mid_half_ticks(book)
    if half_ticks <= 0:
        return px
    bound = (half_ticks + side * fraction_of(half_ticks, limits["collar_rate"])) * side // 2 * side
    if (px - bound) * side > 0:
        px = bound
    trade_px = book["trade_px"]
    if trade_px > 0:
        bound = trade_px + side * fraction_of(trade_px, limits["collar_rate"])
        if (px - bound) * side > 0:
            px = bound
    return px


@kernel
def taking_px(s: Record, order: Record, instrument: int, px: int) -> int:
    """The price up to which a child takes: as it was wanted, within the collars of account and strategy."""
    px = collared_px(s, order["account"], instrument, order["side"], px)
    if order["strategy"] >= 0:
        px = collared_px(s, scope_of_strategy(order["strategy"]), instrument, order["side"], px)
    return max(px, 1)
