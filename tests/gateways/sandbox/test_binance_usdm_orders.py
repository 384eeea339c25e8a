"""Orders on the sandbox through an unmodified ccxt: their life, refusals, batches, conditional ones."""

from __future__ import annotations

from typing import Any

import ccxt
import pytest

from gateways.sandbox.conditionals import Waiting
from gateways.sandbox.server import credentials_of
from tests.gateways.sandbox.desk import SYMBOL, Desk, Wire, on_sandbox

FAR = 61_000.0
"""A price at which nothing trades in what is replayed here."""


def fill_resting(desk: Desk, reached: Any, most: int = 3000) -> None:
    """Let the market come until something is reached."""
    for _ in range(most):
        if reached():
            return
        desk.sandbox.step()
    raise AssertionError(f"not reached in {most} messages")


def best(desk: Desk) -> tuple[float, float]:
    quote = desk.venue.market.quote
    assert quote is not None
    instrument = desk.venue.instrument
    return float(instrument.px_from_ticks(quote.bid_px)), float(instrument.px_from_ticks(quote.ask_px))


def begin_ten_seconds(desk: Desk) -> None:
    """Put the exchange's clock to the begin of a window of its limits, if that is near."""
    left_ms = 10_000 - desk.venue.clock.now_ms % 10_000
    if left_ms < 3000:
        desk.sandbox.advance(left_ms)


async def code_of(desk: Desk, path: str, given: dict[str, Any], method: str = "post") -> int:
    """The error code of a request of ccxt's with whatever parameters; 0: it was taken."""
    call = getattr(desk.exchange, f"fapiPrivate{method.capitalize()}{path}")
    try:
        await call(given)
    except ccxt.BaseError as error:
        text = str(error)
        return int(text[text.index('"code":') + 7 : text.index(",")])
    return 0


def limit(**more: Any) -> dict[str, Any]:
    """An order as the venue takes it."""
    given = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.010",
        "price": "61000.0",
    }
    return {name: value for name, value in {**given, **more}.items() if value is not None}


@on_sandbox()
async def test_life_of_an_order(desk: Desk) -> None:
    placed = await desk.buy(0.01, FAR, clientOrderId="mine-1")
    assert (placed["status"], placed["clientOrderId"], placed["price"], placed["amount"]) == (
        "open",
        "mine-1",
        FAR,
        0.01,
    )
    assert [order["id"] for order in await desk.exchange.fetch_open_orders(SYMBOL)] == [placed["id"]]
    edited = await desk.exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, FAR - 1)
    assert (edited["id"], edited["amount"], edited["price"]) == (placed["id"], 0.02, FAR - 1)
    cancelled = await desk.exchange.cancel_order(placed["id"], SYMBOL)
    assert cancelled["status"] == "canceled"
    found = await desk.exchange.fetch_order(None, SYMBOL, {"origClientOrderId": "mine-1"})
    assert (found["id"], found["status"], found["filled"]) == (placed["id"], "canceled", 0.0)
    assert await desk.exchange.fetch_open_orders(SYMBOL) == []


@on_sandbox()
async def test_market_order_takes_the_displayed_book(desk: Desk) -> None:
    book = await desk.exchange.fetch_order_book(SYMBOL, 5)
    first_px, first_qty = book["asks"][0]
    amount = round(first_qty + 0.001, 3)
    order = await desk.buy(amount)
    assert (order["status"], order["filled"]) == ("closed", amount)
    trades = await desk.exchange.fetch_my_trades(SYMBOL)
    assert [(trade["price"], trade["amount"], trade["takerOrMaker"]) for trade in trades] == [
        (first_px, first_qty, "taker"),
        (book["asks"][1][0], 0.001, "taker"),
    ]
    assert order["cost"] == pytest.approx(sum(trade["cost"] for trade in trades))


@on_sandbox()
async def test_resting_order_is_filled_by_the_recorded_market(desk: Desk) -> None:
    bid, _ = best(desk)
    placed = await desk.buy(0.002, bid)
    order = desk.venue.exchange.orders[int(placed["id"])]
    fill_resting(desk, lambda: not order.status.is_open)
    filled = await desk.exchange.fetch_order(placed["id"], SYMBOL)
    assert (filled["status"], filled["average"]) == ("closed", bid)
    (trade,) = await desk.exchange.fetch_my_trades(SYMBOL)
    assert (trade["takerOrMaker"], trade["order"]) == ("maker", placed["id"])
    assert trade["fee"]["cost"] == pytest.approx(bid * 0.002 * 0.0002)


@on_sandbox()
async def test_post_only_order_that_would_take_is_refused_and_leaves_no_trace(desk: Desk) -> None:
    _, ask = best(desk)
    with pytest.raises(ccxt.OrderNotFillable, match="-5022"):
        await desk.buy(0.01, ask, postOnly=True, clientOrderId="maker-1")
    with pytest.raises(ccxt.OrderNotFound):
        await desk.exchange.fetch_order(None, SYMBOL, {"origClientOrderId": "maker-1"})
    resting = await desk.buy(0.01, FAR, postOnly=True)
    assert resting["timeInForce"] == "PO"


