"""What you backtest is the code you trade: a paper session of real processes makes a backtest's orders and fills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from backtest.run import backtest_file, run_backtest
from gateways.recording import load_ticks
from oms.config import Settings, load_settings
from oms.journal import joined_events, read_journal, sessions
from oms.records import EVENT, ORDER_EVENTS, EventKind
from tests.backtest.test_run import DEMO
from tests.backtest.venue import STRATEGIES

Rows = npt.NDArray[np.void]

CUT_S: Final = 40.0
OF_THE_SESSION: Final = ("seq", "order_id")
"""Fields that tell which session an event is of; all others are the market's and the strategy's doing."""

pytestmark = pytest.mark.timeout(300)


def session_settings(folder: Path, speed: str, **others: Any) -> tuple[Path, Settings]:
    """A settings file for a paper session in ``folder``, and the settings that it makes."""
    tree = {
        "rpc_endpoint": f"ipc://{folder}/rpc",
        "heartbeat_s": 0.1,
        "data_dir": os.fspath(folder / "data"),
        "replay": {"file": os.fspath(DEMO), "speed": speed, "duration_s": CUT_S},
        **others,
    }
    path = folder / "zoms.toml"
    path.write_text(toml(tree))
    return path, load_settings(path)


def toml(tree: dict[str, Any]) -> str:
    """A settings file: numbers, texts, tables of them and lists of tables."""
    plain = {name: value for name, value in tree.items() if not isinstance(value, dict | list)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in plain.items()]
    for name, value in tree.items():
        if isinstance(value, dict):
            lines.append(f"[{name}]\n{toml(value)}")
        for table in value if isinstance(value, list) else ():
            lines.append(f"[[{name}]]\n{toml(table)}")
    return "\n".join(lines)


def paper_session(file: Path, settings: Settings) -> tuple[Rows, dict[str, Any]]:
    """The events in the journal of a whole paper session, and its summary."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "oms.cli", "paper", "--settings", file, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    journals = sessions(settings.journal_dir)
    assert len(journals) == 1, "the core was not restarted"
    events = np.concatenate([np.zeros(0, EVENT), *joined_events(read_journal(journals[0]))])
    return events, json.loads(done.stdout.splitlines()[-1])


def order_rows(events: Rows, besides: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """All that happened to orders, fills with price, quantity, liquidity and fee among it, but for the session."""
    names = [name for name in EVENT.names or () if name not in (*OF_THE_SESSION, *besides)]
    chosen = events[np.isin(events["kind"], [int(kind) for kind in ORDER_EVENTS])]
    return [tuple(row[name].item() for name in names) for row in chosen]


@pytest.mark.parametrize(
    ("speed", "matching"),
    [
        pytest.param("max", {"model": "displayed"}, marks=pytest.mark.thorough),
        ("25", {"model": "displayed", "entry_latency_us": 3_000, "response_latency_us": 1_000}),
        pytest.param(
            "max",
            {"model": "no_partial_fill", "entry_latency_us": 10_000, "response_latency_us": 10_000},
            marks=pytest.mark.thorough,
        ),
    ],
    ids=["displayed, flat out", "displayed with latency, 25 x", "no_partial_fill, flat out"],
)
def test_paper_makes_the_orders_and_fills_of_a_backtest(tmp_path: Path, speed: str, matching: dict[str, Any]) -> None:
    file, settings = session_settings(tmp_path, speed, matching=matching)
    events, summary = paper_session(file, settings)

    ticks = load_ticks(DEMO, settings.instrument("BTCUSDT.binance_usdm"), duration_s=CUT_S)
    backtest = run_backtest(settings, ticks)

    assert summary["ticks_lost"] == 0
    assert summary["fills"] == backtest.result.fills > 10
    assert summary["orders"] == backtest.result.orders
    assert order_rows(events) == order_rows(backtest.events)


@pytest.mark.thorough
def test_timers_and_many_orders_are_the_same_in_paper_and_backtest(tmp_path: Path) -> None:
    """A strategy that asks at every tick, logs what it sees and has a timer of 3 ms: its log is the same too."""
    strategies = [{"file": os.fspath(STRATEGIES / "busy.py"), "instrument": "BTCUSDT.binance_usdm"}]
    file, settings = session_settings(tmp_path, "max", strategies=strategies)
    events, _ = paper_session(file, settings)
    backtest = backtest_file(settings, DEMO, duration_s=CUT_S)
    assert order_rows(events) == order_rows(backtest.events)
    logged = [
        run[run["kind"] == EventKind.LOG][["ts", "aux", "px", "qty", "last_px"]] for run in (events, backtest.events)
    ]
    assert len(logged[0]) > 30_000
    assert (logged[0] == logged[1]).all()


def test_what_a_strategy_has_worked_is_the_same_in_paper_and_backtest(tmp_path: Path) -> None:
    strategies = [{"file": os.fspath(STRATEGIES / "scheduler.py"), "instrument": "BTCUSDT.binance_usdm"}]
    file, settings = session_settings(tmp_path, "max", strategies=strategies)
    events, _ = paper_session(file, settings)
    backtest = backtest_file(settings, DEMO, duration_s=CUT_S)
    # A child's ORDER_SUBMITTED has its parent's id in ``aux``.
    assert order_rows(events, ("aux",)) == order_rows(backtest.events, ("aux",))
    told = [
        run[run["kind"] == EventKind.LOG][["ts", "aux", "px", "qty", "last_px"]] for run in (events, backtest.events)
    ]
    assert (told[0] == told[1]).all()
    assert np.count_nonzero(told[0]["aux"] == 1) > 2, "orders have ended"
    assert {each.algorithm for each in backtest.performance().slippage} == {"twap", "best-limit"}
