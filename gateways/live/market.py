"""One instrument's live market: messages in as they arrive, TICK records out, in step with the exchange or STALE.

The messages go through the decoder and the sequencer of recordings, so that what is live and what is recorded of it are
the same records.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from gateways.book import BookRebuild, joined_ticks
from gateways.live.client import Backoff, Policy
from gateways.live.repeats import Repeats
from gateways.live.requests import RequestError
from gateways.live.venue import Checksums
from gateways.recording import LineDecoder, ReadCounters
from gateways.sequencer import SnapshotSequencer, stale_tick
from oms.instruments import Instrument

Ticks = npt.NDArray[np.void]

NS_PER_S: Final = 1_000_000_000

PONG: Final = b"pong"
"""What a venue answers to a ping by text."""

CHECK_EVERY_NS: Final = NS_PER_S
"""Least time between two checksums: each takes about a millisecond."""


class Market:
    """A sink of one instrument's messages.

    Parameters
    ----------
    instrument
        Gives venue, grid and id.
    publish
        Takes the records, whole messages at a time.
    checksums
        Reads and computes the venue's checksums of a book; None: it has none.

    Attributes
    ----------
    counters : ReadCounters
        What became of the messages.
    ticks : int
        Records published.
    snapshots, snapshots_failed : int
        Requests for a snapshot that were answered, and that were not.
    last_error : str
        Why the last one was not.
    checked, wrong : int
        Checksums that were compared with the book, and those that were not its own.
    snapshot_wanted : Event
        Set while the streams are up and the book is not in step.
    """

    def __init__(
        self, instrument: Instrument, publish: Callable[[Ticks], None], checksums: Checksums | None = None
    ) -> None:
        self.instrument = instrument
        self.counters = ReadCounters()
        self.repeats = Repeats()
        self.ticks = 0
        self.snapshots = 0
        self.snapshots_failed = 0
        self.last_error = ""
        self.checked = 0
        self.wrong = 0
        self.snapshot_wanted = asyncio.Event()
        self.sequencer = SnapshotSequencer(marks_gaps=True)
        self._publish = publish
        self._lines: list[bytes] = []
        self._book = BookRebuild()
        self._decoder = self._new_decoder()
        self._is_up = False
        self._is_trading = True
        self._last_ts = 0
        self._checksums = checksums
        self._checked_ts = 0

    def take(self, message: bytes, ts: int) -> None:
        """Keep one message until ``flush``."""
        if message == PONG:
            return
        if b"\n" in message:
            message = message.replace(b"\n", b" ")  # the same JSON, on one line
        self._lines.append(b"%d %b\n" % (ts, message))

    def flush(self) -> None:
        """Decode and publish what was taken."""
        if not self._lines:
            return
        parts = self._decoder.decode(b"".join(self._lines))
        last = self._lines[-1]
        self._lines.clear()
        if not parts:
            return
        self._send(self.repeats.take(parts[0] if len(parts) == 1 else joined_ticks(parts)))
        if self.repeats.began_anew:
            self.make_stale()  # the exchange has begun to count anew: only another book has ids that follow
        elif self._checksums is not None and self._last_ts - self._checked_ts >= CHECK_EVERY_NS:
            self._check(self._checksums, last)

    def _check(self, checksums: Checksums, line: bytes) -> None:
        """Compare the book with the checksum of the message that it comes to; where it is another, it is stale."""
        stated = checksums.stated(line.partition(b" ")[2])
        book = self.book() if stated is not None else None
        if book is None:
            return
        self._checked_ts = self._last_ts
        self.checked += 1
        if checksums.of(self.instrument, book) != stated:
            self.wrong += 1
            self.make_stale()

    @property
    def is_in_step(self) -> bool:
        """Whether the book is known and trading goes on."""
        return self._is_up and self._is_trading and self.sequencer.in_step

    def set_up(self, *, is_up: bool) -> None:
        """The streams of the book are up from now on, or none of them is: then the book is stale."""
        was_up, self._is_up = self._is_up, is_up
        if was_up and not is_up:
            self.make_stale()
        self._note_step()

    def set_trading(self, *, is_trading: bool) -> None:
        """The exchange trades the instrument from now on, or not: then its book is stale."""
        was_trading, self._is_trading = self._is_trading, is_trading
        if was_trading and not is_trading:
            self.make_stale()
        self._note_step()

    def check(self, silent_s: float) -> None:
        """Make the book stale when nothing new has come for so long, whatever it was that came."""
        if self.is_in_step and time.time_ns() - self._last_ts > silent_s * NS_PER_S:
            self.make_stale()

    def make_stale(self) -> None:
        """Say that the book is not to be traded on; what comes next is another stream, with ids of its own."""
        self.flush()
        self.repeats.forget()
        self._send(stale_tick(max(time.time_ns(), self._last_ts), self.instrument.id, self.instrument.version))

    def change_version(self, instrument: Instrument) -> None:
        """Count in another definition from now on."""
        self.flush()
        self.instrument = instrument
        self.counters = ReadCounters()
        self._decoder = self._new_decoder()
        self.make_stale()

    def book(self) -> Ticks | None:
        """The book as a SNAPSHOT as of the last tick; None while it is unknown."""
        return self._book.snapshot(self._last_ts) if self.is_in_step else None

    async def keep_in_step(self, ask: Callable[[Instrument], Awaitable[bytes]], policy: Policy) -> None:
        """Fetch a snapshot whenever one is wanted, until cancelled, as often as the policy allows.

        Parameters
        ----------
        ask
            Asks the venue for one, and returns its answer; may raise ``RequestError``.
        """
        every_s = policy.snapshot_every_s
        backoff = Backoff(every_s, max(every_s, policy.longest_wait_s))
        while True:
            await self.snapshot_wanted.wait()
            retry_after_s = 0.0
            try:
                answer = await ask(self.instrument)
            except RequestError as error:
                self.snapshots_failed += 1
                self.last_error = str(error)
                retry_after_s = error.retry_after_s
            else:
                self.snapshots += 1
                if answer and self.snapshot_wanted.is_set():  # the streams are still those for which it was wanted
                    self.take(answer, time.time_ns())
                    self.flush()
            if self.is_in_step:
                backoff.reset()
            await asyncio.sleep(max(every_s, 0 if self.is_in_step else backoff.next_s(), retry_after_s))

    def _new_decoder(self) -> LineDecoder:
        instrument = self.instrument
        return LineDecoder(instrument.venue, instrument, self.counters, f"{instrument.symbol}.{instrument.venue}")

    def _send(self, ticks: Ticks) -> None:
        ticks = self.sequencer.take(ticks)
        if not len(ticks):
            return
        self._last_ts = ticks["local_ts"].item(-1)
        self.ticks += len(ticks)
        self._publish(ticks)
        self._book.take(ticks)
        self._note_step()

    def _note_step(self) -> None:
        if self._is_up and self._is_trading and not self.sequencer.in_step:
            self.snapshot_wanted.set()
        else:
            self.snapshot_wanted.clear()
