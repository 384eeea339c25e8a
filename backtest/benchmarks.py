"""Prices to measure an execution by, in ticks and exact: means of what the market showed and traded.

A price that does not exist raises ``Absent``, which says why. Sources are in ``docs/execution-report.md``.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backtest.market import Market, Rows

Integers = npt.NDArray[np.int64]


class Absent(Exception):  # noqa: N818  (nothing went wrong)
    """A figure that does not exist; the message says why."""


class MidSteps(NamedTuple):
    """The mid price from a start to an end: constant within each of the steps."""

    half_ticks: Integers
    """0 where it is not known."""
    duration_ns: Integers

    @property
    def unknown_ns(self) -> int:
        """How long the mid price is not known."""
        return int(self.duration_ns[self.half_ticks == 0].sum())

    def first(self) -> Fraction:
        """The mid at the start."""
        if not self.half_ticks[0]:
            raise Absent("there was no touch at the start")
        return Fraction(int(self.half_ticks[0]), 2)

    def last(self) -> Fraction:
        """The last mid that was known."""
        known = self.half_ticks[self.half_ticks > 0]
        if not len(known):
            raise Absent("there was no touch between start and end")
        return Fraction(int(known[-1]), 2)

    def mean(self) -> Fraction:
        """The mean over the time in which the mid was known."""
        known_ns = int(self.duration_ns[self.half_ticks > 0].sum())
        if not known_ns:
            raise Absent("there was no touch for any time between start and end")
        return Fraction(exact_sum(self.half_ticks, self.duration_ns), 2 * known_ns)


def mid_steps(market: Market, start_ts: int, end_ts: int) -> MidSteps:
    """The mid price from ``start_ts`` to ``end_ts``, at least one step."""
    ts = market.mids["ts"]
    changes = ts[np.searchsorted(ts, start_ts, "right") : np.searchsorted(ts, end_ts, "right")]
    edges = np.concatenate([[start_ts], np.unique(changes)])
    return MidSteps(market.mid_at(edges), np.diff(edges, append=end_ts))


def trades_between(market: Market, start_ts: int, end_ts: int) -> Rows:
    """The trades from ``start_ts`` to ``end_ts``, both included."""
    first = np.searchsorted(market.trades["ts"], start_ts, "left")
    stop = np.searchsorted(market.trades["ts"], end_ts, "right")
    return market.trades[first:stop]


def volume_weighted(market: Market, start_ts: int, end_ts: int, *, inverse: bool) -> Fraction:
    """The mean price of the trades from ``start_ts`` to ``end_ts``."""
    trades = trades_between(market, start_ts, end_ts)
    if not len(trades):
        raise Absent("there was no trade between start and end")
    return average_px(trades["px"], trades["qty"].tolist(), inverse=inverse)


def participation_weighted(market: Market, start_ts: int, needed: Fraction, *, inverse: bool) -> Fraction:
    """The mean price of the first ``needed`` lots (above zero) that trade from ``start_ts`` on.

    Of the trade that reaches them it takes what is needed.
    """
    trades = market.trades[np.searchsorted(market.trades["ts"], start_ts, "left") :]
    traded = np.cumsum(trades["qty"])
    if not len(traded) or needed > int(traded[-1]):
        raise Absent("the recording ends before the market has traded enough for the target")
    last = int(np.searchsorted(traded, -(-needed // 1)))
    lots: list[int | Fraction] = trades["qty"][: last + 1].tolist()
    lots[last] -= int(traded[last]) - needed
    return average_px(trades["px"][: last + 1], lots, inverse=inverse)


def average_px(px: Integers, qty: Iterable[int | Fraction], *, inverse: bool) -> Fraction:
    """The one price in ticks at which all of ``qty`` lots, more than none, have the value that they have at ``px``.

    It is the mean weighted by quantity; of an inverse contract, whose value goes with one over the price, the harmonic
    one.
    """
    at_price: dict[int, int | Fraction] = {}
    for each, lots in zip(px.tolist(), qty, strict=True):
        at_price[each] = at_price.get(each, 0) + lots
    total = Fraction(sum(at_price.values()))
    if inverse:
        return total / _sum([Fraction(lots) / each for each, lots in at_price.items()])
    return sum(each * lots for each, lots in at_price.items()) / total


def exact_sum(values: Integers, weights: Integers | None = None) -> int:
    """The sum of ``values``, each times its weight where there are weights, beyond int64 too."""
    exact = values.astype(object)
    return int((exact if weights is None else exact * weights.astype(object)).sum())


def _sum(terms: list[Fraction]) -> Fraction:
    """The sum of at least one term. By halves: added one by one, each sum would carry all denominators before it."""
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return _sum(terms[:half]) + _sum(terms[half:])
