"""The journal gives back exactly what was written, or says where it is damaged; a write that fails stops it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.journal import (
    Direction,
    Entry,
    Journal,
    JournalError,
    JournalTail,
    MetaKind,
    event_blocks_since,
    events_since,
    journal_path,
    last_session_clean,
    read_journal,
    session_of,
    sessions,
    tail_at_event,
)
from oms.journal_format import HEADER_BYTES
from oms.journal_reader import READ_BYTES
from oms.records import COMMAND, EVENT, RECORD_DTYPES, REPORT, TICK, RecordKind

SESSION = 1_723_075_200_000_000_000


def events(first_seq: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    records = np.zeros(count, EVENT)
    records["seq"] = np.arange(first_seq, first_seq + count)
    records["order_id"] = 7 << 40 | 3
    return records


def write_small(folder: Path, session: int = SESSION, *, close: bool = True) -> Path:
    """A journal of a few entries of every kind, each committed alone."""
    journal = Journal.create(folder, session, "os", "paper")
    seq = 0
    for kind, dtype, direction, count in (
        (RecordKind.COMMAND, COMMAND, Direction.INPUT, 1),
        (RecordKind.EVENT, EVENT, Direction.EVENT, 2),
        (RecordKind.REPORT, REPORT, Direction.INPUT, 1),
        (RecordKind.TICK, TICK, Direction.INPUT, 3),
        (RecordKind.EVENT, EVENT, Direction.EVENT, 1),
        (RecordKind.COMMAND, COMMAND, Direction.OUTPUT, 2),
    ):
        records = np.zeros(count, dtype)
        if kind == RecordKind.EVENT:
            records = events(seq, count)
            seq += count
        journal.append(kind, direction, records)
        journal.commit()
    if close:
        journal.close()
    else:
        os.close(journal.fileno())
    return journal.path


def facts(entry: Entry) -> tuple[int, int, int, int, bytes, int]:
    return (entry.kind, entry.direction, entry.number, entry.ts, entry.records.tobytes(), entry.offset)


def test_entries_come_back_as_they_were_appended(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "new" / "journal", SESSION, "always", "paper-1")
    command = np.zeros(2, COMMAND)
    command["order_id"] = [11, 12]
    journal.append(RecordKind.COMMAND, Direction.INPUT, command)
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 3))
    journal.commit()
    journal.close()

    reader = read_journal(journal.path)
    header, first, second, close = list(reader)

    assert (header.kind, int(header.records["session"][0]), bytes(header.records["account"][0])) == (
        MetaKind.SESSION,
        SESSION,
        b"paper-1",
    )
    assert (first.kind, first.direction, first.number) == (RecordKind.COMMAND, Direction.INPUT, 1)
    assert np.array_equal(first.records, command)
    assert np.array_equal(second.records, events(0, 3))
    assert (close.kind, close.number, len(close.records)) == (MetaKind.CLOSE, 3, 0)
    assert reader.torn is None
    assert reader.closed
    assert header.ts <= first.ts <= second.ts <= close.ts


def test_records_are_copied_when_they_are_appended(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    output = events(0, 1)
    journal.append(RecordKind.EVENT, Direction.EVENT, output)
    output["seq"] = 99
    journal.commit()

    assert int(list(read_journal(journal.path))[1].records["seq"][0]) == 0
    journal.close()


def test_nothing_is_written_before_commit_and_an_empty_array_is_no_entry(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    size = journal.path.stat().st_size
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 0))
    journal.commit()
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 4))
    assert journal.path.stat().st_size == size == journal.bytes_written

    journal.commit()

    assert journal.path.stat().st_size == size + HEADER_BYTES + 4 * EVENT.itemsize == journal.bytes_written
    journal.close()


def test_records_of_another_size_are_refused(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    with pytest.raises(ValueError, match="records of 64 bytes are no EVENT records"):
        journal.append(RecordKind.EVENT, Direction.EVENT, np.zeros(1, TICK))
    journal.close()


def test_a_session_has_one_writer(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    with pytest.raises(JournalError, match=r"01723075200000000000\.000000\.journal exists already"):
        Journal.create(tmp_path, SESSION, "os")
    journal.close()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"file/journal/.*cannot be created: Not a directory"):
        Journal.create(tmp_path / "file" / "journal", SESSION, "os")


def test_a_closed_journal_takes_no_entries(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    journal.close()
    journal.close()
    with pytest.raises(JournalError, match="is closed"):
        journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 1))


def test_a_long_account_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="longer than 88 bytes"):
        Journal.create(tmp_path, SESSION, "os", "a" * 89)
    assert sessions(tmp_path) == []


# ---- failing writes, all of them real


def test_a_full_device_stops_the_journal(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, journal.fileno())
    os.close(full)
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 1))

    with pytest.raises(JournalError, match=r"No space left on device; free space") as failure:
        journal.commit()

    assert str(journal.path) in str(failure.value)
    with pytest.raises(JournalError, match="No space left"):
        journal.append(RecordKind.EVENT, Direction.EVENT, events(1, 1))
    with pytest.raises(JournalError, match="No space left"):  # the failed entries must not come after a gap
        journal.commit()
    journal.close()
    assert last_session_clean(tmp_path) is False


WRITE_UNTIL_ERROR = """
import sys
from pathlib import Path
import numpy as np
from oms.journal import Direction, Journal, JournalError
from oms.records import EVENT, RecordKind

