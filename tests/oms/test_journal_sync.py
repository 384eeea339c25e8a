"""When a commit is durable: at once, in groups beside the writer, or when the system sees fit; and failures of it."""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from oms.journal import Direction, Journal, JournalError, Sync, last_session_clean, read_journal, segments
from oms.journal_mark import mark_path, read_mark
from oms.records import RecordKind
from oms.store.follower import EventFollower
from rpc.event_stream import EventStream
from tests.oms.journals import SESSION, SMALL, events, facts

PATIENCE_S = 10.0


class Gate:
    """A disk whose syncs wait until they are let through; what each of them covered is noted."""

    def __init__(self, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Semaphore(0)
        self.passes = threading.Semaphore(0)
        self.error: OSError | None = None
        self.synced: list[int] = []
        self._journal = journal
        self._sync = journal.files.sync
        self._fdatasync = os.fdatasync
        monkeypatch.setattr("oms.journal_writer.os.fdatasync", self._wait)

    def _wait(self, descriptor: int) -> None:
        self.entered.release()
        assert self.passes.acquire(timeout=PATIENCE_S)
        if self.error is not None:
            raise self.error
        self.synced.append(os.fstat(descriptor).st_size)
        self._fdatasync(descriptor)

    def await_sync(self) -> None:
        """Wait until a sync is under way."""
        assert self.entered.acquire(timeout=PATIENCE_S)

    def open(self, count: int = 1) -> None:
        """Let syncs through."""
        self.passes.release(count)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal.create(tmp_path, SESSION, "batch", "paper")
    yield made
    made.close()


@pytest.fixture
def gate(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate(journal, monkeypatch)
    yield made
    made.open(100)


def put(journal: Journal, seq: int) -> int:
    journal.append(RecordKind.EVENT, Direction.EVENT, events(seq, 1))
    return journal.commit()


def await_wake(journal: Journal) -> None:
    assert select.select([journal.wake_fd], [], [], PATIENCE_S)[0]
    journal.take_wake()


def test_a_batch_is_durable_once_the_disk_has_it_and_not_before(journal: Journal, gate: Gate) -> None:
    position = put(journal, 0)
    gate.await_sync()
    assert journal.durable() < position
    assert journal.pending_bytes > 0
    assert not select.select([journal.wake_fd], [], [], 0)[0]

    gate.open()
    await_wake(journal)

    assert journal.durable() == position
    assert journal.pending_bytes == 0


def test_everything_that_arrives_during_a_sync_goes_into_the_next_one(journal: Journal, gate: Gate) -> None:
    first = put(journal, 0)
    gate.await_sync()
    last = [put(journal, seq) for seq in range(1, 50)][-1]
    gate.open()
    await_wake(journal)
    assert journal.durable() == first

    gate.await_sync()
    gate.open()
    await_wake(journal)

    assert journal.durable() == last
    assert gate.synced == [first, last]


def test_the_wait_for_the_disk_ends_with_everything_on_it(journal: Journal, gate: Gate) -> None:
    gate.open(10)
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 3))
    journal.wait_durable()
    assert journal.durable() == journal.position == journal.path.stat().st_size
    assert not select.select([journal.wake_fd], [], [], 0)[0] or journal.pending_bytes == 0


def test_what_is_held_is_delivered_once_the_disk_has_it(journal: Journal, gate: Gate) -> None:
    delivered: list[tuple[int, list[str]]] = []
    journal.deliver_to(lambda held: delivered.append((journal.durable(), held)))
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 1))
    first = journal.commit(["a"])
    gate.await_sync()
    journal.append(RecordKind.EVENT, Direction.EVENT, events(1, 1))
    journal.commit(["b", "c"])
    last = journal.commit(["d"])  # no bytes of its own: it waits for those before it all the same
    assert delivered == []
    gate.open(10)
    journal.close()
    assert [held for _, held in delivered] == [["a"], ["b", "c", "d"]]
    assert delivered[0][0] == first
    assert delivered[1][0] >= last


