"""Streams (OKX v5, "WebSocket": "Connect", "Login", "Subscribe"; and the section of each channel).

Two entries, ``/ws/v5/public`` and ``/ws/v5/private``; a client says what it wants by message. Framing is that of
recorded messages of the exchange. A connection on which nothing has gone either way for 30 seconds ends: clients send
the text ``ping``, and are answered ``pong``.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import WSMsgType, web

from gateways.sandbox.accounts import Account
from gateways.sandbox.connection import Connection as TextConnection
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.okx.contract import Json
from gateways.sandbox.okx.public import funding_row, mark_row, ticker_row
from gateways.sandbox.okx.security import LOGIN_PATH, WINDOW_MS, signature

if TYPE_CHECKING:
    from gateways.sandbox.okx.venue import Venue

IDLE_MS: Final = 30_000
MOST_REQUESTS: Final = 480
"""Requests of one connection in an hour ("Connection count limit" and below)."""

HOUR_S: Final = 3600
PATHS: Final = {"/ws/v5/public": "public", "/ws/v5/private": "private"}

PUBLIC: Final = ("books", "bbo-tbt", "trades", "tickers", "mark-price", "funding-rate", "instruments")
OF_SWAPS: Final = ("funding-rate",)
PRIVATE: Final = ("orders", "account", "positions", "balance_and_position")
CLOSING: Final = ("64008", "The connection will soon be closed for a service upgrade. Please reconnect.")


class StreamError(Exception):
    """A request on a connection is refused: code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Streams:
    """All connections of a venue."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.connections: set[Connection] = set()
        self._heard: dict[str, list[tuple[Connection, str]]] | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One connection, from its handshake to its end."""
        entry = PATHS.get(request.path)
        if entry is None:
            return web.Response(status=404)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        connection = Connection(self, request, socket, entry)
        self.connections.add(connection)
        timers, timer = self.venue.timers, ("idle", id(connection))
        connection.watch_idleness(timers, timer)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
            self.changed()
            timers.set(timer, 0, connection.end)
        return socket

    def are_heard(self, channel: str) -> bool:
        """Whether anybody listens to a channel."""
        return bool(self._listeners().get(channel))

    def publish(self, channel: str, row: Json, action: str = "") -> None:
        """Send a row of a public channel to whoever listens."""
        listeners = self._listeners().get(channel, ())
        if not listeners:
            return
        content = msgspec.json.encode([row])
        for connection, arg in listeners:
            connection.send(arg, message_of(arg.encode(), content, action))

    def publish_private(self, account: Account, channel: str, row: Json) -> None:
        """Send a row of a private channel to the account's connections."""
        content = msgspec.json.encode([row])
        for connection, arg in self._listeners().get(channel, ()):
            if connection.account is account:
                connection.send(arg, message_of(connection.private_arg(arg), content), is_private=True)

    def changed(self) -> None:
        """Who listens to what has changed."""
        self._heard = None

    def _listeners(self) -> dict[str, list[tuple[Connection, str]]]:
        if self._heard is None:
            self._heard = {}
            for connection in self.connections:
                for arg in connection.names:
                    self._heard.setdefault(msgspec.json.decode(arg)["channel"], []).append((connection, arg))
        return self._heard

    def end_all(self, *entries: str) -> None:
        """End the connections of these entries, as a restart of the exchange does."""
        for connection in self.connections:
            if connection.entry in entries:
                connection.end()

    async def flush(self) -> None:
        """Wait until everything is written."""
        for connection in list(self.connections):
            await connection.flush()


