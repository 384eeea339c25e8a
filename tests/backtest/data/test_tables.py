"""CSV and Parquet tables: what their columns mean, exact numbers, times, and rows that cannot be used."""

from __future__ import annotations

import gzip
import zipfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pyarrow import parquet

from backtest.data import csv_file
from backtest.data.bars import BarSource
from backtest.data.clocks import DataError
from backtest.data.csv_file import CsvFile
from backtest.data.parquet_file import ParquetFile
from backtest.data.tables import TableSource
from oms.records import Reason, TickFlag, TickKind
from tests.backtest.data.support import START_NS, all_ticks, check_cuts, instrument

US = START_NS // 1_000
TRADED = instrument(tick="0.1", lot="0.001")


def csv(folder: Path, text: str, name: str = "table.csv") -> TableSource:
    path = folder / name
    path.write_text(text)
    return TableSource(CsvFile(path), TRADED)


def rows_of(ticks: Any, *names: str) -> list[Any]:
    return ticks[list(names)].tolist()  # type: ignore[no-any-return]


# Kinds of table, by the layouts of those who publish them

TABLES = {
    "plain trades": ("timestamp,price,qty,side\n1700000000000,10.1,0.5,buy\n", [(TickKind.TRADE, 101, 500, 1)]),
    "binance trades": (
        "id,price,qty,quote_qty,time,is_buyer_maker\n7,10.1,0.5,5.05,1700000000000,true\n",
        [(TickKind.TRADE, 101, 500, -1)],
    ),
    "binance aggregate trades": (
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
        "7,10.1,0.5,1,2,1700000000000,False\n",
        [(TickKind.TRADE, 101, 500, 1)],
    ),
    "binance best bid and ask": (
        "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n"
        "7,10.1,0.5,10.2,1.0,1700000000000,1700000000001\n",
        [(TickKind.QUOTE, 101, 500, 0)],
    ),
    "tardis trades": (
        "exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n"
        f"bitmex,XBTUSD,{US},{US + 5},7,sell,10.1,0.5\n",
        [(TickKind.TRADE, 101, 500, -1)],
    ),
    "tardis levels": (
        "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n"
        f"deribit,BTC,{US},{US},true,bid,10.1,0.5\nderibit,BTC,{US},{US},false,ask,10.2,0\n",
        [(TickKind.SNAPSHOT, 101, 500, 1), (TickKind.DEPTH, 102, 0, -1)],
    ),
    "tardis quotes": (
        "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount\n"
        f"deribit,BTC,{US},{US},1,10.2,10.1,0.5\n",
        [(TickKind.QUOTE, 101, 500, 0)],
    ),
    "tardis derivative ticker": (
        "exchange,symbol,timestamp,local_timestamp,funding_timestamp,funding_rate,predicted_funding_rate,"
        f"open_interest,last_price,index_price,mark_price\nb,s,{US},{US},,0.0001,,5,10,,10.1\n",
        [(TickKind.MARK, 101, 0, 0)],
    ),
    "binance funding": (
        "calc_time,funding_interval_hours,last_funding_rate\n1700000000000,8,-0.00012345\n",
        [(TickKind.FUNDING, 0, -12345, 0)],
    ),
    "semicolons and a byte order mark": (
        "\ufefftimestamp;price;qty;side\n1700000000000;10.1;0.5;S\n",
        [(TickKind.TRADE, 101, 500, -1)],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_published_layout_is_recognised(tmp_path: Path, name: str) -> None:
    text, expected = TABLES[name]
    source = csv(tmp_path, text)
    assert rows_of(all_ticks(source), "kind", "px", "qty", "side") == expected
    assert not source.reading.summary()


def test_a_binance_dump_without_a_header_is_told_by_its_name(tmp_path: Path) -> None:
    text = "7,10.10000000,0.50000000,5.05,1700000000000,True,True\n"
    ticks = all_ticks(csv(tmp_path, text, "BTCUSDT-trades-2023-11-14.csv"))
    assert rows_of(ticks, "px", "qty", "side", "update_id") == [(101, 500, -1, 7)]
    with pytest.raises(DataError, match="has no header and 7 columns: name them in a first line"):
        csv(tmp_path, text, "unknown.csv")


def test_times_of_receipt_and_of_the_exchange_are_kept_apart(tmp_path: Path) -> None:
    text, _ = TABLES["tardis trades"]
    ticks = all_ticks(csv(tmp_path, text))
    assert rows_of(ticks, "exch_ts", "local_ts") == [(START_NS, START_NS + 5_000)]


def test_levels_of_one_time_are_one_message(tmp_path: Path) -> None:
    text = "timestamp,side,price,size,snapshot\n" + "".join(
        f"{US + at},{side},{px},1,{snapshot}\n"
        for at, side, px, snapshot in [(0, "buy", 10, 1), (0, "sell", 11, 1), (0, "buy", 9, 0), (1, "buy", 8, 0)]
    )
    first, last = TickFlag.FIRST, TickFlag.LAST
    assert all_ticks(csv(tmp_path, text))["flags"].tolist() == [first, last, first | last, first | last]


# Columns that are not understood


def test_an_unknown_column_is_named_with_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"looks like a table of trades with the unknown column mood: .*Known: transact"
    ):
        csv(tmp_path, "timestamp,price,qty,side,mood\n1,1,1,1,1\n")


def test_a_table_of_no_known_kind_lists_what_it_has_and_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has the columns a, b, which are no table .* trades: .*quotes|bars: "):
        csv(tmp_path, "a,b\n1,2\n")


def test_two_columns_of_one_meaning_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the columns price and px both mean px"):
        csv(tmp_path, "timestamp,price,px,qty,side\n1,1,1,1,1\n")


# Times

MOMENT = 1_700_000_000_123_000_000


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("1700000000.123", "timestamp is in s since 1970"),
        ("1700000000123", "timestamp is in ms since 1970"),
        ("1700000000123000", "timestamp is in us since 1970"),
        ("1700000000123000000", "timestamp is in ns since 1970"),
        ("2023-11-14 22:13:20.123", "timestamp is a date and time"),
        ("2023-11-14T22:13:20.123Z", "timestamp is a date and time"),
        ("2023-11-15 00:13:20.123+02:00", "timestamp is a date and time"),
    ],
)
def test_the_unit_of_times_is_told_and_said(tmp_path: Path, text: str, note: str) -> None:
    source = csv(tmp_path, f"timestamp,price,qty,side\n{text},10.1,0.5,buy\n")
    assert all_ticks(source)["local_ts"].tolist() == [MOMENT]
    assert any(each.startswith(note) for each in source.reading.notes)


