"""Positions and PnL against exact fractions: quantity, cost, cash, realized and unrealized PnL, fees."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms import engine
from oms.core.events import MAX_POSITIONS, POSITIONS_OF_SCOPE
from oms.core.positions import fee_of
from oms.core.standing import standing
from oms.core.state import EVENT_RING, MAX_ACCOUNTS, MAX_STRATEGIES
from oms.decimals import rate
from oms.instruments import Instrument
from oms.records import CASH_SCALE, EventKind, Liquidity, OrderFlag, Reason, TickKind
from tests.oms.core import ledger
from tests.oms.core.builders import (
    BID_PX,
    BUY,
    FINE,
    PERPETUAL,
    SELL,
    SPOT,
    Rig,
    depth,
    fill,
    ignored,
    new_order,
    only,
    reason_of,
    snapshot,
    tick,
)
from tests.oms.core.ledger import TERMS, Model, instrument_of, units

WATCH = Path(__file__).parents[2] / "strategies" / "samples" / "watch.py"


class Fill(NamedTuple):
    side: int
    px: int
    qty: int
    liquidity: int
    venue_fee: int | None
    """Cash; None: the core computes it."""


FILLS = hs.lists(
    hs.builds(
        Fill,
        side=hs.sampled_from((BUY, SELL)),
        px=hs.integers(1, 2_000_000),
        qty=hs.one_of(hs.integers(1, 9), hs.integers(1, 100_000)),
        liquidity=hs.sampled_from((Liquidity.MAKER, Liquidity.TAKER)),
        venue_fee=hs.one_of(hs.none(), hs.integers(-(10**12), 10**12)),
    ),
    max_size=30,
)


class ModelPosition:
    """A position in exact arithmetic, rounded half to even just where the core says that it rounds."""

    def __init__(self, instrument: Instrument) -> None:
        self.cash_per_tick_lot = instrument.cash_per_tick_lot
        self.rates = {
            Liquidity.MAKER: Fraction(rate("maker", instrument.maker_fee_rate), CASH_SCALE),
            Liquidity.TAKER: Fraction(rate("taker", instrument.taker_fee_rate), CASH_SCALE),
        }
        self.qty = self.open_cost = self.cash = self.realized = self.fees = 0
        self.exact_cash = Fraction(0)

    def apply(self, trade: Fill) -> None:
        exact = trade.px * trade.qty * self.cash_per_tick_lot
        notional = round(exact)
        self.cash -= trade.side * notional
        self.exact_cash -= trade.side * exact
        rates = self.rates[Liquidity(trade.liquidity)]
        self.fees += round(notional * rates) if trade.venue_fee is None else trade.venue_fee
        qty = trade.qty
        if self.qty * trade.side < 0:
            closed = min(qty, abs(self.qty))
            cost = round(Fraction(self.open_cost * closed, abs(self.qty)))
            self.realized += round((-trade.side * trade.px * closed - cost) * self.cash_per_tick_lot)
            self.open_cost -= cost
            self.qty += trade.side * closed
            qty -= closed
        self.qty += trade.side * qty
        self.open_cost += trade.side * qty * trade.px


@pytest.mark.pure
@pytest.mark.parametrize("instrument", [PERPETUAL, SPOT, FINE], ids=lambda each: each.symbol + each.kind)
@given(fills=FILLS, bid=hs.integers(1, 2_000_000), spread=hs.integers(1, 9))
def test_position_is_what_exact_arithmetic_gives(
    instrument: Instrument, fills: list[Fill], bid: int, spread: int
) -> None:
    rig = Rig()
    rig.open_market()
    rig.s["instruments"]["min_notional"] = 0
    model = ModelPosition(instrument)
    for number, trade in enumerate(fills, start=1):
        order = new_order(number, trade.side, qty=10**6, instrument=instrument.id)
        assert reason_of(rig.commands(order)) == Reason.NONE
        known = {"fee_known": 1, "fee": trade.venue_fee} if trade.venue_fee is not None else {}
        events = rig.reports(
            fill(number, trade.qty, trade.px, side=trade.side, trade_id=number, liquidity=trade.liquidity, **known)
        )
        model.apply(trade)
        event = only(events, EventKind.POSITION)
        assert event["position_qty"] == model.qty
        assert event["aux"] == number
        average = Fraction(abs(model.open_cost) * CASH_SCALE, abs(model.qty)) if model.qty else 0
        assert event["px"] == round(average)
    position = rig.position(instrument.id)
    assert position["qty"] == model.qty == position["bought_qty"] - position["sold_qty"]
    assert position["open_cost"] == model.open_cost
    assert position["cash"] == model.cash
    assert position["realized_pnl"] == model.realized
    assert position["fees"] == model.fees
    assert position["fills"] == len(fills) == rig.s["fills"]
    if not fills:
        return
    rig.ticks(snapshot(instrument.id, {bid: 1}, {bid + spread: 1}))
    rig.commands(new_order(10**6, BUY, bid, 10, instrument=instrument.id, flags=OrderFlag.POST_ONLY))
    event = only(rig.reports(fill(10**6, 10, bid, trade_id=10**6)), EventKind.POSITION)
    model.apply(Fill(BUY, bid, 10, Liquidity.MAKER, 0))
    position = rig.position(instrument.id)
    half_ticks = 2 * bid + spread
    value = Fraction(model.qty * half_ticks, 2) * model.cash_per_tick_lot
    unrealized = value - model.open_cost * model.cash_per_tick_lot
    assert event["qty"] == round(unrealized)
    assert event["last_px"] == half_ticks
    roundings = 2 * (len(fills) + 2)
    gap = int(position["realized_pnl"]) + int(event["qty"]) - (int(position["cash"]) + value)
    assert abs(gap) <= roundings + len(fills) * model.cash_per_tick_lot


@pytest.mark.pure
@pytest.mark.parametrize("name", [name for name in TERMS if name != "spot"])
@given(fills=FILLS.filter(bool))
def test_every_kind_is_traded_through_the_same_reports(name: str, fills: list[Fill]) -> None:
    instrument = instrument_of(name)
    rig = Rig(instruments=(instrument, SPOT))
    rig.open_market(0, SPOT.id)
    rig.s["instruments"][0]["underlying"] = SPOT.id  # what an option's exposure and margin are measured by
    model = Model(instrument)
    for number, trade in enumerate(fills, start=1):
        px, qty = 500_000 + trade.px % 200_000, trade.qty % 1_000 + 1
        assert reason_of(rig.commands(new_order(number, trade.side, BID_PX, qty))) == Reason.NONE
        event = only(
            rig.reports(fill(number, qty, px, side=trade.side, trade_id=number, fee_known=1, fee=7)), EventKind.POSITION
        )
        model.apply(ledger.Fill(trade.side, px, qty, 7))
        assert event["position_qty"] == model.lots
        assert event["realized_pnl"] == units(model.realized)
        assert event["qty"] == units(model.unrealized(int(event["last_px"])))
        assert event["fees"] == 7 * number


@given(hs.integers(0, 2**61), hs.sampled_from(("0.0002", "-0.00005", "0", "0.00000001", "0.1")))
def test_fee_is_exact_without_large_products(notional: int, fee_rate: str) -> None:
    rig = Rig()
    row = rig.s["instruments"][0]
    row["maker_fee_rate"] = rate("fee", fee_rate)
    expected = round(Fraction(notional) * Fraction(fee_rate))
    assert fee_of(row, notional, int(Liquidity.MAKER)) == expected


@pytest.mark.pure
def test_fill_whose_amount_does_not_fit_is_refused() -> None:
    rig = Rig()
    rig.open_market()
    rig.s["instruments"]["max_qty"] = 2**40
    lots = 2**24
    rig.commands(new_order(1, BUY, BID_PX, lots))
    assert ignored(rig.reports(fill(1, lots, 2**36, trade_id=1))) == Reason.OVERFLOW
    assert ignored(rig.reports(fill(1, lots, 2**20, trade_id=1))) == Reason.NONE
    assert rig.position()["cash"] == -lots * 2**20 * 10_000


@pytest.mark.pure
def test_position_that_could_not_be_valued_is_refused_before_it_arises() -> None:
    tiny = Instrument(
        id=3, symbol="ETHBTC", venue="test", kind="spot", base="ETH", quote="BTC", tick="0.00000001", lot="0.00000001"
    )
    rig = Rig(instruments=(tiny,))
    px = 2**30
    rig.ticks(snapshot(3, {px: 1}, {px + 1: 1}))
    reasons = []
    for number in range(1, 12):
        reasons.append(reason_of(rig.commands(new_order(number, BUY, px, 2**27, instrument=3))))
        rig.reports(fill(number, 2**27, px, trade_id=number))
    assert reasons[0] == Reason.NONE
    assert reasons[-1] == Reason.OVERFLOW
    position = rig.position(3)
    assert position["cash"] == -round(int(position["qty"]) * px * tiny.cash_per_tick_lot)
    assert position["open_cost"] == position["qty"] * px


@pytest.mark.pure
def test_flat_position_has_no_average_price_and_no_unrealized_pnl() -> None:
    rig = Rig()
    rig.open_market()
    rig.commands(new_order(1, BUY), new_order(2, SELL))
    rig.reports(fill(1, 10, BID_PX, trade_id=1))
    event = only(rig.reports(fill(2, 10, BID_PX + 50, trade_id=2, side=SELL)), EventKind.POSITION)
    assert (event["px"], event["qty"], event["position_qty"]) == (0, 0, 0)
    assert event["realized_pnl"] == 10 * 50 * 10_000


@pytest.mark.pure
def test_position_is_valued_at_the_last_trade_when_a_side_is_empty() -> None:
    rig = Rig()
    rig.open_market()
    rig.commands(new_order(1, BUY))
    rig.ticks(depth(SELL, BID_PX + 1, 0))
    assert only(rig.reports(fill(1, 1, BID_PX, trade_id=1)), EventKind.POSITION)["qty"] == 0
    rig.s["books"][0]["trade_px"] = BID_PX + 7
    assert only(rig.reports(fill(1, 1, BID_PX, trade_id=2)), EventKind.POSITION)["qty"] == 2 * 7 * 10_000


def test_strategies_positions_are_reported_beside_the_accounts() -> None:
    rig = Rig()
    rig.open_market(0)
    rig.add(WATCH)
    strategy_position = rig.s["positions"][MAX_ACCOUNTS, 0]
    strategy_position[0]["fills"], strategy_position[0]["qty"] = 1, 7
    rig.s["positions"][0, 0, 1]["fills"] = 1
    engine.report_positions(rig.st)
    events = rig.flush()
    assert events["kind"].tolist() == [EventKind.POSITION] * 2
    assert [tuple(int(each[name]) for name in ("account", "strategy", "flags", "version")) for each in events] == [
        (0, -1, OrderFlag.SHORT_LEG, 1),
        (0, 0, 0, 1),
    ]
    assert events["position_qty"].tolist() == [0, 7]


def every_position() -> Rig:
    """A core that holds more positions than its event output has rows."""
    rig = Rig()
    rig.s["accounts"]["defined"] = 1
    rig.s["strategies_used"] = MAX_STRATEGIES
    rig.s["positions"]["qty"] = np.arange(1, MAX_POSITIONS + 1).reshape(rig.s["positions"].shape)
    rig.s["positions"]["open_cost"] = rig.s["positions"]["qty"]
    assert MAX_POSITIONS > EVENT_RING
    return rig


@pytest.mark.pure
def test_heartbeat_reports_more_positions_than_the_output_holds() -> None:
    rig = every_position()
    events = rig.ticks(tick(TickKind.HEARTBEAT, instrument=-1))
    told = events[events["kind"] == EventKind.POSITION]
    assert told["position_qty"].tolist() == list(range(1, MAX_POSITIONS + 1))
    assert np.diff(events["seq"]).tolist() == [1] * (len(events) - 1)
    rig.s["positions"]["qty"][1:] = 0
    assert len(rig.ticks(tick(TickKind.HEARTBEAT, instrument=-1))) == POSITIONS_OF_SCOPE


def test_snapshot_tells_more_positions_than_the_output_holds() -> None:
    rig = every_position()
    told = standing(rig.st)
    told = told[told["kind"] == EventKind.POSITION]
    assert told["position_qty"].tolist() == list(range(1, MAX_POSITIONS + 1))
    assert rig.s["event_count"] == rig.s["events_lost"] == 0
