"""Recording ticks at full speed: frames are gathered, and a thread of its own writes them to Parquet files.

Ticks are gathered into segments, stretches of one gateway session's stream; those of several gateways lie side by side.
A segment becomes one file for each of its instruments when it is large enough or old enough, and at the end; until then
a spool keeps it for the next recorder, should this one be killed. Nothing here makes the recording of orders wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from oms.bus import Header
from oms.config import qualified_symbol
from oms.instruments import Instrument
from oms.records import TICK
from oms.store.spool import Chunk, Spool, read_spool, spool_files
from oms.store.tick_files import (
    NEXT_SEQ,
    SUFFIX,
    discard_tick_file,
    instrument_folder,
    partial_files,
    publish_tick_files,
    stored_until,
    write_tick_file,
)

Ticks = npt.NDArray[np.void]

CHUNK_TICKS: Final = 32_768
"""Frames are joined and handed to the thread in chunks of at least so many ticks, 2 MiB."""
CHUNK_SECONDS: Final = 0.25
"""... or when the oldest has waited so long."""
QUEUED_CHUNKS: Final = 16
"""With so many chunks before the thread no more ticks are taken: the gateway feels the back-pressure."""
SEGMENT_TICKS: Final = 1 << 20
SEGMENT_SECONDS: Final = 300.0
UNWRITTEN_TICKS: Final = 4 << 20
"""Ticks kept while files cannot be written (256 MiB); beyond it the oldest segments are given up, and counted."""
RETRY_SECONDS: Final = 1.0


class Segment:
    """Ticks of one gateway session that will be files together."""

    def __init__(self, session: int, first_seq: int, spool: Spool) -> None:
        self.session = session
        self.first_seq = first_seq
        self.next_seq = first_seq
        self.spool = spool
        self.is_spooled = True
        """Whether the spool has all of it: not after an error."""
        self.ticks = 0
        self.started = time.monotonic()
        self.blocks: list[Ticks] = []

    def add(self, chunk: Chunk) -> None:
        self.blocks.append(chunk.ticks)
        self.ticks += len(chunk.ticks)
        self.next_seq = chunk.next_seq

    @property
    def due(self) -> bool:
        return self.ticks >= SEGMENT_TICKS or time.monotonic() - self.started >= SEGMENT_SECONDS

    def by_instrument(self) -> dict[int, list[Ticks]]:
        """Each instrument's ticks, in the order of their arrival."""
        parts: dict[int, list[Ticks]] = {}
        for block in self.blocks:
            ids = block["instrument"]
            if (ids == ids[0]).all():
                parts.setdefault(int(ids[0]), []).append(block)
            else:
                for instrument in np.unique(ids).tolist():
                    parts.setdefault(instrument, []).append(block[ids == instrument])
        return parts


