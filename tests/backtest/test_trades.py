"""The log of trades, against one that is kept fill by fill in exact fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from backtest.ledger import NO_STRATEGY, ledger_of
from backtest.market import Rows
from backtest.trades import trades_of
from oms.records import CASH_SCALE, EventKind, Liquidity, ReportKind
from tests.backtest.runs import KINDS, LOWEST_PX, STEPS, Run, Step, run_of
from tests.oms.core.builders import BUY, SELL, report, time_tick


def trades_in(run: Run) -> Rows:
    ledger = ledger_of(run.rig.events, [run.instrument], run.mark_rows, run.fifo_accounts)
    return trades_of(ledger, {0: run.instrument}, np.ones(ledger.points.shape))


def expected_trips(events: Rows, owner: int) -> list[dict[str, Any]]:
    """The trades of one owner, its fills taken one lot at a time."""
    trips: list[dict[str, Any]] = []
    held = 0
    for fill in events[(events["kind"] == EventKind.ORDER_FILLED) & (events["strategy"] == owner)]:
        side, px, lots, fee = (int(fill[name]) for name in ("side", "last_px", "last_qty", "fees"))
        closing = min(lots, abs(held)) if held * side < 0 else 0
        part_fee = round(Fraction(fee * closing, lots))
        for lot in range(lots):
            if held == 0:
                opening = {"side": side, "entry": [], "exit": [], "maker": 0, "fees": 0, "fills": set()}
                trips.append({**opening, "start": int(fill["ts"])})
            trip = trips[-1]
            part = "exit" if held * side < 0 else "entry"
            trip[part].append(px)
            trip["maker"] += int(fill["liquidity"] == Liquidity.MAKER)
            trip["fees"] += (part_fee if closing else 0) if lot == 0 else 0
            trip["fees"] += fee - part_fee if lot == closing else 0
            trip["fills"].add((int(fill["seq"]), part))
            held += side
            trip["end"] = int(fill["ts"]) if held == 0 else None
    return trips


def average(prices: list[int], *, inverse: bool) -> int:
    """The mean price of single lots in 1e-8 ticks, for an inverse contract the harmonic mean; 0: there is none."""
    if not prices:
        return 0
    mean = len(prices) / sum(Fraction(1, px) for px in prices) if inverse else Fraction(sum(prices), len(prices))
    return round(mean * CASH_SCALE)


@settings(max_examples=20)
@given(name=some.sampled_from(KINDS), steps=STEPS, fifo=some.booleans())
def test_trades_are_those_that_are_counted_lot_by_lot(name: str, steps: list[Step], fifo: bool) -> None:
    run = run_of(name, [step._replace(qty=step.qty % 50) for step in steps], fifo=fifo)
    trades = trades_in(run)
    for owner in range(NO_STRATEGY, 2):
        mine = np.sort(trades[trades["owner"] == owner], order=["entry_ts", "exit_ts"])
        expected = expected_trips(run.rig.events, owner)
        assert len(mine) == len(expected)
        for trade, trip in zip(mine, expected, strict=True):
            assert trade["side"] == trip["side"]
            assert trade["entry_ts"] == trip["start"]
            assert bool(trade["is_open"]) == (trip["end"] is None)
            assert trade["exit_ts"] == (trip["end"] or run.mark_rows["ts"][-1])
            assert (trade["qty"], trade["closed_qty"]) == (len(trip["entry"]), len(trip["exit"]))
            assert trade["maker_qty"] == trip["maker"]
            assert trade["fees"] == trip["fees"]
            assert trade["fills"] == len(trip["fills"])
            for column, part in (("entry_px", "entry"), ("exit_px", "exit")):
                assert trade[column] == average(trip[part], inverse=run.instrument.inverse)


@settings(max_examples=20)
@given(name=some.sampled_from(KINDS), steps=STEPS, fifo=some.booleans())
def test_trades_add_up_to_the_positions(name: str, steps: list[Step], fifo: bool) -> None:
    """All PnL, fees and funding of a share are in its trades, each once."""
    run = run_of(name, steps, fifo=fifo)
    ledger = ledger_of(run.rig.events, [run.instrument], run.mark_rows, run.fifo_accounts)
    trades = trades_in(run)
    for owner in range(NO_STRATEGY, 2):
        mine = trades[trades["owner"] == owner]
        held = ledger.points[-1][ledger.rows_of(owner=owner)]
        assert mine["gross_pnl"].sum() == (held["realized_pnl"] + held["unrealized_pnl"]).sum()
        for name_of in ("fees", "funding"):
            assert mine[name_of].sum() == held[name_of].sum()
        assert np.array_equal(mine["net_pnl"], mine["gross_pnl"] - mine["fees"] + mine["funding"])
        assert (mine["side"] * (mine["qty"] - mine["closed_qty"])).sum() == held["qty"].sum()


@settings(max_examples=20)
@given(name=some.sampled_from(KINDS), steps=STEPS)
def test_closed_trades_are_the_same_under_fifo_but_for_what_each_fill_is_rounded_by(
    name: str, steps: list[Step]
) -> None:
    average_cost, fifo = (trades_in(run_of(name, steps, fifo=each)) for each in (False, True))
    assert average_cost["exit_ts"].tolist() == fifo["exit_ts"].tolist()
    closed = ~average_cost["is_open"]
    apart = np.abs(average_cost["gross_pnl"] - fifo["gross_pnl"])[closed]
    assert (apart <= 2 * average_cost["fills"][closed] + 2).all()


def test_excursions_are_the_worst_and_the_best_at_the_marks() -> None:
    steps = [
        Step(0, BUY, 100, 5, 0, True),
        Step(1, BUY, 40, 1, 0, True),
        Step(1, BUY, 180, 1, 0, True),
        Step(0, SELL, 120, 5, 0, True),
    ]
    trade = trades_in(run_of("linear", steps))[0]
    per_half_tick = 5_000 * 5
    assert trade["gross_pnl"] == 20 * 2 * per_half_tick
    assert trade["adverse_excursion"] == (-60 * 2 + 1) * per_half_tick
    assert trade["favourable_excursion"] == (80 * 2 + 1) * per_half_tick


def test_a_fill_that_turns_over_ends_one_trade_and_begins_the_next() -> None:
    run = run_of("linear", [Step(0, BUY, 100, 3, 30, True), Step(0, SELL, 110, 5, 51, False)])
    first, second = trades_in(run)
    assert (first["side"], first["is_open"], first["qty"], first["closed_qty"]) == (1, False, 3, 3)
    assert (second["side"], second["is_open"], second["qty"], second["closed_qty"]) == (-1, True, 2, 0)
    assert (first["fees"], second["fees"]) == (30 + 31, 20)
    assert first["exit_ts"] == second["entry_ts"]
    assert (first["maker_qty"], second["maker_qty"]) == (3, 0)
    assert first["entry_px"] == (LOWEST_PX + 100) * CASH_SCALE
    assert first["exit_px"] == second["entry_px"] == (LOWEST_PX + 110) * CASH_SCALE


def test_a_settlement_is_an_exit() -> None:
    run = run_of("linear_future", [Step(0, BUY, 100, 3, 30, True)])
    run.rig.ticks(time_tick())
    run.rig.reports(report(ReportKind.SETTLEMENT, 0, px=50_020 * CASH_SCALE))
    (trade,) = trades_in(run)
    assert not trade["is_open"]
    assert trade["exit_px"] == 500_200 * CASH_SCALE
    assert trade["exit_ts"] == run.rig.now
    assert trade["gross_pnl"] == 3 * 100 * 10_000


def test_trades_are_in_order_of_their_exits_and_open_ones_last() -> None:
    steps = [Step(0, BUY, 100, 3, 0, True), Step(1, BUY, 100, 2, 0, True), Step(1, SELL, 100, 2, 0, True)]
    run = run_of("linear", steps)
    trades = trades_in(run)
    assert trades["owner"].tolist() == [1, 0]
    assert trades["is_open"].tolist() == [False, True]
    assert trades["exit_ts"][1] == run.mark_rows["ts"][-1]
