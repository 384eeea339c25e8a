"""An order's life on the sandbox of OKX, from command to report, through an unmodified ccxt."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateways.credentials import Credentials, CredentialsError
from gateways.orders.okx import Okx
from gateways.orders.views import FillView, OrderView, Standing
from gateways.sandbox.faults import Fault
from oms.records import CommandKind, Liquidity, OrderFlag, OrderState, OrderType, Reason, ReportKind, TimeInForce
from tests.gateways.okx.booth import OkxBooth, on_booth
from tests.gateways.orders.booth import FAR, SkippingClock


@on_booth()
async def test_order_rests_with_exact_terms_and_is_cancelled(booth: OkxBooth) -> None:
    order_id = booth.place(1, 123, FAR + 3)
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    (order,) = booth.account.open_orders.values()
    assert (order.side, order.px, order.qty) == (1, FAR + 3, 123)
    assert booth.known.ids.order_id(order.client_order_id) == order_id
    assert booth.report(order_id, ReportKind.ACCEPTED)["venue_order_id"] == order.order_id
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders


@on_booth()
async def test_market_order_is_filled_and_each_fill_told_once(booth: OkxBooth) -> None:
    order_id = booth.place(1, 80_000)
    await booth.until(lambda: sum(each["qty"] for each in booth.reports if each["kind"] == ReportKind.FILL) == 80_000)
    await booth.gateway.idle()
    fills = [each for each in booth.reports if each["kind"] == ReportKind.FILL]
    told = [(int(each["trade_id"]), int(each["px"]), int(each["qty"]), int(each["fee"])) for each in fills]
    assert told == [(fill.trade_id, fill.px, fill.qty, fill.fee) for fill in booth.account.fills]
    assert len(told) > 1
    assert all(each["fee"] > 0 and each["liquidity"] == Liquidity.TAKER and each["fee_known"] for each in fills)
    assert booth.of(order_id)[0] == "ACCEPTED"
    assert not booth.known.orders
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth()
async def test_resting_order_is_filled_as_the_market_moves(booth: OkxBooth) -> None:
    order_id = booth.place(-1, 300, booth.best(-1))
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.market_moves(lambda: booth.account.qty == -300)
    await booth.until(lambda: booth.of(order_id).count("FILL") == len(booth.account.fills))
    fills = [each for each in booth.reports if each["kind"] == ReportKind.FILL]
    assert {int(each["liquidity"]) for each in fills} == {Liquidity.MAKER}
    assert not booth.known.orders
    assert await booth.gateway.reconcile()


@on_booth()
async def test_order_is_amended(booth: OkxBooth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.amend(order_id, FAR + 5, 70)
    assert await booth.done(order_id, ReportKind.AMENDED) == ["ACCEPTED", "AMENDED"]
    report = booth.report(order_id, ReportKind.AMENDED)
    assert (report["px"], report["qty"], report["leaves_qty"]) == (FAR + 5, 70, 70)
    (order,) = booth.account.open_orders.values()
    assert (order.px, order.qty) == (FAR + 5, 70)


@on_booth()
async def test_order_that_fills_at_new_terms_before_they_are_told_has_ended_by_its_fill(booth: OkxBooth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    order = booth.known.orders[order_id]
    order.asked = (FAR + 1, 100)
    terms = (0, order.client_id, order.venue_order_id, 1)
    booth.known.take_fill(FillView(*terms[:3], 1, 1, FAR, 100, Liquidity.MAKER, 5, True, 0, 10))
    view = OrderView(*terms, OrderType.LIMIT, TimeInForce.GTC, 0, Standing.FILLED, 0, FAR + 1, 100, 100, 10)
    booth.known.take_order(view)
    assert booth.of(order_id) == ["ACCEPTED", "FILL"]
    assert order_id not in booth.known.orders


@on_booth()
async def test_amend_to_a_price_too_far_away_is_rejected_and_the_order_stays(booth: OkxBooth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.amend(order_id, 2 * FAR, 100)
    assert await booth.done(order_id, ReportKind.AMEND_REJECTED) == ["ACCEPTED", "AMEND_REJECTED"]
    assert booth.report(order_id, ReportKind.AMEND_REJECTED)["reason"] == Reason.PRICE_COLLAR


@on_booth()
async def test_refusals_have_their_reasons(booth: OkxBooth) -> None:
    booth.account.wallet //= 100
    cases = [
        (booth.place(-1, 100, FAR, flags=OrderFlag.REDUCE_ONLY), Reason.REDUCE_ONLY),
        (booth.place(1, 900_000, FAR), Reason.INSUFFICIENT_FUNDS),
        (booth.place(1, 200_000_000, FAR), Reason.QTY_ABOVE_MAX),
        (booth.place(1, 0, FAR), Reason.QTY_BELOW_MIN),
        (booth.place(1, 1, 2 * FAR), Reason.PRICE_COLLAR),
        (booth.place(1, 100, FAR, display_qty=10), Reason.BAD_DISPLAY_QTY),
        (booth.place(1, 100, FAR, flags=OrderFlag.SHORT_LEG), Reason.BAD_LEG),
        (booth.place(1, 100, time_in_force=TimeInForce.FOK), Reason.BAD_TIME_IN_FORCE),
    ]
    for order_id, reason in cases:
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == reason
    assert not booth.known.orders


@on_booth()
async def test_what_cannot_rest_or_fill_is_accepted_and_expires(booth: OkxBooth) -> None:
    over = booth.best(-1) + 100
    cases = [
        (booth.place(1, 100, over, flags=OrderFlag.POST_ONLY), Reason.POST_ONLY_WOULD_CROSS),
        (booth.place(1, 200_000, booth.best(-1), time_in_force=TimeInForce.FOK), Reason.NO_LIQUIDITY),
        (booth.place(1, 200_000, booth.best(-1), time_in_force=TimeInForce.IOC), Reason.NO_LIQUIDITY),
    ]
    for order_id, reason in cases:
        names = await booth.done(order_id, ReportKind.EXPIRED)
        assert (names[0], names[-1]) == ("ACCEPTED", "EXPIRED")
        assert booth.report(order_id, ReportKind.EXPIRED)["reason"] == reason
    assert not booth.known.orders


@on_booth()
async def test_reduce_only_closes_and_no_more(booth: OkxBooth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    await booth.done(booth.place(-1, 10, flags=OrderFlag.REDUCE_ONLY), ReportKind.FILL)
    assert booth.account.qty == 0 == booth.known.positions[booth.instrument.id]


@on_booth()
async def test_cancel_all_ends_every_order_also_those_placed_elsewhere(booth: OkxBooth) -> None:
    ours = [booth.place(1, 100, FAR + step) for step in range(3)]
    for order_id in ours:
        await booth.done(order_id, ReportKind.ACCEPTED)
    await booth.exchange.privatePostTradeOrder(elsewhere())
    booth.send(CommandKind.CANCEL_ALL, 0, account=-1, instrument=-1)
    for order_id in ours:
        assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders


@on_booth()
async def test_order_and_position_from_elsewhere_are_adopted(booth: OkxBooth) -> None:
    await booth.exchange.privatePostTradeOrder(elsewhere())
    await booth.exchange.privatePostTradeOrder(elsewhere(ordType="market", px=""))
    assert await booth.gateway.reconcile()
    kinds = [int(each["kind"]) for each in booth.reports]
    assert ReportKind.ADOPTED in kinds
    assert ReportKind.POSITION in kinds
    assert booth.known.positions[booth.instrument.id] == booth.account.qty == 100
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth()
async def test_order_from_elsewhere_is_known_again_after_a_restart(booth: OkxBooth) -> None:
    for number in range(2):
        await booth.exchange.privatePostTradeOrder(elsewhere(clOrdId=f"elsewhere{number}"))
    assert await booth.gateway.reconcile()
    adopted = [each for each in booth.reports if each["kind"] == ReportKind.ADOPTED]
    ours = [int(each["order_id"]) for each in sorted(adopted, key=lambda each: int(each["venue_order_id"]))]
    left = [booth.left(order_id, OrderState.LIVE, 1, 100, client_id="") for order_id in ours]
    await booth.exchange.privatePostTradeCancelOrder({"instId": "BTC-USDT-SWAP", "clOrdId": "elsewhere1"})
    await booth.restart(booth.past(left=left))
    await booth.gateway.traded.wait()
    assert booth.of(ours[1]) == ["CANCELLED"]
    booth.cancel(ours[0])
    assert await booth.done(ours[0], ReportKind.CANCELLED) == ["CANCELLED"]
    assert not booth.account.open_orders


@on_booth()
async def test_funding_is_told_once(booth: OkxBooth) -> None:
    await booth.done(booth.place(1, 1_000), ReportKind.FILL)
    for count in (1, 2):
        booth.sandbox.pay_funding("0.0001")
        await booth.until(lambda: [each["kind"] for each in booth.reports].count(ReportKind.FUNDING) == count)  # noqa: B023
    assert await booth.gateway.reconcile()
    told = [int(each["fee"]) for each in booth.reports if each["kind"] == ReportKind.FUNDING]
    assert told == [-income.amount for income in booth.account.incomes if income.kind == "FUNDING_FEE"]
    assert len(told) == 2
    assert min(told) > 0
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth(lambda: SkippingClock(40.0))
async def test_order_whose_answer_is_lost_is_found_and_placed_once(booth: OkxBooth) -> None:
    booth.faults(Fault.LOSE_ANSWER)
    order_id = booth.place(1, 100, FAR)
    await booth.until(lambda: booth.account.open_orders)
    booth.faults()
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert len(booth.account.open_orders) == 1


@on_booth(lambda: SkippingClock(40.0))
async def test_order_that_never_arrived_is_rejected_when_that_is_certain(booth: OkxBooth) -> None:
    booth.faults(Fault.LOSE_REQUEST)
    order_id = booth.place(1, 100, FAR)
    while not booth.gateway.resolver.asked:
        await asyncio.sleep(0)
    booth.faults()
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.NOT_PLACED
    assert isinstance(booth.clock, SkippingClock)
    assert booth.clock.skipped_s >= booth.okx.receive_window_s


@on_booth(lambda: SkippingClock(40.0))
async def test_private_stream_that_is_closed_is_opened_anew_and_missed_fills_are_told(booth: OkxBooth) -> None:
    order_id = booth.place(1, 100, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    for connection in booth.side.streams.connections:
        connection.close_soon()
    await booth.until(lambda: any("lost" in line for line in booth.lines))
    booth.side.exchange.cancel(next(iter(booth.account.open_orders.values())))
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    await booth.gateway.traded.wait()


@on_booth(is_open=False)
async def test_dead_mans_switch_cancels_what_is_open(booth: OkxBooth) -> None:
    await booth.okx.open()
    await booth.exchange.privatePostTradeOrder(elsewhere())
    await booth.okx.arm(booth.instrument, 60.0)
    (order,) = booth.account.open_orders.values()
    booth.sandbox.advance(59_000)
    assert booth.account.open_orders
    booth.sandbox.advance(2_000)
    assert not booth.account.open_orders
    assert booth.side.views.cancel_source(order) == "20"


@on_booth(is_open=False)
async def test_contract_that_is_not_the_exchanges_is_refused(booth: OkxBooth) -> None:
    for changes, said in (
        ({"multiplier": "0.1"}, "contracts of 0.01 BTC"),
        ({"tick": "0.05"}, "tick 0.05 is no multiple"),
    ):
        with pytest.raises(ValueError, match=said):
            await Okx(booth.exchange, (msgspec.structs.replace(booth.instrument, **changes),), booth.clock).open()


@on_booth(is_open=False)
async def test_spot_is_refused_before_anything_is_asked(booth: OkxBooth) -> None:
    changes = {"kind": "spot", "symbol": "BTC-USDT", "multiplier": "1", "max_leverage": "1"}
    with pytest.raises(ValueError, match="BTC-USDT is spot, and at okx only swaps are traded yet"):
        await Okx(booth.exchange, (msgspec.structs.replace(booth.instrument, **changes),), booth.clock).open()


def test_keys_without_a_passphrase_are_refused() -> None:
    with pytest.raises(CredentialsError, match="ZOMS_OKX_PASSPHRASE"):
        Okx.new_exchange(Credentials("key", "secret"))


def elsewhere(**changes: str) -> dict[str, str]:
    """An order that another client places."""
    order = {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "buy", "ordType": "limit", "sz": "1", "px": "61000"}
    return order | {"clOrdId": f"elsewhere{len(changes)}"} | changes
