"""Trades and quotes of each venue, one message a call, beside ccxt.pro's handlers on the same messages.

The messages are recorded ones of one instrument, again and again until there are ``MESSAGES``; what a recording has
none of stands there as the exchange documents it. A BitMEX message holds many rows: the records a second are a detail,
and so are updates of the book. BitMEX has left ccxt: its reference is this project's own decoding by field name.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateways.binance import MessageDecoder
from gateways.decoder import Decoder
from gateways.wire.decoder import WIRES
from gateways.wire.lines import read_line
from gateways.wire.messages import WireError
from oms.instruments import Instrument
from oms.records import TickKind

DATA: Final = Path(__file__).resolve().parent.parent / "tests" / "data"
MESSAGES: Final = 5_000
"""A run: so short that some of them are not interrupted on a machine that does something else too."""
REPEATS: Final = 40
REFERENCE_MESSAGES: Final = 500
REFERENCE_REPEATS: Final = 20
LOCAL_TS: Final = 1_723_161_256_302_717_135

_FAST_KINDS: Final = {TickKind.TRADE: "trades", TickKind.QUOTE: "quotes", TickKind.DEPTH: "book_updates"}


class Case(NamedTuple):
    """One venue's recorded messages, and how ccxt.pro takes them; no ``exchange``: it does not."""

    name: str
    file: str
    instrument: Instrument
    exchange: str = ""
    url: str = ""
    market: tuple[str, str] = ("", "")
    """ccxt's symbol and the type of the market."""
    documented: tuple[str, ...] = ()


def _instrument(symbol: str, venue: str, kind: str, tick: str, lot: str) -> Instrument:
    is_inverse = kind.startswith("inverse")
    return Instrument(
        id=1,
        symbol=symbol,
        venue=venue,
        kind=kind,
        tick=tick,
        lot=lot,
        base="BTC",
        quote="USD" if is_inverse else "USDT",
        multiplier="100" if is_inverse else "1",
    )


CASES: Final = (
    Case(
        "binance_usdm",
        "usdm_btcusdt_20240808.gz",
        _instrument("BTCUSDT", "binance_usdm", "linear_perpetual", "0.1", "0.001"),
        "binanceusdm",
        "wss://fstream.binance.com/public/ws/0",
        ("BTC/USDT:USDT", "swap"),
    ),
    Case(
        "binance_spot",
        "spot_btcusdt_20240808.gz",
        _instrument("BTCUSDT", "binance_spot", "spot", "0.01", "0.00001"),
        "binance",
        "wss://stream.binance.com:9443/ws/0",
        ("BTC/USDT", "spot"),
    ),
    Case(
        "binance_coinm",
        "coinm_btcusd_perp_20240808.gz",
        _instrument("BTCUSD_PERP", "binance_coinm", "inverse_perpetual", "0.1", "1"),
        "binancecoinm",
        "wss://dstream.binance.com/ws/0",
        ("BTC/USD:BTC", "swap"),
    ),
    Case(
        "okx",
        "wire/OKX.ws.1.0.gz",
        _instrument("BTC-USDT", "okx", "spot", "0.1", "0.00000001"),
        "okx",
        "wss://ws.okx.com:8443/ws/v5/public",
        ("BTC/USDT", "spot"),
    ),
    Case(
        "htx",
        "wire/HUOBI.ws.44.0.head.gz",
        _instrument("fil3susdt", "htx", "spot", "0.00000001", "0.0000000001"),
        "htx",
        "wss://api.huobi.pro/ws",
        ("FIL3S/USDT", "spot"),
        (
            '{"ch":"market.fil3susdt.bbo","ts":1630994555540,"tick":{"seqId":137005210233,"ask":0.00013303,"askSize":1.502181,'
            '"bid":1.3302E-4,"bidSize":0.178567,"quoteTime":1630994555539,"symbol":"fil3susdt"}}',
            '{"ch":"market.fil3susdt.mbp.150","ts":1573199608679,"tick":{"seqNum":100020146795,"prevSeqNum":100020146794,'
            '"bids":[[0.00013302,0.0],[0.00013301,25.5]],"asks":[[0.00013303,26.755973]]}}',
        ),
    ),
    Case(
        "bitmex",
        "wire/BITMEX.ws.1.0.gz",
        _instrument("XBTUSD", "bitmex", "inverse_perpetual", "0.5", "1"),
    ),
)


def measure() -> Iterator[dict[str, Any]]:
    """Each venue's trades and quotes."""
    for case in CASES:
        yield _measured(case)


def new_decoder(instrument: Instrument) -> Decoder:
    """The decoder of the instrument's venue."""
    wire = WIRES.get(instrument.venue)
    return MessageDecoder(instrument.venue, instrument) if wire is None else wire.decoder(instrument)