def test_a_time_in_another_unit_than_the_first_is_refused(tmp_path: Path) -> None:
    times = ["1700000000123", "1700000000124000", "soon", "", "1700000000125"]
    source = csv(tmp_path, "timestamp,price,qty,side\n" + "".join(f"{each},10.1,0.5,buy\n" for each in times))
    assert len(all_ticks(source)) == 2
    assert source.reading.refused == {Reason.MALFORMED: 3}
    assert source.reading.problems[Reason.MALFORMED].endswith(
        "table.csv, row 2: time '1700000000124000' is none, or in another unit than the first"
    )


def test_dates_among_which_one_is_wrong(tmp_path: Path) -> None:
    times = ["2023-11-14 22:13:20", "yesterday", "2023-11-14 22:13:21"]
    source = csv(tmp_path, "date,price,qty,side\n" + "".join(f"{each},10.1,0.5,buy\n" for each in times))
    assert len(all_ticks(source)) == 2
    assert source.reading.refused == {Reason.MALFORMED: 1}


@pytest.mark.parametrize("text", ["0", "12", "99999999", "-1700000000", "never"])
def test_times_that_are_none_are_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match="is no time"):
        all_ticks(csv(tmp_path, f"timestamp,price,qty,side\n{text},10.1,0.5,buy\n"))


