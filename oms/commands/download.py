"""``zoms download``: history of a venue into the data folder."""

from __future__ import annotations

import sys
from datetime import date
from typing import Annotated

import typer

from oms.commands.options import CommandError, DataDir, say


def download(
    instrument: Annotated[str, typer.Argument(help="The venue's own symbol, and the venue.", metavar="SYMBOL.VENUE")],
    first: Annotated[str, typer.Option("--from", help="First day, UTC.", metavar="YYYY-MM-DD")],
    last: Annotated[str, typer.Option("--to", help="Last day, UTC; it must be over.", metavar="YYYY-MM-DD")],
    kind: Annotated[str, typer.Option("--kind", help="trades, bars, mark or funding.")] = "trades",
    interval: Annotated[str, typer.Option("--interval", help="Of bars, and of mark prices.")] = "1m",
    data_dir: DataDir = None,
) -> None:
    """Download a venue's history through ccxt, a file a day; days that are on disk are not asked for again."""
    from rich.console import Console
    from rich.progress import Progress

    from backtest.data.download import Downloader, Request, new_exchange
    from oms.config import data_dir as data_folder

    symbol, _, venue = instrument.rpartition(".")
    if not symbol:
        raise CommandError(f"{instrument!r} is not like BTCUSDT.binance_usdm: give symbol and venue")
    request = Request(venue, symbol, kind, day_of(first), day_of(last), interval)
    downloader = Downloader(new_exchange(venue), request, data_folder(str(data_dir) if data_dir else ""))
    rows, empty, missing = 0, 0, downloader.missing()
    with Progress(console=Console(file=sys.stderr)) as progress:
        task = progress.add_task(f"{instrument} {request.folder_name}", total=len(missing))
        for _, count in downloader.days():
            rows += count
            empty += count == 0
            progress.advance(task)
    there = len(request.days()) - len(missing)
    say(f"{rows:,} rows of {len(missing) - empty} days in {downloader.folder}, {there} days were there")
    if empty:
        say(f"{empty} days came back without rows, and are not stored")


def day_of(text: str) -> date:
    """A day; raises ``CommandError``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise CommandError(f"{text!r} is no day: write it like 2026-01-31") from None
