"""Contracts at a price that is on no grid: an index, a settlement price, the underlying of an option.

Such a price is an int64 in 1e-8 of the quote currency. A future is settled at it, an option at its intrinsic value.
"""

from __future__ import annotations

from oms.compiled import hot_kernel, kernel
from oms.core.exact import product_fits, quotient_fits, scaled
from oms.core.positions import close_at_value
from oms.core.state import Record
from oms.records import CASH_SCALE


@kernel
def quote_price(instrument: Record, half_ticks: int) -> int:
    """A price in half ticks of ``instrument`` in 1e-8 of its quote currency, rounded half to even."""
    return scaled(half_ticks, instrument["tick_numerator"], 2 * instrument["tick_denominator"])


@kernel
def contract_fits(instrument: Record, price: int, qty: int) -> bool:
    """True when ``contract_value`` and ``settlement_value`` can be computed exactly at ``price`` (1e-8, > 0)."""
    size = instrument["size_numerator"]
    divisor = instrument["size_denominator"]
    if price <= 0 or not product_fits(qty, CASH_SCALE):
        return False
    paid = max(instrument["option_kind"] * (price - instrument["strike"]), price)
    if instrument["inverse"] != 0:
        return (
            product_fits(divisor, price)
            and product_fits(size, CASH_SCALE)
            and quotient_fits(qty * CASH_SCALE, size * CASH_SCALE, divisor * price)
        )
    if instrument["coin_settled"] != 0:
        return (
            product_fits(divisor, price)
            and product_fits(qty * CASH_SCALE, size)
            and quotient_fits(qty * CASH_SCALE * size, paid, divisor * price)
        )
    return product_fits(qty, size) and quotient_fits(paid, qty * size, divisor)


@kernel
def contract_value(instrument: Record, price: int, qty: int) -> int:
    """What ``qty`` lots stand for at ``price`` (1e-8 of the quote currency), in settlement cash.

    For an option that is the underlying's notional, in the base currency where it is settled in that.
    """
    size = instrument["size_numerator"]
    if instrument["inverse"] != 0:
        return scaled(qty * CASH_SCALE, size * CASH_SCALE, instrument["size_denominator"] * price)
    if instrument["coin_settled"] != 0:
        return scaled(qty * CASH_SCALE, size, instrument["size_denominator"])
    return scaled(price, qty * size, instrument["size_denominator"])


@kernel
def intrinsic_price(instrument: Record, price: int) -> int:
    """What a unit of an option pays at the underlying's ``price``, both in 1e-8 of the quote currency."""
    return max(instrument["option_kind"] * (price - instrument["strike"]), 0)


@kernel
def settlement_value(instrument: Record, price: int, qty: int) -> int:
    """What ``qty`` lots are settled for at ``price`` (1e-8 of the quote currency), in settlement cash.

    An option pays its intrinsic value; one that is settled in the base currency pays it at ``price``.
    """
    if instrument["option_kind"] == 0:
        return contract_value(instrument, price, qty)
    paid = intrinsic_price(instrument, price)
    if instrument["coin_settled"] != 0:
        return scaled(qty * CASH_SCALE * instrument["size_numerator"], paid, instrument["size_denominator"] * price)
    return contract_value(instrument, paid, qty)


@hot_kernel
def settle(s: Record, position: Record, instrument: Record, price: int, fee: int) -> int:
    """Close the position at the settlement price (1e-8 of the quote currency); returns the cash realized, before fees.

    For a future the price is the contract's, for an option the underlying's. Ask ``contract_fits`` first.
    """
    return close_at_value(s, position, instrument, settlement_value(instrument, price, abs(position["qty"])), fee)
