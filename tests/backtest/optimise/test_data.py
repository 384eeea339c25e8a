"""What a study runs over: of every format, and on both clocks, a trial has the figures of the backtest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from backtest.data.clocks import DataError
from backtest.data.opening import open_sources
from backtest.optimise.data import StudyData, open_data, read_data
from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Evaluator, Job, Task, all_figures
from backtest.optimise.folds import Part
from backtest.optimise.parts import read_part
from backtest.optimise.plan import Plan, facts_of
from backtest.optimise.targets import Target
from backtest.room import RoomError
from backtest.run import Backtest, BacktestError
from backtest.streaming import backtest_bars, backtest_sources
from gateways.recording import load_ticks
from oms.assembly import load
from oms.commands.demo import demo_recording
from oms.config import ConfigError, load_settings
from oms.records import TickKind
from tests.backtest.oracle import oracle_rows
from tests.backtest.test_streaming import SPOT
from tests.full_disk import files_bounded_to

DEMO = demo_recording()
USDM = "BTCUSDT.binance_usdm"
BARS = Path(__file__).resolve().parents[2] / "data/bars/cryptofuture_binance_minute_btcusd_20221213_trade.csv.gz"


def plan_of(folder: Path, *files: Path, instruments: tuple[str, ...] = (), **given: Any) -> Plan:
    """A plan of the shipped strategy over these files, with what is ``given``."""
    known: dict[str, Any] = {
        "name": "study",
        "settings": load_settings(None, {"replay": {"file": ""}, "data_dir": str(folder)}),
        "files": tuple(str(file) for file in files),
        "instruments": instruments,
        "space": ("half_spread_ticks=1:10",),
        "targets": ("net_pnl",),
        "duration_s": 10.0,
    }
    return Plan(**{**known, **given})


def data_of(plan: Plan, folder: Path) -> StudyData:
    return read_data(plan, open_data(plan), folder)


def trial_and_backtest(
    plan: Plan, parameter: dict[str, float], folder: Path
) -> tuple[dict[str, float], dict[str, float]]:
    """The figures of a trial over all data, and those of the backtest of the same."""
    folder.mkdir()
    opened = open_data(plan)
    data = read_data(plan, opened, folder)
    data.write_parts([data.whole], folder)
    task = Task(opened.settings, folder, Target("net_pnl", 1), plan.clock)
    trial = Evaluator(task, load(task.settings)).run(Job(parameter, (data.whole,)))
    settings = plan.settings
    chosen = settings.strategies[0].parameters | parameter
    settings = load_settings(
        None,
        {
            "replay": {"file": ""},
            "strategies": [
                {"file": each.file, "instrument": each.instrument, "parameters": chosen} for each in settings.strategies
            ],
        },
    )
    sources, bars = open_sources([Path(file) for file in plan.files], settings, plan.instruments)
    backtest: Backtest = (
        backtest_bars(settings, bars, plan.timeframes_ns, plan.duration_s)
        if bars
        else backtest_sources(settings, sources, plan.clock, plan.duration_s)
    )
    return trial.figures, all_figures(backtest.performance().whole.sample)[0]


def npz(folder: Path) -> Path:
    """The demo's first seconds as hftbacktest has them."""
    ticks = load_ticks(DEMO, load_settings(None, {"replay": {"file": ""}}).instrument(USDM), duration_s=8)
    ticks = ticks[ticks["kind"] != TickKind.QUOTE]
    np.savez_compressed(folder / "demo.npz", data=oracle_rows(ticks, 0.1, 0.001, ending=False))
    return folder / "demo.npz"


@pytest.mark.filterwarnings("ignore::gateways.recording.RecordingWarning")  # spot's three levels off the lot
@pytest.mark.parametrize("clock", ["local", "dual"])
@pytest.mark.parametrize("kind", ["recording", "two recordings", "hftbacktest"])
def test_trial_over_ticks_has_the_figures_of_the_backtest(tmp_path: Path, kind: str, clock: str) -> None:
    files = {"recording": [DEMO], "two recordings": [DEMO, SPOT], "hftbacktest": [npz(tmp_path)]}[kind]
    plan = plan_of(tmp_path, *files, instruments=(USDM,) * (kind == "hftbacktest"), clock=clock)
    ours, theirs = trial_and_backtest(plan, {"half_spread_ticks": 2.0}, tmp_path / "parts")
    assert ours == theirs
    assert ours["fills"] > 0


def test_trial_over_bars_has_the_figures_of_the_backtest(tmp_path: Path) -> None:
    settings = load_settings(
        None,
        {
            "replay": {"file": ""},
            "data_dir": str(tmp_path),
            "strategies": [{"file": "moving_average", "instrument": USDM}],
        },
    )
    given = {"settings": settings, "duration_s": 30_000.0, "timeframes_ns": (300 * 10**9,), "space": ("fast_bars=2:9",)}
    plan = plan_of(tmp_path, BARS, instruments=(USDM,), **given)
    ours, theirs = trial_and_backtest(plan, {"fast_bars": 3.0, "slow_bars": 9.0}, tmp_path / "parts")
    assert ours == theirs
    assert ours["fills"] > 0


