"""Recorded streams of OKX, HTX and BitMEX as sources; one file may hold many instruments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from backtest.data.clocks import DataError
from backtest.data.source import Part, Reading, Source, Ticks
from gateways.lines import CHUNK_BYTES, LineReader, RecordingError
from gateways.recording import time_ticks
from gateways.wire.bitmex import BitmexDecoder
from gateways.wire.htx import HtxDecoder
from gateways.wire.lines import read_line
from gateways.wire.messages import Decoder, Refuse, WireError
from gateways.wire.okx import OkxDecoder
from oms.decimals import GridError
from oms.instruments import MAX_VALUE, Instrument
from oms.records import Reason, TickKind

DECODERS: Final[dict[str, Callable[[Instrument, Refuse], Decoder]]] = {
    "okx": OkxDecoder,
    "htx": HtxDecoder,
    "bitmex": BitmexDecoder,
}
"""By venue: the venue of an instrument in the settings is one of these, or begins with it, such as ``okx_swap``."""


class WireSource(Source):
    """One instrument's messages in a recorded stream.

    A receive time before its predecessor's is set to that and counted. Behind a new connection the book is stale until
    the next snapshot.

    Raises
    ------
    DataError
        When the instrument's venue is none of ``DECODERS``.
    """

    format = "stream"
    row_name = "record"
    marked = True

    def __init__(self, path: Path, instrument: Instrument) -> None:
        super().__init__(path, instrument)
        self.kinds = frozenset({TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.TRADE, TickKind.QUOTE})
        venue = instrument.venue.partition("_")[0]
        if venue not in DECODERS:
            raise DataError(
                f"{path} is a recorded stream, and {self.symbol} is not of {', '.join(DECODERS)}: name an instrument "
                "whose venue is called so, such as BTC-USDT.okx"
            )
        self._new_decoder = DECODERS[venue]

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

    def new_decoder(self, refuse: Refuse) -> Decoder:
        """A decoder of the instrument's venue."""
        return self._new_decoder(self.instrument, refuse)


class _Lines:
    """Decodes line by line, and counts what cannot be used."""

    def __init__(self, source: WireSource) -> None:
        self._source = source
        self._reading = source.reading
        self._decoder = source.new_decoder(self._refuse)
        self._last_ts = 0
        self._lost = False

    def take(self, line: bytes) -> list[Ticks]:
        """The records of a line; none where it is refused or carries none."""
        self._reading.rows += 1
        try:
            received = read_line(line)
            if received is None:
                self._lost = self._last_ts > 0
                self._decoder.lost()
                raise WireError(Reason.NONE, "it is a new connection")
            if received.local_ts > MAX_VALUE:
                raise WireError(Reason.OVERFLOW, f"timestamp {received.local_ts} is too large")
            local_ts = max(received.local_ts, self._last_ts)
            found = self._decoder.decode(received.message, local_ts)
        except WireError as error:
            if error.reason is Reason.NONE:
                self._reading.ignored["lines without market data of ours"] += 1
            else:
                self._refuse(error.reason, str(error))
            return []
        except GridError as error:
            self._refuse(error.reason, str(error))
            return []
        if found and received.local_ts < self._last_ts:
            self._reading.set_back += 1
        if found:
            self._last_ts = local_ts
        if found and self._lost:
            self._lost = False
            stale = time_ticks(np.array([local_ts]), self._source.instrument.id, TickKind.STALE)
            return [stale, *found]
        return found

    def _refuse(self, reason: Reason, text: str) -> None:
        self._reading.refuse(reason, 1, f"{self._source.path}, line {self._reading.rows:,}: {text[:200]}")
