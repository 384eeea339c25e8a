"""Ranges of parameters: what they take, and what is refused with its remedy."""

from __future__ import annotations

import re

import pytest

from backtest.optimise.errors import OptimiseError
from backtest.optimise.space import check_names, grid_of, parse_space


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1:4", (1.0, 2.0, 3.0, 4.0)),
        ("a=-2:2:2", (-2.0, 0.0, 2.0)),
        ("a=0.1:0.7:0.2", (0.1, 0.3, 0.5, 0.7)),
        ("a=5,1,2.5", (5.0, 1.0, 2.5)),
        ("a=3", (3.0,)),
        ("a=0.0:1", None),
    ],
)
def test_range_has_exactly_the_values_that_are_written(text: str, values: tuple[float, ...] | None) -> None:
    (parameter,) = parse_space([text])
    assert parameter.values == values
    assert parameter.size == (None if values is None else len(values))


@pytest.mark.parametrize("text", ["a=1:4", "a=0.1:0.7:0.2", "a=5,1,2.5", "a=0.0:1"])
def test_optuna_knows_the_same_values(text: str) -> None:
    (parameter,) = parse_space([text])
    distribution = parameter.distribution()
    for value in parameter.values or (0.0, 0.123, 1.0):
        assert distribution._contains(distribution.to_internal_repr(value))


def test_value_off_by_a_rounding_error_becomes_the_one_that_is_written() -> None:
    (parameter,) = parse_space(["a=0.1:0.7:0.2"])
    assert parameter.exact(0.1 + 0.2 + 1e-12) == 0.3


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a=1:10:4"], "from 1 to 10 does not divide into steps of 4: let it end at 9 or 13"),
        (["a=0:1:0.3"], "let it end at 0.9 or 1.2"),
        (["a=1:2:5"], "let it end at 6, or choose another step"),
        (["a=4:4"], "goes from 4 to 4: its end must be above its start"),
        (["a=1:4:0"], "has the step 0: it must be above 0"),
        (["a=1:4:-1"], "has the step -1: it must be above 0"),
        (["a=1:x"], "'x' is no number"),
        (["a=1:nan"], "nan must be a finite number"),
        (["a=0:inf"], "inf must be a finite number"),
        (["a=1:1e99"], "1e99 must be a finite number of at most 1e15"),
        (["a=1:2:3:4"], "is not NAME=LOW:HIGH"),
        (["a"], "is not NAME=LOW:HIGH"),
        (["=1:2"], "is not NAME=LOW:HIGH"),
        (["a="], "is not NAME=LOW:HIGH"),
        (["a=1,1"], "the list of a has 1 2 times"),
        (["a=1:2", "a=1:3"], "the range of a is given 2 times"),
        ([], "no parameter is given to search"),
    ],
)
def test_what_is_no_range_is_refused_with_the_remedy(texts: list[str], message: str) -> None:
    with pytest.raises(OptimiseError, match=re.escape(message)):
        parse_space(texts)


def test_grid_has_every_combination_once() -> None:
    points = grid_of(parse_space(["a=1:3", "b=0.5,2"]))
    assert points == [{"a": a, "b": b} for a in (1.0, 2.0, 3.0) for b in (0.5, 2.0)]


def test_grid_of_a_range_without_a_step_is_refused() -> None:
    with pytest.raises(OptimiseError, match=re.escape("give a=0.0:1:STEP")):
        grid_of(parse_space(["a=0.0:1"]))


def test_grid_too_large_to_run_is_refused_before_it_is_made() -> None:
    with pytest.raises(OptimiseError, match="1,000,000,000 points"):
        grid_of(parse_space([f"{name}=1:1000" for name in "abc"]))


def test_unknown_parameter_is_named_with_those_that_there_are() -> None:
    with pytest.raises(OptimiseError, match="strategy s has no parameter 'b' to search: it has a, c"):
        check_names(["a", "b"], {"a": 1.0, "c": 2.0}, "s", "to search")
