"""Replaying a journal whose inputs are orders: every change that the core made, made again by the same kernels.

The journal's events are walked in order. A request event takes the next request of the journal and enters it, a report
event takes the next report and applies it; nothing is decided again. What the kernels write is compared with what the
journal holds, word for word, so that a replay that goes through has rebuilt the state that was. Trading states, halts,
and what else an operator or the market decided are facts: taken as the events say.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np

from oms.compiled import array_of, entry, kernel
from oms.core.parents import restore_parent
from oms.core.progress import tell_parent
from oms.core.redefine import is_pending
from oms.core.reports import apply_report
from oms.core.state import STATE, Record, State
from oms.definition_rows import DEFINITION
from oms.journal_format import Direction
from oms.journal_scan import INDEX
from oms.records import (
    COMMAND,
    EVENT,
    PARENT,
    REPORT,
    REPORT_EVENTS,
    REQUEST_EVENTS,
    EventKind,
    InstrumentState,
    RecordKind,
    ReportKind,
)
from oms.replay_facts import read_report_off, take_fact
from oms.replay_requests import enter_request

WALK = np.dtype(
    [
        ("entry", "i8"),  # row of the index in hand
        ("row", "i8"),  # event of that entry in hand
        ("event_seq", "i8"),  # of the next event
        ("command_at", "i8"),  # word of the next request that no event has taken
        ("commands_left", "i8"),
        ("report_at", "i8"),
        ("reports_left", "i8"),
        ("parent_at", "i8"),
        ("parents_left", "i8"),
        ("by_model", "i8"),  # 1: the reports in hand are the exchange model's
        ("facts", "i8"),  # 1: a journal without the model's reports: they are read off the events
        ("records", "i8"),
        ("events", "i8"),
        ("requests", "i8"),
        ("reports", "i8"),
        ("definition_at", "i8"),  # word of the segment at which the last definitions are
        ("definitions", "i8"),
        ("made", "i8"),  # row of the output that differs
        ("word", "i8"),  # of it
    ]
)
"""Where a replay is, and what it has done."""

IN_HAND = np.dtype(
    [("event", EVENT), ("command", COMMAND), ("report", REPORT), ("definition", DEFINITION), ("parent", PARENT)]
)
"""The journal's records in hand, copied so that they lie as a record must."""

DONE: Final = 0
EVENT_MISSING: Final = 1
"""An event's number is not the one that follows."""
INPUT_MISSING: Final = 2
"""An event stands for a request or a report that is not there."""
INPUT_LEFT: Final = 3
"""A request or a report has no event."""
NOT_APPLIED: Final = 4
"""A request is about an order that is not there, or of a kind that is not known."""
REQUEST_DIFFERS: Final = 5
EVENT_DIFFERS: Final = 6

RECORD_WORDS: Final = EVENT.itemsize // 8
_EVENT_WORD: Final = 0
_COMMAND_WORD: Final = RECORD_WORDS
_REPORT_WORD: Final = 2 * RECORD_WORDS
_DEFINITION_WORD: Final = 3 * RECORD_WORDS
DEFINITION_WORDS: Final = DEFINITION.itemsize // 8
_PARENT_WORD: Final = _DEFINITION_WORD + DEFINITION_WORDS
PARENT_WORDS: Final = PARENT.itemsize // 8


def _word_of(field: str) -> int:
    assert EVENT.fields is not None
    return int(EVENT.fields[field][1]) // 8


_MARK_WORD: Final = _word_of("last_px")
_UNREALIZED_WORD: Final = _word_of("qty")
_LIQUIDATION_WORD: Final = _word_of("order_id")
_REALIZED_WORD: Final = _word_of("realized_pnl")

_INPUT_NONE: Final = 0
_INPUT_REQUEST: Final = 1
_INPUT_REPORT: Final = 2
_INPUT_PARENT: Final = 3
INPUT_OF_EVENT: Final = np.zeros(256, np.int64)
"""By EventKind: what it stands for."""
for _kind in REQUEST_EVENTS:
    INPUT_OF_EVENT[_kind] = _INPUT_REQUEST
for _kind in REPORT_EVENTS:
    INPUT_OF_EVENT[_kind] = _INPUT_REPORT
INPUT_OF_EVENT[EventKind.PROGRESS] = _INPUT_PARENT

