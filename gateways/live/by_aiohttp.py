"""Connections by aiohttp, where picows is missing: the same, more slowly, and message by message."""

from __future__ import annotations

import asyncio
import time

import aiohttp

from gateways.live.connection import HANDSHAKE_S, MOST_BYTES, Connection, Sink, closed_with
from gateways.live.route import Route

_MESSAGES = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


class AiohttpConnection(Connection):
    """A connection, and the task that reads it."""

    def __init__(self, sink: Sink, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__(sink)
        self._session = session
        self._socket = socket
        self._reading = asyncio.ensure_future(self._read())
        self._sending: set[asyncio.Future[None]] = set()

    def send(self, text: str) -> None:
        """Send a text message."""
        if self._socket.closed:
            return
        sending = asyncio.ensure_future(self._socket.send_str(text))
        self._sending.add(sending)
        sending.add_done_callback(self._has_sent)

    def _has_sent(self, sending: asyncio.Future[None]) -> None:
        self._sending.discard(sending)
        if not sending.cancelled():
            sending.exception()  # whoever reads sees the end

    def close(self) -> None:
        """End it now."""
        self._reading.cancel()

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type in _MESSAGES:
                    text = message.data
                    self._sink.take(text.encode() if isinstance(text, str) else text, time.time_ns())
                    self.has_arrived()
            if (code := self._socket.close_code) is not None:
                self.why = closed_with(code)
        except Exception as error:  # noqa: BLE001  (it is raised by whoever waits for the end)
            self.has_ended(None if isinstance(error, OSError | aiohttp.ClientError) else error)
        finally:
            self.has_ended()
            await self._session.close()


async def connect(url: str, route: Route, sink: Sink) -> Connection:
    """Open a connection; see ``connection.Connect``."""
    session = route.session()
    try:
        async with asyncio.timeout(HANDSHAKE_S):
            socket = await session.ws_connect(route.address(url), max_msg_size=MOST_BYTES)
    except BaseException as error:
        await session.close()
        if isinstance(error, aiohttp.ClientError):
            raise ConnectionError(str(error)) from error
        raise
    return AiohttpConnection(sink, session, socket)
