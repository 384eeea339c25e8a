"""The replica and the event stream: the account as the core tells it, whatever was missed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.bus import Frame, Header, Records
from oms.core.state import MAX_ACCOUNTS
from oms.definitions import Definitions
from oms.instruments import Instrument
from oms.journal import Direction, Journal, journal_path
from oms.record_fields import event_fields
from oms.records import (
    EVENT,
    ORDER_ID_COUNTER_BITS,
    RPC_CLIENT_BASE,
    WIRE_VERSION,
    CommandKind,
    Contingency,
    EventKind,
    OrderFlag,
    OrderState,
    Reason,
    RecordKind,
    Source,
    TradingState,
    Trigger,
)
from rpc.event_stream import EventStream
from rpc.replica import FillTotals, KnownTerms, Replica, event_rows

BTCUSDT = Instrument(id=0, symbol="BTCUSDT", venue="v", kind="linear_perpetual", tick="0.1", lot="0.001", version=3)
OWN = RPC_CLIENT_BASE << ORDER_ID_COUNTER_BITS
SESSION = 1_000


def new_replica(closed_limit: int = 1000) -> Replica:
    replica = Replica(Definitions([BTCUSDT]), accounts=2, closed_limit=closed_limit, fill_limit=1000)
    replica.enter(SESSION)
    return replica


def event(kind: EventKind, order_id: int, state: OrderState = OrderState.LIVE, **fields: int) -> Records:
    record = np.zeros(1, EVENT)
    record["kind"] = kind
    record["order_id"] = order_id
    record["state"] = state
    record["side"] = record["order_type"] = record["time_in_force"] = 1
    for name, value in fields.items():
        record[name] = value
    return record


def feed(replica: Replica, *records: Records) -> None:
    for row, record in event_rows(np.concatenate(records)):
        if replica.is_usable(row):
            replica.apply(row, record)


def state_of(replica: Replica, order_id: int) -> OrderState:
    return OrderState(event_fields(replica.orders[order_id].record).state)


def test_the_last_event_of_an_order_is_how_it_stands() -> None:
    replica = new_replica()
    feed(replica, event(EventKind.ORDER_SUBMITTED, 1, OrderState.PENDING_NEW), event(EventKind.ORDER_ACCEPTED, 1))
    assert state_of(replica, 1) == OrderState.LIVE
    assert set(replica.open) == {1}
    feed(replica, event(EventKind.ORDER_CANCELLED, 1, OrderState.CANCELLED))
    assert state_of(replica, 1) == OrderState.CANCELLED
    assert not replica.open


def test_a_refused_new_order_is_known_as_rejected() -> None:
    replica = new_replica()
    feed(replica, event(EventKind.ORDER_REFUSED, 1, OrderState.EMPTY, aux=CommandKind.NEW, reason=Reason.ORDER_RATE))
    assert state_of(replica, 1) == OrderState.REJECTED


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (CommandKind.AMEND, Reason.PRICE_COLLAR),
        (CommandKind.CANCEL, Reason.REQUEST_IN_FLIGHT),
        (CommandKind.NEW, Reason.DUPLICATE_ORDER_ID),
        (CommandKind.NEW, Reason.COMMAND_TOO_LATE),
    ],
)
def test_a_refusal_does_not_change_an_order_that_exists(asked: CommandKind, reason: Reason) -> None:
    replica = new_replica()
    feed(replica, event(EventKind.ORDER_ACCEPTED, 1, qty=5))
    before = replica.orders[1].record
    feed(replica, event(EventKind.ORDER_REFUSED, 1, OrderState.EMPTY, aux=asked, reason=reason, qty=7))
    assert replica.orders[1].record == before
    assert 1 in replica.open


def test_an_order_that_was_refused_once_and_then_taken_is_open() -> None:
    replica = new_replica()
    feed(
        replica,
        event(EventKind.ORDER_REFUSED, 1, OrderState.EMPTY, aux=CommandKind.NEW, reason=Reason.COMMAND_TOO_LATE),
        event(EventKind.ORDER_SUBMITTED, 1, OrderState.PENDING_NEW),
    )
    assert set(replica.open) == {1}


def test_what_an_orders_fills_come_to_is_known() -> None:
    replica = new_replica()
    filled = {"last_qty": 2, "realized_pnl": 50, "fees": 3}
    feed(
        replica,
        event(EventKind.ORDER_FILLED, 1, OrderState.LIVE, filled_qty=2, **filled),
        event(EventKind.ORDER_FILLED, 2, OrderState.LIVE, filled_qty=2, **filled),
        event(EventKind.ORDER_FILLED, 1, OrderState.LIVE, filled_qty=4, **{**filled, "fees": -1}),
        event(EventKind.ORDER_CANCELLED, 1, OrderState.CANCELLED, filled_qty=4),
    )
    assert replica.totals == {1: FillTotals(4, 100, 2), 2: FillTotals(2, 50, 3)}


def test_closed_orders_are_bounded_and_open_ones_stay() -> None:
    replica = new_replica(closed_limit=10)
    feed(replica, event(EventKind.ORDER_ACCEPTED, 1))
    for order_id in range(2, 102):
        feed(
            replica,
            event(EventKind.ORDER_ACCEPTED, order_id),
            event(EventKind.ORDER_FILLED, order_id, OrderState.FILLED),
        )
    assert set(replica.orders) == {1, *range(92, 102)}
    assert set(replica.totals) == set(range(92, 102))


def test_orders_that_a_dead_core_left_open_are_closed_and_kept_for_the_ledger() -> None:
    replica = new_replica()
    feed(replica, event(EventKind.ORDER_ACCEPTED, OWN + 1), event(EventKind.ORDER_ACCEPTED, 1))
    replica.enter(SESSION + 1)
    assert not replica.open
    assert [order_id for order_id, _ in replica.closed_own] == [OWN + 1]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": 99},
        {"instrument": 55},
        {"side": 0},
        {"state": 77},
        {"order_type": 9},
        {"time_in_force": 0},
        {"order_id": -4},
        {"kind": EventKind.POSITION, "instrument": -1},
    ],
)
def test_an_event_that_makes_no_sense_is_counted_and_passed_over(fields: dict[str, int]) -> None:
    replica = new_replica()
    senseless = event(EventKind.ORDER_ACCEPTED, 1)
    for name, value in fields.items():
        senseless[name] = value
    feed(replica, senseless, event(EventKind.ORDER_ACCEPTED, 2))
    assert replica.unusable == 1
    assert set(replica.orders) == {2}


def test_pages_give_every_order_once_newest_first() -> None:
    replica = new_replica()
    for order_id in range(1, 26):
        feed(replica, event(EventKind.ORDER_ACCEPTED, order_id))
    seen: list[int] = []
    cursor: int | None = None
    while True:
        page, cursor = replica.page_of_orders(
            open_only=True, client_index=None, instrument=None, before=cursor, limit=10
        )
        seen += [order_id for order_id, _ in page]
        if cursor is None:
            break
    assert seen == list(range(25, 0, -1))


steps = st.lists(
    st.tuples(
        st.sampled_from([kind for kind in EventKind if kind not in (EventKind.LOG, EventKind.BOOK_STATE)]),
        st.sampled_from([1, 2, 3, OWN + 1, OWN + 2]),
        st.sampled_from([state for state in OrderState if state != OrderState.EMPTY]),
        st.sampled_from([CommandKind.NEW, CommandKind.AMEND]),
    ),
    min_size=1,
    max_size=60,
)


def as_records(drawn: list[tuple[EventKind, int, OrderState, CommandKind]]) -> Records:
    records = np.concatenate(
        [event(kind, order_id, state, aux=int(aux), qty=at) for at, (kind, order_id, state, aux) in enumerate(drawn)]
    )
    records["last_qty"] = 1
    records["seq"] = np.arange(len(records))
    return records


@given(steps, st.integers(1, 20))
def test_loading_the_past_in_blocks_gives_what_one_event_at_a_time_gives(
    drawn: list[tuple[EventKind, int, OrderState, CommandKind]], block: int
) -> None:
    drawn = [step for step in drawn if step[0] != EventKind.ORDER_REFUSED]
    if not drawn:
        return
    records = as_records(drawn)
    one_by_one, loaded = new_replica(), new_replica()
    feed(one_by_one, records)
    for start in range(0, len(records), block):
        loaded.load(records[start : start + block])
    assert {key: order.record for key, order in loaded.orders.items()} == {
        key: order.record for key, order in one_by_one.orders.items()
    }
    assert set(loaded.open) == set(one_by_one.open)
    assert list(loaded.fills) == list(one_by_one.fills)
    assert loaded.positions == one_by_one.positions
    assert loaded.trading_states == one_by_one.trading_states
    assert loaded.standings == one_by_one.standings
    assert loaded.terms == one_by_one.terms
    assert loaded.totals == one_by_one.totals


def test_a_held_order_is_open_and_its_last_trigger_is_known() -> None:
    replica = new_replica()
    held, trigger, contingency = OrderState.HELD, int(Trigger.STOP), int(Contingency.OTO)
    for kind, px in ((EventKind.ORDER_HELD, 50), (EventKind.HELD_AMENDED, 51)):
        feed(replica, event(kind, 1, held, trigger=trigger, contingency=contingency, last_px=px, last_qty=2, aux=9))
    assert set(replica.open) == {1}
    feed(replica, event(EventKind.ORDER_SUBMITTED, 1, OrderState.PENDING_NEW, trigger=Trigger.STOP))
    assert replica.terms == {1: KnownTerms(51, 2, 9, 0, 0)}
    feed(replica, event(EventKind.HELD_ENDED, 1, OrderState.CANCELLED, reason=Reason.PARENT_ENDED))
    assert not replica.open


def test_a_trailing_distance_is_known_before_the_trigger_has_a_place() -> None:
    told = event(EventKind.ORDER_HELD, 1, OrderState.HELD, trigger=Trigger.TRAILING, realized_pnl=30, fees=2)
    fed, loaded = new_replica(), new_replica()
    feed(fed, told)
    loaded.load(told)
    assert fed.terms == loaded.terms == {1: KnownTerms(0, 0, 0, 30, 2)}


def test_positions_standings_and_states_are_kept_by_their_owner() -> None:
    replica = new_replica()
    none = OrderState.EMPTY
    feed(replica, event(EventKind.POSITION, 0, none, account=1, strategy=-1, position_qty=1))
    feed(replica, event(EventKind.POSITION, 0, none, account=1, strategy=-1, flags=OrderFlag.SHORT_LEG, position_qty=2))
    feed(replica, event(EventKind.POSITION, 0, none, account=0, strategy=3, position_qty=3))
    feed(replica, event(EventKind.SCOPE, 0, none, aux=1, px=5), event(EventKind.SCOPE, 0, none, aux=11, px=6))
    feed(replica, event(EventKind.TRADING_STATE, 0, none, account=1, strategy=-1, aux=1, reason=62))
    feed(replica, event(EventKind.TRADING_STATE, 0, none, account=0, strategy=3, aux=2, reason=68))
    assert {key: row.position_qty for key, row in replica.positions.items()} == {
        (1, -1, 0, 0): 1,
        (1, -1, 0, 1): 2,
        (0, 3, 0, 0): 3,
    }
    assert {scope: row.px for scope, row in replica.standings.items()} == {1: 5, 11: 6}
    assert replica.trading_states == {1: (1, 62), 11: (2, 68)}


def test_a_strategy_is_active_until_the_core_says_otherwise() -> None:
    replica = new_replica()
    maker = MAX_ACCOUNTS + 3
    active = (TradingState.ACTIVE, Reason.NONE)
    assert replica.trading_state(0) == replica.trading_state(maker) == (-1, -1)  # the core has not been heard
    feed(replica, event(EventKind.TRADING_STATE, 0, OrderState.EMPTY, account=1, strategy=-1, aux=0, reason=62))
    assert (replica.trading_state(0), replica.trading_state(1)) == ((-1, -1), (0, 62))
    assert replica.trading_state(maker) == active
    feed(replica, event(EventKind.TRADING_STATE, 0, OrderState.EMPTY, account=0, strategy=3, aux=2, reason=68))
    assert replica.trading_state(maker) == (2, 68)
    replica.enter(1)
    assert replica.trading_state(maker) == (-1, -1)


def test_an_event_of_a_version_that_is_not_known_is_passed_over() -> None:
    replica = new_replica()
    feed(replica, event(EventKind.ORDER_ACCEPTED, 1, version=3), event(EventKind.ORDER_ACCEPTED, 2, version=2))
    assert set(replica.orders) == {1}
    assert replica.unusable == 1


# The event stream


def frame(session: int, records: Records) -> Frame:
    header = Header(WIRE_VERSION, RecordKind.EVENT, Source.CORE, len(records), session, int(records["seq"][0]), 0)
    return Frame(header, records, 0)


def numbered(start: int, count: int) -> Records:
    records = np.zeros(count, EVENT)
    records["seq"] = np.arange(start, start + count)
    records["kind"] = EventKind.LOG
    return records


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal.create(tmp_path, SESSION, "os")
    yield made
    made.close()


def write(journal: Journal, records: Records) -> None:
    journal.append(RecordKind.EVENT, Direction.EVENT, records)
    journal.commit()


def seqs(blocks: Iterator[tuple[int, Records]]) -> list[tuple[int, int]]:
    return [(session, int(seq)) for session, records in blocks for seq in records["seq"]]


def test_what_happened_before_the_start_comes_from_the_journal(tmp_path: Path, journal: Journal) -> None:
    write(journal, numbered(0, 10))
    stream = EventStream(tmp_path, 0)
    assert seqs(stream.read_journal()) == [(SESSION, seq) for seq in range(10)]
    assert seqs(stream.take(frame(SESSION, numbered(8, 4)))) == [(SESSION, 10), (SESSION, 11)]
    assert stream.complete


def test_a_gap_is_mended_from_the_journal(tmp_path: Path, journal: Journal) -> None:
    stream = EventStream(tmp_path, 0)
    for start in range(0, 40, 4):
        write(journal, numbered(start, 4))
    assert seqs(stream.take(frame(SESSION, numbered(0, 4)))) == [(SESSION, seq) for seq in range(40)]
    assert seqs(stream.take(frame(SESSION, numbered(20, 4)))) == []
    write(journal, numbered(40, 10))
    assert seqs(stream.take(frame(SESSION, numbered(48, 2)))) == [(SESSION, seq) for seq in range(40, 50)]
    assert stream.complete
    assert stream.mended == 10


def test_what_neither_has_is_counted_as_lost(tmp_path: Path) -> None:
    stream = EventStream(tmp_path, 0)
    assert seqs(stream.take(frame(SESSION, numbered(5, 2)))) == [(SESSION, 5), (SESSION, 6)]
    assert stream.lost == 5
    assert not stream.complete


def test_the_last_events_of_a_dead_core_come_before_those_of_the_next(tmp_path: Path, journal: Journal) -> None:
    stream = EventStream(tmp_path, 0)
    write(journal, numbered(0, 6))
    assert len(seqs(stream.take(frame(SESSION, numbered(0, 3))))) == 6
    write(journal, numbered(6, 2))  # journalled, and never published
    following = Journal.create(tmp_path, SESSION + 5, "os")
    write(following, numbered(0, 3))
    taken = seqs(stream.take(frame(SESSION + 5, numbered(2, 1))))
    following.close()
    assert taken == [(SESSION, 6), (SESSION, 7), *((SESSION + 5, seq) for seq in range(3))]
    assert seqs(stream.take(frame(SESSION, numbered(8, 1)))) == []
    assert stream.outdated == 1


def test_sessions_before_the_first_one_wanted_are_passed_over(tmp_path: Path, journal: Journal) -> None:
    write(journal, numbered(0, 6))
    following = Journal.create(tmp_path, SESSION + 5, "os")
    write(following, numbered(0, 3))
    following.close()
    assert seqs(EventStream(tmp_path, SESSION + 5).read_journal()) == [(SESSION + 5, seq) for seq in range(3)]


def test_a_damaged_journal_is_named_and_the_rest_goes_on(tmp_path: Path, journal: Journal) -> None:
    for start in range(0, 40, 4):
        write(journal, numbered(start, 4))
    path = journal_path(tmp_path, SESSION)
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(b"damage!!")
    stream = EventStream(tmp_path, 0)
    seqs(stream.read_journal())
    assert str(path) in stream.last_error
    assert not stream.complete
    assert seqs(stream.take(frame(SESSION, numbered(40, 1)))) == [(SESSION, 40)]


def test_following_the_journal_leaves_what_was_not_published_to_be_read(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpc.event_stream.FOLLOW_BYTES", 4096)
    stream = EventStream(tmp_path, 0)
    write(journal, numbered(0, 1))
    seqs(stream.take(frame(SESSION, numbered(0, 1))))
    seqs(stream.read_journal())
    for seq in range(1, 200):
        write(journal, numbered(seq, 1))
        if seq < 150:
            assert seqs(stream.take(frame(SESSION, numbered(seq, 1)))) == [(SESSION, seq)]
    for _ in range(100):
        stream.follow()
    assert seqs(stream.take(frame(SESSION, numbered(199, 1)))) == [(SESSION, seq) for seq in range(150, 200)]
    assert stream.complete


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_whatever_frames_arrive_every_event_comes_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    stream = EventStream(folder, 0)
    taken: list[tuple[int, int]] = []
    wanted: list[tuple[int, int]] = []
    for session in range(SESSION, SESSION + data.draw(st.integers(1, 3))):
        journal = Journal.create(folder, session, "os")
        end = 0
        for _ in range(data.draw(st.integers(1, 8))):
            count = data.draw(st.integers(1, 5))
            records = numbered(end, count)
            end += count
            write(journal, records)
            if data.draw(st.booleans()):
                taken += seqs(stream.take(frame(session, records)))
            if data.draw(st.booleans()):
                stream.follow()
        journal.close()
        wanted += [(session, seq) for seq in range(end)]
    taken += seqs(stream.read_journal())
    assert taken == wanted
    assert stream.complete
