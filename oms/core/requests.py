"""Requests: new, amend, cancel, cancel all. Each is checked, entered in the order table, reported and sent out."""

from __future__ import annotations

from typing import Final

from oms.compiled import hot_kernel, kernel
from oms.core.conditions import check_conditions, check_trail
from oms.core.contingency import exit_qty
from oms.core.entry import enter_amend, enter_cancel, enter_order, waits_for
from oms.core.events import emit_order, emit_refusal, emit_terms, may_ask
from oms.core.groups import anchor_of
from oms.core.keeping import ask_cancel, check_in_group, end_held, give_terms, send_new, value_market_order
from oms.core.mass_cancel import cancel_all
from oms.core.orders import ILLEGAL, OrderInput, find_order, has_free_slot, is_open, next_state, stands_at_exchange
from oms.core.outbox import can_send, complete, send
from oms.core.parent_wakes import wake_parent
from oms.core.parents import find_terms, is_stopping_parent, is_worked, new_parent, set_parent_parameters
from oms.core.progress import set_parent_state, stop_parent, tell_parent
from oms.core.rates import take_cancel_token
from oms.core.risk import check_amend, check_held, check_stop_amend
from oms.core.state import MAX_ACCOUNTS, MAX_INSTRUMENTS, MAX_PX, MAX_QTY, Record, State
from oms.core.trading import kill, scope_of_strategy, set_trading_state
from oms.core.units import target_fits
from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderState,
    OrderType,
    ParentState,
    Reason,
    TradingState,
    Trigger,
)

_NEW: Final = int(CommandKind.NEW)
_HOLD: Final = int(CommandKind.HOLD)
_AMEND: Final = int(CommandKind.AMEND)
_CANCEL: Final = int(CommandKind.CANCEL)
_CANCEL_ALL: Final = int(CommandKind.CANCEL_ALL)
_SET_TRADING_STATE: Final = int(CommandKind.SET_TRADING_STATE)
_KILL: Final = int(CommandKind.KILL)
_ORDER_HELD: Final = int(EventKind.ORDER_HELD)
_AMEND_SUBMITTED: Final = int(EventKind.AMEND_SUBMITTED)
_CANCEL_SUBMITTED: Final = int(EventKind.CANCEL_SUBMITTED)
_HELD: Final = int(OrderState.HELD)
_CANCELLED: Final = int(OrderState.CANCELLED)
_REQUEST_AMEND: Final = int(OrderInput.REQUEST_AMEND)
_REQUEST_CANCEL: Final = int(OrderInput.REQUEST_CANCEL)
_REDUCING: Final = int(TradingState.REDUCING)
_OTO: Final = int(Contingency.OTO)
_OCO: Final = int(Contingency.OCO)
_REPLACE: Final = int(Contingency.REPLACE)
_LIMIT: Final = int(OrderType.LIMIT)
_TRAILING: Final = int(Trigger.TRAILING)
_NO_TRIGGER: Final = int(Trigger.NONE)
_ALGORITHM: Final = int(Trigger.ALGORITHM)
_PAUSE: Final = int(CommandKind.PAUSE)
_RESUME: Final = int(CommandKind.RESUME)
_RUNNING: Final = int(ParentState.RUNNING)
_PAUSED: Final = int(ParentState.PAUSED)
_NO_PARENT: Final = int(Reason.NO_PARENT)
_NONE: Final = int(Reason.NONE)
_NO_AMEND: Final = int(Reason.NO_AMEND)
_BAD_COMMAND: Final = int(Reason.BAD_COMMAND)
_BAD_PRICE: Final = int(Reason.BAD_PRICE)
_OVERFLOW: Final = int(Reason.OVERFLOW)
_BAD_TRIGGER: Final = int(Reason.BAD_TRIGGER)
_QTY_BELOW_MIN: Final = int(Reason.QTY_BELOW_MIN)
_QTY_ABOVE_MAX: Final = int(Reason.QTY_ABOVE_MAX)
_WRONG_VERSION: Final = int(Reason.WRONG_VERSION)
_DUPLICATE_ORDER_ID: Final = int(Reason.DUPLICATE_ORDER_ID)
_ORDER_TABLE_FULL: Final = int(Reason.ORDER_TABLE_FULL)
_OUTPUT_FULL: Final = int(Reason.OUTPUT_FULL)
_UNKNOWN_ORDER: Final = int(Reason.UNKNOWN_ORDER)
_UNKNOWN_STRATEGY: Final = int(Reason.UNKNOWN_STRATEGY)
_UNKNOWN_ACCOUNT: Final = int(Reason.UNKNOWN_ACCOUNT)
_ORDER_NOT_OPEN: Final = int(Reason.ORDER_NOT_OPEN)
_REQUEST_IN_FLIGHT: Final = int(Reason.REQUEST_IN_FLIGHT)
_REQUESTED: Final = int(Reason.REQUESTED)
_LAST_REASON: Final = int(max(Reason))
_REPLACED: Final = int(Reason.REPLACED)


