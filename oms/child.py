"""One process of the family as its supervisor sees it: how it is started, its log file, its heartbeats, its end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Final

from oms.family import role_and_venue
from oms.lifecycle import NO_SPACE, SUPERVISOR_VARIABLE, Heartbeat

LOG_LIMIT_BYTES: Final = 1 << 20
MAX_WORDS: Final = 600
"""Characters of a process's last words that are shown; the log has them all."""

_TAIL_BYTES: Final = 16384


class ChildState(Enum):
    WAITING = "waiting"
    """Not started yet."""
    RUNNING = "running"
    BACKOFF = "backoff"
    """It failed and is started again in a moment."""
    STOPPED = "stopped"
    FAILED = "failed"
    """It failed too often and is given up on."""


class Child:
    """One supervised process.

    Attributes
    ----------
    role, venue : str
        The two parts of its name: what it does and, where there is one for each venue (``orders.okx``), for which.
    heartbeat : Heartbeat or None
        The last one of the running process, or of the last one that ran.
    heard_at, started_at : float
        Monotonic seconds of its last heartbeat (of its start, before the first) and of its start.
    restarts, quick_failures : int
        How often it was started again; how many times in a row it failed soon after its start.
    carried : dict of str to float
        Counters of the earlier processes of this name, added up.
    """

    def __init__(self, name: str, command: Sequence[str], log_path: Path) -> None:
        self.name = name
        self.role, self.venue = role_and_venue(name)
        self.command = list(command)
        self.log_path = log_path
        self.state = ChildState.WAITING
        self.process: subprocess.Popen[bytes] | None = None
        self.pid_descriptor = -1
        self.last_pid = 0
        self.heartbeat: Heartbeat | None = None
        self.started_at = 0.0
        self.heard_at = 0.0
        self.ready_at = 0.0
        self.due_at = 0.0
        self.restarts = 0
        self.quick_failures = 0
        self.carried: dict[str, float] = {}
        self.problem = ""
        self.terminated_at = 0.0
        self._log_start = 0

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def running(self) -> bool:
        return self.process is not None

    @property
    def health(self) -> str:
        """What to show: the state that its heartbeat says while it runs, otherwise what became of it."""
        if not self.running:
            return self.state.value
        return self.heartbeat.state if self.heartbeat and self.heartbeat.pid == self.last_pid else "starting"

    @property
    def done(self) -> bool:
        """True once it has said that nothing is left for it to do: it is not started again."""
        return self.heartbeat is not None and self.heartbeat.state == "done"

    def start(self, lock_descriptor: int) -> None:
        """Start the process in a session of its own, so that the terminal's Ctrl-C reaches the supervisor only."""
        self.bound_log()
        with open(self.log_path, "ab") as log:
            self._log_start = log.tell()
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock_descriptor,),
                env={**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())},
            )
        self.last_pid = self.process.pid
        self.pid_descriptor = os.pidfd_open(self.process.pid)
        self.started_at = self.heard_at = time.monotonic()
        self.ready_at = self.terminated_at = 0.0
        self.problem = ""
        self.state = ChildState.RUNNING

    def hear(self, heartbeat: Heartbeat) -> bool:
        """Take a heartbeat; False when it is not of the process that was started last."""
        if heartbeat.pid != self.last_pid:
            return False
        self.heartbeat = heartbeat
        self.heard_at = time.monotonic()
        if heartbeat.state in ("ready", "done") and not self.ready_at:
            self.ready_at = self.heard_at
        return True

    def counter(self, name: str) -> float:
        """A counter over every process of this name in this session."""
        return self.carried.get(name, 0.0) + self.last_counter(name)

    def last_counter(self, name: str) -> float:
        """A counter of the last process of this name alone."""
        return self.heartbeat.counters.get(name, 0.0) if self.heartbeat else 0.0

    def carry(self) -> None:
        """Add the counters of a process that has ended to ``carried``, before the next one starts at zero."""
        if self.heartbeat:
            for name, value in self.heartbeat.counters.items():
                self.carried[name] = self.carried.get(name, 0.0) + value
        self.heartbeat = None

    @property
    def waits_for_disk(self) -> bool:
        """Whether its main thread is in a disk operation, which no signal ends."""
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False
        return status.rpartition(")")[2].split()[:1] == ["D"]

    def terminate(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop (once)."""
        if self.process and not self.terminated_at:
            self.terminated_at = time.monotonic()
            self.process.send_signal(how)

    def kill(self) -> None:
        if self.process:
            self.process.kill()

    def reap(self) -> int | None:
        """The exit status once the process has ended, None while it runs; afterwards it is no longer ``running``."""
        if self.process is None:
            return None
        status = self.process.poll()
        if status is not None:
            os.close(self.pid_descriptor)
            self.pid_descriptor = -1
            self.process = None
        return status

    def last_words(self) -> str:
        """What the process said last since its start, as one line; empty when it wrote nothing.

        An error that it named (``NAME: ...``) is given whole, otherwise its last line.
        """
        try:
            with open(self.log_path, "rb") as log:
                size = log.seek(0, os.SEEK_END)
                start = self._log_start if self._log_start <= size else 0
                log.seek(max(start, size - _TAIL_BYTES))
                lines = log.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        named = [number for number, line in enumerate(lines) if line.startswith(f"{self.name}: ")]
        words = " ".join(" ".join(lines[named[-1] if named else -1 :]).split())
        return words if len(words) <= MAX_WORDS else f"{words[:MAX_WORDS]} ..."

    def bound_log(self) -> None:
        """Move the log aside once it is over ``LOG_LIMIT_BYTES``: two files are kept, and the process writes on."""
        try:
            if self.log_path.stat().st_size <= LOG_LIMIT_BYTES:
                return
        except FileNotFoundError:
            return
        try:
            self.log_path.with_suffix(".log.1").write_bytes(self.log_path.read_bytes()[-LOG_LIMIT_BYTES:])
        except OSError:  # a full disk: later
            return
        os.truncate(self.log_path, 0)


def exit_text(status: int) -> str:
    """An exit status in words: ``exit status 1``, ``killed by SIGKILL``."""
    if status == NO_SPACE:
        return f"exit status {status}, the disk is full"
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
