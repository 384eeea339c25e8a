"""The dead man's switch: the exchange cancels all orders of an account whose gateway has died or hangs."""

from __future__ import annotations

import asyncio
from typing import Final

from gateways.orders.asking import RETRY_S, Asking
from gateways.orders.outcomes import REQUEST_ERRORS
from gateways.orders.tasks import Tasks

DISARM_S: Final = 3.0
"""How long the end of a session may take to take back the switch."""


class DeadManSwitch:
    """Keeps the exchange's switch set.

    Parameters
    ----------
    seconds
        After which the exchange cancels unless it is told again; 0: the switch is not used.
    """

    def __init__(self, asking: Asking, seconds: float) -> None:
        self._asking = asking
        self._seconds = seconds
        self._keeping: asyncio.Task[None] | None = None

    def start(self, tasks: Tasks) -> None:
        """Set it, again and again."""
        if self._seconds and self._asking.entry.may_trade:
            self._keeping = tasks.serve(self._keep())

    def stop(self) -> None:
        """Set it no more; it stays set."""
        if self._keeping is not None:
            self._keeping.cancel()

    async def disarm(self) -> None:
        """Take it back, or say that it will work."""
        if not self._seconds:
            return
        try:
            async with asyncio.timeout(DISARM_S):
                while not await self._arm(0.0):
                    await self._asking.clock.sleep(RETRY_S[0])
        except TimeoutError:
            self._asking.log(
                f"the exchange will cancel what is open within {self._seconds:g} s: it was not told otherwise"
            )

    async def _keep(self) -> None:
        """Tell the exchange three times in its time that this process lives and its loop turns."""
        while True:
            await self._arm(self._seconds)
            await self._asking.clock.sleep(self._seconds / 3)

    async def _arm(self, seconds: float) -> bool:
        """Set the switch; whether it was done for every instrument."""
        is_done = True
        for instrument in self._asking.known.instruments.values():
            try:
                await self._asking.venue.arm(instrument, seconds)
            except REQUEST_ERRORS as error:
                self._asking.note(error)
                is_done = False
        return is_done
