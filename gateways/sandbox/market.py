"""The market behind the sandbox: a recorded stream, frame by frame, with the book, the quote and the trades it leaves.

What clients are sent is the recording itself, byte for byte, and nothing of their own orders: so market data equals an
independent decode of the file. The matching engine, which does know their orders, is fed with the same frames.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from itertools import islice
from typing import Final, NamedTuple

import msgspec
import numpy as np

from gateways.binance import MessageDecoder
from gateways.book import BookRebuild, joined_ticks
from gateways.decoder import Ticks
from gateways.lines import LineReader, RecordingError
from gateways.sequencer import SnapshotSequencer, stale_tick
from gateways.sidecar import LINE, Recording
from oms.instruments import Instrument
from oms.records import TICK, TickKind

MAX_TRADES: Final = 1000
"""Recent trades that are kept for whoever asks."""

BETWEEN_PASSES_NS: Final = 1_000_000_000
"""Recorded time between the last frame of one pass and the first of the next."""


_TRADE: Final = int(TickKind.TRADE)
_QUOTE: Final = int(TickKind.QUOTE)
TRADE_FIELDS: Final = ("exch_ts", "update_id", "side", "px", "qty")
_QUOTE_FIELDS: Final = ("exch_ts", "update_id", "px", "qty", "px_2", "qty_2")


class Frame(NamedTuple):
    """One recorded message.

    Attributes
    ----------
    ts : int
        When it was received, ns: of the recording, corrected by its clock offset, and going on from pass to pass.
    channel : str
        Such as ``depth``, ``trade`` or ``bookTicker``; empty for an answer to a request.
    payload : bytes
        The event as it was sent, without the envelope of a combined stream.
    records : bytes
        What it decodes to.
    restarts : bool
        It is the first of another pass: the stream has begun anew, with ids that go back.
    """

    ts: int
    channel: str
    payload: bytes
    records: bytes = b""
    restarts: bool = False

    @property
    def ticks(self) -> Ticks:
        """Its records: an array of TICK, perhaps empty, read-only."""
        return np.frombuffer(self.records, TICK)


class Batch(NamedTuple):
    """Recorded messages in a row, and their ticks in the order in which a book takes them: TICK records."""

    frames: list[Frame]
    ticks: Ticks


class Trade(NamedTuple):
    """One public trade, in ticks and lots; ``side`` is the taker's."""

    ts: int
    trade_id: int
    side: int
    px: int
    qty: int


class Quote(NamedTuple):
    """Best bid and ask with their quantities, in ticks and lots."""

    ts: int
    update_id: int
    bid_px: int
    bid_qty: int
    ask_px: int
    ask_qty: int


class _Envelope(msgspec.Struct):
    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()


_envelope: Final = msgspec.json.Decoder(_Envelope)


def read_as(instrument: Instrument, recording: Recording) -> Instrument:
    """The instrument by whose grid a recording is read: itself, or one of the recorded venue with the same grid.

    Quantities of a recording are in the base currency, those of an inverse contract in contracts, which must be of the
    same size as those of ``instrument``.
    """
    if instrument.venue == recording.venue:
        return instrument
    lot, multiplier = Decimal(instrument.lot), instrument.multiplier
    if not instrument.inverse:
        lot, multiplier = lot * Decimal(multiplier), "1"
    changes = {"symbol": recording.symbol, "venue": recording.venue, "lot": f"{lot:f}", "multiplier": multiplier}
    return msgspec.structs.replace(instrument, **changes)


