"""Live market data of HTX: what is published, and what becomes of it when something goes wrong."""

from __future__ import annotations

from itertools import groupby

import pytest

from gateways.live.connection import Connect
from gateways.sandbox.faults import Fault
from gateways.sandbox.htx.venue import UNANSWERED
from oms.compiled import JIT, compile_entries
from oms.instruments import Instrument
from oms.records import TickKind
from tests.gateways.htx.floor import LINEAR, SPOT, HtxFloor, on_floor
from tests.gateways.live.test_market_data import library

compile_entries()

STALE, SNAPSHOT, DEPTH = TickKind.STALE, TickKind.SNAPSHOT, TickKind.DEPTH
STEPS = 600 if JIT else 200
BOTH = pytest.mark.parametrize("instrument", [SPOT, LINEAR], ids=["spot", "linear"])


@BOTH
@pytest.mark.parametrize("name", ["picows", "aiohttp"])
def test_every_trade_and_quote_is_that_of_the_recording_and_the_book_too(instrument: Instrument, name: str) -> None:
    connect: Connect = library(name)

    @on_floor(instrument, connect=connect)
    async def body(floor: HtxFloor) -> None:
        await floor.in_step()
        await floor.step(STEPS)
        for kind in (TickKind.TRADE, TickKind.QUOTE):
            sent = floor.recorded(kind, STEPS)
            assert sent
            await floor.has_heard(kind, len(sent))
            assert floor.of(kind)[: len(sent)] == sent
        await floor.caught_up()
        floor.check_book()
        assert floor.kinds(STALE) == []
        assert floor.market.sequencer.gaps == floor.market.repeats.count == 0
        assert floor.market.counters.refused.total() == 0

    body()


@BOTH
def test_what_streams_is_decoded_by_the_scanner(instrument: Instrument) -> None:
    @on_floor(instrument)
    async def body(floor: HtxFloor) -> None:
        await floor.in_step()
        await floor.caught_up()
        counters = floor.market.counters
        slow, messages = counters.slow, counters.messages
        await floor.step(100)
        await floor.caught_up()
        assert counters.messages > messages + 50
        marks = len(floor.outlet.of(TickKind.MARK))
        assert counters.slow <= slow + marks + floor.market.repeats.count  # mark prices always are

    body()


@on_floor(LINEAR)
async def test_mark_prices_of_contracts_come_at_their_own_entry(floor: HtxFloor) -> None:
    await floor.in_step()
    floor.venue.mark_anew()
    await floor.step(STEPS)
    trades = {row[2] for row in floor.recorded(TickKind.TRADE, STEPS)}
    await floor.has_heard(TickKind.MARK, 1)
    assert {row[2] for row in floor.of(TickKind.MARK)} <= trades


@BOTH
def test_missing_update_makes_the_book_stale_until_it_comes_anew(instrument: Instrument) -> None:
    @on_floor(instrument)
    async def body(floor: HtxFloor) -> None:
        await floor.in_step()
        await floor.step(20)
        before = floor.venue.messages.number
        while floor.venue.messages.number == before:
            await floor.step_with(1, Fault.DROP)
        await floor.caught_up()
        floor.check_book()
        assert [kind for kind, _ in groupby(floor.kinds(STALE, SNAPSHOT))] == [SNAPSHOT, STALE, SNAPSHOT]
        assert floor.market.sequencer.gaps == 1

    body()


@BOTH
def test_broken_connection_makes_the_book_stale_and_is_opened_again(instrument: Instrument) -> None:
    @on_floor(instrument)
    async def body(floor: HtxFloor) -> None:
        await floor.in_step()
        floor.venue.end_all()
        await floor.until(lambda: floor.outlet.frames and len(floor.kinds(STALE)) == 1)
        await floor.in_step()
        await floor.caught_up()
        floor.check_book()
        assert [stream.opened for stream in floor.live.streams] == [2] * len(floor.live.streams)

    body()


@on_floor(SPOT, connections=2)
async def test_of_two_connections_the_first_that_brings_a_message_counts(floor: HtxFloor) -> None:
    await floor.in_step()
    await floor.step(50)
    await floor.caught_up()
    floor.check_book()
    assert floor.market.sequencer.gaps == 0
    await floor.until(lambda: floor.market.repeats.count > 20)


@on_floor(LINEAR, connections=2)
async def test_contract_has_one_connection_to_its_book_and_the_next_one_may_count_from_below(floor: HtxFloor) -> None:
    await floor.in_step()
    (stream, *_) = floor.live.streams
    assert [each.url for each in floor.live.streams].count(stream.url) == 1
    floor.venue.messages.number -= 1_000
    stream._let_go()
    await floor.until(lambda: stream.opened == 2 and floor.market.is_in_step)
    await floor.caught_up()
    floor.check_book()


@BOTH
def test_pings_are_answered_on_every_connection(instrument: Instrument) -> None:
    @on_floor(instrument)
    async def body(floor: HtxFloor) -> None:
        await floor.in_step()
        for _ in range(UNANSWERED + 2):
            await floor.answers_ping()
        assert [stream.opened for stream in floor.live.streams] == [1] * len(floor.live.streams)

    body()
