"""Work that is under way: a task for each piece of it, and what an error of our own means."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """What is being worked, and services that run until they are ended.

    Parameters
    ----------
    on_error
        Called with what went wrong in one of them.
    """

    def __init__(self, on_error: Callable[[BaseException], None]) -> None:
        self._on_error = on_error
        self._working: set[asyncio.Task[None]] = set()
        self._services: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How much is being worked, without the services."""
        return len(self._working)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a piece of work."""
        self._add(work, self._working)

    def serve(self, service: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a service."""
        return self._add(service, self._services)

    async def idle(self) -> None:
        """Wait until no work is left; services go on."""
        while self._working:
            await asyncio.wait(self._working)

    async def close(self) -> None:
        """End all of them."""
        while tasks := [*self._services, *self._working]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _add(self, work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        def on_end(task: asyncio.Task[None]) -> None:
            among.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                self._on_error(error)

        task = asyncio.ensure_future(work)
        among.add(task)
        task.add_done_callback(on_end)
        return task
