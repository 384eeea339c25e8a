"""What a replay sends, in order: the recording with its silences, from any moment on, once or again and again."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gateways.book import BookRebuild, book_after
from gateways.decoder import Ticks
from gateways.recording import NS_PER_S, ReadCounters, TickReader, with_quiet_times
from gateways.sequencer import stale_tick
from gateways.sidecar import Recording
from oms.instruments import MAX_VALUE, Instrument
from oms.records import TickFlag

CHUNK_BYTES = 64 * 1024
"""Text that is decoded at a time: well under a millisecond's work, so that a paced replay is not held up."""

LOOP_GAP_NS = 1_000_000
"""Recorded time between the last tick of one pass and the first of the next."""


class Feed:
    """The ticks of one replay.

    Parameters
    ----------
    recording, instrument
        As ``TickReader`` takes them.
    duration_s
        Stop after this much recorded time from the recording's first tick; 0: do not.
    loop
        Begin again at the end, with time going on. A STALE record says that the update ids begin anew.

    Attributes
    ----------
    resume_ts : int
        Set it before the first batch to go on behind a tick that was sent before: its recorded time. What comes first
        then is a STALE record and the book of that moment as a SNAPSHOT. 0: begin at the beginning.
    counters : ReadCounters
        What became of the recording's lines, all passes together.
    first_ts : int
        Recorded time of the very first tick; 0 until it is read.
    """

    def __init__(
        self,
        recording: Recording,
        instrument: Instrument,
        *,
        duration_s: float = 0,
        loop: bool = False,
    ) -> None:
        self.recording = recording
        self.instrument = instrument
        self.counters = ReadCounters()
        self.first_ts = 0
        self._duration_ns = int(duration_s * NS_PER_S)
        self._loop = loop
        self.resume_ts = 0
        self._sent_before = 0
        self._shift = 0
        self._previous_ts: int | None = None

    def batches(self) -> Iterator[Ticks]:
        """Yield ticks in order of time, never an empty batch and never part of a message.

        Raises
        ------
        RecordingError
            As ``TickReader`` does.
        """
        stop_ts = self._stop_ts()
        while True:
            pass_last = 0
            book = BookRebuild() if self.resume_ts else None
            for batch in self._pass():
                ticks = batch
                if not self.first_ts:
                    self.first_ts = int(ticks["local_ts"][0])
                    stop_ts = self._stop_ts()
                pass_last = int(ticks["local_ts"][-1])
                if book is not None:
                    sent = int(np.searchsorted(ticks["local_ts"], self.resume_ts, "right"))
                    book.take(ticks[:sent])
                    self._sent_before += int(np.count_nonzero(ticks["flags"][:sent] & TickFlag.LAST))
                    ticks = ticks[sent:]
                    if not len(ticks):
                        continue
                    yield self._resumption(book)
                    book = None
                within = ticks[: np.searchsorted(ticks["local_ts"], stop_ts)]
                if len(within):
                    yield with_quiet_times(within, self._previous_ts)
                    self._previous_ts = int(within["local_ts"][-1])
                if len(within) < len(ticks):
                    return
            if not self._loop:
                if book is not None:
                    yield self._resumption(book)
                return
            period = pass_last - self._shift - self.first_ts + LOOP_GAP_NS
            self._shift += period
            if book is not None:  # whole passes have been sent before
                self._shift = max(self._shift, (self.resume_ts - self.first_ts) // period * period)
            else:
                yield stale_tick(self.first_ts + self._shift, self.instrument.id, self.instrument.version)

    def go_on(self, instrument: Instrument, ts: int) -> None:
        """Have the next ``batches`` go on behind the tick sent last, of time ``ts``, on another definition's grid.

        The pass in hand is decoded anew up to there; ``counters`` count what it comes to on the new grid.
        """
        self.instrument = instrument
        self.counters = ReadCounters()
        self.resume_ts = ts
        self._sent_before = 0
        self._previous_ts = None

    def book_at(self, ts: int) -> Ticks | None:
        """The book as a SNAPSHOT received at ``ts``, the time of the tick sent last; None while there is none."""
        reader = TickReader(self.recording, self.instrument)
        snapshot = book_after(reader.sequenced(), ts - self._shift).snapshot(ts)
        if snapshot is not None:
            snapshot["exch_ts"] += self._shift
        return snapshot

    def progress(self, recorded_ts: int, messages: int) -> float:
        """The part of the replay that is done, 0 to 1: ``messages`` sent by this feed, up to ``recorded_ts``."""
        total = 0 if self._loop else self.recording.messages
        by_messages = (self._sent_before + messages) / total if total else 0.0
        by_time = (recorded_ts - self.first_ts) / self._duration_ns if self._duration_ns and recorded_ts else 0.0
        return min(max(by_messages, by_time), 1.0)

    def _stop_ts(self) -> int:
        """Recorded time from which on nothing is sent any more."""
        return self.first_ts + self._duration_ns if self.first_ts and self._duration_ns else MAX_VALUE

    def _pass(self) -> Iterator[Ticks]:
        """The recording once, its times shifted by the passes before."""
        reader = TickReader(self.recording, self.instrument, CHUNK_BYTES, self.counters)
        for batch in reader.sequenced():
            if self._shift:
                batch["local_ts"] += self._shift
                batch["exch_ts"] += self._shift
            yield batch

    def _resumption(self, book: BookRebuild) -> Ticks:
        ts, self.resume_ts = self.resume_ts, 0
        self._previous_ts = ts
        stale = stale_tick(ts, self.instrument.id, self.instrument.version)
        snapshot = book.snapshot(ts)
        return stale if snapshot is None else np.concatenate([stale, snapshot])
