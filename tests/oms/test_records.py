"""The records: their layout is the wire format and the journal format, so it is written down here a second time."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np
import pytest

from oms import records
from oms.records import (
    COMMAND,
    COST_LOT,
    EVENT,
    FRAME,
    ORDER,
    POSITION,
    RECORD_DTYPES,
    REPORT,
    TICK,
    EventKind,
    OrderState,
    Reason,
    RecordKind,
    ReportKind,
)

LAYOUTS = {
    "FRAME": "u1 u1 u2 u4 i8 i8 i8",
    "TICK": "i8 i8 i8 i8 i8 i8 i8 i2 u2 u1 i1 u2",
    "COMMAND": "i8 i8 i8 i8 u1 i1 u1 u1 u2 u2 i2 u2 i4 i4 i4 i8 i8 i8 i8 i8 i8 i8 i8 i4 u1 u1 u1 u1",
    "REPORT": "i8 i8 i8 i8 i8 i8 u1 i1 u1 u1 u2 u2 i2 u2 i4 i8 i8 i8 i8 i8 i4 u1 u1 u1 u1 i8 i8",
    "EVENT": "i8 i8 i8 i8 u1 i1 u1 u1 u1 u1 u2 i2 u2 i4 i4 u2 u1 u1 i8 i8 i8 i8 i8 i8 i8 i8 i8",
    "COST_LOT": "i8 i8 i8",
}
DTYPES = {"FRAME": FRAME, "TICK": TICK, "COMMAND": COMMAND, "REPORT": REPORT, "EVENT": EVENT, "ORDER": ORDER}
DTYPES |= {"POSITION": POSITION, "COST_LOT": COST_LOT}


def layout(dtype: np.dtype[np.void]) -> str:
    """The field types in order, as in ``LAYOUTS``."""
    assert dtype.names is not None
    words = []
    for name in dtype.names:
        field = dtype[name]
        length = str(field.shape[0]) if field.shape else ""
        words.append(f"{length}{field.base.str[1:]}")
    return " ".join(words)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_layout_is_the_one_on_disk_and_on_the_wire(name: str) -> None:
    assert layout(DTYPES[name]) == LAYOUTS[name]


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_records_are_packed_and_little_endian(name: str) -> None:
    dtype = DTYPES[name]
    assert dtype.fields is not None
    end = 0
    for field, offset, *_ in dtype.fields.values():
        assert offset == end
        assert field.base.byteorder in "<|="
        end += field.itemsize
    assert end == dtype.itemsize


@pytest.mark.parametrize(
    ("name", "size"), [("FRAME", 32), ("TICK", 64), *((name, 128) for name in ("COMMAND", "REPORT", "EVENT"))]
)
def test_records_have_their_sizes(name: str, size: int) -> None:
    assert DTYPES[name].itemsize == size


@pytest.mark.parametrize("name", ["TICK", "COMMAND", "REPORT", "EVENT", "ORDER", "POSITION"])
def test_wide_fields_lie_on_their_own_boundary(name: str) -> None:
    dtype = DTYPES[name]
    assert dtype.fields is not None
    for field, offset, *_ in dtype.fields.values():
        assert offset % field.base.itemsize == 0


def test_record_made_from_a_frames_bytes_is_not_copied() -> None:
    frame = bytes(RECORD_DTYPES[RecordKind.TICK].itemsize * 3)
    assert np.frombuffer(frame, TICK).base is not None


ENUMS = [
    member
    for member in vars(records).values()
    if isinstance(member, type) and issubclass(member, IntEnum) and member is not IntEnum
]


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_numbers_of_an_enum_are_its_own_and_fit_a_byte(enum: type[IntEnum]) -> None:
    numbers = [int(member) for member in enum.__members__.values()]
    assert len(numbers) == len(set(numbers))
    assert all(0 <= number < 256 for number in numbers)


@pytest.mark.parametrize("flags", [records.TickFlag, records.OrderFlag])
def test_flags_are_single_bits(flags: type[IntFlag]) -> None:
    assert all(member & (member - 1) == 0 for member in flags)


NUMBERS = {
    OrderState: "EMPTY PENDING_NEW LIVE PENDING_AMEND PENDING_CANCEL FILLED CANCELLED REJECTED EXPIRED",
    ReportKind: "- ACCEPTED REJECTED FILL AMENDED AMEND_REJECTED CANCELLED CANCEL_REJECTED EXPIRED",
    EventKind: "- ORDER_SUBMITTED ORDER_REFUSED ORDER_ACCEPTED ORDER_REJECTED ORDER_FILLED AMEND_SUBMITTED "
    "ORDER_AMENDED AMEND_REJECTED CANCEL_SUBMITTED ORDER_CANCELLED CANCEL_REJECTED ORDER_EXPIRED POSITION "
    "TRADING_STATE STRATEGY_HALTED BOOK_STATE LOG REPORT_IGNORED",
}


@pytest.mark.parametrize("enum", list(NUMBERS), ids=lambda enum: enum.__name__)
def test_numbers_in_old_journals_keep_their_meaning(enum: type[IntEnum]) -> None:
    for number, name in enumerate(NUMBERS[enum].split()):
        if name != "-":
            assert enum[name] == number


def test_reasons_in_old_journals_keep_their_meaning() -> None:
    samples = {
        1: "UNKNOWN_INSTRUMENT",
        21: "OPEN_ORDER_LIMIT",
        34: "COMMAND_TOO_LATE",
        52: "OVERFILL",
        66: "TICKS_LOST",
    }
    assert {number: Reason(number).name for number in samples} == samples
