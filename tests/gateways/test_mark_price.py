"""Mark prices and funding of Binance: records of a message that comes once a second."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateways.binance import MessageDecoder
from gateways.decoder import Ticks
from oms.compiled import compile_entries
from oms.records import Reason, TickFlag, TickKind
from tests.gateways.reference import COINM, USDM

compile_entries()
pytestmark = pytest.mark.pure

DUE_MS = 1_723_161_600_000
LOCAL_TS = 10**18
WHOLE = TickFlag.FIRST | TickFlag.LAST


def message(event_ms: int, funding_ms: int = DUE_MS, **fields: Any) -> bytes:
    """As the exchange's page "Mark Price Stream" shows it."""
    event = {
        "e": "markPriceUpdate",
        "E": event_ms,
        "s": "BTCUSDT",
        "p": "61800.04999999",
        "i": "61790.15000000",
        "P": "61800.00000000",
        "r": "0.00038167",
        "T": funding_ms,
    }
    return json.dumps({"stream": "btcusdt@markPrice@1s", "data": {**event, **fields}}).encode()


def decoded(*messages: bytes) -> list[Ticks]:
    decoder = MessageDecoder("binance_usdm", USDM)
    found = [decoder.decode(each, LOCAL_TS).copy() for each in messages]
    assert decoder.refused.total() == 0
    return found


def test_mark_and_index_price_are_the_nearest_ticks_at_the_events_time() -> None:
    (ticks,) = decoded(message(DUE_MS - 5_000))
    assert ticks[["kind", "px", "px_2", "exch_ts", "local_ts", "instrument", "flags"]].tolist() == [
        (TickKind.MARK, 618_000, 617_902, (DUE_MS - 5_000) * 10**6, LOCAL_TS, USDM.id, WHOLE)
    ]


def test_first_message_behind_the_time_of_funding_gives_it_at_the_rate_stated_last() -> None:
    next_ms = DUE_MS + 8 * 3_600_000
    first, last, paid, after = decoded(
        message(DUE_MS - 2_000, r="0.00010000"),
        message(DUE_MS - 1_000, r="-0.00020000"),
        message(DUE_MS, next_ms, r="0.00030000"),
        message(DUE_MS + 1_000, next_ms, r="0.00030000"),
    )
    assert [len(each) for each in (first, last, after)] == [1, 1, 1]
    assert paid[["kind", "qty", "exch_ts", "flags"]].tolist() == [
        (TickKind.FUNDING, -20_000, DUE_MS * 10**6, TickFlag.FIRST),
        (TickKind.MARK, 0, DUE_MS * 10**6, TickFlag.LAST),
    ]


def test_message_that_another_connection_brings_late_does_not_fund_again() -> None:
    next_ms = DUE_MS + 8 * 3_600_000
    found = decoded(
        message(DUE_MS - 1_000), message(DUE_MS, next_ms), message(DUE_MS - 1_000), message(DUE_MS, next_ms)
    )
    assert [len(each) for each in found] == [1, 2, 1, 1]


def test_funding_that_is_put_off_is_not_paid() -> None:
    found = decoded(message(DUE_MS - 2_000), message(DUE_MS - 1_000, DUE_MS + 3_600_000))
    assert [len(each) for each in found] == [1, 1]


def test_delivery_contract_has_no_funding() -> None:
    decoder = MessageDecoder("binance_coinm", COINM)
    for event_ms in (1_000, 2_000):
        text = message(event_ms, 0, r="", s="BTCUSD_PERP").replace(b"btcusdt", b"btcusd_perp")
        assert decoder.decode(text, LOCAL_TS)["kind"].tolist() == [TickKind.MARK]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"p": "-1"}, Reason.MALFORMED),
        ({"r": "0.000000001"}, Reason.MALFORMED),
        ({"s": "ETHUSDT"}, Reason.UNKNOWN_INSTRUMENT),
        ({"e": "trade"}, Reason.MALFORMED),
        ({"T": -1}, Reason.MALFORMED),
        ({"T": 10**16}, Reason.OVERFLOW),
        ({"E": 10**16}, Reason.OVERFLOW),
        ({"r": "-" + "9" * 20}, Reason.OVERFLOW),
        ({"p": "9" * 30}, Reason.OVERFLOW),
    ],
)
def test_message_that_cannot_be_is_refused(fields: dict[str, Any], reason: Reason) -> None:
    decoder = MessageDecoder("binance_usdm", USDM)
    text = message(fields.get("E", DUE_MS), fields.get("T", DUE_MS), **fields)
    assert len(decoder.decode(text, LOCAL_TS)) == 0
    assert decoder.refused == {reason: 1}
