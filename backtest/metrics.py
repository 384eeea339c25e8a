"""The figures by which a result is judged: each a row of ``METRICS`` with its unit, its formula and its source.

They are computed from an equity curve and a list of trades. A figure that does not exist, or that so little data cannot
bear, raises ``Absent``, which says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np

from backtest.benchmarks import Absent, Integers
from backtest.equity import Floats
from backtest.market import Rows
from backtest.marks import DAY_NS, SECOND_NS
from oms.decimals import cash_text

LEAST_DAYS: Final = 30
LEAST_TRADES: Final = 100
DAYS_PER_YEAR: Final = 365
"""Crypto trades every day."""


class Sample(NamedTuple):
    """What one scope (the whole run, a strategy, an instrument) has done."""

    capital: int
    """What it began with, cash of the reporting currency."""
    curve: Rows
    """Of EQUITY."""
    trades: Rows
    """Of TRADE, those that are still open included."""
    fills: int
    traded: int
    """Value of its fills, cash of the reporting currency."""
    maker_traded: int
    """The part of it that was traded as a maker."""
    liquidations: int = 0
    """Fills by which the exchange closed positions."""

    @property
    def equity(self) -> Floats:
        return (self.capital + self.curve["pnl"]).astype(np.float64)

    @property
    def length_ns(self) -> int:
        ts = self.curve["ts"]
        return int(ts[-1] - ts[0]) if len(ts) else 0

    @property
    def closed(self) -> Rows:
        """The trades that have ended."""
        return self.trades[~self.trades["is_open"]]

    @property
    def pnl(self) -> int:
        return int(self.curve["pnl"][-1]) if len(self.curve) else 0


Value = int | float


class Metric(NamedTuple):
    name: str
    unit: str
    """``cash`` (1e-8 of the reporting currency), ``share`` (of 1), ``ratio``, ``count`` or ``ns``."""
    formula: str
    source: str
    compute: Callable[[Sample], Value]

    @property
    def title(self) -> str:
        """The name for people."""
        return " ".join(SPELLINGS.get(word, word) for word in self.name.split("_"))


SPELLINGS: Final = {"pnl": "PnL", "sharpe": "Sharpe", "sortino": "Sortino", "calmar": "Calmar"}


def length_text(length_ns: int) -> str:
    """A duration in days, or where it is less than one in seconds."""
    return f"{length_ns / DAY_NS:.3g} days" if length_ns >= DAY_NS else f"{length_ns / SECOND_NS:,.0f} s"


def need_days(sample: Sample) -> None:
    """Refuse to make a year of less than ``LEAST_DAYS``."""
    if sample.length_ns < LEAST_DAYS * DAY_NS:
        raise Absent(f"the data are {length_text(sample.length_ns)} long: a figure for a year needs {LEAST_DAYS} days")


def need_days_and_trades(sample: Sample) -> None:
    """Refuse to judge by less than ``LEAST_DAYS`` or ``LEAST_TRADES``."""
    found, needed = [], []
    if sample.length_ns < LEAST_DAYS * DAY_NS:
        found.append(f"the data are {length_text(sample.length_ns)} long")
        needed.append(f"{LEAST_DAYS} days")
    if len(sample.closed) < LEAST_TRADES:
        found.append(f"{len(sample.closed)} trades were closed")
        needed.append(f"{LEAST_TRADES} trades")
    if found:
        raise Absent(f"{' and '.join(found)}: it needs {' and '.join(needed)}")


def need_capital(sample: Sample) -> None:
    if sample.capital <= 0:
        raise Absent("there was no capital at the start: a return is a part of it")


def need_closed(sample: Sample) -> None:
    if not len(sample.closed):
        raise Absent("no trade was closed")


def daily_returns(sample: Sample) -> Floats:
    """Return of each whole day of UTC: equity at its end over equity at its start, less 1."""
    need_capital(sample)
    need_days(sample)
    equity = equity_at_midnights(sample)
    if np.any(equity <= 0):
        raise Absent("the equity fell to zero: there are no returns from there on")
    return equity[1:] / equity[:-1] - 1


def equity_at_midnights(sample: Sample) -> Floats:
    """Equity at each midnight of UTC within the data."""
    ts = sample.curve["ts"]
    midnights: Integers = np.arange(-(-int(ts[0]) // DAY_NS), int(ts[-1]) // DAY_NS + 1) * DAY_NS
    return sample.equity[np.searchsorted(ts, midnights, "right") - 1]


def peaks(sample: Sample) -> Floats:
    """The highest equity up to and with each point; at least the capital."""
    return np.maximum.accumulate(np.maximum(sample.equity, sample.capital))


def total_return(sample: Sample) -> float:
    need_capital(sample)
    return sample.pnl / sample.capital


def annual_return(sample: Sample) -> float:
    """The total return at compound interest over 365 days."""
    need_capital(sample)
    need_days(sample)
    growth = 1 + total_return(sample)
    if growth <= 0:
        raise Absent("all of the capital was lost")
    return float(growth ** (DAYS_PER_YEAR * DAY_NS / sample.length_ns) - 1)


def volatility(sample: Sample) -> float:
    return float(daily_returns(sample).std(ddof=1) * math.sqrt(DAYS_PER_YEAR))


def sharpe_ratio(sample: Sample) -> float:
    """Of returns over a risk-free rate of zero."""
    need_days_and_trades(sample)
    returns = daily_returns(sample)
    return _ratio(float(returns.mean()), float(returns.std(ddof=1)), "the returns do not vary")


def sortino_ratio(sample: Sample) -> float:
    """With a target of zero; the downside deviation is over all days, not over the losing ones alone."""
    need_days_and_trades(sample)
    returns = daily_returns(sample)
    downside = math.sqrt(float(np.square(np.minimum(returns, 0)).mean()))
    return _ratio(float(returns.mean()), downside, "no day lost")


def _ratio(mean: float, deviation: float, without: str) -> float:
    if deviation <= abs(mean) * 1e-12:
        raise Absent(without)
    return mean / deviation * math.sqrt(DAYS_PER_YEAR)


def max_drawdown(sample: Sample) -> float:
    need_capital(sample)
    if not len(sample.curve):
        return 0.0
    top = peaks(sample)
    return float(((sample.equity - top) / top).min())


def max_drawdown_cash(sample: Sample) -> int:
    if not len(sample.curve):
        return 0
    pnl = sample.curve["pnl"]
    return int((pnl - np.maximum(np.maximum.accumulate(pnl), 0)).min())


def max_drawdown_duration(sample: Sample) -> int:
    """The longest time from a peak to the first point that reaches it again, or to the end."""
    ts = sample.curve["ts"]
    if not len(ts):
        return 0
    pnl = sample.curve["pnl"]
    top = np.maximum(np.maximum.accumulate(pnl), 0)
    is_below = pnl < top
    edges = np.unique(np.concatenate([[0], np.flatnonzero(~is_below), [len(ts) - 1]]))
    lengths = np.diff(ts[edges])
    below = (np.diff(edges) > 1) | is_below[edges[:-1]] | is_below[edges[1:]]
    return int(lengths[below].max(initial=0))


def calmar_ratio(sample: Sample) -> float:
    annual = annual_return(sample)
    drawdown = max_drawdown(sample)
    if not drawdown:
        raise Absent("there was no drawdown")
    return annual / -drawdown


def open_trades(sample: Sample) -> int:
    return int(sample.trades["is_open"].sum())


def win_rate(sample: Sample) -> float:
    need_closed(sample)
    return float(np.mean(sample.closed["net"] > 0))


def profit_factor(sample: Sample) -> float:
    need_closed(sample)
    net = sample.closed["net"].astype(object)
    losses = -int(net[net < 0].sum())
    if not losses:
        raise Absent("no trade lost")
    return int(net[net > 0].sum()) / losses


def expectancy(sample: Sample) -> int:
    need_closed(sample)
    net = sample.closed["net"].astype(object)
    return round(Fraction(int(net.sum()), len(net)))


def average_holding(sample: Sample) -> int:
    need_closed(sample)
    closed = sample.closed
    return int((closed["exit_ts"] - closed["entry_ts"]).astype(object).sum()) // len(closed)


def _durations(sample: Sample) -> Integers:
    """How long each point but the last one holds, ns."""
    if not sample.length_ns:
        raise Absent("the data have no duration")
    return np.diff(sample.curve["ts"])


def exposure(sample: Sample) -> float:
    need_capital(sample)
    durations = _durations(sample)
    held = float((sample.curve["exposure"][:-1] / sample.capital * durations).sum())
    return held / sample.length_ns


def time_in_market(sample: Sample) -> float:
    durations = _durations(sample)
    return int(durations[sample.curve["exposure"][:-1] > 0].sum()) / sample.length_ns


def turnover_ratio(sample: Sample) -> float:
    need_capital(sample)
    return sample.traded / sample.capital


def maker_ratio(sample: Sample) -> float:
    if not sample.traded:
        raise Absent("nothing was traded")
    return sample.maker_traded / sample.traded


def _last(name: str) -> Callable[[Sample], int]:
    return lambda sample: int(sample.curve[name][-1]) if len(sample.curve) else 0


METRICS: Final = (
    Metric("net_pnl", "cash", "realized + unrealized - fees + funding", "", lambda sample: sample.pnl),
    Metric("realized_pnl", "cash", "what sales brought less what purchases cost", "", _last("realized_pnl")),
    Metric("unrealized_pnl", "cash", "what is open, at the last marks", "", _last("unrealized_pnl")),
    Metric("fees", "cash", "sum, paid is positive", "", _last("fees")),
    Metric("funding", "cash", "sum, received is positive", "", _last("funding")),
    Metric("total_return", "share", "R = net_pnl / capital", "", total_return),
    Metric("annual_return", "share", "(1 + R) ^ (365 days / length) - 1", "Bacon 2008", annual_return),
    Metric("volatility", "share", "s sqrt(365)", "Bacon 2008", volatility),
    Metric("sharpe_ratio", "ratio", "m / s sqrt(365)", "Sharpe 1994", sharpe_ratio),
    Metric("sortino_ratio", "ratio", "m / sqrt(mean(min(r, 0)^2)) sqrt(365)", "Sortino and Price 1994", sortino_ratio),
    Metric("calmar_ratio", "ratio", "annual_return / -max_drawdown", "Young 1991", calmar_ratio),
    Metric("max_drawdown", "share", "min((E - P) / P)", "Magdon-Ismail and Atiya 2004", max_drawdown),
    Metric("max_drawdown_cash", "cash", "min(E - P)", "", max_drawdown_cash),
    Metric("max_drawdown_duration", "ns", "longest time until a peak is reached again", "", max_drawdown_duration),
    Metric("trades", "count", "closed trades", "", lambda sample: len(sample.closed)),
    Metric("open_trades", "count", "trades that are open at the end", "", open_trades),
    Metric("win_rate", "share", "share of closed trades with net PnL > 0", "", win_rate),
    Metric("profit_factor", "ratio", "sum of net gains / sum of net losses", "", profit_factor),
    Metric("expectancy", "cash", "mean net PnL of closed trades", "", expectancy),
    Metric("average_holding", "ns", "mean time from entry to exit of closed trades", "", average_holding),
    Metric("fills", "count", "fills", "", lambda sample: sample.fills),
    Metric("liquidations", "count", "fills by which the exchange closed positions", "", lambda s: s.liquidations),
    Metric("turnover", "cash", "sum of the fills' values", "", lambda sample: sample.traded),
    Metric("turnover_ratio", "ratio", "turnover / capital", "", turnover_ratio),
    Metric("exposure", "share", "mean over time of the open positions' values / capital", "", exposure),
    Metric("time_in_market", "share", "share of the time in which a position is open", "", time_in_market),
    Metric("maker_ratio", "share", "share of turnover that was traded as a maker", "", maker_ratio),
)  # fmt: skip
"""Every figure. E is equity, P its highest value so far, r the returns of whole days of UTC, m their mean, s their
standard deviation with one degree of freedom less."""


class Figures(NamedTuple):
    """The figures of one scope as they are printed, and why some are not there."""

    values: dict[str, int | float | str | None]
    """By name: cash as decimal text, shares and ratios as floats, counts and ns as integers."""
    absent: dict[str, str]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why figures are not there, a line for each reason."""
        named: dict[str, list[str]] = {}
        for metric in METRICS:
            if metric.name in self.absent:
                named.setdefault(self.absent[metric.name], []).append(metric.title)
        every = len(METRICS)
        return tuple(
            f"no {', '.join(titles) if len(titles) < every else 'figures'}: {why}" for why, titles in named.items()
        )


