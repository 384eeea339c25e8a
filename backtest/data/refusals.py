"""Why rows of a file are refused: one reason a row, counted, with words about the first of each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from backtest.data.source import Reading
from oms.records import Reason

Reasons = npt.NDArray[np.uint8]


class Refusals:
    """The refused rows of one block.

    Parameters
    ----------
    count : int
        Rows of the block.
    """

    def __init__(self, count: int) -> None:
        self.reasons: Reasons = np.zeros(count, np.uint8)
        self._words: list[tuple[npt.NDArray[np.bool_], Callable[[int], str]]] = []

    def add(
        self, reasons: Reasons | npt.NDArray[np.bool_], words: Callable[[int], str], reason: Reason | None = None
    ) -> None:
        """Refuse rows that are not refused yet.

        Parameters
        ----------
        reasons
            A ``Reason`` for each row, NONE where it is sound; or with ``reason`` whether each row is refused.
        words : callable
            Says what is wrong with a row, by its number in the block.
        reason : Reason, optional
        """
        new = (reasons != 0) & (self.reasons == 0)
        if new.any():
            self.reasons[new] = reasons[new] if reason is None else reason
            self._words.append((new, words))

    @property
    def sound(self) -> npt.NDArray[np.bool_]:
        """Whether each row can be used."""
        return self.reasons == 0

    def report(self, reading: Reading, where: Callable[[int], str]) -> None:
        """Count them in ``reading``; ``where`` names file and row of a row of the block."""
        for value in np.unique(self.reasons[self.reasons != 0]):
            own = self.reasons == value
            first = int(np.argmax(own))
            words = next(words for rows, words in self._words if rows[first])
            reading.refuse(Reason(int(value)), int(np.count_nonzero(own)), f"{where(first)}: {words(first)}")