@kernel
def set_version(s: Record, command: Record) -> int:
    """Fill in the version in force, or refuse a command whose prices are counted by another one."""
    instrument = command["instrument"]
    if not 0 <= instrument < MAX_INSTRUMENTS:
        return _NONE  # refused as unknown by risk
    version = s["instruments"][instrument]["version"]
    if command["version"] == 0:
        command["version"] = version
    return _NONE if command["version"] == version else _WRONG_VERSION


@kernel
def refusal_of_new(s: Record, command: Record) -> int:
    """Why a new order cannot be taken, whatever risk says; or NONE."""
    if command["order_id"] <= 0:
        return _BAD_COMMAND
    if command["strategy"] >= s["strategies_used"]:
        return _UNKNOWN_STRATEGY
    if find_order(s, command["order_id"]) >= 0:
        return _DUPLICATE_ORDER_ID
    if not may_ask(s) or not can_send(s):
        return _OUTPUT_FULL
    reason = set_version(s, command)
    if reason == _NONE:
        reason = check_conditions(s, command)
    if reason == _NONE and not has_free_slot(s):
        reason = _ORDER_TABLE_FULL
    return reason


@kernel
def check_order(s: Record, command: Record, held_for: int) -> int:
    """Risk for a new order that is to be held, or leaves now; one of an OCO group as if the others were not there."""
    if held_for != 0:
        return check_held(s, command)
    anchor = -1
    if command["contingency"] == _OCO and command["parent_id"] != 0:
        anchor = find_order(s, command["parent_id"])
    return check_in_group(s, command, anchor, -1)


@kernel
def hold_new(s: Record, command: Record) -> int:
    """Enter an order into the core's keeping and report it; returns its slot, -1 when the table is full."""
    slot = enter_order(s, command)
    if slot >= 0:
        command["kind"] = _HOLD
        emit_terms(s, slot, _ORDER_HELD, _NONE)
        send(s, command)
    if slot >= 0 and command["trigger"] == _ALGORITHM:
        tell_parent(s, new_parent(s, slot, find_terms(s, command["order_id"])), _NONE, 0)
    return slot


@kernel
def request_new(s: Record, command: Record) -> int:
    """Check a new order, enter it and send or hold it; returns ``Reason.NONE`` or why it was refused."""
    command["value"] = 0
    held_for = waits_for(command)
    reason = refusal_of_new(s, command)
    if reason == _NONE:
        reason = check_order(s, command, held_for)
    if reason != _NONE:
        emit_refusal(s, command, 0, reason)
        return reason
    if held_for == 0:
        value_market_order(s, command)
        slot = send_new(s, command)
    else:
        slot = hold_new(s, command)
    if slot < 0:
        emit_refusal(s, command, 0, _ORDER_TABLE_FULL)
        return _ORDER_TABLE_FULL
    if command["contingency"] == _REPLACE:
        ask_cancel(s, anchor_of(s, slot), _REPLACED, command["request_id"], command["source"])
    return _NONE


