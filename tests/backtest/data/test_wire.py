"""Recorded streams of OKX, HTX and BitMEX: real frames, lost messages, garbage."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from backtest.data.check import check
from backtest.data.clocks import DataError
from backtest.data.opening import open_source
from backtest.data.wire import WireSource
from gateways.book import BookRebuild
from gateways.wire.lines import read_line
from gateways.wire.messages import WireError
from oms.instruments import Instrument
from oms.records import Reason, TickFlag, TickKind
from tests.backtest.data.support import all_ticks, check_cuts, joined
from tests.backtest.venue import settings_of

WIRE = Path(__file__).resolve().parents[2] / "data/wire"
OKX = WIRE / "OKX.ws.1.0.gz"
HTX = WIRE / "HUOBI.ws.44.0.head.gz"
BITMEX = WIRE / "BITMEX.ws.1.0.gz"


def traded(symbol: str, venue: str, tick: str, lot: str) -> Instrument:
    return Instrument(id=0, symbol=symbol, venue=venue, kind="linear_perpetual", quote="USDT", tick=tick, lot=lot)


BITCOIN = traded("BTC-USDT", "okx", "0.1", "0.00000001")
OMG = traded("OMGBTC", "htx", "0.0000000001", "0.000000000001")
COARSE = traded("OMGBTC", "htx", "0.1", "0.001")
ZEN = traded("ZENETH", "htx", "0.000000000001", "0.00000001")
INVERSE = Instrument(
    id=0, symbol="XBTUSD", venue="bitmex", kind="inverse_perpetual", base="XBT", quote="USD", tick="0.5", lot="1"
)


def messages(path: Path) -> Iterator[tuple[int, Any]]:
    """Received messages of a file with their times of receipt, each on its own."""
    for line in gzip.decompress(path.read_bytes()).splitlines():
        with suppress(WireError):
            received = read_line(line)
            if received is not None:
                yield received.local_ts, json.loads(received.message, parse_float=str)


def split(ticks: Any) -> list[Any]:
    """Records in whole messages."""
    return np.split(ticks, np.flatnonzero(ticks["flags"] & TickFlag.FIRST)[1:])


# Real frames


def test_okx_s_own_checksums_hold_for_the_book_that_the_ticks_make() -> None:
    """CRC32 over the best 25 levels of both sides, by turns, as text: OKX's manual of the ``books`` channel."""
    sent = [
        int(content["data"][0]["checksum"])
        for _, content in messages(OKX)
        if content.get("arg", {}).get("channel") == "books"
        and content["arg"]["instId"] == BITCOIN.symbol
        and "data" in content
    ]
    book = BookRebuild()
    found = []
    for each in split(all_ticks(WireSource(OKX, BITCOIN))):
        book.take(each)
        if each["kind"][0] in (TickKind.DEPTH, TickKind.SNAPSHOT):
            levels = book.snapshot(0)
            assert levels is not None
            sides = [levels[levels["side"] == side][:25] for side in (1, -1)]
            texts = [
                [(text(BITCOIN.px_from_ticks(px)), text(BITCOIN.qty_from_lots(qty))) for px, qty in own[["px", "qty"]]]
                for own in sides
            ]
            pairs = [":".join(level) for i in range(25) for own in texts for level in own[i : i + 1]]
            found.append(zlib.crc32(":".join(pairs).encode()))
    assert len(found) == 98
    assert found == [checksum % 2**32 for checksum in sent]


def text(decimal: str) -> str:
    """Decimal text without zeros at its end, as the venue sends it."""
    return decimal.rstrip("0").rstrip(".") if "." in decimal else decimal


def test_okx_trades_and_tickers() -> None:
    ticks = all_ticks(WireSource(OKX, BITCOIN))
    sent = [row for _, m in messages(OKX) if m.get("arg", {}).get("channel") == "trades" for row in m.get("data", [])]
    sent = [row for row in sent if row["instId"] == BITCOIN.symbol]
    trades = ticks[ticks["kind"] == TickKind.TRADE]
    assert trades["update_id"].tolist() == [int(row["tradeId"]) for row in sent]
    assert [BITCOIN.px_from_ticks(px) for px in trades["px"]] == [f"{float(row['px']):.1f}" for row in sent]
    assert trades["side"].tolist() == [1 if row["side"] == "buy" else -1 for row in sent]
    assert (trades["exch_ts"] == [int(row["ts"]) * 10**6 for row in sent]).all()
    assert np.count_nonzero(ticks["kind"] == TickKind.QUOTE) == 25


