"""SOR: what of several markets wakes an order, what does not, and what ends it."""

from __future__ import annotations

import pytest

from oms.core.state import define_account
from oms.records import CommandKind, OrderState, TickKind, TradingState
from tests.oms.algos.builders import PARENT
from tests.oms.algos.sor_rig import CHEAP, HOME, THIRD, SorRig
from tests.oms.core.builders import (
    BUY,
    MS,
    SECOND,
    SELL,
    command,
    depth,
    snapshot,
    tick,
)

pytestmark = pytest.mark.pure


def test_what_comes_within_the_limit_on_another_route_is_taken_with_the_tick_that_brings_it() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({110: 50}, {110: 50})
    core.go(px=100, rests=0.0)
    core.ticks(depth(SELL, 101, 7, instrument=1))
    assert core.open_children == []
    core.ticks(depth(SELL, 100, 7, instrument=1))
    assert core.open_by_route == {1: (100, 7)}


def test_a_child_moves_with_the_tick_that_makes_another_route_cheaper() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({200: 1}, {200: 1}, bids=[{90: 5}, {90: 5}])
    core.go(px=100)
    child = core.of(1)
    core.accept(child)
    core.ticks(depth(BUY, 91, 5, instrument=1))
    assert child["state"] == OrderState.PENDING_CANCEL
    core.confirm_cancel(child)
    assert core.open_by_route == {0: (90, 10)}


@pytest.mark.parametrize("number", [0, 1])
def test_a_tick_that_concerns_no_route_costs_no_look(number: int) -> None:
    core = SorRig(HOME, CHEAP)
    core.books({110: 50}, {110: 50}, bids=[{90: 5}, {90: 5}])
    core.go(px=100)
    core.accept(core.of(1))
    looked = int(core.s["parent_wakes"][0]["wake_ts"])
    core.now += 10 * MS
    core.ticks(depth(SELL, 111, 9, instrument=number), depth(BUY, 90, 4, instrument=number))
    assert core.s["parent_wakes"][0]["wake_ts"] == looked
    core.ticks(depth(SELL, 109, 9, instrument=number))
    assert core.s["parent_wakes"][0]["wake_ts"] > looked, "and another one does"


def test_orders_that_share_some_routes_are_woken_by_those_alone_and_leave_no_trace() -> None:
    core = SorRig(HOME, CHEAP, THIRD)
    core.books({110: 50}, {110: 50}, {110: 50})
    core.start("sor", BUY, 10, 100, routes=(1,), rests=0.0)
    core.start("sor", BUY, 10, 100, routes=(2,), rests=0.0, order_id=PARENT + 1)
    core.start("sor", BUY, 10, 100, routes=(1, 2), rests=0.0, order_id=PARENT + 2)
    core.cancel(PARENT + 1)
    core.ticks(depth(SELL, 100, 7, instrument=2))
    assert [int(child["parent_id"]) for child in core.open_children] == [PARENT + 2]
    core.ticks(depth(SELL, 100, 7, instrument=1))
    assert sorted(int(child["parent_id"]) for child in core.open_children) == [PARENT, PARENT + 2, PARENT + 2]
    for child in core.open_children:
        core.expire(child)
    core.cancel(PARENT)
    core.cancel(PARENT + 2)
    core.books({110: 50}, {110: 50}, {110: 50})
    assert core.s["parent_lists"]["head"].max() == -1


def test_the_first_tick_after_a_silent_market_lets_the_order_go_on() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({110: 50}, {110: 50})
    core.ticks(tick(TickKind.QUIET))
    core.go(px=100, rests=0.0)
    core.ticks(depth(SELL, 120, 9), depth(SELL, 100, 7, instrument=1))
    assert core.open_by_route == {1: (100, 7)}
    core.fill(core.of(1), 7)
    core.ticks(tick(TickKind.QUIET))
    core.now += 300 * MS
    core.ticks(depth(SELL, 120, 8))
    assert core.open_by_route == {1: (100, 3)}, "what it had taken is there again by now"


@pytest.mark.parametrize("number", [0, 1])
def test_a_mass_cancel_in_one_instrument_ends_every_order_that_may_trade_there(number: int) -> None:
    core = SorRig(HOME, CHEAP, THIRD)
    core.books({110: 50}, {110: 50}, {110: 50})
    core.go(px=100)
    core.start("sor", BUY, 10, 100, routes=(0,), order_id=PARENT + 1, fields={"instrument": 2, "account": 0})
    core.start("sor", BUY, 10, 100, order_id=PARENT + 2, fields={"instrument": 2})
    child = core.of(1)
    core.accept(child)
    core.commands(command(CommandKind.CANCEL_ALL, 0, instrument=number))
    assert child["state"] == OrderState.PENDING_CANCEL
    core.confirm_cancel(child)
    assert core.order(PARENT)["state"] == OrderState.CANCELLED
    core.wait(SECOND)
    in_third = {0: [PARENT + 2], 1: [PARENT + 1, PARENT + 2]}[number]
    for each in core.open_children:
        if each["state"] == OrderState.PENDING_CANCEL:
            core.confirm_cancel(each)
    parents = sorted(int(each["parent_id"]) for each in core.open_children)
    assert parents == in_third, "what may not trade there goes on"


def test_a_mass_cancel_of_another_account_leaves_the_order_alone() -> None:
    core = SorRig(HOME, CHEAP)
    define_account(core.st, 1, TradingState.ACTIVE)
    core.books({110: 50}, {110: 50})
    core.go(px=100)
    core.accept(core.of(1))
    core.commands(command(CommandKind.CANCEL_ALL, 0, instrument=1, account=1))
    assert core.of(1)["state"] == OrderState.LIVE


def test_a_book_in_step_again_is_traded_on_at_once() -> None:
    core = SorRig(HOME, CHEAP)
    core.books({110: 50}, {110: 50})
    core.stale(1)
    core.go(px=100, rests=0.0)
    core.ticks(snapshot(1, {50: 50}, {100: 50}))
    assert core.open_by_route == {1: (100, 10)}
