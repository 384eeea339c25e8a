"""Streams of the sandbox: recorded bytes, subscriptions, the account's events, keys and connections that end."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from typing import Any

import aiohttp
import ccxt
import msgspec
import numpy as np
import pytest

from gateways.binance import MessageDecoder
from gateways.credentials import Credentials
from gateways.sandbox.binance.listen_keys import VALID_MS
from gateways.sandbox.binance.streams import DAY_MS, MOST_REQUESTS
from gateways.sandbox.binance.venue import Venue
from gateways.sandbox.market import Batch, RecordedMarket
from gateways.sandbox.matching import Matching
from gateways.sidecar import open_recording
from oms.records import CASH_SCALE, TICK, TickKind
from tests.gateways.sandbox.desk import RECORDING, SYMBOL, Desk, Wire, on_sandbox, shipped_instrument

FAR = 61_000.0
NAMES = "btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker"


async def received(socket: Any, count: int) -> list[bytes]:
    return [(await socket.receive_str()).encode() for _ in range(count)]


async def asked(socket: Any, method: str, *params: Any) -> Any:
    await socket.send_json({"method": method, "params": list(params), "id": 1})
    return msgspec.json.decode(await socket.receive_str())


@on_sandbox()
async def test_bare_stream_is_the_recorded_bytes(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    async with wire.connect(f"/public/ws/{NAMES}") as socket:
        await desk.subscribed(*NAMES.split("/"))
        frames = desk.sandbox.step(300)
        assert await received(socket, 300) == [frame.payload for frame in frames]
    await wire.close()


@on_sandbox()
async def test_combined_stream_decodes_to_the_recordings_ticks(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    names = NAMES.replace("@100ms", "@0ms")
    async with wire.connect(f"/public/stream?streams={names}") as socket:
        await desk.subscribed(*names.split("/"))
        frames = desk.sandbox.step(200)
        decoder = MessageDecoder("binance_usdm", desk.venue.instrument)
        for frame, message in zip(frames, await received(socket, 200), strict=True):
            decoded = decoder.decode(message, frame.ts)
            np.testing.assert_array_equal(decoded, frame.ticks)
            assert decoded.dtype == TICK
    await wire.close()


@on_sandbox()
async def test_watched_book_is_the_recorded_book(desk: Desk) -> None:
    watching = asyncio.ensure_future(desk.exchange.watch_order_book(SYMBOL))
    await desk.subscribed("btcusdt@depth@100ms")
    while not watching.done():
        desk.sandbox.step(20)
        await desk.venue.streams.flush()
        await asyncio.sleep(0)
    desk.sandbox.step(100)
    last_id = int(desk.venue.market.book()["update_id"][0])
    await desk.until(lambda: desk.exchange.orderbooks[SYMBOL]["nonce"] == last_id)
    book = desk.exchange.orderbooks[SYMBOL]
    levels = desk.venue.market.book()
    instrument = desk.venue.instrument
    for name, side in (("bids", 1), ("asks", -1)):
        recorded = levels[levels["side"] == side][:20]
        assert [tuple(level[:2]) for level in book[name][:20]] == [
            (float(instrument.px_from_ticks(int(each["px"]))), float(instrument.qty_from_lots(int(each["qty"]))))
            for each in recorded
        ]


@on_sandbox()
async def test_aggregate_trades_and_mark_price_are_at_the_market_entry(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    async with wire.connect("/market/ws/btcusdt@aggTrade/btcusdt@markPrice@1s") as socket:
        await desk.subscribed("btcusdt@aggTrade", entry="market")
        first_ts = desk.venue.market.ts
        recorded: list[int] = []
        while desk.venue.market.ts < first_ts + 2_500_000_000 or not recorded:
            (frame,) = desk.sandbox.step()
            if frame.channel == "trade":
                recorded.append(int(frame.ticks["update_id"][0]))
        events = []
        trades: list[int] = []
        while len(trades) < len(recorded):
            events.append(await socket.receive_json())
            trades += [event["a"] for event in events[-1:] if event["e"] == "aggTrade"]
        assert trades == recorded
        assert [event["e"] for event in events].count("markPriceUpdate") in (1, 2, 3)
    await wire.close()


@on_sandbox()
async def test_subscriptions_come_and_go(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    async with wire.connect("/public/ws") as socket:
        assert await asked(socket, "SUBSCRIBE", "btcusdt@trade") == {"result": None, "id": 1}
        assert (await asked(socket, "LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@trade"]
        assert (await asked(socket, "SET_PROPERTY", "combined", True))["result"] is None
        assert (await asked(socket, "GET_PROPERTY", "combined"))["result"] is True
        await asked(socket, "UNSUBSCRIBE", "btcusdt@trade")
        assert (await asked(socket, "LIST_SUBSCRIPTIONS"))["result"] == []
        assert (await asked(socket, "DEPTH"))["error"]["code"] == 2
        assert (await asked(socket, "SUBSCRIBE", 5))["error"]["code"] == 2
        await socket.send_str("not JSON")
        assert "error" in await socket.receive_json()
    await wire.close()


@on_sandbox()
async def test_stream_at_another_entry_is_silent(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    async with wire.connect("/market/ws/btcusdt@bookTicker/btcusdt@aggTrade") as socket:
        await desk.subscribed("btcusdt@bookTicker", entry="market")
        while not (trades := [frame for frame in desk.sandbox.step(20) if frame.channel == "trade"]):
            pass
        event = await socket.receive_json()
        assert (event["e"], event["a"]) == ("aggTrade", int(trades[0].ticks["update_id"][0]))
    await wire.close()


@on_sandbox()
async def test_retired_paths_are_not_found(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    for path in ("/ws/btcusdt@trade", "/stream?streams=btcusdt@trade"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="404"):
            await wire.connect(path)
    await wire.close()


@on_sandbox()
async def test_client_that_asks_too_often_is_put_out(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    async with wire.connect("/public/ws") as socket:
        for _ in range(MOST_REQUESTS + 1):
            await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING)
        assert socket.close_code == 1008
    await wire.close()


@on_sandbox()
async def test_connection_ends_after_a_day(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    async with wire.connect("/public/ws/btcusdt@trade") as socket:
        await desk.subscribed("btcusdt@trade")
        desk.sandbox.advance(DAY_MS)
        assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
    await wire.close()


@on_sandbox()
async def test_life_of_an_order_is_told(desk: Desk) -> None:
    await desk.exchange.load_markets()
    await desk.watch_private()
    placed = await desk.buy(0.01, FAR, clientOrderId="told")
    await desk.exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, FAR)
    await desk.exchange.cancel_order(placed["id"], SYMBOL)
    await desk.until(lambda: len(desk.events("ORDER_TRADE_UPDATE")) == 3)
    told = [event["o"] for event in desk.events("ORDER_TRADE_UPDATE")]
    assert [(each["x"], each["X"], each["q"]) for each in told] == [
        ("NEW", "NEW", "0.010"),
        ("AMENDMENT", "NEW", "0.020"),
        ("CANCELED", "CANCELED", "0.020"),
    ]
    assert {each["c"] for each in told} == {"told"}
    assert {each["i"] for each in told} == {int(placed["id"])}


@on_sandbox()
async def test_fills_are_told_with_fee_position_and_wallet(desk: Desk) -> None:
    await desk.exchange.load_markets()
    await desk.watch_private()
    await desk.buy(0.01)
    await desk.order("sell", 0.004)
    await desk.until(lambda: len(desk.events("ORDER_TRADE_UPDATE")) == 4)
    fills = [event["o"] for event in desk.events("ORDER_TRADE_UPDATE") if event["o"]["x"] == "TRADE"]
    last = desk.events("ACCOUNT_UPDATE")[-1]["a"]
    balance = await desk.exchange.fetch_balance()
    assert last["P"][0]["pa"] == "0.006"
    assert last["B"][0]["wb"] == balance["info"]["totalWalletBalance"]
    fees = sum(float(fill["n"]) for fill in fills)
    realized = sum(float(fill["rp"]) for fill in fills)
    assert float(last["B"][0]["wb"]) == pytest.approx(100_000 - fees + realized)
    trades = await desk.exchange.fetch_my_trades(SYMBOL)
    assert [str(fill["t"]) for fill in fills] == [trade["id"] for trade in trades]


@on_sandbox()
async def test_funding_moves_the_wallet_and_is_told_without_a_position(desk: Desk) -> None:
    await desk.exchange.load_markets()
    await desk.watch_private()
    await desk.buy(0.01)
    (account,) = desk.venue.exchange.accounts
    before = account.wallet
    desk.sandbox.pay_funding("-0.0003")
    await desk.until(lambda: any(event["a"]["m"] == "FUNDING_FEE" for event in desk.events("ACCOUNT_UPDATE")))
    received = account.wallet - before
    notional = desk.venue.exchange.ledger.value(account.qty * desk.venue.exchange.mark_px)
    assert received == round(Fraction(notional * 30_000, CASH_SCALE)) > 0
    told = desk.events("ACCOUNT_UPDATE")[-1]["a"]
    assert told["P"] == []
    assert [float(told["B"][0][name]) for name in ("wb", "bc")] == [account.wallet / CASH_SCALE, received / CASH_SCALE]
    (paid,) = await desk.exchange.fetch_funding_history(SYMBOL)
    assert float(paid["amount"]) == received / CASH_SCALE


def test_funding_is_paid_when_the_recording_says_that_it_is_due() -> None:
    market = RecordedMarket(open_recording(RECORDING), shipped_instrument())
    opened = market.open()
    venue = Venue(market, Matching(int(market.book()["px"][0])), opened)
    account = venue.open_account(Credentials("k", "s"), 0)
    account.qty = 10
    due = np.zeros(2, TICK)
    due["kind"], due["qty"] = (TickKind.MARK, TickKind.FUNDING), (0, 10_000)
    venue.take(Batch([], due))
    assert account.wallet == account.incomes[0].amount < 0


@on_sandbox()
async def test_conditional_orders_are_told(desk: Desk) -> None:
    await desk.exchange.load_markets()
    await desk.watch_private()
    stop = await desk.order("sell", 0.01, triggerPrice=FAR)
    await desk.exchange.cancel_order(stop["id"], SYMBOL, {"trigger": True})
    await desk.until(lambda: len(desk.events("ALGO_UPDATE")) == 2)
    told = [event["o"] for event in desk.events("ALGO_UPDATE")]
    assert [(each["X"], each["tp"], each["aid"]) for each in told] == [
        ("NEW", "61000.00", int(stop["id"])),
        ("CANCELED", "61000.00", int(stop["id"])),
    ]


@on_sandbox()
async def test_listen_key_expires_unless_it_is_kept(desk: Desk) -> None:
    await desk.exchange.load_markets()
    account = desk.venue.exchange.accounts[0]
    key = (await desk.exchange.fapiPrivatePostListenKey())["listenKey"]
    assert (await desk.exchange.fapiPrivatePostListenKey())["listenKey"] == key
    wire = Wire(desk.sandbox)
    async with wire.connect(f"/private/ws?listenKey={key}") as socket:
        await desk.subscribed(key, entry="private")
        desk.sandbox.advance(VALID_MS - 1000)
        await desk.exchange.fapiPrivatePutListenKey()
        desk.sandbox.advance(VALID_MS - 1000)
        assert desk.venue.listen_keys.of(account) == key
        desk.sandbox.advance(1001)
        event = await socket.receive_json()
        assert (event["e"], event["listenKey"]) == ("listenKeyExpired", key)
        with pytest.raises(ccxt.AuthenticationError, match="-1125"):
            await desk.exchange.fapiPrivatePutListenKey()
        again = (await desk.exchange.fapiPrivatePostListenKey())["listenKey"]
        assert again != key
        await desk.exchange.fapiPrivateDeleteListenKey()
        assert desk.venue.listen_keys.of(account) is None
    await wire.close()


@on_sandbox()
async def test_expired_key_carries_no_events(desk: Desk) -> None:
    await desk.exchange.load_markets()
    key = (await desk.exchange.fapiPrivatePostListenKey())["listenKey"]
    wire = Wire(desk.sandbox)
    async with wire.connect(f"/private/stream?listenKey={key}") as socket:
        await desk.subscribed(key, entry="private")
        await desk.buy(0.01, FAR)
        told = await socket.receive_json()
        assert (told["stream"], told["data"]["e"]) == (key, "ORDER_TRADE_UPDATE")
        desk.venue.expire_listen_key(key)
        await desk.buy(0.01, FAR - 1)
        assert (await socket.receive_json())["e"] == "listenKeyExpired"
        desk.venue.streams.end_all("private")
        assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
    await wire.close()


@on_sandbox()
async def test_replay_at_its_own_pace_is_of_now(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    async with wire.connect("/public/ws/btcusdt@bookTicker") as socket:
        await desk.subscribed("btcusdt@bookTicker")
        playing = asyncio.ensure_future(desk.sandbox.play(10))
        for _ in range(50):
            event = await socket.receive_json()
            assert abs(event["E"] - desk.venue.clock.now_ms) < 30_000
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
    await wire.close()
