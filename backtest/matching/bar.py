"""Exchange model ``bar``: orders over bars, of which open, high, low, close and volume are known.

- The price goes the way that ``oms.core.bars`` states: open, nearer extreme, other extreme, close, and over all prices
  between. It moves by whole bars: what a strategy asks for at a bar's close is first looked at on the next bar's way.
- A new order that the open reaches fills at the open, as taker. An IOC order's rest then expires, FOK is all or
  nothing, and a market order always is reached. Post-only expires where the price is at its limit when it arrives.
- A resting order fills at its own price, as maker, when the way comes to it or over it; those priced better first.
- A stop that is reached on the way fills at its trigger price, or at the open where the price has jumped over it.
- Together own orders get no more of a bar than its volume: one without volume fills nothing.
- A reduce-only order never fills more than it closes of the position, fills under way included; what is over expires.

Source: the bar-by-bar rules that event-driven backtesters share, such as backtrader's and vn.py's; volume and the order
within a bar are stricter here.
"""

from __future__ import annotations

from typing import Final

from backtest.matching.costs import slipped_px
from backtest.matching.exchange import (
    EXPIRED,
    MAKER,
    TAKER,
    best_reached,
    fill_at,
    plain_answer,
    receive,
    remove,
    rest,
    would_cross,
)
from oms.compiled import kernel
from oms.core.bars import STAGES, bar_px
from oms.core.state import ASK, MAX_PX, Record, State
from oms.core.terms import rests
from oms.records import OrderFlag, OrderType, Reason, TickKind, TimeInForce

_BAR: Final = int(TickKind.BAR)
_MARKET: Final = int(OrderType.MARKET)
_FOK: Final = int(TimeInForce.FOK)
_POST_ONLY: Final = int(OrderFlag.POST_ONLY)
_WOULD_CROSS: Final = int(Reason.POST_ONLY_WOULD_CROSS)
_NO_LIQUIDITY: Final = int(Reason.NO_LIQUIDITY)

# How an order that has arrived is taken at the next price; 0: it rests.
_STAYS: Final = 1
_AT_ONCE: Final = 2
_ALL_AT_ONCE: Final = 3


@kernel
def take_arrived(s: Record, slot: int, px: int) -> None:
    """Fill an order that has arrived at a price, if that is within its limit; then let it rest or expire."""
    model = s["model"]
    order = model["orders"][slot]
    arrival = order["arrival"]
    order["arrival"] = 0
    is_within = (order["px"] - px) * order["side"] >= 0
    if is_within and (arrival != _ALL_AT_ONCE or order["leaves"] <= model["volume_left"]):
        qty = min(order["leaves"], model["volume_left"])
        order["taken"] += qty
        model["volume_left"] -= fill_at(s, slot, qty, slipped_px(s, order, px), TAKER)
    if order["active"] == 0:
        return
    if arrival != _STAYS:
        remove(s, slot)
        plain_answer(s, order, EXPIRED, _NO_LIQUIDITY)
    elif is_within:
        order["arrival"] = _STAYS  # there was not volume enough: the rest takes at the next open


@kernel
def match(s: Record, slot: int, command: Record) -> None:
    """Let an order wait for the next price; one that arrives on a bar's way is taken there at once."""
    order = s["model"]["orders"][slot]
    is_market = command["order_type"] == _MARKET
    if command["flags"] & _POST_ONLY and would_cross(
        s, order["instrument"], order["side"], command["order_type"], order["px"]
    ):
        plain_answer(s, order, EXPIRED, _WOULD_CROSS)
        return
    if is_market:
        order["px"] = MAX_PX if order["side"] > 0 else 1
    if is_market or not rests(command["time_in_force"]):
        order["arrival"] = _ALL_AT_ONCE if command["time_in_force"] == _FOK else _AT_ONCE
    else:
        order["arrival"] = 0 if command["flags"] & _POST_ONLY else _STAYS
    rest(s, slot, 0.0)
    if order["arrival"] != 0 and 0 < s["bar_stage"] < STAGES:
        px = s["books"][order["instrument"]]["best"][ASK]
        jumped = s["bar_stage"] < 2  # at the open: the price was at no other on the way here
        if command["trigger_px"] > 0 and not jumped:
            px = command["trigger_px"]
        take_arrived(s, slot, px)


def on_request(st: State, _me: int, command: Record) -> None:
    """A request has reached the exchange."""
    s = st[0]
    slot = receive(s, command)
    if slot >= 0:
        match(s, slot, command)


def on_depth(st: State, point: int, bar: Record) -> None:
    """The price has come to a point of a bar's way."""
    if bar["kind"] != _BAR:
        return
    s = st[0]
    model = s["model"]
    instrument = bar["instrument"]
    px = bar_px(bar, point)
    if point == 0:
        slot = model["head"][instrument]
        while slot >= 0:
            following = model["orders"][slot]["next"]
            if model["orders"][slot]["arrival"] != 0:
                take_arrived(s, slot, px)
            slot = following
    for side in (1, -1):
        slot = best_reached(s, instrument, side, px)
        while slot >= 0 and model["volume_left"] > 0:
            order = model["orders"][slot]
            model["volume_left"] -= fill_at(s, slot, min(order["leaves"], model["volume_left"]), order["px"], MAKER)
            slot = best_reached(s, instrument, side, px)


def on_trade(st: State, _me: int, tick: Record) -> None:
    """Trades are in the bars."""
