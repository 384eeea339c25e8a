"""The compiled step alone: recorded ticks through book, exchange model, market maker, risk, orders and PnL.

The reference for the rate is hftbacktest on the same rows, with its example's kind of market maker: every 100 ms it
cancels its orders and quotes both sides anew. The reference for one call from Python is an empty compiled function that
takes the same state and frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from backtest.run import drive
from benchmarks._market import Ticks, market_maker_settings, recorded_ticks
from oms.assembly import build_core
from oms.engine import step_ticks
from oms.records import TickFlag, TickKind

REPEATS: Final = 5
CALLS: Final = 20_000


def hftbacktest_rows(ticks: Ticks) -> npt.NDArray[np.void]:
    """Depth, snapshot and trade rows as hftbacktest's events, seen by exchange and local side at the receive time."""
    from hftbacktest import (
        BUY_EVENT,
        DEPTH_CLEAR_EVENT,
        DEPTH_EVENT,
        DEPTH_SNAPSHOT_EVENT,
        EXCH_EVENT,
        LOCAL_EVENT,
        SELL_EVENT,
        TRADE_EVENT,
        event_dtype,
    )

    kinds = {TickKind.DEPTH: DEPTH_EVENT, TickKind.TRADE: TRADE_EVENT, TickKind.SNAPSHOT: DEPTH_SNAPSHOT_EVENT}
    first = (ticks["kind"] == TickKind.SNAPSHOT) & ((ticks["flags"] & TickFlag.FIRST) != 0)
    start = int(np.flatnonzero(first)[0])
    kept = ticks[start:][np.isin(ticks["kind"][start:], [int(kind) for kind in kinds])]
    rows = np.zeros(len(kept) + 1, event_dtype)
    rows["ev"] = EXCH_EVENT | LOCAL_EVENT
    rows["ev"][0] |= DEPTH_CLEAR_EVENT
    rows["local_ts"][1:] = rows["exch_ts"][1:] = kept["local_ts"]
    rows["local_ts"][0] = rows["exch_ts"][0] = kept["local_ts"][0]
    for kind, event in kinds.items():
        rows["ev"][1:][kept["kind"] == kind] |= event
    rows["ev"][1:] |= np.where(kept["side"] > 0, BUY_EVENT, SELL_EVENT).astype(rows["ev"].dtype)
    rows["px"][1:] = kept["px"] * 0.1
    rows["qty"][1:] = kept["qty"] * 0.001
    return rows


def _hftbacktest_run(rows: npt.NDArray[np.void]) -> Callable[[], float]:
    """Prepare hftbacktest on the rows; the function runs it once and returns rows per second."""
    from hftbacktest import GTX, LIMIT, BacktestAsset, ROIVectorMarketDepthBacktest

    @numba.njit  # type: ignore[untyped-decorator]
    def quote(hbt: Any) -> int:  # pragma: no cover
        steps = 0
        order_id = 1
        while hbt.elapse(100_000_000) == 0:
            hbt.clear_inactive_orders(0)
            orders = hbt.orders(0).values()
            while orders.has_next():
                order = orders.get()
                if order.cancellable:
                    hbt.cancel(0, order.order_id, False)
            depth = hbt.depth(0)
            if hbt.position(0) < 0.05:
                hbt.submit_buy_order(0, order_id, depth.best_bid, 0.01, GTX, LIMIT, False)
            if hbt.position(0) > -0.05:
                hbt.submit_sell_order(0, order_id + 1, depth.best_ask, 0.01, GTX, LIMIT, False)
            order_id += 2
            steps += 1
        return steps

    def run() -> float:
        asset = (
            BacktestAsset()
            .data(rows)
            .linear_asset(1.0)
            .constant_order_latency(10_000_000, 10_000_000)
            .risk_adverse_queue_model()
            .no_partial_fill_exchange()
            .trading_value_fee_model(0.0002, 0.0007)
            .tick_size(0.1)
            .lot_size(0.001)
            .roi_lb(30_000.0)
            .roi_ub(90_000.0)
            .last_trades_capacity(0)
        )
        backtest = ROIVectorMarketDepthBacktest([asset])
        start = time.perf_counter()
        quote(backtest)
        elapsed_s = time.perf_counter() - start
        backtest.close()
        return len(rows) / elapsed_s

    return run


@numba.njit  # type: ignore[untyped-decorator]
def _nothing(st: Any, ticks: Any, start: int, cause_ts: int) -> int:  # pragma: no cover
    rows: int = start + ticks.shape[0]
    return rows


def _call_us(function: Callable[..., int], st: Any, frame: Any) -> float:
    """Median over repeats of one call's time in us."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(CALLS):
            function(st, frame, 0, 0)
        times.append((time.perf_counter() - start) / CALLS * 1e6)
    return median(times)


def measure() -> Iterator[dict[str, Any]]:
    """Ticks per second of the step, and the cost of calling it from Python."""
    ticks = recorded_ticks()
    settings = market_maker_settings("")
    reference = _hftbacktest_run(hftbacktest_rows(ticks))
    reference()  # compiles
    ours = []
    theirs = []
    orders = fills = 0
    for _ in range(REPEATS):
        core = build_core(settings)
        start = time.perf_counter()
        drive(core.st, ticks)
        ours.append(len(ticks) / (time.perf_counter() - start))
        theirs.append(reference())
        orders, fills = int(core.st[0]["orders_sent"]), int(core.st[0]["fills"])
    yield {
        "name": "core_step",
        "unit": "ticks/s",
        "ours": median(ours),
        "reference": median(theirs),
        "reference_name": "hftbacktest, vector book, requoting every 100 ms, rows/s",
        "ratio": median(ours) / median(theirs),
        "details": {"orders": orders, "fills": fills, "ours_all": ours, "reference_all": theirs},
    }
    frame = ticks[ticks["kind"] == TickKind.QUOTE][-1:]
    core = build_core(settings)
    drive(core.st, ticks[: len(ticks) // 2])
    call_us = _call_us(step_ticks, core.st, frame)
    empty_us = _call_us(_nothing, core.st, frame)
    yield {
        "name": "core_call",
        "unit": "us",
        "ours": call_us,
        "reference": empty_us,
        "reference_name": "an empty compiled function of the same arguments",
        "ratio": call_us / empty_us,
        "details": {"of": "one quote, market maker included"},
    }
