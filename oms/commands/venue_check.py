"""``zoms venue-check``: whether an exchange does what zoms counts on, tried with the user's own keys."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oms.commands.kill_switch import SandboxCa, SandboxPort, sandbox_of
from oms.commands.options import CommandError, DataDir, SettingsFile, compile_line, overrides, say, say_json

if TYPE_CHECKING:
    from gateways.venue_check.place import Place
    from gateways.venue_check.run import Result, Verdict
    from oms.config import Settings
    from oms.instruments import Instrument


def venue_check(
    venue: Annotated[str, typer.Argument(help="As the settings name it, such as binance_usdm.", metavar="VENUE")],
    instrument: Annotated[
        str | None,
        typer.Option("--instrument", help="In what it is tried; default: the settings' first of it.", metavar="SYMBOL"),
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Try the exchange itself, with real money, in the smallest sizes.")
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", help="The venue's name: what would be typed otherwise.", metavar="VENUE"),
    ] = None,
    sandbox_port: SandboxPort = None,
    sandbox_ca: SandboxCa = None,
    patience: Annotated[
        float,
        typer.Option("--patience", help="How long what is awaited may take.", metavar="SECONDS", min=1.0),
    ] = 30.0,
    settings_file: SettingsFile = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, on the last line.")] = False,
) -> None:
    """Try a venue with your own keys and small orders: on its testnet, on the sandbox, or on the exchange itself."""
    from oms.config import load_settings
    from oms.settings import data_dir as folder_of

    if confirm is not None and not real:
        raise CommandError(f"--confirm {confirm!r} confirms --real: give both")
    settings = load_settings(settings_file, {**overrides(None, data_dir), "replay": {"file": ""}})
    tell = _teller(to_stderr=as_json)
    try:
        from gateways.venue_check.place import Where, place_of
        from gateways.venue_check.run import keep_proof, try_venue
        from gateways.venues import Role, venue_among
        from oms.compiled import compile_entries

        row = venue_among([venue], Role.ORDERS)
        place = place_of(row, sandbox_of(sandbox_port, sandbox_ca), is_real=real)
        traded = instrument_of(settings, venue, instrument)
        credentials = place.credentials()
    except ImportError as error:
        raise CommandError(f"the check of a venue needs more ({error}): pip install 'zoms[exchanges,live]'") from None
    tell(f"{venue}: {place.title}, in {traded.symbol}")
    if place.where is Where.REAL:
        check_confirmed(venue, confirm)
    with compile_line() as on_progress:
        compile_entries(on_progress)

    def say_verdict(verdict: Verdict) -> None:
        tell(f"  {verdict.level:<8} {verdict.check}: {verdict.text}")

    result = run_to_its_end(try_venue(place, traded, credentials, say_verdict, patience_s=patience))
    result = keep_proof(result, place, folder_of(settings.data_dir))
    tell(outcome_line(result, place))
    if as_json:
        import msgspec

        say_json(msgspec.to_builtins(result))
    if not result.has_passed:
        raise typer.Exit(1)


def instrument_of(settings: Settings, venue: str, symbol: str | None) -> Instrument:
    """The instrument that is meant; raises ``CommandError``."""
    among = [each for each in settings.instruments if each.venue == venue]
    found = next((each for each in among if symbol is None or each.symbol == symbol), None)
    if found is None:
        known = ", ".join(each.symbol for each in among)
        raise CommandError(
            f"the settings define no {symbol or 'instrument'} of {venue}"
            + (f", but {known}" if known else "")
            + ": give a --settings FILE that does"
        )
    return found


def check_confirmed(venue: str, given: str | None) -> None:
    """Have somebody type the venue's name; raises ``CommandError`` when it is not typed."""
    if given is None:
        if not sys.stdin.isatty():
            raise CommandError(f"nobody can confirm here: give --confirm {venue} to place orders with real money")
        sys.stderr.write(
            "REAL MONEY: about a dozen orders of the smallest size. One buys at the market and is sold again, which "
            f"costs the spread and two fees.\nType {venue!r} to go on: "
        )
        sys.stderr.flush()
        given = sys.stdin.readline().strip()
    if given != venue:
        raise CommandError(f"{given!r} is not the venue's name {venue!r}: no order was placed")


def run_to_its_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Run; a signal breaks it off, and what was placed is cancelled even then."""
    import asyncio

    from oms.interrupts import ENDING_SIGNALS

    async def interruptible() -> Result:
        ended = asyncio.Event()
        for number in ENDING_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        trying, ending = asyncio.ensure_future(work), asyncio.ensure_future(ended.wait())
        await asyncio.wait((trying, ending), return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not trying.done():
            trying.cancel()
        return await trying

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        raise CommandError("the check was broken off: nothing is proven") from None


def outcome_line(result: Result, place: Place) -> str:
    """What has come of it, in words."""
    failed = [verdict.check for verdict in result.verdicts if verdict.level == "failed"]
    if failed:
        return (
            f"{result.venue} is not proven: {len(failed)} of {len(result.verdicts)} checks failed ({', '.join(failed)})"
        )
    if result.proof is None:
        return f"all checks passed on {place.title}; that proves nothing of {result.venue}, and no proof is written"
    return f"all checks passed: {result.venue} is proven, as {result.proof} says"


def _teller(*, to_stderr: bool) -> Callable[[str], None]:
    def tell(line: str) -> None:
        if to_stderr:
            sys.stderr.write(f"{line}\n")
        else:
            say(line)
        (sys.stderr if to_stderr else sys.stdout).flush()

    return tell
