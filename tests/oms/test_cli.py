"""The ``zoms`` command: errors in one line, a whole paper session, orders by hand, what is recorded."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from gateways.sidecar import sidecar_path
from oms import cli
from oms.bus import Subscriber, new_context
from oms.commands.demo import demo_recording
from oms.commands.options import say_bad_input
from oms.commands.redefine import next_version
from oms.commands.status import bad_input
from oms.config import load_settings
from oms.lifecycle import Heartbeat
from oms.records import RecordKind
from tests.docs.pages import ROOT
from tests.oms.command_line import Zoms

RECORDING = os.fspath(demo_recording())
BARS = [
    "backtest",
    os.fspath(Path(__file__).parents[2] / "tests/data/bars/cryptofuture_binance_minute_btcusd_20221213_trade.csv.gz"),
    "--instrument",
    "BTCUSDT.binance_usdm",
]
DEADLINE_S = 120.0
ZOMS = [sys.executable, "-P", "-m", "oms.cli"]

pytestmark = pytest.mark.timeout(300)


def settings_file(folder: Path, *, loop: bool = False) -> Path:
    """Settings with an rpc endpoint in the folder: sessions of several tests may run side by side."""
    path = folder / "zoms.toml"
    endpoint = f"ipc://{folder}/rpc"
    path.write_text(f'rpc_endpoint = "{endpoint}"\nheartbeat_s = 0.1\n[replay]\nloop = {str(loop).lower()}\n')
    return path


class RunningSession:
    """A ``zoms paper`` process without a strategy, in recorded time, which goes on until it is told to end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        settings = settings_file(folder, loop=True)
        self.process = subprocess.Popen(
            [*ZOMS, "paper", "--replay", RECORDING, "--no-strategy", "--settings", settings],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ZOMS_HOME": os.fspath(folder)},
        )
        self.wait_for(r"ticks \d+,\d")  # by then the book is in step

    def wait_for(self, pattern: str) -> None:
        """Read on until a line matches."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError(f"the session ended without {pattern!r}: {''.join(self.lines)}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        out, _ = self.process.communicate(timeout=DEADLINE_S)
        self.lines += out.splitlines(keepends=True)
        return self.process.returncode


def wait_until(condition: Callable[[], Any]) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline
    return found


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSession]:
    running = RunningSession(tmp_path_factory.mktemp("running"))
    yield running
    if running.process.poll() is None:
        assert running.end() == 0, "".join(running.lines)


@pytest.fixture
def live(session: RunningSession, zoms: Zoms) -> Zoms:
    """Commands on the account of the running session."""
    zoms.folder = session.folder
    return zoms


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The data folder and the summary of a whole session at full speed."""
    folder = tmp_path_factory.mktemp("finished")
    done = subprocess.run(
        [*ZOMS, "paper", "--replay", RECORDING, "--speed", "max", "--json", "--settings", settings_file(folder)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ZOMS_HOME": os.fspath(folder)},
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def recorded(finished: tuple[Path, dict[str, Any]], zoms: Zoms) -> Zoms:
    """Commands on the account of the finished session."""
    zoms.folder = finished[0]
    return zoms


# Light, and errors in one line


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time, oms.cli\n"
        "heavy = {'numba', 'rich', 'pyarrow', 'numpy', 'zmq'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else time.process_time() > 0.5)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["paper"], "no market is given: use --replay FILE"),
        (["paper", "--replay", "none.gz"], "none.gz does not exist"),
        (["paper", "--replay", RECORDING, "--speed", "fast"], "replay speed 'fast' is not a factor"),
        (["paper", "--replay", RECORDING, "--duration", "-1"], "duration_s -1.0"),
        (["paper", "--replay", RECORDING, "--strategy", "none.py"], "none.py does not exist"),
        (["paper", "--replay", RECORDING, "--strategy", "mine"], "unknown strategy 'mine'"),
        (["paper", "--replay", RECORDING, "--strategy", "x.py", "--no-strategy"], "exclude each other"),
        (["paper", "--replay", RECORDING, "--param", "half_spread"], "--param 'half_spread' is not NAME=NUMBER"),
        (["paper", "--replay", RECORDING, "--param", "a=1", "--no-strategy"], "has no strategy to go to"),
        (["paper", "--replay", RECORDING, "--param", "a=nan"], "parameter a of strategy market_maker is nan"),
        (["paper", "--replay", RECORDING, "--instrument", "X"], "give --strategy FILE too"),
        (["paper", "--replay", RECORDING, "--account", "a/b"], "account 'a/b' cannot be a folder's name"),
        (["paper", "--replay", RECORDING, "--settings", "none.toml"], "cannot read settings none.toml"),
        (["backtest", RECORDING, "--clock", "exchange"], "unknown clock 'exchange': use local or dual"),
        (["backtest", RECORDING, "--exchange-model", "magic"], "--exchange-model 'magic' is no model"),
        (["backtest", RECORDING, "--queue-model", "fast"], "--queue-model 'fast' is no model"),
        (["backtest", RECORDING, "--latency", "soon"], "--latency 'soon' is no time"),
        (["backtest", RECORDING, "--fees", "0"], "--fees '0' is not MAKER,TAKER"),
        (["backtest", __file__], "test_cli.py"),
        (["backtest", RECORDING, "--qty", "1"], "--qty is of an order that --algo works: give --algo NAME too"),
        (["backtest", RECORDING, "--start", "5"], "--start is of an order that --algo works"),
        (
            ["backtest", RECORDING, "--exchange-model", "bar"],
            "exchange model 'bar' is for bars, and the data are ticks",
        ),
        (["backtest", RECORDING, "--algo", "twap", "--qty", "1", "--exchange-model", "bar"], "'bar' is for bars"),
        ([*BARS, "--exchange-model", "displayed"], "--exchange-model displayed is for ticks, and"),
        ([*BARS, "--latency", "10ms"], "--latency 10ms is for ticks, and"),
        ([*BARS, "--queue-model", "log"], "--queue-model log is for ticks, and"),
        ([*BARS, "--timeframe", "90s"], "bars of 90s cannot be made of bars of 1m: give a multiple"),
        (["backtest", RECORDING, "--report", "sheet.pdf"], "sheet.pdf is neither HTML nor PNG"),
        (["optimize", "--range", "half_spread_ticks=1:3"], "no market data is given: zoms optimize FILE"),
        (["optimize", RECORDING], "no parameter is given to search: give one as NAME=LOW:HIGH"),
        (
            ["optimize", RECORDING, "--range", "half_spread_ticks=1:10:4"],
            "does not divide into steps of 4: let it",
        ),
        (["optimize", RECORDING, "--range", "spread=1:3"], "strategy market_maker has no parameter 'spread' to search"),
        (["optimize", RECORDING, "--range", "skew_ticks=1:3", "--target", "sharpe"], "sharpe_ratio needs 30 days"),
        (["optimize", RECORDING, "--range", "skew_ticks=1:3", "--embargo", "1 hour"], "write 90s, 30m, 1h or 2d"),
        (["optimize", "--resume", "none"], "there is no study 'none' in"),
        (["optimize", RECORDING, "--range", "skew_ticks=1:3", "--timeframe", "1h"], "--timeframe 1h is for bars, and"),
        (["optimize", *BARS[1:], "--range", "skew_ticks=1:3", "--clock", "dual"], "holds bars: they have one clock"),
        (["optimize", *BARS[1:2], "--range", "skew_ticks=1:3"], "does not say which instrument it is of: name it by"),
        (["optimize", RECORDING, "--resume", "none"], "leave FILE away"),
        (["optimize", "--resume", "none", "--clock", "dual"], "what study none was asked for: leave --clock away"),
        (["optimize", "--resume", "none", "--seed", "1"], "leave --seed away"),
        (["optimize", "--resume", "none", "--embargo", "1s"], "leave --embargo away"),
        (
            ["optimize", RECORDING, "--range", "skew_ticks=1:3", "--param", "skew_ticks=2"],
            "--param skew_ticks has no effect beside --range skew_ticks: leave one away",
        ),
        (
            ["optimize", RECORDING, "--range", "skew_ticks=1:3", "--param", "skew=2"],
            "has no parameter 'skew' to set: it has",
        ),
        ([*BARS, "--instrument", "X.okx"], "instrument X.okx is named for no file"),
        (["stream", RECORDING, "--endpoint", "here"], "--endpoint 'here' is not like"),
        (["status"], "no session of account 'paper' runs"),
        (["order", "list"], "no session of account 'paper' runs"),
        (["halt"], "no session of account 'paper' runs"),
        (["redefine", "BTCUSDT", "tick=0.5"], "no session of account 'paper' runs"),
        (["kill"], "no session of account 'paper' runs"),
        (["halt", "--sub-account", "a", "--strategy", "b"], "exclude each other"),
        (["order", "place", "buy", "X", "1", "--tif", "gtd", "--good-till", "soon"], "--good-till 'soon' is no time"),
        (["order", "place", "buy", "X", "1", "--good-till", "2030-01-01"], "write it like 2026-12-25T08:00:00Z"),
        (["orders"], "nothing has been recorded"),
        (["journal"], "there is no journal in"),
        (["journal", __file__], "test_cli.py"),
    ],
)
def test_error_is_one_clear_line(zoms: Zoms, arguments: list[str], message: str) -> None:
    status, out, err = zoms(*arguments)
    assert status == 1
    assert message in err
    assert err.startswith("zoms: ")
    assert err.count("\n") == 1
    assert out == ""


