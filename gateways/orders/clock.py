"""The time that the order side waits in; tests put another one in its place."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """The machine's time."""

    def now_s(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def time_ns(self) -> int:
        """Ns since the epoch."""
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""
        await asyncio.sleep(seconds)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for an event, at most so long; whether it came."""
        try:
            async with asyncio.timeout(seconds):  # wait_for of Python 3.11 may swallow a cancellation
                await event.wait()
        except TimeoutError:
            return False
        return True
