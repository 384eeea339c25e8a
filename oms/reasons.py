"""What each reason code means, in words; ``docs/reasons.md`` is made from this table."""

from __future__ import annotations

from typing import Final

from oms.records import Reason

GROUPS: Final = (
    (
        "Refused before the exchange",
        "Pre-trade risk, or the form of the request. The order never left; the event is ORDER_REFUSED.",
        (*range(1, 40), *range(80, 97), 101, 102),
    ),
    (
        "The exchange's answer",
        "The event is ORDER_REJECTED, ORDER_EXPIRED, AMEND_REJECTED or CANCEL_REJECTED; of a liquidation also "
        "ORDER_CANCELLED, ORDER_ADOPTED and ORDER_FILLED.",
        (*range(40, 50), 103),
    ),
    (
        "Not applied",
        "A report or a message that was counted and passed over; everything else went on. A report's event is "
        "REPORT_IGNORED.",
        tuple(range(50, 54)),
    ),
    (
        "Ends in the core",
        "Why the core cancelled an order, or ended one in its own keeping: HELD_ENDED, CANCEL_SUBMITTED.",
        (*range(54, 60), *range(97, 101)),
    ),
    ("Halts and books", "Why trading, a strategy or a book changed its state.", tuple(range(60, 80))),
)
"""Title, explanation and code numbers of each group of reasons."""

