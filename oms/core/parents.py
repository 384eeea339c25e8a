"""Parent orders: orders that an algorithm works by child orders. Their table.

A parent is a held order (``HeldFor.ALGORITHM``) with a row here: it never leaves itself. Its children are orders of
their own with its id as their ``parent_id``; what they fill, it has filled. The journal has the row as it stands after
each step that changed it, so that a restart goes on from there.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import copy_record, hot_kernel, kernel
from oms.core.expiry import unlink_timed
from oms.core.orders import fillable_qty, find_order, is_open
from oms.core.parent_wakes import forget_ranges, wake_parent
from oms.core.state import MAX_PARENTS, MAX_STRATEGIES, TERMS_RING, Record
from oms.core.units import set_units
from oms.records import (
    ALGORITHM_CLIENT,
    ALGORITHM_VERSION_BITS,
    LANES,
    ORDER_ID_COUNTER_BITS,
    PARENT_MEMORY,
    PARENT_PARAMETERS,
    ROUTES,
    RPC_CLIENT_BASE,
    ParentState,
    Trigger,
)

_ALGORITHM: Final = int(Trigger.ALGORITHM)
_RUNNING: Final = int(ParentState.RUNNING)
_STOPPING: Final = int(ParentState.STOPPING)
_MULTIPLIER: Final = 48_271
_MODULUS: Final = 2**31 - 1
_ID_MASK: Final = 2**ORDER_ID_COUNTER_BITS - 1


@kernel
def find_terms(s: Record, order_id: int) -> int:
    """Row of the terms that came for an order, the newest first; -1: there are none."""
    count = s["terms_count"]
    for back in range(1, min(count, TERMS_RING) + 1):
        at = (count - back) % TERMS_RING
        if s["terms"][at]["order_id"] == order_id:
            return at
    return -1


@kernel
def find_algorithm(s: Record, algorithm: int) -> int:
    """Row of the algorithm with this id; -1: it is not loaded."""
    for row in range(s["algorithms_used"]):
        if s["algorithms"][row]["id"] == algorithm:
            return row
    return -1


@kernel
def is_of_other_version(s: Record, algorithm: int) -> bool:
    """True when an algorithm of that name is loaded, whose parameters are others than those that the id stands for."""
    for row in range(s["algorithms_used"]):
        if s["algorithms"][row]["id"] >> ALGORITHM_VERSION_BITS == algorithm >> ALGORITHM_VERSION_BITS:
            return True
    return False


@kernel
def has_free_parent(s: Record) -> bool:
    """True while one more order can be worked."""
    return bool(s["parents_open"] < MAX_PARENTS)


@hot_kernel
def is_child(order: Record) -> bool:
    """True for an order, or what is about one, that an algorithm has asked for."""
    return bool(order["order_id"] >> ORDER_ID_COUNTER_BITS == ALGORITHM_CLIENT)


@kernel
def note_child_id(s: Record, order_id: int) -> None:
    """Never give the id of a child to another one."""
    s["child_counter"] = max(s["child_counter"], order_id & _ID_MASK)


@kernel
def route_of(parent: Record, instrument: int) -> int:
    """Route on which the parent trades in an instrument; -1: it does not."""
    for route in range(ROUTES):
        if parent["routes"][route] == instrument:
            return route
    return -1


@kernel
def route_of_lane(parent: Record, lane: int) -> int:
    """Route of a lane: its number modulo ``ROUTES``, and where the parent has no such route its own instrument's."""
    route = lane % ROUTES
    return route if parent["routes"][route] >= 0 else 0


@kernel
def units_of(parent: Record, instrument: int) -> int:
    """Units of one lot of an instrument that the parent trades in; 0: it does not."""
    route = route_of(parent, instrument)
    return parent["route_units"][route] if route >= 0 else 0


@kernel
def open_units(s: Record, parent: Record) -> int:
    """Units that the parent's open children may yet fill, what is in flight included."""
    units = 0
    for lane in range(LANES):
        slot = find_order(s, parent["lanes"][lane]) if parent["lanes"][lane] != 0 else -1
        if slot >= 0 and is_open(s["orders"][slot]["state"]):
            order = s["orders"][slot]
            units += fillable_qty(order) * units_of(parent, order["instrument"])
    return units


