"""Live market data: from the sandbox exchange's socket (TLS) to a TICK frame in a SUB socket, in another process.

The reference of the same run is a hop without a gateway: a picows connection that hands each frame on through pyzmq as
it is. The exchange's messages are the recorded ones.

``gateway_rate`` sends them as fast as the other side takes them, one pass of the recording at a time. ``gateway_p50``
sends one, waits until its last record has come, and sends the next; its time begins when the exchange writes it. For
that the exchange has one core, with the subscriber, and the process between them another.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import zmq

from benchmarks._market import INSTRUMENT, RECORDING, market_maker_settings
from gateways.sandbox.binance.streams import Connection
from gateways.sandbox.binance.venue import Venue
from gateways.sandbox.connection import HIGH_WATER, framed
from gateways.sandbox.market import Frame, RecordedMarket
from gateways.sandbox.server import Sandbox
from gateways.sidecar import open_recording
from oms.bus import HEADER_BYTES, decode_frame, ipc_endpoint, new_context, new_socket
from oms.compiled import compile_entries
from oms.records import TICK, TickFlag, TickKind

ROUNDS: Final = 3
ONE_BY_ONE: Final = 2_000
WARM: Final = 500
AT_ONCE: Final = 64
"""Messages that the exchange writes at a time."""

DUE_RATE: Final = 100_000.0
DUE_P50: Final = 2.0
PATIENCE_MS: Final = 10_000
WHICH: Final = ("raw", "live")
_FLAGS: Final = TICK.fields["flags"][1] - TICK.itemsize  # type: ignore[index]
"""Where the lower byte of the last record's flags is, from a frame's end."""


class Hop:
    """One sandbox, one process beside it, and the socket in which it all ends; ``apart``: each on its own core."""

    def __init__(
        self, which: str, sandbox: Sandbox, folder: str, context: zmq.Context[Any], *, apart: bool = False
    ) -> None:
        self.which = which
        self._sandbox = sandbox
        ca_file = Path(folder) / "ca.pem"
        ca_file.write_bytes(sandbox.ca_pem)
        endpoint = ipc_endpoint(folder, which)
        self._socket = new_socket(context, zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
        self._socket.subscribe(b"")
        self._socket.connect(endpoint)
        command = [sys.executable, "-m", "benchmarks._gateway_hop", which, str(sandbox.port), str(ca_file), endpoint]
        self._process = subprocess.Popen(command)
        self._cores = os.sched_getaffinity(0)
        if apart and len(self._cores) > 1:
            mine, other, *_ = sorted(self._cores)
            os.sched_setaffinity(self._process.pid, {other})
            os.sched_setaffinity(0, {mine})

    def close(self) -> None:
        """End it."""
        os.sched_setaffinity(0, self._cores)
        self._process.kill()
        self._process.wait()
        self._socket.close()

    async def is_up(self) -> None:
        """Wait until the process is connected, listened to, and has its book."""
        while not any(each.entry == "public" for each in self._connections):
            if self._process.poll() is not None:
                raise RuntimeError(f"{self.which} has ended with {self._process.returncode}")
            await asyncio.sleep(0.01)
        if self.which == "live":
            while not self._has_book():
                await asyncio.sleep(0.01)
        while self._socket.poll(100):
            self._socket.recv()

    def _has_book(self) -> bool:
        found = False
        while self._socket.poll(0):
            found |= bool(decode_frame(self._socket.recv())[1]["kind"][0] == TickKind.SNAPSHOT)
        return found

    @property
    def _connections(self) -> set[Connection]:
        venue = self._sandbox.venue
        assert isinstance(venue, Venue)
        return venue.streams.connections

    @property
    def _connection(self) -> Connection:
        (connection,) = [each for each in self._connections if each.entry == "public"]
        return connection

    @property
    def _transport(self) -> asyncio.Transport:
        transport = self._connection._request.transport
        assert isinstance(transport, asyncio.Transport)
        return transport

    def _written(self, frames: list[Frame]) -> list[bytes]:
        """The bytes that the exchange writes of each message."""
        names = {name.partition("@")[2].partition("@")[0]: name.encode() for name in self._connection.names}
        return [framed(b'{"stream":"%s","data":%s}' % (names[frame.channel], frame.payload)) for frame in frames]

    async def rate(self, frames: list[Frame]) -> float:
        """Messages/s of all frames as fast as they are taken, until the last one's last record has come."""
        wanted = sum(len(frame.records) for frame in frames) // TICK.itemsize if self.which == "live" else len(frames)
        written, transport = self._written(frames), self._transport
        got = 0
        start = time.perf_counter()
        for first in range(0, len(written), AT_ONCE):
            transport.write(b"".join(written[first : first + AT_ONCE]))
            await asyncio.sleep(0)
            while transport.get_write_buffer_size() > HIGH_WATER:
                got += self._drain(1)
                await asyncio.sleep(0)
        while got < wanted:
            came = self._drain(0 if transport.get_write_buffer_size() else PATIENCE_MS)
            if not came and not transport.get_write_buffer_size():
                raise RuntimeError(f"{self.which}: {got:,} came of {wanted:,}, and nothing more")
            got += came
            await asyncio.sleep(0)
        if got > wanted:
            raise RuntimeError(f"{self.which}: {got:,} came of {wanted:,}: something was sent twice")
        return len(frames) / (time.perf_counter() - start)

    def _drain(self, timeout_ms: int) -> int:
        """Records, or messages, that have come."""
        got = 0
        while self._socket.poll(timeout_ms):
            timeout_ms = 0
            message = self._socket.recv()
            got += (len(message) - HEADER_BYTES) // TICK.itemsize if self.which == "live" else 1
        return got

    async def microseconds(self, frames: list[Frame]) -> list[float]:
        """Of each message, from the exchange's write to its last record's arrival."""
        transport = self._transport
        took = []
        gc.collect()
        gc.disable()
        for written in self._written(frames):
            await asyncio.sleep(0)
            start = time.perf_counter()
            transport.write(written)
            while not self._ends_a_message(self._socket.recv()):
                pass
            took.append(1e6 * (time.perf_counter() - start))
        gc.enable()
        return took

    def _ends_a_message(self, message: bytes) -> bool:
        return self.which == "raw" or bool(message[_FLAGS] & TickFlag.LAST)


