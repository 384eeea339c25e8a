"""``zoms backtest``: the paper session's functions, called in one compiled loop over market data."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from oms.commands.exchange_options import ExchangeModel, Fees, Latencies, QueueModel
from oms.commands.market_data import Clock, Instruments, Timeframes, open_data
from oms.commands.options import (
    Account,
    CommandError,
    Json,
    SettingsFile,
    compile_line,
    parse_values,
    say,
    say_json,
    say_table,
)
from oms.commands.paper import Duration, NoStrategy, Parameters, Strategy
from oms.commands.performance import print_performance, write_reports

MOST_LIQUIDATIONS: Final = 10
"""Lines of liquidations that are printed."""

if TYPE_CHECKING:
    from backtest.algorithm import ParentRequest, ParentRun
    from backtest.data.bars import BarSource
    from backtest.data.source import Source
    from backtest.execution import ExecutionReport
    from backtest.market import Market
    from backtest.run import BacktestResult
    from oms.config import Settings


def backtest(
    file: Annotated[
        list[Path],
        typer.Argument(help="Recorded streams and other market data, merged by time.", metavar="FILE..."),
    ],
    clock: Clock = "local",
    duration: Duration = None,
    as_json: Json = False,
    settings_file: SettingsFile = None,
    account: Account = None,
    strategy: Strategy = None,
    instrument: Instruments = None,
    param: Parameters = None,
    no_strategy: NoStrategy = False,
    exchange_model: ExchangeModel = None,
    queue_model: QueueModel = None,
    latency: Latencies = None,
    fees: Fees = None,
    algo: Annotated[
        str | None,
        typer.Option(
            "--algo", help="Have this algorithm work an order, and report its execution.", metavar="NAME|FILE.py"
        ),
    ] = None,
    side: Annotated[str | None, typer.Option("--side", help="Of the order: buy or sell. [buy]")] = None,
    qty: Annotated[str | None, typer.Option("--qty", help="Of the order.", metavar="QUANTITY")] = None,
    price: Annotated[str | None, typer.Option("--price", help="The worst price that it may pay.")] = None,
    algo_param: Annotated[
        list[str] | None,
        typer.Option("--algo-param", help="Set a parameter of the algorithm. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    venues: Annotated[
        list[str] | None,
        typer.Option(
            "--venue",
            help="Another instrument in which the order may trade. Repeatable. Default, for an algorithm of several "
            "venues: those of the files that trade the asset of the first.",
            metavar="SYMBOL",
        ),
    ] = None,
    start: Annotated[
        float | None, typer.Option("--start", help="Start the order so far into the recording.", metavar="SECONDS")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", help="Draw the execution: a .png or .svg file.", metavar="FILE")
    ] = None,
    timeframe: Timeframes = None,
    report: Annotated[
        list[Path] | None,
        typer.Option("--report", help="Write the tear sheet: an .html or .png file. Repeatable.", metavar="FILE"),
    ] = None,
) -> None:
    """Run the strategies over recorded market data in one compiled loop; the fills are those of a paper session.

    With --algo it is one order that is run, without strategies unless --strategy names one.
    """
    import msgspec

    from backtest.streaming import backtest_bars, backtest_sources
    from backtest.tear_sheet import check_tear_sheet

    of_an_order: dict[str, object] = {"side": side, "qty": qty, "price": price, "algo-param": algo_param}
    of_an_order |= {"venue": venues, "start": start, "plot": plot}
    given = [option for option, value in of_an_order.items() if value is not None]
    if algo is None and given:
        raise CommandError(f"--{given[0]} is of an order that --algo works: give --algo NAME too")
    reports = report or []
    for path in reports:
        check_tear_sheet(path)
    data = open_data(
        file,
        settings_file=settings_file,
        account=account,
        duration=duration,
        instruments=instrument,
        timeframes=timeframe,
        strategy=strategy,
        parameters=param,
        no_strategy=no_strategy or (algo is not None and strategy is None),
        exchange_model=exchange_model,
        queue_model=queue_model,
        latency=latency,
        fees=fees,
    )
    settings = data.settings
    if data.bars and (algo is not None or clock != "local"):
        raise CommandError(f"{data.bars[0].path} holds bars: they have one clock and no book for --algo to work in")
    if algo is not None:
        if qty is None:
            raise CommandError("--algo works an order of a quantity: give it by --qty, such as --qty 0.5")
        from backtest.algorithm import ParentRequest

        settings, algo = with_algorithm(settings, algo)
        chosen = parse_values(algo_param or [], "--algo-param")
        request = ParentRequest(algo, side or "buy", qty, price, chosen, start or 0.0, venues)
        run_algorithm(settings, data.sources, request, clock, plot, reports, as_json=as_json)
        return
    from backtest.performance import report_of

    with compile_line() as tell:
        if data.bars:
            done = backtest_bars(settings, data.bars, data.timeframes_ns, settings.replay.duration_s, report=tell)
        else:
            done = backtest_sources(settings, data.sources, clock, settings.replay.duration_s, report=tell)
    result = done.result
    performance = done.performance()
    for problem in result.problems:
        sys.stderr.write(f"{problem}\n")
    if as_json:
        say_json({**msgspec.to_builtins(result), "performance": msgspec.to_builtins(report_of(performance))})
    else:
        print_result(result)
        print_performance(performance)
    write_reports(performance, reports)
    if result.strategies_halted:
        raise typer.Exit(1)
    check_whole(data.sources or data.bars)


def check_whole(sources: Sequence[Source | BarSource]) -> None:
    """Raise ``CommandError`` when so much of the data could not be used that the figures are not to be relied on."""
    for source in sources:
        if source.reading.lacks_data:
            raise CommandError(f"the figures lack what of {source.path} could not be used: see zoms data check")


def with_algorithm(settings: Settings, algo: str) -> tuple[Settings, str]:
    """The settings with the user's own algorithm, where a file is given, and the algorithm's name."""
    import msgspec

    from oms.algorithms import read_algorithm
    from oms.config import AlgorithmSettings

    if not algo.endswith(".py"):
        return settings, algo
    path = Path(algo).expanduser().absolute()
    algorithms = (*settings.algorithms, AlgorithmSettings(file=str(path)))
    return msgspec.structs.replace(settings, algorithms=algorithms), read_algorithm(path).name


def run_algorithm(
    settings: Settings,
    sources: list[Source],
    request: ParentRequest,
    clock: str,
    plot: Path | None,
    reports: Sequence[Path] = (),
    *,
    as_json: bool,
) -> None:
    """Run one parent order over market data, and tell how its execution went."""
    import msgspec

    from backtest.algorithm import run_parent_sources
    from backtest.execution import execution_report
    from backtest.execution_plot import check_picture, save_plot

    if plot is not None:
        check_picture(plot)
    with compile_line() as tell:
        run, market = run_parent_sources(settings, sources, request, clock, settings.replay.duration_s, report=tell)
    report = execution_report(run.parent, market)
    for problem in run.backtest.result.problems:
        sys.stderr.write(f"{problem}\n")
    if run.backtest.result.strategies_halted:
        raise CommandError("the execution is not judged: a strategy beside it failed")
    if as_json:
        ending = {"state": run.state.name.lower(), "reason": run.reason.name}
        say_json({"algorithm": request.algorithm, **ending, **msgspec.to_builtins(report)})
    else:
        print_run(request.algorithm, run, report, market)
    if plot is not None:
        save_plot(run.parent, market, plot)
    if reports:
        write_reports(run.backtest.performance(), reports)
    check_whole(sources)


def print_run(algorithm: str, run: ParentRun, report: ExecutionReport, market: Market) -> None:
    """How the execution of an order went, in words and as a plot."""
    from backtest.execution_plot import plot_text
    from oms.commands.execution import print_execution

    print_execution(report)
    for line in liquidation_lines(run.backtest.result):
        say(line)
    say("")
    say(f"{algorithm}: {ending_text(run)}")
    say("")
    say(plot_text(run.parent, market))


def ending_text(run: ParentRun) -> str:
    """How the order ended."""
    from oms.reasons import MEANINGS
    from oms.records import OrderState, Reason

    if run.state == OrderState.HELD:
        return "still at work when the data ended"
    if run.reason == Reason.NONE:
        return run.state.name.lower()
    return f"{run.state.name.lower()}, {run.reason.name}: {MEANINGS[run.reason]}"


def liquidation_lines(result: BacktestResult) -> Iterator[str]:
    """What the exchange liquidated, a line each; of many the first."""
    import numpy as np

    for each in result.liquidations[:MOST_LIQUIDATIONS]:
        whose = f" of {each.strategy}" if each.strategy else ""
        fee = f", fee {each.fee} {each.settlement}" if float(each.fee) else ""
        yield (
            f"liquidated at {np.datetime64(each.ts, 'ns')}Z: {each.side} {each.qty} {each.symbol}{whose} "
            f"at {each.price}{fee}"
        )
    more = len(result.liquidations) - MOST_LIQUIDATIONS
    if more > 0:
        yield f"liquidated {more:,} times more: see --json"


def print_result(result: BacktestResult) -> None:
    """The figures of a backtest in words."""
    say(
        f"{result.ticks:,} ticks ({result.recorded_s:,.1f} s of the market) in {result.elapsed_s:.3f} s: "
        f"{result.ticks_per_s:,.0f} ticks/s"
    )
    why = ", ".join(f"{reason} {count:,}" for reason, count in result.refusals.items())
    refused = f"{result.refused:,} refused by risk{f' ({why})' if why else ''}"
    say(f"{result.orders:,} orders sent, {refused}, {result.fills:,} fills")
    for line in liquidation_lines(result):
        say(line)
    if not result.instruments:
        return
    say("")
    say_table(
        ["instrument", "fills", "bought", "sold", "position", "realized", "unrealized", "fees"],
        [
            [
                each.symbol,
                f"{each.fills:,}",
                each.bought,
                each.sold,
                each.position,
                each.realized_pnl,
                each.unrealized_pnl,
                f"{each.fees} {each.settlement}",
            ]
            for each in result.instruments
            if each.fills
        ],
        frozenset(range(1, 8)),
    )
