"""Recorded ticks: Parquet files of TICK columns, a folder for each gateway session and instrument.

``<store>/ticks/<session>/<id>-<symbol>.<venue>/<first seq>.parquet`` holds ticks in the order of their arrival. Its
columns are the fields of TICK, integers as the core has them, so that a file becomes TICK records again exactly. The
key-value metadata says which part of the gateway's stream it was cut from. A file has its final name only when it is
complete.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from oms.config import qualified_symbol
from oms.instruments import Instrument
from oms.records import TICK, WIRE_VERSION

Ticks = npt.NDArray[np.void]

TICKS_FOLDER: Final = "ticks"
SUFFIX: Final = ".parquet"
PARTIAL: Final = ".partial"
ROW_GROUP_TICKS: Final = 131_072

_DELTA_COLUMNS: Final = ("exch_ts", "local_ts", "px_2", "update_id")
_META_PREFIX: Final = "zoms."
NEXT_SEQ: Final = "next_seq"


class TicksRow(msgspec.Struct, frozen=True):
    """What is recorded of one instrument in one gateway session."""

    session: int
    instrument: int
    symbol: str
    ticks: int
    files: int
    size: int
    """Bytes on disk."""
    first_ts: int
    """``local_ts`` of the first tick, ns."""
    last_ts: int
    damaged: int
    """Files that cannot be read; their ticks are not counted."""


def instrument_folder(store_dir: Path, session: int, instrument: int, known: Mapping[int, Instrument]) -> Path:
    """Where the ticks of an instrument of a gateway session lie."""
    symbol = qualified_symbol(known[instrument]) if instrument in known else "unknown"
    return store_dir / TICKS_FOLDER / f"{session:020d}" / f"{instrument}-{re.sub(r'[^A-Za-z0-9._-]', '_', symbol)}"


def write_tick_file(path: Path, blocks: Iterable[Ticks], facts: Mapping[str, str | int]) -> int:
    """Write blocks of ticks as one Parquet file, complete and on disk, under the partial name.

    Parameters
    ----------
    path : Path
        The final name; the file is written as ``<path>.partial`` and ``publish_tick_files`` gives it its name.
    blocks : iterable of TICK arrays
    facts : mapping
        What the file's metadata says, by name.

    Returns
    -------
    int
        Ticks written.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    metadata = {f"{_META_PREFIX}{name}": str(value) for name, value in {"wire_version": WIRE_VERSION, **facts}.items()}
    schema = pa.schema([(name, pa.from_numpy_dtype(TICK[name])) for name in TICK.names or ()], metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with open(_partial(path), "wb") as file:
        with parquet.ParquetWriter(
            file,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            column_encoding=dict.fromkeys(_DELTA_COLUMNS, "DELTA_BINARY_PACKED"),
            write_statistics=["local_ts"],
        ) as writer:
            for group in _grouped(blocks):
                columns = [pa.array(np.ascontiguousarray(group[name])) for name in schema.names]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=ROW_GROUP_TICKS)
                written += len(group)
        file.flush()
        os.fsync(file.fileno())
    return written


def publish_tick_files(paths: Iterable[Path]) -> None:
    """Give complete files their final names, and make the names last."""
    folders = set()
    for path in paths:
        _partial(path).replace(path)
        folders.add(path.parent)
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def discard_tick_file(path: Path) -> None:
    """Remove what was written of a file that could not be completed, as far as the disk lets it."""
    with suppress(OSError):
        _partial(path).unlink()


def partial_files(store_dir: Path) -> list[Path]:
    """Files that are not complete, by their final names; one whose writer was killed holds nothing to be read."""
    found = (store_dir / TICKS_FOLDER).glob(f"*/*/*{SUFFIX}{PARTIAL}")
    return sorted(path.with_name(path.name.removesuffix(PARTIAL)) for path in found)


def read_ticks(path: Path) -> Ticks:
    """One file's ticks as TICK records, in the order of their arrival.

    Raises
    ------
    OSError, pyarrow.ArrowInvalid
        When the file is missing, or is no complete Parquet file.
    """
    from pyarrow import parquet

    table = parquet.ParquetFile(path).read()
    ticks = np.zeros(table.num_rows, TICK)
    for name in TICK.names or ():
        ticks[name] = table.column(name).to_numpy()
    return ticks


def stored_until(store_dir: Path, session: int) -> int:
    """How far a gateway session's ticks are stored: the sequence number behind the last one; 0 when none are."""
    folders = (store_dir / TICKS_FOLDER / f"{session:020d}").glob("*")
    newest = [max(files) for folder in folders if (files := list(folder.glob(f"*{SUFFIX}")))]
    return max((int(facts.get(NEXT_SEQ, "0")) for path in newest if (facts := _file_facts(path)[1])), default=0)


def summarise_ticks(store_dir: Path) -> list[TicksRow]:
    """What is recorded of each instrument in each gateway session, oldest session first; reads the footers only."""
    rows = []
    for folder in sorted((store_dir / TICKS_FOLDER).glob("*/*")):
        number, _, symbol = folder.name.partition("-")
        if folder.parent.name.isdecimal() and number.lstrip("-").isdecimal():
            rows.append(_summarise(folder, int(folder.parent.name), int(number), symbol))
    return rows


def _summarise(folder: Path, session: int, instrument: int, symbol: str) -> TicksRow:
    ticks = files = size = damaged = last_ts = 0
    first_ts = 0
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        metadata, facts = _file_facts(path)
        if metadata is None:
            damaged += 1
            continue
        files += 1
        size += path.stat().st_size
        ticks += metadata.num_rows
        symbol = facts.get("symbol", symbol)
        first_ts = first_ts or int(facts["first_ts"])
        last_ts = int(facts["last_ts"])
    return TicksRow(session, instrument, symbol, ticks, files, size, first_ts, last_ts, damaged)


def file_facts(path: Path) -> dict[str, str]:
    """What the recorder wrote about a file into it; nothing when it is no file of the recorder's."""
    return _file_facts(path)[1]


def _file_facts(path: Path) -> tuple[Any, dict[str, str]]:
    """A file's Parquet metadata, and what the recorder wrote into it; None and nothing when it cannot be read."""
    from pyarrow import ArrowInvalid, parquet

    try:
        metadata = parquet.read_metadata(path)
    except (OSError, ArrowInvalid):
        return None, {}
    texts = {name.decode(): value.decode() for name, value in (metadata.metadata or {}).items()}
    return metadata, {name.removeprefix(_META_PREFIX): value for name, value in texts.items()}


def _grouped(blocks: Iterable[Ticks]) -> Iterator[Ticks]:
    """The ticks of blocks in arrays of one row group, the last one smaller."""
    waiting: list[Ticks] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count >= ROW_GROUP_TICKS:
            joined = np.concatenate(waiting)
            whole = count - count % ROW_GROUP_TICKS
            yield joined[:whole]
            waiting = [joined[whole:]]
            count -= whole
    if count:
        yield np.concatenate(waiting)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + PARTIAL)
