"""What follows for contingent orders when one of their group has changed.

- OTO: an order held for its parent is let go once the parent has filled, for what remains to be closed: the parent's
  filled quantity less what all its children have filled, and at most its own. With every fill the others are brought to
  what remains; at nothing they end. So an entry with a target and a stop is a bracket, and two targets may share it.
  When the price of one with a trigger is reached it leaves at once, and those at rest are cancelled at the same time;
  a fill that overtakes such a cancel takes its lots from a stop-limit that rests. A stop that is to stand at the
  exchange leaves with the parent's first fill, for all that was asked: it is reduce-only, so the exchange cuts it to
  what there is to close, and no change of it has to arrive in time.
- OCO: once one of the group fills in part, is let go by its price, or ends, the others are cancelled.
- REPLACE: once the parent is done, the order that replaces it leaves for what the parent has not filled; when the
  parent was filled or could not be cancelled, it ends. An order of a group is not replaced, for its replacement
  would not be of the group.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.entry import enter_amend
from oms.core.events import emit_order, emit_refusal
from oms.core.groups import anchor_of
from oms.core.keeping import ask_cancel, change_held, end_held
from oms.core.orders import has_fired, is_open, stands_at_exchange
from oms.core.outbox import can_send, complete, send
from oms.core.release import PASSING, release
from oms.core.risk import check_amend
from oms.core.state import Record
from oms.core.terms import rests
from oms.records import CommandKind, Contingency, EventKind, HeldFor, OrderState, OrderType, Reason, Trigger

_AMEND: Final = int(CommandKind.AMEND)
_AMEND_SUBMITTED: Final = int(EventKind.AMEND_SUBMITTED)
_OTO: Final = int(Contingency.OTO)
_OCO: Final = int(Contingency.OCO)
_REPLACE: Final = int(Contingency.REPLACE)
_FOR_PARENT: Final = int(HeldFor.PARENT)
_BUT_PARENT: Final = int(~HeldFor.PARENT)
_BUT_CANCEL: Final = int(~HeldFor.CANCEL)
_MARKET: Final = int(OrderType.MARKET)
_LIVE: Final = int(OrderState.LIVE)
_HELD: Final = int(OrderState.HELD)
_FILLED: Final = int(OrderState.FILLED)
_CANCELLED: Final = int(OrderState.CANCELLED)
_REJECTED: Final = int(OrderState.REJECTED)
_PENDING_CANCEL: Final = int(OrderState.PENDING_CANCEL)
_NO_TRIGGER: Final = int(Trigger.NONE)
_PARENT_ENDED: Final = int(Reason.PARENT_ENDED)
_SIBLING_ENDED: Final = int(Reason.SIBLING_ENDED)
_OUTPUT_FULL: Final = int(Reason.OUTPUT_FULL)
_NONE: Final = int(Reason.NONE)
_NO_AMEND: Final = int(Reason.NO_AMEND)

_MAX_KEPT: Final = 1_024
"""Groups that are kept to be looked at again; one more is looked at when something of it changes."""


@kernel
def is_committed(order: Record) -> bool:
    """True for an order that its price has let go and that is not done: what it has left belongs to it."""
    return bool(has_fired(order) and is_open(order["state"]))


@kernel
def remaining_qty(s: Record, parent: Record, slot: int) -> int:
    """Lots that a child may still close: the parent's fills less its children's, less what is committed to others."""
    remaining = parent["filled_qty"] - parent["children_filled"]
    child = parent["first_child"]
    while child >= 0:
        other = s["orders"][child]
        if child != slot and is_committed(other):
            remaining -= other["qty"] - other["filled_qty"]
        child = other["next_child"]
    return max(remaining, 0)


@kernel
def exit_qty(s: Record, parent: Record, slot: int, full_qty: int) -> int:
    """Total quantity for an exit at the exchange of which ``full_qty`` is asked: no more than what remains."""
    filled = s["orders"][slot]["filled_qty"]
    return filled + min(full_qty - filled, remaining_qty(s, parent, slot))


@kernel
def _amend_live(s: Record, slot: int, qty: int) -> bool:
    """Bring a live order to another total quantity, if risk lets it; False: not now, for a reason that goes by."""
    order = s["orders"][slot]
    command = s["own_command"]
    complete(command, order, order["px"], qty)
    command["kind"] = _AMEND
    command["request_id"] = order["request_id"]
    reason = check_amend(s, order, order["px"], qty) if can_send(s) else _OUTPUT_FULL
    if PASSING[reason]:
        return False
    if reason != _NONE:
        emit_refusal(s, command, order["state"], reason)
        return True
    enter_amend(s, slot, command)
    emit_order(s, slot, _AMEND_SUBMITTED, _NONE)
    send(s, command)
    return True


@kernel
def _follow_held(s: Record, parent: Record, slot: int) -> None:
    """An OTO order in the core's keeping: let it go, resize it, or end it."""
    order = s["orders"][slot]
    unclosed = parent["filled_qty"] - parent["children_filled"]
    if unclosed <= 0:
        if not is_open(parent["state"]):
            reason = _PARENT_ENDED if order["held_for"] & _FOR_PARENT else _SIBLING_ENDED
            end_held(s, slot, _CANCELLED, reason, order["request_id"])
        return
    held_for = order["held_for"] & _BUT_PARENT
    stands = stands_at_exchange(order)
    qty = order["full_qty"] if stands else min(order["full_qty"], unclosed)
    if held_for != order["held_for"] or qty != order["qty"]:
        change_held(s, slot, order["px"], qty, order["trigger_px"], order["trail"], held_for)
    if held_for == 0:
        remaining = remaining_qty(s, parent, slot)
        if remaining > 0:
            release(s, slot, qty if stands else min(qty, remaining))