@pytest.mark.parametrize("command", [["paper", "--replay", RECORDING], ["backtest", RECORDING]])
def test_the_exchange_model_for_bars_is_refused_for_ticks(zoms: Zoms, tmp_path: Path, command: list[str]) -> None:
    path = tmp_path / "bar.toml"
    path.write_text('[matching]\nmodel = "bar"\n')
    status, out, err = zoms(*command, "--settings", os.fspath(path))
    assert (status, out) == (1, "")
    assert err.startswith("zoms: exchange model 'bar' is for bars, and the data are ticks: use displayed, ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["paper", "--nonsense"],
        ["order", "place", "by", "X", "1"],
        ["order", "place", "buy", "X", "1", "--type", "stop"],
        ["order", "bracket", "buy", "X", "1", "--target", "1"],
        ["fills", "--limit", "0"],
    ],
)
def test_wrong_usage_ends_with_status_2(zoms: Zoms, arguments: list[str]) -> None:
    status, _, err = zoms(*arguments)
    assert status == 2
    assert "Usage: " in err
    assert "Traceback" not in err


def test_version_names_what_it_runs_on(zoms: Zoms) -> None:
    outcome = zoms("version")
    assert re.match(r"zoms \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+, numba .*\)\n$", outcome.out)


# A whole session


