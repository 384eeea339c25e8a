"""Binance spot, USD-M and COIN-M market data: raw messages into TICK records.

The layouts below are the messages as the exchange sends them today, and the compiled scanner takes those. Whatever
it does not recognise is decoded by field name through msgspec: the same records, but slowly.

A message with a value that is not on the instrument's grid is refused whole, with a reason, with one exception: a
depth level whose *quantity* is off the lot is refused by itself. Binance spot does send those (old orders from before
a change of the lot, far from the market), and to refuse the message would leave the book without its update ids.

Field names follow the exchange's documents: ``E`` event time and ``T`` transaction time in ms, ``s`` symbol, ``U`` and
``u`` first and last update id of the message, ``pu`` the last update id of the message before it.

A mark price comes once a second and is on no grid: it is decoded by field name always, to the nearest tick. The message
says when funding is next due and at which rate; the first one behind that time gives a FUNDING record too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from gateways.decoder import Decoded, Decoder, Refusal, Ticks, refused
from gateways.layouts import NS_PER_MS
from oms.decimals import GridError, rate
from oms.instrument_kinds import InstrumentKind
from oms.instruments import MAX_VALUE, Instrument
from oms.records import CASH_SCALE, TICK, Reason, TickFlag, TickKind

_USDM_DEPTH: Final = (
    '"data":{"e":"depthUpdate","E":<skipped>,"T":<exch_ms>,"s":"$SYMBOL",<?"ps":"$PAIR",?>"U":<skipped>,"u":<id>,'
    '"pu":<previous_id>,"b":[<bids>],"a":[<asks>]<?,"st":1?>}}'
)
_SPOT_DEPTH: Final = (
    '"data":{"e":"depthUpdate","E":<exch_ms>,"s":"$SYMBOL","U":<first_id>,"u":<id>,"b":[<bids>],"a":[<asks>]}}'
)
_PRICES: Final = '"b":"<px>","B":"<qty>","a":"<px_2>","A":"<qty_2>","T":<exch_ms>,"E":<skipped>'

USDM_LAYOUTS: Final = (
    (
        TickKind.QUOTE,
        '{"stream":"$stream@bookTicker","data":{"e":"bookTicker","u":<id>,"s":"$SYMBOL",<?"ps":"$PAIR",?>'
        + _PRICES
        + '<?,"st":1?>}}',
    ),
    (
        TickKind.TRADE,
        '{"stream":"$stream@trade","data":{"e":"trade","E":<skipped>,"T":<exch_ms>,"s":"$SYMBOL",'
        '"t":<id>,"p":"<px>","q":"<qty>","X":"MARKET","m":<buyer_is_maker><?,"st":1?>}}',
    ),
    (TickKind.DEPTH, '{"stream":"$stream@depth@<skipped>ms",' + _USDM_DEPTH),
    (TickKind.DEPTH, '{"stream":"$stream@depth",' + _USDM_DEPTH),
    (TickKind.SNAPSHOT, '{"lastUpdateId":<id>,"E":<skipped>,"T":<exch_ms>,"bids":[<bids>],"asks":[<asks>]}'),
)
"""As recorded in 2024; since 2026 messages tell the pair (``ps``) and the market too (``st``: 1 is USD-M, 2 COIN-M)."""

COINM_LAYOUTS: Final = (
    *(
        (TickKind.QUOTE, '{"stream":"$stream@bookTicker","data":{' + first + '"s":"$SYMBOL","ps":"$PAIR",' + rest)
        for first, rest in (
            ('"e":"bookTicker","u":<id>,', _PRICES + '<?,"st":2?>}}'),
            ('"u":<id>,"e":"bookTicker",', _PRICES + "}}"),
        )
    ),
    *(
        (kind, text.replace('"st":1', '"st":2'))
        for kind, text in USDM_LAYOUTS
        if kind in (TickKind.TRADE, TickKind.DEPTH)
    ),
    (
        TickKind.SNAPSHOT,
        '{"lastUpdateId":<id>,"E":<skipped>,"T":<exch_ms>,"symbol":"$SYMBOL","pair":"$PAIR",'
        '"bids":[<bids>],"asks":[<asks>]}',
    ),
)
"""As USD-M's, but for quotes, which were led by the update's id until 2026."""

SPOT_LAYOUTS: Final = (
    (
        TickKind.QUOTE,
        '{"stream":"$stream@bookTicker","data":{"u":<id>,"s":"$SYMBOL",'
        '"b":"<px>","B":"<qty>","a":"<px_2>","A":"<qty_2>"}}',
    ),
    (
        TickKind.TRADE,
        '{"stream":"$stream@trade","data":{"e":"trade","E":<skipped>,"s":"$SYMBOL",'
        '"t":<id>,"p":"<px>","q":"<qty>","T":<exch_ms>,"m":<buyer_is_maker>,"M":true}}',
    ),
    (TickKind.DEPTH, '{"stream":"$stream@depth@<skipped>ms",' + _SPOT_DEPTH),
    (TickKind.DEPTH, '{"stream":"$stream@depth",' + _SPOT_DEPTH),
    (TickKind.SNAPSHOT, '{"lastUpdateId":<id>,"bids":[<bids>],"asks":[<asks>]}'),
)


class VenueError(ValueError):
    """A venue that this gateway does not speak, or an instrument that the venue does not have."""


class Venue(NamedTuple):
    """One Binance market: its layouts, the kind of its instruments, and whether depth messages carry ``pu``."""

    layouts: Sequence[tuple[TickKind, str]]
    kind: InstrumentKind
    has_previous_id: bool


VENUES: Final = {
    "binance_usdm": Venue(USDM_LAYOUTS, InstrumentKind.LINEAR_PERPETUAL, has_previous_id=True),
    "binance_coinm": Venue(COINM_LAYOUTS, InstrumentKind.INVERSE_PERPETUAL, has_previous_id=True),
    "binance_spot": Venue(SPOT_LAYOUTS, InstrumentKind.SPOT, has_previous_id=False),
}


def venue_named(name: str, instrument: Instrument | None = None) -> Venue:
    """Look a venue up, and check that ``instrument`` can be one of its own.

    Raises
    ------
    VenueError
        For an unknown venue, or an instrument of another kind than the venue trades.
    """
    venue = VENUES.get(name)
    if venue is None:
        raise VenueError(f"unknown venue {name!r}: known are {', '.join(VENUES)}")
    if instrument is not None and instrument.kind != venue.kind.name.lower():
        raise VenueError(
            f"{instrument.symbol} is {instrument.kind} in the settings, but {name} trades {venue.kind.name.lower()}: "
            f"correct the instrument's kind, tick and lot, or choose another recording"
        )
    return venue


def venue_of(message: bytes) -> str | None:
    """The venue that a message must come from, by the fields that only one market has; None when it does not tell."""
    try:
        envelope = _envelope.decode(message)
        fields = msgspec.json.decode(envelope.data or message, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    if "st" in fields:
        return _VENUE_OF_MARKET.get(bytes(fields["st"]))
    if _COINM_SYMBOL.fullmatch(bytes(fields.get("s", b""))):
        return "binance_coinm"
    for names, venue in _TELLING_FIELDS:
        if names <= fields.keys():
            return venue
    return None


_VENUE_OF_MARKET: Final = {b"1": "binance_usdm", b"2": "binance_coinm"}
"""By the field ``st`` of 2026."""
_COINM_SYMBOL: Final = re.compile(rb'"[A-Z0-9]+USD_(PERP|[0-9]{6})"')
_TELLING_FIELDS: Final = (
    ({"pair"}, "binance_coinm"),
    ({"pu"}, "binance_usdm"),
    ({"X", "t"}, "binance_usdm"),
    ({"M", "t"}, "binance_spot"),
    ({"U", "u"}, "binance_spot"),
    ({"u", "A", "T"}, "binance_usdm"),
    ({"u", "A"}, "binance_spot"),
)


class _Refused(ValueError):  # noqa: N818  (what became of a message, not a fault of the program)
    """This message gives no records."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    snapshot_id: int | None = msgspec.field(default=None, name="lastUpdateId")


