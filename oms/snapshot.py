"""Snapshots: the durable state of the core at one place in its journal, a file each.

``<session:020d>.<number:012d>.snapshot`` holds the state after all entries before ``number`` of that session. A file
is a 32-byte head (``zomS``, version, sizes, checksum of all the rest), a JSON header that names each table with its
dtype, and the tables' bytes without the pages that are all zero. Tables and columns are read by name, so that a later
version with more of them reads an older file.

A file is written under another name, synced and renamed: there is never a half one.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from oms.core.state import State, begin_books
from oms.durable import Values, kept_columns, restored_parts
from oms.journal_writer import sync_folder
from oms.margin_tiers import OptionMargin, option_rates
from oms.records import WIRE_VERSION

SNAPSHOT_VERSION: Final = 2
"""1: no stops that stand at the exchange; read as it is."""
SUFFIX: Final = ".snapshot"
PAGE_BYTES: Final = 4096
HEAD: Final = struct.Struct("<4sIQQII")
"""Magic, version, bytes of the header, bytes of the tables, checksum of everything but these last eight bytes, 0."""
MAGIC: Final = b"zomS"
_CHECKED_HEAD: Final = struct.Struct("<4sIQQ")
TOLD: Final = "told"
"""The table that tells how things stand in EVENT records, where the events before are not kept."""
_NAME: Final = re.compile(r"([0-9]{20})\.([0-9]{12})\.snapshot")
_INDICES: Final = ("order_index", "trade_index")
"""Hash tables over other tables: of another size they are made anew."""

assert HEAD.size == 32


class SnapshotError(RuntimeError):
    """A snapshot cannot be written, or one does not verify; the message names the file and the remedy."""


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """Where in the journal a state belongs: before entry ``number`` of ``session``, in ``segment``, whose next event
    is ``event_seq``."""

    session: int
    segment: int
    number: int
    event_seq: int


class Definitions(msgspec.Struct, frozen=True, kw_only=True):
    """What the numbers in a state stand for."""

    account: str = ""
    instruments: dict[str, dict[str, str]] = {}
    """By id: ``name`` (symbol and venue) and what prices and quantities are counted in."""
    strategies: tuple[str, ...] = ()
    """Titles, by number."""
    wallets: tuple[str, ...] = ()
    """Currency and venue of each, by number."""


class _Table(msgspec.Struct, frozen=True):
    name: str
    dtype: Any
    shape: tuple[int, ...]
    size: int


class _Header(msgspec.Struct, frozen=True):
    place: Place
    whole: bool
    clean: bool
    wire_version: int
    definitions: Definitions
    tables: tuple[_Table, ...]


class Snapshot(NamedTuple):
    """A snapshot that verifies."""

    path: Path
    place: Place
    whole: bool
    """Market and exchange model included: of a session with ``journal.inputs = "all"``."""
    clean: bool
    """The session ended here, in good order."""
    definitions: Definitions
    tables: dict[str, Values]


class Capture(NamedTuple):
    """A state as it was at one moment, ready to be written, by another thread if need be."""

    place: Place
    header: bytes
    content: list[bytes]


def snapshot_path(folder: Path, place: Place) -> Path:
    return folder / f"{place.session:020d}.{place.number:012d}{SUFFIX}"


def snapshots(folder: Path) -> list[Path]:
    """The snapshots there are, newest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), reverse=True)


def number_of_snapshot(path: Path) -> int:
    """The number of the entry that a snapshot stands before."""
    match = _NAME.fullmatch(path.name)
    return int(match[2]) if match else 0


