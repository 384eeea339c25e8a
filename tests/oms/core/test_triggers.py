"""Orders that wait for a price in the core's keeping."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

from oms.core.state import MAX_PX
from oms.records import (
    CommandKind,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
    TradingState,
    TrailUnit,
    Trigger,
    TriggerSource,
)
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SELL,
    Records,
    Rig,
    amend,
    cancel,
    client_id,
    command,
    depth,
    kinds,
    market_order,
    new_order,
    only,
    reason_of,
    report,
    snapshot,
    tick,
    trade,
)

ORDER = client_id(1)
pytestmark = pytest.mark.pure
SIDES = pytest.mark.parametrize("side", [BUY, SELL])


def market() -> Rig:
    rig = Rig()
    rig.open_market()
    rig.ticks(trade(BUY, BID_PX, 1))
    return rig


def stop(
    side: int,
    trigger_px: int,
    *,
    order_id: int = ORDER,
    trigger: int = Trigger.STOP,
    source: int = TriggerSource.LAST,
    **fields: Any,
) -> Records:
    """A stop-market order that waits until it is cancelled."""
    terms = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC, "px": 0}
    waits = {"trigger": trigger, "trigger_source": source, "trigger_px": trigger_px}
    return new_order(order_id, side, **{**terms, **waits, **fields})


def trailing(side: int, trail: int, unit: int = TrailUnit.TICKS, **fields: Any) -> Records:
    return stop(side, 0, trigger=Trigger.TRAILING, trail=trail, trail_unit=unit, **fields)


def last(rig: Rig, px: int) -> Records:
    """A trade at ``px``; returns the events."""
    return rig.ticks(trade(BUY, px, 1))


@SIDES
def test_a_stop_leaves_as_a_market_order_when_its_price_trades(side: int) -> None:
    rig = market()
    events = rig.commands(stop(side, BID_PX + 10 * side))
    held = only(events, EventKind.ORDER_HELD)
    assert (held["state"], held["last_px"], held["trigger"]) == (OrderState.HELD, BID_PX + 10 * side, Trigger.STOP)
    assert rig.sent["kind"].tolist() == [CommandKind.HOLD]
    assert rig.position()["open_buy_qty"] == rig.position()["open_sell_qty"] == 0
    assert len(last(rig, BID_PX + 9 * side)) == 0
    fired = last(rig, BID_PX + 10 * side)
    assert EventKind.ORDER_SUBMITTED in kinds(fired)
    sent = rig.sent[-1]
    assert (sent["kind"], sent["order_type"], sent["time_in_force"]) == (
        CommandKind.NEW,
        OrderType.MARKET,
        TimeInForce.IOC,
    )
    assert rig.state(ORDER) == OrderState.PENDING_NEW


@SIDES
def test_a_stop_market_that_has_left_does_not_rest_whatever_it_waited_for(side: int) -> None:
    rig = market()
    rig.commands(new_order(client_id(2), side, qty=5), cancel(client_id(2)))
    rig.reports(report(ReportKind.CANCELLED, client_id(2)))
    rig.commands(stop(side, BID_PX + 10 * side))
    told = only(last(rig, BID_PX + 10 * side), EventKind.ORDER_SUBMITTED)
    assert told["time_in_force"] == rig.order(ORDER)["time_in_force"] == TimeInForce.IOC
    px = ASK_PX if side == SELL else BID_PX
    assert reason_of(rig.commands(new_order(client_id(3), -side, px))) == Reason.NONE


def test_a_stop_market_of_all_or_nothing_leaves_as_such() -> None:
    rig = market()
    rig.commands(stop(BUY, BID_PX + 10, time_in_force=TimeInForce.FOK))
    last(rig, BID_PX + 10)
    assert rig.sent[-1]["time_in_force"] == TimeInForce.FOK


def test_a_stop_is_entered_within_the_largest_notional_at_its_limit_price_else_at_its_triggers() -> None:
    rig = market()
    rig.limit(0, max_order_notional=10 * (BID_PX + 10) * 10_000)
    limit = {"order_type": OrderType.LIMIT, "px": BID_PX + 10}
    answers = [
        reason_of(rig.commands(each))
        for each in (
            stop(BUY, BID_PX + 11, order_id=client_id(1)),
            stop(BUY, BID_PX + 10, order_id=client_id(2)),
            stop(BUY, BID_PX + 11, order_id=client_id(3), **limit),
            stop(BUY, BID_PX + 9, order_id=client_id(4), **{**limit, "px": BID_PX + 11}),
            trailing(BUY, 5, order_id=client_id(5), qty=11),
        )
    ]
    above = Reason.NOTIONAL_ABOVE_MAX
    assert answers == [above, Reason.NONE, Reason.NONE, above, Reason.NONE]


@SIDES
def test_a_gap_through_the_stop_price_fires_it(side: int) -> None:
    rig = market()
    rig.commands(stop(side, BID_PX + 10 * side))
    last(rig, BID_PX + 1_000 * side)
    assert rig.state(ORDER) == OrderState.PENDING_NEW


@SIDES
def test_a_stop_whose_price_is_passed_already_leaves_with_the_next_price(side: int) -> None:
    rig = market()
    rig.commands(stop(side, BID_PX - 10 * side))
    last(rig, BID_PX)
    assert rig.state(ORDER) == OrderState.PENDING_NEW


@SIDES
def test_a_take_profit_fires_the_other_way(side: int) -> None:
    rig = market()
    rig.commands(stop(side, BID_PX - 10 * side, trigger=Trigger.TAKE_PROFIT))
    last(rig, BID_PX - 9 * side)
    assert rig.state(ORDER) == OrderState.HELD
    last(rig, BID_PX - 10 * side)
    assert rig.state(ORDER) == OrderState.PENDING_NEW


@SIDES
def test_a_stop_limit_rests_at_its_limit(side: int) -> None:
    rig = market()
    rig.commands(stop(side, BID_PX + 10 * side, order_type=OrderType.LIMIT, px=BID_PX + 12 * side))
    last(rig, BID_PX + 10 * side)
    sent = rig.sent[-1]
    assert (sent["order_type"], sent["px"], sent["time_in_force"]) == (
        OrderType.LIMIT,
        BID_PX + 12 * side,
        TimeInForce.GTC,
    )


@pytest.mark.parametrize(
    ("source", "ticks"),
    [
        (TriggerSource.LAST, lambda px: trade(BUY, px, 1)),
        (TriggerSource.MARK, lambda px: tick(TickKind.MARK, px=px, px_2=1)),
        (TriggerSource.INDEX, lambda px: tick(TickKind.MARK, px=1, px_2=px)),
        (TriggerSource.BID_ASK, lambda px: snapshot(0, {px - 1: 5}, {px: 5})),
    ],
)
def test_each_source_fires_on_its_own_price_alone(source: TriggerSource, ticks: Any) -> None:
    rig = market()
    rig.commands(*(stop(BUY, BID_PX + 50, order_id=client_id(int(each)), source=each) for each in TriggerSource))
    rig.ticks(ticks(BID_PX + 50))
    fired = [each for each in TriggerSource if rig.state(client_id(int(each))) != OrderState.HELD]
    assert fired == [source]


@SIDES
def test_bid_ask_watches_what_the_order_would_trade_at(side: int) -> None:
    rig = market()
    rig.commands(stop(side, BID_PX + (20 if side > 0 else -20), source=TriggerSource.BID_ASK))
    reached = BID_PX + 20 * side
    other = reached - side * 3
    bids, asks = ({other: 5}, {reached: 5}) if side > 0 else ({reached: 5}, {other: 5})
    rig.ticks(snapshot(0, bids, asks))
    assert rig.state(ORDER) == OrderState.PENDING_NEW


@SIDES
def test_a_trailing_stop_follows_and_never_moves_back(side: int) -> None:
    rig = market()
    rig.commands(trailing(side, 10))
    last(rig, BID_PX)
    assert rig.order(ORDER)["trigger_px"] == BID_PX + 10 * side
    last(rig, BID_PX - 5 * side)
    assert rig.order(ORDER)["trigger_px"] == BID_PX + 5 * side
    last(rig, BID_PX + 4 * side)
    assert (rig.order(ORDER)["trigger_px"], rig.state(ORDER)) == (BID_PX + 5 * side, OrderState.HELD)
    last(rig, BID_PX + 5 * side)
    assert rig.state(ORDER) == OrderState.PENDING_NEW


@SIDES
def test_a_trailing_distance_in_basis_points_is_of_the_price(side: int) -> None:
    rig = market()
    rig.commands(trailing(side, 50, TrailUnit.BASIS_POINTS))
    last(rig, BID_PX)
    assert rig.order(ORDER)["trigger_px"] == BID_PX + side * (BID_PX * 50 // 10_000)


def test_every_move_of_a_trailing_trigger_is_told_and_journalled() -> None:
    rig = market()
    rig.commands(trailing(SELL, 10))
    last(rig, BID_PX)
    moved = only(last(rig, BID_PX + 7), EventKind.HELD_AMENDED)
    assert (moved["last_px"], moved["state"]) == (BID_PX - 3, OrderState.HELD)
    assert (moved["realized_pnl"], moved["fees"]) == (10, TrailUnit.TICKS)
    assert (rig.sent[-1]["kind"], rig.sent[-1]["trigger_px"]) == (CommandKind.HELD_AMEND, BID_PX - 3)


MOVES = hs.lists(hs.integers(BID_PX - 400, BID_PX + 400), min_size=1, max_size=60)


@pytest.mark.parametrize("unit", list(TrailUnit))
@settings(max_examples=25, deadline=None)
@given(prices=MOVES, side=hs.sampled_from([BUY, SELL]), trail=hs.integers(1, 60))
def test_a_trailing_stop_is_where_the_definition_puts_it(
    unit: TrailUnit, prices: list[int], side: int, trail: int
) -> None:
    rig = market()
    rig.limit(0, collar_rate=10**10)
    rig.commands(trailing(side, trail, unit))
    trigger = None
    for px in prices:
        distance = trail if unit != TrailUnit.BASIS_POINTS else max(px * trail // 10_000, 1)
        candidate = px + side * distance
        fires = trigger is not None and (px - trigger) * side >= 0
        last(rig, px)
        if fires:
            assert rig.state(ORDER) == OrderState.PENDING_NEW
            return
        trigger = candidate if trigger is None else (min(trigger, candidate) if side > 0 else max(trigger, candidate))
        assert rig.order(ORDER)["trigger_px"] == trigger


@settings(max_examples=25, deadline=None)
@given(
    orders=hs.lists(
        hs.tuples(
            hs.sampled_from([BUY, SELL]),
            hs.integers(-300, 300),
            hs.sampled_from([Trigger.STOP, Trigger.TAKE_PROFIT]),
            hs.sampled_from([TriggerSource.LAST, TriggerSource.MARK]),
        ),
        min_size=1,
        max_size=12,
    ),
    prices=hs.lists(hs.tuples(hs.booleans(), hs.integers(BID_PX - 350, BID_PX + 350)), min_size=1, max_size=40),
)
def test_orders_fire_exactly_when_a_look_at_each_would_fire_them(
    orders: list[tuple[int, int, Trigger, TriggerSource]], prices: list[tuple[bool, int]]
) -> None:
    """The wake thresholds change nothing but the work."""
    rig = market()
    rig.limit(0, collar_rate=10**10)
    seen = {TriggerSource.LAST: BID_PX, TriggerSource.MARK: 0}
    waiting = {}
    for i, (side, away, trigger, source) in enumerate(orders, start=1):
        rig.commands(stop(side, BID_PX + away, order_id=client_id(i), trigger=trigger, source=source, qty=2))
        waiting[client_id(i)] = (side if trigger == Trigger.STOP else -side, BID_PX + away, source)
    for is_mark, px in prices:
        rig.ticks(tick(TickKind.MARK, px=px) if is_mark else trade(BUY, px, 1))
        seen[TriggerSource.MARK if is_mark else TriggerSource.LAST] = px
        for order_id, (sign, trigger_px, source) in list(waiting.items()):
            if seen[source] and (seen[source] - trigger_px) * sign >= 0:
                assert rig.state(order_id) == OrderState.PENDING_NEW
                del waiting[order_id]
            else:
                assert rig.state(order_id) == OrderState.HELD


def test_a_stop_reached_while_the_book_is_stale_leaves_when_it_may() -> None:
    rig = market()
    rig.commands(stop(SELL, BID_PX - 10))
    rig.ticks(tick(TickKind.STALE))
    last(rig, BID_PX - 10)
    assert rig.state(ORDER) == OrderState.HELD
    last(rig, BID_PX)  # the price is back, the stop was reached all the same
    rig.ticks(snapshot(0, {BID_PX: 5}, {ASK_PX: 5}))
    assert rig.state(ORDER) == OrderState.PENDING_NEW


def test_a_stop_reached_while_halted_is_kept_and_leaves_once_trading_resumes() -> None:
    rig = market()
    rig.commands(stop(SELL, BID_PX - 10))
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.HALTED))
    last(rig, BID_PX - 10)
    assert rig.state(ORDER) == OrderState.HELD
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.ACTIVE))
    last(rig, BID_PX - 9)
    assert rig.state(ORDER) == OrderState.PENDING_NEW


def test_an_order_that_risk_refuses_at_its_trigger_ends_with_the_reason() -> None:
    rig = market()
    rig.commands(stop(SELL, BID_PX - 10))
    rig.limit(0, max_position=5)
    ended = only(last(rig, BID_PX - 10), EventKind.HELD_ENDED)
    assert (ended["state"], ended["reason"]) == (OrderState.REJECTED, Reason.POSITION_LIMIT)
    assert rig.s["open_orders"] == 0


def test_a_held_order_is_amended_and_cancelled_at_once() -> None:
    rig = market()
    rig.commands(stop(SELL, BID_PX - 10))
    events = rig.commands(amend(ORDER, qty=4, trigger_px=BID_PX - 20))
    assert kinds(events) == [EventKind.HELD_AMENDED]
    last(rig, BID_PX - 10)
    assert rig.state(ORDER) == OrderState.HELD
    ended = only(rig.commands(cancel(ORDER)), EventKind.HELD_ENDED)
    assert (ended["state"], ended["reason"]) == (OrderState.CANCELLED, Reason.REQUESTED)
    last(rig, BID_PX - 20)
    assert rig.state(ORDER) == OrderState.CANCELLED
    assert rig.s["open_orders"] == rig.position()["open_orders"] == 0


def test_a_book_that_goes_stale_takes_no_stop_with_it() -> None:
    rig = market()
    rig.commands(stop(SELL, BID_PX - 10, strategy=-1))
    rig.s["strategies_used"] = 1
    rig.s["orders"][0]["strategy"] = 0
    rig.ticks(tick(TickKind.STALE))
    assert rig.state(ORDER) == OrderState.HELD


def test_cancel_all_ends_held_orders_too() -> None:
    rig = market()
    rig.commands(stop(SELL, BID_PX - 10), new_order(client_id(2)))
    rig.reports(report(ReportKind.ACCEPTED, client_id(2)))
    rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1))
    assert (rig.state(ORDER), rig.state(client_id(2))) == (OrderState.CANCELLED, OrderState.PENDING_CANCEL)


BAD = [
    {"trigger_px": 0},
    {"trigger_px": -1},
    {"trigger_px": MAX_PX + 1},
    {"trigger_source": 0},
    {"trigger_source": 5},
    {"trigger": 4},
    {"trigger": 255},
    {"trail": 5},
    {"trigger": Trigger.NONE},
    {"trigger": Trigger.TRAILING},
    {"trigger": Trigger.TRAILING, "trail": 0, "trail_unit": 1},
    {"trigger": Trigger.TRAILING, "trail": -1, "trail_unit": 1},
    {"trigger": Trigger.TRAILING, "trail": 1, "trail_unit": 4},
    {"trigger": Trigger.TRAILING, "trail": 10_000, "trail_unit": 2},
]


@pytest.mark.parametrize("fields", BAD)
def test_trigger_words_must_go_together(fields: dict[str, int]) -> None:
    rig = market()
    terms = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX - 10, **fields}
    assert reason_of(rig.commands(new_order(ORDER, SELL, BID_PX - 20, **terms))) == Reason.BAD_TRIGGER
    assert rig.s["open_orders"] == 0


def test_a_live_order_has_no_trigger_to_amend() -> None:
    rig = market()
    rig.commands(new_order(ORDER))
    rig.reports(report(ReportKind.ACCEPTED, ORDER))
    assert reason_of(rig.commands(amend(ORDER, trigger_px=5))) == Reason.BAD_TRIGGER
    assert rig.state(ORDER) == OrderState.LIVE


@SIDES
def test_display_quantity_is_passed_on(side: int) -> None:
    rig = market()
    rig.commands(new_order(ORDER, side, BID_PX, 10, display_qty=3))
    assert rig.sent[-1]["display_qty"] == 3
    bad = [
        new_order(client_id(2), side, display_qty=11),
        new_order(client_id(3), side, display_qty=-1),
        new_order(client_id(4), side, display_qty=2, time_in_force=TimeInForce.IOC),
        market_order(client_id(5), side, display_qty=2),
    ]
    for each in bad:
        assert reason_of(rig.commands(each)) == Reason.BAD_DISPLAY_QTY


def test_an_order_that_shrinks_below_its_display_quantity_shows_all_of_it() -> None:
    rig = market()
    rig.commands(new_order(ORDER, qty=10, display_qty=8))
    rig.reports(report(ReportKind.ACCEPTED, ORDER))
    rig.commands(amend(ORDER, qty=4))
    assert (rig.sent[-1]["qty"], rig.sent[-1]["display_qty"]) == (4, 4)
    rig.reports(report(ReportKind.AMENDED, ORDER, px=BID_PX, qty=4))
    rig.commands(amend(ORDER, qty=20))
    assert (rig.sent[-1]["qty"], rig.sent[-1]["display_qty"]) == (20, 8)


def test_many_stops_at_one_price_all_fire() -> None:
    rig = market()
    ids = [client_id(i) for i in range(1, 200)]
    rig.commands(*(stop(SELL, BID_PX - 10, order_id=each, qty=2) for each in ids))
    assert rig.position()["open_orders"] == len(ids)
    last(rig, BID_PX - 11)
    states = {rig.state(each) for each in ids}
    assert states == {OrderState.PENDING_NEW}
    assert rig.position()["open_sell_qty"] == 2 * len(ids)
    assert rig.position()["open_orders"] == len(ids)


def test_depth_alone_moves_no_last_trade_trigger() -> None:
    rig = market()
    rig.commands(stop(BUY, BID_PX + 40))
    rig.ticks(depth(SELL, ASK_PX, 0), depth(SELL, BID_PX + 60, 5))
    assert rig.state(ORDER) == OrderState.HELD
    assert np.count_nonzero(rig.events["kind"] == EventKind.ORDER_SUBMITTED) == 0
