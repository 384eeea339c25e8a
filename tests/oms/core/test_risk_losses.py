"""Losses: by day and from the peak, at every ask, fill and review; what survives a restart; the day's reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms.core.losses import restore_scope
from oms.core.state import MAX_ACCOUNTS, NEVER
from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderState,
    Reason,
    ReportKind,
    TradingState,
    Trigger,
    TriggerSource,
)
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SECOND,
    SELL,
    Records,
    Rig,
    command,
    fill,
    new_order,
    only,
    reason_of,
    report,
    snapshot,
    time_tick,
)

pytestmark = pytest.mark.pure

WATCH = Path(__file__).parents[2] / "strategies" / "samples" / "watch.py"
TICK_LOT = 10_000
"""Cash of one tick-lot."""
SCOPE = MAX_ACCOUNTS


def market(**fields: int) -> Rig:
    """A core whose account has these limits, and which holds 100 lots at the mid price, without fees."""
    rig = Rig()
    rig.add(WATCH, 0)
    rig.s["instruments"]["maker_fee_rate"] = 0
    rig.ticks(snapshot(0, {BID_PX - 1: 1_000}, {BID_PX + 1: 1_000}))
    rig.open_market(1)
    for name, value in fields.items():
        rig.s["scopes"][0][name] = value
    rig.commands(new_order(10**9, px=BID_PX, qty=100))
    rig.reports(fill(10**9, 100, trade_id=10**6))
    return rig


def move(rig: Rig, ticks: int) -> Records:
    """Move the market to ``ticks`` above where the position was opened."""
    return rig.ticks(snapshot(0, {BID_PX + ticks - 1: 1_000}, {BID_PX + ticks + 1: 1_000}))


def wait(rig: Rig, seconds: int = 1) -> Records:
    return rig.ticks(time_tick(rig.now + seconds * SECOND))


def asked(rig: Rig, *commands: Records) -> list[Reason]:
    return [reason_of(rig.commands(each)) for each in commands]


def state(rig: Rig, scope: int = 0) -> tuple[TradingState, Reason]:
    row = rig.s["scopes"][scope]
    return TradingState(int(row["trading_state"])), Reason(int(row["reason"]))


def set_state(rig: Rig, value: TradingState) -> None:
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=value))


def test_daily_loss_is_found_when_an_order_is_asked_for() -> None:
    rig = market(max_daily_loss=100 * 50 * TICK_LOT)
    move(rig, -49)
    assert asked(rig, new_order(1, px=BID_PX - 60)) == [Reason.NONE]
    move(rig, -50)
    events = rig.commands(new_order(2, px=BID_PX - 60))
    assert reason_of(events) == Reason.DAILY_LOSS
    told = only(events, EventKind.TRADING_STATE)
    assert (told["account"], told["aux"], told["reason"]) == (0, TradingState.REDUCING, Reason.DAILY_LOSS)
    assert state(rig) == (TradingState.REDUCING, Reason.DAILY_LOSS)


def test_breach_cancels_what_would_not_shrink_the_position() -> None:
    rig = market(max_daily_loss=100 * 50 * TICK_LOT)
    rig.commands(
        new_order(1, px=BID_PX - 70),
        new_order(2, SELL, BID_PX + 70, qty=60),
        new_order(3, SELL, BID_PX + 71, qty=50),
        new_order(4, px=ASK_PX - 100, instrument=1),
    )
    move(rig, -50)
    wait(rig)
    assert {each: rig.state(each) for each in (1, 2, 3, 4)} == {
        1: OrderState.PENDING_CANCEL,
        2: OrderState.PENDING_CANCEL,
        3: OrderState.PENDING_NEW,
        4: OrderState.PENDING_CANCEL,
    }
    assert asked(rig, new_order(5, px=BID_PX - 60), new_order(6, SELL, BID_PX - 40, qty=50)) == [
        Reason.TRADING_REDUCING,
        Reason.TRADING_REDUCING,
    ]
    rig.reports(report(ReportKind.CANCELLED, 2))
    assert asked(rig, new_order(7, SELL, BID_PX - 40, qty=50)) == [Reason.NONE]


@pytest.mark.parametrize("stop_first", [True, False])
@pytest.mark.parametrize("pair", [True, False])
def test_breach_leaves_the_stop_beside_a_target_that_closes_all(stop_first: bool, pair: bool) -> None:
    rig = market(max_daily_loss=100 * 50 * TICK_LOT)
    first = 1 if stop_first else 2
    group = {"contingency": Contingency.OCO, "parent_id": first} if pair else {}
    stop = new_order(
        1,
        SELL,
        BID_PX - 200,
        qty=100,
        trigger=Trigger.STOP,
        trigger_px=BID_PX - 150,
        trigger_source=TriggerSource.BID_ASK,
        **group,
    )
    target = new_order(2, SELL, BID_PX + 70, qty=100, **group)
    rig.commands(*((stop, target) if stop_first else (target, stop)))
    move(rig, -50)
    wait(rig)
    wait(rig)
    assert state(rig) == (TradingState.REDUCING, Reason.DAILY_LOSS)
    assert {each: rig.state(each) for each in (1, 2)} == {1: OrderState.HELD, 2: OrderState.PENDING_NEW}


@pytest.mark.parametrize(("first", "second", "kept"), [(100, 100, False), (60, 100, False), (80, 60, True)])
def test_breach_counts_a_group_of_which_one_cancels_the_other_as_its_largest_order(
    first: int, second: int, kept: bool
) -> None:
    rig = market(max_daily_loss=100 * 50 * TICK_LOT)
    pair = {"contingency": Contingency.OCO, "parent_id": 1}
    rig.commands(
        new_order(9, SELL, BID_PX + 95, qty=20),
        new_order(1, SELL, BID_PX + 70, qty=first, **pair),
        new_order(2, SELL, BID_PX + 90, qty=second, **pair),
    )
    move(rig, -50)
    wait(rig)
    wait(rig)
    assert [rig.state(each) for each in (1, 2)] == [OrderState.PENDING_NEW] * 2
    assert rig.state(9) == (OrderState.PENDING_NEW if kept else OrderState.PENDING_CANCEL)


def test_growing_orders_are_cancelled_as_long_as_the_scope_is_reduced() -> None:
    rig = market(max_daily_loss=100 * 50 * TICK_LOT)
    rig.commands(new_order(1, SELL, BID_PX + 70, qty=60), new_order(2, px=BID_PX - 70))
    move(rig, -50)
    wait(rig)
    rig.reports(report(ReportKind.CANCEL_REJECTED, 2))
    wait(rig)
    assert (rig.state(1), rig.state(2)) == (OrderState.PENDING_NEW, OrderState.PENDING_CANCEL)
    rig.reports(report(ReportKind.POSITION, 0, qty=50, px=BID_PX))
    wait(rig)
    assert rig.state(1) == OrderState.PENDING_CANCEL


@pytest.mark.parametrize("limit", ["max_daily_loss", "max_drawdown"])
def test_breach_cancels_growing_orders_of_an_account_that_someone_has_set_reducing(limit: str) -> None:
    rig = with_resets(market(**{limit: 100 * 50 * TICK_LOT}), 10)
    rig.commands(new_order(1, px=BID_PX - 70), new_order(2, SELL, BID_PX + 70, qty=60))
    set_state(rig, TradingState.REDUCING)
    wait(rig)
    assert rig.state(1) == OrderState.PENDING_NEW
    move(rig, -50)
    told = only(wait(rig), EventKind.TRADING_STATE)
    breach = Reason.DAILY_LOSS if limit == "max_daily_loss" else Reason.DRAWDOWN
    assert (told["aux"], told["reason"]) == (TradingState.REDUCING, breach)
    assert (rig.state(1), rig.state(2)) == (OrderState.PENDING_CANCEL, OrderState.PENDING_NEW)
    wait(rig, 10)
    assert state(rig) == (TradingState.REDUCING, Reason.REQUESTED)
    assert len(told_states(rig)) == 2


def told_states(rig: Rig) -> Records:
    found: Records = rig.events[rig.events["kind"] == EventKind.TRADING_STATE]
    return found


def test_breach_at_a_fill_of_an_account_that_someone_has_set_reducing_is_acted_on_at_once() -> None:
    rig = market(max_daily_loss=100 * 50 * TICK_LOT)
    rig.commands(new_order(1, SELL, BID_PX - 2, qty=100), new_order(2, px=BID_PX - 60))
    set_state(rig, TradingState.REDUCING)
    rig.reports(fill(1, 100, BID_PX - 50, side=SELL, trade_id=1))
    assert rig.state(2) == OrderState.PENDING_CANCEL


def test_daily_loss_is_found_at_a_fill() -> None:
    rig = market(max_daily_loss=100 * 50 * TICK_LOT)
    rig.commands(new_order(1, SELL, BID_PX - 2, qty=100), new_order(2, px=BID_PX - 60))
    rig.reports(fill(1, 100, BID_PX - 50, side=SELL, trade_id=1))
    assert state(rig) == (TradingState.REDUCING, Reason.DAILY_LOSS)
    assert rig.state(2) == OrderState.PENDING_CANCEL


def test_daily_loss_is_found_by_the_review_of_a_quiet_strategy() -> None:
    rig = market(max_daily_loss=100 * 50 * TICK_LOT)
    move(rig, -50)
    assert state(rig)[0] == TradingState.ACTIVE
    wait(rig)
    assert state(rig) == (TradingState.REDUCING, Reason.DAILY_LOSS)


def test_fees_and_funding_count_as_losses() -> None:
    rig = market(max_daily_loss=500)
    rig.commands(new_order(1))
    rig.reports(fill(1, 2, trade_id=1, fee_known=1, fee=499))
    assert state(rig)[0] == TradingState.ACTIVE
    rig.reports(fill(1, 2, trade_id=2, fee_known=1, fee=1))
    assert state(rig) == (TradingState.REDUCING, Reason.DAILY_LOSS)


def test_drawdown_is_from_the_highest_pnl() -> None:
    rig = market(max_drawdown=100 * 50 * TICK_LOT)
    move(rig, 200)
    wait(rig)
    assert rig.s["scopes"][0]["peak_pnl"] == 100 * 200 * TICK_LOT
    move(rig, 151)
    assert asked(rig, new_order(1, px=BID_PX)) == [Reason.NONE]
    move(rig, 150)
    assert asked(rig, new_order(2, px=BID_PX)) == [Reason.DRAWDOWN]
    assert state(rig) == (TradingState.REDUCING, Reason.DRAWDOWN)


def test_someone_must_end_a_drawdown_and_the_next_is_measured_from_there() -> None:
    rig = market(max_drawdown=100 * 50 * TICK_LOT)
    move(rig, -50)
    wait(rig)
    assert state(rig) == (TradingState.REDUCING, Reason.DRAWDOWN)
    set_state(rig, TradingState.ACTIVE)
    wait(rig)
    assert state(rig)[0] == TradingState.ACTIVE
    move(rig, -99)
    wait(rig)
    assert state(rig)[0] == TradingState.ACTIVE
    move(rig, -100)
    wait(rig)
    assert state(rig)[0] == TradingState.REDUCING


@pytest.mark.parametrize("between", [TradingState.HALTED, TradingState.REDUCING, None])
def test_drawdown_is_over_once_it_is_set_active_whatever_it_was_set_to_since(between: TradingState | None) -> None:
    rig = market(max_drawdown=100 * 50 * TICK_LOT)
    move(rig, -50)
    wait(rig)
    if between is None:
        rig.commands(command(CommandKind.KILL, 0))
    else:
        set_state(rig, between)
    set_state(rig, TradingState.ACTIVE)
    wait(rig)
    assert state(rig)[0] == TradingState.ACTIVE
    move(rig, -100)
    wait(rig)
    assert state(rig) == (TradingState.REDUCING, Reason.DRAWDOWN)


def with_resets(rig: Rig, *after_s: int) -> Rig:
    times = [rig.now + each * SECOND for each in after_s]
    rig.s["accounts"][0]["resets"][: len(times)] = times
    return rig


def test_days_loss_is_measured_from_the_reset() -> None:
    rig = with_resets(market(max_daily_loss=100 * 50 * TICK_LOT), 10, 20)
    move(rig, -49)
    wait(rig, 11)
    scope = rig.s["scopes"][0]
    assert scope["day_start_pnl"] == -100 * 49 * TICK_LOT
    assert scope["next_reset"] == rig.s["accounts"][0]["resets"][1]
    move(rig, -98)
    wait(rig)
    assert state(rig)[0] == TradingState.ACTIVE
    move(rig, -99)
    wait(rig)
    assert state(rig) == (TradingState.REDUCING, Reason.DAILY_LOSS)
    wait(rig, 10)
    assert state(rig) == (TradingState.ACTIVE, Reason.EXPIRED_DAY)
    assert scope["next_reset"] == NEVER


def test_operator_cannot_talk_a_days_loss_away() -> None:
    rig = with_resets(market(max_daily_loss=100 * 50 * TICK_LOT), 10)
    move(rig, -50)
    wait(rig)
    set_state(rig, TradingState.ACTIVE)
    assert asked(rig, new_order(1, px=BID_PX - 60)) == [Reason.DAILY_LOSS]
    assert state(rig)[0] == TradingState.REDUCING


def test_cancelling_all_orders_does_not_change_why_a_scope_is_reducing() -> None:
    rig = with_resets(market(max_daily_loss=100 * 50 * TICK_LOT), 10)
    move(rig, -50)
    wait(rig)
    told = only(rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1)), EventKind.TRADING_STATE)
    assert (told["aux"], told["reason"]) == (TradingState.REDUCING, Reason.REQUESTED)
    assert state(rig) == (TradingState.REDUCING, Reason.DAILY_LOSS)


def test_halted_account_stays_halted_over_a_reset() -> None:
    rig = with_resets(market(max_daily_loss=100 * 50 * TICK_LOT), 5)
    set_state(rig, TradingState.HALTED)
    move(rig, -60)
    wait(rig, 6)
    assert state(rig) == (TradingState.HALTED, Reason.REQUESTED)


def test_losses_of_a_strategy_stop_it_alone() -> None:
    rig = market()
    rig.s["scopes"][SCOPE]["max_daily_loss"] = 100 * 50 * TICK_LOT
    rig.commands(new_order(1, px=BID_PX, qty=100, strategy=0))
    rig.reports(fill(1, 100, trade_id=1))
    rig.commands(new_order(2, px=BID_PX - 90, strategy=0), new_order(3, px=BID_PX - 90))
    move(rig, -50)
    answers = asked(rig, new_order(4, px=BID_PX - 60, strategy=0), new_order(5, px=BID_PX - 60))
    assert answers == [Reason.DAILY_LOSS, Reason.NONE]
    assert state(rig, SCOPE) == (TradingState.REDUCING, Reason.DAILY_LOSS)
    assert (rig.state(2), rig.state(3)) == (OrderState.PENDING_CANCEL, OrderState.PENDING_NEW)
    assert asked(rig, new_order(6, SELL, BID_PX - 40, qty=100, strategy=0)) == [Reason.NONE]


def last_scope(rig: Rig) -> Any:
    return [each for each in rig.events if each["kind"] == EventKind.SCOPE and each["aux"] == 0][-1]


def test_peak_and_day_survive_a_restart() -> None:
    before = with_resets(market(), 10, 20)
    move(before, 30)
    wait(before, 11)
    move(before, 70)
    wait(before)
    move(before, 10)
    wait(before)
    after = market(max_drawdown=100 * 60 * TICK_LOT)
    restore_scope(after.s, last_scope(before))
    scope, old = after.s["scopes"][0], before.s["scopes"][0]
    for name in ("peak_pnl", "day_start_pnl", "next_reset"):
        assert scope[name] == old[name] != 0
    move(after, 10)
    assert asked(after, new_order(1, BUY, BID_PX)) == [Reason.DRAWDOWN]


def test_reset_that_fell_into_the_downtime_is_done_at_once() -> None:
    before = with_resets(market(), 3)
    wait(before)
    after = market(max_daily_loss=100 * 50 * TICK_LOT)
    restore_scope(after.s, last_scope(before))
    after.s["accounts"][0]["resets"][0] = after.now + 1_000 * SECOND
    move(after, -40)
    wait(after, 30)
    assert after.s["scopes"][0]["day_start_pnl"] == -100 * 40 * TICK_LOT
    assert after.s["scopes"][0]["next_reset"] == after.s["accounts"][0]["resets"][0]
