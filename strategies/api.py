"""The API of compiled strategies.

A strategy is one Python file. It declares its parameters and defines any of five functions in the Numba subset::

    PARAMETERS = {"half_spread_ticks": 5.0}
    HALF_SPREAD = 0                      # a parameter's number is its place in PARAMETERS

    def on_tick(st, me, tick): ...       # after each complete market data message of its instrument
    def on_bar(st, me, bar): ...         # after each complete bar, where the data are bars
    def on_fill(st, me, event): ...      # after each fill of its orders; an EVENT record
    def on_end(st, me, event): ...       # after the end of an order that an algorithm worked for it; HELD_ENDED
    def on_timer(st, me, now): ...       # every TIMER_INTERVAL_NS, with the time it was due

``st`` is the core's state and ``me`` the strategy's number; pass both on to the functions here. Prices are in ticks,
quantities in lots, times in ns, all integers: a float where one of them belongs does not compile. A function of the
file's own that these call is marked with ``@function``. An exception halts this strategy and cancels its orders;
the others run on. An instrument, a parameter or a strategy that does not exist is an ``IndexError``.
"""

from __future__ import annotations

from typing import Final

from oms.core.book import is_tradable, level_qty
from oms.core.events import may_ask, new_event
from oms.core.liquidation import distance_of
from oms.core.orders import find_order
from oms.core.orders import has_fired as has_fired_order
from oms.core.orders import is_open as is_open_state
from oms.core.state import ASK, BID, MAX_ACCOUNTS, NO_ASK, NO_BID, Record, State
from oms.records import BUY, SELL, EventKind, Reason, TradingState
from strategies.algorithms import (
    PAUSED,
    RUNNING,
    STOPPING,
    algorithm,
    parameter_number,
    parent_of,
    pause,
    resume,
    set_parameter,
    work_due_qty,
    work_open_qty,
    work_order,
    work_order_over,
    work_state,
    worked_order,
)
from strategies.requests import (
    AT_EXCHANGE,
    BASIS_POINTS,
    BID_ASK,
    DAY,
    FOK,
    GTC,
    GTD,
    INDEX,
    IOC,
    LAST,
    LIMIT,
    MARK,
    MARKET,
    NO_CONTINGENCY,
    NO_TRIGGER,
    OCO,
    OTO,
    POST_ONLY,
    REDUCE_ONLY,
    REPLACE,
    SHORT_LEG,
    STOP,
    TAKE_PROFIT,
    TICKS,
    TRAILING,
    amend,
    amend_trigger,
    bracket,
    cancel,
    cancel_all,
    function,
    oco,
    replace,
    submit,
    submit_day,
    submit_displayed,
    submit_limit,
    submit_market,
    submit_order,
    submit_stop,
    submit_take_profit,
    submit_trailing,
    submit_until,
    value,
)

__all__ = [
    "AT_EXCHANGE",
    "BASIS_POINTS",
    "BID_ASK",
    "BUY",
    "DAY",
    "FOK",
    "GTC",
    "GTD",
    "INDEX",
    "IOC",
    "LAST",
    "LIMIT",
    "MARK",
    "MARKET",
    "NO_AMEND",
    "NO_ASK",
    "NO_BID",
    "NO_CONTINGENCY",
    "NO_TRIGGER",
    "OCO",
    "OTO",
    "PAUSED",
    "POST_ONLY",
    "REDUCE_ONLY",
    "REPLACE",
    "RUNNING",
    "SELL",
    "SHORT_LEG",
    "STOP",
    "STOPPING",
    "TAKE_PROFIT",
    "TICKS",
    "TRAILING",
    "account_pnl",
    "algorithm",
    "amend",
    "amend_trigger",
    "bar_close",
    "bar_high",
    "bar_low",
    "bar_open",
    "bar_timeframe",
    "bar_volume",
    "best_ask",
    "best_bid",
    "book_is_tradable",
    "bracket",
    "cancel",
    "cancel_all",
    "displayed_qty",
    "function",
    "has_fired",
    "index_px",
    "instrument_of",
    "is_open",
    "last_trade_px",
    "liquidation_distance",
    "log",
    "mark_px",
    "memory",
    "now",
    "oco",
    "order_fees",
    "order_leaves",
    "order_px",
    "order_realized_pnl",
    "order_state",
    "order_trigger_px",
    "own_open_orders",
    "own_pnl",
    "own_position",
    "own_realized_pnl",
    "parameter",
    "parameter_number",
    "parent_of",
    "pause",
    "position",
    "replace",
    "resume",
    "set_parameter",
    "short_position",
    "submit",
    "submit_day",
    "submit_displayed",
    "submit_limit",
    "submit_market",
    "submit_order",
    "submit_stop",
    "submit_take_profit",
    "submit_trailing",
    "submit_until",
    "trading_state",
    "work_due_qty",
    "work_open_qty",
    "work_order",
    "work_order_over",
    "work_state",
    "worked_order",
]

