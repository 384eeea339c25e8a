"""What goes wrong with requests at every venue: each is asked about, and no order is there twice."""

from __future__ import annotations

from typing import Any

from gateways.orders.outcomes import Verdict
from gateways.sandbox.faults import Fault
from oms.records import Reason, ReportKind
from tests.gateways.conformance.cases import Case, Stand, amends, every_amending_venue, on_stand, rows
from tests.gateways.orders.booth import SkippingClock, answered_by


@rows(Fault.LOSE_ANSWER, Fault.UNKNOWN, Fault.DELAY)
def test_lost_answer_of_an_order_that_was_accepted(case: Case, fault: Fault) -> None:
    @on_stand()
    async def body(stand: Stand) -> None:
        stand.once(fault)
        order_id = stand.place(1, stand.lots, stand.far)
        assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
        assert len(stand.account.open_orders) == 1
        stand.once(fault)
        stand.cancel(order_id)
        assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
        stand.once(fault)
        await stand.done(stand.take(1, stand.few), ReportKind.FILL)
        await stand.until(lambda: not stand.known.orders)
        stand.check()

    body(case)


@rows(Fault.LOSE_REQUEST, Fault.BUSY, Fault.HTML)
def test_order_that_was_never_there_is_rejected_once_that_is_certain(case: Case, fault: Fault) -> None:
    @on_stand(clock=SkippingClock)
    async def body(stand: Stand) -> None:
        stand.once(fault)
        sent_s = stand.clock.now_s()
        order_id = stand.take(1, stand.few)
        assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert stand.report(order_id, ReportKind.REJECTED)["reason"] == Reason.NOT_PLACED
        assert stand.clock.now_s() - sent_s > stand.venue.receive_window_s
        assert stand.gateway.asking.outcomes[Verdict.UNKNOWN] == 1
        assert not stand.account.fills

    body(case)


@rows(Fault.RATE_LIMIT, Fault.BAN)
def test_too_many_requests_reject_the_order(case: Case, fault: Fault) -> None:
    @on_stand(clock=SkippingClock)
    async def body(stand: Stand) -> None:
        stand.once(fault)
        order_id = stand.place(1, stand.lots, stand.far)
        assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert stand.report(order_id, ReportKind.REJECTED)["reason"] == Reason.EXCHANGE_UNAVAILABLE
        assert stand.gateway.asking.outcomes[Verdict.NOT_ACCEPTED] == 1
        assert stand.venue.limiter.paused_until_s > stand.clock.now_s() - stand.clock.skipped_s
        assert not stand.account.open_orders
        await stand.done(stand.place(1, stand.lots, stand.far), ReportKind.ACCEPTED)

    body(case)


@rows(Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.UNKNOWN, Fault.HTML, Fault.BAN)
def test_cancel_is_sent_until_the_order_has_ended(case: Case, fault: Fault) -> None:
    @on_stand(clock=SkippingClock)
    async def body(stand: Stand) -> None:
        order_id = stand.place(1, stand.lots, stand.far)
        await stand.done(order_id, ReportKind.ACCEPTED)
        stand.once(fault, times=2)
        stand.cancel(order_id)
        assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
        assert not stand.account.open_orders

    body(case)


@rows(Fault.LOSE_ANSWER, Fault.UNKNOWN, of=amends)
def test_lost_answer_of_an_amend_that_was_done(case: Case, fault: Fault) -> None:
    @on_stand(clock=SkippingClock)
    async def body(stand: Stand) -> None:
        order_id = stand.place(1, stand.lots, stand.far)
        await stand.done(order_id, ReportKind.ACCEPTED)
        stand.once(fault)
        stand.amend(order_id, stand.far, stand.lots - 40)
        assert await stand.done(order_id, ReportKind.AMENDED) == ["ACCEPTED", "AMENDED"]

    body(case)


@rows(Fault.BUSY, Fault.RATE_LIMIT, of=amends)
def test_amend_that_was_never_done_is_rejected(case: Case, fault: Fault) -> None:
    @on_stand(clock=SkippingClock)
    async def body(stand: Stand) -> None:
        order_id = stand.place(1, stand.lots, stand.far)
        await stand.done(order_id, ReportKind.ACCEPTED)
        stand.once(fault)
        stand.amend(order_id, stand.far, stand.lots - 40)
        assert await stand.done(order_id, ReportKind.AMEND_REJECTED) == ["ACCEPTED", "AMEND_REJECTED"]
        assert next(iter(stand.account.open_orders.values())).qty == stand.lots

    body(case)


@on_stand()
async def test_cancel_of_an_unknown_order_leaves_at_once_and_decides_it(stand: Stand) -> None:
    stand.once(Fault.UNKNOWN)
    order_id = stand.place(1, stand.lots, stand.far)
    stand.cancel(order_id)
    assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_stand(clock=SkippingClock)
async def test_cancel_of_an_order_that_was_never_there_ends_with_its_rejection(stand: Stand) -> None:
    stand.once(Fault.BUSY)
    order_id = stand.place(1, stand.lots, stand.far)
    stand.cancel(order_id)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]


