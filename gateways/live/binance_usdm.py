"""Binance USD-M futures: which streams carry an instrument's market data, and what is asked by request.

Sources are the pages of the exchange's documentation, USDⓈ-M Futures, by title. Streams ("Important WebSocket Change
Notice"): ``/public`` for books and quotes, ``/market`` for the rest. ``@trade`` is on no page; it is among the recorded
streams, says more than ``@aggTrade``, and the sandbox's client ccxt takes it too.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateways.live.requests import Requests
from oms.instruments import Instrument

VENUE: Final = "binance_usdm"
REST: Final = "https://fapi.binance.com"
STREAMS: Final = "wss://fstream.binance.com"

BOOK_STREAMS: Final = ("depth@100ms", "trade", "bookTicker")
"""At ``/public``: when it is down, the book is stale."""

OTHER_STREAMS: Final = ("markPrice@1s",)
"""At ``/market``."""

SNAPSHOT_LEVELS: Final = 1000
"""The most that "Order Book" gives; weight 20 of the 2,400 that an address has in a minute."""

TRADING: Final = "TRADING"


def _address(entry: str, instrument: Instrument, names: tuple[str, ...]) -> str:
    symbol = instrument.symbol.lower()
    return f"{STREAMS}/{entry}/stream?streams=" + "/".join(f"{symbol}@{name}" for name in names)


def book_address(instrument: Instrument) -> str:
    """Where the instrument's book, trades and quotes come from."""
    return _address("public", instrument, BOOK_STREAMS)


def other_address(instrument: Instrument) -> str:
    """Where its mark price and funding come from."""
    return _address("market", instrument, OTHER_STREAMS)


async def snapshot(requests: Requests, instrument: Instrument) -> bytes:
    """ "Order Book", as the exchange sends it; raises ``RequestError``."""
    return await requests.get(f"{REST}/fapi/v1/depth", symbol=instrument.symbol, limit=str(SNAPSHOT_LEVELS))


class _Time(msgspec.Struct):
    server_ms: int = msgspec.field(name="serverTime")


class _Symbol(msgspec.Struct):
    symbol: str
    status: str = ""


class _Information(msgspec.Struct):
    symbols: list[_Symbol]


async def server_ms(requests: Requests) -> int:
    """ "Check Server Time", ms since the epoch; raises ``RequestError``."""
    return (await requests.get_as(f"{REST}/fapi/v1/time", _Time)).server_ms


async def statuses(requests: Requests) -> dict[str, str]:
    """ "Exchange Information": the status of each symbol, such as ``TRADING``; raises ``RequestError``."""
    found = await requests.get_as(f"{REST}/fapi/v1/exchangeInfo", _Information)
    return {each.symbol: each.status for each in found.symbols}
