"""The gateway process of a replay: a recorded stream on the bus in recorded time.

Everything that is due is sent at once, in frames of at most ``MAX_FRAME_RECORDS``, and a venue's message stays in one
frame where it fits. A subscriber that joins in the middle (a restarted core) gets the book of that moment as a
SNAPSHOT. A gateway that was killed goes on where it stood: with STALE, the book as a SNAPSHOT, and the ticks behind it.
So it does when the core has put another version of the instrument in force: all of that in the new version.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import zmq

from gateways.decoder import Ticks
from gateways.feed import Feed
from gateways.in_force import InForce
from gateways.progress import ProgressFile
from gateways.recording import NS_PER_S, ReadCounters
from gateways.sidecar import open_recording
from oms.bus import Publisher, new_context
from oms.compiled import Progress, compile_entries
from oms.config import SESSION_FILE, ReplaySettings, Settings
from oms.instruments import Instrument
from oms.lifecycle import Lifecycle
from oms.records import RecordKind, Source, TickFlag, TickKind

MAX_FRAME_RECORDS: Final = 256
MAX_SLEEP_S: Final = 0.05
"""Longest time without a look at the clock, the subscribers and the stop flag."""

HEARTBEATS_WAITED: Final = 4
"""How long the first tick waits for the core to say which version is in force; then it is the settings' one."""

DELIVERY_MS: Final = 30_000
"""How long a standalone replay waits for its subscribers to take what is still queued."""

Attend = Callable[[dict[str, float], str], bool]
"""Called with counters and state (``ready`` or ``done``) at least every ``MAX_SLEEP_S``; False ends the replay."""


def parse_speed(text: str) -> float | None:
    """A replay speed as a factor of recorded time; None for ``max``.

    Raises
    ------
    ConfigError
        For anything that is not a factor above zero or ``max``.
    """
    speed = ReplaySettings(file="", speed=text).speed
    return None if speed == "max" else float(speed)


class RecordedClock:
    """Recorded time as it passes: from ``start_ts`` on, ``speed`` times as fast as the wall."""

    def __init__(self, start_ts: int, speed: float) -> None:
        self._start_ts = start_ts
        self._started_ns = time.monotonic_ns()
        self._speed = speed

    def now(self) -> int:
        return self._start_ts + int((time.monotonic_ns() - self._started_ns) * self._speed)

    def sleep_until(self, ts: int) -> None:
        """Sleep until ``ts`` is due, but never longer than ``MAX_SLEEP_S``."""
        time.sleep(max(0.0, min((ts - self.now()) / self._speed / NS_PER_S, MAX_SLEEP_S)))


