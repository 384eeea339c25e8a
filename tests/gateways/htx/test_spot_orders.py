"""An order's life on the sandbox of HTX spot, from command to report, through an unmodified ccxt."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from gateways.orders.htx_spot import HtxSpot
from gateways.orders.outcomes import Verdict
from oms.records import CommandKind, OrderFlag, Reason, ReportKind, TimeInForce
from tests.gateways.htx.booth import SPOT, HtxBooth, on_booth
from tests.gateways.orders.booth import SkippingClock

LONG_WAITS = 400.0
FAR = 6_100_000
"""A price in ticks at which a buy rests."""
FEW = 1_000
"""A hundredth of a bitcoin."""


def check(booth: HtxBooth) -> None:
    """Each fill was told once, with its terms, and the wallets are the exchange's to the last digit."""
    fills = [each for each in booth.reports if each["kind"] == ReportKind.FILL]
    told = [(int(each["trade_id"]), int(each["px"]), int(each["qty"])) for each in fills]
    assert told == [(fill.trade_id, fill.px, fill.qty) for fill in booth.account.fills]
    assert booth.known.cash == {"USDT": booth.account.wallet, "BTC": booth.account.base_wallet}


def take(booth: HtxBooth, side: int, qty: int) -> int:
    """Ask for an order that takes what there is."""
    px = booth.best(-side) + side * 500
    return booth.place(side, qty, px, time_in_force=TimeInForce.IOC)


@on_booth(instrument=SPOT)
async def test_order_rests_with_exact_terms_and_is_cancelled(booth: HtxBooth) -> None:
    order_id = booth.place(1, FEW + 3, FAR + 3)
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    (order,) = booth.account.open_orders.values()
    assert (order.side, order.px, order.qty) == (1, FAR + 3, FEW + 3)
    assert booth.known.ids.order_id(order.client_order_id) == order_id
    booth.cancel(order_id)
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders


@on_booth(instrument=SPOT)
async def test_fills_are_told_once_with_their_fees_in_either_currency(booth: HtxBooth) -> None:
    for order_id in (take(booth, 1, 10 * FEW), take(booth, -1, 10 * FEW), booth.place(-1, FEW)):
        await booth.done(order_id, ReportKind.FILL)
    await booth.until(lambda: not booth.known.orders)
    assert len(booth.account.fills) > 2
    assert all(each["fee_known"] for each in booth.reports if each["kind"] == ReportKind.FILL)
    check(booth)
    assert await booth.gateway.reconcile()
    check(booth)
    assert booth.gateway.stream.connections == 1


