"""The fixed-width records of the hot path, and their enums.

One packed little-endian dtype is the wire format, the journal format and the memory layout: a frame becomes an
array with ``np.frombuffer`` and no parsing. Price is in ticks, quantity in lots, time in ns since the epoch, cash in
1e-8 of the settlement currency, rates in 1e-8; all are int64. A side is +1 (buy, bid) or -1 (sell, ask).

Enums are declared here once; kernels, processes, documents and tests read them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

import numpy as np

from oms.definition_rows import DEFINITION

WIRE_VERSION: Final = 2

CASH_SCALE: Final = 100_000_000
"""Units of cash in one unit of the settlement currency; rates share the scale (a fee of 0.0002 is 20,000)."""

BUY: Final = 1
SELL: Final = -1

EVERY_PRICE: Final = 2**62
"""A liquidation price above all prices, in 1e-8 ticks."""

ORDER_ID_COUNTER_BITS: Final = 40
"""An order id is ``client index << 40 | counter``: 2**23 clients, about 10**12 orders each."""

STRATEGY_CLIENT_BASE: Final = 1
"""Client index of strategy 0; strategies take the indices below ``RPC_CLIENT_BASE``, RPC clients those from it."""

RPC_CLIENT_BASE: Final = 1024

ALGORITHM_CLIENT: Final = RPC_CLIENT_BASE - 2
"""Client index of the children of parent orders; the one above it is the core's own."""

EXCHANGE_CLIENT: Final = RPC_CLIENT_BASE - 3
"""Client index of an exchange model's own orders, by which it liquidates."""


class RecordKind(IntEnum):
    """What a frame's records are; the second byte of every frame, so that a subscriber can filter by prefix."""

    TICK = 1
    COMMAND = 2
    REPORT = 3
    EVENT = 4
    HEARTBEAT = 5
    DEFINITION = 6
    """A new version of an instrument's definition, for the core."""
    ORDER_NAME = 7
    """The own id that a client has given a new order, for the journal."""
    TERMS = 8
    """Which algorithm is to work an order, and with which parameters; ahead of the command that asks for it."""
    PARENT = 9
    """A parent order's algorithm and what it remembers, as it stands; for the journal."""


class Source(IntEnum):
    """The number that each publishing process puts into its frames."""

    GATEWAY = 1
    CORE = 2
    RECORDER = 3
    RPC = 4
    SUPERVISOR = 5
    EXECUTION = 6


class TickKind(IntEnum):
    DEPTH = 1
    """One level of the book: ``qty`` lots are now displayed at ``px`` on ``side``; 0 removes the level."""
    TRADE = 2
    """A trade of ``qty`` at ``px``; ``side`` is the aggressor's; ``update_id`` is the venue's trade id."""
    QUOTE = 3
    """Best bid (``px``, ``qty``) and best ask (``px_2``, ``qty_2``) from the venue's ticker stream."""
    SNAPSHOT = 4
    """One level of a full book; the first record of the snapshot (FIRST) clears the book."""
    TIME = 5
    """Nothing but the time: a quiet market's clock."""
    STALE = 6
    """This instrument's stream was lost: the book must not be traded on until the next snapshot. ``qty`` is the Reason
    where it is not GATEWAY_STALE."""
    MARK = 7
    """The venue's mark price (``px``) and index price (``px_2``), 0 where it states none."""
    QUIET = 8
    """The host has heard nothing of the market for too long: no order is priced until the next tick."""
    HEARTBEAT = 9
    """The host's heartbeat: the core reports its positions and scopes."""
    FUNDING = 10
    """Funding is due now at the rate ``qty`` (1e-8, signed). Where the core plays the exchange it books it; else the
    venue's report does."""
    BAR = 11
    """A complete bar, known at ``local_ts``, of what traded from ``exch_ts`` on: ``px`` close, ``px_2`` open, ``qty_2``
    high, ``update_id`` low, ``qty`` volume. ``side`` is the number of its timeframe: the market moves by those of 0."""


class TickFlag(IntFlag):
    FIRST = 1
    """First record of one venue message."""
    LAST = 2
    """Last record of one venue message; strategies are called after it, when the book is consistent."""


class CommandKind(IntEnum):
    NEW = 1
    AMEND = 2
    """From the core, where a client changes an exit at the exchange: ``value`` is the full quantity that was asked for,
    ``qty`` no more than what remains to be closed. To the core, about an order that an algorithm works: with the
    trigger ALGORITHM its new TERMS come ahead."""
    CANCEL = 3
    CANCEL_ALL = 4
    """Cancel every open order of ``account`` (-1: of every account), narrowed by ``instrument`` and ``strategy`` where
    they are not -1."""
    SET_TRADING_STATE = 5
    """Set the trading state of ``account``, or of ``strategy`` where that is not -1, to ``value`` (a TradingState);
    ``px`` is the Reason where it is not REQUESTED."""
    KILL = 6
    """Halt ``account`` (-1: every account) and cancel its orders; with ``value`` 1 also close its positions at the
    market."""
    HOLD = 7
    """From the core: an order of the core's own keeping (a trigger, a contingent order) has been entered. It does not
    leave."""
    HELD_AMEND = 8
    """From the core: a held order's terms are now these; ``value`` is what it waits for (HeldFor) + 256 * its full
    quantity. It does not leave."""
    HELD_CANCEL = 9
    """From the core: a held order has ended: ``value`` is its OrderState, ``reason`` why. It does not leave."""
    PAUSE = 10
    """Have an algorithm's order rest: its children are cancelled, and it asks for none until RESUME."""
    RESUME = 11


