"""Results as data frames of pandas or polars, for notebooks: ``pip install 'zoms[frames]'``.

Times are UTC with nanoseconds. Prices, quantities and amounts are floats here; where each digit counts, take the
results themselves (``backtest.performance.report_of``).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from backtest.ledger import ACCOUNT
from backtest.ledger_kernels import FILLED
from backtest.metrics import peaks
from backtest.performance import Performance, TradeReport, report_of
from oms.config import qualified_symbol
from oms.records import CASH_SCALE, Liquidity

if TYPE_CHECKING:
    import pandas
    import polars

    Frame: TypeAlias = pandas.DataFrame | polars.DataFrame

Library: TypeAlias = Literal["pandas", "polars"]
LIBRARIES: Final = ("pandas", "polars")

Columns: TypeAlias = dict[str, npt.NDArray[Any]]

TRADE_TIMES: Final = {"entry_ts": "entry_time", "exit_ts": "exit_time"}
TRADE_NUMBERS: Final = (
    "qty",
    "entry_price",
    "exit_price",
    "gross_pnl",
    "fees",
    "funding",
    "net_pnl",
    "adverse_excursion",
    "favourable_excursion",
    "maker_share",
)
"""Columns of a TradeReport that become floats."""
TRADE_PLAIN: Final = ("is_open", "is_liquidated", "holding_ns", "fills")
"""Those that are booleans and integers."""
CURVE_COLUMNS: Final = ("pnl", "realized_pnl", "unrealized_pnl", "fees", "funding", "exposure")


class FrameError(ValueError):
    """A frame that cannot be made; the message says why and what to do."""


def trades_frame(performance: Performance, library: Library = "pandas") -> Frame:
    """The trades, a row each: the columns of ``TradeReport``, times as ``entry_time`` and ``exit_time``.

    Raises
    ------
    FrameError
        When the library is neither pandas nor polars, or is not installed.
    """
    trades = msgspec.to_builtins(report_of(performance).trades)
    columns: Columns = {}
    for name in TradeReport.__struct_fields__:
        values = [trade[name] for trade in trades]
        if name in TRADE_TIMES:
            columns[TRADE_TIMES[name]] = as_times(np.array(values, np.int64))
        elif name in TRADE_NUMBERS:
            columns[name] = np.array([np.nan if each is None else float(each) for each in values], np.float64)
        else:
            columns[name] = np.array(values, None if name in TRADE_PLAIN else object)
    return frame_of(columns, library)


def fills_frame(performance: Performance, library: Library = "pandas") -> Frame:
    """The fills, a row each, in order; PnL and position are those of the strategy (or of there being none).

    Columns: time, strategy, symbol, order_id, side (+1, -1), price, qty, value, fee, liquidity, realized_pnl, position.

    Raises
    ------
    FrameError
        As ``trades_frame`` does.
    """
    ledger = performance.ledger
    shares = np.flatnonzero(ledger.keys["owner"] != ACCOUNT)
    moves = ledger.moves_of(shares)
    moves = moves[moves["kind"] == FILLED]
    keys = ledger.keys[moves["position"]]
    numbers = keys["instrument"].tolist()
    traded = {number: performance.instrument(number) for number in set(numbers)}
    tick = np.array([float(traded[number].tick) for number in numbers], np.float64)
    lot = np.array([float(traded[number].lot) for number in numbers], np.float64)
    columns: Columns = {
        "time": as_times(moves["ts"]),
        "strategy": np.array([performance.owner_name(owner) for owner in keys["owner"].tolist()], object),
        "symbol": np.array([qualified_symbol(traded[number]) for number in numbers], object),
        "order_id": moves["order_id"],
        "side": moves["side"],
        "price": moves["px"] * tick,
        "qty": moves["qty"] * lot,
        "value": moves["value"] / CASH_SCALE,
        "fee": moves["fee"] / CASH_SCALE,
        "liquidity": np.array([Liquidity(each).name.lower() for each in moves["liquidity"].tolist()], object),
        "realized_pnl": moves["realized_pnl"] / CASH_SCALE,
        "position": moves["position_qty"] * lot,
    }
    return frame_of(columns, library)


def equity_frame(performance: Performance, library: Library = "pandas") -> Frame:
    """The equity curves: a row for each time of each scope, amounts in the reporting currency.

    Columns: time, scope (whole, strategy, instrument), name, equity, pnl, realized_pnl, unrealized_pnl, fees, funding,
    exposure, drawdown (0 or less, a part of the highest equity so far).

    Raises
    ------
    FrameError
        As ``trades_frame`` does.
    """
    blocks = []
    for scope in performance.scopes:
        curve, equity = scope.sample.curve, scope.sample.equity
        top = peaks(scope.sample)
        block: Columns = {
            "time": as_times(curve["ts"]),
            "scope": np.full(len(curve), scope.kind, object),
            "name": np.full(len(curve), scope.name, object),
            "equity": equity / CASH_SCALE,
            **{name: curve[name] / CASH_SCALE for name in CURVE_COLUMNS},
            "drawdown": np.divide(equity - top, top, out=np.full(len(curve), np.nan), where=top > 0),
        }
        blocks.append(block)
    return frame_of({name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}, library)


def as_times(ts: npt.NDArray[np.int64]) -> npt.NDArray[np.datetime64]:
    return ts.astype("datetime64[ns]")


def frame_of(columns: Mapping[str, npt.NDArray[Any]], library: Library) -> Frame:
    """A frame of these columns; those of datetimes are in UTC.

    Raises
    ------
    FrameError
        As ``trades_frame`` does.
    """
    if library not in LIBRARIES:
        raise FrameError(f"unknown library {library!r}: use {' or '.join(LIBRARIES)}")
    try:
        made = import_module(library)
    except ImportError as error:
        raise FrameError(f"a frame of {library} needs it ({error}): pip install 'zoms[frames]'") from None
    frame = made.DataFrame({name: made.Series(_plain(column)) for name, column in columns.items()})
    for name in (name for name, column in columns.items() if column.dtype.kind == "M"):
        if library == "pandas":
            frame[name] = frame[name].dt.tz_localize("UTC")
        else:
            frame = frame.with_columns(made.col(name).dt.replace_time_zone("UTC"))
    return frame


def _plain(column: npt.NDArray[Any]) -> Any:
    """Texts as a list, of which both libraries make columns of texts."""
    return [str(each) for each in column.tolist()] if column.dtype.kind == "O" else column
