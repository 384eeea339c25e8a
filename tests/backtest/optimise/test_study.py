"""Studies: folds are chosen and tested, results are kept, a study is gone on with, what has changed is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Job, Outcome
from backtest.optimise.folds import Part
from backtest.optimise.plan import folder_name, studies_folder
from backtest.optimise.results import NOTHING_TRADED, RESULT_FILE, TRIALS_FILE, overfitting_of
from backtest.optimise.search import Progress, Trial
from backtest.optimise.study import optimise, resume, run_searches
from oms.commands.demo import demo_recording
from oms.config import Settings, load_settings
from tests.backtest.optimise.tasks import PEAK, Fake, NotToOpen, hang_at_3, plan_in, valley

WHOLE = Part(0, 1_200)
DAY_NS = 86_400 * 10**9
SPACE = ("half_spread_ticks=2:10:2", "skew_ticks=0,10")


def settings_of(folder: Path) -> Settings:
    return load_settings(None, {"replay": {"file": str(demo_recording())}, "data_dir": str(folder)})


def idle(_job: Job) -> Outcome:
    return Outcome(figures={"total_return": 0.0, "fees": 0.0, "trades": 0.0, "fills": 0.0}, steps=(0.0,))


def later_is_wider(job: Job) -> Outcome:
    """Best at a half spread that is the end of the last part, in hundreds."""
    distance = abs(job.parameters["half_spread_ticks"] - job.parts[-1].end_ts / 100)
    figures = {"total_return": -distance, "fees": 1.0, "trades": 1.0}
    return Outcome(figures=figures, steps=(-distance,) * len(job.parts))


def test_each_fold_is_tested_with_what_its_training_data_chose(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, space=("half_spread_ticks=1:12",), sampler="grid", trials=0, folds="walk-forward:3")
    study = run_searches(plan, WHOLE, Fake(later_is_wider), workers=1)
    found = [(fold.chosen, fold.tested) for fold in study.folds]
    assert [chosen.parameters["half_spread_ticks"] for chosen, _ in found if chosen] == [3, 6, 9]
    assert [tested.figures["total_return"] for _, tested in found if tested] == [-3, -3, -3]
    assert study.best is not None
    assert study.best.parameters == {"half_spread_ticks": 12}
    assert set(study.trials) == {"fold 1", "fold 2", "fold 3", "whole"}


def test_results_are_kept_as_tables_and_frames(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, trials=20, folds="k-fold:2")
    study = run_searches(plan, WHOLE, Fake(valley), workers=2)
    table = pq.read_table(plan.folder / TRIALS_FILE).to_pandas()
    frame = study.trials_frame("pandas")
    assert len(table) == len(frame) == 60
    assert table.columns.tolist() == list(frame.columns)
    assert np.array_equal(table["total_return"], frame["total_return"])
    assert np.isnan(table["sharpe_ratio"]).all()
    assert json.loads((plan.folder / RESULT_FILE).read_bytes())["best"]["parameters"] == study.best.parameters  # type: ignore[union-attr]
    folds = study.folds_frame("polars")
    assert folds["name"].to_list() == ["fold 1", "fold 2"]
    assert folds["test_total_return"].to_list() == [
        fold.tested.figures["total_return"] for fold in study.folds if fold.tested
    ]
    assert study.folder == str(plan.settings.store_dir / "optimise" / "study")


def test_finished_study_is_told_again_without_running_anything(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, trials=16, folds="k-fold:2")
    first = run_searches(plan, WHOLE, Fake(valley), workers=1)
    assert run_searches(plan, WHOLE, NotToOpen(), workers=1) == first


def test_no_trial_within_the_constraints_is_no_best_one(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, trials=16, constraints=("fees<=0",), folds="k-fold:2")
    study = run_searches(plan, WHOLE, Fake(valley), workers=1)
    assert study.best is None
    assert [(fold.chosen, fold.tested) for fold in study.folds] == [(None, None)] * 2
    assert "no trial kept the constraints: there is no best one" in study.warnings
    assert study.overfitting.absent["backtest_overfitting"] == "no trial kept the constraints"


def test_trial_that_runs_too_long_has_failed_and_the_study_goes_on(tmp_path: Path) -> None:
    space = ("half_spread_ticks=1:5",)
    plan = plan_in(tmp_path, space=space, sampler="grid", trials=0, trial_timeout_s=0.5)
    study = run_searches(plan, WHOLE, Fake(hang_at_3), workers=1)
    failed = [each for each in study.trials["whole"] if each.state == "failed"]
    assert [(each.parameters["half_spread_ticks"], each.failure) for each in failed] == [
        (3, "it ran longer than 0.5 s and was ended")
    ]
    assert len(study.trials["whole"]) == 5


@pytest.mark.parametrize(
    ("title", "name"), [("my maker", "my_maker"), ("_é.1", "1"), ("дно", "study"), ("", "study"), ("a-b", "a-b")]
)
def test_any_title_of_a_strategy_names_a_folder(title: str, name: str) -> None:
    assert folder_name(title) == name


def test_study_that_never_traded_says_so(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, trials=4)
    assert NOTHING_TRADED in run_searches(plan, WHOLE, Fake(idle), workers=1).warnings


def test_study_whose_folder_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OptimiseError, match=r"study folder .*/file/.*/study cannot be made: Not a directory"):
        run_searches(plan_in(tmp_path / "file"), WHOLE, NotToOpen())


def test_study_that_another_process_is_at_is_refused(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, trials=16)

    def interfere(progress: Progress) -> None:
        if progress.done == 1:
            with pytest.raises(OptimiseError, match="another process is at study 'study'"):
                run_searches(plan, WHOLE, Fake(valley), workers=1)

    run_searches(plan, WHOLE, Fake(valley), workers=1, report=interfere)


def tried(number: int, spread: float, returns: np.ndarray) -> Trial:  # type: ignore[type-arg]
    return Trial(
        number=number,
        state="complete",
        parameters={"a": spread},
        figures={"total_return": float(returns.sum())},
        is_feasible=True,
        returns=tuple(returns.tolist()),
    )


def test_check_counts_each_set_of_parameters_once_and_doubts_the_best_of_noise() -> None:
    rng = np.random.default_rng(8)
    trials = [tried(number, number // 2, rng.normal(0, 0.01, 200)) for number in range(0, 80, 2)]
    trials += [Trial(number=81, state="pruned", parameters={"a": 99.0}), trials[3]]
    best = max(trials[:40], key=lambda each: each.figures["total_return"])
    check = overfitting_of(trials, best, 200 * DAY_NS)
    assert check.tries == 41
    assert check.deflated_sharpe is not None
    assert check.deflated_sharpe < 0.9
    assert check.backtest_overfitting is not None
    assert 0.1 < check.backtest_overfitting < 0.9
    short = overfitting_of(trials, best, 20 * DAY_NS)
    assert short.absent == {"deflated_sharpe": "the data are 20 days long: it needs 30 days"}


@pytest.mark.thorough
def test_two_workers_give_the_study_that_one_gives(tmp_path: Path) -> None:
    options = {"space": SPACE, "targets": ["net_pnl"], "sampler": "tpe", "trials": 18, "duration_s": 8, "name": "study"}
    one, two = (
        optimise(settings_of(tmp_path / name), [demo_recording()], workers=workers, **options)  # type: ignore[arg-type]
        for name, workers in (("one", 1), ("two", 2))
    )
    assert one.trials == two.trials
    assert one.best == two.best
    assert one.best is not None
    assert one.best.figures["fills"] > 0
    assert any("8 s of data are too few" in warning for warning in one.warnings)


@pytest.mark.thorough
def test_study_is_gone_on_with_and_refused_where_its_strategy_has_changed(tmp_path: Path) -> None:
    strategy = tmp_path / "mine.py"
    strategy.write_text('PARAMETERS = {"a": 1.0}\n\n\ndef on_tick(st, me, tick):\n    pass\n')
    settings = load_settings(
        None,
        {
            "replay": {"file": str(demo_recording())},
            "data_dir": str(tmp_path),
            "strategies": [{"file": str(strategy), "instrument": "BTCUSDT.binance_usdm"}],
        },
    )
    terms = {"sampler": "grid", "duration_s": 1, "workers": 1}
    first = optimise(settings, [demo_recording()], ["a=1:3"], ["fills"], name="mine", **terms)  # type: ignore[arg-type]
    assert resume(settings, "mine", workers=1) == first
    with pytest.raises(OptimiseError, match="study 'mine' exists already: go on with it"):
        optimise(settings, [demo_recording()], ["a=1:3"], ["fills"], name="mine", **terms)  # type: ignore[arg-type]
    with pytest.raises(OptimiseError, match=r"there is no study 'other' in .*: there are mine"):
        resume(settings, "other")
    with pytest.raises(OptimiseError, match="strategy mine has no parameter 'b' to search: it has a"):
        optimise(settings, [demo_recording()], ["b=1:3"], ["fills"], **terms)  # type: ignore[arg-type]
    strategy.write_text(strategy.read_text() + "    # changed\n")
    with pytest.raises(OptimiseError, match=r"the code of .*mine.py is not what study 'mine' began with"):
        resume(settings, "mine")


@pytest.mark.thorough
def test_interrupted_command_leaves_a_study_that_can_be_gone_on_with(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, trials=400)
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.backtest.optimise.endless", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        text=True,
    )
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == "20 done\n"
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=60)
    assert child.returncode != 0
    assert "study study is kept: zoms optimize --resume study goes on with it" in err
    study = run_searches(plan, WHOLE, Fake(valley), workers=1)
    whole = run_searches(plan_in(tmp_path, trials=400, name="whole"), WHOLE, Fake(valley), workers=1)
    assert study.trials == whole.trials
    assert studies_folder(plan.settings) == plan.folder.parent
    assert set(PEAK) == set(study.trials["whole"][0].parameters)