def test_nothing_is_delivered_after_a_failed_sync(journal: Journal, gate: Gate) -> None:
    delivered: list[object] = []
    journal.deliver_to(delivered.extend)
    gate.error = OSError(errno.EIO, "Input/output error")
    put(journal, 0)
    gate.await_sync()
    journal.append(RecordKind.EVENT, Direction.EVENT, events(1, 1))
    journal.commit(["held"])
    gate.open(10)
    await_wake(journal)
    with pytest.raises(JournalError, match="cannot be synced"):
        journal.commit(["more"])
    journal.close()
    assert delivered == []


def test_a_delivery_that_fails_closes_the_journal(journal: Journal) -> None:
    def refuse(_held: list[object]) -> None:
        raise RuntimeError("nobody listens")

    journal.deliver_to(refuse)
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 1))
    journal.commit(["held"])
    await_wake(journal)
    with pytest.raises(JournalError, match=r"is not written any more: RuntimeError\('nobody listens'\)"):
        journal.commit()


@pytest.mark.parametrize("sync", ["always", "os"])
def test_without_a_thread_what_is_held_is_delivered_at_once(tmp_path: Path, sync: Sync) -> None:
    journal = Journal.create(tmp_path, SESSION, sync)
    sizes: list[tuple[int, list[object]]] = []
    journal.deliver_to(lambda held: sizes.append((journal.path.stat().st_size, held)))
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 1))
    position = journal.commit(["a"])
    journal.commit(["b"])
    journal.close()
    assert sizes == [(position, ["a"]), (position, ["b"])]


def test_closing_waits_for_what_is_under_way(tmp_path: Path, journal: Journal, gate: Gate) -> None:
    put(journal, 0)
    gate.await_sync()
    put(journal, 1)
    gate.open(10)
    journal.close()
    reader = read_journal(journal.path)
    assert sum(entry.kind == RecordKind.EVENT for entry in reader) == 2
    assert reader.closed
    assert last_session_clean(tmp_path) is True


def test_segments_follow_one_another_in_groups_too(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "batch", segment_bytes=SMALL)
    for seq in range(40):
        put(journal, seq)
    journal.close()
    entries = [facts(entry) for entry in read_journal(journal.path)]
    assert [number for _, _, number, _, _ in entries] == list(range(len(entries)))
    assert sum(kind == RecordKind.EVENT for kind, *_ in entries) == 40
    assert len(segments(tmp_path, SESSION)) == len([1 for kind, *_ in entries if kind == 128]) > 5


def test_a_failed_sync_closes_the_journal_and_nothing_becomes_durable(journal: Journal, gate: Gate) -> None:
    before = journal.durable()
    gate.error = OSError(errno.EIO, "Input/output error")
    put(journal, 0)
    gate.open(10)
    await_wake(journal)

    message = f"journal {journal.path} cannot be synced at offset .*: Input/output error; the disk may be failing"
    with pytest.raises(JournalError, match=message):
        journal.durable()
    with pytest.raises(JournalError, match=message):
        journal.append(RecordKind.EVENT, Direction.EVENT, events(1, 1))
    assert journal.bytes_written == before
    assert last_session_clean(journal.path.parent) is False


def test_a_failed_write_of_a_group_names_file_and_offset(journal: Journal) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal.fileno())
    os.close(full)
    put(journal, 0)
    await_wake(journal)
    with pytest.raises(JournalError, match=f"{journal.path} cannot be written at offset 160: No space left on device"):
        journal.durable()


def test_whatever_ends_the_writing_thread_closes_the_journal(journal: Journal, gate: Gate) -> None:
    gate.error = RuntimeError("a fault")  # type: ignore[assignment]
    put(journal, 0)
    gate.open(10)
    await_wake(journal)
    with pytest.raises(JournalError, match=r"is not written any more: RuntimeError\('a fault'\)"):
        journal.durable()


def test_a_failed_sync_at_once_closes_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path, SESSION, "always")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("oms.journal_writer.os.fdatasync", fail)
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 1))
    with pytest.raises(JournalError, match="cannot be synced at offset"):
        journal.commit()
    with pytest.raises(JournalError, match="cannot be synced at offset"):
        journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 1))
    journal.close()
    assert last_session_clean(tmp_path) is False


