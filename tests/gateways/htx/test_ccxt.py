"""The unmodified ccxt on the sandbox's public streams of HTX: it reads the same book and trades as the live gateway."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateways.sandbox.pointing import pointed_session
from gateways.venues import VENUES
from oms.compiled import compile_entries
from oms.instruments import Instrument
from tests.gateways.htx.floor import LINEAR, SPOT, HtxFloor, on_floor

pro = pytest.importorskip("ccxt.pro")

compile_entries()


def market_of(exchange: Any, instrument: Instrument) -> Any:
    is_spot = instrument is SPOT
    return exchange.safe_market_structure(
        {
            "id": instrument.symbol,
            "symbol": "BTC/USDT" if is_spot else "BTC/USDT:USDT",
            "base": "BTC",
            "quote": "USDT",
            "settle": None if is_spot else "USDT",
            "type": "spot" if is_spot else "swap",
            "spot": is_spot,
            "swap": not is_spot,
            "contract": not is_spot,
            "linear": None if is_spot else True,
            "inverse": None if is_spot else False,
            "contractSize": None if is_spot else float(instrument.multiplier),
        }
    )


@pytest.mark.parametrize("instrument", [SPOT, LINEAR], ids=["spot", "linear"])
def test_ccxt_has_the_same_book_and_trades(instrument: Instrument) -> None:
    @on_floor(instrument)
    async def body(floor: HtxFloor) -> None:
        await floor.in_step()
        session = pointed_session(floor.port, floor.ca_pem, VENUES[instrument.venue].hosts)
        exchange = pro.htx({"session": session, "options": {"watchOrderBook": {"maxRetries": 100}}})
        market = market_of(exchange, instrument)
        exchange.set_markets([market])
        symbol = market["symbol"]

        async def moving() -> None:
            while True:
                await floor.step()
                await asyncio.sleep(0.001)

        moves = asyncio.ensure_future(moving())
        try:
            async with asyncio.timeout(20):
                _, trades = await asyncio.gather(exchange.watch_order_book(symbol, 150), exchange.watch_trades(symbol))
                while floor.market.counters.messages < 200:
                    await exchange.watch_order_book(symbol, 150)
        finally:
            moves.cancel()
        await floor.venue.flush()
        await floor.until(lambda: exchange.orderbooks[symbol]["nonce"] == floor.venue.messages.number)
        book = exchange.orderbooks[symbol]
        theirs = floor.venue.market.book()
        for side, name in ((1, "bids"), (-1, "asks")):
            best = theirs[theirs["side"] == side][:20]
            assert book[name][0][0] == float(instrument.px_from_ticks(int(best["px"][0])))
            assert [level[1] for level in book[name][:20]] == [
                float(instrument.qty_from_lots(int(qty))) for qty in best["qty"]
            ]
        assert trades[0]["price"] > 0
        await exchange.close()
        await session.close()

    body()
