"""Several new orders of one frame in one request to OKX: each has its own outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oms.records import CommandKind, OrderType, Reason, ReportKind, TimeInForce
from tests.gateways.okx.booth import OkxBooth, on_booth
from tests.gateways.orders.booth import FAR


def place(booth: OkxBooth, *pxs: int) -> list[int]:
    """Ask for orders at these prices in one frame."""
    terms = {"side": 1, "qty": 10, "order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC}
    ids = [booth.new_id() for _ in pxs]
    commands = [booth.command(CommandKind.NEW, order_id, px=px, **terms) for order_id, px in zip(ids, pxs, strict=True)]
    booth.gateway.take(np.concatenate(commands))
    return ids


@pytest.mark.parametrize("good", [0, 3, 25])
def test_each_order_of_a_batch_has_its_own_outcome(good: int) -> None:
    @on_booth()
    async def body(booth: OkxBooth) -> None:
        sent: list[int] = []
        real = booth.exchange.privatePostTradeBatchOrders

        async def counted(request: Any) -> Any:
            sent.append(len(request))
            return await real(request)

        booth.exchange.privatePostTradeBatchOrders = counted
        ids = place(booth, *range(FAR, FAR + good), 2 * FAR, 2 * FAR)
        for order_id in ids[:good]:
            assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
        for order_id in ids[good:]:
            assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
            assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.PRICE_COLLAR
        assert sorted(order.px for order in booth.account.open_orders.values()) == [*range(FAR, FAR + good)]
        assert sent == ([20, 7] if good == 25 else [good + 2])

    body()
