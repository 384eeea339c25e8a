"""The core's whole state as one packed record: every table that the compiled step reads or writes.

Kernels take ``st``, a one-element array of ``STATE``, and work on ``st[0]``; Python passes the same array, which costs
under half a microsecond a call whatever it holds. Capacities are part of the type, so they are constants here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from oms.definition_rows import INSTRUMENT
from oms.instruments import Instrument
from oms.records import COMMAND, COST_LOT, EVENT, LANES, ORDER, PARENT, POSITION, REPORT, ROUTES, TERMS, TradingState

State = npt.NDArray[np.void]
Record = np.void

MAX_INSTRUMENTS: Final = 128
MAX_ACCOUNTS: Final = 8
MAX_STRATEGIES: Final = 64
MAX_SCOPES: Final = MAX_ACCOUNTS + MAX_STRATEGIES
"""A scope is what limits and sums are kept for: account ``a`` is scope ``a``, strategy ``k`` is scope
``MAX_ACCOUNTS + k``."""
MAX_LEGS: Final = 2
"""Positions of a scope in an instrument: leg 0 is the net one, or in hedging mode the long one; leg 1 the short one."""
MAX_CURRENCIES: Final = 32
MAX_WALLETS: Final = 64
"""Pairs of venue and currency in which accounts hold balances."""
MAX_RULES: Final = 16
MAX_RESETS: Final = 8_192
"""Daily resets of one account, over some 22 years, which the host has worked out in the account's time zone."""
TOLD: Final = 8
"""Figures of a scope in a SCOPE event."""
MAX_ORDERS: Final = 32_768
MAX_FILLS: Final = 65_536
"""Fills whose trade ids are remembered, to refuse a repeated one."""
TRADE_INDEX: Final = 2 * MAX_FILLS
RECENT_ORDERS: Final = 4_096
"""Rows of the table in which new orders are remembered, to refuse a copy."""
MAX_COST_LOTS: Final = 65_536
"""Opening fills that are held apart under FIFO, over all positions; further ones join the newest lot of theirs."""
MAX_OPEN_ORDERS: Final = 1_024
"""Open orders of one account in one instrument, whatever its limits say: it bounds the events of one tick."""

ORDER_INDEX: Final = 2 * MAX_ORDERS
EVENT_RING: Final = 16_384
COMMAND_RING: Final = 8_192
REPORT_RING: Final = 16_384
TOUCHED: Final = 8_192
MAX_CHILDREN: Final = 16
"""Contingent orders that one order may have: it bounds the events of one report."""
OUTPUT_MARGIN: Final = 4 * MAX_OPEN_ORDERS
"""Free rows that the event and command outputs must have before the next input is taken."""
ASK_BUDGET: Final = OUTPUT_MARGIN // 2
"""Rows that the requests and log lines of one callback, or one command, may fill; the rest of the margin is for what
the core itself must report."""

MAX_PARENTS: Final = 2_048
"""Orders that algorithms can work at a time."""
PARENT_RING: Final = 8_192
MAX_ALGORITHMS: Final = 64
WOKEN: Final = 2 * MAX_PARENTS
TERMS_RING: Final = 256
"""Terms that can wait for the commands they belong to."""

BOOK_WINDOW: Final = 16_384
"""Ticks around the market that are held as a dense array; levels outside it lie in a hash table."""
BOOK_FAR: Final = 4_096
FAR_ROWS: Final = 2 * BOOK_FAR
MAX_FAR_ROWS: Final = FAR_ROWS * 3 // 4
"""Rows in use from which on those of removed levels are given up."""

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
NO_LIMIT: Final = 2**62
"""A limit that lets everything through."""

BID: Final = 1
ASK: Final = 0
"""Index of a side in two-row tables: ``(side + 1) >> 1``."""

