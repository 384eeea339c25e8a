"""Rate limits: so many requests of an endpoint in an interval (OKX v5, "Rate Limits", and each endpoint's own section).

Public endpoints count by address, private ones by user, those that trade by user and instrument. A request beyond is
refused with 50011; ``Retry-After`` is not sent. New and amended orders of an account have one more limit together,
50061.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

from gateways.sandbox.okx.errors import ApiError, Error


class Limit(NamedTuple):
    """So many in an interval."""

    most: int
    interval_ms: int = 2000


ORDERS_OF_ACCOUNT: Final = Limit(1000)
"""New and amended orders ("Sub-account rate limit")."""


class RateLimits:
    """Counts in windows that begin at whole multiples of an interval."""

    def __init__(self) -> None:
        self._used: defaultdict[tuple[str, str], tuple[int, int]] = defaultdict(lambda: (-1, 0))

    def charge(self, what: str, who: str, limit: Limit, now_ms: int, amount: int = 1) -> None:
        """Count ``amount`` of an endpoint.

        Raises
        ------
        ApiError
            TOO_MANY_REQUESTS; TOO_MANY_ORDERS for the account's limit of orders.
        """
        window = now_ms // limit.interval_ms
        in_window, used = self._used[what, who]
        used = amount + (used if in_window == window else 0)
        self._used[what, who] = (window, used)
        if used > limit.most:
            raise ApiError(Error.TOO_MANY_ORDERS if limit is ORDERS_OF_ACCOUNT else Error.TOO_MANY_REQUESTS)