def test_summary_has_every_figure(finished: tuple[Path, dict[str, Any]]) -> None:
    summary = finished[1]
    assert summary["ticks"] > 100_000
    assert summary["ticks_lost"] == 0
    assert summary["ticks_recorded"] == summary["ticks"]
    assert summary["orders"] > 0
    assert summary["fills"] > 0
    assert summary["instrument"] == "BTCUSDT.binance_usdm"
    assert re.fullmatch(r"-?\d+\.\d{3}", summary["position"])
    assert re.fullmatch(r"-?\d+(\.\d+)?", summary["realized_pnl"])
    assert float(summary["fees"]) > 0
    latency = summary["latency"]["tick_to_order"]
    assert 0 < latency["p50_us"] <= latency["p99_us"] <= latency["p999_us"] <= latency["max_us"]
    assert set(summary["rss_mb"]) == {"core", "recorder", "rpc", "gateway"}
    assert summary["problems"] == []


def test_session_leaves_what_its_summary_says(finished: tuple[Path, dict[str, Any]], recorded: Zoms) -> None:
    summary = finished[1]
    positions = recorded("positions", "--json").last_json["positions"]
    [position] = [each for each in positions if each["strategy"] < 0]
    assert position["qty_text"] == summary["position"]
    assert position["realized_pnl_text"] == summary["realized_pnl"]
    assert position["fees_text"] == summary["fees"]
    assert position["fills"] == summary["fills"]
    assert len(recorded("fills", "--json", "--limit", "1000000").last_json) == summary["fills"]
    counts = recorded("recorded", "--json").last_json
    assert sum(each["ticks"] for each in counts["ticks"]) == summary["ticks"]


def test_backtest_of_the_recording_gives_the_session_its_figures(
    finished: tuple[Path, dict[str, Any]], zoms: Zoms
) -> None:
    summary = finished[1]
    result = zoms("backtest", RECORDING, "--clock", "local", "--json").last_json
    figures = result["instruments"][0]
    assert result["fills"] == summary["fills"]
    assert result["orders"] == summary["orders"]
    assert figures["position"] == summary["position"]
    assert figures["realized_pnl"] == summary["realized_pnl"]
    assert figures["fees"] == summary["fees"]
    assert result["performance"]["whole"]["metrics"]["fees"] == summary["fees"]


def test_backtest_prints_its_metrics_and_writes_its_tear_sheets(zoms: Zoms, tmp_path: Path) -> None:
    files = [tmp_path / "sheet.html", tmp_path / "sheet.png"]
    reports = [word for file in files for word in ("--report", os.fspath(file))]
    status, out, err = zoms("backtest", RECORDING, "--duration", "10", *reports)
    assert (status, err) == (0, "")
    assert re.search(r"^net PnL +-?\d", out, re.MULTILINE)
    assert "no Sharpe ratio, Sortino ratio: the data are 10 s long" in out
    assert files[0].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert files[1].read_bytes().startswith(b"\x89PNG")


def test_backtest_of_bars_gives_strategies_both_timeframes_and_fills_at_the_next_open(
    zoms: Zoms, tmp_path: Path
) -> None:
    """Bought at the close of the second minute, filled at the third's open; sold likewise behind two long bars."""
    strategy = tmp_path / "two_frames.py"
    strategy.write_text(
        "from strategies.api import BUY, SELL, bar_timeframe, memory, submit_market\n"
        "def on_bar(st, me, bar):\n"
        "    kept = memory(st, me)\n"
        "    k = bar_timeframe(bar)\n"
        "    kept[k] += 1\n"
        "    if k == 0 and kept[0] == 2:\n"
        "        submit_market(st, me, BUY, 5)\n"
        "    elif k == 1 and kept[1] == 2:\n"
        "        submit_market(st, me, SELL, 5)\n"
    )
    rows = [f"2024-08-05T00:{minute:02}:00Z,{60_000 + minute},60100,59900,60050,10" for minute in range(12)]
    data = tmp_path / "minutes.csv"
    data.write_text("\n".join(["time,open,high,low,close,volume", *rows]))
    told = [*("backtest", os.fspath(data)), *BARS[2:], "--strategy", os.fspath(strategy), "--timeframe", "5m", "--json"]
    status, out, err = zoms(*told)
    assert (status, err) == (0, "")
    result = json.loads(out)
    assert result["model"] == "bar"
    (trade,) = result["performance"]["trades"]
    assert (trade["entry_price"], trade["exit_price"], trade["qty"]) == ("60002", "60010", "0.005")
    assert result["performance"]["whole"]["metrics"]["sharpe_ratio"] is None
    short = json.loads(zoms(*told, "--duration", "240")[1])
    assert (short["ticks"], short["fills"]) == (4, 1)


