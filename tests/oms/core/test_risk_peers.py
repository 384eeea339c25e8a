"""The faults of other systems' risk (vn.py, NautilusTrader), each as a test of what happens here."""

from __future__ import annotations

from pathlib import Path

import pytest

from oms.core.state import new_state
from oms.records import CASH_SCALE, CommandKind, OrderState, Reason, ReportKind, TradingState
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    SECOND,
    SELL,
    Records,
    Rig,
    cancel,
    command,
    fill,
    ignored,
    market_order,
    new_order,
    reason_of,
    report,
    snapshot,
    time_tick,
)

pytestmark = pytest.mark.pure

BURST = Path(__file__).parents[2] / "strategies" / "samples" / "burst.py"


def market(**limits: int) -> Rig:
    rig = Rig(limits=limits)
    rig.open_market()
    return rig


def asked(rig: Rig, *commands: Records) -> list[Reason]:
    return [reason_of(rig.commands(each)) for each in commands]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"max_open_orders": 50}, Reason.OPEN_ORDER_LIMIT),
        ({"order_interval_ns": SECOND // 50}, Reason.ORDER_RATE),
        ({"max_position": 500}, Reason.POSITION_LIMIT),
    ],
)
def test_500_orders_in_one_callback_meet_a_limit_of_50(limits: dict[str, int], reason: Reason) -> None:
    rig = Rig(limits=limits)
    number = rig.add(BURST, 0)
    events = rig.ticks(snapshot(0, {BID_PX: 100}, {ASK_PX: 100}))
    assert rig.s["strategies"][number]["memory"][1] == 50
    assert rig.s["open_orders"] == 50
    assert reason_of(events) == reason


def test_market_orders_do_not_skip_the_limit_by_value() -> None:
    rig = market(max_order_notional=ASK_PX * 10 * 10_000)
    assert asked(rig, market_order(1, qty=11), market_order(2, qty=10)) == [Reason.NOTIONAL_ABOVE_MAX, Reason.NONE]


def test_market_order_is_valued_at_the_levels_that_it_would_walk_through() -> None:
    rig = Rig(limits={"max_order_notional": ASK_PX * 10 * 10_000})
    rig.ticks(snapshot(0, {BID_PX: 100}, {ASK_PX: 5, ASK_PX + 1: 100}))
    assert asked(rig, market_order(1, qty=10), market_order(2, qty=5)) == [Reason.NOTIONAL_ABOVE_MAX, Reason.NONE]


def test_missing_account_refuses() -> None:
    assert asked(market(), new_order(1, account=1)) == [Reason.UNKNOWN_ACCOUNT]


def test_nothing_is_traded_by_a_core_that_was_told_nothing() -> None:
    rig = market()
    rig.s["accounts"][0] = new_state()[0]["accounts"][0]
    assert asked(rig, new_order(1)) == [Reason.UNKNOWN_ACCOUNT]
    assert new_state()[0]["scopes"]["trading_state"][0] == TradingState.HALTED


@pytest.mark.parametrize("order", [new_order(1, qty=2_550), market_order(1, qty=2_550)])
def test_order_of_153_million_goes_nowhere(order: Records) -> None:
    """2.55 million of 60,000 each, on the limits that a session starts with."""
    order["qty"] *= 1_000
    by_limit = {
        "max_order_qty": 500,
        "max_order_notional": 50_000 * CASH_SCALE,
        "max_position": 1_000,
    }
    for name, value in by_limit.items():
        rig = market(**{name: value})
        rig.s["instruments"][0]["max_qty"] = 2**31
        assert asked(rig, order) != [Reason.NONE]
    funds = market()
    funds.s["instruments"][0]["max_qty"] = 2**31
    funds.s["wallets"]["balance"][0] = 1_000_000 * CASH_SCALE
    assert asked(funds, order) == [Reason.INSUFFICIENT_FUNDS]
    gross = market()
    gross.s["instruments"][0]["max_qty"] = 2**31
    gross.s["scopes"][0]["max_gross"] = 1_000_000 * CASH_SCALE
    assert asked(gross, order) == [Reason.GROSS_EXPOSURE]


def test_limits_follow_requests_not_events() -> None:
    rig = market(max_position=10)
    assert asked(rig, new_order(1), new_order(2)) == [Reason.NONE, Reason.POSITION_LIMIT]
    rig.commands(cancel(1))
    assert asked(rig, new_order(3)) == [Reason.POSITION_LIMIT]


def test_daily_counters_reset() -> None:
    rig = market()
    scope = rig.s["scopes"][0]
    scope["max_daily_loss"] = 10 * CASH_SCALE
    rig.s["accounts"][0]["resets"][0] = rig.now + 5 * SECOND
    rig.commands(new_order(1))
    rig.reports(fill(1, 10, trade_id=1, fee_known=1, fee=11 * CASH_SCALE))
    assert asked(rig, new_order(2)) == [Reason.TRADING_REDUCING]
    rig.ticks(time_tick(rig.now + 6 * SECOND))
    assert asked(rig, new_order(3)) == [Reason.NONE]


def test_late_new_after_filled_does_not_revive_an_order() -> None:
    rig = market()
    rig.commands(new_order(1))
    rig.reports(fill(1, 10, trade_id=1))
    assert ignored(rig.reports(report(ReportKind.ACCEPTED, 1))) == Reason.ILLEGAL_TRANSITION
    assert rig.state(1) == OrderState.FILLED
    assert rig.s["scopes"][0]["open_orders"] == 0


def test_unanswered_order_stays_counted() -> None:
    rig = market(max_position=10)
    rig.commands(new_order(1))
    rig.ticks(time_tick(rig.now + 3_600 * SECOND))
    rig.open_market()
    assert asked(rig, new_order(2)) == [Reason.POSITION_LIMIT]


def test_halted_account_may_cancel() -> None:
    rig = market()
    rig.commands(new_order(1), command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.HALTED))
    assert asked(rig, new_order(2, SELL), new_order(3, BUY), cancel(1)) == [
        Reason.TRADING_HALTED,
        Reason.TRADING_HALTED,
        Reason.NONE,
    ]
