"""Live market data from the sandbox of OKX: what is published, and what becomes of it when something goes wrong."""

from __future__ import annotations

from itertools import groupby

import pytest

from gateways.live.connection import Connect
from gateways.sandbox.faults import Fault
from oms.compiled import compile_entries
from oms.records import TickKind
from tests.gateways.live.test_market_data import library
from tests.gateways.okx.floor import OkxFloor, on_floor

compile_entries()

STALE, SNAPSHOT, DEPTH = TickKind.STALE, TickKind.SNAPSHOT, TickKind.DEPTH


@pytest.mark.parametrize("name", ["picows", "aiohttp"])
def test_every_trade_and_quote_is_that_of_the_recording_and_the_book_too(name: str) -> None:
    connect: Connect = library(name)

    @on_floor(connect=connect)
    async def body(floor: OkxFloor) -> None:
        await floor.in_step()
        await floor.step(600)
        recorded = {kind: floor.recorded(kind, 0, 600) for kind in (TickKind.TRADE, TickKind.QUOTE)}
        await floor.until(lambda: len(floor.of(TickKind.QUOTE)) >= len(recorded[TickKind.QUOTE]))
        for kind, rows in recorded.items():
            assert floor.of(kind) == rows
        assert len(floor.of(TickKind.MARK)) > 1
        await floor.caught_up()
        floor.check_book()
        assert len(floor.of(STALE)) == floor.market.sequencer.gaps == floor.market.repeats.count == 0
        assert floor.market.counters.refused.total() == 0

    body()


@on_floor()
async def test_missing_update_makes_the_book_stale_until_it_comes_anew(floor: OkxFloor) -> None:
    await floor.in_step()
    await floor.step(50)
    before = floor.venue.books.seq_id
    await floor.step_with(100, Fault.DROP)
    assert floor.venue.books.seq_id > before
    await floor.caught_up()
    floor.check_book()
    kinds = [row[0] for row in floor.of(STALE, SNAPSHOT)]
    assert [kind for kind, _ in groupby(kinds)] == [SNAPSHOT, STALE, SNAPSHOT]
    assert floor.market.sequencer.gaps == 1


@on_floor()
async def test_ids_that_begin_anew_make_the_book_stale_until_it_comes_anew(floor: OkxFloor) -> None:
    await floor.in_step()
    await floor.caught_up()
    floor.venue.books.restart()
    await floor.caught_up()
    floor.check_book()
    assert [kind for kind, _ in groupby(row[0] for row in floor.of(STALE, SNAPSHOT))] == [SNAPSHOT, STALE, SNAPSHOT]
    assert floor.market.sequencer.gaps == 0


@on_floor()
async def test_broken_connection_makes_the_book_stale_and_is_opened_again(floor: OkxFloor) -> None:
    await floor.in_step()
    await floor.step(50)
    floor.venue.streams.end_all("public")
    await floor.until(lambda: len(floor.of(STALE)) == 1)
    await floor.in_step()
    await floor.caught_up()
    floor.check_book()
    assert [stream.opened for stream in floor.live.streams] == [2]


@on_floor(connections=2)
async def test_of_two_connections_the_first_that_brings_a_message_counts(floor: OkxFloor) -> None:
    await floor.in_step()
    await floor.step_with(600, Fault.DROP, rate=0.02)
    await floor.caught_up()
    floor.check_book()
    trades = [row[6] for row in floor.of(TickKind.TRADE)]
    assert len(trades) == len(set(trades))
    assert floor.market.repeats.count > 100


@on_floor()
async def test_book_that_is_not_what_its_checksum_says_is_stale(floor: OkxFloor) -> None:
    await floor.in_step()
    await floor.caught_up()
    await floor.until(lambda: floor.market.checked)
    assert floor.market.wrong == 0
    floor.venue.books.checksum = lambda: 1  # type: ignore[method-assign]
    while not floor.market.wrong:
        await floor.step()
    del floor.venue.books.checksum
    await floor.until(lambda: len(floor.of(STALE)) >= 1)
    await floor.caught_up()
    floor.check_book()


@on_floor()
async def test_answer_to_a_ping_is_no_message(floor: OkxFloor) -> None:
    await floor.in_step()
    for connection in floor.venue.streams.connections:
        connection.tell(b"pong")
    held = floor.live.streams[0]._held
    assert held is not None
    heard_s = held.heard_s
    await floor.until(lambda: held.heard_s > heard_s)
    assert floor.market.counters.refused.total() == 0
