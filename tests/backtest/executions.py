"""Builders for tests of the execution report: parent orders, their fills and schedules, in ticks, lots and cash."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np

from backtest.market import Market, Rows, market_of
from backtest.parent_order import FILL, SCHEDULE, ParentOrder
from oms.instruments import Instrument
from oms.records import Liquidity
from tests.oms.core.builders import snapshot, trade

LINEAR: Final = Instrument(
    id=0, symbol="COIN", venue="somewhere", kind="linear_perpetual", tick="0.5", lot="0.1", base="COIN", quote="USD"
)
"""One lot gains 0.05 USD with each tick."""
INVERSE: Final = Instrument(
    id=0,
    symbol="COINUSD",
    venue="somewhere",
    kind="inverse_perpetual",
    tick="0.5",
    lot="1",
    multiplier="100",
    base="COIN",
    quote="USD",
)
"""One lot is worth 200 COIN over the price in ticks."""
MAKER: Final = int(Liquidity.MAKER)
TAKER: Final = int(Liquidity.TAKER)

FillTuple = tuple[int, int, int, int, int]
"""A fill's ts, px, qty, fee and liquidity."""


def fills_from(fills: Iterable[FillTuple]) -> Rows:
    return np.array(list(fills), FILL)


def schedule_from(steps: Iterable[tuple[int, int]]) -> Rows:
    """A schedule of times and due lots."""
    return np.array(list(steps), SCHEDULE)


def parent_of(side: int, target_qty: int, fills: Iterable[FillTuple] = (), **others: Any) -> ParentOrder:
    """An order from 10 to 110 ns in ``LINEAR``, unless ``others`` say otherwise."""
    fields = {"instrument": LINEAR, "start_ts": 10, "end_ts": 110, **others}
    return ParentOrder(side=side, target_qty=target_qty, fills=fills_from(fills), **fields)


def touch(ts: int, mid_px: int) -> Rows:
    """A book of one bid and one ask about a mid in ticks."""
    return snapshot(0, {mid_px - 1: 5}, {mid_px + 1: 5}, ts=ts)


def traded(ts: int, px: int, qty: int) -> Rows:
    return trade(1, px, qty, ts=ts)


def market_from(*ticks: Rows) -> Market:
    return market_of(LINEAR, np.concatenate(ticks))
