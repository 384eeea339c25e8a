"""How much of a search's best result is luck.

The best of many tries looks good even where none of them is. The deflated Sharpe ratio asks how likely it is that the
best one's true Sharpe ratio is above zero once the number of tries is accounted for; the probability of backtest
overfitting asks how often the best of one half of the time was below the middle in the other half.

- D. H. Bailey, M. Lopez de Prado, The Deflated Sharpe Ratio, Journal of Portfolio Management 40(5), 2014, 94-107.
- D. H. Bailey, J. M. Borwein, M. Lopez de Prado, Q. J. Zhu, The Probability of Backtest Overfitting, Journal of
  Computational Finance 20(4), 2017, 39-69.
"""

from __future__ import annotations

import math
from itertools import combinations
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from backtest.equity import Floats

BLOCKS: Final = 16
"""Of CSCV, as in the paper: 12,870 ways to halve them."""
LEAST_BLOCKS: Final = 4
LEAST_PER_BLOCK: Final = 2
LEAST_RETURNS: Final = 30
"""For the moments of the deflated Sharpe ratio."""
NORMAL: Final = NormalDist()


class Overfit(NamedTuple):
    """What CSCV says of a search."""

    probability: float
    """Share of the halvings in which the best half-time try was not above the median in the other half."""
    loss_probability: float
    """Share of them in which it lost there."""
    tries: int
    blocks: int


def sharpe_ratios(returns: Floats) -> Floats:
    """Of each column, for one observation (not for a year); 0 where the returns do not vary.

    Parameters
    ----------
    returns : array of float64, shape (observations, tries)
    """
    mean, deviation = returns.mean(axis=0), returns.std(axis=0, ddof=1)
    varies = deviation > np.abs(mean) * 1e-12
    return np.divide(mean, deviation, out=np.zeros(returns.shape[1]), where=varies)


def expected_largest_sharpe(variance: float, tries: int) -> float:
    """What the largest of so many Sharpe ratios comes to where every true one is zero (Bailey and Lopez de Prado 2014).

    sqrt(V) ((1 - g) Z(1 - 1 / N) + g Z(1 - 1 / (N e))): Z the normal quantile, g the Euler-Mascheroni constant.
    """
    if tries < 2:
        return 0.0
    g = float(np.euler_gamma)
    quantiles = (1 - g) * NORMAL.inv_cdf(1 - 1 / tries) + g * NORMAL.inv_cdf(1 - 1 / (tries * math.e))
    return math.sqrt(variance) * quantiles


def probabilistic_sharpe(returns: Floats, benchmark: float = 0.0) -> float:
    """How likely the true Sharpe ratio of these returns is above ``benchmark``, for one observation.

    Phi((SR - SR*) sqrt(T - 1) / sqrt(1 - g3 SR + (g4 - 1) / 4 SR^2)): g3 the skewness, g4 the kurtosis (normal: 3).

    Raises
    ------
    ValueError
        When there are less than ``LEAST_RETURNS``, or they do not vary.
    """
    count = len(returns)
    if count < LEAST_RETURNS:
        raise ValueError(f"there are {count} returns: it needs {LEAST_RETURNS}")
    mean = float(returns.mean())
    centred = returns - mean
    spread = float(np.sqrt(np.square(centred).mean()))
    if spread <= abs(mean) * 1e-12:
        raise ValueError("the returns do not vary")
    skewness = float((centred**3).mean()) / spread**3
    kurtosis = float((centred**4).mean()) / spread**4
    sharpe = mean / float(returns.std(ddof=1))
    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return NORMAL.cdf((sharpe - benchmark) * math.sqrt(count - 1) / math.sqrt(variance))


def deflated_sharpe(returns: Floats, chosen: int, tries: int = 0) -> float:
    """How likely the true Sharpe ratio of column ``chosen``, the best of all, is above zero.

    It is the probabilistic Sharpe ratio against the largest that so many tries without an edge would have shown. Tries
    that are alike count as if they were independent, which makes the figure smaller: it errs on the side of doubt.

    Parameters
    ----------
    returns : array of float64, shape (observations, tries)
    chosen : int
    tries : int
        How many there were, where not all of them have a column; 0: as many as there are columns.

    Raises
    ------
    ValueError
        As ``probabilistic_sharpe`` does.
    """
    columns = returns.shape[1]
    variance = float(sharpe_ratios(returns).var(ddof=1)) if columns > 1 else 0.0
    return probabilistic_sharpe(returns[:, chosen], expected_largest_sharpe(variance, tries or columns))


def probability_of_overfitting(returns: Floats, blocks: int = BLOCKS) -> Overfit:
    """Combinatorially symmetric cross-validation (Bailey et al. 2017, section 3).

    The observations are cut into ``blocks`` of like length. For each half of the blocks the try with the best Sharpe
    ratio on it is looked up in the other half: its rank w among N tries there, over N + 1, gives the logit
    ln(w / (1 - w)). The probability is the share of logits that are zero or less. Of equal tries the first one
    counts as the best, and each has the mean of their ranks.

    Parameters
    ----------
    returns : array of float64, shape (observations, tries)
        Observations that do not divide are left out at the start.
    blocks : int
        Even; where there are fewer than ``LEAST_PER_BLOCK`` observations for each, fewer are made.

    Raises
    ------
    ValueError
        When there are too few observations or tries, or ``blocks`` is odd.
    """
    observations, tries = returns.shape
    if blocks % 2 or blocks < LEAST_BLOCKS:
        raise ValueError(f"{blocks} blocks: it must be an even number of at least {LEAST_BLOCKS}")
    blocks = min(blocks, observations // LEAST_PER_BLOCK // 2 * 2)
    if blocks < LEAST_BLOCKS:
        raise ValueError(f"there are {observations} returns: it needs {LEAST_BLOCKS * LEAST_PER_BLOCK}")
    if tries < 2:
        raise ValueError(f"there is {tries} result to compare: it needs 2")
    length = observations // blocks
    cut = returns[observations - blocks * length :].reshape(blocks, length, tries)
    # a block's mean is taken off for the whole time: sums of squares of like returns would lose their digits
    base = cut.mean(axis=(0, 1))
    sums = (cut - base).sum(axis=1)
    squares = np.square(cut - base).sum(axis=1)
    half = blocks // 2 * length
    below = lost = total = 0
    for halving in combinations(range(blocks), blocks // 2):
        chosen = np.zeros(blocks, np.bool_)
        chosen[list(halving)] = True
        inside, outside = (_sharpes(sums[rows], squares[rows], half, base) for rows in (chosen, ~chosen))
        best = int(np.argmax(inside))
        less, equal = int((outside < outside[best]).sum()), int((outside == outside[best]).sum())
        rank = (less + (equal + 1) / 2) / (tries + 1)
        below += rank <= 0.5
        lost += bool(outside[best] < 0)
        total += 1
    return Overfit(below / total, lost / total, tries, blocks)


def _sharpes(sums: Floats, squares: Floats, count: int, base: Floats) -> Floats:
    """Sharpe ratios from the sums of blocks, of returns less ``base``, over ``count`` observations."""
    shifted = sums.sum(axis=0) / count
    variance = np.maximum(squares.sum(axis=0) / count - np.square(shifted), 0) * count / (count - 1)
    mean = base + shifted
    deviation = np.sqrt(variance)
    varies = deviation > np.abs(mean) * 1e-9
    return np.divide(mean, deviation, out=np.zeros(len(mean)), where=varies)
