"""The default exchange model, rule by rule: amends, cancels, latency, and its limits."""

from __future__ import annotations

import numpy as np
import pytest

from oms.core.state import MODEL_QUEUE, MODEL_TAKEN
from oms.engine import step_ticks
from oms.records import TICK, EventKind, OrderFlag, OrderState, Reason, TickKind, TimeInForce
from tests.backtest.consistency import check_model
from tests.backtest.venue import MS, Venue

POST_ONLY = int(OrderFlag.POST_ONLY)


# Amends and cancels


def test_an_amend_to_less_keeps_the_place_in_the_queue() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 10})
    order = venue.submit(1, 999, 5)
    venue.trade(-1, 999, 8)
    venue.amend(order, qty=3)
    venue.trade(-1, 999, 4)
    assert venue.fills(order) == [(999, 2)]
    assert venue.order(order)["qty"] == 3


@pytest.mark.parametrize("change", [{"qty": 6}, {"px": 998}])
def test_an_amend_to_more_or_to_another_price_goes_to_the_end_of_the_queue(change: dict[str, int]) -> None:
    venue = Venue()
    venue.snapshot({999: 10, 998: 10}, {1001: 10})
    order = venue.submit(1, 999, 5)
    venue.trade(-1, 999, 8)
    venue.amend(order, **change)
    px = change.get("px", 999)
    venue.show((1, 999, 10 if px == 999 else 0))
    venue.trade(-1, px, 10)
    assert venue.fills(order) == []
    venue.trade(-1, px, 1)
    assert venue.fills(order) == [(px, 1)]


def test_an_amend_to_a_crossing_price_takes() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 3, 1002: 3})
    order = venue.submit(1, 999, 5)
    venue.amend(order, px=1001)
    assert venue.fills(order) == [(1001, 3)]
    assert venue.kinds(order)[-2:] == [EventKind.ORDER_AMENDED, EventKind.ORDER_FILLED]
    assert venue.state(order) is OrderState.LIVE


def test_a_post_only_order_amended_to_a_crossing_price_expires() -> None:
    venue = Venue()
    venue.snapshot({999: 10}, {1001: 3})
    order = venue.submit(1, 999, 5, flags=POST_ONLY)
    venue.amend(order, px=1001)
    assert venue.fills(order) == []
    assert venue.state(order) is OrderState.EXPIRED
    check_model(venue.st)


def test_an_amend_below_what_has_filled_meanwhile_cancels() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.wait(5 * MS)
    venue.amend(order, qty=4)
    venue.trade(-1, 1000, 6)
    venue.wait(5 * MS)
    assert venue.filled(order) == 6
    assert venue.state(order) is OrderState.CANCELLED
    check_model(venue.st)


def test_an_amend_counts_what_has_filled_meanwhile() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.wait(5 * MS)
    venue.amend(order, qty=8)
    venue.trade(-1, 1000, 6)
    venue.wait(5 * MS)
    venue.trade(-1, 1000, 50)
    assert venue.fills(order) == [(1000, 6), (1000, 2)]
    assert venue.state(order) is OrderState.FILLED


def test_a_cancelled_order_fills_no_more() -> None:
    venue = Venue()
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.trade(-1, 1000, 3)
    venue.cancel(order)
    venue.trade(-1, 1000, 3)
    assert venue.fills(order) == [(1000, 3)]
    assert venue.state(order) is OrderState.CANCELLED


@pytest.mark.parametrize(
    ("ask", "answer"),
    [("cancel", EventKind.CANCEL_REJECTED), ("amend", EventKind.AMEND_REJECTED)],
)
def test_what_is_asked_of_an_order_that_has_just_filled_is_rejected(ask: str, answer: EventKind) -> None:
    venue = Venue(entry_ns=5 * MS, response_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.wait(10 * MS)
    venue.trade(-1, 1000, 10)
    if ask == "cancel":
        venue.cancel(order)
    else:
        venue.amend(order, qty=8)
    venue.wait(20 * MS)
    assert venue.kinds(order)[-2:] == [EventKind.ORDER_FILLED, answer]
    assert venue.state(order) is OrderState.FILLED


def test_a_cancel_overtakes_no_new_order() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.cancel(order)
    venue.wait(5 * MS)
    assert venue.kinds(order)[-2:] == [EventKind.ORDER_ACCEPTED, EventKind.ORDER_CANCELLED]
    assert venue.state(order) is OrderState.CANCELLED


# Latency


def test_an_order_is_active_only_after_the_entry_latency() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1000, 10)
    venue.trade(-1, 1000, 3)
    assert venue.fills(order) == []
    assert venue.state(order) is OrderState.PENDING_NEW
    venue.wait(5 * MS)
    venue.trade(-1, 1000, 4)
    assert venue.fills(order) == [(1000, 4)]


