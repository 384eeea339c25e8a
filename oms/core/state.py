"""The core's whole state as one packed record: every table that the compiled step reads or writes.

Kernels take ``st``, a one-element array of ``STATE``, and work on ``st[0]``; Python passes the same array, which costs
under half a microsecond a call whatever it holds. Capacities are part of the type, so they are constants here.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from oms.instruments import INSTRUMENT, Instrument
from oms.records import COMMAND, COST_LOT, EVENT, ORDER, POSITION, REPORT, TradingState

State = npt.NDArray[np.void]
Record = np.void

MAX_INSTRUMENTS: Final = 128
MAX_ACCOUNTS: Final = 4
MAX_STRATEGIES: Final = 64
MAX_ORDERS: Final = 32_768
MAX_FILLS: Final = 65_536
"""Fills whose trade ids are remembered, to refuse a repeated one."""
MAX_COST_LOTS: Final = 65_536
"""Opening fills that are held apart under FIFO, over all positions; further ones join the newest lot of theirs."""
MAX_OPEN_ORDERS: Final = 1_024
"""Open orders of one account in one instrument, whatever its limits say: it bounds the events of one tick."""

ORDER_INDEX: Final = 2 * MAX_ORDERS
EVENT_RING: Final = 16_384
COMMAND_RING: Final = 8_192
OUTPUT_MARGIN: Final = 4 * MAX_OPEN_ORDERS
"""Free rows that the event and command outputs must have before the next input is taken."""
ASK_BUDGET: Final = OUTPUT_MARGIN // 2
"""Rows that the requests and log lines of one callback, or one command, may fill; the rest of the margin is for what
the core itself must report."""

BOOK_WINDOW: Final = 16_384
"""Ticks around the market that are held as a dense array; levels outside it lie in a sorted list."""
BOOK_FAR: Final = 4_096

STRATEGY_PARAMETERS: Final = 32
STRATEGY_MEMORY: Final = 64

MAX_PX: Final = 2**36
"""Largest price in ticks: products of prices, quantities and rates stay exact in int64."""
MAX_QTY: Final = 2**31 - 1
"""Largest quantity of an order, and position, in lots."""
MAX_LEVEL_QTY: Final = 2**53
"""Largest displayed or traded quantity in lots: exact as a float too."""

NO_BID: Final = -(2**60)
NO_ASK: Final = 2**60
NEVER: Final = 2**62
"""A time that never comes."""

BID: Final = 1
ASK: Final = 0
"""Index of a side in two-row tables: ``(side + 1) >> 1``."""

BOOK = np.dtype(
    [
        ("state", "i8"),  # BookState
        ("update_id", "i8"),  # of the last message applied
        ("skipping", "i8"),  # 1 while the records of a message that must not be applied pass
        ("gaps", "i8"),
        ("crossed", "i8"),  # times a level was hidden because the other side moved through it
        ("dropped", "i8"),  # far levels that did not fit
        ("best", "i8", (2,)),  # px in ticks; NO_ASK, NO_BID when the side is empty
        ("base", "i8"),  # lowest px of the dense window
        ("occupied", "i8", (2,)),  # levels in the window
        ("far_count", "i8", (2,)),
        ("trade_px", "i8"),
        ("trade_qty", "i8"),
        ("quote_px", "i8", (2,)),
        ("quote_qty", "i8", (2,)),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("open_head", "i8"),  # the instrument's open orders: slots, -1 for none
        ("qty", "i8", (2, BOOK_WINDOW)),  # lots at px & (BOOK_WINDOW - 1)
        ("far_px", "i8", (2, BOOK_FAR)),  # ascending
        ("far_qty", "i8", (2, BOOK_FAR)),
    ]
)
"""The L2 book of one instrument."""

CHANGE = np.dtype(
    [
        ("previous_qty", "i8"),  # lots at the level before the record
        ("best", "i8", (2,)),  # the touch before the record
    ]
)
"""What the last depth record changed: exchange models need it."""

LIMITS = np.dtype(
    [
        ("defined", "i8"),
        ("max_order_qty", "i8"),
        ("max_order_notional", "i8"),  # cash
        ("collar_rate", "i8"),  # 1e-8 of the reference price
        ("max_position", "i8"),  # lots, either way, open orders included
        ("max_open_orders", "i8"),
        ("order_interval_ns", "i8"),  # 1 s / orders per second
        ("rate_ts", "i8"),  # when the order-rate bucket will be full again
    ]
)
"""Pre-trade limits of one account in one instrument, and its rate bucket."""

ACCOUNT = np.dtype([("defined", "i8"), ("trading_state", "i8")])

STRATEGY = np.dtype(
    [
        ("defined", "i8"),
        ("halted", "i8"),
        ("account", "i8"),
        ("instrument", "i8"),  # the one whose ticks it gets; -1: all
        ("on_tick", "i8"),  # addresses; 0: it has none
        ("on_fill", "i8"),
        ("on_timer", "i8"),
        ("timer_interval_ns", "i8"),
        ("timer_due", "i8"),
        ("order_counter", "i8"),
        ("orders", "i8"),
        ("refused", "i8"),
        ("logs_dropped", "i8"),
        ("parameters", "f8", (STRATEGY_PARAMETERS,)),
        ("memory", "i8", (STRATEGY_MEMORY,)),
    ]
)

FILL = np.dtype([("trade_id", "i8"), ("previous", "i8")])
"""One remembered fill, in the row of its number modulo ``MAX_FILLS``; ``previous`` is the number of the same order's
fill before it, -1 for none."""

# The exchange model's side of the world. Its functions live under backtest/matching/ and are called by address.

MODEL_QUEUE: Final = 32_768
"""Requests, and answers, that can be under way between the core and an exchange model."""
MODEL_BUCKETS: Final = 1_024
MODEL_TAKEN: Final = 256

RESTING = np.dtype(
    [
        ("active", "i8"),
        ("order_id", "i8"),
        ("px", "i8"),
        ("qty", "i8"),
        ("leaves", "i8"),
        ("queue_ahead", "f8"),  # lots
        ("instrument", "i4"),
        ("account", "i4"),
        ("side", "i4"),
        ("next", "i4"),  # slots of the instrument's resting orders in order of arrival; -1 ends the list
        ("previous", "i4"),
        ("spare", "i4"),
    ]
)
"""One own order as the exchange model sees it; it has the slot of the core's order."""

