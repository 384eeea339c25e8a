"""Self-trade prevention: no order leaves that would trade with a resting one of its own account.

The best prices of an account's own resting orders are kept as bounds: at least as good as the true ones. Only when the
bound says that an order may cross, the instrument's open orders are looked through, and the bound becomes exact. A
post-only order never takes, so it is not asked about.
"""

from __future__ import annotations

from oms.compiled import hot_kernel, kernel
from oms.core.state import ASK, BID, NO_ASK, NO_BID, Record
from oms.core.terms import can_rest


@hot_kernel
def note_resting(s: Record, account: int, instrument: int, side: int, px: int) -> None:
    """Take note of a price at which an own order may rest."""
    own_best = s["valuations"][account, instrument, 0]["own_best"]
    if side > 0:
        own_best[BID] = max(own_best[BID], px)
    else:
        own_best[ASK] = min(own_best[ASK], px)


@kernel
def may_rest(order: Record) -> bool:
    """True for an order that has left and may be at rest at the exchange; a stop's market order never is."""
    return bool(order["risk_qty"] > 0 and can_rest(order))


@kernel
def meets(order: Record, side: int, px: int) -> bool:
    """True for what may rest where an order of ``side`` that trades up to ``px`` meets it, its amend counted too."""
    if order["side"] == side or not may_rest(order):
        return False
    pending_px = order["pending_px"]
    return bool((px - order["px"]) * side >= 0 or (pending_px > 0 and (px - pending_px) * side >= 0))


@kernel
def true_best(s: Record, account: int, instrument: int, side: int) -> int:
    """The best price at which an own order of ``side`` may rest, an amend in flight counted at both prices."""
    best = NO_BID if side > 0 else NO_ASK
    slot = s["order_lists"][instrument]["open_head"]
    while slot >= 0:
        order = s["orders"][slot]
        if order["account"] == account and order["side"] == side and may_rest(order):
            px = order["px"]
            if (px - best) * side > 0:
                best = px
            px = order["pending_px"]
            if px > 0 and (px - best) * side > 0:
                best = px
        slot = order["next_open"]
    return best


@hot_kernel
def would_self_trade(s: Record, account: int, instrument: int, side: int, px: int) -> bool:
    """True when an order of ``side`` that trades up to ``px`` would meet an own resting order, and must not."""
    k = (1 - side) >> 1
    own_best = s["valuations"][account, instrument, 0]["own_best"]
    if (px - own_best[k]) * side < 0:
        return False
    if s["limits"][account, instrument]["self_trade_allowed"] != 0:
        return False
    own_best[k] = true_best(s, account, instrument, -side)
    return bool((px - own_best[k]) * side >= 0)
