"""Telling what became of an order."""

from __future__ import annotations

from typing import Final

from gateways.sandbox.engine.records import OutcomeKind, Record
from oms.compiled import hot_kernel
from oms.records import Liquidity, Reason

_FILL: Final = int(OutcomeKind.FILL)
_NONE: Final = int(Reason.NONE)
_NO_LIQUIDITY: Final = int(Liquidity.NONE)


@hot_kernel
def new_outcome(s: Record, kind: int, reason: int, order: Record) -> Record:
    """A row for an outcome, with the order's facts; room is made sure of for each whole operation."""
    outcome = s["outcomes"][s["outcome_count"]]
    s["outcome_count"] += 1
    outcome["kind"] = kind
    outcome["reason"] = reason
    outcome["order_id"] = order["order_id"]
    outcome["account"] = order["account"]
    outcome["side"] = order["side"]
    outcome["px"] = order["px"]
    outcome["qty"] = order["qty"]
    outcome["left"] = order["left"]
    outcome["liquidity"] = _NO_LIQUIDITY
    outcome["trade_id"] = 0
    outcome["ts"] = s["ts"]
    return outcome


@hot_kernel
def tell(s: Record, kind: int, reason: int, order: Record) -> None:
    """The order is accepted, amended or rejected."""
    new_outcome(s, kind, reason, order)


@hot_kernel
def tell_end(s: Record, kind: int, reason: int, order: Record) -> None:
    """The order has ended with what was left of it open."""
    outcome = new_outcome(s, kind, reason, order)
    outcome["qty"] = order["left"]
    outcome["left"] = 0


@hot_kernel
def tell_fill(s: Record, order: Record, px: int, qty: int, liquidity: int) -> None:
    """The order has traded ``qty`` lots, which are off its ``left`` already, in the last trade."""
    outcome = new_outcome(s, _FILL, _NONE, order)
    outcome["px"] = px
    outcome["qty"] = qty
    outcome["liquidity"] = liquidity
    outcome["trade_id"] = s["trades"]


@hot_kernel
def begin_trade(s: Record, px: int, qty: int) -> None:
    """There is one more trade of orders of ours."""
    s["trades"] += 1
    s["last_px"] = px
    s["last_qty"] = qty