def test_backtest_with_a_strategy_that_fails_says_so_and_fails(zoms: Zoms, tmp_path: Path) -> None:
    failing = tmp_path / "failing.py"
    failing.write_text("def on_tick(st, me, tick):\n    raise ValueError\n")
    status, out, err = zoms("backtest", RECORDING, "--strategy", os.fspath(failing), "--duration", "2")
    assert status == 1
    assert "strategy failing failed at 2024-08-08T23:5" in err
    assert "ticks/s" in out
    assert "no figures: a strategy failed: the run is not judged" in out
    assert "net PnL" not in out
    assert "realized" not in out
    assert "BTCUSDT" not in out


def two_recordings(folder: Path) -> tuple[list[str], str]:
    """The first seconds of the recording, and a copy of them as of another instrument; settings that have both."""
    lines = gzip.decompress(Path(RECORDING).read_bytes()).splitlines(keepends=True)[:2500]
    beside = sidecar_path(Path(RECORDING)).read_text()
    for symbol in ("BTCUSDT", "BTCUSDC"):
        for name, text in (("", b"".join(lines).decode()), (".toml", beside)):
            renamed = text.replace("BTCUSDT", symbol).replace("btcusdt", symbol.lower())
            (folder / f"{symbol}{name}").write_text(renamed)
    common = 'venue = "binance_usdm"\nkind = "linear_perpetual"\nbase = "BTC"\ntick = "0.1"\nmin_notional = "5"\n'
    path = folder / "two.toml"
    path.write_text(
        f'[[instruments]]\nid = 0\nsymbol = "BTCUSDT"\nquote = "USDT"\nlot = "0.001"\n{common}'
        f'[[instruments]]\nid = 1\nsymbol = "BTCUSDC"\nquote = "USDC"\nlot = "0.0005"\n{common}'
        '[currencies.USDC]\nrate = "1"\n'
        '[accounts.paper]\nbalances = { "binance_usdm.USDT" = "5000000", "binance_usdm.USDC" = "5000000" }\n'
        'position_mode = "netting"\nmargin_mode = "cross"\ncost_basis = "average"\nleverage = "5"\n'
        'day_reset = "00:00 UTC"\nmax_gross_exposure = "1e7"\nmax_net_exposure = "1e7"\nmax_leverage = "3"\n'
        'max_open_orders = 200\nmax_daily_loss = "1e6"\nmax_drawdown = "1e6"\nmax_orders_per_second = 200\n'
        "max_cancels_per_second = 400\n"
        + "".join(
            f'[risk."{symbol}.binance_usdm"]\nmax_order_qty = "100"\nmax_order_notional = "1e7"\n'
            'price_collar = "0.05"\nmax_position = "100"\nmax_open_orders = 50\nmax_orders_per_second = 100\n'
            "max_book_age_ms = 5000\nduplicate_window_ms = 0\n"
            for symbol in ("BTCUSDT", "BTCUSDC")
        )
    )
    return [os.fspath(folder / symbol) for symbol in ("BTCUSDT", "BTCUSDC")], os.fspath(path)


def test_an_order_over_two_recordings_is_routed_and_measured_over_both(zoms: Zoms, tmp_path: Path) -> None:
    files, settings = two_recordings(tmp_path)
    order = ("backtest", *files, "--settings", settings, "--algo", "sor", "--side", "buy", "--qty", "20")
    status, out, err = zoms(*order, "--algo-param", "patience_s=1")
    assert (status, err) == (0, "")
    assert re.search(r"^20\.0+ filled, 100 %", out, re.MULTILINE)
    assert re.search(r"^BTCUSDT.binance_usdm +\d+\.\d+ +\d+ .* USDT$", out, re.MULTILINE)
    assert re.search(r"^BTCUSDC.binance_usdm +\d+\.\d+ +\d+ .* USDC$", out, re.MULTILINE)
    named = zoms(*order, "--venue", "BTCUSDC.binance_usdm", "--algo-param", "patience_s=1", "--json").last_json
    assert named["state"] == "filled"
    shares = {each["symbol"]: float(each["filled"]) for each in named["venues"]}
    assert set(shares) == {"BTCUSDT.binance_usdm", "BTCUSDC.binance_usdm"}
    assert all(shares.values())
    assert sum(shares.values()) == pytest.approx(20)
    refused = zoms("backtest", *files, "--settings", settings, "--algo", "twap", "--qty", "1", "--venue", "BTCUSDC")
    assert (refused.status, refused.err) == (1, "zoms: algorithm twap trades at one venue: name no other\n")


