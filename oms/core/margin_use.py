"""Margin of accounts' positions and open orders, in flight included, and what it takes of their wallets.

The margin is for the farthest position that the open orders can reach, the position at its mark and the orders at their
own prices, at the account's leverage within the instrument's tiers; with it the taker fee of the open orders. An
isolated position takes what was assigned to it instead (``isolated``), and its open orders what they would add to that.
Options have rules of their own (``option_margin``).
"""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.margin import tier_of
from oms.core.option_margin import UNKNOWN, option_needs
from oms.core.positions import cost_to_cash, value_at
from oms.core.state import Record
from oms.instrument_kinds import InstrumentKind
from oms.records import CASH_SCALE, MarginMode

ONE_CASH: Final = 1.0 / CASH_SCALE
_SPOT: Final = int(InstrumentKind.SPOT)
_ISOLATED: Final = int(MarginMode.ISOLATED)


@hot_kernel
def at_rate_up(amount: int, rate: int) -> int:
    """``amount`` (>= 0) at a rate in 1e-8, rounded up, exactly.

    It is split near the rate's scale, so that no product leaves int64; where it is split does not matter, so a float
    says where, which is quicker than a division.
    """
    whole = int(amount * ONE_CASH)
    return whole * rate + ((amount - whole * CASH_SCALE) * rate + CASH_SCALE - 1) // CASH_SCALE


@hot_kernel
def leverage_rate(s: Record, account: int, instrument: int, leg: int) -> int:
    """One over the leverage of a position in 1e-8, rounded up: its own, else its account's, within the instrument's."""
    row = s["valuations"][account, instrument, leg]
    leverage = s["positions"][account, instrument, leg]["leverage"]
    if leverage == 0:
        leverage = s["accounts"][account]["leverage"]
    leverage = min(max(leverage, CASH_SCALE), max(s["instruments"][instrument]["max_leverage"], CASH_SCALE))
    if row["leverage"] != leverage:
        row["leverage"] = leverage
        row["leverage_rate"] = -(-(CASH_SCALE * CASH_SCALE) // leverage)
    return row["leverage_rate"]


@hot_kernel
def margin_at(s: Record, account: int, instrument: int, leg: int, value: int) -> int:
    """Initial margin of a notional (>= 0) at the account's leverage, within the instrument's and its tiers."""
    definition = s["instruments"][instrument]
    tier_rate = definition["tiers"][tier_of(definition, value)]["initial_rate"]
    return at_rate_up(value, max(leverage_rate(s, account, instrument, leg), tier_rate))


@hot_kernel
def margin_for(
    s: Record, account: int, instrument: int, leg: int, position_value: int, buy_value: int, sell_value: int
) -> int:
    """Settlement cash that a position of this signed value with these open orders needs; not for options.

    Of an isolated position the value is what it cost, and its own part is what is assigned to it.
    """
    definition = s["instruments"][instrument]
    fees = at_rate_up(buy_value + sell_value, max(definition["taker_fee_rate"], 0))
    worst = max(position_value + buy_value, sell_value - position_value)
    margin = margin_at(s, account, instrument, leg, worst)
    position = s["positions"][account, instrument, leg]
    if position["margin_mode"] == _ISOLATED:
        margin += position["isolated_margin"] - margin_at(s, account, instrument, leg, abs(position_value))
    return fees + margin


@kernel
def margin_for_option(
    s: Record, account: int, instrument: int, leg: int, buy_qty: int, buy_value: int, sell_qty: int, sell_value: int
) -> int:
    """The same for a position in an option with these open orders; UNKNOWN when a short one cannot be margined now."""
    definition = s["instruments"][instrument]
    half_ticks = s["valuations"][account, instrument, leg]["half_ticks"]
    qty = s["positions"][account, instrument, leg]["qty"]
    needed = option_needs(s, definition, half_ticks, qty - sell_qty, qty + buy_qty, buy_value)
    if needed == UNKNOWN:
        return UNKNOWN
    return needed + at_rate_up(buy_value + sell_value, max(definition["taker_fee_rate"], 0))


@kernel
def signed_value(definition: Record, position: Record, half_ticks: int) -> int:
    """Value of a position in settlement cash at its mark, at its cost where there is none; negative for a short."""
    qty = position["qty"]
    if qty == 0:
        return 0
    if half_ticks > 0:
        value = value_at(definition, half_ticks, abs(qty))
    else:
        value = abs(cost_to_cash(definition, position["open_cost"]))
    return value if qty > 0 else -value


@hot_kernel
def _set_margin(s: Record, account: int, instrument: int, leg: int, margin: int) -> None:
    row = s["valuations"][account, instrument, leg]
    wallet = s["instruments"][instrument]["settle_wallet"]
    if wallet >= 0:
        s["wallets"][account, wallet]["margin"] += margin - row["margin"]
    row["margin"] = margin


@kernel
def _option_margin(s: Record, account: int, instrument: int, leg: int) -> int:
    """Margin of a position in an option with its open orders; UNKNOWN when it cannot be margined now."""
    row = s["valuations"][account, instrument, leg]
    position = s["positions"][account, instrument, leg]
    buy_qty = position["open_buy_qty"]
    sell_qty = position["open_sell_qty"]
    return margin_for_option(
        s, account, instrument, leg, buy_qty, row["open_buy_value"], sell_qty, row["open_sell_value"]
    )


@hot_kernel
def place_margin(s: Record, account: int, instrument: int, leg: int) -> None:
    """Bring the margin of a position, and its wallet's sum, in line with its value and its open orders.

    That of a short option which cannot be margined now stays what it was.
    """
    if s["instruments"][instrument]["option_kind"] == 0:
        row = s["valuations"][account, instrument, leg]
        buy_value = row["open_buy_value"]
        sell_value = row["open_sell_value"]
        margin = margin_for(s, account, instrument, leg, row["position_value"], buy_value, sell_value)
    else:
        margin = _option_margin(s, account, instrument, leg)
        if margin == UNKNOWN:
            return
    _set_margin(s, account, instrument, leg, margin)


@kernel
def keep_margin(s: Record, account: int, instrument: int, leg: int, margin: int) -> None:
    """Leave an option that cannot be margined now no less than ``margin``, which it had with the same open orders."""
    row = s["valuations"][account, instrument, leg]
    if s["instruments"][instrument]["option_kind"] == 0 or row["margin"] >= margin:
        return
    if _option_margin(s, account, instrument, leg) == UNKNOWN:
        _set_margin(s, account, instrument, leg, margin)


@kernel
def count_margin(s: Record, account: int, instrument: int, leg: int, unrealized: int) -> None:
    """Count a position's value and unrealized PnL at its valuation's mark; spot has neither margin nor debt.

    An isolated position counts what it cost, and its unrealized PnL is no matter of the wallet's other positions. An
    option has been paid: it is worth its value, which is not free.
    """
    definition = s["instruments"][instrument]
    if definition["kind"] == _SPOT:
        return
    row = s["valuations"][account, instrument, leg]
    position = s["positions"][account, instrument, leg]
    half_ticks = row["half_ticks"]
    row["apart"] = 0
    if position["margin_mode"] == _ISOLATED:
        row["apart"] = unrealized
        unrealized = 0
        half_ticks = 0
    row["position_value"] = signed_value(definition, position, half_ticks)
    if definition["option_kind"] != 0:
        row["apart"] = row["position_value"]
        unrealized = 0
    wallet = definition["settle_wallet"]
    if wallet >= 0:
        s["wallets"][account, wallet]["unrealized"] += unrealized - row["unrealized"]
    row["unrealized"] = unrealized
    place_margin(s, account, instrument, leg)