class _Event(msgspec.Struct):
    symbol: str = msgspec.field(name="s")
    event: str | None = msgspec.field(default=None, name="e")
    transaction_ms: int | None = msgspec.field(default=None, name="T")
    event_ms: int | None = msgspec.field(default=None, name="E")


class _Trade(_Event, kw_only=True):
    trade_id: int = msgspec.field(name="t")
    px: str = msgspec.field(name="p")
    qty: str = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    origin: str = msgspec.field(default="MARKET", name="X")


class _BookTicker(_Event, kw_only=True):
    update_id: int = msgspec.field(name="u")
    bid_px: str = msgspec.field(name="b")
    bid_qty: str = msgspec.field(name="B")
    ask_px: str = msgspec.field(name="a")
    ask_qty: str = msgspec.field(name="A")


class _Mark(_Event, kw_only=True):
    """``T``, elsewhere the transaction time, is here the time at which funding is next due."""

    mark_px: str = msgspec.field(name="p")
    index_px: str = msgspec.field(default="0", name="i")
    funding_rate: str = msgspec.field(default="", name="r")


Level = tuple[str, str]


class _Depth(_Event, kw_only=True):
    first_id: int = msgspec.field(name="U")
    last_id: int = msgspec.field(name="u")
    previous_id: int | None = msgspec.field(default=None, name="pu")
    bids: list[Level] = msgspec.field(name="b")
    asks: list[Level] = msgspec.field(name="a")


