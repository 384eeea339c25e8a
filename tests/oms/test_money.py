"""Currencies and wallets: which a session has, and what they are worth."""

from __future__ import annotations

from oms.account_settings import CurrencySettings
from oms.core.state import define_instrument, new_state
from oms.currencies import Wallet, conversions
from oms.instruments import Instrument
from oms.money import define_money, define_wallet, money_of
from oms.records import CASH_SCALE
from tests.oms.core.builders import FINE, PERPETUAL, SPOT

ALL = (PERPETUAL, SPOT, FINE)


def test_instruments_name_their_currencies_and_wallets() -> None:
    money = money_of(ALL)
    assert money.currencies == ("USDT", "BTC", "FINE")
    assert money.wallets == (
        ("binance_usdm", "USDT"),
        ("binance_spot", "BTC"),
        ("binance_spot", "USDT"),
        ("test", "FINE"),
        ("test", "BTC"),
    )


def test_core_is_told_who_pays_in_what() -> None:
    st = new_state()
    for each in ALL:
        define_instrument(st, each)
    money = money_of(ALL)
    define_money(st, money, ALL, conversions(ALL, "USDT", {}))
    spot, perpetual = st[0]["instruments"][1], st[0]["instruments"][0]
    assert (spot["base_wallet"], spot["quote_wallet"], spot["settle_wallet"]) == (1, 2, 2)
    assert (perpetual["settle_wallet"], perpetual["settle_currency"]) == (0, 0)
    tether, bitcoin, fine = st[0]["currencies"][:3]
    assert (tether["defined"], tether["instrument"], tether["rate"]) == (1, -1, 1.0)
    assert (bitcoin["instrument"], bitcoin["factor"]) == (1, 0.005)
    assert fine["defined"] == 0
    define_wallet(st, money, 0, Wallet("binance_spot", "BTC"), 5 * CASH_SCALE)
    assert st[0]["wallets"][0, 1]["balance"] == 5 * CASH_SCALE


def test_rate_the_other_way_round_and_a_fixed_one() -> None:
    turned = Instrument(id=0, symbol="USDTTRY", venue="x", kind="spot", base="USDT", quote="TRY", tick="0.01", lot="1")
    st = new_state()
    define_instrument(st, turned)
    money = money_of((turned,))
    define_money(st, money, (turned,), conversions((turned,), "USDT", {}))
    lira = st[0]["currencies"][1]
    assert (lira["inverse"], lira["factor"]) == (1, 200.0)
    fixed = conversions((turned,), "USDT", {"TRY": CurrencySettings(rate="0.025")})
    define_money(st, money, (turned,), fixed)
    assert (lira["inverse"], lira["instrument"], lira["rate"]) == (0, -1, 0.025)