class Connection(TextConnection):
    """One client's connection; its names are the arguments of what it has subscribed to, as JSON."""

    def __init__(self, streams: Streams, request: web.Request, socket: web.WebSocketResponse, entry: str) -> None:
        super().__init__(request, socket, entry)
        self._streams = streams
        self.account: Account | None = None
        self._venue = streams.venue
        self._id = f"{id(self):x}"[-8:]
        self._last_ms = self._venue.clock.now_ms

    @property
    def faults(self) -> FaultPlan:
        """Of the venue."""
        return self._venue.faults

    def expire(self, name: str) -> None:
        """Have private connections end soon."""
        self._venue.expire_subscription(name)

    def changed(self) -> None:
        """Have the streams look anew for who listens."""
        self._streams.changed()

    def watch_idleness(self, timers: Any, name: Any) -> None:
        """End the connection once nothing has gone over it for so long."""

        def look() -> None:
            idle_ms = self._venue.clock.now_ms - self._last_ms
            if idle_ms >= IDLE_MS:
                self.end()
            else:
                timers.set(name, IDLE_MS - idle_ms, look)

        timers.set(name, IDLE_MS, look)

    def private_arg(self, arg: str) -> bytes:
        """The argument of a private message: with the account's ``uid``."""
        assert self.account is not None
        return msgspec.json.encode({**msgspec.json.decode(arg), "uid": str(self.account.number + 1)})

    def close_soon(self) -> None:
        """Say that the connection will end, and end it."""
        code, text = CLOSING
        self.tell(msgspec.json.encode({"event": "notice", "code": code, "msg": text, "connId": self._id}))
        self.end()

    def _put(self, message: bytes) -> None:
        self._last_ms = self._venue.clock.now_ms
        super()._put(message)

    async def _read(self) -> None:
        asked: list[int] = []
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                continue
            self._last_ms = now_ms = self._venue.clock.now_ms
            if message.data == "ping":
                self._put(b"pong")
                continue
            asked = [ms for ms in asked if ms > now_ms - HOUR_S * 1000] + [now_ms]
            if len(asked) > MOST_REQUESTS:
                await self._socket.close(code=4006, message=b"Too many requests")
                return
            self._take(message.data)

    def _take(self, text: str) -> None:
        try:
            try:
                request = msgspec.json.decode(text, type=dict[str, Any])
                act = _OPERATIONS[request["op"]]
                args = request["args"]
            except (msgspec.DecodeError, msgspec.ValidationError, KeyError):
                raise StreamError("60012", f"Invalid request: {text}") from None
            for arg in args:
                act(self, arg)
        except StreamError as error:
            self._say({"event": "error", "code": error.code, "msg": error.text})

    def _say(self, content: Json) -> None:
        self._put(msgspec.json.encode({**content, "connId": self._id}))

    def login(self, arg: dict[str, str]) -> None:
        """ "Login": the time is in seconds."""
        login = self._venue.logins.get(arg.get("apiKey", ""))
        timestamp = arg.get("timestamp", "")
        if login is None:
            raise StreamError("60005", "Invalid apiKey")
        if not timestamp.isdigit() or abs(int(timestamp) * 1000 - self._venue.clock.now_ms) > WINDOW_MS:
            raise StreamError("60006", "Timestamp request expired")
        if arg.get("passphrase") != login.passphrase:
            raise StreamError("60024", "Wrong passphrase")
        made = signature(login.secret, timestamp, "GET", LOGIN_PATH)
        if not hmac.compare_digest(made.encode(), arg.get("sign", "").encode()):
            raise StreamError("60007", "Invalid sign")
        self.account = self._venue.account_of(login.key)
        self._say({"event": "login", "code": "0", "msg": ""})

    def subscribe(self, arg: dict[str, str]) -> None:
        """ "Subscribe": the state of a book, the account or the positions comes first."""
        channel = self._checked(arg)
        name = msgspec.json.encode(arg).decode()
        self._say({"event": "subscribe", "arg": arg})
        self.add(name)
        first = _FIRST.get(channel)
        if first is None:
            return
        rows = first(self._venue, self)
        if rows:
            told = name.encode() if channel in PUBLIC else self.private_arg(name)
            action = "snapshot" if channel == "books" else ""
            self.send(name, message_of(told, msgspec.json.encode(rows), action), is_private=channel in PRIVATE)

    def unsubscribe(self, arg: dict[str, str]) -> None:
        """ "Unsubscribe"."""
        self.names.pop(msgspec.json.encode(arg).decode(), None)
        self.changed()
        self._say({"event": "unsubscribe", "arg": arg})

    def _checked(self, arg: dict[str, str]) -> str:
        """The channel of a request, when there is such a one."""
        channel, contract = arg.get("channel", ""), self._venue.contract
        named = ",".join(f"{name}:{value}" for name, value in arg.items())
        missing = StreamError(
            "60018",
            f"Wrong URL or {named} doesn't exist. Please use the correct URL, channel and "
            "parameters referring to API document.",
        )
        if channel not in (PUBLIC if self.entry == "public" else PRIVATE):
            raise missing
        if contract.is_spot and channel in OF_SWAPS:
            raise missing
        if arg.get("instId", contract.inst_id) != contract.inst_id:
            raise missing
        if arg.get("instType", contract.inst_type) not in (contract.inst_type, "ANY"):
            raise missing
        if channel in PRIVATE and self.account is None:
            raise StreamError("60011", "Please log in")
        return channel


def message_of(arg: bytes, content: bytes, action: str = "") -> bytes:
    """A message of a channel, whose ``data`` is ``content``."""
    told = b'"action":"%b",' % action.encode() if action else b""
    return b'{"arg":%b,%b"data":%b}' % (arg, told, content)


def _account(connection: Connection) -> Account:
    assert connection.account is not None
    return connection.account


_OPERATIONS: Final[dict[str, Callable[[Connection, Any], None]]] = {
    "login": Connection.login,
    "subscribe": Connection.subscribe,
    "unsubscribe": Connection.unsubscribe,
}

_FIRST: Final[dict[str, Callable[[Any, Connection], list[Json]]]] = {
    "books": lambda venue, _: [venue.books.snapshot(venue.shift_ms)],
    "tickers": lambda venue, _: [ticker_row(venue, venue.market_ms)],
    "mark-price": lambda venue, _: [mark_row(venue, venue.market_ms)],
    "funding-rate": lambda venue, _: [funding_row(venue, venue.market_ms)],
    "instruments": lambda venue, _: [venue.contract.row],
    "account": lambda venue, connection: [venue.views.balance(_account(connection))],
    "balance_and_position": lambda venue, connection: [
        venue.views.balance_and_position(_account(connection), "snapshot")
    ],
    "positions": lambda venue, connection: (
        [venue.views.position(_account(connection))] if _account(connection).qty else []
    ),
}
"""What a channel says at once ("Initial push")."""
