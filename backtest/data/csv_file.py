"""CSV files, plain, gzip or in a zip archive, read in blocks."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from backtest.data.clocks import DataError
from backtest.data.columns import headerless
from backtest.data.source import Reading
from backtest.data.tables import Batch, TableFile
from oms.records import Reason

BLOCK_BYTES: Final = 4 * 1024 * 1024
MAX_HEADER_BYTES: Final = 65_536
DELIMITERS: Final = (",", ";", "\t")
READ_ERRORS: Final = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError)

_BYTE_ORDER_MARK: Final = "???"
"""What is left of it when what is no ASCII is replaced."""

_VALUE: Final = re.compile(r"[-+0-9.:eE TZ]*|true|false", re.IGNORECASE)
"""A cell of a first line that is no header."""


class CsvFile(TableFile):
    """A CSV file with a header, or one of a known kind without.

    Raises
    ------
    DataError
        When it cannot be read or is empty.
    """

    format = "csv"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        line = self._first_line()
        self._delimiter = max(DELIMITERS, key=line.count)
        cells = [cell.strip().strip('"') for cell in line.split(self._delimiter)]
        self._has_header = not all(_VALUE.fullmatch(cell) for cell in cells)
        self._names = cells if self._has_header else headerless(path, len(cells))

    @property
    def names(self) -> list[str]:
        """As ``TableFile.names``."""
        return self._names

    def batches(self, names: list[str], reading: Reading) -> Iterator[Batch]:
        """As ``TableFile.batches``; rows with another number of columns are refused and counted."""
        import pyarrow as pa
        from pyarrow import csv

        odd: list[int] = []

        def refuse(row: Any) -> str:
            number = row.number - self._has_header
            odd.append(number)
            words = f"it has {row.actual_columns} columns, not {row.expected_columns}"
            reading.refuse(Reason.MALFORMED, 1, f"{self.path}, row {number:,}: {words}")
            return "skip"

        last = 0
        try:
            with _opened(self.path) as file:
                reader = csv.open_csv(
                    file,
                    csv.ReadOptions(
                        use_threads=False,
                        block_size=BLOCK_BYTES,
                        skip_rows=int(self._has_header),
                        column_names=self._names,
                    ),
                    csv.ParseOptions(delimiter=self._delimiter, invalid_row_handler=refuse),
                    csv.ConvertOptions(
                        column_types=dict.fromkeys(names, pa.string()), include_columns=names, strings_can_be_null=False
                    ),
                )
                for batch in reader:
                    if not batch.num_rows:
                        continue
                    numbers = np.arange(last + 1, last + 1 + batch.num_rows + len(odd))
                    rows = numbers[~np.isin(numbers, odd)][: batch.num_rows]
                    last = int(rows[-1])
                    yield Batch({name: batch.column(name) for name in names}, rows)
        except DataError:
            raise
        except READ_ERRORS as error:
            text = " ".join(str(error).split())
            if last == 0:
                raise DataError(f"{self.path} cannot be read as CSV: {text}") from None
            reading.damage = f"{self.path} is damaged behind row {last:,}: {text}"
        reading.rows += len(odd)

    def _first_line(self) -> str:
        try:
            with _opened(self.path) as file:
                head = file.read(MAX_HEADER_BYTES)
        except DataError:
            raise
        except READ_ERRORS as error:
            raise DataError(f"{self.path} cannot be read as CSV: {error}") from None
        line = head.partition(b"\n")[0]
        text = line.decode().removeprefix(_BYTE_ORDER_MARK).strip()
        if not text:
            raise DataError(f"{self.path} is empty, or begins with an empty line: give a CSV file with a header")
        return text


_ASCII: Final = bytes(byte if byte < 128 else ord("?") for byte in range(256))


class _AsciiStream(io.RawIOBase):
    """A stream with each byte that is no ASCII replaced: no column that is read needs one, and none is then no text."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        content: bytes = self._stream.read(size if size >= 0 else None)
        return content if content.isascii() else content.translate(_ASCII)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The text of the file, decompressed."""
    import pyarrow as pa

    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
            if len(members) != 1:
                raise DataError(f"{path} holds {len(members)} files: an archive of one CSV file is read")
            with archive.open(members[0]) as file:
                yield _AsciiStream(file)
        return
    with pa.input_stream(str(path), compression="detect") as file:
        yield _AsciiStream(file)
