"""Versions of an instrument side by side: the one in force, the one before it and the one to come.

What comes late for an order of the version before is converted exactly, or not at all.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.exact import product_fits, quotient_fits, scaled
from oms.core.regrid import ratio_of
from oms.core.state import Record

NOT_ON_GRID: Final = -1


@kernel
def knows_version(s: Record, instrument: int, version: int) -> bool:
    """True for a version whose grid the core still has, or has already; 0 is the one in force."""
    pending = s["pending_definitions"][instrument]
    return bool(
        version == 0
        or version == s["instruments"][instrument]["version"]
        or version == s["former_definitions"][instrument]["version"]
        or (pending["defined"] != 0 and version == pending["version"])
    )


@kernel
def definition_of(s: Record, instrument: int, version: int) -> Record:
    """The definition of a version that ``knows_version`` knows."""
    definition = s["instruments"][instrument]
    if version == 0 or version == definition["version"]:
        return definition
    if version == s["former_definitions"][instrument]["version"]:
        return s["former_definitions"][instrument]
    return s["pending_definitions"][instrument]


@kernel
def on_grid(amount: int, old_numerator: int, old_denominator: int, new_numerator: int, new_denominator: int) -> int:
    """``amount`` (>= 0) of old steps in new ones; NOT_ON_GRID when it is no whole number of them."""
    steps, of = ratio_of(old_numerator, old_denominator, new_numerator, new_denominator)
    if of == 0 or not product_fits(amount, steps) or amount * steps % of != 0:
        return NOT_ON_GRID
    return amount * steps // of


@kernel
def px_on_grid(px: int, old: Record, new: Record) -> int:
    """A price in ticks of ``old`` in ticks of ``new``, exactly, or NOT_ON_GRID."""
    if old["version"] == new["version"]:
        return px
    return on_grid(px, old["tick_numerator"], old["tick_denominator"], new["tick_numerator"], new["tick_denominator"])


@kernel
def qty_on_grid(qty: int, old: Record, new: Record) -> int:
    """A quantity (>= 0) in lots of ``old`` in lots of ``new``, exactly, or NOT_ON_GRID."""
    if old["version"] == new["version"]:
        return qty
    return on_grid(qty, old["base_numerator"], old["base_denominator"], new["base_numerator"], new["base_denominator"])


@kernel
def nearest_lots(qty: int, old: Record, new: Record) -> int:
    """A signed quantity in lots of ``old`` in lots of ``new``, rounded half to even; 0 when that does not fit."""
    lots, of = ratio_of(old["base_numerator"], old["base_denominator"], new["base_numerator"], new["base_denominator"])
    return scaled(qty, lots, of) if of != 0 and quotient_fits(qty, lots, of) else 0


@kernel
def nearest_half_ticks(half_ticks: int, old: Record, new: Record) -> int:
    """A mark in half ticks of ``old`` in half ticks of ``new``, rounded half to even, at least one; 0: none."""
    steps, of = ratio_of(old["tick_numerator"], old["tick_denominator"], new["tick_numerator"], new["tick_denominator"])
    if half_ticks <= 0 or of == 0 or not quotient_fits(half_ticks, steps, of):
        return 0
    return max(scaled(half_ticks, steps, of), 1)
