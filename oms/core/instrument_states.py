"""Instruments in and out of trading: telling their state, and cancelling what is open in one that is not traded."""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.events import new_event
from oms.core.keeping import ask_cancel
from oms.core.outbox import can_send
from oms.core.parents import is_stopping_parent
from oms.core.state import Record
from oms.core.trading import CORE_CLIENT
from oms.records import EventKind, OrderState

_INSTRUMENT: Final = int(EventKind.INSTRUMENT)
_PENDING_CANCEL: Final = int(OrderState.PENDING_CANCEL)


@kernel
def tell_instrument(s: Record, instrument: int, reason: int) -> int:
    """Write an INSTRUMENT event of an instrument as it stands, and return its row."""
    at = new_event(s, _INSTRUMENT, reason)
    event = s["events"][at]
    version = s["instruments"][instrument]["version"]
    event["instrument"] = instrument
    event["version"] = version
    event["px"] = version
    event["aux"] = s["instrument_states"][instrument]
    if s["pending_definitions"][instrument]["defined"] != 0:
        event["qty"] = s["pending_definitions"][instrument]["version"]
    return at


@kernel
def cancel_instrument(s: Record, instrument: int, reason: int, budget: int) -> int:
    """Cancel what is open in an instrument, in the core's keeping too; a cancel that was refused is asked for again.

    Returns what is left of the budget of cancels, -1 when the rest has to wait for the next review.
    """
    slot = s["order_lists"][instrument]["open_head"]
    while slot >= 0:
        order = s["orders"][slot]
        following = order["next_open"]
        if not is_stopping_parent(s, order) and order["state"] != _PENDING_CANCEL:
            if budget == 0 or not can_send(s):
                return -1
            ask_cancel(s, slot, reason, 0, CORE_CLIENT)
            budget -= 1
        slot = following
    return budget
