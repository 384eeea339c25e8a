"""The market maker: it quotes both sides, leans against its inventory and follows the market."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import strategies
from oms.compiled import JIT
from oms.core.orders import OPEN_STATES
from oms.records import CommandKind, EventKind, OrderFlag, OrderState, Reason, ReportKind, TickKind
from tests.oms.core.builders import (
    BUY,
    SELL,
    Records,
    Rig,
    depth,
    fill,
    kinds,
    loaded,
    message,
    report,
    snapshot,
    trade,
)

MARKET_MAKER = Path(strategies.__file__).parent / "market_maker.py"

pytestmark = pytest.mark.pure

MID = 600_000
LOTS = 10


def maker(*, external: bool = True, **parameters: float) -> Rig:
    rig = Rig(external=external)
    rig.add(MARKET_MAKER, **parameters)
    return rig


def market(rig: Rig, mid: int = MID) -> Records:
    return rig.ticks(snapshot(0, {mid - 1: 50}, {mid + 1: 50}))


def accept_all(rig: Rig) -> None:
    """Let the exchange say yes to whatever is pending."""
    for order in rig.s["orders"][: rig.s["orders_used"]].copy():
        order_id = int(order["order_id"])
        answers = {
            OrderState.PENDING_NEW: report(ReportKind.ACCEPTED, order_id),
            OrderState.PENDING_AMEND: report(
                ReportKind.AMENDED, order_id, px=int(order["pending_px"]), qty=int(order["pending_qty"])
            ),
            OrderState.PENDING_CANCEL: report(ReportKind.CANCELLED, order_id),
        }
        if order["state"] in answers:
            rig.reports(answers[OrderState(int(order["state"]))])


def quotes(rig: Rig) -> dict[int, int]:
    """Price of the open order of each side."""
    orders = rig.s["orders"][: rig.s["orders_used"]]
    found = orders[np.isin(orders["state"], OPEN_STATES)]
    assert len(set(found["side"].tolist())) == len(found)
    return {int(each["side"]): int(each["px"]) for each in found}


def test_it_quotes_both_sides_of_the_mid_price_post_only() -> None:
    rig = maker()
    market(rig)
    assert quotes(rig) == {BUY: MID - 5, SELL: MID + 5}
    assert rig.sent["qty"].tolist() == [LOTS, LOTS]
    assert set(rig.sent["flags"].tolist()) == {OrderFlag.POST_ONLY}


def test_it_shifts_both_quotes_against_its_position() -> None:
    rig = maker(max_position_lots=100, skew_ticks=10)
    market(rig)
    accept_all(rig)
    bid_id = int(rig.sent["order_id"][0])
    rig.reports(fill(bid_id, LOTS, MID - 5, trade_id=1))
    rig.position()["qty"] = 50
    rig.ticks(depth(BUY, MID - 3, 1))
    assert quotes(rig)[BUY] == MID - 10
    accept_all(rig)
    assert quotes(rig) == {BUY: MID - 10, SELL: MID}


def test_it_does_not_quote_the_side_that_would_carry_it_past_its_limit() -> None:
    rig = maker(max_position_lots=25)
    rig.position()["qty"] = 20
    market(rig)
    assert list(quotes(rig)) == [SELL]
    rig.position()["qty"] = -20
    accept_all(rig)
    rig.ticks(depth(BUY, MID - 2, 1))
    accept_all(rig)
    assert list(quotes(rig)) == [BUY]


def test_it_follows_the_market_only_when_that_is_worth_its_place_in_the_queue() -> None:
    rig = maker(requote_ticks=3)
    market(rig)
    accept_all(rig)
    market(rig, MID + 2)
    assert len(rig.sent) == 2
    market(rig, MID + 3)
    assert len(rig.sent) == 4
    accept_all(rig)
    assert quotes(rig) == {BUY: MID - 2, SELL: MID + 8}


def test_rejected_amend_is_asked_for_again() -> None:
    rig = maker()
    market(rig)
    accept_all(rig)
    market(rig, MID + 50)
    for order_id in rig.sent["order_id"][:2].tolist():
        rig.reports(report(ReportKind.AMEND_REJECTED, order_id, reason=Reason.ORDER_RATE))
    assert quotes(rig) == {BUY: MID - 5, SELL: MID + 5}
    rig.ticks(depth(BUY, MID + 40, 1))
    accept_all(rig)
    assert quotes(rig) == {BUY: MID + 45, SELL: MID + 55}


def test_where_the_exchange_changes_no_orders_quotes_are_cancelled_and_placed_anew() -> None:
    rig = maker()
    market(rig)
    accept_all(rig)
    market(rig, MID + 50)
    for order_id in rig.sent["order_id"][:2].tolist():
        rig.reports(report(ReportKind.AMEND_REJECTED, order_id, reason=Reason.NO_AMEND))
    sent = len(rig.sent)
    market(rig, MID + 50)
    assert rig.sent["kind"][sent:].tolist() == [CommandKind.CANCEL] * 2
    for order_id in rig.sent["order_id"][:2].tolist():
        rig.reports(report(ReportKind.CANCELLED, order_id))
    market(rig, MID + 50)
    accept_all(rig)
    assert quotes(rig) == {BUY: MID + 45, SELL: MID + 55}


def test_it_never_quotes_through_the_other_side() -> None:
    rig = maker(half_spread_ticks=0, skew_ticks=100, max_position_lots=100)
    rig.position()["qty"] = -90
    market(rig)
    assert quotes(rig)[BUY] == MID
    assert quotes(rig)[SELL] > quotes(rig)[BUY]


def test_it_waits_while_a_side_is_empty() -> None:
    rig = maker()
    rig.ticks(snapshot(0, {MID: 5}, {}))
    assert len(rig.sent) == 0


def test_filled_quote_is_logged_and_replaced() -> None:
    rig = maker(external=False)
    market(rig)
    events = rig.ticks(trade(SELL, MID - 5, 100), trade(SELL, MID - 6, 1))
    assert EventKind.ORDER_FILLED in kinds(events)
    line = events[events["kind"] == EventKind.LOG][0]
    template = loaded(MARKET_MAKER).log_messages[int(line["aux"])]
    told = template.format(*(int(line[name]) for name in ("px", "qty", "last_px", "last_qty")))
    assert told.startswith(f"filled {LOTS} lots at {MID - 5} ticks, position {LOTS}, fee ")
    rig.ticks(depth(BUY, MID - 3, 1))
    assert sorted(quotes(rig)) == [SELL, BUY]


@pytest.mark.skipif(not JIT, reason="thousands of ticks")
def test_it_keeps_two_quotes_at_most_and_its_position_within_the_limit_over_a_random_walk() -> None:
    rig = maker(external=False, max_position_lots=60, order_lots=10)
    chance = np.random.default_rng(11)
    mid = MID
    for _ in range(1_500):
        mid += int(chance.integers(-4, 5))
        side = int(chance.choice((BUY, SELL)))
        levels = [(BUY, mid - 1 - i, 20) for i in range(3)] + [(SELL, mid + 1 + i, 20) for i in range(3)]
        rig.ticks(message(TickKind.SNAPSHOT, levels))
        rig.ticks(trade(side, mid - side * int(chance.integers(0, 12)), int(chance.integers(1, 60))))
        assert abs(int(rig.position()["qty"])) <= 60
        quotes(rig)
    assert rig.s["fills"] > 50
    assert rig.s["strategies"]["halted"][0] == 0
