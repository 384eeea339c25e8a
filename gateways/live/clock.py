"""How far this machine's clock is ahead of the exchange's."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

SAMPLES: Final = 5
NS_PER_MS: Final = 1_000_000


class ClockOffset:
    """The offset as last measured.

    The exchange's time is taken to be that of the middle between a question and its answer (as NTP does, RFC 5905, 8),
    of the quickest of a few: it is wrong by half of what that one took, at most.

    Attributes
    ----------
    offset_ms : float
        This machine's time less the exchange's.
    error_ms : float
        By how much that may be wrong; 0 until it has been measured.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.offset_ms = 0.0
        self.error_ms = 0.0
        self._now_ns = now_ns

    async def measure(self, ask_ms: Callable[[], Awaitable[int]]) -> None:
        """Ask the exchange's time, in ms, a few times; raises what that raises."""
        best_ms, best_offset_ms = float("inf"), 0.0
        for _ in range(SAMPLES):
            asked_ns = self._now_ns()
            server_ms = await ask_ms()
            took_ms = (self._now_ns() - asked_ns) / NS_PER_MS
            if took_ms < best_ms:
                best_ms = took_ms
                best_offset_ms = asked_ns / NS_PER_MS + took_ms / 2 - (server_ms + 0.5)  # it is cut to whole ms
        self.offset_ms, self.error_ms = best_offset_ms, best_ms / 2 + 0.5
