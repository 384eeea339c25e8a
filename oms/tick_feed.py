"""The core's tick input: frames from the socket into the compiled step, without Python in between.

``serve`` is machine code that waits with libzmq's ``zmq_poll``, receives with ``zmq_recv``, checks the frame and its
sequence number, and calls the step, frame after frame, until the core has written something that must leave or another
socket has input. It does what ``zmq.Poller``, ``oms.bus.Subscriber`` and ``oms.engine.step_ticks`` do together, by the
same rules; where libzmq is not a shared library of its own, or there is no compiler, those three do it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
import zmq

from oms import engine
from oms.bus import Records, Subscriber
from oms.compiled import JIT, array_of, call_step, call_zmq_poll, call_zmq_recv, entry, entry_address, kernel
from oms.core.state import STATE, Record, State
from oms.records import FRAME, TICK, WIRE_VERSION, RecordKind

MAX_FRAME_RECORDS: Final = 65_536
MAX_SOURCES: Final = 64
"""Publishers are numbered below this."""

INBOX = np.dtype([("header", FRAME), ("ticks", TICK, (MAX_FRAME_RECORDS,))])
"""Where a frame is received: its bytes are the record."""

FEED = np.dtype(
    [
        ("frames", "i8"),
        ("malformed", "i8"),
        ("lost", "i8"),  # records, all in all
        ("lost_before", "i8"),  # records lost before the frame in hand
        ("repeated", "i8"),
        ("start", "i8"),  # first row of the frame in hand that was not stepped
        ("count", "i8"),  # its rows
        ("hands_over", "i8"),  # 1: every frame is given to Python before it is stepped
        ("handed_over", "i8"),  # 1: the frame in hand has been
        ("sent_ts", "i8"),
        ("session", "i8", (MAX_SOURCES,)),  # 0: nothing heard of the source yet
        ("following", "i8", (MAX_SOURCES,)),  # the sequence number expected next
    ]
)
"""What the feed knows of its publishers, and the frame in hand."""

POLL_ITEM = np.dtype([("socket", "i8"), ("fd", "i4"), ("events", "i2"), ("revents", "i2")])
"""``zmq_pollitem_t`` of libzmq."""

EMPTY: Final = 0
"""Nothing more has arrived, or nothing at all within the timeout."""
OUTPUT: Final = 1
"""The core has written events or requests: let them leave, then drain on."""
LOST: Final = 2
"""Records are missing before the frame in hand: say so to the core, then drain on."""
MORE: Final = 3
"""The limit of frames is reached."""
INPUT: Final = 4
"""The other socket has input."""
TAKEN: Final = 5
"""A frame has come and is not stepped yet: note it down, then drain on."""

WAKES: Final = 16
"""Waits in machine code before Python gets its turn: heartbeats and signals must not wait for long."""

_NOBLOCK: Final = 1
_TICK: Final = int(RecordKind.TICK)
_VERSION: Final = WIRE_VERSION
_HEADER_BYTES: Final = FRAME.itemsize
_TICK_BYTES: Final = TICK.itemsize
_INBOX_BYTES: Final = INBOX.itemsize


@kernel
def accept(feed: Record, header: Record, size: int) -> bool:
    """Check a received frame and take note of its sequence number; False when it is malformed (and counted)."""
    count = header["count"]
    if (
        not _HEADER_BYTES <= size <= _INBOX_BYTES
        or header["version"] != _VERSION
        or header["kind"] != _TICK
        or size != _HEADER_BYTES + count * _TICK_BYTES
        or header["seq"] < 0
        or header["source"] >= MAX_SOURCES
    ):
        feed["malformed"] += 1
        return False
    source = header["source"]
    expected = feed["following"][source]
    lost = 0
    if feed["session"][source] != 0:
        lost = header["seq"] - (expected if feed["session"][source] == header["session"] else 0)
    if lost < 0:
        feed["repeated"] += 1
        lost = 0
    else:
        feed["session"][source] = header["session"]
        feed["following"][source] = header["seq"] + count
    feed["frames"] += 1
    feed["lost"] += lost
    feed["lost_before"] = lost
    feed["handed_over"] = 0
    feed["start"] = 0
    feed["count"] = count
    feed["sent_ts"] = header["sent_ts"]
    return True


@kernel
def drain(st: State, feed: Any, inbox: Any, receive: int, socket: int, buffer: int, step: int, limit: int) -> int:
    """Receive and step at most ``limit`` frames that have arrived; returns EMPTY, OUTPUT, LOST, TAKEN or MORE."""
    s = st[0]
    f = feed[0]
    box = inbox[0]
    for _ in range(limit):
        if f["start"] >= f["count"]:
            size = call_zmq_recv(receive, socket, buffer, _INBOX_BYTES, _NOBLOCK)
            if size < 0:
                return EMPTY
            if not accept(f, box["header"], size):
                continue
            if f["lost_before"] > 0:
                return LOST
        if f["hands_over"] > f["handed_over"] and f["count"] > 0:
            return TAKEN
        f["start"] = call_step(step, st, box["ticks"][: f["count"]], f["start"], f["sent_ts"])
        if s["event_count"] > 0 or s["command_count"] > 0:
            return OUTPUT
    return MORE


@entry(
    lambda: numba.int64(
        array_of(STATE),
        array_of(FEED),
        array_of(INBOX),
        array_of(POLL_ITEM),
        numba.types.UniTuple(numba.int64, 6),
        numba.int64,
        numba.int64,
    )
)
def serve(st: State, feed: Any, inbox: Any, items: Any, addresses: tuple[int, ...], limit: int, timeout_ms: int) -> int:
    """Wait for ticks and step them, until something needs Python.

    Parameters
    ----------
    st, feed, inbox : one-element arrays of STATE, FEED, INBOX
    items : array of POLL_ITEM, shape (2,)
        The tick socket and the other one.
    addresses : tuple of int
        libzmq's ``zmq_poll`` and ``zmq_recv``, the items, the inbox, and the compiled ``step_ticks``; and the tick
        socket.
    limit : int
        Frames to take at most.
    timeout_ms : int
        To wait at most, each of ``WAKES`` times.

    Returns
    -------
    EMPTY, OUTPUT, LOST, TAKEN, MORE or INPUT.
    """
    poll, receive, poll_items, buffer, step, socket = addresses
    f = feed[0]
    last = f["frames"] + limit
    for _ in range(WAKES):
        status = drain(st, feed, inbox, receive, socket, buffer, step, last - f["frames"])
        if status != EMPTY:
            return status
        if f["frames"] >= last:
            return MORE
        if call_zmq_poll(poll, poll_items, items.shape[0], timeout_ms) <= 0:
            return EMPTY
        if items[1]["revents"] != 0:
            return INPUT
    return EMPTY


def _libzmq() -> ctypes.CDLL | None:
    """The libzmq that this process has loaded; None when it is not a library of its own."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split()[-1]
        if "/libzmq" in path:
            return ctypes.CDLL(path)
    return None