@kernel
def link_parent(s: Record, slot: int, row: int) -> None:
    """Put a parent at the head of the list of each of its instruments, to be looked at now."""
    wake = s["parent_wakes"][row]
    s["orders"][slot]["parent_row"] = row + 1
    wake["slot"] = slot + 1
    wake["algorithm"] = find_algorithm(s, s["parents"][row]["algorithm"])
    for route in range(ROUTES):
        instrument = s["parents"][row]["routes"][route]
        if instrument < 0:
            continue
        head = s["parent_lists"][instrument]["head"]
        wake["prev"][route] = -1
        wake["next"][route] = head
        if head >= 0:
            s["parent_wakes"][head // ROUTES]["prev"][head % ROUTES] = row * ROUTES + route
        s["parent_lists"][instrument]["head"] = row * ROUTES + route
    forget_ranges(wake)
    wake["seen_qty"] = 0
    wake["seen_value"] = 0.0
    wake["told_units"] = 0
    s["parents_open"] += 1
    wake_parent(s, row)


@kernel
def unlink_parent(s: Record, slot: int) -> None:
    """Take the row of a parent that is done out of its lists, and free it."""
    order = s["orders"][slot]
    row = order["parent_row"] - 1
    if row < 0:
        return
    wake = s["parent_wakes"][row]
    for route in range(ROUTES):
        instrument = s["parents"][row]["routes"][route]
        if instrument < 0:
            continue
        before = wake["prev"][route]
        following = wake["next"][route]
        if before >= 0:
            s["parent_wakes"][before // ROUTES]["next"][before % ROUTES] = following
        else:
            s["parent_lists"][instrument]["head"] = following
        if following >= 0:
            s["parent_wakes"][following // ROUTES]["prev"][following % ROUTES] = before
    order["parent_row"] = 0
    wake["slot"] = 0
    s["parents"][row]["order_id"] = 0
    s["parents_open"] -= 1


@kernel
def seed_of(order_id: int) -> int:
    """First state of an order's random numbers: neighbouring ids get states far apart."""
    state = (order_id & _ID_MASK) % (_MODULUS - 1) + 1
    for _ in range(3):
        state = state * _MULTIPLIER % _MODULUS
    return state


@kernel
def seed_number(s: Record, order: Record) -> int:
    """What an order's random numbers begin with: its id; of a strategy's order its place among those of the session.

    A strategy's ids go on from session to session. So a paper session draws what a backtest of it draws.
    """
    if order["strategy"] < 0 or order["order_id"] >> ORDER_ID_COUNTER_BITS >= RPC_CLIENT_BASE:
        return order["order_id"]
    return s["strategies"][order["strategy"]]["orders"] * MAX_STRATEGIES + order["strategy"] + 1


@kernel
def set_routes(parent: Record, instrument: int, terms: Record) -> None:
    """Set the instruments in which a parent trades: its own, and those of its terms."""
    parent["routes"][0] = instrument
    for route in range(1, ROUTES):
        parent["routes"][route] = terms["routes"][route - 1]


@kernel
def new_parent(s: Record, slot: int, terms: int) -> int:
    """Give an order that has been taken into the core's keeping its row, from its terms; returns the row."""
    row = 0
    while s["parent_wakes"][row]["slot"] != 0:
        row += 1
    order = s["orders"][slot]
    said = s["terms"][terms]
    parent = s["parents"][row]
    parent["order_id"] = order["order_id"]
    parent["number"] = row
    parent["algorithm"] = said["algorithm"]
    parent["state"] = _RUNNING
    parent["started"] = 0
    parent["end_state"] = 0
    parent["end_reason"] = 0
    parent["start_ts"] = s["now"]
    parent["end_ts"] = 0
    parent["arrival_half_ticks"] = 0
    parent["due_qty"] = 0
    parent["filled_units"] = 0
    parent["filled_value"] = 0.0
    parent["market_qty"] = 0
    parent["market_value"] = 0.0
    parent["children"] = 0
    parent["random"] = seed_of(seed_number(s, order))
    parent["request_id"] = order["request_id"]
    for lane in range(LANES):
        parent["lanes"][lane] = 0
    for at in range(PARENT_PARAMETERS):
        parent["parameters"][at] = said["parameters"][at]
    for at in range(PARENT_MEMORY):
        parent["memory"][at] = 0
    set_routes(parent, order["instrument"], said)
    for route in range(ROUTES):
        parent["blocked_ts"][route] = 0
        parent["take_ts"][route] = -1
        parent["refusals"][route] = 0
    set_units(s, parent)
    link_parent(s, slot, row)
    return row


@kernel
def set_parent_parameters(s: Record, row: int, terms: int) -> None:
    """Change the parameters of a parent's algorithm to those of new terms."""
    for at in range(PARENT_PARAMETERS):
        s["parents"][row]["parameters"][at] = s["terms"][terms]["parameters"][at]


@kernel
def restore_parent(s: Record, image: Record) -> bool:
    """Take over the row of a parent from the journal; False when its order is not there."""
    slot = find_order(s, image["order_id"])
    row = image["number"]
    if slot < 0 or not 0 <= row < MAX_PARENTS:
        return False
    copy_record(s["parents"][row], image)
    if s["orders"][slot]["parent_row"] == 0:
        link_parent(s, slot, row)
    if image["state"] == _STOPPING:
        unlink_timed(s, slot)
    return True


@kernel
def is_worked(order: Record) -> bool:
    """True for an order that an algorithm works."""
    return bool(order["trigger"] == _ALGORITHM and order["parent_row"] > 0)


@kernel
def is_stopping(s: Record, order: Record) -> bool:
    """True for a parent that has been asked to end."""
    return bool(s["parents"][order["parent_row"] - 1]["state"] == _STOPPING)


@kernel
def is_stopping_parent(s: Record, order: Record) -> bool:
    """True for an order that is worked and has been asked to end: nothing more need be asked of it."""
    return bool(is_worked(order) and is_stopping(s, order))
