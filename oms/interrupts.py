"""Signals that ask a process to end, counted, and able to wake a poll."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Final

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Within its block, SIGINT, SIGTERM and SIGHUP are counted instead of acted on.

    Attributes
    ----------
    count : int
        Signals so far.
    descriptor : int
        Readable as soon as there was one: for a poll that must not sleep through it.
    """

    def __init__(self) -> None:
        self.count = 0
        self.descriptor, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Interrupts:
        self._handlers = {number: signal.signal(number, self._on_signal) for number in ENDING_SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        os.close(self.descriptor)
        os.close(self._writer)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1

    def seen(self) -> int:
        """The count; the descriptor is quiet again until the next signal."""
        with suppress(BlockingIOError):
            os.read(self.descriptor, 64)
        return self.count
