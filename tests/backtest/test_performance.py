"""Results as a whole: whose they are, what they say of too little data, and that they are the core's figures."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
import numpy as np
import pytest

from backtest.equity import EQUITY
from backtest.marks import DAY_NS, MARK_SAMPLE
from backtest.metrics import METRICS, Sample
from backtest.performance import (
    NO_STRATEGY_NAME,
    Performance,
    PerformanceReport,
    ScopeReport,
    months_of,
    performance_of,
    report_of,
    unique_names,
)
from backtest.trades import TRADE
from oms.config import Settings
from oms.core.state import MAX_ACCOUNTS
from oms.core.valuation import revalue
from oms.decimals import cash_text
from oms.records import CASH_SCALE, EVENT, EventKind
from tests.backtest.runs import DAY_START, long_run
from tests.backtest.test_run import demo_backtest, demo_settings
from tests.backtest.venue import instrument, settings_of

BALANCES: Any = {"binance_usdm.USDT": "1000000"}


@cache
def long_settings(count: int = 1, capital: str | None = None) -> Settings:
    instruments = [instrument(number) for number in range(count)]
    settings = settings_of(*instruments)
    account = msgspec.structs.replace(settings.accounts["paper"], balances=BALANCES)
    risk = {} if capital is None else {"capital": capital, "max_leverage": "3"}
    strategies = [{"file": "market_maker", "instrument": "TEST0", "risk": risk}]
    return settings_of(*instruments, accounts={"paper": msgspec.to_builtins(account)}, strategies=strategies)


@cache
def long_performance(days: int = 40, count: int = 1) -> Performance:
    settings = long_settings(count)
    return performance_of(settings, *long_run(days, *settings.instruments), ["market_maker"])


def figure(scope: ScopeReport, name: str) -> Any:
    return scope.metrics[name]


# The core's figures


def test_the_last_point_is_the_cores_to_the_last_unit() -> None:
    backtest = demo_backtest()
    performance = backtest.performance()
    s = backtest.core.st[0]
    for scope in (0, MAX_ACCOUNTS):
        revalue(s, scope)
    whole, strategy, traded = performance.scopes
    assert whole.sample.pnl == s["scopes"][0]["pnl"]
    assert strategy.sample.pnl == s["scopes"][MAX_ACCOUNTS]["pnl"]
    result = backtest.result.instruments[0]
    last = traded.sample.curve[-1]
    for name in ("realized_pnl", "unrealized_pnl", "fees"):
        assert cash_text(last[name]) == getattr(result, name)


def test_fills_are_those_of_the_result() -> None:
    backtest = demo_backtest()
    (whole, *_) = backtest.performance().scopes
    assert whole.figures.values["fills"] == backtest.result.fills
    fills = backtest.fills
    turnover = int((fills["last_px"] * fills["last_qty"]).sum()) * Decimal("0.0001")
    assert Decimal(str(whole.figures.values["turnover"])) == turnover


def test_the_events_of_a_run_give_the_same_results_again() -> None:
    assert report_of(demo_backtest().performance()) == report_of(demo_backtest().performance())


def test_a_strategy_that_failed_has_no_figures() -> None:
    from backtest.run import run_backtest
    from tests.backtest.test_run import demo_ticks
    from tests.backtest.venue import STRATEGIES

    chosen = demo_settings(strategies=[{"file": str(STRATEGIES / "failing.py"), "instrument": "BTCUSDT.binance_usdm"}])
    report = report_of(run_backtest(chosen, demo_ticks()).performance())
    assert report.failures[0].startswith("strategy failing failed at")
    for scope in (report.whole, *report.strategies, *report.instruments):
        assert set(scope.metrics.values()) == {None}
        assert set(scope.absent.values()) == {"a strategy failed: the run is not judged"}
        assert scope.months == ()


@pytest.mark.pure
def test_a_strategy_that_failed_leaves_no_slippage() -> None:
    settings = long_settings()
    progress = np.zeros(1, EVENT)
    progress["kind"], progress["order_id"], progress["ts"] = EventKind.PROGRESS, 77, DAY_START
    progress["strategy"], progress["side"], progress["filled_qty"] = -1, 1, 4
    progress["last_px"], progress["realized_pnl"] = 101 * CASH_SCALE, 100 * CASH_SCALE
    for failures in ([], ["strategy maker failed"]):
        performance = performance_of(
            settings, progress, np.zeros(0, MARK_SAMPLE), ["maker"], algorithms={77: "twap"}, failures=failures
        )
        assert len(performance.slippage) == (0 if failures else 1)


# Scopes


@pytest.mark.pure
def test_enough_data_have_every_figure_and_no_warning() -> None:
    report = report_of(long_performance())
    assert report.whole.absent == {}
    assert list(report.whole.metrics) == [metric.name for metric in METRICS]
    assert report.warnings == ()
    assert report.days == 40
    assert len(report.trades) == 120


@pytest.mark.pure
def test_too_little_data_are_said_to_be() -> None:
    report = report_of(long_performance(days=12))
    assert report.warnings == (
        "12 days of data and 120 closed trades are too few to judge a strategy: Sharpe and Sortino ratios need "
        "30 days and 100 trades",
    )
    assert figure(report.whole, "sharpe_ratio") is None
    assert "the data are 12 days long" in report.whole.absent["sharpe_ratio"]


@pytest.mark.pure
def test_instruments_add_up_to_the_whole() -> None:
    report = report_of(long_performance(count=3))
    assert [scope.name for scope in report.instruments] == [f"TEST{number}.binance_usdm" for number in range(3)]
    for name in ("net_pnl", "fees", "turnover", "trades", "fills"):
        parts = [Decimal(str(figure(scope, name))) for scope in report.instruments]
        assert sum(parts) == Decimal(str(figure(report.whole, name))), name
    assert [figure(scope, "trades") for scope in report.instruments] == [40, 40, 40]


@pytest.mark.pure
def test_fills_without_a_strategy_are_a_scope_of_their_own() -> None:
    settings = long_settings()
    events, marks = long_run(40, *settings.instruments)
    events["strategy"][::4] = -1
    report = report_of(performance_of(settings, events, marks, ["market_maker"]))
    assert [scope.name for scope in report.strategies] == ["market_maker", NO_STRATEGY_NAME]
    assert [figure(scope, "fills") for scope in report.strategies] == [180, 60]
    parts = [Decimal(figure(scope, "net_pnl")) for scope in report.strategies]
    assert abs(sum(parts) - Decimal(figure(report.whole, "net_pnl"))) < Decimal("0.0001")


@pytest.mark.pure
def test_returns_are_of_the_accounts_money_or_of_the_strategys_capital() -> None:
    events, marks = long_run(40, instrument())
    for capital, expected in ((None, "1000000"), ("5000", "5000")):
        report = report_of(performance_of(long_settings(1, capital), events, marks, ["market_maker"]))
        assert report.whole.capital == "1000000"
        assert report.strategies[0].capital == expected
        pnl = float(figure(report.strategies[0], "net_pnl"))
        assert figure(report.strategies[0], "total_return") == pytest.approx(pnl / float(expected))


@pytest.mark.pure
def test_a_currency_without_a_rate_is_said_to_count_nothing() -> None:
    strange = instrument(quote="XYZ", base="TEST")
    settings = settings_of(strange)
    performance = performance_of(settings, *long_run(2, strange, trips=3), [])
    assert "XYZ has no known worth: what was made in it counts as nothing" in performance.warnings
    assert "the balance of binance_usdm.XYZ has no known worth and is not in the capital" in performance.warnings
    assert performance.whole.sample.pnl == 0


@pytest.mark.pure
def test_a_run_without_data_is_empty() -> None:
    events, marks = long_run(1, instrument(), trips=1)
    report = report_of(performance_of(long_settings(), events[:0], marks[:0], ["market_maker"]))
    assert (report.ts, report.trades, report.instruments, report.whole.months) == ((), (), (), ())
    assert figure(report.whole, "net_pnl") == "0"


@pytest.mark.pure
def test_names_that_are_not_the_only_ones_get_their_numbers() -> None:
    assert unique_names(["a", "b", "a"]) == ("a 0", "b", "a 2")


# JSON


@pytest.mark.pure
def test_a_report_is_json_and_back() -> None:
    report = report_of(long_performance())
    assert msgspec.json.decode(msgspec.json.encode(report), type=PerformanceReport) == report


@pytest.mark.pure
def test_a_curve_has_a_row_for_each_time() -> None:
    report = report_of(long_performance())
    curve = report.whole.curve
    assert len(report.ts) == 40 * 24 + 1
    for name in curve.__struct_fields__:
        assert len(getattr(curve, name)) == len(report.ts)
    assert Decimal(curve.equity[-1]) == Decimal(report.whole.capital) + Decimal(figure(report.whole, "net_pnl"))


@pytest.mark.pure
def test_trades_are_in_text() -> None:
    trade = report_of(long_performance()).trades[0]
    assert (trade.strategy, trade.account, trade.symbol) == ("market_maker", "paper", "TEST0.binance_usdm")
    assert trade.side == "long"
    assert trade.holding_ns == trade.exit_ts - trade.entry_ts
    assert trade.exit_price is not None
    gross = (Decimal(trade.exit_price) - Decimal(trade.entry_price)) * Decimal(trade.qty)
    assert Decimal(trade.gross_pnl) == gross
    assert Decimal(trade.net_pnl) == gross - Decimal(trade.fees)
    assert Decimal(trade.adverse_excursion) <= 0 <= Decimal(trade.favourable_excursion)


# Months


def sample_by_day(pnl: list[int], start: int = DAY_START) -> Sample:
    curve = np.zeros(len(pnl), EQUITY)
    curve["ts"] = start + DAY_NS * np.arange(len(pnl))
    curve["pnl"] = pnl
    return Sample(100 * CASH_SCALE, curve, np.zeros(0, TRADE), 0, 0, 0)


@pytest.mark.pure
def test_a_month_ends_at_the_midnight_that_begins_the_next() -> None:
    pnl = [0] * 31 + [10 * CASH_SCALE] + [20 * CASH_SCALE] * 29 + [32 * CASH_SCALE]
    january, february, march = months_of(sample_by_day(pnl))
    months = (january, february, march)
    assert [(each.month, each.pnl) for each in months] == [("2024-01", "10"), ("2024-02", "10"), ("2024-03", "12")]
    assert [each.total_return for each in months] == pytest.approx([0.1, 1 / 11, 0.1])


@pytest.mark.pure
def test_months_together_are_the_whole() -> None:
    report = report_of(long_performance(days=70))
    assert len(report.whole.months) == 3
    assert sum(Decimal(each.pnl) for each in report.whole.months) == Decimal(figure(report.whole, "net_pnl"))
    growth = np.prod([1 + (each.total_return or 0) for each in report.whole.months])
    assert growth - 1 == pytest.approx(figure(report.whole, "total_return"))


@pytest.mark.pure
def test_a_month_that_begins_without_money_has_no_return() -> None:
    pnl = [0] * 31 + [-100 * CASH_SCALE] * 2
    assert months_of(sample_by_day(pnl))[1].total_return is None
