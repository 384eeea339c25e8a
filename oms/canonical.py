"""Canonical symbols: one name for an asset, whatever each venue calls it and in whichever dollar it is quoted there.

A client names ``BTC-SPOT`` or ``BTC-PERPETUAL`` and gets the session's instruments that trade it: the routes of one
order (``oms.algos.sor``). ``BTC/USDC-SPOT`` is only those that are quoted in USDC; without the quote currency all are
meant, since prices are compared converted. Spot instruments and linear perpetuals have a canonical symbol where their
settings name the base currency; no other kind has.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from oms.instruments import Instrument
from oms.records import ROUTES

SUFFIXES: Final = {"spot": "SPOT", "linear_perpetual": "PERPETUAL"}
"""Ending of a canonical symbol by the kind of its instruments."""


def canonical_symbols(instrument: Instrument) -> tuple[str, ...]:
    """The canonical symbols that an instrument goes by, the widest first; none where it has none."""
    suffix = SUFFIXES.get(instrument.kind)
    if suffix is None or not instrument.base:
        return ()
    return f"{instrument.base}-{suffix}", f"{instrument.base}/{instrument.quote}-{suffix}"


def canonical_groups(instruments: Iterable[Instrument]) -> dict[str, tuple[Instrument, ...]]:
    """The instruments of every canonical symbol, in their own order."""
    groups: dict[str, tuple[Instrument, ...]] = {}
    for each in instruments:
        for symbol in canonical_symbols(each):
            groups[symbol] = (*groups.get(symbol, ()), each)
    return groups


def routes_of(instruments: Iterable[Instrument], symbol: str, first: str = "") -> tuple[Instrument, ...]:
    """The instruments over which an order in a canonical symbol is routed, that of the order itself first.

    Parameters
    ----------
    symbol : str
        Such as ``BTC-SPOT``.
    first : str
        Venue of the order's own instrument, in whose ticks, lots and currency it is given; empty: the first one's.

    Raises
    ------
    ValueError
        When there is no such symbol, none or several of its instruments are at ``first``, or there are more than an
        order may have routes.
    """
    groups = canonical_groups(instruments)
    if symbol not in groups:
        known = ", ".join(groups) or "none"
        raise ValueError(f"canonical symbol {symbol!r} is not known: the session's instruments have {known}")
    group = groups[symbol]
    own = [each for each in group if each.venue == first] if first else [group[0]]
    if len(own) != 1:
        venues = ", ".join(dict.fromkeys(each.venue for each in group))
        problem = "is not among its venues" if not own else "has several of its instruments: name the quote too"
        raise ValueError(f"{symbol} is traded at {venues}: {first} {problem}")
    if len(group) > ROUTES:
        raise ValueError(f"{symbol} has {len(group)} instruments: an order has at most {ROUTES} routes, name them")
    return (*own, *(each for each in group if each is not own[0]))