@kernel
def _follow_live(s: Record, parent: Record, slot: int) -> bool:
    """An OTO order at the exchange: bring it to what remains, or cancel it; False: try again.

    Where the exchange does not change orders one that is for too much is cancelled, and one for too little stays.
    """
    order = s["orders"][slot]
    if remaining_qty(s, parent, slot) == 0:
        return ask_cancel(s, slot, _SIBLING_ENDED, order["request_id"], 0)
    if stands_at_exchange(order):
        return True
    # A smaller quantity that a client asked for and the exchange refused is not asked for again.
    qty = exit_qty(s, parent, slot, max(order["full_qty"], order["qty"]))
    if order["state"] == _LIVE and order["reason"] == _NO_AMEND:
        return qty >= order["qty"] or ask_cancel(s, slot, _SIBLING_ENDED, order["request_id"], 0)
    if order["state"] == _LIVE and qty != order["qty"]:
        return _amend_live(s, slot, qty)
    return True


@kernel
def _can_follow(order: Record) -> bool:
    """False for a stop that its price has let go and that does not rest: it is done before it could be changed."""
    rests_still = order["order_type"] != _MARKET and rests(order["time_in_force"])
    return bool(order["trigger"] == _NO_TRIGGER or stands_at_exchange(order) or rests_still)


@kernel
def _follow_parent(s: Record, parent: Record, slot: int) -> None:
    """An order that replaces its parent: let it go once the parent is done, and follow late fills until it has left."""
    order = s["orders"][slot]
    if order["state"] != _HELD:
        return
    request_id = order["request_id"]
    if is_open(parent["state"]):
        if parent["state"] == _LIVE:
            end_held(s, slot, _REJECTED, _PARENT_ENDED, request_id)
        return
    qty = order["full_qty"] - parent["filled_qty"]
    if parent["state"] == _FILLED or qty <= 0:
        end_held(s, slot, _CANCELLED, _PARENT_ENDED, request_id)
        return
    held_for = order["held_for"] & _BUT_CANCEL
    if held_for != order["held_for"] or qty != order["qty"]:
        change_held(s, slot, order["px"], qty, order["trigger_px"], order["trail"], held_for)
    if held_for == 0:
        release(s, slot, qty)


@kernel
def _survivor(s: Record, anchor: int) -> int:
    """The member of a broken OCO group that goes on: of those that have filled or were let go by their price; or -1.

    One whose cancel is not under way comes first, then one that its price has let go: a fill that overtakes the cancel
    of its sibling does not take it back.
    """
    survivor = -1
    best = 0
    slot = anchor
    while slot >= 0:
        order = s["orders"][slot]
        committed = is_committed(order)
        if is_open(order["state"]) and (order["filled_qty"] > 0 or committed):
            rank = 1 + 2 * int(order["state"] != _PENDING_CANCEL) + int(committed)
            if rank > best:
                best = rank
                survivor = slot
        slot = s["orders"][anchor]["first_child"] if slot == anchor else order["next_child"]
    return survivor


@kernel
def _follow_oco(s: Record, anchor: int) -> None:
    """A group of which one cancels the other."""
    if s["orders"][anchor]["broken"] == 0:
        return
    survivor = _survivor(s, anchor)
    slot = anchor
    while slot >= 0:
        order = s["orders"][slot]
        following = s["orders"][anchor]["first_child"] if slot == anchor else order["next_child"]
        if slot != survivor and order["contingency"] == _OCO and is_open(order["state"]):
            ask_cancel(s, slot, _SIBLING_ENDED, order["request_id"], 0)
        slot = following


@kernel
def _follow_group(s: Record, anchor: int) -> bool:
    """Everything that hangs on the order in ``anchor``; False when something of it has to be tried again."""
    done = True
    parent = s["orders"][anchor]
    if parent["broken"] != 0:
        _follow_oco(s, anchor)
    slot = parent["first_child"]
    while slot >= 0:
        order = s["orders"][slot]
        following = order["next_child"]
        if order["contingency"] == _REPLACE:
            _follow_parent(s, parent, slot)
        elif order["contingency"] == _OTO:
            if order["state"] == _HELD:
                _follow_held(s, parent, slot)
            elif order["state"] != _PENDING_CANCEL and _can_follow(order):
                done = _follow_live(s, parent, slot) and done
        slot = following
    return done


@kernel
def _keep_touched(s: Record, kept: int, anchor: int) -> int:
    """Keep a group among the ``kept`` first ones, to be looked at again; returns how many these are then."""
    touched = s["touched"]
    for i in range(kept):
        if touched[i] == anchor:
            return kept
    if kept == _MAX_KEPT:
        return kept
    touched[kept] = anchor
    return kept + 1


@kernel
def follow_up(s: Record) -> None:
    """Let everything follow that hangs on the orders that have changed.

    A group of which an order could not be amended for a reason that goes by is kept, and looked at again with the next
    report, request or review.
    """
    at = 0
    kept = 0
    while at < s["touched_count"]:
        slot = s["touched"][at]
        at += 1
        anchor = anchor_of(s, slot)
        waits = -1
        if anchor >= 0 and anchor != slot and not _follow_group(s, anchor):
            waits = anchor
        hangs = s["orders"][slot]["first_child"] >= 0 or s["orders"][slot]["broken"] != 0
        if hangs and not _follow_group(s, slot):
            waits = slot
        if waits >= 0:
            kept = _keep_touched(s, kept, waits)
    s["touched_count"] = kept
