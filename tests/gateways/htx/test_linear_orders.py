"""An order's life on the sandbox of HTX's contracts, from command to report, through an unmodified ccxt."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateways.orders.htx_linear import PAGE, HtxLinear
from gateways.orders.ids import number_of
from gateways.orders.views import OrderView, Standing
from gateways.sandbox.accounts import Order
from gateways.sandbox.faults import Fault
from gateways.sandbox.htx.linear_views import BY_CLIENT
from oms.records import OrderFlag, OrderState, OrderType, Reason, ReportKind, TimeInForce
from tests.gateways.htx.booth import CONTRACT, HtxBooth, on_booth
from tests.gateways.orders.booth import FAR, SkippingClock

LONG_WAITS = 400.0
"""Longer than HTX's receive window: those waits are skipped too."""


@on_booth()
async def test_refusals_have_their_reasons(booth: HtxBooth) -> None:
    cases = [
        (booth.place(-1, 10, FAR, flags=OrderFlag.REDUCE_ONLY), Reason.REDUCE_ONLY),
        (booth.place(1, 10, FAR, flags=OrderFlag.SHORT_LEG), Reason.BAD_LEG),
    ]
    for order_id, reason in cases:
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == reason
    assert not booth.known.orders


@on_booth()
async def test_order_of_ours_that_meets_another_of_ours_expires(booth: HtxBooth) -> None:
    resting = booth.place(-1, 10, booth.best(-1))
    await booth.done(resting, ReportKind.ACCEPTED)
    taking = booth.place(1, 20_000, booth.best(-1))
    assert (await booth.done(taking, ReportKind.EXPIRED))[-1] == "EXPIRED"
    assert booth.report(taking, ReportKind.EXPIRED)["reason"] == Reason.SELF_TRADE
    assert booth.of(resting) == ["ACCEPTED"]
    assert [order.client_order_id for order in booth.account.open_orders.values()] == [str(resting)]


