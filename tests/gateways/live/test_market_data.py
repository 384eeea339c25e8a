"""Live market data from the sandbox exchange: what is published, and what becomes of it when something goes wrong."""

from __future__ import annotations

import importlib
import time
from itertools import groupby
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from gateways.live.binance import USDM
from gateways.live.connection import Connect
from gateways.live.requests import RequestError, Requests
from gateways.replay import MAX_FRAME_RECORDS
from gateways.sandbox.faults import Fault, FaultPlan
from oms.compiled import compile_entries
from oms.records import TickFlag, TickKind
from tests.gateways.live.floor import QUICK, STEPS, Floor, on_floor

compile_entries()

STALE, SNAPSHOT = TickKind.STALE, TickKind.SNAPSHOT


def library(name: str) -> Connect:
    """Its way to connect; the test is skipped where it is not installed."""
    if name == "picows":
        pytest.importorskip("picows")
    connect: Connect = importlib.import_module(f"gateways.live.by_{name}").connect
    return connect


@pytest.mark.parametrize("name", ["picows", "aiohttp"])
def test_every_tick_is_that_of_the_recording(name: str) -> None:
    @on_floor(connect=library(name))
    async def body(floor: Floor) -> None:
        await floor.in_step()
        await floor.streamed(await floor.step(STEPS))
        floor.check_book()
        assert len(floor.outlet.of(STALE)) == floor.market.sequencer.gaps == floor.market.repeats.count == 0
        assert floor.market.snapshots == 1
        assert floor.market.counters.refused.total() == 0
        assert floor.market.counters.slow == len(floor.outlet.of(TickKind.MARK)) > 0

    body()


@on_floor()
async def test_frames_are_whole_messages_of_a_bounded_size(floor: Floor) -> None:
    await floor.in_step()
    await floor.streamed(await floor.step(STEPS))
    for frame in floor.outlet.frames:
        assert len(frame) <= MAX_FRAME_RECORDS
        is_part_of_one = len(frame) == MAX_FRAME_RECORDS or not frame["flags"][0] & TickFlag.FIRST
        assert is_part_of_one or frame["flags"][-1] & TickFlag.LAST


@on_floor()
async def test_missing_update_makes_the_book_stale_until_the_next_snapshot(floor: Floor) -> None:
    await floor.in_step()
    await floor.step(50)
    await floor.lose("depth")
    await floor.caught_up()
    floor.check_book()
    kinds = floor.outlet.of(STALE, SNAPSHOT)["kind"].tolist()
    assert [kind for kind, _ in groupby(kinds)] == [SNAPSHOT, STALE, SNAPSHOT]
    assert floor.market.sequencer.gaps == 1
    assert floor.market.snapshots == 2


@on_floor()
async def test_stale_comes_before_the_update_that_does_not_follow(floor: Floor) -> None:
    await floor.in_step()
    await floor.lose("depth")
    await floor.caught_up()
    ticks = floor.outlet.ticks
    (at,) = np.flatnonzero(ticks["kind"] == STALE)
    following = ticks[at + 1 :][ticks[at + 1 :]["kind"] == TickKind.DEPTH][0]
    before = ticks[:at][np.isin(ticks[:at]["kind"], (TickKind.DEPTH, SNAPSHOT))][-1]
    assert following["px_2"] > before["update_id"]


@on_floor()
async def test_broken_connection_makes_the_book_stale_and_is_opened_again(floor: Floor) -> None:
    await floor.in_step()
    await floor.step(50)
    floor.venue.streams.end_all("public")
    await floor.until(lambda: all(each.entry != "public" for each in floor.venue.streams.connections))
    await floor.until(lambda: len(floor.outlet.of(STALE)) == 1)
    await floor.in_step()
    await floor.step(200)
    await floor.caught_up()
    floor.check_book()
    assert [stream.opened for stream in floor.book_streams] == [2]
    assert floor.market.snapshots == 2


@on_floor()
async def test_lost_mark_prices_leave_the_book_as_it_is(floor: Floor) -> None:
    await floor.in_step()
    floor.venue.streams.end_all("market")
    (other,) = [stream for stream in floor.live.streams if stream not in floor.book_streams]
    await floor.until(lambda: other.opened == 2)
    assert floor.market.is_in_step
    assert len(floor.outlet.of(STALE)) == 0


@on_floor()
async def test_messages_that_come_twice_count_once(floor: Floor) -> None:
    await floor.in_step()
    plan = FaultPlan(3, {Fault.DUPLICATE: 0.3})
    await floor.streamed(await floor.step_with(plan, STEPS))
    assert floor.market.repeats.count >= plan.happened[Fault.DUPLICATE] // 2 > 0
    floor.check_book()