# Numbers


@given(
    some.lists(some.tuples(some.integers(1, 10**15), some.integers(1, 10**15)), min_size=1, max_size=20),
    some.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_decimal_text_and_doubles_become_the_same_ticks_and_lots(
    tmp_path: Path, values: list[tuple[int, int]], with_zeros: bool
) -> None:
    zeros = "0000" if with_zeros else ""
    texts = [(TRADED.px_from_ticks(px) + zeros, TRADED.qty_from_lots(qty) + zeros) for px, qty in values]
    lines = "".join(f"1700000000000,{px},{qty},buy\n" for px, qty in texts)
    ticks = all_ticks(csv(tmp_path, f"timestamp,price,qty,side\n{lines}"))
    assert rows_of(ticks, "px", "qty") == values
    for kind in (pa.float64(), pa.string(), pa.decimal128(30, 10)):
        columns = [
            [Decimal(text) if kind == pa.decimal128(30, 10) else text for text in each]
            for each in zip(*texts, strict=True)
        ]
        table = pa.table(
            {
                "ts": pa.array([1700000000000] * len(values)),
                "price": pa.array(columns[0]).cast(kind),
                "qty": pa.array(columns[1]).cast(kind),
                "side": pa.array(["buy"] * len(values)),
            }
        )
        parquet.write_table(table, tmp_path / "table.parquet")
        source = TableSource(ParquetFile(tmp_path / "table.parquet"), TRADED)
        if kind != pa.float64() or max(max(pair) for pair in values) < 2**43:
            assert rows_of(all_ticks(source), "px", "qty") == values


@pytest.mark.parametrize(
    ("px", "qty", "reason", "words"),
    [
        ("10.15", "1", Reason.BAD_PRICE, "price 10.15 is not on TEST0's tick 0.1"),
        ("10.1", "0.0001", Reason.QTY_BELOW_MIN, "quantity 0.0001 is not on TEST0's lot 0.001"),
        ("-10.1", "1", Reason.BAD_PRICE, "price '-10.1' is not above zero"),
        ("0", "1", Reason.BAD_PRICE, "price '0' is not above zero"),
        ("10.1", "0", Reason.QTY_BELOW_MIN, "quantity '0' is not above zero"),
        ("ten", "1", Reason.MALFORMED, "price 'ten' is not a decimal number"),
        ("", "1", Reason.MALFORMED, "price '' is not a decimal number"),
        ("nan", "1", Reason.MALFORMED, "price 'nan' is not finite"),
        ("1" * 30, "1", Reason.OVERFLOW, "is too large"),
        ("1e999999999", "1", Reason.OVERFLOW, "is too large"),
        ("10.10000000000001", "1", Reason.BAD_PRICE, "is not on TEST0's tick"),
    ],
)
def test_a_value_off_the_grid_is_refused_and_counted(
    tmp_path: Path, px: str, qty: str, reason: Reason, words: str
) -> None:
    text = f"timestamp,price,qty,side\n1700000000000,10.1,1,buy\n1700000000000,{px},{qty},buy\n"
    source = csv(tmp_path, text)
    assert len(all_ticks(source)) == 1
    assert source.reading.refused == {reason: 1}
    assert f"table.csv, row 2: {words}" in source.reading.problems[reason] or words in source.reading.problems[reason]


def test_a_double_printed_in_full_is_taken_for_what_it_stands_for_and_counted(tmp_path: Path) -> None:
    source = csv(tmp_path, "timestamp,price,qty,side\n1700000000000,0.30000000000000004,1.0,buy\n")
    assert all_ticks(source)["px"].tolist() == [3]
    assert source.reading.inexact == 1


def test_neither_side_is_refused(tmp_path: Path) -> None:
    source = csv(tmp_path, "timestamp,price,qty,side\n1700000000000,1,1,buy\n1700000000000,1,1,unknown\n")
    assert len(all_ticks(source)) == 1
    assert source.reading.refused == {Reason.BAD_SIDE: 1}


# Files


def trades_text(count: int) -> str:
    return "timestamp,price,qty,side\n" + "".join(f"{1700000000000 + i},10.1,1,buy\n" for i in range(count))


def test_a_large_file_comes_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1_000)
    source = csv(tmp_path, trades_text(500))
    blocks = list(source.blocks())
    check_cuts(blocks, "local")
    assert max(len(block.local) for block in blocks) < 50
    assert sum(len(block.local) for block in blocks) == source.reading.rows == 500


