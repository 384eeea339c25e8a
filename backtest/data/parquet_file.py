"""Parquet files of tables, read in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from backtest.data.clocks import DataError
from backtest.data.source import BLOCK_ROWS, Reading
from backtest.data.tables import Batch, TableFile


def open_parquet(path: Path) -> Any:
    """A ``pyarrow.parquet.ParquetFile``; raises ``DataError`` when it is none."""
    from pyarrow import ArrowException, parquet

    try:
        return parquet.ParquetFile(path)
    except (OSError, ArrowException) as error:
        raise DataError(f"{path} is no complete Parquet file: {' '.join(str(error).split())}") from None


def batches_of(file: Any, path: Path, names: list[str], reading: Reading) -> Iterator[Any]:
    """The file's record batches; what is before damage is yielded, and the damage noted."""
    from pyarrow import ArrowException

    try:
        for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=names, use_threads=False):
            batch.validate(full=True)
            yield batch
    except (OSError, ArrowException) as error:
        reading.damage = f"{path} is damaged: {' '.join(str(error).split())}"


class ParquetFile(TableFile):
    """A Parquet file of one table; its columns are those of a CSV file."""

    format = "parquet"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._schema = open_parquet(path).schema_arrow

    @property
    def names(self) -> list[str]:
        """As ``TableFile.names``."""
        return [str(name) for name in self._schema.names]

    def batches(self, names: list[str], reading: Reading) -> Iterator[Batch]:
        """As ``TableFile.batches``."""
        last = 0
        for batch in batches_of(open_parquet(self.path), self.path, names, reading):
            rows = np.arange(last + 1, last + 1 + batch.num_rows)
            last += batch.num_rows
            yield Batch({name: _plain(batch.column(name)) for name in names}, rows)


def _plain(column: Any) -> Any:
    """A column with its values in place of a dictionary's numbers."""
    from pyarrow import types

    return column.dictionary_decode() if types.is_dictionary(column.type) else column
