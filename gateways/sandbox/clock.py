"""The exchange's clock, which may be wrong, and what is to happen at a time of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Final

NS_PER_MS: Final = 1_000_000


class Clock:
    """The machine's time and a skew.

    Attributes
    ----------
    skew_ms : int
        How far the exchange is ahead of the machine.
    """

    def __init__(self) -> None:
        self.skew_ms = 0

    def now_ns(self) -> int:
        """The exchange's time, ns since the epoch."""
        return time.time_ns() + self.skew_ms * NS_PER_MS

    @property
    def now_ms(self) -> int:
        """The exchange's time, ms since the epoch."""
        return self.now_ns() // NS_PER_MS


class Timers:
    """Things that are to happen at a time, by name; a running event loop wakes them.

    Tests that move the clock call ``run_due`` themselves.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[Hashable, tuple[int, Callable[[], None]]] = {}
        self._handle: asyncio.TimerHandle | None = None

    def set(self, name: Hashable, delay_ms: int, act: Callable[[], None]) -> None:
        """Have ``act`` called in so many ms, instead of what was set under the name; 0: nothing is."""
        self._due.pop(name, None)
        if delay_ms > 0:
            self._due[name] = (self._clock.now_ms + delay_ms, act)
        self._wake()

    def run_due(self) -> None:
        """Call what is due."""
        now_ms = self._clock.now_ms
        for name, (due_ms, act) in sorted(self._due.items(), key=lambda item: item[1][0]):
            if due_ms <= now_ms and self._due.get(name) == (due_ms, act):
                del self._due[name]
                act()
        self._wake()

    def close(self) -> None:
        """Forget all of it."""
        self._due.clear()
        self._wake()

    def _wake(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._due:
            next_ms = min(due_ms for due_ms, _ in self._due.values())
            delay_s = max(next_ms - self._clock.now_ms, 0) / 1000 + 0.001
            self._handle = asyncio.get_running_loop().call_later(delay_s, self.run_due)