NO_AMEND: Final = int(Reason.NO_AMEND)
"""``amend``: the exchange has refused to change the order, as it changes none."""

_LOG: Final = int(EventKind.LOG)
_HALTED: Final = int(TradingState.HALTED)
_ACTIVE: Final = int(TradingState.ACTIVE)
_REDUCING: Final = int(TradingState.REDUCING)


@function
def now(st: State) -> int:
    """Time of the record in hand, ns."""
    return st[0]["now"]


@function
def instrument_of(st: State, me: int) -> int:
    """The strategy's instrument."""
    return st[0]["strategies"][me]["instrument"]


@function
def parameter(st: State, me: int, number: int) -> float:
    """Value of a parameter by its place in ``PARAMETERS``."""
    return st[0]["strategies"][me]["parameters"][number]


@function
def memory(st: State, me: int) -> Record:
    """The strategy's own 64 int64 cells: all that it remembers between calls. They start at 0."""
    return st[0]["strategies"][me]["memory"]


@function
def best_bid(st: State, instrument: int) -> int:
    """Best bid in ticks, or ``NO_BID``."""
    return st[0]["books"][instrument]["best"][BID]


@function
def best_ask(st: State, instrument: int) -> int:
    """Best ask in ticks, or ``NO_ASK``."""
    return st[0]["books"][instrument]["best"][ASK]


@function
def displayed_qty(st: State, instrument: int, side: int, px: int) -> int:
    """Lots displayed at a level."""
    if side != BUY and side != SELL:
        raise ValueError("side must be BUY or SELL")
    return level_qty(st[0]["books"][instrument], side, px)


@function
def bar_open(bar: Record) -> int:
    """First price of a bar, in ticks."""
    return bar["px_2"]


@function
def bar_high(bar: Record) -> int:
    """Highest price of a bar, in ticks."""
    return bar["qty_2"]


@function
def bar_low(bar: Record) -> int:
    """Lowest price of a bar, in ticks."""
    return bar["update_id"]


@function
def bar_close(bar: Record) -> int:
    """Last price of a bar, in ticks."""
    return bar["px"]


@function
def bar_volume(bar: Record) -> int:
    """Lots that traded in a bar."""
    return bar["qty"]


@function
def bar_timeframe(bar: Record) -> int:
    """Number of the bar's timeframe: 0 for the data's own, 1 for the first longer one that was asked for, and so on."""
    return bar["side"]


@function
def last_trade_px(st: State, instrument: int) -> int:
    """Price of the last trade in ticks; 0 before the first."""
    return st[0]["books"][instrument]["trade_px"]


@function
def book_is_tradable(st: State, instrument: int) -> bool:
    """True while the book is in step with the venue."""
    return is_tradable(st[0]["books"][instrument])


@function
def mark_px(st: State, instrument: int) -> int:
    """The venue's mark price in ticks; 0 when it states none."""
    return st[0]["books"][instrument]["mark_px"]


@function
def index_px(st: State, instrument: int) -> int:
    """The venue's index price in ticks; 0 when it states none."""
    return st[0]["books"][instrument]["index_px"]


@function
def position(st: State, me: int) -> int:
    """Signed lots of the strategy's account in the strategy's instrument; in hedging mode the long position."""
    strategy = st[0]["strategies"][me]
    return st[0]["positions"][strategy["account"], strategy["instrument"], 0]["qty"]


@function
def short_position(st: State, me: int) -> int:
    """Signed lots of the account's short position; 0 in netting mode."""
    strategy = st[0]["strategies"][me]
    return st[0]["positions"][strategy["account"], strategy["instrument"], 1]["qty"]


@function
def liquidation_distance(st: State, me: int) -> int:
    """How far the mark may move against the account's position until it is liquidated, in 1e-8 of the mark.

    At the market of now. Of a hedged position the nearer of both; zero or less when it is
    reached, above 1e8 when it cannot be.
    """
    value(st, me)
    strategy = st[0]["strategies"][me]
    account = strategy["account"]
    instrument = strategy["instrument"]
    return min(distance_of(st[0], account, instrument, 0), distance_of(st[0], account, instrument, 1))


