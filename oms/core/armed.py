"""Orders that wait for a price: the list of each instrument's, and the prices between which none has to be looked at.

A trigger fires on the rise or on the fall of the price that it watches: with ``sign`` = +1 at or above ``trigger_px``,
with -1 at or below. A stop's sign is its side, a take-profit's the other. A trailing stop's trigger follows the price
at its distance, in the direction that tightens it alone.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import kernel
from oms.core.state import NO_ASK, NO_BID, Record
from oms.records import TrailUnit, Trigger, TriggerSource

_TAKE_PROFIT: Final = int(Trigger.TAKE_PROFIT)
_TRAILING: Final = int(Trigger.TRAILING)
_LAST: Final = int(TriggerSource.LAST)
_MARK: Final = int(TriggerSource.MARK)
_INDEX: Final = int(TriggerSource.INDEX)
_BASIS_POINTS: Final = int(TrailUnit.BASIS_POINTS)
_SOURCES: Final = len(TriggerSource)
_BASIS: Final = 10_000


@kernel
def watched_px(book: Record, source: int, side: int) -> int:
    """The price that a trigger watches, in ticks; 0 when there is none."""
    if source == _LAST:
        return book["trade_px"]
    if source == _MARK:
        return book["mark_px"]
    if source == _INDEX:
        return book["index_px"]
    px = book["best"][(1 - side) >> 1]
    return 0 if px == NO_ASK or px == NO_BID else px


@kernel
def sign_of(order: Record) -> int:
    """+1 when the order fires on a rise of the price, -1 when on a fall."""
    return -order["side"] if order["trigger"] == _TAKE_PROFIT else order["side"]


@kernel
def distance(order: Record, px: int) -> int:
    """Ticks between the price and a trailing trigger set at it."""
    if order["trail_unit"] != _BASIS_POINTS:
        return order["trail"]
    return max(px * order["trail"] // _BASIS, 1)


@kernel
def trailed_px(order: Record, px: int) -> int:
    """Where a trailing trigger belongs at a price of ``px``: the tighter of its place and that at its distance."""
    candidate = max(px + order["side"] * distance(order, px), 1)
    held = order["trigger_px"]
    if held == 0 or (held - candidate) * order["side"] > 0:
        return candidate
    return held


@kernel
def is_reached(order: Record, px: int) -> bool:
    """True when ``px`` fires the order."""
    trigger_px = order["trigger_px"]
    return bool(px > 0 and trigger_px > 0 and (px - trigger_px) * sign_of(order) >= 0)


@kernel
def _widen(lists: Record, order: Record) -> None:
    """Bring the wake thresholds to what one more order needs."""
    trigger_px = order["trigger_px"]
    if order["held_for"] == 0 or trigger_px == 0:
        lists["due"] = 1  # it may leave, or has no place yet: any price concerns it
        return
    at = 2 * (order["trigger_source"] - 1) + ((order["side"] + 1) >> 1)
    above = lists["wake_above"]
    below = lists["wake_below"]
    if sign_of(order) > 0:
        above[at] = min(above[at], trigger_px)
    else:
        below[at] = max(below[at], trigger_px)
    if order["trigger"] != _TRAILING:
        return
    # The price at which the trigger would be where it is; a better one moves it.
    if order["trail_unit"] != _BASIS_POINTS:
        start = trigger_px - order["side"] * order["trail"]
    else:
        start = trigger_px * _BASIS // (_BASIS + order["side"] * order["trail"]) + order["side"]
    if order["side"] > 0:
        below[at] = max(below[at], start - 1)
    else:
        above[at] = min(above[at], start + 1)


@kernel
def renew_thresholds(s: Record, instrument: int) -> None:
    """Compute the wake thresholds anew from the orders that wait."""
    lists = s["order_lists"][instrument]
    lists["due"] = 0
    for i in range(2 * _SOURCES):
        lists["wake_above"][i] = NO_ASK
        lists["wake_below"][i] = NO_BID
    slot = lists["armed_head"]
    while slot >= 0:
        _widen(lists, s["orders"][slot])
        slot = s["orders"][slot]["next_armed"]


@kernel
def concerns(lists: Record, book: Record) -> bool:
    """True when a price has left the range in which no order that waits has to be looked at."""
    if lists["due"] != 0:
        return True
    for source in range(1, _SOURCES + 1):
        for side in (-1, 1):
            px = watched_px(book, source, side)
            at = 2 * (source - 1) + ((side + 1) >> 1)
            if px > 0 and (px >= lists["wake_above"][at] or px <= lists["wake_below"][at]):
                return True
    return False


@kernel
def arm(s: Record, slot: int) -> None:
    """Let an order wait for its price, or for the moment at which it may leave."""
    orders = s["orders"]
    order = orders[slot]
    lists = s["order_lists"][order["instrument"]]
    if order["armed"] == 0:
        head = lists["armed_head"]
        order["armed"] = 1
        order["next_armed"] = head
        order["prev_armed"] = -1
        if head >= 0:
            orders[head]["prev_armed"] = slot
        lists["armed_head"] = slot
    _widen(lists, order)


@kernel
def disarm(s: Record, slot: int) -> None:
    """Take an order out of the list; the thresholds may stay too narrow, never too wide."""
    orders = s["orders"]
    order = orders[slot]
    if order["armed"] == 0:
        return
    order["armed"] = 0
    before = order["prev_armed"]
    following = order["next_armed"]
    if before >= 0:
        orders[before]["next_armed"] = following
    else:
        s["order_lists"][order["instrument"]]["armed_head"] = following
    if following >= 0:
        orders[following]["prev_armed"] = before
