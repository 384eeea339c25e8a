"""Bars: the way that the price is taken to have gone within one, and the market at each point of it.

A bar tells open, high, low and close, not in which order. The price is taken to have gone from the open to the extreme
that is nearer to it, from there to the other, and on to the close; over all prices in between, so that what waits at
one of them is reached there. The touch is one price then, bid and ask alike, with nothing displayed at it.

Source: the assumption that charting platforms make for orders within a bar, such as TradingView's broker emulator.
"""

from __future__ import annotations

from typing import Final

from oms.compiled import call_address, kernel
from oms.core.state import ASK, BID, Record, State
from oms.records import BookState

POINTS: Final = 4
"""Of the way: open, an extreme, the other one, close."""
STAGES: Final = 2 * POINTS
"""At each point the market moves, and then what waits for its price is looked at."""

_SYNCED: Final = int(BookState.SYNCED)


@kernel
def bar_px(bar: Record, point: int) -> int:
    """The price at a point of the way, in ticks."""
    if point == 0:
        return bar["px_2"]
    if point == POINTS - 1:
        return bar["px"]
    to_high = bar["qty_2"] - bar["px_2"] <= bar["px_2"] - bar["update_id"]
    return bar["qty_2"] if (point == 1) == to_high else bar["update_id"]


@kernel
def is_waited_for(s: Record, instrument: int) -> bool:
    """True while an order rests at the exchange model, or waits for a price, or is worked, in an instrument."""
    return bool(
        s["model"]["resting"][instrument] > 0
        or s["model"]["first_stop"][instrument] != 0
        or s["order_lists"][instrument]["armed_head"] >= 0
        or s["parent_lists"][instrument]["head"] >= 0
    )


@kernel
def move_to(st: State, bar: Record, point: int) -> None:
    """Let the market come to a point of a bar's way, and show the exchange model what was passed."""
    s = st[0]
    instrument = bar["instrument"]
    book = s["books"][instrument]
    px = bar_px(bar, point)
    book["state"] = _SYNCED
    book["best"][BID] = px
    book["best"][ASK] = px
    book["trade_px"] = px
    book["exch_ts"] = bar["exch_ts"]
    book["local_ts"] = bar["local_ts"]
    s["market_updates"] += 1
    if point == 0:
        s["model"]["volume_left"] = bar["qty"]
    if s["model"]["resting"][instrument] > 0:
        call_address(s["model"]["on_depth"], st, point, bar)
    if point == POINTS - 1:
        book["trade_qty"] = bar["qty"]
        book["traded_qty"] += bar["qty"]
        book["traded_value"] += float(px) * bar["qty"]
