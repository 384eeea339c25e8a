"""The tear sheet as a picture."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Final

from backtest.metrics import METRICS, length_text, value_text
from backtest.performance import Performance, time_text
from backtest.series import InstrumentSeries, ScopeSeries, curves_of, instrument_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH: Final = 14
"""Inches, at 100 dots each."""
PANEL_HEIGHT: Final = 2.4
FILL_MARKS: Final = {1: ("buy", "^", "tab:green"), -1: ("sell", "v", "tab:red")}


def save_png(performance: Performance, path: Path) -> None:
    """Draw the equity, the drawdown, each instrument's price with the fills, its position, and the metrics beside them.

    Raises
    ------
    ImportError
        When matplotlib is not installed.
    OSError
        When the file cannot be written.
    """
    from matplotlib.figure import Figure

    instruments = instrument_series(performance)
    panels = 2 + 2 * len(instruments)
    figure = Figure(figsize=(WIDTH, max(PANEL_HEIGHT * panels, 4 * PANEL_HEIGHT)), layout="constrained")
    grid = figure.add_gridspec(panels, 2, width_ratios=(3, 1))
    axes = [figure.add_subplot(grid[0, 0])]
    axes += [figure.add_subplot(grid[row, 0], sharex=axes[0]) for row in range(1, panels)]
    _draw_equity(axes[0], axes[1], curves_of(performance), performance.settings.reporting_currency)
    for number, each in enumerate(instruments):
        _draw_instrument(axes[2 + 2 * number], axes[3 + 2 * number], each)
    for each_axes in axes[:-1]:
        each_axes.tick_params(labelbottom=False)
    _write_figures(figure.add_subplot(grid[:, 1]), performance)
    ts = performance.ledger.ts
    if len(ts):
        axes[0].set_title(
            f"{', '.join(performance.strategy_names) or 'orders of clients'}: {time_text(int(ts[0]))} to "
            f"{time_text(int(ts[-1]))} UTC, {length_text(int(ts[-1] - ts[0]))}"
        )
    figure.savefig(path, dpi=100)


def _draw_equity(equity: Axes, drawdown: Axes, curves: list[ScopeSeries], currency: str) -> None:
    for curve in curves:
        equity.plot(curve.times, curve.equity, linewidth=1, label=curve.name)
    equity.ticklabel_format(axis="y", useOffset=False, style="plain")
    equity.set_ylabel(f"equity, {currency}")
    equity.legend(loc="upper left")
    drawdown.fill_between(curves[0].times, curves[0].drawdown * 100, color="tab:red", alpha=0.4)
    drawdown.set_ylabel("drawdown, %")


def _draw_instrument(price: Axes, position: Axes, series: InstrumentSeries) -> None:
    price.step(series.times, series.price, where="post", color="tab:blue", linewidth=0.8, label=series.name)
    for side, (name, marker, colour) in FILL_MARKS.items():
        chosen = series.fill_side == side
        price.scatter(
            series.fill_times[chosen],
            series.fill_price[chosen],
            marker=marker,
            color=colour,
            s=14,
            zorder=3,
            label=name,
        )
    price.ticklabel_format(axis="y", useOffset=False, style="plain")
    price.set_ylabel("price")
    price.legend(loc="upper left")
    position.fill_between(series.times, series.position, step="post", color="tab:gray", alpha=0.5)
    position.axhline(0, color="black", linewidth=0.5)
    position.set_ylabel("position")


def _write_figures(axes: Axes, performance: Performance) -> None:
    """The metrics of the whole, and what to know of them."""
    axes.axis("off")
    figures = performance.whole.figures
    lines = [f"{metric.title:<22}{value_text(metric, figures.values[metric.name]):>14}" for metric in METRICS]
    notes = [fill(each, 38) for each in (*performance.failures, *performance.warnings)]
    text = "\n".join(lines) + "\n\n" + "\n\n".join(notes)
    axes.text(0, 1, text, family="monospace", fontsize=9, verticalalignment="top", transform=axes.transAxes)
