"""Isolated margin: what stands behind a position alone, against a model in decimal arithmetic, and what it shields."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.core.liquidation import balance_behind, distance_of, liquidation_of
from oms.core.margin import maintenance_margin
from oms.core.positions import value_at
from oms.core.state import NO_LIMIT, define_account
from oms.core.valuation import equity_of
from oms.durable import differences
from oms.instruments import Instrument
from oms.margin_tiers import MarginTier
from oms.records import (
    CASH_SCALE,
    EVERY_PRICE,
    EventKind,
    MarginMode,
    OrderFlag,
    Reason,
    ReportKind,
    TickKind,
    TradingState,
)
from oms.replay import Replay
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SECOND,
    SELL,
    SPOT,
    Rig,
    client_id,
    fill,
    new_order,
    reason_of,
    report,
    snapshot,
    tick,
    time_tick,
)
from tests.oms.core.test_redefine import FINER
from tests.oms.journalled import SESSION, JournalledRig

pytestmark = pytest.mark.pure

WATCH: Final = Path(__file__).parents[2] / "strategies" / "samples" / "watch.py"
TICK_LOT: Final = 10_000
"""Cash of one tick-lot of both contracts."""
FEE: Final = Decimal("0.0005")
TIERS: Final = (
    MarginTier(notional="0", initial_rate="0.02", maintenance_rate="0.01"),
    MarginTier(notional="4000", initial_rate="0.25", maintenance_rate="0.1"),
)


def contract(number: int) -> Instrument:
    return Instrument(
        id=number,
        symbol=f"C{number}USDT",
        venue="binance_usdm",
        kind="linear_perpetual",
        tick="0.1",
        lot="0.001",
        maker_fee_rate="0",
        taker_fee_rate=str(FEE),
        max_leverage="50",
        margin_tiers=TIERS,
    )


ONE, TWO = contract(0), contract(2)


def market(leverage: int = 10, *, isolated: int = 1, **options: Any) -> Rig:
    rig = Rig(instruments=(ONE, SPOT, TWO), **options)
    prepare(rig, leverage, isolated)
    return rig


def prepare(rig: Rig, leverage: int = 10, isolated: int = 1) -> None:
    rig.s["accounts"]["isolated"] = isolated
    rig.s["accounts"]["leverage"] = leverage * CASH_SCALE
    rig.open_market()


def wallet(rig: Rig) -> Any:
    return rig.s["wallets"][0, rig.s["instruments"][0]["settle_wallet"]]


def hold(rig: Rig, qty: int, px: int = BID_PX, *, trade_id: int = 1, **fields: int) -> None:
    side = BUY if qty > 0 else SELL
    rig.commands(new_order(client_id(trade_id), side, px, abs(qty), **fields))
    rig.reports(fill(client_id(trade_id), abs(qty), px, side=side, trade_id=trade_id))


def move(rig: Rig, px: int, instrument: int = 0) -> None:
    """Move a market to the mid price ``px``, and have the account valued."""
    rig.ticks(snapshot(instrument, {px - 1: 1_000}, {px + 1: 1_000}))
    rig.ticks(time_tick(rig.now + SECOND))


def units(amount: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """An amount of currency in whole units of 1e-8."""
    return (amount * CASH_SCALE).quantize(Decimal(1), rounding)


@dataclass
class Model:
    """One isolated position and its open orders, in decimal arithmetic."""

    leverage: int
    qty: int = 0
    cost: Decimal = Decimal(0)
    margin: Decimal = Decimal(0)
    realized: Decimal = Decimal(0)
    funding: Decimal = Decimal(0)
    orders: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Side, price and open lots by id."""

    def initial(self, value: Decimal) -> Decimal:
        """Initial margin in 1e-8 of a value in 1e-8."""
        tier = TIERS[value >= 4_000 * CASH_SCALE]
        by_leverage = units(1 / Decimal(self.leverage), ROUND_CEILING) / CASH_SCALE
        return (value * max(by_leverage, Decimal(tier.initial_rate))).quantize(Decimal(1), ROUND_CEILING)

    def fill(self, side: int, px: int, qty: int) -> None:
        worth = Decimal(TICK_LOT) * px
        closed = min(qty, abs(self.qty)) if self.qty * side < 0 else 0
        if closed:
            released = (self.cost * closed / abs(self.qty) / TICK_LOT).quantize(Decimal(1)) * TICK_LOT
            self.realized += -side * worth * closed - released
            kept = abs(self.qty) - closed
            self.margin = (self.margin * kept / abs(self.qty)).quantize(Decimal(1), ROUND_HALF_EVEN)
            self.cost -= released
            self.qty += side * closed
        opened = qty - closed
        if opened:
            before = self.initial(abs(self.cost))
            self.cost += side * worth * opened
            self.margin += self.initial(abs(self.cost)) - before
            self.qty += side * opened

    def pay(self, amount: int) -> None:
        self.funding -= amount
        if self.qty:
            self.margin = max(self.margin - amount, Decimal(0))

    def needed(self) -> Decimal:
        """What it takes of the wallet: its own margin, and what its open orders could add to it, with their fees."""
        buys = sum((Decimal(TICK_LOT) * px * qty for side, px, qty in self.orders.values() if side > 0), Decimal(0))
        sells = sum((Decimal(TICK_LOT) * px * qty for side, px, qty in self.orders.values() if side < 0), Decimal(0))
        farthest = max(self.cost + buys, sells - self.cost)
        fees = ((buys + sells) * FEE).quantize(Decimal(1), ROUND_CEILING)
        return self.margin + self.initial(farthest) - self.initial(abs(self.cost)) + fees