def test_the_next_segment_cannot_be_made_and_the_journal_says_so(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os", segment_bytes=SMALL)
    (tmp_path / f"{SESSION:020d}.000001.journal").write_bytes(b"")
    for seq in range(3):
        put(journal, seq)
    with pytest.raises(JournalError, match=r"000001\.journal exists already"):
        put(journal, 3)
    with pytest.raises(JournalError, match=r"000001\.journal exists already"):
        put(journal, 11)
    journal.close()


@pytest.mark.parametrize("sync", ["always", "batch", "os"])
def test_each_way_syncs_as_often_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: Sync) -> None:
    journal = Journal.create(tmp_path, SESSION, sync)
    syncs: list[int] = []
    fdatasync: Callable[[int], None] = os.fdatasync

    def count(descriptor: int) -> None:
        syncs.append(descriptor)
        fdatasync(descriptor)

    monkeypatch.setattr("oms.journal_writer.os.fdatasync", count)
    for seq in range(5):
        put(journal, seq)
        if sync != "batch":
            assert journal.durable() == journal.position
    journal.wait_durable()
    assert len(syncs) == {"always": 5, "os": 0}.get(sync, len(syncs))
    assert 1 <= len(syncs) <= 5 or sync == "os"
    assert (journal.wake_fd >= 0) == (sync == "batch")
    journal.close()


def test_positions_are_the_sizes_of_the_file(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    positions = [put(journal, seq) for seq in range(3)]
    assert np.diff(positions).tolist() == [160, 160]
    assert journal.path.stat().st_size == positions[-1]
    journal.close()


class TestOnlyDurable:
    """Whoever acts on what the files say must not see what a loss of power would take back."""

    def seen(self, stream: EventStream, follower: EventFollower) -> tuple[int, int]:
        """Events that rpc and the recorder have read."""
        count = sum(len(block.records) for block in stream.read_journal())
        follower.read_journal()
        stored = 0
        while (block := follower.next_block()) is not None:
            stored += len(block.records)
        return count, stored

    def test_readers_wait_for_the_sync(self, tmp_path: Path, journal: Journal, gate: Gate) -> None:
        stream, follower = EventStream(tmp_path, 0), EventFollower(tmp_path)
        journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 3))
        journal.commit()
        gate.await_sync()
        assert sum(entry.kind == RecordKind.EVENT for entry in read_journal(journal.path)) == 1
        assert self.seen(stream, follower) == (0, 0)
        gate.open()
        journal.wait_durable()
        assert self.seen(stream, follower) == (3, 3)
        assert stream.complete

    def test_a_session_that_another_one_followed_is_read_whole(
        self, tmp_path: Path, journal: Journal, gate: Gate
    ) -> None:
        stream, follower = EventStream(tmp_path, 0), EventFollower(tmp_path)
        journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 3))
        journal.commit()
        gate.await_sync()
        assert self.seen(stream, follower) == (0, 0)
        gate.open(3)
        journal.wait_durable()
        mark_path(tmp_path, SESSION).write_bytes(bytes(8))  # as it may be after a loss of power
        assert self.seen(stream, follower) == (0, 0)
        Journal.create(tmp_path, SESSION + 1, "os", "paper").close()
        assert self.seen(stream, follower) == (3, 3)

    @pytest.mark.parametrize("sync", ["always", "batch"])
    def test_segments_are_read_up_to_the_mark(self, tmp_path: Path, sync: Sync) -> None:
        stream, follower = EventStream(tmp_path, 0), EventFollower(tmp_path)
        journal = Journal.create(tmp_path, SESSION, sync, "paper", segment_bytes=SMALL)
        total = 0
        for first in range(0, 40, 4):
            journal.append(RecordKind.EVENT, Direction.EVENT, events(first, 4))
            journal.wait_durable()
            count, stored = self.seen(stream, follower)
            assert count == stored
            total += count
            assert total == first + 4
        kept = read_mark(tmp_path, SESSION)
        assert kept is not None
        assert kept.segment == len(segments(tmp_path, SESSION)) - 1
        journal.close()

    def test_where_nothing_is_synced_everything_counts(self, tmp_path: Path) -> None:
        journal = Journal.create(tmp_path, SESSION, "os", "paper")
        journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 3))
        journal.commit()
        assert read_mark(tmp_path, SESSION) is None
        assert self.seen(EventStream(tmp_path, 0), EventFollower(tmp_path)) == (3, 3)
        journal.close()
