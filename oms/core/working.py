"""Working a parent order: its algorithm says what should be working, and the core makes it so.

An algorithm is called by address. It reads the market and its own progress, and puts into ``wishes`` what it wants in
each lane: a quantity that rests at a price, or one that takes up to a price; ``oms.core.children`` brings the children
to that. So an algorithm need not know of requests that are under way, refused or late: it is called again, and says
again what it wants. A rest that no order can have ends the parent (BELOW_MINIMUM).
"""

from __future__ import annotations

from typing import Final

from oms.compiled import call_address, copy_record, kernel
from oms.core.book import is_tradable
from oms.core.children import cancel_child, cancel_children, grant_wishes, settle_lanes
from oms.core.events import open_budget
from oms.core.keeping import end_held
from oms.core.orders import find_order, leaves_qty
from oms.core.parent_wakes import forget_ranges
from oms.core.parents import is_of_other_version, open_units, route_of_lane
from oms.core.progress import begin_parent, count_market, stop_parent, tell_parent
from oms.core.sizing import least_qty
from oms.core.state import NEVER, Record, State
from oms.core.terms import touch_px
from oms.core.trading import check_states
from oms.records import LANES, PARENT_MEMORY, ROUTES, OrderState, ParentState, Reason

BLOCKED_NS: Final = 1_000_000_000
"""How often a parent that may not trade now is looked at."""

_FILLED: Final = int(OrderState.FILLED)
_CANCELLED: Final = int(OrderState.CANCELLED)
_RUNNING: Final = int(ParentState.RUNNING)
_STOPPING: Final = int(ParentState.STOPPING)
_NONE: Final = int(Reason.NONE)
_FAILED: Final = int(Reason.ALGORITHM_FAILED)
_CHANGED: Final = int(Reason.ALGORITHM_CHANGED)
_BAD_ALGORITHM: Final = int(Reason.BAD_ALGORITHM)
_BELOW_MINIMUM: Final = int(Reason.BELOW_MINIMUM)


@kernel
def end_parent(s: Record, row: int, state: int, reason: int) -> None:
    """End a parent of which no child is open."""
    parent = s["parents"][row]
    tell_parent(s, row, reason, parent["request_id"])
    end_held(s, s["parent_wakes"][row]["slot"] - 1, state, reason, parent["request_id"])


@kernel
def has_tradable_route(s: Record, parent: Record) -> bool:
    """True while the book of one of a parent's instruments is in step with its venue."""
    for route in range(ROUTES):
        if parent["routes"][route] >= 0 and is_tradable(s["books"][parent["routes"][route]]):
            return True
    return False


@kernel
def may_work(s: Record, row: int) -> bool:
    """True while a parent may place orders; else when it is looked at again has been set."""
    wake = s["parent_wakes"][row]
    order = s["orders"][wake["slot"] - 1]
    if check_states(s, order["account"], order["strategy"]) != _NONE or s["feed_quiet"] != 0:
        wake["wake_ts"] = s["now"] + BLOCKED_NS
        return False
    if not has_tradable_route(s, s["parents"][row]):
        wake["wake_ts"] = s["now"] + BLOCKED_NS
        return False
    return True


@kernel
def cut_children(s: Record, row: int) -> None:
    """Of a parent that may not trade now, cancel what must not stay: beyond the target or the limit, or out of time."""
    parent = s["parents"][row]
    order = s["orders"][s["parent_wakes"][row]["slot"] - 1]
    over = open_units(s, parent) + parent["filled_units"] - order["qty"] * parent["route_units"][0]
    is_late = 0 < parent["end_ts"] <= s["now"]
    for lane in range(LANES):
        slot = find_order(s, parent["lanes"][lane]) if parent["lanes"][lane] != 0 else -1
        if slot < 0:
            continue
        child = s["orders"][slot]
        is_own = child["instrument"] == order["instrument"]
        is_beyond = is_own and order["px"] > 0 and (child["px"] - order["px"]) * order["side"] > 0
        if over > 0 or is_late or is_beyond:
            cancel_child(s, row, lane)
            over -= leaves_qty(child) * parent["route_units"][route_of_lane(parent, lane)]


@kernel
def is_too_small(s: Record, row: int) -> bool:
    """True when what is left of a parent without open children is less than any order of its routes."""
    parent = s["parents"][row]
    order = s["orders"][s["parent_wakes"][row]["slot"] - 1]
    left = order["qty"] * parent["route_units"][0] - parent["filled_units"]
    side = order["side"]
    for route in range(ROUTES):
        instrument = parent["routes"][route]
        if instrument < 0:
            continue
        px = touch_px(s["books"][instrument], side)
        if instrument == order["instrument"] and order["px"] > 0 and (px == 0 or (px - order["px"]) * side > 0):
            px = order["px"]
        if left // max(parent["route_units"][route], 1) >= least_qty(s, instrument, px):
            return False
    return True


