"""The tables that drive the scanner: what a layout's fields are, and the state of one scanner as one record.

A *layout* is the text of one kind of message with its fields marked, for instance
``{"u":<id>,"b":"<px>","B":"<qty>","a":"<px_2>","A":"<qty_2>"}``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from oms.instruments import MAX_VALUE, Instrument
from oms.records import TICK, TickKind

NS_PER_MS: Final = 1_000_000
NO_TIME: Final = -1
"""Content of the register ``EXCH_MS`` while a message has given no time."""

MAX_LEVELS: Final = 8_192
"""Levels that one message may have; a larger one is not recognised."""

MAX_RECORDS: Final = 2 * MAX_LEVELS
"""Records that one call can give."""

MAX_LITERAL_BYTES: Final = 4_096
MAX_STEPS: Final = 128
MAX_LAYOUTS: Final = 16
TIMESTAMP_DIGITS: Final = 19


class FieldKind(IntEnum):
    """How the text of a field becomes an integer."""

    END = 0
    """No field: the layout ends here."""
    INTEGER = 1
    PRICE = 2
    QUANTITY = 3
    BUYER_IS_MAKER = 4
    """``true`` when the buyer was the maker: the aggressor sold."""
    LEVELS = 5
    """``["price","quantity"]`` pairs, each a record."""


class Register(IntEnum):
    """Where the scanner keeps a field's value until the message is complete."""

    SKIPPED = 0
    EXCH_MS = 1
    ID = 2
    PREVIOUS_ID = 3
    PX = 4
    QTY = 5
    PX_2 = 6
    QTY_2 = 7
    SIDE = 8


class Field(NamedTuple):
    """One field that a layout can name; ``bias`` is added to an integer, and is the side of a list of levels."""

    kind: FieldKind
    register: Register = Register.SKIPPED
    bias: int = 0


FIELDS: Final = {
    "skipped": Field(FieldKind.INTEGER),
    "exch_ms": Field(FieldKind.INTEGER, Register.EXCH_MS),
    "id": Field(FieldKind.INTEGER, Register.ID),
    "previous_id": Field(FieldKind.INTEGER, Register.PREVIOUS_ID),
    "first_id": Field(FieldKind.INTEGER, Register.PREVIOUS_ID, -1),
    "px": Field(FieldKind.PRICE, Register.PX),
    "qty": Field(FieldKind.QUANTITY, Register.QTY),
    "px_2": Field(FieldKind.PRICE, Register.PX_2),
    "qty_2": Field(FieldKind.QUANTITY, Register.QTY_2),
    "buyer_is_maker": Field(FieldKind.BUYER_IS_MAKER, Register.SIDE),
    "bids": Field(FieldKind.LEVELS, bias=1),
    "asks": Field(FieldKind.LEVELS, bias=-1),
}
"""The fields by the name that stands between ``<`` and ``>`` in a layout."""

STEP = np.dtype(
    [
        ("start", "<i4"),  # of the literal text before the field
        ("stop", "<i4"),
        ("kind", "<i4"),  # FieldKind
        ("register", "<i4"),
        ("bias", "<i8"),
    ]
)

SCANNER = np.dtype(
    [
        ("instrument", "<i8"),
        ("version", "<i8"),
        ("px_decimals", "<i8"),  # a price is read in units of 1e-decimals, and px_unit of those are one tick
        ("px_unit", "<i8"),
        ("qty_decimals", "<i8"),
        ("qty_unit", "<i8"),
        ("layouts", "<i8"),
        ("first_step", "<i8", (MAX_LAYOUTS,)),
        ("tick_kind", "<i8", (MAX_LAYOUTS,)),
        ("steps", STEP, (MAX_STEPS,)),
        ("literals", "u1", (MAX_LITERAL_BYTES,)),
        ("registers", "<i8", (len(Register),)),
        # scan_lines: in and out
        ("clock_offset", "<i8"),  # ns, taken from each line's timestamp
        ("last_ts", "<i8"),  # corrected timestamp of the last line taken: time never goes back
        ("max_silence", "<i8"),  # ns; a line that is later than its predecessor by more is not taken
        ("position", "<i8"),  # in the buffer: where to start, and then the first line that was not taken
        ("messages", "<i8"),  # taken by this call
        ("set_back", "<i8"),  # lines taken by this call whose timestamp was before their predecessor's
        ("stop", "<i8"),  # Stop
        ("out", TICK, (MAX_RECORDS,)),
    ]
)
"""The whole state of one scanner as a one-element array, because that is what a compiled call takes fastest."""


class Stop(IntEnum):
    """Why ``scan_lines`` returned."""

    END = 0
    """Every line of the buffer is taken."""
    UNRECOGNISED = 1
    """The line at ``position`` is none of the layouts; the caller decodes it and goes on behind it."""
    FULL = 2
    """There may be no room for the records of the line at ``position``: take those out and call again."""


def new_scanner(instrument: Instrument, layouts: Sequence[tuple[TickKind, str]]) -> npt.NDArray[np.void]:
    """Build the state of a scanner.

    Parameters
    ----------
    instrument
        Gives the id, the version, the tick and the lot.
    layouts
        What each layout's records are, and its text, the most frequent first.

    Returns
    -------
    One-element array of ``SCANNER``.

    Raises
    ------
    ValueError
        For a field that ``FIELDS`` does not name, or more layouts than the tables hold.
    """
    state = np.zeros(1, SCANNER)
    scanner = state[0]
    scanner["instrument"] = instrument.id
    scanner["version"] = instrument.version
    scanner["px_decimals"], scanner["px_unit"] = decimals_and_unit(instrument.tick)
    scanner["qty_decimals"], scanner["qty_unit"] = decimals_and_unit(instrument.lot)
    scanner["max_silence"] = MAX_VALUE
    steps: list[tuple[int, int, int, int, int]] = []
    literals = b""
    for number, (tick_kind, text) in enumerate(layouts):
        if number == MAX_LAYOUTS:
            raise ValueError(f"{len(layouts)} layouts are more than the scanner's {MAX_LAYOUTS}")
        scanner["first_step"][number] = len(steps)
        scanner["tick_kind"][number] = tick_kind
        parts = re.split(r"<(\w+)>", text)
        for literal, name in zip(parts[0::2], [*parts[1::2], ""], strict=True):
            if name and name not in FIELDS:
                raise ValueError(f"layout {text} names the unknown field {name!r}: known are {', '.join(FIELDS)}")
            field = FIELDS[name] if name else Field(FieldKind.END)
            start = len(literals)
            literals += literal.encode()
            steps.append((start, len(literals), field.kind, field.register, field.bias))
    if len(steps) > MAX_STEPS or len(literals) > MAX_LITERAL_BYTES:
        raise ValueError(f"the layouts of {instrument.symbol} are longer than the scanner's tables")
    scanner["layouts"] = len(layouts)
    scanner["steps"][: len(steps)] = np.array(steps, STEP)
    scanner["literals"][: len(literals)] = np.frombuffer(literals, np.uint8)
    return state


def decimals_and_unit(step: str) -> tuple[int, int]:
    """A grid step as decimals and a whole number of those: ``0.1`` is (1, 1), ``0.25`` (2, 25), ``10`` (0, 10)."""
    exact = Decimal(step).normalize()
    decimals = max(-int(exact.as_tuple().exponent), 0)
    return decimals, int(exact.scaleb(decimals))