def session_of_snapshot(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    return int(match[1]) if match else 0


def capture(
    st: State,
    place: Place,
    definitions: Definitions,
    *,
    whole: bool = False,
    clean: bool = False,
    told: Values | None = None,
) -> Capture:
    """Copy what a snapshot holds out of the state; between two steps, with the outputs empty.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    place : Place
    definitions : Definitions
    whole : bool
        The market and the exchange model too.
    clean : bool
        The session ends here.
    told : array of EVENT, optional
        How things stand, for readers of events (``TOLD``).
    """
    tables = []
    content = []
    held = [(column.name, column.of(st)) for column in kept_columns(whole=whole)]
    if told is not None and len(told):
        held.append((TOLD, told))
    for name, table in held:
        values = np.ascontiguousarray(table)
        pages = _pages(values)
        tables.append(_Table(name, _described(values.dtype), values.shape, len(pages)))
        content.append(pages)
    header = _Header(place, whole, clean, WIRE_VERSION, definitions, tuple(tables))
    return Capture(place, msgspec.json.encode(header), content)


def write_snapshot(folder: Path, captured: Capture) -> Path:
    """Write a captured state and return its file, which is on the disk then.

    Raises
    ------
    SnapshotError
        When the disk does not take it; then there is no file of its name.
    """
    path = snapshot_path(folder, captured.place)
    partial = path.with_suffix(".partial")
    size = sum(map(len, captured.content))
    checked = _CHECKED_HEAD.pack(MAGIC, SNAPSHOT_VERSION, len(captured.header), size)
    checksum = crc32(captured.header, crc32(checked))
    for part in captured.content:
        checksum = crc32(part, checksum)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            file.write(HEAD.pack(MAGIC, SNAPSHOT_VERSION, len(captured.header), size, checksum, 0))
            file.write(captured.header)
            file.writelines(captured.content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SnapshotError(
            f"snapshot {path} cannot be written: {error.strerror}; free space on that file system, or set data_dir to"
            " another one"
        ) from error
    return path


def read_snapshot(path: Path) -> Snapshot:
    """Read and verify a snapshot.

    Raises
    ------
    SnapshotError
        When it cannot be read, was written by a newer zoms, or does not verify.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SnapshotError(f"snapshot {path} cannot be read: {error.strerror}; check data_dir") from error
    damaged = SnapshotError(
        f"snapshot {path} is damaged: move it away, and an older one with more of the journal serves"
    )
    if len(content) < HEAD.size:
        raise damaged
    magic, version, header_bytes, table_bytes, checksum, _ = HEAD.unpack_from(content)
    if magic != MAGIC or len(content) != HEAD.size + header_bytes + table_bytes:
        raise damaged
    body = memoryview(content)[HEAD.size :]
    if crc32(body, crc32(content[: _CHECKED_HEAD.size])) != checksum:
        raise damaged
    _check_version(path, "version", version, SNAPSHOT_VERSION)
    header = msgspec.json.decode(body[:header_bytes], type=_Header)
    _check_version(path, "records of wire version", header.wire_version, WIRE_VERSION)
    tables = {}
    at = header_bytes
    for table in header.tables:
        tables[table.name] = _values(table, body[at : at + table.size])
        at += table.size
    return Snapshot(path, header.place, header.whole, header.clean, header.definitions, tables)


def _check_version(path: Path, what: str, version: int, newest: int) -> None:
    if version > newest:
        raise SnapshotError(
            f"snapshot {path} has {what} {version}, as a newer zoms writes it; this zoms reads up to {newest}: use the"
            " zoms that wrote it"
        )


def restore(st: State, snapshot: Snapshot, *, definitions: bool = False) -> None:
    """Lay a snapshot over a state as assembled: addresses stay, everything else is the snapshot's.

    Tables and columns that the snapshot does not know keep their first values, or are worked out from the others; what
    this version does not know any more is left out.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    snapshot : Snapshot
    definitions : bool
        Take over what the settings of its time defined, too; so it is with a ``whole`` one in any case.
    """
    everything = definitions or snapshot.whole
    reindex = False
    for column in kept_columns(whole=snapshot.whole):
        values = snapshot.tables.get(column.name)
        if values is None:
            continue
        if column.table in _INDICES and values.shape != column.of(st).shape:
            reindex = True
            continue
        lay_over(column.of(st), values, None if everything else restored_parts(column))
    begin_books(st)
    if reindex:
        from oms.core.indices import rebuild_indices

        rebuild_indices(st)
    orders = snapshot.tables.get("orders")
    if orders is not None and "risk_value" not in (orders.dtype.names or ()):
        from oms.core.indices import value_orders

        value_orders(st)
    instruments = snapshot.tables.get("instruments")
    if instruments is not None and "option_initial_rate" not in (instruments.dtype.names or ()):
        _rate_options(st)


def _rate_options(st: State) -> None:
    """Give options of before there were settings of their margin the rates that all had then."""
    for table in ("instruments", "former_definitions", "pending_definitions"):
        rows = st[0][table]
        unrated = (rows["option_kind"] != 0) & (rows["option_maintenance_rate"] == 0)
        for name, value in option_rates("", OptionMargin()).items():
            rows[name][unrated] = value


def lay_over(target: Values, values: Values, parts: tuple[str, ...] | None) -> None:
    """Copy an array by the names of its columns, as far as both go, addresses apart.

    Parameters
    ----------
    target, values : arrays of one table
    parts : tuple of str or None
        Only these columns; None: all.
    """
    if parts is not None and not parts:
        return
    both = tuple(slice(min(a, b)) for a, b in zip(target.shape, values.shape, strict=False))
    target, values = target[both], values[both]
    if target.dtype.names is None or (target.dtype == values.dtype and parts is None and not _addresses(target.dtype)):
        target[...] = values
        return
    for name in target.dtype.names:
        if name in (values.dtype.names or ()) and (parts is None or name in parts) and not is_address(name):
            lay_over(target[name], values[name], None)


def is_address(name: str) -> bool:
    """Whether a column holds addresses of functions, which mean nothing to another process."""
    return name.startswith("on_") or name == "address"


def _addresses(dtype: np.dtype[Any]) -> bool:
    return any(is_address(name) for name in dtype.names or ())


def _pages(values: Values) -> bytes:
    """An array's bytes as a bit for each page, whether it has anything but zeros, and the pages that have."""
    raw: npt.NDArray[np.uint8] = values.reshape(-1).view(np.uint8)
    count = -(-len(raw) // PAGE_BYTES)
    whole = len(raw) // PAGE_BYTES
    pages = raw[: whole * PAGE_BYTES].reshape(whole, PAGE_BYTES)
    used = np.zeros(count, np.bool_)
    used[:whole] = pages.view(np.uint64).any(axis=1)
    tail = raw[whole * PAGE_BYTES :]
    used[whole:] = bool(tail.any())
    parts = [np.packbits(used).tobytes(), pages[used[:whole]].tobytes()]
    if used[whole:].any():
        parts.append(tail.tobytes())
    return b"".join(parts)


def _values(table: _Table, content: memoryview) -> Values:
    dtype = _dtype(table.dtype)
    size = int(np.prod(table.shape, dtype=np.int64)) * dtype.itemsize
    count = -(-size // PAGE_BYTES)
    bits = -(-count // 8)
    used = np.unpackbits(np.frombuffer(content[:bits], np.uint8), count=count).astype(np.bool_)
    raw = np.zeros(count * PAGE_BYTES, np.uint8)
    filled = np.frombuffer(content[bits:], np.uint8)
    at = np.flatnonzero(used)
    sizes = np.minimum(size - at * PAGE_BYTES, PAGE_BYTES)
    whole = int((sizes == PAGE_BYTES).sum())
    raw.reshape(count, PAGE_BYTES)[at[:whole]] = filled[: whole * PAGE_BYTES].reshape(whole, PAGE_BYTES)
    if whole < len(at):
        raw[at[-1] * PAGE_BYTES : size] = filled[whole * PAGE_BYTES :]
    return raw[:size].view(dtype).reshape(table.shape)


def _described(dtype: np.dtype[Any]) -> Any:
    """A dtype as JSON: a string, or a list of (name, dtype, shape)."""
    if dtype.names is None or dtype.fields is None:
        return dtype.str
    return [(name, _described(dtype[name].base), dtype[name].shape) for name in dtype.names]


def _dtype(described: Any) -> np.dtype[Any]:
    if isinstance(described, str):
        return np.dtype(described)
    return np.dtype([(name, _dtype(base), tuple(shape)) for name, base, shape in described])


def keep_newest(folder: Path, count: int, sessions: Collection[int] = ()) -> list[Path]:
    """Remove all but the newest ``count`` snapshots, and what an interrupted writer has left; returns what went.

    The first one of each of ``sessions`` stays: its replay begins there.
    """
    every = snapshots(folder)
    first = {session_of_snapshot(path): path for path in every}
    kept = {*every[:count], *(path for session, path in first.items() if session in sessions)}
    removed = [path for path in every if path not in kept]
    removed += folder.glob("*.partial")
    for path in removed:
        path.unlink(missing_ok=True)
    return removed
