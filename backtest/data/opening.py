"""Which format a file is of, and of which instrument: from a path to a source."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backtest.data.bars import BarSource
from backtest.data.chain import ChainSource
from backtest.data.clocks import DataError
from backtest.data.columns import TABLES, meaning_of
from backtest.data.csv_file import CsvFile
from backtest.data.history import history_files, instrument_of
from backtest.data.merge import check_given_once
from backtest.data.npz import NpzSource
from backtest.data.parquet_file import ParquetFile, open_parquet
from backtest.data.recording import RecordingSource
from backtest.data.source import Source
from backtest.data.stored import is_stored, open_stored
from backtest.data.tables import ChainedTables, TableFile, TableSource
from backtest.data.wire import WireSource
from gateways.lines import GZIP_MAGIC, RecordingError
from gateways.sidecar import open_recording
from oms.config import Settings
from oms.instruments import Instrument
from oms.records import TickKind

HEAD_BYTES: Final = 4_096
GZIP_WINDOW: Final = 31

READABLE: Final = (
    "zoms reads recordings (lines 'TIMESTAMP MESSAGE', plain or .gz), streams of OKX, HTX and BitMEX, "
    "hftbacktest files (.npz, .npy), "
    f"tables of {', '.join(TABLES)} (.csv, .csv.gz, .csv.zip, .parquet) and folders of its own store"
)

_RECORDED: Final = re.compile(rb"[0-9]{19} \S")
_STREAM: Final = re.compile(
    rb"\S+ (<->|<-) [0-9.]+(: .*)?$|[0-9]{10}(\.[0-9]{1,9})?: [{b]|"
    rb'[0-9]{19} \{"(arg|event|table|info|success|ch|ping|id|subbed|status)":',
    re.MULTILINE,
)
"""The first line of a recorded stream of OKX, HTX or BitMEX."""

_TABLE_NAME: Final = re.compile(r"\.(csv|tsv|txt)(\.(gz|zst|bz2))?$|\.zip$")


class NamedInstruments:
    """The instruments that the user names, for the files that do not say what they are of, in order.

    Parameters
    ----------
    settings : Settings
    names : sequence of str
        ``SYMBOL.VENUE``, or a symbol that one venue has.
    """

    def __init__(self, settings: Settings, names: Sequence[str]) -> None:
        self._settings = settings
        self._names = list(names)
        self._given = 0

    def next_for(self, path: Path) -> Instrument:
        """The instrument of a file; the last one named goes to all files that are left.

        Raises
        ------
        DataError
            When none is named.
        ConfigError
            When the settings do not define it.
        """
        if not self._names:
            raise DataError(f"{path} does not say which instrument it is of: name it by --instrument SYMBOL.VENUE")
        name = self._names[min(self._given, len(self._names) - 1)]
        self._given += 1
        return self._settings.instrument(name)

    def check_given(self) -> None:
        """Raise ``DataError`` where more were named than there are files for; the first may be for a strategy alone."""
        surplus = self._names[max(self._given, 1) :]
        if surplus:
            raise DataError(
                f"instrument {surplus[0]} is named for no file: {self._given} of the files do not say themselves what "
                "they are of; leave it away"
            )


def open_source(path: Path, settings: Settings, instrument: str | None = None) -> Source | BarSource:
    """Open one file or folder of market data.

    Parameters
    ----------
    path : Path
    settings : Settings
        Define the instruments.
    instrument : str, optional
        What the file is of, where it does not say so itself.

    Raises
    ------
    DataError
        When it is of no format that zoms reads, or does not say of which instrument it is.
    ConfigError
        When the settings do not define its instrument.
    """
    return _open(path, settings, NamedInstruments(settings, [instrument] if instrument else []))


def open_each(paths: Sequence[Path], settings: Settings, instruments: Sequence[str] = ()) -> list[Source | BarSource]:
    """Open several, each by itself; raises as ``open_source`` does, and ``DataError`` for an instrument too many.

    Parameters
    ----------
    paths : sequence of Path
    settings : Settings
    instruments : sequence of str
        For the files that do not say what they are of, in order; the last goes to all that are left.
    """
    named = NamedInstruments(settings, instruments)
    opened = [_open(path, settings, named) for path in paths]
    named.check_given()
    return opened


def open_sources(
    paths: Sequence[Path], settings: Settings, instruments: Sequence[str] = ()
) -> tuple[list[Source], list[BarSource]]:
    """Open several: the sources of ticks or those of bars.

    Files of one instrument and format that follow one another in time are chained, in the order given. Quotes make the
    book of an instrument that no other file gives a book.

    Raises
    ------
    DataError, ConfigError
        As ``open_each`` does, when an instrument's data are given twice, and when some files hold ticks, others bars.
    """
    opened = open_each(paths, settings, instruments)
    sources = [each for each in opened if isinstance(each, Source)]
    with_book = {each.instrument.id for each in sources if TickKind.SNAPSHOT in each.kinds}
    sources = [
        TableSource(each.file, each.instrument, as_book=each.instrument.id not in with_book)
        if isinstance(each, TableSource)
        else each
        for each in sources
    ]
    bars = [each for each in opened if isinstance(each, BarSource)]
    if sources and bars:
        raise DataError(f"{bars[0].path} holds bars, {sources[0].path} ticks: run them apart")
    chained = _chained(sources)
    check_given_once(chained)
    return chained, bars


def _chained(sources: Sequence[Source]) -> list[Source]:
    """The sources with those of one instrument, format and kind of record joined, in the order of the first of each."""
    groups: dict[tuple[object, ...], list[Source]] = {}
    for source in sources:
        groups.setdefault((source.instrument.id, type(source), source.kinds), []).append(source)
    for group in groups.values():
        paths = Counter(source.path.resolve() for source in group)
        twice = [path for path, count in paths.items() if count > 1]
        if twice:
            raise DataError(f"{twice[0]} is given twice: give each file once")
    return [group[0] if len(group) == 1 else ChainSource(group) for group in groups.values()]


def _open(path: Path, settings: Settings, named: NamedInstruments) -> Source | BarSource:
    if path.is_dir():
        files = history_files(path)
        return _history(files, settings) if files else open_stored(path, settings)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    if path.suffix in (".npz", ".npy"):
        return NpzSource(path, named.next_for(path))
    if path.suffix == ".parquet":
        open_parquet(path)
        if is_stored(path):
            return open_stored(path, settings)
        return _history([path], settings) if instrument_of(path) else _table(ParquetFile(path), named)
    if _STREAM.match(_head(path)):
        return WireSource(path, named.next_for(path))
    is_recording = _RECORDED.match(_head(path)) is not None
    if not is_recording and _TABLE_NAME.search(path.name):
        return _table(CsvFile(path), named)
    try:
        recording = open_recording(path)
    except RecordingError as error:
        raise DataError(str(error) if is_recording else f"{error}. {READABLE}") from None
    return RecordingSource(recording, settings.instrument(f"{recording.symbol}.{recording.venue}"))


def _history(files: Sequence[Path], settings: Settings) -> Source | BarSource:
    """The days of a folder of history as one source."""
    instrument = settings.instrument(instrument_of(files[0]))
    table = ChainedTables(files[0].parent, [ParquetFile(path) for path in files])
    return (TableSource if meaning_of(table.path, table.names).kinds else BarSource)(table, instrument)


def _table(file: TableFile, named: NamedInstruments) -> Source | BarSource:
    meaning = meaning_of(file.path, file.names)
    return (TableSource if meaning.kinds else BarSource)(file, named.next_for(file.path))


def _head(path: Path) -> bytes:
    """The first bytes of a file, decompressed as far as they are gzip."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.startswith(GZIP_MAGIC):
        return head
    try:
        return zlib.decompressobj(GZIP_WINDOW).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""
