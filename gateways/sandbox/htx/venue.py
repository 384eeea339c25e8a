"""HTX's public streams and answers over one recorded instrument.

Entries are ``/ws`` and ``/feed`` of spot, ``/linear-swap-ws`` and ``/ws_index`` of USDT-margined contracts; every frame
that the exchange sends is compressed. It pings every 5 s, and ends a connection that has answered none of the last two
("Heartbeat and Connection").
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import WSMsgType, web

from gateways.decoder import Ticks
from gateways.sandbox.binance.streams import Connection as TextConnection
from gateways.sandbox.binance.streams import framed
from gateways.sandbox.clock import Clock, Timers
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.htx.messages import NS_PER_MS, LinearMarket, SpotMarket
from gateways.sandbox.market import Batch, RecordedMarket
from oms.instrument_kinds import InstrumentKind
from oms.records import TickKind

PING_MS: Final = 5_000
UNANSWERED: Final = 2
MARK_MS: Final = 1_000
"""Between two mark prices."""
_BINARY_HEAD: Final = b"\x82"
"""The first byte of a whole binary frame."""
_SPOT_ENTRIES: Final = ("/ws", "/feed")
_LINEAR_ENTRIES: Final = ("/linear-swap-ws", "/ws_index")
_TRADE: Final = int(TickKind.TRADE)
_QUOTE: Final = int(TickKind.QUOTE)

Json = dict[str, Any]


class PublicVenue:
    """What anybody sees of the exchange.

    Parameters
    ----------
    market, opened
        A recording that is open, and what opening it took.
    faults
        What goes wrong with messages; None: nothing.
    """

    def __init__(self, market: RecordedMarket, opened: Batch, faults: FaultPlan | None = None) -> None:
        self.market = market
        self.instrument = market.instrument
        self.is_spot = self.instrument.kind == InstrumentKind.SPOT.name.lower()
        self.messages = SpotMarket(self.instrument) if self.is_spot else LinearMarket(self.instrument)
        self.faults = faults or FaultPlan()
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.connections: set[Connection] = set()
        self._marked_ms = 0
        self.take(opened)

    @property
    def venue(self) -> PublicVenue:
        """Itself: connections ask their streams for it."""
        return self

    def take(self, batch: Batch) -> None:
        """Let the market move by recorded messages, and pass them on."""
        for change in self.messages.take(batch.ticks):
            self._publish(self.messages.book, change)
        messages = self.messages
        self._publish_each(batch.ticks, _TRADE, messages.trades, messages.trade)
        self._publish_each(batch.ticks, _QUOTE, messages.touch, messages.best)
        trades = batch.ticks[batch.ticks["kind"] == _TRADE]
        if isinstance(messages, LinearMarket) and len(trades):
            self._mark(messages, trades[-1])

    def end_all(self) -> None:
        """End all connections, as a restart of the exchange does."""
        for connection in self.connections:
            connection.end()

    def changed(self) -> None:
        """Who listens to what has changed; every message looks."""

    async def flush(self) -> None:
        """Wait until everything is written."""
        for connection in list(self.connections):
            await connection.flush()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or hold a connection."""
        if request.headers.get("Upgrade", "").lower() != "websocket":
            answer = self._answer(request.path)
            return web.Response(status=404) if answer is None else web.json_response({"status": "ok", **answer})
        if request.path not in (_SPOT_ENTRIES if self.is_spot else _LINEAR_ENTRIES):
            return web.Response(status=404)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        connection = Connection(self, request, socket)
        self.connections.add(connection)
        connection.ping()
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)
            self.timers.set(("ping", id(connection)), 0, connection.end)
        return socket

    def _answer(self, path: str) -> Json | None:
        """ "Get Current Timestamp", "Get all Supported Trading Symbol"; "Query Contract Info"."""
        symbol = self.instrument.symbol
        answers: dict[str, Json] = {
            "/v1/common/timestamp": {"data": self.clock.now_ms},
            "/v1/common/symbols": {"data": [{"symbol": symbol, "state": "online"}]},
            "/api/v1/timestamp": {"ts": self.clock.now_ms},
            "/linear-swap-api/v1/swap_contract_info": {"data": [{"contract_code": symbol, "contract_status": 1}]},
        }
        return answers.get(path)

    def _publish_each(self, ticks: Ticks, kind: int, channel: str, made: Callable[[Any], str]) -> None:
        topic = self.messages.topic(channel)
        if any(topic in connection.names for connection in self.connections):
            for tick in ticks[ticks["kind"] == kind]:
                self._publish(channel, made(tick))

    def mark_anew(self) -> None:
        """Have the next trade tell the mark price."""
        self._marked_ms = 0

    def _mark(self, messages: LinearMarket, trade: Any) -> None:
        """The mark price, now and then."""
        ms = int(trade["exch_ts"]) // NS_PER_MS
        if ms >= self._marked_ms + MARK_MS:
            self._marked_ms = ms
            self._publish(messages.mark, messages.mark_price(trade))

    def _publish(self, channel: str, message: str) -> None:
        topic = self.messages.topic(channel)
        for connection in self.connections:
            if topic in connection.names:
                connection.send(topic, message.encode())


