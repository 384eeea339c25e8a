"""Working parent orders: their algorithms say what should be working, and the core makes it so.

An algorithm is called by address. It reads the market and its own progress, and puts into ``wishes`` what it wants in
each lane: a quantity that rests at a price, or one that takes up to a price. Here the children are brought to that:
placed, amended, cancelled, and never more of them than the target leaves, whatever is in flight. So an algorithm need
not know of requests that are under way, refused or late: it is called again, and says again what it wants.

- A lane has one child. Nothing is asked of it while a request about it is in flight.
- What a cancel has not confirmed yet counts as open, so its quantity is not asked for twice.
- A child that is refused, rejected, or cancelled by another than the algorithm, makes the next one on its route wait,
  twice as long each time; one that takes and finds nothing makes the next one there wait for ``RETRY_NS``.
- Quantities are on the instrument's grid and within the largest order of the account; what would leave a rest below
  the smallest order is rounded up to the whole. A rest that no order can have ends the parent (BELOW_MINIMUM).
"""

from __future__ import annotations

from typing import Final

from oms.compiled import call_address, copy_record, kernel
from oms.core.book import is_tradable
from oms.core.events import has_room, open_budget
from oms.core.keeping import ask_cancel, end_held
from oms.core.orders import find_order, is_open, leaves_qty
from oms.core.outbox import clear_rare
from oms.core.parents import (
    FIRST_PAUSE_NS,
    begin_parent,
    block_route,
    count_market,
    forget_ranges,
    note_ranges,
    open_units,
    pause_after_refusal,
    renew_next_parent,
    renew_ranges,
    route_of,
    route_of_lane,
    stop_parent,
    tell_parent,
)
from oms.core.requests import request_amend, request_new
from oms.core.sizing import fitting_qty, largest_qty, least_qty, reachable_child_qty, taking_px
from oms.core.state import ASK, BID, MAX_INSTRUMENTS, MAX_PARENTS, NEVER, Record, State
from oms.core.terms import rests, touch_px
from oms.core.trading import check_states
from oms.core.units import keeps_its_lot
from oms.records import (
    ALGORITHM_CLIENT,
    LANES,
    ORDER_ID_COUNTER_BITS,
    PARENT_MEMORY,
    ROUTES,
    BookState,
    CommandKind,
    OrderFlag,
    OrderState,
    OrderType,
    ParentState,
    Reason,
    TimeInForce,
)

TELL_NS: Final = 10_000_000_000
"""How often a parent is told of which nothing changes but the market."""
RETRY_NS: Final = 50_000_000
"""Pause after a child that was to take and found nothing."""
SOON_NS: Final = 1_000_000
"""When it is looked at again after one child took and was done within the same moment."""
BLOCKED_NS: Final = 1_000_000_000
"""How often a parent that may not trade now is looked at."""

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_LIMIT: Final = int(OrderType.LIMIT)
_GTC: Final = int(TimeInForce.GTC)
_IOC: Final = int(TimeInForce.IOC)
_LIVE: Final = int(OrderState.LIVE)
_PENDING_CANCEL: Final = int(OrderState.PENDING_CANCEL)
_FILLED: Final = int(OrderState.FILLED)
_CANCELLED: Final = int(OrderState.CANCELLED)
_REJECTED: Final = int(OrderState.REJECTED)
_RUNNING: Final = int(ParentState.RUNNING)
_STOPPING: Final = int(ParentState.STOPPING)
_SYNCED: Final = int(BookState.SYNCED)
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
_KEPT_FLAGS: Final = _REDUCE_ONLY | _SHORT_LEG
_NONE: Final = int(Reason.NONE)
_REQUESTED: Final = int(Reason.REQUESTED)
_FAILED: Final = int(Reason.ALGORITHM_FAILED)
_BAD_ALGORITHM: Final = int(Reason.BAD_ALGORITHM)
_BELOW_MINIMUM: Final = int(Reason.BELOW_MINIMUM)
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
    the limit, waits for no pause; where less than the smallest order would be left, it is cancelled.
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
        stop_parent(s, wake["slot"] - 1, _CANCELLED, _BAD_ALGORITHM, parent["request_id"])
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


