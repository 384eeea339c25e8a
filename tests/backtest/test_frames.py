"""Frames of pandas and polars: one row each, the same figures in both."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from backtest.frames import FrameError, Library, equity_frame, fills_frame, trades_frame
from backtest.performance import performance_of, report_of
from oms.records import CASH_SCALE
from tests.backtest.runs import long_run
from tests.backtest.test_performance import long_performance, long_settings

FRAMES = (trades_frame, fills_frame, equity_frame)


@pytest.mark.parametrize("make", FRAMES)
def test_both_libraries_have_the_same_columns_and_values(make: Any) -> None:
    one, other = make(long_performance(), "pandas"), make(long_performance(), "polars")
    assert isinstance(one, pd.DataFrame)
    assert isinstance(other, pl.DataFrame)
    assert list(one.columns) == other.columns
    for name in one.columns:
        left, right = one[name].tolist(), other[name].to_list()
        if name.endswith("time"):
            assert str(one[name].dtype) == "datetime64[ns, UTC]"
            assert other[name].dtype == pl.Datetime("ns", "UTC")
            assert [each.value for each in one[name]] == other[name].dt.epoch("ns").to_list()
        else:
            assert left == right


def test_trades_are_those_of_the_report() -> None:
    frame: Any = trades_frame(long_performance())
    trades = report_of(long_performance()).trades
    assert frame["net_pnl"].tolist() == [float(each.net_pnl) for each in trades]
    assert [each.value for each in frame["entry_time"]] == [each.entry_ts for each in trades]
    assert frame["side"].tolist() == [each.side for each in trades]


def test_an_open_trade_without_an_exit_has_no_exit_price() -> None:
    settings = long_settings()
    events, marks = long_run(2, *settings.instruments, trips=3)
    frame: Any = trades_frame(performance_of(settings, events[:-1], marks, ["market_maker"]))
    assert frame["is_open"].tolist() == [False, False, True]
    assert np.isnan(frame["exit_price"].tolist()[-1])


def test_fills_are_those_of_the_events() -> None:
    settings = long_settings(2)
    events, marks = long_run(40, *settings.instruments)
    frame: Any = fills_frame(performance_of(settings, events, marks, ["market_maker"]))
    assert [each.value for each in frame["time"]] == events["ts"].tolist()
    assert frame["order_id"].tolist() == events["order_id"].tolist()
    assert frame["price"].tolist() == events["last_px"].astype(float).tolist()
    assert frame["fee"].tolist() == (events["fees"] / CASH_SCALE).tolist()
    assert frame["position"].iloc[-1] == 0
    assert set(frame["strategy"]) == {"market_maker"}
    assert set(frame["symbol"]) == {"TEST0.binance_usdm", "TEST1.binance_usdm"}


def test_equity_has_a_row_for_each_time_of_each_scope() -> None:
    frame: Any = equity_frame(long_performance())
    report = report_of(long_performance())
    assert len(frame) == 3 * len(report.ts)
    whole = frame[frame["scope"] == "whole"]
    assert whole["equity"].tolist() == [float(each) for each in report.whole.curve.equity]
    assert whole["drawdown"].min() == pytest.approx(report.whole.metrics["max_drawdown"])


@pytest.mark.parametrize("make", FRAMES)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_run_without_trades_has_frames_too(make: Any, library: Library) -> None:
    settings = long_settings()
    events, marks = long_run(1, *settings.instruments, trips=1)
    frame = make(performance_of(settings, events[:0], marks, ["market_maker"]), library)
    assert len(frame) == (0 if make is not equity_frame else 50)
    assert list(frame.columns) == list(make(long_performance(), library).columns)


def test_another_library_is_refused() -> None:
    with pytest.raises(FrameError, match="unknown library 'dask': use pandas or polars"):
        trades_frame(long_performance(), "dask")  # type: ignore[arg-type]


def test_a_library_that_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(FrameError, match=r"a frame of polars needs it .*pip install 'zoms\[frames\]'"):
        trades_frame(long_performance(), "polars")
