"""Exact arithmetic against Python's unbounded integers."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as hs

from oms.core.exact import (
    add_scaled,
    at_rate,
    divide_half_even,
    product_fits,
    quotient_fits,
    scaled,
    scaled_up,
    share,
    wide_divide,
)
from oms.records import CASH_SCALE

INT = hs.integers(-(2**61), 2**61)
FACTOR = hs.one_of(hs.integers(0, 10**6), hs.integers(0, 2**61))
DIVISOR = hs.one_of(hs.integers(1, 10**6), hs.integers(1, 2**62 - 1))


@given(INT, hs.integers(1, 2**31))
@example(5, 2)
@example(-5, 2)
@example(7, 2)
def test_division_rounds_half_to_even(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.pure
@given(hs.integers(0, 2**62), FACTOR, DIVISOR)
def test_a_wide_product_is_divided_exactly(a: int, b: int, c: int) -> None:
    assume(a * b // c < 2**62)
    assert wide_divide(a, b, c) == divmod(a * b, c)


@pytest.mark.pure
@given(hs.integers(-(2**60), 2**60), INT, FACTOR, DIVISOR)
@example(0, 2**40 + 1, 2**40, 2**41)
@example(1, -(2**40) - 1, 2**40, 2**41)
@example(0, -5, 1, 2)
@example(1, 5, 1, 2)
def test_a_sum_with_a_wide_quotient_is_made_even(whole: int, amount: int, numerator: int, denominator: int) -> None:
    assume(quotient_fits(amount, numerator, denominator))
    exact = Fraction(amount * numerator, denominator)
    assert scaled(amount, numerator, denominator) == round(exact)
    assume(abs(exact) < 2**60)
    assert add_scaled(whole, amount, numerator, denominator) == round(whole + exact)


@pytest.mark.pure
@given(hs.integers(0, 2**61), FACTOR, DIVISOR)
def test_what_is_rounded_up_is_never_too_little(amount: int, numerator: int, denominator: int) -> None:
    assume(quotient_fits(amount, numerator, denominator))
    assert scaled_up(amount, numerator, denominator) == math.ceil(Fraction(amount * numerator, denominator))


@given(INT, hs.integers(1, 2**40), hs.integers(1, 2**40))
@example(7, 1, 2)
@example(5, 1, 2)
@example(2**61, 2**31, 2**31 + 1)
def test_a_share_is_exact_without_large_products(amount: int, a: int, b: int) -> None:
    part, whole = min(a, b), max(a, b)
    assert share(amount, part, whole) == round(Fraction(amount * part, whole))


@given(hs.integers(0, 2**61), hs.integers(-(10**8), 10**8))
def test_an_amount_at_a_rate_is_exact_without_large_products(amount: int, rate: int) -> None:
    assert at_rate(amount, rate) == round(Fraction(amount * rate, CASH_SCALE))


@given(hs.integers(-(2**63), 2**63 - 1), hs.integers(-(2**63), 2**63 - 1))
@example(2**31, 2**31)
@example(2**32, 2**31)
def test_a_product_that_is_said_to_fit_does(a: int, b: int) -> None:
    if product_fits(a, b):
        assert -(2**63) <= a * b < 2**63
    elif abs(a * b) < 2**61:
        pytest.fail("a small product was refused")
