"""Numbers of a recorded book's messages, from 1, so that the core follows one rule for all venues.

A message whose predecessor is missing at the venue names one that is missing here too. What is live keeps the venue's
own numbers, by which messages of several connections and answers to requests are put in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Final

from gateways.decoder import Ticks
from gateways.layouts import UNNUMBERED
from oms.records import TickKind

MOST_KEPT: Final = 10_000
"""Changes that wait for the book; of more the oldest are given up, which is a gap then."""

_SNAPSHOT: Final = int(TickKind.SNAPSHOT)


class Numbers(ABC):
    """Numbers the messages of one book.

    Attributes
    ----------
    last : int or None
        Of the last message, the venue's number; None: it is not known.
    """

    def __init__(self) -> None:
        self.last: int | None = None
        self._number = 0

    @abstractmethod
    def take(self, ticks: Ticks) -> list[Ticks]:
        """One message of the book, which is written to, as those that are to be sent now."""

    def lost(self) -> None:
        """The connection was lost: the next message may follow on none."""
        self.last = None

    def _numbered(self, ticks: Ticks, *, follows: bool = True) -> Ticks:
        """``follows`` says whether the message before it at the venue was the last one here."""
        self._number += 1 if follows else 2
        ticks["update_id"] = self._number
        ticks["px_2"] = self._number if ticks["kind"][0] == _SNAPSHOT else self._number - 1
        return ticks


class LinkedNumbers(Numbers):
    """Each update names the one before it, and a snapshot begins anew; a message without a number follows."""

    def take(self, ticks: Ticks) -> list[Ticks]:
        """As ``Numbers.take``."""
        own, previous = ticks["update_id"].item(0), ticks["px_2"].item(0)
        if own == UNNUMBERED:
            return [self._numbered(ticks)]
        follows = ticks["kind"][0] == _SNAPSHOT or self.last is None or previous == self.last
        self.last = own
        return [self._numbered(ticks, follows=follows)]


class AnsweredNumbers(Numbers):
    """Each update names the one before it, and the book that they change comes by itself, as an answer.

    Changes that come ahead of it are kept; those up to its number are in it already. After a lost one the next is
    waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: deque[Ticks] = deque(maxlen=MOST_KEPT)

    def take(self, ticks: Ticks) -> list[Ticks]:
        """As ``Numbers.take``."""
        own, previous = ticks["update_id"].item(0), ticks["px_2"].item(0)
        if ticks["kind"][0] == _SNAPSHOT:
            return self._take_book(ticks, own)
        if self.last is not None and own <= self.last:
            return []
        follows = previous == self.last
        if not follows:
            self._kept.append(ticks.copy())
        if self.last is None:
            return []
        self.last = own if follows else None
        return [self._numbered(ticks, follows=follows)]

    def lost(self) -> None:
        """As ``Numbers.lost``."""
        super().lost()
        self._kept.clear()

    def _take_book(self, ticks: Ticks, own: int) -> list[Ticks]:
        sent = [self._numbered(ticks)]
        if own == UNNUMBERED:
            return sent
        self.last = own
        ahead = list(self._kept)
        self._kept.clear()
        for change in ahead:
            change["local_ts"] = ticks["local_ts"][0]
            sent += self.take(change)
        return sent
