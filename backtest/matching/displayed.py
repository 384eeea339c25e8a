"""Exchange model ``displayed`` (the default): an order gets what the market shows, once.

- A taker walks the displayed levels from the best price and gets what they hold, less what own orders have taken since
  the feed last showed the level. A market or IOC order's rest expires, FOK is all or nothing, a GTC rest goes to the
  book. 1,000 against a displayed 0.01 fills 0.01.
- A resting order waits behind the quantity displayed at its price when it arrived. Trades at its price move it forward,
  and where the level changes otherwise, the queue model says how far.
- A reduce-only order never fills more than it closes of the position, fills under way included; what is over expires.
- A trade fills own orders priced better first, then those at its price by the volume that reaches them. Own orders
  share the volume of one trade: together they never get more than it.
- When the other side comes to be displayed at or through an own order's price, the order gets that displayed quantity,
  at its own price, as maker.
"""

from __future__ import annotations

from typing import Final

from backtest.matching.exchange import (
    EXPIRED,
    advance_level,
    advance_queue,
    best_opposite,
    best_reached,
    cut_to_position,
    fill_resting,
    next_level,
    plain_answer,
    receive,
    rest_or_expire,
    take,
    would_cross,
)
from backtest.matching.quantities import displayed_qty
from backtest.matching.taken import available_qty, find_taken, forget_taken, take_qty
from oms.compiled import kernel
from oms.core.book import is_tradable
from oms.core.exchange_view import exchange_book, rests_near
from oms.core.state import MODEL_TAKEN, NO_ASK, NO_BID, Record, State
from oms.records import OrderFlag, OrderType, Reason, TickFlag, TickKind, TimeInForce

_MARKET: Final = int(OrderType.MARKET)
_FOK: Final = int(TimeInForce.FOK)
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_FIRST: Final = int(TickFlag.FIRST)
_REDUCE_ONLY: Final = int(Reason.REDUCE_ONLY)
_WOULD_CROSS: Final = int(Reason.POST_ONLY_WOULD_CROSS)
_NO_LIQUIDITY: Final = int(Reason.NO_LIQUIDITY)
EVERY_LEVEL: Final = 2**62


@kernel
def first_level(s: Record, instrument: int, side: int) -> int:
    """Price at which an order of ``side`` starts to take; none while the book is out of step with the venue."""
    if not is_tradable(exchange_book(s, instrument)):
        return NO_ASK
    return best_opposite(s, instrument, side)


@kernel
def takeable_qty(s: Record, order: Record, order_type: int, depth: int) -> int:
    """Lots that the order could take of the first ``depth`` levels now, at most what it wants.

    A level counts only if its take can be remembered.
    """
    side = order["side"]
    instrument = order["instrument"]
    free_rows = MODEL_TAKEN - s["model"]["taken_count"]
    px = first_level(s, instrument, side)
    total = 0
    while px != NO_ASK and px != NO_BID and total < order["leaves"] and depth > 0:
        if order_type != _MARKET and (order["px"] - px) * side < 0:
            break
        qty = available_qty(s, instrument, -side, px)
        if qty > 0 and find_taken(s, instrument, -side, px) < 0:
            if free_rows == 0:
                break
            free_rows -= 1
        total += qty
        depth -= 1
        px = next_level(s, instrument, -side, px)
    return min(total, order["leaves"])


@kernel
def take_levels(s: Record, order: Record, order_type: int, depth: int) -> None:
    """Fill the order from the first ``depth`` displayed levels, best first."""
    side = order["side"]
    instrument = order["instrument"]
    px = first_level(s, instrument, side)
    while px != NO_ASK and px != NO_BID and order["leaves"] > 0 and depth > 0:
        if order_type != _MARKET and (order["px"] - px) * side < 0:
            break
        qty = min(available_qty(s, instrument, -side, px), order["leaves"])
        if qty > 0:
            take_qty(s, instrument, -side, px, qty)
            take(s, order, px, qty)
        depth -= 1
        px = next_level(s, instrument, -side, px)


