"""The bus: frames come whole or are refused, what is lost is known exactly, and lossless means it."""

from __future__ import annotations

import itertools
import socket as socket_module
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from oms import bus
from oms.bus import (
    HEADER_BYTES,
    BusError,
    Frame,
    FrameError,
    Header,
    Publisher,
    Puller,
    Pusher,
    Receiver,
    Subscriber,
    Tracker,
    decode_frame,
    encode_frame,
    ipc_endpoint,
    new_context,
)
from oms.records import FRAME, RECORD_DTYPES, TICK, WIRE_VERSION, Reason, RecordKind, Source

ANY_PORT = "tcp://127.0.0.1:*"
DEADLINE_S = 20.0

int64 = st.integers(-(2**63), 2**63 - 1)
kinds = st.sampled_from(list(RECORD_DTYPES))


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    made = new_context()
    yield made
    made.destroy(linger=0)


def ticks(count: int, first_update_id: int = 0) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    records = np.zeros(count, TICK)
    records["update_id"] = np.arange(first_update_id, first_update_id + count)
    return records


def header(
    *, seq: int, count: int = 1, session: int = 100, source: int = Source.GATEWAY, kind: int = RecordKind.TICK
) -> Header:
    return Header(WIRE_VERSION, kind, source, count, session, seq, 0)


