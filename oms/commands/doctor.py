"""``zoms doctor``: whether this machine, the settings and the keys are fit to trade real money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oms.commands.kill_switch import SandboxCa, SandboxPort, sandbox_of
from oms.commands.options import Account, CommandError, DataDir, Json, SettingsFile, overrides, say, say_json

if TYPE_CHECKING:
    from gateways.doctor import Finding
    from gateways.venues import Sandbox
    from oms.config import Settings


def doctor(
    settings_file: SettingsFile = None,
    account: Account = None,
    data_dir: DataDir = None,
    allow_withdrawals: Annotated[
        bool, typer.Option("--allow-withdrawals", help="Only warn of keys that may move money away.")
    ] = False,
    sandbox_port: SandboxPort = None,
    sandbox_ca: SandboxCa = None,
    as_json: Json = False,
) -> None:
    """Check limits, disk, clock, keys and their permissions, and what the exchanges say of instruments and account."""
    from gateways.doctor import examine
    from oms.config import load_settings

    settings = load_settings(settings_file, {**overrides(account, data_dir), "replay": {"file": ""}})
    sandbox = sandbox_of(sandbox_port, sandbox_ca)
    sandboxes = sandboxes_of(settings) if sandbox is None else dict.fromkeys(settings.venues, sandbox)
    try:
        found = examine(settings, sandboxes, may_withdraw=allow_withdrawals)
    except ImportError as error:
        raise CommandError(f"the doctor needs ccxt ({error}): pip install 'zoms[exchanges]'") from None
    findings = [finding for each in found.values() for finding in each]
    if as_json:
        import msgspec

        say_json(msgspec.to_builtins(found))
    else:
        print_findings(found, say)
        refused = sum(finding.level == "refused" for finding in findings)
        say(f"{refused} to be mended before real orders" if refused else "fit to trade")
    if any(finding.level == "refused" for finding in findings):
        raise typer.Exit(1)


def sandboxes_of(settings: Settings) -> dict[str, Sandbox]:
    """By venue the sandboxes that the settings name; raises ``CommandError``."""
    from gateways.venues import Sandbox

    for venue, given in settings.live.sandbox.items():
        if not Path(given.ca).is_file():
            raise CommandError(f"[live.sandbox.{venue}] ca {given.ca!r} is no file: zoms sandbox --ca FILE writes it")
    return {venue: Sandbox(given.port, Path(given.ca)) for venue, given in settings.live.sandbox.items()}


def print_findings(found: Mapping[str, list[Finding]], tell: Callable[[str], None]) -> None:
    """What was found, a line each."""
    for whose, each in found.items():
        tell(whose)
        for finding in each:
            tell(f"  {finding.level:<8} {finding.check}: {finding.text}")
