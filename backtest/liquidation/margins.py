"""What is left of a margin, and what of it the positions must keep, both at the exchange's marks."""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.margin import maintenance_margin
from oms.core.margin_watch import close_band, margin_mark, narrow_band
from oms.core.option_margin import UNKNOWN, short_margins
from oms.core.positions import position_fits, unrealized_pnl, value_at
from oms.core.state import MAX_LEGS, Record
from oms.records import MarginMode

_ISOLATED: Final = int(MarginMode.ISOLATED)
WIDEST_BAND: Final = 1_000.0
"""Part of a mark, either way."""


@kernel
def is_margined(s: Record, account: int, instrument: int, leg: int) -> bool:
    """True for a position on margin: in a perpetual or a future, or a short one in an option."""
    qty = s["positions"][account, instrument, leg]["qty"]
    definition = s["instruments"][instrument]
    return bool(qty < 0 if definition["option_kind"] != 0 else qty != 0 and definition["tier_count"] != 0)


@kernel
def worth_and_need(s: Record, account: int, instrument: int, leg: int) -> tuple[int, int]:
    """What a position adds to its margin, and the maintenance margin that it needs, in cash.

    A contract adds its unrealized PnL, a short option what it would cost to buy back. Without a mark the need is
    UNKNOWN, and the first mark that is known has the margins looked at.
    """
    position = s["positions"][account, instrument, leg]
    definition = s["instruments"][instrument]
    half_ticks = margin_mark(s, instrument)
    lots = abs(position["qty"])
    if half_ticks <= 0 or not position_fits(definition, half_ticks, lots):
        close_band(s, instrument)
        return 0, UNKNOWN
    value = value_at(definition, half_ticks, lots)
    if definition["option_kind"] == 0:
        return unrealized_pnl(position, definition, half_ticks), maintenance_margin(definition, value)
    _, maintenance = short_margins(s, definition, half_ticks, lots)
    if maintenance == UNKNOWN:
        close_band(s, definition["underlying"])
        return 0, UNKNOWN
    return -value, maintenance - value


@kernel
def in_wallet(s: Record, account: int, wallet: int, number: int) -> bool:
    """True when the position ``number`` of an account's active ones is on the cross margin of a wallet."""
    instrument = number // MAX_LEGS
    leg = number % MAX_LEGS
    if s["instruments"][instrument]["settle_wallet"] != wallet or not is_margined(s, account, instrument, leg):
        return False
    return bool(s["positions"][account, instrument, leg]["margin_mode"] != _ISOLATED)


@kernel
def wallet_margin(s: Record, account: int, wallet: int) -> tuple[int, int, int]:
    """What is left of a wallet's cross margin, what its positions need, and how many they are.

    Left is the balance without what is assigned to isolated positions, with what each cross one adds. Need is UNKNOWN
    while that of one of them is.
    """
    left = s["wallets"][account, wallet]["balance"]
    need = 0
    count = 0
    is_known = True
    number = s["scopes"][account]["first_active"]
    while number >= 0:
        instrument = number // MAX_LEGS
        leg = number % MAX_LEGS
        position = s["positions"][account, instrument, leg]
        if in_wallet(s, account, wallet, number):
            worth, own_need = worth_and_need(s, account, instrument, leg)
            is_known = is_known and own_need != UNKNOWN
            left += worth
            need += own_need
            count += 1
        elif position["margin_mode"] == _ISOLATED and s["instruments"][instrument]["settle_wallet"] == wallet:
            left -= position["isolated_margin"]
        number = s["valuations"][account, instrument, leg]["next_active"]
    return left, need if is_known else UNKNOWN, count


@kernel
def watch_position(s: Record, account: int, instrument: int, leg: int, room: float) -> None:
    """Let the marks move until a position may have lost ``room`` cash, what it needs more on the way included.

    Of a value that moves by a part, PnL and need together move by less than twice that. A short option's need hangs on
    its underlying too, so it is looked at with every change of either.
    """
    definition = s["instruments"][instrument]
    half_ticks = margin_mark(s, instrument)
    if definition["option_kind"] == 0:
        value = value_at(definition, half_ticks, abs(s["positions"][account, instrument, leg]["qty"]))
        narrow_band(s, instrument, half_ticks, min(room / (2.0 * max(value, 1)), WIDEST_BAND))
        return
    narrow_band(s, instrument, half_ticks, 0.0)
    narrow_band(s, definition["underlying"], margin_mark(s, definition["underlying"]), 0.0)
