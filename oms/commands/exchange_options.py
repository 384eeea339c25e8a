"""Options of ``zoms backtest`` about the exchange: its model, its queue, its latencies and its fees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from oms.commands.options import CommandError

if TYPE_CHECKING:
    from oms.config import Settings

ExchangeModel = Annotated[
    str | None,
    typer.Option("--exchange-model", help="How orders fill; see docs/matching.md.", metavar="MODEL|FILE.py"),
]
QueueModel = Annotated[
    str | None,
    typer.Option(
        "--queue-model", help="How an order moves in its queue; N is the exponent.", metavar="QUEUE[:N]|FILE.py"
    ),
]
Latencies = Annotated[
    str | None,
    typer.Option(
        "--latency",
        help="To the exchange and back: 10ms or 10ms,5ms; a factor of the feed's; or recorded ones.",
        metavar="ENTRY[,RESPONSE]|feed[:FACTOR]|FILE",
    ),
]
Fees = Annotated[
    str | None,
    typer.Option(
        "--fees", help="Rates on the value, such as 0.0002,0.0005; negative: a rebate.", metavar="MAKER,TAKER"
    ),
]

UNITS_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
LATENCY_FILES: Final = (".npy", ".npz", ".csv")
NS_PER_US: Final = 1_000
FEED: Final = "feed"
WITH_EXPONENT: Final = "power"
"""How the queue models begin that have an exponent."""


def chosen_model(option: str, name: str, known: tuple[str, ...]) -> str:
    """A model by name, or the absolute path of a user's; raises ``CommandError`` for what is neither."""
    if not name.endswith(".py"):
        if name in known:
            return name
        raise CommandError(f"{option} {name!r} is no model: choose {', '.join(known)}, or give a .py file")
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        raise CommandError(f"{option} {name!r}: there is no such file")
    return str(path)


def queue_settings(text: str) -> dict[str, Any]:
    """What ``--queue-model`` sets of ``[matching]``."""
    from oms.exchange_model import QUEUE_MODELS

    name, colon, exponent = text.partition(":")
    if not colon:
        return {"queue": chosen_model("--queue-model", text, QUEUE_MODELS)}
    chosen = chosen_model("--queue-model", name, QUEUE_MODELS)
    if name in QUEUE_MODELS and not name.startswith(WITH_EXPONENT):
        raise CommandError(f"--queue-model {text!r}: {name} has no exponent; power1, power2 and power3 have one")
    try:
        return {"queue": chosen, "queue_power": float(exponent)}
    except ValueError:
        raise CommandError(f"--queue-model {text!r}: {exponent!r} is no exponent, such as power3:2.5") from None


def latency_us(text: str) -> int:
    """A latency such as ``10ms`` in us; raises ``CommandError`` for what is none."""
    number = text.strip().rstrip("numsµ")
    unit = text.strip()[len(number) :]
    try:
        whole = float(number) * UNITS_NS[unit] / NS_PER_US
    except (ValueError, KeyError):
        whole = -1.0
    if not 0 <= whole < float(2**53) or not whole.is_integer():
        raise CommandError(f"--latency {text!r} is no time in whole us, such as 10ms or 250us: units are us, ms and s")
    return int(whole)


def latency_settings(text: str) -> dict[str, Any]:
    """What ``--latency`` sets of ``[matching]``: one of three kinds, in place of what the settings say."""
    given: dict[str, Any] = {
        "entry_latency_us": 0,
        "response_latency_us": 0,
        "feed_latency_factor": 0.0,
        "latencies": "",
    }
    kind, _, factor = text.partition(":")
    if kind == FEED:
        try:
            return {**given, "feed_latency_factor": float(factor) if factor else 1.0}
        except ValueError:
            raise CommandError(f"--latency {text!r}: {factor!r} is no factor, such as feed:1.5") from None
    if text.endswith(LATENCY_FILES):
        path = Path(text).expanduser().absolute()
        if not path.is_file():
            raise CommandError(f"--latency {text!r}: there is no such file")
        return {**given, "latencies": str(path)}
    entry, comma, response = text.partition(",")
    entry_us = latency_us(entry)
    return {
        **given,
        "entry_latency_us": entry_us,
        "response_latency_us": latency_us(response) if comma else entry_us,
    }


def fee_rates(text: str) -> dict[str, str]:
    """What ``--fees`` sets of every instrument."""
    from oms.decimals import GridError, rate
    from oms.records import CASH_SCALE

    rates = [each.strip() for each in text.split(",")]
    try:
        possible = len(rates) == 2 and all(abs(rate("rate", each)) <= CASH_SCALE for each in rates)
    except GridError:
        possible = False
    if not possible:
        raise CommandError(
            f"--fees {text!r} is not MAKER,TAKER: two rates from -1 to 1 with at most 8 decimals, such as 0.0002,0.0005"
        )
    return dict(zip(("maker_fee_rate", "taker_fee_rate"), rates, strict=True))


def with_exchange(
    settings: Settings, model: str | None, queue: str | None, latency: str | None, fees: str | None
) -> Settings:
    """The settings with what these options say of the exchange in place of their own.

    Raises
    ------
    CommandError, ConfigError
        For a value that cannot be used; the message names it.
    """
    import msgspec

    given: dict[str, Any] = {}
    if model is not None:
        from oms.session_settings import MATCHING_MODELS

        given["model"] = chosen_model("--exchange-model", model, MATCHING_MODELS)
    if queue is not None:
        given |= queue_settings(queue)
    if latency is not None:
        given |= latency_settings(latency)
    instruments = settings.instruments
    if fees is not None:
        given["fees"] = "value"
        rates = fee_rates(fees)
        instruments = tuple(msgspec.structs.replace(each, **rates) for each in instruments)
    if not given:
        return settings
    matching = msgspec.structs.replace(settings.matching, **given)
    return msgspec.structs.replace(settings, matching=matching, instruments=instruments)