class Connection(TextConnection):
    """One client's connection; its names are the topics that it has subscribed to."""

    def __init__(self, venue: PublicVenue, request: web.Request, socket: web.WebSocketResponse) -> None:
        super().__init__(venue, request, socket, request.path, is_combined=False)  # type: ignore[arg-type]
        self.pongs = 0
        self._venue = venue
        self._unanswered = 0

    def ping(self) -> None:
        """Ask whether the client is there, and again and again; end the connection where it is not."""
        if self._unanswered == UNANSWERED:
            self.end()
            return
        self._unanswered += 1
        self._say({"ping": self._venue.clock.now_ms})
        self._venue.timers.set(("ping", id(self)), PING_MS, self.ping)

    def _put(self, message: bytes) -> None:
        """Queue a compressed frame."""
        super()._put(gzip.compress(message, 1, mtime=0))

    def _framed(self, message: bytes) -> bytes:
        return _BINARY_HEAD + framed(message)[1:]

    def _say(self, content: Json) -> None:
        self._put(msgspec.json.encode(content))

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                self._take(message.data)

    def _take(self, text: str) -> None:
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, msgspec.ValidationError):
            self._refuse(None, "request is not JSON")
            return
        if "pong" in request:
            self.pongs += 1
            self._unanswered = 0
            return
        verb = next((each for each in ("sub", "unsub", "req") if each in request), "")
        topic = str(request.get(verb, ""))
        if topic not in map(self._venue.messages.topic, self._channels(verb)):
            self._refuse(request.get("id"), f"invalid topic {topic}")
        elif verb == "sub":
            self._subscribe(topic, request)
        elif verb == "unsub":
            self.names.pop(topic, None)
            self._say({"id": request.get("id"), "unsubbed": topic, "ts": self._venue.clock.now_ms, "status": "ok"})
        elif isinstance(self._venue.messages, SpotMarket):
            self.tell(self._venue.messages.answer(str(request.get("id", "")), self._venue.clock.now_ms).encode())

    def _channels(self, verb: str) -> tuple[str, ...]:
        """What can be asked for in this way at the entry."""
        messages = self._venue.messages
        others = (messages.trades, messages.touch)
        if verb == "req":
            return (messages.book,) if self.entry == "/feed" else ()
        at_entry = {"/feed": (messages.book,), "/ws": others, "/linear-swap-ws": (messages.book, *others)}
        return at_entry.get(self.entry, (LinearMarket.mark,))

    def _subscribe(self, topic: str, request: Json) -> None:
        """A contract's book comes first, whole."""
        messages = self._venue.messages
        self._say({"id": request.get("id"), "subbed": topic, "ts": self._venue.clock.now_ms, "status": "ok"})
        self.add(topic)
        if isinstance(messages, LinearMarket) and topic == messages.topic(messages.book):
            if request.get("data_type") != "incremental":
                self._refuse(request.get("id"), "data_type is not incremental")
                self.names.pop(topic)
            else:
                self.send(topic, messages.first().encode())

    def _refuse(self, request_id: object, text: str) -> None:
        self._say(
            {
                "status": "error",
                "ts": self._venue.clock.now_ms,
                "id": request_id,
                "err-code": "bad-request",
                "err-msg": text,
            }
        )
