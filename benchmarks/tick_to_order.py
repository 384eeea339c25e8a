"""From a tick's send in the gateway to its order's arrival in an execution process: two hops, three processes.

Ticks are paced; a strategy sends an order on every tenth, through risk, order state and journal, and the execution
process answers each with a report. Measured for each ``journal.sync``: ``os`` (no sync), ``batch`` (the order waits for
the disk, the core does not) and ``always`` (both do); and once more for ``os`` beside 100 live parent orders of the mix
in ``benchmarks._parents``, whose reference is the run without them. The other reference is the same three processes
with the same socket types, message sizes and pacing, in which the middle one only forwards every tenth message and
reads the answers.
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

import numpy as np
import zmq

from benchmarks._market import INSTRUMENT, WIDE_ACCOUNT, market_maker_settings, percentiles, recorded_ticks
from benchmarks._parents import MIX, parent_orders
from oms.bus import (
    CLOSE_LINGER_MS,
    HEADER_BYTES,
    Publisher,
    Puller,
    Pusher,
    Sender,
    Subscriber,
    new_context,
    new_socket,
)
from oms.journal import Journal, Sync
from oms.records import (
    COMMAND,
    ORDER_ID_COUNTER_BITS,
    REPORT,
    STRATEGY_CLIENT_BASE,
    TICK,
    WIRE_VERSION,
    CommandKind,
    RecordKind,
    ReportKind,
    Source,
    TickFlag,
    TickKind,
    TimeInForce,
)

TICKS_PER_S: Final = 10_000
DURATION_S: Final = 11.0
WARM_UP_S: Final = 1.0
"""Not measured, in any run: connections are made, and parent orders begin all at once."""
ORDER_EVERY: Final = 10
REPEATS: Final = 5
SYNCS: Final[tuple[Sync, ...]] = ("os", "batch", "always")
PARENTS: Final = 100
MAX_DRAINED: Final = 1_000
WAIT_S: Final = 60.0
STRATEGY: Final = f"""
from strategies.api import BUY, IOC, best_bid, instrument_of, memory, submit

def on_tick(st, me, tick):
    cells = memory(st, me)
    cells[0] += 1
    if cells[0] % {ORDER_EVERY} == 0:
        submit(st, me, BUY, best_bid(st, instrument_of(st, me)) - 5, 1, 1, IOC, 0)
"""
_spawn: Final = multiprocessing.get_context("spawn")


def _pace(count: int, send: Any) -> float:
    """Call ``send(i)`` for each of ``count`` ticks in time, and return by how many seconds the last was late."""
    start = time.monotonic_ns()
    interval_ns = 1_000_000_000 // TICKS_PER_S
    for i in range(count):
        due = start + i * interval_ns
        wait_ns = due - time.monotonic_ns()
        if wait_ns > 0:
            time.sleep(wait_ns / 1e9)
        send(i)
    return (time.monotonic_ns() - due) / 1e9


def _start_parents(context: zmq.Context[zmq.Socket[bytes]], folder: str, count: int, px: int) -> None:
    """Ask the core for parent orders, as the rpc process does."""
    socket = new_socket(context, zmq.PUSH)
    socket.connect(f"ipc://{folder}/core")
    terms, commands = parent_orders(count, 1, 1, MIX, {0: px})
    for kind, records in ((RecordKind.TERMS, terms), (RecordKind.COMMAND, commands)):
        Sender(socket, kind, Source.RPC).send_bytes(records.tobytes())
    socket.close(linger=CLOSE_LINGER_MS)


def _gateway(pipe: Connection, folder: str, ours: bool, parents: int) -> None:
    """Publish the book, then paced single ticks; in the reference, frames of the same size with the time inside."""
    context = new_context()
    count = int(TICKS_PER_S * DURATION_S)
    publisher = Publisher(context, f"ipc://{folder}/ticks", RecordKind.TICK, Source.GATEWAY, lossless=True)
    publisher.wait_for_subscribers(1, WAIT_S)
    if ours:
        recorded = recorded_ticks()
        start = int(np.flatnonzero(recorded["kind"] == TickKind.SNAPSHOT)[-1]) + 1
        publisher.send(recorded[:start])
        # Trades and quotes are whole messages of one record: each is a tick that calls the strategy.
        single = (recorded["flags"] == TickFlag.FIRST | TickFlag.LAST) & (recorded["kind"] != TickKind.DEPTH)
        ticks = np.resize(recorded[start:][single[start:]], count)
        # Their time goes on as they are sent: else it stands still once the recording is over, and no rate refills.
        if parents:
            _start_parents(context, folder, parents, int(recorded["px"][recorded["kind"] == TickKind.TRADE][0]))
        ticks["local_ts"] = ticks["local_ts"][0] + np.arange(count) * (1_000_000_000 // TICKS_PER_S)
    else:
        ticks = np.zeros(count, TICK)
    pipe.send("ready")
    pipe.recv()
    late_s = _pace(count, lambda i: publisher.send(ticks[i : i + 1]))
    pipe.send(late_s)
    pipe.recv()
    publisher.close()
    context.destroy(linger=CLOSE_LINGER_MS)


def _answer_to(order: Any) -> ReportKind:
    """Nothing fills: what takes is given up, what rests is accepted, amended and cancelled as asked."""
    if order["kind"] == CommandKind.NEW:
        return ReportKind.EXPIRED if order["time_in_force"] == TimeInForce.IOC else ReportKind.ACCEPTED
    return ReportKind.AMENDED if order["kind"] == CommandKind.AMEND else ReportKind.CANCELLED


def _execution(pipe: Connection, folder: str) -> None:
    """Take orders, note how long the strategy's took since its tick was sent, and answer each."""
    context = new_context()
    orders = Puller(context, f"ipc://{folder}/orders", binding=False)
    reports = Pusher(context, f"ipc://{folder}/core", RecordKind.REPORT, Source.EXECUTION)
    answer = np.zeros(1, REPORT)
    latencies_us: list[float] = []
    pipe.send("ready")
    while not pipe.poll():
        if not orders.socket.poll(50):
            continue
        # All that has come, before the first is answered: no order's arrival waits for the answers to others.
        arrived = [(message.records, time.time_ns()) for message in orders.drain(MAX_DRAINED)]
        for order, now in ((order, now) for records, now in arrived for order in records):
            if order["order_id"] >> ORDER_ID_COUNTER_BITS == STRATEGY_CLIENT_BASE:
                latencies_us.append((now - int(order["wall_ts"])) / 1e3)
            answer["kind"] = _answer_to(order)
            answer["px"], answer["qty"] = order["px"], order["qty"]
            answer["order_id"] = order["order_id"]
            answer["side"] = order["side"]
            reports.send(answer)
    pipe.recv()
    pipe.send(np.array(latencies_us[int(WARM_UP_S * TICKS_PER_S / ORDER_EVERY) :]))
    pipe.recv()
    context.destroy(linger=CLOSE_LINGER_MS)


