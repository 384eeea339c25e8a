"""Margin: initial, tiered maintenance, liquidation price and distance, and the margin of options.

Margins are cash, in integers, rounded up. A liquidation price is solved in closed form for each tier; it is the one
figure here that is float64 (relative error below 2e-15), and it is rounded towards the market, so that it is never
too far away. The formulas' sources are in ``docs/positions.md``.
"""

from __future__ import annotations

import math
from typing import Final

from oms.compiled import kernel
from oms.core.exact import scaled_up, wide_divide
from oms.core.positions import cost_to_cash, position_fits, unrealized_pnl, value_at
from oms.core.settlement import contract_fits, contract_value
from oms.core.state import Record
from oms.records import CASH_SCALE, EVERY_PRICE

ONE: Final = float(CASH_SCALE)
PRICE_ERROR: Final = 2e-15


@kernel
def tier_of(instrument: Record, value: int) -> int:
    """Number of the tier that a notional is in."""
    tier = 0
    while tier + 1 < instrument["tier_count"] and instrument["tiers"][tier + 1]["floor_value"] <= value:
        tier += 1
    return tier


@kernel
def initial_margin(instrument: Record, value: int, leverage: int) -> int:
    """Cash that a notional needs at a leverage in 1e-8, rounded up.

    The whole notional is at the rate of its tier, or at one over the leverage when that is more. A leverage below 1
    counts as 1, one above the instrument's as the instrument's. Without tiers (spot) the value is needed in full.
    """
    if instrument["tier_count"] == 0:
        return value
    leverage = min(max(leverage, CASH_SCALE), instrument["max_leverage"])
    tier_rate = instrument["tiers"][tier_of(instrument, value)]["initial_rate"]
    return max(scaled_up(value, CASH_SCALE, leverage), scaled_up(value, tier_rate, CASH_SCALE))


@kernel
def maintenance_margin(instrument: Record, value: int) -> int:
    """Cash below which a position of this notional is liquidated: value * rate - deduction of its tier, rounded up."""
    if instrument["tier_count"] == 0:
        return 0
    tier = instrument["tiers"][tier_of(instrument, value)]
    return max(scaled_up(value, tier["maintenance_rate"], CASH_SCALE) - tier["maintenance_deduction"], 0)


@kernel
def liquidation_value(position: Record, instrument: Record, balance: int) -> float:
    """Notional in cash at which balance + unrealized PnL is the maintenance margin; 0 or less when there is none.

    With cost C (cash, signed), balance B, a tier's rate r and deduction D, and u = +1 where PnL grows with the value (a
    linear long, an inverse short), else -1: B + u * V - C = r * V - D, so V = (C - B - D) / (u - r). That is Binance's
    formula, its entry price times quantity written as C. Maintenance is continuous and convex in V, so the first tier
    whose solution lies below the next tier's floor is the one.
    """
    along = 1.0 if (position["qty"] > 0) == (instrument["inverse"] == 0) else -1.0
    gap = cost_to_cash(instrument, position["open_cost"]) - balance
    value = 0.0
    for number in range(instrument["tier_count"]):
        tier = instrument["tiers"][number]
        value = float(gap - tier["maintenance_deduction"]) / (along * ONE - float(tier["maintenance_rate"])) * ONE
        if number + 1 < instrument["tier_count"] and value >= float(instrument["tiers"][number + 1]["floor_value"]):
            continue
        break
    return value


@kernel
def liquidation_px(position: Record, instrument: Record, balance: int) -> int:
    """Liquidation price in 1e-8 ticks: a long is liquidated at it and below, a short at it and above.

    Parameters
    ----------
    balance : int
        Cash that stands behind the position; see ``liquidation.balance_behind``.

    Returns
    -------
    int
        0 and ``EVERY_PRICE`` are no prices: a long at 0, a short at EVERY_PRICE is never liquidated, the other way
        round it is at every price. 0 also for what is flat or not margined.
    """
    qty = position["qty"]
    if qty == 0 or instrument["tier_count"] == 0:
        return 0
    value = liquidation_value(position, instrument, balance)
    if instrument["inverse"] != 0:
        if value <= 0.0:
            return EVERY_PRICE
        px = float(instrument["inverse_numerator"]) * abs(qty) / float(instrument["inverse_denominator"]) / value
    else:
        if value <= 0.0:
            return 0
        px = value * float(instrument["cash_denominator"]) / float(instrument["cash_numerator"]) / abs(qty)
    px *= ONE
    if px >= EVERY_PRICE / 2.0:
        return EVERY_PRICE
    return math.ceil(px * (1.0 + PRICE_ERROR)) if qty > 0 else math.floor(px * (1.0 - PRICE_ERROR))


