"""Recorded streams as TICK records: a whole file as one array, or batch by batch.

A recording is a file of lines ``TIMESTAMP MESSAGE`` (see ``docs/recordings.md``). A line that gives no records is
counted under its reason, and the rest goes on.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from gateways.binance import MessageDecoder, VenueError
from gateways.decoder import Decoded, Ticks, refused
from gateways.layouts import Stop
from gateways.lines import CHUNK_BYTES, LineReader, RecordingError
from gateways.scanner import scan_lines
from gateways.sequencer import SnapshotSequencer
from gateways.sidecar import LINE, Recording, open_recording
from gateways.wire.decoder import wire_of
from oms.instruments import MAX_VALUE, Instrument
from oms.records import TICK, Reason, TickFlag, TickKind

NS_PER_S: Final = 1_000_000_000
QUIET_NS: Final = 100_000_000
"""In a recorded silence longer than this, a TIME record is made each time it has passed."""

_END: Final = int(Stop.END)
_UNRECOGNISED: Final = int(Stop.UNRECOGNISED)

MAX_SILENCE_NS: Final = 86_400 * NS_PER_S
"""A line that is later than its predecessor by more than this has a broken timestamp."""


class RecordingWarning(UserWarning):
    """Some of a recording could not be used; the rest was."""


class ReadCounters(msgspec.Struct):
    """What became of a recording's lines."""

    messages: int = 0
    """Decoded into records."""
    ignored: int = 0
    """Sound messages that carry no market data of ours."""
    refused: Counter[Reason] = msgspec.field(default_factory=Counter)
    """Lines, and single levels of otherwise sound lines, refused by reason."""
    slow: int = 0
    """Lines that the compiled scanner did not recognise, refused ones included."""
    set_back: int = 0
    """Lines whose timestamp was before their predecessor's, and was set to that."""
    problems: dict[Reason, str] = msgspec.field(default_factory=dict)
    """The first refusal of each reason: file, line and what is wrong."""
    damage: str = ""
    """Why the end of the file could not be read; empty when it could."""

    def summary(self) -> list[str]:
        """What was wrong, a line each; empty when all was well."""
        lines = [
            f"{self.refused[reason]} refused as {reason.name}, the first: {text}"
            for reason, text in self.problems.items()
        ]
        return [*lines, f"{self.damage}; everything before the damage was read"] if self.damage else lines


