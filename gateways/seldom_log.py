"""A log in which what repeats is told at once, and then seldom, with how often it came."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 10.0
"""Between two lines of one kind."""


class _Repeats:
    """What has come of one kind since it was told last."""

    def __init__(self, told_s: float) -> None:
        self.told_s = told_s
        self.count = 0
        self.line = ""


class SeldomLog:
    """Tells the first line of each kind at once; those that follow soon are counted, and the last of them is told.

    Parameters
    ----------
    say
        Takes the lines that are told.
    every_s
        Between two of one kind.
    now_s
        Monotonic seconds.
    """

    def __init__(
        self, say: Callable[[str], None], every_s: float = EVERY_S, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._every_s = every_s
        self._now_s = now_s
        self._kinds: dict[str, _Repeats] = {}

    def add(self, kind: str, line: str) -> None:
        """Take a line of a kind."""
        self.look()
        repeats = self._kinds.get(kind)
        if repeats is None:
            self._kinds[kind] = _Repeats(self._now_s())
            self._say(line)
        else:
            repeats.count += 1
            repeats.line = line

    def look(self) -> None:
        """Tell what is due."""
        now_s = self._now_s()
        for kind, repeats in list(self._kinds.items()):
            if now_s - repeats.told_s < self._every_s:
                continue
            if not repeats.count:
                del self._kinds[kind]  # the next one is the first again
                continue
            self._tell(repeats, now_s)

    def close(self) -> None:
        """Tell what is left."""
        for repeats in self._kinds.values():
            if repeats.count:
                self._tell(repeats, self._now_s())
        self._kinds.clear()

    def _tell(self, repeats: _Repeats, now_s: float) -> None:
        self._say(f"{repeats.count} more in {now_s - repeats.told_s:.0f} s, the last: {repeats.line}")
        repeats.told_s, repeats.count = now_s, 0
