"""Worker processes that run jobs: on this machine, or with Ray on several, behind one small contract.

Each worker opens the search's task once, which loads the compiled code, and then runs one job after another. A process
is started anew for them, not forked, and does not import the caller's script: that may be anything. When one dies, or
its job takes longer than it may, its job has failed and another one takes its place.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Protocol

from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Job, Outcome
from oms.lifecycle import end_with_parent

THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""A worker is one thread: there are as many workers as cores."""
READY: Final = "ready"


class Opener(Protocol):
    """What all jobs of a search have in common; it is pickled, so its class lies in a module that can be imported."""

    def open(self) -> Callable[[Job], Outcome]:
        """Get ready, in the worker; returns the function that runs a job."""

    def packed(self) -> Opener:
        """The same for another machine, with the data in it."""


class Pool(Protocol):
    """Workers that take jobs in any number and give them back as they are done."""

    size: int

    def submit(self, number: int, job: Job) -> None:
        """Have a job run as soon as a worker is free."""

    def take(self) -> tuple[int, Outcome]:
        """Wait for the next job that is done: its number and what became of it.

        Raises
        ------
        OptimiseError
            When a worker could not get ready.
        """

    def close(self) -> None:
        """End all workers at once, whatever they are doing."""


def error_text(error: BaseException) -> str:
    """An error in one line, with its type where its message does not name what is wrong."""
    text = " ".join(str(error).split())
    is_ours = type(error).__module__.partition(".")[0] in {"oms", "gateways", "strategies", "backtest"}
    return text if is_ours and text else f"{type(error).__name__}: {text}"


def outcome_of(run: Callable[[Job], Outcome], job: Job) -> Outcome:
    """What becomes of a job: an error is its failure, with its text as the reason."""
    try:
        return run(job)
    except Exception as error:  # noqa: BLE001 - one job that fails, in whatever way, must not end the search
        return Outcome(failure=error_text(error))


class _Worker:
    """A process, the pipe to it, and the job that it has."""

    def __init__(self, task: Opener) -> None:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, **dict.fromkeys(THREADS, "1")}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "backtest.optimise.workers", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        self.connection = Connection(ours.detach())
        self.number: int | None = None
        self.is_ready = False
        self.since_s = 0.0
        """When it began to run its job, by the monotonic clock."""
        self._send(sys.path)
        self._send(task)

    def give(self, number: int, job: Job) -> None:
        self.number = number
        self.since_s = time.monotonic()
        self._send(job)

    def _send(self, content: object) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has died: the next look at its pipe says so
            self.connection.send(content)

    def end(self) -> int:
        """End it; returns its exit status."""
        self.connection.close()
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()


class ProcessPool:
    """Processes on this machine, started when there is something to do.

    Parameters
    ----------
    task : Opener
    size : int
        How many processes at most.
    timeout_s : float
        A job that runs longer has failed, and its process is ended; 0: it may take any time. Getting ready is not
        counted.
    """

    def __init__(self, task: Opener, size: int, timeout_s: float = 0.0) -> None:
        self.size = size
        self._timeout_s = timeout_s
        self._task = task
        self._workers: list[_Worker] = []
        self._backlog: deque[tuple[int, Job]] = deque()

    @property
    def pids(self) -> list[int]:
        """Of the processes that run."""
        return [each.process.pid for each in self._workers]

    def submit(self, number: int, job: Job) -> None:
        self._backlog.append((number, job))
        self._feed()

    def _feed(self) -> None:
        while self._backlog:
            worker = next((each for each in self._workers if each.number is None), None)
            if worker is None:
                if len(self._workers) == self.size:
                    return
                worker = _Worker(self._task)
                self._workers.append(worker)
            worker.give(*self._backlog.popleft())

    def take(self) -> tuple[int, Outcome]:
        done: tuple[int, Outcome] | None
        while True:
            late = [each for each in self._timed() if self._left_s(each) <= 0 and not each.connection.poll()]
            if late:
                done = self._give_up(late[0])
                self._feed()
                return done
            by_connection = {each.connection: each for each in self._workers if each.number is not None}
            for connection in wait(list(by_connection), self._patience_s()):
                worker = by_connection[connection]  # type: ignore[index]
                done = self._hear(worker)
                if done is not None:
                    self._feed()
                    return done

    def _timed(self) -> list[_Worker]:
        """The workers whose jobs' time is running."""
        return [each for each in self._workers if each.is_ready and each.number is not None and self._timeout_s]

    def _left_s(self, worker: _Worker) -> float:
        return worker.since_s + self._timeout_s - time.monotonic()

    def _patience_s(self) -> float | None:
        """How long to wait for what workers say; None: as long as it takes."""
        left_s = [self._left_s(each) for each in self._timed()]
        return max(min(left_s), 0.0) if left_s else None

    def _give_up(self, worker: _Worker) -> tuple[int, Outcome]:
        """End a worker in the middle of its job, which has failed."""
        number = worker.number
        assert number is not None
        self._workers.remove(worker)
        worker.end()
        return number, Outcome(failure=f"it ran longer than {self._timeout_s:g} s and was ended")

    def _hear(self, worker: _Worker) -> tuple[int, Outcome] | None:
        """What a worker says; None when it is only ready."""
        number = worker.number
        assert number is not None
        try:
            told = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            return number, self._bury(worker)
        if worker.is_ready:
            worker.number = None
            return number, told
        if told != READY:
            raise OptimiseError(told)
        worker.is_ready = True
        worker.since_s = time.monotonic()
        return None

    def _bury(self, worker: _Worker) -> Outcome:
        """Forget a worker that has died; what became of its job."""
        self._workers.remove(worker)
        try:
            status = worker.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            status = 0
        worker.end()
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        if not worker.is_ready:
            raise OptimiseError(f"a worker process {how} before it was ready: run zoms backtest to see why")
        return Outcome(failure=f"its worker process {how}")

    def close(self) -> None:
        self._backlog.clear()
        for worker in self._workers:
            worker.end()
        self._workers.clear()