LAST_EXCHANGE_COMMAND: Final = CommandKind.CANCEL
"""Commands of the core up to this kind go to the exchange; those above it are for the journal."""


class ReportKind(IntEnum):
    ACCEPTED = 1
    REJECTED = 2
    FILL = 3
    AMENDED = 4
    AMEND_REJECTED = 5
    CANCELLED = 6
    CANCEL_REJECTED = 7
    EXPIRED = 8
    # not about an order: order_id is 0
    FUNDING = 9
    """A funding payment of ``fee`` cash (paid is positive) on the position of ``account`` in ``instrument``. One with
    the venue's id of it in ``trade_id`` is booked once."""
    POSITION = 10
    """The position of ``account`` in ``instrument`` is set to ``qty`` signed lots at an average of ``px`` ticks and
    ``px_fraction`` 1e-8 ticks: what was opened elsewhere is adopted. With ``value`` k + 1 it is the share of the
    account's strategy k that is set."""
    BALANCE = 11
    """The balance of ``account`` in the wallet ``value`` is ``fee`` cash."""
    SETTLEMENT = 12
    """The position of ``account`` in ``instrument`` is closed at the settlement price ``px``."""
    # about an order that the core does not know yet
    ADOPTED = 13
    """An open order that was placed elsewhere: ``px``, total ``qty``, ``leaves_qty``, ``side``, ``order_type``,
    ``time_in_force``, ``strategy``; or a stop, with AT_EXCHANGE among its ``flags`` and its trigger."""
    # about an exchange
    ORDER_ENTRY = 14
    """Whether new orders and amends in ``instrument`` may leave for its exchange: ``reason`` is NONE, or why not."""
    # about an order that the core knows
    TRIGGERED = 15
    """The price of a stop that stands at the exchange was reached: from now on it is the order that it becomes."""


LAST_ORDER_REPORT: Final = ReportKind.EXPIRED
"""Reports up to this kind, and TRIGGERED, are about an order that the core knows."""


class OrderType(IntEnum):
    LIMIT = 1
    MARKET = 2


class TimeInForce(IntEnum):
    GTC = 1
    IOC = 2
    FOK = 3
    GTD = 4
    """Until ``expire_ts``; the core cancels it then."""
    DAY = 5
    """Until the account's next reset, in its own time zone; the core cancels it then."""


class Trigger(IntEnum):
    """What an order waits for in the core before it leaves."""

    NONE = 0
    STOP = 1
    """The price reaches ``trigger_px`` against the position that it guards: a buy fires at or above, a sell at or
    below."""
    TAKE_PROFIT = 2
    """The price reaches ``trigger_px`` in the other direction: a buy fires at or below, a sell at or above."""
    TRAILING = 3
    """A stop whose ``trigger_px`` follows the price at a distance of ``trail``, and never moves back."""
    ALGORITHM = 4
    """An algorithm works the order: it never leaves itself, child orders do (``oms.core.parents``)."""


class TriggerSource(IntEnum):
    """The price that a trigger watches."""

    LAST = 1
    MARK = 2
    INDEX = 3
    BID_ASK = 4
    """What the order would trade at: the best ask for a buy, the best bid for a sell."""


class TrailUnit(IntEnum):
    """How a trailing distance was given; it is counted in ticks but for BASIS_POINTS."""

    TICKS = 1
    BASIS_POINTS = 2
    """Of the price that the trigger watches, rounded down to ticks, at least one."""
    PRICE = 3


class Contingency(IntEnum):
    """How an order hangs on its ``parent_id``."""

    NONE = 0
    """Not at all: ``parent_id`` says only whose child it is."""
    OTO = 1
    """Held until the parent fills; then for as much as it filled. Children of one parent reduce one another, so that an
    entry with a target and a stop is a bracket."""
    OCO = 2
    """One cancels the other: ``parent_id`` is the id of the group's first order. When one fills in part or ends, the
    others are cancelled."""
    REPLACE = 3
    """Cancel-replace: the parent is cancelled, and this order leaves for what the parent has not filled once the cancel
    is certain. An order of a bracket or of an OCO group is not replaced, for its replacement would not be of the
    group."""


class HeldFor(IntFlag):
    """What an order in the core's keeping still waits for; none: it is due, and leaves as soon as it may."""

    PARENT = 1
    """A fill of its parent."""
    CANCEL = 2
    """The end of the order that it replaces."""
    PRICE = 4
    """Its trigger."""
    ALGORITHM = 8
    """Its algorithm, which works it by child orders."""


