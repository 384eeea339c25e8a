"""One search: trials are chosen, run by workers and told, always in the order of their numbers.

Trial n is chosen when a number of trials have been told that depends on n and on the sampler alone; what is done out of
turn waits. So the same seed gives the same search with one worker and with many, in one go and after interruptions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy as np

from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Job, Outcome
from backtest.optimise.folds import Part
from backtest.optimise.plan import Plan
from backtest.optimise.pruning import PRUNERS, Bars
from backtest.optimise.samplers import AHEAD, GRID, SAMPLERS, sampler_for
from backtest.optimise.space import grid_of
from backtest.optimise.targets import Constraint, Target, dominates
from backtest.optimise.workers import Pool

if TYPE_CHECKING:
    import optuna

OUTCOME: Final = "outcome"
BARS: Final = "bars"
TEST: Final = "test"
"""Names under which optuna's storage keeps what is ours."""
COMPLETE: Final = "complete"
PRUNED: Final = "pruned"
FAILED: Final = "failed"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One try, as it ended."""

    number: int
    state: str
    """``complete``, ``pruned`` or ``failed``: only a complete one has figures."""
    parameters: dict[str, float]
    figures: dict[str, float] = {}
    is_feasible: bool = False
    """True where it is complete and keeps every constraint."""
    failure: str = ""
    returns: tuple[float, ...] = ()

    def values(self, targets: Sequence[Target]) -> tuple[float, ...]:
        """Its figures for the targets, so that more is better."""
        return tuple(each.direction * self.figures[each.name] for each in targets)


class Progress(NamedTuple):
    """How far a search is."""

    search: str
    done: int
    total: int
    failed: int
    pruned: int
    best: float | None
    """The first target's best figure so far among the trials that keep the constraints."""


Report = Callable[[Progress], None]


def judged(outcome: Outcome, targets: Sequence[Target], constraints: Sequence[Constraint]) -> str:
    """Why an outcome cannot be judged by these targets and constraints; empty where it can."""
    if outcome.failure:
        return outcome.failure
    for name in dict.fromkeys([*(each.name for each in targets), *(each.name for each in constraints)]):
        if name not in outcome.figures:
            return f"no {name}: {outcome.absent.get(name, 'it is not known')}"
        if not np.isfinite(outcome.figures[name]):
            return f"{name} is {outcome.figures[name]}"
    return ""


def trial_of(
    number: int,
    parameters: dict[str, float],
    outcome: Outcome,
    targets: Sequence[Target],
    constraints: Sequence[Constraint],
) -> Trial:
    """The try that had this outcome."""
    if outcome.is_pruned:
        return Trial(number=number, state=PRUNED, parameters=parameters)
    failure = judged(outcome, targets, constraints)
    if failure:
        return Trial(number=number, state=FAILED, parameters=parameters, failure=failure)
    return Trial(
        number=number,
        state=COMPLETE,
        parameters=parameters,
        figures=outcome.figures,
        is_feasible=all(each.violation(outcome.figures) <= 0 for each in constraints),
        returns=outcome.returns,
    )


def front_of(trials: Sequence[Trial], targets: Sequence[Target]) -> list[Trial]:
    """The feasible trials that no other one dominates, the best in the first target first; equal ones once."""
    by_values: dict[tuple[float, ...], Trial] = {}
    for trial in trials:
        if trial.is_feasible:
            by_values.setdefault(trial.values(targets), trial)
    front = [values for values in by_values if not any(dominates(other, values) for other in by_values)]
    return [by_values[values] for values in sorted(front, reverse=True)]


@contextmanager
def quiet_optuna() -> Iterator[Any]:
    """optuna, saying nothing but errors within the block.

    Raises
    ------
    OptimiseError
        When it is not installed.
    """
    import warnings

    try:
        import cmaes
        import optuna
    except ImportError as error:
        raise OptimiseError(f"a search needs optuna ({error}): pip install 'zoms[optimise]'") from None
    _ = cmaes
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(before)


