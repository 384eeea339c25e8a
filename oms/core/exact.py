"""Exact integer arithmetic of the money paths: products, quotients and shares, rounded half to even.

A product may leave int64 as long as what comes out of it does not: it is then divided while it is formed, bit by bit.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.records import CASH_SCALE

PRODUCT_LIMIT: Final = float(2**62)
SHARE_LIMIT: Final = 2**31


@kernel
def add_half_even(whole: int, numerator: int, denominator: int) -> int:
    """``whole + numerator / denominator`` (denominator > 0) rounded half to even, exactly: the sum is made even."""
    fraction = numerator // denominator
    total = whole + fraction
    twice = 2 * (numerator - fraction * denominator)
    if twice > denominator or (twice == denominator and total & 1):
        total += 1
    return total


@kernel
def divide_half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` (denominator > 0) rounded half to even, exactly."""
    return add_half_even(0, numerator, denominator)


@kernel
def product_fits(a: int, b: int) -> bool:
    """True when ``a * b`` is safely inside int64."""
    return bool(-PRODUCT_LIMIT < float(a) * float(b) < PRODUCT_LIMIT)


@kernel
def quotient_fits(a: int, b: int, c: int) -> bool:
    """True when ``a * b / c`` (c > 0) is safely inside int64."""
    return bool(-PRODUCT_LIMIT < float(a) * float(b) / float(c) < PRODUCT_LIMIT)


@kernel
def wide_divide(a: int, b: int, c: int) -> tuple[int, int]:
    """Quotient and remainder of ``a * b / c``, exactly, for a, b >= 0 and 0 < c < 2**62, of which the quotient fits.

    What ``a`` holds of ``c`` is set apart; where the rest times ``b`` is still too large, it is formed from the bits of
    ``b``, highest first, and kept below ``c`` all the way.
    """
    whole = a // c
    rest = a - whole * c
    if product_fits(rest, b):
        each = rest * b // c
        return whole * b + each, rest * b - each * c
    quotient = 0
    remainder = 0
    for bit in range(62, -1, -1):
        quotient *= 2
        remainder *= 2
        if remainder >= c:
            remainder -= c
            quotient += 1
        if (b >> bit) & 1:
            quotient += whole
            remainder += rest
            if remainder >= c:
                remainder -= c
                quotient += 1
    return quotient, remainder


@kernel
def add_scaled(whole: int, amount: int, numerator: int, denominator: int) -> int:
    """``whole + amount * numerator / denominator`` rounded half to even, exactly.

    numerator >= 0, 0 < denominator < 2**62; what comes out must fit (``quotient_fits``), the product need not.
    """
    if product_fits(amount, numerator):
        return add_half_even(whole, amount * numerator, denominator)
    quotient, remainder = wide_divide(abs(amount), numerator, denominator)
    if amount < 0:
        quotient = -quotient
        if remainder > 0:
            quotient -= 1
            remainder = denominator - remainder
    return add_half_even(whole + quotient, remainder, denominator)


@kernel
def scaled(amount: int, numerator: int, denominator: int) -> int:
    """``amount * numerator / denominator`` rounded half to even, exactly; see ``add_scaled``."""
    return add_scaled(0, amount, numerator, denominator)


@kernel
def scaled_up(amount: int, numerator: int, denominator: int) -> int:
    """``amount * numerator / denominator`` rounded up, exactly, for amount >= 0; see ``add_scaled``."""
    if product_fits(amount, numerator):
        return -(-amount * numerator // denominator)
    quotient, remainder = wide_divide(amount, numerator, denominator)
    return quotient + 1 if remainder > 0 else quotient


@kernel
def share(amount: int, part: int, whole: int) -> int:
    """``amount * part / whole`` (0 < part <= whole) rounded half to even, exactly."""
    if whole >= SHARE_LIMIT:
        return add_scaled(0, amount, part, whole)
    each = amount // whole
    return add_half_even(each * part, (amount - each * whole) * part, whole)


@kernel
def at_rate(amount: int, rate: int) -> int:
    """``amount`` at a rate in 1e-8, rounded half to even; split at the rate's scale, no product leaves int64."""
    whole = amount // CASH_SCALE
    return add_half_even(whole * rate, (amount - whole * CASH_SCALE) * rate, CASH_SCALE)