MEANINGS: Final = {
    Reason.NONE: "Nothing was wrong.",
    Reason.UNKNOWN_INSTRUMENT: "No instrument of that id is defined in the settings.",
    Reason.UNKNOWN_ACCOUNT: "No such account in this session.",
    Reason.UNKNOWN_STRATEGY: "No strategy of that number runs for the account.",
    Reason.LIMIT_MISSING: "The instrument has no `[risk.…]` table. Without limits nothing is traded.",
    Reason.TRADING_HALTED: "The account or the strategy is HALTED: only cancels pass. `zoms resume` sets it ACTIVE.",
    Reason.TRADING_REDUCING: "The account or the strategy is REDUCING: only orders that shrink the position pass.",
    Reason.STRATEGY_STOPPED: "The strategy that asks has been halted.",
    Reason.BAD_SIDE: "The side is neither buy (+1) nor sell (-1).",
    Reason.BAD_ORDER_TYPE: "The order type is neither limit nor market.",
    Reason.BAD_TIME_IN_FORCE: "The time in force does not go with the order type: a market order is IOC or FOK.",
    Reason.BAD_FLAGS: "The flags do not go together: post-only is for limit orders that rest.",
    Reason.BAD_PRICE: "The price is not above zero, too large, or not on the instrument's tick.",
    Reason.QTY_BELOW_MIN: "The quantity is below the instrument's `min_qty`, or not on its lot.",
    Reason.QTY_ABOVE_MAX: "The quantity is above `max_order_qty`, or above the instrument's `max_qty`.",
    Reason.NOTIONAL_BELOW_MIN: "Price times quantity is below the instrument's `min_notional`.",
    Reason.NOTIONAL_ABOVE_MAX: "Price times quantity is above `max_order_notional`.",
    Reason.PRICE_COLLAR: "The price is farther from the mid price or the last trade than `price_collar`.",
    Reason.NO_PRICE: "The book has no price to measure the order against.",
    Reason.BOOK_STALE: "The book has no snapshot yet, or lost its place in the stream.",
    Reason.POSITION_LIMIT: "With this order and all that is open, the position could exceed `max_position`.",
    Reason.OPEN_ORDER_LIMIT: "The instrument, the strategy or the account has `max_open_orders` open already.",
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
    Reason.WRONG_VERSION: "The prices are counted by another version of the instrument than the one in force.",
    Reason.BAD_TRIGGER: "The trigger's price or distance, what it watches and the order type do not go together. A"
    " stop at the exchange has a fixed trigger and watches the last, mark or index price.",
    Reason.BAD_EXPIRY: "A GTD order's time is in the future, others have none; DAY needs the account's reset.",
    Reason.BAD_DISPLAY_QTY: "The display quantity is above the order's, or the order does not rest.",
    Reason.BAD_PARENT: "The parent is unknown, another instrument's or account's, or done; or the order names none, or"
    " would replace one of a group; or it is an exit that is to stand at the exchange, and not reduce-only.",
    Reason.READ_ONLY: "The session watches only: `zoms firm` was started without `--trade`.",
    Reason.SESSION_ENDS: "The session is being stopped: nothing new leaves for the exchange any more.",
    Reason.WOULD_TRIGGER: "The price is at the trigger of the stop, or past it, already: it would fire at once.",
    Reason.NO_STOPS_AT_EXCHANGE: "The exchange keeps no such stop: without `AT_EXCHANGE` the core holds it.",
    Reason.POST_ONLY_WOULD_CROSS: "A post-only order would have taken liquidity.",
    Reason.NO_LIQUIDITY: "Nothing, or not enough for fill-or-kill, was displayed at the price; the rest is given up.",
    Reason.UNKNOWN_AT_EXCHANGE: "The exchange does not know the order (any more).",
    Reason.MODEL_FULL: "The exchange model of paper mode holds as many orders as it can.",
    Reason.LIQUIDATION: "The maintenance margin was reached: the exchange cancels the orders, rejects those on the way,"
    " and closes the position.",
    Reason.EXCHANGE_REFUSED: "The exchange refused it for a reason of its own; the gateway's log has its words.",
    Reason.EXCHANGE_UNAVAILABLE: "The exchange did not look at it: too many requests, maintenance, or no connection.",
    Reason.NOT_PLACED: "Its answer was lost, and the exchange was asked until it was certain that there is no such"
    " order.",
    Reason.NOT_RECONCILED: "The gateway has not brought the exchange's state and the core's together, or could not;"
    " only cancels pass.",
    Reason.KEYS_REFUSED: "The exchange refuses the keys: the gateway sends no orders until it is started again.",
    Reason.NO_AMEND: "The exchange does not change an order in that way: cancel it and place another one. It stays.",
    Reason.ILLEGAL_TRANSITION: "The report is not possible in the order's state.",
    Reason.DUPLICATE_TRADE: "The trade id has been applied already.",
    Reason.OVERFILL: "The fill is larger than what the order has left.",
    Reason.MALFORMED: "A frame, a message or a line that cannot be read.",
    Reason.EXPIRED_GTD: "The order's time was over.",
    Reason.EXPIRED_DAY: "The account's day was over.",
    Reason.PARENT_ENDED: "The order waited for a parent that has ended without what it waited for.",
    Reason.SIBLING_ENDED: "Another order of its group was filled or has ended.",
    Reason.REPLACED: "Another order takes its place.",
    Reason.GAVE_WAY: "A stop whose price has come, and that may only close, needed the position that it rested for.",
    Reason.STRATEGY_EXCEPTION: "A callback of the strategy raised an exception; its orders are cancelled.",
    Reason.RESTARTED: "The core was started again after it did not end in good order: it comes up HALTED.",
    Reason.REQUESTED: "Someone asked for it.",
    Reason.SEQUENCE_GAP: "The venue's update ids have a gap: the book is stale until the next snapshot.",
    Reason.GATEWAY_STALE: "The gateway lost the stream: the book is stale until the next snapshot.",
    Reason.SNAPSHOT: "A snapshot has set the book.",
    Reason.TICKS_LOST: "Ticks were lost between the gateway and the core: the book is stale.",
    Reason.LEVELS_FULL: "The book holds as many levels as it can; the farthest ones are left out.",
    Reason.DAILY_LOSS: "The loss since the last reset has reached `max_daily_loss`.",
    Reason.DRAWDOWN: "The loss since the highest PnL has reached `max_drawdown`.",
    Reason.KILL_SWITCH: "Someone used the kill switch.",
    Reason.NEW_VERSION: "The instrument has, or is about to get, a new definition.",
    Reason.POSITION_OFF_GRID: "A position is no whole number of the new definition's lots: adjust it.",
    Reason.CONTRACT_CHANGED: "The new definition is another contract: give it an instrument id of its own.",
    Reason.POSITION_TOO_LARGE: "A position does not fit into 64 bits on the new definition's grid.",
    Reason.GROSS_EXPOSURE: "With all that is open, gross exposure could exceed `max_gross_exposure`.",
    Reason.NET_EXPOSURE: "With all that is open, net exposure could exceed `max_net_exposure`.",
    Reason.LEVERAGE: "With all that is open, gross exposure could exceed `max_leverage` times the equity.",
    Reason.INSUFFICIENT_FUNDS: "The wallet's free balance does not cover the order, its fee or its margin.",
    Reason.DUPLICATE_ORDER: "The same order was asked for within `duplicate_window_ms`.",
    Reason.SELF_TRADE: "The order would trade with an own order on the other side.",
    Reason.RULE_REFUSED: "A rule of the user's refused the order.",
    Reason.RULE_FAILED: "A rule of the user's raised an exception; the strategy that asked is halted.",
    Reason.INSTRUMENT_HALTED: "The instrument is changing to a new definition, or waits for an adjustment after one.",
    Reason.INSTRUMENT_EXPIRED: "The instrument has expired.",
    Reason.NO_CONVERSION: "There is no rate between the currency and the reporting currency.",
    Reason.BAD_LEG: "The account is not in hedging mode, or the order would turn its leg's position around.",
    Reason.NOT_REPLAYABLE: "The journal does not hold what is needed to rebuild the state.",
    Reason.GROUP_REFUSED: "The order came with an entry or its exits, and one of the exits could not be held.",
    Reason.BAD_ALGORITHM: "No such execution algorithm is loaded; or the order is IOC or FOK, shows a part, or hangs on"
    " another, which no algorithm works.",
    Reason.BAD_PARAMETER: "The algorithm has no parameter of that name, its value is outside the range, or they do not"
    " go together; or nor do the venues of the order: SOR needs one kind of instrument and one base currency.",
    Reason.NO_PARENT: "No algorithm works the order: only one that an algorithm works is paused and resumed.",
    Reason.ALGORITHM_FAILED: "The algorithm raised an exception; its open children were cancelled.",
    Reason.ALGORITHM_CHANGED: "The algorithm has other parameters, or another `VERSION`, than when the order was"
    " started: start the rest of it anew.",
    Reason.TIME_OVER: "The time that the algorithm was given is over.",
    Reason.BELOW_MINIMUM: "What is left is less than the smallest order.",
}
"""Meaning of every reason, in Markdown."""
