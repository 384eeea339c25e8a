"""What queue models share: an own order's place between the quantity ahead of it and the quantity behind it.

Trades at its price have moved the order already; what a level has lost beyond them was cancelled, ahead of the order or
behind it. A model says which share of that was behind.

An order's queue can come to less than nothing (its level lost more than was ahead of it); the next trade then fills it.

Source of the arithmetic: hftbacktest 2.4.4, ``ProbQueueModel``. There an order of which less than nothing is ahead may
come to stand at the end of the queue, by a logarithm or power that is no number; that is a defect, and not followed.
"""

from __future__ import annotations

import math

from backtest.matching.quantities import raw_qty
from oms.compiled import kernel
from oms.core.state import Record


@kernel
def previous_qty(s: Record, tick: Record) -> float:
    """What the level showed before."""
    return raw_qty(s, tick["instrument"], s["change"]["previous_qty"])


@kernel
def cancelled_qty(s: Record, order: Record, tick: Record) -> float:
    """What has left the level beyond the trades at it, which count once; below 0: it has grown."""
    cancelled = previous_qty(s, tick) - raw_qty(s, tick["instrument"], tick["qty"]) - order["queue_traded"]
    order["queue_traded"] = 0.0
    return cancelled


@kernel
def cap(s: Record, order: Record, tick: Record) -> None:
    """No more is ahead of an order than its level shows."""
    order["queue_ahead"] = min(order["queue_ahead"], raw_qty(s, tick["instrument"], tick["qty"]))


@kernel
def cancel_some(s: Record, order: Record, tick: Record, cancelled: float, behind: float, share_behind: float) -> None:
    """Take ``cancelled`` out of the level: ``share_behind`` of it behind the order, as far as that goes."""
    ahead = order["queue_ahead"]
    order["queue_ahead"] = ahead - (1.0 - share_behind) * cancelled + min(behind - share_behind * cancelled, 0.0)
    cap(s, order, tick)


@kernel
def share_of(part: float, whole: float) -> float:
    """``part / whole``, and 1 where there is nothing."""
    return part / whole if whole != 0.0 else 1.0


@kernel
def log_of(qty: float) -> float:
    """``ln(1 + qty)``; 0 where that is no number: nothing is ahead of an order whose queue has come and gone."""
    return math.log(1.0 + qty) if qty > -1.0 else 0.0


@kernel
def power(base: float, exponent: float) -> float:
    """``base ** exponent``; 0 where that is no number, as for a remainder of rounding just below 0."""
    if base < 0.0 and exponent != math.floor(exponent):
        return 0.0
    raised: float = base**exponent
    return raised
