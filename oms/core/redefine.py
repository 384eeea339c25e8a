"""A new version of an instrument's definition: trading in it halts, its orders are cancelled, the version is put in
force, and trading goes on.

Nothing is put in force while an order is open, or while a position is not on the new grid: then the instrument waits,
and the position in the way is named, until an adjustment entry has put it on the grid. Everything else trades on.
``docs/instruments.md`` tells it step by step.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from oms.compiled import kernel
from oms.core.book import empty_book, mid_half_ticks
from oms.core.events import emit_position, new_event
from oms.core.exact import product_fits, quotient_fits, wide_divide
from oms.core.instrument_states import tell_instrument
from oms.core.margin_watch import note_margins
from oms.core.regrid import RegridResult, ratio_of, regrid_position, regrid_result, same_contract
from oms.core.state import (
    ASK,
    BID,
    MAX_ACCOUNTS,
    MAX_CURRENCIES,
    MAX_INSTRUMENTS,
    MAX_LEGS,
    MAX_QTY,
    MAX_SCOPES,
    NO_ASK,
    NO_BID,
    NO_LIMIT,
    Record,
)
from oms.core.trading import wake_review
from oms.core.valuation import value_row
from oms.core.versions import nearest_half_ticks
from oms.definition_rows import MAX_TIERS
from oms.records import CASH_SCALE, BookState, EventKind, InstrumentState, OrderFlag, Reason

_DEFINITION_REFUSED: Final = int(EventKind.DEFINITION_REFUSED)
_BOOK_STATE: Final = int(EventKind.BOOK_STATE)
_TRADING: Final = int(InstrumentState.TRADING)
_SWITCHING: Final = int(InstrumentState.SWITCHING)
_OFF_GRID: Final = int(InstrumentState.OFF_GRID)
_EXPIRED: Final = int(InstrumentState.EXPIRED)
_EMPTY: Final = int(BookState.EMPTY)
_SHORT_LEG: Final = int(OrderFlag.SHORT_LEG)
_DONE: Final = int(RegridResult.DONE)
_MAX_VERSION: Final = 2**16 - 1

_NONE: Final = int(Reason.NONE)
_UNKNOWN_INSTRUMENT: Final = int(Reason.UNKNOWN_INSTRUMENT)
_WRONG_VERSION: Final = int(Reason.WRONG_VERSION)
_INSTRUMENT_EXPIRED: Final = int(Reason.INSTRUMENT_EXPIRED)
_MALFORMED: Final = int(Reason.MALFORMED)
_CONTRACT_CHANGED: Final = int(Reason.CONTRACT_CHANGED)
_NEW_VERSION: Final = int(Reason.NEW_VERSION)

REASON_OF_RESULT: Final = np.zeros(len(RegridResult), np.int64)
"""Why an instrument cannot change to its new version, by RegridResult."""
for _result, _reason in {
    RegridResult.OFF_GRID: Reason.POSITION_OFF_GRID,
    RegridResult.CONTRACT_CHANGED: Reason.CONTRACT_CHANGED,
    RegridResult.TOO_LARGE: Reason.POSITION_TOO_LARGE,
}.items():
    REASON_OF_RESULT[_result] = _reason


@kernel
def is_changing(s: Record, instrument: int) -> bool:
    """True while an instrument waits for its new version."""
    state = s["instrument_states"][instrument]
    return bool(state == _SWITCHING or state == _OFF_GRID)


@kernel
def is_sound_row(row: Record) -> bool:
    """True for a row that the kernels can compute with."""
    return bool(
        row["defined"] == 1
        and row["cash_numerator"] > 0
        and row["cash_denominator"] > 0
        and row["inverse_numerator"] >= row["inverse"] >= 0
        and row["inverse_denominator"] > 0
        and row["tick_numerator"] > 0
        and row["tick_denominator"] > 0
        and row["base_numerator"] > 0
        and row["base_denominator"] > 0
        and row["size_numerator"] > 0
        and row["size_denominator"] > 0
        and 0 < row["min_qty"] <= row["max_qty"]
        and 0 <= row["tier_count"] <= MAX_TIERS
    )


@kernel
def keep_numbers(target: Record, source: Record) -> None:
    """Give a row the session's numbers of another version of the same instrument (``SET_BY_ASSEMBLY``).

    An option that an older journal or snapshot defined without its margin rates has those of the other version too.
    """
    target["underlying"] = source["underlying"]
    target["base_currency"] = source["base_currency"]
    target["quote_currency"] = source["quote_currency"]
    target["settle_currency"] = source["settle_currency"]
    target["base_wallet"] = source["base_wallet"]
    target["quote_wallet"] = source["quote_wallet"]
    target["settle_wallet"] = source["settle_wallet"]
    if target["option_maintenance_rate"] == 0:
        target["option_initial_rate"] = source["option_initial_rate"]
        target["option_least_rate"] = source["option_least_rate"]
        target["option_maintenance_rate"] = source["option_maintenance_rate"]


@kernel
def refusal_of_definition(s: Record, instrument: int, version: int, row: Record) -> int:
    """Why a new definition cannot be taken, or NONE."""
    if not is_defined(s, instrument):
        return _UNKNOWN_INSTRUMENT
    in_force = s["instruments"][instrument]
    pending = s["pending_definitions"][instrument]
    if version != row["version"] or not is_sound_row(row):
        return _MALFORMED
    if not in_force["version"] < version <= _MAX_VERSION:
        return _WRONG_VERSION
    if pending["defined"] != 0 and version <= pending["version"]:
        return _WRONG_VERSION
    if s["instrument_states"][instrument] == _EXPIRED or 0 < in_force["expiry_ts"] <= s["now"]:
        return _INSTRUMENT_EXPIRED
    keep_numbers(row, in_force)
    return _NONE if same_contract(in_force, row) else _CONTRACT_CHANGED


@kernel
def is_defined(s: Record, instrument: int) -> bool:
    return bool(0 <= instrument < MAX_INSTRUMENTS and s["instruments"][instrument]["defined"] != 0)


@kernel
def tell_anew(s: Record, instrument: int) -> None:
    """Say how an instrument stands; one that waits for its new version begins to look what is in the way anew."""
    if is_changing(s, instrument):
        s["instrument_states"][instrument] = _SWITCHING
        s["blocked_by"][instrument] = 0
        wake_review(s, s["now"])
    tell_instrument(s, instrument, _NONE)


@kernel
def take_definition(s: Record, definition: Record) -> None:
    """Halt an instrument for its new version, or refuse that; one that waits already waits for the newer one then.

    Version 0 brings none: it has the instrument say how it stands, and one that waits look again whether it can go on.
    """
    instrument = definition["instrument"]
    if definition["version"] == 0 and is_defined(s, instrument):
        tell_anew(s, instrument)
        return
    s["incoming_definition"][0] = definition["row"]
    row = s["incoming_definition"][0]
    reason = refusal_of_definition(s, instrument, definition["version"], row)
    if reason != _NONE:
        at = new_event(s, _DEFINITION_REFUSED, reason)
        event = s["events"][at]
        event["px"] = definition["version"]
        if reason != _UNKNOWN_INSTRUMENT:
            event["instrument"] = instrument
            event["version"] = s["instruments"][instrument]["version"]
            event["qty"] = s["instruments"][instrument]["version"]
        return
    s["pending_definitions"][instrument] = row
    if not is_changing(s, instrument):
        s["switching"] += 1
    s["instrument_states"][instrument] = _SWITCHING
    s["blocked_by"][instrument] = 0
    tell_instrument(s, instrument, _NEW_VERSION)
    wake_review(s, s["now"])


@kernel
def drop_pending(s: Record, instrument: int) -> None:
    """An instrument waits for no new version any more."""
    if is_changing(s, instrument):
        s["switching"] -= 1
    s["pending_definitions"][instrument]["defined"] = 0
    s["blocked_by"][instrument] = 0


@kernel
def find_blocking(s: Record, instrument: int) -> int:
    """Number of the first position that cannot move to the pending version, -1 when all can; each one's is noted."""
    old = s["instruments"][instrument]
    new = s["pending_definitions"][instrument]
    found = -1
    for scope in range(MAX_SCOPES):
        for leg in range(MAX_LEGS):
            position = s["positions"][scope, instrument, leg]
            result = regrid_result(position, old, new)
            position["off_grid"] = result
            if result != _DONE and found < 0:
                found = scope * MAX_LEGS + leg
    return found