STEPS = hs.lists(
    hs.tuples(
        hs.sampled_from(("order", "order", "fill", "fill", "cancel", "funding", "move")),
        hs.sampled_from((0, 2)),
        hs.sampled_from((BUY, SELL)),
        hs.integers(-900, 900),
        hs.integers(2, 90),
    ),
    max_size=40,
)


@given(STEPS, hs.integers(1, 60))
def test_isolated_positions_follow_the_model(steps: list[tuple[str, int, int, int, int]], leverage: int) -> None:
    rig = market(leverage)
    models = {0: Model(min(leverage, 50)), 2: Model(min(leverage, 50))}
    begun = int(wallet(rig)["balance"])
    for number, (what, instrument, asked_side, away, qty) in enumerate(steps, start=2):
        model = models[instrument]
        if what == "order":
            order_id, side, px = client_id(number), asked_side, BID_PX - asked_side * abs(away)
            if reason_of(rig.commands(new_order(order_id, side, px, qty, instrument=instrument))) == Reason.NONE:
                model.orders[order_id] = (side, px, qty)
        elif what == "move":
            move(rig, BID_PX + away, instrument)
        elif what == "funding":
            rig.reports(report(ReportKind.FUNDING, 0, instrument=instrument, fee=away * 10**8))
            model.pay(away * 10**8)
        elif model.orders:
            order_id, (side, px, left) = next(iter(model.orders.items()))
            if what == "fill":
                part = min(qty, left)
                rig.reports(fill(order_id, part, px, side=side, trade_id=number, instrument=instrument))
                model.fill(side, px, part)
                model.orders[order_id] = (side, px, left - part)
            if what == "cancel" or left <= qty:
                rig.reports(report(ReportKind.CANCELLED, order_id))
                del model.orders[order_id]
        held = rig.position(instrument)
        assert (held["qty"], held["isolated_margin"]) == (model.qty, model.margin)
        both = list(models.values())
        assert wallet(rig)["balance"] == begun + sum(each.realized + each.funding for each in both)
        assert wallet(rig)["margin"] == sum(each.needed() for each in both)
        assert wallet(rig)["unrealized"] == 0


def test_margin_is_moved_at_the_fill_and_returned_at_the_close() -> None:
    rig = market()
    hold(rig, 40)
    assert rig.position()["margin_mode"] == MarginMode.ISOLATED
    assert rig.position()["isolated_margin"] == wallet(rig)["margin"] == BID_PX * 4 * TICK_LOT
    hold(rig, -10, BID_PX + 50, trade_id=2)
    assert rig.position()["isolated_margin"] == BID_PX * 3 * TICK_LOT
    hold(rig, -30, BID_PX - 50, trade_id=3)
    assert rig.position()["isolated_margin"] == wallet(rig)["margin"] == 0


def test_turned_over_position_has_the_margin_of_its_other_side_alone() -> None:
    rig = market()
    hold(rig, 40)
    hold(rig, -50, BID_PX + 50, trade_id=2)
    assert rig.position()["isolated_margin"] == (BID_PX + 50) * TICK_LOT


