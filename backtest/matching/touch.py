"""Exchange model ``touch``: as ``displayed``, of a market that shows no more than its best prices.

- A taker gets at most what is displayed at the best price, once. The rest of a market or IOC order expires, FOK is all
  or nothing, and the rest of a limit order rests at its own price, whatever is displayed behind the touch.
- All else is as in ``displayed``: the queue, trades shared among own orders, the other side at an order's price.

It is right for data with one level a side, such as quotes, where the book behind the touch is not known to be empty.
"""

from __future__ import annotations

from backtest.matching.displayed import match, on_depth, on_trade
from backtest.matching.exchange import receive
from oms.core.state import Record, State

__all__ = ["on_depth", "on_request", "on_trade"]


def on_request(st: State, _me: int, command: Record) -> None:
    """A request has reached the exchange."""
    s = st[0]
    slot = receive(s, command)
    if slot >= 0:
        match(s, slot, command, 1)
