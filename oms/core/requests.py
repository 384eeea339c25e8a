"""Requests: new, amend, cancel, cancel all. Each is checked, entered in the order table, reported and sent out.

Sending means a row of the command output, which the host journals, and which it hands to the gateway when orders are
external; otherwise the same row also goes into the exchange model's queue, where it arrives after the entry latency.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.accounting import count_open, count_order
from oms.core.events import emit_order, emit_refusal, may_ask, new_event
from oms.core.orders import ILLEGAL, OrderInput, find_order, is_open, leaves_qty, link_open, new_order_slot, next_state
from oms.core.risk import check_amend, check_new
from oms.core.state import COMMAND_RING, EVENT_RING, MAX_ACCOUNTS, MAX_INSTRUMENTS, MODEL_QUEUE, Record, State
from oms.records import CommandKind, EventKind, OrderState, Reason, TradingState

_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_CANCEL: Final = int(CommandKind.CANCEL)
_CANCEL_ALL: Final = int(CommandKind.CANCEL_ALL)
_SET_TRADING_STATE: Final = int(CommandKind.SET_TRADING_STATE)

_SUBMITTED: Final = int(EventKind.ORDER_SUBMITTED)
_AMEND_SUBMITTED: Final = int(EventKind.AMEND_SUBMITTED)
_CANCEL_SUBMITTED: Final = int(EventKind.CANCEL_SUBMITTED)
_TRADING_STATE: Final = int(EventKind.TRADING_STATE)

_PENDING_NEW: Final = int(OrderState.PENDING_NEW)
_PENDING_CANCEL: Final = int(OrderState.PENDING_CANCEL)
_REQUEST_AMEND: Final = int(OrderInput.REQUEST_AMEND)
_REQUEST_CANCEL: Final = int(OrderInput.REQUEST_CANCEL)
_ACTIVE: Final = int(TradingState.ACTIVE)
_REDUCING: Final = int(TradingState.REDUCING)

_NONE: Final = int(Reason.NONE)
_BAD_COMMAND: Final = int(Reason.BAD_COMMAND)
_DUPLICATE_ORDER_ID: Final = int(Reason.DUPLICATE_ORDER_ID)
_ORDER_TABLE_FULL: Final = int(Reason.ORDER_TABLE_FULL)
_OUTPUT_FULL: Final = int(Reason.OUTPUT_FULL)
_UNKNOWN_ORDER: Final = int(Reason.UNKNOWN_ORDER)
_UNKNOWN_STRATEGY: Final = int(Reason.UNKNOWN_STRATEGY)
_UNKNOWN_ACCOUNT: Final = int(Reason.UNKNOWN_ACCOUNT)
_ORDER_NOT_OPEN: Final = int(Reason.ORDER_NOT_OPEN)
_REQUEST_IN_FLIGHT: Final = int(Reason.REQUEST_IN_FLIGHT)
_REQUESTED: Final = int(Reason.REQUESTED)


@kernel
def can_send(s: Record) -> bool:
    """True while a request finds room in the outputs and in the exchange model's queue."""
    return bool(
        s["command_count"] < COMMAND_RING
        and s["event_count"] < EVENT_RING
        and s["model"]["request_count"] < MODEL_QUEUE
    )


@kernel
def copy_command(target: Record, source: Record) -> None:
    """Copy every field of a COMMAND that an exchange or a journal needs."""
    target["order_id"] = source["order_id"]
    target["request_id"] = source["request_id"]
    target["kind"] = source["kind"]
    target["side"] = source["side"]
    target["order_type"] = source["order_type"]
    target["time_in_force"] = source["time_in_force"]
    target["flags"] = source["flags"]
    target["reason"] = source["reason"]
    target["instrument"] = source["instrument"]
    target["account"] = source["account"]
    target["strategy"] = source["strategy"]
    target["source"] = source["source"]
    target["version"] = source["version"]
    target["px"] = source["px"]
    target["qty"] = source["qty"]
    target["trigger_px"] = source["trigger_px"]
    target["display_qty"] = source["display_qty"]
    target["expire_ts"] = source["expire_ts"]
    target["parent_id"] = source["parent_id"]
    target["value"] = source["value"]
    target["trail"] = source["trail"]
    target["trail_unit"] = source["trail_unit"]
    target["trigger"] = source["trigger"]
    target["trigger_source"] = source["trigger_source"]
    target["contingency"] = source["contingency"]


