"""A real core whose instrument is given a new version: what is adopted then, and what a restart makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from oms.core.state import MAX_ACCOUNTS, new_state
from oms.records import CASH_SCALE
from oms.recovery import definitions_of, recover
from tests.oms.core_process import INSTRUMENT, CoreProcess, core_settings
from tests.test_restarted_core import running, zoms

pytestmark = pytest.mark.timeout(300)

FINER: Final = ("tick=0.05", "lot=0.0005", "min_qty=0.0005")


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
