"""The API of execution algorithms.

An algorithm works an order that never leaves itself: the parent. It is one Python file that declares its parameters and
defines ``work`` in the Numba subset, and ``start`` where something has to be prepared::

    PARAMETERS = {"duration_s": 60.0, "slices": 10.0}      # defaults; a parameter's number is its place
    RANGES = {"duration_s": (1.0, 86_400.0)}               # what the caller may ask for, ends included

    def start(st, me, now): ...      # once, with the market as it is at the start
    def work(st, me, now): ...       # whenever something has happened that it asked to be woken for

``st`` is the core's state and ``me`` the parent's number; pass both on to the functions here. ``work`` says what should
be working from now on, by ``rest`` and ``take``, and when to call it again; that is always done when something has
happened to a child. The core brings the children to what was said: it places, amends and cancels, waits for what is in
flight, and never lets more be open than the target leaves. So ``work`` decides from what is true now: ``filled``,
``left``, the touch, the time.

Prices are in ticks, quantities in lots, times in ns, all integers. An exception cancels the children and ends the order
with ALGORITHM_FAILED; all else runs on. A function of the file's own is marked with ``@function``.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import user_kernel
from oms.core.book import level_qty
from oms.core.orders import find_order
from oms.core.parents import open_units
from oms.core.release import has_way
from oms.core.routing import is_within_limit
from oms.core.sizing import least_qty
from oms.core.state import ASK, BID, NEVER, NO_ASK, NO_BID, Record, State
from oms.core.terms import walked_px
from oms.records import (
    BUY,
    LANES,
    ROUTES,
    SELL,
    OrderFlag,
    OrderState,
    ParentState,
    Reason,
)

__all__ = [
    "BUY",
    "LANES",
    "NEVER",
    "NO_ASK",
    "NO_BID",
    "NS_PER_MS",
    "NS_PER_S",
    "POST_ONLY",
    "ROUTES",
    "SELL",
    "TAKING",
    "arrival_px",
    "best_ask",
    "best_bid",
    "child_filled",
    "child_leaves",
    "child_px",
    "cross_px",
    "displayed_qty",
    "due",
    "end_at",
    "end_time",
    "far_px",
    "filled",
    "finish",
    "function",
    "instrument_of",
    "is_resting",
    "left",
    "limit_px",
    "market_qty",
    "memory",
    "near_px",
    "open_qty",
    "others_qty",
    "parameter",
    "random",
    "refuse",
    "rest",
    "set_due",
    "side",
    "smallest_qty",
    "start_time",
    "take",
    "take_as_exit",
    "target",
    "wake_at",
    "wake_on_tick_of",
    "wake_on_touch",
    "wake_on_touch_of",
    "wake_on_volume",
    "wake_outside",
    "within_limit",
]

function = user_kernel

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
TAKING: Final = ROUTES
"""The first lane of those for children that take, on the order's own instrument; lane 0 is that for one that rests."""
POST_ONLY: Final = int(OrderFlag.POST_ONLY)
WAY_NS: Final = 5 * NS_PER_MS
"""How soon it is looked whether what was in the way has gone."""

_STOPPING: Final = int(ParentState.STOPPING)
_CANCELLED: Final = int(OrderState.CANCELLED)
_REJECTED: Final = int(OrderState.REJECTED)
_TIME_OVER: Final = int(Reason.TIME_OVER)
_BAD_PARAMETER: Final = int(Reason.BAD_PARAMETER)
_MULTIPLIER: Final = 48_271
_MODULUS: Final = 2**31 - 1
"""S. K. Park, K. W. Miller, "Random number generators: good ones are hard to find", CACM 31 (1988)."""


@function
def _order(st: State, me: int) -> Record:
    return st[0]["orders"][st[0]["parent_wakes"][me]["slot"] - 1]


# What was asked for, and how far it is.


@function
def side(st: State, me: int) -> int:
    """BUY or SELL."""
    return _order(st, me)["side"]


@function
def target(st: State, me: int) -> int:
    """Lots to be filled in all; an amend may change it."""
    return _order(st, me)["qty"]


@function
def filled(st: State, me: int) -> int:
    """Lots that the children have filled."""
    return _order(st, me)["filled_qty"]


@function
def left(st: State, me: int) -> int:
    """Lots still to be filled, those in open children included."""
    return max(target(st, me) - filled(st, me), 0)


@function
def open_qty(st: State, me: int) -> int:
    """Lots that open children may yet fill, those in flight or being cancelled included."""
    parent = st[0]["parents"][me]
    return open_units(st[0], parent) // max(parent["route_units"][0], 1)


@function
def limit_px(st: State, me: int) -> int:
    """The worst price at which a child may trade; 0: there is none."""
    return _order(st, me)["px"]