class TickWriter:
    """The thread's part: owns the segments and writes the files. Counters are read by others, written only here.

    Attributes
    ----------
    ticks_stored, files : int
        Ticks in complete files, and those files.
    write_errors : int
        Attempts to write a file that failed.
    ticks_given_up : int
        Ticks of segments that were dropped because files could not be written for too long.
    last_error : str
    """

    def __init__(self, store_dir: Path, instruments: Sequence[Instrument]) -> None:
        self._store_dir = store_dir
        self._instruments = {instrument.id: instrument for instrument in instruments}
        self._open: dict[int, Segment] = {}
        """By source."""
        self._closed: deque[Segment] = deque()
        self._retry_at = 0.0
        self.ticks_stored = 0
        self.files = 0
        self.write_errors = 0
        self.ticks_given_up = 0
        self.last_error = ""

    def recover(self) -> None:
        """Write the files of the ticks that a recorder which was killed has left."""
        for path in partial_files(self._store_dir):
            discard_tick_file(path)
        for path in spool_files(self._store_dir):
            spool = Spool(path)
            segment: Segment | None = None
            try:
                for chunk in read_spool(path):
                    segment = segment or Segment(chunk.session, chunk.first_seq, spool)
                    segment.add(chunk)
            except OSError as error:
                self._failed(f"spool {path} cannot be read", error)
                continue
            if segment is None:
                spool.remove()
            else:
                self._closed.append(segment)
                self.write_due()

    def take(self, source: int, chunk: Chunk) -> None:
        """Add a chunk of a source to its segment, and write what is due."""
        segment = self._open.get(source)
        if segment is None or segment.session != chunk.session:
            self._close_segment(source)
            spool = Spool.create(self._store_dir, chunk.session, chunk.first_seq)
            segment = self._open[source] = Segment(chunk.session, chunk.first_seq, spool)
        segment.add(chunk)
        if segment.is_spooled:
            try:
                segment.spool.add(chunk)
            except OSError as error:
                self._failed(f"ticks cannot be written to {segment.spool.path}", error)
                segment.is_spooled = False
        self.write_due()

    def write_due(self) -> None:
        """Write the segments that are large or old enough; after an error not before it is time to try again."""
        for source in [source for source, segment in self._open.items() if segment.due]:
            self._close_segment(source)
        while self._closed and time.monotonic() >= self._retry_at and self._write(self._closed[0]):
            self._closed.popleft().spool.remove()
        while sum(segment.ticks for segment in self._closed) > UNWRITTEN_TICKS:
            self.ticks_given_up += self._closed.popleft().ticks

    def finish(self) -> None:
        """Write everything now; what cannot be written is given up, and counted."""
        for source in list(self._open):
            self._close_segment(source)
        self._retry_at = 0.0
        self.write_due()
        while self._closed:
            self.ticks_given_up += self._closed.popleft().ticks

    def _close_segment(self, source: int) -> None:
        if source in self._open:
            self._closed.append(self._open.pop(source))

    def _write(self, segment: Segment) -> bool:
        paths: list[Path] = []
        try:
            for number, blocks in segment.by_instrument().items():
                folder = instrument_folder(self._store_dir, segment.session, number, self._instruments)
                path = folder / f"{segment.first_seq:020d}{SUFFIX}"
                paths.append(path)
                write_tick_file(path, blocks, self._facts(segment, number, blocks))
            publish_tick_files(paths)
        except OSError as error:
            self._failed(f"ticks cannot be written to {paths[-1]}", error)
            self._retry_at = time.monotonic() + RETRY_SECONDS
            for path in paths:
                discard_tick_file(path)
            return False
        self.ticks_stored += segment.ticks
        self.files += len(paths)
        return True

    def _failed(self, what: str, error: OSError) -> None:
        self.write_errors += 1
        self.last_error = f"{what}: {error.strerror or error}; check the disk"

    def _facts(self, segment: Segment, number: int, blocks: list[Ticks]) -> dict[str, str | int]:
        facts: dict[str, str | int] = {
            "session": segment.session,
            "first_seq": segment.first_seq,
            NEXT_SEQ: segment.next_seq,
            "instrument": number,
            "first_ts": int(blocks[0]["local_ts"][0]),
            "last_ts": int(blocks[-1]["local_ts"][-1]),
        }
        known = self._instruments.get(number)
        if known is not None:
            facts |= {"symbol": qualified_symbol(known), "tick": known.tick, "lot": known.lot}
        return facts


class _Stream:
    """What of one gateway's ticks has not been handed to the thread, and where they stand."""

    def __init__(self, source: int) -> None:
        self.source = source
        self.session = 0
        self.next_seq = 0
        self.first_seq = 0
        self.parts: list[Any] = []
        self.count = 0
        self.hand_over_at = 0.0


