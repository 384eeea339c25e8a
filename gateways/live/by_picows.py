"""Connections by picows: frames come straight from the socket's buffer, and the last one of a read is known."""

from __future__ import annotations

import asyncio
import time
from logging import CRITICAL, getLogger
from typing import Any

import picows

from gateways.live.connection import HANDSHAKE_S, MOST_BYTES, Connection, Sink, closed_with
from gateways.live.route import Route

_TEXT = picows.WSMsgType.TEXT
_BINARY = picows.WSMsgType.BINARY
_CONTINUATION = picows.WSMsgType.CONTINUATION
_CLOSE = picows.WSMsgType.CLOSE

_log = getLogger("picows.zoms")
_log.setLevel(CRITICAL)  # an end is told by the connection


class PicowsConnection(Connection, picows.WSListener):
    """A connection, and the listener that picows calls."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(sink)
        self._ts = 0
        self._fragments: list[bytes] = []
        self._transport: picows.WSTransport | None = None

    def send(self, text: str) -> None:
        """Send a text message."""
        if self._transport is not None and not self.ended.done():
            self._transport.send(_TEXT, text.encode())

    def close(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        """The handshake is done."""
        self._transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """One frame; those of one read have one time of receipt."""
        self._ts = self._ts or time.time_ns()
        kind = frame.msg_type
        try:
            if kind is _TEXT and frame.fin and not self._fragments:
                self._sink.take(frame.get_payload_as_bytes(), self._ts)
            elif kind in (_TEXT, _BINARY, _CONTINUATION):
                self._take_fragment(frame)
            elif kind == _CLOSE:
                text = (frame.get_close_message() or b"").decode(errors="replace")
                self.why = closed_with(frame.get_close_code().value, text)
                transport.send_close(frame.get_close_code(), frame.get_close_message())
                transport.disconnect()
            if frame.last_in_buffer:
                self._ts = 0
                self.has_arrived()
        except Exception as error:  # noqa: BLE001  (it is raised by whoever waits for the end)
            self.has_ended(error)
            transport.disconnect(graceful=False)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        """The connection is gone."""
        self.has_ended()

    def _take_fragment(self, frame: picows.WSFrame) -> None:
        """A part of a message, or all of one that is not text; the last part completes it."""
        self._fragments.append(frame.get_payload_as_bytes())
        if frame.fin:
            self._sink.take(b"".join(self._fragments), self._ts)
            self._fragments.clear()


async def connect(url: str, route: Route, sink: Sink) -> Connection:
    """Open a connection; see ``connection.Connect``."""

    async def opened(address: Any) -> Any:
        return await route.connected(address.host, address.port)

    try:
        async with asyncio.timeout(HANDSHAKE_S):
            _, connection = await picows.ws_connect(
                lambda: PicowsConnection(sink),
                route.address(url),
                ssl_context=route.tls,
                socket_factory=opened,
                websocket_handshake_timeout=HANDSHAKE_S,
                max_frame_size=MOST_BYTES,
                logger_name=_log,
            )
    except picows.WSError as error:
        raise ConnectionError(str(error)) from error
    assert isinstance(connection, PicowsConnection)
    return connection
