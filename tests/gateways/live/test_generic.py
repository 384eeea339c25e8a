"""Live market data through ccxt.pro, against the sandbox: the book is the exchange's, and stale where it is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import gateways
from gateways.book import BookRebuild
from gateways.live.generic import CrossedError, GenericMarketData, InstrumentStream
from gateways.live.market import Market
from gateways.live.market_data import LiveData
from gateways.live.requests import RequestError
from gateways.sandbox.server import Sandbox
from gateways.seldom_log import SeldomLog
from gateways.sidecar import open_recording
from gateways.venues import find_venue
from oms.records import TickKind
from tests.gateways.live.floor import DEADLINE_S, QUICK, Outlet, route_to
from tests.gateways.sandbox.desk import shipped_instrument

RECORDING = Path(gateways.__file__).parent / "recordings" / "spot_btcusdt_20240808_30s.gz"
VENUE = "ccxt_binance_spot"
INSTRUMENT = replace(shipped_instrument(RECORDING), venue=VENUE)


def stream_of(outlet: Outlet) -> tuple[InstrumentStream, Market]:
    """A stream that nothing is connected to, whose market has heard of it."""
    row = find_venue(VENUE)
    assert row is not None
    market = Market(INSTRUMENT, outlet.send)
    route: Any = None
    return InstrumentStream(GenericMarketData(row), market, route, QUICK, SeldomLog(print)), market


def book(*levels: tuple[float, float], ts: int | None = 1_723_075_200_000) -> dict[str, Any]:
    """A book of ccxt's: bids are below 60000."""
    bids = sorted((level for level in levels if level[0] < 60_000), reverse=True)
    asks = sorted(level for level in levels if level[0] >= 60_000)
    return {"bids": [list(each) for each in bids], "asks": [list(each) for each in asks], "timestamp": ts}


def rows(outlet: Outlet, *kinds: TickKind) -> list[tuple[int, int, int]]:
    return [tuple(each) for each in outlet.of(*kinds)[["side", "px", "qty"]].tolist()]


async def begun(outlet: Outlet) -> tuple[InstrumentStream, Market]:
    stream, market = stream_of(outlet)
    stream._take_book(book((59_999.99, 0.5), (59_999.5, 1.0), (60_000.01, 0.25)))
    market.take(stream.snapshot(), 1_723_075_200_001_000_000)
    market.flush()
    return stream, market


def test_book_is_told_whole_and_then_by_what_differs() -> None:
    async def body() -> None:
        outlet = Outlet()
        stream, market = await begun(outlet)
        assert market.is_in_step
        assert rows(outlet, TickKind.SNAPSHOT) == [
            (1, 5_999_999, 50_000),
            (1, 5_999_950, 100_000),
            (-1, 6_000_001, 25_000),
        ]
        stream._take_book(book((59_999.99, 0.75), (60_000.01, 0.25), (60_000.02, 0.1)))
        assert sorted(rows(outlet, TickKind.DEPTH)) == [
            (-1, 6_000_002, 10_000),
            (1, 5_999_950, 0),
            (1, 5_999_999, 75_000),
        ]
        heard = BookRebuild()
        heard.take(outlet.ticks)
        known = heard.snapshot(0)
        assert known is not None
        assert known[["px", "qty"]].tolist() == [(5_999_999, 75_000), (6_000_001, 25_000), (6_000_002, 10_000)]
        assert (outlet.of(TickKind.DEPTH)["exch_ts"] == 1_723_075_200_000_000_000).all()

    asyncio.run(body())


def test_book_that_is_crossed_is_not_believed() -> None:
    async def body() -> None:
        stream, _ = await begun(Outlet())
        with pytest.raises(CrossedError, match="crossed: 60001"):
            stream._take_book({"bids": [[60_001.0, 1.0]], "asks": [[60_000.5, 1.0]], "timestamp": None})

    asyncio.run(body())


def test_trades_from_before_the_connection_are_left_out_and_none_counts_twice() -> None:
    async def body() -> None:
        outlet = Outlet()
        stream, _ = await begun(outlet)
        first, second, third = (
            {"id": str(number), "timestamp": 1_723_075_200_000, "side": "buy", "price": 60_000.01, "amount": 0.002}
            for number in (1, 2, 3)
        )
        stream._take_trades([first, second])
        stream._take_trades([second, third])
        told = outlet.of(TickKind.TRADE)
        assert told[["update_id", "side", "px", "qty"]].tolist() == [(3, 1, 6_000_001, 200)]

    asyncio.run(body())


def test_quote_without_quantities_is_not_told() -> None:
    async def body() -> None:
        outlet = Outlet()
        stream, _ = await begun(outlet)
        ticker = {"bid": 59_999.99, "bidVolume": None, "ask": 60_000.01, "askVolume": 0.25, "timestamp": None}
        stream._take_quote(ticker)
        assert not len(outlet.of(TickKind.QUOTE))
        stream._take_quote(ticker | {"bidVolume": 0.5})
        (told,) = outlet.of(TickKind.QUOTE)
        assert (told["px"], told["qty"], told["px_2"], told["qty_2"]) == (5_999_999, 50_000, 6_000_001, 25_000)
        assert told["exch_ts"] == told["local_ts"]

    asyncio.run(body())


def test_there_is_no_snapshot_while_the_book_does_not_come() -> None:
    async def body() -> None:
        stream, _ = stream_of(Outlet())
        with pytest.raises(RequestError, match="the book of BTCUSDT does not come"):
            stream.snapshot()

    asyncio.run(body())


def test_book_by_ccxt_is_the_exchanges_also_after_its_connection_broke() -> None:
    async def body() -> None:
        async with Sandbox(open_recording(RECORDING), shipped_instrument(RECORDING)) as sandbox:
            outlet = Outlet()
            lines: list[str] = []
            live = LiveData([INSTRUMENT], route_to(sandbox), outlet, QUICK, log=lines.append)
            running = asyncio.ensure_future(live.run())
            (market,) = live.markets

            async def until(reached: Any) -> None:
                while not reached():
                    assert not running.done(), running.result()
                    sandbox.step(1)
                    await sandbox.venue.flush()
                    await asyncio.sleep(0)

            def is_right() -> bool:
                own = market.book()
                theirs = sandbox.venue.market.book()
                return own is not None and all(
                    own[own["side"] == side][:20][["px", "qty"]].tolist()
                    == theirs[theirs["side"] == side][:20][["px", "qty"]].tolist()
                    for side in (1, -1)
                )

            try:
                async with asyncio.timeout(DEADLINE_S):
                    await until(lambda: market.is_in_step)
                    begun_with = market.ticks
                    await until(lambda: market.ticks > begun_with + 50 and is_right())
                    sandbox.venue.end_streams()
                    await until(lambda: not market.is_in_step)
                    await until(lambda: market.is_in_step and is_right())
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            assert live.counters()["opened"] == 2
            lost, there_again = lines
            assert lost.startswith("ccxt_binance_spot BTCUSDT: lost: ")
            assert there_again.startswith("ccxt_binance_spot BTCUSDT: connected again after ")
            assert market.counters.refused.total() == market.sequencer.gaps == 0
            assert len(outlet.of(TickKind.STALE)) == 1
            assert {TickKind.TRADE, TickKind.QUOTE} <= {TickKind(int(kind)) for kind in outlet.ticks["kind"]}

    asyncio.run(body())