@function
def own_position(st: State, me: int) -> int:
    """Signed lots that the strategy's own fills make in its instrument, both legs together."""
    legs = st[0]["positions"][MAX_ACCOUNTS + me, st[0]["strategies"][me]["instrument"]]
    return legs[0]["qty"] + legs[1]["qty"]


@function
def own_realized_pnl(st: State, me: int) -> int:
    """Cash (1e-8 of the settlement currency) that the strategy's own fills have realized, less their fees."""
    legs = st[0]["positions"][MAX_ACCOUNTS + me, st[0]["strategies"][me]["instrument"]]
    return legs[0]["realized_pnl"] + legs[1]["realized_pnl"] - legs[0]["fees"] - legs[1]["fees"]


@function
def own_pnl(st: State, me: int) -> int:
    """The strategy's PnL, realized and unrealized less fees, in 1e-8 of the reporting currency."""
    value(st, me)
    return st[0]["scopes"][MAX_ACCOUNTS + me]["pnl"]


@function
def own_open_orders(st: State, me: int) -> int:
    """The strategy's open orders, those held in the core included."""
    return st[0]["scopes"][MAX_ACCOUNTS + me]["open_orders"]


@function
def account_pnl(st: State, me: int) -> int:
    """The same as ``own_pnl`` of the strategy's account."""
    value(st, me)
    return st[0]["scopes"][st[0]["strategies"][me]["account"]]["pnl"]


@function
def trading_state(st: State, me: int) -> int:
    """What the strategy may do: the narrower of its account's TradingState and its own."""
    scopes = st[0]["scopes"]
    account = scopes[st[0]["strategies"][me]["account"]]["trading_state"]
    own = scopes[MAX_ACCOUNTS + me]["trading_state"]
    if account == _HALTED or own == _HALTED:
        return _HALTED
    return _REDUCING if account == _REDUCING or own == _REDUCING else _ACTIVE


@function
def order_state(st: State, order_id: int) -> int:
    """The order's OrderState; 0 (EMPTY) when the core does not know the id."""
    slot = find_order(st[0], order_id)
    return 0 if slot < 0 else st[0]["orders"][slot]["state"]


@function
def is_open(st: State, order_id: int) -> bool:
    """True while the order may still trade: at the exchange, on its way there, or held in the core."""
    return is_open_state(order_state(st, order_id))


@function
def has_fired(st: State, order_id: int) -> bool:
    """True once the price of a stop has come, in the core or at the exchange; False when the core does not know the id.

    An order without a trigger has none to come.
    """
    slot = find_order(st[0], order_id)
    return False if slot < 0 else has_fired_order(st[0]["orders"][slot])


@function
def order_px(st: State, order_id: int) -> int:
    """The order's price in ticks; 0 when the core does not know the id."""
    slot = find_order(st[0], order_id)
    return 0 if slot < 0 else st[0]["orders"][slot]["px"]


@function
def order_leaves(st: State, order_id: int) -> int:
    """Lots of the order that are still to be filled; 0 when the core does not know the id."""
    slot = find_order(st[0], order_id)
    return 0 if slot < 0 else st[0]["orders"][slot]["qty"] - st[0]["orders"][slot]["filled_qty"]


@function
def order_realized_pnl(st: State, order_id: int) -> int:
    """Cash (1e-8 of the settlement currency) that the order's fills have realized on the account, before fees.

    0 when the core does not know the id.
    """
    slot = find_order(st[0], order_id)
    return 0 if slot < 0 else st[0]["orders"][slot]["realized_pnl"]


@function
def order_fees(st: State, order_id: int) -> int:
    """Cash that the order's fills have paid in fees, received negative; 0 when the core does not know the id."""
    slot = find_order(st[0], order_id)
    return 0 if slot < 0 else st[0]["orders"][slot]["fees"]


@function
def order_trigger_px(st: State, order_id: int) -> int:
    """Where the order's trigger stands, in ticks; 0 when it has none, or the core does not know the id."""
    slot = find_order(st[0], order_id)
    return 0 if slot < 0 else st[0]["orders"][slot]["trigger_px"]


@function
def log(st: State, me: int, message: int, a: int, b: int, c: int, d: int) -> None:
    """Write log line number ``message`` of the file's ``LOG_MESSAGES`` with four numbers to fill in."""
    s = st[0]
    if not may_ask(s):
        s["strategies"][me]["logs_dropped"] += 1
        return
    at = new_event(s, _LOG, 0)
    event = s["events"][at]
    event["strategy"] = me
    event["instrument"] = s["strategies"][me]["instrument"]
    event["aux"] = message
    event["px"] = a
    event["qty"] = b
    event["last_px"] = c
    event["last_qty"] = d
