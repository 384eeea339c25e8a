"""Orders that are on disk before anyone is told: RPC client, ledger, risk, journal, acknowledgement, over five sockets.

The whole family but the recorder runs, each process as in a session: rpc server and core, with ``journal.sync =
"batch"``. A gateway publishes paced ticks, and a strategy writes a log line for some; the line bears the tick's time,
and its journal entry the time at which it was stepped. Measured are orders a second with a window of 512 unanswered
ones, the round trip of one order alone (both as the batch client's records; beside it as the plain client's text), and
how late ticks are stepped without orders, with single ones and with the window full: a tick that waited for a sync
would be a sync late. Every order is an IOC limit order that passes all checks and finds nothing to take.

The reference of the round trip is what no durable order can do without: a message to another process and back, and one
fdatasync of 160 bytes, both measured in the same run. It is allowed three times their sum.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import zmq

from benchmarks._market import INSTRUMENT, WIDE_ACCOUNT, market_maker_settings, percentiles
from oms.bus import CLOSE_LINGER_MS, Publisher, new_context, new_socket
from oms.config import MatchingSettings, Settings, write_session
from oms.journal import JournalTail, sessions
from oms.precompile import precompile
from oms.records import BUY, TICK, EventKind, RecordKind, Source, TickFlag, TickKind, TimeInForce
from rpc.batch_client import BatchClient
from rpc.batches import BatchOutcome, new_orders

WINDOW: Final = 512
CHUNK: Final = 128
"""Orders in each of the first messages; later ones have as many as answers came together."""
DURATION_S: Final = 5.0
WARM_UP_S: Final = 1.0
SINGLE_ORDERS: Final = 1_000
TICKS_PER_S: Final = 2_000
QUIET_S: Final = 5.0
REPEATS: Final = 3
WAIT_S: Final = 120.0
BID: Final = 618_000
TARGET_PER_S: Final = 50_000
STRATEGY: Final = """
from strategies.api import log, memory

LOG_MESSAGES = ["tick"]

def on_tick(st, me, tick):
    cells = memory(st, me)
    cells[0] += 1
    if cells[0] % 8 == 0:
        log(st, me, 0, 0, 0, 0, 0)
