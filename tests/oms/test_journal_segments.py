"""A session's journal over several files: read as one, damage named wherever it is, old files removed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.journal import (
    Direction,
    Journal,
    JournalDamageError,
    JournalError,
    JournalTail,
    JournalTruncatedError,
    MetaKind,
    MissingSegmentError,
    events_since,
    joined_events,
    last_session_clean,
    read_journal,
    remove_before,
    segments,
    session_of,
    sessions,
    tail_at_event,
)
from oms.journal_format import HEADER_BYTES
from oms.journal_reader import READ_BYTES
from oms.journal_segments import segment_start
from oms.records import COMMAND, EVENT, RecordKind
from tests.oms.journals import SESSION, SMALL, Facts, events, facts, write_segments


def read_all(path: Path) -> list[Facts]:
    return [facts(entry) for entry in read_journal(path)]


def test_a_session_goes_on_in_the_next_file_once_one_is_full(tmp_path: Path) -> None:
    files = write_segments(tmp_path)

    assert len(files) > 3
    assert [path.name for path in files[:2]] == [
        "01723075200000000000.000000.journal",
        "01723075200000000000.000001.journal",
    ]
    entries = read_all(files[0])
    assert [number for _, _, number, _, _ in entries] == list(range(len(entries)))
    assert [kind for kind, *_ in entries].count(MetaKind.SESSION) == len(files)
    assert entries[-1][0] == MetaKind.CLOSE
    assert all(path.stat().st_size >= SMALL for path in files[:-1])


def test_each_segment_says_where_it_begins(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    number = event = 0
    for i, path in enumerate(files):
        start = segment_start(path)
        assert start is not None
        assert (start.session, start.segment, start.account) == (SESSION, i, "paper")
        assert (start.first_number, start.first_event) == (number, event)
        last = JournalTail(path)
        for entry in last.read_segment():
            number = entry.number + 1
            event += len(entry.records) * (entry.kind == RecordKind.EVENT)


def test_segments_and_sessions_are_listed_in_order(tmp_path: Path) -> None:
    newer = write_segments(tmp_path, SESSION + 1)
    older = write_segments(tmp_path, SESSION)
    assert sessions(tmp_path) == [older[0], newer[0]]
    assert [session_of(path) for path in newer] == [SESSION + 1] * len(newer)
    assert segments(tmp_path, SESSION) == older


def test_a_tail_goes_from_file_to_file_while_they_are_written(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os", segment_bytes=SMALL)
    tail = JournalTail(journal.path)
    found: list[Facts] = []
    for seq in range(30):
        journal.append(RecordKind.EVENT, Direction.EVENT, events(seq, 1))
        journal.commit()
        found += [facts(entry) for entry in tail.read()]
        assert tail.number == found[-1][2] + 1
    journal.close()
    found += [facts(entry) for entry in tail.read()]

    assert found == read_all(journal.path)
    assert tail.closed
    assert tail.path == segments(tmp_path, SESSION)[-1]
    assert tail.unread_bytes == 0


def test_an_empty_or_cut_newest_segment_is_a_torn_end(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    content = files[-1].read_bytes()
    start = segment_start(files[-1])
    assert start is not None
    before = [entry for entry in read_all(files[0]) if entry[2] < start.first_number]
    for size in range(HEADER_BYTES + 128):
        files[-1].write_bytes(content[:size])
        reader = read_journal(files[0])
        assert [facts(entry) for entry in reader] == before
        assert reader.torn == ((0, size) if size else None)
        assert last_session_clean(tmp_path) is False


def test_a_missing_segment_is_named_and_what_follows_can_be_read(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    whole = read_all(files[0])
    files[1].unlink()
    found: list[Facts] = []

    with pytest.raises(MissingSegmentError, match=f"journal {files[1]} is missing between") as missing:
        found.extend(facts(entry) for entry in read_journal(files[0]))

    assert found == whole[: len(found)]
    resumed = JournalTail(missing.value.resume_path, missing.value.resume_offset, missing.value.resume_number)
    assert [facts(entry) for entry in resumed.read()] == whole[-sum(1 for _ in read_journal(files[2])) :]


def test_a_segment_that_is_cut_before_others_is_damage(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    os.truncate(files[0], files[0].stat().st_size - 1)
    with pytest.raises(JournalDamageError, match=f"{files[0]} is damaged at offset .* of {files[1].name}"):
        read_all(files[0])


def test_a_segment_under_another_ones_name_is_damage(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    shutil.copy(files[2], files[1])
    with pytest.raises(JournalDamageError, match=f"{files[1]} is damaged at offset 0"):
        read_all(files[0])


def test_every_flipped_byte_of_every_segment_is_named(tmp_path: Path) -> None:
    files = write_segments(tmp_path, rounds=1)
    whole = read_all(files[0])
    rng = np.random.default_rng(11)
    for path in files:
        content = path.read_bytes()
        for place in range(len(content)):
            damaged = bytearray(content)
            damaged[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            found: list[Facts] = []
            reader = read_journal(files[0])
            if path == files[-1] and place >= len(content) - HEADER_BYTES:
                found.extend(facts(entry) for entry in reader)
                assert reader.torn == (len(content) - HEADER_BYTES, HEADER_BYTES)
            else:
                with pytest.raises(JournalDamageError, match=f"{path} is damaged at offset"):
                    found.extend(facts(entry) for entry in reader)
            assert found == whole[: len(found)]
        path.write_bytes(content)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 8), st.integers(0, 2_000), st.integers(1, 900), st.integers(0, 2**32), st.booleans())
def test_damage_anywhere_never_gives_wrong_records(
    tmp_path_factory: pytest.TempPathFactory, segment: int, start: int, size: int, seed: int, removes: bool
) -> None:
    files = write_segments(tmp_path_factory.mktemp("damage"))
    whole = read_all(files[0])
    path = files[segment % len(files)]
    content = path.read_bytes()
    start %= len(content)
    noise = b"" if removes else np.random.default_rng(seed).bytes(len(content[start : start + size]))
    damaged = content[:start] + noise + content[start + size :]
    path.write_bytes(damaged)
    found: list[Facts] = []
    reader = read_journal(files[0])
    named = False
    try:
        found.extend(facts(entry) for entry in reader)
    except JournalError as error:
        # Where whole entries are missing at a file's end, the next one's beginning is what does not fit.
        named = any(str(each) in str(error) for each in files) and "is damaged at offset" in str(error)

    assert found == whole[: len(found)]
    if damaged != content:
        cut_at_end = path == files[-1] and content.startswith(damaged)
        assert named or reader.torn is not None or (cut_at_end and len(found) < len(whole))


def test_events_are_found_in_whichever_segment_they_are(tmp_path: Path) -> None:
    files = write_segments(tmp_path, rounds=6)
    write_segments(tmp_path, SESSION + 5)
    for seq in range(19):
        found = np.concatenate([records["seq"] for records in events_since(tmp_path, SESSION, seq)])
        assert found.tolist() == [*range(seq, 18), *range(6)]
        tail = tail_at_event(files[0], seq)
        start = segment_start(tail.path)
        assert start is not None
        assert start.first_event <= seq


def test_a_repair_in_a_large_segment_starts_near_the_wanted_event(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os", segment_bytes=3 * READ_BYTES)
    for seq in range(0, 90_000, 100):
        journal.append(RecordKind.EVENT, Direction.EVENT, events(seq, 100))
        journal.append(RecordKind.COMMAND, Direction.INPUT, np.zeros(3, COMMAND))
        journal.commit()
    journal.close()
    for wanted in (0, 1, 50_000, 89_999, 90_000):
        seqs = [records["seq"] for records in events_since(tmp_path, SESSION, wanted)]
        assert np.array_equal(np.concatenate(seqs) if seqs else [], np.arange(wanted, 90_000))
    assert tail_at_event(journal.path, 60_000).offset > 0


# ---- removal of old segments


def test_segments_before_an_entry_are_removed_and_the_newest_stays(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    starts = [segment_start(path) for path in files]
    third = starts[2]
    assert third is not None

    assert remove_before(tmp_path, SESSION, third.first_number - 1) == files[:1]
    assert remove_before(tmp_path, SESSION, third.first_number) == files[1:2]
    assert segments(tmp_path, SESSION) == files[2:]
    assert remove_before(tmp_path, SESSION, 10**9) == files[2:-1]
    assert segments(tmp_path, SESSION) == files[-1:]
    assert last_session_clean(tmp_path) is True


def test_what_remains_can_be_read(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    whole = read_all(files[0])
    start = segment_start(files[2])
    assert start is not None
    remove_before(tmp_path, SESSION, start.first_number)

    assert sessions(tmp_path) == files[2:3]
    assert read_all(files[2]) == [entry for entry in whole if entry[2] >= start.first_number]
    kept = np.concatenate(list(joined_events(read_journal(files[2]))))
    assert kept["seq"][0] == start.first_event


def test_events_that_were_removed_are_an_error_that_says_so(tmp_path: Path) -> None:
    files = write_segments(tmp_path)
    start = segment_start(files[2])
    assert start is not None
    remove_before(tmp_path, SESSION, start.first_number)
    with pytest.raises(JournalTruncatedError, match=f"events from {start.first_event - 1} on have been removed"):
        list(events_since(tmp_path, SESSION, start.first_event - 1))
    assert next(events_since(tmp_path, SESSION, start.first_event))["seq"][0] == start.first_event


def test_a_reader_whose_file_was_removed_is_told(tmp_path: Path) -> None:
    files = write_segments(tmp_path, close=False)
    tail = JournalTail(files[0])
    for path in files[:-1]:
        path.unlink()
    with pytest.raises(JournalTruncatedError, match="have been removed"):
        list(tail.read())


def test_files_go_one_by_one_oldest_first_each_for_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_segments(tmp_path)
    left: list[list[Path]] = []
    monkeypatch.setattr("oms.journal_segments.sync_folder", lambda folder: left.append(segments(folder, SESSION)))
    remove_before(tmp_path, SESSION, 10**9)
    assert left == [files[i:] for i in range(1, len(files))]


def test_removing_from_a_session_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="is missing: nothing can be removed before entry 3"):
        remove_before(tmp_path, SESSION, 3)


def test_one_commit_is_never_split(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, SESSION, "os", segment_bytes=SMALL)
    for seq in range(20):
        journal.append(RecordKind.EVENT, Direction.EVENT, events(seq, 1))
    journal.commit()
    journal.close()
    first, last = segments(tmp_path, SESSION)
    assert (
        sum(len(entry.records) for entry in JournalTail(first).read_segment() if entry.kind == RecordKind.EVENT) == 20
    )
    assert [entry.kind for entry in JournalTail(last).read_segment()] == [MetaKind.SESSION, MetaKind.CLOSE]
    assert EVENT.itemsize * 20 > SMALL
