"""A backtest over files: what they give block by block is what one array of all their ticks gives."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from backtest.data import recording as recording_module
from backtest.data.merge import merge
from backtest.data.opening import open_sources
from backtest.run import Backtest, run_backtest
from backtest.streaming import backtest_sources, read_ticks, stream
from gateways.recording import load_ticks, with_quiet_times
from oms.cli import app
from oms.config import Settings
from oms.records import TickKind
from tests.backtest.data.support import check_cuts
from tests.backtest.oracle import oracle_rows
from tests.backtest.test_run import DEMO, demo_settings, fill_rows

SPOT = DEMO.parents[2] / "tests/data/spot_btcusdt_20240808.gz"
NAMES = ("BTCUSDT.binance_usdm", "BTCUSDT.binance_spot")
CUT_S = 10.0


def two_markets() -> Settings:
    """A market maker in each of two instruments."""
    return demo_settings(strategies=[{"file": "market_maker", "instrument": name} for name in NAMES])


@cache
def both_ticks() -> Any:
    """Both recordings in one array, by a sort."""
    chosen = two_markets()
    parts = [load_ticks(path, chosen.instrument(name)) for path, name in zip((DEMO, SPOT), NAMES, strict=True)]
    ticks = np.concatenate(parts)
    ticks = ticks[np.lexsort((ticks["instrument"], ticks["local_ts"]))]
    return ticks[: np.searchsorted(ticks["local_ts"], ticks["local_ts"][0] + int(CUT_S * 1e9))]


def streamed(*paths: Path, settings: Settings) -> Backtest:
    sources, _ = open_sources(paths, settings)
    return backtest_sources(settings, sources, duration_s=CUT_S)


@pytest.mark.filterwarnings("ignore::gateways.recording.RecordingWarning")  # spot's three levels off the lot
@pytest.mark.parametrize("order", [(DEMO, SPOT), (SPOT, DEMO)])
def test_two_venues_in_a_stream_trade_as_in_one_array(order: tuple[Path, Path]) -> None:
    backtest = streamed(*order, settings=two_markets())
    whole = run_backtest(two_markets(), both_ticks())
    assert len({fill["instrument"] for fill in whole.fills}) == 2
    assert fill_rows(backtest.events) == fill_rows(whole.events)
    assert backtest.result.recorded_s == pytest.approx(CUT_S, abs=0.1)
    assert backtest.result.ticks >= len(both_ticks())


def test_the_size_of_the_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    large = streamed(DEMO, settings=demo_settings())
    monkeypatch.setattr(recording_module, "CHUNK_BYTES", 1_000)
    small = streamed(DEMO, settings=demo_settings())
    assert small.events.tobytes() == large.events.tobytes()
    assert small.result.fills > 0


def test_silences_have_their_times_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = demo_settings()
    whole = load_ticks(DEMO, chosen.instrument(NAMES[0]), duration_s=CUT_S, quiet_times=True)
    monkeypatch.setattr(recording_module, "CHUNK_BYTES", 1_000)
    assert read_ticks(open_sources([DEMO], chosen)[0], CUT_S).tobytes() == whole.tobytes()


def test_with_two_clocks_the_stream_stops_both_at_one_time() -> None:
    blocks = list(stream(open_sources([DEMO], demo_settings())[0], "dual", 5.0))
    local = np.concatenate([block.local for block in blocks])
    exchange = np.concatenate([block.exchange for block in blocks if block.exchange is not None])
    stop = local["local_ts"][0] + 5 * 10**9
    assert local["local_ts"].max() < stop
    assert exchange["exch_ts"].max() < stop
    assert len(exchange) >= np.count_nonzero(local["kind"] != TickKind.TIME)


@pytest.mark.parametrize("clock", ["local", "dual"])
def test_times_between_blocks_do_not_go_back_behind_a_cut(tmp_path: Path, clock: str) -> None:
    """Trades a minute apart: silences reach over the blocks of two clocks, which are cut a minute behind the last."""
    stamps = [1_700_000_000 + 61 * i for i in range(10)]
    for at in range(2):
        (tmp_path / f"{at}.csv").write_text(
            "ts,price,qty,side\n" + "".join(f"{ts},1,1,buy\n" for ts in stamps[5 * at : 5 * at + 5])
        )
    sources, _ = open_sources([tmp_path / "0.csv", tmp_path / "1.csv"], demo_settings(), [NAMES[0]])
    blocks = list(stream(sources, clock))
    check_cuts(blocks, clock)
    local = np.concatenate([block.local for block in blocks])
    whole = np.concatenate([block.local for block in merge(sources)])
    assert local.tobytes() == with_quiet_times(whole, None).tobytes()
    assert len(blocks) > 1


@pytest.mark.parametrize("clock", ["local", "dual"])
def test_a_stream_trades_as_its_ticks_in_one_array(clock: str) -> None:
    chosen = demo_settings()
    streamed = backtest_sources(chosen, open_sources([DEMO], chosen)[0], clock, CUT_S)
    whole = run_backtest(chosen, read_ticks(open_sources([DEMO], chosen)[0], CUT_S), clock=clock)
    assert streamed.result.fills > 0
    assert streamed.fills.tobytes() == whole.fills.tobytes()
    assert streamed.marks.tobytes() == whole.marks.tobytes()


def npz_of(folder: Path, ticks: Any) -> Path:
    np.savez_compressed(folder / "demo.npz", data=oracle_rows(ticks, 0.1, 0.001, ending=False))
    return folder / "demo.npz"


def test_a_file_of_hftbacktest_trades_as_the_recording_that_it_is_made_of(tmp_path: Path) -> None:
    chosen = demo_settings()
    ticks = load_ticks(DEMO, chosen.instrument(NAMES[0]), duration_s=CUT_S)
    ticks = ticks[ticks["kind"] != TickKind.QUOTE]
    sources, _ = open_sources([npz_of(tmp_path, ticks)], chosen, [NAMES[0]])
    backtest = backtest_sources(chosen, sources)
    whole = run_backtest(chosen, ticks)
    assert fill_rows(backtest.events)
    assert [row[:-1] for row in fill_rows(backtest.events)] == [row[:-1] for row in fill_rows(whole.events)]
    (told,) = backtest.result.problems  # ticks times 0.1 are not the doubles nearest to the prices
    assert "stood beside the grid by a double's last places" in told


# The command


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["backtest", *map(str, arguments)])


def test_the_command_takes_several_files() -> None:
    done = run(DEMO, SPOT, "--duration", "3", "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["recorded_s"] == pytest.approx(3, abs=0.1)
    assert figures["ticks"] == len(read_ticks(open_sources([DEMO, SPOT], two_markets())[0], 3.0))


def test_the_strategy_trades_the_first_instrument_that_is_named(tmp_path: Path) -> None:
    trades = tmp_path / "trades.csv"
    quotes = tmp_path / "quotes.csv"
    stamps = [1_700_000_000_000 + i * 100 for i in range(200)]
    trades.write_text("ts,price,qty,side\n" + "".join(f"{ts},{1000 + ts // 100 % 3}.1,1,sell\n" for ts in stamps))
    quotes.write_text(
        "ts,bid,bid_qty,ask,ask_qty\n"
        + "".join(f"{ts},{1000 + ts // 100 % 3},1,{1000 + ts // 100 % 3 + 0.5},2\n" for ts in stamps)
    )
    done = run(trades, quotes, "--instrument", NAMES[0], "--json")
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["orders"] > 0
    assert [each["symbol"] for each in figures["instruments"] if each["fills"]] in ([NAMES[0]], [])
    assert figures["ticks_refused"] == 0


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("back.csv", "ts,price,qty,side\n1700000001,1,1,buy\n1700000000,1,1,buy\n", "row 2: local_ts"),
        ("odd.csv", "ts,price,qty,side,mood\n1700000001,1,1,buy,1\n", "the unknown column mood"),
    ],
)
def test_data_that_cannot_be_used_is_an_error(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    done = run(tmp_path / name, "--instrument", NAMES[0])
    assert done.exit_code == 1
    assert words in str(done.exception)
    assert name in str(done.exception)


def test_a_name_that_no_file_needs_is_refused() -> None:
    assert "every file says itself what it is of" in str(run(DEMO, "--instrument", NAMES[1]).exception)
    assert "is given twice: give each file once" in str(run(DEMO, DEMO).exception)