class OrderFlag(IntFlag):
    POST_ONLY = 1
    REDUCE_ONLY = 2
    SHORT_LEG = 4
    """Of an account in hedging mode: the order is about its short position, else about its long one."""
    AT_EXCHANGE = 8
    """Of a stop or a take-profit: it leaves at once with its trigger, and stands at the exchange until that
    fires there. Then the order has the flag no more."""


class FeeBasis(IntEnum):
    """What an exchange model charges its fees on."""

    VALUE = 0
    """The value of a fill, at the instrument's rates."""
    QUANTITY = 1
    """Its quantity, an amount for each unit."""
    TIERS = 2
    """Its value, at the rates of the account's tier."""


class Liquidation(IntEnum):
    """At which price an exchange model closes a position whose maintenance margin is reached."""

    OFF = 0
    """It closes none."""
    BANKRUPTCY = 1
    """The one at which nothing is left of the margin."""
    MARK = 2
    """The mark, less a fee; that of bankruptcy where it is past it."""


class Liquidity(IntEnum):
    NONE = 0
    MAKER = 1
    TAKER = 2


class OrderState(IntEnum):
    """States of an order; the legal moves between them are ``oms.core.orders.TRANSITIONS``."""

    EMPTY = 0
    PENDING_NEW = 1
    LIVE = 2
    PENDING_AMEND = 3
    PENDING_CANCEL = 4
    FILLED = 5
    CANCELLED = 6
    REJECTED = 7
    EXPIRED = 8
    HELD = 9
    """In the core's keeping: it waits for its trigger, its parent or a cancel, and has not left."""


class TradingState(IntEnum):
    """What an account may do. HALTED still lets cancels through; REDUCING orders that shrink a position."""

    HALTED = 0
    ACTIVE = 1
    REDUCING = 2


class EventKind(IntEnum):
    ORDER_SUBMITTED = 1
    ORDER_REFUSED = 2
    """Risk refused a new order, an amend or a cancel before it left: ``reason`` says why, ``aux`` is the kind."""
    ORDER_ACCEPTED = 3
    ORDER_REJECTED = 4
    ORDER_FILLED = 5
    """``last_px``, ``last_qty``, ``liquidity``, ``fees``, ``realized_pnl`` (before fees) and ``aux`` (the trade id) are
    the fill's."""
    AMEND_SUBMITTED = 6
    ORDER_AMENDED = 7
    AMEND_REJECTED = 8
    CANCEL_SUBMITTED = 9
    ORDER_CANCELLED = 10
    CANCEL_REJECTED = 11
    ORDER_EXPIRED = 12
    POSITION = 13
    """The position after a fill (``aux`` is its order's id), or at a heartbeat or in a new version (``aux`` is 0):
    ``position_qty``, ``realized_pnl`` and ``fees`` as named, ``px`` the average price in 1e-8 ticks, ``qty`` the
    unrealized PnL in cash, ``last_px`` the mark in half ticks, ``last_qty`` the fills, ``filled_qty`` the open orders,
    ``order_id`` an account's liquidation price in 1e-8 ticks: 0 where there is none, for a long that is never
    liquidated too; EVERY_PRICE for such a short."""
    TRADING_STATE = 14
    """The account's, or the strategy's, trading state is now ``aux``; ``reason`` says why it is told, ``last_qty`` why
    it is so; ``qty`` is the peak PnL."""
    STRATEGY_HALTED = 15
    """Strategy ``strategy`` is stopped: ``reason`` says why, ``aux`` is the status its callback returned."""
    BOOK_STATE = 16
    """The instrument's book is now ``aux`` (a BookState); ``reason`` says why, ``px`` / ``qty`` are the update ids."""
    LOG = 17
    """A strategy's log line: ``aux`` is its number, ``px``, ``qty``, ``last_px``, ``last_qty`` the arguments."""
    REPORT_IGNORED = 18
    """A report that matches no order, is illegal in its state, or repeats a trade id: ``reason`` says which."""
    ORDER_HELD = 19
    """The order is in the core's keeping. ``last_px`` is the trigger price, ``last_qty`` the display quantity, ``aux``
    the parent's id, ``realized_pnl`` the trailing distance and ``fees`` its TrailUnit; the same in ORDER_SUBMITTED,
    HELD_AMENDED and, of a stop that stands at the exchange, ORDER_AMENDED."""
    HELD_AMENDED = 20
    """A held order's terms have changed: asked for, or its trailing trigger has moved."""
    HELD_ENDED = 21
    """A held order is cancelled, refused at its trigger, or expired: ``reason`` says why."""
    FUNDING = 22
    """``fees`` was paid as funding (negative: received); ``aux`` is the venue's id of the payment, 0: none was told."""
    POSITION_ADOPTED = 23
    """The position is now ``position_qty`` at ``px`` ticks and ``filled_qty`` 1e-8 ticks, by an adjustment entry."""
    BALANCE = 24
    """The wallet ``aux`` of ``account`` holds ``fees`` cash."""
    SETTLED = 25
    """The position was closed at the settlement price ``last_px``; ``last_qty`` signed lots, ``realized_pnl`` after."""
    ORDER_ADOPTED = 26
    """An order that was placed elsewhere is now the core's."""
    SCOPE = 27
    """State of an account or a strategy (``aux`` is the scope's number): ``px`` the PnL, ``qty`` its peak,
    ``filled_qty`` the PnL at the last reset, ``last_px`` the time of the next one, ``last_qty`` gross and
    ``position_qty`` net exposure, ``realized_pnl`` the margin in use, ``fees`` the open orders; cash in the reporting
    currency."""
    KILLED = 28
    """The kill switch of ``account`` was used; ``aux`` 1: its positions are being closed."""
    INSTRUMENT = 29
    """``instrument`` is now in the state ``aux`` (an InstrumentState); ``px`` is the version in force, ``qty`` the one
    to come. OFF_GRID names the position that is in the way: ``account``, ``strategy``, ``flags``, ``position_qty``."""
    DEFINITION_REFUSED = 30
    """A new definition of ``instrument`` was not taken: ``reason`` says why; ``px`` is its version, ``qty`` the one in
    force."""
    LEG_TURNED = 31
    """A fill has turned a leg of a hedging account over: the long one (``flags`` without SHORT_LEG) is short, or the
    short one long. ``qty`` is what the leg holds now, ``order_id`` the order, ``aux`` the trade id."""
    PROGRESS = 32
    """How far an algorithm has worked its order: ``last_px`` is the average price of its fills, ``realized_pnl`` the
    mid price when it began and ``fees`` the average price of the market's trades since, all in 1e-8 ticks and 0 where
    there is none; ``last_qty`` the lots in open children, ``aux`` the lots that its schedule wants filled by now,
    ``position_qty`` the time at which it began, ``liquidity`` its ParentState. ``px``, ``qty`` and ``filled_qty`` are
    the order's."""
    FILLED_LATE = 33
    """A child was filled after the end of the order that an algorithm worked: ``filled_qty`` of the order has it,
    ``last_px`` and ``last_qty`` are the fill's in the child's instrument, ``aux`` is the child's id."""
    ORDER_ENTRY = 34
    """New orders and amends in ``instrument`` may leave for its exchange where ``reason`` is NONE; else it says why
    they may not."""
    ORDER_TRIGGERED = 35
    """The price of a stop that stood at the exchange was reached: it is an order as any other now."""


