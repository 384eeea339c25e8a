"""An order over several venues after a restart: what its children on each of them have done counts, and it goes on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw

from oms.compiled import JIT
from oms.durable import begin_session
from oms.instruments import Instrument
from oms.records import OrderState
from oms.replay import Replay
from tests.oms.algos.builders import PARENT
from tests.oms.algos.sor_play import MIXED, Action, Play, actions
from tests.oms.algos.sor_rig import CHEAP, HOME, SorRig
from tests.oms.core.builders import BUY, SECOND, SELL, depth
from tests.oms.journalled import SESSION, JournalledRig, copy_definitions, differing

pytestmark = pytest.mark.pure


class JournalledSorRig(SorRig, JournalledRig):
    """A core with SOR that keeps a journal."""


def restarted(core: JournalledSorRig, *instruments: Instrument) -> SorRig:
    """A core of the next session, made by the journal of the one before, without a market."""
    core.journal.close()
    other = SorRig(*instruments)
    copy_definitions(other.st, core.st)
    Replay(other.st).session(core.folder, SESSION)
    assert differing(other.st, core.st) == []
    begin_session(other.st, SESSION + SECOND)
    other.s["external"] = 1
    other.trades = core.trades
    other.now = core.now
    return other


def test_children_on_two_routes_are_known_after_a_restart_and_filled_to_the_target(tmp_path: Path) -> None:
    core = JournalledSorRig(HOME, CHEAP, folder=tmp_path)
    core.books({100: 4, 200: 1}, {100: 3, 200: 1}, bids=[{90: 5}, {90: 5}])
    core.go(px=100)
    core.fill(core.of_kind(0, rests=False), 4)
    core.accept(core.of_kind(1, rests=True))
    other = restarted(core, HOME, CHEAP)
    assert sorted(int(child["qty"]) for child in other.open_children) == [3, 3]
    assert other.order(PARENT)["filled_qty"] == 4
    other.books({99: 50}, {200: 1})
    assert sum(int(child["qty"]) for child in other.open_children) == 6, "what is open is not asked for again"
    other.fill(other.of_kind(1, rests=False), 3)
    rests = other.of_kind(1, rests=True)
    assert rests["state"] == OrderState.PENDING_CANCEL, "it can be taken at home now"
    other.fill(rests, 1)
    other.confirm_cancel(rests)
    assert other.open_by_route == {0: (99, 2)}
    other.fill(other.of(0), 2)
    assert other.order(PARENT)["state"] == OrderState.FILLED


def test_after_a_restart_another_route_wakes_the_order(tmp_path: Path) -> None:
    core = JournalledSorRig(HOME, CHEAP, folder=tmp_path)
    core.books({110: 4}, {110: 3})
    core.go(px=100, rests=0.0)
    other = restarted(core, HOME, CHEAP)
    other.books({110: 4}, {110: 3})
    other.ticks(depth(SELL, 100, 6, instrument=1))
    assert other.open_by_route == {1: (100, 6)}


@settings(max_examples=15 if JIT else 5, deadline=None)
@given(
    draw.sampled_from([BUY, SELL]),
    draw.lists(actions, max_size=30),
    draw.lists(actions, max_size=30),
)
def test_a_restart_at_any_moment_neither_loses_nor_exceeds_the_target(
    side: int, before: list[Action], after: list[Action]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        core = JournalledSorRig(*MIXED, folder=Path(folder))
        play = Play(core, side, 103)
        for action in before:
            play.act(*action)
        play.core = restarted(core, *MIXED)
        for action in after:
            play.act(*action)
        play.finish()
