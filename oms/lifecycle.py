"""What every process of the family does alike: stop when told, notice that its parent died, send heartbeats."""

from __future__ import annotations

import os
import resource
import select
import signal
import threading
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final

import msgspec
import zmq

from oms.bus import new_socket

SUPERVISOR_VARIABLE: Final = "ZOMS_SUPERVISOR"
"""Environment variable with the supervisor's pid, so that a process whose parent died before it looked knows it."""

PARENT_GRACE_S: Final = 10.0

CORE_ENDED: Final = signal.SIGUSR1
"""Stops a process as SIGTERM does, and says that only the core has ended: another one will follow, and the session goes
on."""

UNUSABLE: Final = 2
"""Exit status of a process whose settings or files cannot be used: to start it again would not help."""


NO_SPACE: Final = 74
"""Exit status of a process that ended because the disk is full, and whose log may have had no room to say so."""


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """One sign of life: who, since when, in which state, and its counters by name."""

    process: str
    pid: int
    ts: int
    """Wall clock, ns."""
    started_ts: int
    state: str
    """``starting``, ``compiling``, ``recovering``, ``ready``, ``done`` (nothing left to do) or ``stopping``."""
    rss_mb: float
    counters: dict[str, float]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Heartbeat)


def decode_heartbeat(message: bytes) -> Heartbeat | None:
    """The heartbeat in a message, or None when it is not one."""
    try:
        return _decoder.decode(message)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


def rss_mb() -> float:
    """Resident memory of this process now, in MiB."""
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


def parent_pid() -> int:
    """The process that this one must not outlive: the supervisor, or whoever started it."""
    return int(os.environ.get(SUPERVISOR_VARIABLE, "") or os.getppid())


def end_with_parent(grace_s: float = PARENT_GRACE_S, parent: int = 0) -> None:
    """End this process ``grace_s`` after ``parent`` (0: the supervisor) has died, whatever its main thread is doing.

    A process in good order notices by itself (``Lifecycle.stopping``) and has ended long before. This is for one that
    compiles, or is caught in a strategy's endless loop.
    """

    def wait_for_the_end(pid: int) -> None:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            pass
        else:
            select.select([descriptor], [], [])
        time.sleep(grace_s)
        os._exit(1)

    arguments = (parent or parent_pid(),)
    threading.Thread(target=wait_for_the_end, args=arguments, name="end_with_parent", daemon=True).start()


class Lifecycle:
    """Stop flag and heartbeat of one process.

    SIGTERM and ``CORE_ENDED`` stop the process in good order. SIGINT is ignored: the terminal sends it to the whole
    family at once, and the supervisor stops the family in order. A process whose parent has gone stops by itself.

    Attributes
    ----------
    core_ended : bool
        Whether it has been told to stop because the core has ended.
    """

    def __init__(self, name: str, context: zmq.Context[Any], heartbeat_endpoint: str, interval_s: float) -> None:
        self.name = name
        self.state = "starting"
        self.started_ts = time.time_ns()
        self.core_ended = False
        self._stop_requested = False
        self._parent = parent_pid()
        self._interval_s = interval_s
        self._due = 0.0
        self._socket = new_socket(context, zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, 16)
        self._socket.connect(heartbeat_endpoint)
        signal.signal(signal.SIGTERM, self._on_signal)
        signal.signal(CORE_ENDED, self._on_signal)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.core_ended = self.core_ended or number == CORE_ENDED
        self._stop_requested = True

    def stop(self) -> None:
        self._stop_requested = True

    @property
    def stopping(self) -> bool:
        """True once the process has been told to stop or its parent is gone."""
        return self._stop_requested or os.getppid() != self._parent

    def beat(self, counters: Mapping[str, float], state: str = "") -> bool:
        """Send a heartbeat when one is due, or when ``state`` is a new one; returns whether it was sent.

        A heartbeat that cannot be sent at once is dropped: a process never waits for its watcher.
        """
        now = time.monotonic()
        changed = bool(state) and state != self.state
        if changed:
            self.state = state
        if now < self._due and not changed:
            return False
        self._due = now + self._interval_s
        beat = Heartbeat(
            process=self.name,
            pid=os.getpid(),
            ts=time.time_ns(),
            started_ts=self.started_ts,
            state=self.state,
            rss_mb=rss_mb(),
            counters=dict(counters),
        )
        try:
            self._socket.send(_encoder.encode(beat), zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        self._socket.close()
