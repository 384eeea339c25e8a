"""Event rows of hftbacktest, ``.npz`` or ``.npy``, as ticks.

A row is one event: a level, a trade, one side of the touch. Its flags say whose it is (``EXCH_EVENT``: it happens at
``exch_ts``; ``LOCAL_EVENT``: it is received at ``local_ts``); a file is in both orders at once.
"""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from backtest.data.clocks import DataError
from backtest.data.grid import Grid, refusal_text, steps_of_doubles
from backtest.data.refusals import Refusals
from backtest.data.source import BLOCK_ROWS, Part, Reading, Side, Source, Ticks
from oms.instruments import Instrument
from oms.records import TICK, Reason, TickKind

FIELDS: Final = ("ev", "exch_ts", "local_ts", "px", "qty")
"""What a row must have; it may have more."""

KIND_MASK: Final = 0xFF
EXCH_EVENT: Final = 1 << 31
LOCAL_EVENT: Final = 1 << 30
BUY_EVENT: Final = 1 << 29
SELL_EVENT: Final = 1 << 28

CLEAR: Final = 3
"""Levels are taken away ahead of a snapshot: the beginning of that snapshot, a record without a level."""

BBO: Final = 5
"""One side of the touch: a QUOTE, with the other side as it was last."""

KINDS: Final = {
    1: TickKind.DEPTH,
    2: TickKind.TRADE,
    CLEAR: TickKind.SNAPSHOT,
    4: TickKind.SNAPSHOT,
    BBO: TickKind.QUOTE,
}
"""Kinds of record by the kinds of event in ``hftbacktest.types``; others are counted and left out."""

