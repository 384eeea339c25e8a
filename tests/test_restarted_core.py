"""A real core that is started again: after a clean end, with its files damaged, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oms.compiled import JIT
from oms.config import Settings
from oms.journal import segments, session_of, sessions
from oms.records import TickKind, TradingState
from oms.snapshot import snapshots
from tests.oms.core.builders import client_id, command, new_order
from tests.oms.core_process import FRAME, CoreProcess, core_settings

ZOMS = [sys.executable, "-P", "-m", "oms.cli"]

pytestmark = [pytest.mark.timeout(300), pytest.mark.skipif(not JIT, reason="a core as plain Python takes no load")]


def traded(core: CoreProcess) -> None:
    """Let a core trade a little."""
    core.start()
    core.feed(20)
    core.until(lambda: core.heartbeat is not None and core.heartbeat.counters["ticks"] >= 20 * FRAME)
    bid = int(core.market["px"][core.market["kind"] == TickKind.TRADE][0])
    core.client.send(np.concatenate([new_order(client_id(i), 1, bid - 100 - i, 2) for i in range(1, 40)]))
    core.until(lambda: core.heartbeat is not None and core.heartbeat.counters["orders"] > 5)


def zoms(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = settings.account_dir.parent
    return subprocess.run(
        [*ZOMS, *arguments, "--data-dir", str(folder)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("inputs", ["orders", "all"])
def test_clean_restart_keeps_the_trading_state_and_the_session_replays(tmp_path: Path, inputs: str) -> None:
    settings = core_settings(tmp_path, journal={"inputs": inputs, "segment_mb": 1})
    with CoreProcess(settings) as core:
        traded(core)
        core.client.send(command(5, 0, instrument=-1, value=TradingState.REDUCING))
        core.until(lambda: core.trading_state == TradingState.REDUCING)
        assert core.stop() == 0
        core.start()
        assert core.trading_state.name == "REDUCING"
        assert core.heartbeat is not None
        assert core.heartbeat.counters["open_orders"] == 0
        core.feed(5)
        core.until(lambda: core.heartbeat is not None and core.heartbeat.counters["ticks"] >= 1_000)
        core.kill()
        core.start()
        assert core.trading_state.name == "HALTED"
        assert core.stop() == 0
    for path in sessions(settings.journal_dir):
        result = zoms(settings, "replay", "--session", str(session_of(path)), "--json")
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stdout)
        assert (told["inputs"], told["differences"]) == (inputs, [])
        assert told["events"] > 0
    assert told["compared"]


def test_damaged_journal_lets_no_core_come_up(tmp_path: Path) -> None:
    settings = core_settings(tmp_path)
    with CoreProcess(settings) as core:
        traded(core)
        core.kill()
        (path,) = segments(settings.journal_dir, session_of(sessions(settings.journal_dir)[-1]))
        content = path.read_bytes()
        path.write_bytes(content[:3_000] + bytes([content[3_000] ^ 1]) + content[3_001:])
        with pytest.raises(RuntimeError, match=r"RecoveryError: journal .* is damaged at offset \d+ .*restore"):
            core.start()
        assert len(sessions(settings.journal_dir)) == 1
        path.write_bytes(content)
        for each in snapshots(settings.snapshot_dir):
            each.write_bytes(each.read_bytes()[:-1])
        with pytest.raises(RuntimeError, match=r"RecoveryError: no snapshot in .* verifies"):
            core.start()


def test_orders_of_a_killed_core_are_cancelled_by_name(tmp_path: Path) -> None:
    settings = core_settings(tmp_path, strategies=[])
    with CoreProcess(settings) as core:
        traded(core)
        core.kill()
        core.start()
        core.until(lambda: core.heartbeat is not None and core.heartbeat.counters["open_orders"] == 0)
        core.feed(3)
        assert core.stop() == 0
    result = zoms(settings, "replay")
    assert result.returncode == 0, result.stderr
    assert "all as in the journal" in result.stdout