class RecordedMarket:
    """Takes a recording frame by frame.

    Parameters
    ----------
    recording, instrument
        What the file holds, and what is traded. Where that is another venue's, the recording stands for its market, and
        is read in its ticks and lots.
    loop
        Begin again at the end, for ever.

    Attributes
    ----------
    trades : deque of Trade
        The latest, oldest first.
    quote : Quote or None
        The latest.
    px_decimals, qty_decimals : int
        Decimals with which the recording writes prices and quantities.
    """

    def __init__(self, recording: Recording, instrument: Instrument, *, loop: bool = False) -> None:
        self.recording = recording
        self.instrument = instrument
        self.trades: deque[Trade] = deque(maxlen=MAX_TRADES)
        self.quote: Quote | None = None
        self.px_decimals = self.qty_decimals = 0
        self.ts = 0
        self._loop = loop
        self._shift = 0
        self._decoder = MessageDecoder(recording.venue, read_as(instrument, recording))
        self._frames = self._passes()
        self._sequencer = SnapshotSequencer()
        self._book = BookRebuild()

    def open(self) -> Batch:
        """Take messages until there is a book, and return them.

        Raises
        ------
        RecordingError
            When the recording has no depth snapshot.
        """
        batches: list[Batch] = []
        while not self.is_in_step:
            batches.append(self.step())
            if not batches[-1].frames or batches[-1].frames[0].restarts:
                raise RecordingError(
                    f"recording {self.recording.path} has no depth snapshot, and so no book: "
                    f"record one, or choose another recording"
                )
        frames = [frame for batch in batches for frame in batch.frames]
        return Batch(frames, joined_ticks([batch.ticks for batch in batches]))

    @property
    def is_in_step(self) -> bool:
        """Whether the book is known: not between the begin of a pass and its snapshot."""
        return self._sequencer.in_step

    def step(self, count: int = 1) -> Batch:
        """Take the next messages; fewer, or none, at the end."""
        frames = list(islice(self._frames, count))
        parts: list[bytes] = []
        for frame in frames:
            if frame.restarts:
                stale = stale_tick(frame.ts, self.instrument.id, self.instrument.version)
                parts.append(stale.tobytes())
            parts.append(frame.records)
        ticks = self._sequencer.take(np.frombuffer(b"".join(parts), TICK))
        self._note(ticks)
        return Batch(frames, ticks)

    def book(self) -> Ticks:
        """The recorded book as SNAPSHOT records, bids before asks, best first.

        Raises
        ------
        RecordingError
            When the recording has a gap, and no snapshot behind it yet.
        """
        snapshot = self._book.snapshot(self.ts)
        if snapshot is None:
            raise RecordingError(f"recording {self.recording.path} has a gap: its book is unknown for the moment")
        return snapshot

    def _passes(self) -> Iterator[Frame]:
        first_ts = 0
        restarts = False
        while True:
            for line in self._lines():
                match = LINE.fullmatch(line)
                if match is None:
                    continue
                ts = int(match[1]) - self.recording.clock_offset_ns + self._shift
                frame = self._frame(max(ts, self.ts), match[2], restarts)
                first_ts = first_ts or frame.ts
                restarts = False
                self.ts = frame.ts
                yield frame
            if not self._loop:
                return
            self._shift += self.ts - first_ts + BETWEEN_PASSES_NS
            first_ts = 0
            restarts = True

    def _lines(self) -> Iterator[bytes]:
        for chunk in LineReader(self.recording.path).chunks():
            yield from (line.strip() for line in chunk.split(b"\n") if line.strip())

    def _frame(self, ts: int, message: bytes, restarts: bool) -> Frame:
        try:
            envelope = _envelope.decode(message)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return Frame(ts, "", message, restarts=restarts)
        channel = envelope.stream.partition("@")[2].partition("@")[0]
        if channel == "depth" and not self.px_decimals:
            self._note_decimals(bytes(envelope.data))
        records = self._decoder.decode(message, ts).tobytes()
        return Frame(ts, channel, bytes(envelope.data) or message, records, restarts)

    def _note(self, ticks: Ticks) -> None:
        kinds = ticks["kind"]
        self.trades.extend(Trade(*row) for row in ticks[kinds == _TRADE][list(TRADE_FIELDS)].tolist())
        quotes = np.flatnonzero(kinds == _QUOTE)
        if len(quotes):
            self.quote = Quote(*ticks[quotes[-1:]][list(_QUOTE_FIELDS)].tolist()[0])
        self._book.take(ticks)

    def _note_decimals(self, payload: bytes) -> None:
        levels = msgspec.json.decode(payload, type=_Levels)
        for px, qty in [*levels.bids, *levels.asks][:1]:
            self.px_decimals, self.qty_decimals = (len(text.partition(".")[2]) for text in (px, qty))


class _Levels(msgspec.Struct):
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")
