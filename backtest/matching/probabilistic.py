"""Exchange model ``probabilistic``: dice in place of a queue, where the data say little of it.

- A trade at a resting order's price fills it entirely with the chance ``fill_chance``; a trade through it does always,
  and so does the other side's best price when it comes to or through the order.
- A taker fills entirely at the best price, and one tick worse with the chance ``slip_chance``; post-only expires.
- A reduce-only order never fills more than it closes of the position, fills under way included; what is over expires.
- The dice are the same in every run with the same ``seed``: the same input gives the same fills.

Source: the fill model of NautilusTrader, which has the same two chances.
"""

from __future__ import annotations

from backtest.matching.chance import happens
from backtest.matching.exchange import fill_resting, receive
from backtest.matching.no_partial_fill import match, on_depth
from oms.core.state import Record, State

__all__ = ["on_depth", "on_request", "on_trade"]


def on_request(st: State, _me: int, command: Record) -> None:
    """A request has reached the exchange."""
    s = st[0]
    slot = receive(s, command)
    if slot >= 0:
        match(s, slot, command, int(happens(s["model"], s["model"]["slip_chance"])))


def on_trade(st: State, _me: int, tick: Record) -> None:
    """The market traded: ``tick['side']`` is the aggressor's, so own orders of the other side may fill."""
    s = st[0]
    model = s["model"]
    side = -tick["side"]
    slot = model["head"][tick["instrument"]]
    while slot >= 0:
        order = model["orders"][slot]
        following = order["next"]
        better = (order["px"] - tick["px"]) * side
        if order["side"] == side and (better > 0 or (better == 0 and happens(model, model["fill_chance"]))):
            fill_resting(s, slot, order["leaves"])
        slot = following
