"""A version that was put in force before the core came up, in a state that is assembled from older settings."""

from __future__ import annotations

import numba

from oms.compiled import array_of, entry
from oms.core.redefine import keep_numbers, rescale_conversions, rescale_limits
from oms.core.state import STATE, State


@entry(lambda: numba.void(array_of(STATE), numba.int64))
def keep_version(st: State, instrument: int) -> None:
    """Define an instrument as ``incoming_definition`` has it, in a state without orders and positions.

    Limits and conversions, which are assembled by the settings' version, move along as in a change while the core runs.
    """
    s = st[0]
    old = s["instruments"][instrument]
    new = s["incoming_definition"][0]
    keep_numbers(new, old)
    rescale_limits(s, instrument, old, new)
    rescale_conversions(s, instrument, new)
    s["instruments"][instrument] = new
