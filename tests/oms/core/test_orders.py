"""The order table: every move of every state, trade ids, slots and the index by id."""

from __future__ import annotations

import random

import numpy as np
import pytest

from oms.compiled import JIT
from oms.core.orders import ILLEGAL, LEGAL, OPEN_STATES, TRANSITIONS, OrderInput
from oms.core.state import MAX_FILLS, MAX_ORDERS
from oms.records import (
    COMMAND,
    REPORT,
    CommandKind,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    ReportKind,
    TimeInForce,
    Trigger,
    TriggerSource,
)
from rpc import entities
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
    fill,
    ignored,
    kinds,
    new_order,
    only,
    reason_of,
    report,
)

S = OrderState
I = OrderInput  # noqa: E741  (the letter that the table uses)
ORDER = client_id(1)
QTY = 10

PATHS = {
    S.PENDING_NEW: [],
    S.LIVE: [I.ACCEPTED],
    S.PENDING_AMEND: [I.ACCEPTED, I.REQUEST_AMEND],
    S.PENDING_CANCEL: [I.ACCEPTED, I.REQUEST_CANCEL],
    S.FILLED: [I.ACCEPTED, I.FILL_UP],
    S.CANCELLED: [I.ACCEPTED, I.CANCELLED],
    S.REJECTED: [I.REJECTED],
    S.EXPIRED: [I.ACCEPTED, I.EXPIRED],
    S.HELD: [],
}
"""The inputs that bring a new order into each state."""

DONE = [state for state in PATHS if state not in OPEN_STATES]


class OneOrder:
    """A core with one order of 10 lots, and an exchange that says whatever the test wants."""

    def __init__(self, state: OrderState = S.PENDING_NEW) -> None:
        self.rig = Rig()
        self.rig.open_market()
        stop = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX * 2}
        self.rig.commands(new_order(ORDER, BUY, BID_PX, QTY, **(stop if state == S.HELD else {})))
        self.trade_id = 0
        for order_input in PATHS[state]:
            self.give(order_input)
        assert self.state == state

    @property
    def state(self) -> OrderState:
        return self.rig.state(ORDER)

    @property
    def leaves(self) -> int:
        order = self.rig.order(ORDER)
        return int(max(order["qty"], order["pending_qty"]) - order["filled_qty"])

    def give(self, order_input: OrderInput) -> Records:
        """Let one input happen to the order; returns the events."""
        rig = self.rig
        if order_input == I.REQUEST_AMEND:
            return rig.commands(amend(ORDER, px=BID_PX - 5, qty=QTY + 2))
        if order_input == I.REQUEST_CANCEL:
            return rig.commands(cancel(ORDER))
        if order_input in (I.FILL, I.FILL_UP):
            self.trade_id += 1
            qty = self.leaves if order_input == I.FILL_UP else 1
            return rig.reports(fill(ORDER, qty, trade_id=self.trade_id))
        if order_input == I.AMENDED:
            return rig.reports(report(ReportKind.AMENDED, ORDER, px=BID_PX - 5, qty=QTY + 2))
        return rig.reports(report(int(order_input), ORDER))


def possible(state: OrderState, order_input: OrderInput) -> bool:
    """An order that is filled has nothing left to fill."""
    return not (state == S.FILLED and order_input in (I.FILL, I.FILL_UP)) and (state, order_input) != (
        S.HELD,
        I.REQUEST_CANCEL,  # becomes HELD_CANCEL
    )


FROM_OUTSIDE = [each for each in OrderInput if each <= I.REQUEST_CANCEL]
"""What an exchange or a client can let happen; the rest is the core's own."""

PAIRS = [(state, order_input) for state in PATHS for order_input in FROM_OUTSIDE if possible(state, order_input)]