@pytest.mark.parametrize("isolated", [0, 1])
def test_its_loss_is_no_matter_of_the_rest_unless_it_is_cross(isolated: int) -> None:
    rig = market(isolated=isolated)
    hold(rig, 40)
    wallet(rig)["balance"] = BID_PX * 6 * TICK_LOT
    move(rig, BID_PX * 96 // 100)
    order = new_order(5, px=BID_PX, qty=10, instrument=2)
    assert reason_of(rig.commands(order)) == (Reason.NONE if isolated else Reason.INSUFFICIENT_FUNDS)


def test_its_gain_does_not_cover_the_loss_of_another() -> None:
    rig = market()
    hold(rig, 40)
    rig.s["accounts"]["isolated"] = 0
    hold(rig, 40, trade_id=2, instrument=2)
    move(rig, BID_PX + 1_000, 0)
    move(rig, BID_PX - 1_000, 2)
    assert wallet(rig)["unrealized"] == -40 * 1_000 * TICK_LOT
    rig.s["scopes"][0]["max_leverage"] = NO_LIMIT // 2
    rig.s["wallets"]["balance"] = 100 * CASH_SCALE
    move(rig, BID_PX + 1_500, 0)
    assert equity_of(rig.s, 0) == rig.s["wallets_used"] * 100 * CASH_SCALE + 40 * 500 * TICK_LOT


def test_order_needs_what_it_adds_and_a_close_needs_nothing() -> None:
    rig = market()
    hold(rig, 40)
    wallet(rig)["balance"] = BID_PX * 5 * TICK_LOT
    answers = [
        reason_of(rig.commands(each))
        for each in (
            new_order(2, px=BID_PX, qty=10),
            new_order(3, px=BID_PX, qty=9),
            new_order(4, SELL, BID_PX + 1, qty=40, flags=OrderFlag.POST_ONLY),
        )
    ]
    assert answers == [Reason.INSUFFICIENT_FUNDS, Reason.NONE, Reason.NONE]


def test_legs_have_margins_of_their_own() -> None:
    rig = market()
    rig.s["accounts"]["hedging"] = 1
    hold(rig, 40)
    hold(rig, -10, ASK_PX, trade_id=2, flags=OrderFlag.SHORT_LEG)
    margins = rig.s["positions"]["isolated_margin"][0, 0]
    assert margins.tolist() == [BID_PX * 4 * TICK_LOT, ASK_PX * TICK_LOT]
    assert wallet(rig)["margin"] == margins.sum()


def test_mode_of_a_position_is_its_accounts_when_it_was_opened() -> None:
    rig = market(isolated=0)
    hold(rig, 10)
    rig.s["accounts"]["isolated"] = 1
    hold(rig, 10, trade_id=2)
    assert (rig.position()["margin_mode"], rig.position()["isolated_margin"]) == (MarginMode.CROSS, 0)
    hold(rig, -20, ASK_PX, trade_id=3)
    hold(rig, 10, trade_id=4)
    rig.s["accounts"]["isolated"] = 0
    hold(rig, 10, trade_id=5)
    assert rig.position()["margin_mode"] == MarginMode.ISOLATED
    assert rig.position()["isolated_margin"] == BID_PX * 2 * TICK_LOT


def test_funding_is_paid_from_its_margin_and_what_that_lacks_from_the_wallet() -> None:
    rig = market()
    hold(rig, 10)
    free = wallet(rig)["balance"] - wallet(rig)["margin"]
    rig.reports(report(ReportKind.FUNDING, 0, fee=7), report(ReportKind.FUNDING, 0, fee=-2))
    assert rig.position()["isolated_margin"] == BID_PX * TICK_LOT - 5
    assert wallet(rig)["balance"] - wallet(rig)["margin"] == free
    rig.reports(report(ReportKind.FUNDING, 0, fee=BID_PX * TICK_LOT))
    assert rig.position()["isolated_margin"] == 0
    assert wallet(rig)["balance"] - wallet(rig)["margin"] == free - 5


def test_adopted_position_is_margined_as_if_it_were_opened() -> None:
    rig = market()
    rig.reports(report(ReportKind.POSITION, 0, qty=-20, px=BID_PX))
    assert rig.position()["isolated_margin"] == wallet(rig)["margin"] == BID_PX * 2 * TICK_LOT
    rig.reports(report(ReportKind.POSITION, 0, qty=0, px=0))
    assert rig.position()["isolated_margin"] == wallet(rig)["margin"] == 0


def test_new_version_of_its_instrument_leaves_its_margin_as_it_is() -> None:
    rig = Rig()
    prepare(rig)
    hold(rig, 40)
    before = int(rig.position()["isolated_margin"])
    rig.definitions(FINER)
    rig.ticks(time_tick(), snapshot(0, {2 * BID_PX: 100}, {2 * BID_PX + 2: 100}, version=2))
    rig.ticks(time_tick(rig.now + SECOND))
    assert rig.position()["version"] == 2
    assert rig.position()["isolated_margin"] == before > 0
    assert wallet(rig)["margin"] == before


def test_spot_is_never_isolated() -> None:
    rig = market()
    hold(rig, 10, instrument=SPOT.id)
    assert (rig.position(1)["margin_mode"], rig.position(1)["isolated_margin"]) == (MarginMode.CROSS, 0)


def test_its_liquidation_price_is_that_of_its_margin_alone() -> None:
    rig = market()
    hold(rig, 40)
    before = liquidation_of(rig.s, 0, 0, 0)
    # 240 + V - 2400 = V / 100
    assert before == pytest.approx(BID_PX * 0.9 / 0.99 * CASH_SCALE, rel=1e-9)
    wallet(rig)["balance"] = 0
    hold(rig, 40, trade_id=2, instrument=2)
    move(rig, BID_PX // 2, 2)
    assert liquidation_of(rig.s, 0, 0, 0) == before
    rig.reports(report(ReportKind.FUNDING, 0, fee=24 * CASH_SCALE))
    assert liquidation_of(rig.s, 0, 0, 0) > before
    mark = BID_PX * 0.95
    move(rig, int(mark))
    distance = 1 - liquidation_of(rig.s, 0, 0, 0) / CASH_SCALE / mark
    assert distance_of(rig.s, 0, 0, 0) == pytest.approx(distance * CASH_SCALE, abs=2)


def test_position_events_state_the_accounts_liquidation_price() -> None:
    rig = market()
    rig.add(WATCH, 0)
    hold(rig, 40, strategy=0)
    liquidation = liquidation_of(rig.s, 0, 0, 0)
    assert rig.events[rig.events["kind"] == EventKind.POSITION][-1]["order_id"] == liquidation > 0
    told = rig.ticks(tick(TickKind.HEARTBEAT, instrument=-1))
    told = told[told["kind"] == EventKind.POSITION]
    assert told[["strategy", "order_id"]].tolist() == [(-1, liquidation), (0, 0)]
    hold(rig, -80, trade_id=2)
    told = rig.ticks(tick(TickKind.HEARTBEAT, instrument=-1))
    short = told[(told["kind"] == EventKind.POSITION) & (told["strategy"] < 0)]
    assert short["order_id"].tolist() == [liquidation_of(rig.s, 0, 0, 0)]
    rig.reports(report(ReportKind.POSITION, 0, qty=0))
    told = rig.ticks(tick(TickKind.HEARTBEAT, instrument=-1))
    assert told[told["kind"] == EventKind.POSITION]["order_id"].tolist() == [0, 0]


def test_a_short_that_is_liquidated_at_every_price_is_told_at_the_lowest() -> None:
    rig = market(isolated=0)
    hold(rig, -10)
    wallet(rig)["balance"] = -(2**50)
    assert liquidation_of(rig.s, 0, 0, 0) == 0
    told = rig.ticks(tick(TickKind.HEARTBEAT, instrument=-1))
    assert told[told["kind"] == EventKind.POSITION]["order_id"].tolist() == [1]


def test_cross_liquidation_counts_other_cross_positions_and_no_isolated_one() -> None:
    rig = market(isolated=0)
    rig.s["accounts"]["hedging"] = 1
    hold(rig, 40)
    hold(rig, -20, trade_id=2, flags=OrderFlag.SHORT_LEG)
    rig.s["accounts"]["isolated"] = 1
    hold(rig, 30, trade_id=3, instrument=2)
    wallet(rig)["balance"] = 1_000 * CASH_SCALE
    move(rig, BID_PX + 100)
    definition = rig.s["instruments"][0]
    value = value_at(definition, 2 * BID_PX + 200, 20)
    unrealized = int(rig.s["valuations"]["unrealized"][0, 0, 1])
    assert unrealized < 0
    behind = 1_000 * CASH_SCALE - int(rig.position(2)["isolated_margin"]) + unrealized
    behind -= maintenance_margin(definition, value)
    assert balance_behind(rig.s, 0, 0, 0) == behind
    move(rig, BID_PX // 2, 2)
    assert balance_behind(rig.s, 0, 0, 0) == behind
    assert 0 < liquidation_of(rig.s, 0, 0, 0) < EVERY_PRICE


def test_nothing_stands_behind_a_position_that_has_no_wallet() -> None:
    rig = market(isolated=0)
    hold(rig, 10)
    rig.s["instruments"]["settle_wallet"] = -1
    assert balance_behind(rig.s, 0, 0, 0) == 0


@pytest.mark.parametrize("fifo", [0, 1])
def test_it_comes_out_of_the_journal_as_it_was(tmp_path: Path, fifo: int) -> None:
    live = JournalledRig(tmp_path, instruments=(ONE, SPOT, TWO))
    define_account(live.st, 0, TradingState.ACTIVE)
    live.s["accounts"]["fifo"] = fifo
    prepare(live)
    again = live.st.copy()
    hold(live, 40)
    hold(live, 9, BID_PX - 77, trade_id=2)
    live.reports(report(ReportKind.FUNDING, 0, fee=12_345))
    hold(live, -16, ASK_PX, trade_id=3)
    live.reports(report(ReportKind.POSITION, 0, instrument=2, qty=7, px=BID_PX))
    move(live, BID_PX - 300)
    Replay(again).session(tmp_path, SESSION)
    assert again[0]["positions"]["isolated_margin"][0, 0, 0] == live.position()["isolated_margin"] > 0
    assert list(differences(live.st, again, every_input=False)) == []
