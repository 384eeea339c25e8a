"""The doctor: of a venue through the unmodified ccxt on the sandbox exchange, and of this machine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from gateways.account_claim import Claim, ClaimError
from gateways.credentials import Credentials
from gateways.doctor import Finding, _answered, check_disk, check_instance, check_limits, check_wallets, examine_venue
from gateways.sandbox.faults import Fault
from gateways.venues import VENUES, Sandbox
from oms.config import LiveSettings, Settings, load_settings
from oms.lock import AccountLock
from tests.firm.settings import OKX, OKX_SPOT, Served, firm_settings
from tests.firm.settings import USDM as USDM_MARKET
from tests.gateways.sandbox.desk import Desk, on_sandbox
from tests.oms.command_line import Zoms

USDM = VENUES["binance_usdm"]


def settings_in(folder: Path) -> Settings:
    return load_settings(None, {"replay": {"file": ""}, "data_dir": str(folder)})


async def examined(desk: Desk, folder: Path, **given: Any) -> dict[str, Finding]:
    """The findings of the sandbox by check; of several of one, the last."""
    ca = folder / "ca.pem"
    ca.write_bytes(desk.sandbox.ca_pem)
    login = desk.sandbox.login
    known = {"settings": settings_in(folder), "credentials": Credentials(login["apiKey"], login["secret"])}
    found = await examine_venue(USDM, sandbox=Sandbox(desk.sandbox.port, ca), **{**known, **given})
    return {each.check: each for each in found}


def tried(folder: Path, body: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
    on_sandbox(**options)(body)()


def test_a_venue_that_is_as_it_should_be(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        found = await examined(desk, tmp_path)
        assert {name: each.level for name, each in found.items()} == dict.fromkeys(
            ("exchange account", "clock", "keys", "instruments", "position mode"), "ok"
        )
        assert found["instruments"].text == "BTCUSDT"

    tried(tmp_path, body)


@pytest.mark.parametrize(
    ("permissions", "given", "level", "words"),
    [
        ({"enableWithdrawals": True}, {}, "refused", "may move money away (enableWithdrawals): forbid it"),
        ({"enableWithdrawals": True}, {"may_withdraw": True}, "warning", "may move money away"),
        ({"permitsUniversalTransfer": True}, {}, "refused", "may move money away (permitsUniversalTransfer)"),
        ({"enableFutures": False}, {}, "refused", "may not trade futures"),
        ({"ipRestrict": False}, {}, "warning", "work from any address"),
    ],
)
def test_keys_that_may_too_much_or_too_little(
    tmp_path: Path, permissions: dict[str, bool], given: dict[str, Any], level: str, words: str
) -> None:
    async def body(desk: Desk) -> None:
        desk.venue.permissions |= permissions
        finding = (await examined(desk, tmp_path, **given))["keys"]
        assert finding.level == level
        assert words in finding.text

    tried(tmp_path, body)


def test_an_exchange_account_that_is_traded_from_another_folder(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        key = desk.sandbox.login["apiKey"]
        claim = Claim(USDM.wallet, key, desk.sandbox.port)
        found = (await examined(desk, tmp_path))["exchange account"]
        watching = replace(settings_in(tmp_path), mode="firm", live=LiveSettings(instruments=("BTCUSDT.binance_usdm",)))
        warned = (await examined(desk, tmp_path, settings=watching))["exchange account"]
        with pytest.raises(ClaimError):
            Claim(USDM.wallet, key, desk.sandbox.port)
        claim.release()
        assert (found.level, warned.level) == ("refused", "warning")
        assert f"is traded by process {os.getpid()} (" in found.text

    tried(tmp_path, body)


@pytest.mark.parametrize(
    ("skew_ms", "level", "words"),
    [(0, "ok", "the exchange's"), (-400, "warning", "behind the exchange's"), (3_000, "refused", "have it set by NTP")],
)
def test_a_clock_that_is_off(tmp_path: Path, skew_ms: int, level: str, words: str) -> None:
    async def body(desk: Desk) -> None:
        found = await examined(desk, tmp_path, now_ms=lambda: time.time_ns() / 1e6 + skew_ms)
        assert found["clock"].level == level
        assert words in found["clock"].text

    tried(tmp_path, body)


def test_settings_that_the_exchange_does_not_share(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        settings = settings_in(tmp_path)
        usdm, *others = settings.instruments
        account = replace(settings.accounts["paper"], position_mode="hedging")
        wrong = replace(
            settings,
            instruments=(replace(usdm, tick="0.5"), *others),
            accounts={"paper": account},
        )
        found = await examined(desk, tmp_path, settings=wrong)
        assert found["instruments"].text == "BTCUSDT has tick 0.5, at the exchange 0.1: set that"
        assert found["position mode"].text.startswith("hedging in the settings, netting at the exchange")
        assert {found["instruments"].level, found["position mode"].level} == {"refused"}

    tried(tmp_path, body)


def test_what_the_exchange_does_not_answer_is_not_fit(tmp_path: Path) -> None:
    async def body(desk: Desk) -> None:
        found = await examined(desk, tmp_path)
        assert {name for name, each in found.items() if each.level != "refused"} == {"exchange account"}
        assert found["keys"].text.startswith("it could not be found out: ")

    tried(tmp_path, body, faults=(1, {Fault.MAINTENANCE: 1.0}))


@pytest.mark.parametrize("error", [KeyError("base"), TypeError("none"), AttributeError("get")])
def test_an_answer_that_ccxt_cannot_read_is_not_fit(error: Exception) -> None:
    async def check() -> list[Finding]:
        raise error

    (found,) = asyncio.run(_answered("keys", check, str))
    assert found.level == "refused"
    assert found.text.startswith(f"it could not be found out: {type(error).__name__}")


def test_wrong_keys_are_not_fit_and_are_named_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOMS_BINANCE_USDM_KEY", "nobody")

    async def body(desk: Desk) -> None:
        found = await examined(desk, tmp_path, credentials=Credentials("nobody", "hidden"))
        assert found["keys"].level == "refused"
        text = found["keys"].text
        assert "AuthenticationError" in text
        assert "ZOMS_BINANCE_USDM_KEY and ZOMS_BINANCE_USDM_SECRET of the environment have (key ...body)" in text
        assert text.endswith("then copy key and secret anew")
        assert not any("hidden" in each.text for each in found.values())

    tried(tmp_path, body)


# This machine


@pytest.mark.pure
@pytest.mark.parametrize(("free_mb", "level"), [(500, "refused"), (5_000, "warning"), (50_000, "ok")])
def test_a_disk_that_is_nearly_full(tmp_path: Path, free_mb: int, level: str) -> None:
    (finding,) = check_disk(settings_in(tmp_path / "not" / "there"), lambda folder: SimpleNamespace(free=free_mb << 20))
    assert finding.level == level


@pytest.mark.pure
def test_limits_that_zoms_ships_are_not_ones_own(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert [each.level for each in check_limits(settings)] == ["refused", "refused"]
    account = replace(settings.accounts["paper"], max_daily_loss="100")
    risk = {name: replace(limits, max_order_qty="0.01") for name, limits in settings.risk.items()}
    own = replace(settings, accounts={"paper": account}, risk=risk)
    assert [each.level for each in check_limits(own)] == ["ok"]
    less = replace(own, risk=dict(list(risk.items())[:1]))
    (finding,) = check_limits(less)
    assert (finding.level, "has none and cannot be traded" in finding.text) == ("warning", True)


@pytest.mark.pure
def test_an_account_that_is_in_use(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (free,) = check_instance(settings)
    lock = AccountLock(settings)
    (used,) = check_instance(settings)
    lock.release()
    assert (free.level, used.level) == ("ok", "refused")


def test_the_command_refuses_without_keys_and_limits(zoms: Zoms, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("KEY", "SECRET"):
        for venue in VENUES:
            monkeypatch.delenv(f"ZOMS_{venue}_{part}".upper(), raising=False)
    status, out, err = zoms("doctor")
    assert (status, err) == (1, "")
    assert "  refused  limits: of instruments are those that zoms ships" in out
    assert "  refused  keys: there are no keys for binance_usdm" in out
    assert "  refused  keys: there are no keys for binance_spot" in out
    assert out.endswith("4 to be mended before real orders\n")
    assert zoms("doctor", "--json").last_json["binance_usdm"][0]["level"] == "refused"


def test_venues_that_share_a_wallet_are_not_traded_together(tmp_path: Path) -> None:
    (swaps, spot) = (Served(OKX), Served(OKX_SPOT))
    (finding,) = check_wallets(firm_settings(tmp_path, served=(Served(USDM_MARKET), swaps, spot)))
    assert (finding.level, finding.text[:16]) == ("refused", "okx and okx_spot")
    assert not list(check_wallets(firm_settings(tmp_path, served=(Served(USDM_MARKET), swaps))))


def test_one_market_is_not_traded_in_two_ways_together(tmp_path: Path) -> None:
    by_ccxt = USDM_MARKET._replace(instrument=replace(USDM_MARKET.instrument, venue="ccxt_binanceusdm_linear"))
    (finding,) = check_wallets(firm_settings(tmp_path, served=(Served(USDM_MARKET), Served(by_ccxt))))
    assert (finding.level, finding.text[:44]) == ("refused", "binance_usdm and ccxt_binanceusdm_linear are")
