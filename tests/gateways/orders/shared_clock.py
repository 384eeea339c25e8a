"""One time for the gateway and the exchange, which passes only where somebody waits for it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from tests.gateways.orders.booth import Booth, SkippingClock


class SharedClock(SkippingClock):
    """Time stands still, here and at the exchange, but for waits; and those end only when no request is on its way.

    So a limit that is kept here is kept there, however slow the machine is.
    """

    def __init__(self, longest_s: float = 65.0) -> None:
        super().__init__(longest_s)
        self._start_ns = time.time_ns()
        self._on_their_way = 0
        self._all_are_answered = asyncio.Event()
        self._all_are_answered.set()

    def share(self, booth: Booth) -> None:
        """Have a booth's exchange, and its ccxt, live in this time."""
        exchange = booth.exchange
        fetch = exchange.fetch

        async def counted(*request: Any, **more: Any) -> Any:
            self._on_their_way += 1
            self._all_are_answered.clear()
            try:
                return await fetch(*request, **more)
            finally:
                self._on_their_way -= 1
                if not self._on_their_way:
                    self._all_are_answered.set()

        exchange.fetch = counted
        exchange.milliseconds = lambda: self.time_ns() // 1_000_000
        exchange.options["timeDifference"] = 0
        booth.sandbox.venue.clock.now_ns = self.time_ns  # type: ignore[method-assign]

    def now_s(self) -> float:
        return self.skipped_s

    def time_ns(self) -> int:
        return self._start_ns + round(self.skipped_s * 1e9)

    async def sleep(self, seconds: float) -> None:
        if seconds <= self.longest_s:
            await asyncio.sleep(0)  # requests that were let go are sent
            await self._all_are_answered.wait()
        await super().sleep(seconds)
