"""Rows of tables, from CSV or Parquet, as ticks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from backtest.data.clocks import DataError
from backtest.data.columns import MAKER_NAMES, Meaning, meaning_of, plain
from backtest.data.grid import Grid, off_grid, steps_of_column
from backtest.data.refusals import Refusals
from backtest.data.source import Part, Reading, Source, Ticks
from backtest.data.times import TimeColumn
from oms.instruments import Instrument
from oms.records import TICK, Reason, TickKind

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

BUY_WORDS: Final = frozenset({"buy", "b", "bid", "bids", "1", "+1"})
SELL_WORDS: Final = frozenset({"sell", "s", "ask", "asks", "a", "-1"})
TRUE_WORDS: Final = frozenset({"true", "t", "1", "yes"})
FALSE_WORDS: Final = frozenset({"false", "f", "0", "no"})


class Batch(NamedTuple):
    """Some rows of a table."""

    columns: dict[str, Any]
    """pyarrow Arrays by the file's own names."""
    rows: Integers
    """Numbers of the rows, from 1; a header is none."""


class TableFile(ABC):
    """A file of rows with named columns."""

    format: str

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Its columns."""

    @abstractmethod
    def batches(self, names: list[str], reading: Reading) -> Iterator[Batch]:
        """Read these columns from the start, block by block; damage is noted in ``reading``.

        Raises
        ------
        DataError
            When it cannot be read.
        """


@contextmanager
def columns_of(path: Path) -> Iterator[None]:
    """Raise ``DataError`` for a column of a type that cannot be what its name says."""
    from pyarrow import ArrowException

    try:
        yield
    except (TypeError, ArrowException) as error:
        raise DataError(f"{path}: a column is not of a type that can be read: {' '.join(str(error).split())}") from None


class ChainedTables(TableFile):
    """Files of one kind of table that follow one another; their rows are counted through.

    Raises
    ------
    DataError
        When their columns are not the same.
    """

    format = "tables"

    def __init__(self, folder: Path, files: Sequence[TableFile]) -> None:
        super().__init__(folder)
        for file in files:
            if file.names != files[0].names:
                raise DataError(f"{file.path} has other columns than {files[0].path}")
        self._files = files

    @property
    def names(self) -> list[str]:
        """As ``TableFile.names``."""
        return self._files[0].names

    def batches(self, names: list[str], reading: Reading) -> Iterator[Batch]:
        """As ``TableFile.batches``."""
        before = 0
        for file in self._files:
            last = 0
            for batch in file.batches(names, reading):
                last = int(batch.rows[-1]) if len(batch.rows) else last
                yield Batch(batch.columns, batch.rows + before)
            before += last
            if reading.damage:
                return


class TableSource(Source):
    """A table of trades, quotes, levels, mark prices or funding rates.

    Parameters
    ----------
    file : TableFile
    instrument : Instrument
    as_book : bool
        Whether quotes make the book: where there are no levels, so that orders meet the touch.
    """

    format = "table"

    def __init__(self, file: TableFile, instrument: Instrument, *, as_book: bool = False) -> None:
        super().__init__(file.path, instrument)
        self.table: Meaning = meaning_of(file.path, file.names)
        self.kinds = self.table.kinds
        self.as_book = as_book and TickKind.QUOTE in self.kinds
        if self.as_book:
            self.kinds |= {TickKind.DEPTH, TickKind.SNAPSHOT}
        self.file = file

    def parts(self) -> Iterator[Part]:
        """As ``Source.parts``."""
        self.reading = Reading()
        self.reading.note(f"{self.path} is a table of {self.table.table}")
        rows = TableRows(self.path, self.table, self.instrument, self.reading)
        book = _TouchBook(self.instrument) if self.as_book else None
        for batch in self.file.batches(list(self.table.columns.values()), self.reading):
            self.reading.rows += len(batch.rows)
            with columns_of(self.path):
                ticks, numbers = rows.ticks(batch)
            if book is not None and len(ticks):
                ticks, numbers = book.take(ticks, numbers)
            if len(ticks):
                yield Part(ticks, numbers)


class TableRows:
    """Turns rows of one file's table into records."""

    def __init__(self, path: Path, table: Meaning, instrument: Instrument, reading: Reading) -> None:
        self._path = path
        self._table = table
        self._instrument = instrument
        self._reading = reading
        self._times = {
            field: TimeColumn(path, table.columns[field], reading)
            for field in ("exch_ts", "local_ts")
            if field in table.columns
        }
        quantity = "rate" if table.table == "funding" else "quantity"
        self._grids = {
            field: Grid(instrument, "price" if field.startswith("px") else quantity)
            for field in ("px", "qty", "px_2", "qty_2")
            if field in table.columns
        }

    def ticks(self, batch: Batch) -> tuple[Ticks, Integers]:
        """The sound rows as records without flags, and their numbers; the others are counted."""
        count = len(batch.rows)
        columns = {field: batch.columns[name] for field, name in self._table.columns.items()}
        refused = Refusals(count)
        ticks = np.zeros(count, TICK)
        ticks["instrument"] = self._instrument.id
        ticks["version"] = self._instrument.version
        ticks["kind"] = next(iter(self._table.kinds))
        for field, times in self._times.items():
            ticks[field], wrong = times.to_ns(columns[field])
            refused.add(
                wrong,
                self._words("time", columns[field], "is none, or in another unit than the first"),
                Reason.MALFORMED,
            )
        if "local_ts" not in self._times:
            ticks["local_ts"] = ticks["exch_ts"]
        for name, grid in self._grids.items():
            steps = steps_of_column(columns[name], grid)
            ticks[name] = steps.steps
            self._reading.inexact += steps.inexact
            reasons = steps.reasons
            if self._table.table == "mark" and name == "px_2":  # a venue need not state an index price
                reasons = reasons * ~_is_empty(columns[name])
            refused.add(reasons, off_grid(columns[name], grid))
        self._set_sides(ticks, columns, refused)
        self._set_kinds(ticks, columns, refused)
        self._check_amounts(ticks, columns, refused)
        if "update_id" in columns:
            ticks["update_id"] = _ids(columns["update_id"])
        refused.report(self._reading, lambda at: f"{self._path}, row {batch.rows[at]:,}")
        return ticks[refused.sound], batch.rows[refused.sound]

    def _set_sides(self, ticks: Ticks, columns: dict[str, Any], refused: Refusals) -> None:
        if "side" not in columns:
            return
        maker = plain(self._table.columns["side"]) in MAKER_NAMES
        positive, negative = (FALSE_WORDS, TRUE_WORDS) if maker else (BUY_WORDS, SELL_WORDS)
        text = _lower_text(columns["side"])
        ticks["side"] = _is_in(text, positive).astype(np.int8) - _is_in(text, negative).astype(np.int8)
        refused.add(
            ticks["side"] == 0, self._words("side", columns["side"], "is neither buy nor sell"), Reason.BAD_SIDE
        )

    def _set_kinds(self, ticks: Ticks, columns: dict[str, Any], refused: Refusals) -> None:
        if "snapshot" not in columns:
            return
        text = _lower_text(columns["snapshot"])
        is_snapshot = _is_in(text, TRUE_WORDS)
        ticks["kind"] = np.where(is_snapshot, TickKind.SNAPSHOT, TickKind.DEPTH)
        refused.add(
            ~is_snapshot & ~_is_in(text, FALSE_WORDS),
            self._words("snapshot", columns["snapshot"], "is neither true nor false"),
            Reason.MALFORMED,
        )

    def _check_amounts(self, ticks: Ticks, columns: dict[str, Any], refused: Refusals) -> None:
        """Prices of trades and levels are above zero, quantities not below it; quotes may lack a side."""
        kind = self._table.table
        for field in ("px", "px_2"):
            if field in columns:
                least = 1 if kind in ("trades", "book") or (kind == "mark" and field == "px") else 0
                words = self._words("price", columns[field], "is not above zero" if least else "is below zero")
                refused.add(ticks[field] < least, words, Reason.BAD_PRICE)
        if kind == "funding":
            return
        for field in ("qty", "qty_2"):
            if field in columns:
                least = 1 if kind == "trades" else 0
                words = self._words("quantity", columns[field], "is not above zero" if least else "is below zero")
                refused.add(ticks[field] < least, words, Reason.QTY_BELOW_MIN)

    def _words(self, what: str, column: Any, wrong: str) -> Any:
        return lambda at: f"{what} {column[at].as_py()!r} {wrong}"


