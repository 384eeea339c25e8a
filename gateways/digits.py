"""Compiled reading of bytes: literals, integers and decimals, exact, and never outside the given range.

``text`` is what ``open_text`` returns: the address of a bytes object's content, or the bytes object itself in a
pure-Python run. An address costs a compiled call nothing, where an array would count its references. Its reader is
``byte_at``, which tests nothing: every kernel here tests ``position < end`` before it reads.
"""

from __future__ import annotations

from typing import Any, Final

from numba import types
from numba.extending import intrinsic

from oms.compiled import JIT, kernel, market_kernel

MAX_DIGITS: Final = 18
"""Digits of an integer that cannot overflow an int64; more are refused."""

MAX_DECIMALS: Final = 40
"""Of decimal text; more are refused, zeros too."""
MAX_EXPONENT_DIGITS: Final = 3
LIMIT: Final = 10**MAX_DIGITS
WORD_BYTES: Final = 8

ZERO: Final = ord("0")
NINE: Final = ord("9")
POINT: Final = ord(".")
MINUS: Final = ord("-")
PLUS: Final = ord("+")
EXPONENT: Final = ord("e")
LOWER: Final = 0x20
"""The bit by which small letters differ from capitals."""
QUOTE: Final = ord('"')
BACKSLASH: Final = ord("\\")
SPACE: Final = ord(" ")
TILDE: Final = ord("~")

BYTES: Final = types.Bytes(types.uint8, 1, "C", readonly=True)
"""The Numba type of a Python bytes object."""

