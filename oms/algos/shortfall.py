"""Implementation shortfall: faster at first, as the risk of waiting is weighed against the impact of haste.

The schedule of R. Almgren, N. Chriss, "Optimal execution of portfolio transactions", Journal of Risk 3 (2000): of the
target ``X``, what is left at time ``t`` of ``T`` is ``x(t) = X sinh(kappa (T - t)) / sinh(kappa T)``. ``kappa`` is the
urgency, 1/s: 1 / kappa is about the time in which most is traded; kappa near 0 is TWAP, the limit of the formula.

It is given, or else found from ``risk_aversion`` (lambda, 1 / cash), ``volatility`` (sigma, cash a lot and square root
of s) and ``impact`` (eta, cash a lot for each lot/s of trading), by the paper's condition for slices of length tau,
``2 (cosh(kappa tau) - 1) / tau**2 = lambda sigma**2 / eta``, in which the permanent impact is neglected. Since
``cosh(x) - 1 = 2 sinh(x / 2)**2``, that is ``kappa = 2 / tau asinh(tau / 2 sqrt(lambda sigma**2 / eta))``.
"""

from __future__ import annotations

from math import asinh, exp, expm1, sqrt
from typing import Final

from oms.algos.api import function, parameter
from oms.algos.schedule import DURATION_S, OWN, SLICES, begin, must_progress, progress, work_schedule
from oms.core.state import State

PARAMETERS: Final = {
    "duration_s": 600.0,
    "slices": 20.0,
    "time_spread": 0.5,
    "size_spread": 0.2,
    "passive_slices": 0.5,
    "follow_ticks": 0.0,
    "max_child_lots": 0.0,
    "grace_s": 0.0,
    "kappa": 0.0,
    "risk_aversion": 0.0,
    "volatility": 0.0,
    "impact": 1.0,
}
RANGES: Final = {
    "duration_s": (1.0, 604_800.0),
    "slices": (1.0, 10_000.0),
    "time_spread": (0.0, 1.0),
    "size_spread": (0.0, 1.0),
    "passive_slices": (0.0, 10_000.0),
    "follow_ticks": (0.0, 1e6),
    "max_child_lots": (0.0, 2e9),
    "grace_s": (0.0, 604_800.0),
    "kappa": (0.0, 1e3),
    "risk_aversion": (0.0, 1e6),
    "volatility": (0.0, 1e9),
    "impact": (1e-12, 1e12),
}
KAPPA: Final = OWN
RISK_AVERSION: Final = OWN + 1
VOLATILITY: Final = OWN + 2
IMPACT: Final = OWN + 3
SMALLEST_URGENCY: Final = 1e-9
"""Of ``kappa T``: below it the schedule is a straight line, within rounding."""


@function
def urgency(st: State, me: int) -> float:
    """``kappa T``."""
    duration_s = parameter(st, me, DURATION_S)
    if parameter(st, me, KAPPA) > 0.0:
        return parameter(st, me, KAPPA) * duration_s
    half_slice_s = duration_s / int(parameter(st, me, SLICES)) / 2
    risk = parameter(st, me, VOLATILITY) * sqrt(parameter(st, me, RISK_AVERSION) / parameter(st, me, IMPACT))
    return asinh(half_slice_s * risk) / half_slice_s * duration_s


@function
def traded_share(kappa: float, time: float) -> float:
    """Share of the target that is traded at ``time``, 0 to 1, of an order of duration 1.

    ``1 - sinh(kappa (1 - t)) / sinh(kappa)``, in a form that neither overflows nor divides by 0.
    """
    if kappa < SMALLEST_URGENCY or time >= 1.0:
        return min(time, 1.0)
    return 1.0 - exp(-kappa * time) * expm1(-2.0 * kappa * (1.0 - time)) / expm1(-2.0 * kappa)


def start(st: State, me: int, now: int) -> None:
    begin(st, me)


def work(st: State, me: int, now: int) -> None:
    kappa = urgency(st, me)
    due = traded_share(kappa, progress(st, me, now))
    must = traded_share(kappa, must_progress(st, me, now))
    largest = traded_share(kappa, 1.0 / int(parameter(st, me, SLICES)))
    work_schedule(st, me, now, due, must, largest)
