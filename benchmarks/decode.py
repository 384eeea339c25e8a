"""Recorded messages into exact-integer TICK records, on one core: Binance USD-M whole, of each venue trades and quotes.

The reference is ccxt.pro's own WebSocket client and Binance handlers on the same messages in the same run: its JSON
parser (orjson where installed), ``handle_message``, and an order book that follows from the recorded snapshot on. It
keeps floats in dictionaries. Parsing alone into typed msgspec structs is printed as a detail: it gives strings.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from benchmarks import _decode_venues
from benchmarks._market import INSTRUMENT, RECORDING, market_maker_settings
from gateways.binance import MessageDecoder
from gateways.layouts import Stop
from gateways.recording import read_ticks
from gateways.scanner import scan_lines
from gateways.sidecar import open_recording
from oms.compiled import compile_entries

REPEATS: Final = 7
REFERENCE_REPEATS: Final = 3
REFERENCE_NAME: Final = "ccxt.pro binanceusdm: client parse + handle_message"
STREAM_URL: Final = "wss://fstream.binance.com/public/ws/0"
SYMBOL: Final = "BTC/USDT:USDT"


def measure() -> Iterator[dict[str, Any]]:
    """Decode one message a call and in batches; then each venue."""
    compile_entries()
    yield from _whole_recording()
    yield from _decode_venues.measure()


def _whole_recording() -> Iterator[dict[str, Any]]:
    text = gzip.decompress(RECORDING.read_bytes())
    lines = [(int(line[:19]), line[20:]) for line in text.splitlines()]
    instrument = market_maker_settings("").instrument(INSTRUMENT)
    recording = open_recording(RECORDING)
    decoder = MessageDecoder(recording.venue, instrument)
    reference, reference_details = _reference_rate([message for _, message in lines])
    single_records, single_s = _timed(lambda: _decode_singly(decoder, lines))
    batched_records, batched_s = _timed(lambda: _decode_batched(decoder, text))
    file_records, file_s = _timed(lambda: len(read_ticks(recording, instrument)[0]))
    parsed, parse_s = _timed(lambda: _parse_only([message for _, message in lines]))
    if decoder.slow or single_records != batched_records:
        raise RuntimeError(
            f"{decoder.slow} messages took the slow path, {single_records} and {batched_records} records"
        )
    shared = {"messages": len(lines), "records": single_records, **reference_details}
    for name, seconds, details in (
        ("decode_single", single_s, {"msgspec_parse_only_messages_s": round(parsed / parse_s)}),
        (
            "decode_batched",
            batched_s,
            {
                "records_s": round(batched_records / batched_s),
                "from_gzip_file_messages_s": round(len(lines) / file_s),
                "from_gzip_file_records": file_records,
            },
        ),
    ):
        yield {
            "name": name,
            "unit": "messages/s",
            "ours": round(len(lines) / seconds),
            "reference": round(reference),
            "reference_name": REFERENCE_NAME,
            "ratio": round(len(lines) / seconds / reference, 2),
            "details": {**shared, **details},
        }


def _timed(work: Callable[[], int]) -> tuple[int, float]:
    """What ``work`` counted, and the least of its seconds: what else the machine does only ever adds to them."""
    count = work()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return count, min(seconds)


def _decode_singly(decoder: MessageDecoder, lines: list[tuple[int, bytes]]) -> int:
    decode = decoder.decode
    records = 0
    for local_ts, message in lines:
        records += len(decode(message, local_ts))
    return records


def _decode_batched(decoder: MessageDecoder, text: bytes) -> int:
    state = decoder.scanner
    state["position"] = state["last_ts"] = 0
    records = 0
    while True:
        records += scan_lines(text, state)
        if state["stop"][0] != Stop.FULL:
            return records


class _Event(msgspec.Struct, tag_field="e"):
    pass


class _Trade(_Event, tag="trade"):
    T: int
    t: int
    p: str
    q: str
    m: bool


class _BookTicker(_Event, tag="bookTicker"):
    T: int
    u: int
    b: str
    B: str
    a: str
    A: str


class _Depth(_Event, tag="depthUpdate"):
    T: int
    U: int
    u: int
    pu: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class _Message(msgspec.Struct):
    data: _Trade | _BookTicker | _Depth | None = None


def _parse_only(messages: list[bytes]) -> int:
    decode = msgspec.json.Decoder(_Message).decode
    for message in messages:
        decode(message)
    return len(messages)


def _reference_rate(messages: list[bytes]) -> tuple[float, dict[str, Any]]:
    """Messages a second of ccxt.pro's own path, the best of its runs too, and its version."""
    import ccxt.pro

    class Recorded(ccxt.pro.binanceusdm):  # type: ignore[misc]
        """Takes its order book snapshot from the recording instead of asking for it."""

        snapshot: Any = None

        async def fetch_rest_order_book_safe(self, symbol: str, *_: Any) -> Any:
            return {**self.parse_order_book(self.snapshot, symbol), "nonce": self.snapshot["lastUpdateId"]}

    async def run() -> float:
        exchange = Recorded()
        exchange.set_markets([_market(exchange)])
        client = exchange.client(STREAM_URL)
        exchange.orderbooks[SYMBOL] = exchange.order_book({}, 1000)
        texts = [message.decode() for message in messages]
        start = time.perf_counter()
        for text in texts:
            if text.startswith('{"lastUpdateId"'):
                exchange.snapshot = msgspec.json.decode(text)
                await exchange.fetch_order_book_snapshot(client, None, {"symbol": SYMBOL, "type": "linear"})
            else:
                client.handle_text_or_binary_message(text)
        elapsed_s = time.perf_counter() - start
        last_id = max(msgspec.json.decode(text)["data"]["u"] for text in texts[-2000:] if "@depth" in text)
        if exchange.orderbooks[SYMBOL]["nonce"] != last_id:
            raise RuntimeError("the reference's order book fell out of step: its rate would mean nothing")
        await exchange.close()
        return len(texts) / elapsed_s

    return max(asyncio.run(run()) for _ in range(REFERENCE_REPEATS)), {"ccxt": ccxt.__version__}


def _market(exchange: Any) -> Any:
    return exchange.safe_market_structure(
        {
            "id": "BTCUSDT",
            "symbol": SYMBOL,
            "base": "BTC",
            "quote": "USDT",
            "settle": "USDT",
            "type": "swap",
            "swap": True,
            "contract": True,
            "linear": True,
            "inverse": False,
            "contractSize": 1.0,
        }
    )
