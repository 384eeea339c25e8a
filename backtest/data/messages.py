"""Order and messages of a stream that comes in parts: nothing goes back in time, no message is cut in two."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from backtest.data.clocks import DataError, HasPath
from oms.records import TICK, TickFlag, TickKind

Ticks = npt.NDArray[np.void]
Integers = npt.NDArray[np.int64]

MAX_MESSAGE_RECORDS: Final = 4_194_304
"""Records without an end of their message that are kept; no venue's message is that long."""

_LEVELS: Final = (int(TickKind.DEPTH), int(TickKind.SNAPSHOT))


class HasRows(HasPath, Protocol):
    """What reads rows of a file."""

    @property
    def row_name(self) -> str:
        """What its rows are called."""


class OrderCheck:
    """Refuses records whose time goes back.

    Parameters
    ----------
    source : HasRows
        Names the file, and what its rows are called, in an error.
    stamp : str
        ``local_ts`` or ``exch_ts``.
    """

    def __init__(self, source: HasRows, stamp: str) -> None:
        self._source = source
        self._stamp = stamp
        self._last = 0

    def take(self, ticks: Ticks, rows: Integers) -> None:
        """Look at the next records; raises ``DataError`` naming file and row."""
        if not len(ticks):
            return
        stamps = ticks[self._stamp]
        before = np.concatenate([np.array([self._last], np.int64), stamps[:-1]])
        back = np.flatnonzero(stamps < before)
        if len(back):
            at = int(back[0])
            where = f"{self._source.path}, {self._source.row_name} {rows[at]:,}"
            raise DataError(
                f"{where}: {self._stamp} {stamps[at]} is before {before[at]} of the one ahead of it: sort the file by "
                f"{self._stamp}; zoms data check says how often it goes back"
            )
        self._last = int(stamps[-1])


class WholeMessages:
    """Passes on messages that are complete, of records that have their flags."""

    def __init__(self) -> None:
        self._waiting: Ticks = np.zeros(0, TICK)

    def take(self, ticks: Ticks) -> Ticks:
        """The waiting records and these, up to the last end of a message."""
        ticks = np.concatenate([self._waiting, ticks]) if len(self._waiting) else ticks
        ends = np.flatnonzero(ticks["flags"] & TickFlag.LAST)
        cut = int(ends[-1]) + 1 if len(ends) else 0
        self._waiting = ticks[cut:]
        if len(self._waiting) > MAX_MESSAGE_RECORDS:
            raise DataError(f"a message of more than {MAX_MESSAGE_RECORDS:,} records has no end")
        return ticks[:cut]

    def rest(self) -> Ticks:
        """What has no end to its message: as it stands, at the end of the data."""
        rest = self._waiting
        self._waiting = np.zeros(0, TICK)
        return rest


class MessageMarker(WholeMessages):
    """Makes messages of rows: neighbours that are levels of one kind, with equal times and ids, are one."""

    def take(self, ticks: Ticks) -> Ticks:
        """The waiting rows and these as whole messages, but for the last, which may go on."""
        ticks = np.concatenate([self._waiting, ticks]) if len(self._waiting) else ticks
        begins = np.flatnonzero(_begins(ticks))
        cut = int(begins[-1]) if len(begins) else 0
        self._waiting = ticks[cut:]
        if len(self._waiting) > MAX_MESSAGE_RECORDS:
            raise DataError(f"more than {MAX_MESSAGE_RECORDS:,} levels have one and the same time")
        return mark_messages(ticks[:cut])

    def rest(self) -> Ticks:
        """The last message."""
        return mark_messages(super().rest())


def mark_messages(ticks: Ticks) -> Ticks:
    """The rows with the flags of their messages, in a copy."""
    marked = ticks.copy()
    begins = _begins(ticks)
    ends = np.ones(len(ticks), np.bool_)
    ends[:-1] = begins[1:]
    marked["flags"] = begins * np.uint16(TickFlag.FIRST) | ends * np.uint16(TickFlag.LAST)
    return marked


def _begins(ticks: Ticks) -> npt.NDArray[np.bool_]:
    """Whether each row begins a message."""
    begins = np.ones(len(ticks), np.bool_)
    if len(ticks) > 1:
        begins[1:] = ~np.isin(ticks["kind"][1:], _LEVELS)
        for name in ("kind", "exch_ts", "local_ts", "update_id"):
            begins[1:] |= ticks[name][1:] != ticks[name][:-1]
    return begins