def test_optimize_searches_tests_and_tells_what_may_be_luck(zoms: Zoms) -> None:
    ranges = ["--range", "half_spread_ticks=2:8:3", "--range", "skew_ticks=0,10"]
    terms = ["--sampler", "grid", "--duration", "10", "--folds", "walk-forward:2", "--embargo", "1s", "--name", "mine"]
    status, out, err = zoms("optimize", RECORDING, *ranges, *terms, "--constraint", "max_drawdown<=0.5")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith("10 s of data are too few to choose parameters by")
    assert re.search(r"^trial +half_spread_ticks +skew_ticks +total_return +max_drawdown +trades$", out, re.MULTILINE)
    assert len(re.findall(r"^ +[0-5] +[258] +(?:0|10) ", out, re.MULTILINE)) == 6
    assert re.search(r"^fold 2 +2024-08-08 23:5\d:\d\d - 23:5\d:\d\d +half_spread_ticks=", out, re.MULTILINE)
    assert re.search(r"probability of overfitting +[01]\.\d{3}", out)
    assert "deflated Sharpe ratio       -  (the data are 10 s long: it needs 30 days)" in out
    again = zoms("optimize", "--resume", "mine", "--json")
    assert again.status == 0
    assert len(again.last_json["trials"]["whole"]) == 6
    assert zoms("optimize", RECORDING, *ranges, *terms).err.startswith("zoms: study 'mine' exists already")


def test_optimize_takes_bars_and_options_about_the_exchange(zoms: Zoms) -> None:
    about = ["--strategy", "moving_average", "--fees", "0.0001,0.0002", "--timeframe", "5m", "--duration", "60000"]
    grid = ["--range", "fast_bars=5:15:10", "--param", "slow_bars=30", "--sampler", "grid", "--target", "net_pnl"]
    status, out, err = zoms("optimize", *BARS[1:], *about, *grid, "--name", "bars", "--json")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith("59,940 s of data are too few")
    for trial in json.loads(out)["trials"]["whole"]:
        parameters = ["--param", f"fast_bars={trial['parameters']['fast_bars']}", "--param", "slow_bars=30"]
        alone = json.loads(zoms(*BARS, *about, *parameters, "--json").out)
        metrics = alone["performance"]["whole"]["metrics"]
        assert trial["figures"]["fills"] == alone["fills"] > 0
        assert trial["figures"]["net_pnl"] == pytest.approx(float(metrics["net_pnl"]))
    again = zoms("optimize", "--resume", "bars", "--fees", "0,0")
    assert (again.status, again.err) == (
        1,
        "zoms: --resume goes on with what study bars was asked for: leave --fees away\n",
    )


@pytest.mark.thorough
def test_optimize_shows_the_front_of_several_targets(zoms: Zoms) -> None:
    targets = ["--target", "net_pnl", "--target", "fees:min", "--sampler", "genetic"]
    status, out, _ = zoms(
        "optimize", RECORDING, "--range", "half_spread_ticks=2:8", *targets, "--trials", "6", "--duration", "3"
    )
    assert status == 0
    assert out.startswith("Pareto front over all data, by net_pnl:max, fees:min:")


@pytest.mark.thorough
def test_optimize_of_a_strategy_that_fails_has_no_figures(zoms: Zoms, tmp_path: Path) -> None:
    failing = tmp_path / "failing.py"
    failing.write_text('PARAMETERS = {"a": 1.0}\n\n\ndef on_tick(st, me, tick):\n    raise ValueError\n')
    arguments = ["--strategy", os.fspath(failing), "--range", "a=1:3", "--duration", "1", "--sampler", "grid"]
    status, out, err = zoms("optimize", RECORDING, *arguments)
    assert (status, out) == (1, "")
    assert "none of the first 3 trials of whole could be judged" in err
    assert "strategy failing failed at 2024-08-08" in err


@pytest.mark.parametrize("command", [["recorded"], ["orders"], ["fills"], ["positions"], ["journal"]])
def test_recorded_data_is_shown_as_text(recorded: Zoms, command: list[str]) -> None:
    status, out, err = recorded(*command)
    assert (status, err) == (0, "")
    assert len(out.splitlines()) > 1


def test_journal_is_verified_whole_and_closed(recorded: Zoms) -> None:
    out = recorded("journal").out
    assert "every entry is whole" in out
    assert "closed in good order" in out


def test_journal_entries_are_printed_one_a_line(recorded: Zoms) -> None:
    lines = recorded("journal", "--entries").out.splitlines()
    assert sum("EVENT event: seq=" in line or "EVENT event: ts=" in line for line in lines) > 100


