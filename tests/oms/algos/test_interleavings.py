"""Whatever order things come in, a parent never has more filled and open than its target; and a restart goes on."""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as given_as

from oms.compiled import JIT
from oms.core.parents import open_units
from oms.durable import begin_session
from oms.records import OrderState, Reason
from oms.replay import Replay
from strategies.loader import define_algorithm
from tests.oms.algos.builders import PARENT, AlgoRig, file_of, loaded
from tests.oms.core.builders import ASK_PX, BID_PX, BUY, SECOND, SELL, amend, depth, time_tick, trade
from tests.oms.journalled import SESSION, JournalledRig, copy_definitions, differing

pytestmark = pytest.mark.pure


class JournalledAlgoRig(AlgoRig, JournalledRig):
    """A rig with algorithms that keeps a journal."""


def bounded(core: AlgoRig, order_id: int = PARENT) -> None:
    """What is filled and what may yet fill is no more than the target, nor than it ever was."""
    order = core.order(order_id)
    if order["parent_row"] == 0:
        return
    parent = core.parent_row(order_id)
    at_risk = sum(int(max(c["qty"], c["pending_qty"]) - c["filled_qty"]) for c in core.open_children)
    assert at_risk == open_units(core.s, parent)
    assert int(parent["filled_units"]) + at_risk <= max(core.most, int(order["qty"]))


def play(core: AlgoRig, random: Random, steps: int) -> None:
    """Random things happen to the children, the market and the parent."""
    for _ in range(steps):
        act(core, random)
        bounded(core)


def act(core: AlgoRig, random: Random) -> None:
    children = core.open_children
    child: Any = random.choice(children) if children else None
    kind = random.randrange(12)
    if kind <= 1 or child is None:
        px = random.randint(BID_PX - 4, BID_PX)
        side, px = random.choice(((BUY, px), (SELL, ASK_PX + BID_PX - px)))
        core.ticks(depth(side, px, random.choice((0, 5, 50))), trade(side, px, random.randint(1, 20)))
    elif kind == 2:
        core.now += random.choice((1, 30_000_000, SECOND))
        core.ticks(time_tick())
    elif kind <= 5:
        if child["state"] == OrderState.PENDING_NEW:
            core.accept(child)
        elif child["state"] == OrderState.PENDING_AMEND:
            core.confirm_amend(child)
        elif child["state"] == OrderState.PENDING_CANCEL:
            core.confirm_cancel(child)
    elif kind <= 8:
        core.fill(child, random.randint(1, max(int(child["qty"] - child["filled_qty"]), 1)))
    elif kind == 9:
        if child["state"] == OrderState.PENDING_NEW:
            core.reject(child)
        elif child["time_in_force"] == 2:
            core.expire(child)
    elif kind == 10:
        random.choice((core.pause, core.resume))()
    else:
        qty = random.randint(1, 150)
        core.most = max(core.most, qty)
        core.commands(amend(PARENT, qty=qty))


def finish(core: AlgoRig) -> None:
    """Answer everything and fill everything until the parent is done."""
    core.resume()
    for _ in range(200):
        if core.order(PARENT)["parent_row"] == 0:
            return
        for child in core.open_children:
            if child["state"] == OrderState.PENDING_NEW:
                core.accept(child)
            elif child["state"] == OrderState.PENDING_AMEND:
                core.confirm_amend(child)
            elif child["state"] == OrderState.PENDING_CANCEL:
                core.confirm_cancel(child)
            if child["state"] == OrderState.LIVE:
                core.fill(child, int(child["qty"] - child["filled_qty"]))
            bounded(core)
        core.now += SECOND
        core.ticks(depth(BUY, BID_PX, 1_000), depth(SELL, ASK_PX, 1_000), time_tick())
    pytest.fail(f"the parent is not done: {core.parent_row()}")


def check_end(core: AlgoRig) -> None:
    """It is filled, or what is left is less than any order."""
    state, reason = core.end()
    order = core.order(PARENT)
    if state == OrderState.CANCELLED:
        assert (reason, int(order["qty"] - order["filled_qty"]) < 2) == (Reason.BELOW_MINIMUM, True)
    else:
        assert state == OrderState.FILLED
        assert order["filled_qty"] >= order["qty"] or core.most >= order["filled_qty"]


@settings(max_examples=25 if JIT else 8, deadline=None)
@given(seed=given_as.integers(0, 2**32), name=given_as.sampled_from(("greedy", "best-limit")))
def test_a_target_is_never_exceeded_nor_left_short(seed: int, name: str) -> None:
    core = AlgoRig(name)
    core.most = 100
    core.open_market()
    core.start(name, qty=100)
    play(core, Random(seed), 60)
    finish(core)
    check_end(core)


@settings(max_examples=25 if JIT else 8, deadline=None)
@given(seed=given_as.integers(0, 2**32), name=given_as.sampled_from(("greedy", "best-limit")))
def test_a_restart_goes_on_where_it_stopped(seed: int, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        core = JournalledAlgoRig(name, folder=Path(folder))
        core.most = 100
        core.open_market()
        core.start(name, qty=100)
        play(core, Random(seed), 30)
        core.journal.close()
        other = AlgoRig(name)
        copy_definitions(other.st, core.st)
        Replay(other.st).session(Path(folder), SESSION)
        assert differing(other.st, core.st) == []
        begin_session(other.st, SESSION + SECOND)
        other.s["external"] = 1
        other.most = core.most
        other.trades = core.trades
        other.now = core.now
        other.open_market()
        finish(other)
        if len(core.events[core.events["kind"] == 21]) == 0:
            check_end(other)


def test_an_algorithm_that_fails_ends_its_order_alone() -> None:
    core = AlgoRig("failing", "best-limit")
    core.open_market()
    core.start("failing")
    core.start("best-limit", order_id=PARENT + 1, qty=50)
    first, second = core.children
    core.accept(first)
    core.accept(second)
    core.ticks(depth(SELL, ASK_PX + 1, 5), depth(SELL, ASK_PX, 0))
    core.confirm_cancel(first)
    assert core.end() == (OrderState.CANCELLED, Reason.ALGORITHM_FAILED)
    assert second["state"] == OrderState.LIVE


def test_a_parent_without_its_algorithm_after_a_restart_ends_and_says_so() -> None:
    core = AlgoRig("best-limit")
    core.open_market()
    core.start("best-limit")
    child = core.child()
    core.accept(child)
    core.s["algorithms_used"] = 0
    begin_session(core.st, SESSION + SECOND)
    core.ticks(depth(BUY, BID_PX - 1, 5))
    core.confirm_cancel(child)
    assert core.end() == (OrderState.CANCELLED, Reason.BAD_ALGORITHM)
    define_algorithm(core.st, loaded(file_of("best-limit")))
