"""The compiled scanner: raw JSON text into TICK records with exact integers, for layouts that are known byte for byte.

The scanner knows no venue: it holds a table of layouts (``gateways.layouts``), and a message is either one of them from
its first byte to its last, or it is not recognised and gives no record. So a field that moves, appears or vanishes can
never give wrong records: the message goes to the venue's slow decoder, which looks fields up by name. The same happens
to a value that is off the instrument's grid or too large: the scanner never rounds, and the slow decoder words the
refusal.

Every read is tested against the end of the buffer first.
"""

from __future__ import annotations

from typing import Any, Final

from numba import types

from gateways.digits import BYTES, byte_at, open_text, scan_digits, scan_literal
from gateways.fields import scan_field
from gateways.layouts import (
    MAX_LEVELS,
    MAX_RECORDS,
    NO_TIME,
    NS_PER_MS,
    SCANNER,
    TIMESTAMP_DIGITS,
    UNNUMBERED,
    FieldKind,
    Register,
    Stop,
)
from oms.compiled import (
    DECODER_CACHES,
    DECODER_SOURCES,
    JIT,
    MARKET_WAY,
    array_of,
    entry,
    kernel,
    kernel_sources,
    market_kernel,
    open_cache,
)
from oms.instruments import MAX_VALUE
from oms.records import TickFlag, TickKind

_CACHE: Final = open_cache(kernel_sources(patterns=DECODER_SOURCES), DECODER_CACHES) if JIT else None

UNRECOGNISED: Final = -1
"""What ``scan_message`` returns for a message that is none of the layouts, or whose values it cannot take."""

_COMMA: Final = ord(",")
_SPACE: Final = ord(" ")
_NEWLINE: Final = ord("\n")
_RETURN: Final = ord("\r")
_MAX_MS: Final = MAX_VALUE // NS_PER_MS
_END: Final = int(FieldKind.END)
_MORE: Final = int(FieldKind.MORE)
_EXCH_MS: Final = int(Register.EXCH_MS)
_ID: Final = int(Register.ID)
_PREVIOUS_ID: Final = int(Register.PREVIOUS_ID)
_PX: Final = int(Register.PX)
_QTY: Final = int(Register.QTY)
_PX_2: Final = int(Register.PX_2)
_QTY_2: Final = int(Register.QTY_2)
_SIDE: Final = int(Register.SIDE)
_TRADE: Final = int(TickKind.TRADE)
_DEPTH: Final = int(TickKind.DEPTH)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_FIRST: Final = int(TickFlag.FIRST)
_LAST: Final = int(TickFlag.LAST)
_STOP_END: Final = int(Stop.END)
_STOP_UNRECOGNISED: Final = int(Stop.UNRECOGNISED)
_STOP_FULL: Final = int(Stop.FULL)


@market_kernel
def put_record(scanner: Any, tick_kind: int, count: int, local_ts: int) -> int:
    """Make one record of the registers; returns the new count, or ``UNRECOGNISED``."""
    registers = scanner["registers"]
    exch_ms = registers[_EXCH_MS]
    if exch_ms > _MAX_MS or exch_ms == 0:
        return UNRECOGNISED
    if tick_kind == _TRADE and (registers[_PX] == 0 or registers[_QTY] == 0):
        return UNRECOGNISED
    record = scanner["out"][count]
    record["exch_ts"] = local_ts if exch_ms == NO_TIME else exch_ms * NS_PER_MS
    record["local_ts"] = local_ts
    record["px"] = registers[_PX]
    record["qty"] = registers[_QTY]
    record["px_2"] = registers[_PX_2]
    record["qty_2"] = registers[_QTY_2]
    record["update_id"] = max(registers[_ID], 0)
    record["instrument"] = scanner["instrument"]
    record["version"] = scanner["version"]
    record["kind"] = tick_kind
    record["side"] = registers[_SIDE]
    record["flags"] = _FIRST | _LAST
    return count + 1


@kernel
def finish(scanner: Any, tick_kind: int, first: int, count: int, local_ts: int) -> int:
    """Complete the records of a message that is read to its end; returns the new count, or ``UNRECOGNISED``."""
    if count == first:  # a trade or a quote, or a message of the book without levels
        count = put_record(scanner, tick_kind, count, local_ts)
    if count < 0 or (tick_kind != _DEPTH and tick_kind != _SNAPSHOT):
        return count
    registers = scanner["registers"]
    if registers[_EXCH_MS] > _MAX_MS or registers[_EXCH_MS] == 0:
        return UNRECOGNISED
    out = scanner["out"]
    exch_ts = local_ts if registers[_EXCH_MS] == NO_TIME else registers[_EXCH_MS] * NS_PER_MS
    px_2 = registers[_PREVIOUS_ID] if tick_kind == _DEPTH else registers[_ID]
    for number in range(first, count):
        record = out[number]
        record["exch_ts"] = exch_ts
        record["local_ts"] = local_ts
        record["px_2"] = px_2
        record["update_id"] = registers[_ID]
        record["instrument"] = scanner["instrument"]
        record["version"] = scanner["version"]
        record["kind"] = tick_kind
        record["flags"] = 0
    out[first]["flags"] = _FIRST
    out[count - 1]["flags"] |= _LAST
    return count


