"""Targets and constraints: how they are read, and which results are better."""

from __future__ import annotations

import re

import numpy as np
import pytest

from backtest.benchmarks import Absent
from backtest.equity import EQUITY
from backtest.marks import DAY_NS
from backtest.metrics import LEAST_DAYS, METRICS, Sample
from backtest.optimise.errors import OptimiseError
from backtest.optimise.targets import (
    OF_A_YEAR,
    Target,
    check_length,
    dominates,
    parse_constraints,
    parse_targets,
)
from backtest.trades import TRADE


def test_targets_are_read_with_their_directions() -> None:
    targets = parse_targets(["sharpe", "max_drawdown", "fees:max", "turnover:min"])
    assert targets == (
        Target("sharpe_ratio", 1),
        Target("max_drawdown", -1),
        Target("fees", 1),
        Target("turnover", -1),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("alpha", "unknown metric 'alpha': there are net_pnl"),
        ("", "unknown metric ''"),
        ("max_draw", "ambiguous: say max_drawdown or max_drawdown_cash or max_drawdown_duration"),
        ("sharpe:up", "'up' is neither max nor min"),
    ],
)
def test_what_is_no_target_is_refused(text: str, message: str) -> None:
    with pytest.raises(OptimiseError, match=re.escape(message)):
        parse_targets([text])


def test_target_given_twice_is_refused() -> None:
    with pytest.raises(OptimiseError, match="target fees is given 2 times"):
        parse_targets(["fees:min", "fees:max"])


def test_constraint_says_by_how_much_it_is_broken() -> None:
    at_most, at_least = parse_constraints(["max_drawdown<=0.2", "trades >= 100"])
    assert at_most.violation({"max_drawdown": 0.25}) == pytest.approx(0.05)
    assert at_most.violation({"max_drawdown": 0.2}) == 0
    assert at_least.violation({"trades": 90}) == 10
    assert at_least.violation({"trades": 110}) == -10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trades>100", "is not METRIC<=NUMBER"),
        ("trades>=many", "is not METRIC<=NUMBER"),
        ("trades>=nan", "is not METRIC<=NUMBER"),
        ("trades>=inf", "is not METRIC<=NUMBER"),
        ("max_drawdown>=-0.2", "max_drawdown counts by its size; write it without the minus"),
        ("alpha<=1", "unknown metric 'alpha'"),
    ],
)
def test_what_is_no_constraint_is_refused(text: str, message: str) -> None:
    with pytest.raises(OptimiseError, match=re.escape(message)):
        parse_constraints([text])


def test_metrics_of_a_year_are_those_that_need_as_many_days() -> None:
    def needs_days(name: str, days: float) -> bool:
        curve = np.zeros(2, EQUITY)
        curve["ts"] = [0, round(days * DAY_NS)]
        metric = next(each for each in METRICS if each.name == name)
        sample = Sample(capital=10**8, curve=curve, trades=np.zeros(0, TRADE), fills=0, traded=0, maker_traded=0)
        try:
            metric.compute(sample)
        except Absent as why:
            return f"{LEAST_DAYS} days" in str(why)
        return False

    assert tuple(each.name for each in METRICS if needs_days(each.name, 1)) == OF_A_YEAR
    assert not any(needs_days(each.name, LEAST_DAYS) for each in METRICS if each.name.startswith("annual"))


def test_metric_of_a_year_is_refused_where_the_data_are_shorter() -> None:
    check_length(["sharpe_ratio"], LEAST_DAYS * DAY_NS, "the data")
    with pytest.raises(OptimiseError, match="the data is 60 s long, and sharpe_ratio needs 30 days: choose another"):
        check_length(["trades", "sharpe_ratio"], 60 * 10**9, "the data")


def test_one_result_dominates_another_where_it_is_nowhere_worse_and_somewhere_better() -> None:
    assert dominates((1, 2), (1, 1))
    assert not dominates((1, 2), (1, 2))
    assert not dominates((2, 1), (1, 2))
