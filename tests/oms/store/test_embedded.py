"""The embedded store holds what happened, by name and exactly, once; and says clearly when it cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oms.decimals import cash_text
from oms.definitions import Definitions, add_definitions
from oms.journal import EventBlock
from oms.records import (
    BUY,
    EVENT,
    ORDER_EVENTS,
    ORDER_ID_COUNTER_BITS,
    SELL,
    BookState,
    CommandKind,
    Contingency,
    EventKind,
    Liquidity,
    OrderFlag,
    OrderState,
    OrderType,
    Reason,
    TimeInForce,
    TradingState,
    Trigger,
)
from oms.store import embedded
from oms.store.embedded import EmbeddedStore
from oms.store.reader import StoreReader
from oms.store.schema import DATABASE_FILE, EVENT_TABLE_KINDS, SCHEMA_VERSION, TABLES, OrderRow, StoreError
from tests.oms.store.support import INSTRUMENTS, PERPETUAL, SPOT, Records, Trading

SESSION = 1_723_075_200_000_000_000
PX = OrderRow.__struct_fields__.index("px")
ORDER_ID = (1024 << ORDER_ID_COUNTER_BITS) + 17


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = open_store(tmp_path)
    yield opened
    opened.close()


def open_store(folder: Path) -> EmbeddedStore:
    store = EmbeddedStore(folder, ("paper", "hedge"), Definitions(INSTRUMENTS))
    store.open()
    return store


def event(kind: EventKind, seq: int = 0, **fields: int) -> Records:
    record = np.zeros(1, EVENT)
    record["kind"] = kind
    record["seq"] = seq
    for name, value in fields.items():
        record[name] = value
    return record


def order_event(kind: EventKind, seq: int = 0, **fields: int) -> Records:
    order = {
        "order_id": ORDER_ID,
        "ts": 1000 + seq,
        "request_id": 5,
        "side": SELL,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "strategy": -1,
        "flags": OrderFlag.POST_ONLY | OrderFlag.REDUCE_ONLY,
        "px": 612_345,
        "qty": 30,
    }
    return event(kind, seq, **(order | fields))


def write(store: EmbeddedStore, *records: Records, session: int = SESSION) -> None:
    joined = np.concatenate(records)
    store.write([EventBlock(session, joined)])


def reader(store: EmbeddedStore) -> StoreReader:
    return StoreReader(store.path.parent)


# ---- what is stored


def test_an_order_is_one_row_as_it_stood_last(store: EmbeddedStore) -> None:
    write(store, order_event(EventKind.ORDER_SUBMITTED, 0, state=OrderState.PENDING_NEW))
    write(
        store,
        order_event(EventKind.ORDER_ACCEPTED, 1, state=OrderState.LIVE),
        order_event(EventKind.ORDER_FILLED, 2, state=OrderState.LIVE, filled_qty=12, last_px=612_345, last_qty=12),
        order_event(EventKind.ORDER_CANCELLED, 3, state=OrderState.CANCELLED, filled_qty=12, request_id=6),
    )

    (order,) = reader(store).orders()

    assert {name: getattr(order, name) for name in order.__struct_fields__} == {
        "session": SESSION,
        "order_id": ORDER_ID,
        "account": "paper",
        "instrument": 0,
        "symbol": "BTCUSDT.binance_usdm",
        "client": 1024,
        "strategy": -1,
        "side": "sell",
        "order_type": "limit",
        "time_in_force": "gtc",
        "flags": "post_only+reduce_only",
        "trigger": "none",
        "contingency": "none",
        "version": 0,
        "state": "cancelled",
        "reason": "none",
        "px": 612_345,
        "qty": 30,
        "filled_qty": 12,
        "px_text": "61234.50",
        "qty_text": "0.030",
        "filled_qty_text": "0.012",
        "request_id": 6,
        "created_ts": 1000,
        "updated_ts": 1003,
        "last_event": "order_cancelled",
        "last_seq": 3,
    }


def test_a_fill_is_a_row_with_the_position_after_it(store: EmbeddedStore) -> None:
    filled = order_event(
        EventKind.ORDER_FILLED,
        7,
        instrument=1,
        strategy=2,
        order_id=(3 << ORDER_ID_COUNTER_BITS) + 1,
        aux=987_654_321,
        last_px=6_123_456,
        last_qty=12_345,
        liquidity=Liquidity.TAKER,
        fees=-1_234_567,
        position_qty=-100_000,
        realized_pnl=2**60,
    )
    write(store, filled)

    (fill,) = reader(store).fills()

    assert (fill.trade_id, fill.symbol, fill.client, fill.strategy) == (987_654_321, "BTCUSDT.binance_spot", 3, 2)
    assert (fill.side, fill.liquidity, fill.px_text, fill.qty_text) == ("sell", "taker", "61234.56", "0.12345")
    assert (fill.fee, fill.fee_text) == (-1_234_567, "-0.01234567")
    assert (fill.position_qty_text, fill.realized_pnl_text) == ("-1.00000", cash_text(2**60))


def test_positions_are_the_latest_and_the_history_has_one_a_fill(store: EmbeddedStore) -> None:
    def position(seq: int, order_id: int, qty: int, instrument: int = 0) -> Records:
        return event(
            EventKind.POSITION,
            seq,
            instrument=instrument,
            aux=order_id,
            position_qty=qty,
            px=612_345_50000000,
            last_px=1_224_691,
            qty=5 * 10**8,
            realized_pnl=150_000_000,
            fees=25,
            last_qty=9,
            filled_qty=4,
        )

    write(store, position(0, 11, 5), position(1, 0, 5), position(2, 12, -7))
    write(store, position(3, 0, -7), position(4, 0, 1, instrument=1))

    with reader(store) as stored:
        perpetual, spot = stored.positions()
        history = stored.position_history()

    assert (perpetual.symbol, perpetual.qty, perpetual.qty_text, perpetual.seq) == (
        "BTCUSDT.binance_usdm",
        -7,
        "-0.007",
        3,
    )
    assert (perpetual.average_px_text, perpetual.mark_text) == ("61234.55", "61234.55")
    assert (perpetual.realized_pnl_text, perpetual.unrealized_pnl_text, perpetual.fees_text) == (
        "1.5",
        "5",
        "0.00000025",
    )
    assert (perpetual.fills, perpetual.open_orders) == (9, 4)
    assert (spot.symbol, spot.qty_text) == ("BTCUSDT.binance_spot", "0.00001")
    assert [(row.seq, row.order_id, row.qty) for row in history] == [(2, 12, -7), (0, 11, 5)]


def test_other_events_are_rows_with_names(store: EmbeddedStore) -> None:
    write(
        store,
        event(
            EventKind.TRADING_STATE, 0, aux=TradingState.REDUCING, reason=Reason.REQUESTED, instrument=-1, strategy=-1
        ),
        event(EventKind.BOOK_STATE, 1, aux=BookState.STALE, reason=Reason.SEQUENCE_GAP, instrument=1),
        event(EventKind.STRATEGY_HALTED, 2, strategy=3, aux=-5, reason=Reason.STRATEGY_EXCEPTION),
        event(EventKind.LOG, 3, strategy=3, aux=42, px=1, qty=2, last_px=3, last_qty=4),
        order_event(EventKind.ORDER_REFUSED, 4, aux=CommandKind.CANCEL, reason=Reason.UNKNOWN_ORDER),
        event(EventKind.REPORT_IGNORED, 5, reason=Reason.DUPLICATE_TRADE),
    )

    with reader(store) as stored:
        rows = stored.events()
        orders = stored.orders()

    assert [(row.kind, row.aux_text, row.reason, row.symbol) for row in reversed(rows)] == [
        ("trading_state", "reducing", "requested", ""),
        ("book_state", "stale", "sequence_gap", "BTCUSDT.binance_spot"),
        ("strategy_halted", "", "strategy_exception", "BTCUSDT.binance_usdm"),
        ("log", "", "none", "BTCUSDT.binance_usdm"),
        ("order_refused", "cancel", "unknown_order", "BTCUSDT.binance_usdm"),
        ("report_ignored", "", "duplicate_trade", "BTCUSDT.binance_usdm"),
    ]
    assert (rows[2].px, rows[2].qty, rows[2].last_px, rows[2].last_qty) == (1, 2, 3, 4)
    assert orders == []


def test_a_refused_order_is_stored_and_never_replaces_an_order(store: EmbeddedStore) -> None:
    refused = {"aux": CommandKind.NEW, "state": OrderState.REJECTED, "reason": Reason.DUPLICATE_ORDER_ID}
    write(
        store,
        order_event(EventKind.ORDER_ACCEPTED, 0, state=OrderState.LIVE),
        order_event(EventKind.ORDER_REFUSED, 1, **refused),
        order_event(EventKind.ORDER_REFUSED, 2, order_id=99, **refused),
    )
    with reader(store) as stored:
        states = {order.order_id: (order.state, order.reason) for order in stored.orders()}
        assert states == {ORDER_ID: ("live", "none"), 99: ("rejected", "duplicate_order_id")}
        assert len(stored.events(kind="order_refused")) == 2


def test_what_the_settings_do_not_know_is_stored_by_number(store: EmbeddedStore) -> None:
    unknown = order_event(EventKind.ORDER_ACCEPTED, 0, instrument=77, account=3, state=99, order_type=55, reason=65_000)
    newer = event(EventKind.LOG, 1)
    newer["kind"] = 200
    write(store, unknown, newer)
    with reader(store) as stored:
        (order,) = stored.orders()
        assert (order.symbol, order.account, order.px_text) == ("instrument 77", "account 3", "")
        assert (order.state, order.order_type, order.reason) == ("unknown 99", "unknown 55", "unknown 65000")
        assert [row.kind for row in stored.events()] == ["unknown 200"]


def test_the_same_order_id_in_two_sessions_is_two_orders(store: EmbeddedStore) -> None:
    for session in (SESSION, SESSION + 1):
        write(store, order_event(EventKind.ORDER_ACCEPTED, 0, state=OrderState.LIVE), session=session)
    assert len(reader(store).orders()) == 2


def test_every_event_kind_is_stored_somewhere() -> None:
    assert set(EventKind) == ORDER_EVENTS | EVENT_TABLE_KINDS | {EventKind.POSITION, EventKind.SCOPE}


def test_records_of_two_versions_of_one_instrument_are_counted_each_in_its_own(tmp_path: Path) -> None:
    first, second = PERPETUAL, replace(PERPETUAL, tick="0.01", lot="0.1", min_qty="0.1", version=2)
    path = tmp_path / "definitions.json"
    add_definitions(path, [first])
    add_definitions(path, [second])
    store = EmbeddedStore(tmp_path, ("paper",), Definitions([second], path))
    store.open()
    live = {"state": OrderState.LIVE}
    write(store, order_event(EventKind.ORDER_ACCEPTED, 0, order_id=ORDER_ID, version=1, **live))
    write(store, order_event(EventKind.ORDER_ACCEPTED, 1, order_id=ORDER_ID + 1, version=2, **live))
    write(store, order_event(EventKind.ORDER_ACCEPTED, 2, order_id=ORDER_ID + 2, version=3, **live))
    add_definitions(path, [replace(PERPETUAL, tick="1", version=3)])
    write(store, order_event(EventKind.ORDER_ACCEPTED, 3, order_id=ORDER_ID + 3, version=3, px=7, qty=1, **live))
    store.close()
    with StoreReader(tmp_path) as stored:
        shown = [(row.version, row.px_text, row.qty_text) for row in reversed(stored.orders())]
    assert shown == [(1, "61234.50", "0.030"), (2, "6123.45", "3.0"), (3, "", ""), (3, "7", "0.001")]


def test_a_trigger_a_display_quantity_and_a_parent_are_kept_beside_their_order(store: EmbeddedStore) -> None:
    held = {"state": OrderState.HELD, "trigger": Trigger.TRAILING, "contingency": Contingency.OTO}
    write(store, order_event(EventKind.ORDER_HELD, 0, **held, last_px=612_000, last_qty=5, aux=77))
    write(store, order_event(EventKind.HELD_AMENDED, 1, **held, last_px=612_010, last_qty=5, aux=77))
    write(store, order_event(EventKind.ORDER_SUBMITTED, 2, state=OrderState.PENDING_NEW, trigger=Trigger.TRAILING))
    write(store, order_event(EventKind.ORDER_ACCEPTED, 3, order_id=ORDER_ID + 1, state=OrderState.LIVE))
    with reader(store) as stored:
        orders = {row.order_id: row for row in stored.orders()}
        terms = stored.order_terms()
        parents = stored.parents((row.session, row.order_id) for row in orders.values())
    assert parents == {ORDER_ID: 77}
    order, other = orders[ORDER_ID], orders[ORDER_ID + 1]
    assert (order.state, order.trigger, order.contingency) == ("pending_new", "trailing", "none")
    assert (other.trigger, other.contingency) == ("none", "none")
    assert list(terms) == [(SESSION, ORDER_ID)]
    row = terms[SESSION, ORDER_ID]
    assert (row.trigger_px, row.trigger_px_text) == (612_010, "61201.00")
    assert (row.display_qty_text, row.parent_id) == ("0.005", 77)


def test_accounts_strategies_and_legs_have_their_own_positions(store: EmbeddedStore) -> None:
    owners = [(0, -1, 0), (1, -1, 0), (1, -1, OrderFlag.SHORT_LEG), (0, 2, 0)]
    for seq, (account, strategy, flags) in enumerate(owners):
        fields = {"account": account, "strategy": strategy, "flags": int(flags), "position_qty": seq + 1}
        write(store, event(EventKind.POSITION, seq, instrument=0, **fields))
    with reader(store) as stored:
        shown = [(row.account, row.strategy, row.leg, row.qty) for row in stored.positions()]
    assert shown == [("hedge", -1, 0, 2), ("hedge", -1, 1, 3), ("paper", -1, 0, 1), ("paper", 2, 0, 4)]


def test_the_last_word_on_an_account_or_a_strategy_is_kept(store: EmbeddedStore) -> None:
    amounts = {"px": 15 * 10**7, "qty": 2 * 10**8, "filled_qty": 10**8, "last_px": 99, "fees": 4}
    exposure = {"last_qty": 5 * 10**8, "position_qty": -(10**8)}
    write(store, event(EventKind.SCOPE, 0, aux=1, px=1), event(EventKind.SCOPE, 1, aux=1, **amounts))
    write(store, event(EventKind.SCOPE, 2, account=1, strategy=3, aux=8 + 3, **exposure))
    with reader(store) as stored:
        account, strategy = stored.scopes()
    assert (account.account, account.strategy, account.seq) == ("hedge", -1, 1)
    assert (account.pnl_text, account.peak_pnl_text, account.day_start_pnl_text) == ("1.5", "2", "1")
    assert (account.next_reset_ts, account.open_orders) == (99, 4)
    assert (strategy.account, strategy.strategy, strategy.gross_text, strategy.net_text) == ("hedge", 3, "5", "-1")


def tables(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    with sqlite3.connect(folder / DATABASE_FILE) as connection:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall()) for table in [*TABLES, "progress"]
        }


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 300), max_size=12), again=st.booleans())
def test_any_batches_store_the_same_and_storing_twice_is_storing_once(
    tmp_path_factory: pytest.TempPathFactory, seed: int, cuts: list[int], again: bool
) -> None:
    happened = Trading(seed).events(300)
    together, apart = tmp_path_factory.mktemp("together"), tmp_path_factory.mktemp("apart")
    one = open_store(together)
    one.write([EventBlock(SESSION, happened)])
    one.close()
    two = open_store(apart)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 300], strict=True):
        if end > start:
            two.write([EventBlock(SESSION, happened[start:end])])
    if again:
        two.write([EventBlock(SESSION, happened)])
    two.close()

    assert tables(together) == tables(apart)
    assert two.progress == {SESSION: 300}
    stored = tables(together)
    last = {int(each["order_id"]): each for each in happened if each["kind"] in ORDER_EVENTS}
    fills = happened[happened["kind"] == EventKind.ORDER_FILLED]
    assert len(stored["orders"]) == len(last)
    assert [row[:2] for row in stored["fills"]] == [(SESSION, seq) for seq in fills["seq"].tolist()]
    by_id = {row[1]: row for row in stored["orders"]}
    for order_id, each in last.items():
        if each["kind"] != EventKind.ORDER_REFUSED:
            assert by_id[order_id][-1] == each["seq"]
            assert by_id[order_id][PX : PX + 3] == (each["px"], each["qty"], each["filled_qty"])
            instrument = (PERPETUAL, SPOT)[each["instrument"]]
            assert by_id[order_id][PX + 3] == instrument.px_from_ticks(int(each["px"]))


# ---- transactions


def test_rows_and_progress_are_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else holds the lock: nothing is stored, and after it is released all of it is."""
    monkeypatch.setattr(embedded, "BUSY_TIMEOUT_S", 0.01)
    store = open_store(tmp_path)
    first, second = Trading(1).events(50), Trading(1, first_seq=50).events(50)
    store.write([EventBlock(SESSION, first)])
    blocker = sqlite3.connect(store.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")

    with pytest.raises(
        StoreError, match="cannot be written: database is locked; check the disk and data_dir"
    ) as failure:
        store.write([EventBlock(SESSION, second)])

    assert str(store.path) in str(failure.value)
    assert not failure.value.damaged
    assert StoreReader(tmp_path).progress() == {SESSION: 50} == store.progress
    with pytest.raises(StoreError, match="is not open"):
        store.write([EventBlock(SESSION, second)])
    with pytest.raises(StoreError, match="cannot be opened: database is locked"):
        store.open()
    blocker.execute("ROLLBACK")
    blocker.close()
    store.open()
    store.write([EventBlock(SESSION, second)])
    assert StoreReader(tmp_path).progress() == {SESSION: 100}
    store.close()


def test_a_batch_that_does_not_fit_on_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """SQLite's own limit of pages stands for the full disk; the error is the real one."""
    store = open_store(tmp_path)
    store.write([EventBlock(SESSION, Trading(1).events(10))])
    before = tables(tmp_path)
    assert store._connection is not None
    store._connection.execute("PRAGMA max_page_count = 30")

    with pytest.raises(StoreError, match="database or disk is full"):
        store.write([EventBlock(SESSION, Trading(2, first_seq=10).events(20_000))])

    assert tables(tmp_path) == before
    store.open()
    assert store.progress == {SESSION: 10}
    store.close()


def test_notes_count_how_often(store: EmbeddedStore) -> None:
    store.write([], [("db_error", "disk full", 1), ("ticks_lost", "5 ticks", 1)])
    store.write([], [("db_error", "disk full", 3)])
    assert {(note.kind, note.text, note.times) for note in reader(store).notes()} == {
        ("db_error", "disk full", 4),
        ("ticks_lost", "5 ticks", 1),
    }


# ---- reading


def test_queries_filter_and_give_the_newest_first(store: EmbeddedStore) -> None:
    for number in range(10):
        write(
            store,
            order_event(
                EventKind.ORDER_ACCEPTED,
                number,
                order_id=number,
                state=OrderState.LIVE if number % 2 else OrderState.FILLED,
                instrument=number % 3 % 2,
                side=BUY,
            ),
        )
    with reader(store) as stored:
        assert [order.order_id for order in stored.orders(limit=3)] == [9, 8, 7]
        assert [order.order_id for order in stored.orders(state="FILLED", limit=2)] == [8, 6]
        assert [order.order_id for order in stored.orders(symbol="BTCUSDT.binance_spot")] == [7, 4, 1]
        assert len(stored.orders(symbol="BTCUSDT")) == 10
        assert stored.orders(symbol="BTC") == stored.orders(symbol="%") == []
        assert stored.orders(symbol="BTCUSDT.binance_spot", state="live")[0].order_id == 7
        assert stored.counts()["orders"] == 10
        with pytest.raises(StoreError, match="no order state 'open': it is one of empty, pending_new, live"):
            stored.orders(state="open")


def test_a_reader_sees_what_is_stored_while_it_reads(store: EmbeddedStore) -> None:
    with reader(store) as stored:
        for count in range(1, 4):
            write(store, order_event(EventKind.ORDER_ACCEPTED, count, order_id=count, state=OrderState.LIVE))
            assert stored.counts()["orders"] == count


def test_a_missing_store_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=rf"there is no store at {tmp_path}/{DATABASE_FILE}: nothing has been recorded"
    ):
        StoreReader(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"this is no database" * 100, bytes(8192)])
