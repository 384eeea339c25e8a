"""The private stream: lost, late, twice and out of order, and what the core is told all the same."""

from __future__ import annotations

import asyncio
from typing import Any

from gateways.orders.private import KEEP_S, MOST_MISSED
from gateways.sandbox.faults import Fault
from oms.records import ReportKind
from tests.gateways.orders.booth import FAR, Booth, SkippingClock, answered_by, on_booth


@on_booth()
async def test_nothing_but_cancels_leaves_while_the_stream_is_down(booth: Booth) -> None:
    resting = booth.place(1, 10, FAR)
    await booth.done(resting, ReportKind.ACCEPTED)
    booth.sandbox.venue.begin_maintenance()
    await booth.until(lambda: not booth.gateway.entry.is_open)
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
    await booth.until(lambda: booth.gateway.stream.connections == 2 and booth.gateway.entry.is_open)
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
    await booth.until(lambda: booth.gateway.stream.connections == 2 and booth.gateway.entry.is_open)


@on_booth()
async def test_stream_that_brings_nothing_is_opened_anew(booth: Booth) -> None:
    booth.binance.listen_keys._keys.clear()
    for _ in range(MOST_MISSED):
        await booth.done(booth.place(1, 10), ReportKind.FILL)
    await booth.until(lambda: booth.gateway.stream.connections == 2 and booth.gateway.entry.is_open)
    assert sum(each["kind"] == ReportKind.FILL for each in booth.reports) == len(booth.account.fills)


@on_booth()
async def test_order_of_which_only_its_fill_was_heard_is_known_by_its_venue_id(booth: Booth) -> None:
    async def nothing(real: Any) -> dict[str, Any]:
        await real()
        await booth.until(lambda: not booth.known.orders)
        return {}

    booth.once(Fault.DROP)
    answered_by(booth, "fapiPrivatePostOrder", nothing)
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    assert await booth.gateway.reconcile()
    assert sum(each["kind"] == ReportKind.FILL for each in booth.reports) == 1


@on_booth()
async def test_reconciliation_that_began_before_a_loss_does_not_open_the_door_again(booth: Booth) -> None:
    async def lost_meanwhile(answer: Any) -> Any:
        found = await answer()
        booth.gateway.entry.refuse("the private stream is lost")  # and another one is open by the time of the end
        return found

    answered_by(booth, "fapiPrivateV3GetAccount", lost_meanwhile)
    assert await booth.gateway.reconcile()
    assert not booth.gateway.entry.is_open
    await booth.gateway.entry.opened.wait()
