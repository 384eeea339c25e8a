"""The occupied prices of each side, in order: the best one, and the next one, in at most four steps each way.

A price is found by its *rank*: 0 is the best that the window holds, for bids and asks alike. One bit a rank says
whether there is quantity; above each word of 64 bits stands one bit in the tier above, set where the word has any.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from gateways.sandbox.engine.records import TIER_STARTS, TIERS, WINDOW, WORD_BITS, Record
from oms.compiled import JIT, hot_kernel

NO_RANK: Final = WINDOW
"""Behind every rank: there is no such price."""

_IN_WORD: Final = (1 << WORD_BITS) - 1
_TOP: Final = TIERS - 1
_STARTS: Final = TIER_STARTS
_BIT: Final = np.left_shift(np.int64(1), np.arange(1 << WORD_BITS))
_FROM_BIT: Final = np.left_shift(np.int64(-1), np.arange(1 << WORD_BITS))

if JIT:

    @intrinsic  # type: ignore[untyped-decorator]
    def lowest_bit(_typing: Any, word: Any) -> Any:
        """Number of the lowest bit that is set in an int64 other than 0."""

        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

        return types.int64(types.int64), generate

else:

    def lowest_bit(word: int) -> int:
        """The pure-Python twin."""
        return (int(word) & -int(word)).bit_length() - 1


@hot_kernel
def side_row(side: int) -> int:
    """Row of a side in tables with one for each."""
    return (side + 1) >> 1


@hot_kernel
def rank_of(s: Record, side: int, px: int) -> int:
    """Rank of a price among those of a side; outside 0 to ``NO_RANK`` - 1 where the window does not hold it."""
    return px - s["base"] if side < 0 else s["base"] + (WINDOW - 1) - px


@hot_kernel
def px_of(s: Record, side: int, rank: int) -> int:
    """The price of a rank."""
    return s["base"] + rank if side < 0 else s["base"] + (WINDOW - 1) - rank


@hot_kernel
def mark(s: Record, side: int, rank: int) -> None:
    """There is quantity at a rank."""
    words = s["occupied"][side_row(side)]
    for tier in range(TIERS):
        at = _STARTS[tier] + (rank >> WORD_BITS)
        before = words[at]
        words[at] = before | _BIT[rank & _IN_WORD]
        if before != 0:
            return
        rank >>= WORD_BITS


@hot_kernel
def unmark(s: Record, side: int, rank: int) -> None:
    """There is no quantity at a rank any more."""
    words = s["occupied"][side_row(side)]
    for tier in range(TIERS):
        at = _STARTS[tier] + (rank >> WORD_BITS)
        after = words[at] & ~_BIT[rank & _IN_WORD]
        words[at] = after
        if after != 0:
            return
        rank >>= WORD_BITS


@hot_kernel
def lowest_below(words: Any, tier: int, at: int) -> int:
    """The lowest rank below bit ``at`` of a tier, which is set."""
    while tier > 0:
        tier -= 1
        at = at << WORD_BITS | lowest_bit(words[_STARTS[tier] + at])
    return at


@hot_kernel
def best_rank(s: Record, side: int) -> int:
    """The best rank of a side, or ``NO_RANK``."""
    words = s["occupied"][side_row(side)]
    top = words[_STARTS[_TOP]]
    return lowest_below(words, _TOP, lowest_bit(top)) if top != 0 else NO_RANK


@hot_kernel
def next_rank(s: Record, side: int, rank: int) -> int:
    """The best rank of a side behind ``rank``, or ``NO_RANK``."""
    words = s["occupied"][side_row(side)]
    at = rank + 1
    for tier in range(TIERS):
        word = words[_STARTS[tier] + (at >> WORD_BITS)] & _FROM_BIT[at & _IN_WORD]
        if word != 0:
            return lowest_below(words, tier, (at & ~_IN_WORD) | lowest_bit(word))
        at = (at >> WORD_BITS) + 1
    return NO_RANK
