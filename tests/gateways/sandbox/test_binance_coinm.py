"""The sandbox exchange as Binance COIN-M, through an unmodified ccxt and on the wire: contracts, coins, codes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any, Final

import ccxt
import ccxt.pro
import msgspec
import pytest
from msgspec.structs import replace

from gateways.binance import MessageDecoder
from gateways.sandbox.binance.coinm_venue import CoinmVenue
from gateways.sandbox.server import Sandbox
from gateways.sandbox.stand_ins import traded_on
from gateways.sidecar import open_recording
from oms.config import load_settings
from oms.records import CASH_SCALE, TickKind
from tests.gateways.reference import COINM_FILE
from tests.gateways.sandbox.desk import shipped_instrument

SYMBOL: Final = "BTC/USD:BTC"
FAR: Final = 61_000
DEADLINE_S: Final = 30.0


class Desk:
    """One sandbox, one ccxt, and the account's events that ccxt was sent."""

    def __init__(self, sandbox: Sandbox) -> None:
        venue = sandbox.venue
        assert isinstance(venue, CoinmVenue)
        self.venue: CoinmVenue = venue
        self.sandbox = sandbox
        self.account = venue.exchange.accounts[0]
        self.session = sandbox.session()
        self.exchange: Any = ccxt.pro.binancecoinm(
            {**sandbox.login, "session": self.session, "enableRateLimit": False, "options": {"fetchCurrencies": False}}
        )
        self.events: list[dict[str, Any]] = []
        self._came = asyncio.Event()
        handle = self.exchange.handle_message

        def note(client: Any, message: Any) -> Any:
            self.events.append(message)
            self._came.set()
            return handle(client, message)

        self.exchange.handle_message = note

    async def listen(self) -> str:
        """Have ccxt listen to the account's stream, and return its key."""
        watching = asyncio.ensure_future(self.exchange.watch_orders(SYMBOL))
        watching.add_done_callback(lambda done: done.cancelled() or done.exception())
        while not any(each.entry == "private" for each in self.venue.streams.connections):
            await asyncio.sleep(0)
        return self.venue.listen_keys.of(self.account) or ""

    async def event(self, kind: str, count: int = 1) -> dict[str, Any]:
        """The so manieth event of a kind."""
        while len(found := [each for each in self.events if each.get("e") == kind]) < count:
            self._came.clear()
            await self._came.wait()
        return found[count - 1]

    async def order(self, side: str, contracts: int, price: float | None = None, **more: Any) -> Any:
        """An order of ccxt's."""
        kind = "market" if price is None else "limit"
        return await self.exchange.create_order(SYMBOL, kind, side, contracts, price, more)

    async def get(self, path: str) -> tuple[Any, bytes]:
        """Headers and content of an answer that anybody may ask for."""
        async with self.session.get(f"https://dapi.binance.com{path}") as answer:
            return answer.headers, await answer.read()


def on_coinm(body: Callable[[Desk], Awaitable[None]]) -> Callable[[], None]:
    """Turn a coroutine over a ``Desk``, whose account has one bitcoin, into a test."""

    async def run() -> None:
        instrument = shipped_instrument(COINM_FILE)
        async with Sandbox(open_recording(COINM_FILE), instrument, balance=CASH_SCALE) as sandbox:
            sandbox.step(50)
            desk = Desk(sandbox)
            try:
                async with asyncio.timeout(DEADLINE_S):
                    await body(desk)
            finally:
                await desk.exchange.close()
                await desk.session.close()

    def test() -> None:
        asyncio.run(run())

    test.__name__ = body.__name__
    test.__doc__ = body.__doc__
    return test


@on_coinm
async def test_market_is_an_inverse_contract_of_a_hundred_dollars(desk: Desk) -> None:
    market = (await desk.exchange.load_markets())[SYMBOL]
    assert (market["id"], market["inverse"], market["active"]) == ("BTCUSD_PERP", True, True)
    assert (market["contractSize"], market["settle"]) == (100, "BTC")
    assert (market["precision"]["price"], market["precision"]["amount"]) == (0.1, 1)
    assert market["limits"]["amount"] == {"min": 1, "max": 1_000_000}


