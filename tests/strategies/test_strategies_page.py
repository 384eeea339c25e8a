"""The page on strategies: its example runs as it stands, and it names everything that the API has."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtest.run import backtest_file
from oms.assembly import build_core
from oms.config import load_settings
from oms.core.state import ASK_BUDGET, STRATEGY_MEMORY, STRATEGY_PARAMETERS
from oms.records import BUY, SELL, EventKind
from strategies import api
from strategies.loader import DEFAULT_TIMER_NS, MIN_TIMER_NS
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "strategies.md"
RECORDING = ROOT / "gateways" / "recordings" / "usdm_btcusdt_20240808_60s.gz"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for all tests, so that it is compiled once."""
    text, _ = blocks(PAGE, "python")
    path = tmp_path_factory.mktemp("example") / "lean.py"
    path.write_text(text)
    return path


@pytest.mark.thorough
def test_example_trades_in_a_backtest(example: Path) -> None:
    settings = load_settings(
        None,
        {
            "replay": {"file": str(RECORDING)},
            "strategies": [
                {
                    "file": str(example),
                    "instrument": "BTCUSDT.binance_usdm",
                    "parameters": {"order_lots": 2},
                }
            ],
        },
    )
    backtest = backtest_file(settings, RECORDING)
    assert backtest.result.strategies_halted == 0
    assert backtest.result.orders > 50
    assert backtest.result.fills > 5
    kinds = set(backtest.events["kind"].tolist())
    assert {EventKind.LOG, EventKind.CANCEL_SUBMITTED, EventKind.ORDER_FILLED} <= kinds
    assert abs(int(backtest.core.st[0]["positions"][0, 0, 0]["qty"])) <= 50


def test_example_has_orders_worked_in_a_backtest(tmp_path: Path) -> None:
    path = tmp_path / "in_turn.py"
    path.write_text(blocks(PAGE, "python")[1])
    strategies = [{"file": str(path), "instrument": "BTCUSDT.binance_usdm"}]
    settings = load_settings(None, {"replay": {"file": str(RECORDING)}, "strategies": strategies})
    backtest = backtest_file(settings, RECORDING, duration_s=40)
    assert (backtest.result.strategies_halted, backtest.result.refused) == (0, 0)
    ended = backtest.events[backtest.events["kind"] == EventKind.HELD_ENDED]
    assert ended["side"].tolist()[:2] == [BUY, SELL]
    assert set(ended["filled_qty"].tolist()) == {200}


def test_example_compiles_for_a_session(example: Path) -> None:
    settings = load_settings(
        None,
        {
            "replay": {"file": str(RECORDING)},
            "strategies": [{"file": str(example), "instrument": "BTCUSDT.binance_usdm"}],
        },
    )
    (strategy,) = build_core(settings).strategies
    assert list(strategy.parameters) == ["order_lots", "max_position_lots", "ratio", "patience_ms"]


@pytest.mark.parametrize("name", api.__all__)
def test_page_names_everything_that_is_public(name: str) -> None:
    assert f"`{name}" in PAGE.read_text() or f"@{name}" in PAGE.read_text()


def test_numbers_on_the_page_are_the_codes() -> None:
    text = PAGE.read_text()
    assert f"at most {STRATEGY_PARAMETERS} numbers" in text
    assert f"{STRATEGY_MEMORY} integer cells" in text
    assert f"`TIMER_INTERVAL_NS` | {MIN_TIMER_NS:,} or more; one second" in text
    assert DEFAULT_TIMER_NS == 1_000_000_000
    assert 2_000 <= ASK_BUDGET < 2_100
