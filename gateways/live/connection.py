"""One WebSocket connection from its handshake to its end, whichever library holds it."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from gateways.live.route import Route

HANDSHAKE_S: Final = 10.0
"""How long it may take to connect."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""A message that is longer ends the connection."""


def closed_with(code: int, text: str = "") -> str:
    """Why a connection has ended that was closed with a code (RFC 6455, 7.4), and perhaps a text."""
    return f"it was closed with code {code}{': ' * bool(text)}{text}"


class Sink(Protocol):
    """What takes the messages."""

    def take(self, message: bytes, ts: int) -> None:
        """Keep one message that was received at ``ts``, ns."""

    def flush(self) -> None:
        """Everything that has arrived is taken: now is the time to do something about it."""


class Connection(ABC):
    """A connection that is up.

    Attributes
    ----------
    heard : Future
        Done with the first message.
    heard_s : float
        When the last message came, by the monotonic clock; at first, when the connection was made.
    why : str
        Why it has ended, once it has.
    ended : Future
        Done when the connection is gone; has the exception when it was the sink that failed.
    """

    def __init__(self, sink: Sink) -> None:
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.heard_s = time.monotonic()
        self.why = "the connection broke"
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sink = sink

    @abstractmethod
    def send(self, text: str) -> None:
        """Send a text message; on a connection that is gone nothing happens."""

    @abstractmethod
    def close(self) -> None:
        """End it now; ``ended`` follows."""

    def has_arrived(self) -> None:
        """Call the sink's ``flush``: the messages of one read are taken."""
        self.heard_s = time.monotonic()
        if not self.heard.done():
            self.heard.set_result(None)
        self._sink.flush()

    def has_ended(self, error: Exception | None = None) -> None:
        """Take note of the end; only the first reason counts."""
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


Connect = Callable[[str, Route, Sink], Awaitable[Connection]]
"""Opens a connection to an address; raises ``OSError`` or ``ConnectionError`` when it cannot."""


def fastest() -> Connect:
    """The way to connect of the fastest library that is installed: picows, else aiohttp."""
    try:
        from gateways.live.by_picows import connect
    except ImportError:
        from gateways.live.by_aiohttp import connect
    return connect
