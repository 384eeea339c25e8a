"""What each reason code means, in words; ``docs/reasons.md`` is made from this table."""

from __future__ import annotations

from typing import Final

from oms.records import Reason

GROUPS: Final = (
    (
        "Refused before the exchange",
        "Pre-trade risk, or the form of the request. The order never left; the event is ORDER_REFUSED.",
        range(1, 40),
    ),
    (
        "The exchange's answer",
        "The event is ORDER_REJECTED, ORDER_EXPIRED, AMEND_REJECTED or CANCEL_REJECTED.",
        range(40, 50),
    ),
    (
        "Not applied",
        "A report or a message that was counted and passed over; everything else went on. A report's event is "
        "REPORT_IGNORED.",
        range(50, 60),
    ),
    ("Halts and books", "Why trading, a strategy or a book changed its state.", range(60, 100)),
)
"""Title, explanation and code numbers of each group of reasons."""

MEANINGS: Final = {
    Reason.NONE: "Nothing was wrong.",
    Reason.UNKNOWN_INSTRUMENT: "No instrument of that id is defined in the settings.",
    Reason.UNKNOWN_ACCOUNT: "No such account in this session.",
    Reason.UNKNOWN_STRATEGY: "No strategy of that number runs.",
    Reason.LIMIT_MISSING: "The instrument has no `[risk.…]` table. Without limits nothing is traded.",
    Reason.TRADING_HALTED: "The account is HALTED: only cancels pass. `zoms resume` sets it ACTIVE.",
    Reason.TRADING_REDUCING: "The account is REDUCING: only orders that shrink the position pass.",
    Reason.STRATEGY_STOPPED: "The strategy that asks has been halted.",
    Reason.BAD_SIDE: "The side is neither buy (+1) nor sell (-1).",
    Reason.BAD_ORDER_TYPE: "The order type is neither limit nor market.",
    Reason.BAD_TIME_IN_FORCE: "The time in force does not go with the order type: a market order is IOC or FOK.",
    Reason.BAD_FLAGS: "The flags do not go together: post-only is for limit orders that rest (GTC).",
    Reason.BAD_PRICE: "The price is not above zero, too large, or not on the instrument's tick.",
    Reason.QTY_BELOW_MIN: "The quantity is below the instrument's `min_qty`, or not on its lot.",
    Reason.QTY_ABOVE_MAX: "The quantity is above `max_order_qty`, or above the instrument's `max_qty`.",
    Reason.NOTIONAL_BELOW_MIN: "Price times quantity is below the instrument's `min_notional`.",
    Reason.NOTIONAL_ABOVE_MAX: "Price times quantity is above `max_order_notional`.",
    Reason.PRICE_COLLAR: "The price is farther from the market than `price_collar`.",
    Reason.NO_PRICE: "The book has no price to measure the order against.",
    Reason.BOOK_STALE: "The book has no snapshot yet, or lost its place in the stream.",
    Reason.POSITION_LIMIT: "With this order and all that is open, the position could exceed `max_position`.",
    Reason.OPEN_ORDER_LIMIT: "The instrument has `max_open_orders` open already.",
    Reason.ORDER_RATE: "More requests than `max_orders_per_second` allows.",
    Reason.ORDER_TABLE_FULL: "The core's table of orders is full of open ones.",
    Reason.DUPLICATE_ORDER_ID: "An order of that id exists.",
    Reason.UNKNOWN_ORDER: "No order of that id is known.",
    Reason.ORDER_NOT_OPEN: "The order is filled, cancelled, rejected or expired.",
    Reason.REQUEST_IN_FLIGHT: "An amend or a cancel of this order is under way.",
    Reason.OVERFLOW: "The amount does not fit into 64 bits, so it cannot be computed exactly.",
    Reason.REDUCE_ONLY: "A reduce-only order would not shrink the position.",
    Reason.BAD_COMMAND: "The command is of no kind that the core knows.",
    Reason.NOT_OWNER: "The order belongs to another client or strategy.",
    Reason.OUTPUT_FULL: "The core's output of this step is full; ask again.",
    Reason.COMMAND_TOO_LATE: "The request reached the core after the time that its sender allowed for it.",
    Reason.POST_ONLY_WOULD_CROSS: "A post-only order would have taken liquidity.",
    Reason.NO_LIQUIDITY: "Nothing, or not enough for fill-or-kill, was displayed at the price; the rest is given up.",
    Reason.UNKNOWN_AT_EXCHANGE: "The exchange does not know the order (any more).",
    Reason.MODEL_FULL: "The exchange model of paper mode holds as many orders as it can.",
    Reason.ILLEGAL_TRANSITION: "The report is not possible in the order's state.",
    Reason.DUPLICATE_TRADE: "The trade id has been applied already.",
    Reason.OVERFILL: "The fill is larger than what the order has left.",
    Reason.MALFORMED: "A frame, a message or a line that cannot be read.",
    Reason.STRATEGY_EXCEPTION: "A callback of the strategy raised an exception; its orders are cancelled.",
    Reason.RESTARTED: "The core was started again after it did not end in good order: it comes up HALTED.",
    Reason.REQUESTED: "Someone asked for it.",
    Reason.SEQUENCE_GAP: "The venue's update ids have a gap: the book is stale until the next snapshot.",
    Reason.GATEWAY_STALE: "The gateway lost the stream: the book is stale until the next snapshot.",
    Reason.SNAPSHOT: "A snapshot has set the book.",
    Reason.TICKS_LOST: "Ticks were lost between the gateway and the core: the book is stale.",
    Reason.LEVELS_FULL: "The book holds as many levels as it can; the farthest ones are left out.",
}
"""Meaning of every reason, in Markdown."""
