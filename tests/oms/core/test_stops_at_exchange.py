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
    TradingState,
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
EXIT = client_id(3)
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
        ({"order_type": OrderType.LIMIT, "px": BID_PX, "flags": AT | OrderFlag.POST_ONLY}, Reason.BAD_FLAGS),
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


def bracket(rig: Rig) -> None:
    """An entry that buys, with a target and a stop that is to stand at the exchange."""
    exits = {"contingency": Contingency.OTO, "parent_id": ORDER}
    rig.commands(
        new_order(ORDER, BUY, qty=10),
        new_order(OTHER, SELL, ASK_PX + 50, qty=10, **exits),
        stop(SELL, BID_PX - 10, order_id=EXIT, flags=PROTECTION, **exits),
    )


def test_an_exit_leaves_once_its_entry_is_done_and_ends_with_the_position() -> None:
    rig = market()
    bracket(rig)
    rig.reports(fill(ORDER, 4, trade_id=1), report(ReportKind.ACCEPTED, OTHER))
    assert (rig.state(EXIT), rig.order(EXIT)["qty"]) == (OrderState.HELD, 4)
    rig.reports(fill(ORDER, 6, trade_id=2))
    sent = rig.sent[rig.sent["order_id"] == EXIT][-1]
    assert (sent["kind"], sent["qty"], sent["flags"]) == (CommandKind.NEW, 10, PROTECTION)
    rig.reports(report(ReportKind.ACCEPTED, EXIT), report(ReportKind.AMENDED, OTHER, px=ASK_PX + 50, qty=10))
    rig.reports(fill(OTHER, 4, ASK_PX + 50, side=SELL, trade_id=3))
    assert rig.state(EXIT) == OrderState.LIVE  # it is not resized
    rig.reports(fill(OTHER, 6, ASK_PX + 50, side=SELL, trade_id=4))
    assert (rig.sent[-1]["kind"], rig.sent[-1]["order_id"]) == (CommandKind.CANCEL, EXIT)


def test_an_exit_of_an_entry_that_ends_partly_filled_closes_no_more_than_that() -> None:
    rig = market()
    bracket(rig)
    rig.reports(fill(ORDER, 4, trade_id=1), report(ReportKind.CANCELLED, ORDER))
    sent = rig.sent[rig.sent["order_id"] == EXIT][-1]
    assert (sent["kind"], sent["qty"], sent["flags"]) == (CommandKind.NEW, 4, PROTECTION)


def test_a_target_that_has_closed_all_so_far_leaves_what_the_entry_fills_later_an_exit() -> None:
    rig = market()
    bracket(rig)
    rig.reports(fill(ORDER, 3, trade_id=1), report(ReportKind.ACCEPTED, OTHER))
    rig.reports(fill(OTHER, 3, ASK_PX + 50, side=SELL, trade_id=2))
    assert rig.state(EXIT) == OrderState.HELD
    rig.reports(fill(ORDER, 7, trade_id=3))
    assert (rig.sent[-1]["order_id"], rig.sent[-1]["qty"], rig.sent[-1]["flags"]) == (EXIT, 7, PROTECTION)


def test_while_its_entry_works_the_core_watches_the_price_of_an_exit() -> None:
    rig = market()
    bracket(rig)
    rig.reports(fill(ORDER, 4, trade_id=1))
    rig.ticks(trade(SELL, BID_PX - 10, 1))
    assert rig.state(ORDER) == OrderState.PENDING_CANCEL  # it would trade with it
    rig.reports(report(ReportKind.CANCELLED, ORDER))
    rig.ticks(trade(SELL, BID_PX, 1))
    sent = rig.sent[rig.sent["order_id"] == EXIT][-1]
    assert (sent["kind"], sent["qty"], sent["flags"]) == (CommandKind.NEW, 4, OrderFlag.REDUCE_ONLY)
    assert (sent["time_in_force"], rig.state(OTHER)) == (TimeInForce.IOC, OrderState.PENDING_CANCEL)


def test_an_exit_whose_price_has_come_before_it_leaves_fires_in_the_core() -> None:
    rig = market()
    bracket(rig)
    rig.ticks(trade(SELL, BID_PX - 10, 1))
    rig.reports(fill(ORDER, 10, trade_id=1))
    sent = rig.sent[rig.sent["order_id"] == EXIT][-1]
    assert (sent["kind"], sent["qty"], sent["flags"]) == (CommandKind.NEW, 10, OrderFlag.REDUCE_ONLY)
    assert (sent["time_in_force"], has_fired(rig.st, EXIT)) == (TimeInForce.IOC, True)


def test_when_an_exit_fires_the_target_gives_up_what_it_would_close() -> None:
    rig = market()
    bracket(rig)
    rig.reports(fill(ORDER, 10, trade_id=1))
    rig.reports(report(ReportKind.ACCEPTED, OTHER), report(ReportKind.ACCEPTED, EXIT))
    rig.reports(report(ReportKind.TRIGGERED, EXIT))
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


