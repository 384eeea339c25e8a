"""Exchange model ``partial_fill``: hftbacktest's of that name; with ``no_partial_fill`` the oracle to agree with.

- An order that crosses on arrival walks the displayed levels up to its limit; post-only expires instead. FOK is all or
  nothing, the rest of an IOC order expires, and so does that of a market order for which the book does not suffice. The
  rest of a GTC order fills at its own limit: it cannot stay in the book, which goes on as recorded.
- A trade fills own orders priced better entirely; those at its price by what it has left over when it has used up the
  queue ahead.
- When the best price of the other side comes to or through an own order, the order fills entirely, at its own price.
- A reduce-only order never fills more than it closes of the position, fills under way included; what is over expires.
- Every own order sees the whole volume of a trade; nothing is taken out of the displayed book.

Source: hftbacktest 2.4.4, exchange model PartialFillExchange.
"""

from __future__ import annotations

from typing import Final

from backtest.matching.exchange import (
    EXPIRED,
    advance_queue,
    best_opposite,
    cut_to_position,
    fill_resting,
    next_level,
    plain_answer,
    receive,
    rest_or_expire,
    take,
    would_cross,
)
from backtest.matching.no_partial_fill import on_depth
from backtest.matching.quantities import displayed_qty
from oms.compiled import kernel
from oms.core.book import level_qty
from oms.core.exchange_view import exchange_book
from oms.core.state import NO_ASK, NO_BID, Record, State
from oms.core.terms import rests
from oms.records import OrderFlag, OrderType, Reason, TimeInForce

__all__ = ["on_depth", "on_request", "on_trade"]

_MARKET: Final = int(OrderType.MARKET)
_FOK: Final = int(TimeInForce.FOK)
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_REDUCE_ONLY: Final = int(Reason.REDUCE_ONLY)
_WOULD_CROSS: Final = int(Reason.POST_ONLY_WOULD_CROSS)
_NO_LIQUIDITY: Final = int(Reason.NO_LIQUIDITY)


@kernel
def is_beyond(order: Record, order_type: int, px: int, margin: int) -> bool:
    """True when a price is no level, or not better than the order's limit by at least ``margin`` ticks."""
    if px == NO_ASK or px == NO_BID:
        return True
    return bool(order_type != _MARKET and (order["px"] - px) * order["side"] < margin)


@kernel
def reachable_qty(s: Record, order: Record, order_type: int) -> int:
    """Lots that are displayed within the order's limit, as far as they matter to it."""
    instrument = order["instrument"]
    side = order["side"]
    total = 0
    px = best_opposite(s, instrument, side)
    while total < order["leaves"] and not is_beyond(order, order_type, px, 0):
        total += level_qty(exchange_book(s, instrument), -side, px)
        px = next_level(s, instrument, -side, px)
    return total


@kernel
def walk(s: Record, order: Record, order_type: int, margin: int) -> None:
    """Fill the order from the displayed levels that are better than its limit by ``margin`` ticks, best first."""
    instrument = order["instrument"]
    side = order["side"]
    px = best_opposite(s, instrument, side)
    while order["leaves"] > 0 and not is_beyond(order, order_type, px, margin):
        take(s, order, px, min(level_qty(exchange_book(s, instrument), -side, px), order["leaves"]))
        px = next_level(s, instrument, -side, px)


@kernel
def match(s: Record, slot: int, command: Record) -> None:
    """Walk the displayed levels when the order crosses; else rest it or let it expire."""
    order = s["model"]["orders"][slot]
    order_type = command["order_type"]
    if not would_cross(s, order["instrument"], order["side"], order_type, order["px"]):
        rest_or_expire(s, slot, command, displayed_qty(s, order))
        return
    if command["flags"] & _POST_ONLY:
        plain_answer(s, order, EXPIRED, _WOULD_CROSS)
        return
    excess = cut_to_position(s, order)
    if command["time_in_force"] == _FOK and (excess > 0 or reachable_qty(s, order, order_type) < order["leaves"]):
        plain_answer(s, order, EXPIRED, _REDUCE_ONLY if excess > 0 else _NO_LIQUIDITY)
        return
    stays = order_type != _MARKET and rests(command["time_in_force"])
    walk(s, order, order_type, int(stays))
    if stays and order["leaves"] > 0:
        take(s, order, order["px"], order["leaves"])
    if order["leaves"] + excess > 0:
        plain_answer(s, order, EXPIRED, _NO_LIQUIDITY if order["leaves"] > 0 else _REDUCE_ONLY)


def on_request(st: State, _me: int, command: Record) -> None:
    """A request has reached the exchange."""
    s = st[0]
    slot = receive(s, command)
    if slot >= 0:
        match(s, slot, command)


def on_trade(st: State, _me: int, tick: Record) -> None:
    """The market traded: ``tick['side']`` is the aggressor's, so own orders of the other side may fill."""
    s = st[0]
    model = s["model"]
    side = -tick["side"]
    px = tick["px"]
    slot = model["head"][tick["instrument"]]
    while slot >= 0:
        order = model["orders"][slot]
        following = order["next"]
        if order["side"] == side:
            better = (order["px"] - px) * side
            if better > 0:
                fill_resting(s, slot, order["leaves"])
            elif better == 0:
                reached = advance_queue(s, order, tick["qty"])
                if reached > 0:
                    fill_resting(s, slot, min(reached, order["leaves"]))
        slot = following
