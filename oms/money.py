"""The core's money: its tables of currencies and wallets, and which instrument pays in which.

Every account has one wallet for each pair of venue and currency in which any of the session's instruments pays. All
sums over instruments are in one reporting currency; ``oms.currencies`` says how another one becomes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple

from oms.core.state import State
from oms.currencies import Conversion, Wallet, currencies_of, wallets_of
from oms.instruments import Instrument

DEFAULT_REPORTING: Final = "USDT"
_PAYS_IN: Final = {"base": "base", "quote": "quote", "settle": "settlement"}
"""Names of an INSTRUMENT row's currencies, and the Instrument's for the same."""


class Money(NamedTuple):
    """The session's currencies and wallets; an index is the core's number."""

    reporting: str
    currencies: tuple[str, ...]
    wallets: tuple[Wallet, ...]


def money_of(instruments: Iterable[Instrument], reporting: str = DEFAULT_REPORTING) -> Money:
    """The currencies and wallets that instruments need, in the order in which they first come."""
    known = tuple(instruments)
    return Money(reporting, currencies_of(known, reporting), wallets_of(known))


def define_money(
    st: State, money: Money, instruments: Iterable[Instrument], conversions: Mapping[str, Conversion]
) -> None:
    """Enter currencies into the core and tell its instruments their currencies' and wallets' numbers.

    Parameters
    ----------
    conversions : mapping
        By currency; one that is missing has no worth, and nothing is traded that settles in it.
    """
    s = st[0]
    s["reporting_currency"] = money.currencies.index(money.reporting)
    s["wallets_used"] = len(money.wallets)
    for number, code in enumerate(money.currencies):
        _define_currency(s["currencies"][number], conversions.get(code))
    for instrument in instruments:
        row = s["instruments"][instrument.id]
        for name, what in _PAYS_IN.items():
            code = getattr(instrument, what)
            row[f"{name}_currency"] = money.currencies.index(code) if code in money.currencies else -1
            wallet = Wallet(instrument.venue, code)
            row[f"{name}_wallet"] = money.wallets.index(wallet) if wallet in money.wallets else -1
    for number, wallet in enumerate(money.wallets):
        s["wallets"][:, number]["currency"] = money.currencies.index(wallet.currency)


def _define_currency(row: Any, conversion: Conversion | None) -> None:
    row["defined"] = conversion is not None
    row["instrument"] = -1
    row["inverse"] = 0
    row["factor"] = 0.0
    row["rate"] = 1.0
    if conversion is None:
        return
    if conversion.instrument is None:
        row["rate"] = float(conversion.rate)
        return
    tick = Fraction(conversion.instrument.tick)
    row["instrument"] = conversion.instrument.id
    row["inverse"] = conversion.inverse
    row["factor"] = float(2 / tick if conversion.inverse else tick / 2)


def define_wallet(st: State, money: Money, account: int, wallet: Wallet, balance: int) -> None:
    """Give an account a balance in cash (1e-8 of the currency) in one of the session's wallets."""
    row = st[0]["wallets"][account, money.wallets.index(wallet)]
    row["defined"] = 1
    row["balance"] = balance
