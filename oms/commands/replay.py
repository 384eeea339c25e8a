"""``zoms replay``: a session rebuilt from its journal, and compared with what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from oms.commands.options import Account, CommandError, DataDir, Json, say, say_json, stored_settings

if TYPE_CHECKING:
    from oms.session_check import Checked


def replay(
    session: Annotated[
        int | None,
        typer.Option("--session", help="The core session, as in its files' names. Default: the newest.", metavar="N"),
    ] = None,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Rebuild a session from its journal, and compare state and output with what they were, byte for byte."""
    import msgspec

    from oms.assembly import build_core
    from oms.session_check import SessionCheck

    settings = stored_settings(account, data_dir)
    core = build_core(settings)
    checked = SessionCheck(settings, core.st, session).run()
    if as_json:
        say_json(msgspec.to_builtins(checked))
    else:
        say_checked(checked)
    if checked.differences:
        raise CommandError(
            f"session {checked.session} comes out otherwise: {checked.differences[0]}; do not trade on it: keep journal"
            " and snapshots, and see docs/recovery.md"
        )


def say_checked(checked: Checked) -> None:
    """Print what a replay came to."""
    began = f"from {checked.began_with}" if checked.began_with else "from the first session's beginning"
    rate = checked.records / max(checked.check_s + checked.apply_s, 1e-9)
    say(f"session {checked.session}, inputs = {checked.inputs}, {began}")
    say(
        f"{checked.records:,} records in {checked.elapsed_s:.2f} s (checking {checked.check_s:.2f}, applying"
        f" {checked.apply_s:.2f}): {rate:,.0f} records/s"
    )
    say(f"{checked.requests:,} requests, {checked.reports:,} reports, {checked.events:,} events: all as in the journal")
    if not checked.closed:
        say(f"the session did not end in good order: {checked.torn_bytes} bytes of an incomplete entry were left out")
    if checked.unfinished:
        say(f"{checked.unfinished} requests or reports at the end had no effect and were left out")
    if checked.compared:
        say(f"state compared with {', '.join(checked.compared)}")
    else:
        say("there is no snapshot to compare the state with")
    for each in checked.differences:
        say(f"  {each}")