def test_part_of_two_clocks_begins_with_what_each_knew(tmp_path: Path) -> None:
    """At the exchange a part holds what happened within it, and to the receiver what was received within it."""
    plan = plan_of(tmp_path, DEMO, clock="dual")
    data = data_of(plan, tmp_path)
    assert data.exchange is not None
    middle = (data.whole.start_ts + data.whole.end_ts) // 2
    parts = [Part(data.whole.start_ts, middle), Part(middle, data.whole.end_ts)]
    data.write_parts(parts, tmp_path)
    for rows, stamp in ((data.ticks, "local_ts"), (data.exchange, "exch_ts")):
        before, after = (read_part(tmp_path, part, stamp) for part in parts)
        assert before[stamp].max() < middle <= after[stamp].min()
        opening = len(before) + len(after) - len(rows)
        assert opening > 0
        assert set(after["kind"][:opening]) <= {TickKind.SNAPSHOT, TickKind.QUOTE, TickKind.MARK}
        assert after[opening:].tobytes() == rows[len(before) :].tobytes()
        assert len(before)


@pytest.mark.filterwarnings("ignore::gateways.recording.RecordingWarning")  # those that it is about
def test_what_of_the_data_could_not_be_used_is_told(tmp_path: Path) -> None:
    (problem,) = data_of(plan_of(tmp_path, SPOT, duration_s=0.0), tmp_path).problems
    assert problem.startswith("3 refused as QTY_BELOW_MIN, the first: ")


def test_damaged_data_are_not_searched_over_but_for_what_is_whole(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(DEMO.read_bytes()[:200_000])
    cut.with_suffix(".toml").write_text(DEMO.with_suffix(".toml").read_text())
    with pytest.raises(OptimiseError, match=r"cut.gz .* mend the file, or let --duration end before"):
        data_of(plan_of(tmp_path, cut, duration_s=0.0), tmp_path)
    assert data_of(plan_of(tmp_path, cut, duration_s=5.0), tmp_path).problems == ()


@pytest.mark.parametrize(
    ("files", "given", "error", "words"),
    [
        ([DEMO], {"timeframes_ns": (60 * 10**9,)}, OptimiseError, "longer timeframes are made of bars"),
        ([BARS], {"clock": "dual"}, OptimiseError, "holds bars: they have one clock, local"),
        ([BARS, DEMO], {}, DataError, "holds bars, .* ticks: run them apart"),
        ([DEMO, DEMO], {}, DataError, "is given twice: give each file once"),
        ([DEMO], {"duration_s": 1e-10}, OptimiseError, "there are no data within 1e-10 s"),
        ([Path("nowhere.csv")], {}, DataError, "there is no file nowhere.csv"),
    ],
)
def test_data_that_cannot_be_searched_over_are_an_error(
    tmp_path: Path, files: list[Path], given: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        data_of(plan_of(tmp_path, *files, instruments=(USDM,), **given), tmp_path)


def test_exchange_model_of_the_other_kind_of_data_is_an_error(tmp_path: Path) -> None:
    def settings(model: str) -> Any:
        return load_settings(None, {"replay": {"file": ""}, "matching": {"model": model}})

    with pytest.raises(ConfigError, match="'bar' is for bars, and the data are ticks"):
        open_data(plan_of(tmp_path, DEMO, settings=settings("bar")))
    with pytest.raises(BacktestError, match="'touch' needs a book, and the data are bars"):
        open_data(plan_of(tmp_path, BARS, instruments=(USDM,), settings=settings("touch")))


def test_duration_of_bars_begins_with_the_data_whatever_the_timeframes(tmp_path: Path) -> None:
    """A long bar that the data begin in the middle of opens before they do."""
    rows = [f"{1_700_001_000_000 + minute * 60_000},1,1,1,1,1" for minute in range(120)]  # from 22:30 on
    (tmp_path / "bars.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    of_bars = plan_of(tmp_path, tmp_path / "bars.csv", instruments=(USDM,), duration_s=3_600.0)
    with_hours = msgspec.structs.replace(of_bars, timeframes_ns=(3_600 * 10**9,))
    alone, both = (data_of(plan, tmp_path).ticks for plan in (of_bars, with_hours))
    assert len(alone) == 60
    assert both[both["side"] == 0].tobytes() == alone.tobytes()
    assert len(both) == 61


def test_what_decides_the_exchange_is_among_the_facts(tmp_path: Path) -> None:
    model, queue, latencies = (tmp_path / name for name in ("model.py", "queue.py", "latencies.csv"))
    for file in (model, queue, latencies):
        file.write_text("")
    chosen = {"model": str(model), "queue": str(queue), "latencies": str(latencies)}
    settings = load_settings(None, {"replay": {"file": ""}, "strategies": [], "matching": chosen})
    before = facts_of(settings)
    for file in (model, queue, latencies):
        file.write_text("# changed")
    after = facts_of(settings)
    assert [what for what in before if before[what] != after[what]] == [
        f"the code of {model}",
        f"the code of {queue}",
        f"the latencies of {latencies}",
    ]


def test_no_room_for_the_records_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    opened = open_data(plan := plan_of(tmp_path, DEMO))
    with files_bounded_to(10_000), pytest.raises(RoomError, match=rf"{tmp_path} has no room for the data"):
        read_data(plan, opened, tmp_path)
