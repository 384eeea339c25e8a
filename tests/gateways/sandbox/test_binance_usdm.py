"""Market data of the sandbox through an unmodified ccxt, and who may ask what."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import ccxt
import pytest
from msgspec.structs import replace

from gateways.sandbox.binance.limits import WEIGHT
from oms.checks import ConfigError
from tests.gateways.reference import COINM, COINM_FILE
from tests.gateways.sandbox.desk import SYMBOL, Desk, Wire, on_sandbox


@on_sandbox()
async def test_markets_carry_the_instruments_filters(desk: Desk) -> None:
    markets = await desk.exchange.load_markets()
    market = markets[SYMBOL]
    assert market["active"]
    assert market["linear"]
    assert market["precision"]["price"] == 0.1
    assert market["precision"]["amount"] == 0.001
    assert market["limits"]["amount"] == {"min": 0.001, "max": 1000.0}
    assert market["limits"]["cost"]["min"] == 5.0
    limits = desk.venue.instrument
    assert market["info"]["filters"][0]["tickSize"] == limits.tick


@on_sandbox()
async def test_book_is_the_recorded_one(desk: Desk) -> None:
    desk.sandbox.step(50)
    book = await desk.exchange.fetch_order_book(SYMBOL, 100)
    levels = desk.venue.market.book()
    instrument = desk.venue.instrument
    for name, side in (("bids", 1), ("asks", -1)):
        recorded = levels[levels["side"] == side][:100]
        expected = [
            [float(instrument.px_from_ticks(int(level["px"]))), float(instrument.qty_from_lots(int(level["qty"])))]
            for level in recorded
        ]
        assert book[name] == expected
    assert book["nonce"] == int(levels["update_id"][0])


@on_sandbox()
async def test_own_orders_do_not_show_in_the_public_book(desk: Desk) -> None:
    before = await desk.exchange.fetch_order_book(SYMBOL, 10)
    await desk.buy(5, before["bids"][0][0])
    assert (await desk.exchange.fetch_order_book(SYMBOL, 10))["bids"] == before["bids"]


@on_sandbox()
async def test_tickers_trades_and_mark_price(desk: Desk) -> None:
    desk.sandbox.step(200)
    quote, last = desk.venue.market.quote, desk.venue.market.trades[-1]
    assert quote is not None
    instrument = desk.venue.instrument
    bid, ask = (float(instrument.px_from_ticks(px)) for px in (quote.bid_px, quote.ask_px))
    quotes = await desk.exchange.fetch_bids_asks([SYMBOL])
    assert (quotes[SYMBOL]["bid"], quotes[SYMBOL]["ask"]) == (bid, ask)
    trades = await desk.exchange.fetch_trades(SYMBOL, limit=5)
    assert trades[-1]["id"] == str(last.trade_id)
    assert trades[-1]["side"] == ("buy" if last.side > 0 else "sell")
    ticker = await desk.exchange.fetch_ticker(SYMBOL)
    assert ticker["last"] == float(instrument.px_from_ticks(last.px))
    mark = await desk.exchange.fetch_mark_price(SYMBOL)
    assert mark["markPrice"] == pytest.approx((bid + ask) / 2)
    assert (await desk.exchange.fetch_last_prices([SYMBOL]))[SYMBOL]["price"] == ticker["last"]


@on_sandbox()
async def test_clock_is_now(desk: Desk) -> None:
    assert abs(await desk.exchange.fetch_time() - time.time() * 1000) < 5000


@on_sandbox()
async def test_clock_skew_is_refused_and_can_be_learnt(desk: Desk) -> None:
    desk.venue.clock.skew_ms = -20_000
    with pytest.raises(ccxt.InvalidNonce, match="ahead of the server"):
        await desk.exchange.fetch_balance()
    await desk.exchange.load_time_difference()
    desk.exchange.options["adjustForTimeDifference"] = True
    assert (await desk.exchange.fetch_balance())["USDT"]["total"] == 100_000


@on_sandbox()
async def test_wrong_secret_and_wrong_key_are_refused(desk: Desk) -> None:
    desk.exchange.secret = "0" * 64
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        await desk.exchange.fetch_balance()
    desk.exchange.apiKey = "f" * 64
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        await desk.exchange.fetch_balance()
    desk.exchange.apiKey = "not a key"
    with pytest.raises(ccxt.AuthenticationError, match="-2014"):
        await desk.exchange.fetch_balance()


@on_sandbox()
async def test_unknown_symbol_and_bad_limit_are_refused(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    status, _, body = await wire.get("/fapi/v1/depth?symbol=DOGEUSDT")
    assert (status, body) == (400, {"code": -1121, "msg": "Invalid symbol."})
    assert (await wire.get("/fapi/v1/depth"))[2]["code"] == -1102
    assert (await wire.get("/fapi/v1/depth?symbol=BTCUSDT&limit=7"))[2]["code"] == -1130
    assert (await wire.get("/fapi/v1/nothing"))[0] == 404
    await wire.close()


@on_sandbox()
async def test_used_weight_is_told_and_too_much_is_refused(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    desk.venue.clock.skew_ms += 30_000 if desk.venue.clock.now_ms % 60_000 > 30_000 else 0  # all within one minute
    _, headers, _ = await wire.get("/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
    used = int(headers["X-MBX-USED-WEIGHT-1M"])
    assert used == 20
    desk.venue.limits.charge_weight("127.0.0.1", WEIGHT.most - used, desk.venue.clock.now_ms)
    status, headers, body = await wire.get("/fapi/v1/ping")
    assert (status, body["code"]) == (429, -1003)
    assert 1 <= int(headers["Retry-After"]) <= 60
    with pytest.raises(ccxt.DDoSProtection):
        await desk.exchange.fetch_time()
    await wire.close()


@on_sandbox()
async def test_maintenance_is_told(desk: Desk) -> None:
    await desk.exchange.load_markets()
    desk.venue.begin_maintenance()
    with pytest.raises(ccxt.OnMaintenance):
        await desk.buy(0.01, 61_000)


@on_sandbox()
async def test_nothing_but_the_exchanges_hosts_is_reached(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    with pytest.raises(aiohttp.ClientConnectorDNSError):
        await wire.session.get("https://dapi.binance.com/dapi/v1/time")
    await wire.close()


@on_sandbox()
async def test_certificate_is_believed_by_nobody_else(desk: Desk) -> None:
    port = desk.sandbox.port
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://127.0.0.1:{port}/fapi/v1/time")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "BTCUSD_PERP at binance_coinm, and does not stand for BTCUSDT at binance_usdm"),
        ({"instrument": replace(COINM, venue="deribit")}, "deribit: zoms has no sandbox exchange for it"),
    ],
)
def test_recording_of_another_venue_is_refused(options: dict[str, Any], words: str) -> None:
    @on_sandbox(file=COINM_FILE, **options)
    async def body(_desk: Desk) -> None:
        await asyncio.sleep(0)

    with pytest.raises(ConfigError, match=words):
        body()
