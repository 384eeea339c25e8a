"""The replay over real sockets, and the gateway as a real process that is killed and started again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateways.book import book_after
from gateways.decoder import Ticks
from gateways.feed import Feed
from gateways.lines import RecordingError
from gateways.recording import read_ticks
from gateways.replay import MAX_FRAME_RECORDS, RefusalLog, ReplaySummary, frame_end, parse_speed, replay_standalone
from gateways.sidecar import open_recording
from oms.bus import BusError, Frame, Publisher, Subscriber, bind, ipc_endpoint, new_context, new_socket
from oms.compiled import compile_entries
from oms.config import ConfigError, Settings, write_session
from oms.definitions import add_definitions
from oms.instruments import Instrument
from oms.lifecycle import Heartbeat, decode_heartbeat
from oms.records import Reason, RecordKind, Source, TickFlag, TickKind
from tests.gateways.reference import USDM_FILE, settings_for
from tests.gateways.test_recording import DEMO_FILE, real_lines, write_recording

DEADLINE_S = 30.0
INSTRUMENT = "BTCUSDT.binance_usdm"

compile_entries()


class Listener:
    """A subscriber of ticks that keeps what it gets."""

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        self.subscriber = Subscriber(context, [endpoint], [RecordKind.TICK])
        self.frames: list[Frame] = []

    def take_until(self, reached: Callable[[], bool]) -> None:
        """Receive frames until ``reached()``; fails at the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while not reached():
            assert time.monotonic() < deadline, f"only {len(self.frames)} frames came"
            self.subscriber.socket.poll(20)
            self.frames += self.subscriber.drain(10_000)

    @property
    def ticks(self) -> Ticks:
        return np.concatenate([frame.records for frame in self.frames])

    def last_ts(self) -> int:
        return int(self.frames[-1].records["local_ts"][-1]) if self.frames else 0


@contextmanager
def listening(endpoint: str) -> Iterator[Listener]:
    context = new_context()
    listener = Listener(context, endpoint)
    try:
        yield listener
    finally:
        listener.subscriber.close()
        context.destroy(linger=0)


class StandaloneReplay(threading.Thread):
    """``replay_standalone`` in a thread; ``states`` and ``counters`` are what it reported."""

    def __init__(self, settings: Settings, endpoint: str) -> None:
        super().__init__(daemon=True)
        self.settings = settings
        self.endpoint = endpoint
        self.states: list[str] = []
        self.ticks_reported: list[float] = []
        self.ending = threading.Event()
        self.held_up = threading.Event()
        self.reported = threading.Event()
        self.summary: ReplaySummary | None = None
        self.start()

    def run(self) -> None:
        self.summary = replay_standalone(self.settings, self.endpoint, report=self._report)

    def _report(self, counters: dict[str, float], state: str) -> bool:
        self.states.append(state)
        self.reported.set()
        self.ticks_reported.append(counters.get("ticks", 0.0))
        if len(self.ticks_reported) > 5 and len(set(self.ticks_reported[-4:])) == 1 and self.ticks_reported[-1]:
            self.held_up.set()
        return not self.ending.is_set()

    def finished(self) -> ReplaySummary:
        self.join(DEADLINE_S)
        assert self.summary is not None
        return self.summary


def test_flat_out_nothing_is_lost_and_the_order_is_kept(tmp_path: Path) -> None:
    settings = settings_for(USDM_FILE, tmp_path, duration_s=60)
    endpoint = ipc_endpoint(tmp_path, "ticks")
    expected, _ = read_ticks(
        open_recording(USDM_FILE), settings.instrument(INSTRUMENT), duration_s=60, quiet_times=True
    )
    replay = StandaloneReplay(settings, endpoint)
    assert replay.reported.wait(DEADLINE_S)  # nobody is there yet
    with listening(endpoint) as listener:
        listener.take_until(lambda: sum(len(frame.records) for frame in listener.frames) >= len(expected))
        summary = replay.finished()
    assert listener.ticks.tobytes() == expected.tobytes()
    assert listener.subscriber.tracker.lost == listener.subscriber.malformed == 0
    assert max(len(frame.records) for frame in listener.frames) <= MAX_FRAME_RECORDS
    assert (summary.ticks, summary.complete, summary.refused, summary.problems) == (len(expected), True, 0, [])
    assert summary.messages == int(((expected["flags"] & 2 != 0) & (expected["kind"] < TickKind.TIME)).sum())
    assert replay.states[0] == "waiting"
    assert replay.states[-1] == "done"


