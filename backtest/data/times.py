"""Columns of times to nanoseconds since the epoch, exactly; the unit is told by their magnitude."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtest.data.clocks import DataError
from backtest.data.source import Reading

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNITS: Final = {"s": 9, "ms": 6, "us": 3, "ns": 0}
"""Decimals down to a nanosecond of each unit."""

LEAST_S: Final = 10**8
"""The earliest time that is told from another unit's: 1973. Each unit goes up to a thousand times its least."""

NS_PER_DAY: Final = 86_400 * 10**9
MS_PER_DAY: Final = 86_400_000

_NUMBER: Final = r"^[0-9]{1,19}(\.[0-9]+)?$"
_COMPACT_FORMATS: Final = ("%Y%m%d %H:%M", "%Y%m%d %H:%M:%S", "%Y%m%d")
_DAY_IN_NAME: Final = re.compile(r"(?<![0-9])(20[0-9]{2})-?([01][0-9])-?([0-3][0-9])(?![0-9])")


def unit_of(value: int) -> str | None:
    """The unit of a time since the epoch, by its magnitude; None when it is none."""
    for unit, decimals in UNITS.items():
        least = LEAST_S * 10 ** (9 - decimals)
        if least <= value < 1000 * least:
            return unit
    return None


def day_in_name(path: Path) -> int | None:
    """Midnight (UTC, ns) of the day that a file's name holds, such as ``..._20221213_...``."""
    for year, month, day in _DAY_IN_NAME.findall(path.name):
        try:
            return int(datetime(int(year), int(month), int(day), tzinfo=UTC).timestamp()) * 10**9
        except ValueError:
            continue
    return None


class TimeColumn:
    """One column of a file: its first sound value decides in which form the others are.

    Parameters
    ----------
    path : Path
    name : str
        Of the column.
    reading : Reading
        Told what the form is.
    """

    def __init__(self, path: Path, name: str, reading: Reading) -> None:
        self._path = path
        self._name = name
        self._reading = reading
        self._unit: str | None = None
        self._midnight_ns: int | None = None
        self._is_text = False

    def to_ns(self, column: Any) -> tuple[Integers, Flags]:
        """The times of an Arrow array in ns, and which of them are none; those are 0.

        Raises
        ------
        DataError
            When its first values are no times.
        """
        import pyarrow as pa

        kind = column.type
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            self._reading.note(f"{self._name} is a column of times ({kind}), read as UTC")
            return _timestamps(column)
        if pa.types.is_floating(kind):
            return self._of_doubles(column)
        if not pa.types.is_integer(kind) and not pa.types.is_string(kind) and not pa.types.is_large_string(kind):
            raise DataError(f"{self._path}: column {self._name} of type {kind} holds no times")
        return self._of_text(column.cast(pa.string()))

    def _of_doubles(self, column: Any) -> tuple[Integers, Flags]:
        """Doubles that are whole numbers are times; a fraction of a second in a double is not exact."""
        import pyarrow as pa
        import pyarrow.compute as pc

        values = pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False)
        with np.errstate(invalid="ignore"):
            whole = (values == np.floor(values)) & (np.abs(values) < 2**53)
        text = pa.array(np.where(whole, values, 0).astype(np.int64)).cast(pa.string())
        times, wrong = self._of_text(text)
        return np.where(whole, times, 0), wrong | ~whole

    def _of_text(self, column: Any) -> tuple[Integers, Flags]:
        import pyarrow.compute as pc

        number = pc.fill_null(pc.match_substring_regex(column, _NUMBER), False).to_numpy(zero_copy_only=False)
        if self._unit is None and not self._is_text:
            self._decide(column, number)
        return self._of_dates(column) if self._is_text else self._of_numbers(column, number)

    def _decide(self, column: Any, number: Flags) -> None:
        """Tell the form from the first values."""
        if not number.any():
            _, wrong = self._of_dates(column)
            if wrong.all():
                raise DataError(
                    f"{self._path}: {self._name} {column[0].as_py()!r} is no time: give s, ms, us or ns since 1970, or "
                    f"2026-01-31 23:59:59.123"
                )
            self._is_text = True
            self._reading.note(f"{self._name} is a date and time, read as UTC where it names no zone")
            return
        first = column[int(np.argmax(number))].as_py()
        value = int(first.partition(".")[0])
        self._unit = unit_of(value)
        if self._unit is None and value < MS_PER_DAY:
            self._midnight_ns = day_in_name(self._path)
            self._unit = "ms"
            if self._midnight_ns is not None:
                day = np.datetime64(self._midnight_ns, "ns").astype("datetime64[D]")
                self._reading.note(f"{self._name} is in ms since midnight of {day} (UTC), the day in the file's name")
                return
        if self._unit is None or value < MS_PER_DAY:
            raise DataError(
                f"{self._path}: {self._name} {first} is no time since 1970 in s, ms, us or ns; "
                "times since midnight need a day in the file's name, such as _20260131_"
            )
        self._reading.note(f"{self._name} is in {self._unit} since 1970")

    def _of_numbers(self, column: Any, number: Flags) -> tuple[Integers, Flags]:
        import pyarrow as pa
        import pyarrow.compute as pc

        assert self._unit is not None
        decimals = UNITS[self._unit]
        fits = pc.fill_null(pc.match_substring_regex(column, rf"^[0-9]+(\.[0-9]{{0,{decimals}}}0*)?$"), False)
        sound = number & fits.to_numpy(zero_copy_only=False)
        text = pc.if_else(pa.array(sound), column, "0")
        exact = text.cast(pa.decimal128(38, decimals))
        words = np.frombuffer(exact.buffers()[1], np.int64).reshape(-1, 2)[exact.offset : exact.offset + len(exact)]
        low, high = words[:, 0], words[:, 1]
        if self._midnight_ns is not None:
            sound &= (high == 0) & (low < NS_PER_DAY)
            return np.where(sound, low + self._midnight_ns, 0), ~sound
        sound &= (high == 0) & (low >= LEAST_S * 10**9)
        sound &= low <= min(1000 * LEAST_S * 10**9, 2**63 - 1)
        return np.where(sound, low, 0), ~sound

    def _of_dates(self, column: Any) -> tuple[Integers, Flags]:
        for form in (_iso, *(_strptime(text) for text in _COMPACT_FORMATS)):
            found = form(column)
            if found is not None:
                return found, np.zeros(len(column), np.bool_)
        times = np.zeros(len(column), np.int64)
        if len(column) > 1:  # one of them is wrong, or they are not all of one form
            for at in range(len(column)):
                times[at] = self._of_dates(column[at : at + 1])[0][0]
        return times, times == 0


def _iso(column: Any) -> Integers | None:
    import pyarrow as pa

    for zone in (None, "UTC"):
        try:
            times: Integers = _timestamps(column.cast(pa.timestamp("ns", zone)))[0]
        except pa.ArrowInvalid:
            continue
        return times
    return None


def _strptime(form: str) -> Any:
    def read(column: Any) -> Integers | None:
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            return _timestamps(pc.strptime(column, format=form, unit="s"))[0]
        except pa.ArrowInvalid:
            return None

    return read


def _timestamps(column: Any) -> tuple[Integers, Flags]:
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = getattr(column.type, "tz", None)
    try:
        times = pc.fill_null(column.cast(pa.timestamp("ns", zone)).cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return np.zeros(len(column), np.int64), np.ones(len(column), np.bool_)
    return times, times <= 0
