"""What a search is to do, checked as a whole before anything is run, and kept with its results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from backtest.market import Rows
from backtest.optimise.errors import OptimiseError
from backtest.optimise.folds import Fold, Part, make_folds, split
from backtest.optimise.pruning import DEFAULT_PARTS, check_pruner
from backtest.optimise.samplers import GRID, check_sampler
from backtest.optimise.space import Space, check_names, grid_size, parse_space
from backtest.optimise.targets import Constraint, Target, check_length, parse_constraints, parse_targets
from backtest.run import CLOCKS
from oms.config import Settings

DEFAULT_TRIALS: Final = 100
WHOLE: Final = "whole"
"""Name of the search over all data."""
NS_PER_S: Final = 1_000_000_000

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """A search as it was asked for; the texts are those of the command line."""

    name: str
    settings: Settings
    files: tuple[str, ...]
    instruments: tuple[str, ...] = ()
    """Of the files that do not say what they are of, in order."""
    timeframes_ns: tuple[int, ...] = ()
    """Longer bars that strategies get beside those of the data."""
    space: tuple[str, ...]
    targets: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    sampler: str = "tpe"
    pruner: str = "none"
    parts: int = 0
    """Into how many parts what is trained on is cut; 0: 1, or with a pruner ``DEFAULT_PARTS``."""
    trials: int = 0
    """Of each search; 0: ``DEFAULT_TRIALS``, or every point of a grid."""
    folds: str = ""
    embargo_s: float = 0.0
    seed: int = 1
    clock: str = "local"
    duration_s: float = 0.0
    trial_timeout_s: float = 0.0
    """A trial that runs longer has failed; 0: it may take any time."""
    facts: dict[str, str] = {}
    """Digests of the data and of the files of code, by what they are of: a search goes on only where they are equal."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise OptimiseError(
                f"name {self.name!r} cannot be a folder's name: use letters, digits, '.', '-' and '_', at most 64"
            )
        if not self.files:
            raise OptimiseError("no market data is given to run the strategy over: give a file")
        if not self.settings.strategies:
            raise OptimiseError("there is no strategy to search parameters of: name one")
        if self.clock not in CLOCKS:
            raise OptimiseError(f"unknown clock {self.clock!r}: use {' or '.join(CLOCKS)}")
        for what, number in (("trials", self.trials), ("parts", self.parts), ("seed", self.seed)):
            if number < 0:
                raise OptimiseError(f"{what} {number}: it must be 0 or more")
        times = (("embargo", self.embargo_s), ("duration", self.duration_s), ("trial timeout", self.trial_timeout_s))
        for what, seconds in times:
            if not 0 <= seconds < float("inf"):
                raise OptimiseError(f"{what} {seconds} s: it must be 0 or more")
        if self.embargo_s and not self.folds:
            raise OptimiseError(f"an embargo of {self.embargo_s:g} s is between training and test: give --folds too")
        check_sampler(self.sampler, self.parsed_space, len(self.parsed_targets))
        check_pruner(self.pruner, self.part_count, len(self.parsed_targets))
        if self.folds:
            make_folds(self.folds, Part(0, 10**18), 0)
        if self.sampler == GRID:
            points = grid_size(self.parsed_space)
            if 0 < self.trials < points:
                raise OptimiseError(
                    f"{self.trials} trials are not enough for a grid of {points:,} points: leave --trials away, or "
                    "choose larger steps"
                )
        _ = self.parsed_constraints

    @cached_property
    def parsed_space(self) -> Space:
        return parse_space(self.space)

    @cached_property
    def parsed_targets(self) -> tuple[Target, ...]:
        return parse_targets(self.targets)

    @cached_property
    def parsed_constraints(self) -> tuple[Constraint, ...]:
        return parse_constraints(self.constraints)

    @property
    def part_count(self) -> int:
        return self.parts or (1 if self.pruner == "none" else DEFAULT_PARTS)

    @property
    def trial_count(self) -> int:
        """Of each search."""
        if self.sampler == GRID:
            return grid_size(self.parsed_space)
        return self.trials or DEFAULT_TRIALS

    @property
    def folder(self) -> Path:
        """Where the search and its results are kept."""
        return studies_folder(self.settings) / self.name

    def folds_of(self, whole: Part) -> list[Fold]:
        """The folds of the data; raises as ``make_folds`` does."""
        return make_folds(self.folds, whole, round(self.embargo_s * NS_PER_S))

    def searches_of(self, whole: Part) -> dict[str, tuple[Part, ...]]:
        """The parts that each search is over, by its name: one for each fold, and one over the whole."""
        train = {fold.name: fold.train for fold in self.folds_of(whole)}
        return {name: split(parts, self.part_count) for name, parts in {**train, WHOLE: (whole,)}.items()}

    def check_lengths(self, whole: Part) -> None:
        """Raise ``OptimiseError`` where a metric needs more data than it would be computed of."""
        names = [*(each.name for each in self.parsed_targets), *(each.name for each in self.parsed_constraints)]
        check_length(names, whole.length_ns, "the data")
        for fold in self.folds_of(whole):
            check_length(names, sum(part.length_ns for part in fold.train), f"the training data of {fold.name}")
            check_length(names, fold.test.length_ns, f"the test of {fold.name}")

    def check_strategies(self) -> None:
        """Raise ``OptimiseError`` for a parameter that a strategy does not have, ``StrategyError`` for a bad file."""
        from strategies.loader import load_strategy

        for chosen in self.settings.strategies:
            known = load_strategy(Path(chosen.file)).parameters
            check_names((each.name for each in self.parsed_space), known, chosen.title, "to search")
            check_names(chosen.parameters, known, chosen.title, "to set")


def folder_name(title: str) -> str:
    """A strategy's title as the name of a folder that a plan may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", title).lstrip("._-") or "study"


def studies_folder(settings: Settings) -> Path:
    """Where all searches of an account are kept."""
    return settings.store_dir / "optimise"


def facts_of(settings: Settings, *orders: Rows) -> dict[str, str]:
    """Digests of what decides a search's results beside its plan: the data, in each of their orders, the code, and
    recorded latencies.
    """
    from strategies.loader import cache_sources

    matching = settings.matching
    files = [each.file for each in settings.strategies]
    files += [each.file for each in settings.rules]
    files += [each.file for each in settings.algorithms]
    files += [model for model in (matching.model, matching.queue) if model.endswith(".py")]
    code = {f"the code of {file}": _digest(cache_sources(Path(file))) for file in files}
    if matching.latencies:
        code[f"the latencies of {matching.latencies}"] = _digest([Path(matching.latencies)])
    data = sha256()
    for rows in orders:
        data.update(np.ascontiguousarray(rows).view(np.uint8).data)
    return {"the data": data.hexdigest(), **code}


def _digest(paths: Sequence[Path]) -> str:
    digest = sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()
