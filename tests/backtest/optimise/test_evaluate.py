"""Trials: runs over several parts judged as one, and what becomes of a run that fails."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from backtest.data.clocks import exchange_order
from backtest.equity import EQUITY
from backtest.market import Rows
from backtest.marks import DAY_NS, HOUR_NS
from backtest.metrics import METRICS, Sample
from backtest.optimise.evaluate import (
    MOST_RETURNS,
    EvaluationError,
    Evaluator,
    Job,
    Task,
    all_figures,
    evaluate,
    joined_sample,
    returns_of,
    with_parameters,
)
from backtest.optimise.folds import Part
from backtest.optimise.parts import write_parts
from backtest.optimise.targets import Target
from backtest.trades import TRADE
from oms.assembly import load
from oms.commands.demo import demo_recording
from oms.config import Settings, load_settings


def sample(start_ts: int, *pnl: int, step_ns: int = HOUR_NS, capital: int = 10**13, trades: int = 0) -> Sample:
    curve = np.zeros(len(pnl), EQUITY)
    curve["ts"] = start_ts + step_ns * np.arange(len(pnl))
    curve["pnl"] = curve["realized_pnl"] = np.array(pnl) * 10**8
    return Sample(capital, curve, np.zeros(trades, TRADE), fills=trades, traded=trades, maker_traded=0)


@pytest.mark.pure
def test_equity_of_a_later_part_goes_on_where_the_one_before_ended() -> None:
    joined = joined_sample([sample(0, 0, 5, 3, trades=2), sample(3 * HOUR_NS, 0, -2, trades=1)])
    assert (joined.curve["pnl"] // 10**8).tolist() == [0, 5, 3, 3, 1]
    assert joined.pnl == 10**8
    assert len(joined.trades) == joined.fills == 3


@pytest.mark.pure
def test_whole_days_between_parts_count_as_no_time() -> None:
    joined = joined_sample([sample(0, 0, 1), sample(10 * DAY_NS + 2 * HOUR_NS, 0, 1)])
    assert (joined.curve["ts"] // HOUR_NS).tolist() == [0, 1, 2, 3]


@pytest.mark.pure
def test_one_part_is_left_as_it_is() -> None:
    only = sample(0, 0, 1)
    assert joined_sample([only]) is only


@pytest.mark.pure
def test_figures_are_in_the_currency_and_drawdowns_count_by_their_size() -> None:
    figures, absent = all_figures(sample(0, 0, 50, 20))
    assert figures["net_pnl"] == 20.0
    assert figures["max_drawdown_cash"] == 30.0
    assert figures["max_drawdown"] == pytest.approx(30 / 100_050)
    assert absent["sharpe_ratio"].startswith("the data are 7,200 s long and 0 trades were closed: it needs 30 days")
    assert set(figures) | set(absent) == {metric.name for metric in METRICS}


@pytest.mark.pure
def test_returns_are_those_of_days_where_there_are_enough() -> None:
    assert len(returns_of(sample(0, *range(41 * 24)))) == 40
    short = returns_of(sample(0, 0, 10, 10, 30, step_ns=60 * 10**9))
    assert len(short) == 180
    assert np.prod(1 + short) - 1 == pytest.approx(30 / 100_000)
    assert len(returns_of(sample(0, *range(2_000), step_ns=60 * 10**9))) == MOST_RETURNS


@pytest.mark.pure
def test_lost_capital_has_no_returns() -> None:
    assert len(returns_of(sample(0, 0, -100_001, 5))) == 0
    assert len(returns_of(sample(0, 0, 1, capital=0))) == 0
    assert len(returns_of(sample(0, 0))) == 0


@pytest.mark.pure
def test_parameters_go_to_every_strategy_and_leave_the_others_as_they_are() -> None:
    settings = load_settings(
        None,
        {
            "replay": {"file": "x"},
            "strategies": [
                {"file": "market_maker", "instrument": "BTCUSDT.binance_usdm", "parameters": {"order_lots": 3.0}},
                {"file": "market_maker", "instrument": "BTCUSDT.binance_spot"},
            ],
        },
    )
    first, second = with_parameters(settings, {"skew_ticks": 7.0}).strategies
    assert first.parameters == {"order_lots": 3.0, "skew_ticks": 7.0}
    assert second.parameters == {"skew_ticks": 7.0}


@pytest.fixture(scope="module")
def recorded() -> tuple[Settings, Rows]:
    from backtest.run import read_recording

    settings = load_settings(None, {"replay": {"file": str(demo_recording())}})
    return settings, read_recording(settings, demo_recording(), 10).ticks


def evaluator(settings: Settings, ticks: Rows, parts: list[Part], folder: Path) -> Evaluator:
    write_parts(ticks, settings.instruments, parts, folder)
    return Evaluator(Task(settings, folder, Target("net_pnl", 1)), load(settings))


def test_trial_has_the_figures_of_a_backtest_and_its_core_remembers_nothing(
    recorded: tuple[Settings, Rows], tmp_path: Path
) -> None:
    settings, ticks = recorded
    whole = Part(int(ticks["local_ts"][0]), int(ticks["local_ts"][-1]) + 1)
    run = evaluator(settings, ticks, [whole], tmp_path).run
    wide, narrow, again = (run(Job({"half_spread_ticks": spread}, (whole,))) for spread in (9.0, 1.0, 9.0))
    alone, _ = all_figures(evaluate(settings, {"half_spread_ticks": 9.0}, ticks))
    assert wide.figures == alone
    assert wide == again
    assert wide.figures != narrow.figures
    assert wide.figures["fills"] > 0


def test_part_from_the_middle_trades_at_once_and_both_halves_are_judged_as_one(
    recorded: tuple[Settings, Rows], tmp_path: Path
) -> None:
    settings, ticks = recorded
    start_ts, end_ts = int(ticks["local_ts"][0]), int(ticks["local_ts"][-1]) + 1
    middle = (start_ts + end_ts) // 2
    halves = (Part(start_ts, middle), Part(middle, end_ts))
    run = evaluator(settings, ticks, list(halves), tmp_path).run
    both, first, second = (run(Job({}, parts)) for parts in (halves, halves[:1], halves[1:]))
    assert second.figures["fills"] > 0
    for name in ("net_pnl", "fills", "fees", "trades"):
        assert both.figures[name] == pytest.approx(first.figures[name] + second.figures[name])
    assert both.steps == (first.figures["net_pnl"], both.figures["net_pnl"])


def test_trial_below_the_bar_is_given_up_without_figures(recorded: tuple[Settings, Rows], tmp_path: Path) -> None:
    settings, ticks = recorded
    start_ts, end_ts = int(ticks["local_ts"][0]), int(ticks["local_ts"][-1]) + 1
    middle = (start_ts + end_ts) // 2
    halves = (Part(start_ts, middle), Part(middle, end_ts))
    run = evaluator(settings, ticks, list(halves), tmp_path).run
    reached = run(Job({}, halves)).steps[0]
    assert reached is not None
    given_up = run(Job({}, halves, (reached + 0.01, None)))
    assert (given_up.is_pruned, given_up.figures, given_up.steps) == (True, {}, (reached,))
    assert not run(Job({}, halves, (reached, None))).is_pruned
    assert not run(Job({}, halves, (None, 10.0**9))).is_pruned


def test_run_whose_strategy_fails_has_no_figures(recorded: tuple[Settings, Rows], tmp_path: Path) -> None:
    _, ticks = recorded
    failing = tmp_path / "failing.py"
    failing.write_text("def on_tick(st, me, tick):\n    raise ValueError\n")
    settings = load_settings(
        None,
        {
            "replay": {"file": str(demo_recording())},
            "strategies": [{"file": str(failing), "instrument": "BTCUSDT.binance_usdm"}],
        },
    )
    with pytest.raises(EvaluationError, match="strategy failing failed at 2024-08-08"):
        evaluate(settings, {}, ticks)


@pytest.mark.pure
def test_part_without_ticks_is_a_failure(tmp_path: Path) -> None:
    settings = load_settings(None, {"replay": {"file": "x"}})
    from oms.records import TICK

    with pytest.raises(EvaluationError, match="there are no ticks"):
        evaluate(settings, {}, np.zeros(0, TICK))


def test_packed_task_runs_where_its_files_are_not(recorded: tuple[Settings, Rows], tmp_path: Path) -> None:
    settings, ticks = recorded
    whole = Part(int(ticks["local_ts"][0]), int(ticks["local_ts"][-1]) + 1)
    folder = tmp_path / "parts"
    folder.mkdir()
    write_parts(ticks, settings.instruments, [whole], folder)
    write_parts(exchange_order(ticks), settings.instruments, [whole], folder, "exch_ts")
    task = Task(settings, folder, Target("net_pnl", 1), "dual")
    here = task.open()(Job({}, (whole,)))
    packed = pickle.loads(pickle.dumps(task.packed()))
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert packed.open()(Job({}, (whole,))) == here
    assert here.figures["fills"] > 0
