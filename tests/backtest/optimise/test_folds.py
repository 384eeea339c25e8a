"""Folds: nothing is tested that was trained on, and everything is tested that can be."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtest.optimise.errors import OptimiseError
from backtest.optimise.folds import KINDS, ROLLING_BLOCKS, Part, make_folds, split

WHOLE = Part(1_000, 13_000)


def test_walk_forward_tests_each_block_after_all_before_it() -> None:
    folds = make_folds("walk-forward:3", WHOLE, 0)
    assert [fold.train for fold in folds] == [((1_000, 4_000),), ((1_000, 7_000),), ((1_000, 10_000),)]
    assert [fold.test for fold in folds] == [(4_000, 7_000), (7_000, 10_000), (10_000, 13_000)]


def test_rolling_forgets_what_is_long_ago() -> None:
    folds = make_folds("rolling:3", WHOLE, 0)
    assert [fold.train for fold in folds] == [((1_000, 7_000),), ((3_000, 9_000),), ((5_000, 11_000),)]
    assert [fold.test for fold in folds] == [(7_000, 9_000), (9_000, 11_000), (11_000, 13_000)]


def test_k_fold_trains_on_both_sides_of_the_test_with_the_embargo_after_it() -> None:
    first, second, third = make_folds("k-fold:3", WHOLE, 500)
    assert (first.train, first.test) == (((5_500, 13_000),), (1_000, 5_000))
    assert (second.train, second.test) == (((1_000, 5_000), (9_500, 13_000)), (5_000, 9_000))
    assert (third.train, third.test) == (((1_000, 9_000),), (9_000, 13_000))


@given(
    kind=some.sampled_from(sorted(KINDS)),
    count=some.integers(2, 12),
    length=some.integers(10_000, 10**15),
    embargo=some.floats(0, 0.05),
)
def test_training_and_test_never_touch(kind: str, count: int, length: int, embargo: float) -> None:
    whole = Part(7, 7 + length)
    embargo_ns = round(embargo * length)
    folds = make_folds(f"{kind}:{count}", whole, embargo_ns)
    assert len(folds) == count
    for fold in folds:
        for part in fold.train:
            assert whole.start_ts <= part.start_ts < part.end_ts <= whole.end_ts
            before, after = part.end_ts <= fold.test.start_ts, part.start_ts >= fold.test.end_ts + embargo_ns
            assert before or after
            assert kind == "k-fold" or part.end_ts + embargo_ns <= fold.test.start_ts
    tests = [fold.test for fold in folds]
    for one, following in pairwise(tests):
        assert one.end_ts <= following.start_ts
    assert tests[-1].end_ts == whole.end_ts
    if kind == "rolling":
        assert all(abs(fold.train[0].length_ns - ROLLING_BLOCKS * length / (count + 3)) < 4 for fold in folds)


@given(count=some.integers(1, 20), gap=some.integers(0, 1_000))
def test_split_covers_exactly_what_it_is_given(count: int, gap: int) -> None:
    parts = (Part(0, 1_000), Part(1_000 + gap, 4_000 + gap))
    cut = split(parts, count)
    assert sum(part.length_ns for part in cut) == 4_000
    assert all(any(whole.start_ts <= part.start_ts < part.end_ts <= whole.end_ts for whole in parts) for part in cut)


@pytest.mark.parametrize("text", ["walk-forward", "walk-forward:1", "k-fold:x", "k-fold:-3", "monthly:3", "k-fold:500"])
def test_what_are_no_folds_is_refused(text: str) -> None:
    with pytest.raises(OptimiseError, match="are not KIND:NUMBER, such as walk-forward:5"):
        make_folds(text, WHOLE, 0)


@pytest.mark.parametrize(("text", "embargo_ns"), [("walk-forward:3", 3_000), ("k-fold:2", 6_000)])
def test_embargo_that_leaves_nothing_is_refused(text: str, embargo_ns: int) -> None:
    with pytest.raises(OptimiseError, match=re.escape(f"leaves nothing of fold 1 of {text}")):
        make_folds(text, WHOLE, embargo_ns)


def test_part_is_told_in_utc() -> None:
    day = 86_400 * 10**9
    assert Part(0, 3_600 * 10**9).text == "1970-01-01 00:00:00 - 01:00:00"
    assert Part(0, day).text == "1970-01-01 00:00:00 - 1970-01-02 00:00:00"
