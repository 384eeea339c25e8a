"""The execution report: every figure by hand, by an independent model, and where a figure does not exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest

from backtest.execution import Cost, Deviation, ExecutionReport, Shortfall, execution_report
from backtest.market import Market, market_of
from backtest.parent_order import FILL, ExecutionError, ParentOrder, fills_of
from gateways.recording import load_ticks
from oms.config import load_settings
from oms.records import EVENT, EventKind, Liquidity
from tests.backtest.executions import (
    INVERSE,
    MAKER,
    TAKER,
    fills_from,
    market_from,
    parent_of,
    schedule_from,
    touch,
    traded,
)
from tests.oms.core.builders import BUY, SELL

DEMO: Final = Path(__file__).resolve().parents[2] / "gateways/recordings/usdm_btcusdt_20240808_60s.gz"
MID_PX: Final = 200
SIDES: Final = pytest.mark.parametrize("side", [BUY, SELL])
BENCHMARKS: Final = ("arrival", "twap", "vwap", "pov", "last_mid")


def mirrored(side: int, px: int) -> int:
    """A buy's price seen from ``side``: as far on the other side of the arrival price."""
    return MID_PX + side * (px - MID_PX)


def moving_market(side: int = BUY) -> Market:
    """From an arrival price of 200 ticks the mid goes to 204, against the order; the market trades on the way."""
    return market_from(
        touch(0, MID_PX),
        traded(5, mirrored(side, 300), 999),
        traded(20, mirrored(side, 201), 30),
        touch(60, mirrored(side, 204)),
        traded(70, mirrored(side, 205), 10),
        traded(130, mirrored(side, 209), 40),
    )


def half_done(side: int = BUY, **others: Any) -> ParentOrder:
    """10 of 20 lots are filled: 6 at 201 as a maker for 0.1 and 4 at 205 as a taker for 0.2."""
    fills = [(80, mirrored(side, 205), 4, 20_000_000, TAKER), (30, mirrored(side, 201), 6, 10_000_000, MAKER)]
    return parent_of(side, 20, fills, **others)


def prices(report: ExecutionReport) -> dict[str, str | None]:
    return {each.name: each.price for each in report.benchmarks}


def slippages(report: ExecutionReport) -> dict[str, str | None]:
    return {each.name: each.slippage_bps for each in report.benchmarks}


def test_order_and_its_fills_are_told() -> None:
    report = execution_report(half_done(limit_px=210, children=3), moving_market())
    assert (report.symbol, report.side, report.start_ts, report.end_ts) == ("COIN.somewhere", "buy", 10, 110)
    assert (report.target, report.filled, report.completion) == ("2.0", "1.0", "0.5")
    assert (report.limit_price, report.fills, report.children) == ("105.0", 2, 3)


def test_average_price_is_weighted_by_quantity() -> None:
    assert execution_report(half_done(), moving_market()).average_price == "101.3"


def test_benchmarks_are_those_of_the_market() -> None:
    assert prices(execution_report(half_done(), moving_market())) == {
        "arrival": "100",
        "twap": "101",
        "vwap": "101",
        "pov": "102.75",
        "last_mid": "102",
    }


def test_slippage_is_in_basis_points_of_each_benchmark() -> None:
    assert slippages(execution_report(half_done(), moving_market())) == {
        "arrival": "130",
        "twap": "29.703",
        "vwap": "29.703",
        "pov": "-141.1192",
        "last_mid": "-68.6275",
    }


@SIDES
def test_shortfall_is_what_filled_unfilled_and_fees_cost(side: int) -> None:
    assert execution_report(half_done(side), moving_market(side)).shortfall == Shortfall(
        execution=Cost(cash="1.3", bps="65"),
        opportunity=Cost(cash="2", bps="100"),
        fees=Cost(cash="0.3", bps="15"),
        total=Cost(cash="3.6", bps="180"),
    )


def test_sell_costs_what_the_mirrored_buy_costs() -> None:
    buy, sell = (execution_report(half_done(side), moving_market(side)) for side in (BUY, SELL))
    assert (sell.side, sell.average_price) == ("sell", "98.7")
    assert sell.benchmark("arrival").slippage_bps == buy.benchmark("arrival").slippage_bps == "130"
    assert prices(sell) == {"arrival": "100", "twap": "99", "vwap": "99", "pov": "97.25", "last_mid": "98"}


def test_shares_rates_and_fees() -> None:
    report = execution_report(half_done(), moving_market())
    assert (report.market_qty, report.participation_rate) == ("4.0", "0.25")
    assert (report.maker_share, report.fees, report.settlement) == ("0.6", "0.3", "USD")


def test_time_to_complete_is_that_of_the_last_fill() -> None:
    complete = half_done()._replace(target_qty=10)
    report = execution_report(complete, moving_market())
    assert (report.completion, report.time_to_complete_ns) == ("1", 70)
    assert "time_to_complete_ns" not in report.absent