@on_coinm
async def test_book_by_request_is_written_as_the_recorded_one(desk: Desk) -> None:
    _, answer = await desk.get("/dapi/v1/depth?symbol=BTCUSD_PERP&limit=1000")
    decoder = MessageDecoder("binance_coinm", desk.venue.instrument)
    ticks = decoder.decode_slowly(answer, 1).ticks
    assert set(ticks["kind"]) == {TickKind.SNAPSHOT}
    assert int(ticks["update_id"][0]) == int(desk.venue.market.book()["update_id"][0])
    assert answer.startswith(b'{"lastUpdateId":')
    assert b'"symbol":"BTCUSD_PERP","pair":"BTCUSD","bids":[["' in answer


@on_coinm
async def test_public_answers_are_of_the_pair_and_in_lists(desk: Desk) -> None:
    desk.sandbox.step(1_000)
    quotes, prices, days = [
        msgspec.json.decode((await desk.get(f"/dapi/v1/ticker/{what}?symbol=BTCUSD_PERP"))[1])
        for what in ("bookTicker", "price", "24hr")
    ]
    assert [each[0]["symbol"] for each in (quotes, prices, days)] == ["BTCUSD_PERP"] * 3
    assert (quotes[0]["pair"], prices[0]["ps"], days[0]["pair"]) == ("BTCUSD",) * 3
    trades = msgspec.json.decode((await desk.get("/dapi/v1/trades?symbol=BTCUSD_PERP&limit=5"))[1])
    assert [float(each["baseQty"]) for each in trades] == [
        pytest.approx(100 * float(each["qty"]) / float(each["price"]), abs=1e-8) for each in trades
    ]
    mark = await desk.exchange.fetch_funding_rate(SYMBOL)
    assert mark["markPrice"] == pytest.approx(float(desk.venue.exchange.mark_px) / 10)


@on_coinm
async def test_fill_is_told_in_contracts_and_coins(desk: Desk) -> None:
    await desk.listen()
    order = await desk.order("buy", 30)
    assert (order["status"], order["filled"]) == ("closed", 30)
    assert "avgPrice" not in order["info"]
    assert "cumBase" not in order["info"]
    told = await desk.event("ORDER_TRADE_UPDATE", 2)
    (fill, *_) = desk.account.fills
    details = told["o"]
    assert (details["ps"], details["ma"], details["N"], details["l"]) == ("BOTH", "BTC", "BTC", str(fill.qty))
    assert details["n"] == f"{fill.fee / CASH_SCALE:.8f}"
    worth = desk.venue.instrument.inverse_cash * fill.qty / fill.px
    assert fill.fee == round(Fraction(round(worth) * 5, 10_000))
    changed = (await desk.event("ACCOUNT_UPDATE"))["a"]
    assert changed["B"][0]["a"] == "BTC"
    assert changed["P"][0]["pa"] == str(fill.qty)
    trade = (await desk.exchange.dapiPrivateGetUserTrades({"symbol": "BTCUSD_PERP"}))[0]
    assert (trade["marginAsset"], trade["pair"]) == ("BTC", "BTCUSD")
    assert trade["baseQty"] == f"{round(worth) / CASH_SCALE:.8f}"


@on_coinm
async def test_average_of_several_fills_is_the_harmonic_one(desk: Desk) -> None:
    order = await desk.order("buy", 8_000)
    fills = desk.account.fills
    assert len(fills) > 1
    expected = sum(fill.qty for fill in fills) / sum(Fraction(fill.qty, fill.px) for fill in fills) / 10
    told = await desk.exchange.dapiPrivateGetOrder({"symbol": "BTCUSD_PERP", "orderId": order["id"]})
    assert Fraction(told["avgPrice"]) == pytest.approx(expected, abs=1e-8)
    assert float(told["cumBase"]) == pytest.approx(800_000 / float(expected), abs=1e-8)
    (position,) = await desk.exchange.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"]) == ("long", 8_000)
    assert position["entryPrice"] == pytest.approx(float(expected), rel=1e-8)