if sys.argv[2] != "0":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
journal = Journal.create(Path(sys.argv[1]), 5, "os")
committed = 0
while True:
    records = np.zeros(3, EVENT)
    records["seq"] = np.arange(committed, committed + 3)
    try:
        journal.append(RecordKind.EVENT, Direction.EVENT, records)
        journal.commit()
    except JournalError as error:
        message = error
        break
    committed += 3
refused = 0
try:
    journal.append(RecordKind.EVENT, Direction.EVENT, records)
except JournalError:
    refused = 1
journal.close()
if sys.argv[3:]:
    import shutil
    shutil.copytree(sys.argv[1], sys.argv[3])
print(committed, refused, message)
"""


def assert_prefix_was_kept(folder: Path, output: str, error: str) -> None:
    committed, refused, message = output.split(" ", 2)
    reader = read_journal(journal_path(folder, 5))
    seqs = np.concatenate([entry.records["seq"] for entry in reader if entry.kind == RecordKind.EVENT])
    assert np.array_equal(seqs, np.arange(int(committed)))
    assert error in message
    assert refused == "1"
    assert last_session_clean(folder) is False


def test_a_file_size_limit_cuts_a_write_and_stops_the_journal(tmp_path: Path) -> None:
    """The limit is inside an entry, so that the system takes a part of the write: a torn end."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE_UNTIL_ERROR, str(tmp_path), "4000"], capture_output=True, text=True, check=True
    )

    assert_prefix_was_kept(tmp_path, done.stdout, "File too large; raise the file size limit")
    reader = read_journal(journal_path(tmp_path, 5))
    *_, last = reader
    assert reader.torn is not None
    assert reader.torn.offset == last.offset + HEADER_BYTES + last.records.nbytes
    assert reader.torn.offset + reader.torn.size == 4000


