"""Positions and PnL in integers, for every kind of instrument, side and cost basis by one formula.

A quantity has a cost, positive for what is bought. Its unit is the tick-lot, price times quantity, exactly; for an
inverse contract it is minus the value in cash, rounded half to even once per fill. PnL is then what selling brings less
what buying cost, turned into cash (1e-8 of the settlement currency) by the instrument's ratio, rounded half to even
once per fill. Signed quantities carry the side, so that longs and shorts are one path. ``docs/positions.md`` has the
formulas.

What could leave int64 is refused before anything is changed: ask ``fits``, ``fill_fits`` or ``position_fits`` first.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.costs import add_lot, free_lots, release_cost
from oms.core.exact import PRODUCT_LIMIT, add_half_even, add_scaled, at_rate, product_fits, quotient_fits, scaled, share
from oms.core.state import Record
from oms.records import CASH_SCALE, CostBasis, Liquidity

_MAKER: Final = int(Liquidity.MAKER)
_FIFO: Final = int(CostBasis.FIFO)
SUM_LIMIT: Final = float(2**61)
LOTS_LIMIT: Final = float(2**32)
PRICE_ROOM: Final = 8
"""A position that ``position_fits`` can be valued when the price has moved by this factor against int64."""


@kernel
def value_at(instrument: Record, half_ticks: int, qty: int) -> int:
    """Notional of ``qty`` lots at a price in half ticks, in settlement cash; for an option its premium."""
    if instrument["inverse"] != 0:
        return scaled(2 * instrument["inverse_numerator"], qty, instrument["inverse_denominator"] * half_ticks)
    return scaled(half_ticks * qty, instrument["cash_numerator"], 2 * instrument["cash_denominator"])


@hot_kernel
def value_of(instrument: Record, px: int, qty: int) -> int:
    """Notional of ``qty`` lots at ``px`` ticks, in settlement cash; for an option its premium."""
    if instrument["inverse"] != 0:
        return scaled(instrument["inverse_numerator"], qty, instrument["inverse_denominator"] * px)
    return cost_to_cash(instrument, px * qty)


@kernel
def cost_of(instrument: Record, px: int, qty: int) -> int:
    """What buying ``qty`` lots at ``px`` costs: tick-lots; inverse: minus the value in cash."""
    if instrument["inverse"] != 0:
        return -value_of(instrument, px, qty)
    return px * qty


@hot_kernel
def cost_to_cash(instrument: Record, cost: int) -> int:
    """A cost as cash, rounded half to even."""
    if instrument["cash_denominator"] == 1:
        return cost * instrument["cash_numerator"]
    return scaled(cost, instrument["cash_numerator"], instrument["cash_denominator"])


@hot_kernel
def fits(instrument: Record, px: int, qty: int) -> bool:
    """True when value and cost of ``qty`` lots at ``px`` ticks, and half a tick either way, can be computed exactly."""
    if instrument["inverse"] != 0:
        divisor = float(instrument["inverse_denominator"]) * px
        return bool(
            px > 0
            and 2.0 * divisor < PRODUCT_LIMIT
            and float(instrument["inverse_numerator"]) * 2.0 * qty / divisor < PRODUCT_LIMIT
        )
    return product_fits(2 * px, qty) and quotient_fits(
        px * qty, 2 * instrument["cash_numerator"], instrument["cash_denominator"]
    )


@kernel
def position_fits(instrument: Record, half_ticks: int, qty: int) -> bool:
    """True when ``qty`` lots can be valued exactly now and when the price has moved eightfold."""
    if instrument["inverse"] != 0:
        return fits(instrument, max(half_ticks // (2 * PRICE_ROOM), 1), qty)
    return product_fits(half_ticks, PRICE_ROOM) and fits(instrument, half_ticks * (PRICE_ROOM // 2), qty)


@kernel
def fill_fits(position: Record, instrument: Record, px: int, qty: int, fee: int) -> bool:
    """True when a fill, whatever its side, can be booked exactly and leaves every sum of the position inside int64."""
    if not fits(instrument, px, qty):
        return False
    value = float(value_of(instrument, px, qty))
    cost = float(abs(position["open_cost"])) + float(abs(cost_of(instrument, px, qty)))
    cost_cash = cost * float(instrument["cash_numerator"]) / float(instrument["cash_denominator"])
    return bool(
        cost * float(instrument["inverse_denominator"]) < SUM_LIMIT
        and cost_cash < SUM_LIMIT
        and float(abs(position["realized_pnl"])) + cost_cash < SUM_LIMIT
        and float(abs(position["cash"])) + value < SUM_LIMIT
        and float(abs(position["fees"])) + float(abs(fee)) + value < SUM_LIMIT
        and float(abs(position["qty"])) + float(qty) < LOTS_LIMIT
        and float(position["bought_qty"]) + float(position["sold_qty"]) + float(qty) < SUM_LIMIT
    )


@kernel
def fee_of(instrument: Record, notional: int, liquidity: int) -> int:
    """Fee on a notional in cash at the instrument's maker or taker rate, rounded half to even; paid is positive."""
    return at_rate(notional, instrument["maker_fee_rate"] if liquidity == _MAKER else instrument["taker_fee_rate"])


