"""Recorded order latencies: from a file of times to the rows that an exchange model goes by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from oms.checks import ConfigError
from oms.exchange_model import LATENCY_COLUMNS

NAMES: Final = (LATENCY_COLUMNS, ("req_ts", "exch_ts", "resp_ts"))
"""What the three columns may be called: our names, and hftbacktest's."""
MAX_LATENCY_NS: Final = 3_600_000_000_000


def read_latencies(path: Path) -> npt.NDArray[np.int64]:
    """Read the latencies of real orders from a ``.npy``, ``.npz`` or ``.csv`` file.

    Each row has three times in ns: when the request left, when it reached the exchange, when its answer arrived; in
    the order of the requests.

    Returns
    -------
    array of int64, shape (rows, 3)
        ``LATENCY_COLUMNS``.

    Raises
    ------
    ConfigError
        When the file cannot be read, lacks a column, or its times are not in order.
    """
    try:
        rows = np.ascontiguousarray(_table(path), np.int64)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise ConfigError(f"latencies {path}: {error}") from None
    if not len(rows):
        raise ConfigError(f"latencies {path} hold no row: give at least one order's three times")
    for name, times in zip(LATENCY_COLUMNS[:2], rows.T, strict=False):
        back = np.flatnonzero(np.diff(times) <= 0)
        if len(back):
            raise ConfigError(
                f"latencies {path}: {name} of row {back[0] + 2} is not later than the one before it: sort the rows"
            )
    taken = np.diff(rows, axis=1)
    wrong = np.flatnonzero(((taken < 0) | (taken > MAX_LATENCY_NS)).any(axis=1))
    if len(wrong):
        raise ConfigError(
            f"latencies {path}: row {wrong[0] + 1} has times {rows[wrong[0]].tolist()}: "
            f"each must follow the one before it, within an hour, in ns"
        )
    return rows


def _table(path: Path) -> npt.NDArray[Any]:
    if path.suffix in (".npy", ".npz"):
        loaded: Any = np.load(path, allow_pickle=False)
        if path.suffix == ".npz":
            loaded = loaded["data"] if "data" in loaded.files else loaded[loaded.files[0]]
        return _columns(loaded)
    if path.suffix != ".csv":
        raise ValueError("give a .npy, .npz or .csv file")
    if not path.read_text().strip():
        raise ValueError("the file is empty")
    named: npt.NDArray[Any] = np.genfromtxt(path, delimiter=",", names=True, dtype=np.int64, ndmin=1)
    return _columns(named)


def _columns(table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    found = table.dtype.names
    if found is None:
        if table.ndim != 2 or table.shape[1] != len(LATENCY_COLUMNS):
            raise ValueError(f"an array of shape {table.shape} is not one of three columns")
        return table
    for names in NAMES:
        if set(names) <= set(found):
            return np.stack([table[name] for name in names], axis=1)
    raise ValueError(f"columns {', '.join(found)} are not {', '.join(LATENCY_COLUMNS)}")