@pytest.mark.pure
@pytest.mark.parametrize(("state", "order_input"), PAIRS)
def test_every_input_in_every_state_moves_the_order_as_the_table_says(
    state: OrderState, order_input: OrderInput
) -> None:
    one = OneOrder(state)
    events = one.give(order_input)
    expected = LEGAL[state].get(order_input)
    assert one.state == (state if expected is None else expected)
    if order_input in (I.REQUEST_AMEND, I.REQUEST_CANCEL):
        refusal = Reason.REQUEST_IN_FLIGHT if state in OPEN_STATES else Reason.ORDER_NOT_OPEN
        assert reason_of(events) == (Reason.NONE if expected is not None else refusal)
    else:
        assert ignored(events) == (Reason.NONE if expected is not None else Reason.ILLEGAL_TRANSITION)
    is_open = one.state in OPEN_STATES
    assert one.rig.open_list() == ([0] if is_open else [])
    assert one.rig.position()["open_orders"] == one.rig.s["open_orders"] == int(is_open)
    assert one.rig.position()["open_buy_qty"] == (one.rig.order(ORDER)["risk_qty"] if is_open else 0)


def test_table_of_bytes_is_the_table_of_names() -> None:
    for state in OrderState:
        for order_input in OrderInput:
            expected = LEGAL.get(state, {}).get(order_input, ILLEGAL)
            assert TRANSITIONS[state, order_input] == expected


def test_a_done_order_is_never_open_again() -> None:
    for state in DONE:
        assert all(following not in OPEN_STATES for following in LEGAL[state].values())


@pytest.mark.pure
@pytest.mark.parametrize("state", DONE)
def test_late_acknowledgement_does_not_revive_a_done_order(state: OrderState) -> None:
    one = OneOrder(state)
    assert ignored(one.give(I.ACCEPTED)) == Reason.ILLEGAL_TRANSITION
    assert one.state == state
    assert one.rig.s["reports_ignored"] == 1


@pytest.mark.pure
@pytest.mark.parametrize("state", [S.CANCELLED, S.REJECTED, S.EXPIRED])
def test_late_fill_of_a_done_order_is_booked(state: OrderState) -> None:
    one = OneOrder(state)
    event = only(one.give(I.FILL), EventKind.ORDER_FILLED)
    assert (event["state"], event["filled_qty"], event["last_qty"]) == (state, 1, 1)
    assert one.rig.position()["qty"] == 1
    assert one.rig.position()["open_buy_qty"] == 0
    one.give(I.FILL_UP)
    assert one.state == S.FILLED
    assert one.rig.position()["qty"] == QTY


@pytest.mark.pure
def test_fill_before_the_acknowledgement_is_booked() -> None:
    one = OneOrder()
    one.give(I.FILL)
    assert one.state == S.LIVE
    one.give(I.ACCEPTED)
    assert (one.state, one.leaves) == (S.LIVE, QTY - 1)


@pytest.mark.pure
def test_repeated_trade_id_is_refused_also_an_older_one() -> None:
    rig = OneOrder(S.LIVE).rig
    for trade_id in (11, 12, 13):
        rig.reports(fill(ORDER, 1, trade_id=trade_id))
    for trade_id in (13, 12, 11):
        assert ignored(rig.reports(fill(ORDER, 1, trade_id=trade_id))) == Reason.DUPLICATE_TRADE
    assert rig.order(ORDER)["filled_qty"] == rig.position()["qty"] == 3


@pytest.mark.pure
def test_one_trade_id_counts_once_an_instrument_account_and_side() -> None:
    rig = OneOrder(S.LIVE).rig
    rig.commands(new_order(client_id(2)), new_order(client_id(3), SELL, ASK_PX))
    rig.reports(fill(ORDER, 1, trade_id=5))
    assert ignored(rig.reports(fill(client_id(2), 1, trade_id=5))) == Reason.DUPLICATE_TRADE
    own_other_side = fill(client_id(3), 1, ASK_PX, trade_id=5, side=SELL)
    assert ignored(rig.reports(own_other_side)) == Reason.NONE
    assert rig.position()["qty"] == 0


