"""Columns of numbers to whole ticks and lots, exactly: decimal text through decimals, doubles by what they stand for.

A double stands for the decimal number that it is the nearest double to. It is on the grid when it is within
``MAX_ULPS`` of the double nearest to a whole number of steps: arithmetic such as 0.1 * 3 leaves that much. Text of
16 digits or more is such a double, printed in full.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from gateways.layouts import decimals_and_unit
from oms.decimals import GridError, parse_decimal, rate
from oms.instruments import MAX_VALUE, Instrument
from oms.records import Reason

Integers = npt.NDArray[np.int64]

MAX_ULPS: Final = 4
MAX_EXACT: Final = 2**50
"""Units of the last decimal that a double can tell apart with room for ``MAX_ULPS``."""

FULL_DIGITS: Final = 16
"""Significant digits from which on decimal text is a double printed in full."""

RATE_STEP: Final = "0.00000001"
OFF_GRID: Final = {"price": Reason.BAD_PRICE, "quantity": Reason.QTY_BELOW_MIN, "rate": Reason.MALFORMED}

_DIGITS: Final = re.compile(r"[0-9]")
_PLAIN: Final = r"^-?[0-9]{{1,18}}(\.[0-9]{{0,{decimals}}}0*)?$"


class Grid(NamedTuple):
    """The multiples of one step: of an instrument's tick or lot, or of a rate's 1e-8."""

    instrument: Instrument
    what: str
    """``price``, ``quantity`` or ``rate``."""

    @property
    def step(self) -> str:
        """The size of one step."""
        return {"price": self.instrument.tick, "quantity": self.instrument.lot}.get(self.what, RATE_STEP)

    @property
    def reason(self) -> Reason:
        """Why a value is refused that is not on the grid."""
        return OFF_GRID[self.what]

    def exactly(self, text: str) -> int:
        """One value as steps; raises ``GridError``."""
        if self.what == "rate":
            return rate(self.what, text)
        return self.instrument.px_to_ticks(text) if self.what == "price" else self.instrument.qty_to_lots(text)


class Steps(NamedTuple):
    """A column in whole steps of a grid."""

    steps: Integers
    """0 where refused."""
    reasons: npt.NDArray[np.uint8]
    """Of each value: why it is refused, a ``Reason``; NONE where it is not."""
    inexact: int
    """Doubles that were a few units in the last place beside the grid."""


def steps_of_doubles(values: npt.NDArray[np.float64], grid: Grid) -> Steps:
    """Doubles as whole steps.

    Parameters
    ----------
    values : array of float64
    grid : Grid
    """
    decimals, unit = decimals_and_unit(grid.step)
    scale = 10.0**decimals  # exact: a grid has fewer than 22 decimals
    with np.errstate(invalid="ignore", over="ignore"):
        counts = np.rint(values * scale / unit)
        finite = np.isfinite(counts)
        small = finite & (np.abs(counts) * unit < MAX_EXACT)
        counts = np.where(small, counts, 0.0)
        nearest = counts * unit / scale  # an exact integer over an exact power of ten: the nearest double
        exact = nearest == values
        close = np.abs(nearest - values) <= MAX_ULPS * np.spacing(np.abs(nearest))
    reasons = np.where(close, Reason.NONE, grid.reason).astype(np.uint8)
    reasons[finite & ~small] = Reason.OVERFLOW
    reasons[~finite] = Reason.MALFORMED
    steps = np.where(reasons == Reason.NONE, counts, 0).astype(np.int64)
    return Steps(steps, reasons, int(np.count_nonzero((reasons == Reason.NONE) & ~exact)))


def steps_of_column(column: Any, grid: Grid) -> Steps:
    """An Arrow column of numbers, decimals or decimal text as whole steps.

    Parameters
    ----------
    column : pyarrow.Array
        A missing value is refused as MALFORMED.
    grid : Grid
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        return steps_of_doubles(pc.fill_null(pc.cast(column, pa.float64()), np.nan).to_numpy(), grid)
    if pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        column = pc.cast(column, pa.string())
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise TypeError(f"a column of {column.type} holds no numbers")
    return _steps_of_text(column, grid)


def _steps_of_text(column: Any, grid: Grid) -> Steps:
    """Decimal text: what is plain and fits all at once, each other value by itself."""
    import pyarrow as pa
    import pyarrow.compute as pc

    decimals, unit = decimals_and_unit(grid.step)
    plain = pc.fill_null(pc.match_substring_regex(column, _PLAIN.format(decimals=decimals)), False)
    numbers = pc.cast(pc.if_else(plain, column, pa.scalar("0", column.type)), pa.decimal128(38, decimals))
    words = np.frombuffer(numbers.buffers()[1], np.int64).reshape(-1, 2)[numbers.offset : numbers.offset + len(numbers)]
    steps, rest = np.divmod(words[:, 0], unit)
    fits = (words[:, 1] == words[:, 0] >> 63) & (np.abs(steps) <= MAX_VALUE)
    done = plain.to_numpy(zero_copy_only=False) & fits & (rest == 0)
    reasons = np.zeros(len(column), np.uint8)
    inexact = 0
    steps = np.where(done, steps, 0)
    for at in np.flatnonzero(~done):
        text = column[int(at)].as_py()
        try:
            steps[at] = _judge(text, grid)
            inexact += not on_grid(text, grid)
        except GridError as error:
            reasons[at] = error.reason
    return Steps(steps, reasons, inexact)


def on_grid(text: str, grid: Grid) -> bool:
    """Whether decimal text is a whole number of steps as it stands."""
    try:
        grid.exactly(text)
    except GridError:
        return False
    return True


def _judge(text: str | None, grid: Grid) -> int:
    """One value as steps; raises ``GridError``."""
    text = (text or "").strip()
    try:
        return grid.exactly(text)
    except GridError as error:
        if error.reason is not grid.reason or significant_digits(text) < FULL_DIGITS:
            raise
        found = steps_of_doubles(np.array([float(parse_decimal(grid.what, text))]), grid)
        if found.reasons[0] != Reason.NONE:
            raise
        return int(found.steps[0])


def significant_digits(text: str) -> int:
    """How many digits of decimal text count: ``5.330000000000001e-05`` has 16."""
    return len("".join(_DIGITS.findall(text.lower().partition("e")[0])).lstrip("0"))


def refusal_text(value: object, grid: Grid) -> str:
    """What is wrong with a refused value, in words."""
    text = repr(float(value)) if isinstance(value, (float, np.floating)) else str(value if value is not None else "")
    try:
        grid.exactly(text.strip())
    except GridError as error:
        return str(error)
    return f"{grid.what} {text} of {grid.instrument.symbol} is too large for a double to be exact"


def off_grid(column: Any, grid: Grid) -> Callable[[int], str]:
    """What says in words, by the number of a value in an Arrow column, why it is refused."""
    return lambda at: refusal_text(column[at].as_py(), grid)
