"""``zoms firm``: real orders at exchanges, by the code that was tried on paper."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oms.commands.doctor import print_findings, sandboxes_of
from oms.commands.options import Account, CommandError, DataDir, overrides, say
from oms.commands.paper import run_session

if TYPE_CHECKING:
    from oms.config import Settings

AT_END: Final = {
    "cancel": "are cancelled",
    "keep_stops": "are cancelled, but for reduce-only stops at the exchange",
    "keep": "STAY OPEN",
}
"""What is said of open orders, by ``orders_at_end``."""

Config = Annotated[
    Path,
    typer.Option("--config", help="TOML file with instruments, accounts, limits and [live]; see docs/firm.md."),
]


def firm(
    config: Config,
    trade: Annotated[
        bool, typer.Option("--trade", help="Let orders leave. Without it the session only watches.")
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", help="The account's name: what would be typed otherwise.", metavar="ACCOUNT"),
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", help="Stop after this long.", metavar="SECONDS")
    ] = None,
    no_strategy: Annotated[
        bool, typer.Option("--no-strategy", help="Run no strategy: orders come from clients only.")
    ] = False,
    allow_withdrawals: Annotated[
        bool, typer.Option("--allow-withdrawals", help="Only warn of keys that may move money away.")
    ] = False,
    account: Account = None,
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON, on the last line.")] = False,
) -> None:
    """Trade real money: the doctor looks first, then what is about to begin is shown, and confirmed by typing."""
    if confirm is not None and not trade:
        raise CommandError(f"--confirm {confirm!r} confirms --trade: give both")
    settings = firm_settings(config, overrides(account, data_dir), trade=trade, duration=duration)
    if no_strategy:
        import msgspec

        settings = msgspec.structs.replace(settings, strategies=())
    examine_first(settings, may_withdraw=allow_withdrawals, to_stderr=as_json)
    for line in what_begins(settings):
        _tell(line, to_stderr=as_json)
    if trade:
        check_confirmed(settings, confirm)
    if not run_session(settings, as_json=as_json):
        raise typer.Exit(1)


def firm_settings(config: Path, given: Mapping[str, Any], *, trade: bool, duration: float | None) -> Settings:
    """The settings of a session with real orders; raises ``ConfigError``."""
    from oms.config import load_settings

    firm_given: dict[str, Any] = {"mode": "firm", "firm": {"trade": trade}}
    if duration is not None:
        firm_given["replay"] = {"duration_s": duration}
    return load_settings(config, {**given, **firm_given})


def examine_first(settings: Settings, *, may_withdraw: bool, to_stderr: bool) -> None:
    """Have the doctor look; raises ``CommandError`` when it refuses anything."""
    try:
        from gateways.doctor import examine

        found = examine(settings, sandboxes_of(settings), may_withdraw=may_withdraw)
    except ImportError as error:
        raise CommandError(f"firm mode needs more ({error}): pip install 'zoms[exchanges,live]'") from None
    print_findings(found, lambda line: _tell(line, to_stderr=to_stderr))
    refused = sum(finding.level == "refused" for each in found.values() for finding in each)
    if refused:
        raise CommandError(f"{refused} to be mended before real orders, named above")


def what_begins(settings: Settings) -> list[str]:
    """What the session is about to do, in lines."""
    from gateways.proof import read_proof
    from oms.settings import data_dir, qualified_symbol

    (limits,) = settings.accounts.values()
    lines = [
        "",
        f"  account     {settings.account}, {'TRADES' if settings.firm.trade else 'READ-ONLY: no order leaves'}",
    ]
    for venue in settings.venues:
        if (sandbox := settings.live.sandbox.get(venue)) is not None:
            lines.append(f"  venue       {venue}: the SANDBOX on port {sandbox.port}, no real money")
        elif read_proof(data_dir(settings.data_dir), venue) is None:
            lines.append(f"  venue       {venue}: REAL MONEY, unproven on {venue} (zoms venue-check {venue})")
        else:
            lines.append(f"  venue       {venue}: REAL MONEY")
    for each in settings.live_instruments:
        risk = settings.risk_limits(each)
        bounds = (
            f"order at most {risk.max_order_qty} and {risk.max_order_notional} {each.settlement}, "
            f"position at most {risk.max_position}"
            if risk
            else "no limits: not traded"
        )
        lines.append(f"  instrument  {qualified_symbol(each)}: {bounds}")
    currency = settings.reporting_currency
    lines.append(
        f"  limits      gross {limits.max_gross_exposure} {currency}, daily loss {limits.max_daily_loss}, "
        f"drawdown {limits.max_drawdown}, {limits.max_open_orders} open orders"
    )
    lines += [f"  strategy    {each.title} on {each.instrument}" for each in settings.strategies]
    if not settings.strategies:
        lines.append("  strategy    none: orders come from clients only")
    end = AT_END[settings.firm.orders_at_end]
    lines.append(f"  at the end  open orders {end}; positions stay")
    lines.append(f"  data        {settings.account_dir}")
    return lines


def check_confirmed(settings: Settings, given: str | None) -> None:
    """Have somebody type the account's name; raises ``CommandError`` when it is not typed."""
    wanted = settings.account
    if given is None:
        if not sys.stdin.isatty():
            raise CommandError(f"nobody can confirm here: give --confirm {wanted} to let orders leave")
        sys.stderr.write(f"\nType {wanted!r} to let orders leave: ")
        sys.stderr.flush()
        given = sys.stdin.readline().strip()
    if given != wanted:
        raise CommandError(f"{given!r} is not the account's name {wanted!r}: no order leaves, nothing was started")


def _tell(line: str, *, to_stderr: bool) -> None:
    if to_stderr:
        sys.stderr.write(f"{line}\n")
    else:
        say(line)