@on_floor()
async def test_book_is_right_again_behind_messages_out_of_order(floor: Floor) -> None:
    await floor.in_step()
    plan = FaultPlan(5, {Fault.REORDER: 0.2, Fault.DROP: 0.02})
    await floor.step_with(plan, 300)
    assert plan.happened[Fault.REORDER] > 0
    await floor.step(20)
    await floor.caught_up()
    floor.check_book()


@on_floor()
async def test_updates_that_overtake_the_snapshot_wait_for_it(floor: Floor) -> None:
    floor.venue.faults = FaultPlan(1, {Fault.DELAY: 1.0})
    await floor.until(lambda: floor.venue.faults.happened[Fault.DELAY] >= 2)  # its clock is asked too
    await floor.until(floor.market.snapshot_wanted.is_set)
    await floor.step(300)
    assert not floor.market.is_in_step
    await floor.caught_up()
    assert floor.market.sequencer.replayed > 0
    assert floor.market.snapshots == 1
    floor.check_book()


@on_floor()
async def test_snapshot_older_than_the_stream_is_left_out(floor: Floor) -> None:
    floor.venue.faults = FaultPlan(1, {Fault.DELAY: 1.0})
    await floor.until(lambda: floor.venue.faults.happened[Fault.DELAY] >= 2)
    await floor.until(floor.market.snapshot_wanted.is_set)
    await floor.lose("depth")
    await floor.step(100)
    await floor.caught_up()
    assert floor.market.sequencer.unfit == 1
    assert floor.market.snapshots == 2
    assert len(np.flatnonzero((floor.outlet.of(SNAPSHOT)["flags"] & TickFlag.FIRST) != 0)) == 1
    floor.check_book()


@on_floor(QUICK._replace(silent_s=0.2))
async def test_silent_server_is_left_and_the_book_is_stale(floor: Floor) -> None:
    await floor.until(lambda: floor.market.is_in_step)
    (stream,) = floor.book_streams
    await floor.until(lambda: stream.silent == 1)
    assert len(floor.outlet.of(STALE)) >= 1
    await floor.until(lambda: stream.opened == 2)
    while not floor.market.is_in_step:
        await floor.step(5)
    await floor.caught_up()
    floor.check_book()


@on_floor()
async def test_book_of_which_nothing_new_is_heard_is_stale_though_something_comes(floor: Floor) -> None:
    await floor.until(lambda: floor.market.is_in_step)
    (connection,) = [each for each in floor.venue.streams.connections if each.entry == "public"]
    floor.live.look()
    assert len(floor.outlet.of(STALE)) == 0
    later_ns = time.time_ns() + int(2 * QUICK.silent_s * 1e9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: later_ns)
        connection.tell(b'{"result":null,"id":1}')
        await floor.until(lambda: floor.market.counters.ignored == 1)
        floor.live.look()
    assert len(floor.outlet.of(STALE)) == 1
    assert floor.book_streams[0].silent == 0


@on_floor(connections=2)
async def test_of_two_connections_the_first_wins(floor: Floor) -> None:
    await floor.in_step()
    frames = await floor.step(STEPS)
    await floor.streamed(frames)
    await floor.until(lambda: floor.market.repeats.count >= len(frames))
    floor.check_book()


@on_floor(connections=2)
async def test_one_of_two_connections_may_break(floor: Floor) -> None:
    await floor.in_step()
    frames = await floor.step(100)
    next(each for each in floor.venue.streams.connections if each.entry == "public").end()
    await floor.until(lambda: sum(stream.opened for stream in floor.book_streams) == 3)
    frames += await floor.step(100)
    await floor.streamed(frames)
    assert len(floor.outlet.of(STALE)) == 0
    assert floor.market.snapshots == 1


@on_floor(connections=2)
async def test_what_one_connection_loses_the_other_brings(floor: Floor) -> None:
    await floor.in_step()
    frames = await floor.step_with(FaultPlan(7, {Fault.DROP: 0.05}), 100)
    await floor.caught_up()
    heard = set(floor.outlet.of(TickKind.TRADE)["update_id"].tolist())
    sent = {int(frame.ticks["update_id"][0]) for frame in frames if frame.channel == "trade"}
    assert len(heard & sent) >= 0.9 * len(sent)
    floor.check_book()


@on_floor(QUICK._replace(lasts_s=0.15))
async def test_connection_is_exchanged_before_it_ends_and_nothing_is_lost(floor: Floor) -> None:
    await floor.until(lambda: floor.market.is_in_step)
    frames = await floor.step(1)
    while floor.book_streams[0].opened < 3:
        frames += await floor.step(1)
    await floor.streamed(frames)
    assert len(floor.outlet.of(STALE)) == 0
    assert floor.market.snapshots == 1


