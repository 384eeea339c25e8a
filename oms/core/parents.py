"""Parent orders: orders that an algorithm works by child orders. Their table, and what others note in it.

A parent is a held order (``HeldFor.ALGORITHM``) with a row here: it never leaves itself. Its children are orders of
their own with its id as their ``parent_id``; what they fill, it has filled. The journal has the row as it stands after
each step that changed it, so that a restart goes on from there.

A parent is looked at when its time has come, or a price or the traded volume has left the range that its algorithm has
set for one of its instruments, or something happened to a child, or one of its books goes out of step or is in step
again. The ranges of all parents that trade in an instrument are kept as one, so that a tick that concerns none of them
costs a few comparisons.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import copy_record, hot_kernel, kernel
from oms.core.book import mid_half_ticks
from oms.core.events import emit_order
from oms.core.expiry import unlink_timed
from oms.core.orders import fillable_qty, find_order, is_open
from oms.core.quotes import quote_ratio, tick_value
from oms.core.state import (
    MAX_INSTRUMENTS,
    MAX_PARENTS,
    NEVER,
    NO_ASK,
    NO_BID,
    PARENT_RING,
    TERMS_RING,
    WOKEN,
    Record,
)
from oms.core.units import lots_at_home, set_units
from oms.records import (
    ALGORITHM_CLIENT,
    CASH_SCALE,
    LANES,
    ORDER_ID_COUNTER_BITS,
    PARENT_MEMORY,
    PARENT_PARAMETERS,
    ROUTES,
    EventKind,
    ParentState,
    ReportKind,
    Trigger,
)

FIRST_PAUSE_NS: Final = 100_000_000
"""Pause after a child was refused or rejected; each further one in a row doubles it."""
LONGEST_DOUBLING: Final = 6
STEADY_NS: Final = 1_000_000_000
"""A route on which nothing was refused for so long after the pause begins anew. The acceptance of a child alone does
not say that: a venue may accept it and take it off at once."""

_ALGORITHM: Final = int(Trigger.ALGORITHM)
_AMEND_REJECTED: Final = int(ReportKind.AMEND_REJECTED)
_PROGRESS: Final = int(EventKind.PROGRESS)
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
def note_due(s: Record, instrument: int, ts: int) -> None:
    """Look at the instrument's parents at ``ts`` at the latest."""
    s["parent_due"][instrument] = min(s["parent_due"][instrument], ts)
    s["next_parent"] = min(s["next_parent"], ts)
    s["next_due"] = min(s["next_due"], ts)


@kernel
def wake_parent(s: Record, row: int) -> None:
    """Look at a parent now, before time goes on: by the queue, or where that is full with all of its instrument."""
    wake = s["parent_wakes"][row]
    if wake["woken"] != 0:
        return
    count = s["woken_count"]
    if count == WOKEN:
        wake["wake_ts"] = s["now"]
        note_due(s, s["orders"][wake["slot"] - 1]["instrument"], s["now"])
        return
    wake["woken"] = 1
    s["woken"][count] = row
    s["woken_count"] = count + 1
    s["next_parent"] = min(s["next_parent"], s["now"])
    s["next_due"] = min(s["next_due"], s["now"])