@on_coinm
async def test_wallet_in_coins_is_what_fills_brought(desk: Desk) -> None:
    await desk.order("buy", 100)
    await desk.order("sell", 100, None, reduceOnly=True)
    account = desk.account
    assert account.qty == 0
    assert account.wallet == CASH_SCALE + sum(fill.realized_pnl - fill.fee for fill in account.fills)
    balance = await desk.exchange.fetch_balance()
    assert balance["BTC"]["total"] == account.wallet / CASH_SCALE
    rows = await desk.exchange.dapiPrivateGetBalance()
    assert rows[0]["balance"] == f"{account.wallet / CASH_SCALE:.8f}"


@on_coinm
async def test_margin_is_in_coins(desk: Desk) -> None:
    await desk.exchange.set_leverage(10, SYMBOL)
    at_most = 10 * FAR // 100  # contracts that a bitcoin puts up
    with pytest.raises(ccxt.InsufficientFunds):
        await desk.order("buy", at_most + 50, FAR)
    await desk.order("buy", at_most - 50, FAR)
    free = (await desk.exchange.fetch_balance())["BTC"]["free"]
    assert 0 < free < 0.02


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"price": 70_000.0, "timeInForce": "GTX"}, -4016),
        ({"price": 62_500.0, "timeInForce": "GTX"}, -5022),
        ({"price": FAR, "timeInForce": "FOK"}, -5021),
        ({"price": FAR, "quantity": "0.5"}, -1111),
        ({"price": FAR, "quantity": "2000000"}, -4005),
        ({"price": FAR, "type": "STOP", "stopPrice": FAR}, -4120),
    ],
)
def test_refusals_have_codes(terms: dict[str, Any], code: int) -> None:
    @on_coinm
    async def body(desk: Desk) -> None:
        order = {"symbol": "BTCUSD_PERP", "side": "BUY", "type": "LIMIT", "quantity": "1", "timeInForce": "GTC"}
        with pytest.raises(ccxt.BaseError, match=f'"code":{code}'):
            await desk.exchange.dapiPrivatePostOrder({**order, **terms})
        assert not desk.account.open_orders

    body()


@on_coinm
async def test_amend_that_changes_nothing_has_the_code_of_coin_m_alone_and_among_several(desk: Desk) -> None:
    order = await desk.order("buy", 5, FAR)
    same = {"symbol": "BTCUSD_PERP", "orderId": order["id"], "side": "BUY", "quantity": "5", "price": str(FAR)}
    with pytest.raises(ccxt.OperationRejected, match='"code":-4197'):
        await desk.exchange.dapiPrivatePutOrder(same)
    other = {**same, "quantity": "6"}
    refused, amended = await desk.exchange.dapiPrivatePutBatchOrders(
        {"batchOrders": [{**same, "orderId": int(order["id"])}, {**other, "orderId": int(order["id"])}]}
    )
    assert (refused["code"], amended["origQty"]) == (-4197, "6")


@on_coinm
async def test_trades_are_asked_for_by_symbol_or_pair(desk: Desk) -> None:
    await desk.order("buy", 3)
    ask = desk.exchange.dapiPrivateGetUserTrades
    assert len(await ask({"pair": "BTCUSD"})) == len(await ask({"symbol": "BTCUSD_PERP"})) == len(desk.account.fills)
    for request, code in (
        ({}, -1102),
        ({"pair": "ETHUSD"}, -4087),
        ({"pair": "BTCUSD", "fromId": 1}, -1128),
        ({"symbol": "BTCUSD_PERP", "fromId": 1, "startTime": 1}, -1128),
    ):
        with pytest.raises(ccxt.BaseError, match=f'"code":{code}'):
            await ask(request)


