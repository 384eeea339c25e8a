"""What the private stream does not say is asked for soon at every venue, not only when the account is reconciled."""

from __future__ import annotations

from gateways.sandbox.faults import Fault
from oms.records import OrderFlag, Reason, ReportKind, TimeInForce
from tests.gateways.conformance.cases import Stand, every_known_venue, on_stand


@on_stand()
async def test_end_of_an_order_that_cannot_rest_is_asked_for(stand: Stand) -> None:
    stand.faults(Fault.DROP)
    order_id = stand.place(1, stand.lots, stand.far, time_in_force=TimeInForce.IOC)
    assert await stand.done(order_id, ReportKind.EXPIRED) == ["ACCEPTED", "EXPIRED"]
    assert stand.report(order_id, ReportKind.EXPIRED)["reason"] == Reason.NO_LIQUIDITY


@on_stand()
async def test_order_that_the_stream_says_nothing_of_is_asked_for(stand: Stand) -> None:
    stand.faults(Fault.DROP)
    for _ in range(2):  # a venue may ask for its first order in any case
        order_id = stand.place(1, stand.lots, stand.best(-1) + 100, flags=OrderFlag.POST_ONLY)
        assert (await stand.done(order_id, stand.case.post_only_end))[-1] == stand.case.post_only_end.name
    assert not stand.account.fills


@on_stand(at=every_known_venue)
async def test_nothing_is_asked_for_that_the_stream_has_said(stand: Stand) -> None:
    for terms in ({}, {"time_in_force": TimeInForce.IOC}, {"flags": OrderFlag.POST_ONLY}):
        await stand.done(stand.place(1, stand.lots, stand.far, **terms), ReportKind.ACCEPTED)
    await stand.done(stand.take(1, stand.lots), ReportKind.FILL)
    before = stand.gateway.reconciler.done
    await stand.gateway.idle()
    assert stand.gateway.asking.resolver.asked == 0
    assert not stand.gateway.asking.wanted.is_set()
    assert stand.gateway.reconciler.done == before
