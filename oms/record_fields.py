"""EVENT and COMMAND records as plain integers, for what works record by record outside the hot path."""

from __future__ import annotations

from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np

from oms.records import COMMAND, EVENT

_FORMATS: Final = {"u1": "B", "i1": "b", "u2": "H", "i2": "h", "i4": "i", "i8": "q"}


def _struct_of(dtype: np.dtype[Any]) -> Struct:
    """What packs and unpacks one record of a packed dtype."""
    assert dtype.names is not None
    found = Struct("<" + "".join(_FORMATS[dtype[name].str[1:]] for name in dtype.names))
    assert found.size == dtype.itemsize
    return found


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


class CommandFields(NamedTuple):
    """One COMMAND record as plain integers; see ``oms.records.COMMAND``."""

    seq: int
    ts: int
    order_id: int
    request_id: int
    kind: int
    side: int
    order_type: int
    time_in_force: int
    flags: int
    reason: int
    instrument: int
    version: int
    account: int
    strategy: int
    source: int
    px: int
    qty: int
    trigger_px: int
    display_qty: int
    expire_ts: int
    parent_id: int
    wall_ts: int
    value: int
    trail: int
    trail_unit: int
    trigger: int
    trigger_source: int
    contingency: int


assert EventFields._fields == EVENT.names
assert CommandFields._fields == COMMAND.names
EVENT_STRUCT: Final = _struct_of(EVENT)
COMMAND_STRUCT: Final = _struct_of(COMMAND)


def event_fields(record: bytes) -> EventFields:
    """One EVENT record's bytes as integers."""
    return EventFields._make(EVENT_STRUCT.unpack(record))


def command_fields(record: bytes) -> CommandFields:
    """One COMMAND record's bytes as integers."""
    return CommandFields._make(COMMAND_STRUCT.unpack(record))
