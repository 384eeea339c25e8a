"""What the private stream of OKX does not say is asked for soon, and not only when the account is next reconciled."""

from __future__ import annotations

from collections.abc import Callable

from gateways.sandbox.accounts import Account
from gateways.sandbox.okx.contract import Json
from oms.records import OrderFlag, Reason, ReportKind, TimeInForce
from tests.gateways.okx.booth import OkxBooth, on_booth
from tests.gateways.orders.booth import FAR


def lose(booth: OkxBooth, is_lost: Callable[[Json], bool]) -> None:
    """Have orders' messages get lost."""
    streams = booth.side.streams
    real = streams.publish_private

    def publish(account: Account, channel: str, row: Json) -> None:
        if channel != "orders" or not is_lost(row):
            real(account, channel, row)

    streams.publish_private = publish  # type: ignore[method-assign]


@on_booth()
async def test_end_of_an_order_that_cannot_rest_is_asked_for(booth: OkxBooth) -> None:
    lose(booth, lambda row: row["state"] == "canceled")
    order_id = booth.place(1, 100, FAR, time_in_force=TimeInForce.IOC)
    assert await booth.done(order_id, ReportKind.EXPIRED) == ["ACCEPTED", "EXPIRED"]
    assert booth.report(order_id, ReportKind.EXPIRED)["reason"] == Reason.NO_LIQUIDITY


@on_booth()
async def test_order_that_the_stream_says_nothing_of_is_asked_for(booth: OkxBooth) -> None:
    lose(booth, lambda _row: True)
    order_id = booth.place(1, 100, booth.best(-1) + 100, flags=OrderFlag.POST_ONLY)
    assert await booth.done(order_id, ReportKind.EXPIRED) == ["ACCEPTED", "EXPIRED"]


@on_booth()
async def test_fill_that_only_the_account_tells_of_is_asked_for(booth: OkxBooth) -> None:
    order_id = booth.place(1, 100, booth.best(1))
    await booth.done(order_id, ReportKind.ACCEPTED)
    lose(booth, lambda _row: True)
    booth.market_moves(lambda: booth.account.qty == 100)
    await booth.until(lambda: not booth.known.orders)
    assert set(booth.of(order_id)) == {"ACCEPTED", "FILL"}
    assert booth.known.cash["USDT"] == booth.account.wallet


@on_booth()
async def test_nothing_is_asked_for_that_the_stream_has_said(booth: OkxBooth) -> None:
    for terms in ({}, {"time_in_force": TimeInForce.IOC}, {"flags": OrderFlag.POST_ONLY}):
        await booth.done(booth.place(1, 100, FAR, **terms), ReportKind.ACCEPTED)
    await booth.done(booth.place(1, 100), ReportKind.FILL)
    before = booth.gateway.reconciler.done
    await booth.gateway.idle()
    assert booth.gateway.asking.resolver.asked == 0
    assert not booth.gateway.asking.wanted.is_set()
    assert booth.gateway.reconciler.done == before
