"""The supervisor: starts the process family, watches it, restarts what fails, and stops it in order.

It runs inside the command that the user started (``zoms paper``). Its caller drives it: ``step`` waits for whatever
comes next (a heartbeat, an exit, a signal, a deadline) and acts on it.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

import msgspec
import zmq

from oms.bus import bind, new_context, new_socket
from oms.child import Child, ChildState, exit_text
from oms.config import Settings, write_session
from oms.family import BEHIND, INDISPENSABLE, STOP_GRACE_S, STOP_ORDER, family_of
from oms.interrupts import Interrupts
from oms.lifecycle import CORE_ENDED, NO_SPACE, UNUSABLE, Heartbeat, decode_heartbeat, rss_mb
from oms.lock import AccountLock
from oms.order_entry import VenueCloser

LAST_HEARTBEATS_S: Final = 0.1
"""How long the last heartbeats of processes that have ended may be on their way."""


class Policy(NamedTuple):
    """How long the supervisor is patient; all in seconds but ``max_quick_failures``."""

    start_timeout_s: float = 60.0
    """From the start of a process to its first heartbeat."""
    compile_timeout_s: float = 300.0
    """Between two heartbeats of a process that is compiling, or rebuilds its state."""
    disk_timeout_s: float = 60.0
    """Between two heartbeats of a process that waits for the disk: a slow disk is no hung process."""
    backoff_s: float = 0.1
    """Before the first restart; doubled for each further quick failure."""
    max_backoff_s: float = 5.0
    healthy_s: float = 10.0
    """A process that fails earlier than this after it got ready has failed quickly."""
    max_quick_failures: int = 4
    stop_grace_s: float = 5.0
    """From SIGTERM to SIGKILL."""
    start_grace_s: float = 1.0
    """The same for a process that was not ready yet, and so has nothing to put in order."""


DEFAULT_POLICY: Final = Policy()


class LogLine(NamedTuple):
    ts: int
    """Wall clock, ns."""
    text: str


def process_command(name: str, session_file: Path) -> list[str]:
    """How a process of the family is started; ``-P`` keeps a folder of the same name in the working folder out."""
    return [sys.executable, "-P", "-m", "oms.process", name, os.fspath(session_file)]


class Supervisor:
    """Runs the process family of one session.

    Parameters
    ----------
    settings : Settings
        The session's, as written to ``session_file``.
    session_file : Path
        What each process reads; see ``oms.config.write_session``.
    command : callable
        Gives the command line of the process of a name.
    policy : Policy
        How patient to be.
    listen : callable
        Called with each log line as it is made.

    Attributes
    ----------
    children : dict of str to Child
        By name, in starting order.
    log : deque of LogLine
        What happened, the newest last.
    complete : bool
        Every process has been ready once. Before that, one that fails for good ends the session.
    failure : str
        Why the session had to end; empty while nothing forced it to.

    Raises
    ------
    LockError
        When a session of this account is running.
    BusError
        When one of its sockets cannot be bound.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        command: Callable[[str, Path], list[str]] = process_command,
        policy: Policy = DEFAULT_POLICY,
        listen: Callable[[LogLine], None] = lambda line: None,
    ) -> None:
        self.settings = settings
        self.policy = policy
        self.failure = ""
        self.stop_reason = ""
        self.complete = False
        self.log: deque[LogLine] = deque(maxlen=500)
        self.started_ts = time.time_ns()
        self._listen = listen
        self._interrupts: Interrupts | None = None
        self._interrupts_heeded = 0
        self._beat_due = 0.0
        self._lock = AccountLock(settings)
        self._context = new_context()
        self._poller = zmq.Poller()
        try:
            session_file = write_session(settings)
            self._remove_stale_sockets()
            self._heartbeats = new_socket(self._context, zmq.PULL)
            bind(self._heartbeats, settings.heartbeat_endpoint)
            self._status = new_socket(self._context, zmq.PUB)
            bind(self._status, settings.status_endpoint)
            self._closer = VenueCloser(settings, self._context)
        except BaseException:
            self._context.destroy(linger=0)
            self._lock.release()
            raise
        self._poller.register(self._heartbeats, zmq.POLLIN)
        self.children = {
            name: Child(name, command(name, session_file), settings.run_dir / f"{name}.log")
            for name in family_of(settings)
        }

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def context(self) -> zmq.Context[zmq.Socket[bytes]]:
        """The ZeroMQ context, for other sockets of the same process; they must be closed before ``close``."""
        return self._context

    @property
    def stopping(self) -> bool:
        return bool(self.stop_reason)

    @property
    def running(self) -> bool:
        """True until every process has ended after a stop."""
        return not self.stopping or any(child.running for child in self.children.values())

    @property
    def restarts(self) -> int:
        return sum(child.restarts for child in self.children.values())

    def start(self) -> None:
        """Start the family."""
        (self.settings.run_dir / "supervisor.log").unlink(missing_ok=True)
        for child in self.children.values():
            child.log_path.unlink(missing_ok=True)
            if child.role not in BEHIND:
                self._start(child)

    def step(self, timeout_s: float) -> None:
        """Wait at most ``timeout_s`` for something to happen and act on it."""
        self._poller.poll(int(max(0.0, min(timeout_s, self._until_due())) * 1000))
        self._on_interrupts()
        self._drain_heartbeats()
        self._reap()
        self._closer.step()
        self._start_what_is_due()
        self._watch_heartbeats()
        self._kill_what_lingers()
        if self.stopping:
            self._stop_in_order()
        self._beat()

    def request_stop(self, reason: str, *, failed: bool = False) -> None:
        """Stop the family in order from now on; ``step`` does it. The first reason given is the one kept."""
        if not self.stopping:
            self.stop_reason = reason
            self._note(f"stopping: {reason}")
        if failed and not self.failure:
            self.failure = reason

    def run_until_stopped(self) -> None:
        """Step until every process has ended after a stop, and take their last heartbeats."""
        while self.running:
            self.step(1.0)
        settled = time.monotonic() + LAST_HEARTBEATS_S
        while time.monotonic() < settled:
            self.step(LAST_HEARTBEATS_S)

    def close(self) -> None:
        """Stop what still runs, then release the sockets and the account."""
        if self.running:
            self.request_stop("closed")
            self.run_until_stopped()
        self._context.destroy(linger=100)
        self._remove_stale_sockets()
        self._lock.release()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Within the block SIGINT, SIGTERM and SIGHUP stop the family; a second one hurries, a third one kills."""
        with Interrupts() as interrupts:
            self._poller.register(interrupts.descriptor, zmq.POLLIN)
            self._interrupts = interrupts
            try:
                yield
            finally:
                self._interrupts = None
                self._poller.unregister(interrupts.descriptor)

    def _on_interrupts(self) -> None:
        count = self._interrupts.seen() if self._interrupts else 0
        if count <= self._interrupts_heeded:
            return
        self._interrupts_heeded = count
        self.request_stop("asked to")
        if count >= 2:
            self._note("asked again: stopping all at once")
            for child in self.children.values():
                child.terminate()
        if count >= 3:
            for child in self.children.values():
                child.kill()

    def _note(self, text: str) -> None:
        line = LogLine(time.time_ns(), text)
        self.log.append(line)
        with suppress(OSError), open(self.settings.run_dir / "supervisor.log", "a") as log:  # a full disk ends nothing
            log.write(f"{line.ts} {text}\n")
        self._listen(line)

    def _start(self, child: Child) -> None:
        child.start(self._lock.descriptor)
        self._poller.register(child.pid_descriptor, zmq.POLLIN)
        self._note(f"{child.name} started, pid {child.pid}")

    def _drain_heartbeats(self) -> None:
        while True:
            try:
                message = self._heartbeats.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            heartbeat = decode_heartbeat(message)
            child = self.children.get(heartbeat.process) if heartbeat else None
            if child is None or heartbeat is None:
                continue
            was_ready = bool(child.ready_at)
            if child.hear(heartbeat):
                self._status.send(message)
                if child.ready_at and not was_ready:
                    self._closer.on_ready(child.role, child.venue)
                    self._note(f"{child.name} ready after {child.ready_at - child.started_at:.1f} s")
                    self.complete = self.complete or all(each.ready_at for each in self.children.values())

    def _reap(self) -> None:
        for child in self.children.values():
            descriptor = child.pid_descriptor
            status = child.reap()
            if status is not None:
                self._poller.unregister(descriptor)
                self._on_exit(child, status)

    def _on_exit(self, child: Child, status: int) -> None:
        words = child.last_words() if status else ""
        ended = f"{child.name} ended: {exit_text(status)}" + (f": {words}" if words else "")
        if self.stopping or child.done:
            child.state = ChildState.STOPPED
            if status:
                child.problem = ended
                self._note(ended)
            return
        self._note(ended)
        self._closer.on_exit(child.role, child.venue)
        if child.terminated_at and child.role in BEHIND:
            child.state = ChildState.WAITING
            return
        child.problem = ended
        quick = not child.ready_at or time.monotonic() - child.ready_at < self.policy.healthy_s
        child.quick_failures = child.quick_failures + 1 if quick else 0
        is_full = status == NO_SPACE and child.role in INDISPENSABLE
        if is_full:
            child.problem += (
                f"; free space where {self.settings.account_dir} is, or set data_dir to another disk, and start again"
            )
        hopeless = is_full or (status == UNUSABLE and not child.ready_at and not child.restarts)
        if hopeless or child.quick_failures >= self.policy.max_quick_failures:
            self._give_up(child, ends_session=is_full or self._cannot_do_without(child))
            return
        for other in self.children.values():
            if BEHIND.get(other.role) == child.name:
                other.terminate(CORE_ENDED)
        child.state = ChildState.BACKOFF
        pause = min(self.policy.backoff_s * 2 ** max(child.quick_failures - 1, 0), self.policy.max_backoff_s)
        child.due_at = time.monotonic() + pause

    def _cannot_do_without(self, child: Child) -> bool:
        """Whether the session ends when a process stays away: of a venue's, only where no other venue is left."""
        if not self.complete:
            return True
        lost = {each.venue for each in self.children.values() if each.state is ChildState.FAILED or each is child}
        return child.role in INDISPENSABLE and (not child.venue or lost.issuperset(self.settings.venues))

    def _give_up(self, child: Child, *, ends_session: bool) -> None:
        child.state = ChildState.FAILED
        often = f" {child.quick_failures} times in a row" if child.quick_failures > 1 else ""
        message = f"{child.name} failed{often}: {child.problem} (log: {child.log_path})"
        if ends_session:
            self.request_stop(message, failed=True)
        else:
            self._note(f"{message}; the session goes on without {child.venue or 'it'}")

    def _start_what_is_due(self) -> None:
        if self.stopping:
            return
        now = time.monotonic()
        for child in self.children.values():
            leader = BEHIND.get(child.role)
            if leader is not None and self.children[leader].health != "ready":
                continue
            if child.state is ChildState.WAITING or (child.state is ChildState.BACKOFF and now >= child.due_at):
                if child.started_at:
                    child.restarts += 1
                    child.carry()
                self._start(child)

    def _silence_limit_s(self, child: Child) -> float:
        """How long a running process may be silent before it counts as hung."""
        if child.health in ("compiling", "recovering"):
            return self.policy.compile_timeout_s
        if child.health == "starting":
            return self.policy.start_timeout_s
        return self.settings.watchdog_s

    def _watch_heartbeats(self) -> None:
        now = time.monotonic()
        for child in self.children.values():
            limit_s = self._silence_limit_s(child)
            silent_s = now - child.heard_at
            if not child.running or self.stopping or silent_s <= limit_s:
                continue
            if silent_s > self.policy.disk_timeout_s or not child.waits_for_disk:
                self._note(f"{child.name} has been silent for over {limit_s:g} s: killing it")
                child.heard_at = now
                child.kill()

    def _kill_what_lingers(self) -> None:
        """End what was asked to stop and has not within its grace."""
        now = time.monotonic()
        for child in self.children.values():
            grace_s = self._grace_s(child)
            if child.running and child.terminated_at and now - child.terminated_at > grace_s:
                self._note(f"{child.name} has not stopped within {grace_s:g} s: killing it")
                child.terminated_at = now
                child.kill()

    def _stop_in_order(self) -> None:
        """One role after the other; all venues' processes of one role at once."""
        for role in STOP_ORDER:
            alike = [child for child in self.children.values() if child.role == role]
            running = [child for child in alike if child.running]
            for child in running:
                child.terminate()
            if running:
                return
            for child in alike:
                if child.state is not ChildState.FAILED:
                    child.state = ChildState.STOPPED

    def _grace_s(self, child: Child) -> float:
        if not child.ready_at:
            return self.policy.start_grace_s
        return max(self.policy.stop_grace_s, STOP_GRACE_S.get(child.role, 0.0))

    def _until_due(self) -> float:
        """Seconds until the next deadline: a heartbeat of its own, a restart, a silence or a grace time."""
        now = time.monotonic()
        due = [self._beat_due]
        for child in self.children.values():
            if child.state is ChildState.BACKOFF:
                due.append(child.due_at if child.due_at > now else self._beat_due)
            elif child.running and child.terminated_at:
                due.append(child.terminated_at + self._grace_s(child))
            elif child.running:
                due.append(max(child.heard_at + self._silence_limit_s(child), self._beat_due))
        return min(due) - now + 0.001

    def _beat(self) -> None:
        """Publish the supervisor's own heartbeat when it is due, and keep the logs within bounds."""
        now = time.monotonic()
        if now < self._beat_due:
            return
        self._beat_due = now + self.settings.heartbeat_s
        counters = {"restarts": float(self.restarts)}
        for child in self.children.values():
            child.bound_log()
            counters[f"restarts_{child.name}"] = float(child.restarts)
            counters[f"running_{child.name}"] = float(child.running)
        beat = Heartbeat(
            process="supervisor",
            pid=os.getpid(),
            ts=time.time_ns(),
            started_ts=self.started_ts,
            state="stopping" if self.stopping else "ready",
            rss_mb=rss_mb(),
            counters=counters,
        )
        self._status.send(msgspec.msgpack.encode(beat))

    def _remove_stale_sockets(self) -> None:
        """Remove the socket files that a session which was killed has left."""
        for endpoint in (
            *self.settings.ticks_endpoints,
            self.settings.core_endpoint,
            self.settings.events_endpoint,
            *map(self.settings.orders_endpoint, self.settings.venues),
            self.settings.heartbeat_endpoint,
            self.settings.status_endpoint,
        ):
            path = Path(endpoint.removeprefix("ipc://"))
            if path.is_socket():
                path.unlink()
