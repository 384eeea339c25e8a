"""``zoms paper``: paper trading on a recorded stream, or on live market data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms.commands.options import (
    Account,
    CommandError,
    DataDir,
    SettingsFile,
    overrides,
    parse_parameters,
    say,
    say_bad_input,
    say_json,
)

if TYPE_CHECKING:
    from oms.config import Settings

Replay = Annotated[
    Path | None, typer.Option("--replay", help="Recorded stream that stands in for the exchange.", metavar="FILE")
]
Speed = Annotated[
    str | None, typer.Option("--speed", help="1: as recorded; 10: ten times as fast; max: flat out.", metavar="FACTOR")
]
Duration = Annotated[
    float | None,
    typer.Option("--duration", help="Stop after this much of the recording, or of live data.", metavar="SECONDS"),
]
Strategy = Annotated[
    str | None,
    typer.Option("--strategy", help="Run this strategy file instead of those in the settings.", metavar="FILE"),
]
InstrumentName = Annotated[
    str | None,
    typer.Option("--instrument", help="What --strategy trades. Default: what is recorded.", metavar="SYMBOL.VENUE"),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", help="Set a strategy parameter. Repeatable.", metavar="NAME=NUMBER"),
]
NoStrategy = Annotated[bool, typer.Option("--no-strategy", help="Run no strategy: orders come from clients only.")]


def session_settings(
    *,
    settings_file: Path | None,
    replay: Path | None,
    speed: str | None,
    duration: float | None,
    account: str | None,
    data_dir: Path | None,
    strategy: str | None,
    instrument: str | None,
    parameters: list[str] | None,
    no_strategy: bool,
    recorded: str | None = None,
) -> Settings:
    """The settings of a session from its options; raises ``ConfigError`` or ``CommandError`` for what cannot be.

    ``recorded`` is the instrument of ``replay`` where that is already known, and need not be a recording.
    """
    import msgspec

    from oms.config import load_settings, qualified_symbol
    from oms.traded import recorded_instrument

    given = overrides(account, data_dir)
    replay_given: dict[str, Any] = {"file": replay and str(replay), "speed": speed, "duration_s": duration}
    given["replay"] = {name: value for name, value in replay_given.items() if value is not None}
    if replay is None and settings_file is None:
        raise CommandError(
            "no market is given: use --replay FILE, or --settings FILE with a [replay] or a [live] table"
        )
    if replay is not None:
        given["live"] = {"instruments": []}
    if strategy is not None and no_strategy:
        raise CommandError("--strategy and --no-strategy exclude each other: give one of them")
    if instrument is not None and strategy is None:
        raise CommandError("--instrument is what --strategy trades: give --strategy FILE too")
    if no_strategy:
        given["strategies"] = []
    settings = load_settings(settings_file, given)
    if settings.is_live:
        recorded = qualified_symbol(settings.live_instruments[0])
    if recorded is None and not Path(settings.replay.file).is_file():
        raise CommandError(f"recording {settings.replay.file} does not exist: give the path of a recorded stream")
    if strategy is not None:
        given["strategies"] = [
            {"file": strategy, "instrument": instrument or recorded or recorded_instrument(settings)}
        ]
        settings = load_settings(settings_file, given)
    elif settings.strategies and settings.strategies == load_settings(None, {"replay": {"file": ""}}).strategies:
        settings = on_instrument(settings, recorded or recorded_instrument(settings))
    chosen = parse_parameters(parameters or [])
    if not chosen:
        return settings
    if not settings.strategies:
        raise CommandError(f"--param {(parameters or [''])[0]!r} has no strategy to go to")
    strategies = tuple(
        msgspec.structs.replace(each, parameters={**each.parameters, **chosen}) for each in settings.strategies
    )
    return msgspec.structs.replace(settings, strategies=strategies)


def on_instrument(settings: Settings, instrument: str) -> Settings:
    """``settings`` with every strategy trading ``instrument``: the shipped ones trade whatever is recorded."""
    import msgspec

    strategies = tuple(msgspec.structs.replace(each, instrument=instrument) for each in settings.strategies)
    return msgspec.structs.replace(settings, strategies=strategies)


def paper(
    replay: Replay = None,
    speed: Speed = None,
    duration: Duration = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, on the last line.")] = False,
    settings_file: SettingsFile = None,
    account: Account = None,
    data_dir: DataDir = None,
    strategy: Strategy = None,
    instrument: InstrumentName = None,
    param: Parameters = None,
    no_strategy: NoStrategy = False,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", help="Save the live view, as it last was, to an SVG file.", metavar="FILE"),
    ] = None,
) -> None:
    """Trade on paper: a recorded stream or live market data, the real processes, an exchange model that fills."""
    settings = session_settings(
        settings_file=settings_file,
        replay=replay,
        speed=speed,
        duration=duration,
        account=account,
        data_dir=data_dir,
        strategy=strategy,
        instrument=instrument,
        parameters=param,
        no_strategy=no_strategy,
    )
    if not run_session(settings, as_json=as_json, picture=picture):
        raise typer.Exit(1)


def run_session(settings: Settings, *, as_json: bool, picture: Path | None = None) -> bool:
    """Run the session with a view, then print its summary; True when all went well."""
    from oms.session import TradingSession
    from oms.view import new_view, with_picture

    view = new_view(sys.stderr if as_json else sys.stdout)
    with TradingSession(settings, listen=lambda line: view.say(line.text)) as session:
        with view.shown(session) as show:
            well = session.run(with_picture(session, show, picture), view.interval_s)
        summary = session.summary()
    if as_json:
        say_json(summary)
    else:
        print_summary(summary)
    return well


def print_summary(summary: dict[str, Any]) -> None:
    """The summary in words."""
    several = len({each["account"] for each in summary["positions"]}) > 1

    def whose(position: dict[str, Any]) -> str:
        return f" {position['position_side']}".rstrip() + (f" of {position['account']}" if several else "")

    latency = summary["latency"]["tick_to_order"]
    say("")
    taken, lost, stored = summary["ticks"], summary["ticks_lost"], summary["ticks_recorded"]
    say(f"  ticks       {taken:,} taken, {lost:,} lost, {stored:,} stored")
    say(f"  orders      {summary['orders']:,} sent, {summary['refused']:,} refused by risk, {summary['fills']:,} fills")
    for each in summary["positions"]:
        say(
            f"  position    {each['qty']} {each['instrument']}{whose(each)}, realized {each['realized_pnl']}, "
            f"unrealized {each['unrealized_pnl']}, fees {each['fees']} {each['currency']}"
        )
    for each in summary["standings"]:
        say(f"  account     {each['account']}: PnL {each['pnl']} {each['currency']}, margin {each['margin']}")
    if latency["count"]:
        say(
            f"  tick to order  p50 {latency['p50_us']:,.0f} us, p99 {latency['p99_us']:,.0f} us, "
            f"p99.9 {latency['p999_us']:,.0f} us, max {latency['max_us']:,.0f} us ({latency['count']:,} orders)"
        )
    say("  memory      " + ", ".join(f"{name} {rss:,.0f} MB" for name, rss in summary["rss_mb"].items()))
    say_bad_input(summary["bad_input"] + summary["malformed"], summary["account_dir"])
    restarted = {name: count for name, count in summary["restarts"].items() if count}
    if restarted:
        say("  restarts    " + ", ".join(f"{name} {count}" for name, count in restarted.items()))
    say(f"  data        {summary['account_dir']}")
    for problem in summary["problems"]:
        say(f"  problem     {problem}")