READ_ERRORS: Final = (
    OSError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""What reading a damaged or foreign file can raise."""


class NpzSource(Source):
    """An hftbacktest file of one instrument, read in blocks whatever its size."""

    format = "hftbacktest"
    sided = True

    def __init__(self, path: Path, instrument: Instrument) -> None:
        super().__init__(path, instrument)
        self.kinds = frozenset(KINDS.values())
        self._px = Grid(instrument, "price")
        self._qty = Grid(instrument, "quantity")

    def parts(self) -> Iterator[Part]:
        """As ``Source.parts``."""
        self.reading = Reading()
        touch = _Touch()
        for rows in self._rows():
            first = self.reading.rows + 1
            self.reading.rows += len(rows)
            part = self._ticks(rows, np.arange(first, first + len(rows)), touch)
            if len(part.ticks):
                yield part

    def _rows(self) -> Iterator[Any]:
        """The file's rows in blocks; what is before damage is yielded, and the damage noted."""
        try:
            with _array_file(self.path) as file:
                dtype, count = _header(file)
                _check_fields(self.path, dtype)
                while count:
                    size = min(count, BLOCK_ROWS)
                    raw = file.read(size * dtype.itemsize)
                    rows = np.frombuffer(raw[: len(raw) - len(raw) % dtype.itemsize], dtype)
                    if len(rows):
                        yield rows
                    if len(rows) < size:
                        self.reading.damage = f"{self.path} is truncated: {count - len(rows):,} of its rows are missing"
                        return
                    count -= size
        except DataError:
            raise
        except READ_ERRORS as error:
            if self.reading.rows == 0:
                raise DataError(f"{self.path} is no file of hftbacktest's event rows: {error}") from None
            self.reading.damage = f"{self.path} is corrupt: {error}"

    def _ticks(self, rows: Any, numbers: npt.NDArray[np.int64], touch: _Touch) -> Part:
        reading = self.reading
        ev = rows["ev"].astype(np.uint64)
        event = (ev & np.uint64(KIND_MASK)).astype(np.int64)
        sides = ((ev & np.uint64(LOCAL_EVENT)) != 0) * np.uint8(Side.LOCAL)
        sides |= ((ev & np.uint64(EXCH_EVENT)) != 0) * np.uint8(Side.EXCHANGE)
        kinds = np.zeros(KIND_MASK + 1, np.uint8)
        kinds[list(KINDS)] = list(KINDS.values())
        kind = kinds[event]
        for what, left_out in (("event rows of other kinds", kind == 0), ("event rows of neither side", sides == 0)):
            if left_out.any():
                reading.ignored[what] += int(np.count_nonzero(left_out))
        used = (kind != 0) & (sides != 0)
        if not used.all():
            ev, event, sides, kind = ev[used], event[used], sides[used], kind[used]
            rows, numbers = rows[used], numbers[used]
        ticks: Ticks = np.zeros(len(rows), TICK)
        ticks["exch_ts"] = rows["exch_ts"]
        ticks["local_ts"] = rows["local_ts"]
        ticks["instrument"] = self.instrument.id
        ticks["version"] = self.instrument.version
        ticks["kind"] = kind
        buy, sell = ((ev & np.uint64(flag)) != 0 for flag in (BUY_EVENT, SELL_EVENT))
        level = event != CLEAR
        ticks["side"] = np.where(level, buy.astype(np.int8) - sell.astype(np.int8), 0)
        px = steps_of_doubles(rows["px"].astype(np.float64), self._px)
        qty = steps_of_doubles(rows["qty"].astype(np.float64), self._qty)
        ticks["px"] = np.where(level, px.steps, 0)
        ticks["qty"] = np.where(level, qty.steps, 0)
        reading.inexact += px.inexact + qty.inexact

        refused = Refusals(len(rows))
        refused.add(
            (ticks["exch_ts"] <= 0) | (ticks["local_ts"] <= 0),
            lambda at: f"times {rows['exch_ts'][at]} and {rows['local_ts'][at]} must be above zero",
            Reason.MALFORMED,
        )
        refused.add(level & (ticks["side"] == 0), lambda at: "it is neither of a buy nor of a sell", Reason.BAD_SIDE)
        refused.add(px.reasons * level, lambda at: refusal_text(rows["px"][at], self._px))
        refused.add(qty.reasons * level, lambda at: refusal_text(rows["qty"][at], self._qty))
        refused.add(
            level & (kind != TickKind.QUOTE) & (ticks["px"] <= 0),
            lambda at: f"price {rows['px'][at]} is not above zero",
            Reason.BAD_PRICE,
        )
        refused.add(
            (ticks["qty"] < 0) | ((kind == TickKind.TRADE) & (ticks["qty"] == 0)),
            lambda at: f"quantity {rows['qty'][at]} is too small",
            Reason.QTY_BELOW_MIN,
        )
        refused.report(reading, lambda at: f"{self.path}, row {numbers[at]:,}")
        sound = refused.sound
        ticks, numbers, sides = ticks[sound], numbers[sound], sides[sound]
        touch.complete(ticks)
        return Part(ticks, numbers, sides)


class _Touch:
    """Best bid and ask as last told, so that a row about one of them becomes a quote of both."""

    def __init__(self) -> None:
        self._last = np.zeros((2, 2), np.int64)  # bid, ask: price and quantity

    def complete(self, ticks: Any) -> None:
        """Make whole quotes of the QUOTE records, each of one side; in place."""
        quotes = np.flatnonzero(ticks["kind"] == TickKind.QUOTE)
        if not len(quotes):
            return
        own = ticks[quotes]
        for k, (side, names) in enumerate(((1, ("px", "qty")), (-1, ("px_2", "qty_2")))):
            told = own["side"] == side
            latest = np.maximum.accumulate(np.where(told, np.arange(len(own)), -1))
            for j, (name, source) in enumerate(zip(names, ("px", "qty"), strict=True)):
                ticks[name][quotes] = np.where(latest >= 0, own[source][latest], self._last[k, j])
                if latest[-1] >= 0:
                    self._last[k, j] = own[source][latest[-1]]
        ticks["side"][quotes] = 0


npy: Final[Any] = np.lib.format


@contextmanager
def _array_file(path: Path) -> Iterator[IO[bytes]]:
    """The file, or the member of an archive, that holds the array."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        if len(members) > 1 and "data.npy" in members:
            members = ["data.npy"]
        if len(members) != 1:
            held = ", ".join(name.removesuffix(".npy") for name in members) or "none"
            raise DataError(f"{path} holds the arrays {held}: one of event rows is read, or the one called data")
        with archive.open(members[0]) as file:
            yield file


def _header(file: IO[bytes]) -> tuple[np.dtype[Any], int]:
    """Type and number of the rows that follow."""
    version = npy.read_magic(file)
    reader = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if reader is None:
        raise ValueError(f"its array is of version {version}")
    shape, _, dtype = reader(file)
    if dtype.hasobject:
        raise ValueError("its array holds Python objects")
    return dtype, int(shape[0]) if len(shape) == 1 else -len(shape)


def _check_fields(path: Path, dtype: np.dtype[Any]) -> None:
    missing = [name for name in FIELDS if name not in (dtype.names or ())]
    if missing:
        held = ", ".join(dtype.names) if dtype.names else f"plain numbers ({dtype})"
        raise DataError(
            f"{path} holds {held}, and no {', '.join(missing)}: hftbacktest's event rows have {', '.join(FIELDS)}; "
            "convert files of its first version with hftbacktest.data.utils.migration2"
        )
    odd = [name for name in FIELDS if dtype[name].kind not in "iuf" or dtype[name].shape]
    if odd:
        raise DataError(f"{path}: field {odd[0]} is {dtype[odd[0]]}, not a number")