class Replay:
    """Publishes one feed on one socket.

    Parameters
    ----------
    feed : Feed
    publisher : Publisher
        Of TICK frames; its subscribers are already there.
    speed : float or None
        A factor of recorded time; None: as fast as the subscribers take it.
    attend : callable
        See ``Attend``.
    progress : ProgressFile or None
        Where the position is kept for a gateway that follows this one.
    in_force : callable
        Gives the instrument's definition in force; when that changes, the feed goes on in it.

    Attributes
    ----------
    ticks, messages : int
        Records sent; venue messages they came from.
    recorded_ts : int
        Recorded time of the last record sent, ns.
    """

    def __init__(
        self,
        feed: Feed,
        publisher: Publisher,
        speed: float | None,
        attend: Attend,
        progress: ProgressFile | None = None,
        in_force: Callable[[], Instrument] | None = None,
    ) -> None:
        self.feed = feed
        self.ticks = 0
        self.messages = 0
        self.recorded_ts = 0
        self._publisher = publisher
        self._speed = speed
        self._attend = attend
        self._progress = progress
        self._in_force = in_force or (lambda: feed.instrument)
        self._messages_before = 0  # sent before the feed went on in another version
        self._clock: RecordedClock | None = None
        self._subscribers = publisher.poll_subscribers()
        publisher.socket.setsockopt(zmq.SNDTIMEO, int(MAX_SLEEP_S * 1000))

    def run(self) -> bool:
        """Send the whole feed; False when ``attend`` ended it before."""
        while True:
            is_complete = all(self._publish(batch) for batch in self.feed.batches())
            if not self._is_changed:
                return is_complete
            self._change_version()

    def linger(self) -> None:
        """Stay for subscribers that join after the end, until ``attend`` says so."""
        while self._attend(self.counters(done=True), "done"):
            if self._is_changed:
                self._change_version()
                self.run()
            self._welcome(int(MAX_SLEEP_S * 1000))

    @property
    def _is_changed(self) -> bool:
        """Whether another version is in force than the feed is counted in."""
        return self._in_force() is not self.feed.instrument

    def _change_version(self) -> None:
        self.feed.go_on(self._in_force(), self.recorded_ts)
        self._messages_before = self.messages

    def counters(self, *, done: bool = False) -> dict[str, float]:
        """The gateway's heartbeat counters; ``progress`` is the part of the replay that has been sent, 0 to 1."""
        read = self.feed.counters
        return {
            "messages": float(self.messages),
            "ticks": float(self.ticks),
            "refused": float(read.refused.total()),
            "ignored": float(read.ignored),
            "slow": float(read.slow),
            "damaged": float(bool(read.damage)),
            "progress": 1.0 if done else self.feed.progress(self.recorded_ts, self.messages - self._messages_before),
            "recorded_ts": float(self.recorded_ts),
        }

    def _publish(self, batch: Ticks) -> bool:
        """Send a batch as its records come due; False when ``attend`` ended it, or the feed has to go on in another
        version: between two ticks of different times, so that none is left out."""
        ts = batch["local_ts"].copy()
        ends = np.flatnonzero(batch["flags"] & TickFlag.LAST) + 1
        venue_messages = np.cumsum((batch["flags"] & TickFlag.LAST != 0) & (batch["kind"] < TickKind.TIME))
        if self._speed is not None and self._clock is None:
            self._clock = RecordedClock(int(ts[0]), self._speed)
        start = 0
        while start < len(batch):
            if not self._attend(self.counters(), "ready"):
                return False
            self._welcome(0)
            if int(ts[start]) > self.recorded_ts and self._is_changed:
                return False
            due = len(batch)
            if self._clock is not None:
                due = int(np.searchsorted(ts, self._clock.now(), "right"))
                if due <= start:
                    self._clock.sleep_until(int(ts[start]))
                    continue
            while start < due:
                stop = frame_end(ends, start, due)
                if not self._send(batch[start:stop]):
                    return False
                self.messages += int(venue_messages[stop - 1]) - (int(venue_messages[start - 1]) if start else 0)
                start = stop
        return True

    def _send(self, records: Ticks) -> bool:
        """Send one frame, however long the subscribers take; False when ``attend`` ended the wait."""
        self.recorded_ts = int(records["local_ts"][-1])
        if self._progress is not None:
            self._progress.position = self.recorded_ts
        while True:
            try:
                self._publisher.send(records)
            except zmq.Again:
                if not self._attend(self.counters(), "ready"):
                    return False
                continue
            self.ticks += len(records)
            return True

    def _welcome(self, timeout_ms: int) -> None:
        """Send the book to a subscriber that has joined since the last look."""
        known, self._subscribers = self._subscribers, self._publisher.poll_subscribers(timeout_ms)
        if self._subscribers <= known or not self.recorded_ts:
            return
        book = self.feed.book_at(self.recorded_ts)
        if book is None:
            return
        for start in range(0, len(book), MAX_FRAME_RECORDS):
            if not self._send(book[start : start + MAX_FRAME_RECORDS]):
                return


class Counted(Protocol):
    """What has counters of what it has read: a feed, a live market."""

    @property
    def counters(self) -> ReadCounters:
        """Those of the version that it is in."""


class RefusalLog:
    """Writes what a feed refuses to stderr: the first line of each reason as it comes, how many there were at the end.

    A feed that goes on in another version is told of anew.
    """

    def __init__(self, feed: Counted) -> None:
        self._feed = feed
        self._counters = feed.counters
        self._told = 0

    def look(self) -> None:
        """Write what has not been written yet."""
        counters = self._feed.counters
        if counters is not self._counters:
            self.close()
            self._counters, self._told = counters, 0
        if len(counters.problems) == self._told:
            return
        for reason, text in islice(counters.problems.items(), self._told, None):
            sys.stderr.write(f"refused as {reason.name}, as will be others like it: {text}\n")
        sys.stderr.flush()
        self._told = len(counters.problems)

    def close(self) -> None:
        """Write how many lines were refused."""
        sys.stderr.writelines(problem + "\n" for problem in self._counters.summary())


def frame_end(ends: Any, start: int, due: int) -> int:
    """Where the frame that begins at ``start`` ends: behind the last whole message that fits and is due.

    Parameters
    ----------
    ends : array of int
        Positions behind the last record of each message.
    start, due : int
        First record of the frame; position behind the last record that is due.
    """
    limit = min(start + MAX_FRAME_RECORDS, due)
    whole = int(np.searchsorted(ends, limit, "right"))
    end = int(ends[whole - 1]) if whole else 0
    return end if end > start else limit


