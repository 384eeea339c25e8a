"""The sandbox exchange as Binance spot, through an unmodified ccxt and on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import ccxt.pro
import msgspec
import pytest

from gateways.sandbox.binance.spot_venue import SpotVenue
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from tests.gateways.conformance.cases import RECORDINGS
from tests.gateways.sandbox.desk import shipped_instrument

RECORDING: Final = RECORDINGS / "spot_btcusdt_20240808_30s.gz"
SYMBOL: Final = "BTC/USDT"
FAR: Final = 61_000
DEADLINE_S: Final = 30.0


class Desk:
    """One sandbox and one ccxt."""

    def __init__(self, sandbox: Sandbox) -> None:
        venue = sandbox.venue
        assert isinstance(venue, SpotVenue)
        self.venue: SpotVenue = venue
        self.sandbox = sandbox
        self.session = sandbox.session()
        options = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot"]}}
        self.exchange: Any = ccxt.pro.binance(
            {**sandbox.login, "session": self.session, "enableRateLimit": False, "options": options}
        )

    async def balances(self) -> dict[str, tuple[float, float]]:
        """Free and used, by currency."""
        told = await self.exchange.fetch_balance()
        return {name: (told[name]["free"], told[name]["used"]) for name in ("BTC", "USDT")}

    async def order(self, side: str, amount: float, price: float | None = None, **more: Any) -> Any:
        """An order of ccxt's."""
        kind = "market" if price is None else "limit"
        return await self.exchange.create_order(SYMBOL, kind, side, amount, price, more)


def on_spot(body: Callable[[Desk], Awaitable[None]]) -> Callable[[], None]:
    """Turn a coroutine over a ``Desk`` into a test."""

    async def run() -> None:
        async with Sandbox(open_recording(RECORDING), shipped_instrument(RECORDING)) as sandbox:
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


@on_spot
async def test_markets_carry_the_instruments_filters(desk: Desk) -> None:
    market = (await desk.exchange.load_markets())[SYMBOL]
    assert market["precision"] == {"amount": 0.00001, "price": 0.01} | {
        name: market["precision"][name] for name in market["precision"].keys() - {"amount", "price"}
    }
    assert (market["limits"]["amount"]["min"], market["limits"]["cost"]["min"]) == (0.00001, 5.0)
    assert market["spot"]
    assert market["active"]


@on_spot
async def test_open_orders_lock_what_they_may_cost(desk: Desk) -> None:
    before = await desk.balances()
    buy = await desk.order("buy", 0.1, FAR)
    await desk.order("sell", 0.2, 63_000)
    stop = await desk.order("sell", 0.3, 60_900, triggerPrice=61_000)
    after = await desk.balances()
    assert after["USDT"] == (before["USDT"][0] - 6_100, 6_100)
    assert after["BTC"] == pytest.approx((before["BTC"][0] - 0.5, 0.5))
    assert len(await desk.exchange.fetch_open_orders(SYMBOL)) == 3
    for order in (buy, stop):
        await desk.exchange.cancel_order(order["id"], SYMBOL)
    assert (await desk.balances())["USDT"] == before["USDT"]
    await desk.exchange.cancel_all_orders(SYMBOL)
    assert await desk.balances() == before


@on_spot
async def test_fee_is_taken_from_what_a_fill_brings(desk: Desk) -> None:
    bought = await desk.order("buy", 0.5)
    sold = await desk.order("sell", 0.25)
    assert (bought["fee"]["currency"], sold["fee"]["currency"]) == ("BTC", "USDT")
    assert bought["fee"]["cost"] == pytest.approx(0.0005)
    assert sold["fee"]["cost"] == pytest.approx(float(sold["cost"]) * 0.001)
    account = desk.venue.exchange.accounts[0]
    balances = await desk.balances()
    assert balances["BTC"][0] == account.base_wallet / 1e8
    trades = await desk.exchange.fetch_my_trades(SYMBOL)
    assert [trade["id"] for trade in trades] == [str(fill.trade_id) for fill in account.fills]
    assert {trade["fee"]["currency"] for trade in trades} == {"BTC", "USDT"}


@pytest.mark.parametrize(
    ("terms", "error", "words"),
    [
        ({"side": "buy", "amount": 2.0, "price": FAR}, ccxt.InsufficientFunds, "insufficient balance"),
        ({"side": "sell", "amount": 2.0, "price": 70_000}, ccxt.InsufficientFunds, "insufficient balance"),
        ({"side": "buy", "amount": 0.00002, "price": FAR}, ccxt.BadRequest, "Filter failure: NOTIONAL"),
        ({"side": "buy", "amount": 0.1, "price": 400_000}, ccxt.InvalidOrder, "PERCENT_PRICE_BY_SIDE"),
        ({"side": "buy", "amount": 0.1, "price": 10_000}, ccxt.InvalidOrder, "PERCENT_PRICE_BY_SIDE"),
        ({"side": "buy", "amount": 0.1, "price": 62_500, "postOnly": True}, ccxt.BaseError, "match and take"),
        (
            {"side": "buy", "amount": 0.1, "price": 60_000, "triggerPrice": 60_000},
            ccxt.BaseError,
            "trigger immediately",
        ),
    ],
)
def test_refusals_are_those_of_spot(terms: dict[str, Any], error: type[Exception], words: str) -> None:
    @on_spot
    async def body(desk: Desk) -> None:
        with pytest.raises(error, match=words):
            await desk.order(**terms)

    body()


