"""``zoms backtest``: the paper session's functions, called in one compiled loop over a recording."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oms.commands.options import Account, Json, SettingsFile, say, say_json, say_table
from oms.commands.paper import Duration, InstrumentName, NoStrategy, Parameters, Strategy, session_settings

if TYPE_CHECKING:
    from backtest.run import BacktestResult


def backtest(
    file: Annotated[Path, typer.Argument(help="Recorded stream.")],
    clock: Annotated[
        str,
        typer.Option(
            "--clock", help="local: the exchange acts in record time and receive order, as in paper.", metavar="CLOCK"
        ),
    ] = "local",
    duration: Duration = None,
    as_json: Json = False,
    settings_file: SettingsFile = None,
    account: Account = None,
    strategy: Strategy = None,
    instrument: InstrumentName = None,
    param: Parameters = None,
    no_strategy: NoStrategy = False,
) -> None:
    """Run the strategies over a recorded stream in one compiled loop; the fills are those of a paper session."""
    import msgspec

    settings = session_settings(
        settings_file=settings_file,
        replay=file,
        speed="max",
        duration=duration,
        account=account,
        data_dir=None,
        strategy=strategy,
        instrument=instrument,
        parameters=param,
        no_strategy=no_strategy,
    )
    from backtest.run import backtest_file

    result = backtest_file(settings, Path(settings.replay.file), clock, settings.replay.duration_s).result
    for problem in result.problems:
        sys.stderr.write(f"{problem}\n")
    if as_json:
        say_json(msgspec.to_builtins(result))
    else:
        print_result(result)
    if result.strategies_halted:
        raise typer.Exit(1)


def print_result(result: BacktestResult) -> None:
    """The figures of a backtest in words."""
    say(
        f"{result.ticks:,} ticks ({result.recorded_s:,.1f} s of the market) in {result.elapsed_s:.3f} s: "
        f"{result.ticks_per_s:,.0f} ticks/s"
    )
    say(f"{result.orders:,} orders sent, {result.refused:,} refused by risk, {result.fills:,} fills")
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
