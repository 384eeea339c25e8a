"""How an execution report is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oms.commands.options import say, say_table
from oms.commands.stored import time_text

if TYPE_CHECKING:
    from backtest.execution import Deviation, ExecutionReport

ABSENT: Final = "-"
FIGURES: Final = {
    "average_price": "average price",
    "arrival": "arrival",
    "twap": "TWAP",
    "vwap": "VWAP",
    "pov": "POV",
    "last_mid": "last mid",
    "shortfall": "shortfall",
    "participation_rate": "participation rate",
    "maker_share": "maker share",
    "time_to_complete_ns": "time to complete",
    "schedule_deviation": "distance from a schedule",
}
"""What the figures that can be absent are called in print."""


def print_execution(report: ExecutionReport) -> None:
    """An execution report in words and tables, and why a figure is not there."""
    limit = "" if report.limit_price is None else f", limit {report.limit_price}"
    children = "" if report.children is None else f" of {report.children:,} child orders"
    say(
        f"{report.side} {report.target} {report.symbol}{limit}, "
        f"{time_text(report.start_ts)} to {time_text(report.end_ts)}"
    )
    say(f"{report.filled} filled, {_percent(report.completion)}, in {report.fills:,} fills{children}")
    say("")
    for title, text in {
        "average price": report.average_price or ABSENT,
        "maker share": _percent(report.maker_share),
        "fees": f"{report.fees} {report.settlement}",
        "market volume": report.market_qty,
        "participation": _percent(report.participation_rate),
        "time to complete": _seconds(report.time_to_complete_ns),
        "off schedule": _deviation(report.schedule_deviation),
    }.items():
        say(f"{title:<18}{text}")
    if report.venues:
        say("")
        say_table(
            ["venue", "filled", "fills", "average price", "fees"],
            [
                [
                    each.symbol,
                    each.filled,
                    f"{each.fills:,}",
                    each.average_price or ABSENT,
                    f"{each.fees} {each.settlement}",
                ]
                for each in report.venues
            ],
            frozenset(range(1, 5)),
        )
    say("")
    say_table(
        ["benchmark", "price", "slippage bps"],
        [[FIGURES[each.name], each.price or ABSENT, each.slippage_bps or ABSENT] for each in report.benchmarks],
        frozenset({1, 2}),
    )
    if report.shortfall is not None:
        costs = report.shortfall
        parts = {
            "execution": costs.execution,
            "opportunity": costs.opportunity,
            "fees": costs.fees,
            "total": costs.total,
        }
        say("")
        say_table(
            ["shortfall", report.settlement, "bps"],
            [[name, cost.cash, cost.bps] for name, cost in parts.items()],
            frozenset({1, 2}),
        )
    if report.absent or report.without_touch_ns:
        say("")
    if report.without_touch_ns:
        say(f"the touch was not known for {_seconds(report.without_touch_ns)}: the TWAP leaves that time out")
    for name, title in FIGURES.items():
        if name in report.absent:
            say(f"no {title}: {report.absent[name]}")


def _percent(share: str | None) -> str:
    return ABSENT if share is None else f"{float(share) * 100:.4g} %"


def _seconds(duration_ns: int | None) -> str:
    return ABSENT if duration_ns is None else f"{duration_ns / 1e9:,.3f} s"


def _deviation(deviation: Deviation | None) -> str:
    if deviation is None:
        return ABSENT
    return f"{deviation.qty} ({_percent(deviation.share)}) at {time_text(deviation.ts)}"