def test_a_file_that_is_no_store_is_refused_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / DATABASE_FILE
    path.write_bytes(content)
    with pytest.raises(StoreError, match=f"{path} .*move {DATABASE_FILE} away") as failure:
        StoreReader(tmp_path)
    assert failure.value.damaged
    if content.startswith(b"this"):
        with pytest.raises(StoreError, match="file is not a database; move") as failure:
            open_store(tmp_path)
        assert failure.value.damaged


def test_a_store_of_another_schema_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with sqlite3.connect(tmp_path / DATABASE_FILE) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
    for use in (StoreReader, open_store):
        with pytest.raises(StoreError, match=f"schema version 99, this zoms (reads|writes) {SCHEMA_VERSION}"):
            use(tmp_path)


@settings(max_examples=25, deadline=None)
@given(place=st.integers(0, 200_000), size=st.integers(1, 5_000), seed=st.integers(0, 1000))
def test_a_damaged_store_gives_a_store_error_or_rows_never_another_error(
    tmp_path_factory: pytest.TempPathFactory, place: int, size: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    store = open_store(folder)
    store.write([EventBlock(SESSION, Trading(1).events(300))])
    store.close()
    content = bytearray(store.path.read_bytes())
    place %= len(content)
    noise = np.random.default_rng(seed).bytes(len(content[place : place + size]))
    content[place : place + size] = noise
    store.path.write_bytes(content)
    with suppress(StoreError), StoreReader(folder) as stored:
        for query in (stored.orders, stored.fills, stored.positions, stored.events, stored.notes, stored.counts):
            query()
    with suppress(StoreError):
        store.open()
        store.write([EventBlock(SESSION, Trading(1).events(400))])
    store.close()
