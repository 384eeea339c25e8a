"""The checksums of recorded books, of each kind of instrument, are those of the books that the decoder leaves."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gateways.book import BookRebuild
from gateways.live.okx import OkxChecksums
from gateways.wire.decoder import wire_of
from gateways.wire.lines import Received, read_line
from gateways.wire.messages import WireError
from oms.instruments import Instrument
from oms.records import TickKind

RECORDED = Path(__file__).resolve().parents[2] / "data" / "wire" / "OKX.ws.1.0.gz"

INSTRUMENTS = (
    Instrument(
        id=1, symbol="BTC-USDT", venue="okx", kind="spot", tick="0.1", lot="0.00000001", base="BTC", quote="USDT"
    ),
    Instrument(
        id=2,
        symbol="UNI-USD-SWAP",
        venue="okx",
        kind="inverse_perpetual",
        tick="0.001",
        lot="1",
        multiplier="10",
        base="UNI",
        quote="USD",
    ),
    Instrument(
        id=3,
        symbol="BTC-USD-220527",
        venue="okx",
        kind="inverse_future",
        tick="0.1",
        lot="1",
        multiplier="100",
        base="BTC",
        quote="USD",
        expiry="2022-05-27T08:00:00Z",
    ),
)


def received() -> list[Received]:
    found = []
    for line in gzip.decompress(RECORDED.read_bytes()).splitlines():
        try:
            message = read_line(line)
        except WireError:
            continue
        found += [message] if message is not None else []
    return found


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.symbol)
def test_checksum_of_each_recorded_message_is_that_of_the_book(instrument: Instrument) -> None:
    wire = wire_of("okx")
    assert wire is not None
    decoder, book, checksums = wire.decoder(instrument), BookRebuild(), OkxChecksums()
    checked = number = 0
    for local_ts, message in received():
        text = message if isinstance(message, bytes) else message.encode()
        ticks = decoder.decode(text, local_ts).copy()
        if not len(ticks) or ticks["kind"][0] not in (TickKind.DEPTH, TickKind.SNAPSHOT):
            continue
        number += 1  # recorded messages of that year have no numbers
        ticks["update_id"], ticks["px_2"] = number, number - 1
        book.take(ticks)
        stated, left = checksums.stated(text), book.snapshot(0)
        assert stated is not None
        assert left is not None
        assert checksums.of(instrument, left) == stated
        checked += 1
    assert checked > 20


def test_message_without_a_checksum_states_none() -> None:
    stated = OkxChecksums().stated
    assert stated(b'{"arg":{"channel":"books","instId":"X"},"data":[{"asks":[],"bids":[],"checksum":0}]}') is None
    assert stated(b'{"arg":{"channel":"books","instId":"X"},"data":[{"asks":[],"bids":[]}]}') is None
    assert stated(b'{"arg":{"channel":"trades","instId":"X"},"data":[{"checksum":5}]}') is None
    assert stated(b'{"event":"subscribe"}') is None
    assert stated(b"pong") is None
