"""Giving up trials early: what the first target must reach over the first parts of the data, for the rest to be run.

The bars of a trial are set when it is chosen, by the trials that have been told until then: no worker waits for
another, and the result does not depend on who is quick.

A step is a part: step 1 is the figure over the first part, step 2 over the first two, and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Outcome

Bars = tuple[float | None, ...]

LEAST_TRIALS: Final = 5
"""That have reached a step, before there is a bar at it."""
REDUCTION: Final = 3
"""One in so many goes on past a rung."""
DEFAULT_PARTS: Final = 5


def no_bars(_told: Sequence[Outcome], _number: int, steps: int, _direction: int) -> Bars:
    """Every trial is run to its end."""
    return (None,) * steps


def median_bars(told: Sequence[Outcome], _number: int, steps: int, _direction: int) -> Bars:
    """The median of the completed trials at the same step (Golovin et al., Google Vizier, 2017, section 3.2.2)."""
    complete = [each for each in told if not each.is_pruned and not each.failure]
    return tuple(
        median(reached) if len(reached := _at(complete, step)) >= LEAST_TRIALS else None for step in range(steps)
    )


def halving_bars(told: Sequence[Outcome], _number: int, steps: int, direction: int, bracket: int = 0) -> Bars:
    """Asynchronous successive halving (Li et al. 2020): at the steps 1, 3, 9, ... the best third goes on."""
    bars: list[float | None] = [None] * steps
    rung = REDUCTION**bracket
    while rung < steps:
        reached = sorted(_at(told, rung - 1), key=lambda value: -direction * value)
        if len(reached) >= LEAST_TRIALS:
            bars[rung - 1] = reached[len(reached) // REDUCTION]
        rung *= REDUCTION
    return tuple(bars)


def hyperband_bars(told: Sequence[Outcome], number: int, steps: int, direction: int) -> Bars:
    """Successive halving from the first rung on, from the second on, ..., in turn (Hyperband, Li et al. 2018)."""
    brackets = 1
    while REDUCTION**brackets < steps:
        brackets += 1
    return halving_bars(told, number, steps, direction, bracket=number % brackets)


def _at(outcomes: Sequence[Outcome], step: int) -> list[float]:
    values = (each.steps[step] for each in outcomes if not each.failure and step < len(each.steps))
    return [value for value in values if value is not None]


PRUNERS: Final[dict[str, Callable[[Sequence[Outcome], int, int, int], Bars]]] = {
    "none": no_bars,
    "median": median_bars,
    "halving": halving_bars,
    "hyperband": hyperband_bars,
}


def check_pruner(name: str, parts: int, targets: int) -> None:
    """Raise ``OptimiseError`` when there is no such pruner, or it cannot judge such trials."""
    if name not in PRUNERS:
        raise OptimiseError(f"unknown pruner {name!r}: choose {', '.join(PRUNERS)}")
    if name == "none":
        return
    if targets > 1:
        raise OptimiseError(f"pruner {name} judges by one target, not by {targets}: give one, or --pruner none")
    if parts < 2:
        raise OptimiseError(f"pruner {name} judges between parts of the data, and there is {parts}: give --parts 5")