@kernel
def send(s: Record, command: Record) -> None:
    """Put a checked request on its way; the caller has asked ``can_send``."""
    at = s["command_count"]
    out = s["commands"][at]
    copy_command(out, command)
    out["seq"] = s["command_seq"]
    out["ts"] = s["now"]
    out["wall_ts"] = s["cause_ts"]
    s["command_seq"] += 1
    s["command_count"] = at + 1
    if s["external"] != 0:
        return
    model = s["model"]
    count = model["request_count"]
    if count == 0:
        model["request_head"] = 0  # an empty ring starts over, so that a short queue stays in the cache
    request = model["requests"][(model["request_head"] + count) % MODEL_QUEUE]
    copy_command(request, command)
    due = s["now"] + model["entry_latency_ns"]
    if count > 0:
        due = max(due, model["requests"][(model["request_head"] + count - 1) % MODEL_QUEUE]["ts"])
    request["ts"] = due
    model["request_count"] = count + 1
    s["next_due"] = min(s["next_due"], due)


@kernel
def request_new(s: Record, command: Record) -> int:
    """Check a new order, enter it and send it; returns ``Reason.NONE`` or why it was refused."""
    order_id = command["order_id"]
    reason = _NONE
    if order_id <= 0:
        reason = _BAD_COMMAND
    elif command["strategy"] >= s["strategies_used"]:
        reason = _UNKNOWN_STRATEGY
    elif find_order(s, order_id) >= 0:
        reason = _DUPLICATE_ORDER_ID
    elif not may_ask(s) or not can_send(s):
        reason = _OUTPUT_FULL
    else:
        reason = check_new(s, command)
    if reason != _NONE:
        emit_refusal(s, command, 0, reason)
        return reason
    slot = new_order_slot(s, order_id)
    if slot < 0:
        emit_refusal(s, command, 0, _ORDER_TABLE_FULL)
        return _ORDER_TABLE_FULL
    order = s["orders"][slot]
    order["order_id"] = order_id
    order["created_ts"] = s["now"]
    order["updated_ts"] = s["now"]
    order["px"] = command["px"]
    order["qty"] = command["qty"]
    order["filled_qty"] = 0
    order["filled_cost"] = 0
    order["pending_px"] = 0
    order["pending_qty"] = 0
    order["request_id"] = command["request_id"]
    order["risk_qty"] = 0
    order["state"] = _PENDING_NEW
    order["side"] = command["side"]
    order["order_type"] = command["order_type"]
    order["time_in_force"] = command["time_in_force"]
    order["flags"] = command["flags"]
    order["reason"] = 0
    order["instrument"] = command["instrument"]
    order["account"] = command["account"]
    order["strategy"] = command["strategy"]
    order["version"] = command["version"]
    order["leg"] = 0
    order["trigger"] = 0
    order["contingency"] = 0
    order["first_child"] = -1
    order["fees"] = 0
    order["realized_pnl"] = 0
    link_open(s, slot)
    count_order(s, order, 1)
    count_open(s, order, command["qty"], command["px"])
    s["orders_sent"] += 1
    emit_order(s, slot, _SUBMITTED, _NONE)
    send(s, command)
    return _NONE


@kernel
def clear_rare(command: Record) -> None:
    """Clear what few commands have."""
    command["version"] = 0
    command["trigger_px"] = 0
    command["display_qty"] = 0
    command["expire_ts"] = 0
    command["parent_id"] = 0
    command["trail"] = 0
    command["trail_unit"] = 0
    command["trigger"] = 0
    command["trigger_source"] = 0
    command["contingency"] = 0


@kernel
def complete(command: Record, order: Record, px: int, qty: int) -> None:
    """Fill in a command about an order with what the order is, so that it stands alone at the exchange."""
    command["side"] = order["side"]
    command["order_type"] = order["order_type"]
    command["time_in_force"] = order["time_in_force"]
    command["flags"] = order["flags"]
    command["instrument"] = order["instrument"]
    command["account"] = order["account"]
    command["strategy"] = order["strategy"]
    command["px"] = px
    command["qty"] = qty
    command["reason"] = 0
    command["value"] = 0
    clear_rare(command)
    command["version"] = order["version"]


@kernel
def refusal_of_state(s: Record, state: int, order_input: int) -> int:
    """Why ``order_input`` cannot be asked of an order in ``state`` now, or NONE."""
    if not is_open(state):
        return _ORDER_NOT_OPEN
    if next_state(state, order_input) == ILLEGAL:
        return _REQUEST_IN_FLIGHT
    if not can_send(s):
        return _OUTPUT_FULL
    return _NONE


