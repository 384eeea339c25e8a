"""HTX's public streams and answers over one recorded instrument.

Entries are ``/ws`` and ``/feed`` of spot, ``/linear-swap-ws`` and ``/ws_index`` of USDT-margined contracts; every frame
that the exchange sends is compressed. It pings every 5 s, and ends a connection that has answered none of the last two
("Heartbeat and Connection").
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from aiohttp import web

from gateways.decoder import Ticks
from gateways.sandbox.clock import Clock, Timers
from gateways.sandbox.faults import FaultPlan
from gateways.sandbox.htx.connection import Connection
from gateways.sandbox.htx.messages import LinearMarket, SpotMarket
from gateways.sandbox.market import Batch, RecordedMarket
from oms.instrument_kinds import InstrumentKind
from oms.records import TickKind

PING_MS: Final = 5_000
UNANSWERED: Final = 2
MARK_MS: Final = 1_000
"""Between two mark prices."""
_SPOT_ENTRIES: Final = ("/ws", "/feed")
_LINEAR_ENTRIES: Final = ("/linear-swap-ws", "/ws_index")
_BOOKS: Final = ("/market/depth", "/linear-swap-ex/market/depth")
BOOK_LEVELS: Final = 150
"""Of each side, in an answer."""
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
        PublicVenue.take(self, opened)

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
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.hold(request)
        answer = self.public_answer(request.path)
        return web.Response(status=404) if answer is None else web.json_response(answer)

    async def hold(self, request: web.Request) -> web.StreamResponse:
        """A connection to market data."""
        if request.path not in (_SPOT_ENTRIES if self.is_spot else _LINEAR_ENTRIES):
            return web.Response(status=404)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        await PublicConnection(self, request, socket).live()
        return socket

    def public_answer(self, path: str) -> Json | None:
        """What a request without a key is answered with; None: there is nothing at that path."""
        now_ms = self.clock.now_ms
        answers: dict[str, Json] = {
            "/v1/common/timestamp": {"data": now_ms},
            "/v1/common/symbols": {"data": [self._symbol()]},
            "/api/v1/timestamp": {"ts": now_ms},
            "/linear-swap-api/v1/swap_contract_info": {"data": [self._contract()], "ts": now_ms},
        }
        if path in _BOOKS:
            return {"status": "ok", "ch": self.messages.topic("depth.step0"), "ts": now_ms, "tick": self._book()}
        if path == "/v2/reference/currencies":
            names = (self.instrument.base, self.instrument.quote)
            return {"code": 200, "data": [_currency(name.lower()) for name in names]}
        return {"status": "ok", **answers[path]} if path in answers else None

    def _book(self) -> Json:
        """ "Get Market Depth", without aggregation."""
        each, messages = self.instrument, self.messages
        bids, asks = (
            [[float(each.px_from_ticks(px)), float(each.qty_from_lots(qty))] for px, qty in levels[:BOOK_LEVELS]]
            for levels in messages.whole()
        )
        return {"bids": bids, "asks": asks, "ts": messages.ts_ms, "version": messages.number}

    def _symbol(self) -> Json:
        """A row of "Get all Supported Trading Symbol", as recorded ones are."""
        each = self.instrument
        most = float(each.max_qty) or 1000.0
        return {
            "base-currency": each.base.lower(),
            "quote-currency": each.quote.lower(),
            "price-precision": _decimals(each.tick),
            "amount-precision": _decimals(each.lot),
            "symbol-partition": "main",
            "symbol": each.symbol,
            "state": "online",
            "value-precision": 8,
            "min-order-amt": float(each.min_qty) or float(each.lot),
            "max-order-amt": most,
            "min-order-value": float(each.min_notional),
            "limit-order-min-order-amt": float(each.min_qty) or float(each.lot),
            "limit-order-max-order-amt": most,
            "sell-market-min-order-amt": float(each.min_qty) or float(each.lot),
            "sell-market-max-order-amt": most,
            "buy-market-max-order-value": 1000000,
            "api-trading": "enabled",
            "tags": "",
        }

    def _contract(self) -> Json:
        """A row of "Query Contract Info", as recorded ones are."""
        each = self.instrument
        return {
            "symbol": each.base,
            "contract_code": each.symbol,
            "contract_size": float(each.multiplier),
            "price_tick": float(each.tick),
            "delivery_date": "",
            "delivery_time": "",
            "create_date": "20201021",
            "contract_status": 1,
            "settlement_date": "1640764800000",
            "support_margin_mode": "all",
            "business_type": "swap",
            "pair": each.symbol,
            "contract_type": "swap",
            "trade_partition": each.quote,
        }

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
        ms = messages.ms_of(trade)
        if ms >= self._marked_ms + MARK_MS:
            self._marked_ms = ms
            self._publish(messages.mark, messages.mark_price(trade))

    def _publish(self, channel: str, message: str) -> None:
        topic = self.messages.topic(channel)
        for connection in self.connections:
            if topic in connection.names:
                connection.send(topic, message.encode())


class PublicConnection(Connection):
    """One client's connection to market data."""

    ping_ms = PING_MS
    unanswered = UNANSWERED

    def __init__(self, venue: PublicVenue, request: web.Request, socket: web.WebSocketResponse) -> None:
        super().__init__(venue, request, socket)
        self._venue = venue

    def ping_message(self, now_ms: int) -> Json:
        """As ``Connection.ping_message``."""
        return {"ping": now_ms}

    def take(self, request: Json) -> None:
        """As ``Connection.take``."""
        if "pong" in request:
            self.answered()
            return
        verb = next((each for each in ("sub", "unsub", "req") if each in request), "")
        topic = str(request.get(verb, ""))
        if topic not in map(self._venue.messages.topic, self._channels(verb)):
            self._refuse(request.get("id"), f"invalid topic {topic}")
        elif verb == "sub":
            self._subscribe(topic, request)
        elif verb == "unsub":
            self.names.pop(topic, None)
            self.say({"id": request.get("id"), "unsubbed": topic, "ts": self._venue.clock.now_ms, "status": "ok"})
        elif isinstance(self._venue.messages, SpotMarket):
            self.tell(self._venue.messages.answer(str(request.get("id", "")), self._venue.clock.now_ms).encode())

    def take_malformed(self) -> None:
        """As ``Connection.take_malformed``."""
        self._refuse(None, "request is not JSON")

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
        self.say({"id": request.get("id"), "subbed": topic, "ts": self._venue.clock.now_ms, "status": "ok"})
        self.add(topic)
        if isinstance(messages, LinearMarket) and topic == messages.topic(messages.book):
            if request.get("data_type") != "incremental":
                self._refuse(request.get("id"), "data_type is not incremental")
                self.names.pop(topic)
            else:
                self.send(topic, messages.first().encode())

    def _refuse(self, request_id: object, text: str) -> None:
        self.say(
            {
                "status": "error",
                "ts": self._venue.clock.now_ms,
                "id": request_id,
                "err-code": "bad-request",
                "err-msg": text,
            }
        )


def _currency(name: str) -> Json:
    """A row of "APIv2 - Currency & Chains": nothing is deposited or withdrawn here."""
    return {"currency": name, "assetType": "1", "chains": [], "instStatus": "normal"}


def _decimals(step: str) -> int:
    """Decimals of a step that is a power of ten."""
    exponent = Decimal(step).normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    return max(-exponent, 0)
