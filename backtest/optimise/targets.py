"""What a search is for: figures that are to be large or small, and bounds that a result must keep.

A drawdown counts by its size here: ``max_drawdown`` 0.2 is a loss of a fifth of the peak, and less is better.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from backtest.marks import DAY_NS
from backtest.metrics import LEAST_DAYS, METRICS, length_text
from backtest.optimise.errors import OptimiseError

SIZES: Final = frozenset({"max_drawdown", "max_drawdown_cash"})
"""Metrics that are losses: they count by their size."""
MINIMISED: Final = SIZES | {"fees", "volatility", "max_drawdown_duration"}
"""Metrics of which less is better, unless it is said otherwise."""
OF_A_YEAR: Final = ("annual_return", "volatility", "sharpe_ratio", "sortino_ratio", "calmar_ratio")
"""Metrics that need ``LEAST_DAYS`` of data."""

DIRECTIONS: Final = {"max": 1, "min": -1}
BOUNDS: Final = {"<=": 1, ">=": -1}
_CONSTRAINT: Final = re.compile(r"\s*(\w+)\s*(<=|>=)\s*(\S+)\s*")
NAMES: Final = tuple(metric.name for metric in METRICS)


class Target(NamedTuple):
    """A figure, and whether more of it (+1) or less (-1) is wanted."""

    name: str
    direction: int

    @property
    def text(self) -> str:
        return f"{self.name}:{'max' if self.direction > 0 else 'min'}"


class Constraint(NamedTuple):
    """A figure and its bound: at most (side +1) or at least (side -1)."""

    name: str
    side: int
    bound: float

    @property
    def text(self) -> str:
        return f"{self.name}{'<=' if self.side > 0 else '>='}{self.bound:g}"

    def violation(self, figures: Mapping[str, float]) -> float:
        """By how much the bound is broken; zero or less: it is kept."""
        return self.side * (figures[self.name] - self.bound)


def metric_name(text: str) -> str:
    """The metric that ``text`` names, or is the beginning of the name of (``sharpe``).

    Raises
    ------
    OptimiseError
        When there is none, or several begin like that.
    """
    if text in NAMES:
        return text
    begun = [name for name in NAMES if text and name.startswith(text)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise OptimiseError(f"metric {text!r} is ambiguous: say {' or '.join(begun)}")
    raise OptimiseError(f"unknown metric {text!r}: there are {', '.join(NAMES)}")


def parse_targets(texts: Iterable[str]) -> tuple[Target, ...]:
    """Targets such as ``total_return``, ``sharpe:max`` or ``fees:min``; raises ``OptimiseError``."""
    targets = []
    for text in texts:
        name, separator, direction = (part.strip() for part in text.partition(":"))
        name = metric_name(name)
        if separator and direction not in DIRECTIONS:
            raise OptimiseError(f"target {text!r}: {direction!r} is neither max nor min")
        wanted = DIRECTIONS[direction] if separator else -1 if name in MINIMISED else 1
        targets.append(Target(name, wanted))
    names = [each.name for each in targets]
    if not names:
        raise OptimiseError("no target is given: name a metric, such as total_return")
    for name in names:
        if names.count(name) > 1:
            raise OptimiseError(f"target {name} is given {names.count(name)} times: give it once")
    return tuple(targets)


def parse_constraints(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """Constraints such as ``max_drawdown<=0.2`` and ``trades>=100``; raises ``OptimiseError``."""
    constraints = []
    for text in texts:
        found = _CONSTRAINT.fullmatch(text)
        try:
            bound = float(found[3]) if found else float("nan")
        except ValueError:
            bound = float("nan")
        if found is None or not abs(bound) < float("inf"):
            raise OptimiseError(f"constraint {text!r} is not METRIC<=NUMBER or METRIC>=NUMBER, such as trades>=100")
        name = metric_name(found[1])
        if name in SIZES and bound < 0:
            raise OptimiseError(f"constraint {text!r}: {name} counts by its size; write it without the minus")
        constraints.append(Constraint(name, BOUNDS[found[2]], bound))
    return tuple(constraints)


def check_length(names: Iterable[str], length_ns: int, what: str) -> None:
    """Raise ``OptimiseError`` for a metric of a year where there are less than ``LEAST_DAYS`` of data."""
    for name in names:
        if name in OF_A_YEAR and length_ns < LEAST_DAYS * DAY_NS:
            raise OptimiseError(
                f"{what} is {length_text(length_ns)} long, and {name} needs {LEAST_DAYS} days: choose another metric, "
                "such as total_return, or give more data"
            )


def dominates(one: Iterable[float], other: Iterable[float]) -> bool:
    """True when ``one`` is nowhere less than ``other`` and somewhere more; of values of which more is better."""
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)