@function
def within_limit(st: State, me: int, px: int) -> bool:
    """True when the order may trade at a price."""
    limit = limit_px(st, me)
    return limit == 0 or (limit - px) * side(st, me) >= 0


@function
def instrument_of(st: State, me: int) -> int:
    """The order's instrument."""
    return _order(st, me)["instrument"]


@function
def start_time(st: State, me: int) -> int:
    """When the algorithm began, ns."""
    return st[0]["parents"][me]["start_ts"]


@function
def end_time(st: State, me: int) -> int:
    """What ``end_at`` was told; 0: nothing."""
    return st[0]["parents"][me]["end_ts"]


@function
def arrival_px(st: State, me: int) -> int:
    """Mid price at the start in half ticks; 0: there was none."""
    return st[0]["parents"][me]["arrival_half_ticks"]


@function
def parameter(st: State, me: int, number: int) -> float:
    """Value of a parameter by its place in ``PARAMETERS``."""
    return st[0]["parents"][me]["parameters"][number]


@function
def memory(st: State, me: int) -> Record:
    """The order's own 32 int64 cells, 0 at the start: all that the algorithm remembers; a restart keeps them."""
    return st[0]["parents"][me]["memory"]


@function
def random(st: State, me: int) -> float:
    """The next random number of the order's own, from 0 up to 1; a replay draws the same."""
    parent = st[0]["parents"][me]
    parent["random"] = parent["random"] * _MULTIPLIER % _MODULUS
    return parent["random"] / _MODULUS


@function
def market_qty(st: State, me: int) -> int:
    """Lots that the market has traded in the order's instrument since the start."""
    return st[0]["parents"][me]["market_qty"]


@function
def others_qty(st: State, me: int) -> int:
    """``market_qty`` without the order's own fills: an exchange's trades have them, those of a recording do not."""
    own = filled(st, me) if st[0]["external"] != 0 else 0
    return max(market_qty(st, me) - own, 0)


# The market.


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
    return level_qty(st[0]["books"][instrument], side, px)


@function
def _touch(st: State, instrument: int, side: int) -> int:
    px = st[0]["books"][instrument]["best"][(side + 1) >> 1]
    return 0 if px == NO_BID or px == NO_ASK else px


@function
def near_px(st: State, me: int) -> int:
    """The touch of the order's own side: the best bid for a buy; 0: there is none."""
    return _touch(st, instrument_of(st, me), side(st, me))


@function
def far_px(st: State, me: int) -> int:
    """The touch that the order would take: the best ask for a buy; 0: there is none."""
    return _touch(st, instrument_of(st, me), -side(st, me))


@function
def cross_px(st: State, me: int, qty: int) -> int:
    """The price up to which ``qty`` lots can be taken now, no worse than the limit; 0: nothing can be."""
    px = far_px(st, me)
    if px == 0 or not within_limit(st, me, px):
        return 0
    px = walked_px(st[0]["books"][instrument_of(st, me)], side(st, me), qty)
    return px if within_limit(st, me, px) else limit_px(st, me)


@function
def smallest_qty(st: State, me: int) -> int:
    """Lots of the smallest child that the venue takes at the touch."""
    px = near_px(st, me)
    return least_qty(st[0], instrument_of(st, me), px if px > 0 else far_px(st, me))


# What should be working.


@function
def rest(st: State, me: int, lane: int, px: int, qty: int, flags: int) -> None:
    """Want ``qty`` lots to rest at ``px`` in a lane (0 to ``LANES`` - 1); ``flags`` may be ``POST_ONLY``, or 0.

    Lots and price are those of the lane's route; a price beyond the order's limit wants nothing.
    """
    _wish(st, me, lane, px, qty, 0, flags)


@function
def take(st: State, me: int, lane: int, px: int, qty: int) -> None:
    """Want to take ``qty`` lots up to ``px`` at once; what is not there is given up."""
    _wish(st, me, lane, px, qty, 1, 0)


@function
def _wish(st: State, me: int, lane: int, px: int, qty: int, takes: int, flags: int) -> None:
    wish = st[0]["wishes"][lane]
    wish["px"] = px | 0
    wish["qty"] = max(qty | 0, 0) if px > 0 and is_within_limit(st[0], me, lane % ROUTES, px) else 0
    wish["takes"] = takes
    wish["flags"] = flags


@function
def _child(st: State, me: int, lane: int) -> int:
    order_id = st[0]["parents"][me]["lanes"][lane]
    return find_order(st[0], order_id) if order_id != 0 else -1


