"""Currencies and wallets of a session: which there are, what they are worth, and which instrument settles in which.

Every account has one wallet for each pair of venue and currency in which any of the session's instruments pays. All
sums over instruments are in one reporting currency; a currency is worth a fixed rate, or what an instrument of the
session says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from oms.core.state import MAX_CURRENCIES, MAX_WALLETS, State
from oms.decimals import parse_decimal
from oms.instruments import Instrument
from oms.records import CASH_SCALE

DEFAULT_REPORTING: Final = "USDT"
_PAYS_IN: Final = {"base": "base", "quote": "quote", "settle": "settlement"}
"""Names of an INSTRUMENT row's currencies, and the Instrument's for the same."""


class MoneyError(ValueError):
    """Currencies or wallets that cannot be used; the message names them."""


class Money(NamedTuple):
    """The session's currencies and wallets; an index is the core's number."""

    reporting: str
    currencies: tuple[str, ...]
    wallets: tuple[tuple[str, str], ...]
    """Venue and currency."""


def money_of(instruments: Iterable[Instrument], reporting: str = DEFAULT_REPORTING) -> Money:
    """The currencies and wallets that instruments need, in the order in which they first come."""
    currencies = {reporting: None}
    wallets: dict[tuple[str, str], None] = {}
    for instrument in instruments:
        for code in (instrument.base, instrument.quote, instrument.settlement):
            if code:
                currencies[code] = None
        pays = (instrument.base, instrument.quote) if instrument.kind == "spot" else (instrument.settlement,)
        wallets.update(dict.fromkeys((instrument.venue, code) for code in pays))
    if len(currencies) > MAX_CURRENCIES or len(wallets) > MAX_WALLETS:
        raise MoneyError(
            f"the instruments need {len(currencies)} currencies and {len(wallets)} wallets: the core holds "
            f"{MAX_CURRENCIES} and {MAX_WALLETS}"
        )
    return Money(reporting, tuple(currencies), tuple(wallets))


def define_money(st: State, money: Money, instruments: Iterable[Instrument], rates: Mapping[str, str]) -> None:
    """Enter currencies into the core and tell its instruments their currencies' and wallets' numbers.

    Parameters
    ----------
    rates : mapping
        Fixed worth of a currency in the reporting one, as decimal text. Another one is worth the mid price of the first
        instrument between the two (spot before all else); without one, nothing is traded that settles in it.
    """
    s = st[0]
    known = tuple(instruments)
    s["reporting_currency"] = money.currencies.index(money.reporting)
    s["wallets_used"] = len(money.wallets)
    for number, code in enumerate(money.currencies):
        _define_currency(s["currencies"][number], code, money.reporting, known, rates)
    for instrument in known:
        row = s["instruments"][instrument.id]
        for name, what in _PAYS_IN.items():
            code = getattr(instrument, what)
            row[f"{name}_currency"] = money.currencies.index(code) if code in money.currencies else -1
            wallet = (instrument.venue, code)
            row[f"{name}_wallet"] = money.wallets.index(wallet) if wallet in money.wallets else -1
    for number, (_, code) in enumerate(money.wallets):
        s["wallets"][:, number]["currency"] = money.currencies.index(code)


def _define_currency(
    row: object, code: str, reporting: str, instruments: tuple[Instrument, ...], rates: Mapping[str, str]
) -> None:
    values = {"defined": 1, "instrument": -1, "inverse": 0, "factor": 0.0, "rate": 1.0}
    if code in rates:
        rate = parse_decimal(f"the rate of {code}", rates[code])
        if rate <= 0:
            raise MoneyError(f"the rate of {code} is {rates[code]}: it must be above zero")
        values["rate"] = float(rate)
    elif code != reporting:
        ranked = sorted(instruments, key=lambda each: each.kind != "spot")
        direct = [each for each in ranked if (each.base, each.quote) == (code, reporting)]
        turned = [each for each in ranked if (each.base, each.quote) == (reporting, code)]
        if direct:
            values |= {"instrument": direct[0].id, "factor": float(Fraction(direct[0].tick) / 2)}
        elif turned:
            values |= {"instrument": turned[0].id, "inverse": 1, "factor": float(2 / Fraction(turned[0].tick))}
        else:
            values["defined"] = 0
    for name, value in values.items():
        row[name] = value  # type: ignore[index]


def define_wallet(st: State, money: Money, account: int, venue: str, currency: str, balance: int) -> None:
    """Give an account a balance in cash (1e-8 of the currency).

    Raises
    ------
    MoneyError
        When no instrument of the session pays in that currency at that venue.
    """
    if (venue, currency) not in money.wallets:
        known = ", ".join(f"{code} at {at}" for at, code in money.wallets) or "none"
        raise MoneyError(f"there is no wallet for {currency} at {venue}: this session's are {known}")
    wallet = st[0]["wallets"][account, money.wallets.index((venue, currency))]
    wallet["defined"] = 1
    wallet["balance"] = balance


def whole_units(units: int) -> int:
    """Whole units of a currency as cash."""
    return units * CASH_SCALE