@on_booth(instrument=SPOT)
async def test_refusals_have_their_reasons(booth: HtxBooth) -> None:
    cases = [
        (booth.place(1, FEW), Reason.BAD_ORDER_TYPE),
        (booth.place(1, 10_000 * FEW, FAR), Reason.INSUFFICIENT_FUNDS),
        (booth.place(1, 200_000 * FEW, FAR), Reason.QTY_ABOVE_MAX),
        (booth.place(1, 0, FAR), Reason.QTY_BELOW_MIN),
        (booth.place(1, 1, FAR), Reason.NOTIONAL_BELOW_MIN),
        (booth.place(1, FEW, 2 * FAR), Reason.PRICE_COLLAR),
        (booth.place(1, FEW, FAR, display_qty=1), Reason.BAD_DISPLAY_QTY),
        (booth.place(-1, FEW, FAR, flags=OrderFlag.SHORT_LEG), Reason.BAD_LEG),
        (booth.place(-1, FEW, time_in_force=TimeInForce.FOK), Reason.BAD_TIME_IN_FORCE),
    ]
    for order_id, reason in cases:
        assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
        assert booth.report(order_id, ReportKind.REJECTED)["reason"] == reason
    order_id = booth.place(1, FEW, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    booth.amend(order_id, FAR, FEW - 1)
    assert await booth.done(order_id, ReportKind.AMEND_REJECTED) == ["ACCEPTED", "AMEND_REJECTED"]


@on_booth(instrument=SPOT)
async def test_what_cannot_rest_or_fill_ends_at_once(booth: HtxBooth) -> None:
    best = booth.best(-1)
    crossing = booth.place(1, FEW, best + 100, flags=OrderFlag.POST_ONLY)
    assert await booth.done(crossing, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    whole = booth.place(1, 150 * FEW, booth.best(1), time_in_force=TimeInForce.FOK)
    assert await booth.done(whole, ReportKind.EXPIRED) == ["ACCEPTED", "EXPIRED"]
    assert booth.report(whole, ReportKind.EXPIRED)["reason"] == Reason.NO_LIQUIDITY
    check(booth)


@on_booth(instrument=SPOT)
async def test_cancel_all_and_what_others_trade(booth: HtxBooth) -> None:
    ours = booth.place(1, FEW, FAR)
    await booth.done(ours, ReportKind.ACCEPTED)
    await booth.exchange.spotPrivatePostV1OrderOrdersPlace(elsewhere(booth))
    await booth.exchange.spotPrivatePostV1OrderOrdersPlace(elsewhere(booth, type="buy-market", amount="1000"))
    assert await booth.gateway.reconcile()
    assert ReportKind.ADOPTED in [int(each["kind"]) for each in booth.reports]
    assert booth.known.cash == {"USDT": booth.account.wallet, "BTC": booth.account.base_wallet}
    booth.send(CommandKind.CANCEL_ALL, 0, account=-1, instrument=-1)
    assert await booth.done(ours, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]
    assert not booth.account.open_orders


@on_booth(lambda: SkippingClock(LONG_WAITS), SPOT)
async def test_duplicates_wrong_clocks_and_wrong_keys(booth: HtxBooth) -> None:
    real = booth.exchange.spotPrivatePostV1OrderOrdersPlace

    async def twice(request: Any) -> Any:
        await real(dict(request))
        return await real(request)

    booth.exchange.spotPrivatePostV1OrderOrdersPlace = twice
    order_id = booth.place(1, FEW, FAR)
    assert await booth.done(order_id, ReportKind.ACCEPTED) == ["ACCEPTED"]
    assert booth.gateway.asking.outcomes[Verdict.DUPLICATE] == 1
    booth.exchange.spotPrivatePostV1OrderOrdersPlace = real
    booth.sandbox.venue.clock.skew_ms = -400_000
    await booth.done(booth.place(1, FEW, FAR), ReportKind.REJECTED)
    assert booth.gateway.asking.outcomes[Verdict.RESYNC] == 1
    booth.exchange.secret = "0" * 64
    order_id = booth.place(1, FEW, FAR)
    await booth.done(order_id, ReportKind.REJECTED)
    assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.KEYS_REFUSED


@on_booth(lambda: SkippingClock(LONG_WAITS), SPOT)
async def test_ping_is_answered_and_a_stream_that_ends_is_opened_anew(booth: HtxBooth) -> None:
    venue: Any = booth.sandbox.venue
    (connection,) = venue.private_connections()
    before = connection.pongs
    booth.sandbox.advance(21_000)
    while connection.pongs == before:
        await asyncio.sleep(0)
    order_id = booth.place(1, FEW, FAR)
    await booth.done(order_id, ReportKind.ACCEPTED)
    venue.end_streams()
    await booth.until(lambda: any("lost" in line for line in booth.lines))
    venue.exchange.cancel(next(iter(booth.account.open_orders.values())))
    assert await booth.done(order_id, ReportKind.CANCELLED) == ["ACCEPTED", "CANCELLED"]


@on_booth(instrument=SPOT, is_open=False)
async def test_dead_mans_switch_and_other_grids(booth: HtxBooth) -> None:
    await booth.venue.open()
    await booth.exchange.spotPrivatePostV1OrderOrdersPlace(elsewhere(booth))
    await booth.venue.arm(booth.instrument, 60.0)
    booth.sandbox.advance(59_000)
    assert booth.account.open_orders
    booth.sandbox.advance(2_000)
    assert not booth.account.open_orders
    changed = msgspec.structs.replace(booth.instrument, tick="0.005")
    with pytest.raises(ValueError, match=r"tick 0\.005 is no multiple"):
        await HtxSpot(booth.exchange, (changed,), booth.clock).open()


def elsewhere(booth: HtxBooth, **changes: str) -> dict[str, str]:
    """An order that another client places."""
    order = {"account-id": "1528640", "symbol": booth.instrument.symbol, "type": "buy-limit", "amount": "0.01"}
    return {**order, "price": "61000", "source": "spot-api", "client-order-id": f"other{len(changes)}", **changes}
