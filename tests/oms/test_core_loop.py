"""The core's loop with real sockets and a real journal: what it takes, what it refuses, and what leaves when."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
import zmq

from oms.assembly import Core
from oms.bus import Publisher, Puller, Pusher, Subscriber, encode_frame, new_context
from oms.compiled import compile_entries
from oms.config import JournalSettings
from oms.core.state import MAX_OPEN_ORDERS
from oms.core_loop import DEFAULT_SETTINGS, EVERYTHING, CoreLoop
from oms.journal import Direction, Journal, JournalError, MetaKind, Sync, read_journal
from oms.journal_reader import JournalReader
from oms.process import resume_trading
from oms.records import (
    COMMAND,
    EVENT,
    TICK,
    BookState,
    CommandKind,
    EventKind,
    OrderState,
    Reason,
    RecordKind,
    ReportKind,
    Source,
    TickKind,
    TradingState,
)
from oms.recovery import Past
from oms.settings import SOURCES_A_VENUE
from oms.snapshot import Definitions
from tests.full_disk import files_bounded_to
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    PERPETUAL,
    START_TS,
    Records,
    Rig,
    cancel,
    client_id,
    command,
    depth,
    fill,
    joined,
    kinds,
    new_order,
    only,
    report,
    snapshot,
    time_tick,
)

ANYWHERE = "tcp://127.0.0.1:*"
SAMPLES = Path(__file__).parent.parent / "strategies" / "samples"
PATIENCE_S = 10.0


class Bench:
    """A core loop in this thread, and the other ends of its sockets."""

    def __init__(
        self,
        folder: Path,
        *,
        external: bool = False,
        sync: Sync = "os",
        settings: JournalSettings = DEFAULT_SETTINGS,
        instruments_of: Mapping[int, Sequence[int]] = EVERYTHING,
    ) -> None:
        self.context: zmq.Context[Any] = new_context()
        self.rig = Rig(external=external)
        compile_entries()
        self.ticks = Publisher(self.context, ANYWHERE, RecordKind.TICK, Source.GATEWAY, lossless=True)
        self.exchange = Puller(self.context, ANYWHERE) if external else None
        events = Publisher(self.context, ANYWHERE, RecordKind.EVENT, Source.CORE)
        inputs = Puller(self.context, ANYWHERE)
        self.journal = Journal.create(folder, events.session, sync, "paper")
        self.loop = CoreLoop(
            Core(self.rig.st, (), {}),
            ticks=Subscriber(self.context, [self.ticks.endpoint], [RecordKind.TICK]),
            inputs=inputs,
            events=events,
            journal=self.journal,
            orders=Pusher(self.context, self.exchange.endpoint, RecordKind.COMMAND, Source.CORE)
            if self.exchange is not None
            else None,
            settings=settings,
            instruments_of=instruments_of,
        )
        self.client = Pusher(self.context, inputs.endpoint, RecordKind.COMMAND, Source.RPC)
        self.reporter = Pusher(self.context, inputs.endpoint, RecordKind.REPORT, Source.EXECUTION)
        self.operator = Pusher(self.context, inputs.endpoint, RecordKind.DEFINITION, Source.EXECUTION)
        self.listener = Subscriber(self.context, [events.endpoint], [RecordKind.EVENT])
        assert self.ticks.wait_for_subscribers(1, PATIENCE_S)
        assert events.wait_for_subscribers(1, PATIENCE_S)
        self.now = START_TS

    def until(self, done: Callable[[], bool]) -> None:
        """Turn the loop until something has come about."""
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline
            self.loop.turn(10)

    def heard(self, count: int) -> Records:
        """The next ``count`` events that were published."""
        frames: list[Records] = []
        deadline = time.monotonic() + PATIENCE_S
        while sum(map(len, frames)) < count:
            assert time.monotonic() < deadline
            if self.loop.held_events:
                self.loop.turn(10)
            if self.listener.socket.poll(10):
                frame = self.listener.receive()
                assert frame is not None
                frames.append(frame.records)
        return joined(frames, EVENT)

    def send_ticks(self, *ticks: Records) -> None:
        """Publish ticks as one frame and wait until the loop has taken it."""
        records = joined(ticks, TICK)
        for i in np.flatnonzero(records["local_ts"] == 0):
            self.now += 1_000_000
            records["local_ts"][i] = self.now
        self.ticks.send(records)
        wanted = self.loop.feed.frames + 1
        self.until(lambda: self.loop.feed.frames == wanted)

    def open_market(self) -> None:
        self.send_ticks(snapshot(0, {BID_PX: 1_000}, {ASK_PX: 1_000}), snapshot(1, {BID_PX: 1}, {ASK_PX: 1}))
        self.heard(2)

    def ask(self, *commands: Records) -> Records:
        """Send commands as one frame and return the events of the answer."""
        before = int(self.rig.s["event_seq"])
        self.client.send(joined(commands, COMMAND))
        self.until(lambda: int(self.rig.s["event_seq"]) > before)
        return self.heard(int(self.rig.s["event_seq"]) - before)

    def raw_tick_frame(self, message: bytes) -> None:
        self.ticks.socket.send(message)

    def close(self) -> None:
        self.journal.close()
        self.context.destroy(linger=0)


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def journalled(bench: Bench) -> list[tuple[RecordKind, Direction, Records]]:
    """What the journal holds now, but for its own entries."""
    entries = [each for each in read_journal(bench.journal.path) if each.kind < min(MetaKind)]
    return [(RecordKind(each.kind), Direction(each.direction), each.records) for each in entries]


def test_ticks_and_commands_become_events(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.send_ticks(snapshot(0, {BID_PX: 1_000}, {ASK_PX: 1_000}))
    assert kinds(bench.heard(1)) == [EventKind.BOOK_STATE]
    events = bench.ask(new_order(client_id(1), BUY, ASK_PX, 10, request_id=5))
    assert kinds(events) == [
        EventKind.ORDER_SUBMITTED,
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_FILLED,
        EventKind.POSITION,
    ]
    assert events["seq"].tolist() == [1, 2, 3, 4]
    counters = bench.loop.counters()
    assert (counters["orders"], counters["fills"], counters["events"], counters["books_synced"]) == (1, 1, 5, 1)


def garbage(good: Records) -> list[bytes]:
    """Messages that are no frame of ticks."""
    frame = encode_frame(RecordKind.TICK, Source.GATEWAY, 1, 0, 0, good)
    prefix = frame[:2]
    return [
        prefix,
        prefix + b"\xff" * 3,
        prefix + b"x" * 30,
        frame[:-1],
        frame + b"\0",
        frame[:4] + b"\x09\0\0\0" + frame[8:],
        frame[:16] + b"\xff" * 8 + frame[24:],
    ]


def test_malformed_tick_frames_are_counted_and_the_rest_goes_on(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    messages = garbage(depth(BUY, BID_PX, 1))
    for message in messages:
        bench.raw_tick_frame(message)
    bench.until(lambda: bench.loop.counters()["malformed"] == len(messages))
    bench.send_ticks(depth(BUY, BID_PX - 1, 7))
    assert bench.rig.levels(BUY) == {BID_PX: 1_000, BID_PX - 1: 7}
    assert bench.loop.counters()["ticks_lost"] == 0


def test_malformed_inputs_are_counted_and_the_rest_goes_on(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    good = encode_frame(RecordKind.COMMAND, Source.RPC, 1, 0, 0, new_order(client_id(1)))
    ticks = encode_frame(RecordKind.TICK, Source.RPC, 1, 0, 0, depth(BUY, BID_PX, 1))
    messages = [
        b"",
        b"\0",
        b"garbage",
        good[:-1],
        good + b"\0",
        b"\x07" + good[1:],
        good[:1] + b"\x63" + good[2:],
        ticks,
    ]
    for message in messages:
        bench.client.socket.send(message)
    bench.until(lambda: bench.loop.inputs.malformed == len(messages))
    assert "is no input of the core" in bench.loop.inputs.last_error
    assert kinds(bench.ask(new_order(client_id(1))))[0] == EventKind.ORDER_SUBMITTED


def test_command_that_comes_too_late_is_refused_and_has_no_effect(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    past = time.time_ns() - 1
    future = time.time_ns() + 3_600 * 10**9
    events = bench.ask(
        new_order(client_id(1), wall_ts=past, request_id=8),
        command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.HALTED, wall_ts=past),
        new_order(client_id(2), BUY, BID_PX - 9, wall_ts=future),
    )
    assert kinds(events)[:3] == [EventKind.ORDER_REFUSED, EventKind.ORDER_REFUSED, EventKind.ORDER_SUBMITTED]
    assert (events["reason"][0], events["request_id"][0]) == (Reason.COMMAND_TOO_LATE, 8)
    assert bench.rig.s["scopes"][0]["trading_state"] == TradingState.ACTIVE
    assert bench.rig.s["orders_sent"] == 1


def test_clients_word_on_why_a_command_was_refused_is_not_taken(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    assert kinds(bench.ask(new_order(client_id(1), reason=Reason.ORDER_RATE)))[0] == EventKind.ORDER_SUBMITTED


@pytest.mark.parametrize("inputs", ["orders", "all"])
def test_turn_ends_however_many_frames_have_come(
    make_bench: Callable[..., Bench], inputs: Literal["orders", "all"]
) -> None:
    bench = make_bench(settings=JournalSettings(inputs=inputs))
    frames, limit = 500, 7
    for number in range(frames):
        bench.ticks.send(time_tick(START_TS + number))
    taken = 0
    while taken < frames:
        bench.loop.feed.turn(limit, 10)
        assert bench.loop.feed.frames <= taken + limit
        taken = bench.loop.feed.frames
        assert bench.rig.st["ticks"][0] == taken


def test_turn_ends_at_its_limit_though_each_frame_comes_when_the_one_before_is_taken(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench()
    feed = bench.loop.feed
    limit = 3
    over = threading.Event()

    def send_one_by_one() -> None:
        sent = 0
        while not over.is_set():
            if feed.frames == sent:
                bench.ticks.send(time_tick(START_TS + sent))
                sent += 1

    sender = threading.Thread(target=send_one_by_one)
    sender.start()
    try:
        bench.until(lambda: feed.turn(limit, 1_000))
        assert feed.frames <= limit
    finally:
        over.set()
        sender.join()


def test_lost_ticks_make_every_book_stale_until_its_next_snapshot(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    bench.ticks.seq += 3
    bench.send_ticks(depth(BUY, BID_PX, 5))
    events = bench.heard(2)
    assert kinds(events) == [EventKind.BOOK_STATE] * 2
    assert events["aux"].tolist() == [BookState.STALE] * 2
    assert set(events["reason"].tolist()) == {Reason.TICKS_LOST}
    assert bench.loop.counters()["ticks_lost"] == 3
    assert bench.rig.levels(BUY) == {BID_PX: 1_000}
    refused = bench.ask(new_order(client_id(1)))
    assert refused["reason"].tolist() == [Reason.BOOK_STALE]
    bench.open_market()
    assert kinds(bench.ask(new_order(client_id(2), BUY, BID_PX - 9)))[0] == EventKind.ORDER_SUBMITTED


def test_lost_ticks_make_all_books_stale_however_much_that_has_to_be_told(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True)
    rig = bench.rig
    rig.s["instruments"][3:11] = rig.s["instruments"][0]
    rig.s["instruments_used"] = 11
    rig.s["limits"][0, 3:11] = rig.s["limits"][0, 0]
    every = [0, 1, 2, *range(3, 11)]
    for instrument in every:
        rig.add(SAMPLES / "flood.py", instrument, orders=MAX_OPEN_ORDERS)
    bench.send_ticks(*(snapshot(i, {BID_PX: 1}, {ASK_PX: 1}) for i in every))
    assert rig.s["open_orders"] == MAX_OPEN_ORDERS * len(every)
    bench.ticks.seq += 1
    bench.send_ticks(time_tick())
    assert set(rig.s["books"]["state"][every].tolist()) == {BookState.STALE}
    assert set(rig.s["orders"]["state"][: rig.s["orders_used"]].tolist()) == {OrderState.PENDING_CANCEL}


def test_gateways_are_numbered_for_themselves_and_what_one_loses_leaves_the_others_books(
    make_bench: Callable[..., Bench],
) -> None:
    other = Source.GATEWAY + SOURCES_A_VENUE
    bench = make_bench(instruments_of={Source.GATEWAY: [0], other: [1]})
    bench.open_market()

    def of_the_other(seq: int) -> None:
        ticks = snapshot(1, {BID_PX: 7}, {ASK_PX: 7})
        ticks["local_ts"] = bench.now
        bench.raw_tick_frame(encode_frame(RecordKind.TICK, other, 99, seq, 0, ticks))
        wanted = bench.loop.feed.frames + 1
        bench.until(lambda: bench.loop.feed.frames == wanted)

    of_the_other(5)
    bench.send_ticks(depth(BUY, BID_PX, 2))
    of_the_other(7)
    assert bench.loop.counters()["ticks_lost"] == 0
    bench.ticks.seq += 3
    bench.send_ticks(time_tick())
    assert bench.loop.counters()["ticks_lost"] == 3
    assert bench.rig.s["books"]["state"][:2].tolist() == [BookState.STALE, BookState.SYNCED]


def test_books_whose_process_has_ended_are_stale_until_the_next_snapshot(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    supervisor = Pusher(bench.context, bench.loop.inputs.endpoint, RecordKind.TICK, Source.SUPERVISOR)
    gone = np.zeros(2, TICK)
    gone["kind"] = TickKind.STALE, TickKind.TIME
    gone["instrument"] = 1, 0
    supervisor.send(gone)
    bench.until(lambda: bool(bench.rig.s["books"]["state"][1] == BookState.STALE))
    assert bench.heard(1)["reason"].tolist() == [Reason.GATEWAY_STALE]
    assert bench.rig.s["books"]["state"][0] == BookState.SYNCED
    bench.send_ticks(snapshot(1, {BID_PX: 1}, {ASK_PX: 1}))
    assert bench.rig.s["books"]["state"][:2].tolist() == [BookState.SYNCED] * 2
    supervisor.close()


def test_feed_that_was_silent_still_is_when_a_gateway_ends(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench()
    bench.open_market()
    monkeypatch.setattr("oms.core_loop.QUIET_AFTER_S", 0.0)
    bench.loop.turn(1)
    supervisor = Pusher(bench.context, bench.loop.inputs.endpoint, RecordKind.TICK, Source.SUPERVISOR)
    gone = np.zeros(1, TICK)
    gone["kind"], gone["instrument"] = TickKind.STALE, 1
    supervisor.send(gone)
    bench.until(lambda: bool(bench.rig.s["books"]["state"][1] == BookState.STALE))
    bench.heard(1)
    bench.loop.turn(1)
    assert bench.ask(new_order(client_id(1)))["reason"].tolist() == [Reason.BOOK_STALE]
    supervisor.close()


def test_ticks_lost_before_the_first_one_start_no_timers(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    number = bench.rig.add(SAMPLES / "watch.py")
    bench.raw_tick_frame(encode_frame(RecordKind.TICK, Source.GATEWAY, bench.ticks.session, 0, 0, np.zeros(0, TICK)))
    bench.until(lambda: bench.loop.feed.frames == 1)
    bench.ticks.seq = 4
    bench.open_market()
    assert bench.loop.counters()["ticks_lost"] == 4
    assert bench.rig.s["strategies"]["memory"][number, 2] == 0
    assert bench.rig.s["ticks"] == 4


def test_silent_feed_lets_no_order_through_until_the_next_tick(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench()
    bench.open_market()
    monkeypatch.setattr("oms.core_loop.QUIET_AFTER_S", 0.0)
    bench.loop.turn(1)
    assert bench.ask(new_order(client_id(1)))["reason"].tolist() == [Reason.BOOK_STALE]
    monkeypatch.setattr("oms.core_loop.QUIET_AFTER_S", 60.0)
    bench.send_ticks(time_tick())
    assert kinds(bench.ask(new_order(client_id(2), BUY, BID_PX - 9)))[0] == EventKind.ORDER_SUBMITTED


def test_journal_holds_inputs_requests_and_events_as_they_were(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True)
    bench.open_market()
    asked = new_order(client_id(1), request_id=3)
    bench.ask(asked)
    told = report(ReportKind.ACCEPTED, client_id(1), ts=5)
    bench.reporter.send(np.concatenate([told, fill(client_id(1), 4, trade_id=1)]))
    bench.until(lambda: bool(bench.rig.s["fills"] == 1))
    assert kinds(bench.heard(3)) == [EventKind.ORDER_ACCEPTED, EventKind.ORDER_FILLED, EventKind.POSITION]
    entries = journalled(bench)
    inputs = [records for kind, way, records in entries if (kind, way) == (RecordKind.COMMAND, Direction.INPUT)]
    assert inputs[0]["order_id"].tolist() == [client_id(1)]
    assert inputs[0]["ts"].tolist() == [bench.now]
    outputs = [records for kind, way, records in entries if (kind, way) == (RecordKind.COMMAND, Direction.OUTPUT)]
    assert outputs[0]["order_id"].tolist() == [client_id(1)]
    (reports,) = [records for kind, way, records in entries if kind == RecordKind.REPORT]
    assert reports["kind"].tolist() == [ReportKind.ACCEPTED, ReportKind.FILL]
    events = np.concatenate([records for kind, _, records in entries if kind == RecordKind.EVENT])
    assert events.dtype == EVENT
    assert events["seq"].tolist() == list(range(int(bench.rig.s["event_seq"])))


def test_a_new_version_is_journalled_as_an_input_before_what_it_does(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True)
    record = msgspec.structs.replace(PERPETUAL, version=2, tick="0.5").definition()

    bench.operator.send(record)
    bench.until(lambda: bool(bench.rig.s["instruments"][0]["version"] == 2))

    entries = journalled(bench)
    at = [kind for kind, _, _ in entries].index(RecordKind.DEFINITION)
    assert entries[at][1] == Direction.INPUT
    assert entries[at][2].tobytes() == record.tobytes()
    told = entries[at + 1][2]
    assert told["aux"][told["kind"] == EventKind.INSTRUMENT].tolist() == [1, 0]


def test_the_definitions_in_force_are_told_once_a_heartbeat_and_at_a_change(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True)
    gateway = Subscriber(bench.context, [bench.loop.events.endpoint], [RecordKind.DEFINITION])
    assert bench.loop.events.wait_for_subscribers(2, PATIENCE_S)
    told: list[int] = []

    def hear() -> list[int]:
        for frame in gateway.drain(100):
            told.extend(frame.records["version"][frame.records["instrument"] == 0].tolist())
        return told

    bench.until(lambda: hear() == [1])
    bench.open_market()
    bench.ask(new_order(client_id(1)))
    bench.operator.send(msgspec.structs.replace(PERPETUAL, version=2, tick="0.5").definition())
    bench.until(lambda: bool(bench.rig.s["switching"] == 1))
    assert set(hear()) == {1}  # its order is not cancelled yet
    bench.reporter.send(report(ReportKind.CANCELLED, client_id(1)))
    bench.until(lambda: hear()[-1] == 2)
    bench.loop.report()
    known = len(told)
    bench.until(lambda: len(hear()) > known)
    assert told[-1] == 2
    gateway.close()


def test_nothing_leaves_before_it_is_in_the_journal(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True)
    assert bench.exchange is not None
    bench.open_market()
    sizes: list[tuple[str, int]] = []
    for name, sender in (("events", bench.loop.events), ("orders", bench.loop.orders)):
        assert sender is not None

        def watched(payload: bytes, name: str = name, send: Callable[..., None] = sender.send_bytes) -> None:
            held = {way for _, way, _ in journalled(bench)}
            assert Direction.INPUT in held
            assert Direction.OUTPUT in held
            events = [each for kind, _, each in journalled(bench) if kind == RecordKind.EVENT]
            assert int(events[-1]["seq"][-1]) + 1 == int(bench.rig.s["event_seq"])
            sizes.append((name, len(payload) // 128))
            send(payload)

        sender.send_bytes = watched  # type: ignore[method-assign,assignment]
    bench.ask(new_order(client_id(1)), new_order(client_id(2)))
    assert sizes == [("orders", 2), ("events", 2)]
    deadline = time.monotonic() + PATIENCE_S
    while (frame := bench.exchange.receive()) is None:
        assert time.monotonic() < deadline
        bench.exchange.socket.poll(10)
    assert frame.records["order_id"].tolist() == [client_id(1), client_id(2)]


def test_full_disk_stops_the_loop_with_nothing_published(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True)
    assert bench.exchange is not None
    bench.open_market()
    bench.ask(new_order(client_id(1)))
    assert bench.exchange.socket.poll(int(PATIENCE_S * 1_000))
    assert bench.exchange.receive() is not None
    bench.client.send(new_order(client_id(2)))
    with files_bounded_to(bench.journal.path.stat().st_size + 100):
        with pytest.raises(JournalError, match="cannot be written at offset"):
            bench.until(lambda: False)
        with pytest.raises(JournalError):
            bench.loop.report()
    assert bench.listener.socket.poll(200) == 0
    assert bench.exchange.socket.poll(0) == 0


def test_lost_events_stop_the_loop_with_nothing_published(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    bench.rig.s["events_lost"] = 2
    bench.client.send(new_order(client_id(1)))
    with pytest.raises(RuntimeError, match="2 events found the core's output full: stopping, fail closed"):
        bench.until(lambda: False)
    assert bench.listener.socket.poll(100) == 0


def test_heartbeat_reports_positions_and_counters(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    bench.ask(new_order(client_id(1), BUY, ASK_PX, 10), cancel(client_id(9)))
    bench.loop.report()
    assert only(bench.heard(1), EventKind.POSITION)["aux"] == 0
    counters = bench.loop.counters()
    assert {"lag_p50_us", "tick_to_order_p99_us", "journal_bytes", "open_orders"} <= set(counters)
    assert counters["refused"] == 1
    assert counters["now_ts"] == float(bench.now)
    assert counters["trading_state"] == TradingState.ACTIVE
    assert all(isinstance(each, float) for each in counters.values())


def test_order_of_a_strategy_is_measured_from_the_tick_that_caused_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True)
    bench.rig.add(SAMPLES / "flood.py", orders=2)
    bench.open_market()
    counters = bench.loop.counters()
    assert counters["tick_to_order_count"] == 1
    assert 0 < counters["tick_to_order_max_us"] < PATIENCE_S * 1e6


def test_session_that_ends_in_good_order_says_so_in_the_journal(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    path = bench.journal.path
    bench.loop.close()
    reader = JournalReader(path)
    assert list(reader)
    assert reader.closed


def test_trading_state_is_told_when_the_host_sets_it(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.loop.set_trading_state(TradingState.HALTED, Reason.RESTARTED)
    event = only(bench.heard(1), EventKind.TRADING_STATE)
    assert (event["aux"], event["reason"]) == (TradingState.HALTED, Reason.RESTARTED)


@pytest.mark.parametrize("clean", [True, False])
def test_a_strategy_that_was_not_active_is_told_when_the_next_session_begins(
    make_bench: Callable[..., Bench], clean: bool
) -> None:
    bench = make_bench()
    bench.rig.add(SAMPLES / "flood.py", orders=0)
    bench.rig.add(SAMPLES / "flood.py", orders=0)
    for strategy, state in enumerate((TradingState.ACTIVE, TradingState.REDUCING)):
        bench.loop.set_trading_state(state, Reason.DRAWDOWN, strategy=strategy)
    bench.heard(2)
    resume_trading(bench.loop, Past(bench.rig.st, Definitions(), clean=clean))
    told = bench.heard(2)
    own = TradingState.ACTIVE if clean else TradingState.HALTED
    assert told["strategy"].tolist() == [-1, 1]
    assert told["aux"].tolist() == [own, TradingState.REDUCING]
    assert told["reason"][1] == Reason.DRAWDOWN


def test_frame_of_unknown_instruments_is_counted(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.send_ticks(snapshot(90, {1: 1}, {2: 1}), time_tick())
    assert bench.loop.counters()["ticks_refused"] == 2
    assert bench.rig.s["now"] == bench.now
