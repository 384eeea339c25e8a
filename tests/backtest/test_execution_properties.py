"""The execution report agrees with an independent model in every market and for every order."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate
from typing import Final, NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from backtest.execution import ExecutionReport, execution_report
from backtest.market import Market, market_of
from backtest.parent_order import ParentOrder
from oms.instruments import Instrument
from oms.records import TickKind
from tests.backtest.execution_model import Tape, figures, largest_deviation
from tests.backtest.executions import INVERSE, LINEAR, MAKER, TAKER, FillTuple, parent_of, schedule_from
from tests.oms.core.builders import BUY, SELL, depth, snapshot, tick, trade

MID_PX: Final = 100
"""Bids stay below it and asks above, so that no level hides another."""
LONGEST: Final = 60
"""ns that a market goes on at most."""

Step = tuple[str, int, int, int]
STEPS: Final = some.lists(
    some.tuples(
        some.sampled_from(["bid", "ask", "trade", "bid", "ask", "trade", "lost", "fresh"]),
        some.integers(0, 4),  # ns since the step before
        some.integers(1, 12),  # ticks from the middle
        some.integers(0, 4),  # lots
    ),
    max_size=30,
)


class Case(NamedTuple):
    parent: ParentOrder
    tape: Tape
    market: Market


def played(steps: list[Step], instrument: Instrument) -> tuple[Tape, Market]:
    """The same market twice: told to the model, and as ticks."""
    tape = Tape()
    ticks = []
    times = [min(ts, LONGEST) for ts in accumulate(step[1] for step in steps)]
    for ts, (what, _, away, qty) in zip(times, steps, strict=True):
        if what == "trade":
            tape.trade(ts, MID_PX + away - 6, qty + 1)
            ticks.append(trade(BUY, MID_PX + away - 6, qty + 1, ts=ts))
        elif what == "lost":
            tape.lose(ts)
            ticks.append(tick(TickKind.STALE, ts=ts))
        elif what == "fresh":
            tape.refresh(ts, {BUY: {MID_PX - away: 1}, SELL: {MID_PX + 1: qty} if qty else {}})
            ticks.append(snapshot(0, {MID_PX - away: 1}, {MID_PX + 1: qty} if qty else {}, ts=ts))
        else:
            side = BUY if what == "bid" else SELL
            tape.show(ts, side, MID_PX - side * away, qty)
            ticks.append(depth(side, MID_PX - side * away, qty, ts=ts))
    return tape, market_of(instrument, np.concatenate([np.zeros(0, tick(TickKind.TIME).dtype), *ticks]))


@some.composite
def cases(draw: some.DrawFn) -> Case:
    instrument = draw(some.sampled_from([LINEAR, INVERSE]))
    opening: list[Step] = draw(some.sampled_from([[], [("fresh", 0, 2, 1)]]))
    tape, market = played([*opening, *draw(STEPS)], instrument)
    start = draw(some.integers(0, LONGEST // 2))
    end = draw(some.integers(start, LONGEST))
    fill = some.tuples(
        some.integers(start, end),
        some.integers(90, 110),
        some.integers(1, 5),
        some.integers(-(10**6), 10**7),
        some.sampled_from([MAKER, TAKER]),
    )
    fills: list[FillTuple] = draw(some.lists(fill, max_size=6))
    unfilled = draw(some.integers(0, 9))
    target = sum(each[2] for each in fills) + unfilled
    steps = draw(some.lists(some.tuples(some.integers(0, LONGEST), some.integers(0, 30)), max_size=6))
    parent = parent_of(
        draw(some.sampled_from([BUY, SELL])),
        max(target, 1),
        fills,
        instrument=instrument,
        start_ts=start,
        end_ts=end,
        schedule=schedule_from(sorted(steps)),
    )
    return Case(parent, tape, market)


def told(report: ExecutionReport) -> dict[str, str | None]:
    """The figures of a report by the model's names."""
    plain = ("average_price", "participation_rate", "maker_share", "completion", "fees")
    found: dict[str, str | None] = {name: getattr(report, name) for name in plain}
    for each in report.benchmarks:
        found |= {each.name: each.price, f"{each.name}_bps": each.slippage_bps}
    costs = report.shortfall
    found["execution"] = costs.execution.cash if costs else None
    found["opportunity"] = costs.opportunity.cash if costs else None
    found["total"] = costs.total.cash if costs else None
    found["total_bps"] = costs.total.bps if costs else None
    return found


def rounded(name: str, number: Fraction, instrument: Instrument) -> Fraction:
    """A number of the model as the report rounds it: prices to 1e-8 ticks."""
    if name.endswith("_bps"):
        return round(number, 4)
    if name in ("average_price", "arrival", "twap", "vwap", "pov", "last_mid"):
        tick = Fraction(instrument.tick)
        return round(number / tick, 8) * tick
    return round(number, 8)


@given(cases())
def test_every_figure_is_the_models(case: Case) -> None:
    report = execution_report(case.parent, case.market)
    expected = figures(case.parent, case.tape)
    found = told(report)
    assert found.keys() == expected.keys()
    for name, number in expected.items():
        text = found[name]
        if number is None:
            assert text is None, name
        else:
            assert text is not None, name
            assert Fraction(text) == rounded(name, number, case.parent.instrument), name


@given(cases())
def test_a_figure_is_absent_with_its_reason_and_only_then(case: Case) -> None:
    report = execution_report(case.parent, case.market)
    missing = {each.name for each in report.benchmarks if each.price is None}
    optional = ("average_price", "shortfall", "participation_rate", "maker_share", "time_to_complete_ns")
    missing |= {name for name in optional if getattr(report, name) is None}
    assert report.absent.keys() == missing
    assert all(report.absent.values())


@given(cases())
def test_largest_deviation_is_that_of_any_moment(case: Case) -> None:
    deviation = execution_report(case.parent, case.market).schedule_deviation
    assert deviation is not None
    ts, lots = largest_deviation(case.parent)
    assert (deviation.ts, deviation.qty) == (ts, case.parent.instrument.qty_from_lots(lots))


@given(cases())
def test_order_of_fills_does_not_matter(case: Case) -> None:
    backwards = case.parent._replace(fills=case.parent.fills[::-1])
    assert execution_report(backwards, case.market) == execution_report(case.parent, case.market)


@given(cases())
def test_what_a_buy_pays_more_a_sell_gets_more(case: Case) -> None:
    """The same fills on the other side: every slippage and cost turns its sign, but for the fees."""
    buy, sell = (execution_report(case.parent._replace(side=side), case.market) for side in (BUY, SELL))
    for one, other in zip(buy.benchmarks, sell.benchmarks, strict=True):
        assert one.price == other.price
        assert (one.slippage_bps is None) == (other.slippage_bps is None)
        assert Fraction(one.slippage_bps or 0) == -Fraction(other.slippage_bps or 0)
    if buy.shortfall is not None and sell.shortfall is not None:
        assert Fraction(buy.shortfall.execution.cash) == -Fraction(sell.shortfall.execution.cash)
        assert Fraction(buy.shortfall.opportunity.cash) == -Fraction(sell.shortfall.opportunity.cash)
        assert buy.shortfall.fees == sell.shortfall.fees
    assert (buy.shortfall is None) == (sell.shortfall is None)