@hot_kernel
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
def check_held_amend(order: Record, px: int, qty: int, trigger_px: int, trail: int) -> int:
    """The terms of an order in the core's keeping; it passes risk in full when it leaves."""
    if (order["order_type"] == _LIMIT and px <= 0) or px > MAX_PX:
        return _BAD_PRICE
    if qty <= 0:
        return _QTY_BELOW_MIN
    if qty > MAX_QTY:
        return _QTY_ABOVE_MAX
    if order["trigger"] == _NO_TRIGGER or order["trigger"] == _ALGORITHM:
        if qty < order["filled_qty"]:
            return _QTY_BELOW_MIN
        return _NONE if trigger_px == 0 and trail == 0 else _BAD_TRIGGER
    if not 0 <= trigger_px <= MAX_PX or (trigger_px == 0 and order["trigger"] != _TRAILING):
        return _BAD_TRIGGER
    if order["trigger"] == _TRAILING:
        return check_trail(trail, order["trail_unit"])
    return _NONE if trail == 0 else _BAD_TRIGGER


@kernel
def amend_held(s: Record, command: Record, slot: int) -> int:
    """Change an order in the core's keeping at once; what is 0 stays as it is.

    With the trigger ALGORITHM terms have come ahead of the command: those of a refused one must not take effect later.
    """
    order = s["orders"][slot]
    has_terms = command["trigger"] == _ALGORITHM
    px = command["px"] if command["px"] != 0 else order["px"]
    qty = command["qty"] if command["qty"] != 0 else order["qty"]
    trigger_px = command["trigger_px"] if command["trigger_px"] != 0 else order["trigger_px"]
    trail = command["trail"] if command["trail"] != 0 else order["trail"]
    reason = refusal_of_state(s, order["state"], _REQUEST_AMEND)
    if reason == _NONE and not may_ask(s):
        reason = _OUTPUT_FULL
    if reason == _NONE and is_stopping_parent(s, order):
        reason = _REQUEST_IN_FLIGHT
    if reason == _NONE:
        reason = check_held_amend(order, px, qty, trigger_px, trail)
    if reason == _NONE and is_worked(order) and not target_fits(s["parents"][order["parent_row"] - 1], qty):
        reason = _OVERFLOW
    if reason != _NONE:
        complete(command, order, px, qty)
        emit_refusal(s, command, order["state"], reason)
        return reason
    full_qty = order["full_qty"]
    if command["qty"] != 0:  # of a replacement it includes what its parent has filled
        full_qty = qty if order["contingency"] == _OTO else full_qty + qty - order["qty"]
    give_terms(s, slot, px, qty, trigger_px, trail, order["held_for"], full_qty, command["request_id"])
    if is_worked(order):
        terms = find_terms(s, command["order_id"]) if has_terms else -1
        if terms >= 0:
            set_parent_parameters(s, order["parent_row"] - 1, terms)
            tell_parent(s, order["parent_row"] - 1, _NONE, 0)
        wake_parent(s, order["parent_row"] - 1)
    return _NONE


@kernel
def request_pause(s: Record, command: Record) -> int:
    """Have an order that an algorithm works rest, or go on; returns a Reason."""
    slot = find_order(s, command["order_id"])
    reason = _NONE
    if slot < 0:
        reason = _UNKNOWN_ORDER
    elif not is_open(s["orders"][slot]["state"]):
        reason = _ORDER_NOT_OPEN
    elif not is_worked(s["orders"][slot]):
        reason = _NO_PARENT
    elif s["parents"][s["orders"][slot]["parent_row"] - 1]["state"] > _PAUSED:
        reason = _REQUEST_IN_FLIGHT
    if reason != _NONE:
        emit_refusal(s, command, 0, reason)
        return reason
    state = _PAUSED if command["kind"] == _PAUSE else _RUNNING
    set_parent_state(s, slot, state, _REQUESTED, command["request_id"])
    return _NONE


@kernel
def bound_exit(s: Record, slot: int, command: Record) -> None:
    """Ask no more of an exit at the exchange than what remains of its parent; what was asked for stays its most."""
    anchor = anchor_of(s, slot)
    if anchor >= 0:
        full_qty = min(max(command["qty"], 0), MAX_QTY)
        command["value"] = full_qty
        command["qty"] = exit_qty(s, s["orders"][anchor], slot, full_qty)


