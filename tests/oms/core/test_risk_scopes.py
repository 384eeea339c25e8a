"""Risk by account, strategy and instrument: states, versions, exposure, leverage, rates, copies, self-trades, legs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms.core.state import MAX_ACCOUNTS, NO_LIMIT
from oms.records import (
    CASH_SCALE,
    CommandKind,
    Contingency,
    EventKind,
    InstrumentState,
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
    NO_LIMITS,
    SECOND,
    SELL,
    Records,
    Rig,
    amend,
    cancel,
    command,
    fill,
    kinds,
    market_order,
    new_order,
    only,
    reason_of,
    report,
    snapshot,
    tick,
    time_tick,
    trade,
)

pytestmark = pytest.mark.pure

WATCH = Path(__file__).parents[2] / "strategies" / "samples" / "watch.py"
STRATEGY = 0
SCOPE = MAX_ACCOUNTS + STRATEGY


def market(**limits: int) -> Rig:
    rig = Rig(limits=limits)
    rig.add(WATCH, 0)
    rig.open_market()
    return rig


def asked(rig: Rig, *commands: Records) -> list[Reason]:
    return [reason_of(rig.commands(each)) for each in commands]


def scope(rig: Rig, number: int = 0, /, **fields: int) -> Any:
    """Set fields of a scope and return it."""
    for name, value in fields.items():
        rig.s["scopes"][number][name] = value
    return rig.s["scopes"][number]


def strategy_limits(rig: Rig, **fields: int) -> None:
    """Give the strategy limits of its own in instrument 0."""
    for name, value in {**NO_LIMITS, **fields, "defined": 1}.items():
        rig.s["limits"][SCOPE, 0][name] = value


def hold(rig: Rig, qty: int, instrument: int = 0, trade_id: int = 1, **fields: int) -> None:
    side = BUY if qty > 0 else SELL
    order_id = 10**9 + 10 * trade_id + instrument
    rig.commands(new_order(order_id, side, qty=abs(qty), instrument=instrument, **fields))
    px = BID_PX if side > 0 else ASK_PX
    rig.reports(fill(order_id, abs(qty), px, side=side, trade_id=trade_id, instrument=instrument))


def test_instrument_that_is_switching_off_grid_or_expired_takes_no_orders() -> None:
    rig = market()
    answers = []
    for state in InstrumentState:
        rig.s["instrument_states"][0] = state
        answers += asked(rig, new_order(state + 1))
    assert answers == [Reason.NONE, Reason.INSTRUMENT_HALTED, Reason.INSTRUMENT_HALTED, Reason.INSTRUMENT_EXPIRED]


def test_expiry_refuses_cancels_and_is_told() -> None:
    rig = market()
    rig.commands(new_order(1))
    rig.reports(report(ReportKind.ACCEPTED, 1))
    rig.s["instruments"][0]["expiry_ts"] = rig.now + SECOND
    assert asked(rig, new_order(2)) == [Reason.NONE]
    events = rig.ticks(time_tick(rig.now + 3 * SECOND))
    told = only(events, EventKind.INSTRUMENT)
    assert (told["instrument"], told["aux"]) == (0, InstrumentState.EXPIRED)
    assert rig.sent[rig.sent["kind"] == CommandKind.CANCEL]["order_id"].tolist() == [2, 1]
    assert asked(rig, new_order(3)) == [Reason.INSTRUMENT_EXPIRED]


def test_prices_counted_by_another_version_are_refused() -> None:
    rig = market()
    assert asked(rig, new_order(1, version=1), new_order(2), new_order(3, version=2)) == [
        Reason.NONE,
        Reason.NONE,
        Reason.WRONG_VERSION,
    ]
    rig.reports(report(ReportKind.ACCEPTED, 1))
    rig.order(1)["version"] = 1
    rig.s["instruments"][0]["version"] = 2
    assert asked(rig, amend(1, qty=5)) == [Reason.WRONG_VERSION]


def test_strategy_without_a_state_of_its_own_is_active_and_may_be_halted_and_reduced_alone() -> None:
    rig = market()
    assert asked(rig, new_order(1, strategy=0)) == [Reason.NONE]
    event = only(
        rig.commands(command(CommandKind.SET_TRADING_STATE, 0, strategy=0, value=TradingState.HALTED)),
        EventKind.TRADING_STATE,
    )
    assert (event["account"], event["strategy"], event["aux"]) == (0, 0, TradingState.HALTED)
    assert asked(rig, new_order(2, strategy=0), new_order(3)) == [Reason.TRADING_HALTED, Reason.NONE]
    assert asked(rig, cancel(1)) == [Reason.NONE]
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, strategy=0, value=TradingState.REDUCING))
    assert asked(rig, new_order(4, strategy=0)) == [Reason.TRADING_REDUCING]


def test_strategy_reduces_its_own_position_not_the_accounts() -> None:
    rig = market()
    hold(rig, 10, strategy=0)
    hold(rig, -30, trade_id=2)
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, strategy=0, value=TradingState.REDUCING))
    assert asked(rig, new_order(1, SELL, strategy=0), new_order(2, SELL, qty=2, strategy=0)) == [
        Reason.NONE,
        Reason.TRADING_REDUCING,
    ]


def test_order_for_a_strategy_that_is_halted_or_another_accounts() -> None:
    rig = market()
    rig.s["strategies"][0]["halted"] = 1
    assert asked(rig, new_order(1, strategy=0)) == [Reason.STRATEGY_STOPPED]
    rig.s["strategies"][0]["halted"] = 0
    rig.s["strategies"][0]["account"] = 1
    assert asked(rig, new_order(1, strategy=0)) == [Reason.UNKNOWN_STRATEGY]


@pytest.mark.parametrize(
    ("limit", "value", "passing", "failing", "reason"),
    [
        ("max_order_qty", 20, 20, 21, Reason.QTY_ABOVE_MAX),
        ("max_order_notional", BID_PX * 10 * 10_000, 10, 11, Reason.NOTIONAL_ABOVE_MAX),
        ("max_position", 15, 15, 16, Reason.POSITION_LIMIT),
    ],
)
def test_limits_of_a_strategy_narrow_the_accounts(
    limit: str, value: int, passing: int, failing: int, reason: Reason
) -> None:
    rig = market()
    strategy_limits(rig, **{limit: value})
    assert asked(rig, new_order(1, qty=failing), new_order(2, qty=failing, strategy=0)) == [Reason.NONE, reason]
    assert asked(rig, new_order(3, qty=passing, strategy=0)) == [Reason.NONE]
    wide = market(**{limit: value})
    strategy_limits(wide)
    assert asked(wide, new_order(1, qty=failing, strategy=0)) == [reason]


def test_open_orders_are_limited_by_instrument_strategy_and_account() -> None:
    rig = market()
    strategy_limits(rig, max_open_orders=1)
    scope(rig, max_open_orders=4)
    assert asked(rig, new_order(1, strategy=0), new_order(2, strategy=0)) == [Reason.NONE, Reason.OPEN_ORDER_LIMIT]
    others = asked(rig, *(new_order(10 + i, instrument=i % 2) for i in range(4)))
    assert others == [Reason.NONE] * 3 + [Reason.OPEN_ORDER_LIMIT]


def test_rates_are_limited_by_instrument_strategy_and_account() -> None:
    rig = market()
    scope(rig, order_interval_ns=SECOND // 6)
    scope(rig, SCOPE, order_interval_ns=SECOND // 2)
    mine = asked(rig, *(new_order(i, strategy=0) for i in range(1, 5)))
    assert mine == [Reason.NONE] * 2 + [Reason.ORDER_RATE] * 2
    others = asked(rig, *(new_order(10 + i, instrument=i % 2) for i in range(6)))
    assert others == [Reason.NONE] * 4 + [Reason.ORDER_RATE] * 2


def test_cancels_over_their_rate_pass_and_are_counted() -> None:
    rig = market()
    scope(rig, cancel_interval_ns=SECOND // 2)
    rig.commands(*(new_order(i) for i in range(1, 6)))
    assert asked(rig, *(cancel(i) for i in range(1, 6))) == [Reason.NONE] * 5
    assert scope(rig)["cancels_over_rate"] == 3


def test_gross_exposure_counts_every_instrument_at_its_farthest() -> None:
    rig = market()
    mid = (BID_PX + ASK_PX) * 10_000 // 2
    scope(rig, max_gross=mid * 100)
    assert asked(rig, new_order(1, qty=60), new_order(2, SELL, qty=60)) == [Reason.NONE] * 2
    assert scope(rig)["gross"] == mid * 60
    spot_lots = mid * 40 // ((BID_PX + ASK_PX) * 10 // 2)
    assert asked(
        rig, new_order(3, qty=spot_lots + 1, instrument=1), new_order(4, qty=spot_lots, instrument=1), new_order(5)
    ) == [Reason.GROSS_EXPOSURE, Reason.NONE, Reason.GROSS_EXPOSURE]
    rig.reports(report(ReportKind.REJECTED, 4))
    assert asked(rig, new_order(5)) == [Reason.NONE]


def test_net_exposure_lets_long_and_short_cancel_each_other_out() -> None:
    rig = market()
    mid = (BID_PX + ASK_PX) * 10_000 // 2
    scope(rig, max_net=mid * 100)
    hold(rig, 100)
    assert asked(rig, new_order(1)) == [Reason.NET_EXPOSURE]
    assert asked(rig, new_order(2, SELL, qty=200), new_order(3, SELL)) == [Reason.NONE, Reason.NET_EXPOSURE]
    rig.commands(cancel(2))
    rig.reports(report(ReportKind.CANCELLED, 2))
    hold(rig, -50_000, instrument=1, trade_id=2)
    assert scope(rig)["net"] == mid * 50
    assert asked(rig, new_order(4, qty=50), new_order(5)) == [Reason.NONE, Reason.NET_EXPOSURE]


def test_order_that_only_closes_passes_whatever_the_exposure() -> None:
    rig = market()
    hold(rig, 100)
    scope(rig, max_gross=1, max_net=1, max_leverage=1)
    assert asked(rig, new_order(1, SELL, qty=60), new_order(2, SELL, qty=41), new_order(3, SELL, qty=40)) == [
        Reason.NONE,
        Reason.GROSS_EXPOSURE,
        Reason.NONE,
    ]


def test_leverage_is_gross_exposure_over_what_the_account_is_worth() -> None:
    rig = market()
    mid = (BID_PX + ASK_PX) * 10_000 // 2
    rig.s["wallets"]["balance"][0] = 0
    wallet = rig.s["instruments"][0]["settle_wallet"]
    rig.s["accounts"][0]["leverage"] = 100 * CASH_SCALE
    rig.s["instruments"][0]["max_leverage"] = 100 * CASH_SCALE
    rig.s["instruments"][0]["tiers"]["initial_rate"][0] = CASH_SCALE // 100
    rig.s["wallets"]["balance"][0, wallet] = mid * 20
    scope(rig, max_leverage=3 * CASH_SCALE)
    rig.ticks(trade(BUY, BID_PX, 1))
    assert asked(rig, new_order(1, qty=61), new_order(2, qty=60), new_order(3)) == [
        Reason.LEVERAGE,
        Reason.NONE,
        Reason.LEVERAGE,
    ]


def test_leverage_of_a_strategy_is_gross_exposure_over_its_capital_and_pnl() -> None:
    rig = market()
    rig.s["instruments"]["maker_fee_rate"] = 0
    mid = (BID_PX + ASK_PX) * 10_000 // 2
    scope(rig, SCOPE, max_leverage=3 * CASH_SCALE, equity_start=mid * 20)
    own = {"strategy": STRATEGY}
    assert asked(rig, new_order(1, qty=61, **own), new_order(2, qty=60, **own), new_order(3, qty=2, **own)) == [
        Reason.LEVERAGE,
        Reason.NONE,
        Reason.LEVERAGE,
    ]
    rig.reports(fill(2, 60, BID_PX * 2 // 3, trade_id=1))  # it has gained what 20 lots are worth
    assert asked(rig, new_order(4, qty=61, **own), new_order(5, qty=58, **own)) == [Reason.LEVERAGE, Reason.NONE]


def test_exposure_moves_with_the_market() -> None:
    rig = market(collar_rate=CASH_SCALE)
    mid = (BID_PX + ASK_PX) * 10_000 // 2
    scope(rig, max_gross=mid * 100)
    hold(rig, 60)
    rig.ticks(snapshot(0, {BID_PX * 3 // 2: 1_000}, {ASK_PX * 3 // 2: 1_000}))
    assert asked(rig, new_order(1, qty=10), new_order(2, qty=6)) == [Reason.GROSS_EXPOSURE, Reason.NONE]


def test_currency_without_a_rate_is_not_traded() -> None:
    rig = market()
    rig.s["currencies"]["defined"][rig.s["instruments"][0]["settle_currency"]] = 0
    assert asked(rig, new_order(1)) == [Reason.NO_CONVERSION]


def test_currency_is_worth_what_its_instrument_says() -> None:
    rig = market()
    settle = rig.s["instruments"][0]["settle_currency"]
    rate = rig.s["currencies"][settle]
    rate["instrument"], rate["factor"] = 2, 0.25
    rig.ticks(snapshot(2, {7: 1}, {9: 1}))
    assert asked(rig, new_order(1)) == [Reason.NONE]
    assert scope(rig)["gross"] == (BID_PX + ASK_PX) * 10_000 // 2 * 10 * 4
    rig.ticks(snapshot(2, {15: 1}, {17: 1}))
    assert asked(rig, new_order(2, qty=2)) == [Reason.NONE]
    assert scope(rig)["gross"] == (BID_PX + ASK_PX) * 10_000 // 2 * 12 * 8


def test_nothing_opens_while_a_position_cannot_be_valued() -> None:
    rig = market()
    hold(rig, 10)
    rig.s["books"]["best"][0] = Rig().s["books"]["best"][0]
    rig.s["books"]["trade_px"][0] = 0
    rig.s["market_updates"] += 1
    assert asked(rig, new_order(1, instrument=1)) == [Reason.NO_PRICE]


def test_collar_holds_against_the_last_trade_too_and_for_market_orders() -> None:
    rig = market(collar_rate=CASH_SCALE // 100)
    rig.ticks(trade(BUY, BID_PX * 99 // 100, 1))
    assert asked(rig, new_order(1), new_order(2, px=BID_PX - 60)) == [Reason.PRICE_COLLAR, Reason.NONE]
    assert asked(rig, market_order(3)) == [Reason.PRICE_COLLAR]
    thin = market(collar_rate=CASH_SCALE // 100)
    thin.ticks(snapshot(0, {BID_PX: 10}, {ASK_PX: 10, ASK_PX + 20_000: 10}))
    assert asked(thin, market_order(1, qty=11), market_order(2, qty=10)) == [Reason.PRICE_COLLAR, Reason.NONE]


def test_book_that_is_too_old() -> None:
    rig = market(max_book_age_ns=500 * MS)
    rig.open_market(0)
    rig.ticks(time_tick(rig.now + 500 * MS))
    assert asked(rig, new_order(1)) == [Reason.NONE]
    rig.ticks(time_tick(rig.now + 1))
    assert asked(rig, new_order(2)) == [Reason.BOOK_STALE]


def test_feed_that_the_host_calls_quiet() -> None:
    rig = market()
    rig.ticks(tick(TickKind.QUIET))
    assert asked(rig, new_order(1)) == [Reason.BOOK_STALE]


def test_copy_of_an_order_within_the_window() -> None:
    rig = market(duplicate_window_ns=SECOND)
    assert asked(rig, new_order(1), new_order(2), new_order(3, qty=11), new_order(4, px=BID_PX - 1)) == [
        Reason.NONE,
        Reason.DUPLICATE_ORDER,
        Reason.NONE,
        Reason.NONE,
    ]
    rig.ticks(time_tick(rig.now + SECOND))
    assert asked(rig, new_order(5), new_order(6)) == [Reason.NONE, Reason.DUPLICATE_ORDER]


def stop_order(order_id: int, trigger_px: int = BID_PX - 10, **fields: int) -> Records:
    terms = {"order_type": OrderType.MARKET, "trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST}
    return new_order(order_id, SELL, 0, **{**terms, "trigger_px": trigger_px, **fields})


def test_copy_of_a_stop_is_refused_when_it_is_asked_for() -> None:
    rig = market(duplicate_window_ns=SECOND)
    assert asked(rig, stop_order(1), stop_order(2), stop_order(3, BID_PX - 20), stop_order(4)) == [
        Reason.NONE,
        Reason.DUPLICATE_ORDER,
        Reason.NONE,
        Reason.DUPLICATE_ORDER,
    ]
    rig.ticks(time_tick(rig.now + SECOND))
    assert asked(rig, stop_order(5)) == [Reason.NONE]


def test_stops_that_fire_together_are_no_copies() -> None:
    rig = market(duplicate_window_ns=SECOND)
    assert asked(rig, stop_order(1), stop_order(2, BID_PX - 11)) == [Reason.NONE, Reason.NONE]
    rig.ticks(trade(SELL, BID_PX - 20, 1))
    assert [rig.state(1), rig.state(2)] == [OrderState.PENDING_NEW, OrderState.PENDING_NEW]


def test_exits_and_replacements_are_no_copies() -> None:
    rig = market(duplicate_window_ns=SECOND)
    held: dict[str, int] = {"parent_id": 1, "contingency": Contingency.OTO}
    targets = [new_order(each, SELL, qty=5, **held) for each in (2, 3)]
    replaced: dict[str, int] = {"parent_id": 4, "contingency": Contingency.REPLACE}
    orders = new_order(1), *targets, new_order(4, qty=6), new_order(5, qty=6, **replaced)
    assert asked(rig, *orders) == [Reason.NONE] * 5
    assert asked(rig, new_order(6, qty=6, **replaced)) == [Reason.DUPLICATE_ORDER]
    rig.reports(fill(1, 10, trade_id=1))
    assert [rig.state(2), rig.state(3)] == [OrderState.PENDING_NEW, OrderState.PENDING_NEW]


def test_order_that_was_refused_is_no_original() -> None:
    rig = market(duplicate_window_ns=SECOND, order_interval_ns=SECOND)
    assert asked(rig, new_order(1, px=BID_PX - 5), new_order(2)) == [Reason.NONE, Reason.ORDER_RATE]
    rig.ticks(time_tick(rig.now + SECOND - 1))
    assert asked(rig, new_order(3)) == [Reason.ORDER_RATE]
    rig.ticks(time_tick(rig.now + 1))
    assert asked(rig, new_order(4)) == [Reason.NONE]


def test_order_that_would_trade_with_an_own_one() -> None:
    rig = market()
    assert asked(
        rig, new_order(1, BUY, BID_PX - 3), new_order(2, SELL, BID_PX - 3), new_order(3, SELL, BID_PX - 2)
    ) == [
        Reason.NONE,
        Reason.SELF_TRADE,
        Reason.NONE,
    ]
    assert asked(rig, market_order(4, BUY), new_order(5, BUY, BID_PX - 3)) == [Reason.SELF_TRADE, Reason.NONE]


def test_own_order_that_left_or_moved_away_is_in_nobodys_way() -> None:
    rig = market()
    rig.commands(new_order(1, BUY, BID_PX), new_order(2, BUY, BID_PX - 9))
    rig.reports(report(ReportKind.ACCEPTED, 1), report(ReportKind.ACCEPTED, 2))
    rig.commands(amend(1, px=BID_PX - 5))
    assert asked(rig, new_order(3, SELL, BID_PX)) == [Reason.SELF_TRADE]
    rig.reports(report(ReportKind.AMENDED, 1, px=BID_PX - 5, qty=10))
    assert asked(rig, new_order(4, SELL, BID_PX - 5), new_order(5, SELL, BID_PX - 4)) == [
        Reason.SELF_TRADE,
        Reason.NONE,
    ]
    rig.commands(cancel(5), cancel(1))
    rig.reports(report(ReportKind.CANCELLED, 5), report(ReportKind.CANCELLED, 1))
    assert asked(rig, new_order(6, SELL, BID_PX - 8)) == [Reason.NONE]


def test_amend_that_would_trade_with_an_own_order_and_one_that_only_makes() -> None:
    rig = market()
    rig.commands(new_order(1, BUY, BID_PX - 3), new_order(2, SELL), new_order(3, SELL, flags=OrderFlag.POST_ONLY))
    rig.reports(report(ReportKind.ACCEPTED, 2), report(ReportKind.ACCEPTED, 3))
    assert asked(rig, amend(2, px=BID_PX - 3), amend(3, px=BID_PX - 3)) == [Reason.SELF_TRADE, Reason.NONE]


def test_accounts_are_no_obstacle_to_each_other() -> None:
    rig = market()
    rig.s["accounts"][1]["defined"] = 1
    scope(rig, 1, defined=1, trading_state=TradingState.ACTIVE)
    rig.s["limits"][1] = rig.s["limits"][0]
    assert asked(rig, new_order(1), new_order(2, SELL, BID_PX, account=1)) == [Reason.NONE] * 2


def test_immediate_order_in_flight_is_no_obstacle() -> None:
    rig = market()
    assert (
        asked(rig, new_order(1, BUY, ASK_PX, time_in_force=TimeInForce.IOC), new_order(2, SELL, BID_PX + 1))
        == [Reason.NONE] * 2
    )


def hedging() -> Rig:
    rig = market()
    rig.s["accounts"][0]["hedging"] = 1
    return rig


def test_hedging_account_holds_long_and_short_apart() -> None:
    rig = hedging()
    hold(rig, 10)
    hold(rig, -4, trade_id=2, flags=OrderFlag.SHORT_LEG)
    legs = rig.s["positions"][0, 0]["qty"].tolist()
    assert legs == [10, -4]
    assert scope(rig)["gross"] == (BID_PX + ASK_PX) * 10_000 // 2 * 14
    assert scope(rig)["net"] == (BID_PX + ASK_PX) * 10_000 // 2 * 6


def test_leg_never_turns_around_open_orders_included() -> None:
    rig = hedging()
    assert asked(rig, new_order(1, SELL), new_order(2, BUY, flags=OrderFlag.SHORT_LEG)) == [Reason.BAD_LEG] * 2
    hold(rig, 10)
    hold(rig, -10, trade_id=2, flags=OrderFlag.SHORT_LEG)
    for flags, side in ((0, SELL), (OrderFlag.SHORT_LEG, BUY)):
        px = BID_PX - 5 if side == BUY else ASK_PX + 5
        first = 100 * (2 + side)
        answers = asked(rig, *(new_order(first + i, side, px, qty=4, flags=flags) for i in range(3)))
        assert answers == [Reason.NONE, Reason.NONE, Reason.BAD_LEG]
        assert asked(rig, new_order(first + 9, side, px, qty=2, flags=flags)) == [Reason.NONE]


@pytest.mark.parametrize(("flags", "leg"), [(0, 0), (OrderFlag.SHORT_LEG, 1)])
def test_leg_that_a_late_fill_turns_over_is_told_and_can_be_closed(flags: int, leg: int) -> None:
    rig = hedging()
    side, px = (SELL, ASK_PX + 5) if leg == 0 else (BUY, BID_PX - 5)
    hold(rig, -side * 10, flags=flags)
    for number in (1, 2):
        rig.commands(new_order(number, side, px, flags=flags))
        rig.reports(report(ReportKind.ACCEPTED, number))
        if number == 1:
            rig.commands(cancel(1))
            rig.reports(report(ReportKind.CANCELLED, 1))
    assert EventKind.LEG_TURNED not in kinds(rig.reports(fill(2, 10, px, side=side, trade_id=2)))
    events = rig.reports(fill(1, 10, px, side=side, trade_id=3))
    told = only(events, EventKind.LEG_TURNED)
    assert (told["order_id"], told["qty"], told["reason"], told["aux"]) == (1, side * 10, Reason.BAD_LEG, 3)
    assert rig.s["positions"][0, 0, leg]["qty"] == side * 10
    closing = {"px": BID_PX - 9 if side == SELL else ASK_PX + 9, "flags": flags | OrderFlag.REDUCE_ONLY}
    assert asked(rig, new_order(3, side, px, flags=flags), new_order(4, -side, **closing)) == [
        Reason.BAD_LEG,
        Reason.NONE,
    ]
    events = rig.reports(fill(4, 10, closing["px"], side=-side, trade_id=4))
    assert EventKind.LEG_TURNED not in kinds(events)
    assert rig.s["positions"][0, 0, leg]["qty"] == 0


def test_gtd_day_and_display_quantity_must_make_sense() -> None:
    rig = market()
    gtd = {"time_in_force": TimeInForce.GTD}
    orders = [
        new_order(1, **gtd, expire_ts=rig.now),
        new_order(2, **gtd, expire_ts=rig.now + 1),
        new_order(3, expire_ts=rig.now + 1),
        new_order(4, display_qty=11),
        new_order(5, display_qty=-1),
        new_order(6, display_qty=10),
        new_order(7, display_qty=5, time_in_force=TimeInForce.IOC),
    ]
    assert asked(rig, *orders) == [
        Reason.BAD_EXPIRY,
        Reason.NONE,
        Reason.BAD_EXPIRY,
        Reason.BAD_DISPLAY_QTY,
        Reason.BAD_DISPLAY_QTY,
        Reason.NONE,
        Reason.BAD_DISPLAY_QTY,
    ]
    day = {"time_in_force": TimeInForce.DAY}
    assert asked(rig, new_order(8, **day)) == [Reason.BAD_EXPIRY]
    rig.s["accounts"][0]["resets"][0] = rig.now + SECOND
    assert asked(rig, new_order(9, **day)) == [Reason.NONE]


def test_unlimited_scope_has_no_limits_by_value() -> None:
    assert scope(Rig())["max_gross"] == scope(Rig())["max_daily_loss"] == NO_LIMIT


def test_review_tells_a_scope_only_when_it_has_changed() -> None:
    rig = market()
    hold(rig, 10)
    told = rig.ticks(time_tick(rig.now + SECOND))
    event = only(told[told["aux"] == 0], EventKind.SCOPE)
    assert (event["last_qty"], event["position_qty"]) == (scope(rig)["gross"], scope(rig)["net"])
    assert EventKind.SCOPE not in kinds(rig.ticks(time_tick(rig.now + SECOND)))


def test_market_order_in_flight_counts_at_the_price_that_it_would_take() -> None:
    rig = market()
    rig.commands(market_order(1, qty=10))
    assert rig.order(1)["risk_px"] == ASK_PX
    assert rig.order(1)["order_type"] == OrderType.MARKET
