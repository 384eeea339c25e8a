"""What the store's tests share: settings, invented trading, a core's stand-in, and a real recorder process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import zmq

from oms.bus import Publisher, new_context
from oms.config import ReplaySettings, Settings, write_session
from oms.instruments import Instrument
from oms.journal import Direction, Journal
from oms.lifecycle import Heartbeat, decode_heartbeat
from oms.records import (
    BUY,
    EVENT,
    ORDER_ID_COUNTER_BITS,
    SELL,
    TICK,
    CommandKind,
    EventKind,
    Liquidity,
    OrderState,
    OrderType,
    Reason,
    RecordKind,
    Source,
    TickKind,
    TimeInForce,
)

Records = npt.NDArray[np.void]

DEADLINE_S = 40.0

PERPETUAL = Instrument(
    id=0, symbol="BTCUSDT", venue="binance_usdm", kind="linear_perpetual", tick="0.10", lot="0.001", min_qty="0.001"
)
SPOT = Instrument(
    id=1, symbol="BTCUSDT", venue="binance_spot", kind="spot", base="BTC", quote="USDT", tick="0.01", lot="0.00001"
)
INSTRUMENTS = (PERPETUAL, SPOT)

NEW_TO = {
    EventKind.ORDER_SUBMITTED: OrderState.PENDING_NEW,
    EventKind.ORDER_ACCEPTED: OrderState.LIVE,
    EventKind.ORDER_FILLED: OrderState.LIVE,
    EventKind.CANCEL_SUBMITTED: OrderState.PENDING_CANCEL,
    EventKind.ORDER_CANCELLED: OrderState.CANCELLED,
}


def make_settings(folder: Path, *, record_ticks: bool = True) -> Settings:
    return Settings(
        data_dir=str(folder),
        replay=ReplaySettings(file="recording.gz"),
        instruments=INSTRUMENTS,
        risk={},
        heartbeat_s=0.02,
        record_ticks=record_ticks,
    )


def is_listened_to(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def until(holds: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"it did not come: {what}"


class Trading:
    """Invents the events of a session: orders that are sent, accepted, filled, cancelled, refused."""

    def __init__(self, seed: int, first_seq: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self.seq = first_seq
        self._counter = 0
        self._orders: list[Records] = []
        self._trades = 0

    def events(self, count: int) -> Records:
        """The next ``count`` events."""
        made = np.zeros(count, EVENT)
        for place in range(count):
            made[place : place + 1] = self._event()
            made["seq"][place] = self.seq
            made["ts"][place] = 1_723_075_200_000_000_000 + self.seq // 3
            self.seq += 1
        return made

    def _event(self) -> Records:
        event: Records = np.zeros(1, EVENT)
        choice = int(self._rng.integers(10))
        if choice == 0:
            event["kind"] = self._rng.choice([EventKind.TRADING_STATE, EventKind.LOG, EventKind.BOOK_STATE])
            event["strategy"] = -1
            event["instrument"] = self._rng.choice([-1, 0, 1])
            event["aux"] = self._rng.integers(3)
        elif choice == 1:
            event["kind"] = EventKind.POSITION
            event["instrument"] = self._rng.integers(2)
            event["aux"] = self._rng.integers(3)
            for name in ("position_qty", "px", "qty", "last_px", "realized_pnl", "fees"):
                event[name] = self._rng.integers(-(10**12), 10**12)
        elif choice <= 4 or not self._orders:
            event = self._new_order()
        else:
            event = self._next_of(self._orders[int(self._rng.integers(len(self._orders)))])
        return event

    def _new_order(self) -> Records:
        event = np.zeros(1, EVENT)
        event["order_id"] = (1 << ORDER_ID_COUNTER_BITS) + self._counter
        self._counter += 1
        event["side"] = self._rng.choice([BUY, SELL])
        event["instrument"] = self._rng.integers(2)
        event["order_type"] = OrderType.LIMIT
        event["time_in_force"] = TimeInForce.GTC
        event["px"] = self._rng.integers(1, 10**6)
        event["qty"] = self._rng.integers(1, 10**4)
        if self._rng.integers(8) == 0:
            event["kind"] = EventKind.ORDER_REFUSED
            event["aux"] = CommandKind.NEW
            event["state"] = OrderState.REJECTED
            event["reason"] = Reason.PRICE_COLLAR
        else:
            event["kind"] = EventKind.ORDER_SUBMITTED
            event["state"] = OrderState.PENDING_NEW
            self._orders.append(event.copy())
        return event

    def _next_of(self, order: Records) -> Records:
        kind = list(NEW_TO)[int(self._rng.integers(1, len(NEW_TO)))]
        order["kind"] = kind
        order["state"] = NEW_TO[kind]
        if kind == EventKind.ORDER_FILLED:
            self._trades += 1
            order["last_px"] = order["px"]
            order["last_qty"] = 1
            order["filled_qty"] += 1
            order["fees"] = self._rng.integers(-1000, 10**6)
            order["liquidity"] = Liquidity.MAKER
            order["aux"] = self._trades
            order["position_qty"] = self._rng.integers(-100, 100)
        return order.copy()


def make_ticks(count: int, first: int = 0, instruments: int = 1) -> Records:
    """Ticks that are told apart by ``update_id``; every second one has the timestamps of the one before it."""
    ticks = np.zeros(count, TICK)
    number = np.arange(first, first + count)
    ticks["update_id"] = number
    ticks["local_ts"] = 1_723_075_200_000_000_000 + number // 2
    ticks["exch_ts"] = ticks["local_ts"] - 7_000_000
    ticks["px"] = 600_000 + number % 1000
    ticks["qty"] = number % 77
    ticks["kind"] = TickKind.DEPTH
    ticks["side"] = np.where(number % 2, BUY, SELL)
    ticks["instrument"] = number % instruments
    return ticks


class Core:
    """Stands in for a core: journals events and publishes them, or does only the first."""

    def __init__(self, settings: Settings, context: zmq.Context[Any], session: int = 0) -> None:
        self.publisher = Publisher(context, settings.events_endpoint, RecordKind.EVENT, Source.CORE)
        if session:
            self.publisher.session = session
        self.session = self.publisher.session
        self.journal = Journal.create(settings.journal_dir, self.session, "os", settings.account)

    def journalled(self, records: Records) -> None:
        self.journal.append(RecordKind.EVENT, Direction.EVENT, records)
        self.journal.commit()

    def happen(self, records: Records) -> None:
        self.journalled(records)
        self.publisher.send(records)

    def publish_nothing(self, records: Records) -> None:
        """Journalled, but dropped by the socket."""
        self.journalled(records)
        self.publisher.seq += len(records)

    def die(self) -> None:
        """Leave the journal open, as a killed core does, and wait until the endpoint is free for the next one."""
        self.publisher.close()
        path = self.publisher.endpoint.removeprefix("ipc://")
        until(lambda: not is_listened_to(path), f"{path} is free")

    def close(self) -> None:
        self.die()
        self.journal.close()


class RecorderProcess:
    """A recorder as its own process, and its heartbeats."""

    def __init__(self, settings: Settings, context: zmq.Context[Any]) -> None:
        self._command = [sys.executable, "-P", "-m", "oms.process", "recorder", str(write_session(settings))]
        self._heartbeats = context.socket(zmq.PULL)
        self._heartbeats.bind(settings.heartbeat_endpoint)
        self.last: Heartbeat | None = None
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)

    def restart(self) -> None:
        self.last = None
        self.process = self._start()

    def wait_for(self, holds: Callable[[dict[str, float]], bool], state: str = "ready") -> dict[str, float]:
        """Wait for a heartbeat of the running process in ``state`` whose counters ``holds`` is true of."""

        def heard() -> bool:
            if self._heartbeats.poll(20):
                beat = decode_heartbeat(self._heartbeats.recv())
                if beat is not None and beat.pid == self.process.pid:
                    self.last = beat
            assert self.process.poll() is None, self.process.communicate()[1]
            return self.last is not None and self.last.state == state and holds(self.last.counters)

        until(heard, f"{self.last}")
        assert self.last is not None
        return self.last.counters

    def wait_until_ready(self) -> None:
        self.wait_for(lambda counters: True)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> tuple[int, str]:
        """Ask it to stop; returns its exit status and what it said."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=DEADLINE_S)[1]
        while self._heartbeats.poll(0):
            self.last = decode_heartbeat(self._heartbeats.recv())
        return self.process.returncode, said


class Stage:
    """Settings, a context, and whatever runs on it; leaves nothing running."""

    def __init__(self, folder: Path, *, record_ticks: bool = True) -> None:
        self.settings = make_settings(folder, record_ticks=record_ticks)
        write_session(self.settings)
        self.context = new_context()
        self._recorder: RecorderProcess | None = None

    def recorder(self) -> RecorderProcess:
        self._recorder = RecorderProcess(self.settings, self.context)
        return self._recorder

    def core(self, session: int = 0) -> Core:
        return Core(self.settings, self.context, session)

    def gateway(self, *, lossless: bool = True) -> Publisher:
        return Publisher(self.context, self.settings.ticks_endpoint, RecordKind.TICK, Source.GATEWAY, lossless=lossless)

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._recorder is not None and self._recorder.process.poll() is None:
            self._recorder.kill()
        self.context.destroy(linger=0)