def test_strategy_that_does_not_compile_ends_the_session_with_its_error(zoms: Zoms, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def on_tick(st, me, tick):\n    nothing.of_this_name()\n")
    status, _, err = zoms(
        "paper",
        "--replay",
        RECORDING,
        "--strategy",
        os.fspath(broken),
        "--json",
        "--settings",
        str(settings_file(tmp_path)),
    )
    assert status == 1
    assert "strategy broken.py" in err
    assert "Traceback" not in err


def test_missing_parameter_of_a_strategy_is_named(zoms: Zoms, tmp_path: Path) -> None:
    outcome = zoms(
        "paper", "--replay", RECORDING, "--param", "spread=5", "--json", "--settings", str(settings_file(tmp_path))
    )
    assert outcome.status == 1
    assert "strategy market_maker has no parameter 'spread'" in outcome.last_json["problems"][0]


def test_stream_publishes_the_whole_recording_to_a_subscriber(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/ticks"
    with subprocess.Popen(
        [*ZOMS, "stream", RECORDING, "--endpoint", endpoint, "--speed", "max", "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        context = new_context()
        ticks = Subscriber(context, [endpoint], [RecordKind.TICK])
        received = 0
        deadline = time.monotonic() + DEADLINE_S
        while process.poll() is None and time.monotonic() < deadline:
            ticks.socket.poll(20)
            received += sum(len(frame.records) for frame in ticks.drain(1000))
        received += sum(len(frame.records) for frame in ticks.drain(100_000))
        assert process.stdout is not None
        summary = json.loads(process.stdout.read())
        ticks.close()
        context.destroy(linger=0)
    assert received == summary["ticks"] > 100_000
    assert ticks.tracker.lost == 0


# Orders by hand, on a session that runs


def test_order_is_placed_amended_listed_and_cancelled(live: Zoms) -> None:
    placed = live(
        "order", "place", "buy", "BTCUSDT", "0.01", "--price", "61000", "--post-only", "--id", "one", "--json"
    )
    assert placed.status == 0, placed.err
    assert placed.last_json["state"] == "live"
    amended = live("order", "amend", "one", "--price", "61000.5", "--qty", "0.02")
    assert amended.out == "one: buy 0.020 BTCUSDT.binance_usdm at 61000.5: live\n"
    assert "one" in live("order", "list").out
    assert live("order", "cancel", "one").out == "one: buy 0.020 BTCUSDT.binance_usdm at 61000.5: cancelled\n"
    assert live("order", "list").out == "no orders\n"
    assert "cancelled" in live("order", "list", "--closed").out


def test_same_order_sent_twice_is_one_order(live: Zoms) -> None:
    command = ("order", "place", "buy", "BTCUSDT.binance_usdm", "0.01", "--price", "61000", "--id", "twice", "--json")
    first, second = live(*command).last_json, live(*command).last_json
    assert first["order_id"] == second["order_id"]
    assert live("order", "cancel-all", "--json").last_json == {"cancels": 1}


def test_market_order_fills_and_shows_in_the_status(live: Zoms) -> None:
    assert live("order", "place", "sell", "BTCUSDT", "0.005", "--json").last_json["state"] == "filled"
    status = live("status", "--json").last_json
    assert status["trading_state"] == "active"
    assert status["positions"][0]["qty"] == "-0.005"
    assert all(heartbeat["state"] == "ready" for heartbeat in status["processes"].values())
    assert live("status").status == 0


def test_stop_is_placed_moved_replaced_and_cancelled(live: Zoms) -> None:
    placed = live(
        "order", "place", "sell", "BTCUSDT", "0.01", "--type", "stop-market", "--trigger", "50000", "--id", "s"
    )
    assert (
        placed.out
        == "s: sell 0.010 BTCUSDT.binance_usdm at the market, stop 50000.0: held by the core, not at the exchange\n"
    )
    moved = live("order", "amend", "s", "--trigger", "50001")
    assert (
        moved.out
        == "s: sell 0.010 BTCUSDT.binance_usdm at the market, stop 50001.0: held by the core, not at the exchange\n"
    )
    assert "market from 50001.0" in live("order", "list").out
    replaced = live("order", "replace", "s", "--trigger", "50002", "--new-id", "s-2", "--json").last_json
    assert (replaced["contingency"], replaced["trigger_price"]) == ("replace", "50002.0")
    assert live("order", "cancel", "s-2").status == 0
    assert live("order", "list").out == "no orders\n"


def test_trailing_stop_and_display_quantity_are_taken(live: Zoms) -> None:
    command = ("order", "place", "sell", "BTCUSDT", "0.01", "--type", "trailing-stop-market")
    placed = live(*command, "--trail", "900", "--trail-unit", "basis-points", "--json").last_json
    assert (placed["state"], placed["order_type"]) == ("held", "trailing_stop_market")
    assert (placed["trail_by"], placed["trail_unit"]) == ("900", "basis_points")
    assert ", trailing by 900 basis points" in live("order", "list").out
    shown = live(
        "order", "place", "buy", "BTCUSDT", "0.01", "--price", "61000", "--display", "0.002", "--json"
    ).last_json
    assert shown["display_qty"] == "0.002"
    assert live("order", "cancel-all", "--sub-account", "paper").out == "2 cancels sent\n"


def test_bracket_is_an_entry_with_a_target_and_a_stop(live: Zoms) -> None:
    exits = ("--target", "62500", "--stop", "60500")
    lines = live("order", "bracket", "buy", "BTCUSDT", "0.01", "--price", "61000", *exits, "--id", "b").out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["b", "b-target", "b-stop"]
    assert lines[2].endswith(
        "sell 0.010 BTCUSDT.binance_usdm at the market, stop 60500.0: held by the core, not at the exchange"
    )
    assert live("order", "cancel", "b").status == 0
    assert live("order", "list").out == "no orders\n"


def test_an_algorithm_is_started_watched_and_ended_as_the_page_shows(live: Zoms) -> None:
    page = (ROOT / "docs" / "running-algorithms.md").read_text()
    section = page.split("## From the command line")[1].split("\n## ")[0]
    commands = [shlex.split(line[2:])[1:] for line in section.splitlines() if line.startswith("$ zoms ")]
    told = {tuple(words[:2]): live(*words) for words in commands}
    assert {outcome.status for outcome in told.values()} == {0}
    assert "best-limit: " in told["algo", "list"].out
    order = "BTCUSDT.binance_usdm at 61000.0, best-limit"
    assert told["algo", "start"].out == f"work-1: buy 0.020 {order}: running\n"
    assert told["algo", "amend"].out == f"work-1: buy 0.030 {order}: running\n"
    assert told["algo", "pause"].out == f"work-1: buy 0.030 {order}: paused\n"
    assert told["algo", "resume"].out == f"work-1: buy 0.030 {order}: running\n"
    shown = told["algo", "show"].out
    assert "parameters    offset_ticks 2," in shown
    assert told["algo", "cancel"].out == f"work-1: buy 0.030 {order}: cancelled (REQUESTED)\n"
    assert live("algo", "show").out == "no algorithm works an order\n"
    (done, *_) = live("algo", "show", "--closed", "--json").last_json
    assert (done["client_order_id"], done["state"], done["parameters"]["offset_ticks"]) == ("work-1", "cancelled", 2.0)
    assert "cancelled  REQUESTED" in live("algo", "show", "--closed", "--everyone").out


def test_children_of_an_algorithm_are_shown_with_it(live: Zoms) -> None:
    command = ("algo", "start", "best-limit", "BTCUSDT", "buy", "0.01", "--price", "61000", "--id", "parent", "--json")
    order_id = live(*command).last_json["order_id"]
    assert live(*command).last_json["order_id"] == order_id
    child = wait_until(lambda: live("algo", "show", "parent", "--json").last_json["open_children"])[0]
    assert (child["parent_order_id"], child["price"], child["client"]) == (order_id, "61000.0", "cli")
    listed = live("order", "list").out
    assert "parent" in listed
    assert str(child["order_id"]) in listed
    assert live("order", "cancel-all", "--json").last_json == {"cancels": 1}
    wait_until(lambda: live("order", "list").out == "no orders\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["start", "worst", "BTCUSDT", "buy", "1"], "BAD_ALGORITHM: unknown algorithm 'worst'"),
        (["start", "best-limit", "BTCUSDT", "buy", "1", "-p", "offset_ticks"], "'offset_ticks' is not NAME=VALUE"),
        (
            ["start", "best-limit", "BTCUSDT", "buy", "1", "-p", "offset_ticks=-1"],
            "BAD_PARAMETER: parameter offset_ticks",
        ),
        (["start", "best-limit", "BTCUSDT", "buy", "1", "--tif", "ioc"], "BAD_TIME_IN_FORCE"),
        (["amend", "nobody", "--qty", "1"], "nobody"),
        (["pause", "nobody"], "nobody"),
        (["show", "nobody"], "nobody"),
    ],
)
def test_a_refused_request_about_an_algorithm_says_why(live: Zoms, arguments: list[str], message: str) -> None:
    outcome = live("algo", *arguments)
    assert outcome.status == 1
    assert message in outcome.err


def test_status_shows_accounts_and_strategies(live: Zoms) -> None:
    (account, *_) = live("status", "--json").last_json["standings"]
    assert (account["account"], account["strategy"], account["currency"]) == ("paper", None, "USDT")
    assert "PnL USDT" in live("status").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["place", "buy", "BTCUSDT", "0.01", "--type", "stop-market"], "needs a trigger_price"),
        (["place", "buy", "BTCUSDT", "0.01", "--sub-account", "none"], "unknown account 'none'"),
        (["cancel-all", "--strategy", "none"], "strategy 'none' does not run"),
        (["place", "buy", "BTCUSDT", "0.01", "--price", "61000.05"], "61000.05 is not on BTCUSDT's tick 0.1"),
        (["place", "buy", "BTCUSDT", "much"], "'much' is not plain decimal text"),
        (["place", "buy", "DOGE", "1"], "DOGE"),
        (["place", "buy", "BTCUSDT", "100", "--price", "61000"], "QTY_ABOVE_MAX"),
        (["place", "buy", "BTCUSDT", "0.01", "--price", "40000"], "PRICE_COLLAR"),
        (["amend", "nobody", "--price", "61000"], "nobody"),
        (["cancel", "nobody"], "nobody"),
    ],
)
def test_refused_request_says_why(live: Zoms, arguments: list[str], message: str) -> None:
    status, _, err = live("order", *arguments)
    assert status == 1
    assert message in err
    assert err.count("\n") == 1