@market_kernel
def scan(text: Any, start: int, end: int, scanner: Any, first: int, local_ts: int) -> tuple[int, int]:
    """Read one message into records of ``out`` from ``first`` on.

    Returns the new count and the position behind the message, or (``UNRECOGNISED``, start).
    """
    registers = scanner["registers"]
    literals = open_text(scanner["literals"])
    steps = scanner["steps"]
    for layout in range(scanner["layouts"]):
        number = scanner["first_step"][layout]
        position = scan_literal(text, start, end, literals, steps[number]["start"], steps[number]["stop"])
        if position < 0:
            continue
        registers[:] = 0
        registers[_EXCH_MS] = NO_TIME
        registers[_ID] = registers[_PREVIOUS_ID] = UNNUMBERED
        tick_kind = scanner["tick_kind"][layout]
        count = first
        while position >= 0 and steps[number]["kind"] != _END:
            if steps[number]["kind"] == _MORE:
                if count == first + MAX_LEVELS:
                    break
                count = put_record(scanner, tick_kind, count, local_ts)
                if count < 0:
                    break
                if position < end and byte_at(text, position) == _COMMA:
                    position += 1
                    number = steps[number]["bias"]
            else:
                count, position = scan_field(text, position, end, scanner, steps[number], first, count)
            number += 1
            if position >= 0:
                position = scan_literal(text, position, end, literals, steps[number]["start"], steps[number]["stop"])
        if position >= 0 and count >= 0 and steps[number]["kind"] == _END:
            count = finish(scanner, tick_kind, first, count, local_ts)
            if count > 0:
                scanner["layout"] = layout
                return count, position
    return UNRECOGNISED, start


@entry(lambda: types.int64(BYTES, types.int64, array_of(SCANNER)), inlines=MARKET_WAY, folder=_CACHE)
def scan_message(message: Any, local_ts: int, state: Any) -> int:
    """Decode one message.

    Parameters
    ----------
    message : bytes
        One message exactly as the exchange sent it.
    local_ts : int
        When it was received, ns.
    state
        One-element array of ``SCANNER``; its ``out`` takes the records, which stand until the next call.

    Returns
    -------
    The number of records, or ``UNRECOGNISED``.
    """
    end = len(message)
    count, position = scan(open_text(message), 0, end, state[0], 0, local_ts)
    return count if position == end else UNRECOGNISED


@entry(lambda: types.int64(BYTES, array_of(SCANNER)), inlines=MARKET_WAY, folder=_CACHE)
def scan_lines(buffer: Any, state: Any) -> int:
    """Decode the lines ``TIMESTAMP MESSAGE`` of a recording, from ``position`` to the end of ``buffer``.

    Parameters
    ----------
    buffer : bytes
        Whole lines; a timestamp is 19 digits of ns.
    state
        One-element array of ``SCANNER``; ``stop`` says afterwards why the call returned, ``position`` where.

    Returns
    -------
    The number of records in ``out``.
    """
    scanner = state[0]
    end = len(buffer)
    text = open_text(buffer)
    position = scanner["position"]
    last_ts = scanner["last_ts"]
    count = messages = set_back = 0
    stop = _STOP_END
    while position < end:
        if count > MAX_RECORDS - MAX_LEVELS:
            stop = _STOP_FULL
            break
        stamp, behind = scan_digits(text, position, end)
        if (
            stamp < 0
            or stamp > MAX_VALUE
            or behind - position != TIMESTAMP_DIGITS
            or behind == end
            or byte_at(text, behind) != _SPACE
        ):
            stop = _STOP_UNRECOGNISED
            break
        local_ts = max(stamp - scanner["clock_offset"], last_ts)
        if last_ts > 0 and local_ts - last_ts > scanner["max_silence"]:
            stop = _STOP_UNRECOGNISED
            break
        after, behind = scan(text, behind + 1, end, scanner, count, local_ts)
        if behind < end and byte_at(text, behind) == _RETURN:
            behind += 1
        if after == UNRECOGNISED or (behind < end and byte_at(text, behind) != _NEWLINE):
            stop = _STOP_UNRECOGNISED
            break
        set_back += stamp - scanner["clock_offset"] < last_ts
        last_ts = local_ts
        count = after
        messages += 1
        position = behind + 1
    scanner["position"] = min(position, end)
    scanner["last_ts"] = last_ts
    scanner["messages"] = messages
    scanner["set_back"] = set_back
    scanner["stop"] = stop
    return count