class TickStore:
    """Takes frames of ticks from the recorder's loop, and never makes it wait.

    Parameters
    ----------
    store_dir : Path
        ``Settings.store_dir``; the ticks lie in ``ticks`` below it.
    instruments : sequence of Instrument
        For folder names and the files' metadata.

    Attributes
    ----------
    ticks, lost, repeated : int
        Ticks taken, ticks missing in the stream, and ticks that came a second time and were left out.
    notes : list of (kind, text, times)
        What happened that should be known, for the store's notes; the recorder takes them from here.
    """

    def __init__(self, store_dir: Path, instruments: Sequence[Instrument]) -> None:
        self._store_dir = store_dir
        self._writer = TickWriter(store_dir, instruments)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ticks")
        self._queue: deque[tuple[int, Future[None]]] = deque()
        self._streams: dict[int, _Stream] = {}
        """By source."""
        self._sweep_at = 0.0
        self._failed = 0
        self._errors_noted = 0
        self.ticks = 0
        self.lost = 0
        self.repeated = 0
        self.notes: list[tuple[str, str, int]] = []
        self._submit(0, self._writer.recover)
        self._recovered = self._queue[0][1]

    @property
    def full(self) -> bool:
        """Whether ticks should wait in the socket until the thread has caught up."""
        return len(self._queue) >= QUEUED_CHUNKS

    def add(self, header: Header, records: Ticks) -> None:
        """Take one frame's ticks."""
        stream = self._streams.get(header.source)
        if stream is None:
            stream = self._streams[header.source] = _Stream(header.source)
        if header.session != stream.session:
            self._hand_over(stream)
            stream.next_seq = self._recorded_until(header.session) if stream.session == 0 and header.seq > 0 else 0
            stream.session = header.session
        again = min(max(stream.next_seq - header.seq, 0), len(records))
        if again:
            self.repeated += again
            records = records[again:]
        if not len(records):
            return
        first_seq = header.seq + again
        if first_seq > stream.next_seq:
            self._hand_over(stream)
            missing = first_seq - stream.next_seq
            self.lost += missing
            self._note("ticks_lost", f"{missing} ticks from {stream.next_seq} on of gateway session {header.session}")
        if not stream.parts:
            stream.first_seq = first_seq
            stream.hand_over_at = time.monotonic() + CHUNK_SECONDS
        stream.parts.append(records)
        stream.count += len(records)
        stream.next_seq = first_seq + len(records)
        self.ticks += len(records)
        if stream.count >= CHUNK_TICKS:
            self._hand_over(stream)

    def pump(self) -> None:
        """Hand over what has waited long enough, and see what the thread has done; call it every round."""
        now = time.monotonic()
        for stream in self._streams.values():
            if stream.parts and now >= stream.hand_over_at:
                self._hand_over(stream)
        if now >= self._sweep_at:
            self._sweep_at = now + RETRY_SECONDS
            self._submit(0, self._writer.write_due)
        self._see_all()

    def _see_all(self) -> None:
        while self._queue and self._queue[0][1].done():
            self._see(*self._queue.popleft())
        new_errors = self._writer.write_errors - self._errors_noted
        if new_errors:
            self._errors_noted += new_errors
            self._note("tick_write_error", self._writer.last_error, new_errors)

    def begin_finish(self) -> None:
        """Let the thread write all that was taken; take nothing after it."""
        for stream in self._streams.values():
            self._hand_over(stream)
        self._submit(0, self._writer.finish)

    def finish(self) -> None:
        """Wait until the thread has written all that was taken, and end it."""
        self._thread.shutdown(wait=True)
        self._see_all()

    def counters(self) -> dict[str, float]:
        """Figures for the heartbeat."""
        return {
            "ticks": self.ticks,
            "ticks_lost": self.lost,
            "ticks_stored": self._writer.ticks_stored,
            "ticks_unwritten": self._writer.ticks_given_up + self._failed,
            "tick_write_errors": self._writer.write_errors,
            "tick_queue": len(self._queue),
            "parquet_files": self._writer.files,
        }

    def _hand_over(self, stream: _Stream) -> None:
        if stream.parts:
            chunk = Chunk(stream.session, stream.first_seq, np.frombuffer(b"".join(stream.parts), TICK))
            self._submit(stream.count, self._writer.take, stream.source, chunk)
            stream.parts = []
            stream.count = 0

    def _recorded_until(self, session: int) -> int:
        """How far a stream that is joined in the middle was recorded by the recorder before this one."""
        self._recovered.exception()
        return stored_until(self._store_dir, session)

    def _submit(self, ticks: int, work: Callable[..., None], *arguments: int | Chunk) -> None:
        self._queue.append((ticks, self._thread.submit(work, *arguments)))

    def _see(self, ticks: int, done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            self._failed += ticks
            self._note("tick_writer_failed", f"{type(error).__name__}: {error}")

    def _note(self, kind: str, text: str, times: int = 1) -> None:
        self.notes.append((kind, text, times))
