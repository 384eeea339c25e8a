"""The terms that decide when an order leaves and how long it lives: trigger, expiry, display, parent.

Each check returns ``Reason.NONE`` or the first reason to refuse. They need no market.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.expiry import next_reset
from oms.core.groups import count_children, is_grouped
from oms.core.orders import find_order, is_open, is_protection, stands_at_exchange
from oms.core.parents import find_algorithm, find_terms, has_free_parent, set_routes
from oms.core.state import MAX_ACCOUNTS, MAX_CHILDREN, MAX_INSTRUMENTS, MAX_PX, NEVER, Record
from oms.core.units import set_units, target_fits
from oms.records import ROUTES, Contingency, OrderType, Reason, TimeInForce, TrailUnit, Trigger, TriggerSource

_NO_TRIGGER: Final = int(Trigger.NONE)
_TRAILING: Final = int(Trigger.TRAILING)
_ALGORITHM: Final = int(Trigger.ALGORITHM)
_BID_ASK: Final = int(TriggerSource.BID_ASK)
_FIRST_SOURCE: Final = int(min(TriggerSource))
_LAST_SOURCE: Final = int(max(TriggerSource))
_TICKS: Final = int(TrailUnit.TICKS)
_BASIS_POINTS: Final = int(TrailUnit.BASIS_POINTS)
_PRICE: Final = int(TrailUnit.PRICE)
_MAX_TRAIL: Final = 2**30
_MAX_BASIS_POINTS: Final = 9_999
_NO_CONTINGENCY: Final = int(Contingency.NONE)
_OTO: Final = int(Contingency.OTO)
_OCO: Final = int(Contingency.OCO)
_REPLACE: Final = int(Contingency.REPLACE)
_LIMIT: Final = int(OrderType.LIMIT)
_IOC: Final = int(TimeInForce.IOC)
_FOK: Final = int(TimeInForce.FOK)
_GTD: Final = int(TimeInForce.GTD)
_DAY: Final = int(TimeInForce.DAY)
_NONE: Final = int(Reason.NONE)
_BAD_FLAGS: Final = int(Reason.BAD_FLAGS)
_BAD_TRIGGER: Final = int(Reason.BAD_TRIGGER)
_BAD_EXPIRY: Final = int(Reason.BAD_EXPIRY)
_BAD_DISPLAY_QTY: Final = int(Reason.BAD_DISPLAY_QTY)
_BAD_PARENT: Final = int(Reason.BAD_PARENT)
_BAD_ALGORITHM: Final = int(Reason.BAD_ALGORITHM)
_ORDER_TABLE_FULL: Final = int(Reason.ORDER_TABLE_FULL)
_UNKNOWN_INSTRUMENT: Final = int(Reason.UNKNOWN_INSTRUMENT)
_OVERFLOW: Final = int(Reason.OVERFLOW)


@kernel
def check_trail(trail: int, trail_unit: int) -> int:
    """A trailing trigger's distance."""
    if (trail_unit == _TICKS or trail_unit == _PRICE) and 0 < trail <= _MAX_TRAIL:
        return _NONE
    if trail_unit == _BASIS_POINTS and 0 < trail <= _MAX_BASIS_POINTS:
        return _NONE
    return _BAD_TRIGGER


@kernel
def check_trigger(command: Record) -> int:
    """A trigger has its price, or its distance, and says what it watches; an order without one has nothing of it.

    An exchange watches a fixed trigger, by its last, mark or index price.
    """
    trigger = command["trigger"]
    if trigger == _NO_TRIGGER or trigger == _ALGORITHM:
        unused = command["trigger_px"] == 0 and command["trail"] == 0 and command["trigger_source"] == 0
        if stands_at_exchange(command):
            return _BAD_FLAGS
        return _NONE if unused else _BAD_TRIGGER
    if trigger > _TRAILING or not _FIRST_SOURCE <= command["trigger_source"] <= _LAST_SOURCE:
        return _BAD_TRIGGER
    if stands_at_exchange(command) and (trigger == _TRAILING or command["trigger_source"] == _BID_ASK):
        return _BAD_TRIGGER
    lowest = 0 if trigger == _TRAILING else 1  # a trailing trigger may take its first place from the market
    if not lowest <= command["trigger_px"] <= MAX_PX:
        return _BAD_TRIGGER
    if trigger == _TRAILING:
        return check_trail(command["trail"], command["trail_unit"])
    return _NONE if command["trail"] == 0 else _BAD_TRIGGER