@pytest.mark.parametrize("reason", [Reason.WOULD_TRIGGER, Reason.NO_STOPS_AT_EXCHANGE])
def test_of_such_a_group_one_that_the_exchange_does_not_keep_leaves_the_other_there(reason: Reason) -> None:
    rig = market()
    holds(rig, 10)
    group = {"contingency": Contingency.OCO}
    rig.commands(
        new_order(ORDER, SELL, ASK_PX + 50, qty=10, **group),
        stop(SELL, BID_PX - 10, order_id=OTHER, flags=PROTECTION, parent_id=ORDER, **group),
    )
    rig.reports(report(ReportKind.ACCEPTED, ORDER), report(ReportKind.REJECTED, OTHER, reason=reason))
    assert (rig.state(ORDER), rig.state(OTHER)) == (OrderState.LIVE, OrderState.REJECTED)
    held = stop(SELL, BID_PX - 10, order_id=EXIT, flags=OrderFlag.REDUCE_ONLY, parent_id=ORDER, **group)
    assert reason_of(rig.commands(held)) == Reason.NONE  # the core's own takes its place
    rig.reports(fill(ORDER, 10, ASK_PX + 50, side=SELL, trade_id=1))
    assert rig.state(EXIT) == OrderState.CANCELLED


COLLAR = {"collar_rate": 100 * 10**8 // BID_PX}


def test_one_that_is_held_first_has_its_limit_within_the_collar_of_its_trigger() -> None:
    rig = market(limits=COLLAR)
    terms = {"order_type": OrderType.LIMIT, "order_id": OTHER, "flags": PROTECTION, "parent_id": ORDER}
    exits = {**terms, "contingency": Contingency.OTO}
    rig.commands(new_order(ORDER, BUY))
    assert reason_of(rig.commands(stop(SELL, BID_PX - 10, px=BID_PX - 120, **exits))) == Reason.PRICE_COLLAR
    assert reason_of(rig.commands(stop(SELL, BID_PX - 10, px=BID_PX - 90, **exits))) == Reason.NONE
    assert reason_of(rig.commands(amend(OTHER, trigger_px=BID_PX + 20))) == Reason.PRICE_COLLAR
    assert reason_of(rig.commands(amend(OTHER, trigger_px=BID_PX - 20))) == Reason.NONE


@pytest.mark.parametrize("hindrance", ["halted", "reducing", "entry closed"])
def test_it_is_made_smaller_whatever_hinders_trading(hindrance: str) -> None:
    rig = market()
    stands(rig)
    if hindrance == "entry closed":
        rig.reports(report(ReportKind.ORDER_ENTRY, 0, reason=Reason.NOT_RECONCILED))
    else:
        state = TradingState.HALTED if hindrance == "halted" else TradingState.REDUCING
        rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=state))
    assert reason_of(rig.commands(amend(ORDER, qty=8))) == Reason.NONE


def test_while_its_trigger_is_changed_it_counts_at_the_dearer_one() -> None:
    rig = market()
    stands(rig, BUY)
    rig.commands(amend(ORDER, trigger_px=BID_PX + 30))
    assert rig.order(ORDER)["risk_px"] == BID_PX + 30
    rig.reports(report(ReportKind.ACCEPTED, ORDER))
    assert rig.order(ORDER)["risk_px"] == BID_PX + 30
    rig.reports(report(ReportKind.AMEND_REJECTED, ORDER))
    assert rig.order(ORDER)["risk_px"] == BID_PX + 10


@pytest.mark.parametrize(
    ("fields", "is_taken"),
    [
        ({"order_type": OrderType.MARKET}, True),
        ({"order_type": OrderType.LIMIT, "px": BID_PX - 10}, True),
        ({"order_type": OrderType.LIMIT}, False),
        ({"order_type": OrderType.MARKET, "px": BID_PX}, False),
        ({"order_type": 9, "px": BID_PX}, False),
        ({"order_type": OrderType.MARKET, "time_in_force": 99}, False),
    ],
)
def test_one_that_is_adopted_has_the_terms_of_an_order(fields: dict[str, int], is_taken: bool) -> None:
    rig = market()
    waits = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "value": BID_PX - 10}
    terms = {
        "side": SELL,
        "qty": 10,
        "leaves_qty": 10,
        "time_in_force": TimeInForce.GTC,
        "flags": PROTECTION,
        "strategy": -1,
    }
    told = rig.reports(report(ReportKind.ADOPTED, ORDER, **{**waits, **terms, **fields}))
    assert (EventKind.ORDER_ADOPTED in kinds(told)) == is_taken


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


def test_while_it_waits_it_is_cancelled_there_and_not_amended() -> None:
    rig = market(external=False)
    rig.commands(stop(SELL, BID_PX - 10), stop(SELL, BID_PX - 11, order_id=OTHER))
    rig.commands(amend(ORDER, trigger_px=BID_PX - 30), cancel(OTHER))
    rig.ticks(trade(BUY, BID_PX, 1), trade(BUY, BID_PX, 1))
    assert (rig.state(ORDER), rig.order(ORDER)["reason"]) == (OrderState.LIVE, Reason.NO_AMEND)
    assert rig.state(OTHER) == OrderState.CANCELLED
    assert reason_of(rig.commands(amend(ORDER, trigger_px=BID_PX - 30))) == Reason.NO_AMEND
    rig.ticks(trade(BUY, BID_PX - 10, 1), trade(BUY, BID_PX, 1))
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
