"""Reconciliation and the private stream at every venue: what was missed is told, each thing once."""

from __future__ import annotations

from gateways.orders.known import Order
from gateways.sandbox.faults import Fault
from oms.records import OrderState, OrderType, ReportKind, TimeInForce
from tests.gateways.conformance.cases import Case, Stand, every_known_venue, on_stand, rows
from tests.gateways.orders.booth import SkippingClock

HISTORY_MS = 24 * 3_600_000
"""Longer ago than orders that have ended are looked for among those of late."""


def kinds(stand: Stand) -> list[str]:
    return [ReportKind(int(report["kind"])).name for report in stand.reports]


@on_stand(is_open=False)
async def test_what_is_there_at_the_start_is_taken_on(stand: Stand) -> None:
    await stand.venue.open()
    await stand.elsewhere(1, 5 * stand.lots)
    venue_order_id = await stand.elsewhere(1, 2 * stand.lots, stand.far + 3)
    stand.gateway.start()
    await stand.gateway.entry.opened.wait()
    is_spot = stand.instrument.kind == "spot"
    assert kinds(stand) == ["ADOPTED", *([] if is_spot else ["POSITION"]), *["BALANCE"] * (1 + is_spot)]
    adopted = stand.reports[0]
    qty = 2 * stand.lots
    assert (adopted["qty"], adopted["leaves_qty"], adopted["side"]) == (qty, qty, 1)
    assert adopted["px"] == stand.far + 3
    assert adopted["venue_order_id"] == venue_order_id
    assert stand.known.cash == stand.holdings()


@on_stand()
async def test_order_placed_elsewhere_is_adopted_and_cancelled_by_us(stand: Stand) -> None:
    await stand.elsewhere(1, 2 * stand.lots, stand.far)
    assert await stand.gateway.reconcile()
    order_id = int(stand.reports[-1]["order_id"])
    stand.cancel(order_id)
    assert await stand.done(order_id, ReportKind.CANCELLED) == ["ADOPTED", "CANCELLED"]


@on_stand()
async def test_fills_of_other_orders_explain_what_the_account_has(stand: Stand) -> None:
    await stand.done(stand.take(1, stand.few), ReportKind.FILL)
    await stand.elsewhere(-1, 3 * stand.few)
    assert await stand.gateway.reconcile()
    assert stand.known.cash == stand.holdings()
    assert stand.known.foreign == {stand.instrument.id: []}
    if stand.instrument.kind != "spot":
        told = [int(each["qty"]) for each in stand.reports if each["kind"] == ReportKind.POSITION]
        assert told[-1] == stand.account.qty


@on_stand()
async def test_balance_that_differs_is_told(stand: Stand) -> None:
    stand.account.wallet += 5
    assert await stand.gateway.reconcile()
    assert stand.reports[-1]["kind"] == ReportKind.BALANCE
    assert stand.reports[-1]["fee"] == stand.account.wallet
    told = len(stand.reports)
    assert await stand.gateway.reconcile()
    assert len(stand.reports) == told


