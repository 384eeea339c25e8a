"""The API of compiled strategies.

A strategy is one Python file. It declares its parameters and defines any of three functions in the Numba subset::

    PARAMETERS = {"half_spread_ticks": 5.0}
    HALF_SPREAD = 0                      # a parameter's number is its place in PARAMETERS

    def on_tick(st, me, tick): ...       # after each complete market data message of its instrument
    def on_fill(st, me, event): ...      # after each fill of its orders; an EVENT record
    def on_timer(st, me, now): ...       # every TIMER_INTERVAL_NS, with the time it was due

``st`` is the core's state and ``me`` the strategy's number; pass both on to the functions here. Prices are in ticks,
quantities in lots, times in ns, all integers: a float where one of them belongs does not compile. A function of the
file's own that the three call is marked with ``@function``. An exception halts this strategy and cancels its orders;
the others run on. An instrument, a parameter or a strategy that does not exist is an ``IndexError``.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import user_kernel
from oms.core.book import is_tradable, level_qty
from oms.core.events import may_ask, new_event
from oms.core.orders import find_order
from oms.core.outbox import clear_rare
from oms.core.requests import cancel_open, request_amend, request_cancel, request_new
from oms.core.state import ASK, BID, NO_ASK, NO_BID, Record, State
from oms.records import (
    BUY,
    ORDER_ID_COUNTER_BITS,
    SELL,
    STRATEGY_CLIENT_BASE,
    CommandKind,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
)

__all__ = [
    "BUY",
    "FOK",
    "GTC",
    "IOC",
    "NO_ASK",
    "NO_BID",
    "POST_ONLY",
    "REDUCE_ONLY",
    "SELL",
    "amend",
    "best_ask",
    "best_bid",
    "book_is_tradable",
    "cancel",
    "cancel_all",
    "displayed_qty",
    "function",
    "instrument_of",
    "is_open",
    "last_trade_px",
    "log",
    "memory",
    "now",
    "order_leaves",
    "order_px",
    "order_state",
    "parameter",
    "position",
    "submit",
    "submit_limit",
    "submit_market",
]

function = user_kernel

GTC: Final = int(TimeInForce.GTC)
IOC: Final = int(TimeInForce.IOC)
FOK: Final = int(TimeInForce.FOK)
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
REDUCE_ONLY: Final = int(OrderFlag.REDUCE_ONLY)

_LIMIT: Final = int(OrderType.LIMIT)
_MARKET: Final = int(OrderType.MARKET)
_NEW: Final = int(CommandKind.NEW)
_AMEND: Final = int(CommandKind.AMEND)
_CANCEL: Final = int(CommandKind.CANCEL)
_LOG: Final = int(EventKind.LOG)
_NOT_OWNER: Final = int(Reason.NOT_OWNER)
_LAST_OPEN: Final = int(OrderState.PENDING_CANCEL)
_MAX_FLAGS: Final = 2**16 - 1


@function
def whole(number: int) -> int:
    """Return ``number``; for a float there is no such operation, so that nothing is rounded unseen."""
    return number | 0


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
def last_trade_px(st: State, instrument: int) -> int:
    """Price of the last trade in ticks; 0 before the first."""
    return st[0]["books"][instrument]["trade_px"]


@function
def book_is_tradable(st: State, instrument: int) -> bool:
    """True while the book is in step with the venue."""
    return is_tradable(st[0]["books"][instrument])


@function
def position(st: State, me: int) -> int:
    """Signed lots of the strategy's account in the strategy's instrument."""
    strategy = st[0]["strategies"][me]
    return st[0]["positions"][strategy["account"], strategy["instrument"], 0]["qty"]


@function
def submit(st: State, me: int, side: int, px: int, qty: int, order_type: int, time_in_force: int, flags: int) -> int:
    """Ask for a new order in the strategy's instrument.

    Returns
    -------
    int
        The order id (> 0), or minus the Reason for which risk refused it.
    """
    s = st[0]
    strategy = s["strategies"][me]
    strategy["order_counter"] += 1
    order_id = ((me + STRATEGY_CLIENT_BASE) << ORDER_ID_COUNTER_BITS) | strategy["order_counter"]
    command = s["command"]
    command["kind"] = _NEW
    command["order_id"] = order_id
    command["request_id"] = 0
    command["reason"] = 0
    command["value"] = 0
    command["source"] = me + STRATEGY_CLIENT_BASE
    command["strategy"] = me
    command["account"] = strategy["account"]
    command["instrument"] = strategy["instrument"]
    command["side"] = side if side == BUY or side == SELL else 0
    command["order_type"] = order_type if order_type == _LIMIT or order_type == _MARKET else 0
    command["time_in_force"] = time_in_force if GTC <= time_in_force <= FOK else 0
    command["flags"] = flags if 0 <= flags <= _MAX_FLAGS else _MAX_FLAGS
    command["px"] = whole(px)
    command["qty"] = whole(qty)
    clear_rare(command)
    reason = request_new(s, command)
    if reason != 0:
        strategy["refused"] += 1
        return -reason
    strategy["orders"] += 1
    return order_id


@function
def submit_limit(st: State, me: int, side: int, px: int, qty: int, flags: int) -> int:
    """Ask for a limit order that rests until cancelled; ``flags`` may be ``POST_ONLY`` and ``REDUCE_ONLY``."""
    return submit(st, me, side, px, qty, _LIMIT, GTC, flags)


@function
def submit_market(st: State, me: int, side: int, qty: int) -> int:
    """Ask for a market order: it fills what is displayed, the rest expires."""
    return submit(st, me, side, 0, qty, _MARKET, IOC, 0)


@function
def _request(st: State, me: int, kind: int, order_id: int, px: int, qty: int) -> int:
    s = st[0]
    if order_id >> ORDER_ID_COUNTER_BITS != me + STRATEGY_CLIENT_BASE:
        return _NOT_OWNER
    command = s["command"]
    command["kind"] = kind
    command["order_id"] = order_id
    command["request_id"] = 0
    command["reason"] = 0
    command["source"] = me + STRATEGY_CLIENT_BASE
    command["strategy"] = me
    command["account"] = s["strategies"][me]["account"]
    command["instrument"] = s["strategies"][me]["instrument"]
    command["side"] = 0
    command["order_type"] = 0
    command["time_in_force"] = 0
    command["flags"] = 0
    command["px"] = whole(px)
    command["qty"] = whole(qty)
    clear_rare(command)
    return request_amend(s, command) if kind == _AMEND else request_cancel(s, command)


@function
def amend(st: State, me: int, order_id: int, px: int, qty: int) -> int:
    """Ask for another price and total quantity (0: unchanged) of an own order; returns 0 or the Reason of refusal."""
    return _request(st, me, _AMEND, order_id, px, qty)


@function
def cancel(st: State, me: int, order_id: int) -> int:
    """Ask for the cancel of an own order; returns 0 or the Reason of refusal."""
    return _request(st, me, _CANCEL, order_id, 0, 0)


@function
def cancel_all(st: State, me: int) -> None:
    """Ask for the cancel of all own orders."""
    s = st[0]
    cancel_open(s, s["strategies"][me]["account"], -1, me, True, 0, 0, me + STRATEGY_CLIENT_BASE)


@function
def order_state(st: State, order_id: int) -> int:
    """The order's OrderState; 0 (EMPTY) when the core does not know the id."""
    slot = find_order(st[0], order_id)
    return 0 if slot < 0 else st[0]["orders"][slot]["state"]


@function
def is_open(st: State, order_id: int) -> bool:
    """True while the order may still be at the exchange or on its way there."""
    return bool(0 < order_state(st, order_id) <= _LAST_OPEN)


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