@kernel
def request_amend(s: Record, command: Record) -> int:
    """Check a change of price and total quantity (0: unchanged) and send it; one change can be in flight at a time."""
    slot = find_order(s, command["order_id"])
    if slot < 0:
        emit_refusal(s, command, 0, _UNKNOWN_ORDER)
        return _UNKNOWN_ORDER
    order = s["orders"][slot]
    state = order["state"]
    px = command["px"] if command["px"] != 0 else order["px"]
    qty = command["qty"] if command["qty"] != 0 else order["qty"]
    complete(command, order, px, qty)
    reason = refusal_of_state(s, state, _REQUEST_AMEND)
    if reason == _NONE and not may_ask(s):
        reason = _OUTPUT_FULL
    if reason == _NONE:
        reason = check_amend(s, order, px, qty)
    if reason != _NONE:
        emit_refusal(s, command, state, reason)
        return reason
    order["pending_px"] = command["px"]
    order["pending_qty"] = command["qty"]
    order["request_id"] = command["request_id"]
    order["state"] = next_state(state, _REQUEST_AMEND)
    order["updated_ts"] = s["now"]
    count_open(s, order, max(leaves_qty(order), command["qty"] - order["filled_qty"]), command["px"])
    emit_order(s, slot, _AMEND_SUBMITTED, _NONE)
    send(s, command)
    return _NONE


@kernel
def request_cancel(s: Record, command: Record) -> int:
    """Ask for the cancel of one order, whatever the trading state."""
    slot = find_order(s, command["order_id"])
    if slot < 0:
        emit_refusal(s, command, 0, _UNKNOWN_ORDER)
        return _UNKNOWN_ORDER
    order = s["orders"][slot]
    complete(command, order, order["px"], order["qty"])
    reason = refusal_of_state(s, order["state"], _REQUEST_CANCEL)
    if reason != _NONE:
        emit_refusal(s, command, order["state"], reason)
        return reason
    order["request_id"] = command["request_id"]
    order["state"] = next_state(order["state"], _REQUEST_CANCEL)
    order["updated_ts"] = s["now"]
    emit_order(s, slot, _CANCEL_SUBMITTED, _NONE)
    send(s, command)
    return _NONE


@kernel
def cancel_open(s: Record, account: int, instrument: int, strategy: int, request_id: int, source: int) -> bool:
    """Ask for the cancel of every open order of ``account``, narrowed by ``instrument`` and ``strategy`` (-1: all).

    Returns False when the output has no room for the rest: call again after it was emptied.
    """
    command = s["command"]
    first = 0 if instrument < 0 else instrument
    last = MAX_INSTRUMENTS if instrument < 0 else instrument + 1
    for i in range(first, last):
        slot = s["books"][i]["open_head"]
        while slot >= 0:
            order = s["orders"][slot]
            following = order["next_open"]
            if (
                order["state"] != _PENDING_CANCEL
                and order["account"] == account
                and (strategy < 0 or order["strategy"] == strategy)
            ):
                if s["command_count"] == COMMAND_RING or s["event_count"] == EVENT_RING:
                    return False
                command["kind"] = _CANCEL
                command["order_id"] = order["order_id"]
                command["request_id"] = request_id
                command["source"] = source
                request_cancel(s, command)
            slot = following
    return True


@kernel
def set_trading_state(s: Record, account: int, trading_state: int, reason: int, request_id: int) -> None:
    """Set an account's trading state and report it."""
    s["scopes"][account]["trading_state"] = trading_state
    s["scopes"][account]["reason"] = reason
    at = new_event(s, _TRADING_STATE, reason)
    event = s["events"][at]
    event["account"] = account
    event["request_id"] = request_id
    event["aux"] = trading_state


@kernel
def handle_command(st: State, command: Record) -> bool:
    """Act on one command of a client; False when there was no room for all of it: call again with the same command.

    A command whose ``reason`` is set was refused by the host (it came too late): it is only reported.
    """
    s = st[0]
    kind = command["kind"]
    account = command["account"]
    if command["reason"] != 0:
        emit_refusal(s, command, 0, command["reason"])
        return True
    if kind == _NEW:
        request_new(s, command)
        return True
    if kind == _AMEND:
        request_amend(s, command)
        return True
    if kind == _CANCEL:
        request_cancel(s, command)
        return True
    if not 0 <= account < MAX_ACCOUNTS or s["accounts"][account]["defined"] == 0:
        emit_refusal(s, command, 0, _UNKNOWN_ACCOUNT)
        return True
    request_id = command["request_id"]
    if kind == _CANCEL_ALL and command["instrument"] < MAX_INSTRUMENTS:
        if not cancel_open(s, account, command["instrument"], command["strategy"], request_id, command["source"]):
            return False
        set_trading_state(s, account, s["scopes"][account]["trading_state"], _REQUESTED, request_id)
        return True
    if kind == _SET_TRADING_STATE and 0 <= command["value"] <= _REDUCING:
        reason = command["px"] if command["px"] != 0 else _REQUESTED
        set_trading_state(s, account, command["value"], reason, request_id)
        return True
    emit_refusal(s, command, 0, _BAD_COMMAND)
    return True
