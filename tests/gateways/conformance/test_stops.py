"""Stops that stand at the exchange, at every venue whose gateway has them."""

from __future__ import annotations

from typing import Any

import pytest

from gateways.sandbox.conditionals import Conditional
from gateways.sandbox.faults import Fault
from oms.records import CommandKind, OrderFlag, OrderState, OrderType, Reason, ReportKind, TimeInForce, Trigger
from oms.records import TriggerSource as Source
from tests.gateways.conformance.cases import CASES, Stand, on_stand, rows
from tests.gateways.orders.booth import SkippingClock

AT = OrderFlag.AT_EXCHANGE
KEEPERS = rows(of=lambda case: case.keeps_stops)
ALSO = pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if case.name == "binance_usdm" else pytest.mark.thorough)
        for case in CASES
        if case.keeps_stops
    ],
    ids=str,
)
"""What differs little from one venue to the next: ``make thorough`` runs it on all of them."""


def stop_on(stand: Stand, ticks: int = 40, **fields: Any) -> int:
    """Ask for a stop-market order that fires as the recorded market goes on, so many ticks away; its id."""
    side = stand.case.trend
    trigger = {"trigger": Trigger.STOP, "trigger_source": Source.LAST, "trigger_px": stand.best(-side) + ticks * side}
    terms = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC, "flags": AT, **trigger}
    order_id: int = stand.place(side, stand.few, **{**terms, **fields})
    return order_id


def waiting(stand: Stand) -> list[Conditional]:
    """The account's stops that stand at the exchange."""
    found: list[Conditional] = stand.sandbox.venue.conditionals.open_of(stand.account)
    return found


@on_stand(at=rows(of=lambda case: case.name == "htx_linear"))
async def test_where_the_gateway_keeps_none_it_is_refused(stand: Stand) -> None:
    order_id = stop_on(stand)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert stand.report(order_id, ReportKind.REJECTED)["reason"] == Reason.NO_STOPS_AT_EXCHANGE


@on_stand(at=KEEPERS)
async def test_it_stands_there_with_exact_terms_fires_and_is_filled(stand: Stand) -> None:
    order_id = stop_on(stand)
    assert await stand.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    (stop,) = waiting(stand)
    assert (stop.side, stop.qty, stop.px) == (stand.case.trend, stand.few, 0)
    assert await stand.gateway.reconcile()
    stand.market_moves(lambda: stand.account.fills, most=1_000)
    await stand.until(lambda: not stand.known.orders)
    assert stand.of(order_id)[:3] == ["ACCEPTED", "TRIGGERED", "FILL"]
    assert await stand.gateway.reconcile()
    stand.check()


@on_stand(at=KEEPERS)
async def test_it_is_cancelled_before_its_price_and_behind_it(stand: Stand) -> None:
    order_id = stop_on(stand)
    stand.cancel(order_id)
    assert await stand.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not waiting(stand)
    far = stand.far if stand.case.trend > 0 else 2 * stand.far
    resting = stop_on(stand, order_type=OrderType.LIMIT, px=far)
    await stand.done(resting, ReportKind.ACCEPTED)
    stand.market_moves(lambda: stand.account.open_orders, most=1_000)
    stand.cancel(resting)
    assert await stand.done(resting, ReportKind.CANCELLED) == ["ACCEPTED", "TRIGGERED", "CANCELLED"]
    assert not stand.account.open_orders


@on_stand(at=ALSO)
async def test_one_whose_price_is_reached_already_is_rejected(stand: Stand) -> None:
    order_id = stop_on(stand, ticks=-200)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert stand.report(order_id, ReportKind.REJECTED)["reason"] == Reason.WOULD_TRIGGER


@on_stand(SkippingClock, at=ALSO)
async def test_one_whose_answer_is_lost_is_found_and_one_that_was_placed_elsewhere_is_adopted(stand: Stand) -> None:
    stand.once(Fault.LOSE_ANSWER)
    order_id = stop_on(stand)
    assert (await stand.done(order_id, ReportKind.ACCEPTED))[0] == "ACCEPTED"
    stand.known.orders.clear()
    stand.known.begin({}, {}, set(), set())
    assert await stand.gateway.reconcile()
    adopted = stand.report(order_id, ReportKind.ADOPTED)
    assert (adopted["flags"], adopted["trigger"], adopted["trigger_source"]) == (AT, Trigger.STOP, Source.LAST)
    assert adopted["value"] == waiting(stand)[0].trigger_px
    stand.send(CommandKind.CANCEL_ALL, 0, account=-1, instrument=-1)
    await stand.done(order_id, ReportKind.CANCELLED)
    assert not waiting(stand)


@on_stand(at=ALSO)
async def test_it_stays_when_the_session_ends_where_the_settings_say_so(stand: Stand) -> None:
    stop = stop_on(stand, flags=AT | OrderFlag.REDUCE_ONLY)
    entry, resting = stop_on(stand, ticks=50), stand.place(1, stand.lots, stand.far)
    for order_id in (stop, entry, resting):
        await stand.done(order_id, ReportKind.ACCEPTED)
    assert not await stand.gateway.end("keep_stops", within_s=5.0)
    assert [stand.of(each)[-1] for each in (stop, entry, resting)] == ["ACCEPTED", "CANCELLED", "CANCELLED"]
    assert len(waiting(stand)) == 1


@on_stand(SkippingClock, at=ALSO)
async def test_one_that_fires_while_no_gateway_is_there_is_told_at_the_next_start(stand: Stand) -> None:
    order_id = stop_on(stand)
    await stand.done(order_id, ReportKind.ACCEPTED)
    side = stand.case.trend
    left = stand.left(order_id, OrderState.LIVE, side, stand.few, px=0)
    left.order.flags = int(AT)
    left.order.order_type = OrderType.MARKET
    past = stand.past(left=[left])
    await stand.gateway.close()
    stand.market_moves(lambda: stand.account.fills, most=1_000)
    await stand.restart(past)
    await stand.gateway.entry.opened.wait()
    assert stand.of(order_id)[:2] == ["TRIGGERED", "FILL"]
    assert not stand.known.orders
