"""Memory of a backtest over a month: 60 million event rows in one file, and the most that its process holds.

The file is the recorded stream again and again, its times stretched over 30 days, as hftbacktest keeps it: not
compressed, 64 bytes a row. The reference is the file itself, which an engine that loads it whole holds at least.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks._events import event_rows
from benchmarks._market import INSTRUMENT, market_maker_settings, recorded_ticks

ROWS: Final = 60_000_000
SPAN_NS: Final = 30 * 86_400 * 10**9
MUST_MB: Final = 1_000
_RUN: Final = f"""
import json, sys
from pathlib import Path
from backtest.data.opening import open_sources
from backtest.streaming import backtest_sources
from benchmarks._market import market_maker_settings
settings = market_maker_settings("")
sources, _ = open_sources([Path(sys.argv[1])], settings, [{INSTRUMENT!r}])
backtest = backtest_sources(settings, sources, sys.argv[2])
performance = backtest.performance()
held = dict(line.split(":", 1) for line in open("/proc/self/status"))
result = backtest.result
print(json.dumps({{
    "peak_mb": int(held["VmHWM"].split()[0]) / 1024,
    "rows_per_s": result.ticks_per_s,
    "orders": result.orders,
    "fills": result.fills,
    "events": len(backtest.log),
    "days": result.recorded_s / 86_400,
    "problems": list(result.problems),
}}))
"""


def write_month(path: Path) -> None:
    """Write the file, one round of the recording after another; what happens is received at once."""
    from hftbacktest import types as events

    rows = event_rows(recorded_ticks(), market_maker_settings("").instrument(INSTRUMENT))
    rows = rows[rows["ev"] & events.LOCAL_EVENT > 0]
    rows["ev"] |= events.EXCH_EVENT
    count = -(-ROWS // len(rows))
    start = int(rows["local_ts"][0])
    since: Any = rows["local_ts"] - start
    stretched = (since * (SPAN_NS / count / (int(since[-1]) + 1))).astype(np.int64)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=rows.dtype, shape=(ROWS,))  # type: ignore[no-untyped-call]
    for number in range(count):
        part = file[number * len(rows) : (number + 1) * len(rows)]
        part[:] = rows[: len(part)]
        for stamp in ("exch_ts", "local_ts"):
            part[stamp] = start + number * (SPAN_NS // count) + stretched[: len(part)]
    file.flush()


def measure() -> Iterator[dict[str, Any]]:
    """Peak memory of a backtest over the file, with each clock."""
    with tempfile.TemporaryDirectory(prefix="zoms") as folder:
        path = Path(folder) / "month.npy"
        write_month(path)
        file_mb = path.stat().st_size / 2**20
        for clock in ("local", "dual"):
            done = subprocess.run(
                [sys.executable, "-c", _RUN, os.fspath(path), clock], capture_output=True, text=True, check=True
            )
            figures = json.loads(done.stdout.splitlines()[-1])
            peak_mb = figures.pop("peak_mb")
            yield {
                "name": f"backtest_month_{clock}",
                "unit": "MB",
                "ours": peak_mb,
                "reference": file_mb,
                "reference_name": "the file",
                "ratio": peak_mb / file_mb,
                "details": {"rows": ROWS, "must_mb": MUST_MB, **figures},
            }
