"""What all of HTX's streams share: every frame that the exchange sends is compressed, and it asks again and again
whether the client is there ("Heartbeat and Connection")."""

from __future__ import annotations

import gzip
from abc import abstractmethod
from typing import Any, Final, Protocol

import msgspec
from aiohttp import WSMsgType, web

from gateways.sandbox.accounts import Account
from gateways.sandbox.clock import Clock, Timers
from gateways.sandbox.connection import Connection as TextConnection
from gateways.sandbox.connection import framed
from gateways.sandbox.faults import FaultPlan

_BINARY_HEAD: Final = b"\x82"
"""The first byte of a whole binary frame."""

Json = dict[str, Any]


class Host(Protocol):
    """Whose connections they are."""

    clock: Clock
    timers: Timers
    faults: FaultPlan
    connections: set[Any]


class PrivateHost(Host, Protocol):
    """Whose private connections they are."""

    def expire_subscription(self, name: str, /) -> None:
        """End private connections."""


class Connection(TextConnection):
    """One client's connection; its names are the topics that it has subscribed to."""

    ping_ms: int
    """Between two questions."""
    unanswered: int
    """So many in a row end the connection."""

    def __init__(self, host: Host, request: web.Request, socket: web.WebSocketResponse) -> None:
        super().__init__(request, socket, request.path)
        self.pongs = 0
        self.host = host
        self._asked_in_vain = 0

    @property
    def faults(self) -> FaultPlan:
        """Of the venue."""
        return self.host.faults

    async def live(self) -> None:
        """From its handshake to its end."""
        self.host.connections.add(self)
        self.ping()
        try:
            await self.run()
        finally:
            self.host.connections.discard(self)
            self.host.timers.set(("ping", id(self)), 0, self.end)

    def ping(self) -> None:
        """Ask whether the client is there, and again and again; end the connection where it is not."""
        if self._asked_in_vain == self.unanswered:
            self.end()
            return
        self._asked_in_vain += 1
        self.say(self.ping_message(self.host.clock.now_ms))
        self.host.timers.set(("ping", id(self)), self.ping_ms, self.ping)

    def answered(self) -> None:
        """The client is there."""
        self.pongs += 1
        self._asked_in_vain = 0

    def say(self, content: Json) -> None:
        """Queue a message that no fault befalls."""
        self._put(msgspec.json.encode(content))

    @abstractmethod
    def ping_message(self, now_ms: int) -> Json:
        """The question."""

    @abstractmethod
    def take(self, request: Json) -> None:
        """Do what the client asks."""

    @abstractmethod
    def take_malformed(self) -> None:
        """Refuse what is no object of JSON."""

    def _put(self, message: bytes) -> None:
        """Queue a compressed frame."""
        super()._put(gzip.compress(message, 1, mtime=0))

    def _framed(self, message: bytes) -> bytes:
        return _BINARY_HEAD + framed(message)[1:]

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                continue
            try:
                request = msgspec.json.decode(message.data, type=dict[str, Any])
            except (msgspec.DecodeError, msgspec.ValidationError):
                self.take_malformed()
                continue
            self.take(request)


class PrivateConnection(Connection):
    """A connection to an account's events.

    Attributes
    ----------
    account : Account or None
        Whose; None until the client has said it.
    """

    def __init__(self, host: PrivateHost, request: web.Request, socket: web.WebSocketResponse) -> None:
        super().__init__(host, request, socket)
        self.private_host = host
        self.account: Account | None = None

    def expire(self, name: str) -> None:
        """Have private connections end."""
        self.private_host.expire_subscription(name)

    def say_close(self, now_ms: int) -> None:
        """Say that the connection will be closed."""
        self.say({"op": "close", "ts": now_ms})
