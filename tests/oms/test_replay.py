"""Replaying a journal: the state comes out as it was, or the difference is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oms.core.state import State, new_state
from oms.durable import differences
from oms.journal import JournalError
from oms.records import EventKind, OrderState, ReportKind
from oms.recovery import carry_definitions
from oms.replay import Replay
from oms.replay_all import WholeReplay
from oms.snapshot import Definitions, Place, capture, read_snapshot, restore, write_snapshot
from tests.oms.core.builders import (
    BID_PX,
    BUY,
    SELL,
    Records,
    Rig,
    amend,
    cancel,
    client_id,
    fill,
    new_order,
    report,
    snapshot,
    time_tick,
)
from tests.oms.core.test_redefine import FINER
from tests.oms.journalled import SESSION, JournalledRig, random_steps, rebuilt, run
from tests.oms.random_session import RandomSession

SAMPLES = Path(__file__).parent.parent / "strategies" / "samples"


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_replay_rebuilds_the_state_of_any_session(tmp_path: Path, seed: int, external: bool) -> None:
    live = JournalledRig(tmp_path, segment_bytes=40_000, external=external, latency_ns=seed % 3 * 1_500_000)
    run(live, random_steps(seed, 400))
    again, done = rebuilt(live, tmp_path)
    assert list(differences(live.st, again.st, every_input=False)) == []
    assert done.event_seq == live.s["event_seq"]
    assert done.events == len(live.events)


def whole_rig(folder: Path | None, external: bool, seed: int) -> Rig:
    options: dict[str, Any] = {"external": external, "latency_ns": seed % 3 * 1_500_000}
    rig = Rig(**options) if folder is None else JournalledRig(folder, every_input=True, segment_bytes=60_000, **options)
    rig.add(SAMPLES / "watch.py")
    rig.add(SAMPLES / "flood.py", orders=3)
    return rig


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_session_with_every_input_comes_out_byte_for_byte(tmp_path: Path, seed: int, external: bool) -> None:
    live = whole_rig(tmp_path, external, seed)
    assert isinstance(live, JournalledRig)
    steps = list(random_steps(seed, 300))
    run(live, steps[:150])
    place = Place(SESSION, 0, live.journal.next_number, int(live.s["event_seq"]))
    middle = write_snapshot(tmp_path, capture(live.st, place, Definitions(), whole=True))
    run(live, steps[150:])
    from_start = whole_rig(None, external, seed)
    done = WholeReplay(from_start.st).session(tmp_path, SESSION)
    assert list(differences(live.st, from_start.st, every_input=True)) == []
    assert done.events == len(live.events)
    from_middle = whole_rig(None, external, seed)
    restore(from_middle.st, read_snapshot(middle))
    WholeReplay(from_middle.st).session(tmp_path, SESSION, place.number)
    assert list(differences(live.st, from_middle.st, every_input=True)) == []
    from_middle.now = live.now
    run(from_middle, random_steps(99, 30))
    run(live, random_steps(99, 30))
    assert list(differences(live.st, from_middle.st, every_input=True)) == []


def test_replay_of_every_input_names_the_first_difference(tmp_path: Path) -> None:
    live = whole_rig(tmp_path, False, 0)
    run(live, random_steps(0, 100))
    other = whole_rig(None, False, 0)
    other.limit(0, max_order_qty=1)
    with pytest.raises(JournalError, match=r"entry \d+, session \d+.*in doubt"):
        WholeReplay(other.st).session(tmp_path, SESSION)


def replayed(session: RandomSession, folder: Path) -> State:
    again: State = new_state()  # a copy would touch every page of a state
    carry_definitions(again, session.begun)
    Replay(again).session(folder, SESSION)
    return again


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.pure), *range(1, 12)])
def test_replay_rebuilds_sessions_with_orders_of_every_kind(tmp_path: Path, seed: int, external: bool) -> None:
    session = RandomSession(tmp_path, seed, segment_bytes=200_000, external=external, latency_ns=seed % 3 * 1_500_000)
    session.run(250)
    again = replayed(session, tmp_path)
    assert list(differences(session.rig.st, again, every_input=False)) == []


def test_random_sessions_see_events_of_every_kind(tmp_path: Path) -> None:
    seen: set[int] = set()
    for seed in (0, 2, 4, 7, 9, 11):
        session = RandomSession(tmp_path / str(seed), seed, external=seed % 2 == 0)
        session.run(300)
        seen |= set(session.rig.events["kind"].tolist())
    never = {
        EventKind.LOG,
        EventKind.INSTRUMENT,
        EventKind.STRATEGY_HALTED,
        EventKind.DEFINITION_REFUSED,
        EventKind.LEG_TURNED,
        EventKind.FILLED_LATE,  # tests/oms/algos/test_late_fills.py
    }
    assert {each.name for each in EventKind if each not in seen} <= {each.name for each in never}


class OldRig(JournalledRig):
    """Its journal does not say what a fill has realized, as journals did not once."""

    def flush(self) -> Records:
        events = self.s["events"][: self.s["event_count"]]
        events["realized_pnl"][events["kind"] == EventKind.ORDER_FILLED] = 0
        return super().flush()


@pytest.mark.parametrize("kind", [JournalledRig, OldRig])
def test_fills_that_race_an_amend_come_out_as_they_were(tmp_path: Path, kind: type[JournalledRig]) -> None:
    live = kind(tmp_path)
    before = live.st.copy()
    live.open_market()
    for number, (target, side) in enumerate(((20, BUY), (20, SELL), (5, BUY), (30, BUY)), 1):
        live.commands(new_order(client_id(number), side))
        live.reports(report(ReportKind.ACCEPTED, client_id(number)))
        live.commands(amend(client_id(number), px=BID_PX - 3 if side > 0 else BID_PX + 9, qty=target))
    live.reports(fill(client_id(1), 15, trade_id=1), report(ReportKind.AMENDED, client_id(1), px=BID_PX - 3, qty=20))
    live.reports(fill(client_id(2), 10, BID_PX + 9, side=SELL, trade_id=2))
    live.reports(report(ReportKind.AMEND_REJECTED, client_id(2)))
    live.reports(fill(client_id(3), 5, trade_id=3), report(ReportKind.AMENDED, client_id(3), px=BID_PX, qty=5))
    live.commands(cancel(client_id(4)))
    live.reports(report(ReportKind.CANCEL_REJECTED, client_id(4)))
    states = [live.state(client_id(number)) for number in range(1, 5)]
    assert states == [OrderState.LIVE, OrderState.FILLED, OrderState.FILLED, OrderState.PENDING_AMEND]
    assert live.order(client_id(2))["realized_pnl"] > 0
    Replay(before).session(tmp_path, SESSION)
    assert list(differences(live.st, before, every_input=False)) == []


@pytest.mark.parametrize("every_input", [True, False])
def test_replay_goes_on_in_the_version_that_came_mid_session(tmp_path: Path, every_input: bool) -> None:
    live = JournalledRig(tmp_path, every_input=every_input)
    before = live.st.copy()
    live.open_market()
    live.commands(new_order(client_id(1)), new_order(client_id(2), BUY, BID_PX - 5))
    live.reports(report(ReportKind.ACCEPTED, client_id(1)), fill(client_id(2), 10, BID_PX - 5, trade_id=1))
    live.definitions(FINER)
    live.reports(report(ReportKind.CANCELLED, client_id(1)))
    live.ticks(time_tick())
    live.ticks(snapshot(0, {2 * BID_PX: 100}, {2 * BID_PX + 2: 100}, version=2))
    live.commands(new_order(client_id(3), BUY, 2 * BID_PX, 8))
    assert live.s["instruments"][0]["version"] == 2
    assert live.position()["qty"] == 20
    again = before
    replay: Any = WholeReplay(again) if every_input else Replay(again)
    replay.session(tmp_path, SESSION)
    assert list(differences(live.st, again, every_input=every_input)) == []