@on_sandbox()
async def test_fill_or_kill_and_immediate_or_cancel(desk: Desk) -> None:
    _, ask = best(desk)
    with pytest.raises(ccxt.OrderNotFillable, match="-5021"):
        await desk.buy(20, ask, timeInForce="FOK")
    rest_expires = await desk.buy(0.5, FAR, timeInForce="IOC")
    assert (rest_expires["status"], rest_expires["filled"]) == ("expired", 0.0)


@on_sandbox()
async def test_client_order_id_is_unique_among_open_orders(desk: Desk) -> None:
    placed = await desk.buy(0.01, FAR, clientOrderId="once")
    with pytest.raises(ccxt.InvalidOrder, match="-4116"):
        await desk.buy(0.01, FAR, clientOrderId="once")
    await desk.exchange.cancel_order(placed["id"], SYMBOL)
    again = await desk.buy(0.01, FAR, clientOrderId="once")
    assert again["id"] != placed["id"]
    found = await desk.exchange.fetch_order(None, SYMBOL, {"origClientOrderId": "once"})
    assert found["id"] == again["id"]


@on_sandbox()
async def test_what_is_not_open_cannot_be_cancelled_or_amended(desk: Desk) -> None:
    filled = await desk.buy(0.01)
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        await desk.exchange.cancel_order(filled["id"], SYMBOL)
    with pytest.raises(ccxt.OrderNotFound, match="-2011"):
        await desk.exchange.edit_order(filled["id"], SYMBOL, "limit", "buy", 0.02, FAR)
    with pytest.raises(ccxt.OrderNotFound, match="-2013"):
        await desk.exchange.fetch_order("123", SYMBOL)


@on_sandbox()
async def test_amend_without_change_is_refused(desk: Desk) -> None:
    placed = await desk.buy(0.01, FAR)
    with pytest.raises(ccxt.OperationRejected, match="-5027"):
        await desk.exchange.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.01, FAR)


@on_sandbox()
async def test_codes_of_what_is_wrong_with_an_order(desk: Desk) -> None:
    await desk.exchange.load_markets()
    wrong: list[tuple[int, dict[str, Any]]] = [
        (-1102, {"quantity": None}),
        (-1102, {"price": None}),
        (-1102, {"price": "dear"}),
        (-1111, {"price": "61000.123"}),
        (-1111, {"quantity": "0.0105"}),
        (-1106, {"type": "MARKET", "timeInForce": None}),
        (-1115, {"timeInForce": "GTZ"}),
        (-1116, {"type": "ICEBERG"}),
        (-1117, {"side": "LONG"}),
        (-1121, {"symbol": "DOGEUSDT"}),
        (-4001, {"price": "0"}),
        (-4003, {"quantity": "0"}),
        (-4005, {"quantity": "1001"}),
        (-4014, {"price": "61000.05"}),
        (-4015, {"newClientOrderId": "x" * 37}),
        (-4016, {"price": "65000"}),
        (-4024, {"side": "SELL", "price": "58000"}),
        (-4061, {"positionSide": "LONG"}),
        (-4120, {"type": "STOP_MARKET"}),
        (-4164, {"price": "4000", "quantity": "0.001"}),
    ]
    codes = [(await code_of(desk, "Order", limit(**more)), more) for _, more in wrong]
    assert codes == wrong
    assert await desk.exchange.fetch_open_orders(SYMBOL) == []


@on_sandbox()
async def test_order_counts_are_told_and_limited(desk: Desk) -> None:
    await desk.exchange.load_markets()
    begin_ten_seconds(desk)
    await desk.buy(0.01, FAR)
    headers = desk.exchange.last_response_headers
    assert headers["X-MBX-ORDER-COUNT-10S"] == headers["X-MBX-ORDER-COUNT-1M"] == "1"
    desk.venue.limits.charge_orders("0", 0, 299, desk.venue.clock.now_ms)
    with pytest.raises(ccxt.DDoSProtection, match="300 orders per TEN_SECONDS"):
        await desk.buy(0.01, FAR)


@on_sandbox()
async def test_batches_answer_each_by_itself(desk: Desk) -> None:
    orders = [
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": price}
        for price in (FAR, 65_000, FAR - 1)
    ]
    answers = await desk.exchange.create_orders(orders)  # in ccxt's order, by time
    assert [order["status"] for order in answers] == ["rejected", "open", "open"]
    assert answers[0]["info"]["code"] == -4016
    ids = [answers[1]["id"], "1", answers[2]["id"]]
    cancelled = await desk.exchange.fapiPrivateDeleteBatchOrders({"symbol": "BTCUSDT", "orderidlist": ids})
    assert [order.get("status", order.get("code")) for order in cancelled] == ["CANCELED", -2011, "CANCELED"]


