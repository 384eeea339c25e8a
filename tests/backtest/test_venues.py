"""Several venues in one measure: exact where one currency is quoted, at the rate of the moment where there are two."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as some

from backtest.market import TOUCH, MarketError
from backtest.venues import Measure, best_touches, common_step
from oms.instruments import Instrument
from oms.records import EVENT, EventKind
from tests.backtest.executions import INVERSE, touch, traded

Rows = npt.NDArray[np.void]


def venue(number: int, **others: Any) -> Instrument:
    fields = {"tick": "0.1", "lot": "0.001", "base": "BTC", "quote": "USDT", "kind": "linear_perpetual", **others}
    return Instrument(id=number, symbol=f"BTC{number}", venue="somewhere", **fields)


def without_rates(ts: npt.NDArray[np.int64]) -> Mapping[str, npt.NDArray[np.float64]]:
    return {}


def filled(*fills: tuple[int, int, int, int, int]) -> Rows:
    """ORDER_FILLED events of (instrument, ts, price, quantity, fee)."""
    events = np.zeros(len(fills), EVENT)
    events["kind"] = EventKind.ORDER_FILLED
    for name, column in zip(("instrument", "ts", "last_px", "last_qty", "fees"), zip(*fills, strict=True), strict=True):
        events[name] = column
    return events


@given(some.lists(some.decimals("0.00001", "50", places=5), min_size=1, max_size=4))
def test_the_common_step_is_the_widest_that_all_are_multiples_of(steps: list[Decimal]) -> None:
    whole = [Fraction(each) for each in steps]
    step = common_step(whole)
    counts = [each / step for each in whole]
    assert all(each.denominator == 1 for each in counts)
    assert common_step(counts) == 1


@given(
    some.sampled_from(["0.1", "0.25", "5"]),
    some.sampled_from(["0.001", "0.01", "2"]),
    some.sampled_from(["1", "0.01", "10"]),
    some.integers(1, 10**9),
    some.integers(1, 10**6),
)
def test_prices_and_quantities_are_what_they_are_at_their_venue(
    tick: str, lot: str, multiplier: str, px: int, qty: int
) -> None:
    home, other = venue(0, tick="0.5", lot="0.005"), venue(1, tick=tick, lot=lot, multiplier=multiplier)
    measure = Measure([home, other], without_rates)
    own = measure.instrument
    (fill,) = measure.fills(filled((1, 5, px, qty, 7)))
    assert int(fill["px"]) * Fraction(Decimal(own.tick)) == px * Fraction(Decimal(tick))
    assert int(fill["qty"]) * own.size == qty * other.size
    assert (int(fill["ts"]), int(fill["fee"])) == (5, 7)


def test_an_order_in_one_instrument_is_measured_by_that() -> None:
    for each in (venue(0, multiplier="0.01"), msgspec.structs.replace(INVERSE, id=0)):
        measure = Measure([each], without_rates)
        assert measure.instrument == each
        assert measure.fills(filled((0, 5, 11, 12, 13))).tolist() == [(5, 11, 12, 13, 0)]
        assert measure.by_venue(filled((0, 5, 11, 12, 13))) == ()


def test_a_kind_that_cannot_be_compared_is_named() -> None:
    with pytest.raises(MarketError, match=r"COINUSD.somewhere is inverse_perpetual: .* linear_perpetual"):
        Measure([venue(0), msgspec.structs.replace(INVERSE, id=1)], without_rates)


def test_another_currency_is_converted_at_the_rate_of_the_moment() -> None:
    def rates(ts: npt.NDArray[np.int64]) -> Mapping[str, npt.NDArray[np.float64]]:
        return {"USDT": np.ones(len(ts)), "USDC": np.where(ts < 10, 0.0, np.where(ts < 20, 1.01, 0.99))}

    measure = Measure([venue(0), venue(1, quote="USDC", settlement="USDC")], rates)
    fills = measure.fills(
        filled((1, 5, 1000, 1, 200), (1, 12, 1000, 1, 200), (0, 15, 1000, 1, 200), (1, 20, 1000, 1, 200))
    )
    assert (fills["px"] * float(measure.instrument.tick)).tolist() == pytest.approx([101.0, 101.0, 100.0, 99.0])
    assert fills["fee"].tolist() == [202, 202, 200, 198]


def test_a_venue_without_a_rate_is_left_out_of_the_market() -> None:
    other = touch(6, 3000), traded(7, 3000, 5)
    for each in other:
        each["instrument"] = 1
    measure = Measure([venue(0), venue(1, quote="USDC")], lambda ts: {"USDT": np.ones(len(ts))})
    market = measure.market(np.concatenate([touch(5, 1000), *other, traded(8, 1000, 2)]))
    assert market.mids["ts"].tolist() == [5]
    assert market.trades["qty"].tolist() == [2]


def test_the_market_is_the_best_of_both_touches_and_all_trades() -> None:
    home, other = venue(0, tick="0.5", lot="0.1"), venue(1, tick="0.2", lot="0.04")
    far = touch(4, 2500), traded(6, 2500, 3)
    for each in far:
        each["instrument"] = 1
    market = Measure([home, other], without_rates).market(
        np.concatenate([far[0], touch(5, 1000), traded(6, 1000, 4), far[1]])
    )
    assert market.mids.tolist() == [(4, 10_000)]
    assert market.trades.tolist() == [(6, 5000, 20), (6, 5000, 6)]


def test_the_best_touch_takes_each_side_from_whoever_shows_it_best() -> None:
    first = np.array([(1, 100, 0), (4, 0, 0)], TOUCH)
    second = np.array([(2, 99, 105), (3, 101, 103)], TOUCH)
    assert best_touches([first, second]).tolist() == [(1, 100, 0), (2, 100, 105), (3, 101, 103), (4, 101, 103)]


def test_lots_too_far_apart_to_be_counted_together_are_refused() -> None:
    measure = Measure([venue(0, lot="1000000"), venue(1, lot="0.0000000000000001")], without_rates)
    with pytest.raises(MarketError, match="too far apart"):
        measure.fills(filled((0, 5, 1, 10**3, 0)))
