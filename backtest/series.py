"""What the plots of a result show, in the units of people: currencies, prices, quantities."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backtest.equity import Floats
from backtest.ledger import ACCOUNT
from backtest.ledger_kernels import FILLED
from backtest.metrics import peaks
from backtest.performance import INSTRUMENT, Performance, Scope
from oms.config import qualified_symbol
from oms.records import CASH_SCALE

Times = npt.NDArray[np.datetime64]


class ScopeSeries(NamedTuple):
    """The curve of one scope."""

    name: str
    times: Times
    equity: Floats
    drawdown: Floats
    """0 or less, a part of the highest equity so far; NaN where that is not above zero."""


class InstrumentSeries(NamedTuple):
    """One instrument: its price at the marks, the position of all accounts, and their fills."""

    name: str
    times: Times
    price: Floats
    """NaN where it is not known."""
    position: Floats
    fill_times: Times
    fill_side: npt.NDArray[np.int64]
    fill_price: Floats
    fill_qty: Floats


def times_of(ts: npt.NDArray[np.int64]) -> Times:
    return ts.astype("datetime64[ns]")


def scope_series(scope: Scope) -> ScopeSeries:
    """The curve of a scope."""
    equity, top = scope.sample.equity, peaks(scope.sample)
    fallen = np.divide(equity - top, top, out=np.full(len(top), np.nan), where=top > 0)
    return ScopeSeries(scope.name, times_of(scope.sample.curve["ts"]), equity / CASH_SCALE, fallen)


def curves_of(performance: Performance) -> list[ScopeSeries]:
    """The curves of the whole, and of each strategy where there are several."""
    return [scope_series(scope) for scope in performance.distinct_scopes if scope.kind != INSTRUMENT]


def instrument_series(performance: Performance) -> list[InstrumentSeries]:
    """Every instrument that was traded."""
    ledger = performance.ledger
    found = []
    for number in np.unique(ledger.keys["instrument"]).tolist():
        instrument = performance.instrument(number)
        positions = ledger.rows_of(owner=ACCOUNT, instrument=number)
        tick, lot = float(instrument.tick), float(instrument.lot)
        half_ticks: npt.NDArray[Any] = ledger.half_ticks[:, positions[0]]
        moves = ledger.moves_of(positions)
        fills = moves[moves["kind"] == FILLED]
        found.append(
            InstrumentSeries(
                name=qualified_symbol(instrument),
                times=times_of(ledger.ts),
                price=np.where(half_ticks > 0, half_ticks / 2 * tick, np.nan),
                position=ledger.points["qty"][:, positions].sum(axis=1) * lot,
                fill_times=times_of(fills["ts"]),
                fill_side=fills["side"],
                fill_price=fills["px"] * tick,
                fill_qty=fills["qty"] * lot,
            )
        )
    return found