@hot_kernel
def request_amend(s: Record, command: Record) -> int:
    """Check a change of price and total quantity (0: unchanged) and send it; one change can be in flight at a time.

    Of a stop that stands at the exchange its trigger can be changed too. What the exchange has just refused because it
    changes no orders, or only makes them smaller, is not sent again.
    """
    slot = find_order(s, command["order_id"])
    if slot < 0:
        emit_refusal(s, command, 0, _UNKNOWN_ORDER)
        return _UNKNOWN_ORDER
    order = s["orders"][slot]
    state = order["state"]
    if state == _HELD:
        return amend_held(s, command, slot)
    stands = stands_at_exchange(order)
    trigger_px = command["trigger_px"] if command["trigger_px"] != 0 else order["trigger_px"]
    wants_trigger = (command["trigger_px"] != 0 and not stands) or command["trail"] != 0
    px = command["px"] if command["px"] != 0 else order["px"]
    is_sized = command["qty"] != 0
    qty = command["qty"] if is_sized else order["qty"]
    version = command["version"]
    complete(command, order, px, qty)
    command["trigger_px"] = trigger_px
    if is_sized and order["contingency"] == _OTO and not stands:
        bound_exit(s, slot, command)
    reason = refusal_of_state(s, state, _REQUEST_AMEND)
    if reason == _NONE and not may_ask(s):
        reason = _OUTPUT_FULL
    if reason == _NONE and wants_trigger:
        reason = _BAD_TRIGGER
    asks_more = stands or px != order["px"] or command["qty"] > order["qty"]
    if reason == _NONE and order["reason"] == _NO_AMEND and asks_more:
        reason = _NO_AMEND
    if reason == _NONE and version != 0 and version != order["version"]:
        reason = _WRONG_VERSION
    if reason == _NONE and stands:
        reason = check_stop_amend(s, order, px, trigger_px, command["qty"])
    elif reason == _NONE:
        reason = check_amend(s, order, px, command["qty"])
    if reason != _NONE:
        emit_refusal(s, command, state, reason)
        return reason
    enter_amend(s, slot, command)
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
    if is_worked(order):
        stop_parent(s, slot, _CANCELLED, _REQUESTED, command["request_id"])
        return _NONE
    if order["state"] == _HELD:
        end_held(s, slot, _CANCELLED, _REQUESTED, command["request_id"])
        return _NONE
    complete(command, order, order["px"], order["qty"])
    reason = refusal_of_state(s, order["state"], _REQUEST_CANCEL)
    if reason != _NONE:
        emit_refusal(s, command, order["state"], reason)
        return reason
    take_cancel_token(s, order)
    enter_cancel(s, slot, command)
    emit_order(s, slot, _CANCEL_SUBMITTED, _NONE)
    send(s, command)
    return _NONE


@kernel
def command_trading_state(s: Record, command: Record) -> int:
    """Set the trading state of an account, or of one of its strategies; returns a Reason."""
    scope = command["account"]
    strategy = command["strategy"]
    if strategy >= s["strategies_used"]:
        return _UNKNOWN_STRATEGY
    if strategy >= 0:
        scope = scope_of_strategy(strategy)
    reason = command["px"] if 0 < command["px"] <= _LAST_REASON else _REQUESTED
    set_trading_state(s, scope, command["value"], reason, command["request_id"])
    return _NONE


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
    if kind == _PAUSE or kind == _RESUME:
        request_pause(s, command)
        return True
    if kind == _KILL and 0 <= command["value"] <= 1:
        reason = kill(s, account, command["value"], command["request_id"])
        if reason != _NONE:
            emit_refusal(s, command, 0, reason)
        return True
    every = kind == _CANCEL_ALL and account == -1
    if not every and (not 0 <= account < MAX_ACCOUNTS or s["accounts"][account]["defined"] == 0):
        emit_refusal(s, command, 0, _UNKNOWN_ACCOUNT)
        return True
    if kind == _CANCEL_ALL and command["instrument"] < MAX_INSTRUMENTS:
        return cancel_all(s, command)
    if kind == _SET_TRADING_STATE and 0 <= command["value"] <= _REDUCING:
        reason = command_trading_state(s, command)
        if reason != _NONE:
            emit_refusal(s, command, 0, reason)
        return True
    emit_refusal(s, command, 0, _BAD_COMMAND)
    return True
