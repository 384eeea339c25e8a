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


@pytest.mark.parametrize("step_s", [-3600.0, -10.0, 0.0, 10.0, 3600.0])
def test_what_came_after_nothing_waited_is_not_late_however_the_clock_is_set(step_s: float) -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    lateness.note_empty()
    sent_ts = clocks.wall_ns
    clocks.wall_s += step_s
    clocks.go_on(4.0)
    assert not lateness.is_late(sent_ts)


@pytest.mark.parametrize("step_s", [-3600.0, -10.0, 0.0, 10.0])
def test_what_waited_while_nobody_looked_is_late_however_the_clock_is_set(step_s: float) -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    lateness.note_empty()
    sent_ts = clocks.wall_ns
    clocks.go_on(3.0)
    clocks.wall_s += step_s
    clocks.go_on(3.0)
    assert lateness.is_late(sent_ts)


def test_what_was_sent_a_moment_ago_is_not_late_though_nobody_looked_for_long() -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    lateness.note_empty()
    clocks.go_on(60.0)
    assert not lateness.is_late(clocks.wall_ns - S)


def test_of_what_waited_before_the_gateway_began_the_time_stated_counts() -> None:
    clocks = Clocks()
    lateness = clocks.lateness()
    assert not lateness.is_late(clocks.wall_ns - 4 * S)
    assert lateness.is_late(clocks.wall_ns - 6 * S)
    assert lateness.is_late(clocks.wall_ns + 2 * S)  # the clock was set back since, nobody knows how far