def test_volume_counts_until_the_order_is_complete() -> None:
    early = parent_of(BUY, 6, [(30, 201, 6, 0, TAKER)])
    report = execution_report(early, moving_market())
    assert (report.market_qty, report.participation_rate) == ("3.0", "0.2")
    assert (report.benchmark("pov").price, report.benchmark("vwap").price) == ("100.5", "101")


def test_participation_takes_a_part_of_the_trade_that_reaches_the_target() -> None:
    report = execution_report(parent_of(BUY, 9, [(80, 205, 6, 0, TAKER)]), moving_market())
    assert report.participation_rate == "0.15"  # 60 lots: 30 at 201, 10 at 205 and 20 of the 40 at 209
    assert report.benchmark("pov").price == "102.166666665"


def test_participation_takes_less_than_a_lot_of_the_next_trade() -> None:
    report = execution_report(parent_of(BUY, 81, [(80, 205, 80, 0, TAKER)]), moving_market())
    assert report.benchmark("pov").price == "101.043209875"  # 30 lots at 201, 10 at 205 and half of one at 209


@SIDES
def test_largest_deviation_from_the_schedule(side: int) -> None:
    schedule = schedule_from([(10, 5), (40, 10), (70, 15), (100, 20), (200, 90)])
    report = execution_report(half_done(side, schedule=schedule), moving_market(side))
    assert report.schedule_deviation == Deviation(ts=100, qty="-1.0", share="-0.5")


def test_order_ahead_of_its_schedule() -> None:
    report = execution_report(half_done(schedule=schedule_from([(5, 0), (50, 5), (90, 9)])), moving_market())
    assert report.schedule_deviation == Deviation(ts=30, qty="0.6", share="0.3")


def test_fill_at_the_time_of_a_step_is_on_schedule() -> None:
    schedule = schedule_from([(30, 6), (80, 10)])
    report = execution_report(half_done(schedule=schedule), moving_market())
    assert report.schedule_deviation == Deviation(ts=10, qty="0.0", share="0")


def test_inverse_contract_has_the_harmonic_average_and_costs_in_coin() -> None:
    market = market_from(touch(0, 200), traded(20, 200, 6), traded(30, 240, 4), touch(60, 250))
    order = parent_of(BUY, 20, [(30, 200, 6, 0, MAKER), (80, 240, 4, 0, TAKER)], instrument=INVERSE)
    report = execution_report(order, market)
    assert report.average_price == report.benchmark("vwap").price == "107.142857145"  # 10 / (6/100 + 4/120)
    assert report.benchmark("twap").price == "112.5"
    assert report.shortfall == Shortfall(
        execution=Cost(cash="0.66666667", bps="333.3333"),  # 400 USD bought at 120 in place of 100
        opportunity=Cost(cash="2", bps="1000"),
        fees=Cost(cash="0", bps="0"),
        total=Cost(cash="2.66666667", bps="1333.3333"),
    )


def test_inverse_sell_costs_the_opposite_of_the_buy() -> None:
    market = market_from(touch(0, 200), touch(60, 250))
    fills = [(30, 200, 6, 0, MAKER), (80, 240, 4, 0, TAKER)]
    report = execution_report(parent_of(SELL, 20, fills, instrument=INVERSE), market)
    assert report.shortfall is not None
    assert (report.shortfall.execution.cash, report.shortfall.opportunity.cash) == ("-0.66666667", "-2")


def test_order_without_a_fill_has_only_an_opportunity_cost() -> None:
    report = execution_report(parent_of(BUY, 20), moving_market())
    assert (report.filled, report.completion, report.average_price, report.fees) == ("0.0", "0", None, "0")
    assert set(slippages(report).values()) == {None}
    assert prices(report) == {"arrival": "100", "twap": "101", "vwap": "101", "pov": None, "last_mid": "102"}
    assert report.shortfall is not None
    assert report.shortfall.total == report.shortfall.opportunity == Cost(cash="4", bps="200")
    nothing = "nothing was filled"
    assert report.absent == {
        "average_price": nothing,
        "pov": nothing,
        "participation_rate": nothing,
        "maker_share": nothing,
        "time_to_complete_ns": "the target was not reached",
        "schedule_deviation": "the order followed none",
    }


def test_interval_without_a_trade_has_no_volume_figures() -> None:
    report = execution_report(half_done(), market_from(touch(0, 200), traded(5, 200, 1)))
    assert (report.market_qty, report.participation_rate) == ("0.0", None)
    assert (report.benchmark("vwap").price, report.benchmark("pov").price) == (None, None)
    assert report.absent["vwap"] == "there was no trade between start and end"
    assert report.absent["pov"] == "the market traded nothing while the order was at work"
    assert report.benchmark("twap").price == "100"