@pytest.mark.pure
def test_trade_ids_of_two_instruments_are_apart() -> None:
    rig = OneOrder(S.LIVE).rig
    rig.commands(new_order(client_id(2), instrument=1))
    rig.reports(fill(ORDER, 1, trade_id=5), fill(client_id(2), 1, trade_id=5, instrument=1))
    assert rig.position(0)["qty"] == rig.position(1)["qty"] == 1


@pytest.mark.skipif(not JIT, reason="takes as many fills as the core remembers")
def test_trade_ids_are_remembered_for_the_last_fills_of_all_orders() -> None:
    rig = Rig()
    rig.open_market()
    rig.commands(new_order(ORDER, qty=10), *(new_order(client_id(2 + i), qty=2_000) for i in range(64)))
    rig.reports(fill(ORDER, 1, trade_id=2**40))
    many = np.repeat(fill(0, 1, trade_id=0), MAX_FILLS - 1)
    many["trade_id"] = np.arange(1, MAX_FILLS)
    many["order_id"] = client_id(2) + many["trade_id"] % 64
    rig.reports(many)
    assert ignored(rig.reports(fill(ORDER, 1, trade_id=2**40))) == Reason.DUPLICATE_TRADE
    assert ignored(rig.reports(fill(client_id(3), 1, trade_id=1))) == Reason.DUPLICATE_TRADE
    assert rig.position()["qty"] == MAX_FILLS
    rig.reports(fill(client_id(3), 1, trade_id=MAX_FILLS))
    assert ignored(rig.reports(fill(ORDER, 1, trade_id=2**40))) == Reason.NONE  # the oldest was given up
    assert ignored(rig.reports(fill(client_id(3), 1, trade_id=2))) == Reason.DUPLICATE_TRADE


@pytest.mark.pure
@pytest.mark.parametrize("excess", [1, 2**40])
def test_fill_of_more_than_is_left_is_refused(excess: int) -> None:
    one = OneOrder(S.LIVE)
    one.give(I.FILL)
    events = one.rig.reports(fill(ORDER, QTY - 1 + excess, trade_id=9))
    assert ignored(events) == Reason.OVERFILL
    assert one.rig.position()["qty"] == 1
    one.rig.reports(fill(ORDER, QTY - 1, trade_id=9))
    assert one.state == S.FILLED


MALFORMED = [
    fill(ORDER, 0, trade_id=1),
    fill(ORDER, -1, trade_id=1),
    fill(ORDER, 1, 0, trade_id=1),
    fill(ORDER, 1, -5, trade_id=1),
    fill(ORDER, 1, 2**36 + 1, trade_id=1),
    fill(ORDER, 1, trade_id=1, side=SELL),
    report(ReportKind.AMENDED, ORDER, px=BID_PX, qty=0),
    report(ReportKind.AMENDED, ORDER, px=0, qty=5),
    report(ReportKind.AMENDED, ORDER, px=2**36 + 1, qty=5),
    report(ReportKind.AMENDED, ORDER, px=BID_PX, qty=2**31),
    report(0, ORDER),
    report(len(ReportKind) + 1, ORDER),
    report(255, ORDER),
]


@pytest.mark.pure
@pytest.mark.parametrize("bad", MALFORMED)
def test_report_that_cannot_be_is_counted_and_changes_nothing(bad: Records) -> None:
    rig = OneOrder(S.LIVE).rig
    rig.reports(fill(ORDER, 1, trade_id=99))
    before = rig.order(ORDER).copy(), rig.position().copy()
    assert ignored(rig.reports(bad)) == Reason.MALFORMED
    assert (rig.order(ORDER), rig.position()) == before
    assert rig.s["reports_ignored"] == 1