class _TouchBook:
    """Quotes as a book of one level a side: what has changed, behind a snapshot of the first."""

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._last = np.zeros((2, 2), np.int64)  # bid, ask: price and quantity
        self._begun = False

    def take(self, quotes: Ticks, rows: Integers) -> tuple[Ticks, Integers]:
        """Each quote with the levels that it takes away and sets, ahead of it."""
        before = np.empty((len(quotes), 2, 2), np.int64)
        now = np.empty_like(before)
        for k, names in enumerate((("px", "qty"), ("px_2", "qty_2"))):
            for j, name in enumerate(names):
                now[:, k, j] = quotes[name]
        now[now.min(axis=2) <= 0] = 0  # no price or no quantity: no level
        before[0] = self._last
        before[1:] = now[:-1]
        self._last = now[-1].copy()
        out = np.repeat(quotes, 5)
        numbers = np.repeat(rows, 5)
        kept = np.zeros(len(out), np.bool_)
        out["kind"] = TickKind.DEPTH
        for k, side in enumerate((1, -1)):
            gone, new = slice(k, None, 5), slice(2 + k, None, 5)
            for part, px, qty in ((gone, before[:, k, 0], 0), (new, now[:, k, 0], now[:, k, 1])):
                out["px"][part] = px
                out["qty"][part] = qty
                out["side"][part] = side
            kept[gone] = (before[:, k, 0] > 0) & (before[:, k, 0] != now[:, k, 0])
            kept[new] = (now[:, k, 0] > 0) & (before[:, k] != now[:, k]).any(axis=1)
        for name in ("px_2", "qty_2", "update_id"):
            out[name] = 0
        out[4::5] = quotes
        kept[4::5] = True
        if not self._begun:
            self._begun = True
            out["kind"][:4] = TickKind.SNAPSHOT
            if not kept[:4].any():  # the first quote has neither side: the book begins empty
                out["side"][0] = 0
                kept[0] = True
        return out[kept], numbers[kept]


def _lower_text(column: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))


def _is_in(text: Any, words: frozenset[str]) -> Flags:
    import pyarrow as pa
    import pyarrow.compute as pc

    found: Flags = pc.is_in(text, value_set=pa.array(sorted(words), text.type)).to_numpy(zero_copy_only=False)
    return found


def _is_empty(column: Any) -> Flags:
    import pyarrow as pa
    import pyarrow.compute as pc

    empty = pc.equal(column, "") if pa.types.is_string(column.type) else pc.is_nan(column.cast(pa.float64()))
    found: Flags = pc.fill_null(empty, True).to_numpy(zero_copy_only=False)
    return found


def _ids(column: Any) -> Integers:
    """Whole numbers of up to 18 digits; 0 for any other id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = column.cast(pa.string())
    sound = pc.fill_null(pc.match_substring_regex(text, "^[0-9]{1,18}$"), False)
    ids: Integers = pc.if_else(sound, text, "0").cast(pa.int64()).to_numpy(zero_copy_only=False)
    return ids
