"""What a replay sends: silences, passes, ends, and the book for whoever comes in the middle."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateways.book import BookRebuild, book_after
from gateways.decoder import Ticks
from gateways.feed import LOOP_GAP_NS, Feed
from gateways.progress import PROGRESS_FILE, ProgressFile
from gateways.recording import TickReader, read_ticks
from gateways.sidecar import Recording, open_recording
from oms.compiled import compile_entries
from oms.records import TICK, TickKind
from tests.gateways.reference import SPOT, SPOT_FILE, USDM, USDM_FILE
from tests.gateways.test_recording import real_lines, write_recording

compile_entries()
RECORDING = open_recording(USDM_FILE)


def whole(feed: Feed) -> Ticks:
    return np.concatenate(list(feed.batches()))


def levels_of(ticks: Ticks) -> dict[tuple[int, int], int]:
    """The book as a dictionary, built one record at a time."""
    book: dict[tuple[int, int], int] = {}
    update_id = -1
    for tick in ticks:
        if tick["kind"] == TickKind.SNAPSHOT and tick["flags"] & 1:
            book.clear()
        elif tick["kind"] == TickKind.DEPTH and tick["update_id"] < update_id:
            continue
        if tick["kind"] == TickKind.SNAPSHOT or (tick["kind"] == TickKind.DEPTH and update_id >= 0):
            update_id = int(tick["update_id"])
            if tick["side"]:
                book[int(tick["side"]), int(tick["px"])] = int(tick["qty"])
    return {level: qty for level, qty in book.items() if qty}


def test_a_feed_is_what_a_backtest_loads_with_the_quiet_times() -> None:
    feed = Feed(RECORDING, USDM, duration_s=20)
    loaded, _ = read_ticks(RECORDING, USDM, duration_s=20, quiet_times=True)
    assert whole(feed).tobytes() == loaded.tobytes()


@pytest.fixture
def short(tmp_path: Path) -> Recording:
    """The first 2,000 lines, some seven seconds."""
    return open_recording(write_recording(tmp_path / "short.gz", real_lines(2000)))


def test_a_looped_feed_goes_on_in_time_and_says_that_the_book_is_stale(short: Recording) -> None:
    once = whole(Feed(short, USDM))
    period = int(once["local_ts"][-1] - once["local_ts"][0]) + LOOP_GAP_NS
    duration_s = 2.4 * period / 1e9
    ticks = whole(Feed(short, USDM, duration_s=duration_s, loop=True))
    assert (np.diff(ticks["local_ts"]) >= 0).all()
    stale = np.flatnonzero(ticks["kind"] == TickKind.STALE)
    assert len(stale) == 2
    for number, start in enumerate([0, *(stale + 1)]):
        part = ticks[start : start + len(once)].copy()
        size = min(len(part), len(once))
        part["local_ts"] -= number * period
        part["exch_ts"] -= number * period
        assert part[:size].tobytes() == once[:size].tobytes()
    assert 2 * period < int(ticks["local_ts"][-1] - ticks["local_ts"][0]) < duration_s * 1e9


@pytest.mark.parametrize(
    "fraction", [0.2, 1.0, *(pytest.param(each, marks=pytest.mark.thorough) for each in (0.001, 0.83))]
)
def test_a_resumed_feed_begins_with_stale_and_the_book_and_goes_on_behind_the_position(fraction: float) -> None:
    ticks = whole(Feed(RECORDING, USDM, duration_s=12))
    position = int(ticks["local_ts"][int((len(ticks) - 1) * fraction)])
    feed = Feed(RECORDING, USDM, duration_s=12)
    feed.resume_ts = position
    resumed = whole(feed)
    before, after = ticks[ticks["local_ts"] <= position], ticks[ticks["local_ts"] > position]
    assert resumed[0]["kind"] == TickKind.STALE
    rest = resumed[resumed["local_ts"] > position]
    assert rest[rest["kind"] != TickKind.TIME].tobytes() == after[after["kind"] != TickKind.TIME].tobytes()
    taken_over = resumed[1 : len(resumed) - len(rest)]
    assert set(taken_over["local_ts"].tolist()) <= {position}
    assert levels_of(taken_over) == levels_of(before)
    assert levels_of(resumed) == levels_of(ticks)


def test_a_resumed_feeds_progress_counts_what_was_sent_before() -> None:
    ticks, counters = read_ticks(RECORDING, USDM, duration_s=4)
    feed = Feed(RECORDING, USDM)
    feed.resume_ts = int(ticks["local_ts"][-1])
    next(feed.batches())
    sent = int(np.count_nonzero(ticks["flags"] & 2))
    assert feed.progress(feed.resume_ts, 100) == pytest.approx((sent + 100) / RECORDING.messages)
    assert counters.messages >= sent
    timed = Feed(RECORDING, USDM, duration_s=20)
    next(timed.batches())
    assert timed.progress(timed.first_ts + 5 * 10**9, 0) == 0.25
    assert timed.progress(timed.first_ts + 50 * 10**9, 0) == 1


@pytest.mark.parametrize("fraction", [0.2, 0.9])
def test_a_looped_feed_resumes_in_the_pass_where_it_stood(fraction: float, short: Recording) -> None:
    ticks = whole(Feed(short, USDM, duration_s=30, loop=True))
    position = int(ticks["local_ts"][int(len(ticks) * fraction)])
    feed = Feed(short, USDM, duration_s=30, loop=True)
    feed.resume_ts = position
    resumed = whole(feed)
    after = ticks[ticks["local_ts"] > position]
    assert (np.diff(resumed["local_ts"]) >= 0).all()
    assert resumed["local_ts"][0] == position
    rest = resumed[resumed["local_ts"] > position]
    assert rest[rest["kind"] != TickKind.TIME].tobytes() == after[after["kind"] != TickKind.TIME].tobytes()
    assert resumed[1]["kind"] == TickKind.SNAPSHOT


@pytest.mark.parametrize(("file", "instrument"), [(USDM_FILE, USDM), (SPOT_FILE, SPOT)])
def test_the_rebuilt_book_ends_at_the_last_quote(file: Path, instrument: object) -> None:
    ticks, _ = read_ticks(open_recording(file), instrument, duration_s=60)  # type: ignore[arg-type]
    depth_ts = int(ticks["local_ts"][ticks["kind"] == TickKind.DEPTH][-1])
    quotes = ticks[(ticks["kind"] == TickKind.QUOTE)]
    book = book_after([ticks], depth_ts).snapshot(depth_ts)
    assert book is not None
    bid, ask = book["px"][0], book["px"][book["side"] < 0][0]
    assert (bid, ask) in set(zip(quotes["px"].tolist(), quotes["px_2"].tolist(), strict=True))
    assert book["flags"].tolist() == [1] + [0] * (len(book) - 2) + [2]
    assert (np.diff(book["px"][book["side"] > 0]) < 0).all()
    assert (np.diff(book["px"][book["side"] < 0]) > 0).all()


def depth(kind: TickKind, update_id: int, previous_id: int, levels: list[tuple[int, int, int]]) -> Ticks:
    ticks = np.zeros(max(len(levels), 1), TICK)
    ticks["kind"], ticks["update_id"], ticks["px_2"] = kind, update_id, previous_id
    for tick, (side, px, qty) in zip(ticks, levels, strict=False):
        tick["side"], tick["px"], tick["qty"] = side, px, qty
    ticks["flags"][0] = 1
    ticks["flags"][-1] |= 2
    return ticks


LEVELS = st.lists(st.tuples(st.sampled_from([1, -1]), st.integers(1, 6), st.integers(0, 3)), max_size=5)


@settings(max_examples=80, deadline=None)
@given(messages=st.lists(LEVELS, max_size=12), snapshot=LEVELS)
def test_a_book_rebuilt_in_bulk_is_the_one_that_is_built_record_by_record(
    messages: list[list[tuple[int, int, int]]], snapshot: list[tuple[int, int, int]]
) -> None:
    parts = [depth(TickKind.SNAPSHOT, 10, 10, snapshot)]
    parts += [depth(TickKind.DEPTH, 11 + number, 10 + number, levels) for number, levels in enumerate(messages)]
    ticks = np.concatenate(parts)
    book = BookRebuild()
    book.take(ticks)
    rebuilt = book.snapshot(77)
    assert rebuilt is not None
    assert levels_of(rebuilt) == levels_of(ticks)
    assert set(rebuilt["update_id"].tolist()) == {10 + len(messages)}


def test_a_gap_leaves_no_book_until_the_next_snapshot() -> None:
    book = BookRebuild()
    book.take(depth(TickKind.DEPTH, 9, 8, [(1, 5, 5)]))
    assert book.snapshot(1) is None
    book.take(depth(TickKind.SNAPSHOT, 10, 10, [(1, 5, 5)]))
    book.take(depth(TickKind.DEPTH, 9, 8, [(1, 4, 4)]))
    known = book.snapshot(1)
    assert known is not None
    assert levels_of(known) == {(1, 5): 5}
    book.take(depth(TickKind.DEPTH, 13, 12, [(1, 4, 4)]))
    assert book.snapshot(1) is None
    book.take(depth(TickKind.SNAPSHOT, 20, 20, []))
    empty = book.snapshot(1)
    assert empty is not None
    assert (len(empty), int(empty["side"][0]), int(empty["update_id"][0])) == (1, 0, 20)


@pytest.mark.pure
def test_ticks_without_a_level_leave_the_book_as_it_was() -> None:
    book = BookRebuild()
    trade = depth(TickKind.TRADE, 1, 0, [(1, 5, 5)])
    book.take(trade)
    book.take(trade[:0])
    assert book.snapshot(1) is None
    book.take(depth(TickKind.SNAPSHOT, 10, 10, [(1, 5, 5)]))
    book.take(np.concatenate([trade, trade]))
    known = book.snapshot(1)
    assert known is not None
    assert levels_of(known) == {(1, 5): 5}


@pytest.mark.parametrize("coarser", [{"tick": "0.5"}, {"lot": "0.005"}, {"tick": "0.5", "lot": "0.005"}])
def test_a_looped_feed_goes_on_in_a_grid_that_refuses_most_of_it(coarser: dict[str, str], short: Recording) -> None:
    feed = Feed(short, USDM, duration_s=30, loop=True)
    sent: list[Ticks] = []
    for batch in feed.batches():
        sent.append(batch)
        if np.count_nonzero(np.concatenate(sent)["kind"] == TickKind.STALE) == 2:
            break
    moment = int(sent[-1]["local_ts"][-1])
    feed.go_on(replace(USDM, version=2, **coarser), moment)
    after = whole(feed)
    assert after[0]["kind"] == TickKind.STALE
    assert after[0]["local_ts"] == moment
    assert (np.diff(after["local_ts"]) >= 0).all()
    assert set(after["version"][after["kind"] != TickKind.TIME].tolist()) == {2}
    assert np.count_nonzero(after["kind"] == TickKind.TRADE) > 0
    assert feed.counters.refused.total() > 0


def test_sequenced_batches_never_split_a_message() -> None:
    for batch in islice(TickReader(RECORDING, USDM, 4096).sequenced(), 200):
        assert batch["flags"][0] & 1
        assert batch["flags"][-1] & 2


def test_progress_is_kept_for_the_same_session_only(tmp_path: Path) -> None:
    session = tmp_path / "session.json"
    session.write_text("{}")
    first = ProgressFile(tmp_path, session)
    assert first.position == 0
    first.position = 123
    first.close()
    again = ProgressFile(tmp_path, session)
    assert again.position == 123
    again.close()
    other = tmp_path / "other.partial"
    other.write_text("{}")
    other.replace(session)
    assert ProgressFile(tmp_path, session).position == 0


@pytest.mark.parametrize("content", [b"", b"zRPL", b"x" * 32, b"x" * 500])
def test_a_damaged_progress_file_is_begun_anew(content: bytes, tmp_path: Path) -> None:
    session = tmp_path / "session.json"
    session.write_text("{}")
    (tmp_path / PROGRESS_FILE).write_bytes(content)
    assert ProgressFile(tmp_path, session).position == 0


def test_without_a_session_file_no_position_is_taken_over(tmp_path: Path) -> None:
    first = ProgressFile(tmp_path, tmp_path / "session.json")
    first.position = 5
    assert ProgressFile(tmp_path, tmp_path / "session.json").position == 0