def test_bitmex_s_quotes_have_the_prices_of_its_book_s_touch() -> None:
    """The two streams run beside one another, so the prices are compared over the whole recording."""
    book: dict[int, dict[int, int]] = {}
    touches: list[tuple[int, ...]] = []
    quotes: list[tuple[int, ...]] = []
    for each in split(all_ticks(WireSource(BITMEX, INVERSE))):
        if each["kind"][0] == TickKind.QUOTE:
            quotes.append(tuple(each[0][["px", "px_2"]].tolist()))
        if each["kind"][0] == TickKind.SNAPSHOT:
            book = {1: {}, -1: {}}
        if not book or each["kind"][0] not in (TickKind.SNAPSHOT, TickKind.DEPTH):
            continue
        for side, px, qty in each[["side", "px", "qty"]].tolist():
            book[side][px] = qty
            if qty == 0:
                del book[side][px]
        touches.append((max(book[1]), min(book[-1])))
    assert len(quotes) == 286
    assert set(quotes) <= set(touches)
    assert quotes[-1] == touches[-1]


def test_bitmex_levels_are_found_by_their_ids() -> None:
    source = WireSource(BITMEX, INVERSE)
    ticks = all_ticks(source)
    kinds = {kind: np.count_nonzero(ticks["kind"] == kind) for kind in TickKind}
    assert kinds[TickKind.SNAPSHOT] == 9_346
    assert kinds[TickKind.DEPTH] == 1_274 + 222 + 216
    assert kinds[TickKind.TRADE] == 15
    assert (ticks["px"][ticks["kind"] == TickKind.DEPTH] > 0).all()
    assert not source.reading.summary()


def test_htx_sends_whole_books_in_compressed_frames() -> None:
    source = WireSource(HTX, OMG)
    ticks = all_ticks(source)
    books = [content for _, content in messages(HTX) if content.get("ch") == "market.omgbtc.depth.step0"]
    found = [each for each in split(ticks) if each["kind"][0] == TickKind.SNAPSHOT]
    assert len(found) == len(books) > 1
    for each, content in zip(found, books, strict=True):
        sent = [(side, *map(float, row)) for name, side in (("bids", 1), ("asks", -1)) for row in content["tick"][name]]
        ours = [
            (int(level["side"]), float(OMG.px_from_ticks(level["px"])), float(OMG.qty_from_lots(level["qty"])))
            for level in each
        ]
        assert ours == sent
    assert not source.reading.refused


@pytest.mark.parametrize(
    ("path", "instrument"), [(OKX, BITCOIN), (BITMEX, INVERSE), (HTX, ZEN)], ids=["okx", "bitmex", "htx"]
)
def test_a_real_stream_is_opened_and_passes_the_check(path: Path, instrument: Instrument) -> None:
    chosen = settings_of(instrument)
    source = open_source(path, chosen, f"{instrument.symbol}.{instrument.venue}")
    assert isinstance(source, WireSource)
    found = check(source, chosen)
    assert (found.problems, found.sequence_gaps, found.crossed_book) == ([], 0, 0)
    assert found.kinds["SNAPSHOT"] > 0
    check_cuts(list(source.blocks()), "local")


def test_an_instrument_of_another_venue_is_refused() -> None:
    with pytest.raises(DataError, match=r"is not of okx, htx, bitmex, ccxt: name an instrument"):
        WireSource(OKX, traded("BTCUSDT", "binance_usdm", "0.1", "1"))


# Lost messages


def stream(folder: Path, *lines: str) -> Path:
    path = folder / "stream.txt"
    path.write_text("\n".join(lines))
    return path


def okx_book(seconds: int, action: str, bids: list[list[str]], **more: Any) -> str:
    row = {"bids": bids, "asks": [], "ts": "1700000000000", **more}
    content = {"arg": {"channel": "books", "instId": "BTC-USDT"}, "action": action, "data": [row]}
    return f"{1_700_000_000 + seconds}.5: {json.dumps(content)}"


def test_okx_a_missing_update_is_a_gap_to_the_core(tmp_path: Path) -> None:
    lines = [
        okx_book(0, "snapshot", [["100", "1"]], seqId=10, prevSeqId=-1),
        okx_book(1, "update", [["101", "1"]], seqId=15, prevSeqId=10),
        okx_book(2, "update", [["102", "1"]], seqId=15, prevSeqId=15),
        okx_book(3, "update", [["103", "1"]], seqId=3, prevSeqId=15),
        okx_book(4, "update", [["104", "1"]], seqId=20, prevSeqId=19),
    ]
    for count, gaps in ((4, 0), (5, 1)):
        assert check(WireSource(stream(tmp_path, *lines[:count]), BITCOIN), settings_of(BITCOIN)).sequence_gaps == gaps


