"""What goes wrong on purpose, as an unmodified ccxt meets it: was it done, and what was the client told."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import ccxt
import msgspec
import pytest

from gateways.sandbox.faults import Fault, FaultPlan
from tests.gateways.sandbox.desk import SYMBOL, Desk, Wire, on_sandbox

FAR = 61_000.0
STREAM = "btcusdt@bookTicker"


def always(desk: Desk, *faults: Fault) -> None:
    desk.venue.faults = FaultPlan(1, dict.fromkeys(faults, 1.0))


@pytest.mark.parametrize(
    ("fault", "error", "done"),
    [
        (Fault.LOSE_REQUEST, ccxt.NetworkError, False),
        (Fault.LOSE_ANSWER, ccxt.NetworkError, True),
        (Fault.UNKNOWN, ccxt.OperationFailed, True),
        (Fault.BUSY, ccxt.OperationFailed, False),
        (Fault.HTML, ccxt.ExchangeNotAvailable, False),
        (Fault.RATE_LIMIT, ccxt.DDoSProtection, False),
        (Fault.BAN, ccxt.DDoSProtection, False),
        (Fault.MAINTENANCE, ccxt.OnMaintenance, False),
    ],
)
def test_order_whose_answer_fails(fault: Fault, error: type[Exception], done: bool) -> None:
    @on_sandbox()
    async def body(desk: Desk) -> None:
        await desk.exchange.load_markets()
        always(desk, fault)
        with pytest.raises(error):
            await desk.buy(0.01, FAR, clientOrderId="unsure")
        assert desk.venue.faults.happened[fault] == 1
        always(desk)
        orders = await desk.exchange.fetch_open_orders(SYMBOL)
        assert [order["clientOrderId"] for order in orders] == ["unsure"] * done

    body()


@on_sandbox()
async def test_delayed_answer_comes(desk: Desk) -> None:
    await desk.exchange.load_markets()
    always(desk, Fault.DELAY)
    placing = asyncio.ensure_future(desk.buy(0.01, FAR))
    while not desk.venue.exchange.accounts[0].open_orders:
        await asyncio.sleep(0)
    assert not placing.done()
    assert (await placing)["status"] == "open"


@on_sandbox()
async def test_rate_limit_says_when_to_come_again(desk: Desk) -> None:
    wire = Wire(desk.sandbox)
    always(desk, Fault.RATE_LIMIT)
    status, headers, _ = await wire.get("/fapi/v1/time")
    assert (status, headers["Retry-After"]) == (429, "1")
    always(desk, Fault.BAN)
    assert (await wire.get("/fapi/v1/time"))[0] == 418
    await wire.close()


async def heard(desk: Desk, plan: FaultPlan, count: int = 60) -> tuple[list[Any], list[Any]]:
    """The update ids of so many recorded quotes, and of those that a client was sent before a last, sound one."""
    wire = Wire(desk.sandbox)
    async with wire.connect(f"/public/ws/{STREAM}") as socket:
        await desk.subscribed(STREAM)
        desk.venue.faults = plan
        frames = [frame for frame in desk.sandbox.step(count) if frame.channel == "bookTicker"]
        desk.venue.faults = FaultPlan()
        while not (last := [frame for frame in desk.sandbox.step() if frame.channel == "bookTicker"]):
            pass
        frames += last
        sent = [msgspec.json.decode(frame.payload)["u"] for frame in frames]
        got: list[Any] = []
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            got.append(msgspec.json.decode(message.data)["u"])
            if got[-1] == sent[-1]:
                break
    await wire.close()
    return sent, got


@on_sandbox()
async def test_messages_are_dropped(desk: Desk) -> None:
    plan = FaultPlan(3, {Fault.DROP: 0.3})
    sent, got = await heard(desk, plan)
    assert len(got) == len(sent) - plan.happened[Fault.DROP] < len(sent)
    assert got == sorted(got)


@on_sandbox()
async def test_messages_come_twice(desk: Desk) -> None:
    plan = FaultPlan(3, {Fault.DUPLICATE: 0.3})
    sent, got = await heard(desk, plan)
    assert len(got) == len(sent) + plan.happened[Fault.DUPLICATE] > len(sent)
    assert list(dict.fromkeys(got)) == sent


@on_sandbox()
async def test_messages_come_out_of_order_and_all(desk: Desk) -> None:
    plan = FaultPlan(3, {Fault.REORDER: 0.3})
    sent, got = await heard(desk, plan)
    assert plan.happened[Fault.REORDER] > 0
    assert got != sorted(got)
    assert set(got) | set(sent[-4:]) == set(sent)


@on_sandbox()
async def test_connection_breaks(desk: Desk) -> None:
    sent, got = await heard(desk, FaultPlan(3, {Fault.DISCONNECT: 0.05}))
    assert 0 < len(got) < len(sent)
    assert got == sent[: len(got)]
    async with asyncio.timeout(10):
        while desk.venue.streams.connections:
            await asyncio.sleep(0)


@on_sandbox()
async def test_listen_key_expires_with_an_event(desk: Desk) -> None:
    await desk.exchange.load_markets()
    await desk.watch_private()
    always(desk, Fault.EXPIRE_KEY)
    await desk.buy(0.01, FAR)
    await desk.until(lambda: desk.events("listenKeyExpired"))
    assert len(desk.events("ORDER_TRADE_UPDATE")) == 1
    assert desk.venue.listen_keys.of(desk.venue.exchange.accounts[0]) is None


def test_seed_replays_what_goes_wrong() -> None:
    runs: list[list[Any]] = []

    @on_sandbox()
    async def body(desk: Desk) -> None:
        runs.append((await heard(desk, FaultPlan(11, {Fault.DROP: 0.2, Fault.DUPLICATE: 0.2})))[1])

    body()
    body()
    assert runs[0] == runs[1]
