"""Writing events: rows of the core's event output, numbered without a gap.

The host empties the output after every step. An input is taken, and a strategy called, only while ``OUTPUT_MARGIN``
rows are free, which is more than either can fill; an event that finds no row all the same is counted, and the host
halts on that count. What a callback may ask for depends on what it has asked for, never on how full the output was.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import clear_record, hot_kernel, kernel
from oms.core.book import mid_half_ticks
from oms.core.liquidation import stated_liquidation
from oms.core.positions import average_px, unrealized_pnl
from oms.core.state import (
    ASK_BUDGET,
    COMMAND_RING,
    EVENT_RING,
    MAX_ACCOUNTS,
    MAX_INSTRUMENTS,
    MAX_LEGS,
    MAX_SCOPES,
    OUTPUT_MARGIN,
    PARENT_RING,
    REPORT_RING,
    Record,
)
from oms.records import EventKind, OrderFlag

POSITIONS_OF_SCOPE: Final = MAX_INSTRUMENTS * MAX_LEGS
MAX_POSITIONS: Final = MAX_SCOPES * POSITIONS_OF_SCOPE
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
_POSITION: Final = int(EventKind.POSITION)
_REFUSED: Final = int(EventKind.ORDER_REFUSED)
_IGNORED: Final = int(EventKind.REPORT_IGNORED)


@kernel
def has_room(s: Record) -> bool:
    """True while the output of one more input or callback surely fits."""
    return bool(
        s["event_count"] <= EVENT_RING - OUTPUT_MARGIN
        and s["command_count"] <= COMMAND_RING - OUTPUT_MARGIN
        and s["report_count"] <= REPORT_RING - OUTPUT_MARGIN
        and s["parent_count"] <= PARENT_RING - OUTPUT_MARGIN
    )


@kernel
def open_budget(s: Record) -> None:
    """Begin a callback or a command: what it asks for is counted from here."""
    s["asked_from"] = s["event_count"]


@kernel
def may_ask(s: Record) -> bool:
    """True while the callback or command in hand may ask for more; each request gives an event at least."""
    return bool(s["event_count"] - s["asked_from"] < ASK_BUDGET)


@kernel
def new_event(s: Record, kind: int, reason: int) -> int:
    """Take the next row of the output, cleared and stamped, and return its index; the last row when it is full."""
    at = s["event_count"]
    if at >= EVENT_RING:
        s["events_lost"] += 1
        at = EVENT_RING - 1
    else:
        s["event_count"] = at + 1
    event = s["events"][at]
    clear_record(event)
    event["seq"] = s["event_seq"]
    s["event_seq"] += 1
    event["ts"] = s["now"]
    event["kind"] = kind
    event["reason"] = reason
    event["instrument"] = -1
    event["account"] = -1
    event["strategy"] = -1
    return at


@hot_kernel
def emit_order(s: Record, slot: int, kind: int, reason: int) -> int:
    """Write an event that carries the order as it now stands, and return its row."""
    order = s["orders"][slot]
    at = new_event(s, kind, reason)
    event = s["events"][at]
    event["order_id"] = order["order_id"]
    event["request_id"] = order["request_id"]
    event["side"] = order["side"]
    event["state"] = order["state"]
    event["order_type"] = order["order_type"]
    event["time_in_force"] = order["time_in_force"]
    event["instrument"] = order["instrument"]
    event["version"] = order["version"]
    event["account"] = order["account"]
    event["strategy"] = order["strategy"]
    event["flags"] = order["flags"]
    event["trigger"] = order["trigger"]
    event["contingency"] = order["contingency"]
    event["px"] = order["px"]
    event["qty"] = order["qty"]
    event["filled_qty"] = order["filled_qty"]
    event["position_qty"] = s["positions"][order["account"], order["instrument"], order["leg"]]["qty"]
    return at


@kernel
def emit_terms(s: Record, slot: int, kind: int, reason: int) -> None:
    """Write an event of an order that also carries its trigger price, display quantity, parent and trail."""
    order = s["orders"][slot]
    at = emit_order(s, slot, kind, reason)
    event = s["events"][at]
    event["last_px"] = order["trigger_px"]
    event["last_qty"] = order["display_qty"]
    event["aux"] = order["parent_id"]
    event["realized_pnl"] = order["trail"]
    event["fees"] = order["trail_unit"]


@kernel
def emit_refusal(s: Record, command: Record, state: int, reason: int) -> None:
    """Count a command that risk or the order's state did not let through, and report it as ORDER_REFUSED.

    A strategy that asks in a loop fills the output: what it is then refused is counted and returned, not reported.
    """
    s["orders_refused"] += 1
    if not may_ask(s):
        return
    at = new_event(s, _REFUSED, reason)
    event = s["events"][at]
    event["order_id"] = command["order_id"]
    event["request_id"] = command["request_id"]
    event["side"] = command["side"]
    event["state"] = state
    event["order_type"] = command["order_type"]
    event["time_in_force"] = command["time_in_force"]
    event["instrument"] = command["instrument"]
    event["version"] = command["version"]
    event["account"] = command["account"]
    event["strategy"] = command["strategy"]
    event["flags"] = command["flags"]
    event["trigger"] = command["trigger"]
    event["contingency"] = command["contingency"]
    event["px"] = command["px"]
    event["qty"] = command["qty"]
    event["aux"] = command["kind"]


@kernel
def ignore_report(s: Record, report: Record, reason: int) -> None:
    """Count a report that cannot be applied, and say why."""
    s["reports_ignored"] += 1
    at = new_event(s, _IGNORED, reason)
    event = s["events"][at]
    event["order_id"] = report["order_id"]
    event["instrument"] = report["instrument"]
    event["version"] = report["version"]
    event["account"] = report["account"]
    event["side"] = report["side"]
    event["last_px"] = report["px"]
    event["last_qty"] = report["qty"]
    event["aux"] = report["kind"]


@kernel
def emit_position(s: Record, scope: int, instrument: int, leg: int, order_id: int) -> None:
    """Write a POSITION event of an account or a strategy: the position, its PnL, its mark and its liquidation price."""
    position = s["positions"][scope, instrument, leg]
    book = s["books"][instrument]
    at = new_event(s, _POSITION, 0)
    event = s["events"][at]
    event["account"] = scope
    if scope >= MAX_ACCOUNTS:
        event["strategy"] = scope - MAX_ACCOUNTS
        event["account"] = s["strategies"][scope - MAX_ACCOUNTS]["account"]
    event["instrument"] = instrument
    event["version"] = s["instruments"][instrument]["version"]
    event["flags"] = _SHORT_LEG if leg == 1 else 0
    event["position_qty"] = position["qty"]
    event["realized_pnl"] = position["realized_pnl"]
    event["fees"] = position["fees"]
    event["px"] = average_px(position, s["instruments"][instrument])
    event["qty"] = unrealized_pnl(position, s["instruments"][instrument], mid_half_ticks(book))
    event["last_px"] = mid_half_ticks(book)
    event["last_qty"] = position["fills"]
    event["filled_qty"] = position["open_orders"]
    event["aux"] = order_id
    if scope < MAX_ACCOUNTS and position["qty"] != 0:
        event["order_id"] = stated_liquidation(s, scope, instrument, leg)


@kernel
def write_positions(s: Record, start: int) -> int:
    """Write a POSITION event for each position, an account's or a strategy's, that traded, is open or has orders.

    They may be more than the output holds: it begins with number ``start``, and returns the number of the first one
    that had no room, or ``MAX_POSITIONS``.
    """
    for number in range(start, (MAX_ACCOUNTS + s["strategies_used"]) * POSITIONS_OF_SCOPE):
        scope = number // POSITIONS_OF_SCOPE
        if scope < MAX_ACCOUNTS and s["accounts"][scope]["defined"] == 0:
            continue
        instrument = number % POSITIONS_OF_SCOPE // MAX_LEGS
        leg = number % MAX_LEGS
        position = s["positions"][scope, instrument, leg]
        if position["fills"] > 0 or position["open_orders"] > 0 or position["qty"] != 0:
            if not has_room(s):
                return number
            emit_position(s, scope, instrument, leg, 0)
    return MAX_POSITIONS
