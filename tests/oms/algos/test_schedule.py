"""TWAP, VWAP and implementation shortfall: what is due when, how it is worked, and the faults of others."""

from __future__ import annotations

import math
from typing import Any, Final

import pytest

from oms.algorithms import BUILT_IN, read_algorithm
from oms.algos import schedule, shortfall
from oms.durable import begin_session
from oms.records import EventKind, OrderState, Reason, TimeInForce
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.algos.venue import PlayedVenue
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, MS, SECOND, SELL, amend, depth, reason_of, snapshot, time_tick

EVEN: Final[dict[str, Any]] = {
    "duration_s": 100.0,
    "slices": 10.0,
    "time_spread": 0.0,
    "size_spread": 0.0,
    "passive_slices": 0.0,
}
SLICED = ("twap", "vwap", "shortfall")


def rig(**options: Any) -> AlgoRig:
    made = AlgoRig(*SLICED, **options)
    made.open_market()
    return made


def at(core: AlgoRig, seconds: float) -> int:
    """A time after the order's start."""
    return int(core.parent_row()["start_ts"]) + int(seconds * SECOND)


def filled(core: AlgoRig) -> int:
    return int(core.order(PARENT)["filled_qty"])


def trace(core: AlgoRig, seconds: int, venue: PlayedVenue) -> list[int]:
    """Lots filled after each second of an order's first ``seconds``."""
    found = []
    for second in range(seconds):
        core.ticks(time_tick(max(at(core, second), core.now + 1)))
        venue.answer()
        found.append(filled(core))
    return found


# The schedules.


