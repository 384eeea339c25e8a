"""Live market data where they are recorded: equal to an independent decode, tick for tick and book for book."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gateways.decoder import Ticks
from gateways.live.requests import Requests
from gateways.sandbox.faults import Fault, FaultPlan
from gateways.sandbox.market import Frame
from oms.compiled import JIT, compile_entries
from oms.instruments import Instrument
from oms.records import TickFlag, TickKind
from tests.gateways.conformance.cases import Case, every_recorded_venue
from tests.gateways.conformance.own_book import Book, own_books
from tests.gateways.live.floor import STREAMED, Floor, on_floor
from tests.gateways.reference import reference_decode

compile_entries()

STEPS = 2_000 if JIT else 400
LEVELS = 100
"""Of each side; a snapshot by request does not have all that the recorded one has."""


@every_recorded_venue
def test_every_tick_and_every_book_is_that_of_an_independent_decode(case: Case) -> None:
    @on_floor(recording=case.recording)
    async def body(floor: Floor) -> None:
        await floor.in_step()
        frames = await floor.step(STEPS)
        expected = decoded(frames, floor.venue.instrument)
        await floor.until(lambda: len(floor.outlet.of(*STREAMED)) >= len(expected))
        assert without_times(floor.outlet.of(*STREAMED)).tobytes() == without_times(expected).tobytes()
        books = own_books(case.recording, floor.venue.instrument, floor.last_id)
        compared = 0
        for update_id, book in heard_books(floor.outlet.of(TickKind.SNAPSHOT, TickKind.DEPTH)):
            if update_id in books:
                assert best_of(book) == best_of(books[update_id])
                compared += 1
        assert compared > 10
        assert floor.market.sequencer.gaps == floor.market.repeats.count == 0

    body()


def decoded(frames: list[Frame], instrument: Instrument) -> Ticks:
    """What the reference decoder makes of recorded messages."""
    parts = []
    for frame in frames:
        if frame.channel:
            stream = f"{instrument.symbol.lower()}@{frame.channel}"
            message = b'{"stream":"%s","data":%s}' % (stream.encode(), frame.payload)
            parts.append(reference_decode(message, frame.ts, instrument))
    return np.concatenate(parts)


def without_times(ticks: Ticks) -> Ticks:
    """Without the times of receipt, which stand for the exchange's where it states none."""
    ticks = ticks.copy()
    ticks["exch_ts"][ticks["exch_ts"] == ticks["local_ts"]] = 0
    ticks["local_ts"] = 0
    return ticks


def heard_books(ticks: Ticks) -> Iterator[tuple[int, Book]]:
    """The book behind each message, and its last update id."""
    book: Book = {}
    ends = np.flatnonzero(ticks["flags"] & TickFlag.LAST) + 1
    for message in np.split(ticks, ends[:-1]):
        if message["kind"][0] == TickKind.SNAPSHOT:
            book.clear()
        for side, px, qty in message[["side", "px", "qty"]].tolist():
            book[side, px] = qty
        yield int(message["update_id"][0]), book


def best_of(book: Book) -> list[list[tuple[int, int]]]:
    """Price and quantity of the best levels, bids and asks."""
    return [
        sorted(((px, qty) for (of, px), qty in book.items() if of == side and qty), reverse=side > 0)[:LEVELS]
        for side in (1, -1)
    ]


@every_recorded_venue
def test_missing_update_makes_the_book_stale_until_the_next_snapshot(case: Case) -> None:
    @on_floor(recording=case.recording)
    async def body(floor: Floor) -> None:
        await floor.in_step()
        await floor.step(50)
        await floor.lose("depth")
        await floor.caught_up()
        floor.check_book()
        assert floor.market.sequencer.gaps == 1
        assert floor.market.snapshots == 2

    body()


@every_recorded_venue
def test_messages_that_come_twice_or_break_off_leave_the_book_right(case: Case) -> None:
    @on_floor(recording=case.recording)
    async def body(floor: Floor) -> None:
        await floor.in_step()
        await floor.step_with(FaultPlan(3, {Fault.DUPLICATE: 0.3, Fault.DROP: 0.02}), 200)
        floor.venue.end_streams()
        await floor.until(lambda: len(floor.outlet.of(TickKind.STALE)) > 0)
        await floor.in_step()
        await floor.step(20)
        await floor.caught_up()
        floor.check_book()

    body()


@every_recorded_venue
def test_clock_and_traded_symbols_are_asked_of_the_exchange(case: Case) -> None:
    @on_floor(recording=case.recording)
    async def body(floor: Floor) -> None:
        async with Requests(floor.route) as requests:
            assert await floor.live.venue.traded(requests) == {floor.venue.instrument.symbol}
            assert abs(await floor.live.venue.server_ms(requests) - floor.venue.clock.now_ms) < 60_000

    body()
