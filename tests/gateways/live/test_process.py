"""The gateway process with live market data, over real sockets on both sides."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from gateways.book import BookRebuild
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from oms.config import ConfigError, LiveSettings, SandboxSettings, Settings, load_settings
from oms.definitions import add_definitions
from oms.instruments import Instrument
from oms.records import TickKind
from tests.gateways.reference import settings_for
from tests.gateways.sandbox.desk import RECORDING, shipped_instrument
from tests.gateways.test_replay import DEADLINE_S, FINER, INSTRUMENT, core_telling, gateway, listening

T = TypeVar("T")
VENUE = "binance_usdm"


class ServedSandbox(threading.Thread):
    """A sandbox on an event loop of its own."""

    def __init__(self, instrument: Instrument | None = None, *, loop: bool = False) -> None:
        super().__init__(daemon=True)
        self.sandbox = Sandbox(open_recording(RECORDING), instrument or shipped_instrument(), loop=loop)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._ending = asyncio.Event()

    def run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with self.sandbox:
            self._ready.set()
            await self._ending.wait()

    def call(self, act: Callable[[], T]) -> T:
        """Have its own thread do something."""

        async def done() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(DEADLINE_S)

    def __enter__(self) -> ServedSandbox:
        self.start()
        assert self._ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self.join(DEADLINE_S)
        assert not self.is_alive()


@contextmanager
def served(folder: Path) -> Iterator[tuple[ServedSandbox, Settings]]:
    """A sandbox, and the settings of a session that takes its market data from it."""
    with ServedSandbox() as serving:
        yield serving, live_settings(folder, serving.sandbox.port, serving.sandbox.ca_pem)


def live_settings(folder: Path, port: int, ca_pem: bytes, **live: Any) -> Settings:
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(ca_pem)
    sandbox = {VENUE: SandboxSettings(port=port, ca=live.pop("ca", str(ca_file)))}
    chosen = {"instruments": (INSTRUMENT,), "sandbox": sandbox, **live}
    return msgspec.structs.replace(settings_for(RECORDING, folder), record_ticks=False, live=LiveSettings(**chosen))


def test_process_publishes_the_exchanges_book_and_ends_in_good_order(tmp_path: Path) -> None:
    with (
        served(tmp_path) as (serving, settings),
        gateway(settings) as running,
        listening(settings.live_ticks_endpoint(VENUE)) as listener,
    ):
        running.start()
        running.wait_for(lambda beat: beat.counters.get("connected") == 2 and beat.counters["stale"] == 0)
        frames = serving.call(lambda: serving.sandbox.step(400))
        last_id = serving.call(lambda: int(serving.sandbox.venue.market.book()["update_id"][0]))
        book = BookRebuild()

        def is_last() -> bool:
            for frame in listener.frames:
                book.take(frame.records)
            listener.frames.clear()
            found = book.snapshot(0)
            return found is not None and int(found["update_id"][0]) == last_id

        listener.take_until(is_last)
        beat = running.wait_for(lambda beat: beat.counters.get("messages", 0) >= len(frames))
        assert (beat.state, beat.counters["gaps"], beat.counters["refused"]) == ("ready", 0, 0)
        assert abs(beat.counters["clock_offset_ms"]) <= beat.counters["clock_error_ms"]
        with listening(settings.live_ticks_endpoint(VENUE)) as late:
            late.take_until(lambda: len(late.frames) > 0)
            assert set(late.frames[0].records["kind"]) == {TickKind.SNAPSHOT}
            assert late.frames[0].records["update_id"][0] == last_id
        assert running.stop() == (0, "")


def test_version_that_the_core_puts_in_force_is_taken_up(tmp_path: Path) -> None:
    with (
        served(tmp_path) as (_serving, settings),
        gateway(settings) as running,
        listening(settings.live_ticks_endpoint(VENUE)) as listener,
        core_telling(settings) as tell,
    ):
        first = settings.instrument(INSTRUMENT)
        second = msgspec.structs.replace(first, **FINER)
        tell(first)
        running.start()
        running.wait_for(lambda beat: beat.counters.get("stale") == 0)
        add_definitions(settings.definitions_file, [second])
        tell(second)
        listener.take_until(lambda: bool(listener.frames) and listener.frames[-1].records["version"][-1] == 2)
        ticks = listener.ticks
        new = ticks[ticks["version"] == 2]
        assert new["kind"][0] == TickKind.STALE
        assert running.stop() == (0, "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ca": "none.pem"}, "is no certificate"),
        (
            {"instruments": ("BTCUSDT.binance_spot", INSTRUMENT)},
            "serves one venue, and the instruments are of binance_spot, binance_usdm: name one",
        ),
    ],
)
def test_process_that_cannot_begin_ends_with_one_clear_line(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    settings = live_settings(tmp_path, 9, b"", **change)
    with gateway(settings) as running:
        running.start()
        assert running.process is not None
        _, errors = running.process.communicate(timeout=DEADLINE_S)
        assert running.process.returncode == 2
        assert errors.count("\n") == 1
        assert words in errors


@pytest.mark.parametrize(
    ("live", "words"),
    [
        ({"connections": 0}, "connections 0 must be 1 to 8"),
        ({"silent_s": 0.0}, "silent_s 0.0 must be above zero"),
        ({"sandbox": {VENUE: {"port": 70_000, "ca": "ca.pem"}}}, "sandbox port 70000 must be 1 to 65535"),
        ({"sandbox": {"okx": {"port": 1, "ca": "ca.pem"}}}, "stands for a venue that no instrument is of"),
        ({"instruments": ["NONE"]}, "unknown instrument 'NONE'"),
        ({"instruments": [INSTRUMENT, INSTRUMENT]}, "live instrument"),
    ],
)
def test_settings_that_cannot_be_are_refused(live: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_settings(None, {"replay": {"file": str(RECORDING)}, "live": live})


def test_authoritys_file_is_relative_to_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "zoms.toml"
    path.write_text('[live.sandbox.binance_usdm]\nport = 1\nca = "ca.pem"\n')
    settings = load_settings(path, {"replay": {"file": str(RECORDING)}})
    assert settings.live.sandbox[VENUE].ca == str(tmp_path / "ca.pem")
