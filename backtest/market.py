"""The market of a recording as executions are measured by it: the touch and the mid price over time, and the trades.

The book is rebuilt by the core's own kernels, so the mid is the one that strategies and algorithms saw.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from oms.compiled import array_of, entry
from oms.core.book import apply_depth, is_sound
from oms.core.state import ASK, BID, BOOK, CHANGE, MAX_LEVEL_QTY, MAX_PX, NO_ASK, NO_BID
from oms.instruments import Instrument
from oms.records import TICK, BookState, TickFlag, TickKind

Rows = npt.NDArray[np.void]

_DEPTH: Final = int(TickKind.DEPTH)
_SNAPSHOT: Final = int(TickKind.SNAPSHOT)
_LAST: Final = int(TickFlag.LAST)
_SYNCED: Final = int(BookState.SYNCED)
_STALE: Final = int(BookState.STALE)

TOUCH = np.dtype(
    [
        ("ts", "<i8"),  # ns, local_ts of the message that made it
        ("bid", "<i8"),  # ticks; 0: that side is empty, or the book is not known
        ("ask", "<i8"),
    ]
)
"""The best prices from ``ts`` on, until the next row."""

MID = np.dtype(
    [
        ("ts", "<i8"),  # ns, local_ts of the message that made it
        ("half_ticks", "<i8"),  # best bid + best ask; 0: the touch is not known, or has one side only
    ]
)
"""The mid price from ``ts`` on, until the next row."""

MARKET_TRADE = np.dtype(
    [
        ("ts", "<i8"),  # ns, local_ts
        ("px", "<i8"),  # ticks
        ("qty", "<i8"),  # lots
    ]
)
"""One trade of the market."""

REBUILD = np.dtype([("books", BOOK, (1,)), ("change", CHANGE)])
"""What the core's book kernels need of its state, for one instrument."""


class MarketError(ValueError):
    """Ticks that are not one instrument's market; the message says why."""


