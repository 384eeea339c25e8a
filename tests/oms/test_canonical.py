"""Canonical symbols: which instruments trade one asset, and in which order they are the routes of an order."""

from __future__ import annotations

from typing import Any, Final

import pytest

from oms.canonical import canonical_groups, canonical_symbols, routes_of
from oms.instruments import Instrument
from oms.records import ROUTES


def instrument(number: int, symbol: str, venue: str, base: str, quote: str, kind: str = "spot") -> Instrument:
    terms: dict[str, Any] = {"expiry": "2027-03-26T08:00:00Z"} if kind.endswith("future") else {}
    return Instrument(
        id=number, symbol=symbol, venue=venue, kind=kind, base=base, quote=quote, tick="0.1", lot="0.001", **terms
    )


TETHER: Final = instrument(0, "BTCUSDT", "one", "BTC", "USDT")
CIRCLE: Final = instrument(1, "BTC-USDC", "two", "BTC", "USDC")
PERPETUAL: Final = instrument(2, "BTCUSDT", "one_perpetuals", "BTC", "USDT", "linear_perpetual")
SWAP: Final = instrument(3, "BTC-USDT-SWAP", "two", "BTC", "USDT", "linear_perpetual")
ETHER: Final = instrument(4, "ETHUSDT", "one", "ETH", "USDT")
FUTURE: Final = instrument(5, "BTCUSDT_270326", "one_perpetuals", "BTC", "USDT", "linear_future")
NAMELESS: Final = instrument(6, "BTCUSDT", "three", "", "USDT", "linear_perpetual")
ALL: Final = (TETHER, CIRCLE, PERPETUAL, SWAP, ETHER, FUTURE, NAMELESS)


def test_instruments_of_one_asset_and_kind_go_together_whatever_their_quote() -> None:
    assert canonical_groups(ALL) == {
        "BTC-SPOT": (TETHER, CIRCLE),
        "BTC/USDT-SPOT": (TETHER,),
        "BTC/USDC-SPOT": (CIRCLE,),
        "BTC-PERPETUAL": (PERPETUAL, SWAP),
        "BTC/USDT-PERPETUAL": (PERPETUAL, SWAP),
        "ETH-SPOT": (ETHER,),
        "ETH/USDT-SPOT": (ETHER,),
    }


@pytest.mark.parametrize("each", [FUTURE, NAMELESS])
def test_what_expires_or_has_no_base_has_no_canonical_symbol(each: Instrument) -> None:
    assert canonical_symbols(each) == ()


def test_the_own_instrument_of_an_order_comes_first() -> None:
    assert routes_of(ALL, "BTC-SPOT") == (TETHER, CIRCLE)
    assert routes_of(ALL, "BTC-SPOT", "two") == (CIRCLE, TETHER)


def test_an_unknown_symbol_says_which_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"'DOGE-SPOT' is not known: the session's instruments have BTC-SPOT, BTC/USDT"
    ):
        routes_of(ALL, "DOGE-SPOT")


def test_a_venue_that_does_not_trade_it_is_refused() -> None:
    with pytest.raises(ValueError, match="BTC-SPOT is traded at one, two: three is not among its venues"):
        routes_of(ALL, "BTC-SPOT", "three")


def test_a_venue_with_several_of_them_needs_the_quote() -> None:
    both = (*ALL, instrument(7, "BTCUSDC", "one", "BTC", "USDC"))
    with pytest.raises(ValueError, match="one has several of its instruments: name the quote too"):
        routes_of(both, "BTC-SPOT", "one")
    assert [each.id for each in routes_of(both, "BTC/USDC-SPOT", "one")] == [7, 1]


def test_more_instruments_than_routes_are_refused() -> None:
    many = [instrument(number, "BTCUSDT", f"venue_{number}", "BTC", "USDT") for number in range(ROUTES + 1)]
    with pytest.raises(
        ValueError, match=f"BTC-SPOT has {ROUTES + 1} instruments: an order has at most {ROUTES} routes"
    ):
        routes_of(many, "BTC-SPOT")
