"""As many orders as OKX takes, and none refused for being too many."""

from __future__ import annotations

from collections import Counter

import pytest

from gateways.orders.outcomes import Verdict
from oms.records import ReportKind, TimeInForce
from tests.gateways.okx.booth import OkxBooth, on_booth
from tests.gateways.orders.booth import FAR
from tests.gateways.orders.test_rate import SharedClock

BATCH = 60
"""No more than go at once: skipped waits would let the rest overtake what is still on its way."""


def run_orders(count: int) -> None:
    @on_booth(lambda: SharedClock(longest_s=65.0), deadline_s=20.0 + count * 0.05)
    async def body(booth: OkxBooth) -> None:
        assert isinstance(booth.clock, SharedClock)
        booth.clock.booth = booth
        booth.okx.patience_s = None
        before = len(booth.reports)
        started_s = booth.clock.now_s()
        for start in range(0, count, BATCH):
            for _ in range(BATCH):
                booth.place(1, 100, FAR, time_in_force=TimeInForce.IOC)
            expected = before + 2 * (start + BATCH)  # of each order its acceptance and its end
            await booth.until(lambda expected=expected: len(booth.reports) >= expected)  # type: ignore[misc]
        kinds = Counter(int(report["kind"]) for report in booth.reports[before:])
        assert kinds == {ReportKind.ACCEPTED: count, ReportKind.EXPIRED: count}
        assert booth.gateway.outcomes[Verdict.NOT_ACCEPTED] == 0
        assert booth.clock.now_s() - started_s > 2.0 * (count // 60 - 1)

    body()


def test_orders_wait_for_the_exchanges_windows() -> None:
    run_orders(300)


@pytest.mark.thorough
def test_thousands_of_orders_are_taken_at_the_exchanges_rate() -> None:
    run_orders(4_200)