@kernel
def call_algorithm(st: State, row: int, address: int) -> None:
    """Call a function of a parent's algorithm; one that fails stops the parent."""
    s = st[0]
    if address != 0 and call_address(address, st, row, s["now"]) != 0:
        stop_parent(s, s["parent_wakes"][row]["slot"] - 1, _CANCELLED, _FAILED, s["parents"][row]["request_id"])


@kernel
def run_algorithm(st: State, row: int) -> None:
    """Let a parent's algorithm say what it wants, and bring its children to it."""
    s = st[0]
    parent = s["parents"][row]
    wake = s["parent_wakes"][row]
    algorithm = s["algorithms"][wake["algorithm"]]
    for lane in range(LANES):
        s["wishes"][lane]["qty"] = 0
        s["wishes"][lane]["flags"] = 0
    if parent["started"] == 0:
        begin_parent(s, row)
        call_algorithm(st, row, algorithm["start"])
    if parent["state"] == _RUNNING:
        call_algorithm(st, row, algorithm["work"])
    if parent["state"] == _STOPPING:
        return
    if parent["end_ts"] > s["now"]:
        wake["wake_ts"] = min(wake["wake_ts"], parent["end_ts"])
    grant_wishes(s, row)
    wake["wake_ts"] = max(wake["wake_ts"], s["now"] + 1)
    for route in range(ROUTES):
        if parent["blocked_ts"][route] > s["now"]:
            wake["wake_ts"] = min(wake["wake_ts"], parent["blocked_ts"][route])


@kernel
def has_changed(s: Record, row: int) -> bool:
    """True when a parent's row is another one than before, in what a restart must know."""
    parent = s["parents"][row]
    before = s["parent_before"]
    if parent["filled_units"] != s["parent_wakes"][row]["told_units"] or parent["state"] != before["state"]:
        return True
    if parent["started"] != before["started"] or parent["children"] != before["children"]:
        return True
    if parent["random"] != before["random"] or parent["end_ts"] != before["end_ts"]:
        return True
    for route in range(ROUTES):
        if parent["blocked_ts"][route] != before["blocked_ts"][route]:
            return True
    for at in range(PARENT_MEMORY):
        if parent["memory"][at] != before["memory"][at]:
            return True
    changed = False
    for lane in range(LANES):
        changed = changed or parent["lanes"][lane] != before["lanes"][lane]
    return bool(changed)


@kernel
def stop_or_work(st: State, row: int) -> bool:
    """Do what a parent's state asks for; True when it has ended."""
    s = st[0]
    parent = s["parents"][row]
    wake = s["parent_wakes"][row]
    order = s["orders"][wake["slot"] - 1]
    open_children = settle_lanes(s, row)
    target = order["qty"] * parent["route_units"][0]
    if open_children == 0:
        if parent["filled_units"] >= target:
            end_parent(s, row, _FILLED, _NONE)
            return True
        if parent["state"] == _STOPPING:
            end_parent(s, row, parent["end_state"], parent["end_reason"])
            return True
        if parent["started"] != 0 and is_too_small(s, row):
            end_parent(s, row, _CANCELLED, _BELOW_MINIMUM)
            return True
    if parent["state"] != _RUNNING or parent["filled_units"] >= target:
        wake["wake_ts"] = s["now"] + BLOCKED_NS if open_children > 0 else NEVER
        cancel_children(s, row)
    elif wake["algorithm"] < 0:
        reason = _CHANGED if is_of_other_version(s, parent["algorithm"]) else _BAD_ALGORITHM
        stop_parent(s, wake["slot"] - 1, _CANCELLED, reason, parent["request_id"])
    elif may_work(s, row):
        run_algorithm(st, row)
    else:
        cut_children(s, row)
    return False


@kernel
def work_parent(st: State, row: int) -> None:
    """Look at one parent; what follows from it at once, as its end, is done too."""
    s = st[0]
    parent = s["parents"][row]
    open_budget(s)
    count_market(s, row)
    copy_record(s["parent_before"], parent)
    for _ in range(3):
        forget_ranges(s["parent_wakes"][row])
        state = parent["state"]
        if stop_or_work(st, row):
            return
        if parent["state"] == state:
            break
    if has_changed(s, row):
        tell_parent(s, row, _NONE, 0)
