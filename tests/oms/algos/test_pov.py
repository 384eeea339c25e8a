"""POV: the share of the market's volume, own fills included, and how it catches up."""

from __future__ import annotations

from typing import Any, Final

import pytest

from oms.records import OrderState, Reason, TimeInForce
from tests.oms.algos.builders import PARENT, AlgoRig
from tests.oms.algos.venue import PlayedVenue
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, SECOND, SELL, amend, depth, time_tick, trade

CROSSING: Final[dict[str, Any]] = {"rate": 0.2, "min_rate": 0.2, "max_rate": 0.4}


def rig(**options: Any) -> AlgoRig:
    made = AlgoRig("pov", **options)
    made.open_market()
    return made


def filled(core: AlgoRig) -> int:
    return int(core.order(PARENT)["filled_qty"])


class Tape(PlayedVenue):
    """A played exchange whose trades, own ones included, are told as an exchange tells them."""

    def __init__(self, core: AlgoRig) -> None:
        super().__init__(core)
        self.others = 0
        self.own = 0

    def trade(self, qty: int) -> None:
        """Others trade."""
        self.others += qty
        self.core.ticks(trade(BUY, ASK_PX, qty))
        self.answer()
        while filled(self.core) > self.own:
            fresh = filled(self.core) - self.own
            self.own += fresh
            self.core.ticks(trade(BUY, ASK_PX, fresh))
            self.answer()


def test_the_own_share_counts_own_fills() -> None:
    core = rig()
    core.start("pov", qty=1_000, **CROSSING)
    tape = Tape(core)
    for _ in range(200):
        tape.trade(7)
    share = tape.own / (tape.own + tape.others)
    assert share == pytest.approx(0.2, abs=0.015)
    assert share <= 0.2


def test_the_trades_of_a_recording_are_all_of_others() -> None:
    core = rig(external=False)
    core.start("pov", qty=1_000, **CROSSING)
    for number in range(200):
        core.ticks(trade(BUY, ASK_PX, 7), depth(SELL, ASK_PX, 1_000 + number))
    own, others = filled(core), 1_400
    assert own / (own + others) == pytest.approx(0.2, abs=0.015)
    assert own / (own + others) <= 0.2


def test_it_rests_what_is_due_and_crosses_below_the_smallest_rate() -> None:
    core = rig()
    core.start("pov", qty=1_000, rate=0.2, min_rate=0.1, max_rate=0.4)
    core.ticks(trade(BUY, ASK_PX, 100))
    child = core.child()
    assert (child["px"], child["qty"], child["time_in_force"]) == (BID_PX, 25, TimeInForce.GTC)
    core.accept(child)
    core.ticks(trade(BUY, ASK_PX, 100))
    assert child["state"] == OrderState.LIVE, "50 are due: 25 rest, and the 22 that must be filled cross"
    crossing = core.open_children[1]
    assert (crossing["px"], crossing["qty"], crossing["time_in_force"]) == (ASK_PX, 22, TimeInForce.IOC)


def test_a_pause_is_caught_up_with_at_no_more_than_the_largest_rate() -> None:
    core = rig()
    core.start("pov", qty=2_000, **CROSSING, max_child_lots=20.0)
    tape = Tape(core)
    core.pause()
    tape.trade(1_000)
    core.resume()
    tape.answer()
    first = filled(core)
    assert first <= 20
    tape.own = first
    core.ticks(trade(BUY, ASK_PX, first))
    before = tape.others
    for _ in range(20):
        tape.trade(10)
    caught_up, volume = filled(core) - first, tape.others - before
    assert caught_up / (caught_up + volume) <= 0.4 + 20 / volume
    assert caught_up > volume * 0.25 * 1.5, "faster than the rate"
    for _ in range(200):
        tape.trade(20)
    assert filled(core) / (filled(core) + tape.others) == pytest.approx(0.2, abs=0.01)


def test_it_ends_when_the_target_is_filled() -> None:
    core = rig()
    core.start("pov", SELL, qty=101, **CROSSING)
    tape = Tape(core)
    for _ in range(40):
        if core.s["parents_open"]:
            tape.trade(20)
    assert core.end() == (OrderState.FILLED, Reason.NONE)
    assert filled(core) == 101


def test_its_time_is_over_with_what_the_volume_gave() -> None:
    core = rig()
    core.start("pov", qty=1_000, **CROSSING, duration_s=60.0)
    tape = Tape(core)
    for _ in range(20):
        tape.trade(10)
    core.ticks(time_tick(int(core.parent_row()["start_ts"]) + 60 * SECOND))
    tape.answer()
    assert core.end() == (OrderState.CANCELLED, Reason.TIME_OVER)
    assert 38 <= filled(core) <= 50


def test_it_is_looked_at_once_for_each_step_of_volume() -> None:
    core = rig()
    core.start("pov", qty=8_000, rate=0.2, min_rate=0.0, max_rate=0.4)
    wake = core.s["parent_wakes"][0]
    assert wake["ranges"][0]["traded_qty"] - core.book()["traded_qty"] == 400, (
        "a quarter of the largest child, 400, is due by then"
    )
    core.ticks(trade(BUY, ASK_PX, 399), depth(BUY, BID_PX - 1, 7), depth(SELL, ASK_PX, 9))
    assert core.children == []
    core.ticks(trade(BUY, ASK_PX, 1))
    assert core.child()["qty"] == 100


@pytest.mark.parametrize(("given", "used"), [({"min_rate": 0.5}, 0.2), ({"max_rate": 0.0}, 0.2)])
def test_the_rates_between_which_it_stays_have_the_rate_between_them(given: dict[str, Any], used: float) -> None:
    core = rig()
    core.start("pov", qty=1_000, **{"rate": used, "min_rate": used, "max_rate": 0.4, **given})
    tape = Tape(core)
    for _ in range(100):
        tape.trade(10)
    assert tape.own / (tape.own + tape.others) == pytest.approx(used, abs=0.02)


def test_an_amended_target_is_worked_on() -> None:
    core = rig()
    core.start("pov", qty=100, **CROSSING)
    tape = Tape(core)
    for _ in range(10):
        tape.trade(10)
    core.commands(amend(PARENT, qty=150))
    for _ in range(60):
        if core.s["parents_open"]:
            tape.trade(10)
    assert core.end() == (OrderState.FILLED, Reason.NONE)
    assert filled(core) == 150
