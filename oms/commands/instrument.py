"""``zoms instrument``: how an exchange defines what it trades, as a row of a settings file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from oms.commands.kill_switch import SandboxCa, SandboxPort, sandbox_of
from oms.commands.options import CommandError, say

if TYPE_CHECKING:
    from gateways.venues import Sandbox, Venue
    from oms.instruments import Instrument

ABOUT_FEES: Final = "# fee rates are those that ccxt states, or zoms's own where it states none: see which are yours"


def instrument(
    venue: Annotated[
        str, typer.Argument(help="Such as binance_usdm, or ccxt_bybit_linear of any exchange.", metavar="VENUE")
    ],
    symbol: Annotated[str, typer.Argument(help="The exchange's own, or ccxt's, such as BTC/USDT.", metavar="SYMBOL")],
    number: Annotated[
        int, typer.Option("--id", help="The instrument's number in the settings.", metavar="NUMBER", min=0)
    ] = 0,
    sandbox_port: SandboxPort = None,
    sandbox_ca: SandboxCa = None,
) -> None:
    """Ask an exchange how it defines an instrument, and print that as a row of a settings file; needs no keys."""
    import asyncio

    from gateways.generic import settings_text
    from gateways.venues import VENUES, find_venue

    row = find_venue(venue)
    if row is None:
        raise CommandError(
            f"{venue!r} is no venue: there are {', '.join(VENUES)}, and ccxt_EXCHANGE_spot, _linear, ..."
        )
    sandbox = sandbox_of(sandbox_port, sandbox_ca)
    try:
        found = asyncio.run(_asked(row, symbol, number, sandbox))
    except ImportError as error:
        raise CommandError(f"definitions come through ccxt ({error}): pip install 'zoms[exchanges]'") from None
    say(settings_text(found))
    say(ABOUT_FEES)


async def _asked(row: Venue, symbol: str, number: int, sandbox: Sandbox | None) -> Instrument:
    """What the exchange says; raises ``CommandError``."""
    from gateways.credentials import Credentials
    from gateways.generic import definition_of
    from gateways.venues import connected, one_line

    async with connected(row, Credentials("", ""), sandbox) as exchange:
        from ccxt.base.errors import BaseError

        try:
            await exchange.load_markets()
        except (BaseError, OSError) as error:
            raise CommandError(f"{row.name} does not say what it trades: {one_line(error)}") from None
        return definition_of(exchange, row, symbol, number)