class Market(NamedTuple):
    """What one instrument's market did in a recording, in order of time."""

    mids: Rows
    """Of MID, a row for each change."""
    trades: Rows
    """Of MARKET_TRADE."""

    def mid_at(self, ts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The mid at each of the times ``ts``, in half ticks; 0 where it is not known."""
        half_ticks = np.concatenate([[0], self.mids["half_ticks"]])
        return half_ticks[np.searchsorted(self.mids["ts"], ts, "right")]


@entry(lambda: numba.int64(array_of(REBUILD), array_of(TICK, readonly=True), array_of(TOUCH)))
def trace_touch(rebuild: Rows, ticks: Any, touches: Any) -> int:
    """Rebuild the book from the DEPTH, SNAPSHOT and STALE records of instrument 0, and write a TOUCH for each change.

    ``touches`` has room for as many rows as there are ticks; returns how many were written. As in the core, a record
    that cannot be takes the book out of step until the next snapshot.
    """
    state = rebuild[0]
    book = state["books"][0]
    best = book["best"]
    count = 0
    bid_before = 0
    ask_before = 0
    for i in range(len(ticks)):
        tick = ticks[i]
        kind = tick["kind"]
        is_level = kind == _DEPTH or kind == _SNAPSHOT
        if is_level and is_sound(tick):
            apply_depth(state, book, tick)
        else:
            if is_level:
                book["skipping"] = 1
            if book["state"] == _SYNCED:
                book["state"] = _STALE
        if not tick["flags"] & _LAST:
            continue
        bid = 0
        ask = 0
        if book["state"] == _SYNCED:
            bid = best[BID] if best[BID] != NO_BID else 0
            ask = best[ASK] if best[ASK] != NO_ASK else 0
        if bid != bid_before or ask != ask_before:
            touches[count]["ts"] = tick["local_ts"]
            touches[count]["bid"] = bid
            touches[count]["ask"] = ask
            bid_before = bid
            ask_before = ask
            count += 1
    return count


def market_of(instrument: Instrument, ticks: Rows) -> Market:
    """The market of ``instrument`` in a recording.

    The touch is the book's; in a recording without a single level it is that of the venue's quotes (QUOTE).

    Parameters
    ----------
    instrument : Instrument
        Whose ticks to take, in its version's ticks and lots.
    ticks : array of TICK
        In the order in which they were received; those of other instruments are passed over.

    Raises
    ------
    MarketError
        When the ticks go back in time, or are counted in another version of the instrument.
    """
    own = ticks_of(instrument, ticks)
    return Market(mids_of(touches_of(own)), trades_of(own))


def ticks_of(instrument: Instrument, ticks: Rows) -> Rows:
    """The ticks of ``instrument`` among others; raises as ``market_of``."""
    own = ticks[(ticks["instrument"] == instrument.id) & (ticks["kind"] != TickKind.TIME)]
    if np.any(np.diff(own["local_ts"]) < 0):
        raise MarketError(f"the ticks of {instrument.symbol} go back in time: give them as they were received")
    others = own["version"][(own["version"] != 0) & (own["version"] != instrument.version)]
    if len(others):
        raise MarketError(
            f"ticks are counted in version {others[0]} of {instrument.symbol}, not in version {instrument.version}: "
            "give the definition that they were read with"
        )
    return own


def touches_of(own: Rows) -> Rows:
    """The best prices that one instrument's ticks show, an array of TOUCH."""
    kind = own["kind"]
    is_level = (kind == TickKind.DEPTH) | (kind == TickKind.SNAPSHOT)
    is_stale = kind == TickKind.STALE
    if is_level.any():
        return _book_touches(own[is_level | is_stale])
    return _quote_touches(own[(kind == TickKind.QUOTE) | is_stale])


def trades_of(own: Rows) -> Rows:
    """The trades that one instrument's ticks tell, as far as they can be, an array of MARKET_TRADE."""
    sound = (own["px"] > 0) & (own["px"] <= MAX_PX) & (own["qty"] > 0) & (own["qty"] <= MAX_LEVEL_QTY)
    traded = own[(own["kind"] == TickKind.TRADE) & sound]
    trades = np.zeros(len(traded), MARKET_TRADE)
    for name, source in {"ts": "local_ts", "px": "px", "qty": "qty"}.items():
        trades[name] = traded[source]
    return trades


def mids_of(touches: Rows) -> Rows:
    """The mid prices of a touch, an array of MID."""
    known = (touches["bid"] > 0) & (touches["ask"] > 0)
    half_ticks = np.where(known, touches["bid"] + touches["ask"], 0)
    is_new = np.diff(half_ticks, prepend=0) != 0
    mids = np.zeros(np.count_nonzero(is_new), MID)
    mids["ts"] = touches["ts"][is_new]
    mids["half_ticks"] = half_ticks[is_new]
    return mids


def _book_touches(levels: Rows) -> Rows:
    levels["instrument"] = 0  # a copy; the rebuilt state has one book
    rebuild = np.zeros(1, REBUILD)
    best = rebuild["books"]["best"]
    best[:, 0, BID] = NO_BID
    best[:, 0, ASK] = NO_ASK
    touches = np.zeros(len(levels), TOUCH)
    return touches[: trace_touch(rebuild, levels, touches)]


def _quote_touches(quotes: Rows) -> Rows:
    sound = (quotes["kind"] == TickKind.QUOTE) & (quotes["px"] > 0) & (quotes["px"] <= quotes["px_2"])
    sound &= quotes["px_2"] <= MAX_PX
    touches = np.zeros(len(quotes), TOUCH)
    touches["ts"] = quotes["local_ts"]
    touches["bid"] = np.where(sound, quotes["px"], 0)
    touches["ask"] = np.where(sound, quotes["px_2"], 0)
    return touches
