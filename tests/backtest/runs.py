"""Runs whose events are the core's own, with the marks that were seen: for tests of a backtest's results."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
from hypothesis import strategies as some

from backtest.market import Rows
from backtest.marks import HOUR_NS, MARK_SAMPLE
from oms.core.book import mid_half_ticks
from oms.core.positions import unrealized_pnl
from oms.core.state import MAX_ACCOUNTS
from oms.core.valuation import revalue
from oms.currencies import Conversion, conversions, currencies_of
from oms.instruments import Instrument
from oms.money import define_money
from oms.records import EVENT, EventKind, Liquidity, Reason, ReportKind
from tests.oms.core.builders import (
    BID_PX,
    BUY,
    SELL,
    SPOT,
    Rig,
    fill,
    ignored,
    new_order,
    reason_of,
    report,
    snapshot,
    time_tick,
)
from tests.oms.core.ledger import TERMS, instrument_of

STRATEGIES: Final = 2
KINDS: Final = [name for name in TERMS if name != "spot"]
LOWEST_PX: Final = 500_000


class Step(NamedTuple):
    """A fill of an order of ``strategy`` (-1: none), or where ``qty`` is 0 a funding payment; then the mid moves."""

    strategy: int
    side: int
    px: int
    """Ticks above ``LOWEST_PX``, of the fill and of the bid after it."""
    qty: int
    paid: int
    """Cash: the fill's fee, or the funding."""
    is_maker: bool


STEPS: Final = some.lists(
    some.builds(
        Step,
        strategy=some.integers(-1, STRATEGIES - 1),
        side=some.sampled_from([BUY, SELL]),
        px=some.integers(0, 200_000),
        qty=some.one_of(some.integers(0, 4), some.integers(1, 900)),
        paid=some.integers(-(10**6), 10**6),
        is_maker=some.booleans(),
    ),
    max_size=20,
)

DAY_START: Final = 1_704_067_200_000_000_000
"""Midnight of 2024-01-01."""
REPORTING: Final = "USDT"
FIGURES: Final = ("qty", "realized_pnl", "fees", "funding", "unrealized_pnl")


class Run:
    """A core that trades one instrument, and what it says of its positions after each step."""

    def __init__(self, instrument: Instrument, *, fifo: bool = False) -> None:
        self.instrument = instrument
        self.fifo_accounts = {0} if fifo else set()
        self.rig = Rig(instruments=(instrument, SPOT))
        self.rig.s["accounts"]["fifo"][0] = int(fifo)
        self.rig.s["strategies_used"] = STRATEGIES
        self.rig.s["strategies"]["defined"][:STRATEGIES] = 1
        instruments = (instrument, SPOT)
        codes = currencies_of(instruments, REPORTING)
        even = dict.fromkeys(codes, Conversion(None, False, Decimal(1)))  # but for what has a price
        self.conversions = {**even, **conversions(instruments, REPORTING, {})}
        define_money(self.rig.st, instruments, self.rig.wallets, codes, self.conversions)
        self.rig.open_market(0, SPOT.id)
        self.rig.s["instruments"]["underlying"][0] = SPOT.id
        self.marks = [self._mark()]
        self.said: list[dict[int, dict[str, int]]] = [self._positions()]
        self.orders = 0

    def take(self, step: Step) -> None:
        rig = self.rig
        rig.ticks(time_tick())  # what comes now is not yet in the last mark
        if step.qty:
            self.orders += 1
            px = LOWEST_PX + step.px
            order = new_order(self.orders, step.side, BID_PX, step.qty, strategy=step.strategy)
            assert reason_of(rig.commands(order)) == Reason.NONE
            liquidity = Liquidity.MAKER if step.is_maker else Liquidity.TAKER
            terms = {"trade_id": self.orders, "fee_known": 1, "fee": step.paid, "liquidity": liquidity}
            assert ignored(rig.reports(fill(self.orders, step.qty, px, side=step.side, **terms))) == Reason.NONE
        else:
            assert ignored(rig.reports(report(ReportKind.FUNDING, 0, fee=step.paid))) == Reason.NONE
        bid = LOWEST_PX + step.px
        rig.ticks(snapshot(0, {bid: 1_000}, {bid + 1: 1_000}), snapshot(SPOT.id, {bid + 7: 1}, {bid + 9: 1}))
        self.marks.append(self._mark())
        self.said.append(self._positions())

    @property
    def mark_rows(self) -> Rows:
        return np.concatenate(self.marks)

    def _mark(self) -> Rows:
        marks = np.zeros(2, MARK_SAMPLE)
        marks["ts"] = self.rig.now
        marks["instrument"] = [0, SPOT.id]
        marks["half_ticks"] = [mid_half_ticks(self.rig.book(each)) for each in (0, SPOT.id)]
        return marks

    def _positions(self) -> dict[int, dict[str, int]]:
        """The figures of the account's position, and of each strategy's, by scope."""
        s = self.rig.s
        half_ticks = mid_half_ticks(self.rig.book())
        told = {}
        for scope in (0, *range(MAX_ACCOUNTS, MAX_ACCOUNTS + STRATEGIES)):
            position: Any = s["positions"][scope, 0, 0]
            told[scope] = {name: int(position[name]) for name in FIGURES[:-1]}
            revalue(s, scope)
            told[scope]["pnl"] = int(s["scopes"][scope]["pnl"])
            told[scope]["unrealized_pnl"] = int(unrealized_pnl(position, s["instruments"][0], half_ticks))
        return told


def run_of(name: str, steps: list[Step], *, fifo: bool = False) -> Run:
    """The run of these steps in an instrument of one of ``KINDS``."""
    run = Run(instrument_of(name), fifo=fifo)
    for step in steps:
        run.take(step)
    return run


def long_run(days: int, *instruments: Instrument, seed: int = 1, trips: int = 120) -> tuple[Rows, Rows]:
    """Events and marks of a strategy 0, which makes round trips in each instrument in turn, hour by hour."""
    rng = np.random.default_rng(seed)
    ts = DAY_START + HOUR_NS * np.arange(days * 24 + 1)
    marks, px = [], {}
    for instrument in instruments:
        px[instrument.id] = 60_000 + np.cumsum(rng.integers(-40, 42, len(ts)))
        rows = np.zeros(len(ts), MARK_SAMPLE)
        rows["ts"], rows["instrument"], rows["half_ticks"] = ts, instrument.id, 2 * px[instrument.id]
        marks.append(rows)
    fills = np.zeros(2 * trips, EVENT)
    at = np.sort(rng.choice(len(ts) - 1, 2 * trips, replace=False))
    number = np.arange(2 * trips) // 2 % len(instruments)
    fills["kind"] = EventKind.ORDER_FILLED
    fills["ts"] = ts[at] + 1
    fills["instrument"] = [instruments[each].id for each in number]
    fills["version"] = 1
    fills["order_id"] = np.arange(2 * trips) + 1
    fills["side"] = np.tile([1, -1, -1, 1], trips)[: 2 * trips]
    fills["last_px"] = [px[instruments[each].id][row] for each, row in zip(number, at, strict=True)]
    fills["last_qty"] = np.repeat(rng.integers(1, 9, trips), 2)
    fills["liquidity"] = rng.choice([Liquidity.MAKER, Liquidity.TAKER], 2 * trips)
    fills["fees"] = rng.integers(0, 10**8, 2 * trips)
    return fills, np.sort(np.concatenate(marks), order="ts", kind="stable")
