"""Children of a parent order, brought to what its algorithm wants: placed, amended, cancelled.

There are never more of them than the target leaves, whatever is in flight.

- A lane has one child. Nothing is asked of it while a request about it is in flight.
- What a cancel has not confirmed yet counts as open, so its quantity is not asked for twice.
- A child that is refused, rejected, or cancelled by another than the algorithm, makes the next one on its route wait,
  twice as long each time in a row; one that takes and finds nothing makes the next one there wait for ``RETRY_NS``.
- Quantities are on the instrument's grid and within the largest order of the account; what would leave a rest below
  the smallest order is rounded up to the whole.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.keeping import ask_cancel
from oms.core.orders import find_order, is_open, leaves_qty
from oms.core.outbox import clear_rare
from oms.core.parents import open_units, route_of, route_of_lane
from oms.core.progress import FIRST_PAUSE_NS, block_route, pause_after_refusal
from oms.core.requests import request_amend, request_new
from oms.core.sizing import fitting_qty, largest_qty, least_qty, reachable_child_qty, taking_px
from oms.core.state import Record
from oms.core.terms import rests
from oms.core.units import keeps_its_lot
from oms.records import (
    ALGORITHM_CLIENT,
    LANES,
    ORDER_ID_COUNTER_BITS,
    ROUTES,
    CommandKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
)

RETRY_NS: Final = 50_000_000
"""Pause after a child that was to take and found nothing."""
SOON_NS: Final = 1_000_000
"""When it is looked at again after one child took and was done within the same moment."""

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_LIMIT: Final = int(OrderType.LIMIT)
_GTC: Final = int(TimeInForce.GTC)
_IOC: Final = int(TimeInForce.IOC)
_LIVE: Final = int(OrderState.LIVE)
_PENDING_CANCEL: Final = int(OrderState.PENDING_CANCEL)
_FILLED: Final = int(OrderState.FILLED)
_REJECTED: Final = int(OrderState.REJECTED)
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
_KEPT_FLAGS: Final = _REDUCE_ONLY | _SHORT_LEG
_NONE: Final = int(Reason.NONE)
_NO_AMEND: Final = int(Reason.NO_AMEND)
_REQUESTED: Final = int(Reason.REQUESTED)
_ID_MASK: Final = 2**ORDER_ID_COUNTER_BITS - 1
_NS_PER_MS: Final = 1_000_000


@kernel
def child_id(s: Record) -> int:
    """An id for the next child: they go up, and over a restart too."""
    s["child_counter"] = max(s["child_counter"] + 1, (s["now"] // _NS_PER_MS) & _ID_MASK)
    return ALGORITHM_CLIENT << ORDER_ID_COUNTER_BITS | s["child_counter"]


@kernel
def address_child(s: Record, order: Record, kind: int, order_id: int, px: int, qty: int) -> Record:
    """The scratch command about a child of ``order``."""
    command = s["command"]
    command["kind"] = kind
    command["order_id"] = order_id
    command["request_id"] = 0
    command["reason"] = 0
    command["value"] = 0
    command["source"] = ALGORITHM_CLIENT
    command["strategy"] = order["strategy"]
    command["account"] = order["account"]
    command["side"] = order["side"]
    command["order_type"] = _LIMIT
    command["px"] = px
    command["qty"] = qty
    clear_rare(command)
    return command


@kernel
def has_other_routes(parent: Record) -> bool:
    """True for a parent that may trade in more than its own instrument."""
    others = 0
    for route in range(1, ROUTES):
        others += int(parent["routes"][route] >= 0)
    return others > 0


@kernel
def place_child(s: Record, row: int, lane: int, budget: int) -> int:
    """Ask for the child that a lane wants; returns the units that are left of the budget.

    What one route leaves, another may have: of several, none gets more than its lane wants.
    """
    parent = s["parents"][row]
    order = s["orders"][s["parent_wakes"][row]["slot"] - 1]
    wish = s["wishes"][lane]
    route = route_of_lane(parent, lane)
    instrument = parent["routes"][route]
    units = parent["route_units"][route]
    if instrument < 0 or units <= 0 or s["now"] < parent["blocked_ts"][route] or not keeps_its_lot(s, parent, route):
        return budget
    takes = wish["takes"] != 0
    if takes and s["now"] <= parent["take_ts"][route]:
        wake = s["parent_wakes"][row]
        wake["wake_ts"] = min(wake["wake_ts"], s["now"] + SOON_NS)
        return budget
    px = taking_px(s, order, instrument, wish["px"]) if takes else wish["px"]
    most = budget // units
    if has_other_routes(parent):
        most = min(most, wish["qty"])
    qty = fitting_qty(s, order, instrument, px, wish["qty"], most)
    if qty <= 0:
        return budget
    qty = reachable_child_qty(s, order, instrument, px, qty)
    order_id = child_id(s)
    command = address_child(s, order, _NEW, order_id, px, qty)
    command["instrument"] = instrument
    command["time_in_force"] = _IOC if takes else _GTC
    command["flags"] = (order["flags"] & _KEPT_FLAGS) | wish["flags"]
    command["parent_id"] = parent["order_id"]
    if request_new(s, command) != _NONE:
        pause_after_refusal(s, parent, route)
        return budget
    parent["lanes"][lane] = order_id
    parent["children"] += 1
    if takes:
        parent["take_ts"][route] = s["now"]
    return budget - qty * units


@kernel
def amend_child(s: Record, row: int, lane: int, slot: int, budget: int) -> int:
    """Bring a child that rests to the price and quantity that its lane wants; returns what is left of the budget.

    A budget below 0 is what is open beyond the target: it is taken off. What makes a child smaller, or brings it within
    the limit, waits for no pause; where less than the smallest order would be left, it is cancelled. So is one that the
    exchange has refused to change, as it changes none: another one takes its place.
    """
    parent = s["parents"][row]
    order = s["orders"][s["parent_wakes"][row]["slot"] - 1]
    child = s["orders"][slot]
    wish = s["wishes"][lane]
    route = route_of_lane(parent, lane)
    units = parent["route_units"][route]
    leaves = leaves_qty(child)
    largest = largest_qty(s, order, child["instrument"], wish["px"])
    wanted = min(wish["qty"], leaves + budget // units, max(largest - child["filled_qty"], leaves))
    if wanted == leaves and wish["px"] == child["px"]:
        return budget
    least = least_qty(s, child["instrument"], wish["px"])
    if wanted < leaves and wanted < least:
        cancel_child(s, row, lane)
        return budget
    is_beyond = order["px"] > 0 and route == 0 and (child["px"] - order["px"]) * order["side"] > 0
    if leaves < least and not is_beyond:
        return budget  # the venue takes no change to so little: it stays where it is
    if s["now"] < parent["blocked_ts"][route] and wanted >= leaves and not is_beyond:
        return budget
    if child["reason"] == _NO_AMEND:
        cancel_child(s, row, lane)
        return budget
    command = address_child(s, order, _AMEND, child["order_id"], wish["px"], child["filled_qty"] + wanted)
    if request_amend(s, command) != _NONE:
        pause_after_refusal(s, parent, route)
        return budget
    return budget - (wanted - leaves) * units if wanted > leaves or budget < 0 else budget


@kernel
def grant_wishes(s: Record, row: int) -> None:
    """Bring the children to what the algorithm wants; cancels first, so that nothing new leaves before them."""
    parent = s["parents"][row]
    for lane in range(LANES):
        if parent["lanes"][lane] != 0 and s["wishes"][lane]["qty"] <= 0:
            cancel_child(s, row, lane)
    order = s["orders"][s["parent_wakes"][row]["slot"] - 1]
    budget = order["qty"] * parent["route_units"][0] - parent["filled_units"] - open_units(s, parent)
    for lane in range(LANES):
        if s["wishes"][lane]["qty"] <= 0:
            continue
        if parent["lanes"][lane] == 0:
            if budget > 0:
                budget = place_child(s, row, lane, budget)
            continue
        slot = find_order(s, parent["lanes"][lane])
        child = s["orders"][slot]
        if rests(child["time_in_force"]) and child["state"] == _LIVE:
            budget = amend_child(s, row, lane, slot, budget)


@kernel
def cancel_child(s: Record, row: int, lane: int) -> None:
    """Ask for the cancel of a lane's child, where that may be asked now; one that takes is done soon by itself.

    A cancel that the exchange has rejected is asked for again after a pause.
    """
    slot = find_order(s, s["parents"][row]["lanes"][lane])
    if slot < 0 or not rests(s["orders"][slot]["time_in_force"]) or s["orders"][slot]["state"] == _PENDING_CANCEL:
        return
    again_ts = s["orders"][slot]["updated_ts"] + FIRST_PAUSE_NS
    if s["orders"][slot]["cancel_reason"] != 0 and s["now"] < again_ts:
        wake = s["parent_wakes"][row]
        wake["wake_ts"] = min(wake["wake_ts"], again_ts)
        return
    ask_cancel(s, slot, _REQUESTED, 0, ALGORITHM_CLIENT)


@kernel
def settle_lanes(s: Record, row: int) -> int:
    """Empty the lanes whose children are done; returns how many are open."""
    parent = s["parents"][row]
    open_children = 0
    for lane in range(LANES):
        if parent["lanes"][lane] == 0:
            continue
        slot = find_order(s, parent["lanes"][lane])
        if slot >= 0 and is_open(s["orders"][slot]["state"]):
            open_children += 1
            continue
        parent["lanes"][lane] = 0
        if slot < 0:
            continue
        child = s["orders"][slot]
        if child["state"] == _FILLED or child["cancel_reason"] == _REQUESTED:
            continue
        if child["filled_qty"] > 0 and not rests(child["time_in_force"]):
            continue
        route = max(route_of(parent, child["instrument"]), 0)
        if rests(child["time_in_force"]) or child["state"] == _REJECTED:
            pause_after_refusal(s, parent, route)
        else:
            block_route(parent, route, s["now"] + RETRY_NS)
    return open_children


@kernel
def cancel_children(s: Record, row: int) -> None:
    """Ask for the cancel of all children of a parent."""
    for lane in range(LANES):
        if s["parents"][row]["lanes"][lane] != 0:
            cancel_child(s, row, lane)
