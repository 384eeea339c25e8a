"""Exchange model ``next_tick``: nothing fills on what was known when the order was sent.

- An order that arrives waits for the next record of its instrument: a level that is shown (not one that is removed), a
  snapshot when it is complete, or a trade. While the other side has no best price it waits on.
- Then it fills entirely at the best price if that is within its limit: as a taker. Otherwise a market, IOC or FOK order
  expires, and a limit order rests.
- From then on it fills entirely, as maker at its own price, as soon as the other side's best price or a trade is at or
  through its limit. There is no queue, and nothing is taken out of the displayed book.
- Post-only expires when it would take on arrival; later it only makes.
- A reduce-only order never fills more than it closes of the position, fills under way included; what is over expires.

Source: the crossing rule of event-driven backtesters such as vn.py, where orders are matched when the next bar or tick
comes. There a resting order gets the better of its limit and the new best price; here it gets its limit.
"""

from __future__ import annotations

from typing import Final

from backtest.matching.exchange import (
    EXPIRED,
    best_opposite,
    cut_to_position,
    fill_resting,
    plain_answer,
    receive,
    remove,
    rest,
    take,
    would_cross,
)
from oms.compiled import kernel
from oms.core.state import ASK, BID, NO_ASK, NO_BID, Record, State
from oms.core.terms import rests
from oms.records import OrderFlag, OrderType, Reason, TickFlag, TickKind, TimeInForce

_MARKET: Final = int(OrderType.MARKET)
_FOK: Final = int(TimeInForce.FOK)
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_LAST: Final = int(TickFlag.LAST)
_REDUCE_ONLY: Final = int(Reason.REDUCE_ONLY)
_WOULD_CROSS: Final = int(Reason.POST_ONLY_WOULD_CROSS)
_NO_LIQUIDITY: Final = int(Reason.NO_LIQUIDITY)

WAITS: Final = 1.0
"""``queue_traded`` of an order that still waits for its first record; 0 of one that rests."""


def on_request(st: State, _me: int, command: Record) -> None:
    """A request has reached the exchange."""
    s = st[0]
    slot = receive(s, command)
    if slot < 0:
        return
    order = s["model"]["orders"][slot]
    instrument = order["instrument"]
    post_only = command["flags"] & _POST_ONLY != 0
    if post_only and would_cross(s, instrument, order["side"], command["order_type"], order["px"]):
        plain_answer(s, order, EXPIRED, _WOULD_CROSS)
        return
    rest(s, slot, 0.0)
    if not post_only:
        order["queue_traded"] = WAITS
        reach = s["model"]["reach"][instrument]
        reach[BID] = NO_ASK  # as if the orders' prices were extreme: the next record is shown wherever it is
        reach[ASK] = NO_BID


@kernel
def fill_taking(s: Record, slot: int, px: int) -> None:
    """Fill an order that has waited, entirely, at the best price."""
    order = s["model"]["orders"][slot]
    remove(s, slot)
    excess = cut_to_position(s, order)
    if order["leaves"] > 0 and (excess == 0 or s["orders"][slot]["time_in_force"] != _FOK):
        take(s, order, px, order["leaves"])
    if excess > 0:
        plain_answer(s, order, EXPIRED, _REDUCE_ONLY)


@kernel
def end_waiting(s: Record, slot: int) -> bool:
    """The first record has come for an order that waited for it: take, rest or expire. False: it waits on, or rests."""
    order = s["model"]["orders"][slot]
    asked = s["orders"][slot]
    px = best_opposite(s, order["instrument"], order["side"])
    if px == NO_ASK or px == NO_BID:
        return False
    if would_cross(s, order["instrument"], order["side"], asked["order_type"], order["px"]):
        fill_taking(s, slot, px)
        return True
    if not rests(asked["time_in_force"]):
        remove(s, slot)
        plain_answer(s, order, EXPIRED, _NO_LIQUIDITY)
        return True
    order["queue_traded"] = 0.0
    return False


@kernel
def look(s: Record, instrument: int, side: int, px: int) -> None:
    """See which orders fill, where a trade at ``px`` reaches those of ``side``; 0: there was none."""
    model = s["model"]
    slot = model["head"][instrument]
    while slot >= 0:
        order = model["orders"][slot]
        following = order["next"]
        ended = order["queue_traded"] == WAITS and end_waiting(s, slot)
        if not ended and order["queue_traded"] != WAITS:
            traded = order["side"] == side and (order["px"] - px) * side >= 0
            if traded or would_cross(s, instrument, order["side"], 0, order["px"]):
                fill_resting(s, slot, order["leaves"])
        slot = following


def on_depth(st: State, _me: int, tick: Record) -> None:
    """A level of the book has been set."""
    if tick["qty"] > 0 and (tick["kind"] != _SNAPSHOT or tick["flags"] & _LAST):
        look(st[0], tick["instrument"], 0, 0)


def on_trade(st: State, _me: int, tick: Record) -> None:
    """The market traded: ``tick['side']`` is the aggressor's, so own orders of the other side may fill."""
    look(st[0], tick["instrument"], -tick["side"], tick["px"])
