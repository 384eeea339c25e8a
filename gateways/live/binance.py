"""Binance: which streams carry an instrument's market data, what is asked by request; a row for each of its markets.

Sources are the pages of the exchange's documentation, by title. USD-M ("Important WebSocket Change Notice") has
``/public`` for books and quotes, ``/market`` for the rest. ``@trade`` is on no page there; it is among the recorded
streams, says more than ``@aggTrade``, and the sandbox's client ccxt takes it too. COIN-M ("Connect") has all at one
entry.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from gateways.live.requests import Requests
from gateways.live.venue import Feed
from oms.instruments import Instrument

SNAPSHOT_LEVELS: Final = 1000
"""The most that USD-M's "Order Book" gives."""

TRADING: Final = "TRADING"
BOOK: Final = ("depth@100ms", "trade", "bookTicker")
"""Streams of the book: when they are down, it is stale."""


class Entry(NamedTuple):
    """One entry to streams, and what is taken from it."""

    url: str
    names: tuple[str, ...]
    carries_book: bool = True


class _Time(msgspec.Struct):
    server_ms: int = msgspec.field(name="serverTime")


class _Symbol(msgspec.Struct):
    symbol: str
    status: str = ""
    contract_status: str = msgspec.field(default="", name="contractStatus")
    """COIN-M's name of it."""


class _Information(msgspec.Struct):
    symbols: list[_Symbol]


class BinanceMarketData(NamedTuple):
    """One of its markets; see ``gateways.live.venue.MarketDataVenue``.

    Attributes
    ----------
    rest : str
        Where requests go, version included.
    entries : tuple of Entry
    """

    rest: str
    entries: tuple[Entry, ...]

    def feeds(self, instrument: Instrument) -> tuple[Feed, ...]:
        """A combined stream of each entry."""
        symbol = instrument.symbol.lower()
        return tuple(
            Feed(
                f"{entry.url}/stream?streams=" + "/".join(f"{symbol}@{name}" for name in entry.names),
                entry.carries_book,
            )
            for entry in self.entries
        )

    async def snapshot(self, requests: Requests, instrument: Instrument) -> bytes:
        """ "Order Book", as the exchange sends it."""
        return await requests.get(f"{self.rest}/depth", symbol=instrument.symbol, limit=str(SNAPSHOT_LEVELS))

    async def server_ms(self, requests: Requests) -> int:
        """ "Check Server Time"."""
        return (await requests.get_as(f"{self.rest}/time", _Time)).server_ms

    async def traded(self, requests: Requests) -> frozenset[str]:
        """ "Exchange Information"."""
        found = await requests.get_as(f"{self.rest}/exchangeInfo", _Information)
        return frozenset(each.symbol for each in found.symbols if TRADING in (each.status, each.contract_status))

    @property
    def checksums(self) -> None:
        """No message states one."""


USDM: Final = BinanceMarketData(
    "https://fapi.binance.com/fapi/v1",
    (
        Entry("wss://fstream.binance.com/public", BOOK),
        Entry("wss://fstream.binance.com/market", ("markPrice@1s",), carries_book=False),
    ),
)
COINM: Final = BinanceMarketData(
    "https://dapi.binance.com/dapi/v1", (Entry("wss://dstream.binance.com", (*BOOK, "markPrice@1s")),)
)
SPOT: Final = BinanceMarketData("https://api.binance.com/api/v3", (Entry("wss://stream.binance.com:9443", BOOK),))