"""
_spawn: Final = multiprocessing.get_context("spawn")


def _settings(folder: str) -> Settings:
    strategy = Path(folder) / "tell_each.py"
    strategy.write_text(STRATEGY)
    limits = dict.fromkeys(("max_order_qty", "max_position"), "1000")
    return market_maker_settings(
        folder,
        rpc_endpoint=f"ipc://{folder}/rpc",
        strategies=[{"file": str(strategy), "instrument": INSTRUMENT}],
        journal={"sync": "batch"},
        risk={
            INSTRUMENT: {
                **limits,
                "max_order_notional": "1000000",
                "price_collar": "0.05",
                "max_open_orders": 1000,
                "max_orders_per_second": 100_000_000,
                "max_book_age_ms": 60_000,
                "duplicate_window_ms": 0,
            }
        },
        accounts={"paper": WIDE_ACCOUNT},
    )


def _ticks(now: int, first: bool) -> Any:
    """A book, or one change of its size."""
    ticks = np.zeros(2 if first else 1, TICK)
    ticks["kind"] = TickKind.SNAPSHOT if first else TickKind.DEPTH
    ticks["exch_ts"] = ticks["local_ts"] = now
    ticks["side"] = [1, -1][: len(ticks)]
    ticks["px"] = [BID, BID + 10][: len(ticks)]
    ticks["qty"] = 1_000 + now % 7
    ticks["flags"] = [TickFlag.FIRST, TickFlag.LAST] if first else [TickFlag.FIRST | TickFlag.LAST]
    return ticks


def _surroundings(pipe: Connection, settings: Settings) -> None:
    """The gateway's part, and the supervisor's: paced ticks, and heartbeats for everyone."""
    context = new_context()
    heartbeats = new_socket(context, zmq.PULL)
    heartbeats.bind(settings.heartbeat_endpoint)
    status = new_socket(context, zmq.PUB)
    status.bind(settings.status_endpoint)
    publisher = Publisher(context, settings.ticks_endpoint, RecordKind.TICK, Source.GATEWAY)
    pipe.send("ready")
    due = time.monotonic()
    first = True
    while not pipe.poll():
        first = publisher.poll_subscribers() == 0 or first
        publisher.send(_ticks(time.time_ns(), first))
        first = publisher.subscribers == 0
        while heartbeats.poll(0):
            status.send(heartbeats.recv())
        due += 1 / TICKS_PER_S
        time.sleep(max(due - time.monotonic(), 0))
    pipe.recv()
    context.destroy(linger=CLOSE_LINGER_MS)


@contextmanager
def _family() -> Iterator[tuple[BatchClient, Settings]]:
    """The processes of a session, and a client once orders are taken."""
    with tempfile.TemporaryDirectory(prefix="zoms", dir=os.environ.get("ZOMS_BENCH_DIR")) as folder:
        settings = _settings(folder)
        session = write_session(settings)
        here, there = _spawn.Pipe()
        market = _spawn.Process(target=_surroundings, args=(there, settings))
        market.start()
        here.recv()
        processes = [
            subprocess.Popen([sys.executable, "-m", "oms.process", name, os.fspath(session)])
            for name in ("core", "rpc")
        ]
        try:
            client = _client(settings)
            yield client, settings
            client.close()
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(WAIT_S)
            here.send("bye")
            market.join(WAIT_S)


def _client(settings: Settings) -> BatchClient:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            client = BatchClient("bench", settings.rpc_endpoint, timeout=5.0)
            break
        except Exception:
            if time.monotonic() > deadline:
                raise
    while not _is_open(client):
        if time.monotonic() > deadline:
            raise TimeoutError("the core did not come up: run `zoms paper` to see why")
        time.sleep(0.1)
    return client


def _is_open(client: BatchClient) -> bool:
    if not client.status().core_available:
        return False
    client.place_batch(_orders(client, 0, 1))
    answers = client.answers()
    return bool(len(answers)) and bool(answers["outcome"][0] == BatchOutcome.ACKNOWLEDGED)


_taken = {"ids": 0}


def _orders(client: BatchClient, _start: int, count: int) -> Any:
    first = _taken["ids"]
    _taken["ids"] += count
    names = [f"{os.getpid():x}-{time.time_ns():x}-{number:x}" for number in range(first, first + count)]
    return new_orders(names, instrument=0, side=BUY, px=BID - 100, qty=1, time_in_force=TimeInForce.IOC)


def _flood(client: BatchClient) -> tuple[float, float]:
    """Keep the window full; returns acknowledged orders a second, and how many were not acknowledged."""
    for _ in range(0, WINDOW, CHUNK):
        client.place_batch(_orders(client, 0, CHUNK))
    acknowledged = others = 0
    start = time.monotonic()
    counting = False
    while True:
        answers = client.answers()
        now = time.monotonic()
        if not counting and now - start > WARM_UP_S:
            counting, start, acknowledged, others = True, now, 0, 0
        elif counting:
            good = int((answers["outcome"] == BatchOutcome.ACKNOWLEDGED).sum())
            acknowledged += good
            others += len(answers) - good
            if now - start > DURATION_S:
                break
        client.place_batch(_orders(client, 0, len(answers)))
    elapsed_s = time.monotonic() - start
    while client.outstanding and len(client.answers()):
        pass
    return acknowledged / elapsed_s, float(others)


def _echo(pipe: Connection, endpoint: str) -> None:
    context = new_context()
    socket = new_socket(context, zmq.ROUTER)
    socket.bind(endpoint)
    pipe.send("ready")
    while not pipe.poll():
        if socket.poll(50):
            socket.send_multipart(socket.recv_multipart())
    pipe.recv()
    context.destroy(linger=0)


def _timed_us(act: Any) -> float:
    start = time.perf_counter()
    act()
    return (time.perf_counter() - start) * 1e6


def _singles(client: BatchClient) -> dict[str, dict[str, float]]:
    """Round trips of single orders, and between them of the references, so that all meet the same machine.

    The references: 256 bytes to another process and back, DEALER and ROUTER over ipc; and appending 160 bytes to a file
    and waiting for the disk.
    """
    names = iter(f"one-{os.getpid():x}-{time.time_ns():x}-{number}" for number in range(SINGLE_ORDERS))
    with tempfile.TemporaryDirectory(prefix="zoms", dir=os.environ.get("ZOMS_BENCH_DIR")) as folder:
        here, there = _spawn.Pipe()
        process = _spawn.Process(target=_echo, args=(there, f"ipc://{folder}/echo"))
        process.start()
        here.recv()
        context = new_context()
        socket = new_socket(context, zmq.DEALER)
        socket.connect(f"ipc://{folder}/echo")
        descriptor = os.open(Path(folder) / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def echo() -> None:
            socket.send(bytes(256))
            socket.recv()

        def sync() -> None:
            os.write(descriptor, bytes(160))
            os.fdatasync(descriptor)

        def order() -> None:
            client.place(INSTRUMENT, "buy", "0.001", "61790", time_in_force="ioc", client_order_id=next(names))

        def record() -> None:
            client.place_batch(_orders(client, 0, 1))
            assert client.answers()["outcome"][0] == BatchOutcome.ACKNOWLEDGED

        acts = {"single": record, "single_text": order, "raw_round_trip": echo, "fdatasync": sync}
        taken: dict[str, list[float]] = {name: [] for name in acts}
        for _ in range(SINGLE_ORDERS):
            for name, act in acts.items():
                taken[name].append(_timed_us(act))
        os.close(descriptor)
        here.send("bye")
        process.join(WAIT_S)
        context.destroy(linger=0)
    return {name: percentiles(np.array(values)) for name, values in taken.items()}


class Lags:
    """How late ticks are stepped while something goes on: from the gateway's making of a tick to the journal entry of
    the log line that it led to, us.

    Parameters
    ----------
    settings : Settings
        The session's, while it runs.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.journal_dir
        self._start = time.time_ns()

    def taken(self) -> npt.NDArray[np.float64]:
        """Those since this was made."""
        end = time.time_ns()
        (path,) = sessions(self._folder)
        lags = [
            (entry.ts - entry.records["ts"][entry.records["kind"] == EventKind.LOG]) / 1e3
            for entry in JournalTail(path).read()
            if entry.kind == RecordKind.EVENT and self._start < entry.ts < end
        ]
        return np.concatenate(lags)