@asynccontextmanager
async def hop(which: str, *, apart: bool = False) -> AsyncIterator[Hop]:
    """A sandbox that stands at its first book, and a process connected to it."""
    instrument = market_maker_settings("").instrument(INSTRUMENT)
    context = new_context()
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox(open_recording(RECORDING), instrument) as sandbox:
            made = Hop(which, sandbox, folder, context, apart=apart)
            try:
                await made.is_up()
                yield made
            finally:
                made.close()
                context.destroy(linger=0)


def recorded_frames() -> list[Frame]:
    """What comes behind the book at which a sandbox stands."""
    market = RecordedMarket(open_recording(RECORDING), market_maker_settings("").instrument(INSTRUMENT))
    market.open()
    return [frame for frame in market.step(1_000_000).frames if frame.records]


async def rate_of(which: str, frames: list[Frame]) -> float:
    async with hop(which) as made:
        return await made.rate(frames)


async def p50_of(which: str, frames: list[Frame]) -> float:
    async with hop(which, apart=True) as made:
        return median((await made.microseconds(frames[: WARM + ONE_BY_ONE]))[WARM:])


def measure() -> Iterator[dict[str, Any]]:
    """Messages a second, and the median time of one."""
    compile_entries()
    frames = recorded_frames()
    shared = {"messages": len(frames), "records": sum(len(frame.records) for frame in frames) // TICK.itemsize}
    for name, unit, of, due in (
        ("gateway_rate", "messages/s", rate_of, DUE_RATE),
        ("gateway_p50", "us", p50_of, DUE_P50),
    ):
        rounds = [{which: asyncio.run(of(which, frames)) for which in WHICH} for _ in range(ROUNDS)]
        ours, reference = (median(each[which] for each in rounds) for which in reversed(WHICH))
        yield {
            "name": name,
            "unit": unit,
            "ours": ours,
            "reference": reference,
            "reference_name": "picows to pyzmq, same run",
            "ratio": ours / reference,
            "details": {
                **shared,
                "to_what_is_due": ours / due if unit == "messages/s" else due / (ours / reference),
                "ours_all": [each["live"] for each in rounds],
                "reference_all": [each["raw"] for each in rounds],
            },
        }
