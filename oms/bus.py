"""The bus: frames of fixed-width records over ZeroMQ, each with a sequence number.

A frame is one ZeroMQ message part: the 32-byte ``FRAME`` header and ``count`` records of one kind. The first two bytes
are the wire version and the record kind, so a subscriber filters by prefix. ZeroMQ's PUB may drop; the receiver knows,
because each publisher numbers its records, and ``Tracker`` counts what is missing.
"""

from __future__ import annotations

import errno
import os
import socket as socket_module
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import zmq

from oms.records import FRAME, RECORD_DTYPES, WIRE_VERSION, Reason, RecordKind

Records = npt.NDArray[np.void]

_HEADER: Final = struct.Struct("<BBHIqqq")
HEADER_BYTES: Final = _HEADER.size
assert FRAME.itemsize == HEADER_BYTES

RECEIVE_HWM_FRAMES: Final = 2_048
LOSSLESS_HWM_FRAMES: Final = 2_048
"""Small, so that back-pressure is felt soon and a slow subscriber does not fill the publisher's memory; also faster."""
SEND_HWM_FRAMES: Final = 100_000
"""What a publisher that may drop keeps for a slow subscriber, and a pusher for its peer."""
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
CLOSE_LINGER_MS: Final = 500
IPC: Final = "ipc://"

# As plain integers: pyzmq's enums do their arithmetic in Python.
_EVENTS: Final = int(zmq.EVENTS)
_POLLIN: Final = int(zmq.POLLIN)
_POLLOUT: Final = int(zmq.POLLOUT)


class BusError(RuntimeError):
    """A socket could not be set up; the message names the endpoint and the remedy."""


class FrameError(ValueError):
    """A frame that cannot be taken as records.

    Attributes
    ----------
    reason : Reason
        Always ``MALFORMED``: what a receiver counts it under.
    """

    reason: Final = Reason.MALFORMED


class Header(NamedTuple):
    """The fields of a frame's header; see ``oms.records.FRAME``."""

    version: int
    kind: int
    source: int
    record_count: int
    session: int
    seq: int
    sent_ts: int


class Frame(NamedTuple):
    """A received frame: its header, its records as a read-only array, and how many records were lost before it."""

    header: Header
    records: Records
    lost: int


def encode_frame(kind: int, source: int, session: int, seq: int, sent_ts: int, records: Records) -> bytes:
    """Return the bytes of one frame; ``records`` is a contiguous array of the kind's dtype."""
    return _HEADER.pack(WIRE_VERSION, kind, source, len(records), session, seq, sent_ts) + records.tobytes()


_ITEMSIZE: Final = {int(kind): dtype.itemsize for kind, dtype in RECORD_DTYPES.items()}
_DTYPE: Final = {int(kind): dtype for kind, dtype in RECORD_DTYPES.items()}


def decode_frame(buffer: bytes | memoryview) -> tuple[Header, Records]:
    """Split a received message into its header and a read-only view of its records; nothing is copied.

    Raises
    ------
    FrameError
        For a short message, another wire version, an unknown record kind, or a length that is not header + count
        records.
    """
    if len(buffer) < HEADER_BYTES:
        raise FrameError(f"frame of {len(buffer)} bytes is shorter than its {HEADER_BYTES}-byte header")
    header = Header._make(_HEADER.unpack_from(buffer))
    if header.version != WIRE_VERSION:
        raise FrameError(f"frame has wire version {header.version}, this process speaks {WIRE_VERSION}")
    itemsize = _ITEMSIZE.get(header.kind)
    if itemsize is None:
        raise FrameError(f"frame has unknown record kind {header.kind}")
    if len(buffer) != HEADER_BYTES + header.record_count * itemsize:
        raise FrameError(
            f"frame of {len(buffer)} bytes says {header.record_count} records of {itemsize}: it is truncated or corrupt"
        )
    if header.seq < 0:
        raise FrameError(f"frame has negative sequence number {header.seq}")
    return header, np.frombuffer(buffer, _DTYPE[header.kind], offset=HEADER_BYTES)


