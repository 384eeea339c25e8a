"""What a step of the core has written, as journal entries: framed by compiled code, in one piece.

The entries are those that ``Journal.append`` would make of the reports, the requests and the events, in this order.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from oms.compiled import entry, kernel
from oms.core.state import State
from oms.journal_format import FORMAT_VERSION, HEADER_BYTES, MAGIC, Direction
from oms.journal_scan import TABLES, WORD, Words, entry_crc
from oms.records import COMMAND, EVENT, PARENT, REPORT, RecordKind

if TYPE_CHECKING:
    from oms.journal import Journal

_HEADER_WORDS: Final = HEADER_BYTES // WORD
_ITEM_WORDS: Final = EVENT.itemsize // WORD
_PARENT_WORDS: Final = PARENT.itemsize // WORD
assert EVENT.itemsize == COMMAND.itemsize == REPORT.itemsize

_HEAD: Final = MAGIC | FORMAT_VERSION << 32
_REPORTS: Final = int(RecordKind.REPORT)
_COMMANDS: Final = int(RecordKind.COMMAND)
_PARENTS: Final = int(RecordKind.PARENT)
_EVENTS: Final = int(RecordKind.EVENT)
_OUTPUT: Final = int(Direction.OUTPUT)
_EVENT: Final = int(Direction.EVENT)
_HALF: Final = np.uint64(32)


@kernel
def frame_entry(
    out: Any, tables: Any, at: int, kind: int, direction: int, number: int, ts: int, rows: Any, count: int, item: int
) -> int:
    """Write one entry of ``count`` rows of ``item`` words from word ``at`` on; returns the word behind it."""
    out[at] = np.uint64(_HEAD | kind << 40 | direction << 48)
    out[at + 1] = np.uint64(number)
    out[at + 2] = np.uint64(ts)
    out[at + 3] = np.uint64(count)
    behind = at + _HEADER_WORDS + count * item
    for i in range(count * item):
        out[at + _HEADER_WORDS + i] = rows[i]
    out[at + 3] |= entry_crc(tables, out, at, behind) << _HALF
    return behind


@entry(
    lambda: numba.int64(
        numba.types.Array(numba.uint64, 1, "C"),
        numba.types.Array(numba.uint32, 2, "C"),
        numba.types.UniTuple(numba.types.Array(numba.uint64, 1, "C"), 4),
        numba.types.UniTuple(numba.int64, 4),
        numba.int64,
        numba.int64,
        numba.int64,
    )
)
def frame_outputs(
    out: Any, tables: Any, rows: tuple[Any, ...], counts: tuple[int, ...], reports_are: int, number: int, ts: int
) -> int:
    """Write the entries of a step's reports, requests, parents and events one behind the other, and return the words.

    Parameters
    ----------
    out : array of uint64
    tables : array of uint32, shape (16, 256)
        The checksum's.
    rows, counts : tuple of 4 arrays of uint64, tuple of 4 int
        REPORT, COMMAND, PARENT and EVENT records as words, and how many there are; of none there is no entry.
    reports_are : Direction
    number : int
        Of the first entry.
    ts : int
        Wall clock, ns.
    """
    at = 0
    if counts[0] > 0:
        at = frame_entry(out, tables, at, _REPORTS, reports_are, number, ts, rows[0], counts[0], _ITEM_WORDS)
        number += 1
    if counts[1] > 0:
        at = frame_entry(out, tables, at, _COMMANDS, _OUTPUT, number, ts, rows[1], counts[1], _ITEM_WORDS)
        number += 1
    if counts[2] > 0:
        at = frame_entry(out, tables, at, _PARENTS, _OUTPUT, number, ts, rows[2], counts[2], _PARENT_WORDS)
        number += 1
    if counts[3] > 0:
        at = frame_entry(out, tables, at, _EVENTS, _EVENT, number, ts, rows[3], counts[3], _ITEM_WORDS)
    return at


class Framed(NamedTuple):
    """The bytes of a step's requests and events."""

    commands: bytes
    events: bytes


class OutputFrames:
    """Hands the core's outputs to the journal.

    Parameters
    ----------
    st : array of STATE, shape (1,)
    journal : Journal
    """

    def __init__(self, st: State, journal: Journal) -> None:
        self._journal = journal
        outputs = [st[name][0] for name in ("reports", "commands", "told_parents", "events")]
        self._rows: tuple[Words, ...] = tuple(rows.view(np.uint64) for rows in outputs)
        self._out: npt.NDArray[np.uint64] = np.zeros(sum(_HEADER_WORDS + len(rows) for rows in self._rows), np.uint64)

    def append(self, reports: int, commands: int, parents: int, events: int, reports_are: Direction) -> Framed:
        """Append a step's first so many reports, requests, parents and events to the journal.

        Raises
        ------
        JournalError
            When the journal has failed or is closed.
        """
        journal = self._journal
        counts = (reports, commands, parents, events)
        number = journal.next_number
        words = frame_outputs(self._out, TABLES, self._rows, counts, int(reports_are), number, time.time_ns())
        content = self._out[:words].tobytes()
        at_events = len(content) - events * EVENT.itemsize
        at_parents = at_events - HEADER_BYTES - (HEADER_BYTES + parents * PARENT.itemsize if parents else 0)
        at_commands = at_parents - commands * COMMAND.itemsize
        next_event = int.from_bytes(content[-EVENT.itemsize : 8 - EVENT.itemsize], "little") + 1
        journal.append_framed(content, (reports > 0) + (commands > 0) + (parents > 0) + 1, next_event)
        return Framed(content[at_commands : at_commands + commands * COMMAND.itemsize], content[at_events:])