_COMMAND_RECORDS: Final = int(RecordKind.COMMAND)
_REPORT_RECORDS: Final = int(RecordKind.REPORT)
_EVENT_RECORDS: Final = int(RecordKind.EVENT)
_DEFINITION_RECORDS: Final = int(RecordKind.DEFINITION)
_PARENT_RECORDS: Final = int(RecordKind.PARENT)
_INSTRUMENT: Final = int(EventKind.INSTRUMENT)
_SWITCHING: Final = int(InstrumentState.SWITCHING)
_OUTPUT: Final = int(Direction.OUTPUT)

_FILL: Final = int(ReportKind.FILL)
_POSITION: Final = int(EventKind.POSITION)
_FILLED: Final = int(EventKind.ORDER_FILLED)


@kernel
def copy_words(target: Any, first: int, words: Any, at: int, count: int) -> None:
    for i in range(count):
        target[first + i] = words[at + i]


@kernel
def find_definition(s: Record, walk: Record, hand: Record, hand_words: Any, words: Any) -> bool:
    """Put the definition that an INSTRUMENT event in hand names where the core takes it from; False: there is none."""
    event = hand["event"]
    definition = hand["definition"]
    for row in range(walk["definitions"]):
        at = walk["definition_at"] + row * DEFINITION_WORDS
        for i in range(DEFINITION_WORDS):
            hand_words[_DEFINITION_WORD + i] = words[at + i]
        if definition["instrument"] == event["instrument"] and definition["version"] == event["qty"]:
            s["incoming_definition"][0] = definition["row"]
            return True
    return False


@kernel
def differing_word(made: Any, row: int, words: Any, at: int) -> int:
    """First word in which an output row is not the record of the journal; -1: none."""
    for i in range(RECORD_WORDS):
        if made[row * RECORD_WORDS + i] != words[at + i]:
            return i
    return -1


@kernel
def differing_event_word(s: Record, made: Any, row: int, words: Any, at: int) -> int:
    """The same for an event; the mark and what is valued by it are the market's, which a replay does not know.

    What a fill has realized is 0 in journals from before it was said.
    """
    kind = s["events"][row]["kind"]
    for i in range(RECORD_WORDS):
        if made[row * RECORD_WORDS + i] == words[at + i]:
            continue
        is_valued = kind == _POSITION and (i == _MARK_WORD or i == _UNREALIZED_WORD or i == _LIQUIDATION_WORD)
        if not is_valued and not (kind == _FILLED and i == _REALIZED_WORD and words[at + i] == 0):
            return i
    return -1


@kernel
def take_event(s: Record, walk: Record, hand: Record, hand_words: Any, words: Any, command_words: Any) -> int:
    """Do what the event in hand stands for; DONE, or why that cannot be."""
    event = hand["event"]
    stands_for = INPUT_OF_EVENT[event["kind"]]
    s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0
    s["event_seq"] = event["seq"]
    s["now"] = event["ts"]
    if stands_for == _INPUT_REQUEST:
        if walk["commands_left"] == 0:
            return INPUT_MISSING
        copy_words(hand_words, _COMMAND_WORD, words, walk["command_at"], RECORD_WORDS)
        if not enter_request(s, hand["command"]):
            return NOT_APPLIED
        walk["word"] = differing_word(command_words, 0, words, walk["command_at"])
        if walk["word"] >= 0:
            return REQUEST_DIFFERS
        walk["commands_left"] -= 1
        walk["command_at"] += RECORD_WORDS
        walk["requests"] += 1
    elif stands_for == _INPUT_REPORT:
        report = hand["report"]
        if walk["reports_left"] > 0:
            copy_words(hand_words, _REPORT_WORD, words, walk["report_at"], RECORD_WORDS)
            walk["reports_left"] -= 1
            walk["report_at"] += RECORD_WORDS
        elif walk["facts"] != 0:
            read_report_off(report, event)
        else:
            return INPUT_MISSING
        if report["kind"] == 0:
            take_fact(s, event)
            return DONE
        if report["kind"] == _FILL and (walk["by_model"] != 0 or walk["facts"] != 0):
            s["model"]["trade_counter"] = max(s["model"]["trade_counter"], report["trade_id"])
        walk["reports"] += 1
        apply_report(s, report)
    elif stands_for == _INPUT_PARENT:
        if walk["parents_left"] == 0:
            return INPUT_MISSING
        copy_words(hand_words, _PARENT_WORD, words, walk["parent_at"], PARENT_WORDS)
        walk["parents_left"] -= 1
        walk["parent_at"] += PARENT_WORDS
        if not restore_parent(s, hand["parent"]):
            return NOT_APPLIED
        tell_parent(s, hand["parent"]["number"], event["reason"], event["request_id"])
    else:
        is_coming = event["kind"] == _INSTRUMENT and event["aux"] == _SWITCHING and not is_pending(s, event)
        if is_coming and not find_definition(s, walk, hand, hand_words, words):
            return INPUT_MISSING
        take_fact(s, event)
    s["touched_count"] = 0  # what followed is in the journal
    return DONE