def test_halted_account_takes_cancels_only(live: Zoms) -> None:
    live("order", "place", "buy", "BTCUSDT", "0.01", "--price", "61000", "--id", "resting")
    assert live("halt").out == "trading is halted\n"
    assert "TRADING_HALTED" in live("order", "place", "buy", "BTCUSDT", "0.01").err
    assert live("order", "cancel", "resting", "--json").last_json["state"] == "cancelled"
    assert live("reduce").out == "trading is reducing\n"
    assert live("resume").out == "trading is active\n"


def test_kill_switch_halts_and_cancels(live: Zoms) -> None:
    live("order", "place", "buy", "BTCUSDT", "0.01", "--price", "61000", "--id", "last")
    said = "trading is halted for every account, orders are being cancelled, positions are being closed\n"
    assert live("kill", "--flatten").out == said
    assert (live("status", "--json").last_json["trading_state"], live("order", "list").status) == ("halted", 0)
    assert live("resume", "--sub-account", "paper").out == "trading is active for paper\n"


def test_second_session_of_the_account_is_refused(live: Zoms, session: RunningSession) -> None:
    status, _, err = live("paper", "--replay", RECORDING)
    assert status == 1
    assert f"account 'paper' is in use by process {session.process.pid}" in err


def test_used_port_ends_a_session_with_its_name(zoms: Zoms, tmp_path: Path) -> None:
    context = new_context()
    taken = context.socket(zmq.ROUTER)
    port = taken.bind_to_random_port("tcp://127.0.0.1")
    path = settings_file(tmp_path)
    path.write_text(f'rpc_endpoint = "tcp://127.0.0.1:{port}"\n')
    outcome = zoms("paper", "--replay", RECORDING, "--speed", "max", "--json", "--settings", os.fspath(path))
    context.destroy(linger=0)
    assert outcome.status == 1
    assert f"tcp://127.0.0.1:{port} is in use" in outcome.last_json["problems"][0]


