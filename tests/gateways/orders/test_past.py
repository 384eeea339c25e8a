"""What the core knows, read from its snapshot and its journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import gateways
from gateways.orders.ids import ClientIds, external_order_id
from gateways.orders.known import Stage, Trade
from gateways.orders.past import Left, Past, newest_session, past_of, read_past
from oms.bus import Records
from oms.core.state import MAX_ACCOUNTS, MAX_FILLS, MAX_INSTRUMENTS, MAX_LEGS, MAX_WALLETS, TRADE, WALLET
from oms.journal import Journal
from oms.journal_format import Direction
from oms.records import EVENT, ORDER, POSITION, EventKind, OrderFlag, OrderState, RecordKind
from oms.snapshot import Definitions, Place, Snapshot
from tests.gateways.sandbox.desk import shipped_instrument

INSTRUMENT = shipped_instrument()
NUMBER = INSTRUMENT.id
VENUE = "binance_usdm"
IDS = ClientIds("test")
SPOT_RECORDING = Path(gateways.__file__).parent / "recordings" / "spot_btcusdt_20240808_30s.gz"


def row(dtype: Any, order_id: int, state: OrderState, **fields: Any) -> Records:
    record = np.zeros(1, dtype)
    terms = {"order_id": order_id, "state": state, "side": 1, "order_type": 1, "time_in_force": 1, "qty": 100, "px": 7}
    for name, value in (terms | {"instrument": NUMBER, "strategy": -1} | fields).items():
        record[name] = value
    return record


def event(kind: EventKind, order_id: int = 0, state: OrderState = OrderState.EMPTY, **fields: Any) -> Records:
    return row(EVENT, order_id, state, kind=kind, **fields)


def snapshot(*orders: Records, trades: int = 0) -> Snapshot:
    tables = {
        "now": np.full(1, 1_000),
        "orders": np.concatenate(orders) if orders else np.zeros(0, ORDER),
        "positions": np.zeros((MAX_ACCOUNTS, MAX_INSTRUMENTS, MAX_LEGS), POSITION),
        "wallets": np.zeros((MAX_ACCOUNTS, MAX_WALLETS), WALLET),
        "trades": np.zeros(8, TRADE),
        "trade_counter": np.full(1, trades),
    }
    definitions = Definitions(wallets=("BTC.binance_spot", f"{INSTRUMENT.settlement}.{VENUE}"))
    return Snapshot(Path(), Place(1, 0, 0, 0), False, True, definitions, tables)


def read(begun: Snapshot | None, *events: Records) -> Past:
    return past_of(events, 0, VENUE, IDS, (INSTRUMENT,), begun)


def left(begun: Snapshot | None, *events: Records) -> dict[int, Left]:
    return {each.order.order_id: each for each in read(begun, *events).left}


def test_order_that_was_asked_for_and_not_answered_may_be_there() -> None:
    found = left(None, event(EventKind.ORDER_SUBMITTED, 5, OrderState.PENDING_NEW))
    assert found[5].state is OrderState.PENDING_NEW
    assert found[5].order.stage is Stage.PENDING
    assert (found[5].order.px, found[5].order.qty, found[5].order.client_id) == (7, 100, IDS.text(5))


def test_order_that_has_ended_or_never_left_is_not() -> None:
    assert not left(
        snapshot(row(ORDER, 1, OrderState.LIVE), row(ORDER, 2, OrderState.FILLED), row(ORDER, 3, OrderState.HELD)),
        event(EventKind.ORDER_CANCELLED, 1, OrderState.CANCELLED),
        event(EventKind.ORDER_REFUSED, 4, OrderState.PENDING_NEW),
        event(EventKind.ORDER_SUBMITTED, 6, OrderState.PENDING_NEW, account=1),
        event(EventKind.ORDER_SUBMITTED, 7, OrderState.PENDING_NEW, instrument=NUMBER + 1),
        event(EventKind.POSITION, 8, OrderState.LIVE),
    )


def test_order_that_is_being_cancelled_may_never_have_been_taken() -> None:
    asked = event(EventKind.ORDER_SUBMITTED, 5, OrderState.PENDING_NEW)
    cancelled = event(EventKind.CANCEL_SUBMITTED, 5, OrderState.PENDING_CANCEL)
    accepted = event(EventKind.ORDER_ACCEPTED, 5, OrderState.LIVE)
    assert left(None, asked, cancelled)[5].order.stage is Stage.PENDING
    assert left(None, asked, accepted, cancelled)[5].order.stage is Stage.LIVE
    late = event(EventKind.ORDER_ACCEPTED, 5, OrderState.PENDING_CANCEL)
    assert left(None, asked, cancelled, late)[5].order.stage is Stage.LIVE


def test_amend_without_an_answer_is_known_though_a_cancel_has_been_asked_for() -> None:
    asked = event(EventKind.AMEND_SUBMITTED, 5, OrderState.PENDING_AMEND)
    cancelled = event(EventKind.CANCEL_SUBMITTED, 5, OrderState.PENDING_CANCEL)
    answered = event(EventKind.AMEND_REJECTED, 5, OrderState.PENDING_CANCEL)
    assert left(None, asked, cancelled)[5].is_amending
    assert not left(None, asked, cancelled, answered)[5].is_amending
    begun = snapshot(row(ORDER, 5, OrderState.PENDING_CANCEL, pending_qty=3))
    assert left(begun)[5].is_amending
    assert not left(begun, answered)[5].is_amending


def test_adopted_order_is_known_by_the_exchanges_own_id() -> None:
    order_id = external_order_id(NUMBER, 777)
    for state in (OrderState.LIVE, OrderState.PENDING_CANCEL):
        order = left(snapshot(row(ORDER, order_id, state)))[order_id].order
        assert (order.client_id, order.venue_order_id, order.stage) == ("", 777, Stage.LIVE)


def test_trades_and_payments_are_those_of_the_snapshot_and_of_the_journal() -> None:
    begun = snapshot(row(ORDER, 1, OrderState.LIVE, filled_qty=10))
    owners = ((71, 0), (72, -1), (73, 1), (74, MAX_ACCOUNTS))
    begun.tables["trades"][: len(owners)] = [(trade_id, NUMBER, owner) for trade_id, owner in owners]
    past = read(
        begun,
        event(EventKind.ORDER_FILLED, 1, OrderState.LIVE, filled_qty=14, last_qty=4, aux=75),
        event(EventKind.CANCEL_SUBMITTED, 1, OrderState.PENDING_CANCEL, filled_qty=14),
        event(EventKind.FUNDING, aux=76),
    )
    assert past.booked == {Trade(NUMBER, 1, 71), Trade(NUMBER, -1, 72), Trade(NUMBER, 1, 75)}
    assert past.payments == {(NUMBER, 74), (NUMBER, 76)}
    assert past.left[0].state is OrderState.PENDING_CANCEL
    assert (past.left[0].order.filled_qty, past.left[0].order.untraced_qty) == (14, 0)


def test_fills_are_to_be_traced_where_the_core_has_forgotten_trades() -> None:
    past = read(snapshot(row(ORDER, 1, OrderState.LIVE, filled_qty=10), trades=MAX_FILLS))
    assert past.left[0].order.untraced_qty == 10


def test_position_is_the_accounts_newest_one() -> None:
    begun = snapshot()
    assert read(begun).positions == {}
    begun.tables["positions"][0, NUMBER, 0]["qty"] = -5
    assert read(begun).positions == {NUMBER: -5}
    moved = event(EventKind.POSITION, position_qty=9)
    others = [
        event(EventKind.POSITION, position_qty=1, strategy=0),
        event(EventKind.POSITION, position_qty=2, flags=OrderFlag.SHORT_LEG),
        event(EventKind.POSITION, position_qty=3, account=1),
    ]
    assert read(begun, moved, *others).positions == {NUMBER: 9}
    assert read(begun, moved, event(EventKind.POSITION_ADOPTED, position_qty=0)).positions == {NUMBER: 0}


def test_balance_is_moved_by_fills_and_funding_and_set_by_balances() -> None:
    begun = snapshot()
    begun.tables["wallets"][0, 1]["balance"] = 1_000
    filled = event(EventKind.ORDER_FILLED, 1, OrderState.LIVE, realized_pnl=50, fees=3, aux=1)
    paid = event(EventKind.FUNDING, fees=7)
    assert read(begun, filled, paid).cash == {INSTRUMENT.settlement: 1_040}
    other = event(EventKind.BALANCE, aux=0, fees=1, instrument=-1)
    told = event(EventKind.BALANCE, aux=1, fees=2_000, instrument=-1)
    assert read(begun, filled, told, paid, other).cash == {INSTRUMENT.settlement: 1_993}


def test_journal_alone_is_read(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, 123, "os", "test")
    journal.append(RecordKind.EVENT, Direction.OUTPUT, event(EventKind.ORDER_SUBMITTED, 5, OrderState.PENDING_NEW))
    journal.commit()
    past = read_past(tmp_path / "none", tmp_path, 0, VENUE, IDS, (INSTRUMENT,))
    journal.close()
    assert [each.order.order_id for each in past.left] == [5]
    assert newest_session(tmp_path) == 123


def test_nothing_is_left_of_a_first_session(tmp_path: Path) -> None:
    assert read_past(tmp_path, tmp_path, 0, VENUE, IDS, (INSTRUMENT,)) == Past()
    assert newest_session(tmp_path / "none") == 0


def test_spot_fill_exchanges_two_currencies() -> None:
    spot = shipped_instrument(SPOT_RECORDING)
    begun = snapshot()
    begun = begun._replace(definitions=Definitions(wallets=("BTC.binance_spot", "USDT.binance_spot")))
    begun.tables["wallets"][0, 0]["balance"] = 100_000_000
    begun.tables["wallets"][0, 1]["balance"] = 10_000_000_000
    sold = event(
        EventKind.ORDER_FILLED,
        1,
        OrderState.LIVE,
        side=-1,
        instrument=spot.id,
        last_px=6_000_000,
        last_qty=10,
        realized_pnl=77,
        fees=600_000,
        aux=1,
    )
    cash = past_of([sold], 0, spot.venue, IDS, (spot,), begun).cash
    assert cash == {"BTC": 100_000_000 - 10_000, "USDT": 10_000_000_000 + 600_000_000 - 600_000}
