"""From a path to a source: the format and the instrument of a file."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from backtest.data.bars import BarSource
from backtest.data.chain import ChainSource
from backtest.data.clocks import DataError
from backtest.data.npz import NpzSource
from backtest.data.opening import open_source, open_sources
from backtest.data.recording import RecordingSource
from backtest.data.stored import StoredSource
from gateways.recording import load_ticks
from oms.config import ConfigError, load_settings
from oms.instruments import Instrument
from oms.records import TickKind
from oms.store.tick_files import publish_tick_files, write_tick_file
from tests.backtest.data.support import (
    BOTH,
    BUY_EVENT,
    EVENT_ROW,
    START_NS,
    all_ticks,
    check_cuts,
    message,
    shipped_settings,
)

RECORDINGS = Path(__file__).resolve().parents[3] / "gateways/recordings"
DEMO = RECORDINGS / "usdm_btcusdt_20240808_60s.gz"
USDM = "BTCUSDT.binance_usdm"
SPOT = "BTCUSDT.binance_spot"


def head_of_demo(folder: Path, lines: int = 40) -> Path:
    """A short recording, with its sidecar."""
    path = folder / "short.gz"
    with gzip.open(DEMO, "rb") as whole, gzip.open(path, "wb") as short:
        for _ in range(lines):
            short.write(whole.readline())
    (folder / "short.toml").write_text(DEMO.with_name(DEMO.name.removesuffix(".gz") + ".toml").read_text())
    return path


def quotes(folder: Path, name: str = "quotes.csv", start_ms: int = 1_700_000_000_000) -> Path:
    path = folder / name
    path.write_text(
        "ts,bid,bid_qty,ask,ask_qty\n" + "".join(f"{start_ms + i},{10 + i}.1,1,{10 + i}.2,2\n" for i in range(3))
    )
    return path


def trades(folder: Path, name: str = "trades.csv") -> Path:
    path = folder / name
    path.write_text("ts,price,qty,side\n1700000000001,10.1,1,buy\n")
    return path


def test_a_recording_says_itself_what_it_is_of(tmp_path: Path) -> None:
    path = head_of_demo(tmp_path)
    chosen = shipped_settings()
    source = open_source(path, chosen)
    assert isinstance(source, RecordingSource)
    assert source.symbol == USDM
    assert all_ticks(source).tobytes() == load_ticks(path, chosen.instrument(USDM)).tobytes()
    assert source.reading.rows == 40


def test_a_file_that_does_not_say_is_of_the_named_instrument(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=np.zeros(1, EVENT_ROW))
    source = open_source(tmp_path / "a.npz", shipped_settings(), USDM)
    assert isinstance(source, NpzSource)
    assert source.symbol == USDM
    with pytest.raises(DataError, match=r"a\.npz does not say which instrument it is of: name it by --instrument"):
        open_source(tmp_path / "a.npz", shipped_settings())
    with pytest.raises(ConfigError, match="unknown instrument 'X'"):
        open_source(tmp_path / "a.npz", shipped_settings(), "X")


def test_names_go_to_the_files_that_need_one_in_order(tmp_path: Path) -> None:
    paths = [quotes(tmp_path, "a.csv"), head_of_demo(tmp_path), quotes(tmp_path, "b.csv")]
    chosen = load_settings(
        None,
        {
            "replay": {"file": ""},
            "instruments": msgspec.to_builtins([*shipped_settings().instruments, other_instrument()]),
        },
    )
    sources, bars = open_sources(paths, chosen, [SPOT, "ETHUSDT"])
    assert [source.symbol for source in sources] == [SPOT, USDM, "ETHUSDT.binance_usdm"]
    assert bars == []


def other_instrument() -> Instrument:
    return Instrument(id=2, symbol="ETHUSDT", venue="binance_usdm", kind="linear_perpetual", tick="0.1", lot="1")


def test_quotes_make_the_book_where_nothing_else_does(tmp_path: Path) -> None:
    (alone, _), _ = open_sources([quotes(tmp_path), trades(tmp_path)], shipped_settings(), [USDM])
    kinds = set(all_ticks(alone)["kind"].tolist())
    assert kinds == {TickKind.SNAPSHOT, TickKind.DEPTH, TickKind.QUOTE}
    book = tmp_path / "book.csv"
    book.write_text("ts,side,price,qty,snapshot\n1700000000001,buy,10.1,1,true\n")
    (with_book, _), _ = open_sources([quotes(tmp_path), book], shipped_settings(), [USDM])
    assert set(all_ticks(with_book)["kind"].tolist()) == {TickKind.QUOTE}


def test_files_of_one_instrument_follow_one_another(tmp_path: Path) -> None:
    days = [quotes(tmp_path, f"{day}.csv", 1_700_000_000_000 + day * 86_400_000) for day in range(3)]
    (source, _), _ = open_sources([days[0], trades(tmp_path), *days[1:]], shipped_settings(), [USDM])
    assert isinstance(source, ChainSource)
    ticks = all_ticks(source)
    assert np.count_nonzero(ticks["kind"] == TickKind.QUOTE) == 9
    assert source.reading.rows == 9
    check_cuts(list(source.blocks("dual")), "dual")


def test_files_of_one_instrument_in_the_wrong_order_are_an_error(tmp_path: Path) -> None:
    late, early = quotes(tmp_path, "late.csv", 1_700_000_100_000), quotes(tmp_path, "early.csv")
    (source,), _ = open_sources([late, early], shipped_settings(), [USDM])
    with pytest.raises(
        DataError, match=r"early\.csv begins at 17\d+, before the end of .*late\.csv at 17\d+: give the f"
    ):
        all_ticks(source)


def test_disorder_in_a_chain_names_the_file_and_its_row(tmp_path: Path) -> None:
    second = quotes(tmp_path, "second.csv", 1_700_000_100_000)
    lines = second.read_text().splitlines()
    second.write_text("\n".join([*lines[:2], lines[3], lines[2]]))
    (source,), _ = open_sources([quotes(tmp_path, "first.csv"), second], shipped_settings(), [USDM])
    with pytest.raises(DataError, match=r"second\.csv, row 3: local_ts"):
        all_ticks(source)


def test_one_file_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv is given twice: give each file once"):
        open_sources([quotes(tmp_path, "a.csv"), quotes(tmp_path, "a.csv")], shipped_settings(), [USDM])


def test_one_instrument_from_two_formats_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "b.npz", data=np.zeros(1, EVENT_ROW))
    with pytest.raises(DataError, match=r"QUOTE records of BTCUSDT\.binance_usdm are in .*a\.csv and in .*b\.npz"):
        open_sources([quotes(tmp_path, "a.csv"), tmp_path / "b.npz"], shipped_settings(), [USDM])


def test_bars_are_a_source_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    path.write_text("time,open,high,low,close,volume\n1700000000000,1,1,1,1,1\n1700000060000,1,1,1,1,1\n")
    source = open_source(path, shipped_settings(), USDM)
    assert isinstance(source, BarSource)
    assert len(source.read()) == 2


# The project's own store


def stored(folder: Path, *, tick: str = "0.1") -> Path:
    """An instrument's folder with two files, a message cut in two between them."""
    levels = [(1, 10 + i, 1) for i in range(4)]
    ticks = message(TickKind.DEPTH, levels, instrument=7, update_id=5)
    paths = [folder / "ticks/00000000000000000001/7-BTCUSDT.binance_usdm" / f"{n:020d}.parquet" for n in (0, 3)]
    for path, part in zip(paths, (ticks[:3], ticks[3:]), strict=True):
        write_tick_file(path, [part], {"symbol": USDM, "tick": tick, "lot": "0.001"})
    publish_tick_files(paths)
    return paths[0].parent


