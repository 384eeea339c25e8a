"""The loop of a backtest with two clocks: the exchange acts at its own time, the core when it hears of it.

There are two rows of records: those that the core receives, by their time of receipt, and those that happen at the
exchange, by its time. Mostly they are the same records in two orders. The earliest time comes next; at one and the same
time the exchange's records come first, then what the core receives, then what falls due: so an order that arrives at a
nanosecond finds what happened in it, and no strategy acts before all of that has.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np

from oms.compiled import MARKET_WAY, array_of, entry, market_kernel
from oms.core.events import has_room
from oms.core.exchange_view import take_at_exchange
from oms.core.state import MAX_INSTRUMENTS, NEVER, STATE, Record, State
from oms.engine import advance, start_timers, take_some
from oms.records import TICK

CURSOR: Final = np.dtype(
    [
        ("local", "<i8"),  # first row that the core has not taken
        ("exchange", "<i8"),  # first row that has not happened
    ]
)
"""How far the two rows of records have come."""


@market_kernel
def is_known(s: Record, instrument: int) -> bool:
    """True for an instrument that is defined."""
    return bool(0 <= instrument < MAX_INSTRUMENTS and s["instruments"][instrument]["defined"] != 0)


@market_kernel
def take_exchange(st: State, rows: Any, start: int, until: int) -> int:
    """Let the exchange's rows up to time ``until`` happen; returns the first row that has not.

    Time stops where something falls due before the next row: an order arrives, or a timer fires.
    """
    s = st[0]
    at = start
    while at < rows.shape[0]:
        row = rows[at]
        if row["exch_ts"] > until or row["exch_ts"] > s["next_due"]:
            break
        s["now"] = max(s["now"], row["exch_ts"])
        if is_known(s, row["instrument"]):
            take_at_exchange(st, row)
        at += 1
    return at


@entry(
    lambda: numba.void(
        array_of(STATE), array_of(TICK, readonly=True), array_of(TICK, readonly=True), array_of(CURSOR), numba.int64
    ),
    inlines=MARKET_WAY,
)
def step_both(st: State, ticks: Any, rows: Any, cursor: Any, until: int) -> None:
    """Take what is before ``until`` of both rows of records, as far as the outputs have room.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    ticks : array of TICK
        What the core receives, ``local_ts`` ascending.
    rows : array of TICK
        What happens at the exchange, ``exch_ts`` ascending.
    cursor : array of CURSOR, shape (1,)
        Where to begin; moved on. When a row before ``until`` is left, the outputs are full: empty them and call again.
    until : int
        ns.
    """
    s = st[0]
    s["cause_ts"] = 0
    at = cursor[0]["local"]
    there = cursor[0]["exchange"]
    while True:
        next_local = min(ticks[at]["local_ts"], until) if at < ticks.shape[0] else until
        next_row = min(rows[there]["exch_ts"], until) if there < rows.shape[0] else until
        if next_local == until and next_row == until:
            break
        if s["ticks"] == 0 and s["next_review"] == NEVER:
            start_timers(s, min(next_local, next_row))
        if next_row <= next_local:
            if s["next_due"] < next_row and not (has_room(s) and advance(st, next_row)):
                break
            there = take_exchange(st, rows, there, min(next_local, until - 1))
        else:
            following = take_some(st, ticks, at)
            if following == at:
                break
            at = following
    cursor[0]["local"] = at
    cursor[0]["exchange"] = there
