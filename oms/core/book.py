"""The L2 book: price levels in ticks and lots, exact over the whole price range.

Levels near the market lie in a dense window, so that an update is one store; levels farther out lie in a hash table.
The window follows the market. One message (FIRST to LAST) is applied or skipped as a whole, by its update ids: a
message that does not follow the last one makes the book STALE until the next snapshot.

A level that appears at or through the other side's best price hides the other side's levels up to it: the newest word
counts (hftbacktest's rule; see ``backtest/matching``). Hidden levels stay stored and leave when the feed removes them.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import clear_record, copy_record, kernel, market_kernel
from oms.core.state import (
    ASK,
    BID,
    BOOK_FAR,
    BOOK_WINDOW,
    FAR_ROWS,
    MAX_FAR_ROWS,
    MAX_LEVEL_QTY,
    MAX_PX,
    NO_ASK,
    NO_BID,
    Record,
    State,
)
from oms.records import CASH_SCALE, BookState, Reason, TickFlag, TickKind

_MASK: Final = BOOK_WINDOW - 1
_EDGE: Final = BOOK_WINDOW // 8
_FAR_MASK: Final = FAR_ROWS - 1
_SPREAD: Final = 40_503
_SHIFT: Final = 6
"""Far prices are mostly round: their hash is the middle of their product with an odd number."""
_EMPTY: Final = int(BookState.EMPTY)
_SYNCED: Final = int(BookState.SYNCED)
_STALE: Final = int(BookState.STALE)
_FIRST: Final = int(TickFlag.FIRST)
_LAST: Final = int(TickFlag.LAST)
_DEPTH: Final = int(TickKind.DEPTH)
_TRADE: Final = int(TickKind.TRADE)
_QUOTE: Final = int(TickKind.QUOTE)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_STALE_TICK: Final = int(TickKind.STALE)
_MARK: Final = int(TickKind.MARK)
_FUNDING: Final = int(TickKind.FUNDING)
_BAR: Final = int(TickKind.BAR)
_REASON_GAP: Final = int(Reason.SEQUENCE_GAP)
_REASON_SNAPSHOT: Final = int(Reason.SNAPSHOT)
_NONE: Final = int(Reason.NONE)


@market_kernel
def in_range(px: int, qty: int, lowest: int) -> bool:
    """True when a price (``lowest`` and up) and a quantity can be a market's."""
    return bool(lowest <= px <= MAX_PX and 0 <= qty <= MAX_LEVEL_QTY)


@kernel
def is_sound_bar(bar: Record) -> bool:
    """True for a bar whose open and close lie between its low and its high."""
    low = bar["update_id"]
    high = bar["qty_2"]
    inner = min(bar["px"], bar["px_2"]), max(bar["px"], bar["px_2"])
    return bool(in_range(low, bar["qty"], 1) and high <= MAX_PX and low <= inner[0] and inner[1] <= high)


@kernel
def is_sound(tick: Record) -> bool:
    """True for a record that a market can have sent; a level of side 0 says only that a message came."""
    kind = tick["kind"]
    side = tick["side"]
    if kind == _DEPTH or kind == _SNAPSHOT:
        return bool(side == 0 or (-1 <= side <= 1 and in_range(tick["px"], tick["qty"], 1)))
    if kind == _TRADE:
        return bool(-1 <= side <= 1 and tick["qty"] > 0 and in_range(tick["px"], tick["qty"], 1))
    if kind == _QUOTE:
        return in_range(tick["px"], tick["qty"], 0) and in_range(tick["px_2"], tick["qty_2"], 0)
    if kind == _BAR:
        return is_sound_bar(tick)
    if kind == _MARK:
        return in_range(tick["px"], 0, 0) and in_range(tick["px_2"], 0, 0)
    if kind == _FUNDING:
        return bool(-CASH_SCALE <= tick["qty"] <= CASH_SCALE)
    return bool(kind == _STALE_TICK)


@kernel
def no_price(k: int) -> int:
    """The best price of an empty side: ``NO_BID`` for k = BID, ``NO_ASK`` for k = ASK."""
    return NO_BID if k == BID else NO_ASK


@kernel
def far_row(book: Record, k: int, px: int) -> int:
    """Row of a far level of side ``k``, or the free row that it would take."""
    row = (px * _SPREAD >> _SHIFT) & _FAR_MASK
    while book["far"][k, row]["px"] != px and book["far"][k, row]["px"] != 0:
        row = (row + 1) & _FAR_MASK
    return row


@kernel
def squeeze_far(book: Record, k: int) -> None:
    """Give up the far rows of side ``k`` that hold no quantity: the others are entered anew."""
    kept = 0
    for row in range(FAR_ROWS):
        level = book["far"][k, row]
        if level["qty"] > 0:
            copy_record(book["far_kept"][kept], level)
            kept += 1
        clear_record(level)
    for i in range(kept):
        level = book["far_kept"][i]
        copy_record(book["far"][k, far_row(book, k, level["px"])], level)
    book["far_used"][k] = kept