def htx(seconds: int, channel: str, tick: dict[str, Any], *, answer: bool = False) -> str:
    names = ("rep", "data") if answer else ("ch", "tick")
    content = {names[0]: f"market.omgbtc.{channel}", "ts": 1_700_000_000_000 + seconds, names[1]: tick}
    return f"{1_700_000_000 + seconds}.5: {json.dumps(content)}"


def change(seconds: int, previous: int, number: int, px: str, qty: str = "1") -> str:
    return htx(seconds, "mbp.150", {"seqNum": number, "prevSeqNum": previous, "bids": [[px, qty]]})


def answer(seconds: int, number: int, *pxs: str) -> str:
    tick = {"seqNum": number, "bids": [[px, "1"] for px in pxs], "asks": []}
    return htx(seconds, "mbp.150", tick, answer=True)


def htx_bids(folder: Path, *lines: str) -> tuple[list[float] | None, int]:
    """The bids that a stream leaves, None where the book is not known; and how often it came out of step."""
    source = WireSource(stream(folder, *lines), COARSE)
    gaps = check(source, settings_of(COARSE)).sequence_gaps
    rebuilt = BookRebuild()
    rebuilt.take(all_ticks(source))
    book = rebuilt.snapshot(1)
    return None if book is None else (book["px"] / 10).tolist(), gaps


def test_htx_changes_ahead_of_the_answer_are_kept_and_those_that_it_holds_are_not(tmp_path: Path) -> None:
    lines = [
        change(0, 1, 2, "0.2"),
        change(1, 2, 5, "0.3"),
        change(2, 5, 9, "0.4"),
        answer(3, 5, "0.1", "0.3"),
        change(4, 9, 11, "0.1", "0"),
    ]
    assert htx_bids(tmp_path, *lines) == ([0.4, 0.3], 0)


def test_htx_behind_a_lost_change_the_next_answer_brings_the_book(tmp_path: Path) -> None:
    lines = [answer(0, 5, "0.1"), change(1, 5, 6, "0.2"), change(2, 7, 8, "0.3"), change(3, 8, 9, "0.4")]
    assert htx_bids(tmp_path, *lines) == (None, 1)
    assert htx_bids(tmp_path, *lines, answer(4, 8, "0.3")) == ([0.4, 0.3], 1)


def test_htx_an_answer_older_than_the_changes_that_are_known_is_no_book(tmp_path: Path) -> None:
    assert htx_bids(tmp_path, change(0, 7, 8, "0.2"), answer(1, 5, "0.1")) == (None, 1)


def test_htx_updates_of_a_swap_count_up(tmp_path: Path) -> None:
    def book(seconds: int, event: str, version: int, px: str) -> str:
        tick = {"event": event, "version": version, "bids": [[px, "1"]], "asks": []}
        return htx(seconds, "depth.size_150.high_freq", tick)

    lines = [book(0, "snapshot", 7, "0.1"), book(1, "update", 8, "0.2")]
    assert htx_bids(tmp_path, *lines) == ([0.2, 0.1], 0)
    assert htx_bids(tmp_path, *lines, book(2, "update", 10, "0.3")) == (None, 1)


def test_htx_refreshed_books_are_whole_and_a_swap_s_trades_have_their_id(tmp_path: Path) -> None:
    lines = [
        htx(each, "mbp.refresh.20", {"seqNum": each, "bids": [[px, "1"]]}) for each, px in enumerate(("0.1", "0.2"))
    ]
    assert htx_bids(tmp_path, *lines) == ([0.2], 0)
    row = {"id": 77, "ts": 1_700_000_000_000, "price": "0.5", "amount": "3", "direction": "sell"}
    (trade,) = all_ticks(WireSource(stream(tmp_path, htx(0, "trade.detail", {"data": [row]})), COARSE))
    assert trade[["side", "px", "update_id"]].tolist() == (-1, 5, 77)


def bitmex_book(seconds: int, action: str, *rows: dict[str, Any]) -> str:
    data = [{"symbol": "XBTUSD", "side": "Buy", **row} for row in rows]
    return f"{1_700_000_000 + seconds}: {json.dumps({'table': 'orderBookL2', 'action': action, 'data': data})}"


def test_bitmex_an_unknown_level_is_a_gap_to_the_core(tmp_path: Path) -> None:
    lines = [
        bitmex_book(0, "update", {"id": 1, "size": 5}),
        bitmex_book(1, "partial", {"id": 1, "size": 5, "price": 100.5}),
        bitmex_book(2, "update", {"id": 1, "size": 6}),
        bitmex_book(3, "delete", {"id": 1}),
        bitmex_book(4, "update", {"id": 1, "size": 7}),
    ]
    for count, gaps in ((4, 0), (5, 1)):
        source = WireSource(stream(tmp_path, *lines[:count]), INVERSE)
        assert check(source, settings_of(INVERSE)).sequence_gaps == gaps
    ticks = all_ticks(source)
    assert ticks[["px", "qty"]].tolist()[:3] == [(201, 5), (201, 6), (201, 0)]


