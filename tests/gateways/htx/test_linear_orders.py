"""An order's life on the sandbox of HTX's contracts, from command to report, through an unmodified ccxt."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateways.orders.htx_linear import PAGE, HtxLinear
from gateways.orders.ids import number_of
from gateways.orders.outcomes import Verdict
from gateways.orders.views import OrderView, Standing
from gateways.sandbox.accounts import Order
from gateways.sandbox.faults import Fault
from gateways.sandbox.htx.linear_views import BY_CLIENT
from oms.records import CommandKind, Liquidity, OrderFlag, OrderState, OrderType, Reason, ReportKind, TimeInForce
from tests.gateways.htx.booth import CONTRACT, HtxBooth, on_booth
from tests.gateways.orders.booth import FAR, SkippingClock

LONG_WAITS = 75.0
"""Longer than HTX's receive window: those waits are skipped too."""


@on_booth()
async def test_order_rests_with_exact_terms_and_is_cancelled(booth: HtxBooth) -> None:
    order_id = booth.place(1, 12, FAR + 3)
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    (order,) = booth.account.open_orders.values()
    assert (order.side, order.px, order.qty) == (1, FAR + 3, 12)
    assert order.client_order_id == str(order_id)
    assert booth.known.ids.order_id(order.client_order_id) == order_id
    assert booth.report(order_id, ReportKind.ACCEPTED)["venue_order_id"] == order.order_id
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders


@on_booth()
async def test_market_order_is_filled_and_each_fill_told_once_with_what_it_cost(booth: HtxBooth) -> None:
    order_id = booth.place(1, 8_000)
    await booth.until(lambda: sum(each["qty"] for each in booth.reports if each["kind"] == ReportKind.FILL) == 8_000)
    await booth.gateway.idle()
    fills = [each for each in booth.reports if each["kind"] == ReportKind.FILL]
    told = [(int(each["trade_id"]), int(each["px"]), int(each["qty"]), int(each["fee"])) for each in fills]
    assert told == [(fill.trade_id, fill.px, fill.qty, fill.fee) for fill in booth.account.fills]
    assert len(told) > 1
    assert all(each["fee"] > 0 and each["liquidity"] == Liquidity.TAKER and each["fee_known"] for each in fills)
    assert booth.of(order_id)[0] == "ACCEPTED"
    assert not booth.known.orders
    assert booth.known.cash["USDT"] == booth.account.wallet
    assert booth.gateway.stream.connections == 1


