"""``zoms sandbox``: an exchange on this machine that speaks a real one's wire protocols, over a recorded stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oms.commands.options import CommandError, SettingsFile, say, say_json
from oms.commands.paper import Speed

if TYPE_CHECKING:
    import asyncio

    from gateways.sandbox.server import Sandbox

DEFAULT_PORT: Final = 8443
CA_FILE: Final = "sandbox-ca.pem"
"""In the data folder."""


def sandbox(
    replay: Annotated[Path, typer.Option("--replay", help="Recorded stream that is its market.", metavar="FILE")],
    venue: Annotated[
        str,
        typer.Option(
            "--venue",
            help="Which exchange it is, binance, okx or htx; the recording says which of its markets.",
            metavar="VENUE",
        ),
    ],
    port: Annotated[
        int, typer.Option("--port", help="Where it listens on 127.0.0.1; 0: where there is room.", min=0, max=65535)
    ] = DEFAULT_PORT,
    speed: Speed = None,
    once: Annotated[
        bool, typer.Option("--once", help="Stand still at the recording's end, do not begin anew.")
    ] = False,
    accounts: Annotated[int, typer.Option("--accounts", help="How many accounts there are.", min=1, max=100)] = 1,
    balance: Annotated[
        str, typer.Option("--balance", help="What each account has at first, in its settlement currency.")
    ] = "100000",
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            help="How often something goes wrong, 0 to 1; docs/sandbox.md names what. Repeatable.",
            metavar="NAME=RATE",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of what goes wrong: the same seed replays.", min=0)] = 0,
    clock_skew: Annotated[
        int, typer.Option("--clock-skew", help="How far its clock is ahead of this machine's.", metavar="MS")
    ] = 0,
    ca: Annotated[
        Path | None,
        typer.Option("--ca", help="Where to write its authority's certificate.", metavar="FILE"),
    ] = None,
    settings_file: SettingsFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it listens and its keys as JSON.")] = False,
) -> None:
    """Run a sandbox exchange until Ctrl-C: an unmodified client of the real one trades on it."""
    from gateways.venues import Role, with_role

    families = dict.fromkeys(each.family for each in with_role(Role.SANDBOX))
    if venue not in families:
        raise CommandError(f"--venue {venue!r} has no sandbox: choose {', '.join(families)}")
    try:
        import uvloop

        from gateways.sandbox.server import Sandbox
    except ImportError as error:
        raise CommandError(f"a sandbox exchange needs more ({error}): pip install 'zoms[sandbox]'") from None
    from gateways.replay import parse_speed
    from gateways.sandbox.faults import FaultPlan, parse_faults
    from gateways.sandbox.stand_ins import traded_on
    from gateways.sidecar import open_recording
    from oms.config import load_settings
    from oms.settings import data_dir

    settings = load_settings(settings_file, {"replay": {"file": str(replay)}})
    recording = open_recording(replay)
    instrument = traded_on(recording, venue, settings)
    ca_file = (ca or data_dir() / CA_FILE).expanduser().absolute()
    made = Sandbox(
        recording,
        instrument,
        faults=FaultPlan(seed, parse_faults(fault or [])),
        accounts=accounts,
        balance=instrument.amount_to_cash(balance, "balance"),
        port=port,
        loop=not once,
    )
    made.venue.clock.skew_ms = clock_skew
    uvloop.run(_serve(made, parse_speed(speed or settings.replay.speed), ca_file, as_json=as_json))


async def _serve(made: Sandbox, speed: float | None, ca_file: Path, *, as_json: bool) -> None:
    """Play until a signal comes; a market that has ended stands still."""
    import asyncio
    from contextlib import suppress

    from oms.interrupts import ENDING_SIGNALS

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in ENDING_SIGNALS:
        loop.add_signal_handler(number, ended.set)
    async with made:
        ca_file.parent.mkdir(parents=True, exist_ok=True)
        ca_file.write_bytes(made.ca_pem)
        _say_where(made, ca_file, as_json=as_json)
        playing: asyncio.Task[None] = asyncio.ensure_future(made.play(speed))
        ending = asyncio.ensure_future(ended.wait())
        await asyncio.wait((playing, ending), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            playing.cancel()
        with suppress(asyncio.CancelledError):
            await playing  # raises what ended it
        await ending


def _say_where(made: Sandbox, ca_file: Path, *, as_json: bool) -> None:
    import sys

    from gateways.sandbox.server import credentials_of
    from gateways.venues import VENUES

    logins = [credentials_of(account.number) for account in made.venue.exchange.accounts]
    where: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": made.port,
        "stands_for": list(made.venue.hosts),
        "ca": str(ca_file),
        "accounts": [login._asdict() for login in logins],
    }
    if as_json:
        say_json(where)
    else:
        say(f"sandbox of {', '.join(made.venue.hosts)} over {made.venue.market.recording.path}")
        say(f"  listens on  127.0.0.1:{made.port}")
        say(f"  authority   {ca_file}")
        for login in logins:
            say(f"  API key     {login.key}")
            say(f"  secret      {login.secret}")
            if VENUES[made.venue.instrument.venue].has_passphrase:
                say(f"  passphrase  {login.passphrase}")
        say("  Ctrl-C ends it")
    sys.stdout.flush()
