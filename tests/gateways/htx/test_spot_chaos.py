"""Random commands to HTX spot while everything goes wrong: at the end the reports come to what the exchange has."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from gateways.sandbox.faults import FaultPlan
from oms.records import OrderState
from tests.gateways.htx.booth import SPOT, HtxBooth, on_booth
from tests.gateways.orders.booth import SkippingClock
from tests.gateways.orders.mirror import OPEN
from tests.gateways.orders.test_chaos import COMMANDS, RATES, Trader


def check(trader: Trader) -> None:
    """The reports come to exactly what the exchange has."""
    booth = trader.booth
    exchange = booth.sandbox.venue.exchange
    there = {booth.known.ids.order_id(order.client_order_id): order for order in exchange.orders.values()}
    assert Counter(order.client_order_id for order in exchange.orders.values()).most_common(1)[0][1] == 1
    for order_id, order in trader.mirror.orders.items():
        shown = there.pop(order_id, None)
        if shown is None:
            assert order.state is OrderState.REJECTED, f"{order_id} is {order.state.name} and not there"
            continue
        assert (order.state in OPEN) == shown.status.is_open
        assert order.filled_qty == shown.filled_qty
        assert order.trades == {fill.trade_id for fill in booth.account.fills if fill.order is shown}
    assert not there, "orders that nobody asked for"
    assert booth.known.cash == {"USDT": booth.account.wallet, "BTC": booth.account.base_wallet}


def run_seed(seed: int) -> None:
    @on_booth(lambda: SkippingClock(400.0), SPOT)
    async def body(booth: HtxBooth) -> None:
        trader = Trader(booth, seed)
        booth.sandbox.venue.limits.charge = lambda *_: {}  # type: ignore[attr-defined]  # waits take no time here
        booth.sandbox.venue.faults = FaultPlan(seed, RATES)
        for _ in range(COMMANDS):
            trader.act()
            for _ in range(trader.draw.randrange(60)):
                await asyncio.sleep(0)
            trader.take_reports()
        booth.faults()
        await booth.gateway.idle()
        await booth.gateway.entry.opened.wait()
        assert await booth.gateway.reconcile(), booth.gateway.entry.why_not
        await booth.gateway.idle()
        trader.take_reports()
        check(trader)

    body()


@pytest.mark.parametrize("seed", range(2))
def test_reports_come_to_what_the_exchange_has(seed: int) -> None:
    run_seed(seed)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(100, 200))
def test_reports_come_to_what_the_exchange_has_thoroughly(seed: int) -> None:
    run_seed(seed)
