"""Random commands to HTX while everything goes wrong: at the end the reports come to what the exchange has."""

from __future__ import annotations

import asyncio

import pytest

from gateways.sandbox.faults import FaultPlan
from tests.gateways.htx.booth import HtxBooth, on_booth
from tests.gateways.orders.booth import SkippingClock
from tests.gateways.orders.test_chaos import COMMANDS, RATES, Trader, check_equal


def run_seed(seed: int) -> None:
    @on_booth(lambda: SkippingClock(400.0))
    async def body(booth: HtxBooth) -> None:
        trader = Trader(booth, seed)
        booth.side.limits.charge = lambda *_: {}  # type: ignore[method-assign]  # waits take no time here
        booth.side.faults = FaultPlan(seed, RATES)
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
        check_equal(trader)

    body()


@pytest.mark.parametrize("seed", range(2))
def test_reports_come_to_what_the_exchange_has(seed: int) -> None:
    run_seed(seed)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(100, 200))
def test_reports_come_to_what_the_exchange_has_thoroughly(seed: int) -> None:
    run_seed(seed)