class LineDecoder:
    """Decodes lines ``TIMESTAMP MESSAGE`` of one instrument, in order: of a file, or as they are received.

    Parameters
    ----------
    venue, instrument
        A venue of ``gateways.binance`` or of ``gateways.wire``.
    counters
        Where to count.
    origin
        What the lines are from, for the words of a refusal.
    clock_offset_ns
        Subtracted from each timestamp.
    max_silence_ns
        A line that is later than its predecessor by more has a broken timestamp.

    Raises
    ------
    VenueError
        For an unknown venue, or one that does not trade such an instrument.
    """

    def __init__(
        self,
        venue: str,
        instrument: Instrument,
        counters: ReadCounters,
        origin: str,
        *,
        clock_offset_ns: int = 0,
        max_silence_ns: int = MAX_VALUE,
    ) -> None:
        self.counters = counters
        wire = wire_of(venue)
        self._decoder = MessageDecoder(venue, instrument) if wire is None else wire.decoder(instrument)
        self._decoder.scanner["clock_offset"] = clock_offset_ns
        self._decoder.scanner["max_silence"] = max_silence_ns
        self._scanner = self._decoder.scanner[0]
        self._position = self._decoder.scanner["position"]
        self._results = self._decoder.scanner[["position", "messages", "set_back", "stop"]]
        self._out: Ticks = self._decoder.scanner["out"][0]
        self._origin = origin
        self._line_number = 1  # of the line at _counted_to in the chunk
        self._counted_to = 0

    def decode(self, chunk: bytes) -> list[Ticks]:
        """Return the ticks of whole lines, in parts that are each whole messages; the last line may lack its newline.
        The arrays may be read-only.

        Times never go back: a timestamp before its predecessor's is set to that.
        """
        counters = self.counters
        state, position = self._decoder.scanner, self._position
        parts: list[Ticks] = []
        position[0] = 0
        while True:
            count = scan_lines(chunk, state)
            start, messages, set_back, stop = self._results.item()
            counters.messages += messages
            counters.set_back += set_back
            if count:
                parts.append(np.frombuffer(self._out[:count].tobytes(), TICK))  # ten times as fast as a copy
            if stop == _END:
                break
            if stop == _UNRECOGNISED:
                end = chunk.find(b"\n", start)
                end = len(chunk) if end < 0 else end
                ticks = self._decode_line(chunk, start, end)
                position[0] = end + 1
                if ticks is not None:
                    parts.append(ticks)
        self._line_number += chunk.count(b"\n", self._counted_to)
        self._counted_to = 0
        return parts

    def _decode_line(self, chunk: bytes, start: int, end: int) -> Ticks | None:
        """Decode a line that the scanner did not recognise, or count why it cannot be decoded."""
        line = chunk[start:end].strip()
        if not line:
            return None
        counters = self.counters
        counters.slow += 1
        ticks, refusals = self._judge(line)
        counters.messages += len(ticks) > 0
        for refusal in refusals:
            if refusal.reason is Reason.NONE:
                counters.ignored += 1
                continue
            counters.refused[refusal.reason] += 1
            if refusal.reason not in counters.problems:
                self._line_number += chunk.count(b"\n", self._counted_to, start)
                self._counted_to = start
                counters.problems[refusal.reason] = f"{self._origin}:{self._line_number}: {refusal.text}"
        return ticks if len(ticks) else None

    def _judge(self, line: bytes) -> Decoded:
        match = LINE.fullmatch(line)
        if match is None:
            return refused(Reason.MALFORMED, f"{line[:60]!r} is not a 19-digit timestamp in ns, a space and a message")
        scanner = self._scanner
        last_ts = int(scanner["last_ts"])
        stamp = int(match[1]) - int(scanner["clock_offset"])
        if int(match[1]) > MAX_VALUE or (last_ts > 0 and stamp - last_ts > int(scanner["max_silence"])):
            return refused(Reason.MALFORMED, f"timestamp {match[1].decode()} is over a day after the line before it")
        local_ts = max(stamp, last_ts)
        decoded = self._decoder.decode_slowly(match[2], local_ts)
        if len(decoded.ticks):
            self.counters.set_back += stamp < last_ts
            scanner["last_ts"] = local_ts
        return decoded


class TickReader:
    """Decodes a recording once, from its first line.

    Parameters
    ----------
    recording
        What the file holds.
    instrument
        Its symbol must be the recording's; its id goes into the records.
    chunk_bytes
        Text that is decoded at a time: small for a paced replay, large for speed.
    counters
        Where to count; new ones when left out.

    Raises
    ------
    RecordingError
        When the recording is of another symbol, or of a venue that does not trade such an instrument.
    """

    def __init__(
        self,
        recording: Recording,
        instrument: Instrument,
        chunk_bytes: int = CHUNK_BYTES,
        counters: ReadCounters | None = None,
    ) -> None:
        if recording.symbol != instrument.symbol:
            raise RecordingError(
                f"recording {recording.path} is of {recording.symbol}, not of {instrument.symbol}: "
                f"choose the instrument {recording.symbol} or another recording"
            )
        self.counters = counters if counters is not None else ReadCounters()
        try:
            self._decoder = LineDecoder(
                recording.venue,
                instrument,
                self.counters,
                str(recording.path),
                clock_offset_ns=recording.clock_offset_ns,
                max_silence_ns=MAX_SILENCE_NS,
            )
        except VenueError as error:
            raise RecordingError(f"recording {recording.path}: {error}") from None
        self.recording = recording
        self._lines = LineReader(recording.path, chunk_bytes)

    def batches(self) -> Iterator[Ticks]:
        """Yield the recording's ticks in order, never an empty batch and never part of a message.

        Raises
        ------
        RecordingError
            When the file cannot be read, or not one line of it gives a record.
        """
        for chunk in self._lines.chunks():
            parts = self._decoder.decode(chunk)
            if parts:
                yield np.concatenate(parts)
        counters = self.counters
        counters.damage = self._lines.damage
        if counters.messages == 0:
            first = next(iter(counters.problems.values()), counters.damage or "it holds no market data")
            raise RecordingError(
                f"recording {self.recording.path} gives no {self.recording.venue} {self.recording.symbol} tick: {first}"
            )

    def sequenced(self) -> Iterator[Ticks]:
        """As ``batches``, with each snapshot in its place among the updates: see ``SnapshotSequencer``."""
        sequencer = SnapshotSequencer()
        for batch in self.batches():
            ticks = sequencer.take(batch)
            if len(ticks):
                yield ticks


