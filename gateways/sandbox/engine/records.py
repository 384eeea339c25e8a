"""What goes into the matching engine and comes out of it, and its whole state as one record.

Prices are in ticks, quantities in lots, times in ns; a side is +1 (buy, bid) or -1 (sell, ask).
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np
import numpy.typing as npt

State = npt.NDArray[np.void]
Record = Any
"""A row of a table of the state, or the state itself: the compiler knows its fields."""


class OperationKind(IntEnum):
    PLACE = 1
    CANCEL = 2
    """Of ``order_id``, by its own ``account``."""
    AMEND = 3
    """The order is now for ``qty`` lots in all, what it has filled included, at ``px``."""


class OperationFlag(IntFlag):
    POST_ONLY = 1
    """The order must not take."""
    KEEP_PRIORITY = 2
    """AMEND: where only the quantity falls, the order keeps its place."""
    EXPIRE_TAKER = 4
    """An order that would trade with one of its own account expires instead; a FOK order trades."""
    EXPIRE_MAKER = 8
    """The resting order of the same account expires instead."""
    EXPIRE_BOTH = EXPIRE_TAKER | EXPIRE_MAKER


class OutcomeKind(IntEnum):
    ACCEPTED = 1
    REJECTED = 2
    """The operation had no effect; an order that it was about stays as it was."""
    FILL = 3
    AMENDED = 4
    CANCELLED = 5
    EXPIRED = 6


OPERATION = np.dtype(
    [
        ("order_id", "<i8"),  # the caller's, above 0, unique among open orders
        ("px", "<i8"),  # of a LIMIT order
        ("qty", "<i8"),
        ("ts", "<i8"),
        ("account", "<i4"),
        ("kind", "u1"),  # OperationKind
        ("side", "i1"),  # PLACE
        ("order_type", "u1"),  # PLACE: OrderType
        ("tif", "u1"),  # PLACE: TimeInForce, GTC, IOC or FOK
        ("flags", "u1"),  # OperationFlag
    ]
)
"""A request, 41 bytes."""

OUTCOME = np.dtype(
    [
        ("order_id", "<i8"),
        ("px", "<i8"),  # FILL: of the trade, which is the resting order's; else the order's own, 0: at the market
        ("qty", "<i8"),  # FILL: of this fill; CANCELLED, EXPIRED: what was open until now; else the order's in all
        ("left", "<i8"),  # still open
        ("trade_id", "<i8"),  # FILL: both sides of a trade have the same
        ("ts", "<i8"),  # of the operation, or the exchange's of the market data record
        ("account", "<i4"),
        ("kind", "u1"),  # OutcomeKind
        ("reason", "u1"),  # Reason
        ("side", "i1"),
        ("liquidity", "u1"),  # FILL: Liquidity
    ]
)
"""What became of an order, 56 bytes."""

QUANTITY_AT = np.dtype([("px", "<i8"), ("qty", "<i8")])
"""Visible lots at a price, 16 bytes."""

PRICE_BITS: Final = 24
WINDOW: Final = 1 << PRICE_BITS
"""Prices, from ``base`` on, at which there can be levels."""

WORD_BITS: Final = 6
TIERS: Final = PRICE_BITS // WORD_BITS
TIER_STARTS: Final = np.cumsum([0] + [(WINDOW >> WORD_BITS * (tier + 1)) + 1 for tier in range(TIERS)])
"""First word of each tier of the index of occupied prices; one empty word ends a tier."""

MAX_ORDERS: Final = 1 << 16
"""Open orders."""
MAX_LEVELS: Final = 1 << 15
"""Prices with a displayed quantity or an order, both sides together."""
ID_INDEX: Final = 2 * MAX_ORDERS
MAX_QTY: Final = 1 << 40
"""Lots of one order or displayed at one level: sums of them cannot overflow."""

OUTCOMES_OF_ONE: Final = 3 * MAX_ORDERS + MAX_LEVELS + 2
"""Outcomes that one operation can have at most: it takes all orders, two for each, and the background ahead of each and
behind the last of a level."""
MAX_OUTCOMES: Final = 2 * OUTCOMES_OF_ONE

ORDER = np.dtype(
    [
        ("order_id", "<i8"),
        ("qty", "<i8"),  # in all
        ("left", "<i8"),
        ("gap", "<i8"),  # lots of the background between the order before it and itself
        ("px", "<i8"),
        ("account", "<i4"),
        ("level", "<i4"),
        ("next", "<i4"),  # at its level, by time; of a free row: the next free one
        ("prev", "<i4"),
        ("flags", "u1"),  # OperationFlag
        ("side", "i1"),
        ("spare", "u1", (6,)),
    ]
)
"""An order, 64 bytes. Row 0 is the one in hand, which does not rest; as a link it means none."""

LEVEL = np.dtype(
    [
        ("displayed", "<i8"),  # lots of the background, as last stated
        ("taken", "<i8"),  # lots of those that orders have taken since
        ("ahead", "<i8"),  # lots of the background ahead of the last order: the sum of the gaps
        ("own", "<i8"),  # lots of the orders
        ("rank", "<i4"),
        ("first", "<i4"),  # orders, by time
        ("last", "<i4"),
        ("next_free", "<i4"),
        ("side", "i1"),  # 0: the row is free
        ("spare", "u1", (7,)),
    ]
)
"""One price of one side, 56 bytes. Row 0 is none."""

STATE = np.dtype(
    [
        ("base", "<i8"),  # lowest price of the window
        ("ts", "<i8"),  # of what is being done
        ("trades", "<i8"),  # own trades so far: the last one's id
        ("last_px", "<i8"),  # of the last trade, own or recorded; 0: there was none
        ("last_qty", "<i8"),
        ("outcome_count", "<i8"),
        ("order_count", "<i8"),
        ("level_count", "<i8"),
        ("free_order", "<i8"),  # first row that has been given back; 0: none
        ("free_level", "<i8"),
        ("used_orders", "<i8"),  # rows ever used
        ("used_levels", "<i8"),
        ("synced", "<i8"),  # 1: the background follows its stream
        ("skipping", "<i8"),  # 1: the message in hand is not applied
        ("update_id", "<i8"),  # of the last message applied
        ("gaps", "<i8"),  # messages that did not follow their predecessor
        ("levels_dropped", "<i8"),  # records of levels for which there was no room, or outside the window
        ("outcomes", OUTCOME, (MAX_OUTCOMES,)),
        ("orders", ORDER, (MAX_ORDERS + 1,)),
        ("order_index", "<i4", (ID_INDEX,)),  # row of an order; 0: free
        ("levels", LEVEL, (MAX_LEVELS + 1,)),
        ("occupied", "<i8", (2, int(TIER_STARTS[-1]))),  # see ``prices``
        ("level_at", "<i4", (2, WINDOW)),  # row of the level at a rank; 0: none
    ]
)
"""All of one instrument. Most of its 170 MB is never touched and takes no memory."""

assert OPERATION.itemsize == 41
assert OUTCOME.itemsize == 56
assert ORDER.itemsize == 64
assert LEVEL.itemsize == 56
