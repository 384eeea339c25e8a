"""The recorder as its own process: nothing is lost, nothing is stored twice, whatever is killed or fails."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from oms.bus import Publisher
from oms.records import WIRE_VERSION, EventKind
from oms.store.reader import StoreReader
from oms.store.schema import DATABASE_FILE
from tests.oms.store.support import DEADLINE_S, Core, Records, Stage, Trading, make_ticks, until


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path) as made:
        yield made


def stored(stage: Stage) -> StoreReader:
    return StoreReader(stage.settings.store_dir)


def fill_seqs(stage: Stage) -> list[tuple[int, int]]:
    with stored(stage) as store:
        return sorted((fill.session, fill.seq) for fill in store.fills(limit=-1))


def expected_fills(session: int, events: Records) -> list[tuple[int, int]]:
    return [(session, seq) for seq in events["seq"][events["kind"] == EventKind.ORDER_FILLED].tolist()]


def subscribed(*publishers: Publisher) -> None:
    for publisher in publishers:
        assert publisher.wait_for_subscribers(1, DEADLINE_S)


def test_what_comes_last_before_the_stop_is_stored(stage: Stage) -> None:
    core, gateway = stage.core(), stage.gateway()
    recorder = stage.recorder()
    subscribed(core.publisher, gateway)
    recorder.wait_until_ready()
    events = Trading(1).events(5_000)
    ticks = make_ticks(50_000, instruments=2)
    for start in range(0, 5_000, 10):
        core.happen(events[start : start + 10])
        gateway.send(ticks[start * 10 : start * 10 + 100])

    status, said = recorder.stop()

    assert (status, said) == (0, "")
    assert fill_seqs(stage) == expected_fills(core.session, events)
    with stored(stage) as store:
        assert store.progress() == {core.session: 5_000}
        assert sum(row.ticks for row in store.ticks_summary()) == 50_000
        assert store.notes() == []
    assert recorder.last is not None
    assert recorder.last.state == "stopping"
    assert recorder.last.counters["events"] == 5_000
    assert recorder.last.counters["ticks_stored"] == 50_000


def test_a_late_recorder_stores_everything_from_the_journal(stage: Stage) -> None:
    """Two old sessions, one of them killed, and a running one; nothing of them was ever received."""
    old = stage.core(session=5)
    first = Trading(1).events(3_000)
    old.journalled(first)
    old.close()
    killed = stage.core(session=6)
    second = Trading(2).events(10)
    killed.journalled(second)
    killed.die()
    running = stage.core(session=7)
    third = Trading(3).events(2_000)
    running.journalled(third[:1_500])
    running.publisher.seq = 1_500

    recorder = stage.recorder()
    subscribed(running.publisher)
    running.happen(third[1_500:])
    recorder.wait_for(lambda counters: counters["events"] == 5_010)

    assert fill_seqs(stage) == [
        *expected_fills(5, first),
        *expected_fills(6, second),
        *expected_fills(7, third),
    ]
    assert recorder.stop() == (0, "")


def test_gaps_are_repaired_and_counted(stage: Stage) -> None:
    core = stage.core()
    recorder = stage.recorder()
    subscribed(core.publisher)
    recorder.wait_until_ready()
    events = Trading(4).events(300)
    for start in range(0, 300, 30):
        core.happen(events[start : start + 10])
        recorder.wait_for(lambda counters, end=start + 10: counters["events"] >= end)  # type: ignore[misc]
        core.publish_nothing(events[start + 10 : start + 30])

    assert recorder.stop() == (0, "")
    assert fill_seqs(stage) == expected_fills(core.session, events)
    assert recorder.last is not None
    assert recorder.last.counters["event_gaps_repaired"] == 9
    assert recorder.last.counters["events_lost"] == 0


def test_a_killed_recorder_loses_no_event_and_stores_none_twice(stage: Stage) -> None:
    """It is killed again and again while events and ticks flow; the core is replaced once meanwhile."""
    recorder = stage.recorder()
    gateway = stage.gateway()
    rng = np.random.default_rng(11)
    expected: list[tuple[int, int]] = []
    all_events: dict[int, Records] = {}
    tick_seq = 0
    core: Core | None = None
    trading = Trading(0)
    for round_number in range(6):
        if round_number in (0, 3):
            if core is not None:
                core.die()
            core = stage.core(session=1_000 + round_number)
            trading = Trading(round_number)
        assert core is not None
        until(lambda: gateway.poll_subscribers(20) == 1)
        until(lambda events=core.publisher: events.poll_subscribers(20) == 1)  # type: ignore[misc]
        kill_after = int(rng.integers(1, 40))
        for step in range(60):
            events = trading.events(int(rng.integers(1, 60)))
            core.happen(events)
            known = all_events.get(core.session)
            all_events[core.session] = events if known is None else np.concatenate([known, events])
            gateway.send(make_ticks(100, tick_seq))
            tick_seq += 100
            if step == kill_after:
                recorder.kill()
        recorder.restart()
    until(lambda: gateway.poll_subscribers(20) == 1)
    gateway.send(make_ticks(1, tick_seq))
    total = sum(len(events) for events in all_events.values())
    recorder.wait_for(lambda counters: counters["ticks"] >= 1)

    assert recorder.stop() == (0, "")

    for session, events in all_events.items():
        expected += expected_fills(session, events)
    with stored(stage) as store:
        assert sum(store.progress().values()) == total
        fills = sorted((fill.session, fill.seq) for fill in store.fills(limit=-1))
        orders = {(order.session, order.order_id): order.last_seq for order in store.orders(limit=-1)}
        recorded_ticks = sum(row.ticks for row in store.ticks_summary())
        lost: set[int] = set()  # a recorder killed before it stored a tick leaves the next one to say it again
        for note in store.notes():
            if note.kind == "ticks_lost":
                count, first = [int(word) for word in note.text.split() if word.isdigit()][:2]
                lost |= set(range(first, first + count))
    assert fills == expected
    for session, events in all_events.items():
        of_orders = events[(events["order_id"] != 0) & (events["kind"] != EventKind.POSITION)]
        for order_id in np.unique(of_orders["order_id"]).tolist():
            assert orders[session, order_id] == of_orders["seq"][of_orders["order_id"] == order_id][-1]
    # ticks are in no journal: those that a killed recorder held are lost, and known to be
    assert recorded_ticks + len(lost) == tick_seq + 1


def test_a_failing_database_is_tried_again_until_everything_is_stored(stage: Stage) -> None:
    core, gateway = stage.core(), stage.gateway()
    recorder = stage.recorder()
    subscribed(core.publisher, gateway)
    events = Trading(6).events(4_000)
    core.happen(events[:1_000])
    recorder.wait_for(lambda counters: counters["events"] == 1_000)
    blocker = sqlite3.connect(stage.settings.store_dir / DATABASE_FILE, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for start in range(1_000, 3_000, 100):
        core.happen(events[start : start + 100])
    counters = recorder.wait_for(lambda counters: counters["db_errors"] >= 2)
    assert counters["events"] == 1_000
    gateway.send(make_ticks(500))  # ticks are recorded all the same
    recorder.wait_for(lambda counters: counters["ticks"] == 500)
    blocker.execute("ROLLBACK")
    blocker.close()
    core.happen(events[3_000:])
    recorder.wait_for(lambda counters: counters["events"] == 4_000)

    assert recorder.stop() == (0, "")
    assert fill_seqs(stage) == expected_fills(core.session, events)
    with stored(stage) as store:
        notes = store.notes()
    assert {note.kind for note in notes} == {"db_error"}
    assert all("database is locked" in note.text for note in notes)


def test_what_the_database_does_not_take_at_the_end_is_said_and_stored_by_the_next(stage: Stage) -> None:
    core = stage.core()
    recorder = stage.recorder()
    subscribed(core.publisher)
    events = Trading(7).events(100)
    core.happen(events[:50])
    recorder.wait_for(lambda counters: counters["events"] == 50)
    blocker = sqlite3.connect(stage.settings.store_dir / DATABASE_FILE, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    core.happen(events[50:])

    status, said = recorder.stop()

    assert status == 1
    assert "recorder: not everything is stored, the next recorder takes the rest from the journal" in said
    assert "database is locked" in said
    blocker.execute("ROLLBACK")
    blocker.close()
    recorder.restart()
    recorder.wait_for(lambda counters: counters["events"] == 50)
    assert fill_seqs(stage) == expected_fills(core.session, events)


def test_a_deleted_store_is_made_anew_from_the_journal(stage: Stage) -> None:
    core = stage.core()
    recorder = stage.recorder()
    subscribed(core.publisher)
    events = Trading(8).events(700)
    core.happen(events)
    recorder.wait_for(lambda counters: counters["events"] == 700)
    assert recorder.stop() == (0, "")
    for path in stage.settings.store_dir.glob(f"{DATABASE_FILE}*"):
        path.unlink()

    recorder.restart()
    recorder.wait_for(lambda counters: counters["events"] == 700)

    assert fill_seqs(stage) == expected_fills(core.session, events)


def test_a_file_that_is_no_store_ends_the_recorder_with_a_clear_error(stage: Stage) -> None:
    path = stage.settings.store_dir / DATABASE_FILE
    path.parent.mkdir(parents=True)
    path.write_text("these are not the rows you are looking for" * 100)
    recorder = stage.recorder()

    said = recorder.process.communicate(timeout=DEADLINE_S)[1]

    assert recorder.process.returncode not in (0, None)
    assert f"store {path} cannot be opened: file is not a database; move {DATABASE_FILE} away" in said
    assert "Traceback" not in said


def test_malformed_frames_are_counted_and_everything_else_goes_on(stage: Stage) -> None:
    core, gateway = stage.core(), stage.gateway()
    recorder = stage.recorder()
    subscribed(core.publisher, gateway)
    rng = np.random.default_rng(1)
    for publisher in (core.publisher, gateway):
        prefix = bytes([WIRE_VERSION, publisher.kind])
        for size in rng.integers(0, 300, 50).tolist():
            publisher.socket.send(prefix + rng.bytes(size))
    events = Trading(9).events(200)
    core.happen(events)
    gateway.send(make_ticks(10))
    counters = recorder.wait_for(lambda counters: counters["events"] == 200 and counters["ticks"] == 10)
    assert counters["malformed"] == 100


def test_orders_do_not_wait_behind_ticks(stage: Stage) -> None:
    """Events are stored while ticks come faster than they can be written."""
    core, gateway = stage.core(), stage.gateway()
    recorder = stage.recorder()
    subscribed(core.publisher, gateway)
    recorder.wait_until_ready()
    frame = make_ticks(256)
    flooding = threading.Event()
    flooding.set()

    def flood() -> None:
        while flooding.is_set():
            gateway.send(frame)

    sender = threading.Thread(target=flood)
    sender.start()
    try:
        until(lambda: gateway.seq > 1_000_000)
        trading = Trading(10)
        for count in range(1, 6):
            core.happen(trading.events(10))
            recorder.wait_for(lambda counters, wanted=count * 10: counters["events"] == wanted)  # type: ignore[misc]
    finally:
        flooding.clear()
        # a blocked send ends when the recorder takes the next frame
        sender.join(DEADLINE_S)
    assert not sender.is_alive()
    recorder.wait_for(lambda counters: counters["ticks"] == gateway.seq)
    assert recorder.last is not None
    assert recorder.last.counters["ticks_lost"] == 0


def test_without_ticks_only_events_are_recorded(tmp_path: Path) -> None:
    with Stage(tmp_path, record_ticks=False) as stage:
        core = stage.core()
        recorder = stage.recorder()
        subscribed(core.publisher)
        core.happen(Trading(1).events(10))
        counters = recorder.wait_for(lambda counters: counters["events"] == 10)
        assert "ticks" not in counters
        assert not (stage.settings.store_dir / "ticks").exists()
        assert recorder.stop() == (0, "")


def test_importing_the_recorder_imports_nothing_heavy() -> None:
    script = (
        "import sys, oms.store.recorder; print([m for m in ('pyarrow', 'numba', 'rich', 'typer') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