ORDER_EVENTS: Final = frozenset(
    {
        EventKind.ORDER_SUBMITTED,
        EventKind.ORDER_REFUSED,
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_REJECTED,
        EventKind.ORDER_FILLED,
        EventKind.AMEND_SUBMITTED,
        EventKind.ORDER_AMENDED,
        EventKind.AMEND_REJECTED,
        EventKind.CANCEL_SUBMITTED,
        EventKind.ORDER_CANCELLED,
        EventKind.CANCEL_REJECTED,
        EventKind.ORDER_EXPIRED,
        EventKind.ORDER_HELD,
        EventKind.HELD_AMENDED,
        EventKind.HELD_ENDED,
        EventKind.ORDER_ADOPTED,
        EventKind.ORDER_TRIGGERED,
        EventKind.PROGRESS,
        EventKind.FILLED_LATE,
    }
)
"""Events whose ``state``, ``px``, ``qty`` and ``filled_qty`` are the order as it stands after the event; ORDER_REFUSED
alone says what was asked for."""


TERMS_EVENTS: Final = frozenset(
    {
        EventKind.ORDER_SUBMITTED,
        EventKind.ORDER_HELD,
        EventKind.HELD_AMENDED,
        EventKind.ORDER_AMENDED,
        EventKind.ORDER_ADOPTED,
    }
)
"""Events that may carry what ORDER_HELD says of an order's terms; where all of it is 0 they say nothing of them."""

REQUEST_EVENTS: Final = frozenset(
    {
        EventKind.ORDER_SUBMITTED,
        EventKind.AMEND_SUBMITTED,
        EventKind.CANCEL_SUBMITTED,
        EventKind.ORDER_HELD,
        EventKind.HELD_AMENDED,
        EventKind.HELD_ENDED,
    }
)
"""Events that each stand for one request in the core's command output, in the same order."""

REPORT_EVENTS: Final = frozenset(
    {
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_REJECTED,
        EventKind.ORDER_FILLED,
        EventKind.ORDER_AMENDED,
        EventKind.AMEND_REJECTED,
        EventKind.ORDER_CANCELLED,
        EventKind.CANCEL_REJECTED,
        EventKind.ORDER_EXPIRED,
        EventKind.REPORT_IGNORED,
        EventKind.FUNDING,
        EventKind.POSITION_ADOPTED,
        EventKind.BALANCE,
        EventKind.SETTLED,
        EventKind.ORDER_ADOPTED,
        EventKind.ORDER_ENTRY,
        EventKind.ORDER_TRIGGERED,
    }
)
"""Events that each stand for one report in the core's report output, in the same order."""


class InstrumentState(IntEnum):
    """Whether an instrument is traded."""

    TRADING = 0
    SWITCHING = 1
    """A new version is coming: orders are being cancelled, none is taken."""
    OFF_GRID = 2
    """The position is not on the new version's grid: nothing is traded until it is adjusted."""
    EXPIRED = 3


