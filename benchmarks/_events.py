"""TICK records as the events of hftbacktest, and its events as TICK records, each side in its own order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from backtest.data.clocks import exchange_order
from oms.instruments import Instrument
from oms.records import TICK, TickFlag, TickKind

Rows = npt.NDArray[np.void]

_KIND_MASK = 0xFF


def event_rows(ticks: Rows, instrument: Instrument) -> Rows:
    """Levels and trades as events, the exchange's and the receiver's apart, in the order of their times."""
    from hftbacktest import types as events

    kept = ticks[np.isin(ticks["kind"], [TickKind.DEPTH, TickKind.SNAPSHOT, TickKind.TRADE])]
    codes = np.zeros(max(TickKind) + 1, np.uint64)
    codes[[TickKind.DEPTH, TickKind.SNAPSHOT]] = events.DEPTH_EVENT
    codes[TickKind.TRADE] = events.TRADE_EVENT
    sides = []
    for flag, part, name in (
        (events.EXCH_EVENT, exchange_order(kept), "exch_ts"),
        (events.LOCAL_EVENT, kept, "local_ts"),
    ):
        rows = np.zeros(len(part), events.event_dtype)
        side = np.where(part["side"] > 0, events.BUY_EVENT, events.SELL_EVENT).astype(np.uint64)
        rows["ev"] = codes[part["kind"]] | side | np.uint64(flag)
        rows["px"] = part["px"] * float(instrument.tick)
        rows["qty"] = part["qty"] * float(instrument.lot)
        for each in ("exch_ts", "local_ts"):
            rows[each] = part[each]
        begins = np.flatnonzero((part["kind"] == TickKind.SNAPSHOT) & (part["flags"] & TickFlag.FIRST > 0))
        clears = rows[begins].copy()
        clears["ev"] = events.DEPTH_CLEAR_EVENT | flag
        rows = np.insert(rows, begins, clears)
        sides.append((rows[name], rows))
    times, rows = (np.concatenate(each) for each in zip(*sides, strict=True))
    return rows[np.argsort(times, kind="stable")]


def ticks_of(rows: Rows, instrument: Instrument) -> tuple[Rows, Rows]:
    """Levels and trades of hftbacktest's events as TICK records: those received, and those of the exchange.

    An empty snapshot stands before each: there the book may be traded on from its first level on.
    """
    from hftbacktest import types as events

    kinds = np.zeros(_KIND_MASK + 1, np.uint8)
    kinds[[events.DEPTH_EVENT, events.DEPTH_SNAPSHOT_EVENT]] = TickKind.DEPTH
    kinds[events.TRADE_EVENT] = TickKind.TRADE
    found = []
    for flag, name in ((events.LOCAL_EVENT, "local_ts"), (events.EXCH_EVENT, "exch_ts")):
        part = rows[((rows["ev"] & flag) != 0) & (kinds[rows["ev"] & _KIND_MASK] > 0)]
        ticks = np.zeros(len(part) + 1, TICK)
        ticks[0]["kind"] = TickKind.SNAPSHOT
        ticks["exch_ts"][0] = ticks["local_ts"][0] = min(rows["local_ts"].min(), rows["exch_ts"].min())
        levels = ticks[1:]
        for each in ("exch_ts", "local_ts"):
            levels[each] = part[each]
        levels["px"] = np.round(part["px"] / float(instrument.tick))
        levels["qty"] = np.round(part["qty"] / float(instrument.lot))
        levels["kind"] = kinds[part["ev"] & _KIND_MASK]
        levels["side"] = np.where(part["ev"] & events.BUY_EVENT, 1, -1)
        is_trade = ticks["kind"] == TickKind.TRADE
        begins = np.diff(ticks[name], prepend=-1) != 0
        begins |= is_trade | np.roll(is_trade, 1)
        begins[0] = begins[1] = True
        ticks["flags"] += begins * np.uint16(TickFlag.FIRST)
        ticks["flags"] += np.roll(begins, -1) * np.uint16(TickFlag.LAST)
        found.append(ticks)
    return found[0], found[1]
