"""When a parent order is looked at: when its time has come, or something concerns it.

That is a price or the traded volume that has left the range which its algorithm has set for one of its instruments,
something that happened to a child, or one of its books that goes out of step or is in step again. The ranges of all
parents that trade in an instrument are kept as one, so that a tick that concerns none of them costs a few comparisons.
"""

from __future__ import annotations

from oms.compiled import kernel
from oms.core.state import MAX_PARENTS, NEVER, NO_ASK, NO_BID, WOKEN, Record
from oms.records import ROUTES


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
    for instrument in range(s["instruments_used"]):
        due = min(due, s["parent_due"][instrument])
    s["next_parent"] = due
    s["next_due"] = min(s["next_due"], due)
