"""A paper session whose processes are killed one after the other: each comes back, and nothing recorded is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from oms.commands.demo import demo_recording
from oms.config import load_settings
from oms.journal import Direction, read_journal, sessions
from oms.records import EventKind, Reason, RecordKind, TradingState
from oms.session import TradingSession
from oms.store.reader import StoreReader
from rpc.client import Client

DEADLINE_S = 60.0
LOOK_EVERY_S = 0.1
Script = Iterator[Callable[[], bool]]

pytestmark = pytest.mark.timeout(300)


class Watched:
    """Drives a session by a script: a generator that yields conditions and is resumed as each comes true."""

    def __init__(self, session: TradingSession, script: Script) -> None:
        self._session = session
        self._script = script
        self._waits_for: Callable[[], bool] = lambda: True
        self._since = time.monotonic()
        self.finished = False

    def look(self) -> None:
        if self.finished:
            return
        if not self._waits_for():
            if time.monotonic() - self._since > DEADLINE_S:
                self._session.supervisor.request_stop("a step of the test did not come true", failed=True)
                self.finished = True
            return
        try:
            self._waits_for = next(self._script)
            self._since = time.monotonic()
        except StopIteration:
            self.finished = True
            self._session.supervisor.request_stop("the test is over")


def journalled_events(folder: Path) -> npt.NDArray[np.void]:
    parts = [
        entry.records
        for path in sessions(folder)
        for entry in read_journal(path)
        if entry.kind == RecordKind.EVENT and entry.direction == Direction.EVENT
    ]
    return np.concatenate(parts)


def test_each_killed_process_comes_back_and_no_recorded_order_is_lost(tmp_path: Path) -> None:
    settings = load_settings(
        None,
        {
            "data_dir": os.fspath(tmp_path),
            "rpc_endpoint": f"ipc://{tmp_path}/rpc",
            "heartbeat_s": 0.2,
            "replay": {"file": os.fspath(demo_recording()), "speed": "5", "loop": True},
            "strategies": [{"file": "market_maker", "instrument": "BTCUSDT.binance_usdm"}],
        },
    )
    with TradingSession(settings) as session:
        children = session.supervisor.children
        counter = session.figures.now

        def restarted(name: str) -> Callable[[], bool]:
            before = children[name].restarts
            os.kill(children[name].pid, signal.SIGKILL)
            return lambda: children[name].restarts > before and children[name].health in ("ready", "done")

        def more(name: str, what: str, than: float) -> Callable[[], bool]:
            return lambda: counter(name, what) > than

        def script() -> Script:
            yield more("core", "fills", 20)
            with Client("survivor", settings.rpc_endpoint) as client:
                placed = client.place("BTCUSDT.binance_usdm", "buy", "0.002", "61000", client_order_id="kept")
                assert placed.state in ("pending_new", "live")
            yield restarted("recorder")
            yield restarted("rpc")
            with Client("survivor", settings.rpc_endpoint) as client:
                again = client.place("BTCUSDT.binance_usdm", "buy", "0.002", "61000", client_order_id="kept")
                assert again.order_id == placed.order_id
                assert len([each for each in client.orders() if each.client_order_id == "kept"]) == 1
            ticks = counter("core", "ticks")
            yield restarted("gateway")
            yield more("core", "ticks", ticks)
            assert counter("core", "trading_state") == TradingState.ACTIVE
            core = children["core"].pid
            assert {children[name].restarts for name in ("recorder", "rpc", "gateway")} == {1}
            yield restarted("core")
            assert children["core"].pid != core
            yield lambda: counter("core", "trading_state") == TradingState.HALTED
            with Client("survivor", settings.rpc_endpoint) as client:
                assert client.status().trading_state == "halted"

        watched = Watched(session, script())
        session.run(watched.look, LOOK_EVERY_S)
        assert watched.finished
        assert session.supervisor.failure == ""
        assert {name: child.restarts for name, child in children.items()} == dict.fromkeys(children, 1)

    events = journalled_events(settings.journal_dir)
    halted = events[events["kind"] == EventKind.TRADING_STATE][-1]
    assert (halted["aux"], halted["reason"]) == (TradingState.HALTED, Reason.RESTARTED)
    with StoreReader(settings.store_dir) as store:
        stored_orders = {row.order_id for row in store.orders(limit=1_000_000)}
        stored_fills = len(store.fills(limit=1_000_000))
    assert stored_orders == set(events["order_id"][events["kind"] == EventKind.ORDER_SUBMITTED].tolist())
    assert stored_fills == np.count_nonzero(events["kind"] == EventKind.ORDER_FILLED)
