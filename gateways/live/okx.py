"""OKX: which channels carry an instrument's market data, what is asked by request, and the checksum of its book.

Sources are the sections of the exchange's API guide, v5. The book comes whole on a subscription, and anew on another
one; its updates each name the one before.
"""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import Final
from zlib import crc32

import msgspec

from gateways.live.requests import RequestError, Requests
from gateways.live.venue import Checksums, Feed, Ticks
from oms.instruments import Instrument

REST: Final = "https://www.okx.com/api/v5"
STREAMS: Final = "wss://ws.okx.com/ws/v5/public"

BOOK: Final = "books"
CHANNELS: Final = (BOOK, "trades", "bbo-tbt")
OF_SWAPS: Final = ("mark-price", "funding-rate")
KINDS: Final = ("SPOT", "SWAP")
LIVE: Final = "live"
PING: Final = "ping"

CHECKED_LEVELS: Final = 25
"""Of each side, in a checksum."""


class _Time(msgspec.Struct):
    ts: str


class _Instrument(msgspec.Struct):
    symbol: str = msgspec.field(name="instId")
    state: str = ""


class _Times(msgspec.Struct):
    data: list[_Time]


class _Instruments(msgspec.Struct):
    data: list[_Instrument]


class _Stated(msgspec.Struct):
    checksum: int = 0


class _Argument(msgspec.Struct):
    channel: str = ""


class _Message(msgspec.Struct):
    arg: _Argument
    data: list[_Stated]


_message: Final = msgspec.json.Decoder(_Message)


class OkxChecksums:
    """CRC-32, as a signed number, of the best levels as ``bid:size:ask:size`` ("Checksum"); see ``Checksums``."""

    def stated(self, message: bytes) -> int | None:
        """Of a message of the book; 0, which the exchange sends where it computes none, is no checksum."""
        try:
            found = _message.decode(message)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return None
        return found.data[-1].checksum or None if found.arg.channel == BOOK and found.data else None

    def of(self, instrument: Instrument, book: Ticks) -> int:
        """Of a book; numbers are written without trailing zeros, as the exchange writes them."""
        sides = (book[book["side"] == side][:CHECKED_LEVELS] for side in (1, -1))
        bids, asks = (
            [
                (_trimmed(instrument.px_from_ticks(px)), _trimmed(instrument.qty_from_lots(qty)))
                for px, qty in levels[["px", "qty"]].tolist()
            ]
            for levels in sides
        )
        pairs = (level for pair in zip_longest(bids, asks) for level in pair if level is not None)
        value = crc32(":".join(chain.from_iterable(pairs)).encode())
        return value - 2**32 if value >= 2**31 else value


class OkxMarketData:
    """See ``gateways.live.venue.MarketDataVenue``."""

    checksums: Checksums | None = OkxChecksums()

    def feeds(self, instrument: Instrument) -> tuple[Feed, ...]:
        """One connection with all channels ("WebSocket / Subscribe")."""
        return (
            Feed(
                STREAMS,
                carries_book=True,
                greeting=(
                    _request("subscribe", instrument, CHANNELS + (() if instrument.kind == "spot" else OF_SWAPS)),
                ),
                ping=PING,
                renewal=tuple(_request(name, instrument, (BOOK,)) for name in ("unsubscribe", "subscribe")),
            ),
        )

    async def snapshot(self, requests: Requests, instrument: Instrument) -> bytes:
        """It comes on the stream."""
        raise RequestError(f"the book of {instrument.symbol} is not asked for by request")

    async def server_ms(self, requests: Requests) -> int:
        """ "Get system time"."""
        found = await requests.get_as(f"{REST}/public/time", _Times)
        return int(found.data[0].ts)

    async def traded(self, requests: Requests) -> frozenset[str]:
        """ "Get instruments"."""
        found = [await requests.get_as(f"{REST}/public/instruments", _Instruments, instType=kind) for kind in KINDS]
        return frozenset(each.symbol for answer in found for each in answer.data if each.state == LIVE)


MARKET_DATA: Final = OkxMarketData()


def _request(operation: str, instrument: Instrument, channels: tuple[str, ...]) -> str:
    arguments = [{"channel": channel, "instId": instrument.symbol} for channel in channels]
    return msgspec.json.encode({"op": operation, "args": arguments}).decode()


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
