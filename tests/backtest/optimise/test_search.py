"""Searches: the same whatever the workers do, gone on with after an interruption, failures told with their reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backtest.optimise.errors import OptimiseError
from backtest.optimise.evaluate import Job, Outcome
from backtest.optimise.folds import Part
from backtest.optimise.journal import JOURNAL, open_storage
from backtest.optimise.plan import Plan
from backtest.optimise.samplers import AHEAD, GENERATION, SAMPLERS
from backtest.optimise.search import Progress, Search, Trial, front_of, quiet_optuna
from backtest.optimise.targets import parse_targets
from tests.backtest.optimise.tasks import InlinePool, fail, fail_above_5, plan_in, valley

PARTS = (Part(0, 10),)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with quiet_optuna():
        yield


def silent(progress: Progress) -> None:
    _ = progress


def search_of(plan: Plan, folder: Path, parts: tuple[Part, ...] = PARTS) -> Search:
    folder.mkdir(exist_ok=True)
    return Search(plan, "whole", 0, parts, open_storage(folder))


def trials_of(plan: Plan, folder: Path, pool: InlinePool, parts: tuple[Part, ...] = PARTS) -> list[Trial]:
    search = search_of(plan, folder, parts)
    search.run(pool, silent)
    return search.trials


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_search_is_the_same_with_one_worker_and_with_many_in_any_order(sampler: str, tmp_path: Path) -> None:
    space = ("half_spread_ticks=1:10", "skew_ticks=0.0:6.0:0.5" if sampler != "grid" else "skew_ticks=0,4,8")
    plan = plan_in(tmp_path, sampler=sampler, space=space, trials=0 if sampler == "grid" else 2 * GENERATION + 5)
    alone = trials_of(plan, tmp_path / "one", InlinePool(valley))
    for seed in (1, 2):
        assert trials_of(plan, tmp_path / str(seed), InlinePool(valley, AHEAD, seed)) == alone


@pytest.mark.parametrize("sampler", ["tpe", "cmaes", "genetic"])
def test_search_learns_where_the_best_is(sampler: str, tmp_path: Path) -> None:
    plan = plan_in(tmp_path, sampler=sampler, trials=4 * GENERATION)
    trials = trials_of(plan, tmp_path / "s", InlinePool(valley, 4))
    early, late = trials[:GENERATION], trials[-GENERATION:]
    mean = [sum(each.figures["total_return"] for each in part) / GENERATION for part in (early, late)]
    assert mean[1] > mean[0] * 0.8
    assert max(each.figures["total_return"] for each in trials) > -1


def test_another_seed_is_another_search(tmp_path: Path) -> None:
    first, second = (
        trials_of(plan_in(tmp_path, sampler="random", seed=seed), tmp_path / str(seed), InlinePool(valley))
        for seed in (1, 2)
    )
    assert first != second


def test_grid_is_every_point_once(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, sampler="grid", trials=0, space=("half_spread_ticks=1:4", "skew_ticks=0.5,4"))
    trials = trials_of(plan, tmp_path / "s", InlinePool(valley, 3))
    points = [tuple(each.parameters.values()) for each in trials]
    assert points == [(float(a), b) for a in range(1, 5) for b in (0.5, 4.0)]


class InterruptedSearchError(Exception):
    pass


def interrupted(after: int) -> Callable[[Job], Outcome]:
    """As ``valley``, until so many jobs have been run."""
    left = [after]

    def run(job: Job) -> Outcome:
        left[0] -= 1
        if left[0] < 0:
            raise InterruptedSearchError
        return valley(job)

    return run


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "genetic"])
@pytest.mark.parametrize("after", [0, 7, 38])
def test_search_goes_on_as_if_it_had_not_been_interrupted(sampler: str, after: int, tmp_path: Path) -> None:
    plan = plan_in(tmp_path, sampler=sampler, trials=60)
    whole = trials_of(plan, tmp_path / "whole", InlinePool(valley, 5, 1))
    with pytest.raises(InterruptedSearchError):
        trials_of(plan, tmp_path / "cut", InlinePool(interrupted(after), 5, 1))
    pool = InlinePool(valley, 5, 2)
    assert trials_of(plan, tmp_path / "cut", pool) == whole
    assert len(pool.ran) <= 60 - after + 5


def test_search_goes_on_behind_a_line_that_was_cut_off(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    with pytest.raises(InterruptedSearchError):
        trials_of(plan, tmp_path / "cut", InlinePool(interrupted(20)))
    journal = tmp_path / "cut" / JOURNAL
    journal.write_bytes(journal.read_bytes() + b'{"op_code":4,"wor')
    assert trials_of(plan, tmp_path / "cut", InlinePool(valley)) == trials_of(plan, tmp_path / "w", InlinePool(valley))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_search_goes_on_from_wherever_its_journal_ends(sampler: str, tmp_path: Path) -> None:
    space = ("half_spread_ticks=1:3", "skew_ticks=0.0:20.0:10.0")
    plan = plan_in(tmp_path, sampler=sampler, space=space, trials=9, constraints=("trades>=1",))
    whole = trials_of(plan, tmp_path / "whole", InlinePool(valley, 3, 1))
    lines = (tmp_path / "whole" / JOURNAL).read_bytes().splitlines(keepends=True)
    for count in range(len(lines)):
        cut = tmp_path / f"cut {count}"
        cut.mkdir()
        (cut / JOURNAL).write_bytes(b"".join(lines[:count]))
        assert trials_of(plan, cut, InlinePool(valley, 3, 2)) == whole, f"cut behind line {count}"


def test_finished_search_runs_nothing_again(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    first = trials_of(plan, tmp_path / "s", InlinePool(valley))
    pool = InlinePool(valley)
    assert trials_of(plan, tmp_path / "s", pool) == first
    assert pool.ran == []


def test_more_trials_can_be_added(tmp_path: Path) -> None:
    first = trials_of(plan_in(tmp_path, trials=20), tmp_path / "s", InlinePool(valley))
    more = trials_of(plan_in(tmp_path, trials=30), tmp_path / "s", InlinePool(valley))
    assert more[:20] == first
    assert len(more) == 30


def test_parameters_that_are_known_are_not_run_twice(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, space=("half_spread_ticks=1:4",), trials=60)
    pool = InlinePool(valley)
    trials = trials_of(plan, tmp_path / "s", pool)
    assert len(trials) == 60
    assert len(pool.ran) <= 4 + AHEAD


def test_failed_trial_has_its_reason_and_no_figures(tmp_path: Path) -> None:
    trials = trials_of(plan_in(tmp_path), tmp_path / "s", InlinePool(outcome(fail_above_5), 3))
    failed = [each for each in trials if each.parameters["half_spread_ticks"] > 5]
    assert failed
    assert {(each.state, each.failure, len(each.figures), each.is_feasible) for each in failed} == {
        ("failed", "ValueError: nothing can be done", 0, False)
    }
    assert {each.state for each in trials if each not in failed} == {"complete"}


def outcome(run: Callable[[Job], Outcome]) -> Callable[[Job], Outcome]:
    from backtest.optimise.workers import outcome_of

    return lambda job: outcome_of(run, job)


def test_search_of_which_nothing_can_be_judged_ends_with_the_reason(tmp_path: Path) -> None:
    pool = InlinePool(outcome(fail))
    with pytest.raises(OptimiseError, match=r"none of the first 16 trials .* judged; .* nothing can be done"):
        trials_of(plan_in(tmp_path), tmp_path / "s", pool)
    assert len(pool.ran) == AHEAD


@pytest.mark.parametrize(
    ("figures", "reason"),
    [({}, "no total_return: there was no capital"), ({"total_return": float("nan")}, "total_return is nan")],
)
def test_trial_without_its_target_has_failed(figures: dict[str, float], reason: str, tmp_path: Path) -> None:
    def run(job: Job) -> Outcome:
        if job.parameters["half_spread_ticks"] > 5:
            return Outcome(figures=figures, absent={"total_return": "there was no capital"})
        return valley(job)

    trials = trials_of(plan_in(tmp_path), tmp_path / "s", InlinePool(run))
    assert {each.failure for each in trials if each.parameters["half_spread_ticks"] > 5} == {reason}


def test_constraint_excludes_what_breaks_it(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, constraints=("fees<=3",))
    search = search_of(plan, tmp_path / "s")
    search.run(InlinePool(valley), silent)
    assert search.front[0].figures["fees"] == 3
    assert {each.is_feasible for each in search.trials if each.figures["fees"] > 3} == {False}
    best = max((each for each in search.trials if each.is_feasible), key=lambda each: each.figures["total_return"])
    assert search.front[0].figures == best.figures


@pytest.mark.parametrize("sampler", ["random", "tpe", "genetic"])
def test_front_is_what_no_other_trial_dominates(sampler: str, tmp_path: Path) -> None:
    targets = ("total_return", "fees:min")
    plan = plan_in(tmp_path, targets=targets, sampler=sampler, trials=70)
    search = search_of(plan, tmp_path / "s")
    search.run(InlinePool(valley, 4), silent)
    front = [(each.figures["total_return"], each.figures["fees"]) for each in search.front]
    assert front == sorted(front, reverse=True)
    for gain, fees in front:
        every = {(each.figures["total_return"], each.figures["fees"]) for each in search.trials}
        assert {values for values in every if values[0] >= gain and values[1] <= fees} == {(gain, fees)}
    assert len(front) > 2


def test_equal_results_are_on_the_front_once() -> None:
    trials = [
        Trial(number=number, state="complete", parameters={}, figures={"fees": fees}, is_feasible=True)
        for number, fees in enumerate([2.0, 1.0, 1.0])
    ]
    assert [each.number for each in front_of(trials, parse_targets(["fees"]))] == [1]


def test_pruned_trials_are_given_up_early_and_are_never_the_best(tmp_path: Path) -> None:
    parts = tuple(Part(at, at + 1) for at in range(5))
    plan = plan_in(tmp_path, pruner="median", sampler="random", trials=60)
    pools = [InlinePool(valley), InlinePool(valley, AHEAD, 3)]
    alone, many = (trials_of(plan, tmp_path / str(at), pool, parts) for at, pool in enumerate(pools))
    assert alone == many
    pruned = [each for each in alone if each.state == "pruned"]
    assert len(pruned) > 10
    assert all(each.figures == {} and not each.is_feasible for each in pruned)
    full = trials_of(plan_in(tmp_path, sampler="random", trials=60), tmp_path / "full", InlinePool(valley), parts)
    best = max(full, key=lambda each: each.figures["total_return"])
    assert max(alone, key=lambda each: each.figures.get("total_return", -1e9)).parameters == best.parameters


def test_progress_tells_what_is_done_and_the_best(tmp_path: Path) -> None:
    told: list[Progress] = []
    search = search_of(plan_in(tmp_path, trials=12), tmp_path / "s")
    search.run(InlinePool(outcome(fail_above_5)), told.append)
    assert [each.done for each in told] == list(range(13))
    assert told[-1].total == 12
    assert told[-1].failed == sum(each.state == "failed" for each in search.trials) > 0
    assert told[-1].best == max(each.figures["total_return"] for each in search.trials if each.figures)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sampler": "best"}, "unknown sampler 'best': choose grid, random"),
        ({"sampler": "cmaes", "targets": ("fees", "trades")}, "sampler cmaes searches for one target, not for 2"),
        ({"sampler": "cmaes", "space": ("half_spread_ticks=1:9",)}, "sampler cmaes needs 2 parameters, not 1"),
        (
            {"sampler": "cmaes", "space": ("half_spread_ticks=1:9", "skew_ticks=1,2")},
            "sampler cmaes needs ranges, and skew_ticks is a list",
        ),
        ({"sampler": "grid", "trials": 5}, "5 trials are not enough for a grid of 410 points"),
        ({"trials": -1}, "trials -1: it must be 0 or more"),
        ({"seed": -1}, "seed -1"),
        ({"trial_timeout_s": -1.0}, "trial timeout -1.0 s: it must be 0 or more"),
        ({"embargo_s": 5.0}, "an embargo of 5 s is between training and test: give --folds too"),
        ({"embargo_s": float("nan"), "folds": "k-fold:3"}, "embargo nan s"),
        ({"folds": "k-fold"}, "are not KIND:NUMBER"),
        ({"pruner": "median", "parts": 1}, "there is 1: give --parts 5"),
        ({"clock": "wall"}, "unknown clock 'wall'"),
        ({"name": "a/b"}, "cannot be a folder's name"),
        ({"files": ()}, "no market data is given"),
        ({"constraints": ("trades>5",)}, "is not METRIC<=NUMBER"),
    ],
)
def test_plan_that_cannot_be_is_refused(given: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(OptimiseError, match=re.escape(message)):
        plan_in(tmp_path, **given)


def test_damaged_line_in_the_middle_of_a_journal_is_named(tmp_path: Path) -> None:
    trials_of(plan_in(tmp_path, trials=3), tmp_path / "s", InlinePool(valley))
    journal = tmp_path / "s" / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([lines[0], b"{{\n", *lines[2:]]))
    with pytest.raises(OptimiseError, match=r"line 2 of .*journal\.log is damaged"):
        search_of(plan_in(tmp_path), tmp_path / "s")