class RayPool:
    """Actors of a Ray cluster, one for each of its CPUs; the data go to each machine once.

    zoms, and the files of strategies at the same paths, must be there on every machine of the cluster.
    """

    def __init__(self, task: Opener, address: str, size: int = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise OptimiseError(f"workers on several machines need Ray ({error}): pip install 'zoms[ray]'") from None
        self._ray: Any = ray
        self._was_there = bool(ray.is_initialized())
        if not self._was_there:
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise OptimiseError(f"there is no Ray cluster at {address!r}: {error_text(error)}") from None
        self.size = size or int(ray.cluster_resources().get("CPU", 1))
        self._task = ray.put(task.packed())
        self._actor = ray.remote(num_cpus=1)(_RayWorker)
        self._idle: list[Any] = []
        self._started = 0
        self._backlog: deque[tuple[int, Job]] = deque()
        self._running: dict[Any, tuple[int, Any]] = {}

    def submit(self, number: int, job: Job) -> None:
        self._backlog.append((number, job))
        self._feed()

    def _feed(self) -> None:
        while self._backlog:
            if not self._idle:
                if self._started == self.size:
                    return
                self._idle.append(self._actor.remote(self._task))
                self._started += 1
            actor = self._idle.pop()
            number, job = self._backlog.popleft()
            self._running[actor.run.remote(job)] = (number, actor)

    def take(self) -> tuple[int, Outcome]:
        (done, *_), _ = self._ray.wait(list(self._running))
        number, actor = self._running.pop(done)
        try:
            outcome: Outcome = self._ray.get(done)
        except self._ray.exceptions.RayActorError as error:
            if error.actor_init_failed:
                raise OptimiseError(f"a worker could not get ready: {error_text(error)}") from None
            outcome = Outcome(failure=f"its worker died: {error_text(error)}")
            self._started -= 1
        else:
            self._idle.append(actor)
        self._feed()
        return number, outcome

    def close(self) -> None:
        self._backlog.clear()
        for actor in [*self._idle, *(actor for _, actor in self._running.values())]:
            self._ray.kill(actor)
        self._idle.clear()
        self._running.clear()
        if not self._was_there:
            self._ray.shutdown()


class _RayWorker:
    """What runs on a cluster's machines."""

    def __init__(self, task: Opener) -> None:
        self._run = task.open()

    def run(self, job: Job) -> Outcome:
        return outcome_of(self._run, job)


def new_pool(task: Opener, size: int = 0, ray_address: str = "", *, timeout_s: float = 0.0) -> Pool:
    """Workers for ``task``: ``size`` of them, or 0 for one for each core (of the cluster, where there is an address).

    A job that runs longer than ``timeout_s`` has failed; 0: it may take any time.

    Raises
    ------
    OptimiseError
        When ``size`` is below 0, there is no Ray or no cluster at the address, or jobs there are to have a time limit.
    """
    if size < 0:
        raise OptimiseError(f"{size} workers are too few: give 1 or more, or 0 for one for each core")
    if ray_address:
        if timeout_s:
            raise OptimiseError("a trial's time can be limited on this machine only, not with Ray: leave one away")
        return RayPool(task, ray_address, size)
    return ProcessPool(task, size or cores(), timeout_s)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0))


def serve(connection: Connection) -> None:
    """A worker's life: open the task, then run jobs until the pipe is closed."""
    sys.path[:] = connection.recv()
    try:
        run = connection.recv().open()
    except Exception as error:  # noqa: BLE001 - it is told to the one who started this process
        connection.send(error_text(error))
        return
    connection.send(READY)
    while True:
        connection.send(outcome_of(run, connection.recv()))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the one who started this process
    end_with_parent(grace_s=0, parent=os.getppid())
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, ConnectionResetError, BrokenPipeError):
        sys.exit(0)