@pytest.mark.pure
@pytest.mark.parametrize("order_id", [client_id(2), 0, -1, 2**62, -(2**63)])
def test_unknown_order_is_refused(order_id: int) -> None:
    rig = OneOrder(S.LIVE).rig
    assert reason_of(rig.commands(cancel(order_id))) == Reason.UNKNOWN_ORDER
    assert reason_of(rig.commands(amend(order_id, qty=5))) == Reason.UNKNOWN_ORDER
    assert ignored(rig.reports(fill(order_id, 1, trade_id=1))) == Reason.UNKNOWN_ORDER
    assert ignored(rig.reports(report(ReportKind.ACCEPTED, order_id))) == Reason.UNKNOWN_ORDER


@pytest.mark.pure
def test_amend_takes_the_exchanges_word_for_price_and_quantity() -> None:
    one = OneOrder(S.LIVE)
    one.give(I.FILL)
    assert kinds(one.give(I.REQUEST_AMEND)) == [EventKind.AMEND_SUBMITTED]
    assert one.rig.sent["px"][-1] == BID_PX - 5
    assert one.rig.sent["qty"][-1] == QTY + 2
    event = only(one.give(I.AMENDED), EventKind.ORDER_AMENDED)
    assert (event["px"], event["qty"], event["filled_qty"]) == (BID_PX - 5, QTY + 2, 1)
    assert one.leaves == QTY + 1
    assert one.rig.order(ORDER)["pending_qty"] == 0


@pytest.mark.pure
def test_rejected_amend_leaves_the_order_as_it_was() -> None:
    one = OneOrder(S.PENDING_AMEND)
    assert one.rig.position()["open_buy_qty"] == QTY + 2
    one.give(I.AMEND_REJECTED)
    order = one.rig.order(ORDER)
    assert (one.state, order["px"], order["qty"], order["pending_qty"]) == (S.LIVE, BID_PX, QTY, 0)
    assert one.rig.position()["open_buy_qty"] == QTY


@pytest.mark.pure
def test_amend_that_is_rejected_after_the_cancel_is_counted_no_longer() -> None:
    one = OneOrder(S.PENDING_AMEND)
    one.give(I.REQUEST_CANCEL)
    states = []
    for answer in (I.CANCEL_REJECTED, I.AMEND_REJECTED):
        one.give(answer)
        states.append(one.state)
    assert states == [S.PENDING_AMEND, S.LIVE]
    assert one.rig.position()["open_buy_qty"] == QTY


def amending(qty: int) -> OneOrder:
    """An order of 10 lots with an amend to ``qty`` in flight."""
    one = OneOrder(S.LIVE)
    one.rig.commands(amend(ORDER, px=BID_PX - 5, qty=qty))
    return one


@pytest.mark.pure
def test_amend_that_a_rejected_cancel_has_overtaken_is_still_the_one_in_flight() -> None:
    one = amending(100)
    one.give(I.REQUEST_CANCEL)
    one.give(I.CANCEL_REJECTED)
    assert reason_of(one.rig.commands(amend(ORDER, qty=20))) == Reason.REQUEST_IN_FLIGHT
    assert one.rig.position()["open_buy_qty"] == 100


@pytest.mark.pure
@pytest.mark.parametrize("cancelled", [False, True])
def test_amend_to_what_has_filled_is_confirmed_as_the_end_of_the_order(cancelled: bool) -> None:
    one = amending(5)
    if cancelled:
        one.give(I.REQUEST_CANCEL)
    one.rig.reports(fill(ORDER, 5, trade_id=1))
    event = only(one.rig.reports(report(ReportKind.AMENDED, ORDER, px=BID_PX, qty=5)), EventKind.ORDER_AMENDED)
    assert (event["state"], event["qty"], event["filled_qty"]) == (S.FILLED, 5, 5)
    assert one.rig.open_list() == []
    assert one.rig.position()["open_buy_qty"] == 0


