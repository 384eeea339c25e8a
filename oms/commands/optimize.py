"""``zoms optimize``: searching a strategy's parameters over market data."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oms.commands.exchange_options import ExchangeModel, Fees, Latencies, QueueModel
from oms.commands.market_data import UNITS_NS, Clock, Instruments, Timeframes, open_data
from oms.commands.options import (
    Account,
    CommandError,
    DataDir,
    Json,
    SettingsFile,
    compile_line,
    parse_parameters,
    say,
    say_json,
    say_table,
)
from oms.commands.paper import Duration, Parameters, Strategy

if TYPE_CHECKING:
    from backtest.optimise.results import FoldResult, Study
    from backtest.optimise.search import Report, Trial

SHOWN_TRIALS = 10
WITH_RESUME: Final = frozenset(
    {"resume", "trials", "trial_timeout", "workers", "ray", "as_json", "account", "data_dir"}
)
"""Arguments that do not change what a study was asked for."""


def seconds_of(text: str) -> float:
    """The seconds of a duration such as ``90s``, ``1h`` or ``2d``; raises ``CommandError``."""
    number, unit = text[:-1], text[-1:]
    try:
        seconds = float(number) * UNITS_NS[unit] / 1e9
    except (KeyError, ValueError):
        raise CommandError(f"--embargo {text!r} is no duration: write 90s, 30m, 1h or 2d") from None
    return seconds


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Let a signal that asks for the end unwind the command as Ctrl-C does, so that its temporary files go with it."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    asked = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for each in asked:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in asked:
            signal.signal(each, signal.SIG_DFL)


def given_options(context: typer.Context) -> dict[str, str]:
    """What the command line gives, as its help calls it, by the argument's name."""
    given: dict[str, str] = {}
    for each in context.command.params:
        source = context.get_parameter_source(each.name or "")
        if source is not None and source.name == "COMMANDLINE":
            given[each.name or ""] = each.opts[0] if each.param_type_name == "option" else "FILE"
    return given


def optimize(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="As of zoms backtest.", metavar="FILE...")] = None,
    strategy: Strategy = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option(
            "--range",
            help="A parameter to search: NAME=LOW:HIGH[:STEP], or a list NAME=A,B,C. Repeatable.",
            metavar="NAME=RANGE",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="A metric to search for, with :max or :min. Repeatable: then the Pareto front is sought. "
            "[total_return]",
            metavar="METRIC[:max|min]",
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option(
            "--constraint",
            help="A bound on a metric, such as 'max_drawdown<=0.2'. Repeatable.",
            metavar="METRIC<=NUMBER",
        ),
    ] = None,
    sampler: Annotated[
        str, typer.Option("--sampler", help="grid, random, tpe, cmaes or genetic.", metavar="NAME")
    ] = "tpe",
    trials: Annotated[int, typer.Option("--trials", help="Of each search. 0: 100, or a whole grid.")] = 0,
    workers: Annotated[int, typer.Option("--workers", help="Processes that run trials. 0: one for each core.")] = 0,
    trial_timeout: Annotated[
        float,
        typer.Option(
            "--trial-timeout",
            help="A trial that runs longer has failed, and the search goes on. 0: it may take any time.",
            metavar="SECONDS",
        ),
    ] = 0,
    folds: Annotated[
        str,
        typer.Option(
            "--folds",
            help="Test what is chosen on data that it was not chosen by: walk-forward:N, rolling:N or k-fold:N.",
            metavar="KIND:N",
        ),
    ] = "",
    embargo: Annotated[
        str, typer.Option("--embargo", help="Time to leave out beside a test, such as 1h.", metavar="DURATION")
    ] = "0s",
    pruner: Annotated[
        str,
        typer.Option("--pruner", help="Give up poor trials early: none, median, halving or hyperband.", metavar="NAME"),
    ] = "none",
    parts: Annotated[
        int,
        typer.Option("--parts", help="Cut what a trial runs over into so many parts. 0: 1, or 5 with a pruner."),
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same search.")] = 1,
    name: Annotated[
        str, typer.Option("--name", help="Of the study. Default: the strategy's and the time.", metavar="NAME")
    ] = "",
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            help="Go on with this study; --trials may ask for more of them, --trial-timeout for another.",
            metavar="NAME",
        ),
    ] = None,
    clock: Clock = "local",
    duration: Duration = None,
    ray: Annotated[str, typer.Option("--ray", help="Run on the Ray cluster at this address.", metavar="ADDRESS")] = "",
    as_json: Json = False,
    settings_file: SettingsFile = None,
    account: Account = None,
    data_dir: DataDir = None,
    instrument: Instruments = None,
    param: Parameters = None,
    exchange_model: ExchangeModel = None,
    queue_model: QueueModel = None,
    latency: Latencies = None,
    fees: Fees = None,
    timeframe: Timeframes = None,
) -> None:
    """Search parameters of a strategy over market data, and check the result for over-fitting."""
    from backtest.optimise import study as studies
    from oms.commands.options import stored_settings

    if resume is not None:
        given = [option for name, option in given_options(context).items() if name not in WITH_RESUME]
        if given:
            raise CommandError(f"--resume goes on with what study {resume} was asked for: leave {given[0]} away")
        with ended_in_order(), progress_bar() as report, compile_line(anew=False) as tell:
            found = studies.resume(
                stored_settings(account, data_dir),
                resume,
                trials=trials,
                trial_timeout_s=trial_timeout,
                workers=workers,
                ray_address=ray,
                report=report,
                compiling=tell,
            )
    else:
        if not files:
            raise CommandError("no market data is given: zoms optimize FILE --range NAME=LOW:HIGH")
        searched = {text.partition("=")[0].strip() for text in ranges or []} & set(parse_parameters(param or []))
        if searched:
            raise CommandError(f"--param {min(searched)} has no effect beside --range {min(searched)}: leave one away")
        data = open_data(
            files,
            settings_file=settings_file,
            account=account,
            data_dir=data_dir,
            duration=duration,
            instruments=instrument,
            timeframes=timeframe,
            strategy=strategy,
            parameters=param,
            exchange_model=exchange_model,
            queue_model=queue_model,
            latency=latency,
            fees=fees,
        )
        embargo_s = seconds_of(embargo)
        with ended_in_order(), progress_bar() as report, compile_line(anew=False) as tell:
            found = studies.optimise(
                data.settings,
                files,
                ranges or [],
                target or ["total_return"],
                instruments=instrument or [],
                timeframes_ns=data.timeframes_ns,
                constraints=constraint or [],
                sampler=sampler,
                pruner=pruner,
                parts=parts,
                trials=trials,
                folds=folds,
                embargo_s=embargo_s,
                seed=seed,
                name=name,
                clock=clock,
                duration_s=data.settings.replay.duration_s,
                trial_timeout_s=trial_timeout,
                workers=workers,
                ray_address=ray,
                report=report,
                compiling=tell,
            )
    for warning in found.warnings:
        sys.stderr.write(f"{warning}\n")
    if as_json:
        import msgspec

        say_json(msgspec.to_builtins(found))
    else:
        print_study(found)
    if found.best is None:
        raise typer.Exit(1)


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar on stderr for each search, where that is a terminal; of an interrupted one, how it is gone on with."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        by_name: dict[str, Any] = {}

        def report(progress: Any) -> None:
            if progress.search not in by_name:
                by_name[progress.search] = bars.add_task(progress.search, total=progress.total, note="")
            notes = [] if progress.best is None else [f"best {progress.best:.6g}"]
            notes += [
                f"{count} {what}" for what, count in (("pruned", progress.pruned), ("failed", progress.failed)) if count
            ]
            bars.update(by_name[progress.search], completed=progress.done, note=", ".join(notes))

        try:
            yield report
        except (KeyboardInterrupt, SystemExit) as interrupt:
            bars.stop()
            for note in getattr(interrupt, "__notes__", ()):
                sys.stderr.write(f"zoms: {note}\n")
            raise


