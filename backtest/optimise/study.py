"""Searching the parameters of strategies over market data: what is asked, and what came of it.

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
from typing import TYPE_CHECKING, Final

import msgspec

from backtest.optimise.data import open_data, read_data
from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Task
from backtest.optimise.folds import Part
from backtest.optimise.plan import Plan, facts_of, folder_name, studies_folder
from backtest.optimise.results import FoldResult, Study, study_of, write_file, write_study
from backtest.optimise.search import Progress, Report, Search, quiet_optuna
from backtest.optimise.workers import Opener, Pool, new_pool
from oms.compiled import Progress as Compiling

if TYPE_CHECKING:
    from oms.config import Settings

PLAN_FILE: Final = "plan.json"
LOCK_FILE: Final = "lock"


def silent(progress: Progress) -> None:
    """No report."""
    _ = progress


def optimise(
    settings: Settings,
    files: Sequence[Path | str],
    space: Sequence[str],
    targets: Sequence[str],
    *,
    instruments: Sequence[str] = (),
    timeframes_ns: Sequence[int] = (),
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
    trial_timeout_s: float = 0.0,
    workers: int = 0,
    ray_address: str = "",
    report: Report = silent,
    compiling: Callable[[Compiling], None] = lambda progress: None,
) -> Study:
    """Search the strategies' parameters over market data.

    Parameters
    ----------
    settings : Settings
        As for a backtest; the searched parameters go to every strategy of it.
    files : sequence of paths
        Of any format that ``backtest.data.opening.open_sources`` opens: ticks, merged by time, or bars.
    space : sequence of str
        ``NAME=LOW:HIGH``, ``NAME=LOW:HIGH:STEP`` or ``NAME=A,B,C``.
    targets : sequence of str
        Metrics, such as ``total_return`` or ``fees:min``; of several the Pareto front is sought.
    instruments : sequence of str
        For the files that do not say what they are of, in order: ``SYMBOL.VENUE``.
    timeframes_ns : sequence of int
        As for ``backtest_bars``.
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
        As for a backtest.
    trial_timeout_s : float
        A trial that runs longer, over all of its parts, has failed; 0: it may take any time. Not with Ray.
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
    ConfigError, StrategyError, DataError, BacktestError
        When a setting or a file cannot be used.
    """
    now = datetime.now(UTC)
    title = folder_name(settings.strategies[0].title if settings.strategies else "")
    plan = Plan(
        name=name or f"{title[:40]}-{now:%Y%m%dT%H%M%S}",
        settings=settings,
        files=tuple(os.fspath(Path(file).expanduser().absolute()) for file in files),
        instruments=tuple(instruments),
        timeframes_ns=tuple(timeframes_ns),
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
        trial_timeout_s=trial_timeout_s,
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
    trial_timeout_s: float = 0.0,
    workers: int = 0,
    ray_address: str = "",
    report: Report = silent,
    compiling: Callable[[Compiling], None] = lambda progress: None,
) -> Study:
    """Go on with a study of the account of ``settings``, as it was asked for; or with more ``trials`` or another
    ``trial_timeout_s``.

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
    if trial_timeout_s:
        plan = msgspec.structs.replace(plan, trial_timeout_s=trial_timeout_s)
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
        opened = open_data(plan)
        load(opened.settings, compiling)
        plan.check_strategies()
        data = read_data(plan, opened, Path(folder))
        whole = data.whole
        plan.check_lengths(whole)
        facts = facts_of(plan.settings, *data.orders)
        for what, digest in plan.facts.items():
            if facts.get(what) != digest:
                raise OptimiseError(
                    f"{what} is not what study {plan.name!r} began with, and results of both do not compare: "
                    "begin a new one"
                )
        plan = msgspec.structs.replace(plan, facts=facts)
        searches, tests = plan.searches_of(whole), [fold.test for fold in plan.folds_of(whole)]
        every = [*(part for parts in searches.values() for part in parts), *tests]
        data.write_parts(every, Path(folder))
        problems = data.problems
        del data
        task = Task(opened.settings, Path(folder), plan.parsed_targets[0], plan.clock)
        return run_searches(plan, whole, task, problems, workers=workers, ray_address=ray_address, report=report)


def run_searches(
    plan: Plan,
    whole: Part,
    task: Opener,
    problems: Sequence[str] = (),
    *,
    workers: int = 0,
    ray_address: str = "",
    report: Report = silent,
) -> Study:
    """Run every search of a plan over data of this length, with workers that open ``task``; keep its results.

    ``problems`` of the data are among its warnings.
    """
    with quiet_optuna(), _kept(plan):
        pool: Pool = new_pool(task, workers, ray_address, timeout_s=plan.trial_timeout_s)
        try:
            from backtest.optimise.journal import open_storage

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
        study = study_of(plan, whole, trials, tuple(folds), problems)
        write_study(plan.folder, study)
    return study


@contextmanager
def _kept(plan: Plan) -> Iterator[None]:
    """Within the block the study's folder is this process's alone, and has the plan.

    Raises
    ------
    OptimiseError
        When another process is at it, or the folder cannot be made.
    """
    try:
        plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise OptimiseError(f"study folder {plan.folder} cannot be made: {error.strerror}") from None
    with (plan.folder / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OptimiseError(f"another process is at study {plan.name!r}: wait for it, or name another") from None
        write_file(plan.folder / PLAN_FILE, msgspec.json.format(msgspec.json.encode(plan)))
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as interrupt:
            interrupt.add_note(f"study {plan.name} is kept: zoms optimize --resume {plan.name} goes on with it")
            raise
