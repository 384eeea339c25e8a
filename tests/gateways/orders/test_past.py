"""Which orders of sessions before may be at the exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gateways.orders.ids import ClientIds
from gateways.orders.known import Stage
from gateways.orders.past import Left, left_orders, orders_of
from oms.bus import Records
from oms.journal import Journal
from oms.journal_format import Direction
from oms.records import EVENT, ORDER, EventKind, OrderState, RecordKind
from tests.gateways.sandbox.desk import shipped_instrument

INSTRUMENT = shipped_instrument()
IDS = ClientIds("test")
NONE = np.zeros(0, ORDER)


def row(dtype: Any, order_id: int, state: OrderState, **fields: Any) -> Records:
    record = np.zeros(1, dtype)
    terms = {"order_id": order_id, "state": state, "side": 1, "order_type": 1, "time_in_force": 1, "qty": 100, "px": 7}
    for name, value in (terms | {"instrument": INSTRUMENT.id, "strategy": -1} | fields).items():
        record[name] = value
    return record


def event(kind: EventKind, order_id: int, state: OrderState, **fields: Any) -> Records:
    return row(EVENT, order_id, state, kind=kind, **fields)


def read(begun: Records, *events: Records) -> dict[int, Left]:
    return {left.order.order_id: left for left in orders_of(begun, events, 0, IDS, (INSTRUMENT,))}


def test_order_that_was_asked_for_and_not_answered_may_be_there() -> None:
    left = read(NONE, event(EventKind.ORDER_SUBMITTED, 5, OrderState.PENDING_NEW))
    assert left[5].state is OrderState.PENDING_NEW
    assert left[5].order.stage is Stage.PENDING
    assert (left[5].order.px, left[5].order.qty, left[5].order.client_id) == (7, 100, IDS.text(5))


def test_order_that_has_ended_or_never_left_is_not() -> None:
    assert not read(
        np.concatenate(
            [row(ORDER, 1, OrderState.LIVE), row(ORDER, 2, OrderState.FILLED), row(ORDER, 3, OrderState.HELD)]
        ),
        event(EventKind.ORDER_CANCELLED, 1, OrderState.CANCELLED),
        event(EventKind.ORDER_REFUSED, 4, OrderState.PENDING_NEW),
        event(EventKind.ORDER_SUBMITTED, 6, OrderState.PENDING_NEW, account=1),
        event(EventKind.ORDER_SUBMITTED, 7, OrderState.PENDING_NEW, instrument=INSTRUMENT.id + 1),
        event(EventKind.POSITION, 8, OrderState.LIVE),
    )


def test_fills_of_the_journal_are_known_by_their_trades_and_those_of_the_snapshot_are_not() -> None:
    left = read(
        row(ORDER, 1, OrderState.LIVE, filled_qty=10),
        event(EventKind.ORDER_FILLED, 1, OrderState.LIVE, filled_qty=14, last_qty=4, aux=77),
        event(EventKind.CANCEL_SUBMITTED, 1, OrderState.PENDING_CANCEL, filled_qty=14),
    )[1]
    assert left.state is OrderState.PENDING_CANCEL
    assert (left.order.filled_qty, left.order.untraced_qty, left.order.trades) == (14, 10, {77})


def test_journal_alone_is_read(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, 123, "os", "test")
    journal.append(RecordKind.EVENT, Direction.OUTPUT, event(EventKind.ORDER_SUBMITTED, 5, OrderState.PENDING_NEW))
    journal.commit()
    (left,) = left_orders(tmp_path / "none", tmp_path, 0, IDS, (INSTRUMENT,))
    journal.close()
    assert left.order.order_id == 5


def test_nothing_is_left_of_a_first_session(tmp_path: Path) -> None:
    assert left_orders(tmp_path, tmp_path, 0, IDS, (INSTRUMENT,)) == []
