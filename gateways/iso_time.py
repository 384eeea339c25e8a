"""Compiled reading of ISO times of the form ``2021-07-22T22:36:10.014Z``."""

from __future__ import annotations

from typing import Any, Final

from gateways.digits import ZERO, byte_at, word_at
from oms.compiled import kernel

BYTES: Final = 24
_MARKS: Final = ((4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "."), (23, "Z"))
_MARK_AT: Final = tuple(at for at, _ in _MARKS)
_MARK: Final = tuple(ord(mark) for _, mark in _MARKS)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2261
_DAYS_BEFORE: Final = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365)
"""In a common year, before each month and after the last."""
_LEAP_DAYS_BEFORE: Final = (_FIRST_YEAR - 1) // 4 - (_FIRST_YEAR - 1) // 100 + (_FIRST_YEAR - 1) // 400
"""Between the years 1 and 1970."""
_MS_PER_S: Final = 1_000
_COLON: Final = ord(":")
_POINT: Final = ord(".")
_LETTER_Z: Final = ord("Z")


@kernel
def digits_at(text: Any, position: int, count: int) -> int:
    """The value of exactly ``count`` digits, or -1; they must lie within the text."""
    value = wrong = 0
    for offset in range(count):  # no early exit, as in scan_literal
        digit = byte_at(text, position + offset) - ZERO
        wrong |= digit | (9 - digit)
        value = 10 * value + digit
    return value if wrong >= 0 else -1


@kernel
def scan_iso_time(text: Any, position: int, end: int, minute: Any) -> tuple[int, int]:
    """Return the ms since the epoch and the position behind the time; the position is -1 when it is refused.

    ``minute`` is kept between calls, for most times are of the same minute as the one before: the two words of its
    text, and its beginning, ms.
    """
    if position + BYTES > end:
        return 0, -1
    words = word_at(text, position), word_at(text, position + 8)
    if words[0] == minute[0] and words[1] == minute[1]:
        wrong = byte_at(text, position + 16) ^ _COLON | byte_at(text, position + 19) ^ _POINT
        second, ms = digits_at(text, position + 17, 2), digits_at(text, position + 20, 3)
        if wrong | byte_at(text, position + 23) ^ _LETTER_Z or second < 0 or second > 59 or ms < 0:
            return 0, -1
        return minute[2] + second * _MS_PER_S + ms, position + BYTES
    difference = 0
    for at, mark in zip(_MARK_AT, _MARK):  # noqa: B905  (Numba knows no strict)
        difference |= byte_at(text, position + at) ^ mark
    if difference != 0:
        return 0, -1
    year, month = digits_at(text, position, 4), digits_at(text, position + 5, 2)
    day, hour = digits_at(text, position + 8, 2), digits_at(text, position + 11, 2)
    minutes, second = digits_at(text, position + 14, 2), digits_at(text, position + 17, 2)
    ms = digits_at(text, position + 20, 3)
    if year < _FIRST_YEAR or year > _LAST_YEAR or month < 1 or month > 12 or day < 1 or ms < 0:
        return 0, -1
    if hour < 0 or hour > 23 or minutes < 0 or minutes > 59 or second < 0 or second > 59:
        return 0, -1
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if day > _DAYS_BEFORE[month] - _DAYS_BEFORE[month - 1] + (is_leap and month == 2):
        return 0, -1
    before = year - 1
    days = 365 * (year - _FIRST_YEAR) + before // 4 - before // 100 + before // 400 - _LEAP_DAYS_BEFORE
    days += _DAYS_BEFORE[month - 1] + day - 1 + (is_leap and month > 2)
    minute[0], minute[1] = words
    minute[2] = ((days * 24 + hour) * 60 + minutes) * 60 * _MS_PER_S
    return minute[2] + second * _MS_PER_S + ms, position + BYTES
