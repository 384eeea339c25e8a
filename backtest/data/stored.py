"""Ticks that a session's recorder has stored, as a source: one Parquet file, or a folder of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from backtest.data.clocks import DataError
from backtest.data.parquet_file import batches_of, open_parquet
from backtest.data.source import Part, Reading, Source, Ticks
from oms.config import Settings
from oms.instruments import Instrument
from oms.records import TICK, TickKind
from oms.store.tick_files import SUFFIX, file_facts

_COLUMNS: Final = list(TICK.names or ())


class StoredSource(Source):
    """Parquet files of TICK columns of one instrument of one gateway session, in the order of their names.

    Prices and quantities count the grid that the files name; it must be the instrument's.
    """

    format = "store"
    row_name = "record"
    marked = True
    names_instrument = True

    def __init__(self, path: Path, instrument: Instrument) -> None:
        super().__init__(path, instrument)
        self.kinds = frozenset(TickKind)
        self._files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]

    def parts(self) -> Iterator[Part]:
        """As ``Source.parts``."""
        self.reading = Reading()
        for path in self._files:
            self._check_grid(path)
            for batch in batches_of(open_parquet(path), path, _COLUMNS, self.reading):
                ticks = _ticks_of(path, batch)
                first = self.reading.rows + 1
                self.reading.rows += len(ticks)
                ticks["instrument"] = self.instrument.id
                ticks["version"] = self.instrument.version
                yield Part(ticks, np.arange(first, first + len(ticks)))
            if self.reading.damage:
                return

    def _check_grid(self, path: Path) -> None:
        facts = file_facts(path)
        for name, own in (("tick", self.instrument.tick), ("lot", self.instrument.lot)):
            told = facts.get(name)
            if told != own:
                raise DataError(
                    f"{path} counts in {name}s of {told}, and the settings give {self.symbol} {own}: "
                    "define the instrument as it was when it was recorded"
                )


def is_stored(path: Path) -> bool:
    """Whether a Parquet file is one of a recorder's."""
    return "symbol" in file_facts(path)


def open_stored(path: Path, settings: Settings) -> StoredSource:
    """Open a recorder's file, or the folder of an instrument in its store.

    Raises
    ------
    DataError
        When it holds no ticks, or of several instruments or sessions.
    ConfigError
        When the settings do not define its instrument.
    """
    if path.is_dir():
        folders = sorted({each.parent for each in path.rglob(f"*{SUFFIX}")})
        if len(folders) != 1:
            if not folders:
                raise DataError(
                    f"folder {path} holds no ticks of a recorder and no downloaded history: give one that does"
                )
            found = ", ".join(map(str, folders))
            raise DataError(
                f"folder {path} holds the ticks of {len(folders)} instruments and sessions: give one of {found}"
            )
        path = folders[0]
    file = min(path.glob(f"*{SUFFIX}")) if path.is_dir() else path
    symbol = file_facts(file).get("symbol", "")
    if not symbol:
        raise DataError(f"{file} does not name its instrument: it is no file of a recorder")
    return StoredSource(path, settings.instrument(symbol))


def _ticks_of(path: Path, batch: Any) -> Ticks:
    ticks: Ticks = np.zeros(batch.num_rows, TICK)
    for name in _COLUMNS:
        try:
            ticks[name] = batch.column(name).to_numpy(zero_copy_only=False)
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}: column {name} holds no integers: {error}") from None
    return ticks