@on_stand(clock=SkippingClock)
async def test_cancel_whose_order_is_rejected_meanwhile_leaves_trading_as_it_is(stand: Stand) -> None:
    async def after_its_rejection(real: Any) -> Any:
        await stand.until(lambda: stand.of(order_id))
        return await real()

    stand.once(Fault.BUSY)
    answered_by(stand.booth, stand.case.cancel_order, after_its_rejection)
    order_id = stand.place(1, stand.lots, stand.far)
    stand.cancel(order_id)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert stand.gateway.entry.is_open


@on_stand()
async def test_answer_without_an_id_is_unknown_and_asked_about(stand: Stand) -> None:
    async def empty(real: Any) -> dict[str, Any]:
        await real()
        return {}

    answered_by(stand.booth, stand.case.new_order, empty)
    order_id = stand.place(1, stand.lots, stand.far)
    assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert stand.gateway.asking.resolver.asked == 1


async def twice(real: Any) -> Any:
    """A request that is sent again."""
    await real()
    return await real()


@on_stand()
async def test_duplicate_id_means_that_an_earlier_try_is_live(stand: Stand) -> None:
    answered_by(stand.booth, stand.case.new_order, twice)
    order_id = stand.place(1, stand.lots, stand.far)
    assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert stand.gateway.asking.outcomes[Verdict.DUPLICATE] == 1
    assert len(stand.account.open_orders) == 1


@on_stand()
async def test_cancel_that_was_sent_twice_is_a_cancel(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    answered_by(stand.booth, stand.case.cancel_order, twice)
    stand.cancel(order_id)
    assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert stand.gateway.asking.outcomes[Verdict.GONE] == 1


@on_stand(at=every_amending_venue)
async def test_amend_that_was_sent_twice_is_an_amend(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    answered_by(stand.booth, stand.case.amend_order, twice)
    stand.amend(order_id, stand.far, stand.lots - 40)
    assert await stand.done(order_id, ReportKind.AMENDED) == ["ACCEPTED", "AMENDED"]
    assert stand.gateway.asking.outcomes[Verdict.UNCHANGED] == (not stand.case.amends_to_the_same)


@on_stand(at=every_amending_venue)
async def test_amend_of_an_order_that_has_ended_meanwhile_is_rejected(stand: Stand) -> None:
    async def after_a_cancel(real: Any) -> Any:
        (order,) = stand.account.open_orders.values()
        stand.sandbox.venue.exchange.cancel(order)
        return await real()

    order_id = stand.place(1, stand.lots, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    answered_by(stand.booth, stand.case.amend_order, after_a_cancel)
    stand.amend(order_id, stand.far, stand.lots - 40)
    assert set(await stand.done(order_id, ReportKind.AMEND_REJECTED)) == {"ACCEPTED", "CANCELLED", "AMEND_REJECTED"}


@on_stand()
async def test_refused_keys_halt_the_venue(stand: Stand) -> None:
    resting = stand.place(1, stand.lots, stand.far)
    await stand.done(resting, ReportKind.ACCEPTED)
    secret, stand.exchange.secret = stand.exchange.secret, "0" * 64
    order_id = stand.place(1, stand.lots, stand.far)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert stand.report(order_id, ReportKind.REJECTED)["reason"] == Reason.KEYS_REFUSED
    stand.exchange.secret = secret
    order_id = stand.place(1, stand.lots, stand.far)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    stand.cancel(resting)
    assert await stand.done(resting, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_stand(clock=SkippingClock)
async def test_clock_that_is_off_is_set_anew(stand: Stand) -> None:
    stand.sandbox.venue.clock.skew_ms = -round(1000 * (stand.venue.receive_window_s + 10))
    order_id = stand.place(1, stand.lots, stand.far)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert stand.gateway.asking.outcomes[Verdict.RESYNC] == 1
    await stand.done(stand.place(1, stand.lots, stand.far), ReportKind.ACCEPTED)


@on_stand(clock=SkippingClock)
async def test_maintenance_rejects_and_trading_goes_on_after_it(stand: Stand) -> None:
    stand.sandbox.venue.begin_maintenance()
    order_id = stand.place(1, stand.lots, stand.far)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    await stand.until(lambda: not stand.gateway.entry.is_open)
    stand.sandbox.venue.is_in_maintenance = False
    await stand.gateway.entry.opened.wait()
    await stand.done(stand.place(1, stand.lots, stand.far), ReportKind.ACCEPTED)


@on_stand(is_open=False)
async def test_secret_and_key_are_in_no_line(stand: Stand) -> None:
    await stand.venue.open()
    stand.exchange.secret = "0" * 64
    assert not await stand.gateway.reconcile()
    said = " ".join([*stand.lines, repr(stand.gateway), repr(stand.venue), stand.gateway.entry.why_not])
    assert stand.case.bad_signature in said
    assert stand.exchange.apiKey not in said
    assert stand.exchange.secret not in said
