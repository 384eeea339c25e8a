"""An order's life on the sandbox of OKX, from command to report, through an unmodified ccxt."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from gateways.credentials import Credentials, CredentialsError
from gateways.orders.okx import Okx
from gateways.orders.views import FillView, OrderView, Standing
from oms.records import Liquidity, OrderFlag, OrderState, OrderType, Reason, ReportKind, TimeInForce
from tests.gateways.okx.booth import OkxBooth, on_booth
from tests.gateways.orders.booth import FAR


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
async def test_refusals_of_positions_have_their_reasons(booth: OkxBooth) -> None:
    cases = [
        (booth.place(-1, 100, FAR, flags=OrderFlag.REDUCE_ONLY), Reason.REDUCE_ONLY),
        (booth.place(1, 100, FAR, flags=OrderFlag.SHORT_LEG), Reason.BAD_LEG),
    ]
    for order_id, reason in cases:
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == reason
    assert not booth.known.orders


@on_booth()
async def test_reduce_only_closes_and_no_more(booth: OkxBooth) -> None:
    await booth.done(booth.place(1, 10), ReportKind.FILL)
    await booth.done(booth.place(-1, 10, flags=OrderFlag.REDUCE_ONLY), ReportKind.FILL)
    assert booth.account.qty == 0 == booth.known.positions[booth.instrument.id]


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
    await booth.gateway.entry.opened.wait()
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


@on_booth()
async def test_pong_as_text_keeps_the_private_stream(booth: OkxBooth) -> None:
    (client,) = booth.exchange.clients.values()
    client.lastPong = 0
    await client.send(client.ping(client))
    while client.lastPong == 0:
        await asyncio.sleep(0)
    assert booth.exchange.milliseconds() - client.lastPong < client.keepAlive


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
    with pytest.raises(ValueError, match="BTC-USDT is spot, which okx does not trade"):
        await Okx(booth.exchange, (msgspec.structs.replace(booth.instrument, **changes),), booth.clock).open()


def test_keys_without_a_passphrase_are_refused() -> None:
    with pytest.raises(CredentialsError, match="ZOMS_OKX_PASSPHRASE"):
        Okx.new_exchange(Credentials("key", "secret"))


def elsewhere(**changes: str) -> dict[str, str]:
    """An order that another client places."""
    order = {"instId": "BTC-USDT-SWAP", "tdMode": "cross", "side": "buy", "ordType": "limit", "sz": "1", "px": "61000"}
    return order | {"clOrdId": f"elsewhere{len(changes)}"} | changes
