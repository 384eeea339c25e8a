"""What goes wrong with requests, on the sandbox exchange: each outcome of the table, and no order twice."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.orders.outcomes import Verdict
from gateways.sandbox.faults import Fault, FaultPlan
from oms.records import Reason, ReportKind
from tests.gateways.orders.booth import FAR, Booth, SkippingClock, answered_by, on_booth


class OneFault(FaultPlan):
    """A fault happens to the next so many requests for which it is decided, and then never again."""

    def __init__(self, fault: Fault, times: int = 1) -> None:
        super().__init__(0, {fault: 1.0})
        self._fault = fault
        self._left = times

    def happens(self, fault: Fault) -> bool:
        happens = fault is self._fault and self._left > 0
        self._left -= happens
        self.happened[fault] += happens
        return happens


def once(booth: Booth, fault: Fault, times: int = 1) -> None:
    booth.sandbox.venue.faults = OneFault(fault, times)


DONE = (Fault.LOSE_ANSWER, Fault.UNKNOWN, Fault.DELAY)


@pytest.mark.parametrize("fault", DONE)
def test_lost_answer_of_an_order_that_was_accepted(fault: Fault) -> None:
    @on_booth()
    async def body(booth: Booth) -> None:
        once(booth, fault)
        order_id = booth.place(1, 100, FAR)
        assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
        assert len(booth.account.open_orders) == 1
        booth.cancel(order_id)
        assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]

    body()


@pytest.mark.parametrize("fault", DONE)
def test_lost_answer_of_a_market_order_that_was_filled(fault: Fault) -> None:
    @on_booth()
    async def body(booth: Booth) -> None:
        once(booth, fault)
        order_id = booth.place(1, 10)
        await booth.done(order_id, ReportKind.FILL)
        assert booth.account.qty == 10 == booth.known.positions[booth.instrument.id]

    body()


@pytest.mark.parametrize("fault", [Fault.LOSE_REQUEST, Fault.BUSY, Fault.HTML])
def test_order_that_was_never_there_is_rejected_once_that_is_certain(fault: Fault) -> None:
    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        once(booth, fault)
        sent_s = booth.clock.now_s()
        order_id = booth.place(1, 10)
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.NOT_PLACED
        assert booth.clock.now_s() - sent_s > booth.venue.receive_window_s
        assert booth.gateway.outcomes[Verdict.UNKNOWN] == 1
        assert not booth.account.fills

    body()


@pytest.mark.parametrize("fault", [Fault.RATE_LIMIT, Fault.BAN])
def test_too_many_requests_reject_the_order_and_pause_the_venue(fault: Fault) -> None:
    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        once(booth, fault)
        order_id = booth.place(1, 100, FAR)
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.EXCHANGE_UNAVAILABLE
        assert booth.gateway.outcomes[Verdict.NOT_ACCEPTED] == 1
        assert booth.venue.limiter.paused_until_s > booth.clock.now_s() - booth.clock.skipped_s  # type: ignore[attr-defined]
        assert not booth.account.open_orders
        await booth.done(booth.place(1, 100, FAR), ReportKind.ACCEPTED)

    body()


@pytest.mark.parametrize(
    "fault",
    [Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.UNKNOWN, Fault.BUSY, Fault.HTML, Fault.RATE_LIMIT, Fault.BAN],
)
def test_cancel_is_sent_until_the_order_has_ended(fault: Fault) -> None:
    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        order_id = booth.place(1, 100, FAR)
        await booth.done(order_id, ReportKind.ACCEPTED)
        once(booth, fault, times=2)
        booth.cancel(order_id)
        assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
        assert not booth.account.open_orders

    body()


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.UNKNOWN, Fault.DELAY])
def test_lost_answer_of_an_amend_that_was_done(fault: Fault) -> None:
    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        order_id = booth.place(1, 100, FAR)
        await booth.done(order_id, ReportKind.ACCEPTED)
        once(booth, fault)
        booth.amend(order_id, FAR + 1, 60)
        assert await booth.done(order_id, ReportKind.AMENDED) == ["ACCEPTED", "AMENDED"]

    body()


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.HTML, Fault.RATE_LIMIT])
def test_amend_that_was_never_done_is_rejected(fault: Fault) -> None:
    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        order_id = booth.place(1, 100, FAR)
        await booth.done(order_id, ReportKind.ACCEPTED)
        once(booth, fault)
        booth.amend(order_id, FAR + 1, 60)
        assert await booth.done(order_id, ReportKind.AMEND_REJECTED) == ["ACCEPTED", "AMEND_REJECTED"]
        assert next(iter(booth.account.open_orders.values())).qty == 100

    body()


@on_booth()
async def test_cancel_of_an_unknown_order_leaves_at_once_and_decides_it(booth: Booth) -> None:
    once(booth, Fault.UNKNOWN)
    order_id = booth.place(1, 100, FAR)
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_booth(clock=SkippingClock)
async def test_cancel_of_an_order_that_was_never_there_ends_with_its_rejection(booth: Booth) -> None:
    once(booth, Fault.BUSY)
    order_id = booth.place(1, 100, FAR)
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]


@on_booth(clock=SkippingClock)
async def test_cancel_whose_order_is_rejected_meanwhile_leaves_trading_as_it_is(booth: Booth) -> None:
    async def after_its_rejection(real: Any) -> Any:
        await booth.until(lambda: booth.of(order_id))
        return await real()

    once(booth, Fault.BUSY)
    answered_by(booth, "fapiPrivateDeleteOrder", after_its_rejection)
    order_id = booth.place(1, 100, FAR)
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.gateway.trades


@on_booth()
async def test_answer_without_an_id_is_unknown_and_asked_about(booth: Booth) -> None:
    async def empty(real: Any) -> dict[str, Any]:
        await real()
        return {}

    answered_by(booth, "fapiPrivatePostOrder", empty)
    order_id = booth.place(1, 100, FAR)
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert booth.gateway.resolver.asked == 1


@on_booth()
async def test_duplicate_id_means_that_an_earlier_try_is_live(booth: Booth) -> None:
    async def twice(real: Any) -> Any:
        await real()
        return await real()

    answered_by(booth, "fapiPrivatePostOrder", twice)
    order_id = booth.place(1, 100, FAR)
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert booth.gateway.outcomes[Verdict.DUPLICATE] == 1
    assert len(booth.account.open_orders) == 1


@on_booth()
async def test_cancel_that_was_sent_twice_is_a_cancel(booth: Booth) -> None:
    async def twice(real: Any) -> Any:
        await real()
        return await real()

    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    answered_by(booth, "fapiPrivateDeleteOrder", twice)
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert booth.gateway.outcomes[Verdict.GONE] == 1


@on_booth()
async def test_amend_that_was_sent_twice_is_an_amend(booth: Booth) -> None:
    async def twice(real: Any) -> Any:
        await real()
        return await real()

    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    answered_by(booth, "fapiPrivatePutOrder", twice)
    booth.amend(order_id, FAR + 1, 100)
    assert await booth.done(order_id, ReportKind.AMENDED) == ["ACCEPTED", "AMENDED"]
    assert booth.gateway.outcomes[Verdict.UNCHANGED] == 1


@on_booth()
async def test_amend_of_an_order_that_was_filled_meanwhile_is_rejected(booth: Booth) -> None:
    async def after_a_cancel(real: Any) -> Any:
        (order,) = booth.account.open_orders.values()
        booth.sandbox.venue.exchange.cancel(order)
        return await real()

    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    answered_by(booth, "fapiPrivatePutOrder", after_a_cancel)
    booth.amend(order_id, FAR + 1, 100)
    assert set(await booth.done(order_id, ReportKind.AMEND_REJECTED)) == {"ACCEPTED", "CANCELLED", "AMEND_REJECTED"}


@on_booth()
async def test_refused_keys_halt_the_venue(booth: Booth) -> None:
    resting = booth.place(1, 100, FAR)
    await booth.done(resting, ReportKind.ACCEPTED)
    secret, booth.exchange.secret = booth.exchange.secret, "0" * 64
    order_id = booth.place(1, 100, FAR)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.KEYS_REFUSED
    booth.exchange.secret = secret
    order_id = booth.place(1, 100, FAR)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.KEYS_REFUSED
    booth.cancel(resting)
    assert await booth.done(resting, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_booth(clock=SkippingClock)
async def test_clock_that_is_off_is_set_anew(booth: Booth) -> None:
    booth.sandbox.venue.clock.skew_ms = -20_000
    order_id = booth.place(1, 100, FAR)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.gateway.outcomes[Verdict.RESYNC] == 1
    await booth.done(booth.place(1, 100, FAR), ReportKind.ACCEPTED)


@on_booth(clock=SkippingClock)
async def test_maintenance_rejects_and_trading_goes_on_after_it(booth: Booth) -> None:
    booth.sandbox.venue.begin_maintenance()
    order_id = booth.place(1, 100, FAR)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    await booth.until(lambda: not booth.gateway.trades)
    booth.sandbox.venue.is_in_maintenance = False
    await booth.gateway.traded.wait()
    await booth.done(booth.place(1, 100, FAR), ReportKind.ACCEPTED)


@on_booth(is_open=False)
async def test_secret_and_key_are_in_no_line(booth: Booth) -> None:
    await booth.venue.open()
    booth.exchange.secret = "0" * 64
    assert not await booth.gateway.reconcile()
    said = " ".join([*booth.lines, repr(booth.gateway), repr(booth.venue), booth.gateway.why_not])
    assert "-1022" in said
    assert booth.exchange.apiKey not in said
    assert booth.exchange.secret not in said
