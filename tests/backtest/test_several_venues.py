"""One order over two venues in a backtest: it meets both markets as they were, and takes from each what costs least."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from backtest.algorithm import PARENT_ID, ParentRequest, ParentRun, first_row, records_of, run_parent
from backtest.execution import execution_report
from backtest.run import Backtest, BacktestError, Orders, run_backtest
from oms.algorithms import AlgorithmError, read_algorithms
from oms.instruments import Instrument
from oms.records import ALGORITHM_CLIENT, ORDER_ID_COUNTER_BITS, EventKind, Liquidity, OrderState, TickKind
from tests.backtest.test_run import demo_settings, demo_ticks
from tests.backtest.venue import MS, settings_of

Rows = npt.NDArray[np.void]

LAG_NS: Final = 40 * MS
"""How far the second venue, a copy of the recorded one, is behind it."""
DEARER_TICKS: Final = 7
START_S: Final = 2.0
QTY: Final = "30"
SIDES: Final = {"buy": 1, "sell": -1}


@cache
def venues() -> tuple[Instrument, Instrument]:
    recorded = demo_settings().instrument("BTCUSDT.binance_usdm")
    home = msgspec.structs.replace(recorded, id=0, base="BTC", taker_fee_rate="0.0004", maker_fee_rate="0.0002")
    return home, msgspec.structs.replace(home, id=1, venue="other", taker_fee_rate="0.00039")


@cache
def merged_ticks() -> Rows:
    """Both venues' records in order of time; those of one message stay together."""
    first, second = demo_ticks().copy(), demo_ticks().copy()
    second["instrument"] = 1
    second["local_ts"] += LAG_NS
    priced = (second["kind"] == TickKind.DEPTH) | (second["kind"] == TickKind.TRADE)
    second["px"][priced & (second["px"] > 0)] += DEARER_TICKS
    snapshot = second["kind"] == TickKind.SNAPSHOT
    second["px"][snapshot & (second["px"] > 0)] += DEARER_TICKS
    both = np.concatenate((first, second))
    ordered: Rows = both[np.argsort(both["local_ts"], kind="stable")]
    return ordered


def start_row() -> int:
    return max(first_row(merged_ticks(), each, START_S) for each in venues())


@cache
def ran(side: str, price: str | None = None) -> ParentRun:
    home, other = venues()
    request = ParentRequest("sor", side, QTY, price, start_s=START_S)
    return run_parent(settings_of(home, other), merged_ticks(), home, request)


def books_at(row: int) -> dict[int, dict[tuple[int, int], int]]:
    """Lots by side and price of both venues before a row, told from the records alone."""
    books: dict[int, dict[tuple[int, int], int]] = {0: {}, 1: {}}
    for tick in merged_ticks()[:row]:
        book = books[int(tick["instrument"])]
        if tick["kind"] == TickKind.SNAPSHOT and tick["flags"] & 1:
            book.clear()
        if tick["kind"] in (TickKind.SNAPSHOT, TickKind.DEPTH) and tick["side"] != 0:
            book[int(tick["side"]), int(tick["px"])] = int(tick["qty"])
    return books


def cheapest_lots(side: int, lots: int) -> Counter[tuple[int, int]]:
    """Venue and price of the lots that cost least with the fee, of what both displayed at the start."""
    offers = []
    for number, book in books_at(start_row()).items():
        fee = float(venues()[number].taker_fee_rate)
        offers += [(side * px + px * fee, number, px, qty) for (of, px), qty in book.items() if of == -side and qty > 0]
    found: Counter[tuple[int, int]] = Counter()
    for _, number, px, qty in sorted(offers):
        found[number, px] += min(qty, lots - found.total())
        if found.total() == lots:
            break
    return +found


def far_limit() -> int:
    """A limit for a sell that the market does not reach at once, in ticks."""
    return max(px for (side, px), qty in books_at(start_row())[0].items() if side > 0 and qty > 0) + 30


def fills_of_children(backtest: Backtest) -> Any:
    fills = backtest.fills
    return fills[fills["order_id"] >> ORDER_ID_COUNTER_BITS == ALGORITHM_CLIENT]


@pytest.mark.parametrize("side", list(SIDES))
def test_what_is_taken_first_is_the_cheapest_of_both_books(side: str) -> None:
    fills = fills_of_children(ran(side).backtest)
    first = fills[fills["ts"] == fills["ts"][0]]
    taken: Counter[tuple[int, int]] = Counter()
    for fill in first:
        taken[int(fill["instrument"]), int(fill["last_px"])] += int(fill["last_qty"])
    assert set(taken) == set(cheapest_lots(SIDES[side], taken.total()))
    assert taken == cheapest_lots(SIDES[side], taken.total())
    assert {number for number, _ in taken} == {0, 1}


