"""Parts of the data as files that worker processes map into memory, so that memory does not grow with their number.

A part that begins in the middle of the data begins with what is known there: the book as the core's own kernels have
it, the last quote and the last mark price of each instrument. At an exchange with a clock of its own it begins with
what had happened there by then, a feed's latency ahead of what had been received.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from backtest.benchmarks import Integers
from backtest.event_log import write_whole
from backtest.market import REBUILD, TOUCH, Rows, trace_touch
from backtest.optimise.folds import Part
from backtest.room import room
from oms.core.state import ASK, BID, BOOK_WINDOW, NO_ASK, NO_BID
from oms.instruments import Instrument
from oms.records import TICK, BookState, TickFlag, TickKind

LEVELS: Final = (TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.STALE)
CARRIED: Final = (TickKind.QUOTE, TickKind.MARK)
"""Kinds of which the last record counts."""
CHUNK_ROWS: Final = 1_048_576
"""Records that are looked at at a time: 64 MiB."""
STAMPS: Final = ("local_ts", "exch_ts")
"""The times that order the records: of receipt, and at the exchange."""


class Books:
    """The books of some instruments, brought forward to one time after another."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._rebuilds = {}
        for instrument in instruments:
            rebuild = np.zeros(1, REBUILD)
            rebuild["books"]["best"][:, 0, BID] = NO_BID
            rebuild["books"]["best"][:, 0, ASK] = NO_ASK
            self._rebuilds[instrument.id] = rebuild
        self._carried: dict[tuple[int, int], Rows] = {}
        self._versions: dict[int, int] = {}

    def take(self, ticks: Rows) -> None:
        """Bring them forward by these ticks."""
        for chunk in _chunks(ticks):
            self._take(chunk)

    def _take(self, ticks: Rows) -> None:
        for number, rebuild in self._rebuilds.items():
            own = ticks[(ticks["instrument"] == number) & (ticks["kind"] != TickKind.TIME)]
            levels = own[np.isin(own["kind"], LEVELS)]
            if len(levels):
                self._versions[number] = int(levels["version"][-1])
                levels["instrument"] = 0  # a copy; the rebuilt state has one book
                trace_touch(rebuild, levels, np.zeros(len(levels), TOUCH))
            for kind in CARRIED:
                of_kind = own[own["kind"] == kind]
                if len(of_kind):
                    self._carried[number, int(kind)] = of_kind[-1:].copy()

    def opening(self, local_ts: int, exch_ts: int) -> Rows:
        """What is known, as ticks of these times: a snapshot of each book that is in step, quotes and mark prices."""
        blocks: list[Rows] = [np.zeros(0, TICK)]
        for number, rebuild in self._rebuilds.items():
            book = rebuild[0]["books"][0]
            if book["state"] == BookState.SYNCED:
                blocks.append(_snapshot(book, number, self._versions[number]))
        blocks += self._carried.values()
        opening = np.concatenate(blocks)
        opening["local_ts"], opening["exch_ts"] = local_ts, exch_ts
        return opening


def _snapshot(book: Rows, instrument: int, version: int) -> Rows:
    """The levels of a book as one SNAPSHOT message, each side from the touch on."""
    sides = []
    for k, side in ((BID, 1), (ASK, -1)):
        px: Integers = np.arange(book["base"], book["base"] + BOOK_WINDOW)
        near = book["qty"][k][px & (BOOK_WINDOW - 1)]
        far = book["far"][k][book["far"][k]["qty"] > 0]
        rows = np.zeros(np.count_nonzero(near > 0) + len(far), TICK)
        rows["px"] = np.concatenate([px[near > 0], far["px"]])
        rows["qty"] = np.concatenate([near[near > 0], far["qty"]])
        rows["side"] = side
        sides.append(rows[np.argsort(-side * rows["px"], kind="stable")])
    levels = np.concatenate(sides)
    if not len(levels):
        levels = np.zeros(1, TICK)  # of side 0: an empty book that is in step
    levels["kind"] = TickKind.SNAPSHOT
    levels["instrument"] = instrument
    levels["version"] = version
    levels["update_id"] = levels["px_2"] = book["update_id"]
    levels["flags"][0] |= TickFlag.FIRST
    levels["flags"][-1] |= TickFlag.LAST
    return levels


def _chunks(rows: Rows) -> Iterator[Rows]:
    return (rows[start : start + CHUNK_ROWS] for start in range(0, len(rows), CHUNK_ROWS))


def _place(rows: Rows, stamp: str, ts: int) -> int:
    """Of the first row that is not before ``ts``; without a copy of all times, as numpy would make one."""
    return bisect_left(rows, ts, key=lambda row: int(row[stamp]))


def _file(folder: Path, start_ts: int, stamp: str) -> Path:
    return folder / f"{start_ts}.{stamp}.npy"


def write_parts(
    ticks: Rows, instruments: Sequence[Instrument], parts: Iterable[Part], folder: Path, stamp: str = "local_ts"
) -> None:
    """Write a file for each time at which parts start, with the ticks up to the end of the last one of them.

    Parameters
    ----------
    ticks : array of TICK
        In order of ``stamp``.
    instruments : sequence of Instrument
        Those of the ticks.
    parts : iterable of Part
    folder : Path
        Which exists.
    stamp : str
        ``local_ts``, the order of receipt, or ``exch_ts``, the exchange's.

    Raises
    ------
    RoomError
        When there is no room for them.
    """
    ends: dict[int, int] = {}
    for part in parts:
        ends[part.start_ts] = max(part.end_ts, ends.get(part.start_ts, 0))
    books = Books(instruments)
    taken = 0
    for start_ts, end_ts in sorted(ends.items()):
        first, last = _place(ticks, stamp, start_ts), _place(ticks, stamp, end_ts)
        books.take(ticks[taken:first])
        taken = first
        rows = ticks[first:last]
        opening: Rows = np.zeros(0, TICK)
        if first and len(rows):
            opening = books.opening(*(int(rows[each][0] if each == stamp else rows[each].min()) for each in STAMPS))
        header = {"descr": TICK.descr, "fortran_order": False, "shape": (len(opening) + len(rows),)}
        # written and not mapped: on a full disk a write to mapped memory is the end of the process
        with room(folder, "the data"), _file(folder, start_ts, stamp).open("wb", buffering=0) as file:
            np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]
            write_whole(file, opening)
            write_whole(file, rows)


def read_part(folder: Path, part: Part, stamp: str = "local_ts") -> Rows:
    """The ticks of a part in the order of ``stamp``, mapped into memory, read only."""
    ticks: Rows = np.load(_file(folder, part.start_ts, stamp), mmap_mode="r")
    return ticks[: _place(ticks, stamp, part.end_ts)]