def receive(receiver: Receiver, wanted: Callable[[], bool] | None = None) -> Frame | None:
    """The next frame; None once ``wanted`` is true or, without it, never: it fails when nothing comes for long."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        frame = receiver.receive()
        if frame is not None:
            return frame
        if wanted is not None and wanted():
            return None
        receiver.socket.poll(20)
    raise AssertionError("nothing came")


def connected(publisher: Publisher, count: int = 1) -> None:
    assert publisher.wait_for_subscribers(count, DEADLINE_S)


# ---- frames


@given(
    kind=kinds,
    count=st.integers(0, 5),
    source=st.integers(0, 2**16 - 1),
    numbers=st.tuples(int64, int64),
    body=st.data(),
)
def test_a_frame_makes_the_round_trip(
    kind: RecordKind, count: int, source: int, numbers: tuple[int, int], body: st.DataObject
) -> None:
    size = count * RECORD_DTYPES[kind].itemsize
    records = np.frombuffer(body.draw(st.binary(min_size=size, max_size=size)), RECORD_DTYPES[kind])
    seq = body.draw(st.integers(0, 2**63 - 1))

    found, got = decode_frame(encode_frame(kind, source, numbers[0], seq, numbers[1], records))

    assert found == (WIRE_VERSION, kind, source, count, numbers[0], seq, numbers[1])
    assert got.tobytes() == records.tobytes()
    assert got.dtype == RECORD_DTYPES[kind]
    assert not got.flags.writeable


def test_a_frame_header_is_the_declared_record() -> None:
    frame = encode_frame(RecordKind.TICK, Source.GATEWAY, 3, 4, 5, ticks(2))
    fields = np.frombuffer(frame, FRAME, 1)[0]
    assert fields.tolist() == (WIRE_VERSION, RecordKind.TICK, Source.GATEWAY, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda frame: b"", "0 bytes is shorter than its 32-byte header"),
        (lambda frame: frame[: HEADER_BYTES - 1], "31 bytes is shorter"),
        (lambda frame: frame[:-1], "159 bytes says 2 records of 64: it is truncated or corrupt"),
        (lambda frame: frame + b"\0", "161 bytes says 2 records"),
        (lambda frame: bytes([9]) + frame[1:], "wire version 9, this process speaks 2"),
        (lambda frame: frame[:1] + bytes([77]) + frame[2:], "unknown record kind 77"),
        (lambda frame: frame[:1] + bytes([RecordKind.HEARTBEAT]) + frame[2:], "unknown record kind 5"),
        (lambda frame: frame[:23] + b"\xff" + frame[24:], "negative sequence number"),
    ],
)
def test_a_malformed_frame_is_refused_with_its_reason(damage: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(FrameError, match=message) as refusal:
        decode_frame(damage(encode_frame(RecordKind.TICK, Source.GATEWAY, 3, 4, 5, ticks(2))))
    assert refusal.value.reason == Reason.MALFORMED


@settings(max_examples=200)
@given(
    st.binary(max_size=300) | st.binary(max_size=300).map(lambda tail: bytes([WIRE_VERSION, RecordKind.TICK]) + tail)
)
def test_any_bytes_are_a_whole_frame_or_refused(message: bytes) -> None:
    try:
        found, records = decode_frame(message)
    except FrameError:
        return
    assert encode_frame(found.kind, found.source, found.session, found.seq, found.sent_ts, records) == message


# ---- tracking


def test_a_tracker_counts_exactly_what_is_missing() -> None:
    tracker = Tracker()
    seqs = [(5, 2), (7, 1), (10, 3), (13, 1), (113, 1)]

    lost = [tracker.observe(header(seq=seq, count=count)) for seq, count in seqs]

    assert lost == [0, 0, 2, 0, 99]
    assert tracker.lost == 101


def test_a_tracker_takes_a_repeat_for_no_loss_and_goes_on_behind_it() -> None:
    tracker = Tracker()
    for seq, count in ((0, 4), (2, 2), (0, 4), (3, 3), (6, 1)):
        assert tracker.observe(header(seq=seq, count=count)) == 0
    assert (tracker.repeated, tracker.lost) == (3, 0)


def test_a_new_session_starts_at_zero() -> None:
    tracker = Tracker()
    tracker.observe(header(seq=50, session=100))
    assert tracker.observe(header(seq=0, count=2, session=200)) == 0
    assert tracker.observe(header(seq=2, session=200)) == 0
    assert tracker.observe(header(seq=3, session=300)) == 3


def test_sources_and_kinds_are_tracked_apart() -> None:
    tracker = Tracker()
    tracker.observe(header(seq=0, count=10))
    tracker.observe(header(seq=500, source=Source.CORE))
    tracker.observe(header(seq=900, kind=RecordKind.EVENT))
    assert tracker.observe(header(seq=10)) == 0
    assert tracker.observe(header(seq=502, source=Source.CORE)) == 1
    assert tracker.observe(header(seq=901, kind=RecordKind.EVENT)) == 0


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=60))
def test_lost_and_received_are_everything_that_was_sent(frames: list[tuple[int, bool]]) -> None:
    """Drop any frames between the first and the last."""
    tracker = Tracker()
    seqs = itertools.accumulate((count for count, _ in frames), initial=0)
    kept = [
        (seq, count)
        for place, (seq, (count, dropped)) in enumerate(zip(seqs, frames, strict=False))
        if not dropped or place in (0, len(frames) - 1)
    ]
    for seq, count in kept:
        tracker.observe(header(seq=seq, count=count))

    assert tracker.lost + sum(count for _, count in kept) == sum(count for count, _ in frames)


# ---- endpoints


def test_a_used_port_is_named_with_the_remedy(context: zmq.Context[Any]) -> None:
    first = Puller(context, ANY_PORT)
    with pytest.raises(BusError, match=f"{first.endpoint} is in use by another process: stop it, or choose another"):
        Publisher(context, first.endpoint, RecordKind.TICK, Source.GATEWAY)


def test_a_used_socket_file_is_not_taken_away(context: zmq.Context[Any], tmp_path: Path) -> None:
    endpoint = ipc_endpoint(tmp_path, "s")
    first = Puller(context, endpoint)
    with pytest.raises(BusError, match="is in use"):
        Puller(new_context(), endpoint)

    Pusher(context, endpoint, RecordKind.TICK, Source.GATEWAY).send(ticks(1))
    frame = receive(first)
    assert frame is not None
    assert len(frame.records) == 1


def test_a_socket_file_left_by_a_killed_process_is_taken_over(context: zmq.Context[Any], tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket_module.socket(socket_module.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    puller = Puller(context, f"ipc://{path}")
    Pusher(context, puller.endpoint, RecordKind.TICK, Source.GATEWAY).send(ticks(2))
    assert receive(puller) is not None


def test_an_endpoint_that_cannot_be_bound_is_named(context: zmq.Context[Any], tmp_path: Path) -> None:
    for endpoint in (f"ipc://{tmp_path}/none/s", "tcp://256.0.0.1:5", "nonsense"):
        with pytest.raises(BusError, match=f"cannot bind {endpoint}"):
            Puller(context, endpoint)


def test_a_socket_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="over 100 bytes, more than the system takes: choose a shorter data folder"):
        ipc_endpoint(tmp_path / ("x" * 100), "ticks")


# ---- sending and receiving


def test_frames_are_numbered_by_their_records(context: zmq.Context[Any]) -> None:
    puller = Puller(context, ANY_PORT)
    pusher = Pusher(context, puller.endpoint, RecordKind.TICK, Source.EXECUTION)
    for count in (3, 0, 1, 5):
        pusher.send(ticks(count))

    frames = [receive(puller) for _ in range(3)]

    assert [(frame.header.seq, len(frame.records), frame.lost) for frame in frames if frame] == [
        (0, 3, 0),
        (3, 1, 0),
        (4, 5, 0),
    ]
    assert all(frame and frame.header.session == pusher.session for frame in frames)


def test_more_records_than_a_message_may_hold_go_in_several(
    context: zmq.Context[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "MAX_FRAME_BYTES", 64 * 100)
    puller = Puller(context, ANY_PORT)
    Pusher(context, puller.endpoint, RecordKind.TICK, Source.GATEWAY).send(ticks(250))
    frames = [frame for _ in range(3) if (frame := receive(puller))]
    assert [len(frame.records) for frame in frames] == [99, 99, 52]
    assert np.array_equal(np.concatenate([frame.records["update_id"] for frame in frames]), np.arange(250))
    assert puller.tracker.lost == 0


def test_malformed_messages_are_counted_and_passed(context: zmq.Context[Any]) -> None:
    puller = Puller(context, ANY_PORT)
    pusher = Pusher(context, puller.endpoint, RecordKind.TICK, Source.GATEWAY)
    good = encode_frame(RecordKind.TICK, Source.GATEWAY, 1, 0, 0, ticks(1))
    rng = np.random.default_rng(1)
    garbage = [b"", b"\x01", good[:-1], good + b"x", *(rng.bytes(int(size)) for size in rng.integers(0, 200, 50))]
    for message in garbage:
        pusher.socket.send(message)
    pusher.socket.send(good)

    frame = receive(puller)

    assert frame is not None
    assert frame.header.seq == 0
    assert (puller.frames, puller.malformed) == (1, len(garbage))
    assert puller.last_error.startswith("frame ")


def test_drain_takes_no_more_than_its_limit(context: zmq.Context[Any]) -> None:
    puller = Puller(context, ANY_PORT)
    pusher = Pusher(context, puller.endpoint, RecordKind.TICK, Source.GATEWAY)
    for _ in range(5):
        pusher.send(ticks(1))
    assert receive(puller) is not None
    found = 0
    while found < 4:
        found += (some := len(list(puller.drain(3))))
        assert some <= 3
    assert list(puller.drain(3)) == []


def test_a_subscriber_takes_only_the_kinds_that_it_asked_for(context: zmq.Context[Any]) -> None:
    events = Publisher(context, ANY_PORT, RecordKind.EVENT, Source.CORE)
    prices = Publisher(context, ANY_PORT, RecordKind.TICK, Source.GATEWAY)
    both = Subscriber(context, [events.endpoint, prices.endpoint], [RecordKind.TICK])
    connected(events)
    connected(prices)
    events.send(np.zeros(1, RECORD_DTYPES[RecordKind.EVENT]))
    prices.send(ticks(1))
    frame = receive(both)
    assert frame is not None
    assert frame.header.kind == RecordKind.TICK
    assert both.receive() is None


def test_subscribers_are_counted_when_they_come_go_and_die(context: zmq.Context[Any], tmp_path: Path) -> None:
    publisher = Publisher(context, ipc_endpoint(tmp_path, "s"), RecordKind.TICK, Source.GATEWAY)
    assert not publisher.wait_for_subscribers(1, timeout_s=0.01)
    assert not publisher.wait_for_subscribers(1, timeout_s=DEADLINE_S, stopping=lambda: True)
    subscriber = Subscriber(context, [publisher.endpoint], [RecordKind.TICK])
    connected(publisher)
    script = (
        "import sys, time; from oms.bus import *; from oms.records import RecordKind\n"
        "s = Subscriber(new_context(), [sys.argv[1]], [RecordKind.TICK]); time.sleep(60)"
    )
    other = subprocess.Popen([sys.executable, "-c", script, publisher.endpoint])
    try:
        connected(publisher, 2)
    finally:
        other.kill()
        other.wait()
    assert until(lambda: publisher.poll_subscribers(20) == 1)
    subscriber.close()
    assert until(lambda: publisher.poll_subscribers(20) == 0)


def test_a_message_that_is_no_subscription_changes_nothing(context: zmq.Context[Any]) -> None:
    publisher = Publisher(context, ANY_PORT, RecordKind.TICK, Source.GATEWAY)
    stranger = context.socket(zmq.XSUB)
    stranger.connect(publisher.endpoint)
    stranger.send(b"\x01" + bytes([WIRE_VERSION, RecordKind.TICK]))
    connected(publisher)
    stranger.send(b"garbage")
    stranger.send(b"\x01more")
    assert until(lambda: publisher.poll_subscribers(20) == 2)


def until(holds: Callable[[], object]) -> bool:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            return False
    return True


# ---- back-pressure and loss


def test_a_lossless_publisher_waits_for_a_slow_subscriber(context: zmq.Context[Any], tmp_path: Path) -> None:
    """Far more than all buffers hold is sent before the subscriber takes the first frame."""
    publisher = Publisher(context, ipc_endpoint(tmp_path, "s"), RecordKind.TICK, Source.GATEWAY, lossless=True)
    subscriber = Subscriber(context, [publisher.endpoint], [RecordKind.TICK])
    connected(publisher)
    frames, per_frame = 20_000, 16

    def send_all() -> None:
        for number in range(frames):
            publisher.send(ticks(per_frame, number * per_frame))

    sent = threading.Thread(target=send_all)
    sent.start()
    assert until(lambda: publisher.seq >= bus.LOSSLESS_HWM_FRAMES * per_frame)
    stuck_at = -1
    while stuck_at != publisher.seq:  # it stands still: the buffers are full, and nothing was taken yet
        stuck_at = publisher.seq
        sent.join(0.1)
    assert sent.is_alive()

    following = 0
    while following < frames * per_frame:
        frame = receive(subscriber)
        assert frame is not None
        assert frame.header.seq == following
        assert np.array_equal(frame.records["update_id"], np.arange(following, following + per_frame))
        following += per_frame
    sent.join()
    assert (subscriber.tracker.lost, subscriber.malformed) == (0, 0)


def test_a_publisher_that_may_drop_never_waits_and_the_loss_is_exact(
    context: zmq.Context[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus, "SEND_HWM_FRAMES", 20)
    monkeypatch.setattr(bus, "RECEIVE_HWM_FRAMES", 20)
    publisher = Publisher(context, ipc_endpoint(tmp_path, "s"), RecordKind.TICK, Source.GATEWAY)
    subscriber = Subscriber(context, [publisher.endpoint], [RecordKind.TICK])
    connected(publisher)
    rng = np.random.default_rng(5)
    publisher.send(ticks(1))
    first = receive(subscriber)
    assert first is not None
    for count in rng.integers(1, 200, 5_000).tolist():
        publisher.send(ticks(count, publisher.seq))

    received = len(first.records)
    last_end = 0
    while last_end < publisher.seq:  # the last frames may have been dropped: more are sent until one arrives
        publisher.send(ticks(1, publisher.seq))
        while (frame := receive(subscriber, wanted=lambda: True)) is not None:
            assert np.array_equal(
                frame.records["update_id"], np.arange(frame.header.seq, frame.header.seq + len(frame.records))
            )
            received += len(frame.records)
            last_end = frame.header.seq + len(frame.records)

    assert subscriber.tracker.lost > 0
    assert received + subscriber.tracker.lost == publisher.seq


def test_a_restarted_publisher_is_followed_and_nothing_counts_as_lost(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    endpoint = ipc_endpoint(tmp_path, "s")
    first = Publisher(context, endpoint, RecordKind.TICK, Source.GATEWAY)
    subscriber = Subscriber(context, [endpoint], [RecordKind.TICK])
    connected(first)
    first.send(ticks(10))
    assert receive(subscriber) is not None
    first.close()
    assert until(lambda: not bus._is_listened_to(endpoint.removeprefix("ipc://")))

    second = Publisher(context, endpoint, RecordKind.TICK, Source.GATEWAY)
    # a subscriber subscribes anew when its socket is used
    assert until(lambda: subscriber.socket.poll(20) or second.poll_subscribers() == 1)
    second.send(ticks(3))
    frame = receive(subscriber)

    assert frame is not None
    assert (frame.header.session, frame.header.seq, frame.lost) == (second.session, 0, 0)