@on_spot
async def test_id_of_an_open_order_is_taken_and_free_again_after_it(desk: Desk) -> None:
    order = await desk.order("buy", 0.1, FAR, clientOrderId="mine")
    with pytest.raises(ccxt.BaseError, match="Duplicate order sent"):
        await desk.order("buy", 0.1, FAR, clientOrderId="mine")
    await desk.exchange.cancel_order(order["id"], SYMBOL)
    again = await desk.order("buy", 0.1, FAR, clientOrderId="mine")
    assert again["id"] != order["id"]


@on_spot
async def test_amend_only_makes_smaller_and_keeps_the_order(desk: Desk) -> None:
    order = await desk.order("buy", 0.1, FAR, clientOrderId="mine")

    async def amended(qty: str, **more: Any) -> Any:
        request = {"symbol": "BTCUSDT", "orderId": order["id"], "newQty": qty, **more}
        return await desk.exchange.request("order/amend/keepPriority", ["private"], "PUT", request)

    answer = await amended("0.04", newClientOrderId="mine")
    assert (answer["amendedOrder"]["qty"], answer["amendedOrder"]["clientOrderId"]) == ("0.04000000", "mine")
    assert (await amended("0.03"))["amendedOrder"]["origClientOrderId"] == "mine"
    for qty, words in (("0.03", "would change no state"), ("0.05", "quantity increase")):
        with pytest.raises(ccxt.BaseError, match=words):
            await amended(qty)
    (found,) = await desk.exchange.fetch_open_orders(SYMBOL)
    assert (found["id"], found["amount"]) == (order["id"], 0.03)


@on_spot
async def test_ccxt_hears_of_its_orders_by_subscription(desk: Desk) -> None:
    watching = asyncio.ensure_future(desk.exchange.watch_orders(SYMBOL))
    while not any(each.entry == "private" and each.names for each in desk.venue.streams.connections):
        await asyncio.sleep(0)
    order = await desk.order("buy", 0.1, FAR)
    (told,) = await watching
    assert (told["id"], told["status"], told["amount"]) == (order["id"], "open", 0.1)
    await desk.exchange.cancel_order(order["id"], SYMBOL)


@on_spot
async def test_wrong_signature_on_the_api_is_refused_and_the_right_one_subscribes_once(desk: Desk) -> None:
    async with desk.session.ws_connect("wss://ws-api.binance.com/ws-api/v3") as socket:

        async def asked(method: str, **params: Any) -> Any:
            await socket.send_json({"id": 7, "method": method, "params": params})
            return msgspec.json.decode((await socket.receive()).data)

        subscribe = "userDataStream.subscribe.signature"
        signed = desk.exchange.sign_params({})
        refused = await asked(subscribe, **{**signed, "signature": "0" * 64})
        assert (refused["id"], refused["status"], refused["error"]["code"]) == (7, 400, -1022)
        assert (await asked(subscribe, **signed))["result"] == {"subscriptionId": 0}
        assert (await asked(subscribe, **signed))["error"]["code"] == -2035
        assert (await asked("order.place"))["error"]["code"] == -1020
        await desk.order("buy", 0.1, FAR)
        kinds = [msgspec.json.decode((await socket.receive()).data)["event"]["e"] for _ in range(2)]
        assert kinds == ["executionReport", "outboundAccountPosition"]


@on_spot
async def test_ccxts_book_is_the_recorded_one(desk: Desk) -> None:
    watching = asyncio.ensure_future(desk.exchange.watch_order_book(SYMBOL))
    while not watching.done():
        desk.sandbox.step(1)
        await asyncio.sleep(0.005)
    book = await watching
    levels = desk.venue.market.book()
    assert book["bids"][0][0] <= levels["px"][levels["side"] == -1].min() / 100
    assert book["nonce"] > 0


@on_spot
async def test_answers_tell_weight_and_orders(desk: Desk) -> None:
    await desk.order("buy", 0.1, FAR)
    headers = {name.lower(): value for name, value in desk.exchange.last_response_headers.items()}
    assert int(headers["x-mbx-used-weight-1m"]) >= 20
    assert headers["x-mbx-order-count-10s"] == headers["x-mbx-order-count-1d"] == "1"

    async def too_many() -> None:
        for _ in range(101):  # an interval may begin anew meanwhile
            with suppress(ccxt.InvalidOrder):
                await desk.order("buy", 0.1, 600_000)

    with pytest.raises((ccxt.RateLimitExceeded, ccxt.DDoSProtection)):
        await too_many()
    assert int(desk.exchange.last_response_headers["Retry-After"]) > 0