def _measured(case: Case) -> dict[str, Any]:
    by_kind = _messages_by_kind(case)
    fast = by_kind[TickKind.TRADE] + by_kind[TickKind.QUOTE]
    messages = _repeated(fast)
    decoder = new_decoder(case.instrument)
    rate = _rate(decoder, messages)
    rates = {_FAST_KINDS[kind]: round(_rate(decoder, _repeated(each))) for kind, each in by_kind.items() if each}
    if decoder.slow:
        raise RuntimeError(f"{case.name}: {decoder.slow} messages took the slow path")
    one_row = [message for message in fast if len(decoder.decode(message, LOCAL_TS)) == 1]
    if len(one_row) < len(fast):
        rates["of_one_row"] = round(_rate(decoder, _repeated(one_row)))
    records = sum(len(decoder.decode(message, LOCAL_TS)) for message in messages)
    if case.exchange:
        reference, reference_name = (
            _ccxt_rate(case, messages),
            f"ccxt.pro {case.exchange}: client parse + handle_message",
        )
    else:
        reference, reference_name = _by_name_rate(case, messages), "json and Decimal, by field name"
    return {
        "name": f"decode_{case.name}",
        "unit": "messages/s",
        "ours": round(rate),
        "reference": round(reference),
        "reference_name": reference_name,
        "ratio": round(rate / reference, 2),
        "details": {
            "different": len(fast),
            "records_s": round(rate * records / len(messages)),
            "messages_s": rates,
        },
    }


def _repeated(messages: list[bytes]) -> list[bytes]:
    return list(islice(cycle(messages), MESSAGES))


def _messages_by_kind(case: Case) -> dict[TickKind, list[bytes]]:
    """Messages of the instrument that the compiled scanner takes, by what they give."""
    decoder = new_decoder(case.instrument)
    found: dict[TickKind, list[bytes]] = {kind: [] for kind in _FAST_KINDS}
    recorded = (line for line in gzip.decompress((DATA / case.file).read_bytes()).splitlines())
    for message in chain(filter(None, map(_message, recorded)), (text.encode() for text in case.documented)):
        ticks = decoder.scan(message, LOCAL_TS)
        kind = None if ticks is None else TickKind(int(ticks["kind"][0]))
        if kind in found:
            found[kind].append(message)
    return found


def _message(line: bytes) -> bytes | None:
    with suppress(WireError):
        received = read_line(line)
        return None if received is None else received.message
    return None


def _rate(decoder: Decoder, messages: list[bytes]) -> float:
    """Messages a second, the best of the runs: what else the machine does only ever adds to them."""
    return _best(lambda: _decode(decoder, messages), len(messages), REPEATS)


def _best(work: Callable[[], object], count: int, repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return count / min(seconds)


def _decode(decoder: Decoder, messages: list[bytes]) -> None:
    decode = decoder.decode
    for message in messages:
        decode(message, LOCAL_TS)


def _by_name_rate(case: Case, messages: list[bytes]) -> float:
    decoder = new_decoder(case.instrument)
    few = messages[:REFERENCE_MESSAGES]

    def decode() -> None:
        for message in few:
            decoder.decode_slowly(message, LOCAL_TS)

    return _best(decode, len(few), REFERENCE_REPEATS)


def _ccxt_rate(case: Case, messages: list[bytes]) -> float:
    import ccxt.pro

    texts = [message.decode() for message in messages[:REFERENCE_MESSAGES]]
    symbol, kind = case.market

    async def run() -> float:
        exchange = getattr(ccxt.pro, case.exchange)()
        base, _, rest = symbol.partition("/")
        quote, _, settle = rest.partition(":")
        exchange.set_markets(
            [
                exchange.safe_market_structure(
                    {
                        "id": case.instrument.symbol,
                        "symbol": symbol,
                        "base": base,
                        "quote": quote,
                        "settle": settle or None,
                        "type": kind,
                        "spot": kind == "spot",
                        "swap": kind == "swap",
                        "contract": kind == "swap",
                        "linear": settle == quote if settle else None,
                        "inverse": settle != quote if settle else None,
                        "contractSize": 1.0 if kind == "swap" else None,
                    }
                )
            ]
        )
        client = exchange.client(case.url)

        def handle() -> None:
            for text in texts:
                client.handle_text_or_binary_message(text)

        rate = _best(handle, len(texts), REFERENCE_REPEATS)
        if len(exchange.trades.get(symbol, ())) == 0:
            raise RuntimeError(f"{case.exchange} has taken no trade: its rate would mean nothing")
        await exchange.close()
        return rate

    return asyncio.run(run())