@kernel
def wake_instrument(s: Record, instrument: int) -> None:
    """Look at all parents that trade in an instrument now."""
    link = s["parent_lists"][instrument]["head"]
    while link >= 0:
        wake_parent(s, link // ROUTES)
        link = s["parent_wakes"][link // ROUTES]["next"][link % ROUTES]


@kernel
def wake_every_parent(s: Record) -> None:
    """Look at all parents now."""
    if s["parents_open"] == 0:
        return
    for row in range(MAX_PARENTS):
        if s["parent_wakes"][row]["slot"] != 0:
            wake_parent(s, row)


@kernel
def clear_ranges(ranges: Record) -> None:
    """Let no price and no volume of an instrument concern anyone."""
    ranges["bid_above"] = NO_ASK + 1
    ranges["ask_above"] = NO_ASK + 1
    ranges["bid_below"] = NO_BID - 1
    ranges["ask_below"] = NO_BID - 1
    ranges["traded_qty"] = NEVER


@kernel
def narrow_ranges(ranges: Record, other: Record) -> None:
    """Let what concerns ``other`` concern ``ranges`` too."""
    ranges["bid_above"] = min(ranges["bid_above"], other["bid_above"])
    ranges["bid_below"] = max(ranges["bid_below"], other["bid_below"])
    ranges["ask_above"] = min(ranges["ask_above"], other["ask_above"])
    ranges["ask_below"] = max(ranges["ask_below"], other["ask_below"])
    ranges["traded_qty"] = min(ranges["traded_qty"], other["traded_qty"])


@kernel
def forget_ranges(wake: Record) -> None:
    """Let no price, volume or time concern a parent."""
    wake["wake_ts"] = NEVER
    for route in range(ROUTES):
        clear_ranges(wake["ranges"][route])


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
def count_market(s: Record, row: int) -> None:
    """Add what the market has traded since to a parent's sums; after a restart the market counts from 0."""
    wake = s["parent_wakes"][row]
    parent = s["parents"][row]
    book = s["books"][s["orders"][wake["slot"] - 1]["instrument"]]
    if parent["started"] != 0 and book["traded_qty"] >= wake["seen_qty"]:
        parent["market_qty"] += book["traded_qty"] - wake["seen_qty"]
        parent["market_value"] += book["traded_value"] - wake["seen_value"]
    wake["seen_qty"] = book["traded_qty"]
    wake["seen_value"] = book["traded_value"]


@kernel
def seed_of(order_id: int) -> int:
    """First state of an order's random numbers: neighbouring ids get states far apart."""
    state = (order_id & _ID_MASK) % (_MODULUS - 1) + 1
    for _ in range(3):
        state = state * _MULTIPLIER % _MODULUS
    return state


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
    parent["random"] = seed_of(order["order_id"])
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
def average_1e8_ticks(value: float, qty: int) -> int:
    """An average price in 1e-8 ticks; 0: there is none."""
    return int(value / qty * CASH_SCALE + 0.5) if qty > 0 else 0


@kernel
def tell_parent(s: Record, row: int, reason: int, request_id: int) -> None:
    """Write a PROGRESS event of a parent and, for the journal, its row."""
    if s["parent_count"] == PARENT_RING:
        s["events_lost"] += 1
        return
    parent = s["parents"][row]
    slot = s["parent_wakes"][row]["slot"] - 1
    count_market(s, row)
    s["parent_wakes"][row]["told_units"] = parent["filled_units"]
    s["parent_wakes"][row]["told_ts"] = s["now"]
    copy_record(s["told_parents"][s["parent_count"]], parent)
    s["parent_count"] += 1
    event = s["events"][emit_order(s, slot, _PROGRESS, reason)]
    event["request_id"] = request_id
    event["liquidity"] = parent["state"]
    event["last_px"] = average_1e8_ticks(parent["filled_value"], parent["filled_units"])
    event["last_qty"] = open_units(s, parent) // max(parent["route_units"][0], 1)
    event["realized_pnl"] = parent["arrival_half_ticks"] * (CASH_SCALE // 2)
    event["fees"] = average_1e8_ticks(parent["market_value"], parent["market_qty"])
    event["aux"] = parent["due_qty"]
    event["position_qty"] = parent["start_ts"]


@kernel
def tick_ratio(s: Record, instrument: int, other: int) -> float:
    """Ticks of ``other`` that one tick of an instrument is worth; where there is no rate, currencies count as equal."""
    if instrument == other:
        return 1.0
    ratio = tick_value(s["instruments"][instrument]) / tick_value(s["instruments"][other])
    converted = quote_ratio(s, instrument, other)
    return ratio * converted if converted > 0.0 else ratio


@kernel
def note_child_fill(s: Record, order: Record, qty: int, px: int, fee: int, realized_pnl: int) -> None:
    """Count a fill of a child for its parent; one that comes when the parent is done is a fact too."""
    slot = find_order(s, order["parent_id"])
    if slot < 0:
        return
    whole = s["orders"][slot]
    row = whole["parent_row"] - 1
    whole["fees"] += fee
    whole["realized_pnl"] += realized_pnl
    if row < 0:
        whole["filled_qty"] += lots_at_home(s, order["instrument"], whole["instrument"], qty)
        return
    parent = s["parents"][row]
    units = qty * units_of(parent, order["instrument"])
    parent["filled_units"] += units
    parent["filled_value"] += px * units * tick_ratio(s, order["instrument"], whole["instrument"])
    whole["filled_qty"] = parent["filled_units"] // max(parent["route_units"][0], 1)
    whole["updated_ts"] = s["now"]
    route = route_of(parent, order["instrument"])
    if route >= 0:
        parent["refusals"][route] = 0


@kernel
def block_route(parent: Record, route: int, ts: int) -> None:
    """Ask for no new child on a route before ``ts``."""
    parent["blocked_ts"][route] = max(parent["blocked_ts"][route], ts)


@kernel
def pause_after_refusal(s: Record, parent: Record, route: int) -> None:
    """Ask for no new child on a route for a while, longer each time in a row."""
    if s["now"] >= parent["blocked_ts"][route] + STEADY_NS:
        parent["refusals"][route] = 0
    parent["refusals"][route] += 1
    doubling = min(parent["refusals"][route] - 1, LONGEST_DOUBLING)
    block_route(parent, route, s["now"] + (FIRST_PAUSE_NS << doubling))


@hot_kernel
def note_child_report(s: Record, order: Record, kind: int) -> None:
    """Look at the parent of a child of which the exchange has said something; a refused amend is not asked again at
    once."""
    slot = find_order(s, order["parent_id"])
    if slot < 0 or s["orders"][slot]["parent_row"] == 0:
        return
    row = s["orders"][slot]["parent_row"] - 1
    if kind == _AMEND_REJECTED:
        pause_after_refusal(s, s["parents"][row], max(route_of(s["parents"][row], order["instrument"]), 0))
    wake_parent(s, row)


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


@kernel
def stop_parent(s: Record, slot: int, state: int, reason: int, request_id: int) -> None:
    """Have a parent end in ``state`` once its children are cancelled; what was asked for first stays."""
    row = s["orders"][slot]["parent_row"] - 1
    parent = s["parents"][row]
    if parent["state"] != _STOPPING:
        parent["request_id"] = request_id
        parent["state"] = _STOPPING
        parent["end_state"] = state
        parent["end_reason"] = reason
    unlink_timed(s, slot)
    wake_parent(s, row)
    tell_parent(s, row, reason, request_id)


@kernel
def set_parent_state(s: Record, slot: int, state: int, reason: int, request_id: int) -> None:
    """Pause a parent, or let it go on, and tell it."""
    row = s["orders"][slot]["parent_row"] - 1
    parent = s["parents"][row]
    parent["state"] = state
    parent["request_id"] = request_id
    wake_parent(s, row)
    tell_parent(s, row, reason, request_id)


@kernel
def begin_parent(s: Record, row: int) -> None:
    """Note where the market is when a parent begins."""
    parent = s["parents"][row]
    wake = s["parent_wakes"][row]
    book = s["books"][s["orders"][wake["slot"] - 1]["instrument"]]
    wake["seen_qty"] = book["traded_qty"]
    wake["seen_value"] = book["traded_value"]
    parent["started"] = 1
    parent["start_ts"] = s["now"]
    parent["arrival_half_ticks"] = mid_half_ticks(book)


@kernel
def renew_ranges(s: Record, instrument: int) -> None:
    """Make the ranges of an instrument anew from its parents', and the time of the next one."""
    lists = s["parent_lists"][instrument]
    clear_ranges(lists["ranges"])
    due = NEVER
    link = lists["head"]
    while link >= 0:
        wake = s["parent_wakes"][link // ROUTES]
        route = link % ROUTES
        narrow_ranges(lists["ranges"], wake["ranges"][route])
        if route == 0:
            due = min(due, wake["wake_ts"])
        link = wake["next"][route]
    s["parent_due"][instrument] = due


@kernel
def note_ranges(s: Record, row: int) -> None:
    """Let the ranges of a parent's instruments be within its own; what they were before may keep them too narrow."""
    wake = s["parent_wakes"][row]
    routes = s["parents"][row]["routes"]
    for route in range(ROUTES):
        if routes[route] >= 0:
            narrow_ranges(s["parent_lists"][routes[route]]["ranges"], wake["ranges"][route])
    s["parent_due"][routes[0]] = min(s["parent_due"][routes[0]], wake["wake_ts"])


@kernel
def renew_next_parent(s: Record) -> None:
    """Find the time at which the next parent of all is looked at."""
    due = s["now"] if s["woken_count"] > 0 else NEVER
    for instrument in range(MAX_INSTRUMENTS):
        due = min(due, s["parent_due"][instrument])
    s["next_parent"] = due
    s["next_due"] = min(s["next_due"], due)