@kernel
def far_next(book: Record, k: int, px: int, direction: int) -> int:
    """Nearest far level of side ``k`` beyond ``px`` in ``direction``, or the side's no-price."""
    found = no_price(k)
    nearest = NO_ASK
    if book["far_count"][k] == 0:
        return found
    for row in range(FAR_ROWS):
        level = book["far"][k, row]
        away = (level["px"] - px) * direction
        if level["qty"] > 0 and 0 < away < nearest:
            nearest = away
            found = level["px"]
    return found


@kernel
def drop_farthest(book: Record, k: int, px: int) -> bool:
    """Give up the far level farthest out, for ``px`` to come in; False when that is ``px`` itself."""
    book["dropped"] += 1
    direction = 1 - 2 * k
    farthest = px
    for row in range(FAR_ROWS):
        level = book["far"][k, row]
        if level["qty"] > 0 and (level["px"] - farthest) * direction > 0:
            farthest = level["px"]
    if farthest == px:
        return False
    book["far"][k, far_row(book, k, farthest)]["qty"] = 0
    book["far_count"][k] -= 1
    return True


@kernel
def far_set(book: Record, k: int, px: int, qty: int) -> int:
    """Set one far level and return its quantity before. When there are too many the one farthest out is given up.

    A level that is removed leaves its row behind, empty: prices come again.
    """
    level = book["far"][k, far_row(book, k, px)]
    is_there = level["px"] == px
    previous = level["qty"]
    if previous > 0 or qty <= 0:
        if is_there:
            level["qty"] = qty
            book["far_count"][k] -= int(qty <= 0 < previous)
        return previous
    if book["far_count"][k] == BOOK_FAR and not drop_farthest(book, k, px):
        return 0
    if not is_there:
        if book["far_used"][k] == MAX_FAR_ROWS:
            squeeze_far(book, k)
            level = book["far"][k, far_row(book, k, px)]
        level["px"] = px
        book["far_used"][k] += 1
    level["qty"] = qty
    book["far_count"][k] += 1
    return 0


@kernel
def level_qty(book: Record, side: int, px: int) -> int:
    """Displayed lots of ``side`` at ``px``; hidden levels included."""
    k = (side + 1) >> 1
    if book["base"] <= px < book["base"] + BOOK_WINDOW:
        return book["qty"][k, px & _MASK]
    return book["far"][k, far_row(book, k, px)]["qty"]


@kernel
def next_occupied(book: Record, k: int, px: int, direction: int) -> int:
    """Nearest occupied price of side ``k`` beyond ``px`` in ``direction`` (+1 up, -1 down), or the side's no-price."""
    base = book["base"]
    end = base + BOOK_WINDOW
    found = no_price(k)
    near = False
    if book["occupied"][k] > 0:
        quantities = book["qty"][k]
        at = max(px + 1, base) if direction > 0 else min(px - 1, end - 1)
        while base <= at < end:
            if quantities[at & _MASK] > 0:
                found = at
                near = True
                break
            at += direction
    if near and base <= px < end:
        return found  # what is far lies beyond it
    far = far_next(book, k, px, direction)
    if far == no_price(k) or (near and (found - far) * direction < 0):
        return found
    return far


@kernel
def move_window(book: Record, px: int) -> None:
    """Centre the dense window on ``px``: what leaves goes to the far lists, what enters comes from there."""
    old = book["base"]
    new = px - BOOK_WINDOW // 2
    for k in range(2):
        quantities = book["qty"][k]
        for at in range(old, old + BOOK_WINDOW):
            if new <= at < new + BOOK_WINDOW:
                continue
            qty = quantities[at & _MASK]
            if qty > 0:
                quantities[at & _MASK] = 0
                book["occupied"][k] -= 1
                far_set(book, k, at, qty)
        for row in range(FAR_ROWS if book["far_count"][k] > 0 else 0):
            level = book["far"][k, row]
            at = level["px"]
            if new <= at < new + BOOK_WINDOW and level["qty"] > 0:
                quantities[at & _MASK] = level["qty"]
                level["qty"] = 0
                book["far_count"][k] -= 1
                book["occupied"][k] += 1
    book["base"] = new


@kernel
def move_level(book: Record, side: int, px: int, qty: int) -> int:
    """``set_level`` for a level that is far, that comes to or through a best price, or that was one."""
    k = (side + 1) >> 1
    if book["base"] <= px < book["base"] + BOOK_WINDOW:
        at = px & _MASK
        previous = book["qty"][k, at]
        book["qty"][k, at] = qty
        book["occupied"][k] += int(qty > 0) - int(previous > 0)
    else:
        previous = far_set(book, k, px, qty)
    best = book["best"]
    if qty > 0:
        if (px - best[k]) * side > 0:
            best[k] = px
            if not book["base"] + _EDGE <= px < book["base"] + BOOK_WINDOW - _EDGE:
                move_window(book, px)
        if (best[1 - k] - px) * side <= 0:
            book["crossed"] += 1
            best[1 - k] = next_occupied(book, 1 - k, px, side)
    elif px == best[k]:
        best[k] = next_occupied(book, k, px, -side)
    return previous


