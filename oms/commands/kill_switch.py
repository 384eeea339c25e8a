"""``zoms kill-switch``: exchanges themselves are asked to cancel everything, without anything else of zoms."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oms.commands.options import CommandError, Json, say, say_json

if TYPE_CHECKING:
    from gateways.credentials import Credentials
    from gateways.kill_switch import Verdict
    from gateways.venues import Sandbox

SandboxPort = Annotated[
    int | None,
    typer.Option("--sandbox-port", help="Ask the sandbox exchange on this port instead.", metavar="PORT"),
]
SandboxCa = Annotated[Path | None, typer.Option("--sandbox-ca", help="Its authority's certificate.", metavar="FILE")]


def kill_switch(
    venues: Annotated[
        list[str] | None, typer.Argument(help="Default: all that there are keys for.", metavar="[VENUE...]")
    ] = None,
    deadline: Annotated[
        float,
        typer.Option(
            "--deadline",
            help="Give up this long after the time in which an exchange may take a request.",
            metavar="SECONDS",
            min=1.0,
        ),
    ] = 120.0,
    sandbox_port: SandboxPort = None,
    sandbox_ca: SandboxCa = None,
    as_json: Json = False,
) -> None:
    """Cancel every order at the exchanges, and prove that none is open; works when all of zoms is dead or hangs."""
    import asyncio

    from gateways.kill_switch import run_kill_switch
    from gateways.venues import VENUES, find_venue, venues_with_keys

    unknown = [name for name in venues or [] if find_venue(name) is None]
    if unknown:
        raise CommandError(f"there is no kill switch for {unknown[0]!r}: there is one for {', '.join(VENUES)}")
    sandbox = sandbox_of(sandbox_port, sandbox_ca)
    asked = credentials_for([*VENUES, *venues_with_keys(os.environ)], venues)

    def tell(line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    try:
        verdicts = asyncio.run(run_kill_switch(asked, sandbox, say=tell, deadline_s=deadline))
    except ImportError as error:
        raise CommandError(f"the kill switch needs ccxt ({error}): pip install 'zoms[exchanges]'") from None
    if as_json:
        import msgspec

        say_json(msgspec.to_builtins(verdicts))
    else:
        for verdict in verdicts:
            print_verdict(verdict)
    if not all(verdict.is_clear for verdict in verdicts):
        raise typer.Exit(1)


def sandbox_of(port: int | None, ca: Path | None) -> Sandbox | None:
    """The sandbox that these options name; raises ``CommandError``."""
    from gateways.venues import Sandbox
    from oms.commands.sandbox import CA_FILE
    from oms.settings import data_dir

    if port is None:
        if ca is not None:
            raise CommandError(f"--sandbox-ca {ca} is of a sandbox exchange: give --sandbox-port too")
        return None
    file = (ca or data_dir() / CA_FILE).expanduser()
    if not file.is_file():
        raise CommandError(f"there is no certificate {file}: zoms sandbox writes it; name it by --sandbox-ca")
    return Sandbox(port, file)


def credentials_for(known: list[str], named: list[str] | None) -> dict[str, Credentials]:
    """The keys of the venues that are named, or of all that there are keys for; raises ``CredentialsError``."""
    from gateways.credentials import CredentialsError, read_credentials

    if named:
        return {name: read_credentials(name) for name in named}
    found = {}
    missing = []
    for name in known:
        try:
            found[name] = read_credentials(name)
        except CredentialsError as error:
            missing.append(str(error))
    if not found:
        raise CredentialsError("; ".join(missing))
    return found


def print_verdict(verdict: Verdict) -> None:
    """How a venue stands, in words."""
    ended = f"{verdict.ended:,} that were open are no more"
    if verdict.is_clear:
        say(f"{verdict.venue}: no order is open; {ended}")
    else:
        say(f"{verdict.venue}: NOT CLEAR: {verdict.problem}; {ended}")
    for order in verdict.left:
        say(f"  open      {order.text}")
    for position in verdict.positions:
        say(f"  position  {position.side} {position.qty} {position.symbol}, which is not closed")
    if verdict.is_clear and verdict.problem:
        say(f"  positions could not be looked at: {verdict.problem}")
