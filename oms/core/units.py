"""Units: one measure for lots of different venues.

A parent order that trades in several instruments counts in units, of which a lot of each of them is a whole number:
``lot * multiplier`` is a fraction, and over a common denominator the unit is the greatest common divisor. A set of
instruments whose lots are too far apart for that to be exact in 64 bits is not traded together.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.exact import wide_divide
from oms.core.state import Record
from oms.records import ROUTES

MOST_UNITS: Final = 2**61
"""No lot and no target is more: so no sum of what is filled and open leaves int64."""


@kernel
def common_divisor(a: int, b: int) -> int:
    """The greatest common divisor of two numbers, of which not both are 0."""
    while b != 0:
        a, b = b, a - a // b * b
    return a


@kernel
def _common_denominator(s: Record, parent: Record) -> int:
    """The least common multiple of the denominators of all lots of a parent; 0: it is too large."""
    denominator = 1
    for route in range(ROUTES):
        if parent["routes"][route] < 0:
            continue
        size = s["instruments"][parent["routes"][route]]["size_denominator"]
        factor = size // common_divisor(denominator, size)
        if denominator > MOST_UNITS // factor:
            return 0
        denominator *= factor
    return denominator


@kernel
def set_units(s: Record, parent: Record) -> bool:
    """Set the units of a lot on each of a parent's routes; False: the lots are too far apart, all units are 0 then."""
    denominator = _common_denominator(s, parent)
    unit = 0
    fits = denominator > 0
    for route in range(ROUTES):
        parent["route_units"][route] = 0
        if parent["routes"][route] < 0 or not fits:
            continue
        definition = s["instruments"][parent["routes"][route]]
        factor = denominator // definition["size_denominator"]
        if definition["size_numerator"] > MOST_UNITS // factor:
            fits = False
            continue
        units = definition["size_numerator"] * factor
        parent["route_units"][route] = units
        unit = common_divisor(units, unit)
    for route in range(ROUTES):
        parent["route_units"][route] = parent["route_units"][route] // unit if fits else 0
    return fits


@kernel
def target_fits(parent: Record, qty: int) -> bool:
    """True when so many lots of a parent's own instrument can be counted in its units."""
    return bool(qty <= MOST_UNITS // max(parent["route_units"][0], 1))


@kernel
def lots_at_home(s: Record, instrument: int, home: int, qty: int) -> int:
    """Whole lots of ``home`` that ``qty`` lots of another instrument are, or of the same."""
    there = s["instruments"][instrument]
    here = s["instruments"][home]
    numerators = common_divisor(there["size_numerator"], here["size_numerator"])
    denominators = common_divisor(there["size_denominator"], here["size_denominator"])
    up = there["size_numerator"] // numerators * (here["size_denominator"] // denominators)
    down = here["size_numerator"] // numerators * (there["size_denominator"] // denominators)
    lots, _ = wide_divide(qty, up, down)
    return lots


@kernel
def keeps_its_lot(s: Record, parent: Record, route: int) -> bool:
    """True while a route's lot is what it was when the parent began: a new version of its instrument may have another.

    Units are not made anew, since what is filled is counted in them.
    """
    here = s["instruments"][parent["routes"][0]]
    there = s["instruments"][parent["routes"][route]]
    share = float(here["size_numerator"]) / float(here["size_denominator"]) * parent["route_units"][route]
    other = float(there["size_numerator"]) / float(there["size_denominator"]) * parent["route_units"][0]
    return bool(abs(share - other) < 1e-9 * other)