def test_a_subscriber_that_does_not_read_holds_the_replay_up_and_loses_nothing(tmp_path: Path) -> None:
    settings = settings_for(DEMO_FILE, tmp_path, loop=True)
    endpoint = ipc_endpoint(tmp_path, "ticks")
    with listening(endpoint) as listener:
        replay = StandaloneReplay(settings, endpoint)
        assert replay.held_up.wait(DEADLINE_S)
        held_at = replay.ticks_reported[-1]
        listener.take_until(lambda: sum(len(frame.records) for frame in listener.frames) > held_at + 100_000)
        replay.ending.set()
        summary = replay.finished()
        listener.take_until(lambda: sum(len(frame.records) for frame in listener.frames) == summary.ticks)
    assert listener.subscriber.tracker.lost == 0
    assert [frame.header.seq for frame in listener.frames] == np.cumsum(
        [0, *(len(frame.records) for frame in listener.frames[:-1])]
    ).tolist()
    assert not summary.complete
    assert (np.diff(listener.ticks["local_ts"]) >= 0).all()


@pytest.mark.parametrize("speed", ["1", "4"])
def test_a_paced_replay_sends_nothing_before_its_recorded_time(speed: str, tmp_path: Path) -> None:
    gaps_ms = [0, 30, 1, 0, 60, 20, 90, 5, 250, 10]
    trades = [line for line in real_lines(2000) if b"@trade" in line][: len(gaps_ms)]
    start = int(trades[0][:19])
    stamps = [start + at * 1_000_000 for at in np.cumsum(gaps_ms)]
    lines = [b"%d" % stamp + line[19:] for stamp, line in zip(stamps, trades, strict=True)]
    path = write_recording(tmp_path / "gaps.gz", lines)
    endpoint = ipc_endpoint(tmp_path, "ticks")
    before = time.time_ns()
    with listening(endpoint) as listener:
        replay = StandaloneReplay(settings_for(path, tmp_path, speed=speed), endpoint)
        listener.take_until(lambda: bool(listener.frames) and listener.last_ts() == listener_end(stamps))
        assert replay.finished().complete
    recorded = np.array([frame.records["local_ts"][-1] for frame in listener.frames])
    sent = np.array([frame.header.sent_ts for frame in listener.frames])
    early = (recorded - recorded[0]) / float(speed) - (sent - before)
    assert early.max() < 20_000_000  # as much as the wall clock may have been adjusted
    times = listener.ticks["kind"] == TickKind.TIME
    assert times.sum() == 2
    assert listener.ticks[~times]["update_id"].tolist() == sorted(listener.ticks[~times]["update_id"].tolist())


def listener_end(stamps: list[int]) -> int:
    return stamps[-1] - open_recording(USDM_FILE).clock_offset_ns


@given(
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=30),
    at=st.integers(0, 29),
    ahead=st.integers(1, 30),
)
def test_frames_hold_whole_messages_where_they_fit(sizes: list[int], at: int, ahead: int) -> None:
    ends = np.cumsum(sizes)
    first = min(at, len(sizes) - 1)
    last = min(first + ahead, len(sizes))
    start, due = int(ends[first] - sizes[first]), int(ends[last - 1])
    while start < due:
        stop = frame_end(ends, start, due)
        assert start < stop <= min(due, start + MAX_FRAME_RECORDS)
        message = int(np.searchsorted(ends, start, "right"))
        if int(ends[message]) - start <= MAX_FRAME_RECORDS:
            assert stop in ends
        start = stop


@pytest.mark.parametrize("speed", ["0", "-1", "abc", "nan", "inf", ""])
def test_a_speed_that_is_none_is_refused(speed: str) -> None:
    with pytest.raises(ConfigError, match="is not a factor above zero such as 1 or 10, nor 'max'"):
        parse_speed(speed)


def test_speeds_are_factors_or_max() -> None:
    assert [parse_speed(text) for text in ("1", "10", "0.5", "max")] == [1.0, 10.0, 0.5, None]


def test_an_endpoint_in_use_is_refused_by_name(tmp_path: Path) -> None:
    context = new_context()
    taken = new_socket(context, zmq.PULL)
    endpoint = bind(taken, "tcp://127.0.0.1:*")
    with pytest.raises(BusError, match=f"{endpoint} is in use"):
        replay_standalone(settings_for(DEMO_FILE, tmp_path), endpoint)
    context.destroy(linger=0)