def test_a_full_file_system_stops_the_journal(tmp_path: Path) -> None:
    mount, copy = tmp_path / "mount", tmp_path / "copy"
    mount.mkdir()
    script = 'mount -t tmpfs -o size=64k tmpfs "$1" || exit 77; exec "$2" -c "$3" "$1/journal" 0 "$4"'
    enter = ["unshare", "--mount", "--map-root-user"] if os.geteuid() else ["unshare", "--mount"]
    try:
        done = subprocess.run(
            [*enter, "sh", "-c", script, "sh", str(mount), sys.executable, WRITE_UNTIL_ERROR, str(copy)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no file system of its own here: {done.stderr.strip()}")

    assert done.returncode == 0, done.stderr
    assert_prefix_was_kept(copy, done.stdout, "No space left on device; free space")


WRITE_FOREVER = """
import sys
from pathlib import Path
import numpy as np
from oms.journal import Direction, Journal
from oms.records import EVENT, RecordKind

journal = Journal.create(Path(sys.argv[1]), 5, "os")
seq = 0
while True:
    for count in (1, 7, 2):
        records = np.zeros(count, EVENT)
        records["seq"] = np.arange(seq, seq + count)
        journal.append(RecordKind.EVENT, Direction.EVENT, records)
        seq += count
    journal.commit()
"""


def test_a_reader_follows_a_writer_until_it_is_killed(tmp_path: Path) -> None:
    path = journal_path(tmp_path, 5)
    writer = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(tmp_path)])
    tail: JournalTail | None = None
    following = 0
    try:
        while following < 20_000:
            assert writer.poll() is None
            if tail is None and path.exists():
                tail = JournalTail(path)
            for entry in tail.read() if tail else ():
                if entry.kind == RecordKind.EVENT:
                    assert np.array_equal(entry.records["seq"], np.arange(following, following + len(entry.records)))
                    following += len(entry.records)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()

    rest = sum(len(records) for records in events_since(tmp_path, 5, following))
    everything = np.concatenate([records["seq"] for records in events_since(tmp_path, 5, 0)])
    assert np.array_equal(everything, np.arange(following + rest))
    assert last_session_clean(tmp_path) is False


# ---- damage


def test_every_truncation_gives_the_whole_entries_before_it(tmp_path: Path) -> None:
    path = write_small(tmp_path)
    content = path.read_bytes()
    entries = [facts(entry) for entry in read_journal(path)]
    cut = journal_path(tmp_path / "cut", SESSION)
    cut.parent.mkdir()
    for size in range(len(content)):
        cut.write_bytes(content[:size])
        reader = read_journal(cut)
        found = [facts(entry) for entry in reader]
        end = found[-1][5] + HEADER_BYTES + len(found[-1][4]) if found else 0
        assert found == entries[: len(found)]
        assert len(found) == sum(offset + HEADER_BYTES + len(body) <= size for *_, body, offset in entries)
        assert (reader.torn == (end, size - end)) if size > end else reader.torn is None
        assert last_session_clean(cut.parent) is False


def test_every_flipped_byte_is_named(tmp_path: Path) -> None:
    path = write_small(tmp_path)
    content = bytearray(path.read_bytes())
    entries = [facts(entry) for entry in read_journal(path)]
    rng = np.random.default_rng(7)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        hit = max(number for number, entry in enumerate(entries) if entry[5] <= place)
        found: list[tuple[int, int, int, int, bytes, int]] = []
        reader = read_journal(path)
        if hit == len(entries) - 1:
            found.extend(facts(entry) for entry in reader)
            assert reader.torn == (entries[-1][5], HEADER_BYTES)
            assert last_session_clean(tmp_path) is False
        else:
            with pytest.raises(JournalError, match=f"{path} is damaged at offset {entries[hit][5]} "):
                found.extend(facts(entry) for entry in reader)
        assert found == entries[:hit]


def remove(content: bytes, start: int, size: int, _: int) -> bytes:
    return content[:start] + content[start + size :]


def blank(content: bytes, start: int, size: int, _: int) -> bytes:
    return content[:start] + bytes(len(content[start : start + size])) + content[start + size :]


def repeat(content: bytes, start: int, size: int, _: int) -> bytes:
    return content[: start + size] + content[start : start + size] + content[start + size :]


def overwrite(content: bytes, start: int, size: int, seed: int) -> bytes:
    noise = np.random.default_rng(seed).bytes(len(content[start : start + size]))
    return content[:start] + noise + content[start + size :]