class BookState(IntEnum):
    EMPTY = 0
    """No snapshot yet."""
    SYNCED = 1
    STALE = 2
    """A gap in the update ids, or the gateway's word: not to be traded on until the next snapshot."""


class Reason(IntEnum):
    """Why something was refused, rejected, halted or ignored. ``docs/reasons.md`` lists them all."""

    NONE = 0
    # refused before the exchange
    UNKNOWN_INSTRUMENT = 1
    UNKNOWN_ACCOUNT = 2
    UNKNOWN_STRATEGY = 3
    LIMIT_MISSING = 4
    TRADING_HALTED = 5
    TRADING_REDUCING = 6
    STRATEGY_STOPPED = 7
    BAD_SIDE = 8
    BAD_ORDER_TYPE = 9
    BAD_TIME_IN_FORCE = 10
    BAD_FLAGS = 11
    BAD_PRICE = 12
    QTY_BELOW_MIN = 13
    QTY_ABOVE_MAX = 14
    NOTIONAL_BELOW_MIN = 15
    NOTIONAL_ABOVE_MAX = 16
    PRICE_COLLAR = 17
    NO_PRICE = 18
    BOOK_STALE = 19
    POSITION_LIMIT = 20
    OPEN_ORDER_LIMIT = 21
    ORDER_RATE = 22
    ORDER_TABLE_FULL = 23
    DUPLICATE_ORDER_ID = 24
    UNKNOWN_ORDER = 25
    ORDER_NOT_OPEN = 26
    REQUEST_IN_FLIGHT = 27
    OVERFLOW = 28
    REDUCE_ONLY = 29
    BAD_COMMAND = 30
    NOT_OWNER = 32
    OUTPUT_FULL = 33
    COMMAND_TOO_LATE = 34
    WRONG_VERSION = 35
    BAD_TRIGGER = 36
    BAD_EXPIRY = 37
    BAD_DISPLAY_QTY = 38
    BAD_PARENT = 39
    # the exchange's answer
    POST_ONLY_WOULD_CROSS = 40
    NO_LIQUIDITY = 41
    UNKNOWN_AT_EXCHANGE = 42
    MODEL_FULL = 43
    LIQUIDATION = 44
    EXCHANGE_REFUSED = 45
    EXCHANGE_UNAVAILABLE = 46
    NOT_PLACED = 47
    NOT_RECONCILED = 48
    KEYS_REFUSED = 49
    # reports that the core did not apply
    ILLEGAL_TRANSITION = 50
    DUPLICATE_TRADE = 51
    OVERFILL = 52
    MALFORMED = 53
    # states of orders in the core's keeping
    EXPIRED_GTD = 54
    EXPIRED_DAY = 55
    PARENT_ENDED = 56
    SIBLING_ENDED = 57
    REPLACED = 58
    GAVE_WAY = 59
    # halts and book states
    STRATEGY_EXCEPTION = 60
    RESTARTED = 61
    REQUESTED = 62
    SEQUENCE_GAP = 63
    GATEWAY_STALE = 64
    SNAPSHOT = 65
    TICKS_LOST = 66
    LEVELS_FULL = 67
    DAILY_LOSS = 68
    DRAWDOWN = 69
    KILL_SWITCH = 70
    NEW_VERSION = 71
    POSITION_OFF_GRID = 72
    CONTRACT_CHANGED = 73
    POSITION_TOO_LARGE = 74
    # refused before the exchange, continued
    GROSS_EXPOSURE = 80
    NET_EXPOSURE = 81
    LEVERAGE = 82
    INSUFFICIENT_FUNDS = 83
    DUPLICATE_ORDER = 84
    SELF_TRADE = 85
    RULE_REFUSED = 86
    RULE_FAILED = 87
    INSTRUMENT_HALTED = 88
    INSTRUMENT_EXPIRED = 89
    NO_CONVERSION = 90
    BAD_LEG = 91
    NOT_REPLAYABLE = 92
    GROUP_REFUSED = 93
    # of orders that algorithms work
    BAD_ALGORITHM = 94
    BAD_PARAMETER = 95
    NO_PARENT = 96
    ALGORITHM_FAILED = 97
    TIME_OVER = 98
    BELOW_MINIMUM = 99
    ALGORITHM_CHANGED = 100
    # of sessions that send real orders
    READ_ONLY = 101
    SESSION_ENDS = 102
    # the exchange's answer, continued
    NO_AMEND = 103
    # of stops that stand at the exchange
    WOULD_TRIGGER = 104
    NO_STOPS_AT_EXCHANGE = 105


FRAME = np.dtype(
    [
        ("version", "u1"),
        ("kind", "u1"),  # RecordKind
        ("source", "<u2"),  # number of the publishing process
        ("count", "<u4"),  # records in the frame
        ("session", "<i8"),  # ns at which the publisher started: a new session restarts seq
        ("seq", "<i8"),  # sequence number of the first record; the next frame's is seq + count
        ("sent_ts", "<i8"),  # ns, wall clock, when the frame was handed to the socket
    ]
)
"""Header of every frame on the bus, 32 bytes, followed by ``count`` records of one kind."""

