"""An EVENT record as plain integers, for what works event by event outside the hot path."""

from __future__ import annotations

from typing import NamedTuple

from oms.records import EVENT


class EventFields(NamedTuple):
    """One EVENT record as plain integers; see ``oms.records.EVENT``."""

    seq: int
    ts: int
    order_id: int
    request_id: int
    kind: int
    side: int
    state: int
    order_type: int
    time_in_force: int
    liquidity: int
    reason: int
    instrument: int
    version: int
    account: int
    strategy: int
    flags: int
    trigger: int
    contingency: int
    px: int
    qty: int
    filled_qty: int
    last_px: int
    last_qty: int
    position_qty: int
    realized_pnl: int
    fees: int
    aux: int


assert EventFields._fields == EVENT.names
