"""Bars: what the first parts of the data must show for the rest of a trial to be run."""

from __future__ import annotations

import re

import pytest

from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Outcome
from backtest.optimise.pruning import PRUNERS, check_pruner


def told(*values: float, **terms: bool) -> list[Outcome]:
    """Trials of four steps, each with its figure at every step."""
    return [Outcome(steps=(value, value + 10, value + 20, value + 30), **terms) for value in values]  # type: ignore[arg-type]


def test_without_a_pruner_there_is_no_bar() -> None:
    assert PRUNERS["none"](told(*range(20)), 20, 4, 1) == (None, None, None, None)


def test_median_is_that_of_complete_trials() -> None:
    trials = [*told(1, 2, 3, 4, 5), *told(100, is_pruned=True), Outcome(failure="why", steps=(7.0,))]
    assert PRUNERS["median"](trials, 7, 4, 1) == (3, 13, 23, 33)


def test_median_of_few_trials_is_no_bar() -> None:
    assert PRUNERS["median"](told(1, 2, 3, 4), 4, 4, 1) == (None,) * 4


def test_steps_without_a_figure_are_passed_over() -> None:
    trials = [Outcome(steps=(None, float(value), 0.0, 0.0)) for value in range(5)]
    assert PRUNERS["median"](trials, 5, 4, 1)[:2] == (None, 2)


@pytest.mark.parametrize(("direction", "bars"), [(1, (6, None, 26, None)), (-1, (3, None, 23, None))])
def test_halving_lets_the_best_third_pass_each_rung(direction: int, bars: tuple[float | None, ...]) -> None:
    assert PRUNERS["halving"](told(*range(10)), 10, 4, direction) == bars


def test_halving_counts_pruned_trials_at_the_rungs_that_they_reached() -> None:
    pruned = [Outcome(steps=(50.0,), is_pruned=True)] * 6
    assert PRUNERS["halving"]([*told(*range(3)), *pruned], 9, 4, 1) == (50, None, None, None)


def test_hyperband_begins_at_each_rung_in_turn() -> None:
    trials = told(*range(10))
    bars = [PRUNERS["hyperband"](trials, number, 4, 1) for number in range(4)]
    assert bars[0] == bars[2] == (6, None, 26, None)
    assert bars[1] == bars[3] == (None, None, 26, None)


@pytest.mark.parametrize(
    ("name", "parts", "targets", "message"),
    [
        ("best", 5, 1, "unknown pruner 'best': choose none, median"),
        ("median", 1, 1, "judges between parts of the data, and there is 1"),
        ("median", 5, 2, "judges by one target, not by 2"),
    ],
)
def test_pruner_that_cannot_judge_is_refused(name: str, parts: int, targets: int, message: str) -> None:
    with pytest.raises(OptimiseError, match=re.escape(message)):
        check_pruner(name, parts, targets)