def test_a_recording_of_no_instrument_of_the_settings_is_refused(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "eth.gz", [line.replace(b"BTCUSDT", b"ETHUSDT") for line in real_lines(60)])
    path.with_suffix(".toml").unlink()
    with pytest.raises(ConfigError, match=r"unknown instrument 'ETHUSDT\.binance_usdm'"):
        replay_standalone(settings_for(path, tmp_path), ipc_endpoint(tmp_path, "ticks"))
    with pytest.raises(RecordingError, match="does not exist"):
        replay_standalone(settings_for(tmp_path / "none.gz", tmp_path), ipc_endpoint(tmp_path, "ticks"))


class Gateway:
    """The gateway process of one session, and its heartbeats."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.session_file = write_session(settings)
        self._context = new_context()
        self._heartbeats = new_socket(self._context, zmq.PULL)
        bind(self._heartbeats, settings.heartbeat_endpoint)
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "oms.process", "gateway", str(self.session_file)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate()

    def stop(self) -> tuple[int, str]:
        """End it in good order; returns exit status and what it wrote to stderr."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, errors

    def wait_for(self, wanted: Callable[[Heartbeat], bool]) -> Heartbeat:
        """The first heartbeat of the running process that is ``wanted``."""
        assert self.process is not None
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if self._heartbeats.poll(100):
                beat = decode_heartbeat(self._heartbeats.recv())
                if beat is not None and beat.pid == self.process.pid and wanted(beat):
                    return beat
        raise AssertionError("the heartbeat did not come")

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._context.destroy(linger=0)


@contextmanager
def gateway(settings: Settings) -> Iterator[Gateway]:
    family = Gateway(settings)
    try:
        yield family
    finally:
        family.close()


def one_subscriber(file: Path, folder: Path, **replay: Any) -> Settings:
    import msgspec

    return msgspec.structs.replace(settings_for(file, folder, **replay), record_ticks=False)


def test_the_process_replays_reports_done_and_gives_the_book_to_a_late_subscriber(tmp_path: Path) -> None:
    settings = one_subscriber(DEMO_FILE, tmp_path, duration_s=20)
    expected, _ = read_ticks(
        open_recording(DEMO_FILE), settings.instrument(INSTRUMENT), duration_s=20, quiet_times=True
    )
    with gateway(settings) as running, listening(settings.ticks_endpoint) as listener:
        running.start()
        listener.take_until(lambda: sum(len(frame.records) for frame in listener.frames) >= len(expected))
        beat = running.wait_for(lambda beat: beat.state == "done")
        assert listener.ticks.tobytes() == expected.tobytes()
        assert beat.counters["ticks"] == len(expected)
        assert beat.counters["progress"] == 1
        assert beat.counters["recorded_ts"] == float(expected["local_ts"][-1])
        assert beat.counters["refused"] == 0
        book = book_after([expected], int(expected["local_ts"][-1])).snapshot(int(expected["local_ts"][-1]))
        assert book is not None
        with listening(settings.ticks_endpoint) as late:
            late.take_until(lambda: sum(len(frame.records) for frame in late.frames) >= len(book))
            assert late.ticks.tobytes() == book.tobytes()
        status, errors = running.stop()
        assert (status, errors) == (0, "")


def test_a_killed_gateway_goes_on_where_it_stood_and_a_new_session_begins_anew(tmp_path: Path) -> None:
    settings = one_subscriber(DEMO_FILE, tmp_path, speed="10", duration_s=20)
    expected, _ = read_ticks(open_recording(DEMO_FILE), settings.instrument(INSTRUMENT), duration_s=20)
    with gateway(settings) as running, listening(settings.ticks_endpoint) as listener:
        running.start()
        listener.take_until(lambda: len(listener.frames) > 0)
        begun = int(listener.frames[0].records["local_ts"][0])
        listener.take_until(lambda: listener.last_ts() > begun + 5 * 10**9)
        running.kill()
        listener.frames += listener.subscriber.drain(10_000)
        seen, listener.frames = listener.ticks, []
        running.start()
        listener.take_until(lambda: listener.last_ts() == int(expected["local_ts"][-1]))
        sent = running.wait_for(lambda beat: beat.state == "done").counters["ticks"]
        listener.take_until(lambda: sum(len(frame.records) for frame in listener.frames) == sent)
        resumed = listener.ticks
        assert listener.frames[0].header.seq == 0
        assert listener.subscriber.tracker.lost == 0
        assert running.stop()[0] == 0

        position = int(resumed["local_ts"][0])
        assert resumed[0]["kind"] == TickKind.STALE
        assert resumed[1]["kind"] == TickKind.SNAPSHOT
        assert position >= int(seen["local_ts"][-1])
        assert (np.diff(resumed["local_ts"]) >= 0).all()
        rest = resumed[(resumed["local_ts"] > position) & (resumed["kind"] != TickKind.TIME)]
        assert rest.tobytes() == expected[expected["local_ts"] > position].tobytes()

        write_session(settings)
        listener.frames.clear()
        running.start()
        listener.take_until(lambda: len(listener.frames) > 0)
        assert int(listener.frames[0].records["local_ts"][0]) == begun