class Tracker:
    """Counts records lost between the frames of each publisher.

    The first frame ever seen of a source joins its stream wherever it stands; a later session of the same source must
    start at 0. A frame that begins with records seen before counts as ``repeated`` and as nothing lost.
    """

    def __init__(self) -> None:
        self._expected: dict[tuple[int, int], tuple[int, int]] = {}
        self.lost = 0
        self.repeated = 0

    def observe(self, header: Header) -> int:
        """Take note of one frame and return the number of records lost before it."""
        stream = (header.source, header.kind)
        known = self._expected.get(stream)
        following = header.seq + header.record_count
        if known is None:
            self._expected[stream] = (header.session, following)
            return 0
        session, expected = known
        if header.session != session:
            expected = 0
        lost = header.seq - expected
        if lost < 0:
            self.repeated += 1
            lost = 0
        self._expected[stream] = (header.session, max(expected, following))
        self.lost += lost
        return lost


def bind(socket: zmq.Socket[bytes], endpoint: str) -> str:
    """Bind and return the endpoint as bound (a port of ``*`` is resolved).

    Raises
    ------
    BusError
        When the address is in use or cannot be bound.
    """
    in_use = f"{endpoint} is in use by another process: stop it, or choose another endpoint"
    if endpoint.startswith(IPC) and _is_listened_to(endpoint.removeprefix(IPC)):
        raise BusError(in_use)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        if error.errno == zmq.EADDRINUSE:
            raise BusError(in_use) from error
        raise BusError(f"cannot bind {endpoint}: {error}") from error
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def _is_listened_to(path: str) -> bool:
    """Whether someone listens on a Unix socket; ZeroMQ would take its path away without a word."""
    with socket_module.socket(socket_module.AF_UNIX, socket_module.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) in (0, errno.EAGAIN)


