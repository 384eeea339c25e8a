"""Building a core from settings: every limit that settings take fits the core's tables, exactly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oms.account_settings import LARGEST_LIMITS
from oms.algorithms import read_algorithms
from oms.assembly import build_core
from oms.compiled import JIT
from oms.config import ConfigError, load_settings
from oms.core.state import MAX_ACCOUNTS, NO_LIMIT, define_instrument, new_state
from oms.exchange_model import load_model
from oms.instruments import Instrument
from oms.records import CASH_SCALE, TradingState
from strategies.loader import StrategyError

PERPETUAL = "BTCUSDT.binance_usdm"
RULES = Path(__file__).parents[1] / "strategies" / "samples" / "rules"
LIMITS = {
    "max_order_qty": "0.5",
    "max_order_notional": "50000.25",
    "price_collar": "0.02",
    "max_position": "1",
    "max_open_orders": 50,
    "max_orders_per_second": 100,
    "max_book_age_ms": 5000,
    "duplicate_window_ms": 10,
}


def settings_with(**limits: Any) -> Any:
    return settings_of(risk={PERPETUAL: {**LIMITS, **limits}})


def settings_of(**others: Any) -> Any:
    return load_settings(None, {"replay": {"file": "x.gz"}, "strategies": [], **others})


def test_limits_become_integers_exactly() -> None:
    row = build_core(settings_with()).st[0]["limits"][0, 0]
    assert row["defined"] == 1
    assert (row["max_order_qty"], row["max_position"]) == (500, 1_000)
    assert row["max_order_notional"] == 5_000_025 * CASH_SCALE // 100
    assert row["collar_rate"] == 2_000_000
    assert (row["max_open_orders"], row["order_interval_ns"]) == (50, 10_000_000)
    assert (row["max_book_age_ns"], row["duplicate_window_ns"]) == (5_000_000_000, 10_000_000)


def test_instrument_without_limits_has_none() -> None:
    assert build_core(settings_with()).st[0]["limits"][0, 1]["defined"] == 0


@pytest.mark.parametrize("name", sorted(LARGEST_LIMITS.keys() & LIMITS.keys()))
def test_largest_limit_fits_and_a_larger_one_is_refused_by_name(name: str) -> None:
    largest = LARGEST_LIMITS[name]
    is_text = isinstance(LIMITS[name], str)
    row = build_core(settings_with(**{name: str(largest) if is_text else largest})).st[0]["limits"][0, 0]
    assert row["order_interval_ns"] >= 1
    assert row["max_order_notional"] > 0
    assert row["collar_rate"] > 0
    with pytest.raises(ConfigError, match=rf"risk limit {name} {largest + 1} is too large: at most {largest}"):
        settings_with(**{name: str(largest + 1) if is_text else largest + 1})


ACCOUNT: dict[str, Any] = {
    "position_mode": "hedging",
    "margin_mode": "isolated",
    "cost_basis": "fifo",
    "leverage": "2.5",
    "day_reset": "17:00 America/New_York",
    "balances": {"binance_spot.BTC": "1.5", "binance_usdm.USDT": "1000"},
    "max_gross_exposure": "300",
    "max_net_exposure": "200",
    "max_leverage": "1.5",
    "max_open_orders": 7,
    "max_daily_loss": "20.01",
    "max_drawdown": "30",
    "max_orders_per_second": 10,
    "max_cancels_per_second": 20,
}


def test_account_becomes_a_row_with_its_limits_as_a_whole_exactly() -> None:
    s = build_core(settings_of(accounts={"paper": ACCOUNT})).st[0]
    account, scope = s["accounts"][0], s["scopes"][0]
    assert [int(account[name]) for name in ("defined", "hedging", "isolated", "fifo")] == [1, 1, 1, 1]
    assert account["leverage"] == 5 * CASH_SCALE // 2
    assert (scope["max_gross"], scope["max_net"]) == (300 * CASH_SCALE, 200 * CASH_SCALE)
    assert (scope["max_daily_loss"], scope["max_drawdown"]) == (2001 * CASH_SCALE // 100, 30 * CASH_SCALE)
    assert (scope["max_leverage"], scope["max_open_orders"]) == (3 * CASH_SCALE // 2, 7)
    assert (scope["order_interval_ns"], scope["cancel_interval_ns"]) == (100_000_000, 50_000_000)


def test_accounts_have_their_own_numbers_and_wallets() -> None:
    settings = settings_of(accounts={"other": {**ACCOUNT, "balances": {}}, "paper": ACCOUNT})
    s = build_core(settings).st[0]
    assert settings.account_names == ("paper", "other")
    assert [str(wallet) for wallet in settings.wallets] == [
        "binance_usdm.USDT",
        "binance_spot.BTC",
        "binance_spot.USDT",
    ]
    assert s["wallets"]["balance"][:2, :4].tolist() == [[1000 * CASH_SCALE, 3 * CASH_SCALE // 2, 0, 0], [0, 0, 0, 0]]
    assert s["wallets"]["defined"][:3, :4].tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert s["wallets"]["currency"][0, :3].tolist() == [0, 1, 0]


def test_account_of_its_own_limits_has_those_and_others_the_common_ones() -> None:
    own = {**ACCOUNT, "risk": {PERPETUAL: {**LIMITS, "max_position": "0.25"}}}
    s = build_core(settings_of(accounts={"paper": ACCOUNT, "own": own}, risk={PERPETUAL: LIMITS})).st[0]
    assert s["limits"]["max_position"][:2, 0].tolist() == [1_000, 250]
    assert s["limits"]["defined"][:3, 0].tolist() == [1, 1, 0]


def test_instruments_know_their_currencies_and_wallets() -> None:
    s = build_core(settings_of()).st[0]
    names = ("base_currency", "quote_currency", "settle_currency", "base_wallet", "quote_wallet", "settle_wallet")
    assert [int(s["instruments"][0][name]) for name in names[1:3]] == [0, 0]
    assert [int(s["instruments"][1][name]) for name in names] == [1, 0, 0, 1, 2, 2]
    assert s["instruments"][0]["settle_wallet"] == 0


def test_currencies_are_converted_by_the_spot_instrument_between_them() -> None:
    rows = build_core(settings_of()).st[0]["currencies"]
    assert [rows[0][name] for name in ("defined", "instrument", "rate")] == [1, -1, 1.0]
    assert [rows[1][name] for name in ("defined", "instrument", "inverse")] == [1, 1, 0]
    fixed = build_core(settings_of(currencies={"BTC": {"rate": "60000"}})).st[0]["currencies"]
    assert [fixed[1][name] for name in ("defined", "instrument", "rate")] == [1, -1, 60_000.0]


def test_currency_without_a_way_to_the_reporting_one_stays_undefined() -> None:
    settings = settings_of(reporting_currency="EUR")
    assert settings.unconverted == ("BTC", "USDT")
    assert build_core(settings).st[0]["currencies"]["defined"][:3].tolist() == [1, 0, 0]


def test_strategys_limits_narrow_only_what_they_name() -> None:
    strategy = {
        "file": "market_maker",
        "instrument": PERPETUAL,
        "account": "other",
        "risk": {"max_position": "0.1", "max_daily_loss": "5", "max_orders_per_second": 4},
    }
    settings = settings_of(accounts={"paper": ACCOUNT, "other": ACCOUNT}, strategies=[strategy])
    s = build_core(settings).st[0]
    scope, limits = s["scopes"][MAX_ACCOUNTS], s["limits"][MAX_ACCOUNTS, 0]
    assert (s["strategies"][0]["account"], scope["defined"], scope["trading_state"]) == (1, 1, TradingState.ACTIVE)
    assert (scope["max_daily_loss"], scope["max_drawdown"]) == (5 * CASH_SCALE, NO_LIMIT)
    assert (scope["order_interval_ns"], scope["cancel_interval_ns"]) == (250_000_000, 0)
    assert (limits["defined"], limits["max_position"], limits["max_order_qty"]) == (1, 100, NO_LIMIT)


def test_strategys_leverage_is_its_exposure_to_its_capital() -> None:
    risk = {"max_leverage": "2.5", "capital": "1000.5"}
    strategy = {"file": "market_maker", "instrument": PERPETUAL, "risk": risk}
    scope = build_core(settings_of(strategies=[strategy])).st[0]["scopes"][MAX_ACCOUNTS]
    assert (scope["max_leverage"], scope["equity_start"]) == (5 * CASH_SCALE // 2, 2001 * CASH_SCALE // 2)


def test_algorithms_of_zoms_and_of_the_settings_are_loaded(tmp_path: Path) -> None:
    mine = tmp_path / "do_nothing.py"
    mine.write_text("def work(st, me, now):\n    pass\n")
    core = build_core(settings_of(algorithms=[{"file": str(mine)}]))
    names = [algorithm.name for algorithm in core.algorithms]
    assert names == [*read_algorithms([]), "do-nothing"]
    table = core.st[0]["algorithms"][: int(core.st[0]["algorithms_used"])]
    assert table["id"].tolist() == [each.id for each in read_algorithms([mine]).values()]
    assert (table["work"] != 0).all()


def test_an_algorithm_that_stands_in_for_another_is_refused(tmp_path: Path) -> None:
    double = tmp_path / "best_limit.py"
    double.write_text("def work(st, me, now):\n    pass\n")
    with pytest.raises(StrategyError, match="algorithm best-limit is there already"):
        build_core(settings_of(algorithms=[{"file": str(double)}]))


def test_rules_are_loaded_in_the_order_of_the_settings() -> None:
    rules = [{"file": str(RULES / name)} for name in ("odd_lots.py", "broken.py")]
    core = build_core(settings_of(rules=rules))
    assert [rule.name for rule in core.rules] == ["odd_lots", "broken"]
    assert core.st[0]["rules_used"] == 2
    assert (core.st[0]["rules"]["address"][:2] != 0).all()


def test_core_starts_in_the_state_that_it_is_told() -> None:
    core = build_core(settings_with(), trading_state=TradingState.HALTED)
    assert core.st[0]["scopes"]["trading_state"][0] == TradingState.HALTED
    assert core.st[0]["accounts"]["defined"].tolist() == [1] + 7 * [0]


def test_unknown_matching_model_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"unknown matching model 'magic': choose displayed, .*, or give a \.py file"):
        load_model("magic")


def test_instrument_beyond_the_table_is_refused_by_name() -> None:
    far = Instrument(id=128, symbol="FAR", venue="v", kind="spot", base="FAR", quote="USDT", tick="1", lot="1")
    with pytest.raises(ValueError, match="instrument FAR has id 128: the core holds ids 0 to 127"):
        define_instrument(new_state(), far)


@pytest.mark.skipif(not JIT, reason="about the compiler")
def test_a_core_that_is_loaded_can_be_stepped_without_compiling() -> None:
    """In a process that has imported nothing else, the step has its one version then."""
    code = (
        "from oms.assembly import load\n"
        "from oms.config import load_settings\n"
        "load(load_settings(None, {'replay': {'file': 'none'}}))\n"
        "import sys\n"
        "print(len(sys.modules['oms.engine'].step_ticks.overloads))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
