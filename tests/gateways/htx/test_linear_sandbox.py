"""The sandbox of HTX's contracts as the unmodified ccxt, and a bare client, find it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import ccxt.pro
import msgspec
import pytest

from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.htx.limits import TRADE
from gateways.sandbox.htx.linear_venue import LinearVenue
from gateways.sandbox.htx.security import signature
from gateways.sandbox.server import Sandbox, credentials_of
from gateways.sidecar import open_recording
from tests.gateways.htx.booth import CONTRACT
from tests.gateways.sandbox.desk import RECORDING

SYMBOL: Final = "BTC/USDT:USDT"
DEADLINE_S: Final = 20.0
HOST: Final = "api.hbdm.vn"


class Desk:
    """A sandbox, and a ccxt that has every message noted that it is sent."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        venue = sandbox.venue
        assert isinstance(venue, LinearVenue)
        self.venue = venue
        self.session = sandbox.session()
        login = credentials_of(0)
        types = {"types": {"spot": False, "linear": True, "inverse": False}}
        self.exchange = ccxt.pro.htx(
            {
                "apiKey": login.key,
                "secret": login.secret,
                "session": self.session,
                "enableRateLimit": False,
                "options": {"defaultType": "swap", "fetchMarkets": types},
            }
        )

    async def asked(self, path: str, method: str = "GET", body: Any = None, **query: str) -> tuple[int, Any, Any]:
        """Status, headers and content of an answer to a request that is signed by hand."""
        login = credentials_of(0)
        stamp = self.exchange.ymdhms(self.venue.clock.now_ms, "T")
        known = {"AccessKeyId": login.key, "SignatureMethod": "HmacSHA256", "SignatureVersion": "2", "Timestamp": stamp}
        signed = {**known, **query}
        made = {"Signature": signature(login.secret, method, HOST, path, signed), **signed}
        text = None if body is None else msgspec.json.encode(body)
        async with self.session.request(method, f"https://{HOST}{path}", params=made, data=text) as answer:
            return answer.status, answer.headers, msgspec.json.decode(await answer.read())


def on_desk(body: Callable[[Desk], Awaitable[None]]) -> Callable[[], None]:
    """Turn a coroutine over a ``Desk`` into a test."""

    async def run() -> None:
        async with Sandbox(open_recording(RECORDING), CONTRACT) as sandbox:
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


@on_desk
async def test_ccxt_trades_on_it(desk: Desk) -> None:
    exchange = desk.exchange
    resting = await exchange.create_order(SYMBOL, "limit", "buy", 5, 61_000, {"clientOrderId": 77})
    (shown,) = await exchange.fetch_open_orders(SYMBOL)
    assert (shown["id"], shown["clientOrderId"], shown["remaining"]) == (resting["id"], "77", 5.0)
    bought = await exchange.create_order(SYMBOL, "market", "buy", 10)
    assert (await exchange.fetch_order(bought["id"], SYMBOL))["status"] == "closed"
    (position,) = await exchange.fetch_positions([SYMBOL])
    assert (position["side"], position["contracts"]) == ("long", 10.0)
    trades = await exchange.fetch_my_trades(SYMBOL)
    assert sum(each["amount"] for each in trades) == 10.0
    assert all(each["takerOrMaker"] == "taker" and each["fee"]["cost"] for each in trades)
    balance = await exchange.fetch_balance()
    assert balance["USDT"]["total"] == pytest.approx(100_000, rel=1e-3)
    await exchange.create_order(SYMBOL, "market", "sell", 10, None, {"reduceOnly": True})
    assert await exchange.fetch_positions([SYMBOL]) == []
    await exchange.cancel_order(resting["id"], SYMBOL)
    again = {"contract_code": "BTC-USDT", "order_id": resting["id"]}
    assert (await desk.asked("/v5/trade/cancel_order", "POST", again))[2]["code"] == 1071
    assert (await exchange.fetch_order(resting["id"], SYMBOL))["status"] == "canceled"


@on_desk
async def test_ccxt_is_told_of_orders_trades_and_balances(desk: Desk) -> None:
    exchange = desk.exchange
    await exchange.load_markets()
    watching = [
        asyncio.ensure_future(each)
        for each in (
            exchange.watch_orders(SYMBOL),
            exchange.watch_my_trades(SYMBOL),
            exchange.watch_balance({"type": "swap", "subType": "linear"}),
        )
    ]
    try:
        while {name for each in desk.venue.connections for name in each.names} < {"orders", "trade", "account"}:
            await asyncio.sleep(0)
        await exchange.create_order(SYMBOL, "market", "buy", 10)
        orders, trades, balance = await asyncio.gather(*watching)
    finally:
        for each in watching:
            each.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await each
    assert orders[0]["side"] == "buy"
    assert trades[0]["amount"] > 0
    assert balance["USDT"]["total"] > 0