def test_rows_with_too_few_or_too_many_columns_are_counted_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 100)
    lines = trades_text(50).splitlines()
    lines[3] = "1700000000000,10.1"
    lines[20] += ",1"
    lines[40] = "1700000000039,10.1,1,nobody"
    source = csv(tmp_path, "\n".join(lines))
    assert len(all_ticks(source)) == 47
    assert source.reading.rows == 50
    assert source.reading.refused == {Reason.MALFORMED: 2, Reason.BAD_SIDE: 1}
    assert source.reading.problems[Reason.MALFORMED].endswith("row 3: it has 2 columns, not 4")
    assert "row 40: side 'nobody'" in source.reading.problems[Reason.BAD_SIDE]


def test_a_file_that_goes_back_in_time_names_the_row(tmp_path: Path) -> None:
    lines = trades_text(5).splitlines()
    lines[2], lines[3] = lines[3], lines[2]
    with pytest.raises(DataError, match=r"table\.csv, row 3: local_ts"):
        all_ticks(csv(tmp_path, "\n".join(lines)))


def test_gzip_and_zip_are_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write(trades_text(3))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("b.csv", trades_text(3))
    for name in ("a.csv.gz", "b.zip"):
        assert len(all_ticks(TableSource(CsvFile(tmp_path / name), TRADED))) == 3


def test_a_truncated_gzip_file_gives_what_is_before_the_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1_000)
    path = tmp_path / "a.csv.gz"
    rng = np.random.default_rng(1)
    text = "timestamp,price,qty,side\n" + "".join(
        f"{1700000000000 + i},{rng.integers(1, 10**9)},1,buy\n" for i in range(20_000)
    )
    path.write_bytes(gzip.compress(text.encode())[:-50_000])
    source = TableSource(CsvFile(path), TRADED)
    assert 1_000 < len(all_ticks(source)) < 20_000
    assert "is damaged behind row" in source.reading.summary()[0]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xff\xfe\x00", b"timestamp,price,qty,side\n"])
def test_a_file_without_rows_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"table\.csv"):
        all_ticks(TableSource(CsvFile(path), TRADED))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    some.lists(some.lists(some.text(max_size=12) | some.sampled_from(["1700000000000", "10.1", "buy"]), max_size=6)),
    some.binary(max_size=20),
)
def test_garbage_never_raises_anything_but_a_data_error(tmp_path: Path, cells: list[list[str]], end: bytes) -> None:
    path = tmp_path / "table.csv"
    body = "\n".join(",".join(row) for row in cells).encode(errors="replace")
    path.write_bytes(trades_text(1).encode() + body + end)
    with suppress(DataError):
        assert len(all_ticks(TableSource(CsvFile(path), TRADED))) >= 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.data())
def test_damaged_parquet_never_raises_anything_but_a_data_error(tmp_path: Path, data: Any) -> None:
    table = pa.table({"ts": [1700000000000] * 50, "price": ["10.1"] * 50, "qty": ["1"] * 50, "side": ["buy"] * 50})
    parquet.write_table(table, tmp_path / "sound.parquet")
    content = bytearray((tmp_path / "sound.parquet").read_bytes())
    for _ in range(data.draw(some.integers(1, 4))):
        content[data.draw(some.integers(0, len(content) - 1))] = data.draw(some.integers(0, 255))
    path = tmp_path / "damaged.parquet"
    path.write_bytes(content[: data.draw(some.integers(0, len(content)))])
    ticks = None
    with suppress(DataError):
        ticks = all_ticks(TableSource(ParquetFile(path), TRADED))
    assert ticks is None or len(ticks) <= 50


