"""Compiled reading of the fields of a layout: one function a kind, each of which refuses whatever it is not sure of.

A position of -1 behind a field says that it is refused. Every read is tested against the end of the buffer first.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from gateways.digits import (
    LOWER,
    ZERO,
    byte_at,
    open_text,
    scan_decimal,
    scan_integer,
    scan_literal,
    scan_number,
    skip_number,
    skip_text,
)
from gateways.iso_time import scan_iso_time
from gateways.layouts import GUID_DIGITS, MAX_LEVELS, MAX_NUMBER_BYTES, FieldKind, LevelForm, Register
from oms.compiled import kernel, market_kernel

_QUOTE: Final = ord('"')
_COMMA: Final = ord(",")
_OPEN: Final = ord("[")
_CLOSE: Final = ord("]")
_MINUS: Final = ord("-")
_WORDS: Final = np.frombuffer(b"truefalseuyell", np.uint8)
"""``true``, ``false``, and what follows the first letter of ``buy`` and ``sell``."""
_LETTER_A: Final = ord("a")
_LETTER_B: Final = ord("b")
_LETTER_S: Final = ord("s")
_GUID_BYTES: Final = 36
_DASHES: Final = (8, 13, 18, 23)
_INTEGER: Final = int(FieldKind.INTEGER)
_PRICE: Final = int(FieldKind.PRICE)
_QUANTITY: Final = int(FieldKind.QUANTITY)
_BUYER_IS_MAKER: Final = int(FieldKind.BUYER_IS_MAKER)
_LEVELS: Final = int(FieldKind.LEVELS)
_PRICE_NUMBER: Final = int(FieldKind.PRICE_NUMBER)
_QUANTITY_NUMBER: Final = int(FieldKind.QUANTITY_NUMBER)
_SIGNED: Final = int(FieldKind.SIGNED)
_SIDE_WORD: Final = int(FieldKind.SIDE)
_ISO_TIME: Final = int(FieldKind.ISO_TIME)
_GUID: Final = int(FieldKind.GUID)
_NUMBER: Final = int(FieldKind.NUMBER)
_TEXT: Final = int(FieldKind.TEXT)
_VERSION: Final = int(FieldKind.VERSION)
_EACH: Final = int(FieldKind.EACH)
_OPTIONAL: Final = int(FieldKind.OPTIONAL)
_TEXT_FOUR: Final = int(LevelForm.TEXT_FOUR)
_PREVIOUS_ID: Final = int(Register.PREVIOUS_ID)


@kernel
def scan_levels(
    text: Any, position: int, end: int, scanner: Any, first: int, count: int, form: int, side: int
) -> tuple[int, int]:
    """Read levels up to the closing bracket, each into a record of ``out`` from ``count`` on.

    Returns the new count and the position of the closing bracket, which is -1 when the text is anything else.
    """
    out = scanner["out"]
    px_decimals, px_unit = scanner["px_decimals"], scanner["px_unit"]
    qty_decimals, qty_unit = scanner["qty_decimals"], scanner["qty_unit"]
    if position < end and byte_at(text, position) == _CLOSE:
        return count, position
    while position + 2 <= end and count < first + MAX_LEVELS:
        if byte_at(text, position) != _OPEN:
            break
        if form > _TEXT_FOUR:
            px, position = scan_number(text, position + 1, end, px_decimals, px_unit)
            if position < 0 or px == 0 or position + 1 > end or byte_at(text, position) != _COMMA:
                break
            qty, position = scan_number(text, position + 1, end, qty_decimals, qty_unit)
            if position < 0:
                break
        else:
            if byte_at(text, position + 1) != _QUOTE:
                break
            px, position = scan_decimal(text, position + 2, end, px_decimals, px_unit)
            if position < 0 or px == 0 or position + 3 > end:
                break
            if (
                byte_at(text, position) != _QUOTE
                or byte_at(text, position + 1) != _COMMA
                or byte_at(text, position + 2) != _QUOTE
            ):
                break
            qty, position = scan_decimal(text, position + 3, end, qty_decimals, qty_unit)
            if position < 0 or position + 1 > end or byte_at(text, position) != _QUOTE:
                break
            position += 1
            if form == _TEXT_FOUR:
                position = skip_two_texts(text, position, end)
                if position < 0:
                    break
        if position + 2 > end or byte_at(text, position) != _CLOSE:
            break
        record = out[count]
        record["px"] = px
        record["qty"] = qty
        record["qty_2"] = 0
        record["side"] = side
        count += 1
        position += 1
        if byte_at(text, position) == _CLOSE:
            return count, position
        if byte_at(text, position) != _COMMA:
            break
        position += 1
    return count, -1


@kernel
def skip_two_texts(text: Any, position: int, end: int) -> int:
    """Return the position behind ``,"text","text"``, or -1."""
    for _ in range(2):
        if position + 2 > end or byte_at(text, position) != _COMMA or byte_at(text, position + 1) != _QUOTE:
            return -1
        position = skip_text(text, position + 2, end)
        if position < 0:
            return -1
        position += 1
    return position


@kernel
def scan_guid(text: Any, position: int, end: int) -> tuple[int, int]:
    """Return the number that the first ``GUID_DIGITS`` digits make and the position behind all 32; -1 when refused."""
    if position + _GUID_BYTES > end:
        return 0, -1
    value = digits = 0
    for offset in range(_GUID_BYTES):
        byte = byte_at(text, position + offset)
        if offset in _DASHES:
            if byte != _MINUS:
                return 0, -1
            continue
        digit = byte - ZERO
        if digit < 0 or digit > 9:
            digit = (byte | LOWER) - _LETTER_A + 10
            if digit < 10 or digit > 15:
                return 0, -1
        if digits < GUID_DIGITS:
            value = 16 * value + digit
        digits += 1
    return value, position + _GUID_BYTES


@kernel
def scan_side(text: Any, position: int, end: int) -> tuple[int, int]:
    """Return +1 for ``buy`` and -1 for ``sell``, the first letter in either case, and the position behind it."""
    if position >= end:
        return 0, -1
    letter = byte_at(text, position) | LOWER
    if letter == _LETTER_B:
        return 1, scan_literal(text, position + 1, end, open_text(_WORDS), 9, 11)
    if letter == _LETTER_S:
        return -1, scan_literal(text, position + 1, end, open_text(_WORDS), 11, 14)
    return 0, -1


@market_kernel
def scan_field(text: Any, position: int, end: int, scanner: Any, step: Any, first: int, count: int) -> tuple[int, int]:
    """Read one field; returns the count of records and the position behind the field, or -1 for the position."""
    kind = step["kind"]
    if kind == _LEVELS:
        return scan_levels(text, position, end, scanner, first, count, step["register"], step["bias"])
    if kind == _OPTIONAL:
        behind = scan_literal(text, position, end, open_text(scanner["literals"]), step["register"], step["bias"])
        return count, position if behind < 0 else behind
    if kind == _INTEGER:
        value, behind = scan_integer(text, position, end)
        value += step["bias"]
    elif kind == _PRICE:
        value, behind = scan_decimal(text, position, end, scanner["px_decimals"], scanner["px_unit"])
    elif kind == _QUANTITY:
        value, behind = scan_decimal(text, position, end, scanner["qty_decimals"], scanner["qty_unit"])
    elif kind == _BUYER_IS_MAKER:
        value, behind = -1, scan_literal(text, position, end, open_text(_WORDS), 0, 4)
        if behind < 0:
            value, behind = 1, scan_literal(text, position, end, open_text(_WORDS), 4, 9)
    else:
        value, behind = scan_rarer_field(text, position, end, scanner, kind)
    scanner["registers"][step["register"]] = value
    return count, behind


@market_kernel
def scan_rarer_field(text: Any, position: int, end: int, scanner: Any, kind: int) -> tuple[int, int]:
    """Read one field that Binance has none of; returns its value and the position behind it, or -1."""
    if kind == _TEXT:
        return 0, skip_text(text, position, end)
    if kind == _PRICE_NUMBER:
        return scan_number(text, position, end, scanner["px_decimals"], scanner["px_unit"])
    if kind == _QUANTITY_NUMBER:
        return scan_number(text, position, end, scanner["qty_decimals"], scanner["qty_unit"])
    if kind == _SIDE_WORD:
        return scan_side(text, position, end)
    if kind == _NUMBER:
        return 0, skip_number(text, position, end, MAX_NUMBER_BYTES)
    if kind == _ISO_TIME:
        return scan_iso_time(text, position, end, scanner["minute"])
    if kind == _GUID:
        return scan_guid(text, position, end)
    if kind == _EACH:
        return 0, position
    if kind == _VERSION:
        value, behind = scan_integer(text, position, end)
        scanner["registers"][_PREVIOUS_ID] = value - 1
        return value, behind
    if kind == _SIGNED and position < end and byte_at(text, position) == _MINUS:
        value, behind = scan_integer(text, position + 1, end)
        return -value, behind
    return scan_integer(text, position, end)
