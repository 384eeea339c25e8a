"""Recordings: what a file is, what becomes of its lines, and what a damaged one still gives."""

from __future__ import annotations

import gzip
import shutil
import tomllib
import warnings
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gateways
from gateways.decoder import Ticks
from gateways.lines import LineReader, RecordingError
from gateways.recording import (
    MAX_SILENCE_NS,
    QUIET_NS,
    ReadCounters,
    RecordingWarning,
    TickReader,
    load_ticks,
    read_ticks,
    time_ticks,
    with_quiet_times,
)
from gateways.sidecar import detect, open_recording, sidecar_path
from oms.compiled import JIT, compile_entries
from oms.instruments import Instrument
from oms.records import Reason, TickKind
from tests.gateways.reference import COINM, COINM_FILE, SPOT, SPOT_FILE, USDM, USDM_FILE

DEMO_FILE = Path(gateways.__file__).parent / "recordings" / "usdm_btcusdt_20240808_60s.gz"

compile_entries()


@cache
def real_lines(count: int) -> tuple[bytes, ...]:
    return tuple(gzip.decompress(USDM_FILE.read_bytes()).splitlines()[:count])


def write_recording(path: Path, lines: Iterable[bytes], *, described: bool = True) -> Path:
    """A recording of USD-M lines, gzip when its name says so, with the sidecar of the real one."""
    text = b"".join(line + b"\n" for line in lines)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    if described:
        shutil.copy(sidecar_path(USDM_FILE), sidecar_path(path))
    return path


def read(path: Path, instrument: Instrument = USDM) -> tuple[Ticks, ReadCounters]:
    return read_ticks(open_recording(path), instrument)


def test_the_demo_recording_is_the_beginning_of_the_full_one() -> None:
    demo = gzip.decompress(DEMO_FILE.read_bytes()).splitlines()
    assert demo == list(real_lines(len(demo)))
    recording = open_recording(DEMO_FILE)
    assert (len(demo), recording.venue, recording.symbol) == (recording.messages, "binance_usdm", "BTCUSDT")
    assert int(demo[-1][:19]) - int(demo[0][:19]) > 74 * 10**9


@pytest.mark.parametrize("file", [USDM_FILE, SPOT_FILE, COINM_FILE])
def test_the_sidecars_facts_are_those_that_are_detected_without_it(file: Path, tmp_path: Path) -> None:
    bare = shutil.copy(file, tmp_path / file.name)
    found = detect(Path(bare))
    stored = open_recording(file)
    for fact in ("venue", "symbol", "messages", "clock_offset_ns"):
        assert getattr(found, fact) == getattr(stored, fact)
    assert "detected" in found.note
    assert not stored.note
    assert open_recording(Path(bare)) == found


@pytest.mark.parametrize(("file", "instrument"), [(USDM_FILE, USDM), (SPOT_FILE, SPOT), (COINM_FILE, COINM)])
def test_after_the_offset_nothing_is_received_before_it_was_sent_and_time_never_goes_back(
    file: Path, instrument: Instrument
) -> None:
    ticks, counters = read_ticks(open_recording(file), instrument, duration_s=20)
    assert (ticks["local_ts"] >= ticks["exch_ts"]).all()
    assert (np.diff(ticks["local_ts"]) >= 0).all()
    assert counters.set_back == 0


def test_bad_lines_are_counted_under_their_reasons_and_the_rest_goes_on(tmp_path: Path) -> None:
    good = real_lines(80)
    trade = next(line for line in good if b"@trade" in line)
    bad = {
        b"garbage": Reason.MALFORMED,
        b"\x00\xff\x80": Reason.MALFORMED,
        trade[5:]: Reason.MALFORMED,
        trade[:-1]: Reason.MALFORMED,
        trade.replace(b'"p":"6', b'"p":"-6'): Reason.MALFORMED,
        trade.replace(b'0","q"', b'5","q"'): Reason.BAD_PRICE,
        trade.replace(b'","X"', b'5","X"'): Reason.QTY_BELOW_MIN,
        trade.replace(b'"p":"', b'"p":"99999999999999999999'): Reason.OVERFLOW,
        trade.replace(b"BTCUSDT", b"ETHUSDT"): Reason.UNKNOWN_INSTRUMENT,
        trade.replace(b"btcusdt", b"ethusdt"): Reason.UNKNOWN_INSTRUMENT,
    }
    ignored = [
        trade.replace(b"@trade", b"@aggTrade"),
        trade.replace(b"MARKET", b"INSURANCE_FUND"),
        trade[:20] + b'{"result":null,"id":1}',
    ]
    path = write_recording(tmp_path / "mixed.gz", [*good[:40], *bad, b"", *ignored, *good[40:]])
    ticks, counters = read(path)
    expected, _ = read(write_recording(tmp_path / "good.gz", good))
    assert ticks.tobytes() == expected.tobytes()
    assert counters.messages == len(good)
    assert counters.ignored == len(ignored)
    assert counters.refused == {reason: list(bad.values()).count(reason) for reason in set(bad.values())}
    assert counters.problems[Reason.MALFORMED].startswith(f"{path}:41: b'garbage'")
    assert counters.problems[Reason.BAD_PRICE].startswith(f"{path}:46: ")
    assert "is not on BTCUSDT's tick 0.1" in counters.problems[Reason.BAD_PRICE]
    assert len(counters.summary()) == len(set(bad.values()))


