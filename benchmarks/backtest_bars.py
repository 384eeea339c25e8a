"""Ten years of minute bars, one moving-average strategy: the core's own step, risk and accounts included.

The bars are a random walk, made anew from a seed; the reference is the crossing of the same averages alone, as a
vectorised computation in NumPy and pandas does it, without orders, risk, fees or accounts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtest.run import run_backtest
from benchmarks._market import WIDE_ACCOUNT
from oms.config import Settings, load_settings
from oms.records import TICK, TickFlag, TickKind

Rows = npt.NDArray[np.void]

YEARS: Final = 10
MINUTE_NS: Final = 60_000_000_000
REPEATS: Final = 5
START_NS: Final = 1_420_070_400_000_000_000
"""2015-01-01 UTC."""
FAST, SLOW = 20, 100


def random_bars(count: int, seed: int = 7) -> Rows:
    """BAR records of a random walk in ticks, a minute apart."""
    rng = np.random.default_rng(seed)
    close = 300_000 + np.cumsum(rng.integers(-20, 21, count))
    close = np.abs(close - 1_000) + 1_000
    opens = np.concatenate([close[:1], close[:-1]])
    bars = np.zeros(count, TICK)
    bars["kind"] = TickKind.BAR
    bars["exch_ts"] = START_NS + np.arange(count) * MINUTE_NS
    bars["local_ts"] = bars["exch_ts"] + MINUTE_NS
    bars["px"], bars["px_2"] = close, opens
    bars["qty_2"] = np.maximum(close, opens) + rng.integers(0, 15, count)
    bars["update_id"] = np.minimum(close, opens) - rng.integers(0, 15, count)
    bars["qty"] = rng.integers(100, 10_000, count)
    bars["flags"] = TickFlag.FIRST | TickFlag.LAST
    return bars


def bar_settings() -> Settings:
    """One perpetual with the moving-average strategy on it, and wide limits."""
    name = "BTCUSDT.binance_usdm"
    return load_settings(
        None,
        {
            "replay": {"file": "none"},
            "matching": {"model": "bar"},
            "instruments": [
                {
                    "id": 0,
                    "symbol": "BTCUSDT",
                    "venue": "binance_usdm",
                    "kind": "linear_perpetual",
                    "tick": "0.1",
                    "lot": "0.001",
                    "maker_fee_rate": "0.0002",
                    "taker_fee_rate": "0.0005",
                    "max_leverage": "100",
                }
            ],
            "risk": {
                name: {
                    "max_order_qty": "100",
                    "max_order_notional": "100000000",
                    "price_collar": "0.5",
                    "max_position": "100",
                    "max_open_orders": 10,
                    "max_orders_per_second": 1_000,
                    "max_book_age_ms": 3_600_000,
                    "duplicate_window_ms": 0,
                }
            },
            "accounts": {"paper": {**WIDE_ACCOUNT, "balances": {"binance_usdm.USDT": "1000000000"}}},
            "strategies": [
                {
                    "file": "moving_average",
                    "instrument": name,
                    "parameters": {"fast_bars": FAST, "slow_bars": SLOW, "order_lots": 10},
                }
            ],
        },
    )


def _ours(settings: Settings, bars: Rows) -> tuple[float, dict[str, int]]:
    result = run_backtest(settings, bars).result
    return result.elapsed_s, {"orders": result.orders, "fills": result.fills, "refused": result.refused}


def _reference(bars: Rows) -> float:
    """Seconds for both averages and the position that their crossing gives, in pandas."""
    import pandas as pd

    close = pd.Series(bars["px"].astype(np.float64))
    start = time.perf_counter()
    fast = close.ewm(span=FAST, adjust=False).mean()
    slow = close.ewm(span=SLOW, adjust=False).mean()
    position = np.where(fast > slow, 1, -1)
    np.cumsum(np.concatenate([[0], position[:-1]]) * np.diff(close, prepend=close[0]))
    return time.perf_counter() - start


def measure() -> Iterator[dict[str, Any]]:
    """Seconds for ten years of minute bars."""
    bars = random_bars(YEARS * 365 * 24 * 60)
    settings = bar_settings()
    _ours(settings, bars[:10_000])
    runs = [(_ours(settings, bars), _reference(bars)) for _ in range(REPEATS)]
    ours = median(run[0][0] for run in runs)
    reference = median(run[1] for run in runs)
    yield {
        "name": "backtest_bars",
        "unit": "s",
        "ours": ours,
        "reference": reference,
        "reference_name": "pandas: the same averages and their crossing alone",
        "ratio": ours / reference,
        "details": {"bars": len(bars), "ns_per_bar": ours / len(bars) * 1e9, "must_s": 1.0, **runs[-1][0][1]},
    }