@function
def take_as_exit(st: State, me: int, lane: int, px: int, qty: int) -> None:
    """As ``take``; where that closes what the account holds, its own orders on the other side give way to it first.

    While they do nothing is wanted, and ``work`` is called again soon.
    """
    if px > 0 and qty > 0 and not has_way(st[0], _order(st, me), px):
        wake_at(st, me, st[0]["now"] + WAY_NS)
        return
    take(st, me, lane, px, qty)


@function
def is_resting(st: State, me: int, lane: int) -> bool:
    """True while a lane has an open child, in flight or not."""
    return _child(st, me, lane) >= 0


@function
def child_px(st: State, me: int, lane: int) -> int:
    """Price of a lane's open child; 0: it has none."""
    slot = _child(st, me, lane)
    return 0 if slot < 0 else st[0]["orders"][slot]["px"]


@function
def child_leaves(st: State, me: int, lane: int) -> int:
    """Lots that a lane's open child has still to fill; 0: it has none."""
    slot = _child(st, me, lane)
    return 0 if slot < 0 else st[0]["orders"][slot]["qty"] - st[0]["orders"][slot]["filled_qty"]


@function
def child_filled(st: State, me: int, lane: int) -> int:
    """Lots that a lane's open child has filled; 0: it has none."""
    slot = _child(st, me, lane)
    return 0 if slot < 0 else st[0]["orders"][slot]["filled_qty"]


@function
def set_due(st: State, me: int, qty: int) -> None:
    """Say how many lots the schedule wants filled by now, for reports."""
    st[0]["parents"][me]["due_qty"] = qty | 0


@function
def due(st: State, me: int) -> int:
    """What ``set_due`` was told last."""
    return st[0]["parents"][me]["due_qty"]


# When to be called again.


@function
def wake_at(st: State, me: int, ts: int) -> None:
    """Call ``work`` at ``ts``, ns, too, a millisecond from now at the earliest; a time that is over is not waited for.

    The earliest of the times that it was told counts.
    """
    wake = st[0]["parent_wakes"][me]
    if ts > st[0]["now"]:
        wake["wake_ts"] = min(wake["wake_ts"], max(ts | 0, st[0]["now"] + NS_PER_MS))


@function
def wake_outside(st: State, me: int, side: int, lowest: int, highest: int) -> None:
    """Call ``work`` once the best bid (BUY) or ask (SELL) is below ``lowest`` or above ``highest``, in ticks."""
    ranges = st[0]["parent_wakes"][me]["ranges"][0]
    if side == BUY:
        ranges["bid_below"] = lowest - 1
        ranges["bid_above"] = highest + 1
    else:
        ranges["ask_below"] = lowest - 1
        ranges["ask_above"] = highest + 1


@function
def wake_on_touch(st: State, me: int) -> None:
    """Call ``work`` when the best bid or the best ask has changed."""
    wake_on_touch_of(st, me, 0)


@function
def wake_on_touch_of(st: State, me: int, route: int) -> None:
    """Call ``work`` when the best bid or the best ask of a route has changed."""
    instrument = st[0]["parents"][me]["routes"][route]
    if instrument < 0:
        return
    ranges = st[0]["parent_wakes"][me]["ranges"][route]
    ranges["bid_below"] = best_bid(st, instrument) - 1
    ranges["bid_above"] = best_bid(st, instrument) + 1
    ranges["ask_below"] = best_ask(st, instrument) - 1
    ranges["ask_above"] = best_ask(st, instrument) + 1


@function
def wake_on_tick_of(st: State, me: int, route: int) -> None:
    """Call ``work`` with the next record of a route's book or trades."""
    st[0]["parent_wakes"][me]["ranges"][route]["bid_above"] = NO_BID


@function
def wake_on_volume(st: State, me: int, qty: int) -> None:
    """Call ``work`` once the market has traded ``qty`` lots more."""
    book = st[0]["books"][instrument_of(st, me)]
    st[0]["parent_wakes"][me]["ranges"][0]["traded_qty"] = book["traded_qty"] + max(qty, 1)


# Its end.


@function
def end_at(st: State, me: int, ts: int) -> None:
    """Say when the order's time is over, for reports; ``work`` is called then."""
    st[0]["parents"][me]["end_ts"] = ts | 0


@function
def finish(st: State, me: int) -> None:
    """End the order with what it has: its children are cancelled, the reason is TIME_OVER."""
    _end(st, me, _CANCELLED, _TIME_OVER)


@function
def refuse(st: State, me: int) -> None:
    """In ``start``: refuse the order, for its parameters do not go together; the reason is BAD_PARAMETER."""
    _end(st, me, _REJECTED, _BAD_PARAMETER)


@function
def _end(st: State, me: int, state: int, reason: int) -> None:
    parent = st[0]["parents"][me]
    parent["state"] = _STOPPING
    parent["end_state"] = state
    parent["end_reason"] = reason