FINER = {"version": 2, "tick": "0.05", "lot": "0.0005"}


@contextmanager
def core_telling(settings: Settings) -> Iterator[Callable[[Instrument], None]]:
    """A core that only says which version is in force: again and again, as a subscriber may come late."""
    context = new_context()
    publisher = Publisher(context, settings.events_endpoint, RecordKind.DEFINITION, Source.CORE)
    told: list[Instrument] = []
    over = threading.Event()

    def tell() -> None:
        while not over.wait(0.01):
            for each in told[-1:]:
                publisher.send(each.definition())

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield told.append
    finally:
        over.set()
        thread.join()
        publisher.close()
        context.destroy(linger=0)


def rescaled(ticks: Ticks, factor: int) -> Ticks:
    """Ticks on a grid that is finer by ``factor``, as version 2."""
    market = ticks[ticks["kind"] != TickKind.TIME].copy()
    market["version"] = 2
    for name in ("px", "qty", "qty_2"):
        market[name] *= factor
    market["px_2"][market["kind"] == TickKind.QUOTE] *= factor
    rescaled_ticks: Ticks = market
    return rescaled_ticks


def test_a_version_that_is_put_in_force_is_followed_without_a_restart(tmp_path: Path) -> None:
    settings = one_subscriber(DEMO_FILE, tmp_path, speed="10", duration_s=20)
    first = settings.instrument(INSTRUMENT)
    second = replace(first, **FINER)
    expected, _ = read_ticks(open_recording(DEMO_FILE), first, duration_s=20)
    with gateway(settings) as running, core_telling(settings) as tell, listening(settings.ticks_endpoint) as listener:
        tell(first)
        running.start()
        listener.take_until(lambda: len(listener.frames) > 0)
        begun = int(listener.frames[0].records["local_ts"][0])
        listener.take_until(lambda: listener.last_ts() > begun + 5 * 10**9)
        add_definitions(settings.definitions_file, [second])
        tell(second)
        listener.take_until(lambda: listener.last_ts() == int(expected["local_ts"][-1]))
        done = running.wait_for(lambda beat: beat.state == "done").counters
        listener.take_until(lambda: sum(len(frame.records) for frame in listener.frames) == done["ticks"])
        assert running.stop() == (0, "")
    sent = listener.ticks[listener.ticks["kind"] != TickKind.TIME]
    at = int(np.flatnonzero(sent["version"] == 2)[0])
    before, after = sent[:at], sent[at:]
    moment = int(before["local_ts"][-1])
    assert before.tobytes() == expected[expected["local_ts"] <= moment].tobytes()
    assert [int(kind) for kind in after["kind"][:2]] == [TickKind.STALE, TickKind.SNAPSHOT]
    assert after["local_ts"][0] == moment
    book = book_after([rescaled(expected, 2)], moment).snapshot(moment)
    assert book is not None
    assert after[1 : 1 + len(book)].tobytes() == book.tobytes()
    assert after[1 + len(book) :].tobytes() == rescaled(expected[expected["local_ts"] > moment], 2).tobytes()
    assert done["messages"] == np.count_nonzero(expected["flags"] & TickFlag.LAST) + 1


def test_a_gateway_begins_in_the_version_that_the_core_has_in_force(tmp_path: Path) -> None:
    settings = one_subscriber(DEMO_FILE, tmp_path, duration_s=5)
    second = replace(settings.instrument(INSTRUMENT), **FINER)
    expected, _ = read_ticks(open_recording(DEMO_FILE), settings.instrument(INSTRUMENT), duration_s=5)
    with gateway(settings) as running, core_telling(settings) as tell, listening(settings.ticks_endpoint) as listener:
        add_definitions(settings.definitions_file, [second])
        tell(second)
        running.start()
        listener.take_until(lambda: listener.last_ts() == int(expected["local_ts"][-1]))
        assert running.stop() == (0, "")
    sent = listener.ticks[listener.ticks["kind"] != TickKind.TIME]
    assert sent.tobytes() == rescaled(expected, 2).tobytes()