def test_an_order_meets_the_book_as_it_is_when_it_arrives() -> None:
    venue = Venue(entry_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1010, 10, TimeInForce.IOC)
    venue.show((-1, 1010, 0), (-1, 1009, 2))
    venue.wait(5 * MS)
    assert venue.fills(order) == [(1009, 2)]


def test_what_happens_at_the_moment_of_arrival_precedes_the_order() -> None:
    venue = Venue(entry_ns=2 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1010, 10, TimeInForce.IOC)
    venue.wait(MS)
    venue.show((-1, 1010, 0), (-1, 1009, 2))
    assert venue.fills(order) == [(1009, 2)]


def test_a_fill_is_known_only_after_the_response_latency() -> None:
    venue = Venue(response_ns=5 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    order = venue.submit(1, 1010, 10, TimeInForce.IOC)
    asked_at = venue.now
    assert venue.fills(order) == []
    venue.wait(5 * MS - 1)
    assert venue.kinds(order) == [EventKind.ORDER_SUBMITTED]
    assert venue.st[0]["positions"][0, 0, 0]["qty"] == 0
    venue.wait(1)
    assert venue.fills(order) == [(1010, 10)]
    assert venue.st[0]["positions"][0, 0, 0]["qty"] == 10
    last = venue.all_events[-1]
    assert last["ts"] == asked_at + 5 * MS


def test_requests_and_answers_arrive_in_order() -> None:
    venue = Venue(entry_ns=5 * MS, response_ns=3 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    first = venue.submit(1, 1000, 10)
    venue.st[0]["model"]["entry_latency_ns"] = 1
    second = venue.submit(1, 1001, 10)
    venue.wait(5 * MS)
    venue.st[0]["model"]["response_latency_ns"] = 1
    venue.trade(-1, 1000, 20)
    venue.wait(10 * MS)
    accepted = [int(row["order_id"]) for row in venue.all_events if row["kind"] == EventKind.ORDER_ACCEPTED]
    assert accepted == [first, second]
    times = venue.all_events["ts"]
    assert (times[1:] >= times[:-1]).all()
    assert venue.kinds(second) == [EventKind.ORDER_SUBMITTED, EventKind.ORDER_ACCEPTED, EventKind.ORDER_FILLED]


# Limits of the model


def test_an_order_is_rejected_while_too_many_answers_are_under_way() -> None:
    venue = Venue(response_ns=10_000 * MS)
    levels = {1001 + i: 1 for i in range(MODEL_TAKEN)}
    orders = []
    for _ in range(MODEL_QUEUE // 2 // MODEL_TAKEN + 3):
        venue.snapshot({999: 10}, levels)
        orders.append(venue.submit(1, 2000, MODEL_TAKEN, TimeInForce.IOC))
    venue.wait(20_000 * MS)
    answered = [venue.kinds(order)[-1] for order in orders]
    assert answered[0] is EventKind.ORDER_FILLED
    assert answered[-1] is EventKind.ORDER_REJECTED
    assert answered == sorted(answered, key=lambda kind: kind is EventKind.ORDER_REJECTED)
    rejected = next(row for row in venue.all_events if row["kind"] == EventKind.ORDER_REJECTED)
    assert rejected["reason"] == Reason.MODEL_FULL
    assert venue.filled(orders[0]) == MODEL_TAKEN
    check_model(venue.st)


def test_an_answer_that_finds_no_room_is_counted_as_lost() -> None:
    venue = Venue(response_ns=10_000 * MS)
    venue.snapshot({990: 10}, {1010: 10})
    venue.submit(1, 1000, 5)
    venue.st[0]["model"]["answer_count"] = MODEL_QUEUE
    ticks = np.zeros(1, TICK)
    ticks["local_ts"] = venue.now
    ticks["kind"], ticks["side"], ticks["px"], ticks["qty"] = TickKind.TRADE, -1, 1000, 1
    step_ticks(venue.st, ticks, 0, 0)
    assert venue.st[0]["events_lost"] == 1
    assert venue.st[0]["model"]["answer_count"] == MODEL_QUEUE
