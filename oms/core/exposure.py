"""Positions and exposure that an order could lead to, with everything open filled."""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.losses import begin_day, breach_of, tell_scope
from oms.core.positions import position_fits
from oms.core.state import MAX_QTY, NO_LIMIT, Record
from oms.core.trading import wake_review
from oms.core.valuation import direction_of, equity_of, price_row, revalue, whole_cash
from oms.records import CASH_SCALE, Reason

SUM_LIMIT: Final = 2**59
"""Largest gross exposure of a scope in cash: its sums stay inside int64 when prices have grown eightfold."""

_NONE: Final = int(Reason.NONE)
_POSITION_LIMIT: Final = int(Reason.POSITION_LIMIT)
_OVERFLOW: Final = int(Reason.OVERFLOW)
_REDUCE_ONLY: Final = int(Reason.REDUCE_ONLY)
_BAD_LEG: Final = int(Reason.BAD_LEG)
_GROSS_EXPOSURE: Final = int(Reason.GROSS_EXPOSURE)
_NET_EXPOSURE: Final = int(Reason.NET_EXPOSURE)
_LEVERAGE: Final = int(Reason.LEVERAGE)


@kernel
def reachable_qty(position: Record, side: int, added_qty: int) -> int:
    """Lots on ``side`` when every open order of it fills, ``added_qty`` more included; 0 or less: it only closes."""
    open_qty = position["open_buy_qty"] if side > 0 else position["open_sell_qty"]
    return position["qty"] * side + open_qty + added_qty


@hot_kernel
def check_position(s: Record, scope: int, instrument: int, leg: int, side: int, added_qty: int, reducing: bool) -> int:
    """The farthest position of a scope within its limit.

    With ``reducing`` (a reduce-only order, or a scope that is REDUCING) open orders and the new one together must not
    exceed the position that they close. A position that could not be valued exactly is refused. Of a hedging account,
    leg 0 never turns short and leg 1 never long.
    """
    position = s["positions"][scope, instrument, leg]
    reachable = reachable_qty(position, side, added_qty)
    if reducing and reachable > 0:
        return _REDUCE_ONLY
    if added_qty <= 0:
        return _NONE
    limits = s["limits"][scope, instrument]
    if limits["defined"] != 0 and reachable > limits["max_position"]:
        return _POSITION_LIMIT
    if reachable > MAX_QTY:
        return _OVERFLOW
    return _NONE


@kernel
def check_hedging_leg(s: Record, account: int, instrument: int, leg: int, side: int, added_qty: int) -> int:
    """What closes a leg of a hedging account closes no more than it holds, open orders included."""
    if s["accounts"][account]["hedging"] == 0 or side == 1 - 2 * leg or added_qty <= 0:
        return _NONE
    position = s["positions"][account, instrument, leg]
    return _BAD_LEG if reachable_qty(position, side, added_qty) > 0 else _NONE


@hot_kernel
def is_watched(sums: Record) -> bool:
    """True when a scope has any limit that depends on what its positions are worth."""
    return bool(
        sums["max_gross"] != NO_LIMIT
        or sums["max_net"] != NO_LIMIT
        or sums["max_leverage"] != NO_LIMIT
        or sums["max_daily_loss"] != NO_LIMIT
        or sums["max_drawdown"] != NO_LIMIT
    )


@hot_kernel
def check_exposure(s: Record, scope: int, instrument: int, leg: int, side: int, added_qty: int) -> int:
    """Losses, gross and net exposure and leverage of a scope with ``added_qty`` lots more; it has been valued.

    What only closes passes. Nothing else does while a position of the scope cannot be valued.
    """
    position = s["positions"][scope, instrument, leg]
    reachable = reachable_qty(position, side, added_qty)
    if reachable <= 0:
        return _NONE
    row = s["valuations"][scope, instrument, leg]
    if row["active"] == 0:
        price_row(s, scope, instrument, leg)
    if row["unpriced"] != _NONE:
        return row["unpriced"]
    sums = s["scopes"][scope]
    if sums["unpriced"] != 0:
        return sums["unpriced_reason"]
    reason = breach_of(sums)
    if reason != _NONE and sums["next_reset"] <= s["now"]:
        begin_day(s, scope)  # the review has not come to it yet
        tell_scope(s, scope)
        reason = breach_of(sums)
    if reason != _NONE:
        wake_review(s, s["now"])
        return reason
    if added_qty <= 0:
        return _NONE
    if not position_fits(s["instruments"][instrument], row["half_ticks"], reachable):
        return _OVERFLOW
    reached = whole_cash(reachable * row["unit"])
    gross = sums["gross"] + max(reached - row["gross"], 0)
    if gross > sums["max_gross"]:
        return _GROSS_EXPOSURE
    if gross > SUM_LIMIT:
        return _OVERFLOW
    rises = side * direction_of(s["instruments"][instrument]) > 0
    net = sums["net_high"] - row["net_high"] if rises else row["net_low"] - sums["net_low"]
    if net + reached > sums["max_net"]:
        return _NET_EXPOSURE
    max_leverage = sums["max_leverage"]
    if max_leverage != NO_LIMIT and float(gross) * CASH_SCALE > float(max_leverage) * float(equity_of(s, scope)):
        return _LEVERAGE
    return _NONE


@hot_kernel
def check_value(s: Record, scope: int, instrument: int, leg: int, side: int, added_qty: int) -> int:
    """Value a scope at the market of now and check its exposure; a strategy without such limits is not looked at."""
    revalue(s, scope)
    return check_exposure(s, scope, instrument, leg, side, added_qty)
