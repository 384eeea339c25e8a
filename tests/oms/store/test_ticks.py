"""Recorded ticks come back exactly; what could not be written is counted and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from oms.bus import Header, encode_frame
from oms.records import TICK, WIRE_VERSION, RecordKind, Source
from oms.store import tick_store
from oms.store.spool import Chunk, Spool, read_spool, spool_files
from oms.store.tick_files import (
    partial_files,
    publish_tick_files,
    read_ticks,
    stored_until,
    summarise_ticks,
    write_tick_file,
)
from oms.store.tick_store import TickStore, TickWriter
from tests.oms.store.support import INSTRUMENTS, Records, make_ticks, until

SESSION = 1_723_075_200_000_000_000


def take(store: TickStore, records: Records, seq: int, session: int = SESSION, source: int = Source.GATEWAY) -> None:
    store.add(Header(WIRE_VERSION, RecordKind.TICK, source, len(records), session, seq, 0), records)


def finish(store: TickStore) -> None:
    store.begin_finish()
    store.finish()


def pump_until(store: TickStore, holds: Callable[[], object]) -> None:
    def pumped() -> object:
        store.pump()
        return holds()

    until(pumped, f"{store.counters()}")


def recorded(folder: Path, instrument: int = 0, session: int = SESSION) -> Records:
    """Everything recorded of an instrument, file after file."""
    files = sorted((folder / "ticks" / f"{session:020d}").glob(f"{instrument}-*/*.parquet"))
    return np.concatenate([read_ticks(path) for path in files])


def test_ticks_come_back_exactly(tmp_path: Path) -> None:
    """Two ticks with one timestamp both stay, in their order."""
    ticks = make_ticks(10_000)
    assert len(np.unique(ticks["local_ts"])) == 5_000
    store = TickStore(tmp_path, INSTRUMENTS)
    for start in range(0, 10_000, 100):
        take(store, ticks[start : start + 100], start)
    finish(store)

    assert np.array_equal(recorded(tmp_path), ticks)
    assert store.counters() == {
        "ticks": 10_000,
        "ticks_lost": 0,
        "ticks_stored": 10_000,
        "ticks_unwritten": 0,
        "tick_write_errors": 0,
        "tick_queue": 0,
        "parquet_files": 1,
    }


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 400), seed=st.integers(0, 2**32))
def test_any_values_make_the_round_trip(tmp_path_factory: pytest.TempPathFactory, count: int, seed: int) -> None:
    ticks = np.frombuffer(np.random.default_rng(seed).bytes(count * TICK.itemsize), TICK)
    path = tmp_path_factory.mktemp("any") / "00000000000000000000.parquet"
    write_tick_file(path, [ticks[: count // 2], ticks[count // 2 :]], {})
    publish_tick_files([path])
    assert read_ticks(path).tobytes() == ticks.tobytes()


def test_a_file_has_the_fields_of_a_tick_and_says_what_it_is(tmp_path: Path) -> None:
    store = TickStore(tmp_path, INSTRUMENTS)
    take(store, make_ticks(10), 0)
    finish(store)
    (path,) = tmp_path.glob("ticks/*/*/*")

    schema = parquet.read_schema(path)

    assert path.relative_to(tmp_path) == Path(
        f"ticks/{SESSION:020d}/0-BTCUSDT.binance_usdm/00000000000000000000.parquet"
    )
    assert schema.names == list(TICK.names or ())
    assert [field.type.to_pandas_dtype() for field in schema] == [TICK[name].type for name in schema.names]
    assert schema.metadata[b"zoms.symbol"] == b"BTCUSDT.binance_usdm"
    assert schema.metadata[b"zoms.tick"] == b"0.10"
    assert schema.metadata[b"zoms.next_seq"] == b"10"


def test_each_instrument_has_its_folder_and_keeps_its_order(tmp_path: Path) -> None:
    ticks = make_ticks(9_000, instruments=3)
    store = TickStore(tmp_path, INSTRUMENTS)
    for start in range(0, 9_000, 37):
        take(store, ticks[start : start + 37], start)
    finish(store)

    for instrument in range(3):
        assert np.array_equal(recorded(tmp_path, instrument), ticks[ticks["instrument"] == instrument])
    summary = summarise_ticks(tmp_path)
    assert [(row.instrument, row.symbol, row.ticks, row.files, row.damaged) for row in summary] == [
        (0, "BTCUSDT.binance_usdm", 3_000, 1, 0),
        (1, "BTCUSDT.binance_spot", 3_000, 1, 0),
        (2, "unknown", 3_000, 1, 0),
    ]
    assert (summary[0].first_ts, summary[0].last_ts) == (ticks["local_ts"][0], ticks["local_ts"][8997])
    assert all(row.session == SESSION and row.size > 0 for row in summary)


def test_large_segments_become_files_while_recording_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tick_store, "CHUNK_TICKS", 100)
    monkeypatch.setattr(tick_store, "SEGMENT_TICKS", 1_000)
    store = TickStore(tmp_path, INSTRUMENTS)
    for start in range(0, 5_050, 50):
        take(store, make_ticks(50, start), start)
    pump_until(store, lambda: store.counters()["parquet_files"] == 5)
    assert partial_files(tmp_path) == []
    pump_until(store, lambda: len(spool_files(tmp_path)) == 1)  # of the segment that is not complete yet
    finish(store)

    assert store.counters()["parquet_files"] == 6
    assert np.array_equal(recorded(tmp_path), make_ticks(5_050))
    assert spool_files(tmp_path) == []


def test_old_segments_become_files_in_a_quiet_market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CHUNK_SECONDS", "SEGMENT_SECONDS", "RETRY_SECONDS"):
        monkeypatch.setattr(tick_store, name, 0.01)
    store = TickStore(tmp_path, INSTRUMENTS)
    take(store, make_ticks(3), 0)
    pump_until(store, lambda: store.counters()["ticks_stored"] == 3)
    finish(store)


def test_sessions_are_kept_apart(tmp_path: Path) -> None:
    store = TickStore(tmp_path, INSTRUMENTS)
    take(store, make_ticks(10), 0)
    take(store, make_ticks(20), 0, SESSION + 1)
    finish(store)
    assert [(row.session, row.ticks) for row in summarise_ticks(tmp_path)] == [(SESSION, 10), (SESSION + 1, 20)]
    assert store.lost == 0


def test_two_gateways_side_by_side_have_segments_of_their_own(tmp_path: Path) -> None:
    store = TickStore(tmp_path, INSTRUMENTS)
    for first in range(0, 100, 10):
        take(store, make_ticks(10, first), first)
        take(store, make_ticks(10, first), first, SESSION + 1, source=Source.GATEWAY + 8)
    take(store, make_ticks(10, 120), 120)
    finish(store)
    assert (store.lost, store.repeated) == (20, 0)
    assert [(row.session, row.ticks, row.files) for row in summarise_ticks(tmp_path)] == [
        (SESSION, 110, 1),
        (SESSION + 1, 100, 1),
    ]


def test_what_is_missing_in_the_stream_is_counted_and_what_repeats_is_stored_once(tmp_path: Path) -> None:
    store = TickStore(tmp_path, INSTRUMENTS)
    for first, count in ((0, 10), (10, 5), (5, 15), (20, 1), (0, 3), (30, 2)):
        take(store, make_ticks(count, first), first)
    take(store, make_ticks(4, 6), 6, SESSION + 1)
    finish(store)

    assert (store.lost, store.repeated) == (9 + 6, 10 + 3)
    assert recorded(tmp_path)["update_id"].tolist() == [*range(21), 30, 31]
    assert [text for kind, text, _ in store.notes if kind == "ticks_lost"] == [
        f"9 ticks from 21 on of gateway session {SESSION}",
        f"6 ticks from 0 on of gateway session {SESSION + 1}",
    ]


def test_a_full_queue_says_so_and_empties(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tick_store, "CHUNK_TICKS", 10)
    store = TickStore(tmp_path, INSTRUMENTS)
    seq = 0
    while not store.full:
        take(store, make_ticks(10, seq), seq)
        seq += 10
    pump_until(store, lambda: not store.full)
    finish(store)
    assert store.counters()["ticks_stored"] == seq


# ---- a recorder that was killed


def abandoned(folder: Path, ticks: Records, first_seq: int = 0) -> None:
    """What a killed recorder leaves: a spool, and perhaps a partial file."""
    writer = TickWriter(folder, INSTRUMENTS)
    for start in range(0, len(ticks), 10):
        writer.take(Source.GATEWAY, Chunk(SESSION, first_seq + start, ticks[start : start + 10]))


def test_ticks_of_a_killed_recorder_are_taken_over(tmp_path: Path) -> None:
    abandoned(tmp_path, make_ticks(100, instruments=2))
    left = tmp_path / "ticks" / f"{SESSION:020d}" / "0-x" / "00000000000000000000.parquet.partial"
    left.parent.mkdir()
    left.write_bytes(b"half a file")

    finish(TickStore(tmp_path, INSTRUMENTS))

    assert [row.ticks for row in summarise_ticks(tmp_path) if row.ticks] == [50, 50]
    assert spool_files(tmp_path) == partial_files(tmp_path) == []


def test_a_recorder_that_joins_a_stream_counts_what_it_missed(tmp_path: Path) -> None:
    abandoned(tmp_path, make_ticks(100))
    store = TickStore(tmp_path, INSTRUMENTS)
    take(store, make_ticks(20, 130), 130)
    finish(store)
    assert store.lost == 30
    assert stored_until(tmp_path, SESSION) == 150
    assert recorded(tmp_path)["update_id"].tolist() == [*range(100), *range(130, 150)]


def test_a_torn_spool_gives_its_whole_chunks(tmp_path: Path) -> None:
    spool = Spool.create(tmp_path, SESSION, 5)
    for seq in (5, 8, 11):
        spool.add(Chunk(SESSION, seq, make_ticks(3, seq)))
    content = spool.path.read_bytes()
    size = len(content) // 3
    for cut in range(0, len(content), 5):
        spool.path.write_bytes(content[:cut])
        chunks = list(read_spool(spool.path))
        assert [chunk.first_seq for chunk in chunks] == [5, 8, 11][: cut // size]


@settings(max_examples=80)
@given(st.binary(max_size=400), st.integers(0, 3))
def test_a_damaged_spool_never_gives_more_than_whole_frames(
    tmp_path_factory: pytest.TempPathFactory, garbage: bytes, whole: int
) -> None:
    path = tmp_path_factory.mktemp("spool") / "x.spool"
    frames = [encode_frame(RecordKind.TICK, 1, SESSION, number, 0, make_ticks(1, number)) for number in range(whole)]
    path.write_bytes(b"".join(frames) + garbage)
    chunks = list(read_spool(path))
    assert len(chunks) >= whole
    assert [chunk.first_seq for chunk in chunks[:whole]] == list(range(whole))


# ---- failing writes


def test_a_write_error_is_named_and_the_ticks_are_written_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session's folder cannot be made, because a file has its name."""
    monkeypatch.setattr(tick_store, "CHUNK_TICKS", 10)
    monkeypatch.setattr(tick_store, "SEGMENT_TICKS", 20)
    monkeypatch.setattr(tick_store, "RETRY_SECONDS", 0.01)
    in_the_way = tmp_path / "ticks" / f"{SESSION:020d}"
    in_the_way.parent.mkdir()
    in_the_way.write_text("")
    store = TickStore(tmp_path, INSTRUMENTS)
    for start in range(0, 100, 10):
        take(store, make_ticks(10, start), start)
    pump_until(store, lambda: store.counters()["tick_write_errors"] > 3)
    assert store.counters()["ticks_stored"] == 0
    in_the_way.unlink()
    finish(store)

    assert np.array_equal(recorded(tmp_path), make_ticks(100))
    assert store.counters()["ticks_unwritten"] == 0
    kind, text, _ = store.notes[0]
    assert kind == "tick_write_error"
    assert f"{in_the_way}" in text
    assert text.endswith("Not a directory; check the disk") or text.endswith("File exists; check the disk")


