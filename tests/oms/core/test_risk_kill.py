"""The kill switch: everything is cancelled, then closed at the market, and nothing turns around."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as hs

from oms.core.trading import Flattening
from oms.records import (
    CommandKind,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
    TradingState,
    Trigger,
    TriggerSource,
)
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    MS,
    SECOND,
    SELL,
    Records,
    Rig,
    cancel,
    command,
    fill,
    new_order,
    only,
    reason_of,
    report,
    tick,
    time_tick,
)

pytestmark = pytest.mark.pure


def market(**limits: int) -> Rig:
    rig = Rig(limits=limits)
    rig.open_market()
    return rig


def hold(rig: Rig, qty: int, trade_id: int = 1, **fields: int) -> None:
    side = BUY if qty > 0 else SELL
    order_id = 10**9 + trade_id
    rig.commands(new_order(order_id, side, qty=abs(qty), **fields))
    rig.reports(fill(order_id, abs(qty), BID_PX if side > 0 else ASK_PX, side=side, trade_id=trade_id))


def kill(rig: Rig, *, flatten: int = 0, account: int = 0) -> Records:
    return rig.commands(command(CommandKind.KILL, 0, account=account, value=flatten, request_id=9))


def closing(rig: Rig) -> Any:
    """The closing orders that have left so far."""
    sent = rig.sent
    return sent[(sent["kind"] == CommandKind.NEW) & (sent["source"] == 1023)]


def assert_closed(rig: Rig) -> None:
    """The core has said that everything is closed."""
    assert rig.s["scopes"][0]["flattening"] == Flattening.CLOSED
    told = rig.events[rig.events["kind"] == EventKind.KILLED][-1]
    assert (told["aux"], told["reason"]) == (0, Reason.NONE)


def wait(rig: Rig, ns: int = SECOND) -> Records:
    return rig.ticks(time_tick(rig.now + ns))


def test_kill_halts_cancels_and_says_so() -> None:
    rig = market()
    rig.commands(new_order(1), new_order(2, instrument=1))
    events = kill(rig)
    told = {int(each["kind"]): each for each in events}
    state, killed = told[EventKind.TRADING_STATE], told[EventKind.KILLED]
    assert (state["aux"], state["reason"], state["request_id"]) == (TradingState.HALTED, Reason.KILL_SWITCH, 9)
    assert (killed["account"], killed["aux"], killed["request_id"]) == (0, 0, 9)
    assert {rig.state(1), rig.state(2)} == {OrderState.PENDING_CANCEL}
    assert reason_of(rig.commands(new_order(3))) == Reason.TRADING_HALTED
    assert len(closing(rig)) == 0


def test_kill_of_all_accounts_and_of_one_that_is_not_there() -> None:
    rig = market()
    rig.s["accounts"][1]["defined"] = 1
    assert reason_of(kill(rig, account=2)) == Reason.UNKNOWN_ACCOUNT
    assert rig.s["scopes"]["reason"][:2].tolist() == [0, 0]
    kill(rig, account=-1)
    assert rig.s["scopes"]["reason"][:3].tolist() == [Reason.KILL_SWITCH, Reason.KILL_SWITCH, 0]


def test_nothing_is_closed_before_every_order_is_gone() -> None:
    rig = market()
    hold(rig, 30)
    rig.commands(new_order(1), new_order(2, SELL))
    kill(rig, flatten=1)
    wait(rig)
    rig.reports(report(ReportKind.CANCELLED, 1))
    assert len(closing(rig)) == 0
    rig.reports(fill(2, 4, ASK_PX, side=SELL, trade_id=2), report(ReportKind.CANCELLED, 2))
    (order,) = closing(rig)
    assert (order["side"], order["qty"], order["order_type"]) == (SELL, 26, OrderType.MARKET)
    assert order["flags"] == OrderFlag.REDUCE_ONLY


def test_order_that_is_not_answered_keeps_back_only_what_it_may_close_itself() -> None:
    rig = market()
    hold(rig, 30)
    hold(rig, 1_000, trade_id=2, instrument=1)
    rig.commands(new_order(1, SELL, qty=10), new_order(2, qty=7))
    rig.reports(report(ReportKind.ACCEPTED, 1), report(ReportKind.ACCEPTED, 2))
    kill(rig, flatten=1)
    wait(rig, 4 * SECOND)
    assert len(closing(rig)) == 0
    wait(rig, 2 * SECOND)
    first, other = closing(rig)
    assert (first["instrument"], first["side"], first["qty"], first["flags"]) == (0, SELL, 20, OrderFlag.REDUCE_ONLY)
    assert (other["instrument"], other["side"], other["qty"]) == (1, SELL, 1_000)
    for number, order in enumerate((first, other)):
        terms = {"side": SELL, "instrument": int(order["instrument"]), "trade_id": 10 + number}
        rig.reports(fill(int(order["order_id"]), int(order["qty"]), **terms))
    wait(rig, 10 * SECOND)
    assert len(closing(rig)) == 2
    assert rig.s["scopes"][0]["flattening"] == Flattening.CLOSING
    rig.reports(report(ReportKind.CANCELLED, 1), report(ReportKind.CANCELLED, 2))
    wait(rig)
    last = closing(rig)[-1]
    assert (len(closing(rig)), last["side"], last["qty"]) == (3, SELL, 10)
    rig.reports(fill(int(last["order_id"]), 10, side=SELL, trade_id=20))
    wait(rig)
    assert_closed(rig)


def test_venue_that_rejects_closing_orders_gets_them_at_pauses_that_double_until_one_fills() -> None:
    rig = market(max_order_qty=20)
    hold(rig, 20)
    hold(rig, 20, trade_id=2)
    kill(rig, flatten=1)
    wait(rig, 100 * MS)
    pauses = []
    for _ in range(8):
        rejected_at, before = rig.now, len(closing(rig))
        rig.reports(report(ReportKind.REJECTED, int(closing(rig)[-1]["order_id"])))
        while len(closing(rig)) == before:
            wait(rig, 100 * MS)
        pauses.append((rig.now - rejected_at) / SECOND)
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 6.4, 6.4]
    before = len(closing(rig))
    rig.reports(fill(int(closing(rig)[-1]["order_id"]), 20, side=SELL, trade_id=30))
    wait(rig, 100 * MS)
    assert len(closing(rig)) == before + 1


def test_late_fill_after_the_cancel_is_closed_too() -> None:
    rig = market()
    rig.commands(new_order(1, qty=30))
    kill(rig, flatten=1)
    rig.reports(report(ReportKind.CANCELLED, 1))
    rig.reports(fill(1, 10, trade_id=1))
    wait(rig)
    assert closing(rig)["qty"].tolist() == [10]


def test_late_fill_while_a_closing_order_is_under_way_is_sized_in_once_that_has_ended() -> None:
    rig = market()
    hold(rig, 30)
    rig.commands(new_order(1, qty=12), new_order(2, SELL, qty=8))
    kill(rig, flatten=1)
    rig.reports(report(ReportKind.CANCELLED, 1), report(ReportKind.CANCELLED, 2))
    (first,) = closing(rig)
    order_id = int(first["order_id"])
    rig.reports(fill(2, 8, ASK_PX, side=SELL, trade_id=2))
    wait(rig)
    assert len(closing(rig)) == 1
    rig.reports(fill(order_id, 22, side=SELL, trade_id=3), report(ReportKind.EXPIRED, order_id))
    rig.reports(fill(1, 12, trade_id=4))
    wait(rig)
    assert closing(rig)["qty"].tolist() == [30, 12]
    rig.reports(fill(int(closing(rig)["order_id"][1]), 12, side=SELL, trade_id=5))
    wait(rig, 100 * MS)
    assert rig.position()["qty"] == 0
    assert_closed(rig)


def test_asking_again_goes_on_closing_at_once() -> None:
    rig = market()
    hold(rig, 30)
    kill(rig, flatten=1)
    (first,) = closing(rig)
    rig.reports(report(ReportKind.EXPIRED, int(first["order_id"])))
    killed = kill(rig)
    assert killed[killed["kind"] == EventKind.KILLED]["aux"].tolist() == [1]
    assert closing(rig)["qty"].tolist() == [30, 30]


def test_order_adopted_while_positions_are_closed_is_no_closing_order() -> None:
    rig = market()
    hold(rig, 30)
    kill(rig, flatten=1)
    (first,) = closing(rig)
    rig.reports(report(ReportKind.EXPIRED, int(first["order_id"])))
    due = int(rig.s["scopes"][0]["flatten_ts"])
    rig.now += 10 * MS
    terms = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "strategy": -1}
    rig.reports(report(ReportKind.ADOPTED, 77, side=SELL, px=ASK_PX + 9, qty=5, leaves_qty=5, ts=rig.now, **terms))
    assert rig.s["scopes"][0]["flatten_ts"] == due


@pytest.mark.parametrize("hedging", [0, 1])
def test_order_of_the_short_leg_is_adopted_only_where_there_is_one(hedging: int) -> None:
    rig = market()
    rig.s["accounts"][0]["hedging"] = hedging
    terms = {"order_type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "strategy": -1}
    flags = OrderFlag.SHORT_LEG | OrderFlag.REDUCE_ONLY
    adopted = report(ReportKind.ADOPTED, 77, side=BUY, px=BID_PX - 9, qty=5, leaves_qty=5, flags=flags, **terms)
    events = rig.reports(adopted)
    if hedging:
        assert only(events, EventKind.ORDER_ADOPTED)["flags"] == flags
        assert rig.order(77)["leg"] == 1
    else:
        assert only(events, EventKind.REPORT_IGNORED)["reason"] == Reason.BAD_LEG


def test_large_position_is_closed_in_chunks_on_the_grid() -> None:
    rig = market()
    hold(rig, 101)
    rig.limit(0, max_order_qty=50)
    rig.s["instruments"][0]["min_qty"] = 5
    kill(rig, flatten=1)
    for number in range(1, 10):
        sent = closing(rig)
        if len(sent) < number:
            break
        order = sent[-1]
        qty = int(order["qty"])
        rig.reports(fill(int(order["order_id"]), qty, side=SELL, trade_id=100 + number))
        wait(rig, 100 * MS)
    assert closing(rig)["qty"].tolist() == [50, 46, 5]
    assert rig.position()["qty"] == 0
    assert_closed(rig)


def test_what_does_not_fill_is_asked_for_again_once_the_book_can_be_traded_on() -> None:
    rig = market()
    hold(rig, 30)
    rig.ticks(tick(TickKind.STALE))
    kill(rig, flatten=1)
    wait(rig, 2 * SECOND)
    assert len(closing(rig)) == 0
    rig.open_market(0)
    wait(rig)
    (first,) = closing(rig)
    rig.reports(fill(int(first["order_id"]), 20, side=SELL, trade_id=2))
    rig.reports(report(ReportKind.EXPIRED, int(first["order_id"])))
    assert len(closing(rig)) == 1
    wait(rig, 100 * MS)
    assert closing(rig)["qty"].tolist() == [30, 10]


def test_position_below_the_grid_is_left() -> None:
    rig = market()
    hold(rig, 30)
    rig.s["instruments"][0]["min_qty"] = 31
    kill(rig, flatten=1)
    assert len(closing(rig)) == 0
    assert_closed(rig)


def test_both_legs_of_a_hedging_account_are_closed() -> None:
    rig = market()
    rig.s["accounts"][0]["hedging"] = 1
    hold(rig, 10)
    hold(rig, -4, trade_id=2, flags=OrderFlag.SHORT_LEG)
    kill(rig, flatten=1)
    sent = closing(rig)
    assert sent["side"].tolist() == [SELL, BUY]
    assert sent["qty"].tolist() == [10, 4]
    assert sent["flags"].tolist() == [OrderFlag.REDUCE_ONLY, OrderFlag.REDUCE_ONLY | OrderFlag.SHORT_LEG]


def test_resuming_ends_the_closing() -> None:
    rig = market()
    hold(rig, 10)
    rig.ticks(tick(TickKind.STALE))
    kill(rig, flatten=1)
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.ACTIVE))
    rig.open_market(0)
    wait(rig, 3 * SECOND)
    assert len(closing(rig)) == 0
    assert rig.s["flattening"] == 0


@given(
    hs.lists(hs.tuples(hs.sampled_from((BUY, SELL)), hs.integers(2, 40)), min_size=1, max_size=6),
    hs.integers(-40, 40).filter(lambda qty: abs(qty) != 1),
    hs.data(),
)
def test_it_ends_flat_whatever_fills_in_between_and_never_turns_around(
    orders: list[tuple[int, int]], held: int, data: hs.DataObject
) -> None:
    rig = market(max_order_qty=25)
    rig.s["instruments"][0]["min_qty"] = 1
    rig.limit(0, max_order_qty=100)
    if held:
        hold(rig, held)
    for number, (side, qty) in enumerate(orders, start=1):
        rig.commands(new_order(number, side, qty=qty))
    rig.limit(0, max_order_qty=25)
    kill(rig, flatten=1)
    trade_id = 100
    for number, (side, qty) in enumerate(orders, start=1):
        part = data.draw(hs.integers(0, qty))
        trade_id += 1
        if part:
            rig.reports(fill(number, part, BID_PX if side > 0 else ASK_PX, side=side, trade_id=trade_id))
        if part < qty:
            rig.reports(report(ReportKind.CANCELLED, number))
    done = 0
    for turn in range(60):
        for order in closing(rig)[done:]:
            done += 1
            trade_id += 1
            before = int(rig.position()["qty"])
            order_id, side, qty = int(order["order_id"]), int(order["side"]), int(order["qty"])
            part = data.draw(hs.integers(0, qty)) if turn < 10 else qty
            if part:
                rig.reports(fill(order_id, part, side=side, trade_id=trade_id))
            if part < qty:
                rig.reports(report(ReportKind.EXPIRED, order_id))
            after = int(rig.position()["qty"])
            assert before * after >= 0
            assert abs(after) <= abs(before)
        wait(rig, 100 * MS)
        if rig.s["scopes"][0]["flattening"] == Flattening.CLOSED:
            break
    assert rig.position()["qty"] == 0
    assert_closed(rig)


def stop(order_id: int, side: int, px: int, trigger_px: int, qty: int = 10) -> Records:
    """A limit order that is held until the last trade is at its trigger."""
    return new_order(
        order_id, side, px, qty, trigger=Trigger.STOP, trigger_source=TriggerSource.LAST, trigger_px=trigger_px
    )


def test_held_orders_are_ended_before_positions_are_closed() -> None:
    rig = market()
    hold(rig, 10)
    rig.commands(stop(5, SELL, BID_PX - 100, BID_PX - 90))
    assert rig.state(5) == OrderState.HELD
    kill(rig, flatten=1)
    assert rig.state(5) == OrderState.CANCELLED
    assert closing(rig)["qty"].tolist() == [10]


def test_held_order_is_no_obstacle_to_an_own_order_that_leaves() -> None:
    rig = market()
    rig.commands(new_order(1, BUY, BID_PX), cancel(1))
    rig.reports(report(ReportKind.CANCELLED, 1))
    rig.commands(stop(2, BUY, ASK_PX + 50, ASK_PX + 40))
    assert reason_of(rig.commands(new_order(3, SELL, BID_PX))) == Reason.NONE


def test_cancels_pass_while_killed() -> None:
    rig = market()
    rig.commands(new_order(1))
    kill(rig)
    rig.reports(report(ReportKind.CANCEL_REJECTED, 1))
    assert reason_of(rig.commands(cancel(1))) == Reason.NONE


def test_cancel_that_the_exchange_refuses_is_asked_for_again() -> None:
    rig = market()
    rig.commands(new_order(1))
    kill(rig)
    rig.reports(report(ReportKind.CANCEL_REJECTED, 1))
    assert rig.state(1) == OrderState.LIVE
    wait(rig)
    assert rig.state(1) == OrderState.PENDING_CANCEL
