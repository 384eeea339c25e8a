"""Money in the core's tables: currencies and what they are worth, wallets, and which instrument pays in which.

Every account has one wallet for each pair of venue and currency in which any of the session's instruments pays. All
sums over instruments are in one reporting currency; a currency is worth a fixed rate, or what an instrument of the
session says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

from oms.core.state import MAX_CURRENCIES, MAX_WALLETS, Record, State
from oms.currencies import Conversion, Wallet
from oms.instruments import Instrument

_PAYS_IN: Final = {"base": "base", "quote": "quote", "settle": "settlement"}
"""Names of an INSTRUMENT row's currencies, and the Instrument's for the same."""


class MoneyError(ValueError):
    """Currencies or wallets that cannot be used; the message names them."""


def define_money(
    st: State,
    instruments: Iterable[Instrument],
    wallets: tuple[Wallet, ...],
    currencies: tuple[str, ...],
    conversions: Mapping[str, Conversion],
) -> None:
    """Enter currencies and wallets into the core, and tell its instruments their numbers: places in these tuples.

    The first currency is the reporting one. One without a conversion stays undefined: what depends on it is refused.

    Raises
    ------
    MoneyError
        When there are more than the core holds.
    """
    if len(currencies) > MAX_CURRENCIES or len(wallets) > MAX_WALLETS:
        raise MoneyError(
            f"the instruments need {len(currencies)} currencies and {len(wallets)} wallets: the core holds "
            f"{MAX_CURRENCIES} and {MAX_WALLETS}"
        )
    s = st[0]
    s["reporting_currency"] = 0
    s["wallets_used"] = len(wallets)
    for number, code in enumerate(currencies):
        if code in conversions:
            _define_currency(s["currencies"][number], conversions[code])
    for number, wallet in enumerate(wallets):
        s["wallets"][:, number]["currency"] = currencies.index(wallet.currency)
    for instrument in instruments:
        row = s["instruments"][instrument.id]
        for name, what in _PAYS_IN.items():
            code = getattr(instrument, what)
            wallet = Wallet(instrument.venue, code)
            row[f"{name}_currency"] = currencies.index(code) if code in currencies else -1
            row[f"{name}_wallet"] = wallets.index(wallet) if wallet in wallets else -1


def _define_currency(row: Record, conversion: Conversion) -> None:
    """Enter how one currency becomes the reporting one; ``factor`` turns half ticks into the rate."""
    row["defined"] = 1
    row["instrument"] = -1
    row["inverse"] = conversion.inverse
    row["rate"] = float(conversion.rate)
    if conversion.instrument is not None:
        tick = Fraction(conversion.instrument.tick)
        row["instrument"] = conversion.instrument.id
        row["factor"] = float(2 / tick if conversion.inverse else tick / 2)


def open_wallet(st: State, account: int, number: int, balance: int) -> None:
    """Give an account a balance in cash (1e-8 of the currency) in one wallet."""
    wallet = st[0]["wallets"][account, number]
    wallet["defined"] = 1
    wallet["balance"] = balance