def with_quiet_times(ticks: Ticks, previous_ts: int | None, instrument: int | None = None) -> Ticks:
    """Return ``ticks`` with a TIME record for each ``QUIET_NS`` of silence before and between them.

    The records depend on the recorded timestamps alone, so a replay at any speed and a backtest make the same.

    Parameters
    ----------
    ticks
        At least one, in order of ``local_ts``.
    previous_ts
        ``local_ts`` of the tick before these; None when these are the first.
    instrument
        Whose the TIME records are; None: the first tick's.
    """
    local_ts = ticks["local_ts"]
    before = np.empty(len(ticks), np.int64)
    before[0] = local_ts[0] if previous_ts is None else previous_ts
    before[1:] = local_ts[:-1]
    made = np.maximum(local_ts - before - 1, 0) // QUIET_NS
    total = int(made.sum())
    if total == 0:
        return ticks
    position = np.arange(len(ticks)) + np.cumsum(made)
    both = np.zeros(len(ticks) + total, TICK)
    both[position] = ticks
    is_time = np.ones(len(both), np.bool_)
    is_time[position] = False
    at = np.flatnonzero(is_time)
    following = np.repeat(np.arange(len(ticks)), made)
    number = made[following] - (position[following] - at) + 1
    times = time_ticks(
        before[following] + number * QUIET_NS, int(ticks["instrument"][0]) if instrument is None else instrument
    )
    both[at] = times
    return both


def time_ticks(ts: npt.NDArray[np.int64], instrument: int, kind: TickKind = TickKind.TIME) -> Ticks:
    """Records that carry nothing but a time: TIME, or STALE."""
    ticks = np.zeros(len(ts), TICK)
    ticks["exch_ts"] = ticks["local_ts"] = ts
    ticks["instrument"] = instrument
    ticks["kind"] = kind
    ticks["flags"] = TickFlag.FIRST | TickFlag.LAST
    return ticks


def read_ticks(
    recording: Recording, instrument: Instrument, *, duration_s: float = 0, quiet_times: bool = False
) -> tuple[Ticks, ReadCounters]:
    """Decode a recording into one array, each snapshot in its place among the updates.

    Parameters
    ----------
    recording
        What ``open_recording`` returns.
    instrument
        Gives the grid and the id.
    duration_s
        Stop after this much recorded time; 0: the whole file.
    quiet_times
        Whether to add the TIME records that a replay sends.

    Returns
    -------
    The ticks in order of ``local_ts``, and what became of the lines.

    Raises
    ------
    RecordingError
        When the file cannot be read or gives no tick.
    """
    reader = TickReader(recording, instrument, chunk_bytes=4 * CHUNK_BYTES)
    parts: list[Ticks] = []
    stop_ts = MAX_VALUE
    for batch in reader.sequenced():
        if not parts and duration_s:
            stop_ts = int(batch["local_ts"][0]) + int(duration_s * NS_PER_S)
        parts.append(batch[: np.searchsorted(batch["local_ts"], stop_ts)])
        if len(parts[-1]) < len(batch):
            break
    ticks = np.concatenate(parts)
    return (with_quiet_times(ticks, None) if quiet_times else ticks), reader.counters


def load_ticks(path: Path, instrument: Instrument, *, duration_s: float = 0, quiet_times: bool = False) -> Ticks:
    """Decode the recording at ``path`` into one array of ``TICK``: ``read_ticks`` for a file by its name.

    Warns with ``RecordingWarning`` about each kind of line that was refused, and about a damaged or undescribed file.

    Raises
    ------
    RecordingError
        As ``open_recording`` and ``read_ticks`` do.
    """
    recording = open_recording(path)
    ticks, counters = read_ticks(recording, instrument, duration_s=duration_s, quiet_times=quiet_times)
    for problem in [recording.note] * bool(recording.note) + counters.summary():
        warnings.warn(problem, RecordingWarning, stacklevel=2)
    return ticks
