"""What ``zoms firm`` refuses before anything starts, and what it shows."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import pytest

from gateways.proof import Proof, ccxt_version, proof_file, read_proof, write_proof
from oms.commands.firm import check_confirmed, what_begins
from oms.commands.options import CommandError, stored_settings
from oms.config import ConfigError, load_settings, write_session
from oms.lock import AccountLock
from tests.firm.settings import ACCOUNT, BOTH, OKX, SETTINGS, SYMBOL, USDM, Served, firm_settings, settings_file

VENUE = "binance_usdm"


def refused(folder: Path, text: str, **given: Any) -> str:
    path = folder / "firm.toml"
    path.write_text(text.format(port=1, ca="ca.pem") if "{port}" in text else text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {"mode": "firm", **given})
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f'instruments = ["{SYMBOL}"]', "instruments = []", "firm mode trades on live market data: name instruments"),
        (f"[accounts.{ACCOUNT}]", "[accounts.other]", f"account '{ACCOUNT}' has no table"),
        ('position_mode = "netting"', 'position_mode = "hedging"', "firm mode trades 'netting' only"),
        ('margin_mode = "cross"', 'margin_mode = "isolated"', "firm mode trades 'cross' only"),
        (f'[risk."{SYMBOL}"]', '[risk."BTCUSDT.binance_spot"]', "firm mode trades nothing without limits"),
        ('max_daily_loss = "1000"\n', "", "max_daily_loss"),
    ],
)
def test_settings_that_no_real_order_may_leave_by_are_refused(old: str, new: str, words: str, tmp_path: Path) -> None:
    assert old in SETTINGS
    assert words in refused(tmp_path, SETTINGS.replace(old, new))


def test_limits_that_zoms_ships_are_none(tmp_path: Path) -> None:
    head, _, _ = SETTINGS.partition("[accounts.")
    assert f"firm mode has no limits of its own: add [accounts.{ACCOUNT}]" in refused(tmp_path, head)


def test_strategy_without_market_data_is_refused(tmp_path: Path) -> None:
    more = '\n[[strategies]]\nfile = "market_maker"\ninstrument = "BTCUSDT.binance_spot"\n'
    assert "whose market data are not taken" in refused(tmp_path, SETTINGS + more)


def test_second_account_is_refused(tmp_path: Path) -> None:
    table = SETTINGS[SETTINGS.index("[accounts.") : SETTINGS.index("[risk.")]
    assert "keep one, and run a session for each" in refused(tmp_path, SETTINGS + table.replace(ACCOUNT, "second"))


@pytest.mark.parametrize("line", ['mode = "firm"\n', "[firm]\ntrade = true\n", "[firm]\ntrade = false\n"])
def test_no_file_lets_orders_leave(line: str, tmp_path: Path) -> None:
    text = line + SETTINGS if line.startswith("mode") else SETTINGS + line
    assert "no file makes orders real" in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("firm", "words"),
    [
        ({"dead_man_s": 1.0}, "dead_man_s 1.0 must be 10 to 3600 seconds, or 0"),
        ({"reconcile_s": 0.0}, "reconcile_s 0.0 must be above zero"),
        ({"max_command_age_s": -1.0}, "max_command_age_s -1.0"),
    ],
)
def test_times_that_cannot_be_are_refused(firm: dict[str, float], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        firm_settings(tmp_path, firm=firm)


def test_no_strategy_and_no_balance_comes_from_anywhere_else(tmp_path: Path) -> None:
    settings = firm_settings(tmp_path)
    assert settings.strategies == ()
    assert settings.account_dir == tmp_path / "data" / f"{ACCOUNT}.firm"
    assert load_settings(settings_file(tmp_path), {"data_dir": str(tmp_path)}).account_dir == tmp_path / ACCOUNT


def test_account_must_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = firm_settings(tmp_path)
    check_confirmed(settings, ACCOUNT)
    with pytest.raises(CommandError, match=r"'yes' is not the account's name 'desk': no order leaves"):
        check_confirmed(settings, "yes")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{ACCOUNT}\n"))
    with pytest.raises(CommandError, match="nobody can confirm here: give --confirm desk"):
        check_confirmed(settings, None)
    terminal = io.StringIO(f"{ACCOUNT}\nn\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    check_confirmed(settings, None)
    with pytest.raises(CommandError, match="'n' is not the account's name"):
        check_confirmed(settings, None)


def test_what_begins_says_whether_money_is_real_and_the_venue_proven(tmp_path: Path) -> None:
    sandbox = "\n".join(what_begins(firm_settings(tmp_path)))
    assert f"{ACCOUNT}, TRADES" in sandbox
    assert "the SANDBOX on port 1, no real money" in sandbox
    given: dict[str, Any] = {"live": {"sandbox": {}}, "data_dir": os.fspath(tmp_path)}
    assert "READ-ONLY: no order leaves" in "\n".join(what_begins(firm_settings(tmp_path, trade=False)))
    real = firm_settings(tmp_path, **given)
    assert f"REAL MONEY, unproven on {VENUE}" in "\n".join(what_begins(real))
    write_proof(tmp_path, Proof(venue=VENUE, ts=1, ccxt=ccxt_version(), checks=("clock",)))
    assert "unproven" not in "\n".join(what_begins(real))


def test_every_venue_is_shown_and_none_is_real_beside_a_sandbox(tmp_path: Path) -> None:
    shown = "\n".join(what_begins(firm_settings(tmp_path, served=(Served(USDM, 11), Served(OKX, 12)))))
    for line in ("binance_usdm: the SANDBOX on port 11", "okx: the SANDBOX on port 12", "BTC-USDT-SWAP.okx: order"):
        assert line in shown
    real = firm_settings(tmp_path, served=BOTH, live={"sandbox": {}})
    lines = [line for line in what_begins(real) if "REAL MONEY" in line]
    assert [line.partition("unproven on ")[2][:5] for line in lines] == ["binan", "okx ("]
    with pytest.raises(ConfigError, match="not at both: okx would be real"):
        firm_settings(tmp_path, served=BOTH, live={"sandbox": {VENUE: {"port": 1, "ca": "ca.pem"}}})


@pytest.mark.parametrize("content", [b"", b"{}", b'{"venue":"okx","ts":1,"ccxt":"1","checks":[]}'])
def test_proof_that_does_not_hold_is_none(content: bytes, tmp_path: Path) -> None:
    path = write_proof(tmp_path, Proof(venue=VENUE, ts=1, ccxt="0.1", checks=()))
    assert path == proof_file(tmp_path, VENUE)
    assert read_proof(tmp_path, VENUE) is None  # of another version of ccxt
    path.write_bytes(content)
    assert read_proof(tmp_path, VENUE) is None


def test_commands_find_the_session_that_runs_and_the_one_with_real_orders_first(tmp_path: Path) -> None:
    firm = firm_settings(tmp_path)
    paper = load_settings(settings_file(tmp_path), {"data_dir": firm.data_dir})
    folder = Path(firm.data_dir)
    for settings in (firm, paper):
        write_session(settings)
        os.utime(settings.run_dir / "session.json", (1, 1 + (settings is paper)))
    assert stored_settings(ACCOUNT, folder).mode == "paper"
    held = AccountLock(firm)
    try:
        assert stored_settings(ACCOUNT, folder).mode == "firm"
    finally:
        held.release()