@pytest.mark.parametrize("up", [0, 1, 2, 3])
def test_a_folder_of_the_store_gives_its_ticks_in_messages(tmp_path: Path, up: int) -> None:
    folder = [stored(tmp_path), *stored(tmp_path).parents][up]
    source = open_source(folder, shipped_settings())
    assert isinstance(source, StoredSource)
    (block, _) = source.blocks()
    assert block.local["px"].tolist() == [10, 11, 12, 13]
    assert block.local["instrument"].tolist() == [0] * 4


def test_one_file_of_the_store_is_enough(tmp_path: Path) -> None:
    source = open_source(stored(tmp_path) / f"{0:020d}.parquet", shipped_settings())
    assert isinstance(source, StoredSource)
    assert all_ticks(source)["px"].tolist() == [10, 11, 12]


def test_ticks_stored_on_another_grid_are_refused(tmp_path: Path) -> None:
    source = open_source(stored(tmp_path, tick="0.5"), shipped_settings())
    with pytest.raises(DataError, match=r"counts in ticks of 0\.5, and the settings give BTCUSDT\.binance_usdm 0\.1"):
        all_ticks(source)  # type: ignore[arg-type]


def test_a_folder_of_several_instruments_lists_them(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    folder.with_name("8-other").mkdir()
    (folder.with_name("8-other") / "0.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"ticks of 2 instruments and sessions: give one of .*7-BTCUSDT"):
        open_source(tmp_path, shipped_settings())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no ticks of a recorder and no downloaded history: give"):
        open_source(tmp_path / "empty", shipped_settings())


def test_more_instruments_than_files_to_name_are_an_error(tmp_path: Path) -> None:
    days = [quotes(tmp_path), quotes(tmp_path, "b.csv", 1_700_000_100_000)]
    open_sources(days, shipped_settings(), [USDM, SPOT])
    open_sources([DEMO], shipped_settings(), [USDM])  # for the strategy
    for file, number in ((days[0], 1), (DEMO, 0)):
        with pytest.raises(DataError, match=rf"BTCUSDT.binance_spot is named for no file: {number} of the files"):
            open_sources([file], shipped_settings(), [USDM, SPOT])


# What cannot be read


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.bin", b"\x00\x01", "zoms reads recordings .*hftbacktest files"),
        ("a.gz", b"no gzip", "is not gzip, although its name ends in .gz"),
        ("a.gz", gzip.compress(b"hello\n", mtime=0), "zoms reads recordings"),
        ("a.npz", b"PK\x03\x04", "is no file of hftbacktest's event rows"),
        ("a.parquet", b"PAR1", "is no complete Parquet file"),
        ("a.csv", b"", "is empty"),
        ("a", b"", "is empty"),
    ],
)
def test_another_file_is_refused_with_what_can_be_read(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        all_ticks(open_source(tmp_path / name, shipped_settings(), USDM))  # type: ignore[arg-type]


def test_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        open_source(tmp_path / "none.csv", shipped_settings())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some.sampled_from(["a.csv", "a.csv.gz", "a.npz", "a.npy", "a.parquet", "a.gz", "a.zip", "a"]), some.data())
def test_any_bytes_give_a_data_error_or_nothing(tmp_path: Path, name: str, data: Any) -> None:
    starts = [
        b"",
        b"\x1f\x8b",
        b"PK\x03\x04",
        b"PAR1",
        b"\x93NUMPY\x01\x00",
        b"1723161255088176367 {",
        b"ts,price,qty,side\n",
    ]
    (tmp_path / name).write_bytes(data.draw(some.sampled_from(starts)) + data.draw(some.binary(max_size=100)))
    with suppress(DataError):
        all_ticks(open_source(tmp_path / name, shipped_settings(), USDM))  # type: ignore[arg-type]


def test_a_trade_is_one_record_whatever_the_format(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", data=np.array([(2 | BUY_EVENT | BOTH, START_NS, START_NS, 10.1, 1, 0, 0, 0)], EVENT_ROW)
    )
    (tmp_path / "a.csv").write_text(f"ts,price,qty,side\n{START_NS},10.1,1,buy\n")
    chosen = shipped_settings()
    found = [all_ticks(open_source(tmp_path / name, chosen, USDM)) for name in ("a.npz", "a.csv")]  # type: ignore[arg-type]
    assert found[0].tobytes() == found[1].tobytes()
