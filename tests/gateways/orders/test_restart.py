"""A gateway that begins with what the core knows: what happened meanwhile is told once, or nothing is traded."""

from __future__ import annotations

import pytest

from gateways.orders import binance
from gateways.orders.known import Trade
from gateways.sandbox.exchange import Event, What
from oms.records import OrderState, Reason, ReportKind
from tests.gateways.orders.booth import FAR, Booth, SkippingClock, on_booth
from tests.gateways.orders.test_reconcile import elsewhere, kinds, last


def fills(booth: Booth) -> list[int]:
    """Trade ids that were told."""
    return [int(report["trade_id"]) for report in booth.reports if report["kind"] == ReportKind.FILL]


@on_booth(is_open=False)
async def test_first_session_begins_with_what_the_exchange_shows_and_says_so(booth: Booth) -> None:
    await booth.venue.open()
    await elsewhere(booth, "BUY", "0.5")
    booth.gateway.start()
    await booth.gateway.entry.opened.wait()
    assert kinds(booth) == ["POSITION", "BALANCE"]
    assert "BTCUSDT begins with 500 lots" in " ".join(booth.lines)


@on_booth()
async def test_what_has_not_changed_is_not_told(booth: Booth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    await elsewhere(booth, "BUY", "0.03")
    await booth.restart(booth.past())
    await booth.gateway.entry.opened.wait()
    assert not booth.reports


@on_booth()
async def test_fills_of_our_orders_meanwhile_are_told_once(booth: Booth) -> None:
    order_id = booth.place(-1, 20_000, booth.best(-1))
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.market_moves(lambda: booth.account.fills)
    await booth.done(order_id, ReportKind.FILL)
    (order,) = booth.account.open_orders.values()
    filled_qty = order.filled_qty
    left = booth.left(order_id, OrderState.LIVE, -1, 20_000, order.px, filled_qty=filled_qty)
    past = booth.past(left=[left])
    await booth.gateway.close()
    told = len(booth.account.fills)
    booth.market_moves(lambda: len(booth.account.fills) > told + 1)
    await booth.restart(past)
    await booth.gateway.entry.opened.wait()
    assert fills(booth) == [fill.trade_id for fill in booth.account.fills[told:]]
    assert set(kinds(booth)) == {"FILL"}
    assert booth.known.positions[booth.instrument.id] == booth.account.qty
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth()
async def test_order_that_ended_meanwhile_tells_its_fill_and_ends(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    past = booth.past(left=[booth.left(order_id, OrderState.LIVE, 1, 100)])
    await booth.gateway.close()
    (order,) = booth.account.open_orders.values()
    booth.sandbox.venue.exchange.cancel(order)
    await booth.restart(past)
    await booth.gateway.entry.opened.wait()
    assert kinds(booth) == ["CANCELLED"]


@on_booth()
async def test_market_order_in_flight_when_the_gateway_died_tells_its_fill(booth: Booth) -> None:
    past = booth.past(left=[booth.left(order_id := booth.new_id(), OrderState.PENDING_NEW, 1, 10)])
    await elsewhere(booth, "BUY", "0.01", newClientOrderId=booth.known.ids.text(order_id))
    await booth.restart(past)
    await booth.gateway.entry.opened.wait()
    assert booth.of(order_id) == ["ACCEPTED", "FILL"]
    assert len(booth.reports) == 2


@on_booth()
async def test_fills_of_others_meanwhile_change_position_and_balance(booth: Booth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    past = booth.past()
    await elsewhere(booth, "SELL", "0.03")
    await booth.restart(past)
    await booth.gateway.entry.opened.wait()
    assert kinds(booth) == ["POSITION", "BALANCE"]
    assert last(booth, ReportKind.POSITION)["qty"] == -20 == booth.account.qty
    assert last(booth, ReportKind.BALANCE)["fee"] == booth.account.wallet
    assert "other orders have brought -30" in " ".join(booth.lines)
    assert "balance is taken over" not in " ".join(booth.lines[-2:])


@on_booth()
async def test_fills_of_others_that_the_core_has_counted_already_are_not_counted_again(booth: Booth) -> None:
    await elsewhere(booth, "BUY", "0.04")
    await elsewhere(booth, "BUY", "0.02")
    past = booth.past(booked=set())
    await elsewhere(booth, "SELL", "0.03")
    await booth.restart(past)
    await booth.gateway.entry.opened.wait()
    assert last(booth, ReportKind.POSITION)["qty"] == 30 == booth.account.qty


@on_booth()
async def test_core_that_has_realized_something_else_is_told_the_exchanges_average(booth: Booth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    wallet = booth.account.wallet
    await booth.restart(booth.past(cash={booth.instrument.settlement: wallet + 5}))
    await booth.gateway.entry.opened.wait()
    told = [ReportKind(int(each["kind"])) for each in booth.reports]
    assert told == [ReportKind.POSITION, ReportKind.BALANCE]


@on_booth(clock=SkippingClock)
async def test_position_that_no_fill_explains_is_refused_with_both_numbers_and_never_overwritten(booth: Booth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    await booth.restart(booth.past(positions={booth.instrument.id: 17}))
    await booth.until(lambda: "nothing explains" in booth.gateway.entry.why_not)
    assert "is 10 lots at the exchange, 17 are known" in booth.gateway.entry.why_not
    assert "zoms adopt position BTCUSDT.binance_usdm 0.01" in booth.gateway.entry.why_not
    order_id = booth.place(1, 10)
    await booth.until(lambda: booth.of(order_id))
    assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.NOT_RECONCILED
    assert "POSITION" not in kinds(booth)
    booth.account.qty += 7
    booth.account.open_cost += 7 * FAR
    await booth.gateway.entry.opened.wait()
    assert "POSITION" not in kinds(booth)


@on_booth()
async def test_balance_that_trades_do_not_explain_is_told_with_a_line(booth: Booth) -> None:
    await booth.restart(booth.past(cash={"USDT": booth.account.wallet - 5}))
    await booth.gateway.entry.opened.wait()
    assert kinds(booth) == ["BALANCE"]
    assert "the balance is taken over" in " ".join(booth.lines)


def test_fills_meanwhile_are_read_back_to_the_newest_that_the_core_has_booked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance, "PAGE", 2)

    @on_booth()
    async def body(booth: Booth) -> None:
        await booth.done(booth.place(1, 10), ReportKind.FILL)
        past = booth.past()
        for _ in range(5):
            await elsewhere(booth, "BUY", "0.01")
        await booth.restart(past)
        await booth.gateway.entry.opened.wait()
        assert last(booth, ReportKind.POSITION)["qty"] == 60 == booth.account.qty

    body()


@on_booth()
async def test_stream_and_cancels_work_while_an_order_in_flight_is_asked_for(booth: Booth) -> None:
    resting = booth.place(1, 100, FAR)
    await booth.done(resting, ReportKind.ACCEPTED)
    in_flight = booth.new_id()
    left = [
        booth.left(resting, OrderState.LIVE, 1, 100),
        booth.left(in_flight, OrderState.PENDING_NEW, 1, 10),
    ]
    await booth.restart(booth.past(left=left))
    await booth.until(lambda: "not trading: 1 orders of before are being asked for" in booth.lines)
    refused = booth.place(1, 10)
    booth.cancel(resting)
    await booth.until(lambda: booth.of(refused) and booth.of(resting))
    assert booth.report(refused, ReportKind.REJECTED)["reason"] == Reason.NOT_RECONCILED
    assert booth.of(resting) == ["CANCELLED"]
    assert not booth.of(in_flight)
    assert booth.gateway.stream.is_open


@on_booth(clock=SkippingClock)
async def test_new_orders_leave_once_every_order_in_flight_is_resolved(booth: Booth) -> None:
    in_flight = booth.new_id()
    booth.entries.clear()
    await booth.restart(booth.past(left=[booth.left(in_flight, OrderState.PENDING_NEW, 1, 10)]))
    await booth.gateway.entry.opened.wait()
    assert [entry["reason"] for entry in booth.entries] == [Reason.NOT_RECONCILED, Reason.NONE]
    assert booth.of(in_flight) == ["REJECTED"]
    assert booth.report(in_flight, ReportKind.REJECTED)["reason"] == Reason.NOT_PLACED
    await booth.done(booth.place(1, 100, FAR), ReportKind.ACCEPTED)


@on_booth(clock=SkippingClock)
async def test_cancel_of_an_order_in_flight_at_the_restart_decides_it(booth: Booth) -> None:
    order_id = booth.new_id()
    past = booth.past(left=[booth.left(order_id, OrderState.PENDING_NEW, 1, 100)])
    await elsewhere(booth, "BUY", "0.1", "61000", newClientOrderId=booth.known.ids.text(order_id))
    await booth.restart(past)
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_booth(clock=SkippingClock)
async def test_amend_in_flight_that_made_an_order_larger_and_filled_it(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    past = booth.past(left=[booth.left(order_id, OrderState.PENDING_AMEND, 1, 100)])
    await booth.gateway.close()
    (order,) = booth.account.open_orders.values()
    booth.sandbox.venue.exchange.amend(order, booth.best(-1), 150)
    assert order.filled_qty == 150
    await booth.restart(past)
    await booth.gateway.entry.opened.wait()
    assert sum(int(report["qty"]) for report in booth.reports if report["kind"] == ReportKind.FILL) == 150
    assert booth.known.positions[booth.instrument.id] == booth.account.qty == 150


@on_booth(clock=SkippingClock)
async def test_amend_and_cancel_in_flight_of_an_order_that_filled_are_answered(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    left = booth.left(order_id, OrderState.PENDING_CANCEL, 1, 100)._replace(is_amending=True)
    past = booth.past(left=[left])
    await booth.gateway.close()
    (order,) = booth.account.open_orders.values()
    booth.sandbox.venue.exchange.amend(order, booth.best(-1), 100)
    assert order.filled_qty == 100
    await booth.restart(past)
    await booth.gateway.entry.opened.wait()
    await booth.gateway.idle()
    assert set(booth.of(order_id)) == {"FILL", "AMEND_REJECTED"}
    assert sum(int(report["qty"]) for report in booth.reports if report["kind"] == ReportKind.FILL) == 100


@on_booth()
async def test_adopted_order_is_found_again_by_the_exchanges_own_id(booth: Booth) -> None:
    await elsewhere(booth, "BUY", "0.2", "61000")
    assert await booth.gateway.reconcile()
    (order,) = booth.known.orders.values()
    left = booth.left(order.order_id, OrderState.LIVE, 1, 200)
    left.order.client_id, left.order.venue_order_id = "", order.venue_order_id
    await booth.restart(booth.past(left=[left]))
    await booth.gateway.entry.opened.wait()
    assert not booth.reports
    booth.cancel(order.order_id)
    assert await booth.done(order.order_id, ReportKind.CANCELLED) == ["CANCELLED"]


@on_booth()
async def test_fills_that_the_core_has_forgotten_are_traced_and_not_told_again(booth: Booth) -> None:
    order_id = booth.place(-1, 20_000, booth.best(-1))
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.market_moves(lambda: len(booth.account.fills) >= 3)
    await booth.gateway.idle()
    (order,) = booth.account.open_orders.values()
    first, _, third, *_ = booth.account.fills
    filled_qty = first.qty + third.qty
    known = {"filled_qty": filled_qty, "untraced_qty": filled_qty}
    left = booth.left(order_id, OrderState.LIVE, -1, 20_000, order.px, **known)
    number = booth.instrument.id
    booked = {Trade(number, -1, third.trade_id)}
    await booth.restart(booth.past(left=[left], positions={number: -filled_qty}, booked=booked))
    await booth.gateway.entry.opened.wait()
    assert sorted(fills(booth)) == sorted(
        fill.trade_id for fill in booth.account.fills if fill.trade_id not in (first.trade_id, third.trade_id)
    )


@on_booth()
async def test_funding_that_was_paid_meanwhile_is_told_and_one_that_the_core_has_booked_is_not(booth: Booth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    began_ns = booth.clock.time_ns() - 10**9
    booth.sandbox.pay_funding("0.0001")
    await booth.until(lambda: "FUNDING" in kinds(booth))
    payment = (booth.instrument.id, int(last(booth, ReportKind.FUNDING)["trade_id"]))
    past = booth.past(payments={payment}, ts=began_ns)
    await booth.gateway.close()
    booth.sandbox.pay_funding("0.0002")
    await booth.restart(past)
    await booth.gateway.entry.opened.wait()
    assert kinds(booth) == ["FUNDING"]
    assert last(booth, ReportKind.FUNDING)["fee"] == -booth.account.incomes[-1].amount


@pytest.mark.parametrize("state", [OrderState.LIVE, OrderState.PENDING_CANCEL])
def test_order_that_the_exchange_has_forgotten_has_ended(state: OrderState) -> None:
    @on_booth(clock=SkippingClock)
    async def body(booth: Booth) -> None:
        order_id = booth.new_id()
        await booth.restart(booth.past(left=[booth.left(order_id, state, 1, 100)]))
        await booth.gateway.entry.opened.wait()
        assert booth.of(order_id) == ["CANCELLED"]
        assert booth.report(order_id, ReportKind.CANCELLED)["reason"] == Reason.UNKNOWN_AT_EXCHANGE

    body()


@on_booth(clock=SkippingClock)
async def test_amend_that_is_asked_for_while_one_of_before_is_in_flight_has_the_only_answer(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    await booth.restart(booth.past(left=[booth.left(order_id, OrderState.PENDING_AMEND, 1, 100)]))
    booth.gateway.entry.is_open = True
    booth.amend(order_id, FAR + 1, 100)
    await booth.gateway.entry.opened.wait()
    await booth.gateway.idle()
    assert booth.of(order_id) == ["AMENDED"]


@on_booth()
async def test_gateway_that_has_ended_tells_nothing_more(booth: Booth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    ended, handle = booth.gateway, booth.exchange.handle_message
    await ended.close()
    (order,) = booth.account.open_orders.values()
    booth.sandbox.venue.exchange.cancel(order)
    told = len(booth.reports)
    messages = ended.stream.messages
    handle(None, booth.binance.views.order_update(Event(What.CANCELED, order, None, order.updated_ms)))
    assert (len(booth.reports), ended.stream.messages) == (told, messages)
