"""Positions and PnL in integers: average cost, realized and unrealized PnL, fees.

A price times a quantity is in tick-lots; ``cash`` turns tick-lots into 1e-8 of the settlement currency, rounded half to
even once per fill. Signed quantities carry the side, so that longs and shorts are one path.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.book import mid_half_ticks
from oms.core.state import Record
from oms.records import CASH_SCALE, Liquidity

_MAKER: Final = int(Liquidity.MAKER)
PRODUCT_LIMIT: Final = float(2**62)


@kernel
def add_half_even(whole: int, numerator: int, denominator: int) -> int:
    """``whole + numerator / denominator`` (denominator > 0) rounded half to even, exactly: the sum is made even."""
    fraction = numerator // denominator
    total = whole + fraction
    twice = 2 * (numerator - fraction * denominator)
    if twice > denominator or (twice == denominator and total & 1):
        total += 1
    return total


@kernel
def divide_half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` (denominator > 0) rounded half to even, exactly."""
    return add_half_even(0, numerator, denominator)


@kernel
def product_fits(a: int, b: int) -> bool:
    """True when ``a * b`` is safely inside int64."""
    return bool(-PRODUCT_LIMIT < float(a) * float(b) < PRODUCT_LIMIT)


@kernel
def cash(instrument: Record, tick_lots: int) -> int:
    """Tick-lots of an instrument as cash, rounded half to even."""
    if instrument["cash_denominator"] == 1:
        return tick_lots * instrument["cash_numerator"]
    return divide_half_even(tick_lots * instrument["cash_numerator"], instrument["cash_denominator"])


@kernel
def fee_of(instrument: Record, notional: int, liquidity: int) -> int:
    """Fee on a notional in cash at the instrument's maker or taker rate, rounded half to even; paid is positive.

    The notional is split at the rate's scale, so that no product leaves int64.
    """
    rate = instrument["maker_fee_rate"] if liquidity == _MAKER else instrument["taker_fee_rate"]
    whole = notional // CASH_SCALE
    return add_half_even(whole * rate, (notional - whole * CASH_SCALE) * rate, CASH_SCALE)


@kernel
def share(amount: int, part: int, whole: int) -> int:
    """``amount * part / whole`` (0 < part <= whole < 2**31) rounded half to even, without a large product."""
    each = amount // whole
    return add_half_even(each * part, (amount - each * whole) * part, whole)


@kernel
def apply_fill(position: Record, instrument: Record, side: int, px: int, qty: int, fee: int) -> None:
    """Book one fill: what it closes is realized at average cost, what is left opens at its price."""
    position["cash"] -= side * cash(instrument, px * qty)
    position["fees"] += fee
    position["fills"] += 1
    if side > 0:
        position["bought_qty"] += qty
    else:
        position["sold_qty"] += qty
    held = position["qty"]
    if held * side < 0:
        closed = min(qty, abs(held))
        closed_cost = share(position["open_cost"], closed, abs(held))
        position["realized_pnl"] += cash(instrument, -side * px * closed - closed_cost)
        position["open_cost"] -= closed_cost
        position["qty"] += side * closed
        qty -= closed
    position["open_cost"] += side * qty * px
    position["qty"] += side * qty


@kernel
def unrealized_pnl(position: Record, instrument: Record, book: Record) -> int:
    """Unrealized PnL in cash at the book's mid price (the last trade's when a side is empty); 0 without a price."""
    half_ticks = mid_half_ticks(book)
    if half_ticks == 0 or position["qty"] == 0:
        return 0
    tick_lots_twice = position["qty"] * half_ticks - 2 * position["open_cost"]
    return divide_half_even(tick_lots_twice * instrument["cash_numerator"], 2 * instrument["cash_denominator"])


@kernel
def average_px(position: Record) -> int:
    """Average price of the open quantity in 1e-8 ticks; 0 when flat."""
    qty = position["qty"]
    if qty == 0:
        return 0
    lots = abs(qty)
    cost = abs(position["open_cost"])
    each = cost // lots
    return add_half_even(each * CASH_SCALE, (cost - each * lots) * CASH_SCALE, lots)
