"""Markets of any exchange, as ccxt's unified structures describe them, and instruments of ours: one from the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from gateways.venues import Venue
from oms.checks import ConfigError
from oms.instruments import Instrument

KINDS: Final = {"spot": "spot", "linear": "linear_perpetual", "inverse": "inverse_perpetual"}
"""What is traded in each of ``gateways.venues.MARKETS``."""

EXACT_DIGITS: Final = 15
"""Digits of a decimal number up to which its nearest binary one stands for no other (IEEE 754, binary64)."""

SIGNIFICANT_DIGITS: Final = 3
DECIMAL_PLACES: Final = 2
"""ccxt's ways to state a precision that are no step."""

DEFINED: Final = ("tick", "lot", "multiplier", "base", "quote")
"""What must not differ between an instrument and the exchange's market."""


def exchange_class(row: Venue) -> Any:
    """ccxt.pro's class of a venue's exchange; raises ``ConfigError`` where it has none."""
    import ccxt.pro

    if row.exchange not in ccxt.pro.exchanges:
        raise ConfigError(
            f"{row.name}: ccxt {ccxt.pro.__version__} has no exchange {row.exchange!r} with streams; it has "
            f"{', '.join(ccxt.pro.exchanges)}"
        )
    return getattr(ccxt.pro, row.exchange)


def number_text(number: float | str, decimals: int = 18) -> str:
    """A number of ccxt's as plain decimal text.

    One that ccxt has as a binary number is the shortest text that stands for it, which is what the exchange wrote, up
    to ``EXACT_DIGITS`` digits; of more it is rounded to ``decimals``.
    """
    exact = Decimal(str(number))
    if isinstance(number, float) and len(exact.normalize().as_tuple().digits) > EXACT_DIGITS:
        exact = round(Decimal(number), decimals)
    return format(exact.normalize(), "f")


def grid_of(exchange: Any, market: Mapping[str, Any]) -> dict[str, str]:
    """Tick and lot of a market.

    Raises
    ------
    ConfigError
        Where prices or quantities have no fixed step, or ccxt does not say which.
    """
    found = {}
    for name, part in (("tick", "price"), ("lot", "amount")):
        stated = market["precision"][part]
        if stated is None or exchange.precisionMode == SIGNIFICANT_DIGITS:
            raise ConfigError(f"{market['symbol']} has no fixed {name} at {exchange.id}: zoms cannot trade it")
        step = Decimal(1).scaleb(-int(stated)) if exchange.precisionMode == DECIMAL_PLACES else Decimal(str(stated))
        found[name] = format(step.normalize(), "f")
    return found


def market_of(exchange: Any, row: Venue, symbol: str) -> dict[str, Any]:
    """ccxt's market of a symbol: the exchange's own one, or ccxt's.

    Raises
    ------
    ConfigError
        When the exchange does not trade it, or it is of another of its markets.
    """
    known = exchange.markets or {}
    found = [known[symbol]] if symbol in known else (exchange.markets_by_id or {}).get(symbol, [])
    for market in found:
        if is_traded_at(row, market):
            traded: dict[str, Any] = market
            return traded
    there = f"; it is {', '.join(str(market['type']) for market in found)}" if found else ""
    what = KINDS.get(row.market, "instrument")
    raise ConfigError(f"{row.name} trades no {what} {symbol}{there}: take it out of the settings")


def is_traded_at(row: Venue, market: Mapping[str, Any]) -> bool:
    """Whether a market of ccxt's belongs to a venue, and is open."""
    kind = kind_of(market)
    is_of_kind = kind == KINDS[row.market] if row.market else bool(kind) and row.has_positions == (kind != "spot")
    return is_of_kind and market["active"] is not False


def kind_of(market: Mapping[str, Any]) -> str:
    """The kind of instrument that a market of ccxt's is; empty: none of ``KINDS``."""
    if market["spot"]:
        return KINDS["spot"]
    return next((kind for name, kind in KINDS.items() if market["swap"] and market.get(name)), "")


def traded(exchange: Any, row: Venue, symbols: Collection[str]) -> frozenset[str]:
    """Those of symbols that the exchange trades, as its markets were last loaded."""
    found = set()
    for symbol in symbols:
        try:
            market_of(exchange, row, symbol)
        except ConfigError:
            continue
        found.add(symbol)
    return frozenset(found)


def definition_of(exchange: Any, row: Venue, symbol: str, number: int = 0) -> Instrument:
    """An instrument as the exchange defines it, of markets that are loaded.

    Its symbol is the exchange's own. Rates of fees are those that ccxt states, mostly the exchange's highest ones.

    Raises
    ------
    ConfigError
        As ``market_of`` and ``grid_of``; and of what no instrument can be made.
    """
    market = market_of(exchange, row, symbol)
    kind, limits = kind_of(market), market["limits"]
    terms: dict[str, str] = {
        **grid_of(exchange, market),
        "base": market["base"],
        "quote": market["quote"],
        **_stated(
            maker_fee_rate=market["maker"],
            taker_fee_rate=market["taker"],
            min_qty=limits["amount"]["min"],
            max_qty=limits["amount"]["max"],
            min_notional=None if kind == KINDS["inverse"] else limits["cost"]["min"],
        ),
    }
    if kind != "spot":
        terms |= _stated(multiplier=market["contractSize"], max_leverage=limits.get("leverage", {}).get("max"))
    try:
        return msgspec.convert(
            {"id": number, "symbol": market["id"], "venue": row.name, "kind": kind, **terms}, Instrument
        )
    except ValueError as error:
        raise ConfigError(f"{row.name}: {error}") from None


def differences(exchange: Any, row: Venue, instrument: Instrument) -> list[str]:
    """What an instrument of the settings has otherwise than the exchange's.

    Raises
    ------
    ConfigError
        As ``definition_of``.
    """
    theirs = definition_of(exchange, row, instrument.symbol)
    found = []
    if instrument.kind != theirs.kind:
        found.append(f"{instrument.symbol} is {instrument.kind}, at the exchange {theirs.kind}")
    for name in DEFINED:
        ours, there = getattr(instrument, name), getattr(theirs, name)
        is_fit = not ours or ours == there if name in ("base", "quote") else Decimal(ours) == Decimal(there)
        if not is_fit:
            found.append(f"{instrument.symbol} has {name} {ours}, at the exchange {there}: set that")
    return found


def settings_text(instrument: Instrument) -> str:
    """An instrument as a row of a settings file."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(Instrument)}
    lines = [
        f"{name} = {value if isinstance(value, int) else chr(34) + value + chr(34)}"
        for name in defaults
        if isinstance(value := getattr(instrument, name), int | str) and value != defaults[name]
    ]
    return "\n".join(["[[instruments]]", *lines])


def _stated(**numbers: float | str | None) -> dict[str, str]:
    return {name: number_text(number) for name, number in numbers.items() if number is not None and float(number)}
