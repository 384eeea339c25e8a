"""The recorder process: events into the embedded store, each exactly once, and ticks into Parquet files.

Events come from the core's socket and, where that does not bring them, from its journal (``oms.store.follower``). Ticks
come at full speed and are written by a thread of their own (``oms.store.tick_store``), so that no order waits for them.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import zmq

from oms.bus import Subscriber
from oms.config import Settings
from oms.lifecycle import Lifecycle
from oms.records import RecordKind
from oms.store.event_store import EventStore
from oms.store.tick_store import TickStore

TICK_FRAMES: Final = 256
"""Taken in one round: few, so that events never wait long."""
FULL_WAIT_S: Final = 0.005
"""While ticks wait in their socket for the thread to catch up."""
QUIET_S: Final = 0.1
"""At the end the sockets count as empty when nothing has come for so long."""
DRAIN_S: Final = 1.5
LAST_TRIES_S: Final = 1.5


class Recorder:
    """The process's sockets and stores; ``step`` is one round of its loop."""

    def __init__(self, settings: Settings, context: zmq.Context[Any]) -> None:
        self._event_frames = Subscriber(context, [settings.events_endpoint], [RecordKind.EVENT])
        self._events = EventStore(settings)
        self._events_only = zmq.Poller()
        self._events_only.register(self._event_frames.socket, zmq.POLLIN)
        self._everything = self._events_only
        self._tick_frames: Subscriber | None = None
        self._ticks: TickStore | None = None
        if settings.record_ticks:
            self._ticks = TickStore(settings.store_dir, settings.instruments)
            self._tick_frames = Subscriber(context, settings.ticks_endpoints, [RecordKind.TICK])
            self._everything = zmq.Poller()
            self._everything.register(self._event_frames.socket, zmq.POLLIN)
            self._everything.register(self._tick_frames.socket, zmq.POLLIN)

    @property
    def complete(self) -> bool:
        """Whether everything that the journal had at the start, and that came since, is stored."""
        return self._events.complete

    def step(self, timeout_s: float) -> bool:
        """Wait for something to happen, at most ``timeout_s``, and act on it; returns whether anything was there.

        Raises
        ------
        StoreError
            When the database turns out to be damaged at the start.
        """
        full = self._ticks is not None and self._ticks.full
        timeout_s = min(timeout_s, self._events.wait_s, FULL_WAIT_S if full else timeout_s)
        poller = self._events_only if full else self._everything
        came = bool(poller.poll(int(timeout_s * 1000)))
        for frame in self._event_frames.drain(self._events.room):
            self._events.take(frame)
        self._events.work()
        self._take_ticks()
        return came or full

    def _take_ticks(self) -> None:
        if self._ticks is None or self._tick_frames is None:
            return
        for _ in range(TICK_FRAMES):
            frame = None if self._ticks.full else self._tick_frames.receive()
            if frame is None:
                break
            self._ticks.add(frame.header, frame.records)
        self._ticks.pump()
        self._events.note(self._ticks.notes)

    def finish(self) -> bool:
        """Store what is still in the sockets and in the journal; returns whether the database took everything."""
        deadline = time.monotonic() + DRAIN_S
        while self.step(QUIET_S) and time.monotonic() < deadline:
            pass
        if self._ticks is not None:
            self._ticks.begin_finish()
        self._events.read_journal()
        deadline = time.monotonic() + LAST_TRIES_S
        self._events.work(store_now=True)
        while not self._events.complete and time.monotonic() < deadline:
            self._events_only.poll(int(self._events.wait_s * 1000))
            self._events.work(store_now=True)
        if self._ticks is not None:
            self._ticks.finish()
            self._events.note(self._ticks.notes)
            self._events.work(store_now=True)
        return self._events.complete

    def counters(self) -> dict[str, float]:
        """Figures for the heartbeat."""
        counters = self._events.counters()
        counters["malformed"] += self._event_frames.malformed
        if self._ticks is not None and self._tick_frames is not None:
            counters["malformed"] += self._tick_frames.malformed
            counters |= self._ticks.counters()
        return counters

    @property
    def last_error(self) -> str:
        """What the database said last."""
        return self._events.last_error

    def close(self) -> None:
        self._event_frames.close()
        if self._tick_frames is not None:
            self._tick_frames.close()
        self._events.close()


def run(settings: Settings, life: Lifecycle, context: zmq.Context[Any]) -> int:
    """Record until told to stop; then store everything that is there.

    Returns
    -------
    int
        0, or 1 when the database did not take everything at the end; the rest is in the journal, and stored by the
        next recorder.

    Raises
    ------
    StoreError
        When the database is damaged at the start.
    """
    recorder = Recorder(settings, context)
    try:
        state = "starting"
        while not life.stopping:
            recorder.step(settings.heartbeat_s / 2)
            state = "ready" if state == "ready" or recorder.complete else "starting"
            life.beat(recorder.counters(), state)
        stored = recorder.finish()
        life.beat(recorder.counters(), "stopping")
    finally:
        recorder.close()
    if not stored:
        print(  # noqa: T201
            f"recorder: not everything is stored, the next recorder takes the rest from the journal:"
            f" {recorder.last_error}",
            file=sys.stderr,
        )
    return 0 if stored else 1
