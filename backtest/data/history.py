"""History that was downloaded: a Parquet table a day, of one instrument and kind.

``<data_dir>/history/<venue>/<symbol>/<kind>/<YYYY-MM-DD>.parquet``; ``kind`` is ``trades``, ``mark``, ``funding`` or
``bars-1m`` and its like. Numbers are decimal text, as the venue gave them. A file is complete when it has its name, so
that what is there need not be asked for again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Final

from backtest.data.clocks import DataError
from backtest.data.parquet_file import open_parquet

SUFFIX: Final = ".parquet"
PARTIAL: Final = ".partial"
INSTRUMENT: Final = b"zoms.history"
"""Of a file's metadata: the instrument's symbol and venue."""

COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "trades": {"timestamp": "int64", "id": "string", "price": "string", "qty": "string", "side": "string"},
    "mark": {"timestamp": "int64", "mark_price": "string"},
    "funding": {"timestamp": "int64", "funding_rate": "string"},
    "bars": {
        "open_time": "int64",
        "open": "string",
        "high": "string",
        "low": "string",
        "close": "string",
        "volume": "string",
    },
}
"""Columns of each kind of table and their Arrow types; times are ms since 1970."""


def history_folder(data_dir: Path, venue: str, symbol: str, kind: str) -> Path:
    """Where an instrument's history of a kind lies."""
    return data_dir / "history" / venue / re.sub(r"[^A-Za-z0-9._-]", "_", symbol) / kind


def day_file(folder: Path, day: date) -> Path:
    """A day's file."""
    return folder / f"{day.isoformat()}{SUFFIX}"


def write_day(path: Path, instrument: str, table: str, pages: Iterable[Sequence[Sequence[object]]]) -> int:
    """Write a day's rows, page by page, and give the file its name when all are there and on disk; returns the rows.

    A day without rows makes no file: the venue may not keep that day, or not yet have it.

    Parameters
    ----------
    path : Path
    instrument : str
        Symbol and venue.
    table : str
        One of ``COLUMNS``.
    pages : iterable of rows
        Values in the order of the columns.

    Raises
    ------
    OSError
        When it cannot be written. What ``pages`` raises leaves no file under the name.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [(name, getattr(pa, kind)()) for name, kind in COLUMNS[table].items()],
        metadata={INSTRUMENT: instrument.encode()},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + PARTIAL)
    written = 0
    with open(partial, "wb") as file:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            for page in pages:
                columns = [list(column) for column in zip(*page, strict=True)] or [[] for _ in schema]
                arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                written += len(page)
        file.flush()
        os.fsync(file.fileno())
    if written:
        partial.replace(path)
    else:
        partial.unlink()
    return written


def instrument_of(path: Path) -> str:
    """The instrument that a file of history names; empty when it is none."""
    found: bytes = (open_parquet(path).schema_arrow.metadata or {}).get(INSTRUMENT, b"")
    return found.decode(errors="replace")


def history_files(folder: Path) -> list[Path]:
    """A folder's files of history, in order of time; empty where it holds none.

    Raises
    ------
    DataError
        When a file among them cannot be read.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files or not instrument_of(files[0]):
        return []
    if len({instrument_of(path) for path in files}) > 1:
        raise DataError(f"folder {folder} holds the history of several instruments: give one of them")
    return files