@market_kernel
def set_level(book: Record, side: int, px: int, qty: int) -> int:
    """Set the displayed quantity of one level, move the touch, and return the quantity before.

    Most levels lie behind the best price: they change nothing else, and go one way without a branch.
    """
    k = (side + 1) >> 1
    behind = (px - book["best"][k]) * side + int(qty <= 0) <= 0
    if behind & (0 <= px - book["base"] < BOOK_WINDOW):
        at = px & _MASK
        previous = book["qty"][k, at]
        book["qty"][k, at] = qty
        book["occupied"][k] += int(qty > 0) - int(previous > 0)
        return previous
    return move_level(book, side, px, qty)


@kernel
def clear_book(book: Record, around_px: int) -> None:
    """Remove every level and centre the window on ``around_px``."""
    for k in range(2):
        if book["occupied"][k] > 0:
            quantities = book["qty"][k]
            for at in range(BOOK_WINDOW):
                quantities[at] = 0
        if book["far_used"][k] > 0:
            for row in range(FAR_ROWS):
                clear_record(book["far"][k, row])
        book["occupied"][k] = 0
        book["far_count"][k] = 0
        book["far_used"][k] = 0
        book["best"][k] = no_price(k)
    book["base"] = around_px - BOOK_WINDOW // 2


@kernel
def empty_book(book: Record, half_ticks: int) -> None:
    """Forget every level and price of an old version; ``half_ticks`` on the new one values what is held until then."""
    clear_book(book, half_ticks // 2)
    book["state"] = _EMPTY
    book["skipping"] = 1
    book["update_id"] = 0
    book["trade_px"] = 0
    book["trade_qty"] = 0
    book["mark_px"] = 0
    book["index_px"] = 0
    for k in range(2):
        book["quote_px"][k] = 0
        book["quote_qty"][k] = 0
    book["carried_half_ticks"] = half_ticks


@kernel
def begin_message(book: Record, tick: Record) -> int:
    """Decide by its update ids whether a message is applied; returns the Reason of a change of the book's state.

    A message is applied when it follows or overlaps the last one: ``px_2`` (the id before it) <= last id <= its own id
    (Binance's rule for a local book, stated once for spot and futures). An older one is passed over.
    """
    if tick["kind"] == _SNAPSHOT:
        clear_book(book, tick["px"])
        book["skipping"] = 0
        book["update_id"] = tick["update_id"]
        return _NONE
    book["skipping"] = 1
    if book["state"] != _SYNCED or tick["update_id"] < book["update_id"]:
        return _NONE
    if tick["px_2"] > book["update_id"]:
        book["gaps"] += 1
        book["state"] = _STALE
        return _REASON_GAP
    book["skipping"] = 0
    return _NONE


@kernel
def end_message(book: Record, tick: Record) -> int:
    """Take note of an applied message's id; returns the Reason of a change of the book's state."""
    if book["skipping"] != 0:
        return _NONE
    book["update_id"] = tick["update_id"]
    if tick["kind"] == _SNAPSHOT and book["state"] != _SYNCED:
        book["state"] = _SYNCED
        return _REASON_SNAPSHOT
    return _NONE


@kernel
def apply_depth(s: Record, book: Record, tick: Record) -> int:
    """Apply one DEPTH or SNAPSHOT record to a book; ``s['change']`` tells what it changed.

    Returns the Reason of a change of the book's state (SEQUENCE_GAP, SNAPSHOT), or NONE; -1 when the record was not
    applied.
    """
    flags = tick["flags"]
    reason = _NONE
    if flags & _FIRST:
        reason = begin_message(book, tick)
    if book["skipping"] != 0:
        return reason if reason != _NONE else -1
    change = s["change"]
    change["best"][BID] = book["best"][BID]
    change["best"][ASK] = book["best"][ASK]
    if tick["side"] != 0:
        change["previous_qty"] = set_level(book, tick["side"], tick["px"], tick["qty"])
    book["exch_ts"] = tick["exch_ts"]
    book["local_ts"] = tick["local_ts"]
    if flags & _LAST:
        reason = end_message(book, tick)
    return reason


@kernel
def is_tradable(book: Record) -> bool:
    """True when the book is in step with the venue."""
    return bool(book["state"] == _SYNCED)


@kernel
def best_bid(st: State, instrument: int) -> int:
    """Best bid in ticks; ``NO_BID`` when there is none."""
    return st[0]["books"][instrument]["best"][BID]


@kernel
def best_ask(st: State, instrument: int) -> int:
    """Best ask in ticks; ``NO_ASK`` when there is none."""
    return st[0]["books"][instrument]["best"][ASK]


@kernel
def mid_half_ticks(book: Record) -> int:
    """Twice the mid price in ticks; twice the last trade's when a side is empty; 0 when there is no price at all.

    Right after a new version, until it has a price of its own, it is the old version's.
    """
    bid = book["best"][BID]
    ask = book["best"][ASK]
    if bid != NO_BID and ask != NO_ASK:
        return bid + ask
    return 2 * book["trade_px"] if book["trade_px"] > 0 else book["carried_half_ticks"]
