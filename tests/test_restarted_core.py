"""A real core that is started again: after a clean end, with its files damaged, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from oms.compiled import JIT
from oms.config import Settings
from oms.core.state import new_state
from oms.journal import segments, session_of, sessions
from oms.lock import AccountLock
from oms.records import CASH_SCALE, EventKind, OrderType, TickKind, TradingState, Trigger, TriggerSource
from oms.recovery import definitions_of, recover
from oms.snapshot import snapshots
from tests.oms.core.builders import client_id, command, new_order
from tests.oms.core_process import FRAME, INSTRUMENT, CoreProcess, core_settings

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


def told(core: CoreProcess, kind: EventKind) -> set[int]:
    """Orders of which the core has told this."""
    return {each for _, records in core.heard for each in records["order_id"][records["kind"] == kind].tolist()}


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """The account's lock, as a session holds it."""
    lock = AccountLock(settings)
    try:
        yield
    finally:
        lock.release()


def zoms(settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = settings.account_dir.parent
    return subprocess.run(
        [*ZOMS, *arguments, "--data-dir", str(folder)], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("inputs", ["orders", pytest.param("all", marks=pytest.mark.thorough)])
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


def test_stop_of_a_killed_core_leaves_when_its_price_comes(tmp_path: Path) -> None:
    settings = core_settings(tmp_path, strategies=[])
    with CoreProcess(settings) as core:
        core.start()
        core.feed(20)
        core.until(lambda: core.heartbeat is not None and core.heartbeat.counters["ticks"] >= 20 * FRAME)
        seen = core.market[: 20 * FRAME]
        trades = seen["px"][seen["kind"] == TickKind.TRADE].tolist()
        side = -1 if min(trades) < trades[-1] else 1
        stop = {"order_type": OrderType.MARKET, "trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST}
        never = new_order(client_id(1), 1, 0, 2, trigger_px=trades[0] * 2, **stop)
        soon = new_order(client_id(2), side, 0, 2, trigger_px=max(side * each for each in trades) * side, **stop)
        core.client.send(np.concatenate([never, soon]))
        core.until(lambda: {client_id(1), client_id(2)} <= told(core, EventKind.ORDER_HELD))
        assert client_id(2) not in told(core, EventKind.ORDER_SUBMITTED)
        core.kill()
        core.start()
        core.resume()
        core.feed(20)
        core.until(lambda: client_id(2) in told(core, EventKind.ORDER_FILLED))
        assert client_id(1) not in told(core, EventKind.ORDER_SUBMITTED)
        assert core.stop() == 0


def test_what_is_adopted_is_there_and_outlives_a_kill(tmp_path: Path) -> None:
    settings = core_settings(tmp_path, strategies=[])
    with CoreProcess(settings) as core, running(settings):
        core.start()
        core.feed(20)
        for arguments in (
            ("position", INSTRUMENT, "0.5", "61000.0333"),
            ("balance", "USDT.binance_usdm", "1234.5"),
            ("funding", INSTRUMENT, "1.5"),
            ("order", "buy", INSTRUMENT, "0.2", "50000", "--order-id", str(client_id(9)), "--leaves", "0.1"),
        ):
            result = zoms(settings, "adopt", *arguments)
            assert result.returncode == 0, result.stderr
        refused = zoms(settings, "adopt", "balance", "GOLD.binance_usdm", "1")
        assert refused.returncode == 1
        assert "unknown wallet 'GOLD.binance_usdm': the session has USDT.binance_usdm" in refused.stderr
        core.kill()
    past = recover(new_state(), definitions_of(settings), settings.snapshot_dir, settings.journal_dir).st[0]
    assert int(past["now"]) < time.time_ns() - 10**16  # it is the recording's time that goes on
    position = past["positions"][0, 0, 0]
    assert (int(position["qty"]), int(position["open_orders"])) == (500, 1)
    assert int(position["open_cost"]) == 500 * 610_000 + 166  # 166.5 tick-lots, to even
    assert int(past["wallets"]["balance"][0, 0]) == 1_233 * CASH_SCALE
    (order,) = past["orders"][: past["orders_used"]]
    assert (int(order["qty"]), int(order["filled_qty"])) == (200, 100)


@pytest.mark.thorough
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


@pytest.mark.thorough
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