@on_sandbox()
async def test_all_open_orders_are_cancelled(desk: Desk) -> None:
    for price in (FAR, FAR - 1, FAR - 2):
        await desk.buy(0.01, price)
    await desk.exchange.cancel_all_orders(SYMBOL)
    assert await desk.exchange.fetch_open_orders(SYMBOL) == []


@on_sandbox(accounts=2)
async def test_orders_of_another_account_are_not_there(desk: Desk) -> None:
    placed = await desk.buy(0.01, FAR)
    other = desk.new_exchange(dict(zip(("apiKey", "secret", "password"), credentials_of(1), strict=True)))
    assert await other.fetch_open_orders(SYMBOL) == []
    with pytest.raises(ccxt.OrderNotFound):
        await other.cancel_order(placed["id"], SYMBOL)


@on_sandbox()
async def test_dead_mans_switch(desk: Desk) -> None:
    await desk.buy(0.01, FAR)
    await desk.exchange.fapiPrivatePostCountdownCancelAll({"symbol": "BTCUSDT", "countdownTime": 5000})
    desk.sandbox.advance(4000)
    await desk.exchange.fapiPrivatePostCountdownCancelAll({"symbol": "BTCUSDT", "countdownTime": 5000})
    desk.sandbox.advance(4000)
    assert len(await desk.exchange.fetch_open_orders(SYMBOL)) == 1
    desk.sandbox.advance(1001)
    assert await desk.exchange.fetch_open_orders(SYMBOL) == []


@on_sandbox()
async def test_stop_order_waits_triggers_and_becomes_an_order(desk: Desk) -> None:
    await desk.order("sell", 0.01)
    _, ask = best(desk)
    stop = await desk.buy(0.01, triggerPrice=ask + 10, clientOrderId="stop-1")
    assert (stop["status"], stop["clientOrderId"], stop["triggerPrice"]) == ("open", "stop-1", ask + 10)
    (waiting,) = await desk.exchange.fetch_open_orders(SYMBOL, params={"trigger": True})
    assert waiting["id"] == stop["id"]
    conditional = desk.venue.conditionals.all[int(stop["id"])]
    fill_resting(desk, lambda: conditional.state is Waiting.FINISHED, most=12_000)
    found = await desk.exchange.fetch_order(stop["id"], SYMBOL, {"trigger": True})
    assert found["info"]["algoStatus"] == "FINISHED"
    order = await desk.exchange.fetch_order(found["info"]["actualOrderId"], SYMBOL)
    assert (order["side"], order["status"]) == ("buy", "closed")
    assert order["average"] >= ask + 10
    assert await desk.exchange.fetch_positions([SYMBOL]) == []


@on_sandbox()
async def test_stop_order_is_cancelled(desk: Desk) -> None:
    stop = await desk.order("sell", 0.01, triggerPrice=FAR)
    await desk.exchange.cancel_order(stop["id"], SYMBOL, {"trigger": True})
    assert await desk.exchange.fetch_open_orders(SYMBOL, params={"trigger": True}) == []
    with pytest.raises(ccxt.OrderNotFound):
        await desk.exchange.cancel_order(stop["id"], SYMBOL, {"trigger": True})


@on_sandbox()
async def test_stop_order_that_would_trigger_at_once_is_refused(desk: Desk) -> None:
    bid, _ = best(desk)
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="-2021"):
        await desk.order("sell", 0.01, triggerPrice=bid + 100)


@on_sandbox()
async def test_reduce_only_orders_only_reduce(desk: Desk) -> None:
    with pytest.raises(ccxt.InvalidOrder, match="-2022"):
        await desk.order("sell", 0.01, reduceOnly=True)
    await desk.buy(0.01)
    closed = await desk.order("sell", 0.05, reduceOnly=True)
    assert (closed["status"], closed["filled"]) == ("expired", 0.01)
    assert desk.venue.exchange.accounts[0].qty == 0


@on_sandbox()
async def test_resting_reduce_only_order_ends_with_the_position(desk: Desk) -> None:
    await desk.buy(0.01)
    resting = await desk.order("sell", 0.01, 62_000, reduceOnly=True)
    await desk.order("sell", 0.01)
    assert (await desk.exchange.fetch_order(resting["id"], SYMBOL))["status"] == "expired"


@on_sandbox()
async def test_order_that_meets_its_own_expires_it(desk: Desk) -> None:
    _, ask = best(desk)
    resting = await desk.order("sell", 0.01, ask)
    taken = await desk.buy(20, ask, timeInForce="IOC")
    found = await desk.exchange.fetch_order(resting["id"], SYMBOL)
    assert found["info"]["status"] == "EXPIRED_IN_MATCH"
    assert 0 < taken["filled"] < 20


@on_sandbox()
async def test_request_that_is_not_signed_is_refused(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    status, _, body = await wire.get("/fapi/v1/order", method="POST", data=limit())
    assert (status, body["code"]) == (401, -2014)
    headers = {"X-MBX-APIKEY": desk.sandbox.login["apiKey"]}
    assert (await wire.get("/fapi/v1/order", method="POST", data=limit(), headers=headers))[2]["code"] == -1102
    await wire.close()