if JIT:

    @intrinsic  # type: ignore[untyped-decorator]
    def open_text(_typing: Any, source: Any) -> Any:
        """The text of a bytes object, or an array of bytes, that outlives the call."""

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            return builder.ptrtoint(array.data, context.get_value_type(types.intp))

        return types.intp(source), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def byte_at(_typing: Any, text: Any, position: Any) -> Any:
        """The byte at ``position``, as an int64."""

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            byte = context.get_value_type(types.uint8)
            pointer = builder.inttoptr(builder.add(arguments[0], arguments[1]), byte.as_pointer())
            return builder.zext(builder.load(pointer), context.get_value_type(types.int64))

        return types.int64(types.intp, types.int64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def word_at(_typing: Any, text: Any, position: Any) -> Any:
        """The ``WORD_BYTES`` bytes from ``position`` on, as an int64."""

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            word = context.get_value_type(types.int64)
            pointer = builder.inttoptr(builder.add(arguments[0], arguments[1]), word.as_pointer())
            return builder.load(pointer, align=1)

        return types.int64(types.intp, types.int64), generate

else:

    def open_text(source: bytes) -> bytes:
        """The pure-Python twin."""
        return source

    def byte_at(text: bytes, position: int) -> int:
        """The pure-Python twin, which raises IndexError outside the text."""
        return int(text[position])

    def word_at(text: bytes, position: int) -> int:
        """The pure-Python twin, which raises IndexError outside the text."""
        text[position + WORD_BYTES - 1]
        return int.from_bytes(bytes(text[position : position + WORD_BYTES]), "little", signed=True)


@market_kernel
def scan_literal(text: Any, position: int, end: int, literals: Any, start: int, stop: int) -> int:
    """Return the position behind the literal ``literals[start:stop]``, a text too, or -1 when it does not stand at
    ``position``."""
    size = stop - start
    if position + size > end:
        return -1
    difference = 0
    if size < WORD_BYTES:
        for offset in range(size):
            difference |= byte_at(text, position + offset) ^ byte_at(literals, start + offset)
    else:
        last = size - WORD_BYTES
        for offset in range(0, last, WORD_BYTES):
            difference |= word_at(text, position + offset) ^ word_at(literals, start + offset)
        difference |= word_at(text, position + last) ^ word_at(literals, start + last)  # overlaps the one before
    return position + size if difference == 0 else -1


@market_kernel
def scan_digits(text: Any, position: int, end: int) -> tuple[int, int]:
    """Return the value of the digits from ``position`` and the position behind them; the caller tests their number."""
    value = 0
    while position < end:
        digit = byte_at(text, position) - ZERO
        if digit < 0 or digit > 9:
            break
        value = value * 10 + digit
        position += 1
    return value, position


@market_kernel
def scan_integer(text: Any, position: int, end: int) -> tuple[int, int]:
    """Return a JSON integer without sign and the position behind it; the position is -1 when it is refused."""
    value, behind = scan_digits(text, position, end)
    digits = behind - position
    if digits == 0 or digits > MAX_DIGITS or (digits > 1 and byte_at(text, position) == ZERO):
        return 0, -1
    return value, behind


@market_kernel
def scan_decimal(text: Any, position: int, end: int, decimals: int, unit: int) -> tuple[int, int]:
    """Return decimal text as a number of grid steps and the position behind it; the position is -1 when it is refused.

    One step is ``unit`` * 10 ** -``decimals``. Text that is not a whole number of steps is refused, never rounded.
    """
    value, behind = scan_digits(text, position, end)
    digits = behind - position
    if digits == 0 or digits + decimals > MAX_DIGITS:
        return 0, -1
    missing = decimals
    if behind < end and byte_at(text, behind) == POINT:
        behind += 1
        point = behind
        while behind < end:
            digit = byte_at(text, behind) - ZERO
            if digit < 0 or digit > 9:
                break
            if missing > 0:
                value = value * 10 + digit
                missing -= 1
            elif digit != 0:
                return 0, -1
            behind += 1
        if behind == point or behind - point > MAX_DECIMALS:
            return 0, -1
    for _ in range(missing):
        value *= 10
    if unit != 1:
        steps = value // unit
        if steps * unit != value:
            return 0, -1
        return steps, behind
    return value, behind


@market_kernel
def scan_number(text: Any, position: int, end: int, decimals: int, unit: int) -> tuple[int, int]:
    """As ``scan_decimal``, of a JSON number without sign: no zeros lead it, and it may have an exponent."""
    if position + 1 < end and byte_at(text, position) == ZERO:
        following = byte_at(text, position + 1)
        if following >= ZERO and following <= NINE:
            return 0, -1
    value, behind = scan_decimal(text, position, end, decimals, unit)
    if behind >= 0 and (behind == end or byte_at(text, behind) | LOWER != EXPONENT):
        return value, behind
    return _scan_scientific(text, position, end, decimals, unit)


@kernel
def _scan_scientific(text: Any, position: int, end: int, decimals: int, unit: int) -> tuple[int, int]:
    """As ``scan_number``, of a number that has an exponent; any other is refused, and so is zero."""
    value, behind = scan_digits(text, position, end)
    digits = behind - position
    if digits == 0:
        return 0, -1
    if behind < end and byte_at(text, behind) == POINT:
        point = behind + 1
        fraction, behind = scan_digits(text, point, end)
        if behind == point or digits + behind - point > MAX_DIGITS:
            return 0, -1
        for _ in range(behind - point):
            value *= 10
        value += fraction
        decimals -= behind - point
    elif digits > MAX_DIGITS:
        return 0, -1
    if behind >= end or byte_at(text, behind) | LOWER != EXPONENT:
        return 0, -1
    behind += 1
    sign = 1
    if behind < end and (byte_at(text, behind) == MINUS or byte_at(text, behind) == PLUS):
        sign = -1 if byte_at(text, behind) == MINUS else 1
        behind += 1
    start = behind
    exponent, behind = scan_digits(text, start, end)
    if behind == start or behind - start > MAX_EXPONENT_DIGITS:
        return 0, -1
    shift = sign * exponent + decimals
    while shift < 0 and value > 0 and value % 10 == 0:
        value //= 10
        shift += 1
    if value == 0 or shift < 0 or shift > MAX_DIGITS:
        return 0, -1
    for _ in range(shift):
        if value >= LIMIT // 10:
            return 0, -1
        value *= 10
    if value % unit != 0:
        return 0, -1
    return value // unit, behind


@kernel
def skip_number(text: Any, position: int, end: int, most: int) -> int:
    """Return the position behind a JSON number of at most ``most`` bytes, or -1."""
    start = position
    if position < end and byte_at(text, position) == MINUS:
        position += 1
    _, behind = scan_digits(text, position, end)
    if behind == position or (behind - position > 1 and byte_at(text, position) == ZERO):
        return -1
    if behind < end and byte_at(text, behind) == POINT:
        position = behind + 1
        _, behind = scan_digits(text, position, end)
        if behind == position:
            return -1
    if behind < end and byte_at(text, behind) | LOWER == EXPONENT:
        position = behind + 1
        if position < end and (byte_at(text, position) == MINUS or byte_at(text, position) == PLUS):
            position += 1
        _, behind = scan_digits(text, position, end)
        if behind == position:
            return -1
    return behind if behind - start <= most else -1


@kernel
def skip_text(text: Any, position: int, end: int) -> int:
    """Return the position of the next quote, or -1 where anything but printable ASCII or an escape comes before it."""
    while position < end:
        byte = byte_at(text, position)
        if byte == QUOTE:
            return position
        if byte < SPACE or byte > TILDE or byte == BACKSLASH:
            break
        position += 1
    return -1
