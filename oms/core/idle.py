"""Reviews that would find nothing are passed over: time, events and the market have left everything as it was.

Where sums are not told, in a backtest, the market may also move: while no order is open and only one linear contract is
held, a review has nothing to do until its mark leaves the band within which no PnL comes to a new high or to a limit of
loss. Bars of minutes are mostly of that kind. Who asks for a PnL or a margin has it valued anew.
"""

from __future__ import annotations

import math
from typing import Final

from oms.compiled import kernel
from oms.core.book import mid_half_ticks
from oms.core.state import MAX_ACCOUNTS, MAX_LEGS, NEVER, Record

REVIEW_INTERVAL_NS: Final = 1_000_000_000
_FARTHEST: Final = float(2**60)


@kernel
def is_idle(s: Record) -> bool:
    """True when a review that is due would find everything as the last one left it."""
    if s["next_review"] >= s["quiet_until"] or s["reviewed_events"] != s["event_seq"]:
        return False
    if s["reviewed_updates"] == s["market_updates"]:
        return True
    half_ticks = mid_half_ticks(s["books"][s["quiet_instrument"]])
    return bool(s["quiet_low"] <= half_ticks <= s["quiet_high"])


@kernel
def skip_reviews(s: Record, until: int) -> None:
    """Set the next review to the first one from ``until`` on."""
    s["next_review"] = -(-until // REVIEW_INTERVAL_NS) * REVIEW_INTERVAL_NS


@kernel
def narrow_band(s: Record, scope: int) -> bool:
    """Narrow the band to where a scope's PnL comes neither to a new high nor to a limit; False: that is not known."""
    sums = s["scopes"][scope]
    if sums["open_orders"] != 0 or sums["unpriced"] != 0:
        return False
    number = sums["first_active"]
    if number < 0:
        return True
    instrument = number // MAX_LEGS
    row = s["valuations"][scope, instrument, number % MAX_LEGS]
    definition = s["instruments"][instrument]
    currency = definition["settle_currency"]
    is_other = s["quiet_instrument"] >= 0 and s["quiet_instrument"] != instrument
    if row["next_active"] >= 0 or is_other or currency < 0 or s["currencies"][currency]["instrument"] >= 0:
        return False
    if definition["inverse"] != 0 or definition["option_kind"] != 0:
        return False
    s["quiet_instrument"] = instrument
    qty = s["positions"][scope, instrument, number % MAX_LEGS]["qty"]
    step = abs(qty) * row["unit"] / max(row["half_ticks"], 1)
    if step <= 0.0:
        return qty == 0
    gain = sums["peak_pnl"] - sums["pnl"]
    loss = min(sums["pnl"] - sums["day_start_pnl"] + sums["max_daily_loss"], sums["max_drawdown"] - gain)
    rounding = 2.0 * (row["rate"] + 1.0)  # by which a PnL may differ from one that is linear in the mark, and more
    up = math.floor(min(max(gain - rounding, 0.0) / step, _FARTHEST))
    down = math.floor(min(max(loss - rounding, 0.0) / step, _FARTHEST))
    below, above = (down, up) if qty > 0 else (up, down)
    s["quiet_low"] = max(s["quiet_low"], row["half_ticks"] - below)
    s["quiet_high"] = min(s["quiet_high"], row["half_ticks"] + above)
    return True


@kernel
def note_band(s: Record) -> None:
    """Note within which marks a review would change nothing; none, where it is told of or not known."""
    s["quiet_instrument"] = -1
    s["quiet_low"] = 1
    s["quiet_high"] = NEVER
    is_known = s["scopes_untold"] != 0
    for scope in range(MAX_ACCOUNTS + s["strategies_used"]):
        if is_known and s["scopes"][scope]["defined"] != 0:
            is_known = narrow_band(s, scope)
    if not is_known or s["quiet_instrument"] < 0:
        s["quiet_instrument"] = 0
        s["quiet_high"] = NEVER if is_known else 0


@kernel
def note_idle(s: Record) -> None:
    """Note as what the review leaves everything, and when time alone will change something."""
    s["reviewed_updates"] = s["market_updates"]
    s["reviewed_events"] = s["event_seq"]
    s["quiet_until"] = NEVER
    if s["flattening"] > 0 or s["switching"] > 0:
        s["quiet_until"] = 0
    for scope in range(MAX_ACCOUNTS + s["strategies_used"]):
        sums = s["scopes"][scope]
        if sums["defined"] != 0:
            s["quiet_until"] = min(s["quiet_until"], 0 if sums["cancelling"] != 0 else sums["next_reset"])
    for instrument in range(s["instruments_used"]):
        if s["instruments"][instrument]["expiry_ts"] > 0:
            s["quiet_until"] = min(s["quiet_until"], s["instruments"][instrument]["expiry_ts"])
    note_band(s)