TYPES = [
    pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.bool_(),
    pa.binary(), pa.date32(), pa.timestamp("ms"), pa.timestamp("ns", "UTC"), pa.decimal128(10, 2), pa.null(),
    pa.list_(pa.int64()), pa.dictionary(pa.int32(), pa.string()), pa.time64("us"), pa.struct([("a", pa.int64())]),
]  # fmt: skip
NAMED = {"trades": ["ts", "price", "qty", "side", "id"], "bars": ["ts", "open", "high", "low", "close", "volume"]}


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.sampled_from(sorted(NAMED)), some.lists(some.sampled_from(TYPES), min_size=6, max_size=6))
def test_columns_of_any_type_are_read_or_named(tmp_path: Path, name: str, kinds: list[Any]) -> None:
    columns = {}
    for column, kind in zip(NAMED[name], kinds, strict=False):
        values: list[Any] = (
            ["1700000000000", "1700000060000"] if kind in (pa.string(), pa.large_string()) else [None] * 2
        )
        if kind in (pa.int64(), pa.uint64(), pa.float64(), pa.timestamp("ms")):
            values = [1_700_000_000_000, 1_700_000_060_000]
        columns[column] = pa.array(values, kind)
    path = tmp_path / "odd.parquet"
    parquet.write_table(pa.table(columns), path)
    with suppress(DataError):
        if name == "bars":
            BarSource(ParquetFile(path), TRADED).read()
        else:
            all_ticks(TableSource(ParquetFile(path), TRADED))


def test_columns_as_pandas_writes_them(tmp_path: Path) -> None:
    """Categories for the side, a truth value for the maker, times with a zone."""
    moment = pa.array([1_700_000_000_123], pa.timestamp("ms", "UTC"))
    price, qty = pa.array([10.1]), pa.array([0.5])
    sides = {"side": pa.array(["sell"]).dictionary_encode(), "is_buyer_maker": pa.array([True])}
    for name, side in sides.items():
        parquet.write_table(pa.table({"date": moment, "price": price, "qty": qty, name: side}), tmp_path / "p.parquet")
        ticks = all_ticks(TableSource(ParquetFile(tmp_path / "p.parquet"), TRADED))
        assert rows_of(ticks, "exch_ts", "px", "qty", "side") == [(1_700_000_000_123_000_000, 101, 500, -1)]


# Quotes as a book


def test_quotes_as_a_book_set_the_touch_and_take_the_old_one_away(tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    quotes = ["10.1,1,10.2,2", "10.1,3,10.3,2", "10.1,3,10.3,2", "0,0,10.3,2"]
    path.write_text(
        "ts,bid,bid_qty,ask,ask_qty\n" + "".join(f"{1700000000000 + i},{each}\n" for i, each in enumerate(quotes))
    )
    ticks = all_ticks(TableSource(CsvFile(path), TRADED, as_book=True))
    levels = ticks[ticks["kind"] != TickKind.QUOTE]
    depth, snapshot = TickKind.DEPTH, TickKind.SNAPSHOT
    assert rows_of(levels, "kind", "side", "px", "qty") == [
        (snapshot, 1, 101, 1000),
        (snapshot, -1, 102, 2000),
        (depth, -1, 102, 0),
        (depth, 1, 101, 3000),
        (depth, -1, 103, 2000),
        (depth, 1, 101, 0),
    ]
    assert np.count_nonzero(ticks["kind"] == TickKind.QUOTE) == 4
    assert levels["flags"].tolist() == [1, 2, 1, 0, 2, 3]
