"""The tables that drive the scanner: what a layout's fields are, and the state of one scanner as one record.

A *layout* is the text of one kind of message with its fields marked, for instance
``{"u":<id>,"b":"<px>","B":"<qty>","a":"<px_2>","A":"<qty_2>"}``. What stands between ``<each>`` and ``<more>`` comes
once or more, with commas between, and gives a record each time. What stands between ``<?`` and ``?>`` may be missing.
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

UNNUMBERED: Final = -1
"""The id of a message of the book that has none, and of the one before it."""

MAX_LEVELS: Final = 8_192
"""Levels that one message may have; a larger one is not recognised."""

MAX_RECORDS: Final = 2 * MAX_LEVELS
"""Records that one call can give."""

MAX_NUMBER_BYTES: Final = 40
GUID_DIGITS: Final = 15
"""Of a trade's id as hexadecimal digits that make its number: 60 bits."""

MAX_LITERAL_BYTES: Final = 8_192
MAX_STEPS: Final = 256
MAX_LAYOUTS: Final = 16
TIMESTAMP_DIGITS: Final = 19


class FieldKind(IntEnum):
    """How the text of a field becomes an integer."""

    END = 0
    """No field: the layout ends here."""
    INTEGER = 1
    """Without a sign."""
    PRICE = 2
    QUANTITY = 3
    BUYER_IS_MAKER = 4
    """``true`` when the buyer was the maker: the aggressor sold."""
    LEVELS = 5
    """``["price","quantity"]`` pairs, each a record; ``register`` is what else they have, a ``LevelForm``."""
    PRICE_NUMBER = 6
    """As a JSON number, perhaps with an exponent; ``PRICE`` stands as text."""
    QUANTITY_NUMBER = 7
    SIGNED = 8
    """An integer that may be below zero."""
    SIDE = 9
    """``buy`` or ``sell``, or with a capital."""
    ISO_TIME = 10
    """``2021-07-22T22:36:10.014Z`` as ms."""
    GUID = 11
    """``39744121-c20e-44ba-8cc8-a6b8cdf72885`` as the number that its first 15 digits make."""
    NUMBER = 12
    """Any JSON number of at most ``MAX_NUMBER_BYTES``; not kept."""
    TEXT = 13
    """Plain text up to the quote; not kept."""
    VERSION = 14
    """An integer that counts messages up by one: it is the message's id, and one less that of the one before it."""
    EACH = 15
    """No field: rows begin here."""
    MORE = 16
    """No field: a row ends here, and after a comma the next begins at the step ``bias``."""
    OPTIONAL = 17
    """No field: text that may stand here, and from ``register`` to ``bias`` in the literals."""


class LevelForm(IntEnum):
    """How the levels of a book are written."""

    TEXT_PAIR = 0
    """``["price","quantity"]``"""
    TEXT_FOUR = 1
    """``["price","quantity","number","number"]``"""
    NUMBER_PAIR = 2
    """``[price,quantity]``"""


class Register(IntEnum):
    """Where the scanner keeps a field's value until the message is complete."""

    SKIPPED = 0
    EXCH_MS = 1
    ID = 2
    """``UNNUMBERED`` while a message has given none."""
    PREVIOUS_ID = 3
    """``UNNUMBERED`` while a message has given none."""
    PX = 4
    QTY = 5
    PX_2 = 6
    QTY_2 = 7
    SIDE = 8


class Field(NamedTuple):
    """One field that a layout can name; ``bias`` is added to an integer, and is the side of a list of levels."""

    kind: FieldKind
    register: Register | LevelForm = Register.SKIPPED
    bias: int = 0


FIELDS: Final = {
    "skipped": Field(FieldKind.INTEGER),
    "exch_ms": Field(FieldKind.INTEGER, Register.EXCH_MS),
    "exch_time": Field(FieldKind.ISO_TIME, Register.EXCH_MS),
    "signed": Field(FieldKind.SIGNED),
    "number": Field(FieldKind.NUMBER),
    "text": Field(FieldKind.TEXT),
    "id": Field(FieldKind.INTEGER, Register.ID),
    "guid": Field(FieldKind.GUID, Register.ID),
    "previous_id": Field(FieldKind.INTEGER, Register.PREVIOUS_ID),
    "first_id": Field(FieldKind.INTEGER, Register.PREVIOUS_ID, -1),
    "signed_previous_id": Field(FieldKind.SIGNED, Register.PREVIOUS_ID),
    "version": Field(FieldKind.VERSION, Register.ID),
    "px": Field(FieldKind.PRICE, Register.PX),
    "qty": Field(FieldKind.QUANTITY, Register.QTY),
    "px_2": Field(FieldKind.PRICE, Register.PX_2),
    "qty_2": Field(FieldKind.QUANTITY, Register.QTY_2),
    "buyer_is_maker": Field(FieldKind.BUYER_IS_MAKER, Register.SIDE),
    "px_number": Field(FieldKind.PRICE_NUMBER, Register.PX),
    "qty_number": Field(FieldKind.QUANTITY_NUMBER, Register.QTY),
    "px_2_number": Field(FieldKind.PRICE_NUMBER, Register.PX_2),
    "qty_2_number": Field(FieldKind.QUANTITY_NUMBER, Register.QTY_2),
    "level_id": Field(FieldKind.INTEGER, Register.QTY_2),
    "side": Field(FieldKind.SIDE, Register.SIDE),
    "bids": Field(FieldKind.LEVELS, LevelForm.TEXT_PAIR, 1),
    "asks": Field(FieldKind.LEVELS, LevelForm.TEXT_PAIR, -1),
    "bids_of_four": Field(FieldKind.LEVELS, LevelForm.TEXT_FOUR, 1),
    "asks_of_four": Field(FieldKind.LEVELS, LevelForm.TEXT_FOUR, -1),
    "bid_numbers": Field(FieldKind.LEVELS, LevelForm.NUMBER_PAIR, 1),
    "ask_numbers": Field(FieldKind.LEVELS, LevelForm.NUMBER_PAIR, -1),
    "each": Field(FieldKind.EACH),
    "more": Field(FieldKind.MORE),
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
        ("minute", "<i8", (3,)),  # of the last ISO time: see scan_iso_time
        ("layout", "<i8"),  # which one the last message was
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
        each = 0
        parts = re.split(r"<(\w+|\?.+?\?)>", text)
        for literal, name in zip(parts[0::2], [*parts[1::2], ""], strict=True):
            start = len(literals)
            literals += literal.encode()
            stop = len(literals)
            if name.startswith("?"):
                literals += name.strip("?").encode()
                steps.append((start, stop, FieldKind.OPTIONAL, stop, len(literals)))
                continue
            if name and name not in FIELDS:
                raise ValueError(f"layout {text} names the unknown field {name!r}: known are {', '.join(FIELDS)}")
            field = FIELDS[name] if name else Field(FieldKind.END)
            if field.kind is FieldKind.EACH:
                each = len(steps)
            bias = each if field.kind is FieldKind.MORE else field.bias
            steps.append((start, stop, field.kind, field.register, bias))
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
