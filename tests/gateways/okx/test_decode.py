"""Mark prices and funding of OKX, by field name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateways.wire.decoder import wire_of
from oms.records import TickKind
from tests.gateways.okx.booth import SWAP

HOUR_MS = 3_600_000
DUE_MS = 1_723_161_600_000


def message(channel: str, **row: Any) -> bytes:
    argument = {"channel": channel, "instId": SWAP.symbol}
    return json.dumps({"arg": argument, "data": [{"instId": SWAP.symbol, "instType": "SWAP", **row}]}).encode()


def rate(due_ms: int, text: str, ts_ms: int) -> bytes:
    return message("funding-rate", fundingRate=text, fundingTime=str(due_ms), ts=str(ts_ms))


def decoded(*messages: bytes) -> list[tuple[Any, ...]]:
    wire = wire_of("okx")
    assert wire is not None
    decoder = wire.decoder(SWAP)
    found = []
    for each in messages:
        found += decoder.decode(each, 5)[["kind", "px", "px_2", "qty", "exch_ts"]].tolist()
    return found


@pytest.mark.parametrize(("text", "ticks"), [("61800.1", 618_001), ("61800.14", 618_001), ("61800.15", 618_002)])
def test_mark_price_is_the_nearest_tick(text: str, ticks: int) -> None:
    assert decoded(message("mark-price", markPx=text, ts="1700000000123")) == [
        (TickKind.MARK, ticks, 0, 0, 1_700_000_000_123_000_000)
    ]


def test_mark_price_of_nothing_is_refused() -> None:
    assert decoded(message("mark-price", markPx="0", ts="1700000000123")) == []


def test_funding_is_told_when_the_exchange_goes_on_to_the_next() -> None:
    told = decoded(
        rate(DUE_MS, "0.0001", DUE_MS - HOUR_MS),
        rate(DUE_MS, "0.0001875391284828", DUE_MS - 1),
        rate(DUE_MS + 8 * HOUR_MS, "-0.0002", DUE_MS + 5_000),
        rate(DUE_MS + 8 * HOUR_MS, "-0.0003", DUE_MS + 60_000),
    )
    assert told == [(TickKind.FUNDING, 0, 0, 18_754, DUE_MS * 1_000_000)]


def test_time_of_funding_that_is_only_put_off_is_none() -> None:
    put_off = rate(DUE_MS + HOUR_MS, "0.0001", DUE_MS - HOUR_MS)
    assert decoded(rate(DUE_MS, "0.0001", DUE_MS - 2 * HOUR_MS), put_off) == []