@settings(max_examples=150, deadline=None)
@given(
    damage=st.sampled_from([remove, blank, repeat, overwrite]),
    start=st.integers(0, 2_000),
    size=st.integers(1, 1_000),
    seed=st.integers(0, 2**32),
    at_entries=st.booleans(),
)
def test_damage_never_gives_wrong_records(
    tmp_path_factory: pytest.TempPathFactory,
    damage: Callable[[bytes, int, int, int], bytes],
    start: int,
    size: int,
    seed: int,
    at_entries: bool,
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = write_small(folder)
    content = path.read_bytes()
    entries = [facts(entry) for entry in read_journal(path)]
    if at_entries:
        borders = [*(entry[5] for entry in entries), len(content)]
        start = borders[start % len(entries)]
        size = borders[(borders.index(start) + 1 + size % 3) % len(borders)] - start
    damaged = damage(content, min(start, len(content)), max(size, 0), seed)
    path.write_bytes(damaged)

    found: list[tuple[int, int, int, int, bytes, int]] = []
    reader = read_journal(path)
    named = False
    try:
        for entry in reader:
            found.append(facts(entry))
    except JournalError as error:
        named = str(path) in str(error) and "offset" in str(error)

    assert found == entries[: len(found)]
    if damaged != content:
        lost_at_end = content.startswith(damaged) and len(found) < len(entries)
        assert named or reader.torn is not None or (lost_at_end and last_session_clean(folder) is False)


def test_a_tail_waits_for_the_rest_of_an_entry(tmp_path: Path) -> None:
    whole = write_small(tmp_path)
    content = whole.read_bytes()
    entries = [facts(entry) for entry in read_journal(whole)]
    growing = tmp_path / "growing.journal"
    growing.write_bytes(b"")
    tail = JournalTail(growing)
    found: list[tuple[int, int, int, int, bytes, int]] = []
    with open(growing, "ab", buffering=0) as file:
        for start in range(0, len(content), 13):
            file.write(content[start : start + 13])
            found.extend(facts(entry) for entry in tail.read())
            assert tail.offset + tail.pending == min(start + 13, len(content))

    assert found == entries
    assert tail.closed


def test_a_tail_names_a_file_that_shrank(tmp_path: Path) -> None:
    path = write_small(tmp_path)
    tail = JournalTail(path)
    list(tail.read())
    os.truncate(path, 100)
    with pytest.raises(JournalError, match="has 100 bytes and had"):
        list(tail.read())


def test_entries_larger_than_a_read_are_whole(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os")
    count = READ_BYTES // EVENT.itemsize + 100
    journal.append(RecordKind.EVENT, Direction.EVENT, events(0, 5))
    journal.append(RecordKind.EVENT, Direction.EVENT, events(5, count))
    journal.append(RecordKind.EVENT, Direction.EVENT, events(5 + count, 5))
    journal.close()

    seqs = np.concatenate([records["seq"] for records in events_since(tmp_path, SESSION, 0)])

    assert np.array_equal(seqs, np.arange(count + 10))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r"gone\.journal cannot be read: No such file"):
        list(read_journal(tmp_path / "gone.journal"))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(list(RECORD_DTYPES)), st.sampled_from(Direction), st.integers(1, 5))))
def test_any_records_make_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[RecordKind, Direction, int]]
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    journal = Journal.create(folder, SESSION, "os")
    rng = np.random.default_rng(len(parts))
    written: list[tuple[int, int, bytes]] = []
    for kind, direction, count in parts:
        records = np.frombuffer(rng.bytes(count * RECORD_DTYPES[kind].itemsize), RECORD_DTYPES[kind])
        journal.append(kind, direction, records)
        written.append((kind, direction, records.tobytes()))
        if rng.integers(2):
            journal.commit()
    journal.close()

    read = [(entry.kind, entry.direction, entry.records.tobytes()) for entry in read_journal(journal.path)]

    assert read[1:-1] == written


# ---- sessions and the repair of events


