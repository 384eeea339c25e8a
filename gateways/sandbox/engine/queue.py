"""Levels and their queues: orders by time, with the background's quantity between them.

At one price stand, in this order, the first order's gap, the first order, the second order's gap, and so on, and last
what is displayed beyond all gaps. A gap is quantity of the background that came before its order and after the one
ahead of it. What an order that leaves had ahead of it is then ahead of the next one.
"""

from __future__ import annotations

from typing import Final

from gateways.sandbox.engine.prices import mark, px_of, rank_of, side_row, unmark
from gateways.sandbox.engine.records import ID_INDEX, MAX_LEVELS, MAX_ORDERS, Record
from oms.compiled import copy_record, hot_kernel

IN_HAND: Final = 0
"""Row of the order in hand."""

_MASK: Final = ID_INDEX - 1
_LOW_31_BITS: Final = (1 << 31) - 1
_KNUTH: Final = 2_654_435_769
_SHIFT: Final = 15


@hot_kernel
def home_of(order_id: int) -> int:
    """First position of an order id in the index."""
    return ((order_id ^ (order_id >> 31)) & _LOW_31_BITS) * _KNUTH >> _SHIFT & _MASK


@hot_kernel
def index_position(s: Record, order_id: int) -> int:
    """Position of an order id in the index, or the free one that it would take."""
    index = s["order_index"]
    at = home_of(order_id)
    while index[at] != 0 and s["orders"][index[at]]["order_id"] != order_id:
        at = (at + 1) & _MASK
    return at


@hot_kernel
def find_order(s: Record, order_id: int) -> int:
    """Row of an open order; 0: there is none."""
    return s["order_index"][index_position(s, order_id)]


@hot_kernel
def forget_id(s: Record, order_id: int) -> None:
    """Take an order id out of the index; those behind it that would not be found any more move up."""
    index = s["order_index"]
    hole = index_position(s, order_id)
    at = hole
    while True:
        at = (at + 1) & _MASK
        if index[at] == 0:
            break
        home = home_of(s["orders"][index[at]]["order_id"])
        if (at - home) & _MASK >= (at - hole) & _MASK:
            index[hole] = index[at]
            hole = at
    index[hole] = 0


@hot_kernel
def find_level(s: Record, side: int, rank: int) -> int:
    """Row of a level; 0: there is none."""
    return s["level_at"][side_row(side), rank]


@hot_kernel
def make_level(s: Record, side: int, rank: int) -> int:
    """Row of a level, new where there is none; 0: there is no room."""
    row = find_level(s, side, rank)
    if row != 0:
        return row
    row = s["free_level"]
    if row != 0:
        s["free_level"] = s["levels"][row]["next_free"]
    elif s["used_levels"] < MAX_LEVELS:
        s["used_levels"] += 1
        row = s["used_levels"]
    else:
        return 0
    level = s["levels"][row]
    level["displayed"] = level["taken"] = level["ahead"] = level["own"] = 0
    level["first"] = level["last"] = 0
    level["rank"] = rank
    level["side"] = side
    s["level_at"][side_row(side), rank] = row
    s["level_count"] += 1
    return row


@hot_kernel
def available_qty(level: Record) -> int:
    """Lots of the background that can be taken."""
    return level["displayed"] - level["taken"]


@hot_kernel
def visible_qty(level: Record) -> int:
    """Lots of background and orders."""
    return available_qty(level) + level["own"]


@hot_kernel
def settle(s: Record, row: int) -> None:
    """Whether there is quantity at a level has perhaps changed; a level without any use is given up."""
    level = s["levels"][row]
    if visible_qty(level) > 0:
        mark(s, level["side"], level["rank"])
        return
    unmark(s, level["side"], level["rank"])
    if level["displayed"] == 0:
        s["level_at"][side_row(level["side"]), level["rank"]] = 0
        level["side"] = 0
        level["next_free"] = s["free_level"]
        s["free_level"] = row
        s["level_count"] -= 1


@hot_kernel
def has_room(s: Record, side: int, px: int) -> bool:
    """True when one more order can rest at a price."""
    has_level = s["level_count"] < MAX_LEVELS or find_level(s, side, rank_of(s, side, px)) != 0
    return bool(s["order_count"] < MAX_ORDERS and has_level)


@hot_kernel
def join(s: Record, slot: int) -> None:
    """Put an order at the end of the queue at its price; there is room."""
    order = s["orders"][slot]
    row = make_level(s, order["side"], rank_of(s, order["side"], order["px"]))
    level = s["levels"][row]
    order["gap"] = max(available_qty(level) - level["ahead"], 0)
    order["level"] = row
    order["next"] = 0
    order["prev"] = level["last"]
    s["orders"][level["last"]]["next"] = slot
    if level["first"] == 0:
        level["first"] = slot
    level["last"] = slot
    level["ahead"] += order["gap"]
    level["own"] += order["left"]
    settle(s, row)


@hot_kernel
def keep(s: Record) -> None:
    """Let the order in hand rest: it takes a row of its own; there is room."""
    slot = s["free_order"]
    if slot != 0:
        s["free_order"] = s["orders"][slot]["next"]
    else:
        s["used_orders"] += 1
        slot = s["used_orders"]
    copy_record(s["orders"][slot], s["orders"][IN_HAND])
    s["order_index"][index_position(s, s["orders"][slot]["order_id"])] = slot
    s["order_count"] += 1
    join(s, slot)


@hot_kernel
def leave(s: Record, slot: int) -> None:
    """Take an order out of its queue."""
    order = s["orders"][slot]
    level = s["levels"][order["level"]]
    following = order["next"]
    if following != 0:
        s["orders"][following]["gap"] += order["gap"]
        s["orders"][following]["prev"] = order["prev"]
    else:
        level["ahead"] -= order["gap"]
        level["last"] = order["prev"]
    if order["prev"] != 0:
        s["orders"][order["prev"]]["next"] = following
    else:
        level["first"] = following
    level["own"] -= order["left"]
    settle(s, order["level"])


@hot_kernel
def give_up(s: Record, slot: int) -> None:
    """Forget an order that is in no queue. Its row still says what it was, until the next order rests."""
    order = s["orders"][slot]
    forget_id(s, order["order_id"])
    s["order_count"] -= 1
    order["next"] = s["free_order"]
    s["free_order"] = slot


@hot_kernel
def remove(s: Record, slot: int) -> None:
    """Take an order out of its queue and forget it."""
    leave(s, slot)
    give_up(s, slot)


@hot_kernel
def reduce(s: Record, slot: int, qty: int) -> None:
    """Take lots off an order where it stands; one of which nothing is left is removed."""
    order = s["orders"][slot]
    order["left"] -= qty
    s["levels"][order["level"]]["own"] -= qty
    if order["left"] == 0:
        remove(s, slot)


@hot_kernel
def pass_gap(s: Record, slot: int, qty: int) -> None:
    """Lots ahead of an order have gone."""
    order = s["orders"][slot]
    order["gap"] -= qty
    s["levels"][order["level"]]["ahead"] -= qty


@hot_kernel
def cap_ahead(s: Record, level: Record) -> None:
    """No more of the background is ahead than is displayed: what has left stood as far back as it can have."""
    slot = level["last"]
    while level["ahead"] > level["displayed"]:
        over = min(level["ahead"] - level["displayed"], s["orders"][slot]["gap"])
        pass_gap(s, slot, over)
        slot = s["orders"][slot]["prev"]


@hot_kernel
def level_px(s: Record, level: Record) -> int:
    """The price of a level."""
    return px_of(s, level["side"], level["rank"])
