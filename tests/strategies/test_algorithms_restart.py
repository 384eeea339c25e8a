"""Orders that a strategy has worked, over a restart: the journal has all of them, and the strategy finds them again."""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypeVar

import pytest

from oms.core.state import new_state
from oms.durable import begin_session, differences
from oms.records import OrderState, TradingState
from oms.recovery import cancelled_by_restart, carry_definitions, recover, take_on
from oms.replay import Replay
from oms.replay_all import WholeReplay
from oms.snapshot import Definitions
from strategies.loader import define_algorithm
from tests.oms.algos.builders import file_of, loaded
from tests.oms.core.builders import BID_PX, BUY, SECOND, Rig, command, depth, fill, time_tick
from tests.oms.journalled import SESSION, JournalledRig, random_steps, run
from tests.strategies.test_algorithms import ENDED, FIRST_ID, LOOK, LOOKED, SAMPLE, START_REST

SCHEDULER: Final = Path(__file__).parents[1] / "backtest" / "strategies" / "scheduler.py"
AnyRig = TypeVar("AnyRig", bound=Rig)
DEFINITIONS: Final = Definitions(instruments={"0": {"name": "BTCUSDT.binance_usdm"}}, strategies=("worker",))


def with_algorithms(rig: AnyRig, strategy: Path) -> AnyRig:
    for name in ("twap", "best-limit", "sor"):
        define_algorithm(rig.st, loaded(file_of(name)))
    rig.add(strategy)
    return rig


def act(rig: Rig, action: int, *arguments: float) -> None:
    values = [action, *arguments]
    rig.s["strategies"][0]["parameters"][: len(values)] = values
    rig.ticks(depth(BUY, BID_PX - 50, 5))
    rig.s["strategies"][0]["parameters"][0] = 0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("every_input", [False, True])
def test_the_journal_has_all_of_what_a_strategy_had_worked(tmp_path: Path, seed: int, every_input: bool) -> None:
    live = with_algorithms(JournalledRig(tmp_path, every_input=every_input, latency_ns=seed * 1_000_000), SCHEDULER)
    again = with_algorithms(Rig(latency_ns=seed * 1_000_000), SCHEDULER) if every_input else Rig()
    if not every_input:
        carry_definitions(again.st, live.st)
    run(live, random_steps(seed, 300))
    live.ticks(time_tick(live.now + 8 * SECOND))
    run(live, random_steps(seed + 1, 100))
    assert int(live.s["strategies"][0]["orders"]) > 1
    (WholeReplay if every_input else Replay)(again.st).session(tmp_path, SESSION)
    assert list(differences(live.st, again.st, every_input=every_input)) == []


def test_after_a_restart_the_order_goes_on_and_its_strategy_finds_it(tmp_path: Path) -> None:
    rig = with_algorithms(JournalledRig(tmp_path / "journal", external=True), SAMPLE)
    assembled = new_state()
    carry_definitions(assembled, rig.st)
    rig.open_market()
    act(rig, START_REST, BUY, 0, 20, 0)
    (child,) = [each for each in rig.s["orders"][: rig.s["orders_used"]] if each["parent_id"] == FIRST_ID]
    rig.reports(fill(int(child["order_id"]), 5, BID_PX, trade_id=1))

    past = recover(assembled, DEFINITIONS, tmp_path / "snapshots", tmp_path / "journal")
    fresh = with_algorithms(Rig(), SAMPLE)
    take_on(fresh.st, past, DEFINITIONS)
    begin_session(fresh.st, SESSION + 1)
    fresh.now = rig.now
    fresh.reports(cancelled_by_restart(fresh.st))
    for state in (TradingState.HALTED, TradingState.ACTIVE):
        fresh.commands(command(5, 0, instrument=-1, value=state))
    fresh.open_market()
    fresh.ticks(time_tick(fresh.now + 2 * SECOND))
    act(fresh, LOOK, FIRST_ID)
    cells = fresh.s["strategies"][0]["memory"]
    assert [int(each) for each in cells[LOOKED + 3 : LOOKED + 6]] == [15, FIRST_ID, 0]
    (child,) = [
        each
        for each in fresh.s["orders"][: fresh.s["orders_used"]]
        if each["parent_id"] == FIRST_ID and each["state"] in (OrderState.PENDING_NEW, OrderState.LIVE)
    ]
    assert int(child["qty"]) == 15
    fresh.reports(fill(int(child["order_id"]), 15, BID_PX, trade_id=2))
    assert int(cells[ENDED]) == FIRST_ID
    assert int(fresh.order(FIRST_ID)["state"]) == OrderState.FILLED
