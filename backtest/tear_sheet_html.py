"""The tear sheet as one HTML page with plots that can be zoomed, everything of it inlined."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtest.metrics import METRICS, length_text, value_text
from backtest.performance import Performance, TradeReport, months_of, report_of, time_text
from backtest.series import InstrumentSeries, ScopeSeries, Times, curves_of, instrument_series

LISTED_TRADES: Final = 1_000
"""Trades that the page lists; all of them are in JSON and in frames."""
MANY_POINTS: Final = 5_000
"""From so many points on a trace is drawn by WebGL."""
MOST_FILLS: Final = 20_000
"""Fills of an instrument that are drawn; of more, every second, third and so on."""
MONTHS: Final = tuple(f"{number:02d}" for number in range(1, 13))
SIDE_MARKS: Final = {1: ("buy", "triangle-up", "#2ca02c"), -1: ("sell", "triangle-down", "#d62728")}

STYLE: Final = """
body { font: 14px system-ui, sans-serif; color: #222; margin: 2em auto; max-width: 1200px; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: .2em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } th, td { padding: .25em .8em; border-bottom: 1px solid #ddd; white-space: nowrap; }
td { text-align: right; font-variant-numeric: tabular-nums; } th { text-align: left; font-weight: 600; }
thead th { text-align: right; } thead th:first-child { text-align: left; }
.note { padding: .6em 1em; margin: .5em 0; background: #fff5d6; border-left: 4px solid #e0a800; }
.failure { background: #fde2e1; border-left-color: #c62828; }
.wide { overflow-x: auto; } .plot { width: 100%; }
"""

SCRIPT: Final = """
const config = {responsive: true, displaylogo: false, showSendToCloud: false};
for (const figure of document.querySelectorAll("script[type='application/json']")) {
  const content = JSON.parse(figure.textContent);
  Plotly.newPlot(figure.dataset.plot, content.data, content.layout, config);
}
"""


def tear_sheet_html(performance: Performance) -> str:
    """The page.

    Raises
    ------
    ImportError
        When plotly is not installed.
    """
    from plotly.offline import get_plotlyjs

    report = report_of(performance)
    title = f"Backtest: {', '.join(performance.strategy_names) or 'orders of clients'}"
    plots = [("equity", "Equity and drawdown", equity_plot(curves_of(performance), report.currency))]
    plots += [
        (f"instrument-{number}", _instrument_title(each), instrument_plot(each))
        for number, each in enumerate(instrument_series(performance))
    ]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{time_text(report.start_ts)} to {time_text(report.end_ts)} UTC, "
        f"{length_text(report.end_ts - report.start_ts)}; capital {escape(report.whole.capital)} {report.currency}</p>",
        *(f"<p class='note failure'>{escape(each)}</p>" for each in report.failures),
        *(f"<p class='note'>{escape(each)}</p>" for each in report.warnings),
        *(_plot(*plot) for plot in plots),
        "<h2>Metrics</h2>",
        metrics_table(performance),
        "<h2>Returns by month</h2>",
        month_table(performance),
        *_slippage(performance),
        "<h2>Trades</h2>",
        trades_table(report.trades),
    ]
    return (
        f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<style>{STYLE}</style><script>{get_plotlyjs()}</script></head>\n<body>\n"
        + "\n".join(parts)
        + f"\n<script>{SCRIPT}</script>\n</body></html>\n"
    )


def _plot(name: str, title: str, figure: dict[str, Any]) -> str:
    content = json.dumps(figure, allow_nan=False).replace("<", "\\u003c")
    return (
        f"<h2>{escape(title)}</h2><div class='plot' id='{name}'></div>"
        f"<script type='application/json' data-plot='{name}'>{content}</script>"
    )


def _axes(titles: Sequence[str], shares: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """A layout of plots above one another that share their time."""
    layout: dict[str, Any] = {
        "height": 560,
        "margin": {"l": 70, "r": 20, "t": 20, "b": 40},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": 1.06},
        "xaxis": {"type": "date", "anchor": f"y{len(titles)}" if len(titles) > 1 else "y"},
    }
    for number, (title, share) in enumerate(zip(titles, shares, strict=True), start=1):
        layout[f"yaxis{number if number > 1 else ''}"] = {
            "title": {"text": title},
            "domain": list(share),
            "exponentformat": "none",
            "separatethousands": True,
        }
    return layout


def _line(name: str, times: Times, values: npt.NDArray[Any], axis: str, **others: Any) -> dict[str, Any]:
    return {
        "type": "scattergl" if len(values) > MANY_POINTS else "scatter",
        "mode": "lines",
        "name": name,
        "x": _texts(times),
        "y": _numbers(values),
        "xaxis": "x",
        "yaxis": axis,
        **others,
    }


def _texts(times: Times) -> list[str]:
    return [str(each) for each in np.datetime_as_string(times, unit="us")]


def _numbers(values: npt.NDArray[Any]) -> list[float | None]:
    """Numbers for JSON, which has no NaN."""
    return [None if np.isnan(each) else each for each in values.tolist()]


def equity_plot(curves: Sequence[ScopeSeries], currency: str) -> dict[str, Any]:
    """Equity of the whole and of each strategy; below it the drawdown of the whole."""
    whole = curves[0]
    lines = [_line(each.name, each.times, each.equity, "y") for each in curves]
    fallen = _line(
        "drawdown", whole.times, whole.drawdown, "y2", fill="tozeroy", line={"color": "#d62728"}, showlegend=False
    )
    layout = _axes([f"equity, {currency}", "drawdown"], [(0.36, 1), (0, 0.3)])
    layout["yaxis2"]["tickformat"] = ".3~%"
    return {"data": [*lines, fallen], "layout": layout}


def drawn_every(series: InstrumentSeries) -> int:
    """1 when every fill is drawn, 2 when every second one is, and so on."""
    return -(-len(series.fill_side) // MOST_FILLS) or 1


def _instrument_title(series: InstrumentSeries) -> str:
    step = drawn_every(series)
    return series.name if step == 1 else f"{series.name} (one in {step} of {len(series.fill_side):,} fills is drawn)"


def instrument_plot(series: InstrumentSeries) -> dict[str, Any]:
    """The price with the fills on it; below it the position."""
    marks = []
    drawn = np.arange(len(series.fill_side)) % drawn_every(series) == 0
    for side, (name, symbol, colour) in SIDE_MARKS.items():
        chosen = drawn & (series.fill_side == side)
        marks.append(
            _line(
                name,
                series.fill_times[chosen],
                series.fill_price[chosen],
                "y",
                mode="markers",
                marker={"symbol": symbol, "color": colour, "size": 8},
                text=[f"{qty:g}" for qty in series.fill_qty[chosen].tolist()],
                hovertemplate="%{y} x %{text}",
            )
        )
    price = _line("price", series.times, series.price, "y", line={"shape": "hv", "color": "#1f77b4", "width": 1})
    position = _line(
        "position",
        series.times,
        series.position,
        "y2",
        line={"shape": "hv", "color": "#7f7f7f"},
        fill="tozeroy",
        showlegend=False,
    )
    return {
        "data": [price, *marks, position],
        "layout": _axes(["price", "position"], [(0.36, 1), (0, 0.3)]),
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], name: str = "") -> str:
    """A table whose first column is its rows' titles."""
    titles = "".join(f"<th>{escape(each)}</th>" for each in head)
    body = "".join(
        f"<tr><th>{escape(first)}</th>{''.join(f'<td>{escape(each)}</td>' for each in others)}</tr>"
        for first, *others in rows
    )
    return f"<div class='wide'><table id='{name}'><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>"


def metrics_table(performance: Performance) -> str:
    """Every metric of every scope, and why some are not there."""
    scopes = performance.distinct_scopes
    head = ["", *(scope.name for scope in scopes)]
    rows = [
        [
            metric.title,
            *(value_text(metric, scope.figures.values[metric.name]) for scope in scopes),
        ]
        for metric in METRICS
    ]
    absent = performance.whole.figures.reasons
    notes = "".join(f"<li>{escape(each)}</li>" for each in absent)
    return _table(head, rows, "metrics") + (f"<ul id='absent'>{notes}</ul>" if notes else "")


def month_table(performance: Performance) -> str:
    """Returns of the whole: a row for each year, a column for each month, the year at the end."""
    years: dict[str, dict[str, float]] = {}
    for each in () if performance.failures else months_of(performance.whole.sample):
        year, month = each.month.split("-")
        if each.total_return is not None:
            years.setdefault(year, {})[month] = each.total_return
    rows = []
    for year, returns in years.items():
        whole = float(np.prod([1 + each for each in returns.values()]) - 1)
        rows.append([year, *(f"{returns[month]:.2%}" if month in returns else "" for month in MONTHS), f"{whole:.2%}"])
    return _table(["", *MONTHS, "year"], rows, "months")


def _slippage(performance: Performance) -> list[str]:
    if not performance.slippage:
        return []
    rows = [
        [
            each.algorithm,
            each.symbol,
            f"{each.parents:,}",
            each.filled,
            *("-" if bps is None else f"{bps:,.2f}" for bps in (each.slippage_bps, each.worst_bps, each.best_bps)),
        ]
        for each in performance.slippage
    ]
    head = ["algorithm", "instrument", "orders", "filled", "slippage bps", "worst", "best"]
    return ["<h2>Slippage by algorithm, against arrival</h2>", _table(head, rows, "slippage")]


def trades_table(trades: Sequence[TradeReport]) -> str:
    """The latest trades."""
    head = ["entry", "exit", "strategy", "instrument", "side", "quantity", "entry price", "exit price",
            "net PnL", "fees", "funding", "maker", "adverse", "favourable"]  # fmt: skip
    rows = [
        [
            time_text(each.entry_ts),
            "open" if each.is_open else time_text(each.exit_ts) + " liquidated" * each.is_liquidated,
            each.strategy,
            each.symbol,
            each.side,
            each.qty,
            each.entry_price,
            each.exit_price or "-",
            f"{each.net_pnl} {each.settlement}",
            each.fees,
            each.funding,
            f"{each.maker_share:.0%}",
            each.adverse_excursion,
            each.favourable_excursion,
        ]
        for each in trades[-LISTED_TRADES:]
    ]
    left_out = len(trades) - len(rows)
    note = f"<p>{left_out:,} earlier trades are not listed.</p>" if left_out else ""
    return note + _table(head, rows, "trades")
