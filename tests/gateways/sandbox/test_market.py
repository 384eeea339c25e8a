"""The recorded market, frame by frame: bytes as recorded, the book of an independent decode, passes that begin anew."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from gateways.book import BookRebuild, joined_ticks
from gateways.lines import RecordingError
from gateways.recording import read_ticks
from gateways.sandbox.market import BETWEEN_PASSES_NS, RecordedMarket
from gateways.sidecar import open_recording
from tests.gateways.sandbox.desk import RECORDING, shipped_instrument
from tests.gateways.test_recording import real_lines, write_recording

STEPS = 400


def new_market(file: Path = RECORDING, *, loop: bool = False) -> RecordedMarket:
    return RecordedMarket(open_recording(file), shipped_instrument(), loop=loop)


def test_frames_are_the_recorded_bytes() -> None:
    market = new_market()
    frames = market.open().frames + market.step(STEPS).frames
    with gzip.open(RECORDING) as lines:
        for frame, line in zip(frames, lines, strict=False):
            message = line.split(b" ", 1)[1].strip()
            assert frame.payload in message
            assert json.loads(frame.payload) == (json.loads(message).get("data") or json.loads(message))


@pytest.mark.parametrize("count", [1, 7, STEPS])
def test_steps_of_any_length_come_to_the_same(count: int) -> None:
    market, whole = new_market(), new_market()
    market.open()
    whole.open()
    batches = [market.step(min(count, STEPS - done)) for done in range(0, STEPS, count)]
    expected = whole.step(STEPS)
    assert [frame for batch in batches for frame in batch.frames] == expected.frames
    np.testing.assert_array_equal(joined_ticks([batch.ticks for batch in batches]), expected.ticks)
    assert (market.quote, list(market.trades)) == (whole.quote, list(whole.trades))
    np.testing.assert_array_equal(market.book(), whole.book())


def test_book_is_that_of_the_whole_decode() -> None:
    market = new_market()
    market.open()
    market.step(STEPS)
    recording = open_recording(RECORDING)
    ticks, _ = read_ticks(recording, shipped_instrument(), duration_s=30)
    expected = BookRebuild()
    expected.take(ticks[ticks["local_ts"] <= market.ts])
    snapshot = expected.snapshot(market.ts)
    assert snapshot is not None
    np.testing.assert_array_equal(market.book(), snapshot)


def test_decimals_are_the_recordings() -> None:
    market = new_market()
    market.open()
    assert (market.px_decimals, market.qty_decimals) == (2, 3)


def test_loop_begins_anew_with_time_going_on(tmp_path: Path) -> None:
    file = write_recording(tmp_path / "x.gz", real_lines(300))
    market = new_market(file, loop=True)
    frames = market.open().frames
    while not frames[-1].restarts:
        (frame,) = market.step().frames
        frames.append(frame)
    assert not market.is_in_step
    assert frames[-1].payload == frames[0].payload
    assert frames[-1].ts == frames[-2].ts + BETWEEN_PASSES_NS
    while not market.is_in_step:
        market.step()
    assert len(market.book())


def test_end_is_told(tmp_path: Path) -> None:
    market = new_market(write_recording(tmp_path / "x.gz", real_lines(300)))
    count = len(market.open().frames) + len(market.step(1000).frames)
    assert count == 300
    assert market.step().frames == []


def test_recording_without_a_snapshot_is_refused(tmp_path: Path) -> None:
    lines = [line for line in real_lines(300) if b'"lastUpdateId"' not in line]
    with pytest.raises(RecordingError, match="no depth snapshot"):
        new_market(write_recording(tmp_path / "x.gz", lines)).open()