def new_socket(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    """A socket with the project's high-water marks, set before any bind or connect."""
    socket = context.socket(kind)
    socket.setsockopt(zmq.SNDHWM, SEND_HWM_FRAMES)
    socket.setsockopt(zmq.RCVHWM, RECEIVE_HWM_FRAMES)
    socket.setsockopt(zmq.LINGER, CLOSE_LINGER_MS)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
    return socket


def has_input(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message has arrived: cheaper to ask than to be told by an exception."""
    events: Any = socket.getsockopt(_EVENTS)
    return bool(events & _POLLIN)


def takes_output(socket: zmq.Socket[bytes]) -> bool:
    """Whether a message can be sent without waiting."""
    events: Any = socket.getsockopt(_EVENTS)
    return bool(events & _POLLOUT)


class Sender:
    """Sends frames of one record kind, numbered from 0 in this session; base of ``Publisher`` and ``Pusher``."""

    def __init__(self, socket: zmq.Socket[bytes], kind: RecordKind, source: int) -> None:
        self.socket = socket
        self.kind = int(kind)
        self.source = source
        self.session = time.time_ns()
        self.seq = 0
        self._itemsize = _ITEMSIZE[self.kind]
        self._most_bytes = (MAX_FRAME_BYTES - HEADER_BYTES) // self._itemsize * self._itemsize

    def send(self, records: Records, *, more: bool = False) -> None:
        """Send the records as one frame; blocks at the high-water mark where the socket's type does.

        Records that no receiver would take in one frame go in several. With ``more`` the socket's next frame belongs to
        this one: they arrive together, or neither does.
        """
        self.send_bytes(records.tobytes(), more=more)

    def send_bytes(self, payload: bytes, *, more: bool = False) -> None:
        """As ``send``, of the records' bytes."""
        while len(payload) > self._most_bytes:
            self._send_frame(payload[: self._most_bytes], more=True)
            payload = payload[self._most_bytes :]
        if payload:
            self._send_frame(payload, more=more)

    def _send_frame(self, payload: bytes, *, more: bool) -> None:
        count = len(payload) // self._itemsize
        header = _HEADER.pack(WIRE_VERSION, self.kind, self.source, count, self.session, self.seq, time.time_ns())
        self.socket.send(header + payload, zmq.SNDMORE if more else 0)
        self.seq += count

    def close(self) -> None:
        self.socket.close()


_SUBSCRIPTIONS: Final = {b"\x01": 1, b"\x00": -1}
"""What the first byte of a message from a subscriber does to their number; anything else is none of ours."""


class Publisher(Sender):
    """An XPUB that binds. With ``lossless`` it blocks instead of dropping when a subscriber is slow (XPUB_NODROP)."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        kind: RecordKind,
        source: int,
        *,
        lossless: bool = False,
    ) -> None:
        socket = new_socket(context, zmq.XPUB)
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        if lossless:
            socket.setsockopt(zmq.XPUB_NODROP, 1)
            socket.setsockopt(zmq.SNDHWM, LOSSLESS_HWM_FRAMES)
        super().__init__(socket, kind, source)
        self.endpoint = bind(socket, endpoint)
        self.subscribers = 0

    def poll_subscribers(self, timeout_ms: int = 0) -> int:
        """Read the subscriptions that have arrived and return how many subscribers there are now."""
        while self.socket.poll(timeout_ms, zmq.POLLIN):
            self.subscribers += _SUBSCRIPTIONS.get(self.socket.recv()[:1], 0)
            timeout_ms = 0
        return self.subscribers

    def wait_for_subscribers(self, count: int, timeout_s: float, stopping: Callable[[], bool] = lambda: False) -> bool:
        """Wait until ``count`` subscribers are there; False when the time is over or ``stopping()`` says so."""
        deadline = time.monotonic() + timeout_s
        while self.poll_subscribers() < count:
            if time.monotonic() > deadline or stopping():
                return False
            self.poll_subscribers(timeout_ms=50)
        return True


class Pusher(Sender):
    """A PUSH that connects (or binds, with ``binding``); blocks at its high-water mark, never drops."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        kind: RecordKind,
        source: int,
        *,
        binding: bool = False,
    ) -> None:
        socket = new_socket(context, zmq.PUSH)
        super().__init__(socket, kind, source)
        if binding:
            self.endpoint = bind(socket, endpoint)
        else:
            self.endpoint = endpoint
            socket.connect(endpoint)


class Receiver:
    """Receives frames, checks them and tracks their sequence; base of ``Subscriber`` and ``Puller``.

    Attributes
    ----------
    frames, malformed : int
        Frames taken, and messages refused as malformed.
    tracker : Tracker
        Records lost and frames repeated.
    last_error : str
        What was wrong with the last malformed message.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self.tracker = Tracker()
        self.frames = 0
        self.malformed = 0
        self.last_error = ""

    def receive(self) -> Frame | None:
        """Return the next frame that has arrived, or None when there is none; malformed ones are counted and passed."""
        while True:
            try:
                message = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return None
            try:
                header, records = decode_frame(message)
            except FrameError as error:
                self.malformed += 1
                self.last_error = str(error)
                continue
            self.frames += 1
            return Frame(header, records, self.tracker.observe(header))

    def drain(self, limit: int) -> Iterator[Frame]:
        """Yield the frames that have already arrived, at most ``limit``; never waits."""
        for _ in range(limit):
            frame = self.receive() if has_input(self.socket) else None
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        self.socket.close()


class Subscriber(Receiver):
    """A SUB that connects to publishers and takes the given record kinds."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoints: Iterable[str], kinds: Iterable[RecordKind]
    ) -> None:
        socket = new_socket(context, zmq.SUB)
        super().__init__(socket)
        for kind in kinds:
            socket.setsockopt(zmq.SUBSCRIBE, bytes([WIRE_VERSION, kind]))
        for endpoint in endpoints:
            socket.connect(endpoint)


class Puller(Receiver):
    """A PULL that binds (or connects, with ``binding=False``)."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, *, binding: bool = True) -> None:
        socket = new_socket(context, zmq.PULL)
        super().__init__(socket)
        if binding:
            self.endpoint = bind(socket, endpoint)
        else:
            self.endpoint = endpoint
            socket.connect(endpoint)


def ipc_endpoint(folder: str | os.PathLike[str], name: str) -> str:
    """The ipc endpoint ``name`` in ``folder``.

    Raises
    ------
    BusError
        When the path is longer than a Unix socket's address can hold.
    """
    path = os.path.join(os.fspath(folder), name)
    if len(path.encode()) > 100:
        raise BusError(
            f"socket path {path} is over 100 bytes, more than the system takes: choose a shorter data folder"
        )
    return f"{IPC}{path}"


def new_context() -> zmq.Context[Any]:
    """A ZeroMQ context with one I/O thread, which is what one core process can feed."""
    return zmq.Context(io_threads=1)
