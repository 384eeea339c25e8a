"""What ``zoms backtest`` and ``zoms optimize`` run over: files of ticks or bars, and options about them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from oms.commands.exchange_options import with_exchange
from oms.commands.options import CommandError, overrides
from oms.commands.paper import session_settings

if TYPE_CHECKING:
    from backtest.data.bars import BarSource
    from backtest.data.source import Source
    from oms.config import Settings

UNITS_NS: Final = {"s": 10**9, "m": 60 * 10**9, "h": 3_600 * 10**9, "d": 86_400 * 10**9}

Clock = Annotated[
    str,
    typer.Option(
        "--clock",
        help="local: the exchange acts in record time and receive order, as in paper; dual: at its own time.",
        metavar="CLOCK",
    ),
]
Instruments = Annotated[
    list[str] | None,
    typer.Option(
        "--instrument",
        help="What a file is of that does not say so itself, in the files' order. --strategy trades the first. "
        "Repeatable.",
        metavar="SYMBOL.VENUE",
    ),
]
Timeframes = Annotated[
    list[str] | None,
    typer.Option(
        "--timeframe",
        help="Give strategies these longer bars too, such as 1h. Repeatable.",
        metavar="TIME",
    ),
]


class MarketData(NamedTuple):
    """The files of a command, opened, and the settings of runs over them."""

    settings: Settings
    sources: list[Source]
    """Of ticks; then there are no bars."""
    bars: list[BarSource]
    timeframes_ns: list[int]


def open_data(
    files: list[Path],
    *,
    settings_file: Path | None,
    account: str | None,
    data_dir: Path | None = None,
    duration: float | None,
    instruments: list[str] | None,
    timeframes: list[str] | None,
    strategy: str | None,
    parameters: list[str] | None,
    no_strategy: bool = False,
    exchange_model: str | None,
    queue_model: str | None,
    latency: str | None,
    fees: str | None,
) -> MarketData:
    """Open the market data of a command; the arguments are the values of its options.

    Raises
    ------
    DataError, ConfigError
        When a file or a setting cannot be used.
    CommandError
        When an option cannot be used, or not with data of their kind.
    """
    from backtest.data.opening import open_sources
    from oms.config import load_settings
    from oms.session_settings import BOOK_MODELS

    names = instruments or []
    defined = load_settings(settings_file, {**overrides(account, None), "replay": {"file": ""}})
    sources, bars = open_sources(files, defined, names)
    if names and strategy is None and sources and all(source.names_instrument for source in sources):
        raise CommandError(f"--instrument {names[0]}: every file says itself what it is of; give --strategy FILE too")
    timeframes_ns = [interval_of(text) for text in timeframes or []]
    if timeframes and not bars:
        raise CommandError(f"--timeframe {timeframes[0]} is for bars, and the data are ticks")
    of_ticks = {
        "exchange-model": exchange_model if exchange_model in BOOK_MODELS else None,
        "queue-model": queue_model,
        "latency": latency,
    }
    for option, value in of_ticks.items():
        if bars and value is not None:
            raise CommandError(f"--{option} {value} is for ticks, and {bars[0].path} holds bars: leave it away")
    settings = session_settings(
        settings_file=settings_file,
        replay=files[0],
        speed="max",
        duration=duration,
        account=account,
        data_dir=data_dir,
        strategy=strategy,
        instrument=None,
        parameters=parameters,
        no_strategy=no_strategy,
        recorded=names[0] if names else (sources or bars)[0].symbol,
    )
    return MarketData(with_exchange(settings, exchange_model, queue_model, latency, fees), sources, bars, timeframes_ns)


def interval_of(text: str) -> int:
    """An interval such as ``15m``, ``1h`` or ``1d`` in ns; raises ``CommandError`` for what is none."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise CommandError(f"--timeframe {text!r} is no interval such as 15m, 1h or 1d")
    return int(found[1]) * UNITS_NS[found[2]]
