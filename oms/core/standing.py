"""How things stand, told in events: every order of the table, positions, trading states, instruments.

It is for readers of a session whose first events are not there any more, and has no part in what the core does.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from oms.compiled import array_of, entry, kernel
from oms.core.events import MAX_POSITIONS, emit_terms, new_event, write_positions
from oms.core.instrument_states import tell_instrument
from oms.core.state import EVENT_RING, MAX_ACCOUNTS, STATE, Record, State
from oms.journal_format import Records
from oms.records import EVENT, EventKind, OrderState

_SUBMITTED: Final = int(EventKind.ORDER_SUBMITTED)
_HELD_EVENT: Final = int(EventKind.ORDER_HELD)
_TRADING_STATE: Final = int(EventKind.TRADING_STATE)
_EMPTY: Final = int(OrderState.EMPTY)
_HELD: Final = int(OrderState.HELD)


@kernel
def tell_trading_state(s: Record, scope: int) -> None:
    at = new_event(s, _TRADING_STATE, s["scopes"][scope]["reason"])
    event = s["events"][at]
    event["account"] = scope
    if scope >= MAX_ACCOUNTS:
        event["strategy"] = scope - MAX_ACCOUNTS
        event["account"] = s["strategies"][scope - MAX_ACCOUNTS]["account"]
    event["aux"] = s["scopes"][scope]["trading_state"]


@entry(lambda: numba.int64(array_of(STATE), numba.int64))
def tell_orders(st: State, start: int) -> int:
    """Write an event of each order from slot ``start`` on; returns the slot that had no room any more."""
    s = st[0]
    for slot in range(start, s["orders_used"]):
        if s["event_count"] == EVENT_RING:
            return slot
        state = s["orders"][slot]["state"]
        if state != _EMPTY:
            emit_terms(s, slot, _HELD_EVENT if state == _HELD else _SUBMITTED, 0)
    return s["orders_used"]


@entry(lambda: numba.int64(array_of(STATE), numba.int64))
def tell_positions(st: State, start: int) -> int:
    """Write an event of each position from number ``start`` on; returns as ``write_positions`` does."""
    return write_positions(st[0], start)


@entry(lambda: numba.void(array_of(STATE)))
def tell_rest(st: State) -> None:
    """Write events of all else."""
    s = st[0]
    for instrument in range(s["instruments_used"]):
        if s["instruments"][instrument]["defined"] != 0:
            tell_instrument(s, instrument, 0)
    for scope in range(MAX_ACCOUNTS + s["strategies_used"]):
        if scope >= MAX_ACCOUNTS or s["accounts"][scope]["defined"] != 0:
            tell_trading_state(s, scope)


def standing(st: State) -> Records:
    """How things stand, as EVENT records that are numbered like the last event; between two steps, with the outputs
    empty, which they are again afterwards."""
    s = st[0]
    seq, lost = int(s["event_seq"]), int(s["events_lost"])
    parts: list[Records] = []

    def take() -> None:
        parts.append(s["events"][: s["event_count"]].copy())
        s["event_count"] = 0

    slot = 0
    while slot < s["orders_used"]:
        slot = tell_orders(st, slot)
        take()
    tell_rest(st)
    take()
    number = 0
    while number < MAX_POSITIONS:
        number = tell_positions(st, number)
        take()
    s["event_seq"], s["events_lost"] = seq, lost
    told: Records = np.concatenate(parts).astype(EVENT, copy=False)
    told["seq"] = seq - 1
    return told