@kernel
def closable_qty(position: Record, side: int) -> int:
    """Lots that a fill of ``side`` can close; what is over opens on the other side."""
    return abs(position["qty"]) if position["qty"] * side < 0 else 0


@kernel
def apply_fill(
    s: Record, position: Record, instrument: Record, cost_basis: int, side: int, px: int, qty: int, fee: int
) -> int:
    """Book one fill and return the cash that it realized, before fees: what it closes, at average or oldest cost.

    What is left opens at its price. Of a fill that turns a position over, both parts bear their share of its cost.
    """
    cost = cost_of(instrument, px, qty)
    position["cash"] -= side * cost_to_cash(instrument, cost)
    position["fees"] += fee
    position["fills"] += 1
    if side > 0:
        position["bought_qty"] += qty
    else:
        position["sold_qty"] += qty
    realized = 0
    closed = min(qty, closable_qty(position, side))
    if closed > 0:
        closing_cost = share(cost, closed, qty)
        if cost_basis == _FIFO:
            released = release_cost(s, position, closed)
        else:
            released = share(position["open_cost"], closed, abs(position["qty"]))
        realized = cost_to_cash(instrument, -side * closing_cost - released)
        position["realized_pnl"] += realized
        position["open_cost"] -= released
        position["qty"] += side * closed
        cost -= closing_cost
        qty -= closed
    if qty > 0:
        position["open_cost"] += side * cost
        position["qty"] += side * qty
        if cost_basis == _FIFO:
            add_lot(s, position, qty, side * cost)
    return realized


@kernel
def unrealized_pnl(position: Record, instrument: Record, half_ticks: int) -> int:
    """Unrealized PnL in cash at a mark in half ticks, rounded half to even once; 0 without a mark."""
    qty = position["qty"]
    if half_ticks <= 0 or qty == 0:
        return 0
    if instrument["inverse"] != 0:
        divisor = instrument["inverse_denominator"] * half_ticks
        return add_scaled(-position["open_cost"], -qty, 2 * instrument["inverse_numerator"], divisor)
    tick_lots_twice = qty * half_ticks - 2 * position["open_cost"]
    return scaled(tick_lots_twice, instrument["cash_numerator"], 2 * instrument["cash_denominator"])


@kernel
def average_px(position: Record, instrument: Record) -> int:
    """Average price of the open quantity in 1e-8 ticks, for an inverse contract the harmonic one; 0 when flat."""
    lots = abs(position["qty"])
    cost = abs(position["open_cost"])
    if lots == 0 or cost == 0:
        return 0
    if instrument["inverse"] != 0:
        return scaled(instrument["inverse_numerator"], lots * CASH_SCALE, instrument["inverse_denominator"] * cost)
    each = cost // lots
    return add_half_even(each * CASH_SCALE, (cost - each * lots) * CASH_SCALE, lots)


@kernel
def average_fits(instrument: Record, px: int) -> bool:
    """True when ``cost_at_average`` can compute with ``px`` ticks and a fraction."""
    return bool(float(instrument["inverse_denominator"]) * (float(px) + 1.0) * CASH_SCALE < PRODUCT_LIMIT)


@kernel
def cost_at_average(instrument: Record, px: int, px_fraction: int, qty: int) -> int:
    """What ``qty`` lots have cost at an average of ``px`` ticks and ``px_fraction`` 1e-8 ticks; see ``average_px``."""
    if instrument["inverse"] != 0:
        divisor = instrument["inverse_denominator"] * (px * CASH_SCALE + px_fraction)
        return -scaled(instrument["inverse_numerator"], qty * CASH_SCALE, divisor)
    return add_scaled(px * qty, qty, px_fraction, CASH_SCALE)


@kernel
def funding_of(position: Record, instrument: Record, half_ticks: int, rate: int) -> int:
    """Funding in cash that the position receives at a mark in half ticks and a rate in 1e-8, rounded half to even.

    Longs pay when the rate is above zero. It is on the notional in whole cash, as fees are.
    """
    qty = position["qty"]
    if qty == 0 or half_ticks <= 0:
        return 0
    amount = at_rate(value_at(instrument, half_ticks, abs(qty)), rate)
    return -amount if qty > 0 else amount


@kernel
def book_funding(position: Record, amount: int) -> None:
    """Book funding in cash, received positive: what ``funding_of`` gave, or the venue's own amount as a fact."""
    position["funding"] += amount


@kernel
def close_at_value(s: Record, position: Record, instrument: Record, value: int, fee: int) -> int:
    """Close the whole position for ``value`` (cash, >= 0) and return the cash that this realized, before fees."""
    qty = position["qty"]
    received = value if qty > 0 else -value
    if instrument["inverse"] != 0:
        received = -received
    realized = received - cost_to_cash(instrument, position["open_cost"])
    position["cash"] += received
    position["realized_pnl"] += realized
    position["fees"] += fee
    if qty > 0:
        position["sold_qty"] += qty
    else:
        position["bought_qty"] -= qty
    position["qty"] = 0
    position["open_cost"] = 0
    free_lots(s, position)
    return realized
