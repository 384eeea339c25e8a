"""Random numbers that are the same in every run: from a seed, of integers that no machine rounds.

Source: L'Ecuyer (1988), *Efficient and portable combined random number generators*: two multiplicative generators, of
periods near 2^31, whose difference has a period near 2^61.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.state import Record

MODULI: Final = (2_147_483_563, 2_147_483_399)
_FACTOR_1: Final = 40_014
_FACTOR_2: Final = 40_692
_MODULUS_1: Final = MODULI[0]
_MODULUS_2: Final = MODULI[1]


@kernel
def happens(model: Record, chance: float) -> bool:
    """Throw the dice: True with this chance, from 0 (never) to 1 (always)."""
    random = model["random"]
    first = random[0] * _FACTOR_1 % _MODULUS_1
    second = random[1] * _FACTOR_2 % _MODULUS_2
    random[0] = first
    random[1] = second
    drawn = (first - second) % (_MODULUS_1 - 1)
    return bool(drawn < chance * (_MODULUS_1 - 1))


def seeded(seed: int) -> tuple[int, int]:
    """Where the two generators begin for a seed, which is 0 or more: each above 0 and below its modulus."""
    first, second = MODULI
    return seed % (first - 1) + 1, seed // (first - 1) % (second - 1) + 1
