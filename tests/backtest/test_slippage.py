"""Slippage by algorithm, read from PROGRESS events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backtest.market import Rows
from backtest.slippage import UNKNOWN, slippage_by_algorithm
from oms.records import CASH_SCALE, EVENT, EventKind
from tests.backtest.executions import INVERSE, LINEAR
from tests.oms.core.builders import BUY, SELL, record


def progress(order_id: int, side: int, filled: int, average: float, arrival: float, **others: int) -> Rows:
    prices = {"last_px": round(average * CASH_SCALE), "realized_pnl": round(arrival * CASH_SCALE)}
    return record(EVENT, kind=EventKind.PROGRESS, order_id=order_id, side=side, filled_qty=filled, **prices, **others)


def slippage(*events: Rows, **others: Any) -> Any:
    algorithms = {1: "twap", 2: "twap", 3: "iceberg"}
    return slippage_by_algorithm(np.concatenate(events), others.get("instruments", {0: LINEAR}), algorithms)


def test_worse_prices_cost_a_buy_and_a_sell_alike() -> None:
    bought, sold = (slippage(progress(1, side, 5, 100 + side, 100))[0] for side in (BUY, SELL))
    assert bought.slippage_bps == sold.slippage_bps == 100


def test_the_mean_is_weighted_by_value_at_arrival() -> None:
    (twap,) = slippage(progress(1, BUY, 10, 101, 100), progress(2, SELL, 30, 202, 200))
    assert (twap.algorithm, twap.parents, twap.filled_parents, twap.filled) == ("twap", 2, 2, "4.0")
    assert twap.slippage_bps == pytest.approx((10 * 100 * 100 - 30 * 200 * 100) / (10 * 100 + 30 * 200))
    assert (twap.worst_bps, twap.best_bps) == (100, -100)


def test_an_inverse_contract_is_worth_one_over_the_price() -> None:
    (twap,) = slippage(progress(1, BUY, 10, 101, 100), progress(2, SELL, 30, 202, 200), instruments={0: INVERSE})
    assert twap.slippage_bps == pytest.approx((10 / 100 * 100 - 30 / 200 * 100) / (10 / 100 + 30 / 200))


def test_the_last_progress_counts() -> None:
    (twap,) = slippage(progress(1, BUY, 1, 105, 100), progress(1, BUY, 2, 101, 100))
    assert (twap.parents, twap.slippage_bps) == (1, 100)


def test_each_algorithm_in_each_instrument_is_a_row() -> None:
    other = progress(2, BUY, 1, 101, 100, instrument=1)
    rows = slippage(progress(3, BUY, 1, 100, 100), progress(9, BUY, 1, 100, 100), other, progress(1, BUY, 1, 99, 100),
                    instruments={0: LINEAR, 1: INVERSE})  # fmt: skip
    assert [(each.algorithm, each.symbol) for each in rows] == [
        ("iceberg", "COIN.somewhere"),
        ("twap", "COIN.somewhere"),
        ("twap", "COINUSD.somewhere"),
        (UNKNOWN, "COIN.somewhere"),
    ]


def test_parents_without_a_fill_or_an_arrival_price_are_counted_only() -> None:
    (twap,) = slippage(progress(1, BUY, 0, 0, 100), progress(2, BUY, 4, 101, 0))
    assert (twap.parents, twap.filled_parents, twap.slippage_bps, twap.worst_bps) == (2, 0, None, None)


def test_without_parents_there_is_nothing() -> None:
    assert slippage(np.zeros(3, EVENT)) == ()
