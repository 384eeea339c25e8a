"""A session from start to end: the family, its figures, and when it is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

from oms.bus import Subscriber
from oms.child import ChildState
from oms.config import Settings
from oms.figures import Figures
from oms.records import RecordKind
from oms.supervisor import LogLine, Supervisor

FRAMES_A_STEP: Final = 500
LOSSES: Final = (
    ("core", "ticks_lost", "lost ticks:"),
    ("core", "strategies_halted", "halted strategies:"),
    ("recorder", "ticks_lost", "lost ticks:"),
    ("recorder", "ticks_unwritten", "could not write ticks:"),
    ("recorder", "events_lost", "lost events:"),
)
"""Counters of things that must not happen in a session that went well."""

STALLED_S: Final = 5.0
"""How long everyone may stand still after the gateway's last tick before the session counts as incomplete."""


class TradingSession:
    """Runs one session, on paper or with real orders.

    The session is over when someone asks it to stop, or when a process that it needs has failed for good. On a recorded
    stream also when every process has been ready, the gateway is done, and the core and the recorder have worked off
    its last tick; on live data, when ``replay.duration_s`` has passed since every process was ready, where that is set.

    Parameters
    ----------
    settings : Settings
        The session's settings, resolved.
    listen : callable
        Called with each line of the supervisor's log.

    Raises
    ------
    LockError, BusError, ConfigError
        As ``Supervisor`` does; ``ConfigError`` for the exchange model of bars too.
    """

    def __init__(self, settings: Settings, listen: Callable[[LogLine], None] = lambda line: None) -> None:
        if settings.mode == "paper":
            settings.matching.check_book_model()
        self.settings = settings
        self.supervisor = Supervisor(settings, listen=listen)
        self.figures = Figures(settings, self.supervisor.children)
        self._events = Subscriber(self.supervisor.context, [settings.events_endpoint], [RecordKind.EVENT])
        self._last_progress: tuple[float, ...] = ()
        self._progress_at = 0.0
        self._complete_at = 0.0

    def __enter__(self) -> TradingSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._events.close()
        self.supervisor.close()

    def run(self, show: Callable[[], None], interval_s: float) -> bool:
        """Run to the end, calling ``show`` about every ``interval_s``; True when all went well."""
        supervisor = self.supervisor
        with supervisor.signals():
            supervisor.start()
            due = time.monotonic()
            while supervisor.running:
                supervisor.step(max(0.0, min(due - time.monotonic(), self.settings.heartbeat_s)))
                self._take_events()
                self._end_when_over()
                if time.monotonic() >= due:
                    due = time.monotonic() + interval_s
                    show()
            supervisor.run_until_stopped()
            self._take_events()
            show()
        return not self.problems()

    def problems(self) -> list[str]:
        """What went wrong, a line each; empty when all went well."""
        found = [self.supervisor.failure] if self.supervisor.failure else []
        found += [
            f"{name} was given up on: {child.problem}"
            for name, child in self.supervisor.children.items()
            if child.state is ChildState.FAILED and child.problem not in self.supervisor.failure
        ]
        found += [
            f"orders may be open at {child.venue}, see {child.log_path}: zoms kill-switch cancels them"
            for child in self.supervisor.children.values()
            if child.role == "orders" and (child.problem or child.last_counter("left_open"))
        ]
        restarts = self.supervisor.children["core"].restarts
        if restarts:
            found.append(
                f"core was started again ({restarts}): it came up HALTED, with its orders and positions rebuilt"
            )
        for name, counter, text in LOSSES:
            lost = self.figures.counter(name, counter)
            if lost:
                found.append(f"{name} {text} {lost:,.0f}")
        return found

    def summary(self) -> dict[str, Any]:
        """The session's figures and its problems as one JSON object."""
        return {**self.figures.summary(), "problems": self.problems()}

    def _take_events(self) -> None:
        for frame in self._events.drain(FRAMES_A_STEP):
            self.figures.take(frame)

    def _end_when_over(self) -> None:
        supervisor = self.supervisor
        if supervisor.stopping or not supervisor.complete:
            return
        if self.settings.is_live:
            self._end_when_time_is_over()
            return
        if not supervisor.children["gateway"].done:
            return
        if self.figures.caught_up():
            supervisor.request_stop("the recording has ended")
            return
        progress, now = self.figures.progress(), time.monotonic()
        if progress != self._last_progress:
            self._last_progress, self._progress_at = progress, now
        elif now - self._progress_at > STALLED_S:
            restarted = any(child.restarts for child in supervisor.children.values())
            supervisor.request_stop(
                "the recording has ended" if restarted else "the core or the recorder did not take the whole recording",
                failed=not restarted,
            )

    def _end_when_time_is_over(self) -> None:
        duration_s, now = self.settings.replay.duration_s, time.monotonic()
        self._complete_at = self._complete_at or now
        if duration_s and now - self._complete_at >= duration_s:
            self.supervisor.request_stop(f"{duration_s:g} s are over")
