"""Searching the parameters of strategies over recordings: what is asked, and what came of it.

A study has one search over the whole data, and with folds one for each of them, whose choice is then tested on data
that it has not seen. All of it is kept in a folder of the account's store, so that it can be gone on with.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from backtest.marks import DAY_NS
from backtest.metrics import LEAST_DAYS, METRICS, length_text
from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Task
from backtest.optimise.folds import Part
from backtest.optimise.overfitting import deflated_sharpe, probability_of_overfitting
from backtest.optimise.parts import write_parts
from backtest.optimise.plan import WHOLE, Plan, facts_of, studies_folder
from backtest.optimise.search import (
    COMPLETE,
    Progress,
    Report,
    Search,
    Trial,
    front_of,
    open_storage,
    quiet_optuna,
)
from backtest.optimise.workers import Opener, Pool, new_pool
from oms.compiled import Progress as Compiling

if TYPE_CHECKING:
    from backtest.frames import Frame, Library
    from backtest.market import Rows
    from oms.config import Settings

PLAN_FILE: Final = "plan.json"
LOCK_FILE: Final = "lock"
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


def silent(progress: Progress) -> None:
    """No report."""
    _ = progress


def optimise(
    settings: Settings,
    files: Sequence[Path | str],
    space: Sequence[str],
    targets: Sequence[str],
    *,
    constraints: Sequence[str] = (),
    sampler: str = "tpe",
    pruner: str = "none",
    parts: int = 0,
    trials: int = 0,
    folds: str = "",
    embargo_s: float = 0.0,
    seed: int = 1,
    name: str = "",
    clock: str = "local",
    duration_s: float = 0.0,
    workers: int = 0,
    ray_address: str = "",
    report: Report = silent,
    compiling: Callable[[Compiling], None] = lambda progress: None,
) -> Study:
    """Search the strategies' parameters over recordings.

    Parameters
    ----------
    settings : Settings
        As for a backtest; the searched parameters go to every strategy of it.
    files : sequence of paths
        Recordings of instruments that the settings define; their ticks are put in the order of receipt.
    space : sequence of str
        ``NAME=LOW:HIGH``, ``NAME=LOW:HIGH:STEP`` or ``NAME=A,B,C``.
    targets : sequence of str
        Metrics, such as ``total_return`` or ``fees:min``; of several the Pareto front is sought.
    constraints : sequence of str
        Such as ``max_drawdown<=0.2``.
    sampler, pruner : str
        See ``backtest.optimise.samplers`` and ``backtest.optimise.pruning``.
    parts, trials : int
        See ``Plan``.
    folds : str
        ``walk-forward:N``, ``rolling:N`` or ``k-fold:N``; empty: no test.
    embargo_s : float
        Time after what was trained on (k-fold: after a test) that is left out.
    seed : int
        The same seed gives the same study, whatever the number of workers up to ``samplers.AHEAD``.
    name : str
        Of its folder; empty: the strategy's name and the time.
    clock, duration_s
        As for a backtest; the duration is that of each file.
    workers : int
        0: one for each core.
    ray_address : str
        Of a Ray cluster whose machines are to do it.
    report, compiling : callable
        Told about progress.

    Raises
    ------
    OptimiseError
        When something of it cannot be, or nothing could be judged.
    ConfigError, StrategyError, RecordingError
        When a setting or a file cannot be used.
    """
    now = datetime.now(UTC)
    title = settings.strategies[0].title if settings.strategies else "study"
    plan = Plan(
        name=name or f"{title[:40]}-{now:%Y%m%dT%H%M%S}",
        settings=settings,
        files=tuple(os.fspath(Path(file).expanduser().absolute()) for file in files),
        space=tuple(space),
        targets=tuple(targets),
        constraints=tuple(constraints),
        sampler=sampler,
        pruner=pruner,
        parts=parts,
        trials=trials,
        folds=folds,
        embargo_s=embargo_s,
        seed=seed,
        clock=clock,
        duration_s=duration_s,
    )
    if (plan.folder / PLAN_FILE).exists():
        raise OptimiseError(
            f"study {plan.name!r} exists already: go on with it (--resume {plan.name}), or name another"
        )
    return run_plan(plan, workers=workers, ray_address=ray_address, report=report, compiling=compiling)


def resume(
    settings: Settings,
    name: str,
    *,
    trials: int = 0,
    workers: int = 0,
    ray_address: str = "",
    report: Report = silent,
    compiling: Callable[[Compiling], None] = lambda progress: None,
) -> Study:
    """Go on with a study of the account of ``settings``, as it was asked for; with more ``trials`` where they are given.

    Raises
    ------
    OptimiseError
        When there is none of that name, its data or its code have changed, or as ``optimise`` does.
    """
    plan = read_plan(settings, name)
    if trials:
        if trials < plan.trial_count:
            raise OptimiseError(f"study {name!r} has {plan.trial_count} trials: it can get more, not {trials}")
        plan = msgspec.structs.replace(plan, trials=trials)
    return run_plan(plan, workers=workers, ray_address=ray_address, report=report, compiling=compiling)


def read_plan(settings: Settings, name: str) -> Plan:
    """The plan of a study; raises ``OptimiseError`` when there is none."""
    folder = studies_folder(settings)
    try:
        return msgspec.json.decode((folder / name / PLAN_FILE).read_bytes(), type=Plan)
    except OSError:
        there = ", ".join(sorted(each.parent.name for each in folder.glob(f"*/{PLAN_FILE}"))) or "none"
        raise OptimiseError(f"there is no study {name!r} in {folder}: there are {there}") from None
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise OptimiseError(f"the plan {folder / name / PLAN_FILE} cannot be read: {error}") from error


def run_plan(
    plan: Plan,
    *,
    workers: int = 0,
    ray_address: str = "",
    report: Report = silent,
    compiling: Callable[[Compiling], None] = lambda progress: None,
) -> Study:
    """Run what is missing of a study; raises as ``optimise`` and ``resume`` do."""
    from oms.assembly import load

    with quiet_optuna(), TemporaryDirectory(prefix="zoms-optimise-") as folder:
        load(plan.settings, compiling)
        plan.check_strategies()
        ticks = read_ticks(plan)
        whole = Part(int(ticks["local_ts"][0]), int(ticks["local_ts"][-1]) + 1)
        plan.check_lengths(whole)
        facts = facts_of(plan.settings, ticks)
        for what, digest in plan.facts.items():
            if facts.get(what) != digest:
                raise OptimiseError(
                    f"{what} is not what study {plan.name!r} began with, and results of both do not compare: "
                    "begin a new one"
                )
        plan = msgspec.structs.replace(plan, facts=facts)
        searches, tests = plan.searches_of(whole), [fold.test for fold in plan.folds_of(whole)]
        every = [*(part for parts in searches.values() for part in parts), *tests]
        write_parts(ticks, _instruments_of(plan, ticks), every, Path(folder))
        del ticks
        task = Task(plan.settings, Path(folder), plan.parsed_targets[0], plan.clock)
        return run_searches(plan, whole, task, workers=workers, ray_address=ray_address, report=report)


def run_searches(
    plan: Plan, whole: Part, task: Opener, *, workers: int = 0, ray_address: str = "", report: Report = silent
) -> Study:
    """Run every search of a plan over data of this length, with workers that open ``task``; keep its results."""
    with quiet_optuna(), _kept(plan):
        pool: Pool = new_pool(task, workers, ray_address)
        try:
            storage = open_storage(plan.folder)
            tests = {fold.name: fold for fold in plan.folds_of(whole)}
            trials, folds = {}, []
            for number, (name, parts) in enumerate(plan.searches_of(whole).items()):
                search = Search(plan, name, number, parts, storage)
                search.run(pool, report)
                trials[name] = tuple(search.trials)
                if name in tests:
                    fold = tests[name]
                    chosen, tested = search.test(pool, fold.test) or (None, None)
                    folds.append(FoldResult(name=name, train=fold.train, test=fold.test, chosen=chosen, tested=tested))
        finally:
            pool.close()
        study = _study_of(plan, whole, trials, tuple(folds))
        _write(plan.folder, study)
    return study


def read_ticks(plan: Plan) -> Rows:
    """The ticks of all files in the order of receipt; raises as ``read_recording`` does."""
    from backtest.run import read_recording

    ticks = np.concatenate([read_recording(plan.settings, Path(file), plan.duration_s).ticks for file in plan.files])
    local_ts = ticks["local_ts"]
    return ticks if (local_ts[1:] >= local_ts[:-1]).all() else ticks[np.argsort(local_ts, kind="stable")]


def _instruments_of(plan: Plan, ticks: Rows) -> list[Any]:
    traded = set(np.unique(ticks["instrument"]).tolist())
    return [each for each in plan.settings.instruments if each.id in traded]


@contextmanager
def _kept(plan: Plan) -> Iterator[None]:
    """Within the block the study's folder is this process's alone, and has the plan.

    Raises
    ------
    OptimiseError
        When another process is at it.
    """
    plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (plan.folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OptimiseError(f"another process is at study {plan.name!r}: wait for it, or name another") from None
        _write_file(plan.folder / PLAN_FILE, msgspec.json.format(msgspec.json.encode(plan)))
        yield


def _write_file(path: Path, content: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _write(folder: Path, study: Study) -> None:
    """Keep the results: everything as JSON, the trials as Parquet too."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _write_file(folder / RESULT_FILE, msgspec.json.encode(study))
    columns = {
        name: column.tolist() if column.dtype.kind == "O" else column for name, column in study.columns().items()
    }
    partial = (folder / TRIALS_FILE).with_suffix(".partial")
    pq.write_table(pa.table(columns), partial)
    partial.replace(folder / TRIALS_FILE)


def _study_of(plan: Plan, whole: Part, trials: dict[str, tuple[Trial, ...]], folds: tuple[FoldResult, ...]) -> Study:
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
        warnings=_warnings(trials, front, whole),
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
            else "the best trial has no returns: its equity fell to zero"
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
    for name, of_search in trials.items():
        failed = [each for each in of_search if each.failure]
        if failed:
            found.append(
                f"{len(failed)} of {len(of_search)} trials of {name} failed, trial {failed[0].number} of them because: "
                f"{failed[0].failure}"
            )
    return tuple(found)
