"""A recording of a gateway as a source: ``docs/recordings.md`` explains the file."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from backtest.data.clocks import DataError
from backtest.data.source import Part, Reading, Source
from gateways.lines import CHUNK_BYTES, RecordingError
from gateways.recording import ReadCounters, TickReader
from gateways.sidecar import Recording
from oms.instruments import Instrument
from oms.records import TickKind


class RecordingSource(Source):
    """Lines ``TIMESTAMP MESSAGE`` of one instrument, each snapshot in its place among the updates.

    A receive time before its predecessor's is set to that and counted, as a replay does.
    """

    format = "recording"
    row_name = "record"
    marked = True
    names_instrument = True

    def __init__(self, recording: Recording, instrument: Instrument) -> None:
        super().__init__(recording.path, instrument)
        self.kinds = frozenset({TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.TRADE, TickKind.QUOTE})
        self._recording = recording

    def parts(self) -> Iterator[Part]:
        """As ``Source.parts``."""
        reading = self.reading = Reading()
        if self._recording.note:
            reading.doubts.append(self._recording.note)
        if self._recording.clock_offset_ns:
            reading.note(f"clock offset {self._recording.clock_offset_ns} ns, taken from each time of receipt")
        records = 0
        try:
            reader = TickReader(self._recording, self.instrument, chunk_bytes=4 * CHUNK_BYTES)
            for ticks in reader.sequenced():
                self._take_counters(reader.counters)
                yield Part(ticks, np.arange(records + 1, records + 1 + len(ticks)))
                records += len(ticks)
        except RecordingError as error:
            raise DataError(str(error)) from None
        self._take_counters(reader.counters)

    def _take_counters(self, counters: ReadCounters) -> None:
        """Say what has become of the lines so far: who reads may stop before the end."""
        reading = self.reading
        reading.rows = counters.messages + counters.ignored + sum(counters.refused.values())
        if counters.ignored:
            reading.ignored["messages without market data of ours"] = counters.ignored
        reading.refused, reading.problems = counters.refused, counters.problems
        reading.damage, reading.set_back = counters.damage, counters.set_back
