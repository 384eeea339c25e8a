"""A real core process under test, and the other ends of its sockets: market, client, listener, heartbeats."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy.typing as npt
import zmq

from gateways.recording import load_ticks
from oms.algorithms import built_in
from oms.bus import Publisher, Pusher, Subscriber, bind, new_context, new_socket
from oms.config import Settings, load_settings, write_session
from oms.lifecycle import Heartbeat, decode_heartbeat
from oms.precompile import precompile
from oms.records import CommandKind, EventKind, RecordKind, Source, TradingState
from tests.oms.core.builders import Records, command

RECORDING = Path(__file__).parent.parent / "data" / "usdm_btcusdt_20240808.gz"
INSTRUMENT = "BTCUSDT.binance_usdm"
PATIENCE_S = 60.0
FRAME = 200


def core_settings(folder: Path, **overrides: Any) -> Settings:
    return load_settings(
        None,
        {
            "data_dir": str(folder),
            "heartbeat_s": 0.1,
            "replay": {"file": str(RECORDING)},
            "strategies": [{"file": "market_maker", "instrument": INSTRUMENT}],
            **overrides,
        },
    )


class CoreProcess:
    """Starts, feeds, kills and stops the core of an account; everything that it publishes is kept.

    Attributes
    ----------
    heard : list of (session, records)
        EVENT frames in the order in which they came.
    """

    def __init__(self, settings: Settings) -> None:
        precompile([settings.matching.model], [each.file for each in settings.strategies], built_in())
        self.settings = settings
        self.heard: list[tuple[int, Records]] = []
        self.heartbeat: Heartbeat | None = None
        self.market = load_ticks(RECORDING, settings.instrument(INSTRUMENT))
        self.at = 0
        self._session_file = write_session(settings)
        self._context: zmq.Context[Any] = new_context()
        self._heartbeats = new_socket(self._context, zmq.PULL)
        bind(self._heartbeats, settings.heartbeat_endpoint)
        self.ticks = Publisher(self._context, settings.ticks_endpoint, RecordKind.TICK, Source.GATEWAY, lossless=True)
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> CoreProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._context.destroy(linger=0)

    def start(self, **popen: Any) -> None:
        """Start the core and wait until it is ready."""
        for endpoint in (self.settings.core_endpoint, self.settings.events_endpoint):
            Path(endpoint.removeprefix("ipc://")).unlink(missing_ok=True)
        self.heartbeat = None
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "oms.process", "core", str(self._session_file)],
            stderr=subprocess.PIPE,
            text=True,
            **popen,
        )
        self.client = Pusher(self._context, self.settings.core_endpoint, RecordKind.COMMAND, Source.RPC)
        self.listener = Subscriber(self._context, [self.settings.events_endpoint], [RecordKind.EVENT])
        self.until(lambda: self.heartbeat is not None and self.heartbeat.state == "ready")
        assert self.ticks.wait_for_subscribers(1, PATIENCE_S)
        self.at = 0

    def hear(self) -> None:
        """Take what has been published and told."""
        try:
            while True:
                heartbeat = decode_heartbeat(self._heartbeats.recv(zmq.NOBLOCK))
                if heartbeat is not None and self.process is not None and heartbeat.pid == self.process.pid:
                    self.heartbeat = heartbeat
        except zmq.Again:
            pass
        for frame in self.listener.drain(100_000):
            self.heard.append((frame.header.session, frame.records.copy()))

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            assert time.monotonic() < deadline
            assert self.process is not None
            if self.process.poll() is not None:
                raise RuntimeError(self.process.communicate()[1])
            self._heartbeats.poll(10)
            self.hear()

    def feed(self, frames: int = 1) -> None:
        """Publish the recording's next frames, from its start again when it is over."""
        for _ in range(frames):
            self.ticks.send(self.market[self.at : self.at + FRAME])
            self.at = self.at + FRAME if self.at + FRAME < len(self.market) else 0

    def resume(self) -> None:
        """Let trading go on, and wait until the core has said so."""
        self.client.send(command(CommandKind.SET_TRADING_STATE, 0, instrument=-1, value=TradingState.ACTIVE))
        self.until(lambda: self.trading_state == TradingState.ACTIVE)

    @property
    def trading_state(self) -> TradingState:
        """As the last heartbeat says."""
        assert self.heartbeat is not None
        return TradingState(int(self.heartbeat.counters["trading_state"]))

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.hear()
        self._close()

    def stop(self) -> int:
        """Stop the core in good order; returns its exit status, and fails with its words when it is not 0."""
        assert self.process is not None
        self.process.terminate()
        words = self.process.communicate(timeout=PATIENCE_S)[1]
        status = self.process.returncode
        assert status == 0, words
        self.hear()
        self._close()
        return status

    def _close(self) -> None:
        self.client.close()
        self.listener.close()
        self.process = None


def submitted(events: Records) -> npt.NDArray[Any]:
    found: npt.NDArray[Any] = events["order_id"][events["kind"] == EventKind.ORDER_SUBMITTED]
    return found
