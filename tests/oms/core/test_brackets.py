"""A bracket of which an exit could not be held is refused as a whole, before its entry leaves."""

from __future__ import annotations

from typing import Any

import pytest

from oms.core.state import MAX_CHILDREN
from oms.records import (
    CommandKind,
    Contingency,
    EventKind,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
    Trigger,
    TriggerSource,
)
from tests.oms.core.builders import BID_PX, BUY, SELL, Records, Rig, client_id, new_order, trade

ENTRY, TARGET, STOP = client_id(1), client_id(2), client_id(3)
SECOND = 10**9
S = OrderState
pytestmark = pytest.mark.pure


def market(**limits: int) -> Rig:
    rig = Rig(limits=limits)
    rig.open_market()
    rig.ticks(trade(BUY, BID_PX, 1))
    return rig


def entry(side: int = BUY) -> Records:
    """An entry that would trade at once."""
    return new_order(ENTRY, side, 0, 10, order_type=OrderType.MARKET, time_in_force=TimeInForce.IOC)


def target(side: int = BUY, order_id: int = TARGET) -> Records:
    return new_order(order_id, -side, BID_PX + 50 * side, 10, parent_id=ENTRY, contingency=Contingency.OTO)


def stop(side: int = BUY, **fields: Any) -> Records:
    made = target(side, STOP)
    waits = {"trigger": Trigger.STOP, "trigger_source": TriggerSource.LAST, "trigger_px": BID_PX - 50 * side}
    for name, value in {"px": 0, "order_type": OrderType.MARKET, **waits, **fields}.items():
        made[name] = value
    return made


def refusals(events: Records) -> list[Reason]:
    assert set(events["kind"].tolist()) == {EventKind.ORDER_REFUSED}
    return [Reason(reason) for reason in events["reason"].tolist()]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_exits_are_held_before_the_entry_can_fill(side: int) -> None:
    rig = market()
    rig.commands(entry(side), target(side), stop(side))
    assert rig.sent["kind"].tolist() == [CommandKind.NEW, CommandKind.HOLD, CommandKind.HOLD]
    assert [rig.state(each) for each in (ENTRY, TARGET, STOP)] == [S.PENDING_NEW, S.HELD, S.HELD]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"qty": 10**6}, Reason.QTY_ABOVE_MAX),
        ({"qty": 0}, Reason.QTY_BELOW_MIN),
        ({"trigger_px": 0}, Reason.BAD_TRIGGER),
        ({"trail": 5}, Reason.BAD_TRIGGER),
        ({"flags": 1 << 15}, Reason.BAD_FLAGS),
        ({"order_type": 99}, Reason.BAD_ORDER_TYPE),
        ({"time_in_force": TimeInForce.GTD}, Reason.BAD_EXPIRY),
        ({"display_qty": 5}, Reason.BAD_DISPLAY_QTY),
        ({"account": 1}, Reason.BAD_PARENT),
        ({"instrument": 1}, Reason.BAD_PARENT),
        ({"version": 7}, Reason.WRONG_VERSION),
        ({"order_id": 0}, Reason.BAD_COMMAND),
    ],
)
def test_a_stop_that_could_not_be_held_keeps_its_entry_from_leaving(fields: dict[str, int], reason: Reason) -> None:
    rig = market(max_order_qty=1_000)
    events = rig.commands(entry(), target(), stop(**fields))
    assert refusals(events) == [Reason.GROUP_REFUSED, Reason.GROUP_REFUSED, reason]
    assert len(rig.sent) == 0
    assert rig.s["open_orders"] == 0


def test_entry_and_exits_are_counted_together_against_the_open_orders() -> None:
    rig = market(max_open_orders=2)
    reasons = refusals(rig.commands(entry(), target(), stop()))
    assert reasons == [Reason.GROUP_REFUSED, Reason.GROUP_REFUSED, Reason.OPEN_ORDER_LIMIT]
    rig = market(max_open_orders=3)
    rig.commands(entry(), target(), stop())
    assert rig.state(STOP) == S.HELD


def test_entry_and_exits_are_counted_together_against_the_rate() -> None:
    rig = market(order_interval_ns=SECOND // 2)
    reasons = refusals(rig.commands(entry(), target(), stop()))
    assert reasons == [Reason.GROUP_REFUSED, Reason.GROUP_REFUSED, Reason.ORDER_RATE]
    rig.commands(entry(), target())  # what was refused has taken no token
    assert rig.state(TARGET) == S.HELD


def test_orders_around_a_refused_bracket_go_their_way() -> None:
    rig = market(max_order_qty=1_000)
    before, after = client_id(8), client_id(9)
    rig.commands(new_order(before, BUY, BID_PX, 10), entry(), stop(qty=10**6), new_order(after, BUY, BID_PX, 10))
    assert rig.sent["order_id"].tolist() == [before, after]


def test_an_order_with_more_exits_than_it_may_have_keeps_the_first_ones() -> None:
    rig = market()
    exits = [target(order_id=client_id(10 + number)) for number in range(MAX_CHILDREN + 1)]
    events = rig.commands(entry(), *exits)
    assert (events["kind"] == EventKind.ORDER_HELD).sum() == MAX_CHILDREN
    assert events["reason"][-1] == Reason.BAD_PARENT


def test_an_exit_without_its_entry_in_the_request_is_checked_alone() -> None:
    rig = market(max_order_qty=1_000)
    rig.commands(entry())
    assert refusals(rig.commands(stop(qty=10**6))) == [Reason.QTY_ABOVE_MAX]
    assert rig.state(ENTRY) == S.PENDING_NEW
