"""Whether commands have waited too long between core and gateway, whatever the wall clock does meanwhile.

Frames state when they were sent by the wall clock, which may be set while they wait. What comes in after nothing had
been waiting has been sent since: a time that the monotonic clock measures. Only where that is too long, of a gateway
that hung or has just begun, does the time stated count, and then by the wall clock as it is and as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

NS_PER_S: Final = 1_000_000_000
AHEAD_S: Final = 1.0
"""A frame that was sent so far in the future was sent before the clock was set back, nobody knows when."""


class Lateness:
    """Tells commands that have come too late to be sent.

    Parameters
    ----------
    max_age_s
        How long they may have waited.
    monotonic_ns, wall_ns
        The clocks.
    """

    def __init__(
        self,
        max_age_s: float,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._max_age_ns = int(max_age_s * NS_PER_S)
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._emptied_ns: int | None = None
        self._offset_ns = wall_ns() - monotonic_ns()

    def note_empty(self) -> None:
        """Take note that nothing waits at the moment."""
        self._emptied_ns = self._monotonic_ns()
        self._offset_ns = self._wall_ns() - self._emptied_ns

    def is_late(self, sent_ts: int) -> bool:
        """Whether a frame that was sent at ``sent_ts``, by the wall clock in ns, may have waited too long."""
        now_ns = self._monotonic_ns()
        if self._emptied_ns is not None and now_ns - self._emptied_ns <= self._max_age_ns:
            return False
        ages_ns = (self._wall_ns() - sent_ts, now_ns + self._offset_ns - sent_ts)
        return max(ages_ns) > self._max_age_ns or min(ages_ns) < -AHEAD_S * NS_PER_S