def test_start_without_a_touch_has_no_arrival_price_and_no_shortfall() -> None:
    report = execution_report(half_done(), market_from(touch(60, 204)))
    assert (report.benchmark("arrival").price, report.shortfall) == (None, None)
    assert report.absent["arrival"] == report.absent["shortfall"] == "there was no touch at the start"
    assert (report.benchmark("twap").price, report.benchmark("last_mid").price) == ("102", "102")
    assert report.without_touch_ns == 50


def test_market_without_a_touch_has_no_mid() -> None:
    report = execution_report(half_done(), market_from(traded(20, 201, 30)))
    assert report.absent["twap"] == "there was no touch for any time between start and end"
    assert report.absent["last_mid"] == "there was no touch between start and end"
    assert report.without_touch_ns == 100
    assert report.benchmark("vwap").slippage_bps == "79.602"


def test_recording_that_ends_too_soon_has_no_participation_price() -> None:
    report = execution_report(half_done()._replace(target_qty=21), moving_market())
    assert report.benchmark("pov").price is None
    assert report.absent["pov"] == "the recording ends before the market has traded enough for the target"


def test_order_of_no_duration_has_the_mid_of_its_moment() -> None:
    report = execution_report(parent_of(BUY, 1, [(20, 201, 1, 0, TAKER)], start_ts=20, end_ts=20), moving_market())
    assert report.benchmark("arrival").price == report.benchmark("last_mid").price == "100"
    assert report.benchmark("twap").price is None
    assert (report.benchmark("vwap").price, report.time_to_complete_ns) == ("100.5", 0)


def test_report_as_json_is_the_report() -> None:
    report = execution_report(half_done(schedule=schedule_from([(10, 5)])), moving_market())
    assert msgspec.json.decode(msgspec.json.encode(report), type=ExecutionReport) == report


def test_benchmark_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        execution_report(half_done(), moving_market()).benchmark("close")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"side": 0}, "side 0 of the order in COIN"),
        ({"target_qty": 0}, "target 0 lots of COIN"),
        ({"target_qty": 9}, "fills of 10 lots of COIN are more than the target, 9 lots"),
        ({"end_ts": 9}, "ends at 9, before its start at 10"),
        ({"end_ts": 79}, "a fill of COIN at 80 is outside"),
        ({"start_ts": 31}, "a fill of COIN at 30 is outside"),
        ({"fills": fills_from([(20, 201, 0, 0, MAKER)])}, "no quantity or no price"),
        ({"fills": fills_from([(20, 0, 5, 0, MAKER)])}, "no quantity or no price"),
        ({"schedule": schedule_from([(20, 5), (19, 6)])}, "goes back in time"),
    ],
)
def test_execution_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ExecutionError, match=message):
        execution_report(half_done()._replace(**change), moving_market())


def test_fills_are_taken_from_events() -> None:
    events = np.zeros(3, EVENT)
    events["kind"] = [EventKind.ORDER_ACCEPTED, EventKind.ORDER_FILLED, EventKind.ORDER_FILLED]
    events["ts"], events["last_px"], events["last_qty"], events["fees"] = (
        [1, 2, 3],
        [0, 201, 202],
        [0, 5, 6],
        [0, 7, -8],
    )
    events["liquidity"] = [Liquidity.NONE, Liquidity.TAKER, Liquidity.MAKER]
    assert fills_of(events).tolist() == [(2, 201, 5, 7, TAKER), (3, 202, 6, -8, MAKER)]


def test_recorded_stream_is_measured() -> None:
    instrument = load_settings(None, {"replay": {"file": str(DEMO)}}).instrument("BTCUSDT.binance_usdm")
    market = market_of(instrument, load_ticks(DEMO, instrument, duration_s=20))
    inside = market.trades[(market.trades["ts"] >= market.mids["ts"][0])]
    start_ts, end_ts = int(inside["ts"][0]), int(inside["ts"][-1])
    fills = np.zeros(len(inside) // 10, FILL)
    for name in ("ts", "px", "qty"):
        fills[name] = inside[name][: 10 * len(fills) : 10]
    filled = int(fills["qty"].sum())
    report = execution_report(ParentOrder(instrument, BUY, 2 * filled, start_ts, end_ts, fills), market)
    assert report.without_touch_ns == 0
    assert report.market_qty == instrument.qty_from_lots(int(inside["qty"].sum()))
    average = np.average(inside["px"] * 0.1, weights=inside["qty"])
    assert float(str(report.benchmark("vwap").price)) == pytest.approx(average, rel=1e-12)
    assert float(str(report.average_price)) == pytest.approx(np.average(fills["px"] * 0.1, weights=fills["qty"]))
    assert abs(float(str(report.benchmark("vwap").slippage_bps))) < 5
    assert report.absent.keys() == {"pov", "time_to_complete_ns", "schedule_deviation"}
