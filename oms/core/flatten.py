"""The kill switch's second half: an account's orders are cancelled, then its positions are closed at the market.

Closing orders leave once the account has no open order any more, so that a late fill is in the position before it is
closed. An order whose cancel is not answered for some seconds is waited for no longer: what it cannot close itself is
closed. There is one order a position at a time, reduce-only and immediate-or-cancel, so that nothing turns around. What
does not fill is asked for again, as long as the book can be traded on. They pass HALTED, limits and rates, but not the
grid.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.events import new_event
from oms.core.groups import counted_qty
from oms.core.keeping import ask_cancel, send_new
from oms.core.orders import find_order
from oms.core.outbox import can_send, clear_rare
from oms.core.parents import is_stopping_parent
from oms.core.state import MAX_LEGS, Record
from oms.core.terms import check_book, touch_px
from oms.core.trading import CORE_CLIENT, Cancelling, Flattening, scope_of_strategy
from oms.records import (
    ORDER_ID_COUNTER_BITS,
    CommandKind,
    EventKind,
    HeldFor,
    InstrumentState,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
)

PATIENCE_NS: Final = 5_000_000_000
"""How long positions stay open for orders that have not been answered."""
CANCELS_A_REVIEW: Final = 1_024
"""Cancels that one review asks for; what is left waits for the next one, at the same time."""

_NEW: Final = int(CommandKind.NEW)
_KILLED: Final = int(EventKind.KILLED)
_MARKET: Final = int(OrderType.MARKET)
_IOC: Final = int(TimeInForce.IOC)
_REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
_PENDING_CANCEL: Final = int(OrderState.PENDING_CANCEL)
_FOR_PARENT: Final = int(HeldFor.PARENT)
_TRADING: Final = int(InstrumentState.TRADING)
_CLOSING: Final = int(Flattening.CLOSING)
_CLOSED: Final = int(Flattening.CLOSED)
_NOTHING: Final = int(Cancelling.NOTHING)
_GROWING: Final = int(Cancelling.GROWING)
_NONE: Final = int(Reason.NONE)
_ID_MASK: Final = 2**ORDER_ID_COUNTER_BITS - 1
_NS_PER_MS: Final = 1_000_000


@kernel
def in_scope(order: Record, scope: int) -> bool:
    """True for an order of the account or the strategy."""
    return bool(order["account"] == scope or scope_of_strategy(order["strategy"]) == scope)


@kernel
def cancel_in_instrument(s: Record, scope: int, instrument: int, growing_only: bool, budget: int) -> int:
    """Cancel a scope's open orders in one instrument; returns what is left of the budget, -1 when it did not do.

    With ``growing_only`` orders stay that close a position together, the newest first; an OCO group is counted as its
    largest order, for a cancel of any would end them all. What is held in the core stays when it is against the
    position as it is, as a stop is, or waits for its parent: risk asks anew when it leaves.
    """
    closable_long = s["positions"][scope, instrument, 0]["qty"]
    closable_short = s["positions"][scope, instrument, 1]["qty"]
    slot = s["order_lists"][instrument]["open_head"]
    while slot >= 0:
        order = s["orders"][slot]
        following = order["next_open"]
        if not is_stopping_parent(s, order) and order["state"] != _PENDING_CANCEL and in_scope(order, scope):
            held = closable_short if order["leg"] == 1 else closable_long
            qty = counted_qty(s, slot)
            if qty == 0:  # it is held, or the others of its group stand for it
                held = s["positions"][scope, instrument, order["leg"]]["qty"]
            if growing_only and order["held_for"] & _FOR_PARENT:
                slot = following
                continue
            if growing_only and held * order["side"] < 0 and qty <= abs(held):
                if order["leg"] == 1:
                    closable_short += order["side"] * qty
                else:
                    closable_long += order["side"] * qty
            else:
                if budget == 0 or not can_send(s):
                    return -1
                ask_cancel(s, slot, s["scopes"][scope]["reason"], 0, CORE_CLIENT)
                budget -= 1
        slot = following
    return budget


@kernel
def cancel_scope(s: Record, scope: int, budget: int) -> int:
    """Ask for the cancels that a scope is due; returns what is left of the budget, -1 when it did not do.

    They are asked for at every review while they are due: a cancel may be refused.
    """
    sums = s["scopes"][scope]
    if sums["cancelling"] == _NOTHING or sums["open_orders"] == 0:
        return budget
    for instrument in range(s["instruments_used"]):
        if s["order_lists"][instrument]["open_head"] < 0:
            continue
        budget = cancel_in_instrument(s, scope, instrument, bool(sums["cancelling"] == _GROWING), budget)
        if budget < 0:
            return budget
    return budget


@kernel
def own_order_id(s: Record) -> int:
    """An id for an order of the core's own: the time in ms, or the next free number."""
    counter = (s["now"] // _NS_PER_MS) & _ID_MASK
    order_id = CORE_CLIENT << ORDER_ID_COUNTER_BITS | counter
    while find_order(s, order_id) >= 0:
        counter = (counter + 1) & _ID_MASK
        order_id = CORE_CLIENT << ORDER_ID_COUNTER_BITS | counter
    return order_id


@kernel
def closing_qty(s: Record, account: int, instrument: int, leg: int) -> int:
    """Lots of the next closing order of a position: at most ``max_order_qty``; 0: it is flat, or below the grid.

    What an open order may yet close is left to it, so that nothing turns around.
    """
    position = s["positions"][account, instrument, leg]
    qty = abs(position["qty"]) - (position["open_sell_qty"] if position["qty"] > 0 else position["open_buy_qty"])
    definition = s["instruments"][instrument]
    limits = s["limits"][account, instrument]
    if qty < definition["min_qty"]:
        return 0
    largest = definition["max_qty"]
    if limits["defined"] != 0:
        largest = min(largest, max(limits["max_order_qty"], definition["min_qty"]))
    chunk = min(qty, largest)
    smallest = definition["min_qty"]
    if 0 < qty - chunk < smallest <= qty - smallest:
        chunk = qty - smallest  # else the rest could not be closed
    return chunk


@kernel
def close_position(s: Record, account: int, instrument: int, leg: int, qty: int) -> None:
    """Send a closing order for a part of a position, where its book can be traded on."""
    side = -1 if s["positions"][account, instrument, leg]["qty"] > 0 else 1
    if s["instrument_states"][instrument] != _TRADING or check_book(s, instrument, 0) != _NONE or not can_send(s):
        return
    if touch_px(s["books"][instrument], side) == 0:
        return
    command = s["own_command"]
    command["kind"] = _NEW
    command["order_id"] = own_order_id(s)
    command["request_id"] = 0
    command["reason"] = 0
    command["source"] = CORE_CLIENT
    command["strategy"] = -1
    command["account"] = account
    command["instrument"] = instrument
    command["side"] = side
    command["order_type"] = _MARKET
    command["time_in_force"] = _IOC
    command["flags"] = _REDUCE_ONLY | _SHORT_LEG if leg == 1 else _REDUCE_ONLY
    command["px"] = 0
    command["qty"] = qty
    clear_rare(command)
    command["version"] = s["instruments"][instrument]["version"]
    command["value"] = touch_px(s["books"][instrument], side)
    send_new(s, command)


@kernel
def finish_flattening(s: Record, account: int) -> None:
    """Everything that can be closed is closed: say so, and go on watching for late fills."""
    s["scopes"][account]["flattening"] = _CLOSED
    at = new_event(s, _KILLED, _NONE)
    event = s["events"][at]
    event["account"] = account
    event["aux"] = 0


@kernel
def flatten_account(s: Record, account: int) -> None:
    """Send the next closing orders of an account that has no open order, or none that answers, until all is closed."""
    sums = s["scopes"][account]
    left = bool(sums["open_orders"] != 0)
    if sums["flattening"] == 0 or s["now"] < sums["flatten_ts"] + (PATIENCE_NS if left else 0):
        return
    for instrument in range(s["instruments_used"]):
        for leg in range(MAX_LEGS):
            qty = closing_qty(s, account, instrument, leg)
            if qty > 0:
                left = True
                close_position(s, account, instrument, leg, qty)
    if not left and sums["flattening"] == _CLOSING:
        finish_flattening(s, account)