@on_booth()
async def test_reduce_only_closes_and_no_more(booth: HtxBooth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    closing = booth.place(-1, 15, flags=OrderFlag.REDUCE_ONLY)
    await booth.done(closing, ReportKind.EXPIRED)
    assert booth.report(closing, ReportKind.EXPIRED)["reason"] in (Reason.REDUCE_ONLY, Reason.NO_LIQUIDITY)
    assert booth.account.qty == 0 == booth.known.positions[booth.instrument.id]


@on_booth()
async def test_order_from_elsewhere_is_known_again_after_a_restart(booth: HtxBooth) -> None:
    ids = []
    for _ in range(2):
        answer = await booth.exchange.contractPrivatePostV5TradeOrder(elsewhere())
        ids.append(answer["data"]["order_id"])
    assert await booth.gateway.reconcile()
    adopted = [each for each in booth.reports if each["kind"] == ReportKind.ADOPTED]
    ours = [int(each["order_id"]) for each in sorted(adopted, key=lambda each: int(each["venue_order_id"]))]
    left = [booth.left(order_id, OrderState.LIVE, 1, 10, client_id="") for order_id in ours]
    await booth.exchange.contractPrivatePostV5TradeCancelOrder({"contract_code": "BTC-USDT", "order_id": ids[1]})
    await booth.restart(booth.past(left=left))
    await booth.gateway.entry.opened.wait()
    assert booth.of(ours[1]) == ["CANCELLED"]
    booth.cancel(ours[0])
    assert await booth.done(ours[0], ReportKind.CANCELLED) == ["CANCELLED"]
    assert not booth.account.open_orders


@on_booth()
async def test_funding_is_told_once(booth: HtxBooth) -> None:
    await booth.done(booth.place(1, 1_000), ReportKind.FILL)
    for _ in range(2):
        booth.sandbox.pay_funding("0.0001")
        assert await booth.gateway.reconcile()
    assert await booth.gateway.reconcile()
    told = [int(each["fee"]) for each in booth.reports if each["kind"] == ReportKind.FUNDING]
    assert told == [-income.amount for income in booth.account.incomes if income.kind == "FUNDING_FEE"]
    assert len(told) == 2
    assert min(told) > 0
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth(lambda: SkippingClock(LONG_WAITS))
async def test_order_that_has_ended_is_found_though_the_exchange_knows_its_client_id_no_more(booth: HtxBooth) -> None:
    booth.side.publish = lambda *_, **__: None  # type: ignore[method-assign]  # the stream says nothing
    booth.once(Fault.LOSE_ANSWER)
    sent_s = booth.clock.now_s()
    order_id = booth.place(1, 10)
    await booth.done(order_id, ReportKind.FILL)
    booth.once(Fault.LOSE_ANSWER)
    order_id = booth.place(1, 10, FAR, time_in_force=TimeInForce.IOC)
    assert await booth.done(order_id, ReportKind.EXPIRED) == ["ACCEPTED", "EXPIRED"]
    assert booth.clock.now_s() - sent_s < booth.htx.receive_window_s


@on_booth()
async def test_ping_is_answered(booth: HtxBooth) -> None:
    (connection,) = booth.side.private_connections()
    before = connection.pongs
    booth.sandbox.advance(6_000)
    while connection.pongs == before:
        await asyncio.sleep(0)
    assert booth.gateway.stream.connections == 1


@on_booth(is_open=False)
async def test_dead_mans_switch_cancels_what_is_open(booth: HtxBooth) -> None:
    await booth.htx.open()
    await booth.exchange.contractPrivatePostV5TradeOrder(elsewhere())
    await booth.htx.arm(booth.instrument, 60.0)
    (order,) = booth.account.open_orders.values()
    booth.sandbox.advance(59_000)
    assert booth.account.open_orders
    booth.sandbox.advance(2_000)
    assert not booth.account.open_orders
    await booth.htx.set_clock()
    view = await booth.htx.query_by_venue_id(booth.instrument, order.order_id)
    assert (view.standing, view.client_id, view.filled_qty) == (Standing.CANCELLED, "", 0)
    await booth.htx.cancel_all(booth.instrument)  # that there is none is no error


@on_booth(is_open=False)
async def test_contract_that_is_not_the_exchanges_is_refused(booth: HtxBooth) -> None:
    for changes, said in (
        ({"multiplier": "0.1"}, "contracts of 0.001 at the exchange"),
        ({"tick": "0.05"}, "tick 0.05 is no multiple"),
        ({"symbol": "ETH-USDT"}, "ETH-USDT is not traded"),
    ):
        with pytest.raises(ValueError, match=said):
            await HtxLinear(booth.exchange, (msgspec.structs.replace(booth.instrument, **changes),), booth.clock).open()


@on_booth(is_open=False)
async def test_long_lists_are_read_whole(booth: HtxBooth) -> None:
    account = booth.account
    for number in range(PAGE + 1):
        order = Order(account, "", 1, OrderType.LIMIT, TimeInForce.GTC, 1, FAR + number)
        booth.side.exchange.place(order)
    views = await booth.htx.open_orders(booth.instrument)
    assert sorted(view.px for view in views) == [*range(FAR, FAR + PAGE + 1)]
    for number in range(PAGE + 5):
        booth.side.exchange.place(
            Order(account, "", (-1) ** number, OrderType.MARKET, TimeInForce.IOC, 1),
        )
    page = await booth.htx.fills_from(booth.instrument, account.fills[3].trade_id)
    assert [fill.trade_id for fill in page.fills] == [fill.trade_id for fill in account.fills[3:]]


@on_booth(is_open=False)
async def test_two_fills_with_one_trade_id_are_an_error(booth: HtxBooth) -> None:
    await booth.htx.open()
    booth.side.exchange.place(Order(booth.account, "", 1, OrderType.MARKET, TimeInForce.IOC, 8_000))
    first, second, *_ = booth.account.fills
    booth.account.fills[1] = second._replace(trade_id=first.trade_id)
    with pytest.raises(ValueError, match=r"two fills of order \d+ have the trade id"):
        await booth.htx.fills_from(booth.instrument, None)


@on_booth()
async def test_state_of_a_match_ends_the_order_only_with_its_last_message(booth: HtxBooth) -> None:
    order_id = booth.place(1, 8_000)
    await booth.done(order_id, ReportKind.FILL)
    await booth.until(lambda: not booth.known.orders)
    order = next(iter(booth.side.exchange.orders.values()))
    event = booth.side.views.order_event

    def told(row: Any) -> tuple[Standing, int]:
        (view,) = booth.htx.told({"op": "notify", "topic": "orders", "data": row})
        assert isinstance(view, OrderView)
        return view.standing, view.filled_qty

    for state, filled, standing in (
        ("filled", 100, Standing.OPEN),
        ("filled", 8_000, Standing.FILLED),
        ("partially_filled", 100, Standing.OPEN),
    ):
        assert told(event(order, state, filled, filled * FAR)) == (standing, filled)
    row = {**event(order, "partially_canceled", 100, 100 * FAR), "cancel_reason": BY_CLIENT}
    assert told({**row, "cancel_volume": "7000"}) == (Standing.OPEN, 100)
    assert told({**row, "cancel_volume": "7900"}) == (Standing.CANCELLED, 100)


def test_instrument_is_of_whole_contracts() -> None:
    assert (CONTRACT.lot, CONTRACT.multiplier) == ("1", "0.001")
    assert number_of("1550512244980690944") > 2**53


def elsewhere(**changes: Any) -> dict[str, Any]:
    """An order that another client places."""
    order = {"contract_code": "BTC-USDT", "margin_mode": "cross", "side": "buy", "type": "limit", "volume": "10"}
    order |= {"price": "61000", **changes}
    return {name: value for name, value in order.items() if value is not None}
