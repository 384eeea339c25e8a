"""The over-fitting figures against formulas written a second time, and on data whose answer is known."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtest.equity import Floats
from backtest.optimise.overfitting import (
    NORMAL,
    deflated_sharpe,
    expected_largest_sharpe,
    probabilistic_sharpe,
    probability_of_overfitting,
    sharpe_ratios,
)


def noise(seed: int, observations: int = 480, tries: int = 40) -> Floats:
    return np.random.default_rng(seed).normal(0, 0.01, (observations, tries))


def overfitting_by_the_book(returns: Floats, blocks: int) -> float:
    """CSCV as the paper tells it step by step: matrices are put together, ranks are counted by sorting."""
    length = len(returns) // blocks
    rows = [returns[len(returns) - (blocks - at) * length :][:length] for at in range(blocks)]
    logits = []
    for halving in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([rows[at] for at in halving])
        outside = np.concatenate([rows[at] for at in range(blocks) if at not in halving])
        best = max(range(returns.shape[1]), key=lambda each: inside[:, each].mean() / inside[:, each].std(ddof=1))
        ratios = [column.mean() / column.std(ddof=1) for column in outside.T]
        share = (sorted(ratios).index(ratios[best]) + 1) / (returns.shape[1] + 1)
        logits.append(math.log(share / (1 - share)))
    return sum(logit <= 0 for logit in logits) / len(logits)


@given(seed=some.integers(0, 10**6), tries=some.integers(2, 9), extra=some.integers(0, 7))
def test_probability_is_that_of_the_paper_step_by_step(seed: int, tries: int, extra: int) -> None:
    returns = noise(seed, 8 * 5 + extra, tries) + np.linspace(-0.005, 0.005, tries)
    assert probability_of_overfitting(returns, 8).probability == overfitting_by_the_book(returns, 8)


def test_noise_is_overfitted_in_about_half_of_the_halvings() -> None:
    found = [probability_of_overfitting(noise(seed), 10).probability for seed in range(30)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_a_true_edge_is_not_overfitted() -> None:
    returns = noise(1)
    returns[:, 7] += 0.004
    found = probability_of_overfitting(returns, 10)
    assert found.probability < 0.01
    assert found.loss_probability < 0.01


def test_what_wins_in_one_half_only_is_overfitted() -> None:
    returns = noise(2, 480, 10)
    returns[:240, ::2] += 0.02
    returns[240:, 1::2] += 0.02
    edge = returns - returns.mean(axis=0)
    assert probability_of_overfitting(edge, 10).probability > 0.9


def test_equal_tries_are_neither_better_nor_worse_than_each_other() -> None:
    returns = np.repeat(noise(3, 64, 1), 5, axis=1)
    assert probability_of_overfitting(returns, 8).probability == 1.0


def test_fewer_observations_make_fewer_blocks() -> None:
    assert probability_of_overfitting(noise(4, 21, 5)).blocks == 10


@pytest.mark.parametrize(
    ("returns", "blocks", "message"),
    [
        (noise(0, 7, 3), 16, "there are 7 returns: it needs 8"),
        (noise(0, 64, 1), 16, "there is 1 result to compare"),
        (noise(0, 64, 4), 7, "even number"),
    ],
)
def test_too_little_to_halve_is_refused(returns: Floats, blocks: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probability_of_overfitting(returns, blocks)


def test_probabilistic_sharpe_is_that_of_the_formula() -> None:
    returns = np.random.default_rng(5).gamma(2, 0.01, 250) - 0.018
    n, m, s = len(returns), returns.mean(), returns.std()
    g3, g4 = ((returns - m) ** 3).mean() / s**3, ((returns - m) ** 4).mean() / s**4
    sr = m / returns.std(ddof=1)
    z = (sr - 0.05) * math.sqrt(n - 1) / math.sqrt(1 - g3 * sr + (g4 - 1) / 4 * sr**2)
    assert probabilistic_sharpe(returns, 0.05) == pytest.approx(0.5 * (1 + math.erf(z / math.sqrt(2))), abs=1e-12)


def test_the_example_of_the_paper_comes_out() -> None:
    """Bailey and Lopez de Prado 2014, numerical example: five years of daily returns, yearly SR 2.5, skewness -3,
    kurtosis 10, 100 independent trials whose yearly SRs have the variance 1/2: the probability is about 0.9."""
    largest = expected_largest_sharpe(0.5 / 250, 100)
    assert largest == pytest.approx(0.1132, abs=1e-4)
    sharpe = 2.5 / math.sqrt(250)
    z = (sharpe - largest) * math.sqrt(1_249) / math.sqrt(1 + 3 * sharpe + 9 / 4 * sharpe**2)
    assert NORMAL.cdf(z) == pytest.approx(0.9004, abs=1e-4)


def test_largest_of_many_sharpe_ratios_is_as_large_as_expected() -> None:
    returns = np.random.default_rng(6).normal(0, 1, (400, 200, 50))
    found = np.mean([sharpe_ratios(returns[:, :, at]).max() for at in range(50)])
    assert found == pytest.approx(expected_largest_sharpe(1 / 400, 200), rel=0.03)


def test_best_of_noise_is_not_believed_and_a_true_edge_is() -> None:
    returns = noise(7, 500, 50)
    best = int(sharpe_ratios(returns).argmax())
    assert probabilistic_sharpe(returns[:, best]) > 0.95
    assert deflated_sharpe(returns, best) < 0.9
    returns[:, best] += 0.002
    assert deflated_sharpe(returns, best) > 0.95
    assert deflated_sharpe(returns, best, tries=10**6) < deflated_sharpe(returns, best)


@pytest.mark.parametrize(
    ("returns", "message"), [(np.ones(40), "do not vary"), (np.ones(29), "there are 29 returns: it needs 30")]
)
def test_too_little_for_a_sharpe_ratio_is_refused(returns: Floats, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probabilistic_sharpe(returns)


def test_returns_that_do_not_vary_have_no_ratio() -> None:
    assert sharpe_ratios(np.full((20, 2), 0.1)).tolist() == [0.0, 0.0]