@settings(max_examples=20, deadline=None)
@given(cut=st.floats(0.01, 0.999))
def test_a_truncated_gzip_file_gives_every_whole_line_before_the_damage(
    cut: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "cut.gz"
    whole = gzip.compress(b"".join(line + b"\n" for line in real_lines(300)))
    path.write_bytes(whole[: max(int(len(whole) * cut), 30)])
    reader = LineReader(path)
    text = b"".join(reader.chunks())
    kept = text.splitlines()
    assert kept == list(real_lines(300)[: len(kept)])
    assert text.endswith(b"\n") or not text
    assert "truncated" in reader.damage


def test_the_lines_before_a_corrupt_byte_are_read_and_the_damage_is_reported(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "corrupt.gz", real_lines(5000))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    path.write_bytes(content)
    ticks, counters = read(path)
    assert counters.messages > 1000
    expected, _ = read(write_recording(tmp_path / "whole.gz", real_lines(5000)))
    same = ticks[:1000] == expected[:1000]
    assert same.all()
    assert f"{path} is corrupt" in counters.damage
    assert "everything before the damage was read" in counters.summary()[-1]


def test_joined_gzip_members_plain_text_and_windows_lines_read_the_same(tmp_path: Path) -> None:
    lines = real_lines(120)
    expected, _ = read(write_recording(tmp_path / "one.gz", lines))
    joined = write_recording(tmp_path / "joined.gz", [])
    halves = [b"".join(line + b"\n" for line in half) for half in (lines[:50], lines[50:])]
    joined.write_bytes(b"".join(map(gzip.compress, halves)) + bytes(512))
    plain = write_recording(tmp_path / "plain.txt", lines)
    plain.write_bytes(plain.read_bytes().rstrip(b"\n"))
    windows = write_recording(tmp_path / "windows.txt", [line + b"\r" for line in lines])
    for path in (joined, plain, windows):
        ticks, counters = read(path)
        assert ticks.tobytes() == expected.tobytes()
        assert not counters.summary()
        assert counters.slow == 0


@settings(max_examples=25, deadline=None)
@given(chunk_bytes=st.integers(4, 60_000))
def test_the_size_of_the_chunks_makes_no_difference(chunk_bytes: int) -> None:
    recording = open_recording(DEMO_FILE)
    limit = 3000
    pieces: list[Ticks] = []
    for batch in TickReader(recording, USDM, chunk_bytes).batches():
        pieces.append(batch)
        assert batch["flags"][0] & 1
        assert batch["flags"][-1] & 2
        if sum(map(len, pieces)) > limit:
            break
    ticks = np.concatenate(pieces)[:limit]
    assert ticks.tobytes() == _first_ticks(limit)


@cache
def _first_ticks(count: int) -> bytes:
    return next(TickReader(open_recording(DEMO_FILE), USDM, 4_000_000).batches())[:count].tobytes()


def test_a_timestamp_that_goes_back_is_set_to_its_predecessors_and_a_leap_of_days_is_refused(tmp_path: Path) -> None:
    lines = list(real_lines(60))
    stamp = int(lines[30][:19])
    lines[30] = b"%d" % (stamp - 5_000_000_000) + lines[30][19:]
    lines[40] = b"%d" % (int(lines[40][:19]) + 2 * MAX_SILENCE_NS) + lines[40][19:]
    ticks, counters = read(write_recording(tmp_path / "back.gz", lines))
    assert (np.diff(ticks["local_ts"]) >= 0).all()
    assert counters.set_back == 1
    assert counters.refused == {Reason.MALFORMED: 1}
    assert "over a day after the line before it" in counters.problems[Reason.MALFORMED]


def test_a_snapshot_and_the_newer_updates_before_it_come_in_sequence() -> None:
    ticks, _ = read_ticks(open_recording(USDM_FILE), USDM, duration_s=10)
    heads = ticks[
        (ticks["flags"] & 1 != 0) & ((ticks["kind"] == TickKind.DEPTH) | (ticks["kind"] == TickKind.SNAPSHOT))
    ]
    start = int(np.flatnonzero(heads["kind"] == TickKind.SNAPSHOT)[0])
    assert (heads["px_2"][start + 1 :] <= heads["update_id"][start:-1]).all()


def test_duration_ends_the_ticks_that_much_recorded_time_after_the_first() -> None:
    ticks, _ = read_ticks(open_recording(USDM_FILE), USDM, duration_s=2.5)
    whole, _ = read_ticks(open_recording(USDM_FILE), USDM, duration_s=5)
    within = whole["local_ts"] < whole["local_ts"][0] + 2_500_000_000
    assert ticks.tobytes() == whole[within].tobytes()
    assert 0 < len(ticks) < len(whole)


def test_load_ticks_warns_about_what_it_could_not_use(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "bad.gz", [*real_lines(60), b"garbage"], described=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ticks = load_ticks(path, USDM)
    assert len(ticks) > 60
    texts = [str(warning.message) for warning in caught if warning.category is RecordingWarning]
    assert len(texts) == 2
    assert "has no bad.toml beside it" in texts[0]
    assert "1 refused as MALFORMED" in texts[1]


@pytest.mark.skipif(not JIT, reason="decodes a whole recording")
def test_the_documents_example_runs_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(gateways.__file__).parent.parent
    document = (root / "docs" / "recordings.md").read_text()
    code = document.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(root)
    names: dict[str, object] = {}
    exec(code, names)
    claimed = code.partition("# ")[2].split()[0].replace(",", "")
    assert len(cast("Ticks", names["ticks"])) == int(claimed)


def test_the_documents_sidecar_is_the_real_one() -> None:
    document = (Path(gateways.__file__).parent.parent / "docs" / "recordings.md").read_text()
    shown = tomllib.loads(document.partition("```toml\n")[2].partition("```")[0])
    assert shown == tomllib.loads(sidecar_path(USDM_FILE).read_text())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.gz", None, ["does not exist", "give the path"]),
        ("text.gz", real_lines(1)[0], ["is not gzip", "rename it"]),
        ("empty.gz", b"", ["is empty"]),
        ("noise.bin", bytes(range(256)) * 20, ["holds no line", "noise.bin.toml"]),
        ("hollow.gz", gzip.compress(b"", mtime=0), ["holds no line"]),
        ("header.gz", gzip.compress(b"x", mtime=0)[:6], ["holds no line", "truncated"]),
    ],
)
def test_a_file_that_is_no_recording_is_refused_with_its_name_and_the_remedy(
    name: str, content: bytes | None, words: list[str], tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        open_recording(path)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_a_recording_without_one_good_line_is_refused_with_the_first_bad_one(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "bad.gz", [b"one", b"two"])
    with pytest.raises(RecordingError, match=r"gives no binance_usdm BTCUSDT tick: .*bad\.gz:1: b'one'"):
        read(path)


def test_another_instrument_is_refused() -> None:
    recording = open_recording(USDM_FILE)
    other = Instrument(id=9, symbol="ETHUSDT", venue="binance_usdm", kind="linear_perpetual", tick="0.01", lot="0.001")
    with pytest.raises(RecordingError, match="is of BTCUSDT, not of ETHUSDT"):
        TickReader(recording, other)
    with pytest.raises(RecordingError, match="binance_usdm trades linear_perpetual"):
        TickReader(recording, SPOT)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("venue = 'binance_usdm'", ["missing required field"]),
        ("not toml", ["cannot be used"]),
        (
            "venue='bitmex'\nsymbol='XBTUSD'\nclock_offset_ns=0\nmessages=1\nrecorded=''\nsource=''\nlicence=''",
            ["bitmex"],
        ),
        (
            "venue='binance_usdm'\nsymbol='B'\nclock_offset_ns=1000000000000000000\nmessages=1\nrecorded=''\nsource=''\n"
            "licence=''",
            ["clock_offset_ns 1000000000000000000"],
        ),
    ],
)
def test_a_wrong_sidecar_is_refused_by_name(text: str, words: list[str], tmp_path: Path) -> None:
    path = write_recording(tmp_path / "x.gz", real_lines(3))
    sidecar_path(path).write_text(text)
    with pytest.raises(RecordingError) as caught:
        open_recording(path)
    for word in ["x.", *words]:
        assert word in str(caught.value)


@settings(max_examples=80, deadline=None)
@given(gaps=st.lists(st.integers(0, 5 * QUIET_NS), min_size=1, max_size=8), joined=st.booleans())
def test_quiet_times_fill_every_silence_and_nothing_else(gaps: list[int], joined: bool) -> None:
    start = 10**18
    ts = start + np.cumsum(gaps)
    ticks = time_ticks(ts, 3, TickKind.TRADE)
    both = with_quiet_times(ticks, start if joined else None)
    assert both[both["kind"] == TickKind.TRADE].tobytes() == ticks.tobytes()
    times = ([start] if joined else []) + both["local_ts"].tolist()
    assert max(np.diff(times), default=0) <= QUIET_NS
    events = ([start] if joined else []) + ts.tolist()
    expected = [
        before + QUIET_NS * number
        for before, after in pairwise(events)
        for number in range(1, (after - before - 1) // QUIET_NS + 1)
    ]
    assert both["local_ts"][both["kind"] == TickKind.TIME].tolist() == expected
    assert set(both["instrument"].tolist()) == {3}