FAR_LEVEL = np.dtype(
    [
        ("px", "i8"),  # 0: the row is free
        ("qty", "i8"),  # 0: the level is gone, its row is used again when it comes back
    ]
)
"""A level outside a book's dense window."""

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
        ("far_count", "i8", (2,)),  # levels outside it
        ("far_used", "i8", (2,)),  # their rows in use, those of removed levels included
        ("trade_px", "i8"),
        ("trade_qty", "i8"),
        ("traded_qty", "i8"),  # lots of all trades so far
        ("traded_value", "f8"),  # tick-lots of them
        ("carried_half_ticks", "i8"),  # the mid price of the version before, until there is another price; 0: none
        ("mark_px", "i8"),  # the venue's own; 0: none
        ("index_px", "i8"),
        ("quote_px", "i8", (2,)),
        ("quote_qty", "i8", (2,)),
        ("exch_ts", "i8"),
        ("local_ts", "i8"),
        ("qty", "i8", (2, BOOK_WINDOW)),  # lots at px & (BOOK_WINDOW - 1)
        ("far", FAR_LEVEL, (2, FAR_ROWS)),  # open addressing by a hash of the price
        ("far_kept", FAR_LEVEL, (BOOK_FAR,)),  # scratch
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
        ("max_book_age_ns", "i8"),
        ("duplicate_window_ns", "i8"),  # a copy of a new order within it is refused; 0: never
        ("self_trade_allowed", "i8"),
    ]
)
"""Pre-trade limits of one scope in one instrument, and its rate bucket. An account's are required, a strategy's
narrow them."""

SCOPE = np.dtype(
    [
        ("defined", "i8"),
        ("trading_state", "i8"),  # TradingState
        ("reason", "i8"),  # why it is in that state
        # limits; cash in the reporting currency
        ("max_gross", "i8"),
        ("max_net", "i8"),
        ("max_leverage", "i8"),  # gross exposure to equity, 1e-8
        ("max_open_orders", "i8"),
        ("max_daily_loss", "i8"),
        ("max_drawdown", "i8"),
        ("order_interval_ns", "i8"),
        ("cancel_interval_ns", "i8"),
        ("rate_ts", "i8"),
        ("cancel_ts", "i8"),
        ("cancels_over_rate", "i8"),
        # sums; cash in the reporting currency
        ("open_orders", "i8"),
        ("gross", "i8"),  # of the farthest position that each instrument can reach, open orders included
        ("net", "i8"),  # of the positions as they are
        (
            "net_high",
            "i8",
        ),  # the most that open orders can make of it: all buys fill, of puts all sells
        ("net_low", "i8"),  # the least
        ("pnl", "i8"),  # realized and unrealized, less fees, with funding
        ("unpriced", "i8"),  # positions that count and cannot be valued
        ("unpriced_reason", "i8"),  # why, of the last one found: NO_PRICE, NO_CONVERSION
        ("day_start_pnl", "i8"),
        ("peak_pnl", "i8"),
        ("valued_at", "i8"),  # number of the market update for which every position has been valued
        ("first_active", "i8"),  # list of positions that count: row numbers in valuations; -1 ends it
        ("next_reset", "i8"),  # ns
        ("equity_start", "i8"),  # balances of the account, or what a strategy has to work with, before all PnL
        # what is under way
        ("drawn_down", "i8"),  # 1: a drawdown was acted on; the next one is measured from when it is set ACTIVE
        ("cancelling", "i8"),  # core.trading.Cancelling: which open orders are being cancelled
        ("flattening", "i8"),  # core.trading.Flattening: positions are being closed after the kill switch
        ("flatten_ts", "i8"),  # when the next closing orders may leave
        ("flatten_pause_ns", "i8"),  # after a closing order that was rejected, since one has filled; 0: none was
        ("rule_failed", "i8"),  # 1: a user's rule raised on an order of this strategy, which is to be halted
        ("told", "i8", (TOLD,)),  # the figures of the last SCOPE event
    ]
)
"""Limits, sums and state of an account or a strategy."""

ACCOUNT = np.dtype(
    [
        ("defined", "i8"),
        ("hedging", "i8"),  # 1: long and short positions apart
        ("isolated", "i8"),  # 1: margin by position, 0: shared by the wallet
        ("fifo", "i8"),  # 1: closed quantity is the oldest, 0: at average cost
        ("leverage", "i8"),  # 1e-8; what initial margin is computed at, within the instrument's tiers
        ("reset_number", "i8"),  # of the next one in resets
        ("resets", "i8", (MAX_RESETS,)),  # ns, ascending; NEVER behind the last
    ]
)

