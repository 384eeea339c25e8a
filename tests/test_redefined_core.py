"""A real core whose instrument is given a new version: what is adopted then, and what a restart makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from gateways.recording import load_ticks
from oms.config import Settings
from oms.core.state import MAX_ACCOUNTS, new_state
from oms.journal import JournalTail, sessions
from oms.records import CASH_SCALE, EventKind, InstrumentState, Reason, RecordKind
from oms.recovery import definitions_of, recover
from oms.snapshot import read_snapshot, snapshots
from tests.oms.core_process import INSTRUMENT, RECORDING, CoreProcess, core_settings
from tests.test_restarted_core import running, zoms

pytestmark = pytest.mark.timeout(300)

FINER: Final = ("tick=0.05", "lot=0.0005", "min_qty=0.0005")


@pytest.mark.thorough
def test_a_settlement_and_a_strategy_share_are_adopted_as_they_are_told(tmp_path: Path) -> None:
    settings = core_settings(tmp_path)
    with CoreProcess(settings) as core, running(settings):
        core.start()
        for arguments in (
            ("position", INSTRUMENT, "0.5", "61000"),
            ("position", INSTRUMENT, "0.2", "60000", "--strategy", "market_maker"),
            ("settlement", INSTRUMENT, "61100.00000005"),
        ):
            result = zoms(settings, "adopt", *arguments)
            assert result.returncode == 0, result.stderr
        unknown = zoms(settings, "adopt", "position", INSTRUMENT, "0.2", "60000", "--strategy", "mine")
        assert "strategy 'mine' of account number 0 is not there: its strategies are market_maker" in unknown.stderr
        core.kill()
    past = recover(new_state(), definitions_of(settings), settings.snapshot_dir, settings.journal_dir).st[0]
    account, share = past["positions"][0, 0, 0], past["positions"][MAX_ACCOUNTS, 0, 0]
    assert (int(account["qty"]), int(share["qty"])) == (0, 0)
    assert int(account["realized_pnl"]) == 50 * CASH_SCALE + 2  # 5e-8 on half a coin, to even
    assert int(share["realized_pnl"]) == 220 * CASH_SCALE + 1


@pytest.mark.thorough
def test_what_is_adopted_is_counted_in_the_version_in_force(tmp_path: Path) -> None:
    settings = core_settings(tmp_path, strategies=[])
    with CoreProcess(settings) as core, running(settings):
        core.start()
        for arguments in (
            ("redefine", INSTRUMENT, *FINER),
            ("adopt", "position", INSTRUMENT, "0.0005", "61000.05"),
        ):
            result = zoms(settings, *arguments)
            assert result.returncode == 0, result.stderr
        core.kill()
    past = recover(new_state(), definitions_of(settings), settings.snapshot_dir, settings.journal_dir).st[0]
    position = past["positions"][0, 0, 0]
    assert (int(position["qty"]), int(position["open_cost"]), int(position["version"])) == (1, 1_220_001, 2)


def states(settings: Settings) -> list[tuple[int, int, int]]:
    """What INSTRUMENT events of the newest session have said: state, version in force, reason."""
    tail = JournalTail(sessions(settings.journal_dir)[-1])
    events = [each for entry in tail.read() if entry.kind == RecordKind.EVENT for each in entry.records]
    told = [each for each in events if each["kind"] == EventKind.INSTRUMENT]
    return [(int(each["aux"]), int(each["px"]), int(each["reason"])) for each in told]


@pytest.mark.thorough
def test_the_version_in_force_outlives_settings_that_show_what_it_replaced(tmp_path: Path) -> None:
    settings = core_settings(tmp_path, strategies=[])
    with CoreProcess(settings) as core, running(settings):
        core.start()
        for arguments in (
            ("redefine", INSTRUMENT, *FINER),
            ("adopt", "position", INSTRUMENT, "0.0005", "61000.05"),
        ):
            assert zoms(settings, *arguments).returncode == 0
        core.kill()
        for end in (core.kill, core.stop):
            core.start()
            core.resume()
            assert states(settings) == [(InstrumentState.TRADING, 2, Reason.NONE)]
            refused = zoms(settings, "adopt", "position", INSTRUMENT, "0.0003", "61000.05")
            assert "quantity 0.0003 is not on BTCUSDT's lot 0.0005" in refused.stderr
            core.feed(2)
            core.until(lambda: core.heartbeat is not None and core.heartbeat.counters["ticks_refused"] > 0)
            finer = replace(settings.instrument(INSTRUMENT), version=2, tick="0.05", lot="0.0005", min_qty="0.0005")
            core.market, core.at = load_ticks(RECORDING, finer), 0
            core.feed(20)
            core.until(lambda: core.heartbeat is not None and core.heartbeat.counters["books_synced"] == 1)
            core.market = load_ticks(RECORDING, settings.instrument(INSTRUMENT))
            end()
    newest = read_snapshot(snapshots(settings.snapshot_dir)[0])
    assert newest.definitions.instruments["0"]["version"] == "2"
    assert newest.definitions.instruments["0"]["tick"] == "0.05"
    result = zoms(settings, "replay")
    assert result.returncode == 0, result.stderr


@pytest.mark.thorough
def test_settings_that_are_neither_are_refused_and_both_are_named(tmp_path: Path) -> None:
    settings = core_settings(tmp_path, strategies=[])
    with CoreProcess(settings) as core, running(settings):
        core.start()
        assert zoms(settings, "redefine", INSTRUMENT, *FINER).returncode == 0
        assert core.stop() == 0
    (first, *others) = settings.instruments
    assert first.id == 0
    other = replace(settings, instruments=(replace(first, taker_fee_rate="0.0007"), *others))
    with (
        CoreProcess(other) as core,
        pytest.raises(
            RuntimeError,
            match=r"RecoveryError: instrument BTCUSDT\.binance_usdm has been in version 2 \(tick 0\.05, lot 0\.0005\)"
            r" since a session before, and the settings have version 1 \(tick 0\.1, lot 0\.001\), which differs from"
            r".*definitions\.json",
        ),
    ):
        core.start()


@pytest.mark.thorough
def test_an_instrument_that_was_changing_goes_on_after_a_restart(tmp_path: Path) -> None:
    settings = core_settings(tmp_path, strategies=[])
    with CoreProcess(settings) as core, running(settings):
        core.start()
        assert zoms(settings, "adopt", "position", INSTRUMENT, "0.003", "61000").returncode == 0
        said = zoms(settings, "redefine", INSTRUMENT, "tick=0.5", "lot=0.005", "min_qty=0.005")
        assert "waits for an adjustment: POSITION_OFF_GRID" in said.stdout
        core.kill()
        core.start()
        core.resume()
        assert states(settings) == [
            (InstrumentState.SWITCHING, 1, Reason.NONE),
            (InstrumentState.OFF_GRID, 1, Reason.POSITION_OFF_GRID),
        ]
        assert zoms(settings, "adopt", "position", INSTRUMENT, "0.005", "61000").returncode == 0
        core.feed(400)  # the next review of the recording's time lets it go on
        core.until(lambda: states(settings)[-1] == (InstrumentState.TRADING, 2, Reason.NEW_VERSION))
        assert core.stop() == 0
    result = zoms(settings, "replay")
    assert result.returncode == 0, result.stderr
