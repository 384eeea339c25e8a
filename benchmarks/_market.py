"""What the benchmarks share: recorded ticks in rounds, settings for them, percentiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateways.recording import load_ticks
from oms.config import Settings, load_settings
from oms.records import TICK

RECORDING: Final = Path(__file__).resolve().parent.parent / "tests" / "data" / "usdm_btcusdt_20240808.gz"
INSTRUMENT: Final = "BTCUSDT.binance_usdm"
WIDE_ACCOUNT: Final[dict[str, Any]] = {
    "position_mode": "netting",
    "margin_mode": "cross",
    "cost_basis": "average",
    "leverage": "20",
    "day_reset": "00:00 UTC",
    "balances": {"binance_usdm.USDT": "1000000000"},
    "max_gross_exposure": "10000000000",
    "max_net_exposure": "10000000000",
    "max_leverage": "1000",
    "max_open_orders": 1_000_000,
    "max_daily_loss": "1000000000",
    "max_drawdown": "1000000000",
    "max_orders_per_second": 1_000_000_000,
    "max_cancels_per_second": 1_000_000_000,
}
"""An account whose limits as a whole are checked and never reached."""
Ticks = npt.NDArray[np.void]


def market_maker_settings(data_dir: str, **overrides: Any) -> Settings:
    """The shipped settings with the market maker on the recorded instrument, risk on."""
    return load_settings(
        None,
        {
            "data_dir": data_dir,
            "replay": {"file": str(RECORDING)},
            "strategies": [{"file": "market_maker", "instrument": INSTRUMENT}],
            **overrides,
        },
    )


def recorded_ticks(rounds: int = 1) -> Ticks:
    """The recorded USD-M stream, ``rounds`` times over with time going on; each round starts with its own snapshot."""
    settings = market_maker_settings("")
    once = load_ticks(RECORDING, settings.instrument(INSTRUMENT))
    span = int(once["local_ts"][-1] - once["local_ts"][0]) + 1_000_000
    out = np.empty(len(once) * rounds, TICK)
    for i in range(rounds):
        part = out[i * len(once) : (i + 1) * len(once)]
        part[:] = once
        part["local_ts"] += i * span
    return out


def percentiles(latencies_us: npt.NDArray[np.float64]) -> dict[str, float]:
    """p50, p99, p99.9 and maximum in us, under the names that the reports use."""
    p50, p99, p999 = np.percentile(latencies_us, (50, 99, 99.9))
    return {"p50_us": float(p50), "p99_us": float(p99), "p999_us": float(p999), "max_us": float(latencies_us.max())}