@kernel
def tell_blocking(s: Record, instrument: int, number: int) -> None:
    """Name the position that is in the way of a new version, once."""
    if s["blocked_by"][instrument] == number + 1:
        return
    s["blocked_by"][instrument] = number + 1
    s["instrument_states"][instrument] = _OFF_GRID
    scope = number // MAX_LEGS
    leg = number % MAX_LEGS
    position = s["positions"][scope, instrument, leg]
    at = tell_instrument(s, instrument, REASON_OF_RESULT[position["off_grid"]])
    event = s["events"][at]
    event["account"] = scope
    if scope >= MAX_ACCOUNTS:
        event["strategy"] = scope - MAX_ACCOUNTS
        event["account"] = s["strategies"][scope - MAX_ACCOUNTS]["account"]
    event["flags"] = _SHORT_LEG if leg == 1 else 0
    event["position_qty"] = position["qty"]


@kernel
def rescaled_limit(lots: int, numerator: int, denominator: int, smallest: int, largest: int) -> int:
    """A limit in lots by ``numerator / denominator``, rounded down, within bounds; 0 and NO_LIMIT stay as they are."""
    if lots <= 0 or lots >= NO_LIMIT:
        return lots
    if not quotient_fits(lots, numerator, denominator):
        return largest
    if product_fits(lots, numerator):
        new = lots * numerator // denominator
    else:
        new, _ = wide_divide(lots, numerator, denominator)
    return min(max(new, smallest), largest)