def test_behind_a_new_connection_the_book_is_stale(tmp_path: Path) -> None:
    book = okx_book(0, "snapshot", [["100", "1"]])
    again = "wss://ws.okx.com <-> 1700000001.5"
    ticks = all_ticks(WireSource(stream(tmp_path, again, book, again, okx_book(2, "update", [["101", "1"]])), BITCOIN))
    assert ticks["kind"].tolist() == [TickKind.SNAPSHOT, TickKind.STALE, TickKind.DEPTH]


def test_a_level_off_the_grid_is_refused_by_itself(tmp_path: Path) -> None:
    path = stream(tmp_path, okx_book(0, "snapshot", [["100.05", "1"], ["100", "1"], ["-1", "1"]]))
    source = WireSource(path, BITCOIN)
    assert all_ticks(source)["px"].tolist() == [1000]
    assert source.reading.refused == {Reason.BAD_PRICE: 2}
    assert "line 1: level 100.05: price 100.05 is not on" in source.reading.problems[Reason.BAD_PRICE]


def test_receipt_that_goes_back_is_set_right_and_counted(tmp_path: Path) -> None:
    lines = [okx_book(5, "snapshot", [["100", "1"]]), okx_book(4, "update", [["101", "1"]])]
    source = WireSource(stream(tmp_path, *lines), BITCOIN)
    assert np.unique(all_ticks(source)["local_ts"]).tolist() == [1_700_000_005_500_000_000]
    assert source.reading.set_back == 1


# Garbage

WORDS = some.sampled_from(["okx", "arg", "data", "books", "trades", "BTC-USDT", "snapshot", "bids", "ts", "side", "px"])
JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=5) | WORDS,
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(WORDS | some.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
SHAPES = some.sampled_from(
    [
        {
            "arg": {"channel": "books", "instId": "BTC-USDT"},
            "action": "update",
            "data": [{"bids": [["1", "1"]], "ts": "1"}],
        },
        {
            "arg": {"channel": "trades", "instId": "BTC-USDT"},
            "data": [{"px": "1", "sz": "1", "side": "buy", "ts": "1"}],
        },
        {"ch": "market.btcusdt.depth.step0", "ts": 1, "tick": {"bids": [[1.5, 2.5]], "asks": []}},
        {"ch": "market.btcusdt.mbp.20", "ts": 1, "tick": {"seqNum": 2, "prevSeqNum": 1, "bids": [[1.5, 2.5]]}},
        {"rep": "market.btcusdt.mbp.20", "ts": 1, "data": {"seqNum": 1, "bids": [[1.5, 2.5]], "asks": []}},
        {
            "ch": "market.btcusdt.depth.size_20.high_freq",
            "ts": 1,
            "tick": {"event": "update", "version": 1, "bids": [[1.5, 2.5]], "asks": []},
        },
        {"ch": "market.btcusdt.trade.detail", "tick": {"data": [{"price": 1, "amount": 1, "direction": "buy"}]}},
        {"table": "orderBookL2", "action": "partial", "data": [{"symbol": "BTCUSDT", "id": 1, "side": "Buy"}]},
        {"table": "trade", "action": "insert", "data": [{"symbol": "BTCUSDT", "side": "Buy", "trdMatchID": "x"}]},
    ]
)


@some.composite
def damaged(draw: Any) -> Any:
    """A message with some value in it replaced by anything."""
    content = json.loads(json.dumps(draw(SHAPES)))
    at = content
    while True:
        key = draw(some.sampled_from(sorted(at))) if isinstance(at, dict) else draw(some.integers(0, len(at) - 1))
        inner = at[key]
        if isinstance(inner, (dict, list)) and inner and draw(some.booleans()):
            at = inner
            continue
        at[key] = draw(JSON)
        return content


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.sampled_from(["okx", "htx", "bitmex"]), some.lists(damaged() | JSON, max_size=4), some.binary(max_size=30))
def test_garbage_never_raises_anything_but_a_data_error(tmp_path: Path, venue: str, contents: Any, end: bytes) -> None:
    path = tmp_path / "stream.txt"
    lines = [f"1700000000.5: {json.dumps(content)}".encode() for content in contents]
    path.write_bytes(b"\n".join([*lines, b"1700000000.5: " + end, end, b"1700000001: b'" + end + b"'"]))
    with suppress(DataError):
        ticks = all_ticks(WireSource(path, traded("BTC-USDT", venue, "0.1", "0.1")))
        assert len(joined([ticks])) > 0