@pytest.mark.pure
def test_fill_within_the_larger_quantity_in_flight_says_that_the_amend_has_taken_effect() -> None:
    one = amending(20)
    event = only(one.rig.reports(fill(ORDER, 15, trade_id=1)), EventKind.ORDER_FILLED)
    assert (event["state"], event["px"], event["qty"], event["filled_qty"]) == (S.PENDING_AMEND, BID_PX - 5, 20, 15)
    assert (one.rig.position()["qty"], one.rig.position()["open_buy_qty"]) == (15, 5)
    one.rig.reports(report(ReportKind.AMENDED, ORDER, px=BID_PX - 5, qty=20))
    assert (one.state, one.leaves) == (S.LIVE, 5)
    assert ignored(one.rig.reports(fill(ORDER, 6, trade_id=2))) == Reason.OVERFILL


@pytest.mark.pure
def test_fill_of_all_that_is_in_flight_completes_the_order() -> None:
    one = amending(20)
    one.rig.reports(fill(ORDER, 20, trade_id=1))
    assert (one.state, one.rig.order(ORDER)["qty"], one.rig.position()["open_buy_qty"]) == (S.FILLED, 20, 0)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (ReportKind.AMENDED, S.LIVE),
        (ReportKind.AMEND_REJECTED, S.FILLED),
        (ReportKind.CANCELLED, S.FILLED),
        (ReportKind.EXPIRED, S.FILLED),
    ],
)
def test_order_that_is_filled_with_a_larger_amend_in_flight_waits_for_its_answer(
    answer: ReportKind, state: OrderState
) -> None:
    one = amending(20)
    one.rig.reports(fill(ORDER, 10, trade_id=1))
    before = one.state
    assert (before, one.rig.position()["open_buy_qty"]) == (S.PENDING_AMEND, 10)
    one.rig.reports(report(answer, ORDER, px=BID_PX - 5, qty=20))
    assert (one.state, one.rig.position()["open_buy_qty"]) == (state, 10 if state == S.LIVE else 0)


@pytest.mark.pure
@pytest.mark.parametrize(("qty", "state"), [(10, S.FILLED), (15, S.CANCELLED), (20, S.FILLED), (21, S.CANCELLED)])
def test_late_fill_of_an_order_that_was_cancelled_with_an_amend_in_flight_is_booked(
    qty: int, state: OrderState
) -> None:
    one = amending(20)
    one.give(I.CANCELLED)
    one.rig.reports(fill(ORDER, qty, trade_id=1))
    assert (one.state, one.rig.position()["qty"]) == (state, qty if qty <= 20 else 0)


@pytest.mark.pure
def test_events_carry_the_request_that_they_answer() -> None:
    rig = Rig()
    rig.open_market()
    assert rig.commands(new_order(ORDER, request_id=5))["request_id"].tolist() == [5]
    assert rig.reports(report(ReportKind.ACCEPTED, ORDER))["request_id"].tolist() == [5]
    assert rig.commands(amend(ORDER, qty=5, request_id=6))["request_id"].tolist() == [6]
    assert rig.commands(amend(ORDER, qty=5, request_id=7))["request_id"].tolist() == [7]
    assert rig.reports(report(ReportKind.AMENDED, ORDER, px=BID_PX, qty=5))["request_id"].tolist() == [6]


@pytest.mark.pure
@pytest.mark.parametrize("refused", [cancel(ORDER, request_id=3), amend(ORDER, qty=12, request_id=3)])
def test_refused_request_says_which_order_it_was_about(refused: Records) -> None:
    one = OneOrder(S.PENDING_CANCEL)
    event = only(one.rig.commands(refused), EventKind.ORDER_REFUSED)
    assert (event["state"], event["side"], event["order_type"]) == (S.PENDING_CANCEL, BUY, OrderType.LIMIT)
    assert (event["request_id"], event["aux"]) == (3, refused["kind"][0])
    assert event["px"] == BID_PX
    assert event["qty"] == (refused["qty"][0] or QTY)


