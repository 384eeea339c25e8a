"""The step: strategies that fail, flood or chain, timers, and output that does not depend on how input is framed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as hs

import strategies
from gateways.recording import load_ticks
from oms import engine
from oms.compiled import JIT
from oms.core.state import EVENT_RING, OUTPUT_MARGIN
from oms.records import (
    CommandKind,
    EventKind,
    OrderState,
    Reason,
    ReportKind,
    TickKind,
    TradingState,
)
from tests.oms.core.builders import (
    ASK_PX,
    BID_PX,
    BUY,
    MS,
    PERPETUAL,
    SECOND,
    SELL,
    SPOT,
    START_TS,
    Records,
    Rig,
    client_id,
    command,
    depth,
    fill,
    kinds,
    new_order,
    only,
    report,
    snapshot,
    tick,
    time_tick,
    trade,
)

SAMPLES = Path(__file__).parent.parent / "strategies" / "samples"
FAILING = SAMPLES / "failing.py"
FLOOD = SAMPLES / "flood.py"
WATCH = SAMPLES / "watch.py"
CHASER = SAMPLES / "chaser.py"

IN_FILL = 7
IN_TIMER = 8


def memory(rig: Rig, number: int) -> list[int]:
    return [int(each) for each in rig.s["strategies"][number]["memory"]]


def quiet_ticks(count: int, *, first: int = 1) -> list[Records]:
    """Depth messages far from the touch."""
    return [depth(BUY, BID_PX - 1_000, first + i) for i in range(count)]


@pytest.mark.pure
@pytest.mark.parametrize("way", range(1, 7))
@pytest.mark.parametrize("failing_first", [True, False])
def test_exception_halts_its_strategy_and_the_others_run_on_in_the_same_batch(way: int, failing_first: bool) -> None:
    rig = Rig()
    rig.open_market()
    if failing_first:
        failing, watch = rig.add(FAILING, way=way), rig.add(WATCH)
    else:
        watch, failing = rig.add(WATCH), rig.add(FAILING, way=way)
    events = rig.ticks(*quiet_ticks(10))
    halted = only(events, EventKind.STRATEGY_HALTED)
    assert (halted["strategy"], halted["reason"]) == (failing, Reason.STRATEGY_EXCEPTION)
    assert halted["aux"] != 0
    assert rig.s["strategies"]["halted"][failing] == 1
    assert memory(rig, failing)[0] == 4
    assert memory(rig, watch)[0] == 10
    assert kinds(events).count(EventKind.CANCEL_SUBMITTED) == 2
    assert set(rig.s["orders"]["state"][:2].tolist()) == {OrderState.PENDING_CANCEL}


@pytest.mark.pure
def test_side_that_is_none_is_refused_by_an_exception() -> None:
    rig = Rig()
    rig.open_market()
    rig.add(FAILING, way=6)
    assert EventKind.STRATEGY_HALTED in kinds(rig.ticks(*quiet_ticks(4)))


@pytest.mark.pure
def test_exception_in_on_fill_halts_the_strategy_after_the_fill_is_booked() -> None:
    rig = Rig()
    rig.open_market()
    number = rig.add(FAILING, way=IN_FILL)
    rig.ticks(*quiet_ticks(1))
    own = [int(each) for each in rig.s["orders"]["order_id"][:2]]
    events = rig.reports(fill(own[0], 4, 599_990, trade_id=1))
    assert kinds(events) == [
        EventKind.ORDER_FILLED,
        EventKind.POSITION,
        EventKind.STRATEGY_HALTED,
        EventKind.CANCEL_SUBMITTED,
        EventKind.CANCEL_SUBMITTED,
    ]
    assert rig.position()["qty"] == 4
    assert rig.s["strategies"]["halted"][number] == 1


@pytest.mark.pure
def test_halted_strategy_is_called_no_more() -> None:
    rig = Rig()
    number = rig.add(FAILING, way=IN_TIMER)
    rig.open_market()
    rig.ticks(*quiet_ticks(30))
    assert rig.s["strategies"]["halted"][number] == 1
    calls = memory(rig, number)[0]
    events = rig.ticks(*quiet_ticks(30))
    assert memory(rig, number)[0] == calls
    assert EventKind.STRATEGY_HALTED not in kinds(events)
    own = int(rig.s["orders"]["order_id"][0])
    assert kinds(rig.reports(fill(own, 1, 599_990, trade_id=1))) == [EventKind.ORDER_FILLED, EventKind.POSITION]


@pytest.mark.pure
def test_five_hundred_orders_in_one_callback_pass_a_limit_of_fifty_fifty_times() -> None:
    rig = Rig(limits={"max_open_orders": 50})
    rig.open_market()
    number = rig.add(FLOOD, orders=500)
    rig.ticks(*quiet_ticks(1))
    assert memory(rig, number)[1:4] == [50, 450, 0]
    assert rig.s["open_orders"] == 50
    assert rig.s["strategies"]["orders"][number] == 50
    assert rig.s["strategies"]["refused"][number] == 450


@pytest.mark.pure
def test_five_hundred_orders_in_one_callback_are_held_to_the_position_limit() -> None:
    rig = Rig(limits={"max_position": 1_230})
    rig.open_market()
    number = rig.add(FLOOD, orders=500)
    rig.ticks(*quiet_ticks(1))
    assert memory(rig, number)[1:4] == [123, 377, 0]


@pytest.mark.skipif(not JIT, reason="tens of thousands of requests")
@pytest.mark.parametrize("limits", [{}, {"max_open_orders": 0}])
def test_strategy_that_asks_without_end_cannot_overflow_the_output(limits: dict[str, int]) -> None:
    rig = Rig(limits=limits)
    rig.open_market()
    flood, watch = rig.add(FLOOD, orders=20_000, ticks=3), rig.add(WATCH)
    events = rig.ticks(*quiet_ticks(5))
    cells = memory(rig, flood)
    assert sum(cells[1:4]) == 60_000
    assert cells[3] > 0
    assert len(events) <= 3 * OUTPUT_MARGIN
    assert memory(rig, watch)[0] == 5
    assert rig.events["seq"].tolist() == list(range(len(rig.events)))
    assert rig.s["strategies"]["halted"][flood] == 0


@pytest.mark.skipif(not JIT, reason="tens of thousands of lines")
def test_log_lines_beyond_the_ring_are_dropped_and_counted() -> None:
    rig = Rig()
    rig.open_market()
    number = rig.add(FLOOD, lines=20_000)
    events = rig.ticks(*quiet_ticks(2))
    lines = events[events["kind"] == EventKind.LOG]
    assert lines["px"].tolist() == list(range(len(lines)))
    assert len(lines) + rig.s["strategies"]["logs_dropped"][number] == 20_000
    assert 1_000 < len(lines) < EVENT_RING


@pytest.mark.pure
def test_log_line_names_its_strategy_and_message() -> None:
    rig = Rig()
    rig.open_market()
    rig.add(WATCH)
    number = rig.add(FLOOD, lines=2)
    events = rig.ticks(*quiet_ticks(1))
    assert events["strategy"].tolist() == [number] * 2
    assert events["aux"].tolist() == [0, 0]
    assert events["instrument"].tolist() == [0, 0]


TIMER_NS = 10 * MS


def timer_log(rig: Rig) -> list[tuple[int, int]]:
    lines = rig.events[rig.events["kind"] == EventKind.LOG]
    return [(int(each["px"]), int(each["qty"])) for each in lines]


@pytest.mark.pure
def test_timer_comes_at_each_multiple_of_its_interval_and_at_the_time_it_was_due() -> None:
    rig = Rig()
    rig.add(WATCH)
    start = START_TS + 3 * MS
    rig.ticks(snapshot(0, {BID_PX: 1}, {ASK_PX: 1}, ts=start))
    rig.ticks(time_tick(start + 7 * MS - 1), time_tick(start + 7 * MS), time_tick(start + 40 * MS))
    due = [START_TS + i * TIMER_NS for i in (1, 2, 3, 4)]
    assert timer_log(rig) == [(each, each) for each in due]


@pytest.mark.pure
@settings(max_examples=30, deadline=None)
@given(hs.lists(hs.integers(0, 60 * MS), max_size=20), hs.sets(hs.integers(1, 20 * 60 * MS), max_size=20))
def test_timers_do_not_depend_on_extra_time_ticks(gaps: list[int], extra: set[int]) -> None:
    times = [START_TS + int(each) for each in np.cumsum([1, *gaps, 60 * MS])]
    logs = []
    for more in (set(), extra):
        rig = Rig()
        rig.add(WATCH)
        rig.ticks(snapshot(0, {BID_PX: 1}, {ASK_PX: 1}, ts=START_TS))
        all_times = sorted([*times, *(each for each in (START_TS + i for i in more) if each <= times[-1])])
        rig.ticks(*(time_tick(each) for each in all_times))
        logs.append(timer_log(rig))
    assert logs[0] == logs[1]
    assert len(logs[0]) == times[-1] // TIMER_NS - START_TS // TIMER_NS


@pytest.mark.pure
def test_strategy_is_not_called_on_a_book_out_of_step_and_its_orders_there_are_cancelled() -> None:
    rig = Rig()
    rig.open_market()
    number = rig.add(FAILING)
    other = rig.add(FAILING, 1)
    rig.ticks(*quiet_ticks(2), depth(BUY, BID_PX - 1_000, 1, instrument=1))
    rig.commands(new_order(client_id(1)))
    events = rig.ticks(depth(BUY, BID_PX, 1, update_id=9, previous=8), *quiet_ticks(5))
    assert kinds(events) == [EventKind.BOOK_STATE] + [EventKind.CANCEL_SUBMITTED] * 2
    assert events["strategy"][1:].tolist() == [number] * 2
    assert memory(rig, number)[0] == 2
    assert rig.state(client_id(1)) == OrderState.PENDING_NEW
    assert rig.s["strategies"]["memory"][other][0] == 1
    rig.ticks(snapshot(0, {BID_PX: 1}, {ASK_PX: 1}))
    assert memory(rig, number)[0] == 3


@pytest.mark.pure
def test_strategy_is_not_called_with_a_record_that_cannot_be() -> None:
    rig = Rig()
    rig.open_market()
    number = rig.add(WATCH)
    rig.ticks(trade(BUY, -5, 1), tick(TickKind.TRADE, px=1, qty=0), tick(9))  # type: ignore[arg-type]
    assert memory(rig, number)[0] == 0


@pytest.mark.pure
def test_strategy_of_a_halted_account_is_not_called_on_ticks() -> None:
    rig = Rig(trading_state=TradingState.HALTED)
    rig.open_market()
    number = rig.add(WATCH)
    rig.ticks(*quiet_ticks(3))
    assert memory(rig, number)[0] == 0
    rig.commands(command(CommandKind.SET_TRADING_STATE, 0, value=TradingState.ACTIVE))
    rig.ticks(*quiet_ticks(3))
    assert memory(rig, number)[0] == 3


@pytest.mark.pure
def test_strategy_sees_a_message_once_and_only_when_it_is_complete() -> None:
    rig = Rig()
    number = rig.add(WATCH)
    rig.ticks(snapshot(0, {BID_PX - i: 5 for i in range(20)}, {ASK_PX + i: 5 for i in range(20)}))
    assert memory(rig, number)[0] == 1


@pytest.mark.pure
def test_answer_takes_the_entry_and_the_response_latency() -> None:
    rig = Rig(external=False, latency_ns=3 * MS)
    rig.open_market()
    asked_at = rig.now
    rig.commands(new_order(1))
    rig.ticks(time_tick(asked_at + 6 * MS - 1))
    assert rig.state(1) == OrderState.PENDING_NEW
    accepted = only(rig.ticks(time_tick(asked_at + 50 * MS)), EventKind.ORDER_ACCEPTED)
    assert accepted["ts"] == asked_at + 6 * MS


@pytest.mark.pure
def test_command_has_its_answer_at_once_without_latency() -> None:
    rig = Rig(external=False)
    rig.open_market()
    events = rig.commands(new_order(1, BUY, ASK_PX, 7))
    assert kinds(events) == [
        EventKind.ORDER_SUBMITTED,
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_FILLED,
        EventKind.POSITION,
    ]


@pytest.mark.pure
def test_requests_carry_the_frame_that_caused_them() -> None:
    rig = Rig()
    rig.open_market()
    rig.add(FLOOD, orders=1)
    ticks = np.concatenate(quiet_ticks(1))
    ticks["local_ts"] = rig.now + 1
    engine.step_ticks(rig.st, ticks, 0, 1_234_567)
    rig.flush()
    rig.commands(new_order(client_id(1)))
    assert rig.sent["wall_ts"].tolist() == [1_234_567, 0]


@pytest.mark.pure
def test_positions_are_reported_where_something_has_traded_or_is_open() -> None:
    rig = Rig()
    rig.open_market()
    rig.commands(new_order(1), new_order(2, instrument=1))
    rig.reports(fill(1, 10, trade_id=1))
    engine.report_positions(rig.st)
    events = rig.flush()
    assert kinds(events) == [EventKind.POSITION] * 2
    assert events["instrument"].tolist() == [0, 1]
    assert events["position_qty"].tolist() == [10, 0]
    assert events["filled_qty"].tolist() == [0, 1]


@pytest.mark.pure
def test_host_sets_the_trading_state_and_it_is_told() -> None:
    rig = Rig()
    engine.change_trading_state(rig.st, 0, int(TradingState.HALTED), int(Reason.RESTARTED))
    event = only(rig.flush(), EventKind.TRADING_STATE)
    assert (event["aux"], event["reason"], event["account"]) == (TradingState.HALTED, Reason.RESTARTED, 0)


def lively_ticks(seed: int, count: int) -> Records:
    """Depth, trades, quiet times and gaps at random around the market, in irregular time."""
    chance = np.random.default_rng(seed)
    made: list[Records] = [snapshot(0, {BID_PX: 9}, {ASK_PX: 9}), snapshot(1, {BID_PX: 9}, {ASK_PX: 9})]
    for _ in range(count):
        side = int(chance.choice((BUY, SELL)))
        touch = BID_PX if side == BUY else ASK_PX
        px = touch - side * int(chance.integers(-1, 6))
        instrument = int(chance.integers(0, 2))
        match int(chance.integers(0, 10)):
            case 0 | 1:
                made.append(trade(side, px, int(chance.integers(1, 30)), instrument=instrument))
            case 2:
                made.append(time_tick())
            case 3 if chance.random() < 0.2:
                made.append(tick(TickKind.STALE, instrument=instrument))
                made.append(snapshot(instrument, {BID_PX: 50}, {ASK_PX: 50}))
            case _:
                made.append(depth(side, px, int(chance.integers(0, 40)), instrument=instrument))
    ticks = np.concatenate(made)
    ticks["local_ts"] = START_TS + np.cumsum(chance.choice((0, 0, 1, MS, 7 * MS), len(ticks)))
    ticks["exch_ts"] = ticks["local_ts"]
    return ticks


def outcome(rig: Rig) -> dict[str, Any]:
    """All that a core has come to, but for what lies in its emptied outputs."""
    s = rig.s
    tables = ("orders", "order_index", "positions", "strategies", "trades", "accounts", "scopes", "limits")
    counters = ("now", "next_due", "ticks", "orders_sent", "orders_refused", "fills", "event_seq", "command_seq")
    return {
        "events": rig.events.tobytes(),
        "sent": rig.sent.tobytes(),
        **{name: s[name].tobytes() for name in tables},
        **{name: int(s[name]) for name in counters},
    }


def run_framed(ticks: Records, frames: Iterable[int], latency_ns: int, lines: float) -> Rig:
    """Run four strategies over ``ticks`` cut into frames at the given rows."""
    rig = Rig(external=False, latency_ns=latency_ns, limits={"max_position": 4_000, "max_open_orders": 400})
    rig.add(FLOOD, orders=900, lines=lines, ticks=8)
    rig.add(CHASER, most=40, every=3)
    rig.add(CHASER, 1, most=400)
    rig.add(FAILING, way=1, after=60)
    rig.add(WATCH)
    for part in np.split(ticks, sorted(set(frames))):
        if len(part):
            rig.ticks(part)
    return rig


@pytest.mark.skipif(not JIT, reason="thousands of ticks and requests")
@settings(max_examples=12, deadline=None)
@given(
    seed=hs.integers(0, 2**32),
    frames=hs.lists(hs.integers(1, 200), max_size=20),
    latency_ns=hs.sampled_from((0, 0, 2 * MS)),
    lines=hs.sampled_from((0.0, 1_500.0, 4_000.0)),
)
def test_what_comes_out_does_not_depend_on_how_the_input_is_framed(
    seed: int, frames: list[int], latency_ns: int, lines: float
) -> None:
    ticks = lively_ticks(seed, 200)
    whole = run_framed(ticks, (), latency_ns, lines)
    assert outcome(whole) == outcome(run_framed(ticks, range(len(ticks)), latency_ns, lines))
    assert outcome(whole) == outcome(run_framed(ticks, frames, latency_ns, lines))


@pytest.mark.skipif(not JIT, reason="compares the whole state")
def test_same_ticks_give_the_same_core_byte_for_byte() -> None:
    ticks = lively_ticks(3, 2_000)
    rigs = [run_framed(ticks, (500, 900), 0, 10.0) for _ in range(2)]
    assert rigs[0].st.tobytes() == rigs[1].st.tobytes()
    assert rigs[0].events.tobytes() == rigs[1].events.tobytes()
    seen = Counter(kinds(rigs[0].events))
    assert seen[EventKind.ORDER_FILLED] > 20
    assert seen[EventKind.STRATEGY_HALTED] == 1


DATA = Path(__file__).parent.parent / "data"
MARKET_MAKER = Path(strategies.__file__).parent / "market_maker.py"
RECORDED = [("usdm_btcusdt_20240808.gz", 0), ("spot_btcusdt_20240808.gz", 1)]


def trade_recorded(ticks: Records, instrument: int, frame: int) -> Rig:
    """The market maker over a recorded stream that comes in frames of so many records."""
    rig = Rig(external=False, latency_ns=5 * MS, limits={"max_position": 1_000, "max_open_orders": 10})
    rig.add(MARKET_MAKER, instrument)
    rig.add(WATCH, instrument)
    for start in range(0, len(ticks), frame):
        rig.ticks(ticks[start : start + frame])
    return rig


@pytest.mark.filterwarnings("ignore::gateways.recording.RecordingWarning")
@pytest.mark.skipif(not JIT, reason="a hundred thousand ticks")
@pytest.mark.parametrize(("name", "instrument"), RECORDED, ids=["usdm", "spot"])
def test_recorded_stream_is_taken_whole_and_its_framing_does_not_matter(name: str, instrument: int) -> None:
    ticks = load_ticks(DATA / name, (PERPETUAL, SPOT)[instrument], duration_s=90, quiet_times=True)
    whole = trade_recorded(ticks, instrument, len(ticks))
    s = whole.s
    assert (s["ticks"], s["ticks_refused"], s["books"]["gaps"][instrument]) == (len(ticks), 0, 0)
    assert s["orders_sent"] > 10
    assert s["strategies"]["halted"].sum() == 0
    assert outcome(whole) == outcome(trade_recorded(ticks, instrument, 37))


def test_reports_and_commands_are_taken_between_ticks_at_the_cores_time() -> None:
    rig = Rig()
    rig.open_market()
    now = rig.now
    rig.commands(new_order(1))
    rig.reports(report(ReportKind.ACCEPTED, 1, ts=now + SECOND))
    of_orders = rig.events[rig.events["order_id"] == 1]
    assert of_orders["ts"].tolist() == [now, now + SECOND]