def print_study(study: Study) -> None:
    """The results in words."""
    targets = [text.partition(":")[0] for text in study.targets]
    several = len(targets) > 1
    if study.best is not None:
        shown = study.front if several else ranked(study)
        say(f"{'Pareto front' if several else 'best trials'} over all data, by {', '.join(study.targets)}:")
        say("")
        _trial_table(study, list(shown[:SHOWN_TRIALS]), targets)
        if len(shown) > SHOWN_TRIALS:
            say(f"... {len(shown) - SHOWN_TRIALS} more in {study.folder}/trials.parquet")
        say("")
    if study.folds:
        say("chosen on one part of the data, tested on another:")
        say("")
        _fold_table(study.folds, targets)
        say("")
    _print_overfitting(study)
    say(f"study {study.name}: {study.folder}")


def ranked(study: Study) -> tuple[Trial, ...]:
    """The feasible trials over all data with different parameters, the best in the first target first."""
    name, _, direction = study.targets[0].partition(":")
    sign = 1 if direction == "max" else -1
    different = {tuple(each.parameters.values()): each for each in reversed(study.trials["whole"]) if each.is_feasible}
    return tuple(sorted(different.values(), key=lambda each: (-sign * each.figures[name], each.number)))


def figure(value: float) -> str:
    return f"{value:.6g}"


def _trial_table(study: Study, trials: list[Trial], targets: list[str]) -> None:
    constrained = [text.replace(">=", "<=").partition("<=")[0] for text in study.constraints]
    figures = list(dict.fromkeys([*targets, *constrained, "trades"]))
    parameters = list(trials[0].parameters)
    say_table(
        ["trial", *parameters, *figures],
        [
            [
                str(each.number),
                *(f"{each.parameters[name]:g}" for name in parameters),
                *(figure(each.figures[name]) for name in figures),
            ]
            for each in trials
        ],
        frozenset(range(1 + len(parameters) + len(figures))),
    )


def _fold_table(folds: tuple[FoldResult, ...], targets: list[str]) -> None:
    rows = []
    for fold in folds:
        row = [fold.name, fold.test.text]
        row.append(
            " ".join(f"{name}={value:g}" for name, value in fold.chosen.parameters.items())
            if fold.chosen
            else "nothing"
        )
        for name in targets:
            for trial in (fold.chosen, fold.tested):
                row.append(figure(trial.figures[name]) if trial is not None and trial.figures else "-")
        rows.append(row)
    titles = ["", "test", "chosen", *(f"{name} {where}" for name in targets for where in ("chosen by", "in the test"))]
    say_table(titles, rows, frozenset(range(3, len(titles))))
    for fold in folds:
        if fold.tested is not None and fold.tested.failure:
            say(f"{fold.name} could not be tested: {fold.tested.failure}")


def _print_overfitting(study: Study) -> None:
    check = study.overfitting
    say(f"over-fitting, of {check.tries} different sets of parameters:")
    lines = (
        ("deflated_sharpe", "deflated Sharpe ratio", check.deflated_sharpe, "likely to have an edge at all"),
        ("backtest_overfitting", "probability of overfitting", check.backtest_overfitting, "0.5 is what luck gives"),
        ("loss", "probability of loss", check.loss, "that the best of one half loses in the other"),
    )
    for key, title, value, meaning in lines:
        say(f"  {title:<28}{'-' if value is None else f'{value:.3f}'}  ({check.absent.get(key, meaning)})")