@on_floor()
async def test_subscriber_that_joins_gets_the_book(floor: Floor) -> None:
    await floor.in_step()
    await floor.step(200)
    await floor.caught_up()
    before = len(floor.outlet.frames)
    floor.outlet.subscribers += 1
    floor.live.look()
    sent = np.concatenate(floor.outlet.frames[before:])
    assert set(sent["kind"]) == {SNAPSHOT}
    assert sent["update_id"][0] == floor.last_id
    assert sent["local_ts"][0] == floor.outlet.frames[before - 1]["local_ts"][-1]
    floor.live.look()
    assert len(floor.outlet.ticks) == len(np.concatenate(floor.outlet.frames[:before])) + len(sent)


@on_floor()
async def test_another_version_begins_with_stale_and_a_snapshot(floor: Floor) -> None:
    await floor.in_step()
    await floor.streamed(await floor.step(50))
    before = len(floor.outlet.frames)
    floor.market.change_version(replace(floor.venue.instrument, version=2, tick="0.05"))
    await floor.step(50)
    await floor.caught_up()
    sent = np.concatenate(floor.outlet.frames[before:])
    assert sent["kind"][0] == STALE
    assert set(sent["version"]) == {2}
    quote = floor.outlet.of(TickKind.QUOTE)
    assert quote["px"][-1] > 1.9 * quote["px"][0]


@on_floor()
async def test_maintenance_is_waited_for(floor: Floor) -> None:
    await floor.in_step()
    floor.venue.begin_maintenance()
    await floor.until(lambda: floor.book_streams[0].failed >= 2)
    assert not floor.market.is_in_step
    assert "503" in floor.book_streams[0].last_error
    floor.venue.is_in_maintenance = False
    await floor.in_step()
    await floor.caught_up()
    floor.check_book()


@on_floor()
async def test_refused_snapshots_are_asked_for_again(floor: Floor) -> None:
    await floor.in_step()
    floor.venue.faults = FaultPlan(1, {Fault.HTML: 1.0})
    floor.market.make_stale()
    await floor.until(lambda: floor.market.snapshots_failed >= 3)
    assert "502" in floor.market.last_error
    floor.venue.faults = FaultPlan()
    await floor.caught_up()
    floor.check_book()


@on_floor()
async def test_venue_says_how_long_it_wants_to_be_left_alone(floor: Floor) -> None:
    async with Requests(floor.route) as requests:
        floor.venue.faults = FaultPlan(1, {Fault.BAN: 1.0})
        with pytest.raises(RequestError, match="418") as refused:
            await USDM.server_ms(requests)
        assert refused.value.retry_after_s == 2.0
        floor.venue.faults = FaultPlan(1, {Fault.LOSE_ANSWER: 1.0})
        with pytest.raises(RequestError) as lost:
            await USDM.server_ms(requests)
        assert lost.value.retry_after_s == 0.0


@on_floor()
async def test_offset_of_the_clock_is_measured(floor: Floor) -> None:
    floor.venue.clock.skew_ms = 5_000
    async with Requests(floor.route) as requests:
        await floor.live.clock.measure(lambda: USDM.server_ms(requests))
    counters = floor.live.counters()
    assert counters["clock_offset_ms"] == pytest.approx(-5_000, abs=counters["clock_error_ms"])
    assert 0.5 < counters["clock_error_ms"] < 1_000


@on_floor()
async def test_instrument_that_is_not_traded_has_no_book(floor: Floor) -> None:
    await floor.in_step()
    symbol = floor.venue.instrument.symbol
    floor.live.note_traded([])
    assert floor.outlet.ticks["kind"][-1] == STALE
    assert floor.live.counters()["stale"] == 1
    assert not floor.market.snapshot_wanted.is_set()
    floor.live.note_traded([symbol])
    await floor.caught_up()
    floor.check_book()


@on_floor()
async def test_status_is_asked_of_the_exchange(floor: Floor) -> None:
    async with Requests(floor.route) as requests:
        assert await USDM.traded(requests) == {"BTCUSDT"}


def test_error_in_publishing_ends_it() -> None:
    @on_floor()
    async def body(floor: Floor) -> None:
        def fail(records: Any) -> None:
            raise ZeroDivisionError(records)

        floor.outlet.send = fail  # type: ignore[method-assign]
        await floor.until(lambda: False)

    with pytest.raises(ExceptionGroup) as raised:
        body()
    assert raised.group_contains(ZeroDivisionError)
