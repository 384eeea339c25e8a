"""What a study came to: its trials, the best of them, the tests of its folds, the check for over-fitting."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from backtest.marks import DAY_NS
from backtest.metrics import LEAST_DAYS, METRICS, length_text
from backtest.optimise.folds import Part
from backtest.optimise.overfitting import deflated_sharpe, probability_of_overfitting
from backtest.optimise.plan import WHOLE, Plan
from backtest.optimise.search import COMPLETE, Trial, front_of

if TYPE_CHECKING:
    from backtest.frames import Frame, Library

RESULT_FILE: Final = "result.json"
TRIALS_FILE: Final = "trials.parquet"
MetricFigures = dict[str, float]


class FoldResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one fold chose, and how it did where it had not been seen."""

    name: str
    train: tuple[Part, ...]
    test: Part
    chosen: Trial | None
    """Over the training data; None where no trial kept the constraints."""
    tested: Trial | None
    """The same parameters in the test."""


class Overfitting(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the best result over the whole data is luck; see ``backtest.optimise.overfitting``."""

    tries: int
    """Different sets of parameters."""
    deflated_sharpe: float | None = None
    backtest_overfitting: float | None = None
    loss: float | None = None
    """How likely what is best in one half of the time loses in the other."""
    absent: dict[str, str] = {}
    """Why a figure is not there, by its name."""


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """The results of a finished study."""

    name: str
    folder: str
    start_ts: int
    end_ts: int
    targets: tuple[str, ...]
    constraints: tuple[str, ...]
    best: Trial | None
    """Of all data, by the first target; None where no trial kept the constraints."""
    front: tuple[Trial, ...]
    """Those that no other dominates, the best in the first target first."""
    folds: tuple[FoldResult, ...]
    overfitting: Overfitting
    warnings: tuple[str, ...]
    trials: dict[str, tuple[Trial, ...]]
    """Of each search, by its name: ``whole``, ``fold 1``, ..."""

    def trials_frame(self, library: Library = "pandas") -> Frame:
        """Every trial, a row each: search, number, state, parameters, metrics and why one failed.

        Raises
        ------
        FrameError
            When the library is neither pandas nor polars, or is not installed.
        """
        from backtest.frames import frame_of

        return frame_of(self.columns(), library)

    def folds_frame(self, library: Library = "pandas") -> Frame:
        """The folds, a row each: times, what was chosen, each target in training and in the test.

        Raises as ``trials_frame`` does.
        """
        from backtest.frames import as_times, frame_of

        columns: dict[str, Any] = {
            "name": np.array([fold.name for fold in self.folds], object),
            "test_start": as_times(np.array([fold.test.start_ts for fold in self.folds], np.int64)),
            "test_end": as_times(np.array([fold.test.end_ts for fold in self.folds], np.int64)),
        }
        for name in self._parameters:
            columns[name] = _numbers([fold.chosen.parameters if fold.chosen else {} for fold in self.folds], name)
        for target in self.targets:
            name = target.partition(":")[0]
            columns[f"train_{name}"] = _numbers(
                [fold.chosen.figures if fold.chosen else {} for fold in self.folds], name
            )
            columns[f"test_{name}"] = _numbers(
                [fold.tested.figures if fold.tested else {} for fold in self.folds], name
            )
        return frame_of(columns, library)

    @property
    def _parameters(self) -> tuple[str, ...]:
        return tuple(self.trials[WHOLE][0].parameters) if self.trials[WHOLE] else ()

    def columns(self) -> dict[str, Any]:
        """The columns of ``trials_frame``: arrays; of texts they are of objects."""
        rows = [(search, trial) for search, trials in self.trials.items() for trial in trials]
        trials = [trial for _, trial in rows]
        return {
            "search": np.array([search for search, _ in rows], object),
            "number": np.array([trial.number for trial in trials], np.int64),
            "state": np.array([trial.state for trial in trials], object),
            "is_feasible": np.array([trial.is_feasible for trial in trials], np.bool_),
            **{name: _numbers([trial.parameters for trial in trials], name) for name in self._parameters},
            **{each.name: _numbers([trial.figures for trial in trials], each.name) for each in METRICS},
            "failure": np.array([trial.failure for trial in trials], object),
        }


def _numbers(rows: Sequence[MetricFigures], name: str) -> Any:
    return np.array([row.get(name, np.nan) for row in rows], np.float64)


NOTHING_TRADED: Final = (
    "no trial over all data has traded: there is nothing to choose by. A strategy of ticks does nothing over bars, nor "
    "one of bars over ticks"
)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole, or leave the one that is there."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def write_study(folder: Path, study: Study) -> None:
    """Keep the results: everything as JSON, the trials as Parquet too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_file(folder / RESULT_FILE, msgspec.json.encode(study))
    columns = {
        name: column.tolist() if column.dtype.kind == "O" else column for name, column in study.columns().items()
    }
    partial = (folder / TRIALS_FILE).with_suffix(".partial")
    pq.write_table(pa.table(columns), partial)
    partial.replace(folder / TRIALS_FILE)


def study_of(
    plan: Plan,
    whole: Part,
    trials: dict[str, tuple[Trial, ...]],
    folds: tuple[FoldResult, ...],
    problems: Sequence[str] = (),
) -> Study:
    """The results of a plan whose searches had these trials, over data with these problems."""
    front = front_of(trials[WHOLE], plan.parsed_targets)
    return Study(
        name=plan.name,
        folder=os.fspath(plan.folder),
        start_ts=whole.start_ts,
        end_ts=whole.end_ts,
        targets=tuple(each.text for each in plan.parsed_targets),
        constraints=tuple(each.text for each in plan.parsed_constraints),
        best=front[0] if front else None,
        front=tuple(front),
        folds=folds,
        overfitting=overfitting_of(trials[WHOLE], front[0] if front else None, whole.length_ns),
        warnings=(*problems, *_warnings(trials, front, whole)),
        trials=trials,
    )


def overfitting_of(trials: Sequence[Trial], best: Trial | None, length_ns: int) -> Overfitting:
    """The check of a search whose best trial is ``best``; each set of parameters counts once."""
    names = ("deflated_sharpe", "backtest_overfitting", "loss")
    different = {tuple(each.parameters.values()) for each in trials}
    compared = {
        tuple(each.parameters.values()): each for each in reversed(trials) if each.state == COMPLETE and each.returns
    }
    if best is None or not best.returns:
        why = (
            "no trial kept the constraints"
            if best is None
            else "the best trial has no returns: its equity fell to zero, or the data are too short"
        )
        return Overfitting(tries=len(different), absent=dict.fromkeys(names, why))
    rows = [each for each in compared.values() if len(each.returns) == len(best.returns)]
    returns = np.array([each.returns for each in rows]).T
    chosen = next(at for at, each in enumerate(rows) if each.parameters == best.parameters)
    values: dict[str, float] = {}
    absent: dict[str, str] = {}
    try:
        if length_ns < LEAST_DAYS * DAY_NS:
            raise ValueError(f"the data are {length_text(length_ns)} long: it needs {LEAST_DAYS} days")
        values["deflated_sharpe"] = deflated_sharpe(returns, chosen, tries=len(different))
    except ValueError as why:
        absent["deflated_sharpe"] = str(why)
    try:
        overfit = probability_of_overfitting(returns)
        values |= {"backtest_overfitting": overfit.probability, "loss": overfit.loss_probability}
    except ValueError as why:
        absent |= dict.fromkeys(names[1:], str(why))
    return Overfitting(tries=len(different), absent=absent, **values)


def _warnings(trials: dict[str, tuple[Trial, ...]], front: Sequence[Trial], whole: Part) -> tuple[str, ...]:
    found = []
    if whole.length_ns < LEAST_DAYS * DAY_NS:
        found.append(
            f"{length_text(whole.length_ns)} of data are too few to choose parameters by: what is best here may be "
            f"luck, whatever the figures say; Sharpe and Sortino ratios need {LEAST_DAYS} days"
        )
    if not front:
        found.append("no trial kept the constraints: there is no best one")
    complete = [each for each in trials[WHOLE] if each.state == COMPLETE]
    if complete and not any(each.figures.get("fills", 1) for each in complete):
        found.append(NOTHING_TRADED)
    for name, of_search in trials.items():
        failed = [each for each in of_search if each.failure]
        if failed:
            found.append(
                f"{len(failed)} of {len(of_search)} trials of {name} failed, trial {failed[0].number} of them because: "
                f"{failed[0].failure}"
            )
    return tuple(found)
