"""What every venue's streams share: a connection that writes what is queued, and to which faults happen."""

from __future__ import annotations

import asyncio
import struct
from abc import ABC, abstractmethod
from itertools import takewhile
from typing import Final

from aiohttp import web

from gateways.sandbox.faults import Fault, FaultPlan

MOST_WAITING: Final = 64 * 1024 * 1024
"""Bytes that wait for a slow client before the connection ends."""

HIGH_WATER: Final = 1024 * 1024
"""Bytes that the operating system has not taken yet, beyond which a connection writes no more."""

DRAIN_S: Final = 0.001
"""How long it then waits before it looks again."""


def framed(message: bytes) -> bytes:
    """A text message as a server sends it: one final, unmasked frame (RFC 6455, 5.2)."""
    length = len(message)
    if length < 126:
        head = struct.pack("!BB", 0x81, length)
    elif length < 65536:
        head = struct.pack("!BBH", 0x81, 126, length)
    else:
        head = struct.pack("!BBQ", 0x81, 127, length)
    return head + message


class Connection(ABC):
    """One client's connection: what is queued for it is written as fast as it takes it.

    Parameters
    ----------
    request, socket
        Of the handshake.
    entry
        Where it came in.

    Attributes
    ----------
    names : dict
        What it carries, in the order in which it was asked for.
    """

    def __init__(self, request: web.Request, socket: web.WebSocketResponse, entry: str) -> None:
        self.entry = entry
        self.names: dict[str, None] = {}
        self._request = request
        self._socket = socket
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queued_bytes = 0
        self._held: list[bytes] = []

    @property
    @abstractmethod
    def faults(self) -> FaultPlan:
        """What goes wrong with its messages."""

    @abstractmethod
    async def _read(self) -> None:
        """Take what the client asks, until it ends."""

    def expire(self, name: str) -> None:  # noqa: B027  # public ones have nothing to lose
        """End what lets a client hear an account's events."""

    def changed(self) -> None:  # noqa: B027  # most have nothing to do
        """It carries something else from now on."""

    def add(self, name: str) -> None:
        """Carry a stream from now on."""
        if name:
            self.names[name] = None
            self.changed()

    def send(self, name: str, payload: bytes, *, is_private: bool = False) -> None:
        """Queue an event, or do to it what the fault plan says."""
        message = self._message(name, payload)
        plan = self.faults
        if plan.is_quiet:
            self._put(message)
            return
        kinds = [Fault.DISCONNECT, Fault.DROP, Fault.DUPLICATE, Fault.REORDER]
        fault = plan.first(*([Fault.EXPIRE_KEY] if is_private else []), *kinds)
        if fault is Fault.DISCONNECT:
            self.end()
            return
        if fault is Fault.EXPIRE_KEY:
            self._put(message)
            self.expire(name)
            return
        if fault is Fault.DROP:
            return
        if fault is Fault.REORDER:
            self._held.append(message)
            return
        copies = 2 if fault is Fault.DUPLICATE else 1
        for each in [message] * copies + self._held:
            self._put(each)
        self._held.clear()

    def tell(self, message: bytes) -> None:
        """Queue a message that no fault befalls."""
        self._put(message)

    def end(self) -> None:
        """Break the connection behind what is queued."""
        self._queue.put_nowait(None)

    async def flush(self) -> None:
        """Wait until everything queued is written."""
        await self._queue.join()

    async def run(self) -> None:
        """Write what is queued, and read what the client asks, until one of them ends."""
        writer = asyncio.ensure_future(self._write())
        reader = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait((writer, reader), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, reader):
                task.cancel()
            await asyncio.gather(writer, reader, return_exceptions=True)
            self._drop_queue()

    def _put(self, message: bytes) -> None:
        frame = self._framed(message)
        self._queued_bytes += len(frame)
        if self._queued_bytes > MOST_WAITING:
            self.end()
        else:
            self._queue.put_nowait(frame)

    def _message(self, _name: str, payload: bytes) -> bytes:
        """An event as it is written."""
        return payload

    def _framed(self, message: bytes) -> bytes:
        return framed(message)

    def _taken(self) -> list[bytes | None]:
        """What is queued."""
        return [self._queue.get_nowait() for _ in range(self._queue.qsize())]

    def _drop_queue(self) -> None:
        for _ in self._taken():
            self._queue.task_done()

    async def _write(self) -> None:
        """Write what is queued, as much at a time as there is: a write takes longer than a message."""
        while True:
            frames = [await self._queue.get(), *self._taken()]
            try:
                sound = [frame for frame in takewhile(lambda frame: frame is not None, frames) if frame is not None]
                transport = self._request.transport
                if transport is None or transport.is_closing():
                    return
                transport.write(b"".join(sound))
                self._queued_bytes -= sum(map(len, sound))
                while transport.get_write_buffer_size() > HIGH_WATER:
                    await asyncio.sleep(DRAIN_S)
                if len(sound) < len(frames):
                    self._abort()
                    return
            finally:
                for _ in frames:
                    self._queue.task_done()

    def _abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()
