"""Recording ticks at full speed: frames are gathered, and a thread of its own writes them to Parquet files.

Ticks are gathered into segments, stretches of one gateway session's stream. A segment becomes one file for each of its
instruments when it is large enough or old enough, and at the end; until then a spool keeps it for the next recorder,
should this one be killed. Nothing here makes the recording of orders wait.
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
        self._open: Segment | None = None
        self._spooling = True
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

    def take(self, chunk: Chunk) -> None:
        """Add a chunk to its segment, and write what is due."""
        if self._open is not None and self._open.session != chunk.session:
            self._close_segment()
        if self._open is None:
            spool = Spool.create(self._store_dir, chunk.session, chunk.first_seq)
            self._open = Segment(chunk.session, chunk.first_seq, spool)
            self._spooling = True
        self._open.add(chunk)
        if self._spooling:
            try:
                self._open.spool.add(chunk)
            except OSError as error:
                self._failed(f"ticks cannot be written to {self._open.spool.path}", error)
                self._spooling = False
        self.write_due()

    def write_due(self) -> None:
        """Write the segments that are large or old enough; after an error not before it is time to try again."""
        if self._open is not None and self._open.due:
            self._close_segment()
        while self._closed and time.monotonic() >= self._retry_at and self._write(self._closed[0]):
            self._closed.popleft().spool.remove()
        while sum(segment.ticks for segment in self._closed) > UNWRITTEN_TICKS:
            self.ticks_given_up += self._closed.popleft().ticks

    def finish(self) -> None:
        """Write everything now; what cannot be written is given up, and counted."""
        self._close_segment()
        self._retry_at = 0.0
        self.write_due()
        while self._closed:
            self.ticks_given_up += self._closed.popleft().ticks

    def _close_segment(self) -> None:
        if self._open is not None:
            self._closed.append(self._open)
            self._open = None

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
        self._parts: list[Any] = []
        self._count = 0
        self._first_seq = 0
        self._next_seq = 0
        self._session = 0
        self._hand_over_at = 0.0
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
        if header.session != self._session:
            self._hand_over()
            self._next_seq = self._recorded_until(header.session) if self._session == 0 and header.seq > 0 else 0
            self._session = header.session
        again = min(max(self._next_seq - header.seq, 0), len(records))
        if again:
            self.repeated += again
            records = records[again:]
        if not len(records):
            return
        first_seq = header.seq + again
        if first_seq > self._next_seq:
            self._hand_over()
            missing = first_seq - self._next_seq
            self.lost += missing
            self._note("ticks_lost", f"{missing} ticks from {self._next_seq} on of gateway session {header.session}")
        if not self._parts:
            self._first_seq = first_seq
            self._hand_over_at = time.monotonic() + CHUNK_SECONDS
        self._parts.append(records)
        self._count += len(records)
        self._next_seq = first_seq + len(records)
        self.ticks += len(records)
        if self._count >= CHUNK_TICKS:
            self._hand_over()

    def pump(self) -> None:
        """Hand over what has waited long enough, and see what the thread has done; call it every round."""
        now = time.monotonic()
        if self._parts and now >= self._hand_over_at:
            self._hand_over()
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
        self._hand_over()
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

    def _hand_over(self) -> None:
        if self._parts:
            chunk = Chunk(self._session, self._first_seq, np.frombuffer(b"".join(self._parts), TICK))
            self._submit(self._count, self._writer.take, chunk)
            self._parts = []
            self._count = 0

    def _recorded_until(self, session: int) -> int:
        """How far a stream that is joined in the middle was recorded by the recorder before this one."""
        self._recovered.exception()
        return stored_until(self._store_dir, session)

    def _submit(self, ticks: int, work: Callable[..., None], *arguments: Chunk) -> None:
        self._queue.append((ticks, self._thread.submit(work, *arguments)))

    def _see(self, ticks: int, done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            self._failed += ticks
            self._note("tick_writer_failed", f"{type(error).__name__}: {error}")

    def _note(self, kind: str, text: str, times: int = 1) -> None:
        self.notes.append((kind, text, times))
