"""The recorded stream: what it displays, and what its trades mean for the orders that rest.

- A level is what its last record says. Orders take of it once, until the next record about it.
- A trade moves the queue at its price forward; what is left of it when an order is reached fills that order. Orders at
  better prices are filled first, whatever was ahead of them: the market has passed them. All share the one trade.
- A level that becomes smaller than what was ahead of an order moves that order forward.
- A level that comes at or through orders of the other side trades with them, at their prices: it came later.
- Messages follow each other by their update ids (Binance, *How to manage a local order book correctly*). From a gap, or
  from STALE, until the next snapshot nothing is displayed; orders keep their places, and trades count.

What orders do changes nothing in the stream. QUOTE is not read: levels say more.
"""

from __future__ import annotations

from typing import Final

from gateways.sandbox.engine.outcomes import begin_trade, tell_fill
from gateways.sandbox.engine.prices import best_rank, next_rank, rank_of
from gateways.sandbox.engine.queue import (
    available_qty,
    cap_ahead,
    find_level,
    make_level,
    pass_gap,
    reduce,
    settle,
)
from gateways.sandbox.engine.records import MAX_QTY, WINDOW, Record
from oms.compiled import kernel
from oms.records import Liquidity, TickFlag, TickKind

_DEPTH: Final = int(TickKind.DEPTH)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_TRADE: Final = int(TickKind.TRADE)
_STALE: Final = int(TickKind.STALE)
_FIRST: Final = int(TickFlag.FIRST)
_LAST: Final = int(TickFlag.LAST)
_MAKER: Final = int(Liquidity.MAKER)


@kernel
def fill_resting(s: Record, slot: int, qty: int) -> int:
    """Fill a resting order with up to ``qty`` lots of the background; returns the lots."""
    order = s["orders"][slot]
    filled = min(order["left"], qty)
    begin_trade(s, order["px"], filled)
    reduce(s, slot, filled)
    tell_fill(s, order, order["px"], filled, _MAKER)
    return filled


@kernel
def fill_level(s: Record, row: int, volume: int) -> int:
    """Fill the orders at a level by time, their gaps left out; returns what is left of the volume."""
    level = s["levels"][row]
    while volume > 0 and level["first"] != 0:
        volume -= fill_resting(s, level["first"], volume)
    return volume


@kernel
def pass_queue(s: Record, row: int, volume: int) -> None:
    """A trade at a level's price goes through its queue."""
    level = s["levels"][row]
    while volume > 0 and level["first"] != 0:
        slot = level["first"]
        passed = min(s["orders"][slot]["gap"], volume)
        pass_gap(s, slot, passed)
        volume -= passed
        if volume > 0:
            volume -= fill_resting(s, slot, volume)


@kernel
def on_trade(s: Record, tick: Record) -> None:
    """TRADE."""
    side = -tick["side"]
    volume = tick["qty"]
    worst = rank_of(s, side, tick["px"])
    if side != 0 and 0 <= worst < WINDOW:
        rank = best_rank(s, side)
        while rank < worst and volume > 0:
            volume = fill_level(s, find_level(s, side, rank), volume)
            rank = next_rank(s, side, rank)
        pass_queue(s, find_level(s, side, worst), volume)
    s["last_px"] = tick["px"]
    s["last_qty"] = tick["qty"]


@kernel
def meet_orders(s: Record, side: int, px: int, row: int) -> None:
    """What a level displays trades with the orders of the other side that it has come to."""
    level = s["levels"][row]
    worst = rank_of(s, -side, px)
    rank = best_rank(s, -side)
    while rank <= worst and available_qty(level) > 0:
        before = available_qty(level)
        level["taken"] += before - fill_level(s, find_level(s, -side, rank), before)
        rank = next_rank(s, -side, rank)


@kernel
def set_level(s: Record, tick: Record) -> None:
    """The background displays ``qty`` lots at a price from now on."""
    side = tick["side"]
    px = tick["px"]
    qty = tick["qty"]
    rank = rank_of(s, side, px)
    if px < 1 or not 0 <= rank < WINDOW or not 0 <= qty <= MAX_QTY:
        s["levels_dropped"] += 1
        return
    row = make_level(s, side, rank) if qty > 0 else find_level(s, side, rank)
    if row == 0:
        s["levels_dropped"] += qty > 0
        return
    level = s["levels"][row]
    level["displayed"] = qty
    level["taken"] = 0
    cap_ahead(s, level)
    if qty > 0:
        meet_orders(s, side, px, row)
    settle(s, row)


@kernel
def withdraw(s: Record) -> None:
    """Nothing of the background is displayed any more. Orders keep what was ahead of them."""
    for row in range(1, s["used_levels"] + 1):
        level = s["levels"][row]
        if level["side"] != 0 and level["displayed"] > 0:
            level["displayed"] = level["taken"] = 0
            settle(s, row)


@kernel
def cap_all(s: Record) -> None:
    """A snapshot is complete: levels that it did not name display nothing."""
    for row in range(1, s["used_levels"] + 1):
        cap_ahead(s, s["levels"][row])


@kernel
def lose_stream(s: Record) -> None:
    """The stream is lost until the next snapshot."""
    s["synced"] = 0
    s["skipping"] = 1
    withdraw(s)


@kernel
def begin_message(s: Record, tick: Record) -> None:
    """Decide by its update ids whether a message is applied: an older one is passed over, one after a gap is not."""
    if tick["kind"] == _SNAPSHOT:
        withdraw(s)
        s["skipping"] = 0
        return
    s["skipping"] = 1
    if s["synced"] == 0 or tick["update_id"] < s["update_id"]:
        return
    if tick["px_2"] > s["update_id"]:
        s["gaps"] += 1
        lose_stream(s)
        return
    s["skipping"] = 0


@kernel
def end_message(s: Record, tick: Record) -> None:
    """A message has been applied to its end."""
    s["update_id"] = tick["update_id"]
    if tick["kind"] == _SNAPSHOT:
        s["synced"] = 1
        cap_all(s)


@kernel
def on_level(s: Record, tick: Record) -> None:
    """DEPTH and SNAPSHOT."""
    if tick["flags"] & _FIRST:
        begin_message(s, tick)
    if s["skipping"] != 0:
        return
    if tick["side"] != 0:
        set_level(s, tick)
    if tick["flags"] & _LAST:
        end_message(s, tick)


@kernel
def on_tick(s: Record, tick: Record) -> None:
    """Take one record of the stream; outcomes are added to ``outcomes``."""
    s["ts"] = tick["exch_ts"]
    kind = tick["kind"]
    if kind == _DEPTH or kind == _SNAPSHOT:
        on_level(s, tick)
    elif kind == _TRADE:
        on_trade(s, tick)
    elif kind == _STALE:
        lose_stream(s)
