"""As many orders as the venue takes, and none refused for being too many."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateways.orders.outcomes import Verdict
from oms.records import ReportKind, TimeInForce
from tests.gateways.orders.booth import FAR, Booth, SkippingClock, on_booth


class SharedClock(SkippingClock):
    """Waits take no time, neither here nor at the exchange: both clocks are put forward."""

    booth: Booth | None = None

    async def sleep(self, seconds: float) -> None:
        if self.booth is not None and seconds <= self.longest_s:
            self.booth.sandbox.venue.clock.skew_ms += round(seconds * 1000)
            self.booth.exchange.options["timeDifference"] -= round(seconds * 1000)
        await super().sleep(seconds)


def run_orders(count: int) -> None:
    @on_booth(clock=lambda: SharedClock(longest_s=65.0), deadline_s=20.0 + count * 0.03)
    async def body(booth: Booth) -> None:
        assert isinstance(booth.clock, SharedClock)
        booth.clock.booth = booth
        booth.venue.patience_s = None
        started_s = booth.clock.now_s()
        batch = 100
        for start in range(0, count, batch):
            for _ in range(batch):
                booth.place(1, 100, FAR, time_in_force=TimeInForce.IOC)
            expected = 1 + 2 * (start + batch)  # the balance, then of each order its acceptance and its end
            await booth.until(lambda expected=expected: len(booth.reports) >= expected)  # type: ignore[misc]
        kinds = Counter(int(report["kind"]) for report in booth.reports)
        assert kinds == {ReportKind.BALANCE: 1, ReportKind.ACCEPTED: count, ReportKind.EXPIRED: count}
        assert booth.gateway.outcomes[Verdict.NOT_ACCEPTED] == 0
        assert booth.clock.now_s() - started_s > 10.0 * (count // 300)

    body()


def test_orders_wait_for_the_exchanges_windows() -> None:
    run_orders(700)


@pytest.mark.thorough
def test_ten_thousand_orders_are_taken_at_the_exchanges_rate() -> None:
    run_orders(10_000)


def test_order_that_cannot_have_its_turn_in_time_is_rejected() -> None:
    @on_booth()
    async def body(booth: Booth) -> None:
        booth.venue.patience_s = 0.01
        booth.venue.limiter.pause(1.0)
        order_id = booth.place(1, 100, FAR)
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        await asyncio.sleep(0)
        assert booth.venue.limiter.refused == 1
        assert not booth.account.open_orders

    body()
