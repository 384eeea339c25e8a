"""The core's loop on a disk that takes its time: what waits for it, what does not, and what becomes of a failure."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oms.config import JournalSettings
from oms.journal import Direction, Journal, JournalError, MetaKind, read_journal
from oms.records import CommandKind, EventKind, Reason, RecordKind, ReportKind, TickKind, TradingState, Trigger
from tests.full_disk import files_bounded_to
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, client_id, depth, fill, kinds, new_order, report, snapshot
from tests.oms.test_core_loop import SAMPLES, Bench
from tests.oms.test_journal_sync import Gate


@pytest.fixture
def make_bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**options: Any) -> Bench:
        made.append(Bench(tmp_path, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


class Slow:
    """A bench with an external exchange, an open market, and a disk behind a gate."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        bench.open_market()
        bench.loop.journal.wait_durable()
        self.gate = Gate(bench.journal, monkeypatch)

    def ask(self, *commands: Any) -> None:
        """Send commands and turn the loop until it has stepped them."""
        seq = int(self.bench.rig.s["event_seq"])
        self.bench.client.send(np.concatenate(commands))
        self.bench.until(lambda: int(self.bench.rig.s["event_seq"]) > seq)

    def requests(self, count: int) -> list[int]:
        """The ids of the next ``count`` orders that leave for the exchange."""
        exchange = self.bench.exchange
        assert exchange is not None
        found: list[int] = []

        def take() -> bool:
            for frame in exchange.drain(100):
                found.extend(frame.records["order_id"].tolist())
            return len(found) >= count

        self.bench.until(take)
        return found

    def nothing_left(self) -> bool:
        """Whether neither an event nor a request has left, and none is on its way."""
        exchange = self.bench.exchange
        assert exchange is not None
        return not self.bench.listener.socket.poll(50) and not exchange.socket.poll(0)