@on_desk
async def test_signatures_times_and_keys_are_checked(desk: Desk) -> None:
    _, _, told = await desk.asked("/v5/account/balance")
    assert told["code"] == 200
    secret, desk.exchange.secret = desk.exchange.secret, "0" * 64
    with pytest.raises(ccxt.AuthenticationError, match="Verification failure"):
        await desk.exchange.fetch_balance()
    desk.exchange.secret = secret
    desk.exchange.apiKey = "0" * 64
    with pytest.raises(ccxt.AuthenticationError, match="Incorrect Access key"):
        await desk.exchange.fetch_balance()
    desk.exchange.apiKey = credentials_of(0).key
    desk.venue.clock.skew_ms = -400_000
    with pytest.raises(ccxt.AuthenticationError, match="Invalid submission time"):
        await desk.exchange.fetch_balance()
    desk.venue.clock.skew_ms = 0
    desk.venue.permissions["trade"] = False
    with pytest.raises(ccxt.PermissionDenied):
        await desk.exchange.create_order(SYMBOL, "market", "buy", 1)


@on_desk
async def test_requests_beyond_the_limit_are_refused_and_what_is_left_is_told(desk: Desk) -> None:
    desk.venue.clock.now_ns = lambda: 1_700_000_001_000_000_000  # type: ignore[method-assign]
    order = {"contract_code": "BTC-USDT", "order_id": "1"}
    for left in range(TRADE.most - 1, -1, -1):
        status, headers, told = await desk.asked("/v5/trade/cancel_order", "POST", order)
        assert (status, headers["ratelimit-remaining"], told["code"]) == (200, str(left), 1061)
    status, _, told = await desk.asked("/v5/trade/cancel_order", "POST", order)
    assert (status, told["err_code"]) == (429, 1032)
    assert (await desk.asked("/v5/account/balance"))[2]["code"] == 200


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"contract_code": "ETH-USDT"}, 1014),
        ({"margin_mode": "isolated"}, 1067),
        ({"position_side": "long"}, 1067),
        ({"side": "long"}, 1067),
        ({"type": "optimal_5"}, 1067),
        ({"price": "61000.05"}, 1038),
        ({"price": None}, 1066),
        ({"volume": "1.5"}, 1040),
        ({"client_order_id": "mine"}, 1067),
        ({"client_order_id": 0}, 1067),
    ],
)
def test_orders_that_cannot_be_are_refused_with_the_exchanges_code(changes: dict[str, Any], code: int) -> None:
    @on_desk
    async def body(desk: Desk) -> None:
        order = {"contract_code": "BTC-USDT", "margin_mode": "cross", "side": "buy", "type": "limit", "volume": 1}
        _, _, told = await desk.asked("/v5/trade/order", "POST", {**order, "price": 61000, **changes})
        assert told["code"] == code
        assert not desk.venue.exchange.orders

    body()


@on_desk
async def test_batches_answer_for_each_order(desk: Desk) -> None:
    order = {"contract_code": "BTC-USDT", "margin_mode": "cross", "side": "buy", "type": "limit", "volume": 1}
    _, _, told = await desk.asked(
        "/v5/trade/batch_orders", "POST", [{**order, "price": 61000}, {**order, "price": 99000}]
    )
    assert [row["code"] for row in told["data"]] == [200, 1039]
    ids = [told["data"][0]["order_id"], "7"]
    _, _, told = await desk.asked(
        "/v5/trade/cancel_batch_orders", "POST", {"contract_code": "BTC-USDT", "order_id": ids}
    )
    assert [row["code"] for row in told["data"]] == [200, 1061]


@on_desk
async def test_what_goes_wrong_is_answered_as_the_exchange_does(desk: Desk) -> None:
    for fault, status, code in (
        (Fault.BUSY, 200, ("code", 1004)),
        (Fault.UNKNOWN, 200, ("code", 1000)),
        (Fault.BAN, 429, ("err_code", 1032)),
        (Fault.MAINTENANCE, 503, ("err_code", 1001)),
    ):
        desk.venue.faults = FaultPlan(1, {fault: 1.0})
        got, _, told = await desk.asked("/v5/account/balance")
        assert (got, told[code[0]]) == (status, code[1])


@on_desk
async def test_client_that_does_not_answer_is_left(desk: Desk) -> None:
    async with desk.session.ws_connect(f"wss://{HOST}/ws/v5/notification", autoping=False) as socket:
        for _ in range(6):
            await socket.receive()
            desk.venue.clock.skew_ms += 5_001
            desk.venue.timers.run_due()
        while not socket.closed:
            await socket.receive()
    assert not desk.venue.connections