@on_booth()
async def test_resting_order_is_filled_as_the_market_moves(booth: HtxBooth) -> None:
    order_id = booth.place(-1, 30, booth.best(-1))
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.market_moves(lambda: booth.account.qty == -30)
    await booth.until(lambda: not booth.known.orders)
    fills = [each for each in booth.reports if each["kind"] == ReportKind.FILL]
    assert {int(each["liquidity"]) for each in fills} == {Liquidity.MAKER}
    assert sum(int(each["qty"]) for each in fills) == 30
    assert await booth.gateway.reconcile()
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth()
async def test_amend_is_rejected_and_the_order_stays_as_it_is(booth: HtxBooth) -> None:
    order_id = booth.place(1, 10, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.amend(order_id, FAR + 5, 7)
    assert await booth.done(order_id, ReportKind.AMEND_REJECTED) == ["ACCEPTED", "AMEND_REJECTED"]
    assert booth.report(order_id, ReportKind.AMEND_REJECTED)["reason"] == Reason.EXCHANGE_REFUSED
    assert "htx_linear does not amend orders" in booth.lines[-1]
    (order,) = booth.account.open_orders.values()
    assert (order.px, order.qty) == (FAR, 10)


@on_booth()
async def test_refusals_have_their_reasons(booth: HtxBooth) -> None:
    booth.account.wallet //= 100
    cases = [
        (booth.place(-1, 10, FAR, flags=OrderFlag.REDUCE_ONLY), Reason.REDUCE_ONLY),
        (booth.place(1, 90_000, FAR), Reason.INSUFFICIENT_FUNDS),
        (booth.place(1, 2_000_000, FAR), Reason.QTY_ABOVE_MAX),
        (booth.place(1, 0, FAR), Reason.QTY_BELOW_MIN),
        (booth.place(1, 1, 2 * FAR), Reason.PRICE_COLLAR),
        (booth.place(1, 10, FAR, display_qty=1), Reason.BAD_DISPLAY_QTY),
        (booth.place(1, 10, FAR, flags=OrderFlag.SHORT_LEG), Reason.BAD_LEG),
        (booth.place(1, 10, time_in_force=TimeInForce.FOK), Reason.BAD_TIME_IN_FORCE),
    ]
    for order_id, reason in cases:
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == reason
    assert not booth.known.orders


@on_booth()
async def test_what_cannot_rest_or_fill_is_accepted_and_expires(booth: HtxBooth) -> None:
    over = booth.best(-1) + 100
    cases = [
        (booth.place(1, 10, over, flags=OrderFlag.POST_ONLY), Reason.POST_ONLY_WOULD_CROSS),
        (booth.place(1, 20_000, booth.best(-1), time_in_force=TimeInForce.FOK), Reason.NO_LIQUIDITY),
        (booth.place(1, 20_000, booth.best(-1), time_in_force=TimeInForce.IOC), Reason.NO_LIQUIDITY),
    ]
    for order_id, reason in cases:
        names = await booth.done(order_id, ReportKind.EXPIRED)
        assert (names[0], names[-1]) == ("ACCEPTED", "EXPIRED")
        assert booth.report(order_id, ReportKind.EXPIRED)["reason"] == reason
    assert not booth.known.orders
    assert booth.known.positions[booth.instrument.id] == booth.account.qty > 0


@on_booth()
async def test_order_of_ours_that_meets_another_of_ours_expires(booth: HtxBooth) -> None:
    resting = booth.place(-1, 10, booth.best(-1))
    await booth.done(resting, ReportKind.ACCEPTED)
    taking = booth.place(1, 20_000, booth.best(-1))
    assert (await booth.done(taking, ReportKind.EXPIRED))[-1] == "EXPIRED"
    assert booth.report(taking, ReportKind.EXPIRED)["reason"] == Reason.SELF_TRADE
    assert booth.of(resting) == ["ACCEPTED"]


@on_booth()
async def test_reduce_only_closes_and_no_more(booth: HtxBooth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    closing = booth.place(-1, 15, flags=OrderFlag.REDUCE_ONLY)
    await booth.done(closing, ReportKind.EXPIRED)
    assert booth.report(closing, ReportKind.EXPIRED)["reason"] in (Reason.REDUCE_ONLY, Reason.NO_LIQUIDITY)
    assert booth.account.qty == 0 == booth.known.positions[booth.instrument.id]


@on_booth()
async def test_cancel_all_ends_every_order_also_those_placed_elsewhere(booth: HtxBooth) -> None:
    ours = [booth.place(1, 10, FAR + step) for step in range(3)]
    for order_id in ours:
        await booth.done(order_id, ReportKind.ACCEPTED)
    await booth.exchange.contractPrivatePostV5TradeOrder(elsewhere())
    booth.send(CommandKind.CANCEL_ALL, 0, account=-1, instrument=-1)
    for order_id in ours:
        assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders
    await booth.htx.cancel_all(booth.instrument)  # that there is none is no error


@on_booth()
async def test_order_and_position_from_elsewhere_are_adopted(booth: HtxBooth) -> None:
    await booth.exchange.contractPrivatePostV5TradeOrder(elsewhere())
    await booth.exchange.contractPrivatePostV5TradeOrder(elsewhere(type="market", price=None))
    assert await booth.gateway.reconcile()
    kinds = [int(each["kind"]) for each in booth.reports]
    assert ReportKind.ADOPTED in kinds
    assert ReportKind.POSITION in kinds
    assert booth.known.positions[booth.instrument.id] == booth.account.qty == 10
    assert booth.known.cash["USDT"] == booth.account.wallet


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
async def test_order_whose_answer_is_lost_is_found_and_placed_once(booth: HtxBooth) -> None:
    for fault in (Fault.LOSE_ANSWER, Fault.UNKNOWN):
        booth.once(fault)
        order_id = booth.place(1, 10, FAR)
        assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert len(booth.account.open_orders) == 2
    assert booth.gateway.asking.outcomes[Verdict.UNKNOWN] == 2


@on_booth(lambda: SkippingClock(LONG_WAITS))
async def test_order_that_never_arrived_is_rejected_when_that_is_certain(booth: HtxBooth) -> None:
    for fault in (Fault.LOSE_REQUEST, Fault.BUSY, Fault.HTML):
        booth.once(fault)
        order_id = booth.place(1, 10, FAR)
        sent_s = booth.clock.now_s()
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.NOT_PLACED
        assert booth.clock.now_s() - sent_s > booth.htx.receive_window_s
    assert not booth.account.open_orders


@pytest.mark.parametrize("fault", [Fault.RATE_LIMIT, Fault.MAINTENANCE])
def test_too_many_requests_and_maintenance_reject_the_order(fault: Fault) -> None:
    @on_booth(lambda: SkippingClock(LONG_WAITS))
    async def body(booth: HtxBooth) -> None:
        booth.once(fault)
        order_id = booth.place(1, 10, FAR)
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.EXCHANGE_UNAVAILABLE
        assert booth.gateway.asking.outcomes[Verdict.NOT_ACCEPTED] == 1
        assert not booth.account.open_orders
        await booth.gateway.entry.opened.wait()
        await booth.done(booth.place(1, 10, FAR), ReportKind.ACCEPTED)

    body()


@on_booth(lambda: SkippingClock(LONG_WAITS))
async def test_cancel_is_sent_until_the_order_has_ended(booth: HtxBooth) -> None:
    for fault in (Fault.LOSE_REQUEST, Fault.LOSE_ANSWER, Fault.UNKNOWN, Fault.HTML, Fault.BAN):
        order_id = booth.place(1, 10, FAR)
        await booth.done(order_id, ReportKind.ACCEPTED)
        booth.once(fault, times=2)
        booth.cancel(order_id)
        assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders


@on_booth()
async def test_duplicate_id_means_that_an_earlier_try_is_live(booth: HtxBooth) -> None:
    real = booth.exchange.contractPrivatePostV5TradeOrder

    async def twice(request: Any) -> Any:
        await real(dict(request))
        return await real(request)

    booth.exchange.contractPrivatePostV5TradeOrder = twice
    order_id = booth.place(1, 10, FAR)
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert booth.gateway.asking.outcomes[Verdict.DUPLICATE] == 1
    assert len(booth.account.open_orders) == 1


@on_booth(lambda: SkippingClock(LONG_WAITS))
async def test_refused_keys_halt_and_a_wrong_clock_is_set(booth: HtxBooth) -> None:
    booth.sandbox.venue.clock.skew_ms = -120_000
    order_id = booth.place(1, 10, FAR)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.gateway.asking.outcomes[Verdict.RESYNC] == 1
    await booth.done(booth.place(1, 10, FAR), ReportKind.ACCEPTED)
    booth.exchange.secret = "0" * 64
    order_id = booth.place(1, 10, FAR)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.KEYS_REFUSED
    assert not any(booth.exchange.apiKey in line for line in booth.lines)


@on_booth(lambda: SkippingClock(LONG_WAITS))
async def test_private_stream_that_is_closed_is_opened_anew_and_missed_ends_are_told(booth: HtxBooth) -> None:
    order_id = booth.place(1, 10, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.side.expire_subscription("")
    await booth.until(lambda: any("lost" in line for line in booth.lines))
    booth.side.exchange.cancel(next(iter(booth.account.open_orders.values())))
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    await booth.gateway.entry.opened.wait()


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
