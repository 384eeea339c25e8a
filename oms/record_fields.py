"""EVENT and COMMAND records as plain integers, for what works record by record outside the hot path."""

from __future__ import annotations

from struct import Struct
from typing import Any, Final, NamedTuple

import msgspec
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


class CommandFields(msgspec.Struct, frozen=True, gc=False):
    """One COMMAND record as plain integers; see ``oms.records.COMMAND``. What is left out is that of no strategy."""

    seq: int = 0
    ts: int = 0
    order_id: int = 0
    request_id: int = 0
    kind: int = 0
    side: int = 0
    order_type: int = 0
    time_in_force: int = 0
    flags: int = 0
    reason: int = 0
    instrument: int = 0
    version: int = 0
    account: int = 0
    strategy: int = -1
    source: int = 0
    px: int = 0
    qty: int = 0
    trigger_px: int = 0
    display_qty: int = 0
    expire_ts: int = 0
    parent_id: int = 0
    wall_ts: int = 0
    value: int = 0
    trail: int = 0
    trail_unit: int = 0
    trigger: int = 0
    trigger_source: int = 0
    contingency: int = 0


assert EventFields._fields == EVENT.names
assert CommandFields.__struct_fields__ == COMMAND.names
EVENT_STRUCT: Final = _struct_of(EVENT)
_COMMAND_STRUCT: Final = _struct_of(COMMAND)


def event_fields(record: bytes) -> EventFields:
    """One EVENT record's bytes as integers."""
    return EventFields._make(EVENT_STRUCT.unpack(record))


def command_fields(record: bytes) -> CommandFields:
    """One COMMAND record's bytes as integers."""
    return CommandFields(*_COMMAND_STRUCT.unpack(record))


def command_bytes(command: CommandFields) -> bytes:
    """The bytes of a COMMAND record."""
    return _COMMAND_STRUCT.pack(*msgspec.structs.astuple(command))