@pytest.fixture
def slow(make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    made = Slow(make_bench(external=True, sync="batch"), monkeypatch)
    yield made
    made.gate.open(1_000)


def test_nothing_leaves_before_the_disk_has_it(slow: Slow) -> None:
    slow.ask(new_order(client_id(1)))
    slow.gate.await_sync()
    assert slow.bench.rig.s["orders_sent"] == 1
    assert slow.nothing_left()

    slow.gate.open()

    assert slow.requests(1) == [client_id(1)]
    assert kinds(slow.bench.heard(1)) == [EventKind.ORDER_SUBMITTED]


def test_ticks_are_stepped_while_the_disk_syncs(slow: Slow) -> None:
    slow.ask(new_order(client_id(1)))
    slow.gate.await_sync()
    for qty in range(1, 20):
        slow.bench.send_ticks(depth(BUY, BID_PX - 1, qty))
    assert slow.bench.rig.levels(BUY)[BID_PX - 1] == 19
    assert slow.nothing_left()


def test_requests_of_strategies_wait_too(slow: Slow) -> None:
    bench = slow.bench
    bench.rig.add(SAMPLES / "flood.py", orders=2)
    bench.send_ticks(depth(BUY, BID_PX, 5))
    slow.gate.await_sync()
    assert bench.rig.s["orders_sent"] == 2
    assert slow.nothing_left()
    assert bench.loop.counters()["tick_to_order_count"] == 0
    slow.gate.open()
    assert len(slow.requests(2)) == 2
    assert bench.loop.counters()["tick_to_order_count"] == 1


def test_what_waited_leaves_in_the_order_in_which_it_came(slow: Slow) -> None:
    slow.ask(new_order(client_id(1)))
    slow.gate.await_sync()
    for number in range(2, 30):
        slow.ask(new_order(client_id(number)))
    slow.gate.open(2)
    assert slow.requests(29) == [client_id(number) for number in range(1, 30)]
    events = slow.bench.heard(29)
    assert events["order_id"].tolist() == [client_id(number) for number in range(1, 30)]
    assert np.array_equal(np.diff(events["seq"]), np.ones(28))
    assert len(slow.gate.synced) == 2


def test_heartbeat_counts_only_events_that_have_left(slow: Slow) -> None:
    before = slow.bench.loop.counters()["events"]
    slow.ask(new_order(client_id(1)))
    slow.gate.await_sync()
    assert slow.bench.loop.counters()["events"] == before
    slow.gate.open()
    slow.bench.until(lambda: slow.bench.loop.counters()["events"] == before + 1)


def test_a_failed_sync_stops_the_loop_with_nothing_sent(slow: Slow) -> None:
    slow.gate.error = OSError(errno.EIO, "Input/output error")
    slow.ask(new_order(client_id(1)))
    slow.gate.open(10)
    with pytest.raises(
        JournalError, match=r"cannot be synced at offset .*: Input/output error; the disk may be failing"
    ):
        slow.bench.until(lambda: False)
    with pytest.raises(JournalError):
        slow.bench.loop.report()
    assert slow.nothing_left()


def test_a_full_disk_stops_the_loop_with_nothing_sent(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True, sync="batch")
    assert bench.exchange is not None
    bench.open_market()
    bench.loop.journal.wait_durable()
    with files_bounded_to(bench.journal.path.stat().st_size + 100):
        bench.client.send(new_order(client_id(1)))
        with pytest.raises(JournalError, match="cannot be written at offset"):
            bench.until(lambda: False)
    assert bench.listener.socket.poll(200) == 0
    assert bench.exchange.socket.poll(0) == 0


def test_no_more_input_is_taken_once_too_much_waits(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oms.core_loop.MIB", 1)
    slow = Slow(make_bench(external=True, sync="batch"), monkeypatch)
    slow.ask(new_order(client_id(1)))
    slow.gate.await_sync()
    sent = int(slow.bench.rig.s["orders_sent"])
    slow.bench.client.send(new_order(client_id(2)))
    slow.bench.ticks.send(depth(BUY, BID_PX, 9, ts=slow.bench.now + 1))
    for _ in range(5):
        slow.bench.loop.turn(1)
    assert slow.bench.rig.s["orders_sent"] == sent

    slow.gate.open(100)

    assert slow.requests(2) == [client_id(1), client_id(2)]
    slow.bench.until(lambda: slow.bench.rig.levels(BUY)[BID_PX] == 9)


def test_a_session_ends_with_everything_sent(slow: Slow) -> None:
    slow.ask(new_order(client_id(1)))
    slow.gate.await_sync()
    slow.ask(new_order(client_id(2)))
    slow.gate.open(100)
    path = slow.bench.journal.path
    slow.bench.loop.close()
    assert slow.bench.heard(2)["order_id"].tolist() == [client_id(1), client_id(2)]
    assert list(read_journal(path))[-1].kind == MetaKind.CLOSE


@pytest.mark.parametrize("sync", ["always", "batch", "os"])
def test_every_way_to_sync_gives_the_same_journal_and_events(make_bench: Callable[..., Bench], sync: str) -> None:
    bench = make_bench(sync=sync)
    bench.open_market()
    events = bench.ask(new_order(client_id(1), BUY, ASK_PX, 10))
    assert kinds(events) == [
        EventKind.ORDER_SUBMITTED,
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_FILLED,
        EventKind.POSITION,
    ]
    bench.loop.journal.wait_durable()
    entries = [(entry.kind, entry.direction) for entry in read_journal(bench.journal.path)][1:]
    assert entries == [
        (RecordKind.EVENT, Direction.EVENT),
        (RecordKind.COMMAND, Direction.INPUT),
        (RecordKind.REPORT, Direction.OUTPUT),
        (RecordKind.COMMAND, Direction.OUTPUT),
        (RecordKind.EVENT, Direction.EVENT),
    ]


def test_requests_of_the_cores_own_keeping_do_not_leave(slow: Slow) -> None:
    stop = new_order(client_id(1), BUY, ASK_PX, trigger=Trigger.STOP, trigger_px=ASK_PX + 9, trigger_source=1)
    slow.ask(stop, new_order(client_id(2)))
    slow.gate.open(10)
    assert slow.requests(1) == [client_id(2)]
    kept = [
        entry.records["kind"].tolist()
        for entry in read_journal(slow.bench.journal.path)
        if (entry.kind, entry.direction) == (RecordKind.COMMAND, Direction.OUTPUT)
    ]
    assert [kind for each in kept for kind in each] == [CommandKind.HOLD, CommandKind.NEW]


# ---- all inputs


def ticks_in(journal: Journal) -> list[tuple[int, int, list[int]]]:
    """Number, time and kinds of every TICK entry."""
    journal.wait_durable()
    return [
        (entry.number, entry.ts, entry.records["kind"].tolist())
        for entry in read_journal(journal.path)
        if entry.kind == RecordKind.TICK
    ]


@pytest.mark.parametrize("plainly", [False, True])
def test_every_tick_is_journalled_before_what_it_causes(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, plainly: bool
) -> None:
    if plainly:
        monkeypatch.setattr("oms.tick_feed.JIT", False)
    bench = make_bench(external=True, settings=JournalSettings(inputs="all"))
    bench.send_ticks(snapshot(0, {BID_PX: 1_000}, {ASK_PX: 1_000}))
    sent_ts = bench.loop.feed.sent_ts
    bench.send_ticks(depth(BUY, BID_PX, 5))

    entries = ticks_in(bench.journal)
    assert entries[0] == (1, sent_ts, [TickKind.SNAPSHOT] * 2)
    assert entries[1][2] == [TickKind.DEPTH]
    order = [entry.kind for entry in read_journal(bench.journal.path)][1:]
    assert order == [RecordKind.TICK, RecordKind.EVENT, RecordKind.TICK]


def test_the_hosts_influence_is_journalled_as_input(
    make_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench(settings=JournalSettings(inputs="all"))
    bench.open_market()
    bench.loop.report()
    monkeypatch.setattr("oms.core_loop.QUIET_AFTER_S", 0.0)
    for _ in range(3):
        bench.loop.turn(1)
    bench.ticks.seq += 1
    bench.send_ticks(depth(BUY, BID_PX, 5))
    bench.loop.set_trading_state(TradingState.HALTED, Reason.RESTARTED)

    own = [(ts, kinds) for _, ts, kinds in ticks_in(bench.journal) if ts == 0]
    stale = [TickKind.STALE] * int(bench.rig.s["instruments"]["defined"].sum())
    assert own == [(0, [TickKind.HEARTBEAT]), (0, [TickKind.QUIET]), (0, stale)]
    commands = [entry.records for entry in read_journal(bench.journal.path) if entry.kind == RecordKind.COMMAND]
    assert [(int(each["value"][0]), int(each["px"][0])) for each in commands] == [
        (TradingState.HALTED, Reason.RESTARTED)
    ]
    assert bench.loop.counters()["ticks"] == 5


def test_ticks_are_in_no_journal_of_orders(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench()
    bench.open_market()
    bench.loop.report()
    assert ticks_in(bench.journal) == []


def test_reports_are_journalled_once_in_the_order_in_which_they_were_taken(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(external=True)
    bench.open_market()
    bench.ask(new_order(client_id(1), BUY, ASK_PX, 10))
    bench.reporter.send(
        np.concatenate(
            [
                report(ReportKind.ACCEPTED, client_id(1)),
                fill(client_id(1), 4, trade_id=1),
                fill(client_id(1), 6, trade_id=2),
            ]
        )
    )
    bench.until(lambda: bool(bench.rig.s["fills"] >= 1))
    bench.loop.journal.wait_durable()
    reports = [entry.records for entry in read_journal(bench.journal.path) if entry.kind == RecordKind.REPORT]
    assert np.concatenate(reports)["kind"].tolist() == [ReportKind.ACCEPTED, ReportKind.FILL, ReportKind.FILL]
