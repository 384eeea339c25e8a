"""Stops that stand at the exchange: what the core makes of them, and the exchange of paper and the backtest."""

from __future__ import annotations

from typing import Any

import pytest

from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
    Trigger,
    TriggerSource,
)
from strategies.api import has_fired
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
    fill,
    ignored,
    kinds,
    new_order,
    only,
    reason_of,
    report,
    tick,
    trade,
)

ORDER = client_id(1)
OTHER = client_id(2)
AT = OrderFlag.AT_EXCHANGE
PROTECTION = OrderFlag.AT_EXCHANGE | OrderFlag.REDUCE_ONLY
pytestmark = pytest.mark.pure
SIDES = pytest.mark.parametrize("side", [BUY, SELL])


def market(**options: Any) -> Rig:
    rig = Rig(**options)
    rig.open_market(0)
    rig.ticks(trade(BUY, BID_PX, 1))
    return rig


def stop(side: int, trigger_px: int, *, order_id: int = ORDER, flags: int = AT, **fields: Any) -> Records:
    """A stop-market order that stands at the exchange until it is cancelled."""
    terms = {"order_type": OrderType.MARKET, "time_in_force": TimeInForce.GTC, "px": 0}
    waits = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": trigger_px}
    return new_order(order_id, side, flags=flags, **{**terms, **waits, **fields})


def stands(rig: Rig, side: int = SELL, **fields: Any) -> None:
    """Have a stop ten ticks beyond the market accepted by an exchange that the test plays."""
    rig.commands(stop(side, BID_PX + 10 * side, **fields))
    rig.reports(report(ReportKind.ACCEPTED, fields.get("order_id", ORDER)))


def holds(rig: Rig, qty: int) -> None:
    """Have bought so many lots."""
    rig.commands(new_order(client_id(9), BUY, qty=qty))
    rig.reports(fill(client_id(9), qty, trade_id=99))


@SIDES
def test_it_leaves_at_once_with_its_trigger_and_the_core_does_not_watch_it(side: int) -> None:
    rig = market()
    told = only(rig.commands(stop(side, BID_PX + 10 * side)), EventKind.ORDER_SUBMITTED)
    sent = rig.sent[-1]
    assert (told["last_px"], told["flags"], told["state"]) == (BID_PX + 10 * side, AT, OrderState.PENDING_NEW)
    assert (sent["kind"], sent["trigger_px"], sent["trigger"]) == (CommandKind.NEW, BID_PX + 10 * side, Trigger.STOP)
    assert (sent["time_in_force"], sent["flags"]) == (TimeInForce.GTC, AT)
    rig.reports(report(ReportKind.ACCEPTED, ORDER))
    assert rig.state(ORDER) == OrderState.LIVE
    assert len(rig.ticks(trade(BUY, BID_PX + 20 * side, 1))) == 0


def test_when_it_has_fired_it_is_an_order_as_any_other() -> None:
    rig = market()
    stands(rig)
    assert not has_fired(rig.st, ORDER)
    fired = only(rig.reports(report(ReportKind.TRIGGERED, ORDER)), EventKind.ORDER_TRIGGERED)
    assert (fired["flags"], fired["state"], fired["trigger"]) == (0, OrderState.LIVE, Trigger.STOP)
    rig.reports(fill(ORDER, 10, BID_PX - 11, side=SELL, trade_id=1))
    assert rig.state(ORDER) == OrderState.FILLED
    assert has_fired(rig.st, ORDER)
    assert ignored(rig.reports(report(ReportKind.TRIGGERED, ORDER))) == Reason.ILLEGAL_TRANSITION


def test_a_fill_says_that_it_has_fired() -> None:
    rig = market()
    stands(rig)
    rig.reports(fill(ORDER, 4, BID_PX - 11, side=SELL, trade_id=1))
    assert rig.order(ORDER)["flags"] == 0
    assert ignored(rig.reports(report(ReportKind.TRIGGERED, ORDER))) == Reason.ILLEGAL_TRANSITION