VALUATION = np.dtype(
    [
        ("active", "i8"),  # 1: in its scope's list, so that it is valued when the market has changed
        ("next_active", "i8"),  # row number of the scope's next position that counts; -1 ends the list
        ("half_ticks", "i8"),  # the mark at which the rest is computed; 0: none
        ("rate", "f8"),  # reporting currency for a unit of the settlement currency; 0: none
        ("unit", "f8"),  # cash in the reporting currency that one lot stands for at the mark
        ("unpriced", "i8"),  # Reason for which it cannot be valued, or NONE
        # cash in the reporting currency: what the position counts in its scope's sums
        ("gross", "i8"),
        ("net", "i8"),
        ("net_high", "i8"),
        ("net_low", "i8"),
        ("pnl", "i8"),
        # cash in the settlement currency, of accounts' positions on margin: what they count in their wallet's sums
        ("open_buy_value", "i8"),  # of open orders in flight included, at their own prices
        ("open_sell_value", "i8"),
        ("position_value", "i8"),  # signed
        ("margin", "i8"),
        ("unrealized", "i8"),
        (
            "apart",
            "i8",
        ),  # worth that is in no sum of the wallet: an isolated position's PnL, an option's value
        ("leverage", "i8"),  # 1e-8, for which leverage_rate is worked out
        ("leverage_rate", "i8"),  # 1e-8: one over the leverage, rounded up
        ("own_best", "i8", (2,)),  # best prices of own resting orders (leg 0); may be better than the true ones
    ]
)
"""What one position adds to the sums of its scope and its wallet; the sums are kept by difference."""

WALLET = np.dtype(
    [
        ("defined", "i8"),
        ("currency", "i8"),
        ("balance", "i8"),  # cash
        ("reserved", "i8"),  # for open spot orders, in flight included
        ("margin", "i8"),  # for positions and open orders, what is assigned to isolated positions included
        ("unrealized", "i8"),  # of cross positions, without options
    ]
)
"""One account's money in one currency at one venue."""

CURRENCY = np.dtype(
    [
        ("defined", "i8"),
        ("instrument", "i8"),  # whose mid price is the rate to the reporting currency; -1: the rate is fixed
        ("inverse", "i8"),  # 1: divide by that price
        ("factor", "f8"),  # reporting currency per unit and half tick; inverse: times the price in half ticks
        ("rate", "f8"),  # reporting currency per unit where it is fixed
    ]
)

RECENT = np.dtype([("owner", "i8"), ("px", "i8"), ("qty", "i8"), ("ts", "i8"), ("order_id", "i8")])
"""A new order's account, instrument and side in one number, its price and quantity, when it came, and its id."""

RULE = np.dtype([("address", "i8"), ("refusals", "i8"), ("failures", "i8")])
"""A user's risk rule: the address of its function."""

ORDER_LISTS = np.dtype(
    [
        ("open_head", "i8"),  # slots of all open orders; -1 ends the list
        ("armed_head", "i8"),  # slots of held orders that wait for a price; -1 ends the list
        ("due", "i8"),  # 1: one may leave at once, or its trigger has no place yet
        ("wake_above", "i8", (8,)),  # by TriggerSource and side: the lowest price that concerns one of them
        ("wake_below", "i8", (8,)),  # the highest one from above
    ]
)
"""The orders of one instrument, and the prices between which none that waits for one has to be looked at."""

