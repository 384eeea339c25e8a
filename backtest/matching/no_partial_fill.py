"""Exchange model ``no_partial_fill``: hftbacktest's of that name; the oracle to agree with.

- An order that crosses on arrival fills entirely at the best price, whatever is displayed; post-only expires instead.
- A trade fills own orders priced better entirely; those at its price once its volume has used up the queue ahead.
- When the best price of the other side comes to or through an own order, the order fills entirely, at its own price.
- A reduce-only order never fills more than it closes of the position, fills under way included; what is over expires.
- Every own order sees the whole volume of a trade; nothing is taken out of the displayed book.

Source: hftbacktest 2.4.4, exchange model NoPartialFillExchange.
"""

from __future__ import annotations

from typing import Final

from backtest.matching.costs import worse_px
from backtest.matching.exchange import (
    EXPIRED,
    advance_queue,
    best_opposite,
    cut_to_position,
    fill_resting,
    plain_answer,
    receive,
    rest_or_expire,
    take,
    would_cross,
)
from backtest.matching.quantities import displayed_qty
from oms.compiled import call_address, kernel
from oms.core.exchange_view import exchange_book, rests_near
from oms.core.state import Record, State
from oms.records import OrderFlag, Reason, TimeInForce

_FOK: Final = int(TimeInForce.FOK)
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_REDUCE_ONLY: Final = int(Reason.REDUCE_ONLY)
_WOULD_CROSS: Final = int(Reason.POST_ONLY_WOULD_CROSS)


@kernel
def match(s: Record, slot: int, command: Record, slip_ticks: int) -> None:
    """Fill the order entirely, ``slip_ticks`` beyond the best price, when it crosses; else rest it or let it expire."""
    order = s["model"]["orders"][slot]
    if not would_cross(s, order["instrument"], order["side"], command["order_type"], order["px"]):
        rest_or_expire(s, slot, command, displayed_qty(s, order))
        return
    if command["flags"] & _POST_ONLY:
        plain_answer(s, order, EXPIRED, _WOULD_CROSS)
        return
    excess = cut_to_position(s, order)
    if order["leaves"] > 0 and (excess == 0 or command["time_in_force"] != _FOK):
        px = worse_px(order, best_opposite(s, order["instrument"], order["side"]), slip_ticks)
        take(s, order, px, order["leaves"])
    if excess > 0:
        plain_answer(s, order, EXPIRED, _REDUCE_ONLY)


def on_request(st: State, _me: int, command: Record) -> None:
    """A request has reached the exchange."""
    s = st[0]
    slot = receive(s, command)
    if slot >= 0:
        match(s, slot, command, 0)


def on_depth(st: State, _me: int, tick: Record) -> None:
    """A level of the book has been set: advance the queues at it, then fill what the other side's touch has reached."""
    s = st[0]
    model = s["model"]
    instrument = tick["instrument"]
    side = tick["side"]
    if model["resting"][instrument] == 0 or side == 0:
        return
    best = exchange_book(s, instrument)["best"][(side + 1) >> 1]
    improved = (best - s["change"]["best"][(side + 1) >> 1]) * side > 0
    near = rests_near(s, instrument, tick["px"])
    if not near and not improved:
        return
    slot = model["head"][instrument]
    while slot >= 0:
        order = model["orders"][slot]
        following = order["next"]
        if order["side"] == side:
            if order["px"] == tick["px"]:
                call_address(model["on_level"], st, slot, tick)
        elif improved and (order["px"] - best) * side <= 0:
            fill_resting(s, slot, order["leaves"])
        slot = following


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
            if better > 0 or (better == 0 and advance_queue(s, order, tick["qty"]) > 0):
                fill_resting(s, slot, order["leaves"])
        slot = following
