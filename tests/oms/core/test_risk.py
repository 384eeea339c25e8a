"""Pre-trade risk: for each reason the value that just passes and the one that just fails."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as hs

from oms.compiled import JIT
from oms.core.state import MAX_OPEN_ORDERS
from oms.records import (
    CASH_SCALE,
    CommandKind,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TickKind,
    TimeInForce,
    TradingState,
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
    amend,
    cancel,
    command,
    depth,
    fill,
    market_order,
    new_order,
    reason_of,
    report,
    snapshot,
    tick,
    time_tick,
    trade,
)

pytestmark = pytest.mark.pure

CASH_OF_ONE = 10_000
"""Cash of one tick-lot of the perpetual."""


def market(**limits: int) -> Rig:
    """A core with open books and the limits that a test is about."""
    rig = Rig(limits=limits)
    rig.open_market()
    return rig


def asked(rig: Rig, *commands: Records) -> list[Reason]:
    """What the core says to each of several commands."""
    return [reason_of(rig.commands(each)) for each in commands]


def hold(rig: Rig, qty: int) -> None:
    """Bring the position to ``qty`` lots."""
    side = BUY if qty > 0 else SELL
    rig.commands(new_order(10**9 + qty, side, qty=abs(qty)))
    rig.reports(fill(10**9 + qty, abs(qty), side=side, trade_id=1))


@pytest.mark.parametrize("account", [-2, 1, 3, 4, 2**31 - 1, -(2**31)])
def test_unknown_account(account: int) -> None:
    rig = market()
    order = new_order(1, account=account)
    everything = command(CommandKind.CANCEL_ALL, 0, instrument=-1, account=account)
    state = command(CommandKind.SET_TRADING_STATE, 0, account=account, value=TradingState.HALTED)
    assert asked(rig, order, everything, state) == [Reason.UNKNOWN_ACCOUNT] * 3


@pytest.mark.parametrize("instrument", [-1, 5, 127, 128, 2**15 - 1, -(2**15)])
def test_unknown_instrument(instrument: int) -> None:
    assert asked(market(), new_order(1, instrument=instrument)) == [Reason.UNKNOWN_INSTRUMENT]


@pytest.mark.parametrize("strategy", [0, 1, 64, 2**31 - 1])
def test_unknown_strategy(strategy: int) -> None:
    rig = market()
    assert asked(rig, new_order(1, strategy=strategy)) == [Reason.UNKNOWN_STRATEGY]
    assert rig.s["orders_sent"] == 0


def test_instrument_without_limits() -> None:
    rig = market()
    rig.limit(0, defined=0)
    assert asked(rig, new_order(1), new_order(2, instrument=1, px=BID_PX)) == [Reason.LIMIT_MISSING, Reason.NONE]


def test_halted_account_may_only_cancel_or_make_smaller() -> None:
    rig = market()
    rig.commands(new_order(1), new_order(2))
    rig.reports(report(ReportKind.ACCEPTED, 1), report(ReportKind.ACCEPTED, 2))
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.HALTED))
    halted = asked(rig, new_order(3), amend(1, qty=11), amend(1, BID_PX - 1, 5))
    assert halted == [Reason.TRADING_HALTED] * 3
    assert (
        asked(rig, amend(1, qty=5), cancel(1), command(CommandKind.CANCEL_ALL, 0, instrument=-1)) == [Reason.NONE] * 3
    )
    assert {rig.state(1), rig.state(2)} == {OrderState.PENDING_CANCEL}


def test_reducing_account_may_only_shrink_its_position() -> None:
    rig = market()
    hold(rig, 10)
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.REDUCING))
    answers = asked(rig, new_order(1, BUY), new_order(2, SELL, qty=11), new_order(3, SELL, qty=8))
    assert answers == [Reason.TRADING_REDUCING, Reason.TRADING_REDUCING, Reason.NONE]
    assert asked(rig, new_order(4, SELL, qty=3), new_order(5, SELL, qty=2)) == [Reason.TRADING_REDUCING, Reason.NONE]


def test_reduce_only_counts_what_is_open_and_in_flight() -> None:
    rig = market()
    hold(rig, -10)
    flags = OrderFlag.REDUCE_ONLY
    answers = asked(rig, *(new_order(i, BUY, qty=4, flags=flags) for i in (1, 2, 3)), new_order(4, BUY, qty=4))
    assert answers == [Reason.NONE, Reason.NONE, Reason.REDUCE_ONLY, Reason.NONE]
    assert asked(market(), new_order(1, flags=flags)) == [Reason.REDUCE_ONLY]


@pytest.mark.parametrize("side", [0, 2, -2, 127, -128])
def test_bad_side(side: int) -> None:
    assert asked(market(), new_order(1, side)) == [Reason.BAD_SIDE]


@pytest.mark.parametrize("order_type", [0, 3, 255])
def test_bad_order_type(order_type: int) -> None:
    assert asked(market(), new_order(1, order_type=order_type)) == [Reason.BAD_ORDER_TYPE]


FORMS = [
    (OrderType.LIMIT, TimeInForce.GTC, 0, Reason.NONE),
    (OrderType.LIMIT, TimeInForce.IOC, 0, Reason.NONE),
    (OrderType.LIMIT, TimeInForce.FOK, 0, Reason.NONE),
    (OrderType.LIMIT, 0, 0, Reason.BAD_TIME_IN_FORCE),
    (OrderType.LIMIT, 6, 0, Reason.BAD_TIME_IN_FORCE),
    (OrderType.LIMIT, TimeInForce.GTD, 0, Reason.BAD_EXPIRY),
    (OrderType.LIMIT, TimeInForce.DAY, 0, Reason.BAD_EXPIRY),
    (OrderType.MARKET, TimeInForce.GTD, 0, Reason.BAD_EXPIRY),
    (OrderType.MARKET, TimeInForce.GTC, 0, Reason.BAD_TIME_IN_FORCE),
    (OrderType.MARKET, TimeInForce.IOC, 0, Reason.NONE),
    (OrderType.MARKET, TimeInForce.FOK, 0, Reason.NONE),
    (OrderType.LIMIT, TimeInForce.GTC, OrderFlag.POST_ONLY, Reason.NONE),
    (OrderType.LIMIT, TimeInForce.IOC, OrderFlag.POST_ONLY, Reason.BAD_FLAGS),
    (OrderType.MARKET, TimeInForce.IOC, OrderFlag.POST_ONLY, Reason.BAD_FLAGS),
    (OrderType.LIMIT, TimeInForce.GTC, OrderFlag.SHORT_LEG, Reason.BAD_LEG),
    (OrderType.LIMIT, TimeInForce.GTC, 8, Reason.BAD_FLAGS),
    (OrderType.LIMIT, TimeInForce.GTC, 0x8001, Reason.BAD_FLAGS),
]


@pytest.mark.parametrize(("order_type", "time_in_force", "flags", "reason"), FORMS)
def test_type_time_in_force_and_flags_must_go_together(
    order_type: int, time_in_force: int, flags: int, reason: Reason
) -> None:
    order = new_order(1, order_type=order_type, time_in_force=time_in_force, flags=flags)
    assert asked(market(), order) == [reason]


def test_price_must_be_above_zero_and_not_too_large() -> None:
    rig = market()
    prices = (0, -1, -(2**63), 2**36 + 1, 2**63 - 1)
    assert asked(rig, *(new_order(1, px=px) for px in prices)) == [Reason.BAD_PRICE] * len(prices)
    low = market()
    low.ticks(snapshot(1, {1: 1}, {3: 1}))
    assert asked(low, new_order(1, px=1, instrument=1), new_order(2, px=0, instrument=1)) == [
        Reason.NONE,
        Reason.BAD_PRICE,
    ]


def test_quantity_below_the_venues_smallest() -> None:
    bad = [new_order(i, qty=qty) for i, qty in enumerate((1, 0, -5, -(2**63)), start=1)]
    assert asked(market(), new_order(10, qty=2), *bad) == [Reason.NONE] + [Reason.QTY_BELOW_MIN] * 4


def test_quantity_above_the_limit() -> None:
    rig = market(max_order_qty=500)
    assert asked(rig, new_order(1, qty=500), new_order(2, qty=501)) == [Reason.NONE, Reason.QTY_ABOVE_MAX]


def test_quantity_above_the_venues_largest() -> None:
    rig = market()
    assert asked(rig, new_order(1, qty=10**6), new_order(2, qty=10**6 + 1)) == [Reason.NONE, Reason.QTY_ABOVE_MAX]


def test_quantity_above_what_the_core_computes_exactly() -> None:
    orders = [new_order(i, qty=qty, instrument=1) for i, qty in enumerate((2**31 - 1, 2**31, 2**63 - 1), start=1)]
    assert asked(market(), *orders) == [Reason.NONE, Reason.QTY_ABOVE_MAX, Reason.QTY_ABOVE_MAX]


def test_notional_below_the_venues_smallest() -> None:
    rig = Rig()
    rig.open_market(bid=25_000, ask=25_001)
    assert asked(rig, new_order(1, px=25_000, qty=2), new_order(2, px=24_999, qty=2)) == [
        Reason.NONE,
        Reason.NOTIONAL_BELOW_MIN,
    ]


def test_notional_above_the_limit() -> None:
    rig = market(max_order_notional=BID_PX * 10 * CASH_OF_ONE)
    assert asked(rig, new_order(1, px=BID_PX, qty=10), new_order(2, px=BID_PX + 1, qty=10)) == [
        Reason.NONE,
        Reason.NOTIONAL_ABOVE_MAX,
    ]


def test_market_order_is_valued_at_the_price_that_it_would_take() -> None:
    rig = market(max_order_notional=BID_PX * 10 * CASH_OF_ONE)
    assert asked(rig, market_order(1, SELL), market_order(2, BUY), market_order(3, BUY, qty=9)) == [
        Reason.NONE,
        Reason.NOTIONAL_ABOVE_MAX,
        Reason.NONE,
    ]


@given(
    hs.one_of(hs.integers(50, 2_000), hs.integers(50, 2**35)),
    hs.integers(1, 9),
    hs.one_of(hs.sampled_from([CASH_SCALE // 100 * i for i in (0, 2, 20, 50, 100, 5_000)]), hs.integers(0, CASH_SCALE)),
    hs.sampled_from((BUY, SELL)),
    hs.data(),
)
@example(50, 5, CASH_SCALE // 5, BUY, None)
def test_collar_is_exact(bid: int, spread: int, collar: int, side: int, data: hs.DataObject | None) -> None:
    rig = Rig(limits={"collar_rate": collar})
    rig.ticks(snapshot(1, {bid: 1}, {bid + spread: 1}))
    mid = Fraction(2 * bid + spread, 2)
    distance = mid * collar / CASH_SCALE
    edges = [int(mid - distance) + i for i in (-1, 0, 1)] + [int(mid + distance) + i for i in (-1, 0, 1)]
    possible = [each for each in edges if 0 < each <= 2**36] or [bid]
    for number, px in enumerate(possible if data is None else [data.draw(hs.sampled_from(possible))], start=1):
        expected = Reason.NONE if abs(px - mid) <= distance else Reason.PRICE_COLLAR
        assert asked(rig, new_order(number, side, px, qty=1, instrument=1)) == [expected]


def test_order_without_a_price_to_measure_it_against() -> None:
    rig = market()
    rig.ticks(depth(SELL, ASK_PX, 0))
    assert asked(rig, market_order(1, BUY), market_order(2, SELL), new_order(3)) == [
        Reason.NO_PRICE,
        Reason.NO_PRICE,
        Reason.NO_PRICE,
    ]
    rig.ticks(trade(BUY, BID_PX, 1))
    assert asked(rig, market_order(1, BUY), market_order(2, SELL), new_order(3)) == [
        Reason.NO_PRICE,
        Reason.NONE,
        Reason.NONE,
    ]


def test_book_that_is_not_in_step() -> None:
    rig = Rig()
    assert asked(rig, new_order(1), market_order(2)) == [Reason.BOOK_STALE] * 2
    rig.open_market()
    rig.ticks(tick(TickKind.STALE))
    assert asked(rig, new_order(1), market_order(2)) == [Reason.BOOK_STALE] * 2
    rig.open_market()
    assert asked(rig, new_order(1), market_order(2)) == [Reason.NONE] * 2


def test_feed_that_has_been_silent_for_too_long() -> None:
    rig = market()
    rig.s["feed_quiet"] = 1
    assert asked(rig, new_order(1)) == [Reason.BOOK_STALE]
    rig.ticks(time_tick())
    assert asked(rig, new_order(1)) == [Reason.NONE]


def test_position_limit_counts_what_is_held_open_and_in_flight() -> None:
    rig = market(max_position=100)
    hold(rig, 40)
    assert asked(rig, new_order(1, qty=30), new_order(2, qty=31), new_order(3, qty=30)) == [
        Reason.NONE,
        Reason.POSITION_LIMIT,
        Reason.NONE,
    ]
    assert asked(rig, new_order(4, SELL, qty=140), new_order(5, SELL, qty=2)) == [Reason.NONE, Reason.POSITION_LIMIT]
    rig.reports(report(ReportKind.REJECTED, 1))
    assert asked(rig, new_order(6, qty=30), new_order(7, qty=2)) == [Reason.NONE, Reason.POSITION_LIMIT]


def test_fill_moves_quantity_from_open_to_held() -> None:
    rig = market(max_position=100)
    rig.commands(new_order(1, qty=100))
    for number in range(1, 11):
        assert asked(rig, new_order(100 + number, qty=2)) == [Reason.POSITION_LIMIT]
        rig.reports(fill(1, 10, trade_id=number))
    assert asked(rig, new_order(2, qty=2), new_order(3, SELL, qty=200)) == [Reason.POSITION_LIMIT, Reason.NONE]


def test_open_order_limit_counts_requests_in_flight() -> None:
    rig = market(max_open_orders=3)
    answers = asked(rig, *(new_order(i) for i in (1, 2, 3, 4)), new_order(5, instrument=1))
    assert answers == [Reason.NONE] * 3 + [Reason.OPEN_ORDER_LIMIT, Reason.NONE]
    rig.commands(cancel(1))
    assert asked(rig, new_order(6)) == [Reason.OPEN_ORDER_LIMIT]
    rig.reports(report(ReportKind.CANCELLED, 1))
    assert asked(rig, new_order(6)) == [Reason.NONE]


@pytest.mark.skipif(not JIT, reason="thousands of orders")
def test_core_bounds_the_open_orders_of_an_instrument_itself() -> None:
    rig = market()
    orders = [new_order(i) for i in range(1, MAX_OPEN_ORDERS + 2)]
    events = rig.commands(*orders)
    assert reason_of(events) == Reason.OPEN_ORDER_LIMIT
    assert rig.s["open_orders"] == MAX_OPEN_ORDERS


def test_rate_bucket_lets_a_burst_through_and_then_one_each_interval() -> None:
    rig = market(order_interval_ns=SECOND // 50)
    burst = asked(rig, *(new_order(i) for i in range(1, 500)))
    assert burst == [Reason.NONE] * 50 + [Reason.ORDER_RATE] * 449
    interval = SECOND // 50
    rig.ticks(time_tick(rig.now + interval - 1))
    assert asked(rig, new_order(1_000)) == [Reason.ORDER_RATE]
    rig.ticks(time_tick(rig.now + 1))
    assert asked(rig, new_order(1_000), new_order(1_001)) == [Reason.NONE, Reason.ORDER_RATE]
    rig.ticks(time_tick(rig.now + SECOND))
    assert asked(rig, *(new_order(2_000 + i) for i in range(51))) == [Reason.NONE] * 50 + [Reason.ORDER_RATE]


@given(hs.integers(1, 1_000), hs.lists(hs.integers(0, 40 * MS), max_size=60))
def test_rate_never_exceeds_a_burst_and_the_intervals_since(per_second: int, waits: list[int]) -> None:
    interval = SECOND // per_second
    rig = market(order_interval_ns=interval, max_open_orders=10**6)
    start = rig.now
    passed = 0
    for number, wait in enumerate(waits, start=1):
        rig.ticks(time_tick(rig.now + wait))
        passed += asked(rig, new_order(number)) == [Reason.NONE]
    assert passed <= per_second + (rig.now - start) // interval
    assert passed == len(waits) or passed >= min(per_second, len(waits))


def test_refused_order_takes_no_token_of_the_rate() -> None:
    rig = market(order_interval_ns=SECOND)
    assert asked(rig, *(new_order(i, qty=1) for i in range(1, 9)), new_order(9), new_order(10)) == [
        *[Reason.QTY_BELOW_MIN] * 8,
        Reason.NONE,
        Reason.ORDER_RATE,
    ]


def test_amends_take_tokens_and_cancels_do_not() -> None:
    rig = market(order_interval_ns=SECOND // 2)
    rig.commands(new_order(1))
    rig.reports(report(ReportKind.ACCEPTED, 1))
    assert asked(rig, amend(1, qty=5)) == [Reason.NONE]
    rig.reports(report(ReportKind.AMENDED, 1, px=BID_PX, qty=5))
    assert asked(rig, amend(1, qty=6), cancel(1)) == [Reason.ORDER_RATE, Reason.NONE]


@pytest.mark.parametrize("state", [OrderState.PENDING_NEW, OrderState.FILLED])
def test_order_id_may_not_come_twice(state: OrderState) -> None:
    rig = market()
    rig.commands(new_order(7))
    if state == OrderState.FILLED:
        rig.reports(fill(7, 10, trade_id=1))
    assert asked(rig, new_order(7)) == [Reason.DUPLICATE_ORDER_ID]
    assert rig.state(7) == state


@pytest.mark.parametrize("order_id", [0, -1, -(2**63)])
def test_order_id_must_be_above_zero(order_id: int) -> None:
    assert asked(market(), new_order(order_id)) == [Reason.BAD_COMMAND]


@pytest.mark.parametrize(
    "bad",
    [
        command(0, 5),
        command(CommandKind.KILL, 5, value=2),
        command(CommandKind.HOLD, 5),
        command(255, 5),
        command(CommandKind.SET_TRADING_STATE, 0, value=3),
        command(CommandKind.SET_TRADING_STATE, 0, value=-1),
        command(CommandKind.CANCEL_ALL, 0, instrument=128),
    ],
)
def test_command_that_the_core_does_not_know(bad: Records) -> None:
    rig = market()
    rig.commands(new_order(1))
    assert asked(rig, bad) == [Reason.BAD_COMMAND]
    assert rig.s["scopes"][0]["trading_state"] == TradingState.ACTIVE
    assert rig.state(1) == OrderState.PENDING_NEW


def test_amount_that_does_not_fit_is_refused() -> None:
    rig = market()
    rig.s["instruments"]["max_qty"] = 2**31
    largest = 2**59 // (CASH_OF_ONE * (BID_PX + ASK_PX))
    assert asked(rig, new_order(1, qty=largest), new_order(2, SELL, qty=2 * largest + 2)) == [
        Reason.NONE,
        Reason.OVERFLOW,
    ]
    assert asked(rig, new_order(3, qty=2**31 - 1)) == [Reason.OVERFLOW]


def live(rig: Rig, qty: int = 10, filled: int = 0, **fields: int) -> Rig:
    """A resting order of id 1 with a part filled."""
    rig.commands(new_order(1, qty=qty, **fields))
    rig.reports(report(ReportKind.ACCEPTED, 1))
    if filled:
        rig.reports(fill(1, filled, trade_id=1))
    return rig


def test_amend_is_checked_like_the_order_that_it_leads_to() -> None:
    checks = [
        ({"max_order_qty": 20}, {"qty": 20}, {"qty": 21}, Reason.QTY_ABOVE_MAX),
        ({}, {"qty": 2}, {"qty": 1}, Reason.QTY_BELOW_MIN),
        ({}, {"px": BID_PX - 1}, {"px": -1}, Reason.BAD_PRICE),
        ({"collar_rate": 0}, {"px": BID_PX}, {"px": BID_PX - 1}, Reason.PRICE_COLLAR),
        ({"max_order_notional": BID_PX * 12 * CASH_OF_ONE}, {"qty": 12}, {"qty": 13}, Reason.NOTIONAL_ABOVE_MAX),
        ({"max_position": 15}, {"qty": 15}, {"qty": 16}, Reason.POSITION_LIMIT),
    ]
    for limits, passing, failing, reason in checks:
        rig = Rig(limits=limits)
        rig.open_market(bid=BID_PX - 1, ask=BID_PX + 1)
        live(rig)
        assert asked(rig, amend(1, **failing)) == [reason]
        assert asked(rig, amend(1, **passing)) == [Reason.NONE]


def test_amend_counts_what_is_left_to_fill() -> None:
    rig = live(market(max_order_qty=20, max_position=30), qty=20, filled=15)
    assert asked(rig, amend(1, qty=36), amend(1, qty=31)) == [Reason.QTY_ABOVE_MAX, Reason.POSITION_LIMIT]
    assert asked(rig, amend(1, qty=15), amend(1, qty=-5), amend(1, qty=-(2**63))) == [Reason.QTY_BELOW_MIN] * 3
    assert asked(rig, amend(1, qty=30)) == [Reason.NONE]
    assert rig.position()["open_buy_qty"] == 15


def test_amend_in_flight_is_counted_at_its_larger_quantity() -> None:
    rig = live(market(max_position=30), qty=20)
    assert asked(rig, amend(1, qty=10), new_order(2, qty=11)) == [Reason.NONE, Reason.POSITION_LIMIT]
    rig.reports(report(ReportKind.AMENDED, 1, px=BID_PX, qty=10))
    assert asked(rig, new_order(2, qty=20)) == [Reason.NONE]
    assert asked(rig, amend(1, qty=11)) == [Reason.POSITION_LIMIT]


def test_reducing_account_may_not_grow_an_order() -> None:
    rig = market()
    hold(rig, 10)
    rig.commands(new_order(1, SELL, qty=8))
    rig.reports(report(ReportKind.ACCEPTED, 1))
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.REDUCING))
    assert asked(rig, amend(1, qty=11), amend(1, qty=10)) == [Reason.TRADING_REDUCING, Reason.NONE]


def test_amend_on_a_book_out_of_step_is_refused_and_a_cancel_passes() -> None:
    rig = live(market())
    rig.ticks(tick(TickKind.STALE))
    assert asked(rig, amend(1, px=BID_PX - 1), cancel(1)) == [Reason.BOOK_STALE, Reason.NONE]


def test_limits_are_each_instruments_own() -> None:
    rig = market(max_open_orders=1)
    rig.limit(1, max_open_orders=0)
    assert asked(rig, new_order(1), new_order(2, instrument=1)) == [Reason.NONE, Reason.OPEN_ORDER_LIMIT]


@pytest.mark.parametrize("hindrance", ["halted", "reducing", "stale", "reduce-only", "collar"])
def test_an_order_can_always_be_made_smaller(hindrance: str) -> None:
    rig = market()
    rig.commands(new_order(9, qty=10))
    rig.reports(report(ReportKind.ACCEPTED, 9), fill(9, 10, trade_id=1))
    flags = OrderFlag.REDUCE_ONLY if hindrance == "reduce-only" else 0
    rig.commands(new_order(1, SELL, BID_PX + 20, 10, flags=flags))
    rig.reports(report(ReportKind.ACCEPTED, 1))
    if hindrance in {"halted", "reducing"}:
        state = TradingState.HALTED if hindrance == "halted" else TradingState.REDUCING
        rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=state))
    elif hindrance == "stale":
        rig.ticks(tick(TickKind.STALE))
    elif hindrance == "collar":
        rig.limit(0, collar_rate=1)
    else:
        rig.reports(report(ReportKind.POSITION, 0, qty=6, px=BID_PX))
    assert asked(rig, amend(1, qty=11), amend(1, qty=1), amend(1, qty=6))[1:] == [Reason.QTY_BELOW_MIN, Reason.NONE]
    assert (rig.state(1), rig.sent[-1]["qty"], rig.order(1)["risk_qty"]) == (OrderState.PENDING_AMEND, 6, 10)
