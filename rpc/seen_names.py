"""Which client order ids may be known: a Bloom filter, so that a new id is told from a known one without the database.

Bloom, Space/time trade-offs in hash coding with allowable errors, CACM 13 (7), 1970. All bits of a name lie in one
64-bit word, so that a look touches one place in memory. An id that it has never seen for sure is new; of any other the
database says which it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

WORDS: Final = 1 << 20
"""8 MiB. Of a million known ids, 1 new one in 7,000 is looked up for nothing; of ten million, 1 in 19."""
MOST_NAMES: Final = 1 << 24
"""From here on the filter says "perhaps" of nearly everything, and is not worth asking."""

Name = tuple[int, str]
"""A client's index and its own id."""
NO_NAME: Final = (-1, "")
"""It sorts before every name."""

_SHIFTS: Final = (20, 26, 32, 38)
"""Where in a name's hash the numbers of its four bits are."""


class SeenNames:
    """A set that forgets nothing and may take a stranger for a member."""

    def __init__(self) -> None:
        self._words = memoryview(bytearray(8 * WORDS)).cast("Q")
        self._array: npt.NDArray[np.uint64] = np.frombuffer(self._words, np.uint64)
        self._count = 0

    def __len__(self) -> int:
        """How many were added."""
        return self._count

    def add(self, name: Name) -> None:
        word, bits = _place(name)
        self._words[word] |= bits
        self._count += 1

    def add_all(self, client_index: int, client_order_ids: Sequence[str]) -> None:
        """``add`` many names of one client."""
        words, bits = _places(client_index, client_order_ids)
        np.bitwise_or.at(self._array, words, bits)
        self._count += len(client_order_ids)

    def may_have(self, name: Name) -> bool:
        """False: it was never added."""
        word, bits = _place(name)
        return self._words[word] & bits == bits

    def those_of(self, client_index: int, client_order_ids: Sequence[str]) -> list[str]:
        """The names of one client of which ``may_have`` is true."""
        words, bits = _places(client_index, client_order_ids)
        found = np.flatnonzero(self._array[words] & bits == bits)
        return [client_order_ids[number] for number in found.tolist()]


def _place(name: Name) -> tuple[int, int]:
    """The word of a name, and its four bits there."""
    code = hash(name[1]) ^ hash(name[:1])
    bits = 0
    for shift in _SHIFTS:
        bits |= 1 << (code >> shift & 63)
    return code & (WORDS - 1), bits


def _places(client_index: int, client_order_ids: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """``_place`` of many names of one client."""
    codes = np.fromiter(map(hash, client_order_ids), np.int64, len(client_order_ids)) ^ hash((client_index,))
    bits = np.zeros(len(codes), np.uint64)
    for shift in _SHIFTS:
        bits |= np.uint64(1) << (codes >> shift & 63).astype(np.uint64)
    return codes & (WORDS - 1), bits
