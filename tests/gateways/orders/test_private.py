"""The private stream: lost, late, twice and out of order, and what the core is told all the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateways.orders.private import KEEP_S, MOST_MISSED
from gateways.sandbox.faults import Fault, FaultPlan
from oms.records import ReportKind
from tests.gateways.orders.booth import FAR, Booth, SkippingClock, answered_by, on_booth


class PrivateFaults(FaultPlan):
    """Always, but only for the next so many messages."""

    def __init__(self, fault: Fault, times: int) -> None:
        super().__init__(0, {fault: 1.0})
        self._fault = fault
        self._left = times

    def happens(self, fault: Fault) -> bool:
        happens = fault is self._fault and self._left > 0
        self._left -= happens
        return happens


@pytest.mark.parametrize("fault", [Fault.DUPLICATE, Fault.REORDER, Fault.DROP])
def test_each_fill_is_told_once_however_it_comes(fault: Fault) -> None:
    @on_booth()
    async def body(booth: Booth) -> None:
        booth.faults(fault, rate=0.5)
        ids = [booth.place(side, 3_000) for side in (1, -1, 1, -1)]
        await booth.until(lambda: booth.account.qty == 0 and len(booth.account.fills) >= len(ids))
        await booth.until(lambda: not booth.known.orders)
        await booth.gateway.idle()
        booth.faults()
        told = sorted(int(each["trade_id"]) for each in booth.reports if each["kind"] == ReportKind.FILL)
        assert told == sorted(fill.trade_id for fill in booth.account.fills)
        assert booth.known.cash["USDT"] == booth.account.wallet
        assert all(booth.of(order_id)[0] == "ACCEPTED" for order_id in ids)

    body()


@on_booth()
async def test_fills_while_the_stream_is_down_are_told_first_thing(booth: Booth) -> None:
    order_id = booth.place(-1, 30, booth.best(-1))
    other_id = booth.place(1, 10, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    await booth.done(other_id, ReportKind.ACCEPTED)
    booth.binance.streams.end_all("private")
    booth.market_moves(lambda: booth.account.qty == -30)
    (other,) = booth.account.open_orders.values()
    booth.sandbox.venue.exchange.cancel(other)
    await booth.until(lambda: booth.gateway.stream.connections == 2 and booth.gateway.trades)
    assert booth.of(order_id).count("FILL") == len(booth.account.fills)
    assert booth.of(other_id) == ["ACCEPTED", "CANCELLED"]
    assert not booth.known.orders
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth()
async def test_nothing_but_cancels_leaves_while_the_stream_is_down(booth: Booth) -> None:
    resting = booth.place(1, 10, FAR)
    await booth.done(resting, ReportKind.ACCEPTED)
    booth.sandbox.venue.begin_maintenance()
    await booth.until(lambda: not booth.gateway.trades)
    assert await booth.done(booth.place(1, 10, FAR), ReportKind.REJECTED) == ["REJECTED"]
    booth.amend(resting, FAR, 20)
    assert (await booth.done(resting, ReportKind.AMEND_REJECTED))[-1] == "AMEND_REJECTED"
    booth.sandbox.venue.is_in_maintenance = False
    booth.cancel(resting)
    assert (await booth.done(resting, ReportKind.CANCELLED))[-1] == "CANCELLED"


@on_booth()
async def test_expired_key_leads_to_a_new_one(booth: Booth) -> None:
    key = booth.binance.listen_keys.of(booth.account)
    assert key is not None
    booth.binance.expire_listen_key(key)
    await booth.until(lambda: booth.gateway.stream.connections == 2 and booth.gateway.trades)
    assert booth.binance.listen_keys.of(booth.account) not in (None, key)
    await booth.done(booth.place(1, 10), ReportKind.FILL)


class KeepingClock(SkippingClock):
    """Lets the key's renewal come when it is told to, and nothing else of the background."""

    def __init__(self) -> None:
        super().__init__()
        self.renew = asyncio.Event()
        self.renewals = 0

    async def sleep(self, seconds: float) -> None:
        if seconds != KEEP_S:
            await super().sleep(seconds)
            return
        await self.renew.wait()
        self.renew.clear()
        self.renewals += 1


@on_booth(clock=KeepingClock)
async def test_key_is_renewed_and_one_that_cannot_be_is_replaced(booth: Booth) -> None:
    assert isinstance(booth.clock, KeepingClock)
    keys = booth.binance.listen_keys
    key = keys.of(booth.account)
    booth.clock.renew.set()
    while booth.clock.renewals < 1 or booth.venue.limiter.used("weight") == 0:
        await asyncio.sleep(0)
    assert keys.of(booth.account) == key
    assert booth.gateway.stream.connections == 1
    keys.close = lambda account: None  # type: ignore[method-assign]
    keys._keys.clear()  # it is gone, and the stream was told nothing
    booth.clock.renew.set()
    await booth.until(lambda: booth.gateway.stream.connections == 2 and booth.gateway.trades)


@on_booth()
async def test_stream_that_brings_nothing_is_opened_anew(booth: Booth) -> None:
    booth.binance.listen_keys._keys.clear()
    for _ in range(MOST_MISSED):
        await booth.done(booth.place(1, 10), ReportKind.FILL)
    await booth.until(lambda: booth.gateway.stream.connections == 2 and booth.gateway.trades)
    assert sum(each["kind"] == ReportKind.FILL for each in booth.reports) == len(booth.account.fills)


@on_booth()
async def test_order_of_which_only_its_fill_was_heard_is_known_by_its_venue_id(booth: Booth) -> None:
    async def nothing(real: Any) -> dict[str, Any]:
        await real()
        await booth.until(lambda: not booth.known.orders)
        return {}

    booth.sandbox.venue.faults = PrivateFaults(Fault.DROP, 1)
    answered_by(booth, "fapiPrivatePostOrder", nothing)
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    assert await booth.gateway.reconcile()
    assert sum(each["kind"] == ReportKind.FILL for each in booth.reports) == 1