@kernel
def look_at(st: State, row: int) -> None:
    """Look at one parent, unless it has ended meanwhile, and note what concerns it next."""
    s = st[0]
    wake = s["parent_wakes"][row]
    wake["woken"] = 0
    if wake["slot"] != 0:
        work_parent(st, row)
    if wake["slot"] != 0:
        note_ranges(s, row)


@kernel
def is_concerned(ranges: Record, book: Record) -> bool:
    """True when a price or the traded volume has left a range; ``ranges`` is a parent's or an instrument's."""
    bid = book["best"][BID]
    ask = book["best"][ASK]
    return bool(
        bid >= ranges["bid_above"]
        or bid <= ranges["bid_below"]
        or ask >= ranges["ask_above"]
        or ask <= ranges["ask_below"]
        or book["traded_qty"] >= ranges["traded_qty"]
    )


@kernel
def work_instrument(st: State, instrument: int) -> bool:
    """Look at the parents in an instrument that something concerns; False when the output has no room for the next.

    Of those whose own instrument it is, that may be the time too.
    """
    s = st[0]
    book = s["books"][instrument]
    synced = book["state"] == _SYNCED
    link = s["parent_lists"][instrument]["head"]
    while link >= 0:
        row = link // ROUTES
        route = link % ROUTES
        wake = s["parent_wakes"][row]
        following = wake["next"][route]
        is_due = route == 0 and wake["wake_ts"] <= s["now"]
        if is_due or (synced and is_concerned(wake["ranges"][route], book)):
            if not has_room(s):
                return False
            look_at(st, row)
        link = following
    renew_ranges(s, instrument)
    return True


@kernel
def work_concerned(st: State, instrument: int) -> bool:
    """After a tick: look at the parents in its instrument that it concerns; False as ``work_instrument``."""
    s = st[0]
    book = s["books"][instrument]
    if book["state"] != _SYNCED or not is_concerned(s["parent_lists"][instrument]["ranges"], book):
        return True
    if not work_instrument(st, instrument):
        return False
    renew_next_parent(s)
    return True


@kernel
def work_woken(st: State) -> bool:
    """Look at the parents in the queue, in their order; False when the output has no room for the next."""
    s = st[0]
    at = 0
    while at < s["woken_count"]:
        if not has_room(s):
            for rest in range(at, s["woken_count"]):
                s["woken"][rest - at] = s["woken"][rest]
            s["woken_count"] -= at
            return False
        row = s["woken"][at]
        at += 1
        if s["parent_wakes"][row]["woken"] != 0:
            look_at(st, row)
    s["woken_count"] = 0
    return True


@kernel
def work_due(st: State) -> bool:
    """Look at the parents that wait in the queue or whose time has come; False: the output has no room for the next."""
    s = st[0]
    if not work_woken(st):
        return False
    for instrument in range(MAX_INSTRUMENTS):
        if s["parent_due"][instrument] <= s["now"] and not work_instrument(st, instrument):
            return False
    renew_next_parent(s)
    return True


@kernel
def tell_every_parent(s: Record) -> bool:
    """Tell how far every parent is; False when the output had no room for the next one: call again."""
    if s["parents_open"] == 0:
        return True
    for row in range(max(s["next_told_parent"] - 1, 0), MAX_PARENTS):
        wake = s["parent_wakes"][row]
        if wake["slot"] == 0 or s["parents"][row]["started"] == 0 or s["now"] < wake["told_ts"] + TELL_NS:
            continue
        if not has_room(s):
            s["next_told_parent"] = row + 1
            return False
        tell_parent(s, row, _NONE, 0)
    s["next_told_parent"] = 0
    return True
