"""Settings: the defaults, a file over them, and what is refused at load time."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oms.canonical import canonical_groups
from oms.config import (
    ConfigError,
    Settings,
    load_settings,
    qualified_symbol,
    read_session,
    strategy_file,
    write_session,
)
from oms.session_settings import SYNC_OF_MODE

REPLAY = {"replay": {"file": "some.gz"}}

ONE_INSTRUMENT = """
[[instruments]]
id = 7
symbol = "ETHUSDT"
venue = "binance_usdm"
kind = "linear_perpetual"
tick = "0.01"
lot = "0.001"
"""


def settings_file(folder: Path, text: str) -> Path:
    path = folder / "zoms.toml"
    path.write_text(text)
    return path


def refused(folder: Path, text: str) -> str:
    """The message with which a settings file of this text is refused."""
    path = settings_file(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, REPLAY)
    return str(caught.value)


def test_defaults_define_two_instruments_with_limits() -> None:
    settings = load_settings(overrides=REPLAY)
    assert [qualified_symbol(each) for each in settings.instruments] == ["BTCUSDT.binance_usdm", "BTCUSDT.binance_spot"]
    assert all(settings.risk_limits(each) is not None for each in settings.instruments)


def test_default_strategies_are_files_that_exist() -> None:
    settings = load_settings(overrides=REPLAY)
    assert all(Path(each.file).is_file() for each in settings.strategies)


def test_symbol_and_venue_name_one_instrument() -> None:
    settings = load_settings(overrides=REPLAY)
    assert settings.instrument("BTCUSDT.binance_spot").id == 1


def test_symbol_of_two_venues_is_refused_with_the_choice() -> None:
    settings = load_settings(overrides=REPLAY)
    with pytest.raises(ConfigError, match=r"ambiguous: say BTCUSDT\.binance_usdm or BTCUSDT\.binance_spot"):
        settings.instrument("BTCUSDT")


def test_unknown_instrument_is_refused_with_the_known_ones() -> None:
    settings = load_settings(overrides=REPLAY)
    with pytest.raises(ConfigError, match=r"unknown instrument 'DOGE': the settings define BTCUSDT\.binance_usdm"):
        settings.instrument("DOGE")


def test_file_replaces_defaults_and_merges_replay(tmp_path: Path) -> None:
    path = settings_file(tmp_path, 'account = "two"\n[replay]\nspeed = "10"\nfile = "rec.gz"\n')
    settings = load_settings(path, {"replay": {"duration_s": 5.0}})
    assert settings.account == "two"
    assert settings.replay.speed == "10"
    assert settings.replay.duration_s == 5.0
    assert settings.replay.file == os.fspath(tmp_path / "rec.gz")


def test_journal_is_synced_by_mode_unless_the_settings_say(tmp_path: Path) -> None:
    assert load_settings(overrides=REPLAY).journal_sync == "os"
    path = settings_file(tmp_path, '[journal]\nsync = "batch"\n')
    settings = load_settings(path, REPLAY)
    assert (settings.journal_sync, settings.journal.inputs, settings.journal.segment_mb) == ("batch", "orders", 64)
    assert SYNC_OF_MODE["firm"] == "batch"


def test_name_that_a_setting_had_once_is_refused_with_the_new_one(tmp_path: Path) -> None:
    path = settings_file(tmp_path, 'journal_sync = "always"\n')
    with pytest.raises(ConfigError, match=r"journal_sync 'always' is now called sync, in the table \[journal\]"):
        load_settings(path, REPLAY)


@pytest.mark.parametrize(
    "endpoint", ["tcp://0.0.0.0:5570", "tcp://*:5570", "tcp://192.168.1.4:5570", "tcp://eth0:5570"]
)
def test_an_endpoint_that_is_open_to_the_network_is_refused(tmp_path: Path, endpoint: str) -> None:
    message = refused(tmp_path, f'rpc_endpoint = "{endpoint}"')
    assert f"rpc_endpoint {endpoint} is open to the network, and rpc has no authentication yet" in message


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5570", "tcp://127.1.2.3:1", "ipc:///tmp/x"])
def test_an_endpoint_of_this_machine_is_taken(endpoint: str) -> None:
    assert load_settings(overrides={**REPLAY, "rpc_endpoint": endpoint}).rpc_endpoint == endpoint


@pytest.mark.parametrize("name", ["segment_mb", "held_mb"])
def test_sizes_of_the_journal_are_bounded(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"journal {name} 0 must be 1 to 4096 MiB"):
        load_settings(settings_file(tmp_path, f"[journal]\n{name} = 0\n"), REPLAY)


def test_own_instruments_start_without_the_default_limits_and_strategies(tmp_path: Path) -> None:
    settings = load_settings(settings_file(tmp_path, ONE_INSTRUMENT), REPLAY)
    assert settings.risk == {}
    assert settings.strategies == ()
    assert settings.risk_limits(settings.instrument("ETHUSDT")) is None


def test_strategy_path_is_taken_from_the_settings_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("")
    text = '[[strategies]]\nfile = "mine.py"\ninstrument = "BTCUSDT.binance_usdm"\n'
    settings = load_settings(settings_file(tmp_path, text), REPLAY)
    assert settings.strategies[0].file == os.fspath(tmp_path / "mine.py")
    assert settings.strategies[0].title == "mine"


@pytest.mark.parametrize("name", ["no_such", "../oms/bus.py", "missing.py", "os.path"])
def test_missing_strategy_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="strategy"):
        strategy_file(name, tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('acount = "x"', "acount"),
        ("account = 5", "Expected `str`"),
        ("account = ", "settings"),
        ('account = "../x"', "account '../x' cannot be a folder's name"),
        ('account = ""', "cannot be a folder's name"),
        ("heartbeat_s = 0", "heartbeat_s 0.0 must be above zero"),
        ("heartbeat_s = nan", "heartbeat_s nan"),
        ('rpc_endpoint = "127.0.0.1:5570"', "rpc_endpoint '127.0.0.1:5570' is not like tcp://"),
        ('[replay]\nspeed = "fast"', "replay speed 'fast' is not a factor"),
        ('[replay]\nspeed = "-1"', "replay speed '-1'"),
        ('[replay]\nspeed = "inf"', "replay speed 'inf'"),
        ("[replay]\nduration_s = -1.0", "duration_s -1.0"),
        ("[matching]\nentry_latency_us = -5", "entry_latency_us -5 is negative"),
        ("instruments = []", "no instrument is defined"),
        (ONE_INSTRUMENT + ONE_INSTRUMENT.replace("ETH", "XRP"), "instrument id 7 is given 2 times"),
        (ONE_INSTRUMENT + ONE_INSTRUMENT.replace("= 7", "= 8"), "instrument 'ETHUSDT.binance_usdm' is given 2 times"),
        (ONE_INSTRUMENT.replace("= 7", "= -1"), "instrument ETHUSDT has id -1"),
        (ONE_INSTRUMENT.replace("= 7", "= 128"), "instrument ETHUSDT has id 128: use 0 to 127"),
        (ONE_INSTRUMENT.replace("0.01", "-0.01"), "ETHUSDT's tick -0.01 must be above zero"),
        (ONE_INSTRUMENT + 'min_qty = "0.0005"', "min_qty 0.0005 is not on ETHUSDT's lot 0.001"),
        (ONE_INSTRUMENT.replace("0.001", "1e-30"), "too large or too fine"),
        (ONE_INSTRUMENT + 'underlying = "BTCUSD"', "underlying BTCUSD is not defined: the settings define ETHUSDT"),
        (ONE_INSTRUMENT.replace("linear_perpetual", "spot"), "spot ETHUSDT needs base"),
        ('[[strategies]]\nfile = "none.py"\ninstrument = "BTCUSDT.binance_usdm"', "none.py does not exist"),
        ('[[strategies]]\nfile = "market"\ninstrument = "BTCUSDT.binance_usdm"', "unknown strategy 'market'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


LIMITS: dict[str, Any] = {
    "max_order_qty": "1",
    "max_order_notional": "1000",
    "price_collar": "0.05",
    "max_position": "1",
    "max_open_orders": 5,
    "max_orders_per_second": 10,
    "max_book_age_ms": 5000,
    "duplicate_window_ms": 10,
}


@pytest.mark.parametrize(
    ("risk", "message"),
    [
        ({"DOGE": LIMITS}, "unknown instrument 'DOGE'"),
        ({"BTCUSDT": LIMITS}, "instrument 'BTCUSDT' is ambiguous"),
        ({"BTCUSDT.binance_spot": {**LIMITS, "max_position": "-1"}}, "risk limit max_position -1 is negative"),
        ({"BTCUSDT.binance_spot": {**LIMITS, "max_position": "much"}}, "max_position 'much' is not a decimal"),
        ({"BTCUSDT.binance_spot": {**LIMITS, "max_open_orders": -2}}, "max_open_orders -2 is negative"),
        ({"BTCUSDT.binance_usdm": {**LIMITS, "max_position": "0.0001"}}, "0.0001 is not on BTCUSDT's lot 0.001"),
        ({"BTCUSDT.binance_usdm": {**LIMITS, "price_collar": "0.000000001"}}, "price_collar .* eight decimals"),
        ({"BTCUSDT.binance_usdm": {**LIMITS, "max_order_notional": "1e99999"}}, "max_order_notional 1e99999 is too"),
        ({"BTCUSDT.binance_spot": {"max_position": "1"}}, "missing required field"),
    ],
)
def test_limits_that_cannot_be_used_are_refused_by_name(risk: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(overrides={**REPLAY, "risk": risk})


ACCOUNT: dict[str, Any] = {
    "position_mode": "netting",
    "margin_mode": "cross",
    "cost_basis": "average",
    "leverage": "5",
    "day_reset": "00:00 UTC",
    "max_gross_exposure": "1",
    "max_net_exposure": "1",
    "max_leverage": "1",
    "max_open_orders": 1,
    "max_daily_loss": "1",
    "max_drawdown": "1",
    "max_orders_per_second": 1,
    "max_cancels_per_second": 1,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position_mode": "both"}, "Invalid enum value 'both'"),
        ({"leverage": "0.5"}, "leverage 0.5 is too small: at least 1"),
        ({"leverage": "much"}, "leverage 'much' is not a decimal"),
        ({"day_reset": "midnight"}, "day_reset 'midnight' is not like '00:00 UTC'"),
        ({"day_reset": "24:00 UTC"}, "day_reset '24:00 UTC' is not like"),
        ({"day_reset": "12:00 Mars/Base"}, "names time zone 'Mars/Base', which is not known"),
        ({"day_reset": "12:00 ../UTC"}, "which is not known"),
        ({"balances": {"binance_usdm.EUR": "1"}}, "a balance of 'binance_usdm.EUR', which no instrument is traded in"),
        ({"balances": {"binance_usdm.USDT": "-1"}}, "balance of binance_usdm.USDT -1 is negative"),
        ({"balances": {"binance_usdm.USDT": "0.000000001"}}, "more than eight decimals"),
        ({"max_daily_loss": "-5"}, "risk limit max_daily_loss -5 is negative"),
        ({"max_gross_exposure": "40000000001"}, "max_gross_exposure 40000000001 is too large"),
        ({"max_orders_per_second": 0}, "max_orders_per_second 0 lets nothing through"),
        ({"max_cancels_per_second": 0}, "max_cancels_per_second 0 lets nothing through"),
        ({"risk": {"DOGE": LIMITS}}, "unknown instrument 'DOGE'"),
        ({"max_drawdown": None}, "Expected `str`"),
    ],
)
def test_account_that_cannot_be_used_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_settings(overrides={**REPLAY, "accounts": {"paper": {**ACCOUNT, **change}}})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[journal]\nsync = "alwyas"',
            """Invalid enum value 'alwyas': use "" or "always" or "batch" or "os" - at `journal.sync`""",
        ),
        ('mode = "live"', """Invalid enum value 'live': use "paper" or "firm" - at `mode`"""),
        (
            '[risk."BTCUSDT.binance_usdm"]\nmax_order_qty = "1"',
            'missing required field `max_order_notional` - at `risk."BTCUSDT.binance_usdm"`',
        ),
        ('[accounts.desk]\nposition_mode = "net"', 'use "netting" or "hedging" - at `accounts.desk.position_mode`'),
        (
            '[[strategies]]\nfile = "market_maker"\ninstrument = "BTCUSDT.binance_usdm"\nrisk.max_pos = "1"',
            "unknown field `max_pos` - at `strategies[0].risk`",
        ),
        (
            ONE_INSTRUMENT + "option_margin = 5",
            "Expected `object | null`, got `int` - at `instruments[0].option_margin`",
        ),
        (
            ONE_INSTRUMENT + 'option_margin = { rate = "1" }',
            "unknown field `rate` - at `instruments[0].option_margin`",
        ),
        (
            '[[strategies]]\nfile = "market_maker"\ninstrument = "BTCUSDT.binance_usdm"\n'
            'parameters = { half_spread = 2, size = "x" }',
            "Expected `float`, got `str` - at `strategies[0].parameters.size`",
        ),
    ],
)
def test_a_refusal_names_the_place_and_the_choice(tmp_path: Path, text: str, message: str) -> None:
    assert message in refused(tmp_path, text)


@pytest.mark.parametrize("name", sorted(ACCOUNT))
def test_whatever_an_account_leaves_out_is_missing(name: str) -> None:
    account = {key: value for key, value in ACCOUNT.items() if key != name}
    with pytest.raises(ConfigError, match=f"missing required field `{name}`"):
        load_settings(overrides={**REPLAY, "accounts": {"paper": account}})


def test_isolated_margin_of_an_account_that_trades_nothing_on_margin_is_refused() -> None:
    spot = {"symbol": "BTCUSDT", "venue": "v", "kind": "spot", "base": "BTC", "quote": "USDT", "tick": "1", "lot": "1"}
    perpetual = {"symbol": "PERP", "venue": "v", "kind": "linear_perpetual", "tick": "1", "lot": "1"}
    instruments = [{"id": 0, **spot}, {"id": 1, **perpetual}]
    accounts = {"paper": {**ACCOUNT, "balances": {}, "margin_mode": "isolated"}}
    limits = msgspec.to_builtins(load_settings(overrides=REPLAY).risk["BTCUSDT.binance_spot"])
    limits |= {"max_order_qty": "10", "max_position": "10"}
    others = {**REPLAY, "instruments": instruments, "accounts": accounts, "strategies": []}
    with pytest.raises(ConfigError, match=r"paper has margin_mode isolated and trades only BTCUSDT.v: .* cross"):
        load_settings(overrides={**others, "risk": {"BTCUSDT": limits}})
    load_settings(overrides={**others, "risk": {"BTCUSDT": limits, "PERP": limits}})


def test_shipped_account_takes_the_name_of_the_session() -> None:
    assert list(load_settings(overrides={**REPLAY, "account": "two"}).accounts) == ["two"]


def test_session_account_without_a_table_is_refused_with_the_choice() -> None:
    with pytest.raises(ConfigError, match=r"account 'two' has no table \[accounts.two\]: add one, or choose a or b"):
        load_settings(overrides={**REPLAY, "account": "two", "accounts": {"a": ACCOUNT, "b": ACCOUNT}})


def test_more_accounts_than_the_core_holds_are_refused() -> None:
    accounts = {"paper": ACCOUNT, **{f"a{number}": ACCOUNT for number in range(8)}}
    with pytest.raises(ConfigError, match="the settings have 9 accounts: the core holds at most 8"):
        load_settings(overrides={**REPLAY, "accounts": accounts})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"account": "none"}, "unknown account 'none': the settings define paper"),
        ({"risk": {"max_position": "0.0001"}}, "0.0001 is not on BTCUSDT's lot 0.001"),
        ({"risk": {"max_position": "-1"}}, "risk limit max_position -1 is negative"),
        ({"risk": {"max_orders_per_second": 0}}, "lets nothing through"),
        ({"risk": {"max_pos": "1"}}, "unknown field `max_pos`"),
        ({"risk": {"max_leverage": "3"}}, "a strategy's risk has max_leverage 3 and no capital"),
        ({"risk": {"capital": "1000"}}, "a strategy's risk has capital 1000 and no max_leverage"),
        ({"risk": {"max_leverage": "3", "capital": "0.000000001"}}, "more than eight decimals"),
    ],
)
def test_strategys_limits_that_cannot_be_used_are_refused(change: dict[str, Any], message: str) -> None:
    strategy = {"file": "market_maker", "instrument": "BTCUSDT.binance_usdm", **change}
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_settings(overrides={**REPLAY, "strategies": [strategy]})


@pytest.mark.parametrize(
    ("currencies", "message"),
    [
        ({"DOGE": {"rate": "1"}}, "[currencies.DOGE] is of no use: the currencies to convert are BTC"),
        ({"USDT": {"rate": "1"}}, "[currencies.USDT] is of no use"),
        ({"BTC": {}}, "either an instrument or a rate"),
        ({"BTC": {"rate": "1", "instrument": "x"}}, "either an instrument or a rate"),
        ({"BTC": {"rate": "0"}}, "makes everything worth nothing"),
        ({"BTC": {"instrument": "DOGE"}}, "instrument 'DOGE' is not defined"),
        ({"BTC": {"instrument": "BTCUSDT"}}, "is at several venues: say which"),
    ],
)
def test_currency_that_cannot_be_used_is_refused(currencies: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_settings(overrides={**REPLAY, "currencies": currencies})


def test_currency_cannot_be_converted_by_an_instrument_that_does_not_say_its_base() -> None:
    spot = {"id": 0, "symbol": "BTCUSDT", "kind": "spot", "base": "BTC", "quote": "USDT"}
    perpetual = {"id": 1, "symbol": "BTCPERP", "kind": "linear_perpetual"}
    instruments = [{**each, "venue": "somewhere", "tick": "0.1", "lot": "0.001"} for each in (spot, perpetual)]
    currencies = {"BTC": {"instrument": "BTCPERP"}}
    with pytest.raises(ConfigError, match="has base unknown and quote USDT: it needs BTC and USDT"):
        load_settings(overrides={**REPLAY, "instruments": instruments, "currencies": currencies})


def test_shipped_instruments_have_canonical_symbols() -> None:
    assert {"BTC-SPOT", "BTC-PERPETUAL"} <= set(canonical_groups(load_settings(overrides=REPLAY).instruments))


def test_rule_is_a_file_from_the_settings_folder(tmp_path: Path) -> None:
    (tmp_path / "rule.py").write_text("")
    settings = load_settings(settings_file(tmp_path, '[[rules]]\nfile = "rule.py"\n'), REPLAY)
    assert settings.rules[0].file == os.fspath(tmp_path / "rule.py")
    assert "rule file" in refused(tmp_path, '[[rules]]\nfile = "none.py"\n')


def test_algorithms_are_files_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "mine.py").touch()
    settings = load_settings(settings_file(tmp_path, '[[algorithms]]\nfile = "mine.py"\n'), REPLAY)
    assert settings.algorithm_files == (tmp_path / "mine.py",)
    assert "algorithm file" in refused(tmp_path, '[[algorithms]]\nfile = "none.py"\n')


def test_limits_given_under_both_names_of_one_instrument_are_refused(tmp_path: Path) -> None:
    load_settings(settings_file(tmp_path, ONE_INSTRUMENT), {**REPLAY, "risk": {"ETHUSDT": LIMITS}})
    with pytest.raises(ConfigError, match=r"risk limits of 'ETHUSDT\.binance_usdm' is given 2 times"):
        load_settings(
            settings_file(tmp_path, ONE_INSTRUMENT),
            {**REPLAY, "risk": {"ETHUSDT": LIMITS, "ETHUSDT.binance_usdm": LIMITS}},
        )


def test_parameter_that_is_not_finite_is_refused() -> None:
    strategy = {"file": os.fspath(Path(__file__)), "instrument": "BTCUSDT.binance_usdm", "parameters": {"a": "x"}}
    with pytest.raises(ConfigError, match="Expected `float`"):
        load_settings(overrides={**REPLAY, "strategies": [strategy]})
    with pytest.raises(ConfigError, match="parameter a of strategy test_config is inf"):
        load_settings(overrides={**REPLAY, "strategies": [{**strategy, "parameters": {"a": float("inf")}}]})


def test_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read settings .*none\.toml: No such file"):
        load_settings(tmp_path / "none.toml", REPLAY)


def test_session_file_gives_the_same_settings_back(tmp_path: Path) -> None:
    settings = load_settings(overrides={**REPLAY, "data_dir": os.fspath(tmp_path)})
    assert read_session(write_session(settings)) == settings


def test_socket_folder_stays_short_enough_for_a_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    settings = load_settings(overrides={**REPLAY, "data_dir": os.fspath(deep)})
    assert settings.run_dir.is_relative_to(deep)
    assert len(settings.ticks_endpoint) < 108


@given(st.binary(max_size=300))
def test_any_bytes_as_settings_are_taken_or_refused_clearly(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(raw)
    with suppress(ConfigError):
        assert isinstance(load_settings(path, REPLAY), Settings)


@given(
    st.dictionaries(
        st.sampled_from(Settings.__struct_fields__),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.text(max_size=2), max_size=2),
    )
)
def test_any_override_is_taken_or_refused_clearly(overrides: dict[str, Any]) -> None:
    try:
        settings = load_settings(overrides=overrides)
    except ConfigError:
        return
    assert msgspec.json.decode(msgspec.json.encode(settings), type=Settings) == settings