TICK = np.dtype(
    [
        ("exch_ts", "<i8"),
        ("local_ts", "<i8"),  # receive time, corrected by the source's clock offset; never goes back in one stream
        ("px", "<i8"),
        ("qty", "<i8"),
        ("px_2", "<i8"),  # QUOTE: ask price; DEPTH, SNAPSHOT: update id of the message before this one
        ("qty_2", "<i8"),  # QUOTE: ask quantity
        ("update_id", "<i8"),  # DEPTH, SNAPSHOT, QUOTE: the venue's update id; TRADE: its trade id
        ("instrument", "<i2"),
        ("version", "<u2"),  # of the instrument's definition: what px and qty are counted in
        ("kind", "u1"),  # TickKind
        ("side", "i1"),
        ("flags", "<u2"),  # TickFlag
    ]
)
"""One market data record, 64 bytes: a book level, a trade, a quote or the time."""

COMMAND = np.dtype(
    [
        ("seq", "<i8"),
        ("ts", "<i8"),
        ("order_id", "<i8"),
        ("request_id", "<i8"),  # the requester's own number, echoed in events; 0 where there is none
        ("kind", "u1"),  # CommandKind
        ("side", "i1"),
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("flags", "<u2"),  # OrderFlag
        ("reason", "<u2"),
        ("instrument", "<i2"),
        ("version", "<u2"),  # of the instrument's definition; 0 from a client: the one in force
        ("account", "<i4"),
        ("strategy", "<i4"),  # -1: none
        ("source", "<i4"),  # client index of the requester
        ("px", "<i8"),
        ("qty", "<i8"),
        ("trigger_px", "<i8"),
        ("display_qty", "<i8"),  # lots shown at a time; 0: all
        ("expire_ts", "<i8"),  # GTD: when the order expires
        ("parent_id", "<i8"),
        # ns, wall clock. To the core: it is too late to take the command after this time (0: never). From the core:
        # when the gateway sent the tick that made it ask (0: a client asked).
        ("wall_ts", "<i8"),
        ("value", "<i8"),
        ("trail", "<i4"),  # distance of a trailing trigger, in units of trail_unit
        ("trail_unit", "u1"),  # TrailUnit
        ("trigger", "u1"),  # Trigger
        ("trigger_source", "u1"),  # TriggerSource
        ("contingency", "u1"),  # Contingency
    ]
)
"""A request, 128 bytes: from a client to the core, and from the core to a gateway."""

REPORT = np.dtype(
    [
        ("seq", "<i8"),
        ("ts", "<i8"),  # local receive time; 0: the core's present time
        ("exch_ts", "<i8"),
        ("order_id", "<i8"),
        ("trade_id", "<i8"),
        ("venue_order_id", "<i8"),
        ("kind", "u1"),  # ReportKind
        ("side", "i1"),
        ("liquidity", "u1"),
        ("fee_known", "u1"),  # 1: fee is the venue's; 0: the core computes it from the instrument's rates
        ("reason", "<u2"),
        ("flags", "<u2"),
        ("instrument", "<i2"),
        ("version", "<u2"),  # of the instrument's definition; 0: the order's own, else the one in force
        ("account", "<i4"),
        ("px", "<i8"),  # FILL: trade price; AMENDED: the new price
        ("qty", "<i8"),  # FILL: traded quantity; AMENDED: the new total quantity
        ("leaves_qty", "<i8"),
        ("fee", "<i8"),  # cash, paid is positive
        ("value", "<i8"),  # AMENDED, ADOPTED: the trigger price of a stop at the exchange; 0: as it was
        ("strategy", "<i4"),  # ADOPTED
        ("order_type", "u1"),  # ADOPTED
        ("time_in_force", "u1"),  # ADOPTED
        ("trigger", "u1"),  # ADOPTED, of a stop that stands at the exchange: Trigger
        ("trigger_source", "u1"),  # TriggerSource
        ("px_fraction", "<i8"),  # POSITION: 1e-8 ticks, below one tick, that the average price is above px
        ("spare", "<i8"),
    ]
)
"""An exchange's answer, 128 bytes: from a gateway or an exchange model to the core."""

EVENT = np.dtype(
    [
        ("seq", "<i8"),
        ("ts", "<i8"),
        ("order_id", "<i8"),
        ("request_id", "<i8"),
        ("kind", "u1"),  # EventKind
        ("side", "i1"),
        ("state", "u1"),  # OrderState after the event
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("liquidity", "u1"),
        ("reason", "<u2"),
        ("instrument", "<i2"),
        ("version", "<u2"),  # of the instrument's definition: what prices and quantities are counted in
        ("account", "<i4"),
        ("strategy", "<i4"),
        ("flags", "<u2"),  # OrderFlag
        ("trigger", "u1"),  # Trigger
        ("contingency", "u1"),  # Contingency
        ("px", "<i8"),
        ("qty", "<i8"),
        ("filled_qty", "<i8"),
        ("last_px", "<i8"),
        ("last_qty", "<i8"),
        ("position_qty", "<i8"),  # after the event; signed lots
        ("realized_pnl", "<i8"),  # cash, of the position, before fees; ORDER_FILLED: of this fill
        ("fees", "<i8"),  # cash, of the position; ORDER_FILLED: of this fill
        ("aux", "<i8"),  # ORDER_FILLED: the trade id; other kinds: see EventKind
    ]
)
"""What happened, 128 bytes: published by the core, journalled where it concerns an order."""

