"""Start-up and memory: the cold and the warm start of a core, a new strategy, and what stays resident in a long run.

A cold start compiles everything into an empty cache; a warm one loads it. The reference is the start of a Python that
imports Numba and compiles one trivial function, which no program built on it can undercut. A new strategy is one that
the cache does not have, while it has the core; its reference is that trivial function's compilation alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Final

from oms.compiled import CACHE_VARIABLE

ROUNDS_OF_THE_RECORDING: Final = 20
MUST_COMPILE_S: Final = 2
_START: Final = """
import json, time
from benchmarks._market import market_maker_settings, recorded_ticks
from oms import tick_feed
from oms.assembly import build_core
from oms.engine import step_ticks
from oms.lifecycle import rss_mb
start = time.perf_counter()
core = build_core(market_maker_settings(""))
built_s = time.perf_counter() - start
ticks = recorded_ticks()
s = core.st[0]
at = 0
while s["orders_sent"] == 0:
    at = min(at + 256, len(ticks))
    step_ticks(core.st, ticks[:at], at - 256, 0)
    s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0
print(json.dumps([built_s, time.time(), rss_mb()]))
"""
_LONG_RUN: Final = f"""
import json
from benchmarks._market import market_maker_settings, recorded_ticks
from oms.assembly import build_core
from oms.engine import step_ticks
from oms.lifecycle import rss_mb
core = build_core(market_maker_settings(""))
s = core.st[0]
ticks = recorded_ticks()
span = int(ticks["local_ts"][-1] - ticks["local_ts"][0]) + 1_000_000
seen = []
for _ in range({ROUNDS_OF_THE_RECORDING}):
    start = 0
    while start < len(ticks):
        start = step_ticks(core.st, ticks, start, 0)
        s["event_count"] = s["command_count"] = s["report_count"] = s["parent_count"] = 0
    ticks["local_ts"] += span
    seen.append(rss_mb())
print(json.dumps([seen[1], seen[-1], int(s["ticks"]), int(s["orders_sent"])]))
"""
_NEW_STRATEGIES: Final = """
import json, sys, tempfile, time
from pathlib import Path
import strategies
from strategies.loader import load_strategy
text = (Path(strategies.__file__).parent / "market_maker.py").read_text()
took_s = []
with tempfile.TemporaryDirectory(prefix="zoms") as folder:
    for number in range(2):
        path = Path(folder) / f"strategy_{number}.py"
        path.write_text(text + f"# version {number}\\n")
        start = time.perf_counter()
        load_strategy(path)
        took_s.append(time.perf_counter() - start)
print(json.dumps(took_s))
"""
_TRIVIAL: Final = """
import time, numba, json
start = time.perf_counter()
numba.njit(lambda a: a + 1)(1)
print(json.dumps([time.perf_counter() - start, time.time(), 0.0]))
"""


def _run(code: str, cache: str) -> tuple[list[float], float]:
    """Run a Python program; returns what it printed and the wall clock at its start."""
    import json

    started = time.time()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, CACHE_VARIABLE: cache},
        capture_output=True,
        text=True,
        check=True,
    )
    figures: list[float] = json.loads(done.stdout.splitlines()[-1])
    return figures, started


def measure() -> Iterator[dict[str, Any]]:
    """Seconds from a process's start to its first quote, cold and warm; of a new strategy; memory and its growth."""
    with tempfile.TemporaryDirectory(prefix="zoms") as cache:
        (compiled_s, ended, _), started = _run(_TRIVIAL, cache)
        trivial_s = ended - started
        for name in ("cold", "warm"):
            (built_s, first_order, rss), started = _run(_START, cache)
            yield {
                "name": f"startup_{name}",
                "unit": "s",
                "ours": first_order - started,
                "reference": trivial_s,
                "reference_name": "importing Numba and compiling one trivial function",
                "ratio": (first_order - started) / trivial_s,
                "details": {"building_the_core_s": built_s, "rss_mb": rss},
            }
        new_s, _ = _run(_NEW_STRATEGIES, cache)
        for name, took_s in zip(("first", "next"), new_s, strict=True):
            yield {
                "name": f"new_strategy_{name}",
                "unit": "s",
                "ours": took_s,
                "reference": compiled_s,
                "reference_name": "Numba's first compilation of one trivial function",
                "ratio": took_s / compiled_s,
                "details": {"must_s": MUST_COMPILE_S},
            }
        (early_mb, late_mb, ticks, orders), _ = _run(_LONG_RUN, cache)
        yield {
            "name": "memory_long_run",
            "unit": "MB",
            "ours": late_mb,
            "reference": early_mb,
            "reference_name": f"the same process after 2 of {ROUNDS_OF_THE_RECORDING} rounds of the recording",
            "ratio": late_mb / early_mb,
            "details": {"ticks": ticks, "orders": orders},
        }
