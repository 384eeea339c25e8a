"""A whole session whose instrument is given a new version: gateway, core and rpc go on in it without a restart."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.oms.test_cli import DEADLINE_S, ZOMS, RunningSession

pytestmark = pytest.mark.timeout(300)

NAME = "BTCUSDT.binance_usdm"


def zoms(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*ZOMS, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ZOMS_HOME": os.fspath(folder)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def core_counters(folder: Path) -> dict[str, Any]:
    counters: dict[str, Any] = json.loads(zoms(folder, "status", "--json"))["processes"]["core"]["counters"]
    return counters


@pytest.mark.thorough
def test_trading_goes_on_in_the_new_version(tmp_path: Path) -> None:
    session = RunningSession(tmp_path)
    try:
        said = zoms(tmp_path, "redefine", NAME, "tick=0.05", "lot=0.0005", "min_qty=0.0005")
        assert "BTCUSDT trades in version 2" in said
        deadline = time.monotonic() + DEADLINE_S
        while core_counters(tmp_path)["books_synced"] != 1:
            assert time.monotonic() < deadline
        placed = zoms(tmp_path, "order", "place", "buy", NAME, "0.0015", "--json")
        refused = core_counters(tmp_path)["ticks_refused"]
        assert json.loads(placed.splitlines()[-1])["filled_qty"] == "0.0015"
        before = core_counters(tmp_path)
        while core_counters(tmp_path)["ticks"] <= before["ticks"]:
            assert time.monotonic() < deadline
        assert core_counters(tmp_path)["ticks_refused"] == refused
    finally:
        assert session.end() == 0, "".join(session.lines)


@pytest.mark.thorough
def test_a_grid_that_refuses_most_of_the_recording_is_named_while_the_session_goes_on(tmp_path: Path) -> None:
    session = RunningSession(tmp_path)
    try:
        zoms(tmp_path, "redefine", NAME, "tick=0.5", "lot=0.005", "min_qty=0.005")
        session.wait_for(r"bad input \d")
        deadline = time.monotonic() + DEADLINE_S
        before = core_counters(tmp_path)["ticks"]
        while core_counters(tmp_path)["ticks"] <= before:
            assert time.monotonic() < deadline
        status = zoms(tmp_path, "status")
        log = tmp_path / "paper" / "run" / "gateway.log"
        assert re.search(rf"bad input   [\d,]+ lines or frames refused, see {log}", status)
        named = log.read_text()
        assert "is not on BTCUSDT's tick 0.5" in named
        assert "is not on BTCUSDT's lot 0.005" in named
        assert len(named.splitlines()) < 10
    finally:
        assert session.end() == 0, "".join(session.lines)
