"""What positions count in their scopes' sums: exposure and PnL in the reporting currency, kept by difference.

Each position remembers what it has added, so that a change costs the same whatever else is held. A scope is valued anew
at most once for each change of the market, over its active positions only, and only when it is asked about.
"""

from __future__ import annotations

import math
from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.book import mid_half_ticks
from oms.core.margin_use import count_margin
from oms.core.positions import unrealized_pnl
from oms.core.state import MAX_ACCOUNTS, MAX_LEGS, NO_LIMIT, Record
from oms.records import CASH_SCALE, Reason

LARGEST: Final = float(2**61)
_NONE: Final = int(Reason.NONE)
_NO_PRICE: Final = int(Reason.NO_PRICE)
_NO_CONVERSION: Final = int(Reason.NO_CONVERSION)


@kernel
def whole_cash(amount: float) -> int:
    """An amount of cash rounded to a whole unit, halves up, and held inside int64."""
    return math.floor(min(max(amount, -LARGEST), LARGEST) + 0.5)


@kernel
def conversion_rate(s: Record, currency: int) -> float:
    """Reporting currency for a unit of a currency: fixed, or by the mid price of an instrument; 0: there is none."""
    if currency < 0 or s["currencies"][currency]["defined"] == 0:
        return 0.0
    row = s["currencies"][currency]
    if row["instrument"] < 0:
        return row["rate"]
    half_ticks = mid_half_ticks(s["books"][row["instrument"]])
    if half_ticks <= 0:
        return 0.0
    return row["factor"] / half_ticks if row["inverse"] != 0 else row["factor"] * half_ticks


@kernel
def option_unit(s: Record, definition: Record) -> float:
    """Settlement cash of the underlying that one lot of an option is about; 0 when it has no price."""
    underlying = definition["underlying"]
    if underlying < 0:
        return 0.0
    half_ticks = mid_half_ticks(s["books"][underlying])
    if half_ticks <= 0:
        return 0.0
    size = float(definition["size_numerator"]) / float(definition["size_denominator"])
    if definition["coin_settled"] != 0:
        return size * CASH_SCALE
    other = s["instruments"][underlying]
    return size * half_ticks * float(other["tick_numerator"]) / (2.0 * float(other["tick_denominator"]))


@kernel
def lot_unit(s: Record, definition: Record, half_ticks: int) -> float:
    """Settlement cash that one lot stands for at a mark, as a float; 0 when that is not known."""
    if definition["option_kind"] != 0:
        return option_unit(s, definition)
    if definition["inverse"] != 0:
        divisor = float(definition["inverse_denominator"]) * float(half_ticks)
        return 2.0 * float(definition["inverse_numerator"]) / divisor
    return float(half_ticks) * float(definition["cash_numerator"]) / (2.0 * float(definition["cash_denominator"]))


@kernel
def direction_of(definition: Record) -> int:
    """Which way a held lot moves with what it is about: -1 a put, +1 all else."""
    return -1 if definition["option_kind"] < 0 else 1


@kernel
def price_row(s: Record, scope: int, instrument: int, leg: int) -> None:
    """Take the mark and the rates of now for a position's valuation, without counting anything yet."""
    row = s["valuations"][scope, instrument, leg]
    definition = s["instruments"][instrument]
    half_ticks = mid_half_ticks(s["books"][instrument])
    rate = conversion_rate(s, definition["settle_currency"])
    row["half_ticks"] = half_ticks
    row["rate"] = rate
    row["unit"] = 0.0
    row["unpriced"] = _NONE
    if half_ticks <= 0:
        row["half_ticks"] = 0
        row["unpriced"] = _NO_PRICE
        return
    row["unit"] = lot_unit(s, definition, half_ticks) * rate
    if rate <= 0.0:
        row["unpriced"] = _NO_CONVERSION
    elif row["unit"] <= 0.0:
        row["unpriced"] = _NO_PRICE


@hot_kernel
def count_exposure(s: Record, scope: int, instrument: int, leg: int) -> None:
    """Count the position as it is and as far as its open orders can take it, at the valuation's mark."""
    row = s["valuations"][scope, instrument, leg]
    sums = s["scopes"][scope]
    position = s["positions"][scope, instrument, leg]
    qty = position["qty"]
    highest = qty + position["open_buy_qty"]
    lowest = qty - position["open_sell_qty"]
    unit = row["unit"]
    gross = whole_cash(max(highest, -lowest) * unit)
    direction = direction_of(s["instruments"][instrument])
    net_high = whole_cash(max(highest * direction, lowest * direction) * unit)
    net_low = whole_cash(min(highest * direction, lowest * direction) * unit)
    net = whole_cash(qty * direction * unit)
    sums["gross"] += gross - row["gross"]
    sums["net"] += net - row["net"]
    sums["net_high"] += net_high - row["net_high"]
    sums["net_low"] += net_low - row["net_low"]
    row["gross"] = gross
    row["net"] = net
    row["net_high"] = net_high
    row["net_low"] = net_low


