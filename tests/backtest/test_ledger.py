"""A run's ledger is the core's own positions, at every mark and to the last unit."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from backtest.ledger import ACCOUNT, NO_STRATEGY, Ledger, LedgerError, ledger_of
from backtest.ledger_kernels import FILLED, FUNDING, SETTLED
from backtest.marks import MARK_SAMPLE
from oms.compiled import JIT
from oms.core.state import MAX_ACCOUNTS, define_account
from oms.records import EVENT, EventKind, OrderFlag, Reason, ReportKind, TradingState
from tests.backtest.runs import FIGURES, KINDS, STEPS, Run, Step, run_of
from tests.oms.core.builders import BID_PX, BUY, SECOND, SELL, fill, new_order, reason_of, record, report
from tests.oms.core.ledger import instrument_of

pytestmark = pytest.mark.pure

MOVES = [
    Step(0, BUY, 0, 5, 70, True),
    Step(-1, BUY, 10, 3, 30, False),
    Step(-1, BUY, 10, 0, 80, False),
    Step(0, SELL, 40, 8, 11, False),
    Step(1, SELL, 20, 2, 0, True),
]


def kept(run: Run) -> Ledger:
    return ledger_of(run.rig.events, [run.instrument], run.mark_rows, run.fifo_accounts)


def column(ledger: Ledger, owner: int) -> int | None:
    found = ledger.rows_of(owner=owner)
    return int(found[0]) if len(found) else None


@settings(max_examples=15 if JIT else 6)
@given(name=some.sampled_from(KINDS), steps=STEPS, fifo=some.booleans())
def test_every_position_is_the_cores_at_every_mark(name: str, steps: list[Step], fifo: bool) -> None:
    run = run_of(name, steps, fifo=fifo)
    ledger = kept(run)
    assert len(ledger.ts) == len(run.said)
    for scope in run.said[0]:
        at = column(ledger, ACCOUNT if scope == 0 else scope - MAX_ACCOUNTS)
        for said, point in zip(run.said, ledger.points, strict=True):
            expected = {each: said[scope][each] for each in FIGURES}
            assert {each: 0 if at is None else int(point[at][each]) for each in FIGURES} == expected


@settings(max_examples=15 if JIT else 6)
@given(name=some.sampled_from(KINDS), steps=STEPS, fifo=some.booleans())
def test_shares_together_are_the_account(name: str, steps: list[Step], fifo: bool) -> None:
    """Quantity and fees exactly; PnL but for what each share is rounded by on its own."""
    ledger = kept(run_of(name, steps, fifo=fifo))
    whole = ledger.rows_of(owner=ACCOUNT)
    shares = np.setdiff1d(np.arange(len(ledger.keys)), whole)
    for point in ledger.points:
        for figure in ("qty", "fees"):
            assert point[figure][whole].sum() == point[figure][shares].sum()
        pnl = point["realized_pnl"] + point["unrealized_pnl"]
        assert abs(int(pnl[whole].sum() - pnl[shares].sum())) <= 4 * len(steps) + 4


def test_fills_are_of_the_account_and_of_one_share() -> None:
    ledger = kept(run_of("linear", MOVES))
    assert ledger.keys["owner"].tolist() == [ACCOUNT, NO_STRATEGY, 0, 1]
    fills = ledger.moves[ledger.moves["kind"] == FILLED]
    assert fills["position"].tolist() == [0, 2, 0, 1, 0, 2, 0, 3]
    assert fills["closed_qty"].tolist() == [0, 0, 0, 0, 8, 5, 0, 0]
    assert fills["position_qty"].tolist() == [5, 5, 8, 3, 0, -3, -2, -2]


def test_funding_is_shared_by_quantity() -> None:
    ledger = kept(run_of("linear", MOVES))
    paid = ledger.moves[ledger.moves["kind"] == FUNDING]
    assert dict(zip(paid["position"].tolist(), paid["funding"].tolist(), strict=True)) == {0: -80, 1: -30, 2: -50, 3: 0}


def test_legs_and_accounts_are_positions_of_their_own() -> None:
    run = Run(instrument_of("linear"))
    rig = run.rig
    rig.s["accounts"]["hedging"][0] = 1
    define_account(rig.st, 1, TradingState.ACTIVE)
    rig.s["limits"][1] = rig.s["limits"][0]
    orders: list[tuple[int, int, dict[str, int]]] = [
        (BUY, 5, {}),
        (SELL, 3, {"flags": OrderFlag.SHORT_LEG}),
        (SELL, 2, {"account": 1}),
    ]
    for number, (side, qty, fields) in enumerate(orders, start=1):
        assert reason_of(rig.commands(new_order(number, side, BID_PX, qty, **fields))) == Reason.NONE
        rig.reports(fill(number, qty, 500_000 + number, side=side, trade_id=number))
    rig.reports(report(ReportKind.FUNDING, 0, fee=11, flags=OrderFlag.SHORT_LEG))
    rig.reports(report(ReportKind.FUNDING, 0, fee=7, account=1))
    ledger = kept(run)
    assert ledger.keys.tolist() == [
        (account, owner, 0, leg) for owner in (ACCOUNT, NO_STRATEGY) for account, leg in ((0, 0), (0, 1), (1, 0))
    ]
    last = ledger.points[-1]
    assert last["qty"].tolist() == [5, -3, -2] * 2
    assert last["funding"].tolist() == [0, -11, -7] * 2
    for column, (account, leg) in enumerate([(0, 0), (0, 1), (1, 0)]):
        position = rig.s["positions"][account, 0, leg]
        assert [last[name][column] for name in ("qty", "fees", "funding")] == [
            position[name] for name in ("qty", "fees", "funding")
        ]


def test_a_settlement_closes_the_account_and_its_shares() -> None:
    run = run_of("linear_future", MOVES[:2])
    price = 60_123 * 10**8
    run.rig.reports(report(ReportKind.SETTLEMENT, 0, px=price, fee=9))
    ledger = kept(run)
    settled = ledger.moves[ledger.moves["kind"] == SETTLED]
    assert settled["position_qty"].tolist() == [0, 0, 0]
    assert settled["fee"].tolist() == [9, 0, 0]
    positions = run.rig.s["positions"]
    for row, scope in ((0, 0), (2, MAX_ACCOUNTS)):
        assert ledger.points[-1][row]["realized_pnl"] == positions[scope, 0, 0]["realized_pnl"]
    assert ledger.points[-1]["unrealized_pnl"].tolist() == [0, 0, 0]


def test_a_settlement_of_nothing_still_costs_its_fee() -> None:
    run = run_of("linear_future", [Step(0, BUY, 0, 5, 70, True), Step(0, SELL, 0, 5, 0, True)])
    run.rig.reports(report(ReportKind.SETTLEMENT, 0, px=60_123 * 10**8, fee=9))
    ledger = kept(run)
    assert ledger.points[-1]["fees"].tolist() == [79, 70]
    assert run.rig.s["positions"][0, 0, 0]["fees"] == 79


def test_a_move_behind_the_last_mark_is_a_point_of_its_own() -> None:
    run = run_of("linear", MOVES[:1])
    ledger = ledger_of(run.rig.events, [run.instrument], run.mark_rows[:2])
    assert ledger.ts[-1] == run.rig.events["ts"][-1]
    assert ledger.points[-1]["qty"].tolist() == [5, 5]
    assert ledger.half_ticks[-1].tolist() == [int(run.mark_rows["half_ticks"][0])] * 2


def test_a_mark_that_is_not_known_is_the_last_one_that_was() -> None:
    run = run_of("linear", MOVES[:1])
    later = record(MARK_SAMPLE, ts=run.rig.now + SECOND)
    ledger = ledger_of(run.rig.events, [run.instrument], np.concatenate([run.mark_rows, later]))
    assert ledger.points[-1].tolist() == ledger.points[-2].tolist()
    assert ledger.points[-1]["value"][0] > 0


def test_a_run_without_trades_has_no_positions() -> None:
    run = run_of("linear", [])
    ledger = kept(run)
    assert (len(ledger.keys), len(ledger.moves), ledger.points.shape) == (0, 0, (1, 0))


def test_an_adopted_position_is_refused() -> None:
    run = run_of("linear", MOVES[:1])
    run.rig.reports(report(ReportKind.POSITION, 0, px=500_000, qty=3))
    with pytest.raises(LedgerError, match="a position was adopted"):
        kept(run)


def test_another_version_of_the_instrument_is_refused() -> None:
    run = run_of("linear", MOVES[:1])
    newer = msgspec.structs.replace(run.instrument, version=2)
    with pytest.raises(LedgerError, match="LINEAR was traded in version 1, not in version 2"):
        ledger_of(run.rig.events, [newer], run.mark_rows)


def test_an_instrument_that_is_not_given_is_named() -> None:
    filled = record(EVENT, kind=EventKind.ORDER_FILLED, instrument=7, side=1, last_px=1, last_qty=1)
    with pytest.raises(LedgerError, match="instrument 7 was traded"):
        ledger_of(filled, [instrument_of("linear")], np.zeros(0, MARK_SAMPLE))