def _core(pipe: Connection, folder: str, sync: Sync) -> None:
    from oms.assembly import build_core
    from oms.core_loop import CoreLoop

    strategy = Path(folder) / "every_tenth.py"
    strategy.write_text(STRATEGY)
    limits = dict.fromkeys(("max_order_qty", "max_position"), "1000")
    settings = market_maker_settings(
        folder,
        strategies=[{"file": str(strategy), "instrument": INSTRUMENT}],
        risk={
            INSTRUMENT: {
                **limits,
                "max_order_notional": "1000000",
                "price_collar": "0.05",
                "max_open_orders": 1000,
                "max_orders_per_second": 100_000,
                "max_book_age_ms": 60_000,
                "duplicate_window_ms": 0,
            }
        },
        accounts={"paper": WIDE_ACCOUNT},
    )
    context = new_context()
    core = build_core(settings)
    events = Publisher(context, f"ipc://{folder}/events", RecordKind.EVENT, Source.CORE)
    loop = CoreLoop(
        core,
        ticks=Subscriber(context, [f"ipc://{folder}/ticks"], [RecordKind.TICK]),
        inputs=Puller(context, f"ipc://{folder}/core"),
        events=events,
        journal=Journal.create(Path(folder) / "journal", events.session, sync),
        orders=Pusher(context, f"ipc://{folder}/orders", RecordKind.COMMAND, Source.CORE, binding=True),
    )
    pipe.send("ready")
    while not pipe.poll():
        loop.turn(50)
    pipe.recv()
    pipe.send(loop.counters())
    pipe.recv()
    loop.close()
    context.destroy(linger=CLOSE_LINGER_MS)


