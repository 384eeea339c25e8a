"""Recorded streams of OKX, HTX and BitMEX as sources; one file may hold many instruments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from backtest.data.clocks import DataError
from backtest.data.source import Part, Reading, Source, Ticks
from gateways.lines import CHUNK_BYTES, LineReader, RecordingError
from gateways.recording import time_ticks
from gateways.wire.decoder import WIRES, Wire, wire_of
from gateways.wire.lines import read_line
from gateways.wire.messages import WireError
from oms.instruments import MAX_VALUE, Instrument
from oms.records import Reason, TickFlag, TickKind

_OF_THE_BOOK: Final = (TickKind.DEPTH, TickKind.SNAPSHOT)


class WireSource(Source):
    """One instrument's messages in a recorded stream.

    A receive time before its predecessor's is set to that and counted. Behind a new connection the book is stale until
    the next snapshot.

    Raises
    ------
    DataError
        When the instrument's venue is none of ``WIRES``.
    """

    format = "stream"
    row_name = "record"
    marked = True

    def __init__(self, path: Path, instrument: Instrument) -> None:
        super().__init__(path, instrument)
        self.kinds = frozenset({TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.TRADE, TickKind.QUOTE})
        wire = wire_of(instrument.venue)
        if wire is None:
            raise DataError(
                f"{path} is a recorded stream, and {self.symbol} is not of {', '.join(WIRES)}: name an instrument "
                "whose venue is called so, such as BTC-USDT.okx"
            )
        self.wire: Wire = wire

    def parts(self) -> Iterator[Part]:
        """As ``Source.parts``."""
        self.reading = Reading()
        reader = LineReader(self.path, CHUNK_BYTES)
        lines = _Lines(self)
        records = 0
        try:
            for chunk in reader.chunks():
                found = [ticks for line in chunk.splitlines() if line.strip() for ticks in lines.take(line)]
                if found:
                    ticks = np.concatenate(found)
                    yield Part(ticks, np.arange(records + 1, records + 1 + len(ticks)))
                    records += len(ticks)
        except RecordingError as error:
            raise DataError(str(error)) from None
        self.reading.damage = reader.damage


class _Lines:
    """Decodes line by line, and counts what cannot be used."""

    def __init__(self, source: WireSource) -> None:
        self._source = source
        self._reading = source.reading
        self._decoder = source.wire.decoder(source.instrument)
        self._numbers = source.wire.numbers() if source.wire.numbers else None
        self._last_ts = 0
        self._lost = False

    def take(self, line: bytes) -> list[Ticks]:
        """The records of a line; none where it is refused or carries none."""
        self._reading.rows += 1
        try:
            received = read_line(line)
            if received is None:
                self._note_loss()
                raise WireError(Reason.NONE, "it is a new connection")
            if received.local_ts > MAX_VALUE:
                raise WireError(Reason.OVERFLOW, f"timestamp {received.local_ts} is too large")
        except WireError as error:
            self._refuse(error.reason, str(error))
            return []
        local_ts = max(received.local_ts, self._last_ts)
        found = self._decode(received.message, local_ts)
        if found and received.local_ts < self._last_ts:
            self._reading.set_back += 1
        if found:
            self._last_ts = local_ts
        if found and self._lost:
            self._lost = False
            stale = time_ticks(np.array([local_ts]), self._source.instrument.id, TickKind.STALE)
            return [stale, *found]
        return found

    def _decode(self, message: bytes, local_ts: int) -> list[Ticks]:
        ticks = self._decoder.scan(message, local_ts)
        if ticks is not None:
            ticks = ticks.copy()
        else:
            ticks, refusals = self._decoder.decode_slowly(message, local_ts)
            for refusal in refusals:
                self._refuse(*refusal)
        if not len(ticks):
            return []
        if self._numbers is None or ticks["kind"][0] not in _OF_THE_BOOK:
            return [ticks]
        messages = np.split(ticks, np.flatnonzero(ticks["flags"] & TickFlag.FIRST)[1:])
        return [numbered for each in messages for numbered in self._numbers.take(each)]

    def _note_loss(self) -> None:
        self._lost = self._last_ts > 0
        self._decoder.lost()
        if self._numbers is not None:
            self._numbers.lost()

    def _refuse(self, reason: Reason, text: str) -> None:
        if reason is Reason.NONE:
            self._reading.ignored["lines without market data of ours"] += 1
            return
        self._reading.refuse(reason, 1, f"{self._source.path}, line {self._reading.rows:,}: {text[:200]}")