def test_a_new_version_of_an_instrument_is_put_in_force(live: Zoms) -> None:
    told = live("redefine", "BTCUSDT.binance_spot", "tick=0.05")
    assert told.out == "BTCUSDT trades in version 2 from its next snapshot on\n"
    assert "'symbol' cannot be changed by hand" in live("redefine", "BTCUSDT.binance_spot", "symbol=X").err
    settings = live.folder / "newer.toml"
    settings.write_text("")
    assert "raise its version" in live("redefine", "--settings", os.fspath(settings)).err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["tick=0"], r"BTCUSDT's tick 0 must be above zero"),
        (["lot=-1"], r"BTCUSDT's lot -1 must be above zero"),
        (["tick=cheap"], r"BTCUSDT's tick 'cheap' is not a decimal"),
        (["tick"], r"BTCUSDT's tick '' is not a decimal"),
        (["min_qty=1e30"], r"BTCUSDT's min_qty 1e30 is too large"),
        (["max_leverage=0.5"], r"BTCUSDT's max_leverage 0.5 must be at least 1"),
        (["lot=0.005"], r"min_qty 0.001 would not be on BTCUSDT's lot 0.005: give min_qty=0.005 too"),
        (["lot=300", "min_qty=300"], r"max_qty 1000 would not be on BTCUSDT's lot 300: give max_qty=900 too"),
        (
            ["lot=3000"],
            r"min_qty 0.001 and max_qty 1000 would not be on BTCUSDT's lot 3000: give min_qty=3000 max_qty=3000 too",
        ),
        (["lot=0.005", "min_qty=0.007"], r"min_qty 0.007 is not on BTCUSDT's lot 0.005"),
    ],
)
def test_definition_that_cannot_be_used_is_refused_with_the_remedy(
    zoms: Zoms, monkeypatch: pytest.MonkeyPatch, changes: list[str], message: str
) -> None:
    settings = load_settings(overrides={"replay": {"file": RECORDING}, "data_dir": os.fspath(zoms.folder)})
    monkeypatch.setattr("oms.commands.redefine.running_settings", lambda account, folder: settings)
    outcome = zoms("redefine", "BTCUSDT.binance_usdm", *changes)
    assert (outcome.status, outcome.out) == (1, "")
    assert re.fullmatch(f"zoms: {message}.*\n", outcome.err)
    assert cli.TRACEBACK_VARIABLE not in outcome.err


def test_limits_that_stay_on_the_new_lot_need_no_mention(tmp_path: Path) -> None:
    settings = load_settings(overrides={"replay": {"file": RECORDING}, "data_dir": os.fspath(tmp_path)})
    changed = next_version(settings, "BTCUSDT.binance_usdm", ["tick=0.5", "lot=0.0005"])
    assert (changed.version, changed.lot, changed.min_qty, changed.max_qty) == (2, "0.0005", "0.001", "1000")


def test_status_says_what_was_refused_of_the_input_and_where_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    counters = {"gateway": {"refused": 144_184.0}, "core": {"malformed": 1.0, "refused": 5.0}}
    alive = {
        name: Heartbeat(process=name, pid=7, ts=1, started_ts=1, state="ready", rss_mb=99.0, counters=counters[name])
        for name in counters
    }
    say_bad_input(bad_input(alive), "/data/paper")
    say_bad_input(bad_input({}), "/data/paper")
    assert capsys.readouterr().out == (
        "  bad input   144,185 lines or frames refused, see /data/paper/run/gateway*.log\n"
    )


def test_killed_core_comes_back_halted_and_resumes(live: Zoms, session: RunningSession) -> None:
    core = live("status", "--json").last_json["processes"]["core"]["pid"]
    os.kill(core, signal.SIGKILL)
    session.wait_for("core ready")
    status = live("status", "--json").last_json
    assert status["processes"]["core"]["pid"] != core
    assert (status["trading_state"], status["trading_reason"]) == ("halted", "RESTARTED")
    assert live("resume").out == "trading is active\n"


def test_interrupt_ends_a_session_in_order_and_its_summary_tells_of_the_killed_core(session: RunningSession) -> None:
    children = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(session.process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(children) == 4
    assert session.end() == 1
    assert "problem     core was started again (1)" in session.lines[-1]
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