def _forward(pipe: Connection, folder: str) -> None:
    """The reference's middle process: every tenth tick becomes an order that carries the tick's send time."""
    context = new_context()
    ticks = new_socket(context, zmq.SUB)
    ticks.setsockopt(zmq.SUBSCRIBE, b"")
    ticks.connect(f"ipc://{folder}/ticks")
    answers = new_socket(context, zmq.PULL)
    answers.bind(f"ipc://{folder}/core")
    orders = new_socket(context, zmq.PUSH)
    orders.bind(f"ipc://{folder}/orders")
    poller = zmq.Poller()
    poller.register(ticks, zmq.POLLIN)
    poller.register(answers, zmq.POLLIN)
    command = np.zeros(1, COMMAND)
    command["order_id"] = STRATEGY_CLIENT_BASE << ORDER_ID_COUNTER_BITS  # as a strategy's: only those are measured
    order = bytearray(HEADER_BYTES) + command.tobytes()
    order[0], order[1], order[4] = WIRE_VERSION, int(RecordKind.COMMAND), 1
    at = HEADER_BYTES + COMMAND.fields["wall_ts"][1]  # type: ignore[index]
    taken = 0
    pipe.send("ready")
    while not pipe.poll():
        for socket, _ in poller.poll(50):
            while True:
                try:
                    message = socket.recv(zmq.NOBLOCK)
                except zmq.Again:
                    break
                if socket is ticks:
                    taken += 1
                    if taken % ORDER_EVERY == 0:
                        order[at : at + 8] = message[HEADER_BYTES - 8 : HEADER_BYTES]
                        orders.send(order)
    pipe.recv()
    pipe.send({"ticks": float(taken)})
    pipe.recv()
    context.destroy(linger=CLOSE_LINGER_MS)


Run = tuple[dict[str, float], dict[str, float]]
"""The latencies' percentiles of one run, and what its processes counted."""


def _run(sync: Sync | None, parents: int = 0) -> Run:
    """Run the three processes once, the raw ones without a ``sync``; returns the latencies' percentiles and what the
    others counted."""
    ours = sync is not None
    middle_process = _core if ours else _forward
    with tempfile.TemporaryDirectory(prefix="zoms") as folder:
        pipes = {}
        processes = []
        for target, arguments in (
            (middle_process, (folder, sync) if ours else (folder,)),
            (_execution, (folder,)),
            (_gateway, (folder, ours, parents)),
        ):
            here, there = _spawn.Pipe()
            process = _spawn.Process(target=target, args=(there, *arguments))
            process.start()
            here.recv()
            pipes[target] = here
            processes.append(process)
        gateway = pipes[_gateway]
        gateway.send("go")
        late_s = gateway.recv()
        middle = pipes[middle_process]
        middle.send("end")
        counters: dict[str, float] = middle.recv()
        pipes[_execution].send("end")
        latencies = pipes[_execution].recv()
        for pipe in pipes.values():
            pipe.send("bye")
        for process in processes:
            process.join(WAIT_S)
        tenth = len(latencies) // 10
        return percentiles(latencies), {
            **counters,
            "orders_arrived": float(len(latencies)),
            "gateway_late_s": late_s,
            "p50_first_tenth_us": float(np.median(latencies[:tenth])),
            "p50_last_tenth_us": float(np.median(latencies[-tenth:])),
        }


def _measures(name: str, ours: list[Run], reference: list[Run], reference_name: str) -> Iterator[dict[str, Any]]:
    """p50 and p99 of some runs against those of others."""
    ours_us = {each: median(run[0][each] for run in ours) for each in ours[0][0]}
    reference_us = {each: median(run[0][each] for run in reference) for each in reference[0][0]}
    counted = ("tick_to_step_p50_us", "tick_to_step_p99_us", "p50_first_tenth_us", "p50_last_tenth_us")
    for percentile in ("p50_us", "p99_us"):
        yield {
            "name": f"tick_to_order_{name}_{percentile.removesuffix('_us')}",
            "unit": "us",
            "ours": ours_us[percentile],
            "reference": reference_us[percentile],
            "reference_name": reference_name,
            "ratio": ours_us[percentile] / reference_us[percentile],
            "details": {
                "ours": ours_us,
                "reference": reference_us,
                "orders": sum(run[1]["orders_arrived"] for run in ours),
                "ticks_lost": sum(run[1]["ticks_lost"] for run in ours),
                **{each: median(run[1][each] for run in ours) for each in counted},
            },
        }


def measure() -> Iterator[dict[str, Any]]:
    """p50 and p99 of tick to order against the raw sockets, in turns, for each way to sync the journal; and with
    parents against without."""
    kinds: list[tuple[Sync | None, int]] = [*((sync, 0) for sync in SYNCS), ("os", PARENTS), (None, 0)]
    runs: dict[tuple[Sync | None, int], list[Run]] = {kind: [] for kind in kinds}
    for _ in range(REPEATS):
        for kind, done in runs.items():
            done.append(_run(*kind))
    raw = f"raw pyzmq, three such processes, {TICKS_PER_S:,} ticks/s for {DURATION_S:.0f} s"
    for sync in SYNCS:
        yield from _measures(sync, runs[sync, 0], runs[None, 0], raw)
    yield from _measures("100_parents", runs["os", PARENTS], runs["os", 0], "os without parent orders, same run")