class _Snapshot(msgspec.Struct, kw_only=True):
    last_id: int = msgspec.field(name="lastUpdateId")
    symbol: str | None = None
    transaction_ms: int | None = msgspec.field(default=None, name="T")
    event_ms: int | None = msgspec.field(default=None, name="E")
    bids: list[Level]
    asks: list[Level]


_envelope: Final = msgspec.json.Decoder(_Envelope)
_trade: Final = msgspec.json.Decoder(_Trade)
_book_ticker: Final = msgspec.json.Decoder(_BookTicker)
_mark: Final = msgspec.json.Decoder(_Mark)
_depth: Final = msgspec.json.Decoder(_Depth)
_snapshot: Final = msgspec.json.Decoder(_Snapshot)

_EVENTS: Final = {
    TickKind.TRADE: "trade",
    TickKind.QUOTE: "bookTicker",
    TickKind.DEPTH: "depthUpdate",
    TickKind.MARK: "markPriceUpdate",
}
_PLAIN_DECIMAL: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?", re.ASCII)


def _named(layout: str, names: dict[str, str]) -> str:
    for name, text in names.items():
        layout = layout.replace(name, text)
    return layout


class MessageDecoder(Decoder):
    """See ``Decoder``."""

    def __init__(self, venue: str, instrument: Instrument) -> None:
        self.venue = venue_named(venue, instrument)
        stream = instrument.symbol.lower()
        names = {"$stream": stream, "$SYMBOL": instrument.symbol, "$PAIR": instrument.symbol.partition("_")[0]}
        super().__init__(instrument, [(kind, _named(text, names)) for kind, text in self.venue.layouts])
        self._refused_levels: list[Refusal] = []
        self._funding = (0, 0)  # when it is next due, ms, and its rate in 1e-8; 0: it is not known
        self._streams: tuple[tuple[re.Pattern[str], Callable[[bytes, int], Ticks]], ...] = (
            (re.compile(re.escape(stream) + "@bookTicker", re.ASCII), self._decode_book_ticker),
            (re.compile(re.escape(stream) + "@trade", re.ASCII), self._decode_trade),
            (re.compile(re.escape(stream) + "@depth(@[0-9]+ms)?", re.ASCII), self._decode_depth),
            (re.compile(re.escape(stream) + "@markPrice(@1s)?", re.ASCII), self._decode_mark),
        )

    def decode_slowly(self, message: bytes, local_ts: int) -> Decoded:
        """As ``Decoder.decode_slowly``."""
        self.slow += 1
        self._refused_levels = []
        try:
            return Decoded(self._decode_envelope(message, local_ts), tuple(self._refused_levels))
        except (_Refused, GridError) as error:
            return refused(error.reason, str(error))
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            return refused(Reason.MALFORMED, f"not a message of {self.instrument.venue}: {error}")

    def _decode_envelope(self, message: bytes, local_ts: int) -> Ticks:
        envelope = _envelope.decode(message)
        if envelope.snapshot_id is not None:
            return self._decode_snapshot(message, local_ts)
        for pattern, decode in self._streams:
            if pattern.fullmatch(envelope.stream):
                return decode(envelope.data, local_ts)
        symbol = envelope.stream.partition("@")[0]
        if symbol and symbol != self.instrument.symbol.lower():
            raise _Refused(Reason.UNKNOWN_INSTRUMENT, f"stream {envelope.stream} is not of {self.instrument.symbol}")
        raise _Refused(Reason.NONE, f"stream {envelope.stream!r} carries no market data of ours")

    def _decode_trade(self, payload: bytes, local_ts: int) -> Ticks:
        trade = _trade.decode(payload)
        ticks = self._ticks(1, TickKind.TRADE, trade, trade.trade_id, local_ts)
        if trade.origin != "MARKET":
            raise _Refused(Reason.NONE, f"trade {trade.trade_id} of origin {trade.origin} did not take from the book")
        ticks["px"] = self._px(trade.px, positive=True)
        ticks["qty"] = self._qty(trade.qty, positive=True)
        ticks["side"] = -1 if trade.buyer_is_maker else 1
        return ticks

    def _decode_book_ticker(self, payload: bytes, local_ts: int) -> Ticks:
        quote = _book_ticker.decode(payload)
        ticks = self._ticks(1, TickKind.QUOTE, quote, quote.update_id, local_ts)
        ticks["px"] = self._px(quote.bid_px)
        ticks["qty"] = self._qty(quote.bid_qty)
        ticks["px_2"] = self._px(quote.ask_px)
        ticks["qty_2"] = self._qty(quote.ask_qty)
        return ticks

    def _decode_mark(self, payload: bytes, local_ts: int) -> Ticks:
        mark = _mark.decode(payload)
        funding_ms, mark.transaction_ms = mark.transaction_ms or 0, None
        self._checked("time of funding in ns", funding_ms * NS_PER_MS)
        funding_rate = rate("funding rate", mark.funding_rate or "0")
        self._checked("size of the funding rate", abs(funding_rate))
        due_ms, due_rate = self._funding
        is_due = 0 < due_ms <= (mark.event_ms or 0) and due_ms < funding_ms
        ticks = self._ticks(1 + is_due, TickKind.MARK, mark, 0, local_ts)
        ticks["px"][-1] = self._nearest_tick(mark.mark_px)
        ticks["px_2"][-1] = self._nearest_tick(mark.index_px)
        if is_due:
            ticks["kind"][0] = TickKind.FUNDING
            ticks["exch_ts"][0] = due_ms * NS_PER_MS
            ticks["qty"][0] = due_rate
        if funding_ms >= due_ms:  # a message may overtake one of another connection
            self._funding = (funding_ms, funding_rate)
        return ticks

    def _nearest_tick(self, text: str) -> int:
        ticks, fraction = self.instrument.average_to_ticks(_plain("price", text))
        return ticks + (2 * fraction >= CASH_SCALE)

    def _decode_depth(self, payload: bytes, local_ts: int) -> Ticks:
        depth = _depth.decode(payload)
        previous_id = depth.previous_id if self.venue.has_previous_id else depth.first_id - 1
        if previous_id is None:
            raise _Refused(Reason.MALFORMED, f"depth update {depth.last_id} has no pu: its predecessor is unknown")
        ticks = self._levels(TickKind.DEPTH, depth, depth.last_id, local_ts)
        ticks["px_2"] = self._checked("previous update id", previous_id, lowest=-1)
        return ticks

    def _decode_snapshot(self, message: bytes, local_ts: int) -> Ticks:
        snapshot = _snapshot.decode(message)
        ticks = self._levels(TickKind.SNAPSHOT, snapshot, snapshot.last_id, local_ts)
        ticks["px_2"] = snapshot.last_id
        return ticks

    def _levels(self, kind: TickKind, message: _Depth | _Snapshot, update_id: int, local_ts: int) -> Ticks:
        levels = []
        for side, (px, qty) in [*((1, bid) for bid in message.bids), *((-1, ask) for ask in message.asks)]:
            ticks = self._px(px, positive=True)
            try:
                levels.append((ticks, self._qty(qty), side))
            except GridError as error:
                self._refused_levels.append(Refusal(error.reason, f"level {px} of update {update_id}: {error}"))
        records = self._ticks(max(len(levels), 1), kind, message, update_id, local_ts)
        for record, (px_ticks, qty_lots, side) in zip(records, levels, strict=False):
            record["px"] = px_ticks
            record["qty"] = qty_lots
            record["side"] = side
        return records

    def _ticks(self, count: int, kind: TickKind, message: _Event | _Snapshot, update_id: int, local_ts: int) -> Ticks:
        """Records of one message of ours, with everything but prices, quantities, sides and the previous id."""
        if isinstance(message, _Event) and message.event not in (None, _EVENTS[kind]):
            raise _Refused(Reason.MALFORMED, f"event {message.event!r} on a stream of {_EVENTS[kind]} events")
        symbol = message.symbol
        if symbol is not None and symbol != self.instrument.symbol:
            raise _Refused(Reason.UNKNOWN_INSTRUMENT, f"message of {symbol} is not of {self.instrument.symbol}")
        exch_ms = message.event_ms if message.transaction_ms is None else message.transaction_ms
        ticks = np.zeros(count, TICK)
        ticks["exch_ts"] = local_ts if exch_ms is None else self._checked("exchange time in ns", exch_ms * NS_PER_MS)
        ticks["local_ts"] = local_ts
        ticks["update_id"] = self._checked("id", update_id)
        ticks["instrument"] = self.instrument.id
        ticks["version"] = self.instrument.version
        ticks["kind"] = kind
        ticks["flags"][0] = TickFlag.FIRST
        ticks["flags"][-1] |= TickFlag.LAST
        return ticks

    def _checked(self, what: str, value: int, lowest: int = 0) -> int:
        if value < lowest:
            raise _Refused(Reason.MALFORMED, f"{what} {value} is negative")
        if value > MAX_VALUE:
            raise _Refused(Reason.OVERFLOW, f"{what} {value} is too large")
        return value

    def _px(self, text: str, *, positive: bool = False) -> int:
        ticks = self.instrument.px_to_ticks(_plain("price", text))
        if positive and ticks == 0:
            raise _Refused(Reason.BAD_PRICE, f"price {text} of {self.instrument.symbol} is not above zero")
        return ticks

    def _qty(self, text: str, *, positive: bool = False) -> int:
        lots = self.instrument.qty_to_lots(_plain("quantity", text))
        if positive and lots == 0:
            raise _Refused(Reason.QTY_BELOW_MIN, f"quantity {text} of {self.instrument.symbol} is not above zero")
        return lots


def _plain(what: str, text: str) -> str:
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise _Refused(Reason.MALFORMED, f"{what} {text[:60]!r} is not plain decimal text of at most 40 digits")
    return text