TAKEN = np.dtype([("instrument", "i8"), ("side", "i8"), ("px", "i8"), ("qty", "i8")])
"""Displayed quantity that own orders have consumed since the feed last showed the level."""

MODEL = np.dtype(
    [
        ("on_request", "i8"),  # addresses
        ("on_depth", "i8"),
        ("on_trade", "i8"),
        ("entry_latency_ns", "i8"),
        ("response_latency_ns", "i8"),
        ("trade_counter", "i8"),
        ("request_head", "i8"),
        ("request_count", "i8"),
        ("answer_head", "i8"),
        ("answer_count", "i8"),
        ("taken_count", "i8"),
        ("head", "i4", (MAX_INSTRUMENTS,)),  # first and last resting order of each instrument
        ("tail", "i4", (MAX_INSTRUMENTS,)),
        ("resting", "i4", (MAX_INSTRUMENTS,)),
        ("bucket", "i4", (MAX_INSTRUMENTS, MODEL_BUCKETS)),  # resting orders by px modulo the buckets
        ("taken", TAKEN, (MODEL_TAKEN,)),
        ("orders", RESTING, (MAX_ORDERS,)),
        ("requests", COMMAND, (MODEL_QUEUE,)),  # ts is when the request reaches the exchange
        ("answers", REPORT, (MODEL_QUEUE,)),  # ts is when the answer reaches the core
    ]
)