def orders_of(ids: list[int]) -> Records:
    commands = np.zeros(len(ids), COMMAND)
    commands["kind"] = CommandKind.NEW
    commands["order_id"] = ids
    commands["side"] = BUY
    commands["order_type"] = OrderType.LIMIT
    commands["time_in_force"] = TimeInForce.GTC
    commands["px"] = BID_PX
    commands["qty"] = 10
    commands["strategy"] = -1
    return commands


def reports_of(ids: list[int], kind: ReportKind) -> Records:
    reports = np.zeros(len(ids), REPORT)
    reports["kind"] = kind
    reports["order_id"] = ids
    return reports


@pytest.mark.skipif(not JIT, reason="takes as many orders as the table holds")
def test_slots_are_reused_when_all_have_been_used_and_the_oldest_closed_first() -> None:
    rig = Rig()
    rig.open_market()
    ids = list(range(1, MAX_ORDERS + 1))
    for start in range(0, MAX_ORDERS, 1_000):
        block = ids[start : start + 1_000]
        rig.commands(orders_of(block))
        if start == 0:
            kept, block = block[:3], block[3:]
        rig.reports(reports_of(block[::-1], ReportKind.CANCELLED))
    closed = ids[999:2:-1]
    assert rig.s["orders_used"] == MAX_ORDERS
    slots = {order_id: order_id - 1 for order_id in ids}
    fresh = list(range(MAX_ORDERS + 1, MAX_ORDERS + 51))
    rig.commands(orders_of(fresh))
    used_again = [int(np.flatnonzero(rig.s["orders"]["order_id"] == order_id)[0]) for order_id in fresh]
    assert used_again == [slots[order_id] for order_id in closed[:50]]
    assert all(rig.state(order_id) == S.PENDING_NEW for order_id in kept)
    assert reason_of(rig.commands(cancel(closed[0]))) == Reason.UNKNOWN_ORDER
    assert reason_of(rig.commands(cancel(closed[50]))) == Reason.ORDER_NOT_OPEN


@pytest.mark.skipif(not JIT, reason="200,000 orders")
def test_index_finds_every_order_that_is_remembered_and_no_other() -> None:
    rig = Rig()
    rig.open_market()
    chance = random.Random(5)
    closed: list[int] = []
    seen: set[int] = set()
    for _ in range(200):
        client = chance.choice((1, 2, 1_024, 2**22))
        first = chance.randrange(2**39)
        near = [client << 40 | (first + i) for i in range(500)]
        anywhere = [chance.randrange(1, 2**62) for _ in range(500)]
        ids = [order_id for order_id in near + anywhere if order_id not in seen]
        seen.update(ids)
        assert set(kinds(rig.commands(orders_of(ids)))) == {EventKind.ORDER_SUBMITTED}
        chance.shuffle(ids)
        assert set(kinds(rig.reports(reports_of(ids, ReportKind.EXPIRED)))) == {EventKind.ORDER_EXPIRED}
        closed += ids
    assert len(closed) > 190_000
    known, forgotten = closed[-MAX_ORDERS:], closed[:-MAX_ORDERS]
    asked = [(each, Reason.ORDER_NOT_OPEN) for each in chance.sample(known, 3_000) + known[:5]]
    asked += [(each, Reason.UNKNOWN_ORDER) for each in chance.sample(forgotten, 3_000) + forgotten[-5:]]
    for order_id, reason in asked:
        assert reason_of(rig.commands(cancel(order_id))) == reason
    assert np.count_nonzero(rig.s["order_index"]) == MAX_ORDERS
    assert rig.s["open_orders"] == 0


@pytest.mark.skipif(not JIT, reason="takes as many orders as the table holds")
def test_table_full_of_open_orders_refuses_the_next() -> None:
    rig = Rig()
    rig.open_market()
    rig.s["orders_used"] = MAX_ORDERS
    assert reason_of(rig.commands(new_order(ORDER))) == Reason.ORDER_TABLE_FULL


def test_clients_are_shown_the_same_states_as_open() -> None:
    assert {OrderState[name.upper()] for name in entities.OPEN_STATES} == set(OPEN_STATES)
