"""Building a core from settings: every limit that settings take fits the core's tables, exactly."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oms.assembly import build_core
from oms.config import LARGEST_LIMITS, ConfigError, load_settings
from oms.exchange_model import load_model
from oms.instruments import Instrument
from oms.records import CASH_SCALE, TradingState

PERPETUAL = "BTCUSDT.binance_usdm"
LIMITS = {
    "max_order_qty": "0.5",
    "max_order_notional": "50000.25",
    "price_collar": "0.02",
    "max_position": "1",
    "max_open_orders": 50,
    "max_orders_per_second": 100,
}


def settings_with(**limits: Any) -> Any:
    risk = {PERPETUAL: {**LIMITS, **limits}}
    return load_settings(None, {"replay": {"file": "x.gz"}, "strategies": [], "risk": risk})


def test_limits_become_integers_exactly() -> None:
    row = build_core(settings_with()).st[0]["limits"][0, 0]
    assert row["defined"] == 1
    assert (row["max_order_qty"], row["max_position"]) == (500, 1_000)
    assert row["max_order_notional"] == 5_000_025 * CASH_SCALE // 100
    assert row["collar_rate"] == 2_000_000
    assert (row["max_open_orders"], row["order_interval_ns"]) == (50, 10_000_000)


def test_instrument_without_limits_has_none() -> None:
    assert build_core(settings_with()).st[0]["limits"][0, 1]["defined"] == 0


@pytest.mark.parametrize("name", sorted(LARGEST_LIMITS))
def test_largest_limit_fits_and_a_larger_one_is_refused_by_name(name: str) -> None:
    largest = LARGEST_LIMITS[name]
    is_text = isinstance(LIMITS[name], str)
    row = build_core(settings_with(**{name: str(largest) if is_text else largest})).st[0]["limits"][0, 0]
    assert row["order_interval_ns"] >= 1
    assert row["max_order_notional"] > 0
    assert row["collar_rate"] > 0
    with pytest.raises(ConfigError, match=rf"risk limit {name} {largest + 1} is too large: at most {largest}"):
        settings_with(**{name: str(largest + 1) if is_text else largest + 1})


def test_core_starts_in_the_state_that_it_is_told() -> None:
    core = build_core(settings_with(), trading_state=TradingState.HALTED)
    assert core.st[0]["scopes"]["trading_state"][0] == TradingState.HALTED
    assert core.st[0]["accounts"]["defined"].tolist() == [1] + 7 * [0]


def test_unknown_matching_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown matching model 'magic': choose displayed or no_partial_fill"):
        load_model("magic")


def test_instrument_beyond_the_table_is_refused_by_name() -> None:
    far = Instrument(id=128, symbol="FAR", venue="v", kind="spot", base="FAR", quote="USDT", tick="1", lot="1")
    settings = settings_with()
    settings = msgspec.structs.replace(settings, instruments=(*settings.instruments, far))
    with pytest.raises(ValueError, match="instrument FAR has id 128: the core holds ids 0 to 127"):
        build_core(settings)