def test_sessions_are_listed_oldest_first_and_other_files_are_not(tmp_path: Path) -> None:
    assert sessions(tmp_path / "none") == []
    assert last_session_clean(tmp_path / "none") is None
    for session in (30, 4, 500):
        write_small(tmp_path, session)
    (tmp_path / "notes.journal").write_text("")
    (tmp_path / "00000000000000000031.journal.old").write_text("")

    assert [session_of(path) for path in sessions(tmp_path)] == [4, 30, 500]


def test_only_a_closed_session_is_clean(tmp_path: Path) -> None:
    write_small(tmp_path, 1)
    assert last_session_clean(tmp_path) is True
    write_small(tmp_path, 2, close=False)
    assert last_session_clean(tmp_path) is False
    write_small(tmp_path, 3)
    assert last_session_clean(tmp_path) is True
    journal_path(tmp_path, 4).write_bytes(b"")
    assert last_session_clean(tmp_path) is False


def test_a_journal_that_cannot_be_read_is_an_error_not_an_answer(tmp_path: Path) -> None:
    journal_path(tmp_path, 4).mkdir()
    with pytest.raises(JournalError, match="cannot be read: Is a directory"):
        last_session_clean(tmp_path)


def test_events_since_a_sequence_number_reach_into_later_sessions(tmp_path: Path) -> None:
    for session, count in ((10, 5), (20, 0), (30, 3)):
        journal = Journal.create(tmp_path, session, "os")
        for seq in range(count):
            journal.append(RecordKind.COMMAND, Direction.INPUT, np.zeros(1, COMMAND))
            journal.append(RecordKind.EVENT, Direction.EVENT, events(seq, 1))
        journal.close()

    def since(session: int, seq: int) -> list[tuple[int, list[int]]]:
        return [(block.session, block.records["seq"].tolist()) for block in event_blocks_since(tmp_path, session, seq)]

    assert since(10, 0) == [(10, [0, 1, 2, 3, 4]), (30, [0, 1, 2])]
    assert since(10, 3) == [(10, [3, 4]), (30, [0, 1, 2])]
    assert since(10, 5) == [(30, [0, 1, 2])]
    assert since(20, 0) == [(30, [0, 1, 2])]
    assert since(30, 2) == [(30, [2])]
    assert since(30, 3) == []
    with pytest.raises(JournalError, match=r"00000000000000000015\.000000\.journal is missing: events from 2 on"):
        since(15, 2)


def test_a_repair_starts_near_the_wanted_event(tmp_path: Path) -> None:
    """Entries of all sizes, among others that are no events; every start gives exactly the rest."""
    journal = Journal.create(tmp_path, SESSION, "os")
    rng = np.random.default_rng(3)
    seq = 0
    while journal.bytes_written < 6 * READ_BYTES:
        count = int(rng.choice([1, 3, 200]))
        journal.append(RecordKind.COMMAND, Direction.INPUT, np.zeros(int(rng.choice([0, 1, 50])), COMMAND))
        journal.append(RecordKind.EVENT, Direction.EVENT, events(seq, count))
        journal.commit()
        seq += count
    journal.append(RecordKind.COMMAND, Direction.INPUT, np.zeros(3 * READ_BYTES // COMMAND.itemsize, COMMAND))
    journal.close()

    for wanted in [0, 1, seq - 1, seq, seq + 5, *rng.integers(0, seq, 20).tolist()]:
        seqs = [records["seq"] for records in events_since(tmp_path, SESSION, wanted)]
        assert np.array_equal(np.concatenate(seqs) if seqs else [], np.arange(wanted, seq))
        tail = tail_at_event(journal.path, wanted)
        first = next(entry for entry in tail.read() if entry.kind == RecordKind.EVENT)
        assert first.records["seq"][0] <= wanted
    assert tail_at_event(journal.path, seq // 2).offset > READ_BYTES


def test_a_repair_does_not_pass_over_damage(tmp_path: Path) -> None:
    path = write_small(tmp_path, 10)
    write_small(tmp_path, 20)
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    with pytest.raises(JournalError, match="is damaged at offset"):
        list(events_since(tmp_path, 10, 0))