def test_a_version_put_in_force_after_the_end_gives_its_book(tmp_path: Path) -> None:
    settings = one_subscriber(DEMO_FILE, tmp_path, duration_s=2)
    second = replace(settings.instrument(INSTRUMENT), **FINER)
    with gateway(settings) as running, core_telling(settings) as tell, listening(settings.ticks_endpoint) as listener:
        tell(settings.instrument(INSTRUMENT))
        running.start()
        running.wait_for(lambda beat: beat.state == "done")
        add_definitions(settings.definitions_file, [second])
        tell(second)
        listener.take_until(lambda: any((frame.records["version"] == 2).sum() > 1 for frame in listener.frames))
        assert running.stop() == (0, "")
    news = listener.ticks[listener.ticks["version"] == 2]
    assert [int(kind) for kind in news["kind"][:2]] == [TickKind.STALE, TickKind.SNAPSHOT]


def test_what_is_refused_is_in_the_log_while_a_looped_replay_goes_on(tmp_path: Path) -> None:
    settings = one_subscriber(DEMO_FILE, tmp_path, loop=True)
    settings = replace(
        settings,
        instruments=tuple(replace(each, lot="0.005", min_qty="0.005") for each in settings.instruments[:1]),
        risk={},
        accounts={name: replace(each, balances={}) for name, each in settings.accounts.items()},
        strategies=(),
    )
    with gateway(settings) as running, listening(settings.ticks_endpoint):
        running.start()
        assert running.process is not None
        assert running.process.stderr is not None
        first = running.process.stderr.readline()
        assert running.wait_for(lambda beat: beat.counters.get("refused", 0) > 1).state == "ready"
        status, errors = running.stop()
    assert re.fullmatch(
        r"refused as QTY_BELOW_MIN, as will be others like it: \S+:\d+: .*is not on BTCUSDT's lot 0\.005\n", first
    )
    assert status == 0
    assert re.fullmatch(r"\d+ refused as QTY_BELOW_MIN, the first: .*is not on BTCUSDT's lot 0\.005\n", errors)


@pytest.mark.pure
def test_refusals_are_written_once_a_reason_and_anew_in_another_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instrument = settings_for(DEMO_FILE, tmp_path).instrument(INSTRUMENT)
    feed = Feed(open_recording(DEMO_FILE), instrument)
    log = RefusalLog(feed)
    log.look()
    assert capsys.readouterr().err == ""
    for text in ("line 7", "line 8"):
        feed.counters.refused[Reason.BAD_PRICE] += 1
        feed.counters.problems.setdefault(Reason.BAD_PRICE, text)
        log.look()
    assert capsys.readouterr().err == "refused as BAD_PRICE, as will be others like it: line 7\n"
    feed.go_on(replace(instrument, version=2), 0)
    feed.counters.problems[Reason.MALFORMED] = "line 9"
    log.look()
    assert capsys.readouterr().err == (
        "2 refused as BAD_PRICE, the first: line 7\nrefused as MALFORMED, as will be others like it: line 9\n"
    )


def test_a_version_that_nobody_has_brought_is_named_and_not_guessed(tmp_path: Path) -> None:
    settings = one_subscriber(DEMO_FILE, tmp_path, duration_s=2)
    with gateway(settings) as running, core_telling(settings) as tell, listening(settings.ticks_endpoint) as listener:
        tell(replace(settings.instrument(INSTRUMENT), **FINER))
        running.start()
        running.wait_for(lambda beat: beat.state == "done")
        listener.take_until(lambda: len(listener.frames) > 0)
        status, errors = running.stop()
    assert status == 0
    assert "BTCUSDT trades in version 2, which is not among the account's definitions" in errors
    assert errors.count("\n") == 1
    assert set(listener.ticks["version"].tolist()) <= {0, 1}


def test_a_gateway_without_its_recording_ends_with_one_clear_line(tmp_path: Path) -> None:
    settings = one_subscriber(tmp_path / "none.gz", tmp_path)
    with gateway(settings) as running:
        running.start()
        assert running.process is not None
        _, errors = running.process.communicate(timeout=DEADLINE_S)
        assert running.process.returncode == 2
        assert errors.count("\n") == 1
        assert f"recording {tmp_path / 'none.gz'} does not exist: give the path" in errors
