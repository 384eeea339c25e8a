"""How far a parent order is: what its children do is noted in its row, and told.

A child that is refused makes the next one on its route wait, longer each time in a row.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import copy_record, hot_kernel, kernel
from oms.core.book import mid_half_ticks
from oms.core.events import emit_order
from oms.core.expiry import unlink_timed
from oms.core.orders import find_order, is_open
from oms.core.parent_wakes import wake_parent
from oms.core.parents import open_units, route_of, units_of
from oms.core.quotes import quote_ratio, tick_value
from oms.core.state import PARENT_RING, Record
from oms.core.units import lots_at_home
from oms.records import CASH_SCALE, EventKind, ParentState, Reason, ReportKind

FIRST_PAUSE_NS: Final = 100_000_000
"""Pause after a child was refused or rejected; each further one in a row doubles it."""
LONGEST_DOUBLING: Final = 6
STEADY_NS: Final = 1_000_000_000
"""A route on which nothing was refused for so long after the pause begins anew. The acceptance of a child alone does
not say that: a venue may accept it and take it off at once."""

_AMEND_REJECTED: Final = int(ReportKind.AMEND_REJECTED)
_NO_AMEND: Final = int(Reason.NO_AMEND)
_FILLED_LATE: Final = int(EventKind.FILLED_LATE)
_PROGRESS: Final = int(EventKind.PROGRESS)
_STOPPING: Final = int(ParentState.STOPPING)


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
def tell_late_fill(s: Record, order: Record, qty: int, px: int) -> None:
    """Tell of a child's fill that came when its parent was done: no PROGRESS follows to say it."""
    slot = find_order(s, order["parent_id"])
    if slot < 0 or is_open(s["orders"][slot]["state"]):
        return
    event = s["events"][emit_order(s, slot, _FILLED_LATE, s["orders"][slot]["reason"])]
    event["last_px"] = px
    event["last_qty"] = qty
    event["aux"] = order["order_id"]


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
    """Look at the parent of a child of which the exchange has said something.

    A refused amend is not asked again at once; where the exchange has no such amends, the child is soon cancelled.
    """
    slot = find_order(s, order["parent_id"])
    if slot < 0 or s["orders"][slot]["parent_row"] == 0:
        return
    row = s["orders"][slot]["parent_row"] - 1
    if kind == _AMEND_REJECTED and order["reason"] != _NO_AMEND:
        pause_after_refusal(s, s["parents"][row], max(route_of(s["parents"][row], order["instrument"]), 0))
    wake_parent(s, row)


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
