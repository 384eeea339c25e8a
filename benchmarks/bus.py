"""Ticks through the bus: a publisher process, and a core process that runs the market maker on them, flat out.

The reference sends the same bytes in the same frames over the same sockets between two processes that only send and
receive. Both sides use a publisher that blocks instead of dropping, and both must lose nothing.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, Final

import zmq

from benchmarks._market import market_maker_settings, recorded_ticks
from oms.bus import CLOSE_LINGER_MS, HEADER_BYTES, Publisher, Puller, Subscriber, new_context, new_socket
from oms.records import TICK, RecordKind, Source

FRAME_SIZES: Final = (16, 256)
ROUNDS: Final = 4
REPEATS: Final = 3
WAIT_S: Final = 60.0
_spawn: Final = multiprocessing.get_context("spawn")


def _publish(pipe: Connection, endpoint: str, records_a_frame: int, rounds: int) -> None:
    """Publish the recorded ticks once for every word from the pipe."""
    context = new_context()
    publisher = Publisher(context, endpoint, RecordKind.TICK, Source.GATEWAY, lossless=True)
    ticks = recorded_ticks(rounds)
    publisher.wait_for_subscribers(1, WAIT_S)
    pipe.send(len(ticks))
    pipe.recv()
    for start in range(0, len(ticks), records_a_frame):
        publisher.send(ticks[start : start + records_a_frame])
    pipe.recv()
    publisher.close()
    context.destroy(linger=CLOSE_LINGER_MS)


def _run_core(pipe: Connection, folder: str, endpoint: str) -> None:
    """Step the core over the expected number of ticks and tell how long it took from the first to the last."""
    from oms.assembly import build_core
    from oms.core_loop import CoreLoop
    from oms.journal import Journal

    context = new_context()
    settings = market_maker_settings(folder)
    core = build_core(settings)
    events = Publisher(context, f"ipc://{folder}/events", RecordKind.EVENT, Source.CORE)
    loop = CoreLoop(
        core,
        ticks=Subscriber(context, [endpoint], [RecordKind.TICK]),
        inputs=Puller(context, f"ipc://{folder}/core"),
        events=events,
        journal=Journal.create(Path(folder) / "journal", events.session, "os"),
    )
    pipe.send("ready")
    expected = pipe.recv()
    taken = core.st["ticks"]
    while taken[0] == 0:
        loop.turn(100)
    first = int(taken[0])
    start = time.perf_counter()
    while taken[0] < expected:
        loop.turn(1000)
    elapsed_s = time.perf_counter() - start
    pipe.send(((expected - first) / elapsed_s, loop.counters()))
    pipe.recv()
    loop.close()
    context.destroy(linger=CLOSE_LINGER_MS)


def _publish_raw(pipe: Connection, endpoint: str, records_a_frame: int, rounds: int) -> None:
    context = new_context()
    socket = new_socket(context, zmq.XPUB)
    socket.setsockopt(zmq.XPUB_NODROP, 1)
    socket.bind(endpoint)
    frame = bytes(HEADER_BYTES + records_a_frame * TICK.itemsize)
    frames = len(recorded_ticks()) * rounds // records_a_frame
    socket.recv()
    pipe.send(frames)
    pipe.recv()
    for _ in range(frames):
        socket.send(frame)
    pipe.recv()
    context.destroy(linger=CLOSE_LINGER_MS)


def _receive_raw(pipe: Connection, records_a_frame: int, endpoint: str) -> None:
    context = new_context()
    socket = new_socket(context, zmq.SUB)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.connect(endpoint)
    pipe.send("ready")
    frames = pipe.recv()
    socket.recv()
    start = time.perf_counter()
    for _ in range(frames - 1):
        socket.recv()
    elapsed_s = time.perf_counter() - start
    pipe.send(((frames - 1) * records_a_frame / elapsed_s, {}))
    pipe.recv()
    context.destroy(linger=CLOSE_LINGER_MS)


def _pair(publish: Any, receive: Any, records_a_frame: int, *receive_arguments: Any) -> tuple[float, dict[str, float]]:
    """Run one publisher and one receiver process and return what the receiver measured."""
    with tempfile.TemporaryDirectory(prefix="zoms") as folder:
        endpoint = f"ipc://{folder}/ticks"
        to_publisher, publisher_end = _spawn.Pipe()
        to_receiver, receiver_end = _spawn.Pipe()
        arguments = [folder if argument is Path else argument for argument in receive_arguments]
        processes = [
            _spawn.Process(target=receive, args=(receiver_end, *arguments, endpoint)),
            _spawn.Process(target=publish, args=(publisher_end, endpoint, records_a_frame, ROUNDS)),
        ]
        for process in processes:
            process.start()
        to_receiver.recv()
        to_receiver.send(to_publisher.recv())
        to_publisher.send("go")
        measured: tuple[float, dict[str, float]] = to_receiver.recv()
        for pipe in (to_publisher, to_receiver):
            pipe.send("end")
        for process in processes:
            process.join(WAIT_S)
        return measured


def measure() -> Iterator[dict[str, Any]]:
    """Ticks per second through publisher and core, for each frame size, against raw sockets."""
    for size in FRAME_SIZES:
        ours = []
        raw = []
        lost = 0.0
        orders = 0.0
        for _ in range(REPEATS):
            rate, counters = _pair(_publish, _run_core, size, Path)
            ours.append(rate)
            lost += counters["ticks_lost"]
            orders = counters["orders"]
            raw.append(_pair(_publish_raw, _receive_raw, size, size)[0])
        yield {
            "name": f"bus_{size}",
            "unit": "ticks/s",
            "ours": median(ours),
            "reference": median(raw),
            "reference_name": f"raw pyzmq, the same frames of {size} records",
            "ratio": median(ours) / median(raw),
            "details": {"ticks_lost": lost, "orders": orders, "ours_all": ours, "reference_all": raw},
        }
