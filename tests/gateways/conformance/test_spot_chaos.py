"""Random commands to Binance spot while everything goes wrong: at the end the reports come to what the exchange has."""

from __future__ import annotations

import asyncio

import pytest

from gateways.sandbox.binance.spot_venue import SpotVenue
from gateways.sandbox.faults import FaultPlan
from oms.records import ReportKind
from tests.gateways.conformance.cases import CASES, Stand
from tests.gateways.orders.booth import Booth, SkippingClock, on_booth
from tests.gateways.orders.test_chaos import COMMANDS, RATES, Trader, check_orders

(SPOT,) = (case for case in CASES if case.name == "binance_spot")


def run_seed(seed: int) -> None:
    @on_booth(SkippingClock, recording=SPOT.recording)
    async def body(booth: Booth) -> None:
        trader = Trader(booth, seed)
        venue = booth.sandbox.venue
        assert isinstance(venue, SpotVenue)
        venue.limits.charge_orders = lambda *_: {}  # type: ignore[method-assign]  # waits take no time here
        venue.faults = FaultPlan(seed, RATES)
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
        check_orders(trader)
        bought = sum(fill.order.side * fill.qty for fill in booth.account.fills)
        assert trader.mirror.qty == bought == booth.known.positions[booth.instrument.id]
        holdings = Stand(booth, SPOT).holdings()
        assert booth.known.cash == holdings == told_balances(booth)

    body()


def told_balances(booth: Booth) -> dict[str, int]:
    """What the core has in its wallets by the reports: fills exchange the two currencies, and fees are in the quote."""
    base, quote = booth.instrument.base, booth.instrument.quote
    numbers = {number: currency for currency, number in booth.known.wallets.items()}
    cash = {base: 0, quote: 0}
    lot = round(float(booth.instrument.lot) * 10**8)
    for report in booth.reports:
        if report["kind"] == ReportKind.BALANCE:
            cash[numbers[int(report["value"])]] = int(report["fee"])
        elif report["kind"] == ReportKind.FILL:
            side, px, qty = (int(report[name]) for name in ("side", "px", "qty"))
            cash[base] += side * qty * lot
            cash[quote] -= side * round(px * qty * booth.instrument.cash_per_tick_lot) + int(report["fee"])
    return cash


@pytest.mark.parametrize("seed", range(3))
def test_reports_come_to_what_the_exchange_has(seed: int) -> None:
    run_seed(seed)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(100, 200))
def test_reports_come_to_what_the_exchange_has_thoroughly(seed: int) -> None:
    run_seed(seed)
