"""HTX: which channels carry an instrument's market data, and what is asked by request; a row for each of its markets.

Sources are the exchange's documentation of spot and of USDT-margined contracts, by title. All frames are compressed.
Spot has its book at an entry of its own ("Market By Price (incremental update)"): updates that each name the one
before, and the book that they change as the answer to a request. A contract's book comes whole on a subscription
("Subscribe Incremental Market Depth Data"), and then in updates that count up by one, on each connection by itself.
"""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

import msgspec

from gateways.live.requests import RequestError, Requests
from gateways.live.venue import Feed
from gateways.wire.lines import inflated
from oms.instruments import Instrument

SPOT_HOST: Final = "api.huobi.pro"
CONTRACT_HOST: Final = "api.hbdm.com"
SPOT_BOOK: Final = "mbp.150"
"""``/feed``, "Market By Price (incremental update)": 150 levels, every 100 ms, of all symbols."""
CONTRACT_BOOK: Final = "depth.size_150.high_freq"
"""``/linear-swap-ws``, "[General] Subscribe Incremental Market Depth Data": 20 or 150 levels, every 30 ms."""
OTHERS: Final = ("trade.detail", "bbo")
"""Spot's ``/ws``, "Trade Detail" and "Best Bid/Offer"; of contracts "[General] Subscribe Trade Detail Data" and
"[General] Subscribe market BBO data push"."""
MARK: Final = "mark_price.1min"
"""``/ws_index``, "[General] Subscribe Kline Data of Mark Price"."""
INCREMENTAL: Final = {"data_type": "incremental"}

ONLINE: Final = "online"
LISTED: Final = 1
_PING: Final = b'{"ping":'


class _Ping(msgspec.Struct):
    ping: int


class _SpotTime(msgspec.Struct):
    ms: int = msgspec.field(name="data")


class _ContractTime(msgspec.Struct):
    ms: int = msgspec.field(name="ts")


class _Symbol(msgspec.Struct):
    symbol: str
    state: str = ""


class _Symbols(msgspec.Struct):
    data: list[_Symbol]


class _Contract(msgspec.Struct):
    code: str = msgspec.field(name="contract_code")
    status: int = msgspec.field(default=0, name="contract_status")


class _Contracts(msgspec.Struct):
    data: list[_Contract]


def unpacked(frame: bytes) -> bytes:
    """The message in a frame; a frame that is none as it is, for the decoder to refuse."""
    try:
        return inflated(frame)
    except (ValueError, zlib.error):
        return frame


def pong(message: bytes) -> str:
    """What the exchange wants to hear of a message; empty: nothing ("Heartbeat and Connection")."""
    if not message.startswith(_PING):
        return ""
    try:
        return f'{{"pong":{msgspec.json.decode(message, type=_Ping).ping}}}'
    except (msgspec.DecodeError, msgspec.ValidationError):
        return ""


def _asked(instrument: Instrument, verb: str, channels: tuple[str, ...], **more: str) -> tuple[str, ...]:
    topics = [f"market.{instrument.symbol}.{channel}" for channel in channels]
    return tuple(msgspec.json.encode({verb: topic, "id": topic, **more}).decode() for topic in topics)


class HtxSpot(NamedTuple):
    """See ``gateways.live.venue.MarketDataVenue``; symbols are the exchange's, such as ``btcusdt``."""

    checksums: None = None

    def feeds(self, instrument: Instrument) -> tuple[Feed, ...]:
        """The book's entry, and that of everything else."""
        changes, book = (_asked(instrument, verb, (SPOT_BOOK,)) for verb in ("sub", "req"))
        return (
            Feed(f"wss://{SPOT_HOST}/feed", True, (*changes, *book), renewal=book, unpack=unpacked, pong=pong),
            Feed(f"wss://{SPOT_HOST}/ws", False, _asked(instrument, "sub", OTHERS), unpack=unpacked, pong=pong),
        )

    async def snapshot(self, requests: Requests, instrument: Instrument) -> bytes:
        """It comes on the stream."""
        raise RequestError(f"the book of {instrument.symbol} is not asked for by request")

    async def server_ms(self, requests: Requests) -> int:
        """ "Get Current Timestamp"."""
        return (await requests.get_as(f"https://{SPOT_HOST}/v1/common/timestamp", _SpotTime)).ms

    async def traded(self, requests: Requests) -> frozenset[str]:
        """ "Get all Supported Trading Symbol"."""
        found = await requests.get_as(f"https://{SPOT_HOST}/v1/common/symbols", _Symbols)
        return frozenset(each.symbol for each in found.data if each.state == ONLINE)


class HtxLinear(NamedTuple):
    """See ``gateways.live.venue.MarketDataVenue``; symbols are contract codes, such as ``BTC-USDT``."""

    checksums: None = None

    def feeds(self, instrument: Instrument) -> tuple[Feed, ...]:
        """All channels on one connection, but the mark price at its own entry."""
        book, no_book = (_asked(instrument, verb, (CONTRACT_BOOK,), **INCREMENTAL) for verb in ("sub", "unsub"))
        greeting = (*book, *_asked(instrument, "sub", OTHERS))
        marks = _asked(instrument, "sub", (MARK,))
        url = f"wss://{CONTRACT_HOST}"
        return (
            Feed(
                f"{url}/linear-swap-ws",
                True,
                greeting,
                renewal=(*no_book, *book),
                unpack=unpacked,
                pong=pong,
                is_alone=True,
            ),
            Feed(f"{url}/ws_index", False, marks, unpack=unpacked, pong=pong),
        )

    async def snapshot(self, requests: Requests, instrument: Instrument) -> bytes:
        """It comes on the stream."""
        raise RequestError(f"the book of {instrument.symbol} is not asked for by request")

    async def server_ms(self, requests: Requests) -> int:
        """ "Get current system timestamp"."""
        return (await requests.get_as(f"https://{CONTRACT_HOST}/api/v1/timestamp", _ContractTime)).ms

    async def traded(self, requests: Requests) -> frozenset[str]:
        """ "Query Contract Info"."""
        url = f"https://{CONTRACT_HOST}/linear-swap-api/v1/swap_contract_info"
        found = await requests.get_as(url, _Contracts)
        return frozenset(each.code for each in found.data if each.status == LISTED)


SPOT: Final = HtxSpot()
LINEAR: Final = HtxLinear()