@on_stand()
async def test_end_that_the_stream_dropped_is_found(stand: Stand) -> None:
    order_id = stand.place(1, stand.lots, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    stand.faults(Fault.DROP)
    (order,) = stand.account.open_orders.values()
    stand.sandbox.venue.exchange.cancel(order)
    stand.faults()
    assert await stand.gateway.reconcile()
    assert stand.of(order_id) == ["ACCEPTED", "CANCELLED"]


@on_stand(is_open=False, clock=SkippingClock)
async def test_first_reconciliation_that_fails_never_trades(stand: Stand) -> None:
    await stand.venue.open()
    stand.faults(Fault.UNKNOWN)
    assert not await stand.gateway.reconcile()
    order_id = stand.place(1, stand.few, stand.far)
    assert await stand.done(order_id, ReportKind.REJECTED) == ["REJECTED"]


@on_stand(is_open=False, clock=SkippingClock)
async def test_orders_of_a_session_before_are_resolved(stand: Stand) -> None:
    await stand.venue.open()
    placed, absent = stand.new_id(), stand.new_id()
    await stand.elsewhere(1, stand.lots, stand.far, stand.known.ids.text(placed))
    for order_id in (placed, absent):
        terms = (OrderType.LIMIT, TimeInForce.GTC, 0, stand.far, stand.lots)
        order = Order(order_id, stand.known.ids.text(order_id), stand.instrument, 1, *terms)
        stand.gateway.recover(order, OrderState.PENDING_NEW)
    assert await stand.done(placed, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert await stand.done(absent, ReportKind.REJECTED) == ["REJECTED"]


@rows(Fault.DUPLICATE, Fault.REORDER, Fault.DROP)
def test_each_fill_is_told_once_however_it_comes(case: Case, fault: Fault) -> None:
    @on_stand()
    async def body(stand: Stand) -> None:
        stand.faults(fault, rate=0.5)
        ids = [stand.take(side, 8 * stand.few) for side in (1, -1, 1, -1)]
        await stand.until(lambda: all(stand.of(order_id) for order_id in ids))
        if stand.case.answers_tell_fills:
            await stand.until(lambda: not stand.known.orders)
        await stand.gateway.idle()
        stand.faults()
        assert await stand.gateway.reconcile()
        await stand.until(lambda: not stand.known.orders)
        assert all(stand.of(order_id)[0] == "ACCEPTED" for order_id in ids)
        told = sorted(int(each["trade_id"]) for each in stand.fills)
        assert told == sorted(fill.trade_id for fill in stand.account.fills)
        assert stand.known.cash == stand.holdings()

    body(case)


@on_stand()
async def test_fills_while_the_stream_is_down_are_told_first_thing(stand: Stand) -> None:
    order_id = stand.place(-stand.case.trend, stand.least, stand.best(-stand.case.trend))
    other_id = stand.place(1, stand.few, stand.far)
    await stand.done(order_id, ReportKind.ACCEPTED)
    await stand.done(other_id, ReportKind.ACCEPTED)
    stand.sandbox.venue.end_streams()
    stand.market_moves(lambda: sum(fill.qty for fill in stand.account.fills) == stand.least)
    (other,) = stand.account.open_orders.values()
    stand.sandbox.venue.exchange.cancel(other)
    await stand.until(lambda: stand.gateway.stream.connections == 2 and stand.gateway.entry.is_open)
    assert stand.of(other_id) == ["ACCEPTED", "CANCELLED"]
    assert not stand.known.orders
    stand.check()


@on_stand()
async def test_order_that_filled_while_no_gateway_was_there_tells_its_fill_however_long_ago_it_was_placed(
    stand: Stand,
) -> None:
    side = -stand.case.trend
    px = stand.best(side)
    order_id = stand.place(side, stand.least, px)
    await stand.done(order_id, ReportKind.ACCEPTED)
    left = stand.left(order_id, OrderState.LIVE, side, stand.least, px)
    past = stand.past(left=[left], cash=stand.holdings())
    await stand.gateway.close()
    stand.market_moves(lambda: sum(fill.qty for fill in stand.account.fills) == stand.least)
    for order in stand.sandbox.venue.exchange.orders.values():
        order.created_ms -= HISTORY_MS
    await stand.restart(past)
    await stand.gateway.entry.opened.wait()
    assert set(stand.of(order_id)) == {"FILL"}
    assert not stand.known.orders
    stand.check()


@on_stand(at=every_known_venue)
async def test_stream_that_the_exchange_ends_is_opened_anew(stand: Stand) -> None:
    venue = stand.sandbox.venue
    connections = getattr(venue, "streams", venue).connections
    name = next(name for each in connections for name in each.names)
    venue.expire_subscription(name)
    await stand.until(lambda: stand.gateway.stream.connections == 2 and stand.gateway.entry.is_open)
    await stand.done(stand.take(1, stand.few), ReportKind.FILL)
    await stand.until(lambda: not stand.known.orders)
    stand.check()
