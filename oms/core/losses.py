"""Losses of a scope: since its day began and since its PnL was highest, and the state that has to survive a restart.

A scope that reaches a limit may only shrink its positions from then on, and its orders that would not are cancelled.
After a day's loss it is ACTIVE again at its next reset; after a drawdown when someone says so.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.events import new_event
from oms.core.state import MAX_ACCOUNTS, MAX_LEGS, MAX_RESETS, NEVER, TOLD, Record
from oms.core.trading import minds_losses, reduce_scope, set_trading_state, state_of_scope, wake_review
from oms.core.valuation import revalue, whole_cash
from oms.records import EventKind, Reason, TradingState

_SCOPE: Final = int(EventKind.SCOPE)
_ACTIVE: Final = int(TradingState.ACTIVE)
_REDUCING: Final = int(TradingState.REDUCING)
_NONE: Final = int(Reason.NONE)
_DAILY_LOSS: Final = int(Reason.DAILY_LOSS)
_DRAWDOWN: Final = int(Reason.DRAWDOWN)
_EXPIRED_DAY: Final = int(Reason.EXPIRED_DAY)


@kernel
def breach_of(sums: Record) -> int:
    """The loss limit that a scope has reached by its PnL as it was valued last, or NONE."""
    if sums["pnl"] - sums["day_start_pnl"] <= -sums["max_daily_loss"]:
        return _DAILY_LOSS
    if max(sums["peak_pnl"], sums["pnl"]) - sums["pnl"] >= sums["max_drawdown"]:
        return _DRAWDOWN
    return _NONE


@kernel
def watch_losses(s: Record, scope: int) -> None:
    """After a fill: have a breach acted on at once."""
    if breach_of(s["scopes"][scope]) != _NONE and minds_losses(s, scope):
        wake_review(s, s["now"])


@kernel
def account_of_scope(s: Record, scope: int) -> int:
    """The account that a scope is, or that its strategy trades for."""
    return scope if scope < MAX_ACCOUNTS else s["strategies"][scope - MAX_ACCOUNTS]["account"]


@kernel
def reset_after(s: Record, account: int, now: int) -> int:
    """The first reset of an account later than ``now``; NEVER when the host has worked out none."""
    row = s["accounts"][account]
    while row["reset_number"] < MAX_RESETS and row["resets"][row["reset_number"]] <= now:
        row["reset_number"] += 1
    return NEVER if row["reset_number"] == MAX_RESETS else row["resets"][row["reset_number"]]


@kernel
def begin_day(s: Record, scope: int) -> None:
    """Measure the day's loss from here, when a reset is due; what the day before had stopped trades again.

    A scope that cannot be valued waits for its prices: after a restart its PnL is not known before the first ticks.
    """
    sums = s["scopes"][scope]
    if sums["next_reset"] > s["now"]:
        if sums["next_reset"] == NEVER:
            sums["next_reset"] = reset_after(s, account_of_scope(s, scope), s["now"])
        return
    if sums["unpriced"] != 0:
        return
    sums["day_start_pnl"] = sums["pnl"]
    sums["next_reset"] = reset_after(s, account_of_scope(s, scope), s["now"])
    if sums["reason"] == _DAILY_LOSS and state_of_scope(s, scope) == _REDUCING:
        set_trading_state(s, scope, _ACTIVE, _EXPIRED_DAY, 0)


@kernel
def margin_in_use(s: Record, scope: int) -> int:
    """Margin of a scope's positions in the reporting currency."""
    total = 0
    number = s["scopes"][scope]["first_active"]
    while number >= 0:
        row = s["valuations"][scope, number // MAX_LEGS, number % MAX_LEGS]
        total += whole_cash(row["margin"] * row["rate"])
        number = row["next_active"]
    return total


@kernel
def tell_scope(s: Record, scope: int) -> None:
    """Write a SCOPE event when any of its figures has changed since the last one; in a backtest nobody reads it."""
    if s["scopes_untold"] != 0:
        return
    sums = s["scopes"][scope]
    margin = margin_in_use(s, scope)
    figures = (
        sums["pnl"],
        sums["peak_pnl"],
        sums["day_start_pnl"],
        sums["next_reset"],
        sums["gross"],
        sums["net"],
        margin,
        sums["open_orders"],
    )
    told = sums["told"]
    changed = False
    for i in range(TOLD):
        if told[i] != figures[i]:
            changed = True
            told[i] = figures[i]
    if not changed:
        return
    at = new_event(s, _SCOPE, _NONE)
    event = s["events"][at]
    event["account"] = account_of_scope(s, scope)
    event["strategy"] = scope - MAX_ACCOUNTS if scope >= MAX_ACCOUNTS else -1
    event["aux"] = scope
    event["px"] = figures[0]
    event["qty"] = figures[1]
    event["filled_qty"] = figures[2]
    event["last_px"] = figures[3]
    event["last_qty"] = figures[4]
    event["position_qty"] = figures[5]
    event["realized_pnl"] = figures[6]
    event["fees"] = figures[7]


@kernel
def restore_scope(s: Record, event: Record) -> None:
    """Take over from a SCOPE event of the journal what must survive a restart: peak, day and next reset."""
    sums = s["scopes"][event["aux"]]
    sums["peak_pnl"] = event["qty"]
    sums["day_start_pnl"] = event["filled_qty"]
    sums["next_reset"] = event["last_px"]
    told = sums["told"]
    told[0] = event["px"]
    told[1] = event["qty"]
    told[2] = event["filled_qty"]
    told[3] = event["last_px"]
    told[4] = event["last_qty"]
    told[5] = event["position_qty"]
    told[6] = event["realized_pnl"]
    told[7] = event["fees"]


@kernel
def review_losses(s: Record, scope: int) -> None:
    """Value a scope, begin its day where it is due, note its peak, and reduce it when it has lost too much."""
    sums = s["scopes"][scope]
    revalue(s, scope)
    begin_day(s, scope)
    if sums["unpriced"] == 0:
        sums["peak_pnl"] = max(sums["peak_pnl"], sums["pnl"])
        reason = breach_of(sums)
        if reason != _NONE and minds_losses(s, scope):
            reduce_scope(s, scope, reason)
    tell_scope(s, scope)
