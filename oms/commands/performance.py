"""How the results of a backtest are printed, and written to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oms.commands.options import say, say_table

if TYPE_CHECKING:
    from backtest.performance import Performance


def print_performance(performance: Performance) -> None:
    """The metrics of the whole, and of each strategy and instrument where there are several; what is not there, why."""
    from backtest.metrics import METRICS, value_text

    scopes = performance.distinct_scopes
    say("")
    if not performance.failures:
        say_table(
            [performance.settings.reporting_currency, *(scope.name for scope in scopes)],
            [
                [metric.title, *(value_text(metric, scope.figures.values[metric.name]) for scope in scopes)]
                for metric in METRICS
            ],
            frozenset(range(1, len(scopes) + 1)),
        )
        say("")
    for line in (*performance.whole.figures.reasons, *performance.warnings):
        say(line)
    if performance.slippage:
        say("")
        say_table(
            ["algorithm", "instrument", "orders", "filled", "slippage bps"],
            [
                [
                    each.algorithm,
                    each.symbol,
                    f"{each.parents:,}",
                    each.filled,
                    "-" if each.slippage_bps is None else f"{each.slippage_bps:,.2f}",
                ]
                for each in performance.slippage
            ],
            frozenset({2, 3, 4}),
        )


def write_reports(performance: Performance, reports: Sequence[Path]) -> None:
    """Write the tear sheet to each of these files."""
    from backtest.tear_sheet import save_tear_sheet

    for path in reports:
        save_tear_sheet(performance, path)