def figures_of(sample: Sample) -> Figures:
    """Every metric of a scope."""
    values: dict[str, int | float | str | None] = {}
    absent: dict[str, str] = {}
    for metric in METRICS:
        try:
            value = metric.compute(sample)
        except Absent as why:
            values[metric.name] = None
            absent[metric.name] = str(why)
        else:
            values[metric.name] = cash_text(int(value)) if metric.unit == "cash" else value
    return Figures(values, absent)


def no_figures(why: str) -> Figures:
    """The figures of a run that is not to be judged."""
    return Figures(dict.fromkeys((metric.name for metric in METRICS), None), {metric.name: why for metric in METRICS})


def value_text(metric: Metric, value: float | str | None) -> str:
    """A figure for people: cash to two decimals, shares in percent, times in days or seconds; ``-``: there is none."""
    if value is None:
        return "-"
    return PRESENTED[metric.unit](float(value))


LEAST_SHARE: Final = 0.001
"""Below it a share is shown with four decimals of a percent."""
PRESENTED: Final[dict[str, Callable[[float], str]]] = {
    "cash": lambda cash: f"{cash:,.2f}",
    "share": lambda share: f"{share:.2%}" if abs(share) >= LEAST_SHARE or not share else f"{share:.4%}",
    "ratio": lambda ratio: f"{ratio:,.2f}",
    "count": lambda count: f"{count:,.0f}",
    "ns": lambda ns: length_text(int(ns)),
}
"""How a figure of each unit is shown to people."""
