"""Currencies and wallets of a session: which there are, their numbers, and how each becomes the reporting currency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple

from oms.account_settings import CurrencySettings
from oms.checks import ConfigError
from oms.instruments import Instrument


class Wallet(NamedTuple):
    """Where an account holds money: one currency at one venue. Settings write it ``binance_usdm.USDT``."""

    venue: str
    currency: str

    def __str__(self) -> str:
        return f"{self.venue}.{self.currency}"


class Conversion(NamedTuple):
    """How a currency becomes the reporting currency: by the mid price of ``instrument``, or at ``rate``."""

    instrument: Instrument | None
    inverse: bool
    """The price is of the reporting currency in this one: divide by it."""
    rate: Decimal


def wallets_of(instruments: Iterable[Instrument]) -> tuple[Wallet, ...]:
    """Every wallet that trading these instruments can touch, each once, in a fixed order: its place is its number."""
    found: dict[Wallet, None] = {}
    for each in instruments:
        found[Wallet(each.venue, each.settlement)] = None
        if each.kind == "spot":
            found[Wallet(each.venue, each.base)] = None
            found[Wallet(each.venue, each.quote)] = None
    return tuple(found)


def currencies_of(instruments: Iterable[Instrument], reporting: str) -> tuple[str, ...]:
    """The reporting currency, then every other one of these instruments, each once; its place is its number."""
    found = {reporting: None}
    for each in instruments:
        found.update(dict.fromkeys(code for code in (each.settlement, each.base, each.quote) if code))
    return tuple(found)


def conversions(
    instruments: tuple[Instrument, ...], reporting: str, given: Mapping[str, CurrencySettings]
) -> dict[str, Conversion]:
    """How each currency that can be converted is, the reporting one included.

    A currency without settings of its own is converted by the one spot instrument between it and the reporting
    currency, or where there is no such spot instrument, by the one perpetual. Any other stays out: what depends on it
    is refused.

    Raises
    ------
    ConfigError
        When the settings name a currency, or an instrument, that does not fit.
    """
    known = currencies_of(instruments, reporting)
    found = {reporting: Conversion(None, False, Decimal(1))}
    for currency, setting in given.items():
        if currency not in known or currency == reporting:
            choice = ", ".join(code for code in known if code != reporting) or "none"
            raise ConfigError(f"[currencies.{currency}] is of no use: the currencies to convert are {choice}")
        found[currency] = _given(currency, setting, instruments, reporting)
    for currency in known:
        if currency not in found:
            between = [each for each in instruments if _is_between(each, currency, reporting)]
            spot = [each for each in between if each.kind == "spot"]
            candidates = spot or [each for each in between if each.kind.endswith("perpetual")]
            if len(candidates) == 1:
                found[currency] = Conversion(candidates[0], candidates[0].base == reporting, Decimal(0))
    return found


def _given(currency: str, setting: CurrencySettings, instruments: tuple[Instrument, ...], reporting: str) -> Conversion:
    if setting.rate:
        return Conversion(None, False, Decimal(setting.rate))
    name = setting.instrument
    named = [each for each in instruments if name in (each.symbol, f"{each.symbol}.{each.venue}")]
    if len(named) != 1:
        problem = "is not defined" if not named else "is at several venues: say which, as in SYMBOL.venue"
        raise ConfigError(f"[currencies.{currency}] instrument {name!r} {problem}")
    if not _is_between(named[0], currency, reporting):
        raise ConfigError(
            f"[currencies.{currency}] instrument {name!r} has base {named[0].base or 'unknown'} and quote "
            f"{named[0].quote}: it needs {currency} and {reporting}, one as base, one as quote"
        )
    return Conversion(named[0], named[0].base == reporting, Decimal(0))


def _is_between(instrument: Instrument, currency: str, reporting: str) -> bool:
    return {instrument.base, instrument.quote} == {currency, reporting}