def test_ticks_that_cannot_be_written_for_long_are_given_up_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tick_store, "CHUNK_TICKS", 10)
    monkeypatch.setattr(tick_store, "SEGMENT_TICKS", 10)
    monkeypatch.setattr(tick_store, "UNWRITTEN_TICKS", 50)
    (tmp_path / "ticks").write_text("in the way")
    store = TickStore(tmp_path, INSTRUMENTS)
    for start in range(0, 200, 10):
        take(store, make_ticks(10, start), start)
        pump_until(store, lambda: not store.full)
    finish(store)
    assert store.counters()["ticks_unwritten"] == 200
    assert (tmp_path / "ticks").read_text() == "in the way"


def test_a_file_that_cannot_be_read_is_counted_in_the_summary(tmp_path: Path) -> None:
    for seq in (0, 10):
        store = TickStore(tmp_path, INSTRUMENTS)
        take(store, make_ticks(10, seq), seq)
        finish(store)
    first, second = sorted(tmp_path.glob("ticks/*/*/*.parquet"))
    content = first.read_bytes()
    first.write_bytes(content[: len(content) // 2])
    (row,) = summarise_ticks(tmp_path)
    assert (row.ticks, row.files, row.damaged) == (10, 1, 1)
    assert read_ticks(second)["update_id"].tolist() == list(range(10, 20))


def test_there_is_nothing_to_summarise_before_anything_is_recorded(tmp_path: Path) -> None:
    assert summarise_ticks(tmp_path) == []
    assert stored_until(tmp_path, SESSION) == 0