@on_coinm
async def test_positions_are_of_a_pair_or_a_margin_asset(desk: Desk) -> None:
    ask = desk.exchange.dapiPrivateGetPositionRisk
    assert [each["symbol"] for each in await ask({"pair": "BTCUSD"})] == ["BTCUSD_PERP"]
    assert await ask({"marginAsset": "ETH"}) == []
    assert (await desk.exchange.fetch_account_positions([SYMBOL]))[0]["contracts"] == 0


@on_coinm
async def test_weight_is_told_with_each_answer(desk: Desk) -> None:
    before = int((await desk.get("/dapi/v1/time"))[0]["X-MBX-USED-WEIGHT-1M"])
    await desk.exchange.dapiPrivateGetUserTrades({"symbol": "BTCUSD_PERP"})
    await desk.exchange.dapiPrivateGetIncome()
    after = int((await desk.get("/dapi/v1/time"))[0]["X-MBX-USED-WEIGHT-1M"])
    assert after - before == 20 + 20 + 1


@on_coinm
async def test_orders_are_cancelled_when_the_client_no_longer_counts_down(desk: Desk) -> None:
    await desk.order("buy", 5, FAR)
    await desk.exchange.dapiPrivatePostCountdownCancelAll({"symbol": "BTCUSD_PERP", "countdownTime": 5_000})
    desk.sandbox.advance(4_000)
    assert desk.account.open_orders
    desk.sandbox.advance(1_001)
    assert not desk.account.open_orders


@on_coinm
async def test_funding_moves_the_wallet_in_coins(desk: Desk) -> None:
    await desk.listen()
    await desk.order("buy", 100)
    before = desk.account.wallet
    desk.sandbox.pay_funding("0.0001")
    worth = desk.venue.instrument.inverse_cash * 100 / desk.venue.exchange.mark_px
    assert before - desk.account.wallet == round(Fraction(round(worth) * 1, 10_000))
    told = (await desk.event("ACCOUNT_UPDATE", len(desk.account.fills) + 1))["a"]
    assert (told["m"], told["B"][0]["wb"]) == ("FUNDING_FEE", f"{desk.account.wallet / CASH_SCALE:.8f}")
    (income,) = await desk.exchange.dapiPrivateGetIncome({"incomeType": "FUNDING_FEE"})
    assert (income["asset"], income["symbol"], type(income["tranId"])) == ("BTC", "BTCUSD_PERP", str)


@on_coinm
async def test_key_that_expires_is_told_on_its_stream(desk: Desk) -> None:
    key = await desk.listen()
    desk.venue.expire_listen_key(key)
    assert (await desk.event("listenKeyExpired"))["listenKey"] == key


@on_coinm
async def test_account_is_as_the_sandbox_has_it(desk: Desk) -> None:
    assert (await desk.exchange.fetch_position_mode())["hedged"] is False
    tiers = await desk.exchange.fetch_leverage_tiers([SYMBOL])
    assert tiers[SYMBOL][0]["maxLeverage"] == 125
    leverage = await desk.exchange.fetch_leverage(SYMBOL)
    assert leverage["longLeverage"] == 20
    fees = await desk.exchange.fetch_trading_fee(SYMBOL)
    assert (fees["maker"], fees["taker"]) == (0.0001, 0.0005)


def test_contract_is_that_of_the_settings_where_they_define_it() -> None:
    recording = open_recording(COINM_FILE)
    settings = load_settings(None, {"replay": {"file": str(COINM_FILE)}})
    shipped = traded_on(recording, "binance", settings)
    own = replace(shipped, id=len(settings.instruments), taker_fee_rate="0.0003")
    settings = replace(settings, instruments=(*settings.instruments, own))
    assert (shipped.symbol, shipped.venue, shipped.multiplier) == ("BTCUSD_PERP", "binance_coinm", "100")
    assert traded_on(recording, "binance", settings) == own