def measure() -> Iterator[dict[str, Any]]:
    """Orders a second, one order's round trip, and the lateness of ticks."""
    precompile(MatchingSettings().model, [])
    rates, singles, busy, calm, quiet = [], [], [], [], []
    others = 0.0
    for _ in range(REPEATS):
        with _family() as (client, settings):
            time.sleep(WARM_UP_S)
            lags = Lags(settings)
            time.sleep(QUIET_S)
            quiet.append(lags.taken())
            lags = Lags(settings)
            singles.append(_singles(client))
            calm.append(lags.taken())
        with _family() as (client, settings):
            time.sleep(WARM_UP_S)
            lags = Lags(settings)
            rate, lost = _flood(client)
            rates.append(rate)
            others += lost
            busy.append(lags.taken())
    yield {
        "name": "orders_durable",
        "unit": "orders/s",
        "ours": median(rates),
        "reference": float(TARGET_PER_S),
        "reference_name": "the target",
        "ratio": median(rates) / TARGET_PER_S,
        "details": {"window": WINDOW, "each_run": [round(rate) for rate in rates], "not_acknowledged": others},
    }
    us = {name: median(run[name]["p50_us"] for run in singles) for name in singles[0]}
    bound = us["raw_round_trip"] + us["fdatasync"]
    yield {
        "name": "orders_durable_single_p50",
        "unit": "us",
        "ours": us["single"],
        "reference": bound,
        "reference_name": "a raw pyzmq round trip and one fdatasync",
        "ratio": us["single"] / bound,
        "details": {"as_text_ratio": us["single_text"] / bound, **singles[-1]},
    }
    alone, with_singles, with_window = (percentiles(np.concatenate(lags)) for lags in (quiet, calm, busy))
    for name in ("p50_us", "p99_us"):
        yield {
            "name": f"orders_durable_tick_to_step_{name.removesuffix('_us')}",
            "unit": "us",
            "ours": with_singles[name],
            "reference": alone[name],
            "reference_name": f"{TICKS_PER_S:,} ticks/s without orders",
            "ratio": with_singles[name] / alone[name],
            "details": {"with_the_window_full": with_window[name], "fdatasync_p50_us": us["fdatasync"]},
        }