STATE = np.dtype(
    [
        ("now", "i8"),  # time of the record in hand
        ("next_due", "i8"),  # earliest timer, request or answer; nothing happens between records before it
        ("tick_stage", "i8"),  # how far the tick in hand was taken before the output was full; else 0
        ("next_strategy", "i8"),  # the first one to which the tick in hand has still to be shown; else 0
        ("cause_ts", "i8"),  # wall clock at which the gateway sent the frame in hand; 0 for other inputs
        ("feed_quiet", "i8"),  # 1: the host has heard nothing of the market for too long; no order is priced on it
        ("ticks", "i8"),
        ("ticks_refused", "i8"),
        ("orders_sent", "i8"),
        ("orders_refused", "i8"),
        ("fills", "i8"),
        ("reports_ignored", "i8"),
        ("open_orders", "i8"),
        ("external", "i8"),  # 1: requests leave through the command output; 0: the exchange model takes them
        ("strategies_used", "i8"),
        ("orders_used", "i8"),  # slots of the order table that have ever been used
        ("retired_head", "i8"),  # closed orders, oldest first; their slots are used again when all have been used
        ("retired_tail", "i8"),
        ("fill_counter", "i8"),
        ("event_seq", "i8"),
        ("event_count", "i8"),  # rows of the event output in use
        ("asked_from", "i8"),  # event_count when the callback or command in hand began
        ("events_lost", "i8"),  # must stay 0: events that found the output full
        ("command_seq", "i8"),
        ("command_count", "i8"),
        ("change", CHANGE),
        ("report", REPORT),  # scratch: the answer in hand
        ("command", COMMAND),  # scratch: the request in hand
        ("model", MODEL),
        ("accounts", ACCOUNT, (MAX_ACCOUNTS,)),
        ("instruments", INSTRUMENT, (MAX_INSTRUMENTS,)),
        ("limits", LIMITS, (MAX_ACCOUNTS, MAX_INSTRUMENTS)),
        ("positions", POSITION, (MAX_ACCOUNTS, MAX_INSTRUMENTS)),
        ("strategies", STRATEGY, (MAX_STRATEGIES,)),
        ("order_index", "i4", (ORDER_INDEX,)),  # slot + 1 by order id, open addressing; 0 is free
        ("orders", ORDER, (MAX_ORDERS,)),
        ("fill_log", FILL, (MAX_FILLS,)),
        ("cost_lots", COST_LOT, (MAX_COST_LOTS,)),
        ("cost_lot_free", "i8"),  # number (row + 1) of the first lot that was given back; 0: none
        ("cost_lots_used", "i8"),  # rows that have ever been used
        ("cost_lots_merged", "i8"),  # opening fills that joined a lot because the pool was empty
        ("events", EVENT, (EVENT_RING,)),
        ("commands", COMMAND, (COMMAND_RING,)),
        ("books", BOOK, (MAX_INSTRUMENTS,)),
    ]
)


def new_state() -> State:
    """An empty state: nothing is defined, every account is HALTED; pages are touched only as they are used."""
    st: State = np.zeros(1, STATE)
    s = st[0]
    s["next_due"] = NEVER
    s["retired_head"] = s["retired_tail"] = -1
    s["model"]["head"] = s["model"]["tail"] = -1
    s["books"]["best"][:, BID] = NO_BID
    s["books"]["best"][:, ASK] = NO_ASK
    s["books"]["open_head"] = -1
    return st


def define_account(st: State, account: int, trading_state: TradingState) -> None:
    """Let ``account`` trade in ``trading_state``."""
    row = st[0]["accounts"][account]
    row["defined"] = 1
    row["trading_state"] = trading_state


def define_instrument(st: State, instrument: Instrument) -> None:
    """Enter the instrument's definition.

    Raises
    ------
    ValueError
        When its id is outside the table.
    """
    if not 0 <= instrument.id < MAX_INSTRUMENTS:
        raise ValueError(
            f"instrument {instrument.symbol} has id {instrument.id}: the core holds ids 0 to {MAX_INSTRUMENTS - 1}"
        )
    st[0]["instruments"][instrument.id] = instrument.row()[0]
