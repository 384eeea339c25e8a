"""Orders whose turn does not come in time."""

from __future__ import annotations

import asyncio

from oms.records import ReportKind
from tests.gateways.orders.booth import FAR, Booth, on_booth


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
