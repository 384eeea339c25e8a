"""Every metric against another implementation of it: empyrical-reloaded's, or formulas written anew."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean
from typing import Any, Final, NamedTuple

import empyrical
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backtest.equity import EQUITY
from backtest.market import Rows
from backtest.marks import DAY_NS, HOUR_NS
from backtest.metrics import (
    LEAST_DAYS,
    LEAST_TRADES,
    METRICS,
    Sample,
    daily_returns,
    figures_of,
    no_figures,
    value_text,
)
from backtest.trades import TRADE
from oms.records import CASH_SCALE

START: Final = 1_704_067_200_000_000_000
"""Midnight of 2024-01-01."""
COMPUTE: Final = {metric.name: metric.compute for metric in METRICS}
CAPITAL: Final = 100_000 * CASH_SCALE


def curve_from(pnl: Any, *, start: int = START, step_ns: int = HOUR_NS, exposure: Any = 0, **others: Any) -> Rows:
    curve = np.zeros(len(pnl), EQUITY)
    curve["ts"] = start + step_ns * np.arange(len(pnl))
    curve["pnl"] = pnl
    curve["exposure"] = exposure
    for name, column in others.items():
        curve[name] = column
    return curve


def trades_from(net: Any, *, open_ones: int = 0, holding_ns: Any = 0) -> Rows:
    trades = np.zeros(len(net), TRADE)
    trades["net"] = net
    trades["entry_ts"] = START
    trades["exit_ts"] = START + np.asarray(holding_ns)
    trades["is_open"][len(net) - open_ones :] = True
    return trades


def sample_of(pnl: Any, net: Any = (), **others: Any) -> Sample:
    fields: dict[str, Any] = {"capital": CAPITAL, "fills": 0, "traded": 0, "maker_traded": 0, **others}
    curve = {name: fields.pop(name) for name in ("start", "step_ns", "exposure", "fees") if name in fields}
    trades = {name: fields.pop(name) for name in ("open_ones", "holding_ns") if name in fields}
    return Sample(curve=curve_from(np.asarray(pnl), **curve), trades=trades_from(np.asarray(net), **trades), **fields)


class Walk(NamedTuple):
    """Forty days or more, hour by hour, with a hundred trades or more."""

    seed: int
    start_hour: int
    hours: int
    drift: float
    spread: float
    trades: int

    def sample(self) -> Sample:
        rng = np.random.default_rng(self.seed)
        steps = rng.normal(self.drift, self.spread, self.hours) * CASH_SCALE
        pnl = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
        net = (rng.normal(0, 50, self.trades) * CASH_SCALE).astype(np.int64)
        return sample_of(pnl, net, start=START + self.start_hour * HOUR_NS)


WALKS: Final = some.builds(
    Walk,
    seed=some.integers(0, 2**32 - 1),
    start_hour=some.integers(0, 23),
    hours=some.integers(40 * 24, 120 * 24),
    drift=some.floats(-2, 2),
    spread=some.floats(20, 300),
    trades=some.integers(LEAST_TRADES, 300),
)


def series_of(sample: Sample) -> pd.Series:
    """Daily returns as another tool makes them: from the equity at the end of each day of the calendar."""
    index = pd.to_datetime(sample.curve["ts"], unit="ns")
    equity = pd.Series((sample.capital + sample.curve["pnl"]) / CASH_SCALE, index=index)
    midnights = equity[equity.index == equity.index.normalize()]
    return midnights.pct_change().dropna()


# Against other implementations


@settings(max_examples=30)
@given(WALKS)
def test_risk_figures_are_empyricals(walk: Walk) -> None:
    sample = walk.sample()
    returns = series_of(sample)
    terms = {"annualization": 365}
    assert daily_returns(sample) == pytest.approx(returns.to_numpy())
    assert COMPUTE["volatility"](sample) == pytest.approx(empyrical.annual_volatility(returns, **terms))
    assert COMPUTE["sharpe_ratio"](sample) == pytest.approx(empyrical.sharpe_ratio(returns, **terms))
    assert COMPUTE["sortino_ratio"](sample) == pytest.approx(empyrical.sortino_ratio(returns, **terms))


@settings(max_examples=30)
@given(WALKS)
def test_figures_of_the_whole_curve_are_empyricals(walk: Walk) -> None:
    """Hourly returns, with as many hours in a year, so that both tools see every point."""
    sample = walk.sample()
    equity = pd.Series((sample.capital + sample.curve["pnl"]).astype(float))
    returns = equity.pct_change().dropna()
    terms = {"annualization": 365 * 24}
    assert COMPUTE["total_return"](sample) == pytest.approx(empyrical.cum_returns_final(returns))
    assert COMPUTE["annual_return"](sample) == pytest.approx(empyrical.annual_return(returns, **terms))
    assert COMPUTE["max_drawdown"](sample) == pytest.approx(empyrical.max_drawdown(returns))
    assert COMPUTE["calmar_ratio"](sample) == pytest.approx(empyrical.calmar_ratio(returns, **terms))


@given(some.lists(some.integers(-(10**12), 10**12), min_size=1, max_size=40))
def test_drawdown_is_the_deepest_of_all_pairs(pnl: list[int]) -> None:
    pnl[0] = 0
    sample = sample_of(pnl)
    deepest = min(later - earlier for i, earlier in enumerate(pnl) for later in pnl[i:])
    assert COMPUTE["max_drawdown_cash"](sample) == deepest
    longest = 0
    for i, peak in enumerate(pnl):
        if peak == max(pnl[: i + 1]):
            back = next((j for j in range(i + 1, len(pnl)) if pnl[j] >= peak), len(pnl) - 1)
            longest = max(longest, (back - i) if min(pnl[i : back + 1]) < peak else 0)
    assert COMPUTE["max_drawdown_duration"](sample) == longest * HOUR_NS


@given(some.lists(some.integers(-(10**15), 10**15), min_size=1), some.integers(0, 3))
def test_trade_figures_are_sums_over_closed_trades(net: list[int], open_ones: int) -> None:
    open_ones = min(open_ones, len(net) - 1)
    holding = list(range(len(net)))
    sample = sample_of([0], net, open_ones=open_ones, holding_ns=holding)
    closed = net[: len(net) - open_ones]
    gains, losses = [each for each in closed if each > 0], [-each for each in closed if each < 0]
    figures = figures_of(sample)
    assert (figures.values["trades"], figures.values["open_trades"]) == (len(closed), open_ones)
    assert COMPUTE["win_rate"](sample) == len(gains) / len(closed)
    assert COMPUTE["expectancy"](sample) == pytest.approx(fmean(closed), abs=1)
    assert COMPUTE["average_holding"](sample) == sum(holding[: len(closed)]) // len(closed)
    if losses:
        assert COMPUTE["profit_factor"](sample) == pytest.approx(sum(gains) / sum(losses))
    else:
        assert figures.absent["profit_factor"] == "no trade lost"


@given(some.lists(some.integers(0, 10**13), min_size=2, max_size=30))
def test_exposure_is_the_mean_over_time(exposure: list[int]) -> None:
    sample = sample_of([0] * len(exposure), exposure=exposure)
    assert COMPUTE["exposure"](sample) == pytest.approx(fmean(exposure[:-1]) / CAPITAL)
    assert COMPUTE["time_in_market"](sample) == pytest.approx(fmean(each > 0 for each in exposure[:-1]))


def test_what_was_traded_is_set_against_the_capital() -> None:
    figures = figures_of(sample_of([0, 5], fills=7, traded=3 * CAPITAL, maker_traded=CAPITAL, fees=[0, 11])).values
    assert figures["fills"] == 7
    assert figures["turnover"] == "300000"
    assert figures["turnover_ratio"] == 3
    assert figures["maker_ratio"] == pytest.approx(1 / 3)
    assert figures["fees"] == "0.00000011"
    assert figures["net_pnl"] == "0.00000005"


# Invariants


@settings(max_examples=30)
@given(WALKS)
def test_bounds_hold(walk: Walk) -> None:
    sample = walk.sample()
    figures: dict[str, Any] = figures_of(sample).values
    assert -1 <= figures["max_drawdown"] <= 0
    assert 0 <= figures["max_drawdown_duration"] <= sample.length_ns
    assert float(figures["max_drawdown_cash"]) <= min(float(figures["net_pnl"]), 0) + 1e-9
    assert 0 <= figures["win_rate"] <= 1
    assert figures["volatility"] >= 0
    assert math.copysign(1, figures["sharpe_ratio"]) == math.copysign(1, figures["sortino_ratio"])
    assert (figures["profit_factor"] > 1) == (float(figures["expectancy"]) > 0)


@settings(max_examples=30)
@given(WALKS, some.integers(2, 9))
def test_ratios_do_not_depend_on_the_size_of_the_money(walk: Walk, factor: int) -> None:
    sample = walk.sample()
    larger = sample._replace(capital=sample.capital * factor, curve=sample.curve.copy(), trades=sample.trades.copy())
    larger.curve["pnl"] *= factor
    larger.trades["net"] *= factor
    one, other = figures_of(sample).values, figures_of(larger).values
    for metric in METRICS:
        if metric.unit in ("share", "ratio") and one[metric.name] is not None:
            assert other[metric.name] == pytest.approx(one[metric.name]), metric.name


# Figures that are not there


def hours(days: float) -> npt.NDArray[np.int64]:
    steps = np.random.default_rng(5).normal(0, 100, round(days * 24)) * CASH_SCALE
    return np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)


ANNUAL: Final = ("annual_return", "volatility", "calmar_ratio")
RATIOS: Final = ("sharpe_ratio", "sortino_ratio")
NET: Final = tuple(range(-50, 50))


def test_thirty_days_and_a_hundred_trades_have_every_figure() -> None:
    figures = figures_of(sample_of(hours(LEAST_DAYS), NET, traded=1, exposure=1))
    assert figures.absent == {}
    assert None not in figures.values.values()


def test_less_than_thirty_days_have_no_figure_for_a_year() -> None:
    figures = figures_of(sample_of(hours(29.9), NET, traded=1))
    assert set(figures.absent) == {*ANNUAL, *RATIOS}
    for name in figures.absent:
        assert figures.values[name] is None
    assert figures.absent["volatility"] == "the data are 29.9 days long: a figure for a year needs 30 days"


def test_less_than_a_hundred_trades_have_no_sharpe_ratio() -> None:
    figures = figures_of(sample_of(hours(40), NET[:99], traded=1))
    assert set(figures.absent) == set(RATIOS)
    assert figures.absent["sharpe_ratio"] == "99 trades were closed: it needs 100 trades"


def test_six_minutes_say_both() -> None:
    figures = figures_of(sample_of([0, 1], NET[:4], step_ns=345_000_000_000))
    assert figures.absent["sharpe_ratio"] == (
        "the data are 345 s long and 4 trades were closed: it needs 30 days and 100 trades"
    )


def test_a_run_without_anything_says_so() -> None:
    figures = figures_of(sample_of([], capital=0))
    assert figures.values["net_pnl"] == "0"
    assert figures.values["trades"] == 0
    assert figures.absent["total_return"] == "there was no capital at the start: a return is a part of it"
    assert figures.absent["win_rate"] == "no trade was closed"
    assert figures.absent["maker_ratio"] == "nothing was traded"
    assert figures.absent["time_in_market"] == "the data have no duration"


def test_returns_that_do_not_vary_have_no_ratio() -> None:
    figures = figures_of(sample_of(np.zeros(24 * 40, np.int64), NET))
    assert figures.absent["sharpe_ratio"] == "the returns do not vary"
    assert figures.absent["sortino_ratio"] == "no day lost"
    assert figures.absent["calmar_ratio"] == "there was no drawdown"
    assert figures.values["volatility"] == 0


def test_equity_that_fell_to_zero_has_no_returns() -> None:
    pnl = hours(40)
    pnl[500:] = -CAPITAL - 1
    figures = figures_of(sample_of(pnl, NET))
    assert figures.absent["sharpe_ratio"] == "the equity fell to zero: there are no returns from there on"
    assert figures.absent["annual_return"] == "all of the capital was lost"


def test_a_run_that_is_not_judged_has_no_figure() -> None:
    figures = no_figures("a strategy failed")
    assert set(figures.values) == {metric.name for metric in METRICS}
    assert set(figures.values.values()) == {None}
    assert set(figures.absent.values()) == {"a strategy failed"}


def test_days_are_those_of_utc() -> None:
    """From noon to one o'clock: what is before the first and after the last midnight is in no whole day."""
    pnl = np.arange(24 * 40 + 13) * CASH_SCALE
    sample = sample_of(pnl, NET, start=START + DAY_NS // 2)
    equity = CAPITAL + pnl[12::24]
    assert daily_returns(sample).tolist() == pytest.approx([b / a - 1 for a, b in pairwise(equity)])
    assert len(equity) == 41


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("net_pnl", "-1234.5678", "-1,234.57"),
        ("max_drawdown", -0.12345, "-12.35%"),
        ("sharpe_ratio", 1.239, "1.24"),
        ("fills", 12_345, "12,345"),
        ("average_holding", 90_000_000_000, "90 s"),
        ("max_drawdown_duration", 3 * DAY_NS, "3 days"),
        ("sharpe_ratio", None, "-"),
    ],
)
def test_figures_are_shown_by_their_units(name: str, value: Any, text: str) -> None:
    assert value_text({metric.name: metric for metric in METRICS}[name], value) == text
