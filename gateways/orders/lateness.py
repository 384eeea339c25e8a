"""Whether commands have waited too long between core and gateway, also where the wall clock was set meanwhile.

Frames state when they were sent, by the wall clock; that the gateway's own queue is empty says nothing, for they may
wait in the core's while there is no connection. A step of the wall clock shows against the monotonic one. For twice as
long as a command may wait behind it, a frame must be young by the clock as it was and as it is, however often it was
set meanwhile: none that is old gets through, and those that cannot be told are refused. After that the clock counts as
it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

NS_PER_S: Final = 1_000_000_000
STEP_NS: Final = NS_PER_S // 10
"""A wall clock that moves so far against the monotonic one from one look to the next was set."""
AHEAD_NS: Final = NS_PER_S
"""A frame that was sent so far in the future was sent by another clock."""


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
        self._offset_ns = wall_ns() - monotonic_ns()
        self._earlier: deque[tuple[int, int]] = deque()
        """Until when the wall clock was ahead of the monotonic one by what, before it was set: ns of both."""

    def look(self) -> None:
        """Compare the clocks; to be called often."""
        now_ns = self._monotonic_ns()
        offset_ns = self._wall_ns() - now_ns
        if abs(offset_ns - self._offset_ns) > STEP_NS:
            self._earlier.append((now_ns, self._offset_ns))
        while self._earlier and now_ns - self._earlier[0][0] > 2 * self._max_age_ns:
            self._earlier.popleft()
        self._offset_ns = offset_ns

    def is_late(self, sent_ts: int) -> bool:
        """Whether a frame that was sent at ``sent_ts``, by the wall clock in ns, may have waited too long."""
        self.look()
        now_ns = self._monotonic_ns()
        offsets_ns = [self._offset_ns, *(offset_ns for _, offset_ns in self._earlier)]
        ages_ns = [now_ns + offset_ns - sent_ts for offset_ns in offsets_ns]
        return max(ages_ns) > self._max_age_ns or min(ages_ns) < -AHEAD_NS
