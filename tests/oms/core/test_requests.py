"""Requests: what leaves, what is acknowledged, and that books of account agree after any sequence of inputs."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

from oms.compiled import JIT
from oms.core.orders import OPEN_STATES
from oms.core.state import COMMAND_RING, MAX_OPEN_ORDERS
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
    command,
    depth,
    fill,
    kinds,
    new_order,
    only,
    reason_of,
    report,
    tick,
    time_tick,
    trade,
)


def market(*, external: bool = True) -> Rig:
    rig = Rig(external=external)
    rig.open_market()
    return rig


@pytest.mark.pure
def test_order_leaves_as_it_was_asked_for_with_its_cause() -> None:
    rig = market()
    asked = new_order(5, SELL, ASK_PX, 7, request_id=9, flags=OrderFlag.POST_ONLY)
    assert kinds(rig.commands(asked)) == [EventKind.ORDER_SUBMITTED]
    (sent,) = rig.sent
    for name in ("order_id", "request_id", "kind", "side", "order_type", "time_in_force", "flags", "px", "qty"):
        assert sent[name] == asked[name][0]
    assert (sent["instrument"], sent["account"], sent["strategy"]) == (0, 0, -1)
    assert sent["ts"] == rig.s["now"] == rig.now


@pytest.mark.pure
def test_amend_and_cancel_leave_complete() -> None:
    rig = market()
    rig.commands(new_order(5, SELL, ASK_PX, 7, flags=OrderFlag.POST_ONLY))
    rig.reports(report(ReportKind.ACCEPTED, 5))
    rig.commands(amend(5, qty=9))
    rig.commands(cancel(5))
    for sent in rig.sent[1:]:
        assert (sent["side"], sent["order_type"], sent["flags"]) == (SELL, OrderType.LIMIT, OrderFlag.POST_ONLY)
        assert sent["px"] == ASK_PX
    assert rig.sent["qty"].tolist() == [7, 9, 7]
    assert rig.sent["seq"].tolist() == [0, 1, 2]


@pytest.mark.pure
def test_one_change_of_an_order_is_in_flight_at_a_time() -> None:
    rig = market()
    rig.commands(new_order(1))
    assert reason_of(rig.commands(amend(1, qty=5))) == Reason.REQUEST_IN_FLIGHT
    rig.reports(report(ReportKind.ACCEPTED, 1))
    rig.commands(amend(1, qty=5))
    assert reason_of(rig.commands(amend(1, qty=6))) == Reason.REQUEST_IN_FLIGHT
    assert reason_of(rig.commands(cancel(1))) == Reason.NONE
    assert reason_of(rig.commands(cancel(1))) == Reason.REQUEST_IN_FLIGHT
    assert len(rig.sent) == 3


@pytest.mark.pure
def test_cancel_all_asks_for_each_open_order_and_then_says_so() -> None:
    rig = market()
    rig.commands(*(new_order(i, instrument=i % 2) for i in range(1, 6)))
    rig.reports(report(ReportKind.CANCELLED, 5))
    events = rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1, request_id=77))
    assert kinds(events) == [EventKind.CANCEL_SUBMITTED] * 4 + [EventKind.TRADING_STATE]
    assert set(events["request_id"].tolist()) == {77}
    assert (events["aux"][-1], events["reason"][-1]) == (TradingState.ACTIVE, Reason.REQUESTED)
    again = rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1))
    assert kinds(again) == [EventKind.TRADING_STATE]


@pytest.mark.pure
def test_cancel_all_of_one_instrument_leaves_the_others() -> None:
    rig = market()
    rig.commands(new_order(1, instrument=0), new_order(2, instrument=1))
    rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=1))
    assert (rig.state(1), rig.state(2)) == (OrderState.PENDING_NEW, OrderState.PENDING_CANCEL)


@pytest.mark.skipif(not JIT, reason="thousands of orders")
def test_cancel_all_of_more_orders_than_the_output_holds_goes_on_when_it_is_emptied() -> None:
    rig = Rig()
    count = 3 * COMMAND_RING // (2 * MAX_OPEN_ORDERS)
    rig.st[0]["instruments"][3 : 3 + count] = rig.s["instruments"][0]
    rig.st[0]["instruments_used"] = 3 + count
    rig.st[0]["limits"][0, 3 : 3 + count] = rig.s["limits"][0, 0]
    rig.open_market(*range(3, 3 + count))
    for instrument in range(3, 3 + count):
        first = 10_000 * instrument
        rig.commands(*(new_order(first + i, instrument=instrument) for i in range(MAX_OPEN_ORDERS)))
    events = rig.commands(command(CommandKind.CANCEL_ALL, 0, instrument=-1, request_id=3))
    seen = Counter(kinds(events))
    assert seen == {EventKind.CANCEL_SUBMITTED: count * MAX_OPEN_ORDERS, EventKind.TRADING_STATE: 1}
    assert len(set(events["order_id"].tolist())) == count * MAX_OPEN_ORDERS + 1


@pytest.mark.pure
@pytest.mark.parametrize("state", list(TradingState))
def test_trading_state_is_set_and_acknowledged(state: TradingState) -> None:
    rig = market()
    event = only(
        rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=state, request_id=4)), EventKind.TRADING_STATE
    )
    assert (event["aux"], event["request_id"], event["reason"]) == (state, 4, Reason.REQUESTED)
    assert rig.s["scopes"][0]["trading_state"] == state


@pytest.mark.pure
def test_command_that_the_host_refused_is_only_reported() -> None:
    rig = market()
    late = [new_order(1), cancel(1), command(CommandKind.SET_TRADING_STATE, 0, value=0)]
    for each in late:
        each["reason"] = Reason.COMMAND_TOO_LATE
    events = rig.commands(*late)
    assert kinds(events) == [EventKind.ORDER_REFUSED] * 3
    assert set(events["reason"].tolist()) == {Reason.COMMAND_TOO_LATE}
    assert events["aux"].tolist() == [CommandKind.NEW, CommandKind.CANCEL, CommandKind.SET_TRADING_STATE]
    assert rig.s["scopes"][0]["trading_state"] == TradingState.ACTIVE
    assert len(rig.sent) == 0


@pytest.mark.pure
def test_reason_of_a_late_command_does_not_stick_to_the_next_request() -> None:
    rig = market()
    rig.commands(new_order(1))
    late = command(CommandKind.SET_TRADING_STATE, 0, value=2, reason=Reason.COMMAND_TOO_LATE)
    rig.commands(late, command(CommandKind.CANCEL_ALL, 0, instrument=-1))
    assert (rig.sent["reason"][-1], rig.sent["value"][-1]) == (0, 0)
    rig.commands(late)
    rig.s["orders"][0]["strategy"] = 0
    rig.s["strategies_used"] = 1
    rig.reports(report(ReportKind.CANCEL_REJECTED, 1))
    rig.ticks(tick(TickKind.STALE))
    assert (rig.sent["kind"][-1], rig.sent["reason"][-1]) == (CommandKind.CANCEL, Reason.GATEWAY_STALE)
    assert rig.sent["value"][-1] == 0


@pytest.mark.pure
def test_refused_new_order_is_reported_as_it_was_asked_for() -> None:
    rig = market()
    event = only(rig.commands(new_order(5, SELL, ASK_PX, 1, request_id=8)), EventKind.ORDER_REFUSED)
    assert (event["order_id"], event["request_id"], event["aux"]) == (5, 8, CommandKind.NEW)
    assert (event["side"], event["px"], event["qty"], event["state"]) == (SELL, ASK_PX, 1, OrderState.EMPTY)
    assert rig.s["orders_refused"] == 1
    assert rig.s["orders_used"] == 0


IDS = hs.integers(1, 12)
PX = hs.integers(BID_PX - 3, ASK_PX + 3)
QUANTITY = hs.integers(0, 12)
NEW = hs.builds(
    new_order,
    hs.integers(1, 40),
    hs.sampled_from((BUY, SELL)),
    PX,
    QUANTITY,
    order_type=hs.sampled_from((OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET)),
    time_in_force=hs.sampled_from(TimeInForce),
    flags=hs.sampled_from((0, 0, OrderFlag.POST_ONLY, OrderFlag.REDUCE_ONLY)),
    instrument=hs.sampled_from((0, 0, 0, 1)),
    account=hs.sampled_from((0,) * 9 + (1,)),
)
AMEND = hs.builds(amend, hs.integers(1, 40), px=hs.one_of(hs.just(0), PX), qty=QUANTITY)
CANCEL = hs.builds(cancel, hs.integers(1, 40))
CANCEL_ALL = hs.builds(command, hs.just(CommandKind.CANCEL_ALL), hs.just(0), instrument=hs.integers(-1, 2))
STATE = hs.builds(command, hs.just(CommandKind.SET_TRADING_STATE), hs.just(0), value=hs.sampled_from((0, 1, 1, 1, 2)))
COMMANDS = hs.one_of(NEW, NEW, NEW, AMEND, CANCEL, CANCEL, CANCEL_ALL, STATE)
TICKS = hs.one_of(
    hs.builds(depth, hs.sampled_from((BUY, SELL)), PX, QUANTITY),
    hs.builds(depth, hs.just(BUY), hs.integers(BID_PX - 5, BID_PX), hs.integers(1, 30)),
    hs.builds(depth, hs.just(SELL), hs.integers(ASK_PX, ASK_PX + 5), hs.integers(1, 30)),
    hs.builds(trade, hs.sampled_from((BUY, SELL)), PX, hs.integers(1, 30)),
    hs.builds(time_tick),
    hs.builds(tick, hs.sampled_from((TickKind.STALE, TickKind.TIME, TickKind.TIME, TickKind.TIME))),
)
REPORTS = hs.one_of(
    hs.builds(report, hs.integers(0, 9), hs.integers(1, 40), px=PX, qty=QUANTITY),
    hs.builds(report, hs.just(int(ReportKind.ACCEPTED)), hs.integers(1, 40)),
    hs.builds(
        fill,
        hs.integers(1, 40),
        QUANTITY,
        PX,
        side=hs.sampled_from((BUY, SELL)),
        trade_id=hs.integers(1, 60),
        liquidity=hs.integers(0, 3),
    ),
)
INPUTS = hs.lists(
    hs.one_of(
        hs.tuples(hs.just("commands"), COMMANDS),
        hs.tuples(hs.just("commands"), COMMANDS),
        hs.tuples(hs.just("ticks"), TICKS),
        hs.tuples(hs.just("reports"), REPORTS),
    ),
    max_size=80,
)


def assert_accounts_agree(rig: Rig) -> None:
    """What is counted is the sum over the orders that it counts, and every link holds."""
    orders = rig.s["orders"][: rig.s["orders_used"]]
    is_open = np.isin(orders["state"], OPEN_STATES)
    assert np.all(orders["filled_qty"] >= 0)
    assert np.all(orders["filled_qty"] <= orders["qty"])
    assert np.all(orders["risk_qty"][is_open] >= (orders["qty"] - orders["filled_qty"])[is_open])
    assert not np.any(orders["risk_qty"][~is_open])
    assert rig.s["open_orders"] == np.count_nonzero(is_open)
    for instrument in (0, 1, 2):
        own = is_open & (orders["instrument"] == instrument)
        position = rig.position(instrument)
        assert position["open_orders"] == np.count_nonzero(own)
        assert position["open_buy_qty"] == orders["risk_qty"][own & (orders["side"] > 0)].sum()
        assert position["open_sell_qty"] == orders["risk_qty"][own & (orders["side"] < 0)].sum()
        assert sorted(rig.open_list(instrument)) == np.flatnonzero(own).tolist()
        of_instrument = orders["instrument"] == instrument
        traded = (orders["filled_qty"] * orders["side"])[of_instrument].sum()
        assert position["qty"] == traded == position["bought_qty"] - position["sold_qty"]
    assert rig.events["seq"].tolist() == list(range(int(rig.s["event_seq"])))
    assert rig.sent["seq"].tolist() == list(range(int(rig.s["command_seq"])))


def play(rig: Rig, inputs: list[tuple[str, Records]]) -> None:
    for method, records in inputs:
        getattr(rig, method)(records.copy())


LIMITS = {"max_position": 60, "max_open_orders": 12, "order_interval_ns": 1_000_000}


@pytest.mark.pure
@pytest.mark.parametrize("external", [True, False], ids=["exchange", "model"])
@given(inputs=INPUTS)
def test_after_any_inputs_the_accounts_agree(external: bool, inputs: list[tuple[str, Records]]) -> None:
    rig = Rig(external=external, limits=LIMITS)
    rig.open_market(qty=20)
    play(rig, inputs)
    assert_accounts_agree(rig)


def outputs(rig: Rig) -> dict[str, bytes]:
    """All that came out of it, as bytes."""
    return {"events": rig.events.tobytes(), "sent": rig.sent.tobytes()}


@pytest.mark.skipif(not JIT, reason="compares the whole state")
@settings(max_examples=15)
@given(inputs=INPUTS)
def test_same_inputs_give_the_same_state_and_events_byte_for_byte(inputs: list[tuple[str, Records]]) -> None:
    rigs = [Rig(external=False, limits=LIMITS, latency_ns=2_000_000) for _ in range(2)]
    for rig in rigs:
        rig.open_market(qty=20)
        play(rig, inputs)
    first, second = (rig.st.view(np.int64) for rig in rigs)  # in place: 200 MB of bytes take long to copy
    assert np.array_equal(first, second)
    assert outputs(rigs[0]) == outputs(rigs[1])


@pytest.mark.pure
def test_last_event_of_an_order_is_how_it_stands() -> None:
    rig = market()
    rig.commands(new_order(1), new_order(2))
    rig.reports(report(ReportKind.ACCEPTED, 1), fill(1, 3, trade_id=1))
    rig.commands(amend(1, px=BID_PX - 1, qty=8))
    rig.reports(report(ReportKind.AMENDED, 1, px=BID_PX - 1, qty=8), fill(1, 2, BID_PX - 1, trade_id=2))
    told = [each for each in rig.events if each["order_id"] == 1][-1]
    order = rig.order(1)
    for name in ("state", "px", "qty", "filled_qty", "side", "order_type", "time_in_force", "flags", "strategy"):
        assert told[name] == order[name]
