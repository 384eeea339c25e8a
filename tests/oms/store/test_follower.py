"""The follower gives every event once and in order, whatever the socket loses, or says how many are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms.bus import Header
from oms.journal import Direction, EventBlock, Journal, journal_path
from oms.records import EVENT, WIRE_VERSION, RecordKind, Source
from oms.store.follower import ASIDE_FRAMES, EventFollower
from tests.oms.store.support import Records


def events(first_seq: int, count: int) -> Records:
    records = np.zeros(count, EVENT)
    records["seq"] = np.arange(first_seq, first_seq + count)
    return records


class Stream:
    """One core session: its journal, and frames of it for a follower."""

    def __init__(self, folder: Path, session: int) -> None:
        self.session = session
        self.seq = 0
        self.journal = Journal.create(folder, session, "os")

    def happen(self, count: int) -> tuple[Header, Records]:
        """Journal the next events and return their frame."""
        records = events(self.seq, count)
        self.seq += count
        self.journal.append(RecordKind.EVENT, Direction.EVENT, records)
        self.journal.commit()
        return frame(self.session, records)


def frame(session: int, records: Records) -> tuple[Header, Records]:
    seq = int(records["seq"][0]) if len(records) else 0
    return Header(WIRE_VERSION, RecordKind.EVENT, Source.CORE, len(records), session, seq, 0), records


def given_by(follower: EventFollower) -> list[tuple[int, int]]:
    """(session, seq) of everything that the follower gives now."""
    blocks: list[EventBlock] = []
    while (block := follower.next_block()) is not None:
        blocks.append(block)
    return [(block.session, seq) for block in blocks for seq in block.records["seq"].tolist()]


def whole(session: int, count: int, first: int = 0) -> list[tuple[int, int]]:
    return [(session, seq) for seq in range(first, count)]


def started(folder: Path, stored: dict[int, int] | None = None) -> EventFollower:
    follower = EventFollower(folder)
    follower.start(stored or {})
    return follower


def test_live_frames_are_given_as_they_come(tmp_path: Path) -> None:
    follower = started(tmp_path)
    stream = Stream(tmp_path, 5)
    follower.take(*stream.happen(3))
    assert given_by(follower) == whole(5, 3)
    follower.take(*stream.happen(2))
    assert given_by(follower) == whole(5, 5, 3)
    assert (follower.gaps_repaired, follower.lost, follower.notes) == (0, 0, [])


def test_what_is_in_the_journal_and_not_stored_comes_first(tmp_path: Path) -> None:
    for session, count in ((5, 10), (6, 4)):
        Stream(tmp_path, session).happen(count)
    third = Stream(tmp_path, 7)
    third.happen(20)
    follower = started(tmp_path, {5: 8, 6: 4})
    follower.take(*third.happen(1))

    assert given_by(follower) == [*whole(5, 10, 8), *whole(7, 21)]
    assert follower.lost == 0


def test_a_gap_is_filled_from_the_journal(tmp_path: Path) -> None:
    follower = started(tmp_path)
    stream = Stream(tmp_path, 5)
    follower.take(*stream.happen(3))
    given_by(follower)
    stream.happen(100)
    follower.take(*stream.happen(1))

    assert given_by(follower) == whole(5, 104, 3)
    assert (follower.gaps_repaired, follower.lost) == (1, 0)


def test_a_late_start_is_no_gap(tmp_path: Path) -> None:
    follower = started(tmp_path)
    assert given_by(follower) == []
    stream = Stream(tmp_path, 5)
    stream.happen(50)
    follower.take(*stream.happen(1))
    assert given_by(follower) == whole(5, 51)
    assert follower.gaps_repaired == 0


def test_a_new_session_brings_the_end_of_the_old_one(tmp_path: Path) -> None:
    """The old core was killed after it had journalled and before it published."""
    follower = started(tmp_path)
    old = Stream(tmp_path, 5)
    follower.take(*old.happen(3))
    assert given_by(follower) == whole(5, 3)
    old.happen(2)
    follower.take(*Stream(tmp_path, 6).happen(1))
    assert given_by(follower) == [*whole(5, 5, 3), *whole(6, 1)]


def test_a_session_that_is_older_than_the_last_is_stored_all_the_same(tmp_path: Path) -> None:
    """The machine's clock went back between two sessions."""
    follower = started(tmp_path)
    follower.take(*Stream(tmp_path, 50).happen(3))
    follower.take(*Stream(tmp_path, 40).happen(2))
    assert sorted(given_by(follower)) == [*whole(40, 2), *whole(50, 3)]


def test_what_was_journalled_and_never_published_is_given_on_request(tmp_path: Path) -> None:
    follower = started(tmp_path)
    stream = Stream(tmp_path, 5)
    follower.take(*stream.happen(3))
    given_by(follower)
    stream.happen(4)
    assert given_by(follower) == []
    follower.read_journal()
    assert given_by(follower) == whole(5, 7, 3)


