"""Isolated margin: what a position has of its wallet's money for itself; nothing else stands behind it.

A position is isolated when its account was in that mode when it was opened, and stays so until it is flat. What a fill
opens takes its initial margin at the fill's price from what is free, what it closes gives back that part of it.
Funding is paid from it and received into it. The wallet's balance remains whole, as venues state it: what is assigned
is a part of it, counted in the wallet's margin. Spot and options are never isolated.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.exact import share
from oms.core.margin_use import margin_at
from oms.core.positions import cost_to_cash
from oms.core.state import Record
from oms.records import MarginMode

_CROSS: Final = int(MarginMode.CROSS)
_ISOLATED: Final = int(MarginMode.ISOLATED)


@kernel
def may_be_isolated(s: Record, account: int, position: Record) -> bool:
    """True when a change of the position may move isolated margin."""
    return bool(position["margin_mode"] == _ISOLATED or s["accounts"][account]["isolated"] != 0)


@kernel
def move_margin(s: Record, account: int, instrument: int, leg: int, qty_before: int, cost_before: int) -> None:
    """Bring the isolated margin of an account's position in line with a fill or its settlement.

    Parameters
    ----------
    qty_before, cost_before : int
        The position's ``qty`` and ``open_cost`` until then.
    """
    position = s["positions"][account, instrument, leg]
    definition = s["instruments"][instrument]
    qty = position["qty"]
    held = abs(qty_before)
    kept = min(abs(qty), held) if (qty > 0) == (qty_before > 0) else 0
    if kept == 0:
        position["isolated_margin"] = 0
    elif kept < held:
        position["isolated_margin"] = share(position["isolated_margin"], kept, held)
    if abs(qty) == kept:
        return
    if kept == 0:
        isolated = s["accounts"][account]["isolated"] != 0 and definition["tier_count"] != 0
        position["margin_mode"] = _ISOLATED if isolated else _CROSS
        cost_before = 0
    if position["margin_mode"] == _ISOLATED:
        value = abs(cost_to_cash(definition, position["open_cost"]))
        value_before = abs(cost_to_cash(definition, cost_before))
        added = margin_at(s, account, instrument, leg, value) - margin_at(s, account, instrument, leg, value_before)
        position["isolated_margin"] += added


@kernel
def assign_margin(s: Record, account: int, instrument: int, leg: int) -> None:
    """Assign margin to an account's position that was adopted, as if it had been opened at its price now."""
    move_margin(s, account, instrument, leg, 0, 0)


@kernel
def pay_from_margin(position: Record, paid: int) -> None:
    """Take what an isolated position has paid (received: below 0) from its margin; what that lacks the wallet bears."""
    if position["margin_mode"] == _ISOLATED and position["qty"] != 0:
        position["isolated_margin"] = max(position["isolated_margin"] - paid, 0)