@kernel
def count_pnl(s: Record, scope: int, instrument: int, leg: int) -> None:
    """Count the position's PnL at the valuation's mark, and in its account's wallet its margin."""
    row = s["valuations"][scope, instrument, leg]
    position = s["positions"][scope, instrument, leg]
    definition = s["instruments"][instrument]
    unrealized = unrealized_pnl(position, definition, row["half_ticks"])
    own = position["realized_pnl"] - position["fees"] + position["funding"] + unrealized
    pnl = whole_cash(own * row["rate"])
    s["scopes"][scope]["pnl"] += pnl - row["pnl"]
    row["pnl"] = pnl
    if scope < MAX_ACCOUNTS:
        count_margin(s, scope, instrument, leg, unrealized)


@kernel
def value_row(s: Record, scope: int, instrument: int, leg: int) -> None:
    """Value a position at the market as it is now."""
    price_row(s, scope, instrument, leg)
    count_exposure(s, scope, instrument, leg)
    count_pnl(s, scope, instrument, leg)


@kernel
def activate(s: Record, scope: int, instrument: int, leg: int) -> None:
    """Let a position count in its scope from here."""
    row = s["valuations"][scope, instrument, leg]
    if row["active"] != 0:
        return
    sums = s["scopes"][scope]
    row["active"] = 1
    row["next_active"] = sums["first_active"]
    sums["first_active"] = instrument * MAX_LEGS + leg
    price_row(s, scope, instrument, leg)
    count_pnl(s, scope, instrument, leg)
    if row["unpriced"] != _NONE:
        sums["unpriced"] += 1
        sums["unpriced_reason"] = row["unpriced"]


@kernel
def is_settled(s: Record, scope: int, instrument: int, leg: int) -> bool:
    """True when the market cannot change what a position counts: it is flat, nothing is open, its rate is fixed."""
    position = s["positions"][scope, instrument, leg]
    if position["qty"] != 0 or position["open_orders"] != 0:
        return False
    if position["open_buy_qty"] != 0 or position["open_sell_qty"] != 0:
        return False
    currency = s["instruments"][instrument]["settle_currency"]
    return bool(currency >= 0 and s["currencies"][currency]["instrument"] < 0)


@kernel
def revalue(s: Record, scope: int) -> None:
    """Value every active position of a scope at the market of now, unless that has been done."""
    sums = s["scopes"][scope]
    if sums["valued_at"] == s["market_updates"]:
        return
    sums["valued_at"] = s["market_updates"]
    unpriced = 0
    before = -1
    number = sums["first_active"]
    while number >= 0:
        instrument = number // MAX_LEGS
        leg = number % MAX_LEGS
        row = s["valuations"][scope, instrument, leg]
        following = row["next_active"]
        value_row(s, scope, instrument, leg)
        if is_settled(s, scope, instrument, leg):
            row["active"] = 0
            if before < 0:
                sums["first_active"] = following
            else:
                s["valuations"][scope, before // MAX_LEGS, before % MAX_LEGS]["next_active"] = following
        else:
            before = number
            if row["unpriced"] != _NONE:
                unpriced += 1
                sums["unpriced_reason"] = row["unpriced"]
        number = following
    sums["unpriced"] = unpriced
    if scope < MAX_ACCOUNTS and sums["max_leverage"] != NO_LIMIT:
        sums["equity_start"] = whole_cash(wallets_worth(s, scope)) - sums["pnl"]


@kernel
def wallets_worth(s: Record, account: int) -> float:
    """What an account's wallets hold and its positions on margin are worth, in the reporting currency.

    A wallet whose currency has no rate counts nothing.
    """
    total = 0.0
    for number in range(s["wallets_used"]):
        wallet = s["wallets"][account, number]
        total += float(wallet["balance"] + wallet["unrealized"]) * conversion_rate(s, wallet["currency"])
    number = s["scopes"][account]["first_active"]
    while number >= 0:
        row = s["valuations"][account, number // MAX_LEGS, number % MAX_LEGS]
        total += float(row["apart"]) * row["rate"]
        number = row["next_active"]
    return total


@kernel
def equity_of(s: Record, scope: int) -> int:
    """What a scope is worth in the reporting currency: what it began with, and its PnL."""
    return s["scopes"][scope]["equity_start"] + s["scopes"][scope]["pnl"]
