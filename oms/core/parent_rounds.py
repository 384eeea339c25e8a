"""Rounds over the parent orders: those that a tick concerns, those in the queue, and those whose time has come."""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.callbacks import tell_end
from oms.core.events import has_room
from oms.core.parent_wakes import note_ranges, renew_next_parent, renew_ranges
from oms.core.progress import tell_parent
from oms.core.state import ASK, BID, MAX_PARENTS, Record, State
from oms.core.working import work_parent
from oms.records import ROUTES, BookState, Reason

TELL_NS: Final = 10_000_000_000
"""How often a parent is told of which nothing changes but the market."""

_SYNCED: Final = int(BookState.SYNCED)
_NONE: Final = int(Reason.NONE)


@kernel
def look_at(st: State, row: int) -> None:
    """Look at one parent, unless it has ended meanwhile, and note what concerns it next, or tell of its end."""
    s = st[0]
    wake = s["parent_wakes"][row]
    wake["woken"] = 0
    if wake["slot"] == 0:
        return
    slot = wake["slot"] - 1
    work_parent(st, row)
    if wake["slot"] != 0:
        note_ranges(s, row)
    else:
        tell_end(st, slot)


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
    for instrument in range(s["instruments_used"]):
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
