"""When a conditional order is reached: stops and take profits on both sides, trailing ones behind the best price."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.sandbox.accounts import Account
from gateways.sandbox.binance.algo import RISES
from gateways.sandbox.conditionals import Conditional
from oms.records import TimeInForce

pytestmark = pytest.mark.pure


def waiting(kind: str, side: int, trigger_px: int, callback: Fraction = Fraction(0)) -> Conditional:
    account = Account(0, 0)
    return Conditional(
        account, "", kind, side, 1, 0, trigger_px, RISES[kind] * side, TimeInForce.GTC, callback=callback
    )


@pytest.mark.parametrize(
    ("kind", "side", "below", "above"),
    [
        ("STOP_MARKET", 1, False, True),
        ("STOP_MARKET", -1, True, False),
        ("TAKE_PROFIT_MARKET", 1, True, False),
        ("TAKE_PROFIT_MARKET", -1, False, True),
    ],
)
def test_sides_of_stops_and_take_profits(kind: str, side: int, below: bool, above: bool) -> None:
    conditional = waiting(kind, side, 1000)
    assert conditional.is_reached(Fraction(999)) is below
    assert conditional.is_reached(Fraction(1001)) is above
    assert conditional.is_reached(Fraction(1000))


@given(st.lists(st.integers(900, 1100), min_size=1), st.sampled_from([1, -1]))
def test_trailing_stop_turns_when_the_market_has_turned_by_its_callback(pxs: list[int], side: int) -> None:
    conditional = waiting("TRAILING_STOP_MARKET", side, 0, Fraction(1, 50))
    best = None
    for px in pxs:
        best = px if best is None else (min(best, px) if side > 0 else max(best, px))
        turned = px >= best * Fraction(51, 50) if side > 0 else px <= best * Fraction(49, 50)
        assert conditional.is_reached(Fraction(px)) is turned
        if turned:
            break


def test_trailing_stop_waits_to_be_activated() -> None:
    conditional = waiting("TRAILING_STOP_MARKET", -1, 1010, Fraction(1, 100))
    assert not any(conditional.is_reached(Fraction(px)) for px in (1000, 900, 1009))
    assert not conditional.is_reached(Fraction(1010))
    assert conditional.is_reached(Fraction(999))
