"""Liquidation of accounts' positions: what stands behind each, and at which price that is used up.

Behind an isolated position there is its own margin, and nothing else; behind a cross one what its wallet has beside
that, with the unrealized PnL and less the maintenance margin of the wallet's other cross positions, at the marks of
their valuation.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.margin import liquidation_distance, liquidation_px, maintenance_margin
from oms.core.option_margin import UNKNOWN, short_margins
from oms.core.state import MAX_LEGS, Record
from oms.records import MarginMode

_ISOLATED: Final = int(MarginMode.ISOLATED)


@kernel
def taken_from_wallet(s: Record, account: int, instrument: int, leg: int) -> int:
    """Cash that a position takes from what stands behind the other cross positions of its wallet.

    A bought option takes nothing, and gives nothing; a short one takes its maintenance margin, while that is not known
    all that it has in margin.
    """
    position = s["positions"][account, instrument, leg]
    row = s["valuations"][account, instrument, leg]
    if position["margin_mode"] == _ISOLATED:
        return position["isolated_margin"]
    if s["instruments"][instrument]["option_kind"] != 0:
        _, maintenance = short_margins(s, s["instruments"][instrument], row["half_ticks"], -position["qty"])
        return maintenance if maintenance != UNKNOWN else row["margin"]
    return maintenance_margin(s["instruments"][instrument], abs(row["position_value"])) - row["unrealized"]


@kernel
def balance_behind(s: Record, account: int, instrument: int, leg: int) -> int:
    """Cash that stands behind an account's position.

    The other leg of a hedged position is taken as it is now: what it gains on the way is not counted, which puts the
    liquidation price too near, never too far.
    """
    position = s["positions"][account, instrument, leg]
    if position["margin_mode"] == _ISOLATED:
        return position["isolated_margin"]
    wallet = s["instruments"][instrument]["settle_wallet"]
    if wallet < 0:
        return 0
    balance = s["wallets"][account, wallet]["balance"]
    own = instrument * MAX_LEGS + leg
    number = s["scopes"][account]["first_active"]
    while number >= 0:
        other = number // MAX_LEGS
        if number != own and s["instruments"][other]["settle_wallet"] == wallet:
            balance -= taken_from_wallet(s, account, other, number % MAX_LEGS)
        number = s["valuations"][account, other, number % MAX_LEGS]["next_active"]
    return balance


@kernel
def liquidation_of(s: Record, account: int, instrument: int, leg: int) -> int:
    """Liquidation price of an account's position in 1e-8 ticks; see ``liquidation_px`` for what is no price."""
    position = s["positions"][account, instrument, leg]
    return liquidation_px(position, s["instruments"][instrument], balance_behind(s, account, instrument, leg))


@kernel
def stated_liquidation(s: Record, account: int, instrument: int, leg: int) -> int:
    """The same as events state it: 0 is no price, so that of a short that is liquidated at every one is the lowest."""
    liquidation = liquidation_of(s, account, instrument, leg)
    margined = s["instruments"][instrument]["tier_count"] != 0
    return max(liquidation, 1) if margined and s["positions"][account, instrument, leg]["qty"] < 0 else liquidation


@kernel
def distance_of(s: Record, account: int, instrument: int, leg: int) -> int:
    """How far the mark may move against an account's position until it is liquidated, in 1e-8 of the mark."""
    half_ticks = s["valuations"][account, instrument, leg]["half_ticks"]
    liquidation = liquidation_of(s, account, instrument, leg)
    return liquidation_distance(s["positions"][account, instrument, leg], liquidation, half_ticks)
