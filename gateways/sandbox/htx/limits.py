"""Rate limits: so many requests of a kind in an interval ("API Rate Limit Illustration" of contracts; of spot the limit
of each endpoint).

Contracts count those that trade and those that read apart, by account, and public ones by address. Every answer tells
in its headers what is left; a request beyond is refused with 1032.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

from gateways.sandbox.htx.errors import ApiError, Error


class Limit(NamedTuple):
    """So many in an interval."""

    name: str
    most: int
    interval_ms: int


TRADE: Final = Limit("trade", 72, 3000)
READ: Final = Limit("read", 72, 3000)
PUBLIC: Final = Limit("public", 240, 3000)


class RateLimits:
    """Counts in windows that begin at whole multiples of an interval."""

    def __init__(self) -> None:
        self._used: defaultdict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (-1, 0))

    def charge(self, limit: Limit, who: str, now_ms: int) -> dict[str, str]:
        """Count a request, and return the headers of its answer; raises ``ApiError`` beyond the limit."""
        window = now_ms // limit.interval_ms
        in_window, used = self._used[limit.name, who]
        used = 1 + (used if in_window == window else 0)
        self._used[limit.name, who] = (window, used)
        if used > limit.most:
            raise ApiError(Error.TOO_MANY_REQUESTS)
        return {
            "ratelimit-limit": str(limit.most),
            "ratelimit-interval": str(limit.interval_ms),
            "ratelimit-remaining": str(limit.most - used),
            "ratelimit-reset": str((window + 1) * limit.interval_ms),
        }