def test_an_order_that_never_stood_there_does_not_fire() -> None:
    rig = market()
    rig.commands(new_order(ORDER))
    assert ignored(rig.reports(report(ReportKind.TRIGGERED, ORDER))) == Reason.ILLEGAL_TRANSITION


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trigger": Trigger.TRAILING, "trail": 5, "trail_unit": 1}, Reason.BAD_TRIGGER),
        ({"trigger_source": TriggerSource.BID_ASK}, Reason.BAD_TRIGGER),
        ({"trigger": 0, "time_in_force": TimeInForce.IOC}, Reason.BAD_FLAGS),
        ({"order_type": OrderType.LIMIT, "px": BID_PX, "display_qty": 5}, Reason.BAD_DISPLAY_QTY),
        ({"contingency": Contingency.OTO, "parent_id": OTHER}, Reason.BAD_PARENT),
        ({"order_type": OrderType.LIMIT, "px": BID_PX - 120}, Reason.PRICE_COLLAR),
        ({"qty": 2_000}, Reason.POSITION_LIMIT),
        ({"qty": 2_000, "flags": PROTECTION}, Reason.NONE),
    ],
)
def test_what_cannot_stand_there_is_refused(fields: dict[str, int], reason: Reason) -> None:
    rig = market(limits={"collar_rate": 100 * 10**8 // BID_PX, "max_position": 1_000})
    rig.commands(new_order(OTHER))
    assert reason_of(rig.commands(stop(SELL, BID_PX - 10, **fields))) == reason


def test_its_trigger_may_be_far_from_the_market_and_the_book_out_of_step() -> None:
    rig = market(limits={"collar_rate": 100 * 10**8 // BID_PX})
    rig.ticks(tick(TickKind.STALE))
    assert reason_of(rig.commands(stop(SELL, BID_PX // 2))) == Reason.NONE


def test_one_that_can_open_counts_as_open_and_one_that_can_only_close_does_not() -> None:
    rig = market()
    holds(rig, 10)
    stands(rig)
    assert rig.position()["open_sell_qty"] == 10
    stands(rig, order_id=OTHER, flags=PROTECTION, qty=9)
    assert (rig.position()["open_sell_qty"], rig.position()["open_orders"]) == (10, 2)
    target = new_order(client_id(3), SELL, ASK_PX + 50, qty=10, flags=OrderFlag.REDUCE_ONLY)
    assert reason_of(rig.commands(target)) == Reason.REDUCE_ONLY  # the first stop stands for all that is held
    rig.reports(report(ReportKind.CANCELLED, ORDER))
    assert rig.position()["open_sell_qty"] == 0
    rig.reports(report(ReportKind.TRIGGERED, OTHER))
    assert rig.position()["open_sell_qty"] == 9


def test_it_is_no_order_that_an_own_one_could_trade_with() -> None:
    rig = market()
    stands(rig, BUY, order_type=OrderType.LIMIT, px=BID_PX + 10)
    assert reason_of(rig.commands(new_order(OTHER, SELL, BID_PX + 5))) == Reason.NONE
    rig.commands(cancel(OTHER))
    rig.reports(report(ReportKind.CANCELLED, OTHER), report(ReportKind.TRIGGERED, ORDER))
    assert reason_of(rig.commands(new_order(client_id(3), SELL, BID_PX + 5))) == Reason.SELF_TRADE


def test_its_terms_can_be_amended_and_its_trigger_no_more_once_it_has_fired() -> None:
    rig = market()
    stands(rig)
    rig.commands(amend(ORDER, qty=8, trigger_px=BID_PX - 12))
    sent = rig.sent[-1]
    assert (sent["kind"], sent["qty"], sent["trigger_px"]) == (CommandKind.AMEND, 8, BID_PX - 12)
    amended = only(rig.reports(report(ReportKind.AMENDED, ORDER, qty=8, value=BID_PX - 12)), EventKind.ORDER_AMENDED)
    assert (amended["last_px"], amended["qty"]) == (BID_PX - 12, 8)
    assert (rig.order(ORDER)["trigger_px"], rig.state(ORDER)) == (BID_PX - 12, OrderState.LIVE)
    rig.reports(report(ReportKind.TRIGGERED, ORDER))
    assert reason_of(rig.commands(amend(ORDER, trigger_px=BID_PX - 13))) == Reason.BAD_TRIGGER


def test_it_stays_when_the_book_is_out_of_step_and_a_cancel_of_all_takes_it() -> None:
    rig = market()
    rig.s["strategies_used"] = 1
    rig.s["strategies"][0]["account"] = 0
    rig.commands(new_order(OTHER, strategy=0))
    stands(rig, strategy=0)
    rig.ticks(tick(TickKind.STALE))
    assert (rig.state(OTHER), rig.state(ORDER)) == (OrderState.PENDING_CANCEL, OrderState.LIVE)
    rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1))
    assert rig.state(ORDER) == OrderState.PENDING_CANCEL


def test_an_exit_leaves_with_its_entrys_first_fill_and_ends_with_the_position() -> None:
    rig = market()
    exits = {"contingency": Contingency.OTO, "parent_id": ORDER}
    rig.commands(
        new_order(ORDER, BUY, qty=10),
        new_order(OTHER, SELL, ASK_PX + 50, qty=10, **exits),
        stop(SELL, BID_PX - 10, order_id=client_id(3), flags=PROTECTION, **exits),
    )
    assert rig.state(client_id(3)) == OrderState.HELD
    rig.reports(fill(ORDER, 4, trade_id=1))
    sent = rig.sent[rig.sent["order_id"] == client_id(3)][-1]
    assert (sent["kind"], sent["qty"], sent["time_in_force"]) == (CommandKind.NEW, 10, TimeInForce.GTC)
    rig.reports(report(ReportKind.ACCEPTED, OTHER), report(ReportKind.ACCEPTED, client_id(3)))
    rig.reports(fill(ORDER, 6, trade_id=2))
    assert rig.state(client_id(3)) == OrderState.LIVE  # it is not resized
    rig.reports(report(ReportKind.AMENDED, OTHER, px=ASK_PX + 50, qty=10))
    rig.reports(fill(OTHER, 10, ASK_PX + 50, side=SELL, trade_id=3))
    assert rig.sent[-1]["kind"] == CommandKind.CANCEL
    assert rig.sent[-1]["order_id"] == client_id(3)


def test_when_an_exit_fires_the_target_gives_up_what_it_would_close() -> None:
    rig = market()
    exits = {"contingency": Contingency.OTO, "parent_id": ORDER}
    rig.commands(
        new_order(ORDER, BUY, qty=10),
        new_order(OTHER, SELL, ASK_PX + 50, qty=10, **exits),
        stop(SELL, BID_PX - 10, order_id=client_id(3), flags=PROTECTION, **exits),
    )
    rig.reports(fill(ORDER, 10, trade_id=1))
    rig.reports(report(ReportKind.ACCEPTED, OTHER), report(ReportKind.ACCEPTED, client_id(3)))
    rig.reports(report(ReportKind.TRIGGERED, client_id(3)))
    assert (rig.sent[-1]["kind"], rig.sent[-1]["order_id"]) == (CommandKind.CANCEL, OTHER)


def test_of_a_group_that_cancels_the_other_standing_there_does_not_cancel_and_firing_does() -> None:
    rig = market()
    holds(rig, 10)
    group = {"contingency": Contingency.OCO}
    rig.commands(
        new_order(ORDER, SELL, ASK_PX + 50, qty=10, **group),
        stop(SELL, BID_PX - 10, order_id=OTHER, flags=PROTECTION, parent_id=ORDER, **group),
    )
    rig.reports(report(ReportKind.ACCEPTED, ORDER), report(ReportKind.ACCEPTED, OTHER))
    assert rig.state(ORDER) == rig.state(OTHER) == OrderState.LIVE
    rig.reports(report(ReportKind.TRIGGERED, OTHER))
    assert rig.state(ORDER) == OrderState.PENDING_CANCEL


# the exchange of paper and the backtest


@SIDES
@pytest.mark.parametrize("trigger", [Trigger.STOP, Trigger.TAKE_PROFIT])
def test_the_exchange_fires_it_at_its_own_price(side: int, trigger: Trigger) -> None:
    rig = market(external=False)
    way = side if trigger == Trigger.STOP else -side
    rig.commands(stop(side, BID_PX + 10 * way, trigger=trigger))
    rig.ticks(trade(BUY, BID_PX + 9 * way, 1))
    assert rig.state(ORDER) == OrderState.LIVE
    rig.ticks(trade(BUY, BID_PX + 10 * way, 1), trade(BUY, BID_PX, 1))
    told = kinds(rig.events[rig.events["order_id"] == ORDER])
    lived = [EventKind.ORDER_SUBMITTED, EventKind.ORDER_ACCEPTED, EventKind.ORDER_TRIGGERED, EventKind.ORDER_FILLED]
    assert [kind for kind in told if kind != EventKind.POSITION] == lived
    assert rig.position()["qty"] == 10 * side


def test_one_that_watches_the_mark_fires_by_the_mark_alone() -> None:
    rig = market(external=False)
    rig.commands(stop(SELL, BID_PX - 10, trigger_source=TriggerSource.MARK))
    rig.ticks(trade(BUY, BID_PX - 20, 1))
    assert rig.state(ORDER) == OrderState.LIVE
    rig.ticks(tick(TickKind.MARK, px=BID_PX - 10), trade(BUY, BID_PX, 1))
    assert rig.state(ORDER) == OrderState.FILLED


def test_one_whose_price_is_reached_already_is_rejected() -> None:
    rig = market(external=False)
    rig.commands(stop(SELL, BID_PX))
    rig.ticks(trade(BUY, BID_PX, 1))
    assert (rig.state(ORDER), rig.order(ORDER)["reason"]) == (OrderState.REJECTED, Reason.WOULD_TRIGGER)


def test_a_stop_limit_rests_once_it_has_fired_and_is_cancelled_there() -> None:
    rig = market(external=False)
    rig.commands(stop(SELL, BID_PX - 10, order_type=OrderType.LIMIT, px=ASK_PX + 5))
    rig.ticks(trade(BUY, BID_PX - 10, 1), trade(BUY, BID_PX, 1))
    assert (rig.state(ORDER), rig.order(ORDER)["flags"]) == (OrderState.LIVE, 0)
    rig.commands(cancel(ORDER))
    rig.ticks(trade(BUY, BID_PX, 1))
    assert rig.state(ORDER) == OrderState.CANCELLED


def test_while_it_waits_it_is_amended_and_cancelled_there() -> None:
    rig = market(external=False)
    rig.commands(stop(SELL, BID_PX - 10), stop(SELL, BID_PX - 11, order_id=OTHER))
    rig.commands(amend(ORDER, trigger_px=BID_PX - 30), cancel(OTHER))
    rig.ticks(trade(BUY, BID_PX - 29, 1), trade(BUY, BID_PX - 29, 1))
    assert (rig.state(ORDER), rig.state(OTHER)) == (OrderState.LIVE, OrderState.CANCELLED)
    assert rig.order(ORDER)["trigger_px"] == BID_PX - 30
    rig.ticks(trade(BUY, BID_PX - 30, 1), trade(BUY, BID_PX, 1))
    assert rig.state(ORDER) == OrderState.FILLED


def test_a_cancel_that_meets_one_that_has_fired_on_its_way_is_answered_as_of_any_order() -> None:
    rig = market(external=False, latency_ns=5_000_000)
    rig.commands(stop(SELL, BID_PX - 10, order_type=OrderType.LIMIT, px=ASK_PX + 5))
    rig.ticks(*(trade(BUY, BID_PX, 1) for _ in range(12)))
    rig.commands(cancel(ORDER))
    rig.ticks(trade(BUY, BID_PX - 10, 1), *(trade(BUY, BID_PX, 1) for _ in range(15)))
    told = kinds(rig.events[rig.events["order_id"] == ORDER])
    assert told[-3:] == [EventKind.CANCEL_SUBMITTED, EventKind.ORDER_TRIGGERED, EventKind.ORDER_CANCELLED]


def test_a_protection_fills_no_more_than_it_closes() -> None:
    rig = market(external=False)
    rig.commands(new_order(OTHER, BUY, ASK_PX, qty=6), stop(SELL, BID_PX - 10, flags=PROTECTION))
    rig.ticks(trade(BUY, BID_PX - 10, 1), trade(BUY, BID_PX, 1))
    assert rig.position()["qty"] == 0
    assert rig.order(ORDER)["filled_qty"] == 6
    assert rig.state(ORDER) == OrderState.EXPIRED


def test_it_waits_for_a_book_in_step() -> None:
    rig = market(external=False)
    rig.commands(stop(SELL, BID_PX - 10))
    rig.ticks(trade(BUY, BID_PX, 1), tick(TickKind.STALE), trade(BUY, BID_PX - 10, 1))
    assert rig.state(ORDER) == OrderState.LIVE
    rig.open_market(0)
    rig.ticks(depth(BUY, BID_PX - 1, 5), trade(BUY, BID_PX - 10, 1), trade(BUY, BID_PX, 1))
    assert rig.state(ORDER) == OrderState.FILLED
