"""Arguments and options of the ``zoms order`` commands, and the names that rpc knows their choices by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from oms.commands.options import CommandError


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class TimeInForce(StrEnum):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"
    DAY = "day"


class Type(StrEnum):
    LIMIT = "limit"
    MARKET = "market"
    STOP_LIMIT = "stop-limit"
    STOP_MARKET = "stop-market"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TAKE_PROFIT_MARKET = "take-profit-market"
    TRAILING_STOP_LIMIT = "trailing-stop-limit"
    TRAILING_STOP_MARKET = "trailing-stop-market"


class TriggerBy(StrEnum):
    LAST = "last"
    MARK = "mark"
    INDEX = "index"
    BID_ASK = "bid-ask"


class TrailUnit(StrEnum):
    PRICE = "price"
    BASIS_POINTS = "basis-points"
    TICKS = "ticks"


class PositionSide(StrEnum):
    LONG = "long"
    SHORT = "short"


class Contingency(StrEnum):
    OTO = "oto"
    OCO = "oco"


def named(member: StrEnum | None) -> Any:
    """The name that rpc knows an option's choice by."""
    return None if member is None else member.value.replace("-", "_")


def moment(text: str | None) -> int:
    """Ns since the epoch of a time such as ``2026-12-25T08:00:00Z``; 0 for None."""
    if text is None:
        return 0
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        given = datetime.min
    if given.tzinfo is None:
        raise CommandError(f"--good-till {text!r} is no time with its zone: write it like 2026-12-25T08:00:00Z")
    return (given - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1_000


ClientName = Annotated[
    str, typer.Option("--client", help="Whose orders; the name owns them and their ids.", metavar="NAME")
]
OrderId = Annotated[str, typer.Argument(metavar="ID", help="The id that the order was placed with.")]
SymbolArgument = Annotated[str, typer.Argument(help="Instrument, such as BTCUSDT or BTCUSDT.binance_usdm.")]
QtyArgument = Annotated[str, typer.Argument(help="Quantity, decimal.")]
Price = Annotated[str | None, typer.Option("--price", help="Limit price, decimal.", metavar="PRICE")]
NewQty = Annotated[
    str | None, typer.Option("--qty", help="New total quantity, the filled part included.", metavar="QTY")
]
Trigger = Annotated[
    str | None,
    typer.Option(
        "--trigger",
        help="Trigger price, decimal; one that is already past lets the order leave at once.",
        metavar="PRICE",
    ),
]
Trail = Annotated[
    str | None,
    typer.Option(
        "--trail",
        help="Distance at which a trailing stop's trigger follows; its limit price stays.",
        metavar="DISTANCE",
    ),
]
TrailUnitOption = Annotated[
    TrailUnit | None,
    typer.Option("--trail-unit", help="price (the default), basis-points or ticks.", metavar="UNIT"),
]
