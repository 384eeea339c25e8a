"""Streams (Binance, USDⓈ-M Futures: "Connect" of the market and user data streams, "Live Subscribing/Unsubscribing").

Since 2026-04-23 there are three entries ("Important WebSocket Change Notice"): ``/public`` for books and quotes,
``/market`` for the rest of market data, ``/private`` for an account; a stream asked for at another entry than its own
is accepted and stays silent. Each takes ``/ws/NAME/NAME``, whose messages are bare events, and
``/stream?streams=NAME/NAME``, whose messages name the stream.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections import deque
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from gateways.sandbox.faults import Fault

if TYPE_CHECKING:
    from gateways.sandbox.binance.front import Front

PING_S: Final = 180.0
"""A ping every three minutes; without a pong the connection ends, here after half of that already."""

DAY_MS: Final = 24 * 60 * 60 * 1000
"""How long a connection lasts at most."""

MOST_REQUESTS: Final = 10
"""Messages that a client may send in a second; one more, and the connection ends."""

MOST_STREAMS: Final = 1024
"""Streams of one connection."""

MOST_WAITING: Final = 64 * 1024 * 1024
"""Bytes that wait for a slow client before the connection ends."""

HIGH_WATER: Final = 1024 * 1024
"""Bytes that the operating system has not taken yet, beyond which a connection writes no more."""

DRAIN_S: Final = 0.001
"""How long it then waits before it looks again."""

PATH: Final = re.compile(r"/(?P<entry>public|market|private)/(?P<mode>ws|stream)(?:/(?P<names>.*))?")


class Channel(NamedTuple):
    """What kind of stream a name is: at which entry, and with which events."""

    entry: str
    events: str


CHANNELS: Final = (
    (re.compile(r"{symbol}@depth(@(0|100|250|500)ms)?"), Channel("public", "depth")),
    (re.compile(r"({symbol}@|!)bookTicker"), Channel("public", "bookTicker")),
    (re.compile(r"{symbol}@trade"), Channel("public", "trade")),
    (re.compile(r"{symbol}@aggTrade"), Channel("market", "aggTrade")),
    (re.compile(r"{symbol}@markPrice(@1s)?"), Channel("market", "markPrice")),
)
"""Of a depth stream at any speed the messages are the recorded ones."""


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


Channels = tuple[tuple[re.Pattern[str], Channel], ...]


class Request(msgspec.Struct):
    """What a client asks on a connection."""

    method: str
    id: int | str | None = None
    params: list[Any] = []


class Streams:
    """All connections of a venue.

    Parameters
    ----------
    path
        Paths of connections, with the groups ``mode`` and ``names``, and ``entry``; or, when there are no entries,
        ``api`` or ``key``, which stand for the entry ``private``: an API, and an account's listen key.
    channels
        Names of streams; ``{symbol}`` stands for the instrument's.
    answer
        What a request on a connection of the entry ``private`` is answered with.
    """

    def __init__(
        self,
        venue: Front[Any],
        path: re.Pattern[str] = PATH,
        channels: Channels = CHANNELS,
        answer: Callable[[Connection, str], Mapping[str, Any]] | None = None,
    ) -> None:
        self.venue = venue
        self.answer = answer
        self._path = path
        self.connections: set[Connection] = set()
        self._heard: dict[str, list[tuple[Connection, str]]] | None = None
        symbol = re.escape(venue.instrument.symbol.lower())
        self._channels = [
            (re.compile(pattern.pattern.replace("{symbol}", symbol)), channel) for pattern, channel in channels
        ]

    def channel_of(self, name: str) -> Channel | None:
        """What a stream's name means; None: nothing here."""
        return next((channel for pattern, channel in self._channels if pattern.fullmatch(name)), None)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, from its handshake to its end."""
        match = self._path.fullmatch(request.path)
        if match is None:
            return web.Response(status=404)
        socket = web.WebSocketResponse(heartbeat=PING_S, compress=False)
        await socket.prepare(request)
        found = match.groupdict("")
        key = found.get("key") or request.query.get("listenKey", "")
        is_private = bool(found.get("api") or found.get("key"))
        entry = found.get("entry", "private" if is_private else "public")
        connection = Connection(self, request, socket, entry, is_combined=found["mode"] == "stream")
        names = [found["names"], request.query.get("streams", "")]
        for name in "/".join(names).split("/"):
            connection.add(name)
        connection.add(key)
        self.connections.add(connection)
        self.changed()
        timer = ("day", id(connection))
        self.venue.timers.set(timer, DAY_MS, connection.end)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
            self.changed()
            self.venue.timers.set(timer, 0, connection.end)
        return socket

    def are_heard(self, events: str) -> bool:
        """Whether anybody listens to such market data events."""
        return bool(self._listeners().get(events))

    def publish(self, events: str, payload: bytes) -> None:
        """Send an event to every market data stream that carries such."""
        for connection, name in self._listeners().get(events, ()):
            connection.send(name, payload)

    def changed(self) -> None:
        """Who listens to what has changed."""
        self._heard = None

    def _listeners(self) -> dict[str, list[tuple[Connection, str]]]:
        if self._heard is None:
            self._heard = {}
            for connection in self.connections:
                for name in connection.names:
                    channel = self.channel_of(name)
                    if channel is not None and channel.entry == connection.entry:
                        self._heard.setdefault(channel.events, []).append((connection, name))
        return self._heard

    def publish_private(self, key: str | None, payload: bytes) -> None:
        """Send an event to the private streams of a listen key."""
        for connection in self.connections:
            if key is not None and connection.entry == "private" and key in connection.names:
                connection.send(key, payload, is_private=True)

    def end_all(self, *entries: str) -> None:
        """End the connections of these entries, as a restart of the exchange does."""
        for connection in self.connections:
            if connection.entry in entries:
                connection.end()

    async def flush(self) -> None:
        """Wait until everything is written."""
        for connection in list(self.connections):
            await connection.flush()


class Connection:
    """One client's connection."""

    def __init__(
        self, streams: Streams, request: web.Request, socket: web.WebSocketResponse, entry: str, *, is_combined: bool
    ) -> None:
        self.entry = entry
        self.names: dict[str, None] = {}
        """In the order in which they were asked for."""
        self._streams = streams
        self._request = request
        self._socket = socket
        self._is_combined = is_combined
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._queued_bytes = 0
        self._held: list[bytes] = []
        self._asked: deque[float] = deque(maxlen=MOST_REQUESTS)

    def add(self, name: str) -> None:
        """Carry a stream from now on."""
        if name:
            self.names[name] = None
            self._streams.changed()

    def send(self, name: str, payload: bytes, *, is_private: bool = False) -> None:
        """Queue an event, or do to it what the fault plan says."""
        message = b'{"stream":"%s","data":%s}' % (name.encode(), payload) if self._is_combined else payload
        plan = self._streams.venue.faults
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
            self._streams.venue.expire_subscription(name)
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

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                continue
            now_s = asyncio.get_running_loop().time()
            if len(self._asked) == MOST_REQUESTS and now_s - self._asked[0] < 1:
                await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
                return
            self._asked.append(now_s)
            by_request = self._streams.answer if self.entry == "private" else None
            answer = self._answer(message.data) if by_request is None else by_request(self, message.data)
            self._put(msgspec.json.encode(answer))

    def _answer(self, text: str) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(text, type=Request)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            return {"error": {"code": 2, "msg": f"Invalid request: {error}"}}
        try:
            return {"result": _METHODS[request.method](self, request.params), "id": request.id}
        except KeyError:
            text = f"Invalid request: unknown variant `{request.method}`, expected one of {', '.join(_METHODS)}"
        except ValueError as error:
            text = str(error)
        return {"error": {"code": 2, "msg": text}, "id": request.id}

    def subscribe(self, names: list[Any]) -> None:
        """SUBSCRIBE."""
        if not names or not all(isinstance(name, str) for name in names):
            raise ValueError("Invalid request: params must be a non-empty list of strings")
        if len(self.names) + len(names) > MOST_STREAMS:
            raise ValueError(f"Invalid request: a connection has at most {MOST_STREAMS} streams")
        for name in names:
            self.add(name)

    def unsubscribe(self, names: list[Any]) -> None:
        """UNSUBSCRIBE."""
        for name in names:
            self.names.pop(name, None)
        self._streams.changed()

    def subscriptions(self, _params: list[Any]) -> list[str]:
        """LIST_SUBSCRIPTIONS."""
        return [name for name in self.names if "@" in name or name.startswith("!")]

    def set_property(self, params: list[Any]) -> None:
        """SET_PROPERTY: only ``combined`` can be set."""
        if len(params) != 2 or params[0] != "combined" or not isinstance(params[1], bool):
            raise ValueError("Invalid request: only combined can be set, to true or false")
        self._is_combined = params[1]

    def get_property(self, params: list[Any]) -> bool:
        """GET_PROPERTY."""
        if params != ["combined"]:
            raise ValueError("Invalid request: only combined can be asked for")
        return self._is_combined


_METHODS: Final = {
    "SUBSCRIBE": Connection.subscribe,
    "UNSUBSCRIBE": Connection.unsubscribe,
    "LIST_SUBSCRIPTIONS": Connection.subscriptions,
    "SET_PROPERTY": Connection.set_property,
    "GET_PROPERTY": Connection.get_property,
}
