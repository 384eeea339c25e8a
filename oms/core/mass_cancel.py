"""Mass cancels: every open order of an account, an instrument or a strategy, and the parents that would place anew."""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.keeping import ask_cancel
from oms.core.orders import stands_at_exchange
from oms.core.parents import is_stopping
from oms.core.state import COMMAND_RING, EVENT_RING, MAX_ACCOUNTS, PARENT_RING, Record
from oms.core.trading import tell_trading_state
from oms.records import ROUTES, OrderState, Reason

_HELD: Final = int(OrderState.HELD)
_PENDING_CANCEL: Final = int(OrderState.PENDING_CANCEL)
_NONE: Final = int(Reason.NONE)
_REQUESTED: Final = int(Reason.REQUESTED)


@kernel
def has_output_room(s: Record) -> bool:
    """True while one more cancel finds room in every output."""
    return bool(s["command_count"] < COMMAND_RING and s["event_count"] < EVENT_RING and s["parent_count"] < PARENT_RING)


@kernel
def is_asked(order: Record, account: int, strategy: int) -> bool:
    """True for an order of ``account`` and ``strategy``; -1: of any."""
    return bool((account < 0 or order["account"] == account) and (strategy < 0 or order["strategy"] == strategy))


@kernel
def cancel_routed(
    s: Record, account: int, instrument: int, strategy: int, reason: int, request_id: int, source: int
) -> bool:
    """Ask for the end of every parent that may trade in ``instrument``, its own or not; returns as ``cancel_open``."""
    link = s["parent_lists"][instrument]["head"]
    while link >= 0:
        wake = s["parent_wakes"][link // ROUTES]
        slot = wake["slot"] - 1
        if is_asked(s["orders"][slot], account, strategy) and not is_stopping(s, s["orders"][slot]):
            if not has_output_room(s):
                return False
            ask_cancel(s, slot, reason, request_id, source)
        link = wake["next"][link % ROUTES]
    return True


@kernel
def cancel_open(
    s: Record, account: int, instrument: int, strategy: int, held: bool, reason: int, request_id: int, source: int
) -> bool:
    """Ask for the cancel of every open order of ``account``, narrowed by ``instrument`` and ``strategy`` (-1: all).

    With ``held`` those in the core's keeping end too, and every parent that may trade there: it would place its next
    child there. Without, stops and parents stay, those at the exchange too.

    Returns False when the output has no room for the rest: call again after it was emptied.
    """
    if held and instrument >= 0 and not cancel_routed(s, account, instrument, strategy, reason, request_id, source):
        return False
    first = 0 if instrument < 0 else instrument
    last = s["instruments_used"] if instrument < 0 else instrument + 1
    for i in range(first, last):
        slot = s["order_lists"][i]["open_head"]
        while slot >= 0:
            order = s["orders"][slot]
            following = order["next_open"]
            if (
                order["state"] != _PENDING_CANCEL
                and is_asked(order, account, strategy)
                and (held or (order["state"] != _HELD and not stands_at_exchange(order)))
            ):
                if not has_output_room(s):
                    return False
                ask_cancel(s, slot, reason, request_id, source)
            slot = following
    return True


@kernel
def cancel_all(s: Record, command: Record) -> bool:
    """Act on CANCEL_ALL; False when there was no room for all of it."""
    account = command["account"]
    request_id = command["request_id"]
    if not cancel_open(
        s, account, command["instrument"], command["strategy"], True, _NONE, request_id, command["source"]
    ):
        return False
    for each in range(MAX_ACCOUNTS):
        if s["accounts"][each]["defined"] != 0 and (account < 0 or each == account):
            tell_trading_state(s, each, _REQUESTED, request_id)
    return True