def test_starting_again_gives_again_what_was_not_stored(tmp_path: Path) -> None:
    follower = started(tmp_path)
    stream = Stream(tmp_path, 5)
    follower.take(*stream.happen(30))
    assert given_by(follower) == whole(5, 30)
    follower.start({5: 10})
    follower.take(*stream.happen(1))
    assert given_by(follower) == whole(5, 31, 10)


def test_without_a_journal_live_frames_are_stored_and_gaps_are_counted(tmp_path: Path) -> None:
    follower = started(tmp_path / "none")
    follower.take(*frame(5, events(0, 3)))
    follower.take(*frame(5, events(10, 2)))
    follower.take(*frame(5, events(12, 2)))

    assert given_by(follower) == [*whole(5, 3), *whole(5, 14, 10)]
    assert follower.lost == 7
    assert follower.notes == [("events_lost", "7 events between 3 and 11 of core session 5 are not in the journal", 1)]


def test_repeated_and_overlapping_frames_are_given_once(tmp_path: Path) -> None:
    follower = started(tmp_path)
    for first, count in ((0, 5), (0, 5), (3, 4), (2, 2), (7, 1)):
        follower.take(*frame(5, events(first, count)))
    assert given_by(follower) == whole(5, 8)
    assert (follower.repeated, follower.lost) == (9, 0)


def test_a_frame_that_is_not_numbered_as_it_says_is_refused(tmp_path: Path) -> None:
    follower = started(tmp_path)
    header, records = frame(5, events(0, 3))
    for damaged in (events(1, 3), events(0, 0)):
        follower.take(header, damaged)
    records["seq"][2] = 9
    follower.take(header, records)
    assert given_by(follower) == []
    assert follower.malformed == 3


def test_more_frames_than_are_kept_aside_come_from_the_journal(tmp_path: Path) -> None:
    stream = Stream(tmp_path, 5)
    stream.happen(1)
    follower = started(tmp_path)
    for _ in range(ASIDE_FRAMES + 50):
        follower.take(*stream.happen(1))
    assert follower.room == 0
    assert given_by(follower) == whole(5, ASIDE_FRAMES + 51)
    assert follower.lost == 0


def test_damage_in_the_journal_costs_only_the_damaged_events(tmp_path: Path) -> None:
    stream = Stream(tmp_path, 5)
    for _ in range(50):
        stream.happen(2)
    path = journal_path(tmp_path, 5)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    follower = started(tmp_path)

    found = given_by(follower)

    assert len(found) == 98
    assert found == sorted(found)
    assert follower.lost == 2
    assert [kind for kind, *_ in follower.notes] == ["journal_damaged", "events_lost"]
    assert f"{path} is damaged at offset" in follower.notes[0][1]


def test_a_journal_that_cannot_be_read_is_noted_and_the_others_are_read(tmp_path: Path) -> None:
    Stream(tmp_path, 5).happen(2)
    journal_path(tmp_path, 6).mkdir()
    Stream(tmp_path, 7).happen(3)
    follower = started(tmp_path)
    assert given_by(follower) == [*whole(5, 2), *whole(7, 3)]
    assert follower.notes[0][0] == "journal_unreadable"
    assert "00000000000000000006.000000.journal cannot be read: Is a directory" in follower.notes[0][1]


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(["take", "drop", "twice", "take and give", "crash", "rewind"])),
        max_size=40,
    ),
    joined=st.integers(0, 3),
)
def test_every_event_is_given_once_whatever_the_socket_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]], joined: int
) -> None:
    """Frames are dropped and repeated, cores die, the store falls back: what is stored in the end is everything."""
    folder = tmp_path_factory.mktemp("journal")
    session = 1
    stream = Stream(folder, session)
    for _ in range(joined):
        stream.happen(1)
    follower = started(folder)
    stored: list[tuple[int, int]] = []
    expected: list[tuple[int, int]] = []
    for count, step in steps:
        if step == "crash":
            expected += whole(session, stream.seq)
            session += 1
            stream = Stream(folder, session)
            continue
        live = stream.happen(count)
        if step != "drop":
            follower.take(*live)
        if step == "twice":
            follower.take(*live)
        if step == "take and give":
            stored += given_by(follower)
        if step == "rewind":
            given_by(follower)  # a batch that the store refused
            progress: dict[int, int] = {}
            for each, seq in stored:
                progress[each] = seq + 1
            follower.start(progress)
    expected += whole(session, stream.seq)
    follower.read_journal()
    stored += given_by(follower)

    assert sorted(stored) == expected
    assert len(set(stored)) == len(stored)
    for number in range(1, session + 1):
        assert [seq for each, seq in stored if each == number] == sorted(seq for each, seq in stored if each == number)
    assert (follower.lost, follower.malformed, follower.notes) == (0, 0, [])
