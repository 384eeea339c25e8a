"""How a search chooses what to try next.

Each trial's sampler is made anew, seeded by the study's seed and the trial's number: what it chooses depends on these
and on the trials that have been told before, and on nothing else. So a search that was interrupted goes on as if it
had not been, and how many workers there are makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from backtest.optimise.errors import OptimiseError

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from backtest.optimise.space import Space

AHEAD: Final = 16
"""A trial is chosen when all but the last so many before it have been told: so many workers are kept busy."""
GENERATION: Final = 32
"""Trials of one generation, which are chosen together."""
STARTUP: Final = 10
"""Random trials before TPE has a model."""


class Sampler(NamedTuple):
    """One way to choose, and what it can do."""

    make: Callable[[int], BaseSampler]
    rule: str
    generation: int = 0
    """0: it chooses with whatever has been told."""
    most_targets: int = 100
    least_parameters: int = 1
    takes_lists: bool = True

    def told_before(self, number: int) -> int:
        """How many trials must have been told before trial ``number`` is chosen."""
        if self.generation:
            return number // self.generation * self.generation
        return max(0, number - AHEAD + 1)


def _random(seed: int) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _tpe(seed: int) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True, constant_liar=True)


def _cmaes(seed: int) -> BaseSampler:
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=seed, popsize=GENERATION, with_margin=False, warn_independent_sampling=False)


def _genetic(seed: int) -> BaseSampler:
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=GENERATION)


SAMPLERS: Final = {
    "grid": Sampler(_random, "every combination, once"),
    "random": Sampler(_random, "at random, evenly"),
    "tpe": Sampler(_tpe, "tree-structured Parzen estimator (Bergstra et al. 2011)"),
    "cmaes": Sampler(_cmaes, "CMA-ES (Hansen 2016)", GENERATION, most_targets=1, least_parameters=2, takes_lists=False),
    "genetic": Sampler(_genetic, "NSGA-II (Deb et al. 2002)", GENERATION),
}
GRID: Final = "grid"


def check_sampler(name: str, space: Space, targets: int) -> None:
    """Raise ``OptimiseError`` when there is no such sampler, or it cannot search like this."""
    if name not in SAMPLERS:
        raise OptimiseError(f"unknown sampler {name!r}: choose {', '.join(SAMPLERS)}")
    sampler = SAMPLERS[name]
    other = "choose another sampler, such as tpe"
    if targets > sampler.most_targets:
        raise OptimiseError(f"sampler {name} searches for one target, not for {targets}: {other}")
    if len(space) < sampler.least_parameters:
        raise OptimiseError(f"sampler {name} needs {sampler.least_parameters} parameters, not {len(space)}: {other}")
    listed = [each.name for each in space if each.choices]
    if listed and not sampler.takes_lists:
        raise OptimiseError(f"sampler {name} needs ranges, and {listed[0]} is a list: give a range, or {other}")


def sampler_for(name: str, seed: int, number: int) -> BaseSampler:
    """The sampler of trial ``number``."""
    return SAMPLERS[name].make(int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))