@kernel
def take_events(
    s: Record,
    words: Any,
    at: int,
    count: int,
    walk: Record,
    hand: Record,
    hand_words: Any,
    event_words: Any,
    command_words: Any,
) -> int:
    """Walk the events of one entry, which begin at word ``at``; DONE, or why it ended."""
    row = 0
    while row < count:
        walk["row"] = row
        copy_words(hand_words, _EVENT_WORD, words, at + row * RECORD_WORDS, RECORD_WORDS)
        if hand["event"]["seq"] != walk["event_seq"]:
            return EVENT_MISSING
        status = take_event(s, walk, hand, hand_words, words, command_words)
        if status != DONE:
            return status
        made = s["event_count"]
        for k in range(made):
            walk["row"] = row + k
            walk["made"] = k
            if row + k == count:
                return EVENT_MISSING
            walk["word"] = differing_event_word(s, event_words, k, words, at + (row + k) * RECORD_WORDS)
            if walk["word"] >= 0:
                return EVENT_DIFFERS
        row += max(made, 1)
        walk["event_seq"] += max(made, 1)
        s["event_seq"] = walk["event_seq"]
    walk["events"] += count
    return DONE


@entry(
    lambda: numba.int64(
        array_of(STATE),
        numba.types.Array(numba.uint64, 1, "C", readonly=True),
        array_of(INDEX, readonly=True),
        array_of(WALK),
        array_of(IN_HAND),
        numba.types.Array(numba.uint64, 1, "C"),
        numba.types.Array(numba.uint64, 1, "C"),
        numba.types.Array(numba.uint64, 1, "C"),
    )
)
def replay_entries(
    st: State,
    words: Any,
    index: Any,
    walk: Any,
    hand: Any,
    hand_words: Any,
    event_words: Any,
    command_words: Any,
) -> int:
    """Replay the entries of a segment from ``walk``'s on.

    Parameters
    ----------
    st : array of STATE, shape (1,)
        With ``external`` set: nothing goes to the exchange model.
    words : array of uint64
        The segment.
    index : array of INDEX
        Its entries.
    walk : array of WALK, shape (1,)
    hand : array of IN_HAND, shape (1,)
    hand_words, event_words, command_words : arrays of uint64
        ``hand``, and the state's event and command outputs, by their words.

    Returns
    -------
    DONE, or what is wrong at ``walk``'s entry and row.
    """
    s = st[0]
    w = walk[0]
    for i in range(w["entry"], index.shape[0]):
        w["entry"] = i
        row = index[i]
        kind = row["kind"]
        at: Any = np.int64(row["offset"]) // 8
        count: Any = np.int64(row["count"])
        w["records"] += count
        if kind == _COMMAND_RECORDS and row["direction"] == _OUTPUT:
            if w["commands_left"] > 0:
                return INPUT_LEFT
            w["command_at"], w["commands_left"] = at, count
        elif kind == _REPORT_RECORDS:
            if w["reports_left"] > 0:
                return INPUT_LEFT
            w["report_at"], w["reports_left"] = at, count
            w["by_model"] = row["direction"] == _OUTPUT
        elif kind == _PARENT_RECORDS:
            if w["parents_left"] > 0:
                return INPUT_LEFT
            w["parent_at"], w["parents_left"] = at, count
        elif kind == _DEFINITION_RECORDS:
            w["definition_at"], w["definitions"] = at, count
        elif kind == _EVENT_RECORDS:
            status = take_events(s, words, at, count, w, hand[0], hand_words, event_words, command_words)
            if status != DONE:
                return status
    w["entry"] = index.shape[0]
    w["definitions"] = 0
    s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0
    return DONE