@kernel
def rescale_limits(s: Record, instrument: int, old: Record, new: Record) -> None:
    """Limits in lots mean the same quantity as before."""
    lots, of = ratio_of(old["base_numerator"], old["base_denominator"], new["base_numerator"], new["base_denominator"])
    for scope in range(MAX_SCOPES):
        limits = s["limits"][scope, instrument]
        if limits["defined"] != 0:
            smallest = new["min_qty"]
            limits["max_order_qty"] = rescaled_limit(limits["max_order_qty"], lots, of, smallest, NO_LIMIT)
            limits["max_position"] = rescaled_limit(limits["max_position"], lots, of, smallest, MAX_QTY)


@kernel
def rescale_conversions(s: Record, instrument: int, new: Record) -> None:
    """Currencies that an instrument prices go by its new tick."""
    numerator = float(new["tick_numerator"])
    denominator = 2.0 * float(new["tick_denominator"]) * CASH_SCALE
    for number in range(MAX_CURRENCIES):
        currency = s["currencies"][number]
        if currency["defined"] != 0 and currency["instrument"] == instrument:
            factor = denominator / numerator if currency["inverse"] != 0 else numerator / denominator
            currency["factor"] = factor


@kernel
def move_positions(s: Record, instrument: int, old: Record, new: Record) -> None:
    """Put every position on the new grid; no own order rests any more."""
    for scope in range(MAX_SCOPES):
        for leg in range(MAX_LEGS):
            regrid_position(s, s["positions"][scope, instrument, leg], old, new)
            row = s["valuations"][scope, instrument, leg]
            row["own_best"][BID] = NO_BID
            row["own_best"][ASK] = NO_ASK


@kernel
def value_positions(s: Record, instrument: int) -> None:
    """Value every position of the instrument that counts at the market as it is now."""
    s["market_updates"] += 1
    for scope in range(MAX_SCOPES):
        for leg in range(MAX_LEGS):
            if s["valuations"][scope, instrument, leg]["active"] != 0:
                value_row(s, scope, instrument, leg)


@kernel
def put_in_force(s: Record, instrument: int) -> None:
    """The pending version is the one in force from here; the caller has asked ``find_blocking``.

    The book is emptied: it is not traded on before the new version's first snapshot. What is held is valued at the old
    mid price until then.
    """
    s["former_definitions"][instrument] = s["instruments"][instrument]
    old = s["former_definitions"][instrument]
    new = s["pending_definitions"][instrument]
    keep_numbers(new, old)
    half_ticks = nearest_half_ticks(mid_half_ticks(s["books"][instrument]), old, new)
    move_positions(s, instrument, old, new)
    rescale_limits(s, instrument, old, new)
    rescale_conversions(s, instrument, new)
    s["instruments"][instrument] = new
    drop_pending(s, instrument)
    s["instrument_states"][instrument] = _TRADING
    empty_book(s["books"][instrument], half_ticks)
    value_positions(s, instrument)


@kernel
def switch(s: Record, instrument: int) -> None:
    """Put the pending version in force and say so, or name what is in the way; no order of the instrument is open."""
    number = find_blocking(s, instrument)
    if number >= 0:
        tell_blocking(s, instrument, number)
        return
    had_book = s["books"][instrument]["state"] != _EMPTY
    put_in_force(s, instrument)
    note_margins(s)
    tell_instrument(s, instrument, _NEW_VERSION)
    for account in range(MAX_ACCOUNTS):
        for leg in range(MAX_LEGS):
            if s["positions"][account, instrument, leg]["qty"] != 0:
                emit_position(s, account, instrument, leg, 0)
    if had_book:
        at = new_event(s, _BOOK_STATE, _NEW_VERSION)
        s["events"][at]["instrument"] = instrument
        s["events"][at]["version"] = s["instruments"][instrument]["version"]
        s["events"][at]["aux"] = _EMPTY


@kernel
def is_pending(s: Record, event: Record) -> bool:
    """True when the version that an INSTRUMENT event is about is the pending one already."""
    pending = s["pending_definitions"][event["instrument"]]
    return bool(pending["defined"] != 0 and pending["version"] == event["qty"])


@kernel
def restore_instrument(s: Record, event: Record) -> None:
    """Take over an INSTRUMENT event of the journal; the definition that it is about is in ``incoming_definition``.

    SWITCHING makes that the pending one, TRADING puts the pending one in force, as ``put_in_force`` did live; where
    that is so already the event only said how things stood (``tell_anew``).
    """
    instrument = event["instrument"]
    state = event["aux"]
    if state == _TRADING:
        if event["px"] != s["instruments"][instrument]["version"]:
            put_in_force(s, instrument)
        return
    if state == _SWITCHING:
        if not is_changing(s, instrument):
            s["switching"] += 1
        if not is_pending(s, event):
            keep_numbers(s["incoming_definition"][0], s["instruments"][instrument])
            s["pending_definitions"][instrument] = s["incoming_definition"][0]
        s["blocked_by"][instrument] = 0
    elif state == _OFF_GRID:
        s["blocked_by"][instrument] = find_blocking(s, instrument) + 1
    elif state == _EXPIRED:
        drop_pending(s, instrument)
    s["instrument_states"][instrument] = state
