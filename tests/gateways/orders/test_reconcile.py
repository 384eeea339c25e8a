"""Reconciliation: what differs is told, or nothing is traded."""

from __future__ import annotations

from typing import Any

import numpy as np

from gateways.orders.known import Order, Stage
from gateways.sandbox.faults import Fault
from oms.records import OrderState, OrderType, ReportKind, TimeInForce
from tests.gateways.orders.booth import FAR, Booth, SkippingClock, on_booth


async def elsewhere(booth: Booth, side: str, quantity: str, price: str = "", **more: Any) -> Any:
    """An order that somebody else places on the account."""
    terms = {"type": "LIMIT", "timeInForce": "GTC", "price": price} if price else {"type": "MARKET"}
    request = {"symbol": "BTCUSDT", "side": side, "quantity": quantity, **terms, **more}
    return await booth.exchange.fapiPrivatePostOrder(request)


def kinds(booth: Booth) -> list[str]:
    return [ReportKind(int(report["kind"])).name for report in booth.reports]


def last(booth: Booth, kind: ReportKind) -> np.void:
    return [report for report in booth.reports if report["kind"] == kind][-1]


@on_booth(is_open=False)
async def test_what_is_there_at_the_start_is_taken_on(booth: Booth) -> None:
    await booth.venue.open()
    await elsewhere(booth, "BUY", "0.5")
    order = await elsewhere(booth, "BUY", "0.2", "61000.3")
    booth.gateway.start()
    await booth.gateway.traded.wait()
    assert kinds(booth) == ["ADOPTED", "POSITION", "BALANCE"]
    adopted = last(booth, ReportKind.ADOPTED)
    assert (adopted["px"], adopted["qty"], adopted["leaves_qty"], adopted["side"]) == (610_003, 200, 200, 1)
    assert adopted["venue_order_id"] == int(order["orderId"])
    position = last(booth, ReportKind.POSITION)
    assert position["qty"] == 500
    assert position["px"] == booth.account.open_cost // 500
    assert last(booth, ReportKind.BALANCE)["fee"] == booth.account.wallet


@on_booth()
async def test_order_placed_elsewhere_is_adopted_and_cancelled_by_us(booth: Booth) -> None:
    await elsewhere(booth, "BUY", "0.2", "61000")
    assert await booth.gateway.reconcile()
    order_id = int(last(booth, ReportKind.ADOPTED)["order_id"])
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ADOPTED", "CANCELLED"]


@on_booth()
async def test_adopted_order_that_was_filled_in_part_tells_only_what_comes(booth: Booth) -> None:
    price = booth.instrument.px_from_ticks(booth.best(-1))
    await elsewhere(booth, "SELL", "20", price)
    booth.market_moves(lambda: booth.account.fills)
    filled = booth.account.open_orders and sum(fill.qty for fill in booth.account.fills)
    assert filled
    assert await booth.gateway.reconcile()
    adopted = last(booth, ReportKind.ADOPTED)
    assert adopted["leaves_qty"] == 20_000 - filled
    count = len(booth.account.fills)
    booth.market_moves(lambda: len(booth.account.fills) > count)
    await booth.until(lambda: kinds(booth).count("FILL") == len(booth.account.fills) - count)
    assert await booth.gateway.reconcile()
    assert booth.known.positions[booth.instrument.id] == booth.account.qty