@pytest.mark.parametrize("side", list(SIDES))
def test_the_whole_order_is_filled_over_both_and_never_more(side: str) -> None:
    run = ran(side)
    events = run.backtest.events
    fills = fills_of_children(run.backtest)
    target = run.parent.target_qty
    assert (run.state, int(fills["last_qty"].sum())) == (OrderState.FILLED, target)
    assert not (events["kind"] == EventKind.ORDER_REFUSED).any()
    positions = run.backtest.core.st[0]["positions"][0, :2, 0]["qty"]
    assert int(positions.sum()) == SIDES[side] * target
    assert (positions != 0).all()


def test_an_order_beyond_the_market_rests_and_takes_on_both_venues_within_its_limit() -> None:
    limit = far_limit()
    run = ran("sell", venues()[0].px_from_ticks(limit))
    fills = fills_of_children(run.backtest)
    assert (run.state, int(fills["last_qty"].sum())) == (OrderState.FILLED, run.parent.target_qty)
    assert (fills["last_px"] >= limit).all()
    assert set(fills["liquidity"].tolist()) == {Liquidity.MAKER, Liquidity.TAKER}
    assert set(fills["instrument"].tolist()) == {0, 1}


def test_the_other_venue_alone_lets_an_order_go_on_whose_own_book_is_not_there() -> None:
    home, other = venues()
    ticks = merged_ticks()
    alone = ticks[ticks["instrument"] == other.id]
    request = ParentRequest("sor", "buy", "1", start_s=START_S)
    terms, command = records_of(request, read_algorithms(())["sor"], home, [other])
    at = first_row(alone, other, START_S)
    done = run_backtest(settings_of(home, other), alone, orders=Orders(at, terms, command))
    assert set(fills_of_children(done)["instrument"].tolist()) == {other.id}
    whole = done.core.st[0]["orders"]
    (order,) = whole[whole["order_id"] == PARENT_ID]
    assert order["state"] == OrderState.FILLED


def test_the_order_is_measured_by_the_market_of_both() -> None:
    home, _ = venues()
    run = ran("sell", home.px_from_ticks(far_limit()))
    market = run.measure.market(merged_ticks())
    report = execution_report(run.parent, market)
    assert (report.completion, report.filled, report.children) == ("1", "30.000", run.parent.children)
    assert sum(float(each.filled) for each in report.venues) == pytest.approx(30)
    assert [each.symbol for each in report.venues] == ["BTCUSDT.binance_usdm", "BTCUSDT.other"]
    assert set(report.absent) <= {"pov", "schedule_deviation"}
    books = books_at(start_row())
    bid = max(px for book in books.values() for (of, px), qty in book.items() if of > 0 and qty > 0)
    ask = min(px for book in books.values() for (of, px), qty in book.items() if of < 0 and qty > 0)
    arrival = float(report.benchmark("arrival").price or "nan")
    assert arrival == pytest.approx((bid + ask) / 2 * float(home.tick))
    traded = merged_ticks()
    traded = traded[(traded["kind"] == TickKind.TRADE) & (traded["qty"] > 0)]
    inside = (traded["local_ts"] >= run.parent.start_ts) & (traded["local_ts"] <= run.parent.worked_until)
    assert report.market_qty == home.qty_from_lots(int(traded["qty"][inside].sum()))


def test_venues_can_be_named_and_an_order_may_stay_at_one() -> None:
    home, other = venues()
    chosen = settings_of(home, other)
    alone = run_parent(chosen, merged_ticks(), home, ParentRequest("sor", "buy", "1", start_s=START_S, venues=()))
    assert set(fills_of_children(alone.backtest)["instrument"].tolist()) == {0}
    assert alone.parent.venues == ()
    named = ParentRequest("sor", "buy", "1", start_s=START_S, venues=["BTCUSDT.other"])
    assert len(run_parent(chosen, merged_ticks(), home, named).parent.venues) == 2


@pytest.mark.parametrize(
    ("algorithm", "named", "error", "told"),
    [
        ("twap", ["BTCUSDT.other"], AlgorithmError, "algorithm twap trades at one venue: name no other"),
        ("sor", ["BTCUSDT.other", "BTCUSDT.other"], AlgorithmError, "name each instrument once"),
        ("sor", ["BTCUSDT.binance_usdm"], AlgorithmError, "the order's own not at all"),
        ("sor", ["BTCUSDT.quiet"], BacktestError, "no snapshot of BTCUSDT in the data"),
    ],
)
def test_venues_that_cannot_be_are_named(algorithm: str, named: list[str], error: type[Exception], told: str) -> None:
    home, other = venues()
    quiet = msgspec.structs.replace(other, id=2, venue="quiet")
    request = ParentRequest(algorithm, "buy", "1", start_s=START_S, venues=named)
    with pytest.raises(error, match=told):
        run_parent(settings_of(home, other, quiet), merged_ticks(), home, request)