def _address_of(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class TickFeed:
    """Steps the core over the TICK frames of a subscriber, and watches one other socket.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    subscriber : Subscriber
        Nobody else may receive from it.
    other : zmq.Socket
        Input on it ends a wait.
    flush : callable
        Lets the core's output leave; told the wall clock at which the gateway sent the frame in hand.
    on_lost : callable
        Told of which source records are missing, before the frame behind the gap is stepped.
    on_frame : callable, optional
        Told each frame's records and when it was sent, before it is stepped.
    """

    def __init__(
        self,
        st: State,
        subscriber: Subscriber,
        other: zmq.Socket[bytes],
        flush: Callable[[int], None],
        on_lost: Callable[[int], None],
        on_frame: Callable[[Records, int], None] | None = None,
    ) -> None:
        self.subscriber = subscriber
        self._st = st
        self._flush = flush
        self._on_lost = on_lost
        self._on_frame = on_frame
        self._feed = np.zeros(1, FEED)
        self._frames = 0
        self._sent_ts = 0
        library = _libzmq() if JIT else None
        if library is not None:
            self._inbox = np.zeros(1, INBOX)
            self._feed["hands_over"] = on_frame is not None
            self._items = np.zeros(2, POLL_ITEM)
            self._items["socket"] = subscriber.socket.underlying, other.underlying
            self._items["events"] = zmq.POLLIN
            self._addresses = (
                _address_of(library.zmq_poll),
                _address_of(library.zmq_recv),
                self._items.ctypes.data,
                self._inbox.ctypes.data,
                entry_address(engine.step_ticks),
                int(subscriber.socket.underlying),
            )
            self.turn = self._turn_compiled
        else:
            self._poller = zmq.Poller()
            self._poller.register(subscriber.socket, zmq.POLLIN)
            self._poller.register(other, zmq.POLLIN)
            self.turn = self._turn_plainly

    @property
    def frames(self) -> int:
        return self._frames + int(self._feed["frames"][0])

    @property
    def lost(self) -> int:
        """Records that never arrived."""
        return self.subscriber.tracker.lost + int(self._feed["lost"][0])

    @property
    def malformed(self) -> int:
        return self.subscriber.malformed + int(self._feed["malformed"][0])

    @property
    def sent_ts(self) -> int:
        """Wall clock at which the last frame was sent; 0 before the first."""
        return self._sent_ts or int(self._feed["sent_ts"][0])

    def _turn_compiled(self, limit: int, timeout_ms: int) -> bool:
        """Wait at most about ``timeout_ms`` and step the frames that arrive, at most about ``limit``.

        Returns whether there was any. Ends early when there is other input, and
        never in the middle of a frame.
        """
        feed = self._feed
        frames = feed["frames"]
        before = frames[0]
        while True:
            taken = int(frames[0] - before)
            if taken >= limit and feed["start"][0] >= feed["count"][0]:
                break
            rest = max(limit - taken, 1)  # 1: the frame in hand
            status = serve(self._st, feed, self._inbox, self._items, self._addresses, rest, timeout_ms)
            if status == OUTPUT:
                self._flush(int(feed["sent_ts"][0]))
            elif status == LOST:
                self._on_lost(int(self._inbox["header"]["source"][0]))
            elif status == TAKEN and self._on_frame is not None:
                self._on_frame(self._inbox["ticks"][0][: feed["count"][0]], int(feed["sent_ts"][0]))
                feed["handed_over"] = 1
            else:
                break
            timeout_ms = 0  # who has had something to do does not wait for more
        return bool(frames[0] != before)

    def _turn_plainly(self, limit: int, timeout_ms: int) -> bool:
        """The same by way of the bus: one frame a call of the step."""
        self._poller.poll(timeout_ms)
        for number in range(limit):
            frame = self.subscriber.receive()
            if frame is None:
                return number > 0
            if frame.lost:
                self._on_lost(frame.header.source)
            self._frames += 1
            self._sent_ts = frame.header.sent_ts
            if self._on_frame is not None:
                self._on_frame(frame.records, self._sent_ts)
            start = 0
            while start < len(frame.records):
                start = engine.step_ticks(self._st, frame.records, start, self._sent_ts)
                self._flush(self._sent_ts)
        return True
