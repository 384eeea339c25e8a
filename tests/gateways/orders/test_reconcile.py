"""Reconciliation: what differs is told, or nothing is traded."""

from __future__ import annotations

from typing import Any

import ccxt
import numpy as np
import pytest

from gateways.orders import gateway
from gateways.orders.ids import ClientIds
from gateways.orders.known import Order, Stage
from gateways.orders.views import FillView, OrderView
from gateways.sandbox.faults import Fault
from oms.records import Liquidity, OrderState, OrderType, ReportKind, TimeInForce
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
    await booth.gateway.entry.opened.wait()
    assert kinds(booth) == ["ADOPTED", "POSITION", "BALANCE"]
    adopted = last(booth, ReportKind.ADOPTED)
    assert (adopted["px"], adopted["qty"], adopted["leaves_qty"], adopted["side"]) == (610_003, 200, 200, 1)
    assert adopted["venue_order_id"] == int(order["orderId"])
    position = last(booth, ReportKind.POSITION)
    assert position["qty"] == 500
    assert position["px"] == booth.account.open_cost // 500
    assert last(booth, ReportKind.BALANCE)["fee"] == booth.account.wallet


@on_booth()
async def test_order_of_another_session_of_zoms_is_adopted_and_told_with_a_line(booth: Booth) -> None:
    await elsewhere(booth, "BUY", "0.2", "61000.3", newClientOrderId=ClientIds("another").text(1 << 41))
    assert await booth.gateway.reconcile()
    assert kinds(booth).count("ADOPTED") == 1
    assert "was placed by another session of zoms" in booth.lines[-1]


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
async def test_position_that_nothing_explains_stops_trading(booth: Booth) -> None:
    booth.account.qty += 7
    assert not await booth.gateway.reconcile()
    assert "nothing explains" in booth.gateway.entry.why_not
    assert await booth.done(booth.place(1, 10, FAR), ReportKind.REJECTED) == ["REJECTED"]
    booth.account.qty -= 7
    assert await booth.gateway.reconcile()
    await booth.done(booth.place(1, 10, FAR), ReportKind.ACCEPTED)


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
async def test_exchange_that_does_not_answer_leaves_trading_as_it_was(booth: Booth) -> None:
    booth.faults(Fault.UNKNOWN)
    assert not await booth.gateway.reconcile()
    assert booth.gateway.entry.is_open


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
    await booth.gateway.entry.opened.wait()
    missed = [int(report["trade_id"]) for report in booth.reports if report["kind"] == ReportKind.FILL]
    assert missed == [fill.trade_id for fill in booth.account.fills[1:]]
    assert last(booth, ReportKind.POSITION)["qty"] == booth.account.qty


@on_booth(is_open=False, clock=SkippingClock)
async def test_fill_whose_order_the_exchange_has_forgotten_is_none_of_an_order_of_before(booth: Booth) -> None:
    async def forgotten(*_: Any) -> OrderView:
        raise ccxt.OrderNotFound('binanceusdm {"code":-2013,"msg":"Order does not exist."}')

    await booth.venue.open()
    await elsewhere(booth, "BUY", "1")
    booth.venue.query_by_venue_id = forgotten
    booth.gateway.recover(*booth.left(booth.new_id(), OrderState.LIVE, 1, 10))
    booth.gateway.start()
    await booth.gateway.entry.opened.wait()
    assert kinds(booth) == ["CANCELLED", "POSITION", "BALANCE"]


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


@on_booth()
async def test_fee_in_another_currency_is_counted_by_our_rates_and_the_wallet_is_not_charged(booth: Booth) -> None:
    told_of = booth.venue.told

    def paid_in_bnb(message: Any) -> Any:
        if message.get("o", {}).get("x") == "TRADE":
            message["o"] |= {"n": "0.00001234", "N": "BNB"}
        return told_of(message)

    setattr(booth.venue, "told", paid_in_bnb)  # noqa: B010
    before = booth.known.cash["USDT"]
    order_id = booth.place(1, 100)
    await booth.done(order_id, ReportKind.FILL)
    fees = sum(fill.fee for fill in booth.account.fills)
    booth.account.wallet += fees
    told = booth.report(order_id, ReportKind.FILL)
    assert (told["fee_known"], told["fee"]) == (0, 0)
    assert before - booth.known.cash["USDT"] == fees  # what the core counts by the same rates
    lines = len(booth.lines)
    assert await booth.gateway.reconcile()
    assert last(booth, ReportKind.BALANCE)["fee"] == booth.account.wallet == before
    assert len(booth.lines) == lines


def test_reconciliation_that_the_exchange_did_not_answer_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "RETRY_S", (0.0,))

    @on_booth(reconcile_s=10**6)
    async def body(booth: Booth) -> None:
        await booth.done(booth.place(1, 100), ReportKind.FILL)
        booth.once(Fault.UNKNOWN, times=2)
        booth.sandbox.pay_funding("0.0001")
        await booth.until(lambda: "FUNDING" in kinds(booth))

    body()


@on_booth()
async def test_fill_that_comes_behind_a_later_one_has_the_balance_told(booth: Booth) -> None:
    """The core realizes by the order in which it is told, the exchange by the order in which it happened."""
    for side in (1, -1, 1):
        await booth.done(booth.place(side, 30), ReportKind.FILL)
    assert not booth.known.is_disordered
    first, *_ = booth.account.fills
    late = booth.place(-1, 10)
    await booth.done(late, ReportKind.FILL)
    view = replace_trade(booth, first.trade_id)
    booth.known._note_order(view)
    assert booth.known.is_disordered
    before = len(booth.reports)
    assert await booth.gateway.reconcile()
    told = [each for each in booth.reports[before:] if each["kind"] == ReportKind.BALANCE]
    assert [int(each["fee"]) for each in told] == [booth.account.wallet]
    assert not booth.known.is_disordered


def replace_trade(booth: Booth, trade_id: int) -> FillView:
    """A fill of the instrument with another trade id."""
    return FillView(
        instrument=booth.instrument.id,
        client_id="",
        venue_order_id=1,
        trade_id=trade_id,
        side=1,
        px=FAR,
        qty=1,
        fee=0,
        fee_known=True,
        realized_pnl=0,
        liquidity=Liquidity.MAKER,
        exch_ts=1,
    )
