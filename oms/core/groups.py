"""Which orders hang on which: the lists of contingent orders, and what the group must know of its members.

The contingent orders of a parent, and the members of an OCO group behind its first one, are a list that starts in the
parent's (the first one's) row. A row on which open orders hang keeps its slot. What has changed is put down in
``touched``; ``oms.core.contingency`` then decides what follows.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.orders import find_order, has_fired, is_open, retire
from oms.core.state import TOUCHED, Record
from oms.records import Contingency

_NONE: Final = int(Contingency.NONE)
_OTO: Final = int(Contingency.OTO)
_OCO: Final = int(Contingency.OCO)
_REPLACE: Final = int(Contingency.REPLACE)


@kernel
def anchor_of(s: Record, slot: int) -> int:
    """Slot of the order in whose row the group of a contingent order starts; -1 when there is none any more."""
    order = s["orders"][slot]
    if order["contingency"] == _NONE:
        return -1
    if order["contingency"] == _OCO and (order["parent_id"] == 0 or order["parent_id"] == order["order_id"]):
        return slot
    return find_order(s, order["parent_id"])


@kernel
def touch(s: Record, slot: int) -> None:
    """Note that a group may have to be looked at; when there is no room the host stops on a lost event."""
    count = s["touched_count"]
    if count > 0 and s["touched"][count - 1] == slot:
        return
    if count == TOUCHED:
        s["events_lost"] += 1
        return
    s["touched"][count] = slot
    s["touched_count"] = count + 1


@kernel
def touch_group(s: Record, slot: int) -> None:
    """Note a change of an order, if others hang on it or it on another."""
    order = s["orders"][slot]
    if order["contingency"] != _NONE or order["first_child"] >= 0:
        touch(s, slot)


@kernel
def count_children(s: Record, slot: int) -> int:
    """Open orders that hang on an order."""
    count = 0
    child = s["orders"][slot]["first_child"]
    while child >= 0:
        count += 1
        child = s["orders"][child]["next_child"]
    return count


@kernel
def is_grouped(s: Record, slot: int) -> bool:
    """True for an open order of a bracket, or of an OCO group of which others are open too."""
    order = s["orders"][slot]
    child = order["first_child"]
    while child >= 0:
        if s["orders"][child]["contingency"] != _REPLACE:
            return True
        child = s["orders"][child]["next_child"]
    if order["contingency"] != _OCO:
        return bool(order["contingency"] == _OTO)
    anchor = anchor_of(s, slot)
    if anchor < 0 or anchor == slot:
        return False
    return bool(is_open(s["orders"][anchor]["state"]) or count_children(s, anchor) > 1)


@kernel
def counted_qty(s: Record, slot: int) -> int:
    """Open lots that an order adds to those of its side in the OCO group that came after it.

    Of one group only one order comes about, so that over all of them the largest is counted.
    """
    order = s["orders"][slot]
    qty = order["risk_qty"]
    anchor = anchor_of(s, slot) if order["contingency"] == _OCO else -1
    if anchor < 0:
        return qty
    later = order["first_child"] if slot == anchor else order["next_child"]
    while later >= 0:
        other = s["orders"][later]
        if other["contingency"] == _OCO and other["side"] == order["side"] and other["leg"] == order["leg"]:
            qty = min(qty, max(order["risk_qty"] - other["risk_qty"], 0))
        later = other["next_child"]
    return qty


@kernel
def link_child(s: Record, slot: int) -> None:
    """Put a contingent order at the end of its group's list."""
    anchor = anchor_of(s, slot)
    if anchor < 0 or anchor == slot:
        return
    orders = s["orders"]
    orders[slot]["next_child"] = -1
    child = orders[anchor]["first_child"]
    if child < 0:
        orders[anchor]["first_child"] = slot
        return
    while orders[child]["next_child"] >= 0:
        child = orders[child]["next_child"]
    orders[child]["next_child"] = slot


@kernel
def _unlink_child(s: Record, anchor: int, slot: int) -> None:
    orders = s["orders"]
    before = -1
    child = orders[anchor]["first_child"]
    while child >= 0 and child != slot:
        before = child
        child = orders[child]["next_child"]
    if child < 0:
        return
    if before < 0:
        orders[anchor]["first_child"] = orders[slot]["next_child"]
    else:
        orders[before]["next_child"] = orders[slot]["next_child"]
    if orders[anchor]["first_child"] < 0 and not is_open(orders[anchor]["state"]):
        retire(s, anchor)


@kernel
def note_fill(s: Record, slot: int, qty: int) -> None:
    """Note a fill of a member of a group."""
    order = s["orders"][slot]
    anchor = anchor_of(s, slot)
    if anchor >= 0:
        if order["contingency"] == _OTO:
            s["orders"][anchor]["children_filled"] += qty
        elif order["contingency"] == _OCO:
            s["orders"][anchor]["broken"] = 1


@kernel
def note_release(s: Record, slot: int) -> None:
    """Note that a member of a group has left, and that its price was reached where it had one to wait for."""
    order = s["orders"][slot]
    if order["contingency"] == _OCO and has_fired(order):
        anchor = anchor_of(s, slot)
        if anchor >= 0:
            s["orders"][anchor]["broken"] = 1
    touch_group(s, slot)


@kernel
def note_end(s: Record, slot: int) -> None:
    """Take an order that is done out of its group, and note it for those that remain."""
    order = s["orders"][slot]
    anchor = anchor_of(s, slot)
    if anchor >= 0 and order["contingency"] == _OCO:
        s["orders"][anchor]["broken"] = 1
    if anchor >= 0 and anchor != slot:
        touch(s, anchor)
        _unlink_child(s, anchor, slot)
    if order["first_child"] >= 0:
        touch(s, slot)