CLIENT_ORDER_ID_BYTES: Final = 64

ORDER_NAME = np.dtype(
    [
        ("order_id", "<i8"),
        ("spare", "<i8"),
        ("client_order_id", f"S{CLIENT_ORDER_ID_BYTES}"),  # ASCII
    ]
)
"""What a client calls an order, 80 bytes: in the journal before the command that places it."""

PARENT_PARAMETERS: Final = 16
ALGORITHM_VERSION_BITS: Final = 24
"""Lower part of an algorithm's id, which stands for what its parameters are; the rest stands for its name."""
PARENT_MEMORY: Final = 32
ROUTES: Final = 8
"""Instruments in which one parent order may have children."""
LANES: Final = 2 * ROUTES
"""Children that one parent order may have open: of each route one that rests and one that takes."""


class ParentState(IntEnum):
    """What an algorithm does with its order."""

    RUNNING = 0
    PAUSED = 1
    """It has no open children, and asks for none."""
    STOPPING = 2
    """Its children are being cancelled; then the order ends."""


TERMS = np.dtype(
    [
        ("order_id", "<i8"),
        ("algorithm", "<i8"),  # ``oms.algorithms.Algorithm.id``
        ("parameters", "<f8", (PARENT_PARAMETERS,)),
        ("routes", "<i4", (ROUTES,)),  # instruments beside the order's own in which it may trade; -1: none
    ]
)
"""An algorithm and its parameters for one order, 176 bytes: from a client to the core."""

PARENT = np.dtype(
    [
        ("order_id", "<i8"),  # 0: the row is free
        ("number", "<i8"),  # of the row
        ("algorithm", "<i8"),
        ("state", "<i8"),  # ParentState
        ("started", "<i8"),  # 1: its algorithm has begun
        ("end_state", "<i8"),  # OrderState in which the order ends once it is STOPPING
        ("end_reason", "<i8"),
        ("start_ts", "<i8"),  # ns
        ("end_ts", "<i8"),  # ns; 0: none. Its time is over then
        ("arrival_half_ticks", "<i8"),  # mid price at the start
        ("due_qty", "<i8"),  # lots that the schedule wants filled by now
        ("filled_units", "<i8"),  # a unit is the largest part of which every route's lot is a multiple
        ("filled_value", "<f8"),  # sum of price in ticks of the order's instrument * units
        ("market_qty", "<i8"),  # lots traded in the market since the start, in the order's instrument
        ("market_value", "<f8"),  # tick-lots of them
        ("blocked_ts", "<i8", (ROUTES,)),  # no new child on the route before this time
        ("take_ts", "<i8", (ROUTES,)),  # when the last child that takes was sent there
        ("refusals", "<i8", (ROUTES,)),  # children refused or rejected in a row there
        ("children", "<i8"),  # asked for so far
        ("random", "<i8"),  # state of its random numbers
        ("request_id", "<i8"),  # of the last command about it
        ("routes", "<i4", (ROUTES,)),  # instruments; the first is the order's own; -1: none
        ("route_units", "<i8", (ROUTES,)),  # units of one lot there
        ("lanes", "<i8", (LANES,)),  # ids of open children; 0: none. See ``route_of_lane``
        ("parameters", "<f8", (PARENT_PARAMETERS,)),
        ("memory", "<i8", (PARENT_MEMORY,)),
    ]
)
"""An order that an algorithm works: a row of the core's table of parents, in the journal as it stands after each step
that changed it."""

RECORD_DTYPES: Final = {
    RecordKind.TICK: TICK,
    RecordKind.COMMAND: COMMAND,
    RecordKind.REPORT: REPORT,
    RecordKind.EVENT: EVENT,
    RecordKind.DEFINITION: DEFINITION,
    RecordKind.ORDER_NAME: ORDER_NAME,
    RecordKind.TERMS: TERMS,
    RecordKind.PARENT: PARENT,
}