STRATEGY = np.dtype(
    [
        ("defined", "i8"),
        ("halted", "i8"),
        ("account", "i8"),
        ("instrument", "i8"),  # the one whose ticks it gets; -1: all
        ("on_tick", "i8"),  # addresses; 0: it has none
        ("on_bar", "i8"),
        ("on_fill", "i8"),
        ("on_end", "i8"),
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

ALGORITHM = np.dtype([("id", "i8"), ("start", "i8"), ("work", "i8")])
"""An execution algorithm: the id of its name, and the addresses of its functions (0: it has none)."""

WAKE_RANGES = np.dtype(
    [
        ("bid_above", "i8"),  # the best bid, or ask, from which on upwards, or downwards, a parent is looked at
        ("bid_below", "i8"),
        ("ask_above", "i8"),
        ("ask_below", "i8"),
        ("traded_qty", "i8"),  # lots traded in the instrument
    ]
)
"""What of one instrument's market does not concern a parent order."""

PARENT_WAKE = np.dtype(
    [
        ("slot", "i8"),  # of its order, + 1; 0: the row is free
        ("algorithm", "i8"),  # row of the table of algorithms; -1: it is not loaded
        ("next", "i8", (ROUTES,)),  # for each route: links of its instrument's list; -1 ends it
        ("prev", "i8", (ROUTES,)),
        ("wake_ts", "i8"),  # ns; NEVER
        ("ranges", WAKE_RANGES, (ROUTES,)),
        ("seen_qty", "i8"),  # what of the market's trades its row has counted
        ("seen_value", "f8"),
        ("told_units", "i8"),  # filled_units when it was last told
        ("told_ts", "i8"),  # when that was
        ("woken", "i8"),  # 1: it is in the queue of those to be looked at now
    ]
)
"""When a parent order is looked at next; made anew from the orders in a new session."""

PARENT_LIST = np.dtype(
    [
        ("head", "i8"),  # the first link, a parent's row * ROUTES + the route on which it trades here; -1: none
        ("ranges", WAKE_RANGES),
    ]
)
"""The parent orders that trade in one instrument, and the prices between which none has to be looked at for it."""

WISH = np.dtype([("qty", "i8"), ("px", "i8"), ("takes", "i8"), ("flags", "i8")])
"""What an algorithm wants to have working in one lane; qty 0: nothing."""

OFFER_LEVELS: Final = 16
"""Levels of one book that an order over several venues is split over at a time."""
SPLIT_DEPTH: Final = 64

OFFER = np.dtype(
    [
        ("levels", "i8"),  # 0: nothing is to be had on the route
        ("step_lots", "i8"),  # lots of one step: what is taken is whole steps
        ("step_units", "i8"),
        ("px", "i8", (OFFER_LEVELS,)),  # ticks
        ("steps", "i8", (OFFER_LEVELS,)),  # to be had up to this level and with it
        ("first", "i8", (OFFER_LEVELS,)),  # fewest steps of an order that the venue takes at this level's price
        ("cost", "f8", (OFFER_LEVELS,)),  # all-in, for a unit, in the order's own quote currency; of a sell negative
        # of the split in hand
        ("most", "i8"),  # steps that can be paid beside what the others take
        ("claimed", "i8"),  # 1: its wallet has been asked
        ("low", "i8"),  # steps: no fewer, and no more
        ("high", "i8"),
        ("units", "i8"),  # that it has so far
        ("before", "i8"),
        ("at", "i8"),  # the level that comes next
        ("best_steps", "i8"),  # of the best split so far
    ]
)
"""What can be taken on one route of a parent order, best price first."""

SPLIT = np.dtype(
    [
        ("offers", OFFER, (ROUTES,)),
        ("low", "i8", (SPLIT_DEPTH, ROUTES)),  # bounds of the splits that are still to be looked at, a stack
        ("high", "i8", (SPLIT_DEPTH, ROUTES)),
        ("depth", "i8"),
        ("left", "i8"),  # units that the split in hand leaves
        ("cost", "f8"),
        ("best_left", "i8"),
        ("best_cost", "f8"),
        ("claims", "i8", (MAX_WALLETS,)),  # cash that the best split takes of the order's account
    ]
)
"""How a quantity is split over routes."""

TRADE = np.dtype([("trade_id", "i8"), ("instrument", "i4"), ("account", "i4")])
"""One remembered trade, in the row of its number modulo ``MAX_FILLS``."""

# The exchange model's side of the world. Its functions live under backtest/matching/ and are called by address.

MODEL_QUEUE: Final = 32_768
"""Requests, and answers, that can be under way between the core and an exchange model."""
MODEL_BUCKETS: Final = 1_024
MODEL_TAKEN: Final = 256
MAX_FEE_TIERS: Final = 16
FEE_DAYS: Final = 30
"""Days before today whose traded value decides an account's fee tier."""

RESTING = np.dtype(
    [
        ("active", "i8"),
        ("order_id", "i8"),
        ("px", "i8"),  # 0: a market order
        ("qty", "i8"),
        ("leaves", "i8"),
        ("taken", "i8"),  # lots that it has taken; its impact grows with them
        ("queue_ahead", "f8"),  # quantity before it at its price; of the instrument's own unit, not lots
        ("queue_traded", "f8"),  # traded at its price since the feed last showed the level
        ("instrument", "i4"),
        ("account", "i4"),
        ("side", "i4"),
        ("next", "i4"),  # slots of the instrument's resting orders in order of arrival; -1 ends the list
        ("previous", "i4"),
        ("arrival", "i4"),  # model of bars: how it is taken at the next price, bars.Arrival; 0: it rests
        ("reduces", "i4"),  # reduce-only: number of the leg that it closes + 1; 0: it may open
        ("waits", "i4"),  # 1: a stop that has not fired; previous and next are those of the instrument's stops
        ("trigger_px", "i8"),
    ]
)
"""One own order as the exchange model sees it; it has the slot of the core's order."""

TAKEN = np.dtype([("instrument", "i8"), ("side", "i8"), ("px", "i8"), ("qty", "i8")])
"""Displayed quantity that own orders have consumed since the feed last showed the level."""

FEE_TIER = np.dtype(
    [
        ("traded_value", "f8"),  # cash in the reporting currency: the tier holds from this on
        ("maker_fee_rate", "i8"),  # 1e-8 of the value
        ("taker_fee_rate", "i8"),
    ]
)
"""Fees of an account that has traded so much in the last ``FEE_DAYS`` days."""

MODEL = np.dtype(
    [
        ("on_request", "i8"),  # addresses
        ("on_depth", "i8"),
        ("on_trade", "i8"),
        ("on_level", "i8"),  # of the queue model
        ("on_margin", "i8"),  # of what liquidates
        ("on_stop", "i8"),  # of what keeps stops
        ("on_price", "i8"),
        ("queue_power", "f8"),
        ("rows", "i8"),  # address of TICK records that act at the exchange by its own clock
        ("rows_count", "i8"),
        ("rows_taken", "i8"),
        ("first_book", "i8"),  # of the exchange: 0: the core's own, MAX_INSTRUMENTS: those of a second clock
        ("entry_latency_ns", "i8"),
        ("response_latency_ns", "i8"),
        ("feed_factor", "f8"),  # of the feed's latency at the time, which is added both ways
        ("latency_rows", "i8"),  # address of recorded latencies, three int64 a row; 0: there are none
        ("latency_count", "i8"),
        ("slippage_ticks", "i8"),
        ("impact_rate", "f8"),  # of the price, for an order of impact_qty
        ("impact_power", "f8"),  # of the quantity; 0: there is no impact
        ("impact_qty", "f8"),  # of the instrument's own unit
        ("fill_chance", "f8"),  # of the model that throws dice
        ("slip_chance", "f8"),
        ("random", "i8", (2,)),  # of its random numbers
        ("fee_basis", "i8"),  # FeeBasis
        ("maker_unit_fee", "i8"),  # cash for a unit of the quantity
        ("taker_unit_fee", "i8"),
        ("fee_tier_count", "i8"),
        ("fee_tiers", FEE_TIER, (MAX_FEE_TIERS,)),
        ("fee_day", "i8"),  # UTC day since 1970 for which fee_tier holds
        ("fee_tier", "i8", (MAX_ACCOUNTS,)),
        ("traded_value", "f8", (MAX_ACCOUNTS, FEE_DAYS + 1)),  # cash in the reporting currency, at day % (FEE_DAYS + 1)
        ("trade_counter", "i8"),
        ("liquidation", "i8"),  # Liquidation
        ("liquidation_fee_rate", "i8"),  # 1e-8 of the value, where it closes at the mark
        ("watch", "i8"),  # margin_watch: whether the bands below hold
        ("mark_below", "i8", (MAX_INSTRUMENTS,)),  # half ticks: within its band no mark brings a margin to be used up
        ("mark_above", "i8", (MAX_INSTRUMENTS,)),
        ("liquidated_ts", "i8", (MAX_ACCOUNTS, MAX_WALLETS)),  # when the core is told of a wallet's last liquidation
        ("request_head", "i8"),
        ("request_count", "i8"),
        ("answer_head", "i8"),
        ("answer_count", "i8"),
        ("taken_count", "i8"),
        ("volume_left", "i8"),  # lots of the bar in hand that own orders have not got
        ("head", "i4", (MAX_INSTRUMENTS,)),  # first and last resting order of each instrument
        ("tail", "i4", (MAX_INSTRUMENTS,)),
        ("resting", "i4", (MAX_INSTRUMENTS,)),
        (
            "first_stop",
            "i4",
            (MAX_INSTRUMENTS,),
        ),  # slot + 1 of the first and last stop that waits; 0: none
        ("last_stop", "i4", (MAX_INSTRUMENTS,)),
        ("reach", "i8", (MAX_INSTRUMENTS, 2)),  # best prices of own orders since one began to rest; may be better ones
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
        ("bar_stage", "i8"),  # how far the bar in hand has gone its way; STAGES: to its end
        ("tick_stage", "i8"),  # how far the tick in hand was taken before the output was full; else 0
        ("next_strategy", "i8"),  # the first one to which the tick in hand has still to be shown; else 0
        ("next_position", "i8"),  # number of the position with which the report of all of them goes on; else 0
        ("cause_ts", "i8"),  # wall clock at which the gateway sent the frame in hand; 0 for other inputs
        ("feed_quiet", "i8"),  # 1: nothing has been heard of the market for too long; no order is priced on it
        ("market_updates", "i8"),  # counts changes of any market price: sums valued at another number are old
        ("next_expiry", "i8"),  # earliest time at which an order expires
        ("expiry_head", "i8"),  # slots of orders that expire by time; -1 ends the list
        ("next_review", "i8"),  # when the core next looks at losses, resets and expiries of instruments
        ("reviewed_updates", "i8"),  # market_updates and event_seq as the last review left them
        ("reviewed_events", "i8"),
        ("quiet_until", "i8"),  # when time alone gives the next review something to do
        ("quiet_instrument", "i8"),  # whose mark alone may move without the next review having something to do:
        ("quiet_low", "i8"),  # from here, half ticks
        ("quiet_high", "i8"),  # to here
        ("scopes_untold", "i8"),  # 1: no SCOPE events are written
        ("flattening", "i8"),  # accounts whose positions the kill switch is closing
        ("on_ask", "i8"),  # address of what acts on a strategy's command,
        ("on_value", "i8"),  # and of what values it
        ("answered", "i8"),  # the Reason for which it refused the last one; 0: it did not
        ("verdict", "i8"),  # what a user's rule said of the order in hand
        ("rules_used", "i8"),
        ("reporting_currency", "i8"),
        ("wallets_used", "i8"),
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
        ("trade_counter", "i8"),
        ("illegal_transitions", "i8"),
        ("event_seq", "i8"),
        ("event_count", "i8"),  # rows of the event output in use
        ("asked_from", "i8"),  # event_count when the callback or command in hand began
        ("events_lost", "i8"),  # must stay 0: events that found the output full
        ("command_seq", "i8"),
        ("command_count", "i8"),
        ("report_count", "i8"),
        ("parent_count", "i8"),
        ("aside", "i8", (MAX_CHILDREN + 1,)),  # scratch: open quantity of a group while one of it is checked
        ("aside_margin", "i8", (max(MAX_LEGS, LANES),)),  # scratch: margin of its position meanwhile
        ("touched_count", "i8"),
        ("touched", "i4", (TOUCHED,)),  # slots of contingent orders on which others hang and that have changed
        ("change", CHANGE),
        ("report", REPORT),  # scratch: the answer in hand
        ("own_report", REPORT),  # scratch: a report of the core's own, while another one is in hand
        ("converted_report", REPORT),  # scratch: a report in its order's own version
        ("command", COMMAND),  # scratch: the request in hand
        ("rule_command", COMMAND),  # scratch: what users' rules are shown of an amend
        ("own_command", COMMAND),  # scratch: a request of the core's own, while another one is in hand
        ("wishes", WISH, (LANES,)),  # scratch: of the parent order in hand
        ("parent_before", PARENT),  # scratch: as it was
        ("split", SPLIT),  # scratch: of the parent order in hand
        ("model", MODEL),
        ("accounts", ACCOUNT, (MAX_ACCOUNTS,)),
        ("instruments_used", "i8"),  # the highest id that was ever defined, + 1
        ("instruments", INSTRUMENT, (MAX_INSTRUMENTS,)),
        ("instrument_states", "i8", (MAX_INSTRUMENTS,)),  # InstrumentState
        ("entry_closed", "i8", (MAX_INSTRUMENTS,)),  # Reason why its exchange is sent no new orders; 0: it is
        ("pending_definitions", INSTRUMENT, (MAX_INSTRUMENTS,)),  # the version to come; defined 0: none
        ("former_definitions", INSTRUMENT, (MAX_INSTRUMENTS,)),  # the version before, for what comes late
        ("incoming_definition", INSTRUMENT, (1,)),  # scratch: the definition in hand
        ("switching", "i8"),  # instruments that wait for their new version
        ("blocked_by", "i8", (MAX_INSTRUMENTS,)),  # number of the position in the new version's way + 1; 0: none
        ("unsettled", "i8", (MAX_INSTRUMENTS,)),  # 1: it has been told that an expired position has no price
        ("scopes", SCOPE, (MAX_SCOPES,)),
        ("limits", LIMITS, (MAX_SCOPES, MAX_INSTRUMENTS)),
        ("positions", POSITION, (MAX_SCOPES, MAX_INSTRUMENTS, MAX_LEGS)),
        ("valuations", VALUATION, (MAX_SCOPES, MAX_INSTRUMENTS, MAX_LEGS)),
        ("wallets", WALLET, (MAX_ACCOUNTS, MAX_WALLETS)),
        ("currencies", CURRENCY, (MAX_CURRENCIES,)),
        ("recent", RECENT, (RECENT_ORDERS,)),
        ("rules", RULE, (MAX_RULES,)),
        ("order_lists", ORDER_LISTS, (MAX_INSTRUMENTS,)),
        ("strategies", STRATEGY, (MAX_STRATEGIES,)),
        ("algorithms", ALGORITHM, (MAX_ALGORITHMS,)),
        ("algorithms_used", "i8"),
        ("terms", TERMS, (TERMS_RING,)),
        ("terms_count", "i8"),  # terms that have come so far
        ("parents", PARENT, (MAX_PARENTS,)),
        ("parents_open", "i8"),
        ("child_counter", "i8"),  # of the last child order's id
        ("parent_wakes", PARENT_WAKE, (MAX_PARENTS,)),
        ("parent_lists", PARENT_LIST, (MAX_INSTRUMENTS,)),
        ("parent_due", "i8", (MAX_INSTRUMENTS,)),  # when a parent whose own instrument it is is to be looked at
        ("next_parent", "i8"),  # the earliest of them
        ("woken", "i4", (WOKEN,)),  # rows of parents to be looked at now, in order
        ("woken_count", "i8"),
        ("next_told_parent", "i8"),  # row + 1 with which the report of all goes on; else 0
        ("order_index", "i4", (ORDER_INDEX,)),  # slot + 1 by order id, open addressing; 0 is free
        ("orders", ORDER, (MAX_ORDERS,)),
        ("trades", TRADE, (MAX_FILLS,)),
        ("trade_index", "i4", (TRADE_INDEX,)),  # row of trades + 1 by a hash, open addressing; 0 is free
        ("cost_lots", COST_LOT, (MAX_COST_LOTS,)),
        ("cost_lot_free", "i8"),  # number (row + 1) of the first lot that was given back; 0: none
        ("cost_lots_used", "i8"),  # rows that have ever been used
        ("cost_lots_merged", "i8"),  # opening fills that joined a lot because the pool was empty
        ("events", EVENT, (EVENT_RING,)),
        ("commands", COMMAND, (COMMAND_RING,)),
        ("reports", REPORT, (REPORT_RING,)),  # those taken, in order: the host's and the exchange model's
        ("told_parents", PARENT, (PARENT_RING,)),  # rows of parents as they were when PROGRESS was told of them
        ("books", BOOK, (2 * MAX_INSTRUMENTS,)),  # the second half: of an exchange with a clock of its own
    ]
)


PAGE_BYTES: Final = 4096
TOUCHED_BYTES: Final = 1 << 20
"""Of each table: room for 4,096 orders and 8,192 of their events."""


def new_state() -> State:
    """An empty state: nothing is defined, every account is HALTED; pages are touched only as they are used."""
    st: State = np.zeros(1, STATE)
    s = st[0]
    s["next_due"] = NEVER
    s["retired_head"] = s["retired_tail"] = -1
    s["model"]["head"] = s["model"]["tail"] = -1
    s["order_lists"]["open_head"] = s["order_lists"]["armed_head"] = -1
    s["order_lists"]["wake_above"] = NO_ASK
    s["order_lists"]["wake_below"] = NO_BID
    s["parent_lists"]["head"] = -1
    ranges = s["parent_lists"]["ranges"]
    ranges["bid_above"] = ranges["ask_above"] = NO_ASK + 1
    ranges["bid_below"] = ranges["ask_below"] = NO_BID - 1
    ranges["traded_qty"] = s["parent_due"] = s["next_parent"] = NEVER
    s["expiry_head"] = -1
    s["next_expiry"] = s["next_review"] = NEVER
    s["scopes"]["first_active"] = -1
    s["scopes"]["next_reset"] = NEVER
    s["accounts"]["resets"] = NEVER
    for name in ("max_gross", "max_net", "max_leverage", "max_open_orders", "max_daily_loss", "max_drawdown"):
        s["scopes"][name] = NO_LIMIT
    s["valuations"]["own_best"][..., BID] = NO_BID
    s["valuations"]["own_best"][..., ASK] = NO_ASK
    return st


def clear_outputs(st: State) -> None:
    """Empty the core's outputs, once the host has taken what is in them."""
    s = st[0]
    s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0


def define_account(st: State, account: int, trading_state: TradingState) -> None:
    """Let ``account`` trade in ``trading_state``, without limits for it as a whole."""
    st[0]["accounts"][account]["defined"] = 1
    scope = st[0]["scopes"][account]
    scope["defined"] = 1
    scope["trading_state"] = trading_state


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
    st[0]["instruments_used"] = max(int(st[0]["instruments_used"]), instrument.id + 1)
    begin_books(st)


def books_in_use(st: State) -> list[int]:
    """Rows of ``books`` of every defined instrument, in the core and at an exchange with a clock of its own."""
    defined = np.flatnonzero(st[0]["instruments"]["defined"])
    return np.unique([defined, defined + int(st[0]["model"]["first_book"])]).tolist()


def begin_books(st: State) -> None:
    """Make the books of every defined instrument empty ones; those that have begun stay as they are.

    Books are three quarters of a state: those of no instrument are never touched, and take no memory.
    """
    for at in books_in_use(st):
        best = st[0]["books"][at]["best"]
        if not best.any():
            best[ASK] = NO_ASK
            best[BID] = NO_BID


def touch_pages(st: State) -> None:
    """Write to what will be used first: the first part of every table, and the books of every defined instrument.

    The system gives memory a page at a time when it is first written to, and no order is to wait for that.
    """
    memory = st.view(np.uint8)
    books = _place(STATE, "books")[0]
    for at in books_in_use(st):
        start = books + at * BOOK.itemsize
        memory[start : start + BOOK.itemsize : PAGE_BYTES] += 0
    for start, size in _tables(STATE):
        memory[start : start + min(size, TOUCHED_BYTES) : PAGE_BYTES] += 0


def _tables(record: np.dtype[Any], start: int = 0) -> Iterator[tuple[int, int]]:
    """Offset and size of every table of a record but its books, in bytes."""
    for name in record.names or ():
        offset, size = _place(record, name)
        if name == "model":
            yield from _tables(record[name], start + offset)
        elif name != "books":
            yield start + offset, size


def _place(record: np.dtype[Any], name: str) -> tuple[int, int]:
    """Offset and size of a field in bytes."""
    fields: Any = record.fields
    kind, offset = fields[name][:2]
    return offset, kind.itemsize