@kernel
def liquidation_distance(position: Record, liquidation: int, half_ticks: int) -> int:
    """How far the mark (half ticks) may move against the position until ``liquidation`` (1e-8 ticks), in 1e-8 of it.

    Zero or less: it is reached. CASH_SCALE (the whole price) for a long that is never liquidated, EVERY_PRICE for a
    short, and for what is flat or has no mark.
    """
    qty = position["qty"]
    if qty == 0 or half_ticks <= 0:
        return EVERY_PRICE
    side = 1 if qty > 0 else -1
    if liquidation == EVERY_PRICE:
        return -side * EVERY_PRICE
    mark = float(half_ticks) * (ONE / 2)
    return math.floor((mark - float(liquidation)) * side / mark * ONE)


@kernel
def short_option_margin(instrument: Record, underlying_price: int, half_ticks: int, qty: int) -> tuple[int, int]:
    """Initial and maintenance margin in cash of ``qty`` lots of a short option, by Deribit's standard-margin rule.

    Parameters
    ----------
    underlying_price : int
        1e-8 of the quote currency, above 0.
    half_ticks : int
        The option's own mark.

    Notes
    -----
    Per unit of the underlying, with the instrument's three rates, M the option's mark and OTM how far it is out of the
    money: a call needs max(initial - OTM / underlying, least) + M, and maintenance + M as maintenance; a put the same
    or its maintenance if that is more, which is max(maintenance, maintenance * M) + M. Here the rates are of the
    underlying's notional.
    """
    notional = contract_value(instrument, underlying_price, qty)
    mark_value = value_at(instrument, half_ticks, qty)
    kind = instrument["option_kind"]
    out_of_the_money = max(kind * (instrument["strike"] - underlying_price), 0)
    discount, _ = wide_divide(min(out_of_the_money, underlying_price), CASH_SCALE, underlying_price)
    rate = max(instrument["option_initial_rate"] - discount, instrument["option_least_rate"])
    maintenance_rate = instrument["option_maintenance_rate"]
    maintenance = scaled_up(notional, maintenance_rate, CASH_SCALE)
    if kind < 0:
        maintenance = max(maintenance, scaled_up(mark_value, maintenance_rate, CASH_SCALE))
    maintenance += mark_value
    return max(scaled_up(notional, rate, CASH_SCALE) + mark_value, maintenance), maintenance


@kernel
def revalue(position: Record, instrument: Record, half_ticks: int, underlying_price: int) -> bool:
    """Bring mark, value, unrealized PnL and margins of a position up to date; False: they stay as they were.

    They stay without a mark, where they would not fit 64-bit integers, and for a short option without the underlying's
    price (1e-8 of the quote currency; other kinds do not need it). Spot and bought options are paid and need no margin.
    """
    qty = position["qty"]
    lots = abs(qty)
    short_option = instrument["option_kind"] != 0 and qty < 0
    if lots != 0 and (
        half_ticks <= 0
        or not position_fits(instrument, half_ticks, lots)
        or (short_option and not contract_fits(instrument, underlying_price, lots))
    ):
        return False
    initial = 0
    maintenance = 0
    value = value_at(instrument, half_ticks, lots) if lots != 0 else 0
    if short_option:
        initial, maintenance = short_option_margin(instrument, underlying_price, half_ticks, lots)
    elif instrument["tier_count"] != 0:
        initial = initial_margin(instrument, value, position["leverage"])
        maintenance = maintenance_margin(instrument, value)
    position["mark"] = half_ticks
    position["value"] = value
    position["unrealized_pnl"] = unrealized_pnl(position, instrument, half_ticks)
    position["initial_margin"] = initial
    position["maintenance_margin"] = maintenance
    return True