ORDER = np.dtype(
    [
        ("order_id", "<i8"),
        ("created_ts", "<i8"),
        ("updated_ts", "<i8"),
        ("px", "<i8"),
        ("qty", "<i8"),  # total, filled part included
        ("filled_qty", "<i8"),
        ("filled_cost", "<i8"),  # sum of price * quantity of the fills, in tick-lots
        ("pending_px", "<i8"),  # of the amend in flight
        ("pending_qty", "<i8"),
        ("request_id", "<i8"),
        ("risk_qty", "<i8"),  # lots counted against the position limit: the most that may yet fill
        ("risk_px", "<i8"),  # the price at which they are counted
        ("state", "u1"),
        ("side", "i1"),
        ("order_type", "u1"),
        ("time_in_force", "u1"),
        ("flags", "<u2"),
        ("reason", "<u2"),
        ("instrument", "<i2"),
        ("version", "<u2"),
        ("account", "<i4"),
        ("strategy", "<i4"),
        ("next_open", "<i4"),  # slots of the instrument's open orders, doubly linked; -1 ends the list
        ("prev_open", "<i4"),
        ("trail", "<i4"),
        # the second half: what few orders have
        ("trigger_px", "<i8"),
        ("display_qty", "<i8"),
        ("expire_ts", "<i8"),
        ("parent_id", "<i8"),
        ("full_qty", "<i8"),  # OTO, REPLACE: the quantity asked for, which the parent's fills bound
        ("fees", "<i8"),  # cash, of its fills; paid is positive
        ("realized_pnl", "<i8"),  # cash, what its fills closed, before fees
        ("next_child", "<i8"),  # slot of the next order with the same parent; -1 ends the list
        ("first_child", "<i8"),  # slot of its first contingent order; -1: none
        ("risk_value", "<i8"),  # cash that they count in the account's wallet
        ("next_expiry", "<i4"),  # slot of the next order that expires by time; -1 ends the list
        ("prev_expiry", "<i4"),
        ("trail_unit", "u1"),
        ("trigger", "u1"),
        ("trigger_source", "u1"),
        ("contingency", "u1"),
        ("leg", "u1"),  # of the position: 0 net or long, 1 short
        ("held_for", "u1"),  # HeldFor: what a held order still waits for
        ("cancel_reason", "<u2"),  # why the core itself asked for its cancel
        ("next_armed", "<i8"),  # slot of the next order of the instrument that waits for a price; -1 ends the list
        ("prev_armed", "<i8"),
        ("children_filled", "<i8"),  # lots that its contingent orders have filled
        ("broken", "u1"),  # OCO, of the group's first order: 1 once one of the group has filled, left or ended
        ("armed", "u1"),  # 1: it is in the list of those that wait for a price
        ("timed", "u1"),  # 1: it is in the list of those that expire by time
        ("retired", "u1"),  # 1: its slot is in the list of those that may be used again
        ("parent_row", "<i4"),  # of an order that an algorithm works: its row in the table of parents + 1; 0: none
    ]
)
"""One row of the core's order table, 256 bytes."""


class CostBasis(IntEnum):
    """How what a fill closes is costed."""

    AVERAGE = 0
    FIFO = 1


class MarginMode(IntEnum):
    """What stands behind a position: the wallet, or the margin assigned to it."""

    CROSS = 0
    ISOLATED = 1


COST_LOT = np.dtype(
    [
        ("qty", "<i8"),  # lots, > 0
        ("cost", "<i8"),  # signed, in the instrument's cost unit
        ("next", "<i8"),  # number (row + 1) of the next newer lot of the position, or of the next free one; 0 ends
    ]
)
"""What one opening fill left in a position under FIFO: a row of the core's pool, found by number (row + 1)."""

POSITION = np.dtype(
    [
        ("qty", "<i8"),  # signed lots
        ("open_cost", "<i8"),  # signed cost of the open quantity: tick-lots; inverse: minus its value in cash
        ("cash", "<i8"),  # cash received less cash paid for fills, before fees
        ("realized_pnl", "<i8"),  # cash, before fees and funding
        ("fees", "<i8"),  # cash, paid is positive
        ("bought_qty", "<i8"),
        ("sold_qty", "<i8"),
        ("open_buy_qty", "<i8"),  # lots of open orders, in flight included
        ("open_sell_qty", "<i8"),
        ("open_orders", "<i8"),
        ("fills", "<i8"),
        ("funding", "<i8"),  # cash, received is positive
        ("first_lot", "<i8"),  # FIFO: number of its oldest COST_LOT; 0: none
        ("last_lot", "<i8"),
        ("version", "<i8"),  # of the instrument whose ticks and lots the figures above are in
        ("off_grid", "<i8"),  # RegridResult: why it could not follow the instrument's newest version; 0: it does
        ("margin_mode", "<i8"),  # MarginMode
        ("leverage", "<i8"),  # 1e-8; 0: none was chosen, the value is funded in full
        ("isolated_margin", "<i8"),  # cash assigned to it in ISOLATED mode
        ("mark", "<i8"),  # half ticks, of the figures below; 0: not valued yet
        ("value", "<i8"),  # cash, > 0: notional at the mark
        ("unrealized_pnl", "<i8"),  # cash
        ("initial_margin", "<i8"),  # cash
        ("maintenance_margin", "<i8"),  # cash
        ("spare", "<i8", (8,)),
    ]
)
"""One row of the core's position table, 256 bytes."""

assert TICK.itemsize == 64
assert FRAME.itemsize == 32
assert ORDER_NAME.itemsize == 80
assert TERMS.itemsize == 176
assert PARENT.itemsize == 944
assert COMMAND.itemsize == REPORT.itemsize == EVENT.itemsize == 128
assert ORDER.itemsize == POSITION.itemsize == 256