@on_booth()
async def test_fills_of_other_orders_explain_a_position(booth: Booth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    await elsewhere(booth, "SELL", "0.03")
    assert await booth.gateway.reconcile()
    assert last(booth, ReportKind.POSITION)["qty"] == -20 == booth.account.qty
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth()
async def test_position_that_nothing_explains_stops_trading(booth: Booth) -> None:
    booth.account.qty += 7
    assert not await booth.gateway.reconcile()
    assert "nothing explains" in booth.gateway.why_not
    assert await booth.done(booth.place(1, 10, FAR), ReportKind.REJECTED) == ["REJECTED"]
    booth.account.qty -= 7
    assert await booth.gateway.reconcile()
    await booth.done(booth.place(1, 10, FAR), ReportKind.ACCEPTED)


@on_booth()
async def test_balance_that_differs_is_told(booth: Booth) -> None:
    booth.account.wallet += 5
    assert await booth.gateway.reconcile()
    assert last(booth, ReportKind.BALANCE)["fee"] == booth.account.wallet
    told = len(booth.reports)
    assert await booth.gateway.reconcile()
    assert len(booth.reports) == told


@on_booth()
async def test_terms_that_somebody_else_has_changed_are_told(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    (order,) = booth.account.open_orders.values()
    booth.sandbox.venue.exchange.amend(order, FAR - 10, 50)
    assert await booth.gateway.reconcile()
    report = booth.report(order_id, ReportKind.AMENDED)
    assert (report["px"], report["qty"]) == (FAR - 10, 50)


@on_booth()
async def test_end_that_the_stream_dropped_is_found(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.faults(Fault.DROP)
    (order,) = booth.account.open_orders.values()
    booth.sandbox.venue.exchange.cancel(order)
    booth.faults()
    assert await booth.gateway.reconcile()
    assert booth.of(order_id) == ["ACCEPTED", "CANCELLED"]


@on_booth()
async def test_exchange_that_does_not_answer_leaves_trading_as_it_was(booth: Booth) -> None:
    booth.faults(Fault.UNKNOWN)
    assert not await booth.gateway.reconcile()
    assert booth.gateway.trades


@on_booth(is_open=False, clock=SkippingClock)
async def test_first_reconciliation_that_fails_never_trades(booth: Booth) -> None:
    await booth.venue.open()
    booth.account.open_orders.clear()
    booth.faults(Fault.UNKNOWN)
    assert not await booth.gateway.reconcile()
    assert await booth.done(booth.place(1, 10, FAR), ReportKind.REJECTED) == ["REJECTED"]


@on_booth(is_open=False, clock=SkippingClock)
async def test_orders_of_a_session_before_are_resolved(booth: Booth) -> None:
    await booth.venue.open()
    placed, absent = booth.new_id(), booth.new_id()
    await elsewhere(booth, "BUY", "0.1", "61000", newClientOrderId=booth.known.ids.text(placed))
    for order_id in (placed, absent):
        order = Order(
            order_id,
            booth.known.ids.text(order_id),
            booth.instrument,
            1,
            OrderType.LIMIT,
            TimeInForce.GTC,
            0,
            FAR,
            100,
        )
        booth.gateway.recover(order, OrderState.PENDING_NEW)
    assert await booth.done(placed, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert await booth.done(absent, ReportKind.REJECTED) == ["REJECTED"]


@on_booth(is_open=False, clock=SkippingClock)
async def test_order_of_a_session_before_tells_only_the_fills_that_were_missed(booth: Booth) -> None:
    await booth.venue.open()
    order_id = booth.new_id()
    price = booth.instrument.px_from_ticks(booth.best(-1))
    await elsewhere(booth, "SELL", "20", price, newClientOrderId=booth.known.ids.text(order_id))
    booth.market_moves(lambda: len(booth.account.fills) >= 3)
    told = booth.account.fills[0]
    order = Order(
        order_id,
        booth.known.ids.text(order_id),
        booth.instrument,
        -1,
        OrderType.LIMIT,
        TimeInForce.GTC,
        0,
        booth.best(-1),
        20_000,
        stage=Stage.LIVE,
        filled_qty=told.qty,
        said_filled_qty=told.qty,
        untraced_qty=told.qty,
    )
    (shown,) = booth.account.open_orders.values()
    order.px = shown.px
    booth.gateway.recover(order, OrderState.LIVE)
    await booth.gateway.idle()
    booth.gateway.start()
    await booth.gateway.traded.wait()
    missed = [int(report["trade_id"]) for report in booth.reports if report["kind"] == ReportKind.FILL]
    assert missed == [fill.trade_id for fill in booth.account.fills[1:]]
    assert last(booth, ReportKind.POSITION)["qty"] == booth.account.qty


@on_booth(is_open=False, clock=SkippingClock)
async def test_amends_and_cancels_of_a_session_before_are_answered(booth: Booth) -> None:
    await booth.venue.open()
    ids = {state: booth.new_id() for state in (OrderState.PENDING_AMEND, OrderState.PENDING_CANCEL)}
    unchanged = booth.new_id()
    for state, order_id in [*ids.items(), (OrderState.PENDING_AMEND, unchanged)]:
        await elsewhere(booth, "BUY", "0.1", "61000", newClientOrderId=booth.known.ids.text(order_id))
        terms = (OrderType.LIMIT, TimeInForce.GTC, 0, FAR if order_id == unchanged else FAR - 10, 100)
        order = Order(order_id, booth.known.ids.text(order_id), booth.instrument, 1, *terms, stage=Stage.LIVE)
        booth.gateway.recover(order, state)
    assert await booth.done(ids[OrderState.PENDING_AMEND], ReportKind.AMENDED) == ["AMENDED"]
    assert await booth.done(ids[OrderState.PENDING_CANCEL], ReportKind.CANCELLED) == ["CANCELLED"]
    assert await booth.done(unchanged, ReportKind.AMEND_REJECTED) == ["AMEND_REJECTED"]


@on_booth(reconcile_s=10**6)
async def test_funding_is_told_once_by_its_id_as_soon_as_it_is_paid(booth: Booth) -> None:
    await booth.done(booth.place(1, 100), ReportKind.FILL)
    booth.sandbox.pay_funding("0.0001")
    await booth.until(lambda: "FUNDING" in kinds(booth))
    assert await booth.gateway.reconcile()
    (paid,) = [each.amount for each in booth.account.incomes if each.kind == "FUNDING_FEE"]
    report = last(booth, ReportKind.FUNDING)
    assert (report["fee"], report["instrument"]) == (-paid, booth.instrument.id)
    assert paid < 0 < report["trade_id"]
    assert kinds(booth).count("FUNDING") == 1
    assert kinds(booth).count("BALANCE") == 1  # that of the start
    assert booth.known.cash["USDT"] == booth.account.wallet
