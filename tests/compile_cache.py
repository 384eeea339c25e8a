"""Fills the compile cache with whatever several tests load: ``python -m tests.compile_cache``.

Workers that run side by side then find it there, where each would compile it for itself; and child processes compile on
both cores, and take the compiler's memory with them.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from oms.algorithms import built_in
from oms.compiled import compile_entries
from oms.exchange_model import LIQUIDATION, QUEUE_MODELS, STOPS
from oms.precompile import precompile
from oms.session_settings import MATCHING_MODELS

ROOT: Final = Path(__file__).resolve().parent.parent
STRATEGIES: Final = (
    "strategies/market_maker.py",
    "strategies/moving_average.py",
    "tests/backtest/strategies/*.py",
    "tests/strategies/samples/[a-z]*.py",
    "tests/strategies/samples/*/strategy.py",
)
"""Files of strategies that tests load, as patterns below the root."""


def fill() -> bool:
    """Compile the core, exchange models, strategies, algorithms, gateways and sandbox; False: all was there."""
    from gateways import scanner
    from gateways.sandbox import matching

    _ = (scanner, matching)
    compile_entries()
    strategies = [str(path) for pattern in STRATEGIES for path in sorted(ROOT.glob(pattern))]
    models = [*(f"matching/{name}" for name in MATCHING_MODELS), *(f"queues/{name}" for name in QUEUE_MODELS)]
    models += [f"liquidation/{LIQUIDATION}", f"stops/{STOPS}"]
    return precompile(models, strategies, built_in())


if __name__ == "__main__":
    start = time.monotonic()
    if fill():
        sys.stdout.write(f"compiled in {time.monotonic() - start:.0f} s\n")