class Search:
    """The trials over some parts of the data, kept in optuna's storage."""

    def __init__(self, plan: Plan, name: str, number: int, parts: tuple[Part, ...], storage: Any) -> None:
        import optuna

        self.name = name
        self._plan = plan
        self._parts = parts
        self._targets = plan.parsed_targets
        self._sampler = SAMPLERS[plan.sampler]
        self._seed = int(np.random.SeedSequence([plan.seed, number]).generate_state(1)[0])
        self._total = plan.trial_count
        self._grid = grid_of(plan.parsed_space) if plan.sampler == GRID else []
        self._distributions = {each.name: each.distribution() for each in plan.parsed_space}
        self._study: optuna.Study = optuna.create_study(
            storage=storage,
            study_name=name,
            load_if_exists=True,
            directions=["maximize" if each.direction > 0 else "minimize" for each in self._targets],
        )
        self._told: list[Outcome] = []
        self.trials: list[Trial] = []
        self._asked: list[Any] = []
        """optuna's trials that have not been told, by number from ``len(self._told)`` on."""
        self._known: dict[tuple[float, ...], Outcome] = {}
        self._restore()

    def _restore(self) -> None:
        from optuna.trial import Trial as OptunaTrial
        from optuna.trial import TrialState

        for each in self._study.get_trials(deepcopy=False):
            if each.state.is_finished():
                self._note(self._exact(each.params), msgspec.convert(each.user_attrs[OUTCOME], Outcome))
            elif each.state == TrialState.RUNNING:
                self._asked.append(OptunaTrial(self._study, each._trial_id))

    def _exact(self, parameters: Mapping[str, Any]) -> dict[str, float]:
        return {each.name: each.exact(parameters[each.name]) for each in self._plan.parsed_space}

    def _note(self, parameters: dict[str, float], outcome: Outcome) -> Trial:
        trial = trial_of(len(self._told), parameters, outcome, self._targets, self._plan.parsed_constraints)
        self._told.append(outcome)
        self.trials.append(trial)
        if trial.state == COMPLETE:
            self._known.setdefault(tuple(parameters.values()), outcome)
        return trial

    @property
    def front(self) -> list[Trial]:
        return front_of(self.trials, self._targets)

    def run(self, pool: Pool, report: Report) -> None:
        """Run what is missing.

        Raises
        ------
        OptimiseError
            When none of the first trials could be judged, or the workers cannot run anything.
        """
        done: dict[int, Outcome] = {}
        report(self.progress)
        for number, trial in enumerate(self._asked, len(self._told)):
            self._start(pool, done, number, trial)
        self._ask(pool, done)
        while len(self._told) < self._total:
            while len(self._told) not in done:
                number, outcome = pool.take()
                done[number] = outcome
            self._tell(done.pop(len(self._told)))
            report(self.progress)
            self._ask(pool, done)

    def _ask(self, pool: Pool, done: dict[int, Outcome]) -> None:
        """Choose and start every trial whose turn has come."""
        number = len(self._told) + len(self._asked)
        while number < self._total and self._sampler.told_before(number) <= len(self._told):
            self._study.sampler = sampler_for(self._plan.sampler, self._seed, number)
            if self._grid and len(self._study.get_trials(deepcopy=False)) == number:
                self._study.enqueue_trial(self._optuna_values(self._grid[number]))
            trial = self._study.ask(self._distributions)
            bars = PRUNERS[self._plan.pruner](self._told, number, len(self._parts), self._targets[0].direction)
            # Set even where there are none: it tells the journal that the trial is chosen.
            trial.set_user_attr(BARS, bars if any(bar is not None for bar in bars) else ())
            self._asked.append(trial)
            self._start(pool, done, number, trial)
            number += 1

    def _optuna_values(self, point: Mapping[str, float]) -> dict[str, Any]:
        from optuna.distributions import IntDistribution

        return {
            name: int(value) if isinstance(self._distributions[name], IntDistribution) else value
            for name, value in point.items()
        }

    def _start(self, pool: Pool, done: dict[int, Outcome], number: int, trial: Any) -> None:
        """Have a trial run; one with the parameters of a complete one has its outcome."""
        parameters = self._exact(trial.params)
        known = self._known.get(tuple(parameters.values()))
        if known is not None:
            done[number] = known
            return
        bars: Bars = tuple(trial.user_attrs.get(BARS, ()))
        pool.submit(number, Job(parameters, self._parts, bars))

    def _tell(self, outcome: Outcome) -> None:
        """Tell optuna, and the storage, what became of the first trial that waits for it."""
        from optuna.trial import TrialState

        asked = self._asked.pop(0)
        asked.set_user_attr(OUTCOME, msgspec.to_builtins(outcome))
        trial = self._note(self._exact(asked.params), outcome)
        if len(self._targets) == 1:
            for step, value in enumerate(outcome.steps, 1):
                if value is not None:
                    asked.report(value, step)
        if trial.state == COMPLETE:
            for constraint in self._plan.parsed_constraints:
                asked.set_constraint(constraint.text, constraint.violation(trial.figures))
            self._study.tell(asked, [trial.figures[each.name] for each in self._targets])
        else:
            self._study.tell(asked, state=TrialState.PRUNED if trial.state == PRUNED else TrialState.FAIL)
        self._check_sense()

    def _check_sense(self) -> None:
        """Raise ``OptimiseError`` when all of the first trials have failed: the others would, too."""
        if len(self.trials) == min(AHEAD, self._total) and all(each.state == FAILED for each in self.trials):
            raise OptimiseError(
                f"none of the first {len(self.trials)} trials of {self.name} could be judged; the first one's reason: "
                f"{self.trials[0].failure}"
            )

    def test(self, pool: Pool, part: Part) -> tuple[Trial, Trial] | None:
        """What was chosen, and how it did in a test; None where no trial keeps the constraints."""
        if not self.front:
            return None
        best = self.front[0]
        kept = self._study.user_attrs.get(TEST)
        if kept is None or kept["number"] != best.number:
            pool.submit(best.number, Job(best.parameters, (part,)))
            _, outcome = pool.take()
            kept = {"number": best.number, OUTCOME: msgspec.to_builtins(outcome)}
            self._study.set_user_attr(TEST, kept)
        outcome = msgspec.convert(kept[OUTCOME], Outcome)
        return best, trial_of(best.number, best.parameters, outcome, self._targets, self._plan.parsed_constraints)

    @property
    def progress(self) -> Progress:
        states = [each.state for each in self.trials]
        front = self.front
        best = front[0].figures[self._targets[0].name] if front else None
        return Progress(self.name, len(states), self._total, states.count(FAILED), states.count(PRUNED), best)
