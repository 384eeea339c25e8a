"""Commands that have come too late: by how long they can have waited, and not by a wall clock that was set."""

from __future__ import annotations

import pytest

from gateways.orders.lateness import Lateness

pytestmark = pytest.mark.pure

S = 10**9
MAX_AGE_S = 5.0


class Clocks:
    """Both clocks of a machine, in seconds."""

    def __init__(self) -> None:
        self.monotonic_s = 100.0
        self.wall_s = 1_000_000.0

    def go_on(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall_s += seconds

    @property
    def wall_ns(self) -> int:
        return int(self.wall_s * S)

    def lateness(self) -> Lateness:
        return Lateness(MAX_AGE_S, lambda: int(self.monotonic_s * S), lambda: self.wall_ns)


@pytest.mark.parametrize("age_s", [0.0, 4.0, 6.0, 3600.0])
def test_the_time_stated_counts(age_s: float) -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    clocks.go_on(60.0)
    assert lateness.is_late(clocks.wall_ns - int(age_s * S)) == (age_s > MAX_AGE_S)


def test_what_was_sent_by_a_clock_ahead_is_late() -> None:
    clocks = Clocks()
    assert clocks.lateness().is_late(clocks.wall_ns + 2 * S)


@pytest.mark.parametrize("step_s", [-3600.0, -10.0, -4.0, -0.5, 0.0, 0.5, 4.0, 10.0, 3600.0])
@pytest.mark.parametrize("looks", [False, True])
def test_what_waited_too_long_is_late_however_the_clock_is_set_meanwhile(step_s: float, looks: bool) -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    sent_ts = clocks.wall_ns
    clocks.go_on(3.0)
    clocks.wall_s += step_s
    if looks:
        lateness.look()
    clocks.go_on(3.0)
    assert lateness.is_late(sent_ts)


@pytest.mark.parametrize("step_s", [-10.0, -4.0, 4.0, 10.0])
def test_what_waited_too_long_is_late_when_the_clock_is_set_twice_meanwhile(step_s: float) -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    sent_ts = clocks.wall_ns
    for step in (step_s, -step_s / 2):
        clocks.go_on(2.0)
        clocks.wall_s += step
        lateness.look()
    clocks.go_on(2.0)
    assert lateness.is_late(sent_ts)


@pytest.mark.parametrize("step_s", [-3600.0, -10.0, 10.0, 3600.0])
def test_a_clock_that_was_set_turns_nothing_away_for_longer_than_twice_that_time(step_s: float) -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    clocks.wall_s += step_s
    assert lateness.is_late(clocks.wall_ns)  # it cannot be told from one that is old
    clocks.go_on(2 * MAX_AGE_S + 1)
    lateness.look()
    assert not lateness.is_late(clocks.wall_ns)


def test_a_clock_that_is_slewed_turns_nothing_away() -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    for _ in range(1_000):
        clocks.go_on(0.1)
        clocks.wall_s -= 0.05
        lateness.look()
    assert not lateness.is_late(clocks.wall_ns)