@kernel
def queue_ahead_at(s: Record, order: Record) -> float:
    """What is ahead of an order that joins the queue now: what is displayed, never less than an own order there has.

    An own order may have more ahead of it than is displayed, when a snapshot no longer shows its level.
    """
    model = s["model"]
    instrument = order["instrument"]
    ahead = displayed_qty(s, order)
    if not rests_near(s, instrument, order["px"]):
        return ahead
    slot = model["head"][instrument]
    while slot >= 0:
        other = model["orders"][slot]
        if other["px"] == order["px"] and other["side"] == order["side"]:
            ahead = max(ahead, other["queue_ahead"])
        slot = other["next"]
    return ahead


@kernel
def match(s: Record, slot: int, command: Record, depth: int) -> None:
    """Take what the first ``depth`` levels display, then rest or expire what is left."""
    order = s["model"]["orders"][slot]
    order_type = command["order_type"]
    if command["flags"] & _POST_ONLY and would_cross(s, order["instrument"], order["side"], order_type, order["px"]):
        plain_answer(s, order, EXPIRED, _WOULD_CROSS)
        return
    excess = cut_to_position(s, order)
    is_fok = command["time_in_force"] == _FOK
    if order["leaves"] == 0 or (is_fok and excess > 0):
        plain_answer(s, order, EXPIRED, _REDUCE_ONLY)
        return
    if is_fok and takeable_qty(s, order, order_type, depth) < order["leaves"]:
        plain_answer(s, order, EXPIRED, _NO_LIQUIDITY)
        return
    take_levels(s, order, order_type, depth)
    if order["leaves"] == 0:
        if excess > 0:
            plain_answer(s, order, EXPIRED, _REDUCE_ONLY)
        return
    order["leaves"] += excess
    rest_or_expire(s, slot, command, queue_ahead_at(s, order))


def on_request(st: State, _me: int, command: Record) -> None:
    """A request has reached the exchange."""
    s = st[0]
    slot = receive(s, command)
    if slot >= 0:
        match(s, slot, command, EVERY_LEVEL)


def on_depth(st: State, _me: int, tick: Record) -> None:
    """A level of the book has been set."""
    s = st[0]
    model = s["model"]
    instrument = tick["instrument"]
    side = tick["side"]
    px = tick["px"]
    if model["taken_count"] > 0:
        if tick["kind"] == _SNAPSHOT and tick["flags"] & _FIRST:
            for i in range(model["taken_count"] - 1, -1, -1):
                if model["taken"][i]["instrument"] == instrument:
                    forget_taken(s, i)
        at = find_taken(s, instrument, side, px)
        if at >= 0:
            forget_taken(s, at)
    if model["resting"][instrument] == 0 or side == 0:
        return
    advance_level(st, tick)
    if tick["qty"] == 0:
        return
    slot = best_reached(s, instrument, -side, px)
    while slot >= 0:
        fillable = min(available_qty(s, instrument, side, px), model["orders"][slot]["leaves"])
        if fillable <= 0:
            return
        take_qty(s, instrument, side, px, fill_resting(s, slot, fillable))
        slot = best_reached(s, instrument, -side, px)


def on_trade(st: State, _me: int, tick: Record) -> None:
    """The market traded: ``tick['side']`` is the aggressor's, so own orders of the other side may fill."""
    s = st[0]
    model = s["model"]
    instrument = tick["instrument"]
    side = -tick["side"]
    px = tick["px"]
    volume = tick["qty"]
    slot = best_reached(s, instrument, side, px)
    while slot >= 0 and model["orders"][slot]["px"] != px and volume > 0:
        volume -= fill_resting(s, slot, min(model["orders"][slot]["leaves"], volume))
        slot = best_reached(s, instrument, side, px)
    if not rests_near(s, instrument, px):
        return
    slot = model["head"][instrument]
    while slot >= 0 and volume > 0:
        order = model["orders"][slot]
        following = order["next"]
        if order["px"] == px and order["side"] == side:
            reached = advance_queue(s, order, volume)
            if reached > 0:
                volume -= fill_resting(s, slot, min(reached, order["leaves"]))
        slot = following