def test_twap_trades_an_even_slice_in_each_interval() -> None:
    core = rig()
    core.start("twap", qty=100, **EVEN)
    done = trace(core, 91, PlayedVenue(core))
    assert done == [10 * (second // 10 + 1) for second in range(91)]
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_twap_trades_ten_of_ten_slices() -> None:
    """A peer's TWAP trades 9 of its 10 slices."""
    core = rig(external=False)
    core.start("twap", SELL, qty=100, **EVEN)
    for second in range(101):
        core.ticks(depth(BUY, BID_PX, 1_000 + second), time_tick(max(at(core, second), core.now + 1)))
        if core.s["parents_open"] == 0:
            break
    assert [int(child["filled_qty"]) for child in core.children] == [10] * 10
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_slices_that_round_to_zero_accumulate() -> None:
    """A peer's TWAP trades nothing when a slice rounds to zero lots."""
    core = rig()
    core.start("twap", qty=7, **{**EVEN, "slices": 100.0})
    done = trace(core, 101, PlayedVenue(core))
    assert done[-1] == 7
    assert done[49] == 2, "3 are due, and 2 is the venue's minimum"
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_slices_below_the_venues_minimum_accumulate() -> None:
    core = rig()
    core.start("twap", qty=10, **EVEN)
    trace(core, 100, PlayedVenue(core))
    assert [int(child["qty"]) for child in core.children] == [2] * 5
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_the_last_child_takes_a_rest_that_would_be_too_small() -> None:
    core = rig()
    core.start("twap", qty=11, **{**EVEN, "slices": 5.0})
    trace(core, 100, PlayedVenue(core))
    assert core.end() == (OrderState.FILLED, Reason.NONE)
    assert min(int(child["qty"]) for child in core.children) >= 2


def test_children_are_on_the_grid() -> None:
    """Peers send children off the tick grid and the lot grid; here both are integers, within the venue's minimum."""
    core = rig()
    core.start("twap", qty=37, duration_s=100.0, slices=7.0, time_spread=1.0, size_spread=1.0)
    PlayedVenue(core).until(140)
    sizes = [int(child["qty"]) for child in core.children]
    assert core.end() == (OrderState.FILLED, Reason.NONE)
    assert min(sizes) >= 2
    assert {int(child["px"]) for child in core.children} <= {BID_PX, ASK_PX}


def test_vwap_follows_its_volume_curve() -> None:
    core = rig()
    volumes: Any = {
        f"volume_{part + 1}": volume for part, volume in enumerate((4.0, 2.0, 1.0, 1.0, 0.0, 2.0, 3.0, 7.0))
    }
    core.start("vwap", qty=200, **{**EVEN, "duration_s": 80.0, "slices": 16.0}, **volumes)
    done = trace(core, 80, PlayedVenue(core))
    assert [done[10 * part - 1] for part in range(1, 9)] == [40, 60, 70, 80, 80, 100, 130, 200]
    assert (done[0], done[4], done[5]) == (20, 20, 40)


@pytest.mark.parametrize("volume", [0.0, 1.0, 5.0])
def test_vwap_with_an_even_curve_is_twap(volume: float) -> None:
    found = []
    for name in ("twap", "vwap"):
        core = rig()
        more: Any = {f"volume_{part}": volume for part in range(1, 9)} if name == "vwap" else {}
        core.start(name, qty=100, **EVEN, **more)
        found.append(trace(core, 95, PlayedVenue(core)))
    assert found[0] == found[1]


def test_shortfall_follows_the_schedule_of_almgren_and_chriss() -> None:
    core = rig()
    core.start("shortfall", qty=1_000, **EVEN, kappa=0.03)
    done = trace(core, 95, PlayedVenue(core))
    left = [1_000 * math.sinh(0.03 * (100 - 10 * k)) / math.sinh(0.03 * 100) for k in range(1, 11)]
    assert [1_000 - done[10 * k + 5] for k in range(9)] == pytest.approx(left[:9], abs=1)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


@pytest.mark.parametrize("kappa", [0.0, 1e-300, 1e-14, 1e-9, 1e-6])
def test_shortfall_without_urgency_is_twap(kappa: float) -> None:
    for time in (0.0, 0.1, 0.5, 0.999, 1.0):
        assert shortfall.traded_share(kappa, time) == pytest.approx(time, abs=1e-9)


@pytest.mark.parametrize("kappa", [1e-3, 0.5, 3.0, 50.0, 1e5, 1e9])
def test_the_share_traded_grows_from_none_to_all(kappa: float) -> None:
    shares = [shortfall.traded_share(kappa, step / 100) for step in range(101)]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_shortfalls_urgency_comes_from_risk_and_impact() -> None:
    """The condition of the paper: 2 (cosh(kappa tau) - 1) / tau**2 = lambda sigma**2 / eta."""
    core = rig()
    given: Any = {"risk_aversion": 2e-3, "volatility": 0.7, "impact": 0.4}
    core.start("shortfall", qty=100, **EVEN, **given)
    kappa = shortfall.urgency(core.st, 0) / 100
    assert 2 * (math.cosh(kappa * 10) - 1) / 100 == pytest.approx(2e-3 * 0.7**2 / 0.4)


@pytest.mark.parametrize("name", SLICED)
def test_times_and_sizes_are_spread_about_their_places(name: str) -> None:
    core = rig()
    core.start(name, qty=10_000, **{**EVEN, "time_spread": 1.0, "size_spread": 1.0})
    begin, me = at(core, 0), int(core.order(PARENT)["parent_row"]) - 1
    times = [schedule._slice_ts(core.st, me, number) - begin for number in range(10)]
    assert all(number <= ts / (10 * SECOND) < number + 1 for number, ts in enumerate(times))
    assert len({ts % (10 * SECOND) for ts in times}) == 10
    shares = [schedule.progress(core.st, me, begin + ts) for ts in times]
    assert all(abs(share - (number + 1) / 10) <= 0.05 for number, share in enumerate(shares))
    assert len({round(share * 10 % 1, 6) for share in shares[:-1]}) == 9
    assert shares[-1] == 1.0


def test_another_order_has_other_times() -> None:
    core = rig()
    core.start("twap", qty=100, **{**EVEN, "time_spread": 1.0})
    core.start("twap", qty=100, order_id=PARENT + 1, **{**EVEN, "time_spread": 1.0})
    first, second = ([schedule._slice_ts(core.st, me, number) for number in range(10)] for me in (0, 1))
    assert not set(first) & set(second)


@pytest.mark.parametrize("name", SLICED)
def test_the_shared_parameters_are_where_they_are_looked_for(name: str) -> None:
    names = [each for each, number in vars(schedule).items() if isinstance(number, int) and each.isupper()]
    expected = {each: getattr(schedule, each) for each in names if each.lower() in SHARED}
    declared = read_algorithm(BUILT_IN / f"{name}.py").parameters
    assert {each.lower(): number for each, number in expected.items()} == {
        each: number for number, each in enumerate(list(declared)[: schedule.OWN])
    }


SHARED = set(read_algorithm(BUILT_IN / "twap.py").parameters)


# Passive, then crossing.


def passive(core: AlgoRig, **more: Any) -> None:
    core.start("twap", qty=100, **{**EVEN, "passive_slices": 0.5, **more})


def test_a_slice_rests_at_the_touch_and_then_crosses() -> None:
    core = rig()
    passive(core)
    child = core.child()
    assert (child["px"], child["qty"], child["time_in_force"]) == (BID_PX, 10, TimeInForce.GTC)
    core.accept(child)
    core.fill(child, 4)
    core.ticks(time_tick(at(core, 5)))
    assert child["state"] == OrderState.PENDING_CANCEL
    assert len(core.open_children) == 1, "what is open is never more than what is due"
    core.confirm_cancel(child)
    crossing = core.child()
    assert (crossing["px"], crossing["qty"], crossing["time_in_force"]) == (ASK_PX, 6, TimeInForce.IOC)


def test_a_child_follows_the_touch_beyond_its_tolerance() -> None:
    core = rig()
    passive(core, follow_ticks=2.0)
    child = core.child()
    core.accept(child)
    core.ticks(depth(SELL, ASK_PX, 0), depth(SELL, ASK_PX + 10, 50), depth(BUY, BID_PX + 2, 50))
    assert child["state"] == OrderState.LIVE
    core.ticks(depth(BUY, BID_PX + 3, 50))
    assert child["pending_px"] == BID_PX + 3
    core.confirm_amend(child)
    core.ticks(depth(BUY, BID_PX + 3, 0), depth(BUY, BID_PX + 2, 0))
    assert child["state"] == OrderState.LIVE, "better than the touch, it is the touch"


def test_a_rest_too_small_for_a_change_stays_where_it_is() -> None:
    core = rig()
    core.start("twap", qty=10, **{**EVEN, "slices": 1.0, "passive_slices": 0.5})
    child = core.child()
    core.accept(child)
    core.fill(child, 9)
    core.ticks(depth(BUY, BID_PX, 0), time_tick(at(core, 101)))
    assert (child["state"], child["px"]) == (OrderState.LIVE, BID_PX)
    core.fill(child, 1)
    assert core.end() == (OrderState.FILLED, Reason.NONE)
    assert reason_of(core.events) == Reason.NONE


def test_an_idle_order_is_not_looked_at_for_every_tick() -> None:
    core = rig()
    core.start("twap", qty=100, **EVEN)
    PlayedVenue(core).answer()
    wake = core.s["parent_wakes"][0]
    assert wake["wake_ts"] == at(core, 10)
    asked = len(core.sent)
    core.ticks(depth(BUY, BID_PX - 1, 9), depth(SELL, ASK_PX + 1, 9), depth(SELL, ASK_PX, 7))
    assert len(core.sent) == asked
    ranges = core.s["parent_lists"][0]["ranges"]
    assert ranges["bid_below"] < 0 < ranges["bid_above"] - 2**59
    assert ranges["ask_below"] < 0 < ranges["ask_above"] - 2**59


# Limit, end, pause, restart.


def test_a_market_beyond_the_limit_is_waited_for_and_caught_up_with() -> None:
    core = rig()
    core.start("twap", qty=100, px=BID_PX, **EVEN)
    venue = PlayedVenue(core)
    assert trace(core, 25, venue)[-1] == 0
    assert core.parent_row()["due_qty"] == 30
    venue.ask, venue.bid = BID_PX, BID_PX - 1
    core.ticks(snapshot(0, {BID_PX - 1: 1_000}, {BID_PX: 1_000}))
    venue.answer()
    assert filled(core) == 20, "two slices at once"
    venue.until(3, 0.5)
    assert filled(core) == 30
    venue.until(100)
    assert core.end() == (OrderState.FILLED, Reason.NONE)
    assert max(int(child["px"]) for child in core.children) <= BID_PX


def test_an_order_beyond_its_limit_rests_there() -> None:
    core = rig()
    core.start("twap", qty=100, px=BID_PX - 3, **{**EVEN, "passive_slices": 0.5})
    venue = PlayedVenue(core)
    assert trace(core, 30, venue)[-1] == 0
    child = core.child()
    assert (child["px"], child["qty"]) == (BID_PX - 3, 20), "no more at a time than two slices"
    core.fill(child, 20)
    venue.answer()
    assert core.child()["qty"] == 10


def test_time_over_with_what_there_was_within_the_limit() -> None:
    core = rig()
    core.start("twap", qty=100, px=BID_PX, **EVEN, grace_s=30.0)
    venue = PlayedVenue(core)
    trace(core, 129, venue)
    assert core.order(PARENT)["state"] == OrderState.HELD
    core.ticks(time_tick(at(core, 130)))
    assert core.end() == (OrderState.CANCELLED, Reason.TIME_OVER)


def test_liquidity_that_comes_in_the_grace_time_is_taken() -> None:
    core = rig()
    core.start("twap", qty=100, **EVEN, grace_s=30.0)
    core.ticks(depth(SELL, ASK_PX, 0))
    venue = PlayedVenue(core)
    trace(core, 105, venue)
    assert filled(core) == 10, "the book has been empty since the first slice"
    core.ticks(depth(SELL, ASK_PX, 1_000))
    venue.until(20, 0.5)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def missed(core: AlgoRig, venue: PlayedVenue) -> None:
    """50 of 100 s pass in a pause."""
    core.start("twap", qty=100, **EVEN)
    venue.answer()
    core.pause()
    core.ticks(time_tick(at(core, 50)))
    core.resume()
    venue.answer()


def test_a_pause_is_caught_up_with_at_a_bounded_rate() -> None:
    core = rig()
    venue = PlayedVenue(core)
    missed(core, venue)
    done = [filled(core), *(filled(core) for _ in venue.run(6, 0.5))]
    assert done[0] == 30, "two even slices at once"
    assert max(b - a for a, b in zip(done, done[5:], strict=False)) <= 20
    assert done[-1] == 60
    venue.until(50)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_the_largest_child_bounds_how_fast_it_catches_up() -> None:
    core = rig()
    venue = PlayedVenue(core)
    core.start("twap", qty=100, **EVEN, max_child_lots=6.0)
    core.pause()
    core.ticks(time_tick(at(core, 50)))
    core.resume()
    venue.answer()
    assert filled(core) <= 12
    venue.until(60)
    assert max(int(child["qty"]) for child in core.children) <= 6
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_the_schedule_survives_a_restart() -> None:
    """A peer's TWAP loses its schedule at a restart: the row of the journal has all that there is to know."""
    terms: dict[str, Any] = {**EVEN, "time_spread": 0.7, "size_spread": 0.7}
    core, other = rig(), rig()
    for each in (core, other):
        each.start("twap", qty=1_000, **terms)
        trace(each, 45, PlayedVenue(each))
    restart(other)
    assert trace_from(core, 45) == trace_from(other, 45)
    assert core.end() == other.end() == (OrderState.FILLED, Reason.NONE)


def restart(core: AlgoRig) -> None:
    """The core goes on from what a journal keeps, and hears of the market again."""
    begin_session(core.st, core.now)
    core.open_market()


def test_what_fell_due_while_the_core_was_down_is_caught_up_with_at_a_bounded_rate() -> None:
    core = rig()
    core.start("twap", qty=100, **EVEN)
    venue = PlayedVenue(core)
    trace(core, 15, venue)
    core.now = at(core, 75)
    restart(core)
    venue.answer()
    assert (filled(core), int(core.parent_row()["due_qty"])) == (40, 80)
    venue.until(40, 0.5)
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def trace_from(core: AlgoRig, begin: int) -> list[int]:
    venue = PlayedVenue(core)
    venue.seen = len(core.sent)
    found = []
    for second in range(begin, 100):
        core.ticks(time_tick(at(core, second)))
        venue.answer()
        found.append(filled(core))
    return found


@pytest.mark.parametrize(("qty", "expected"), [(200, 200), (60, 60)])
def test_an_amended_target_changes_what_is_due(qty: int, expected: int) -> None:
    core = rig()
    core.start("twap", qty=100, **EVEN)
    venue = PlayedVenue(core)
    trace(core, 25, venue)
    core.commands(amend(PARENT, qty=qty))
    venue.until(80)
    assert (core.end()[0], filled(core)) == (OrderState.FILLED, expected)


@pytest.mark.parametrize("name", SLICED)
def test_the_exchange_model_fills_an_order_by_its_schedule(name: str) -> None:
    core = rig(external=False, latency_ns=20 * MS)
    core.start(name, qty=100, **{**EVEN, "passive_slices": 0.5, "time_spread": 0.5, "size_spread": 0.5})
    for second in range(110):
        core.ticks(depth(SELL, ASK_PX, 1_000 + second), time_tick(max(at(core, second), core.now + 1)))
        if core.s["parents_open"] == 0:
            break
        assert filled(core) <= core.parent_row()["due_qty"] + 1
        assert filled(core) >= second - 22
    assert core.end() == (OrderState.FILLED, Reason.NONE)


def test_progress_reports_say_what_is_due() -> None:
    core = rig()
    core.start("twap", qty=100, **EVEN)
    trace(core, 31, PlayedVenue(core))
    assert core.progress()["aux"] == 40
    assert core.events[core.events["kind"] == EventKind.ORDER_REFUSED].size == 0
