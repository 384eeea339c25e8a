"""Firing: after a change of the market, the orders whose price has come leave for the exchange.

A stop is held here, so it dies with the core; one that stands at the exchange never comes here. While the book cannot
be traded on, or the exchange takes no orders, an order whose price was reached becomes due and leaves with the first
price on which it may.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.armed import concerns, is_reached, renew_thresholds, trailed_px, watched_px
from oms.core.contingency import follow_up, remaining_qty
from oms.core.events import has_room
from oms.core.groups import anchor_of
from oms.core.keeping import change_held
from oms.core.orders import stands_at_exchange
from oms.core.release import release
from oms.core.state import Record
from oms.records import BookState, Contingency, HeldFor, Trigger

_FOR_PRICE: Final = int(HeldFor.PRICE)
_BUT_PRICE: Final = int(~HeldFor.PRICE)
_TRAILING: Final = int(Trigger.TRAILING)
_OTO: Final = int(Contingency.OTO)
_SYNCED: Final = int(BookState.SYNCED)


@kernel
def _look_at(s: Record, slot: int) -> None:
    """Move an order's trailing trigger, and make it due when its price has come."""
    order = s["orders"][slot]
    if order["held_for"] & _FOR_PRICE == 0:
        return
    px = watched_px(s["books"][order["instrument"]], order["trigger_source"], order["side"])
    if px <= 0:
        return
    trigger_px = order["trigger_px"]
    if order["trigger"] == _TRAILING:
        trigger_px = trailed_px(order, px)
    held_for = order["held_for"]
    if (trigger_px == order["trigger_px"]) and is_reached(order, px):
        held_for &= _BUT_PRICE
    if trigger_px != order["trigger_px"] or held_for != order["held_for"]:
        change_held(s, slot, order["px"], order["qty"], trigger_px, order["trail"], held_for)


@kernel
def _due_qty(s: Record, slot: int) -> int:
    """Total quantity for which an order that is due may leave now; 0 while others of its group stand for all of it."""
    order = s["orders"][slot]
    anchor = anchor_of(s, slot) if order["contingency"] == _OTO else -1
    if anchor < 0:
        return order["qty"]
    remaining = remaining_qty(s, s["orders"][anchor], slot)
    return order["qty"] if remaining > 0 and stands_at_exchange(order) else min(order["qty"], remaining)


@kernel
def fire_triggers(s: Record, instrument: int) -> bool:
    """Look at the instrument's orders that wait for a price; False when the output has no room for all of it."""
    lists = s["order_lists"][instrument]
    book = s["books"][instrument]
    if lists["armed_head"] < 0 or not concerns(lists, book):
        return True
    slot = lists["armed_head"]
    while slot >= 0:
        if not has_room(s):
            return False
        _look_at(s, slot)
        slot = s["orders"][slot]["next_armed"]
    if book["state"] == _SYNCED and s["entry_closed"][instrument] == 0:
        slot = lists["armed_head"]
        while slot >= 0:
            if not has_room(s):
                return False
            order = s["orders"][slot]
            following = order["next_armed"]
            if order["held_for"] == 0:
                qty = _due_qty(s, slot)
                if qty > 0:
                    release(s, slot, qty)
                    if order["armed"] == 0 and s["touched_count"] > 0:
                        follow_up(s)
                        following = lists["armed_head"]  # its group may have left the list: look at all that remain
            slot = following
    renew_thresholds(s, instrument)
    return True