def run(settings: Settings, life: Lifecycle, context: zmq.Context[Any]) -> int:
    """The gateway process; see ``oms.process``.

    Raises
    ------
    RecordingError, ConfigError, BusError
        When the recording, its instrument or the endpoint cannot be used.
    """
    feed = _feed(settings)
    if feed.recording.note:
        sys.stderr.write(feed.recording.note + "\n")
    publisher = Publisher(context, settings.ticks_endpoint, RecordKind.TICK, Source.GATEWAY, lossless=True)

    in_force = InForce(settings, context, feed.instrument)

    def on_progress(progress: Progress) -> None:
        life.beat({"compiled": progress.done, "to_compile": progress.total}, "compiling")

    compile_entries(on_progress)
    expected = 2 if settings.record_ticks else 1
    while publisher.poll_subscribers(timeout_ms=int(MAX_SLEEP_S * 1000)) < expected:
        if life.stopping:
            publisher.close()
            in_force.close()
            return 0
        life.beat({"subscribers": publisher.subscribers}, "ready")
    gc.collect()
    gc.freeze()  # what the compiler left need not be looked at again in the middle of a replay
    progress = ProgressFile(settings.run_dir, settings.run_dir / SESSION_FILE)

    refusals = RefusalLog(feed)

    def attend(counters: dict[str, float], state: str) -> bool:
        life.beat(counters, state)
        refusals.look()
        return not life.stopping

    told = in_force.wait(HEARTBEATS_WAITED * settings.heartbeat_s, lambda: attend({}, "ready"))
    feed.go_on(told, progress.position)
    replay = Replay(feed, publisher, parse_speed(settings.replay.speed), attend, progress, in_force.look)
    if replay.run():
        replay.linger()
    refusals.look()
    refusals.close()
    life.beat(replay.counters(), "stopping")
    progress.close()
    publisher.close()
    in_force.close()
    return 0


class ReplaySummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a standalone replay did."""

    messages: int
    ticks: int
    refused: int
    recorded_s: float
    """Recorded time from the first tick to the last."""
    elapsed_s: float
    complete: bool
    """False when it was ended before the recording was."""
    problems: list[str]
    """What was wrong with the recording, a line each."""


def replay_standalone(
    settings: Settings,
    endpoint: str,
    *,
    subscribers: int = 1,
    report: Attend = lambda counters, state: True,
) -> ReplaySummary:
    """Publish the recording of ``settings.replay`` on ``endpoint`` to whoever subscribes, outside any session.

    Parameters
    ----------
    settings
        Its ``replay`` and ``instruments`` are used.
    endpoint
        Where to bind, such as ``tcp://127.0.0.1:5571``.
    subscribers
        How many to wait for before the first tick.
    report
        As ``Attend``, with the state ``waiting`` until the subscribers are there.

    Raises
    ------
    RecordingError, ConfigError, BusError
        When the recording, its instrument or the endpoint cannot be used.
    """
    feed = _feed(settings)
    compile_entries()
    context = new_context()
    try:
        publisher = Publisher(context, endpoint, RecordKind.TICK, Source.GATEWAY, lossless=True)
        while publisher.poll_subscribers(timeout_ms=int(MAX_SLEEP_S * 1000)) < subscribers:
            if not report({"subscribers": publisher.subscribers}, "waiting"):
                break
        replay = Replay(feed, publisher, parse_speed(settings.replay.speed), report)
        started = time.monotonic()
        complete = replay.run()
        report(replay.counters(done=complete), "done")
        publisher.socket.setsockopt(zmq.LINGER, DELIVERY_MS)
        publisher.close()
        context.term()
    finally:
        context.destroy(linger=0)
    return ReplaySummary(
        messages=replay.messages,
        ticks=replay.ticks,
        refused=feed.counters.refused.total(),
        recorded_s=max(replay.recorded_ts - feed.first_ts, 0) / NS_PER_S,
        elapsed_s=time.monotonic() - started,
        complete=complete,
        problems=[feed.recording.note] * bool(feed.recording.note) + feed.counters.summary(),
    )


def _feed(settings: Settings) -> Feed:
    """The feed that the settings name."""
    recording = open_recording(Path(settings.replay.file))
    return Feed(
        recording,
        settings.instrument(f"{recording.symbol}.{recording.venue}"),
        duration_s=settings.replay.duration_s,
        loop=settings.replay.loop,
    )
