"""Rate limits: request weight by address, orders by account (Binance, USDⓈ-M Futures: "General Info", LIMITS).

A limit counts in windows that begin at whole multiples of its interval. Answers carry what is used; beyond a limit
they are 429 with ``Retry-After``, and an address that does not stop is banned with 418.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, NamedTuple

from gateways.sandbox.binance.errors import ApiError, Error

MS_PER_S: Final = 1000


class Limit(NamedTuple):
    """So many in an interval; ``header`` is the name under which what is used is told."""

    kind: str
    interval: str
    interval_count: int
    most: int
    header: str

    @property
    def interval_ms(self) -> int:
        """Length of its window."""
        return {"SECOND": 1, "MINUTE": 60, "DAY": 86_400}[self.interval] * self.interval_count * MS_PER_S

    @property
    def described(self) -> dict[str, str | int]:
        """As exchangeInfo lists it."""
        return {
            "rateLimitType": self.kind,
            "interval": self.interval,
            "intervalNum": self.interval_count,
            "limit": self.most,
        }


WEIGHT: Final = Limit("REQUEST_WEIGHT", "MINUTE", 1, 2400, "X-MBX-USED-WEIGHT-1M")
ORDERS: Final = (
    Limit("ORDERS", "MINUTE", 1, 1200, "X-MBX-ORDER-COUNT-1M"),
    Limit("ORDERS", "SECOND", 10, 300, "X-MBX-ORDER-COUNT-10S"),
)
"""The defaults that a recorded exchangeInfo answer of the venue lists."""

BAN_AFTER: Final = 20
"""Requests refused in one window before the address is banned; the venue does not say how many."""

BAN_MS: Final = 120_000
"""The first ban; "from 2 minutes to 3 days"."""


class Used:
    """What has been used of one limit, by whom."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._window = 0
        self._used: defaultdict[str, int] = defaultdict(int)

    def add(self, who: str, amount: int, now_ms: int) -> int:
        """Count, and return what is used in the window of now."""
        window = now_ms // self.limit.interval_ms
        if window != self._window:
            self._window = window
            self._used.clear()
        self._used[who] += amount
        return self._used[who]

    def retry_after_s(self, now_ms: int) -> int:
        """Whole seconds until the window ends, at least one."""
        return -(-(self.limit.interval_ms - now_ms % self.limit.interval_ms) // MS_PER_S)


class RateLimits:
    """Counts requests and orders against a market's limits: of weight, and of orders in two intervals."""

    def __init__(self, weight: Limit = WEIGHT, orders: tuple[Limit, Limit] = ORDERS) -> None:
        self.most = weight.most
        self._header = weight.header
        self._weight = Used(weight)
        self._orders = [Used(limit) for limit in orders]
        self._refused = Used(weight)
        self._banned_until_ms: dict[str, int] = {}

    def charge_weight(self, address: str, weight: int, now_ms: int) -> dict[str, str]:
        """Count a request, and return the header that tells what is used.

        Raises
        ------
        ApiError
            TOO_MANY_REQUESTS or BANNED.
        """
        until_ms = self._banned_until_ms.get(address, 0)
        if now_ms < until_ms:
            raise ApiError(Error.BANNED, until_ms, retry_after_s=-(-(until_ms - now_ms) // MS_PER_S))
        used = self._weight.add(address, weight, now_ms)
        if used > self.most:
            if self._refused.add(address, 1, now_ms) > BAN_AFTER:
                self._banned_until_ms[address] = now_ms + BAN_MS
                raise ApiError(Error.BANNED, now_ms + BAN_MS, retry_after_s=BAN_MS // MS_PER_S)
            raise ApiError(Error.TOO_MANY_REQUESTS, self.most, retry_after_s=self._weight.retry_after_s(now_ms))
        return {self._header: str(used)}

    def charge_orders(self, account: str, longer: int, shorter: int, now_ms: int) -> dict[str, str]:
        """Count new or amended orders of an account, as each window counts them; the headers that tell what is used.

        Raises
        ------
        ApiError
            TOO_MANY_ORDERS.
        """
        headers = {}
        for used, amount in zip(self._orders, (longer, shorter), strict=True):
            count = used.add(account, amount, now_ms)
            if count > used.limit.most:
                interval = {1: used.limit.interval, 10: "TEN_SECONDS"}[used.limit.interval_count]
                raise ApiError(
                    Error.TOO_MANY_ORDERS, used.limit.most, interval, retry_after_s=used.retry_after_s(now_ms)
                )
            headers[used.limit.header] = str(count)
        return headers