@kernel
def check_expiry(s: Record, command: Record) -> int:
    """GTD has a time to come, DAY an account with a reset, which becomes its time; others have none."""
    time_in_force = command["time_in_force"]
    if time_in_force == _GTD:
        return _NONE if s["now"] < command["expire_ts"] < NEVER else _BAD_EXPIRY
    if command["expire_ts"] != 0:
        return _BAD_EXPIRY
    if time_in_force == _DAY:
        if not 0 <= command["account"] < MAX_ACCOUNTS:
            return _BAD_EXPIRY
        reset = next_reset(s, command["account"])
        if reset == NEVER:
            return _BAD_EXPIRY
        command["expire_ts"] = reset
    return _NONE


@kernel
def check_display(command: Record) -> int:
    """Only an order that rests can show a part of itself; a stop at the exchange shows nothing."""
    display_qty = command["display_qty"]
    if display_qty == 0:
        return _NONE
    if stands_at_exchange(command):
        return _BAD_DISPLAY_QTY
    time_in_force = command["time_in_force"]
    rests = command["order_type"] == _LIMIT and time_in_force != _IOC and time_in_force != _FOK
    return _NONE if rests and 0 < display_qty <= command["qty"] else _BAD_DISPLAY_QTY


@kernel
def check_parent(s: Record, command: Record) -> int:
    """A contingent order's parent is known, of the same account and instrument, and something may still come of it.

    An exit that is to stand at the exchange is not resized there, so it must be one that can only close.
    """
    contingency = command["contingency"]
    if contingency == _NO_CONTINGENCY:
        return _NONE
    if contingency > _REPLACE:
        return _BAD_PARENT
    if contingency == _OTO and stands_at_exchange(command) and not is_protection(s, command):
        return _BAD_PARENT
    if contingency == _OCO and (command["parent_id"] == 0 or command["parent_id"] == command["order_id"]):
        return _NONE
    slot = find_order(s, command["parent_id"])
    if slot < 0:
        return _BAD_PARENT
    parent = s["orders"][slot]
    if parent["trigger"] == _ALGORITHM:
        return _BAD_PARENT
    if parent["account"] != command["account"] or parent["instrument"] != command["instrument"]:
        return _BAD_PARENT
    if parent["strategy"] != command["strategy"]:
        return _BAD_PARENT
    if contingency == _OCO and (parent["contingency"] != _OCO or parent["broken"] != 0):
        return _BAD_PARENT
    if not is_open(parent["state"]) and (contingency == _REPLACE or parent["filled_qty"] <= parent["children_filled"]):
        return _BAD_PARENT
    if contingency == _REPLACE and (parent["side"] != command["side"] or is_grouped(s, slot)):
        return _BAD_PARENT
    return _NONE if count_children(s, slot) < MAX_CHILDREN else _BAD_PARENT


@kernel
def check_own_conditions(s: Record, command: Record) -> int:
    """All of the above but the parent; sets ``expire_ts`` of a DAY order."""
    reason = check_trigger(command)
    if reason == _NONE:
        reason = check_expiry(s, command)
    if reason == _NONE:
        reason = check_display(command)
    return reason


@kernel
def check_algorithm(s: Record, command: Record) -> int:
    """An order that is to be worked has the terms of an algorithm that is loaded, rests, and hangs on no other."""
    if command["trigger"] != _ALGORITHM:
        return _NONE
    if command["contingency"] != _NO_CONTINGENCY or command["parent_id"] != 0 or command["display_qty"] != 0:
        return _BAD_ALGORITHM
    if command["time_in_force"] == _IOC or command["time_in_force"] == _FOK:
        return _BAD_ALGORITHM
    terms = find_terms(s, command["order_id"])
    if terms < 0 or find_algorithm(s, s["terms"][terms]["algorithm"]) < 0:
        return _BAD_ALGORITHM
    for route in range(ROUTES):
        instrument = s["terms"][terms]["routes"][route]
        if instrument >= MAX_INSTRUMENTS or (instrument >= 0 and s["instruments"][instrument]["defined"] == 0):
            return _UNKNOWN_INSTRUMENT
    if 0 <= command["instrument"] < MAX_INSTRUMENTS and s["instruments"][command["instrument"]]["defined"] != 0:
        parent = s["parent_before"]
        set_routes(parent, command["instrument"], s["terms"][terms])
        if not set_units(s, parent) or not target_fits(parent, command["qty"]):
            return _OVERFLOW
    return _NONE if has_free_parent(s) else _ORDER_TABLE_FULL


@kernel
def check_conditions(s: Record, command: Record) -> int:
    """All of the above."""
    reason = check_own_conditions(s, command)
    if reason == _NONE:
        reason = check_parent(s, command)
    if reason == _NONE:
        reason = check_algorithm(s, command)
    return reason
