"""OKX spot: what is bought is a balance, fees are taken of what a fill brings, and the account has a mode for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import pytest

from gateways.orders.okx_spot import OkxSpot
from gateways.orders.okx_spot_views import OkxSpotViews
from gateways.orders.okx_stops import stop_view
from gateways.sandbox.okx import account
from oms.compiled import compile_entries
from oms.records import OrderFlag, Reason, ReportKind, TickKind
from tests.gateways.conformance.test_spot_chaos import told_balances
from tests.gateways.okx.booth import SPOT, SWAP, OkxBooth, on_booth
from tests.gateways.okx.floor import OkxFloor, on_floor

compile_entries()

LOTS = 10_000_000
"""A tenth of a bitcoin."""


@on_booth(instrument=SPOT)
async def test_fills_fees_and_wallets_are_told_to_the_last_digit(booth: OkxBooth) -> None:
    before = {"BTC": booth.account.base_wallet, "USDT": booth.account.wallet}
    bought = booth.place(1, 7 * LOTS + 3)
    await booth.done(bought, ReportKind.FILL)
    sold = booth.place(-1, LOTS, flags=OrderFlag.REDUCE_ONLY)
    await booth.done(sold, ReportKind.FILL)
    await booth.until(lambda: not booth.known.orders)
    fills = booth.account.fills
    now = {"BTC": booth.account.base_wallet, "USDT": booth.account.wallet}
    assert {fill.order.side for fill in fills} == {1, -1}
    assert booth.known.cash == now == told_balances(booth)
    assert booth.known.positions[booth.instrument.id] == sum(fill.order.side * fill.qty for fill in fills)
    assert await booth.okx.positions() == await booth.okx.fundings_since(0) == []
    assert await booth.gateway.reconcile()
    moved = await bills(booth)
    assert moved == {currency: now[currency] - before[currency] for currency in now}


async def bills(booth: OkxBooth) -> dict[str, int]:
    """What the exchange's bills come to by currency, cash."""
    moved: dict[str, int] = {}
    for row in (await booth.exchange.privateGetAccountBills({"type": account.TRADE}))["data"]:
        moved[row["ccy"]] = moved.get(row["ccy"], 0) + int(Decimal(row["balChg"]) * 10**8)
    return moved


@on_booth(instrument=SPOT)
async def test_market_order_of_too_much_is_refused(booth: OkxBooth) -> None:
    order_id = booth.place(-1, 170 * LOTS)
    assert await booth.done(order_id, ReportKind.REJECTED) == ["REJECTED"]
    assert booth.report(order_id, ReportKind.REJECTED)["reason"] == Reason.QTY_ABOVE_MAX


@on_booth(instrument=SPOT, is_open=False)
async def test_account_whose_spot_orders_borrow_is_refused(
    booth: OkxBooth,
) -> None:
    real = booth.exchange.privateGetAccountConfig

    async def of_several_currencies(request: Any) -> Any:
        answer = await real(request)
        answer["data"][0]["acctLv"] = "3"
        return answer

    booth.exchange.privateGetAccountConfig = of_several_currencies
    with pytest.raises(ValueError, match="margin mode of several currencies"):
        await booth.okx.open()
    booth.exchange.privateGetAccountConfig = real
    with pytest.raises(ValueError, match="BTC-USDT-SWAP is linear_perpetual, which okx_spot does not trade"):
        await OkxSpot(booth.exchange, (SWAP,), booth.clock).open()


def test_order_for_so_much_of_the_quote_currency_is_of_what_it_has_filled() -> None:
    row = {"instId": "BTC-USDT", "ordType": "market", "state": "filled", "side": "buy", "tgtCcy": "quote_ccy"}
    numbers = {"sz": "100.000000001", "accFillSz": "0.00163934", "px": "", "ordId": "1", "uTime": "1"}
    view = OkxSpotViews({SPOT.symbol: SPOT}).order({**row, **numbers, "clOrdId": "", "reduceOnly": "false"})
    assert (view.qty, view.filled_qty) == (163_934, 163_934)


STOP_ROW = {
    **{"instId": SPOT.symbol, "ordType": "conditional", "state": "live", "side": "buy", "sz": "100", "ordId": ""},
    **{"algoId": "7", "algoClOrdId": "", "slTriggerPx": "62000", "slOrdPx": "-1", "reduceOnly": "false", "uTime": "1"},
}


@pytest.mark.parametrize("terms", [{}, {"tgtCcy": ""}, {"tgtCcy": "quote_ccy"}])
def test_stop_that_is_to_buy_for_so_much_of_the_quote_currency_is_left_alone(terms: dict[str, str]) -> None:
    assert stop_view({SPOT.symbol: SPOT}, {**STOP_ROW, **terms}) is None


@pytest.mark.parametrize("terms", [{"tgtCcy": "base_ccy"}, {"side": "sell"}, {"slOrdPx": "62100"}])
def test_stop_whose_quantity_is_of_the_base_currency_is_one_of_that(terms: dict[str, str]) -> None:
    view = stop_view({SPOT.symbol: SPOT}, {**STOP_ROW, **terms})
    assert view is not None
    assert view.qty == 1_000 * LOTS


@on_booth(instrument=SPOT)
async def test_sandbox_takes_no_stop_that_is_to_buy_for_so_much_of_the_quote_currency(booth: OkxBooth) -> None:
    terms = {"instId": SPOT.symbol, "tdMode": "cash", "side": "buy", "ordType": "conditional", "sz": "1"}
    with pytest.raises(ccxt.BadRequest, match="tgtCcy"):
        await booth.exchange.privatePostTradeOrderAlgo({**terms, "slTriggerPx": "70000", "slOrdPx": "-1"})


@on_floor(instrument=SPOT)
async def test_market_data_are_those_of_the_recording(floor: OkxFloor) -> None:
    await floor.in_step()
    await floor.step(200)
    recorded = {kind: floor.recorded(kind, 0, 200) for kind in (TickKind.TRADE, TickKind.QUOTE)}
    await floor.until(lambda: len(floor.of(TickKind.QUOTE)) >= len(recorded[TickKind.QUOTE]))
    for kind, rows in recorded.items():
        assert floor.of(kind) == rows
    await floor.caught_up()
    floor.check_book()
    assert floor.market.counters.refused.total() == 0
