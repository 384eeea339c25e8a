"""Currencies and wallets in the core's tables."""

from __future__ import annotations

import pytest

from oms.account_settings import CurrencySettings
from oms.core.state import MAX_CURRENCIES, State, define_instrument, new_state
from oms.currencies import conversions, currencies_of, wallets_of
from oms.instruments import Instrument
from oms.money import MoneyError, define_money, open_wallet
from oms.records import CASH_SCALE
from tests.oms.core.builders import FINE, PERPETUAL, SPOT


def core_of(*instruments: Instrument, **rates: str) -> State:
    """A core with these instruments, reporting in USDT."""
    st = new_state()
    for each in instruments:
        define_instrument(st, each)
    given = {code: CurrencySettings(rate=rate) for code, rate in rates.items()}
    define_money(
        st,
        instruments,
        wallets_of(instruments),
        currencies_of(instruments, "USDT"),
        conversions(instruments, "USDT", given),
    )
    return st


def test_core_is_told_who_pays_in_what() -> None:
    st = core_of(PERPETUAL, SPOT, FINE)
    wallets, codes = wallets_of((PERPETUAL, SPOT, FINE)), currencies_of((PERPETUAL, SPOT, FINE), "USDT")
    spot, perpetual = st[0]["instruments"][1], st[0]["instruments"][0]
    assert str(wallets[spot["base_wallet"]]) == "binance_spot.BTC"
    assert str(wallets[spot["quote_wallet"]]) == str(wallets[spot["settle_wallet"]]) == "binance_spot.USDT"
    assert str(wallets[perpetual["settle_wallet"]]) == "binance_usdm.USDT"
    tether, bitcoin, fine = (st[0]["currencies"][codes.index(code)] for code in ("USDT", "BTC", "FINE"))
    assert (tether["defined"], tether["instrument"], tether["rate"]) == (1, -1, 1.0)
    assert (bitcoin["instrument"], bitcoin["factor"]) == (SPOT.id, 0.005)
    assert fine["defined"] == 0
    open_wallet(st, 0, spot["base_wallet"], 5 * CASH_SCALE)
    assert st[0]["wallets"][0, spot["base_wallet"]]["balance"] == 5 * CASH_SCALE


def test_rate_the_other_way_round_and_a_fixed_one() -> None:
    turned = Instrument(id=0, symbol="USDTTRY", venue="x", kind="spot", base="USDT", quote="TRY", tick="0.01", lot="1")
    lira = core_of(turned)[0]["currencies"][1]
    assert (lira["inverse"], lira["factor"]) == (1, 200.0)
    lira = core_of(turned, TRY="0.025")[0]["currencies"][1]
    assert (lira["inverse"], lira["instrument"], lira["rate"]) == (0, -1, 0.025)


def test_more_currencies_than_the_core_holds() -> None:
    many = [
        Instrument(id=i, symbol=f"S{i}", venue="x", kind="spot", base=f"C{i}", quote="USDT", tick="1", lot="1")
        for i in range(MAX_CURRENCIES)
    ]
    with pytest.raises(MoneyError, match="need 33 currencies"):
        core_of(*many)
